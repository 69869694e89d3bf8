//! How connections begin, and how they fail to.

use super::super::scene::{CLIENT_PORT, SERVER_PORT, Scene};
use super::super::seen::{Seen, check, of_the_system};
use super::super::segment::Segment;
use super::super::wire::Fate;
use super::{ARRIVES, NUMBERS, RESETS, SET_UP, Scenario, millis};
use crate::experiment::{ExperimentError, Seat};
use crate::record::{LifecycleCheck, SegmentRecord};
use crate::units::Nanos;

/// Where the first retransmission time-out stands.
const FIRST_TIMEOUT: &str = "RFC 6298, section 2, rule 2.1";
/// Where Linux does what it does with a full accept queue.
const LINUX_QUEUE: &str = "Linux, net/ipv4/tcp_minisocks.c, tcp_check_req";
/// What a segment meets where there is no connection.
const NO_CONNECTION: &str = "RFC 9293, section 3.10.7.1";
/// Accept queue of the scenarios that fill it; Linux lets one more wait (`sk_acceptq_is_full`).
const SHORT_QUEUE: i32 = 2;

pub(super) const ALL: &[&Scenario] = &[
    &SETTING_UP,
    &SYN_LOST,
    &SYN_ACK_LOST,
    &THIRD_ACK_LOST,
    &CLOSED_PORT,
    &SIMULTANEOUS_OPEN,
    &ACCEPT_QUEUE_FULL,
    &SYN_DROPPED,
];

const SETTING_UP: Scenario = Scenario {
    name: "set-up",
    title: "Set-up: three segments",
    source: SET_UP,
    explanation: "Each end numbers the bytes it sends, from a first number of its own choosing. The client's SYN tells its \
        number; the server's SYN+ACK acknowledges it and tells the server's own; the client's ACK acknowledges that. Each \
        number has to be told and to be acknowledged, which makes four messages; the two in the middle travel in one \
        segment, since the server has nothing to wait for between them. So a set-up takes three. With only two the server \
        would never learn whether its number arrived, and an old SYN that turns up late would open a connection that \
        nobody wants.",
    play: come_together,
    rules: |seen| {
        let mut checks = handshake(seen);
        checks.push(seen.passes(SET_UP, "client", &["CLOSED", "SYN-SENT", "ESTABLISHED"]));
        checks.push(seen.passes(SET_UP, "server", &["LISTEN", "SYN-RECEIVED", "ESTABLISHED"]));
        let (client, server) = (
            seen.since("client", "ESTABLISHED"),
            seen.since("server", "ESTABLISHED"),
        );
        let later = client
            .zip(server)
            .map(|(client, server)| server.saturating_sub(client));
        checks.push(check(
            "the client is ESTABLISHED first, the server only when the third segment has arrived",
            SET_UP,
            later.is_some_and(|later| later > 0),
            later.map_or_else(
                || "one of them never was".to_owned(),
                |later| format!("the server {} later", millis(later)),
            ),
        ));
        checks
    },
};

/// The rules of three segments, for any scenario that has just these.
fn handshake(seen: &Seen) -> Vec<LifecycleCheck> {
    let expected = [("client", "SYN"), ("server", "SYN+ACK"), ("client", "ACK")];
    let (syn, answer) = (seen.first("client", "SYN"), seen.first("server", "SYN+ACK"));
    vec![
        seen.order("SYN, SYN+ACK, ACK, and nothing else", SET_UP, &expected),
        Seen::acknowledges(
            "the SYN takes one sequence number, and the SYN+ACK acknowledges it",
            NUMBERS,
            syn,
            answer,
        ),
        Seen::acknowledges(
            "the ACK acknowledges the server's SYN",
            NUMBERS,
            answer,
            seen.first("client", "ACK"),
        ),
    ]
}

/// The segment was lost once and sent again, unchanged, after the first retransmission time-out.
fn sent_again(what: &str, copies: &[&SegmentRecord]) -> LifecycleCheck {
    let rule = format!("the {what} is sent again, unchanged, after 1 s");
    let [lost, repeated, ..] = copies else {
        return check(
            &rule,
            FIRST_TIMEOUT,
            false,
            format!("{} sent", copies.len()),
        );
    };
    let waited = repeated.sent_ns.saturating_sub(lost.sent_ns);
    let alike =
        (lost.sequence, lost.acknowledgement) == (repeated.sequence, repeated.acknowledgement);
    // Timers fire with the kernel's next tick or two, some milliseconds late; what is far later is another time-out.
    let in_time = (950_000_000..1_300_000_000).contains(&waited);
    let seen = format!(
        "sent again after {}, {}",
        millis(waited),
        if alike {
            "with the same numbers"
        } else {
            "with other numbers"
        }
    );
    check(&rule, FIRST_TIMEOUT, alike && in_time, seen)
}

const SYN_LOST: Scenario = Scenario {
    name: "syn-lost",
    title: "The SYN is lost",
    source: FIRST_TIMEOUT,
    explanation: "Nobody tells the client that its SYN was lost: it only hears nothing. Before anything has been heard \
        from the other end its round trip is unknown, so the first time-out is a fixed second; then the SYN goes out \
        again. This is why a crowded server shows as connect times of a whole second and more, and not of slightly more \
        than usual. By the standard each further wait is twice as long (after 1, 3, 7 s); Linux from 6.5 on waits one \
        second four times more first (tcp_syn_linear_timeouts): after 1, 2, 3, 4, 5, 7 s.",
    play: |scene| {
        lose_first(scene, |from, segment| {
            from == Seat::Client && segment.flags.syn
        });
        come_together(scene)
    },
    rules: |seen| {
        let copies: Vec<_> = seen.all("client", "SYN").collect();
        vec![
            sent_again("SYN", &copies),
            seen.order(
                "the second SYN is answered as the first would have been",
                SET_UP,
                &[
                    ("client", "SYN"),
                    ("client", "SYN"),
                    ("server", "SYN+ACK"),
                    ("client", "ACK"),
                ],
            ),
            seen.told(SET_UP, "client", "connect() = 0"),
            seen.passes(SET_UP, "client", &["CLOSED", "SYN-SENT", "ESTABLISHED"]),
        ]
    },
};

const SYN_ACK_LOST: Scenario = Scenario {
    name: "syn-ack-lost",
    title: "The SYN+ACK is lost",
    source: FIRST_TIMEOUT,
    explanation: "The server has answered and waits in SYN-RECEIVED; the client has heard nothing and waits in SYN-SENT. \
        Both have a timer of a second, so both may send again, the client its SYN, the server its SYN+ACK; whichever \
        comes first mends it, and the rest are duplicates that do no harm.",
    play: |scene| {
        lose_first(scene, |from, segment| {
            from == Seat::Server && segment.flags.syn
        });
        come_together(scene)
    },
    rules: |seen| {
        let copies: Vec<_> = seen.all("server", "SYN+ACK").collect();
        let (syn, answers) = (seen.first("client", "SYN"), copies.iter().skip(1));
        let alike = copies.iter().all(|copy| copy.sequence == 0);
        let first = copies.first().map_or(0, |copy| copy.sent_ns);
        let waited = copies.get(1).map(|copy| copy.sent_ns.saturating_sub(first));
        let mut checks = vec![
            check(
                "the SYN+ACK is sent again, with the same number, by its own timer or for the client's second SYN",
                FIRST_TIMEOUT,
                alike
                    && waited.is_some_and(|waited| (900_000_000..1_300_000_000).contains(&waited)),
                waited.map_or_else(
                    || "it was not sent again".to_owned(),
                    |waited| format!("sent again after {}", millis(waited)),
                ),
            ),
            Seen::acknowledges(
                "the copy acknowledges the same SYN",
                NUMBERS,
                syn,
                answers.copied().next(),
            ),
            seen.told(SET_UP, "client", "connect() = 0"),
        ];
        checks.push(seen.passes(SET_UP, "server", &["LISTEN", "SYN-RECEIVED", "ESTABLISHED"]));
        checks
    },
};

const THIRD_ACK_LOST: Scenario = Scenario {
    name: "third-ack-lost",
    title: "The third segment is lost",
    source: SET_UP,
    explanation: "The client believes itself connected, the server does not yet. The client's first data mends it: every \
        segment after the SYN carries an acknowledgement, so the data acknowledges the server's SYN as well as the lost \
        segment would have. Were there no data, the server would send its SYN+ACK again after a second and get its answer \
        then.",
    play: |scene| {
        let listener = scene.listen(16)?;
        lose_first(scene, |from, segment| {
            from == Seat::Client && segment.flags.ack && !segment.flags.syn && segment.bytes == 0
        });
        let client = scene.connect()?;
        scene.rest(Nanos::from_millis(60))?;
        scene.send(Seat::Client, &client, 100)?;
        let server = scene.accept(&listener)?;
        let _ = scene.read(Seat::Server, &server);
        scene.settle()?;
        scene.keep([client, server]);
        Ok(())
    },
    rules: |seen| {
        let data = seen.segments.iter().find(|segment| segment.bytes > 0);
        let arrived = data.and_then(|data| data.arrived_ns);
        let open = seen.since("server", "ESTABLISHED");
        vec![
            Seen::acknowledges(
                "the data acknowledges the server's SYN",
                NUMBERS,
                seen.first("server", "SYN+ACK"),
                data,
            ),
            check(
                "the server is ESTABLISHED when the data arrives, not before",
                ARRIVES,
                arrived
                    .zip(open)
                    .is_some_and(|(arrived, open)| open >= arrived),
                match (arrived, open) {
                    (Some(arrived), Some(open)) => format!(
                        "data arrived at {}, ESTABLISHED at {}",
                        millis(arrived),
                        millis(open)
                    ),
                    _ => "one of them did not happen".to_owned(),
                },
            ),
            seen.told(SET_UP, "server", "read() = 100"),
            seen.passes(SET_UP, "server", &["LISTEN", "SYN-RECEIVED", "ESTABLISHED"]),
        ]
    },
};

const CLOSED_PORT: Scenario = Scenario {
    name: "closed-port",
    title: "SYN to a closed port",
    source: RESETS,
    explanation: "Nobody listens there. The kernel answers for the absent program with a RST that acknowledges the SYN, so \
        that the client knows which attempt is meant, and connect() fails within one round trip. A firewall that drops \
        instead would leave the client waiting for minutes: a refusal is good news.",
    play: |scene| {
        let client = scene.connect()?;
        scene.settle()?;
        scene.keep([client]);
        Ok(())
    },
    rules: |seen| {
        let reset = seen.first("server", "RST+ACK");
        let mut checks = vec![
            seen.order(
                "the SYN is answered with RST+ACK",
                RESETS,
                &[("client", "SYN"), ("server", "RST+ACK")],
            ),
            Seen::acknowledges(
                "the RST acknowledges the SYN",
                NO_CONNECTION,
                seen.first("client", "SYN"),
                reset,
            ),
            check(
                "the RST's own number is 0, for nobody there has one",
                NO_CONNECTION,
                reset.is_some_and(|reset| reset.sequence == 0),
                reset.map_or_else(
                    || "there was none".to_owned(),
                    |reset| format!("its number is {}", reset.sequence),
                ),
            ),
            seen.told(RESETS, "client", "connect() = ECONNREFUSED"),
        ];
        checks.push(seen.passes(
            "RFC 9293, section 3.10.7.3",
            "client",
            &["CLOSED", "SYN-SENT", "CLOSED"],
        ));
        checks
    },
};

const SIMULTANEOUS_OPEN: Scenario = Scenario {
    name: "simultaneous-open",
    title: "Both connect to each other at once",
    source: SET_UP,
    explanation: "Two SYNs cross on the wire. Neither end listens, and neither has been asked: each has told its number, \
        and each acknowledges the other's. That is four segments, because nobody could put the two in the middle \
        into one (Linux adds an ACK from either end), and it makes one connection, not two. Rare, except where two hosts behind firewalls agree to do it.",
    play: |scene| {
        let client = scene.connect_from(Seat::Client, CLIENT_PORT, SERVER_PORT)?;
        let server = scene.connect_from(Seat::Server, SERVER_PORT, CLIENT_PORT)?;
        scene.connected(Seat::Client, &client)?;
        scene.connected(Seat::Server, &server)?;
        scene.settle()?;
        scene.keep([client, server]);
        Ok(())
    },
    rules: |seen| {
        let states = ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"];
        let syns = ["client", "server"].map(|end| seen.first(end, "SYN").is_some());
        let answers = ["client", "server"].map(|end| seen.first(end, "SYN+ACK").is_some());
        vec![
            check(
                "both send a SYN, and both answer the other's with a SYN+ACK",
                "RFC 9293, section 3.5, figure 7",
                syns == [true; 2] && answers == [true; 2],
                seen.listing(),
            ),
            seen.passes(SET_UP, "client", &states),
            seen.passes(SET_UP, "server", &states),
            seen.told(SET_UP, "client", "connect() = 0"),
            seen.told(SET_UP, "server", "connect() = 0"),
        ]
    },
};

const ACCEPT_QUEUE_FULL: Scenario = Scenario {
    name: "accept-queue-full",
    title: "The accept queue is full: the client is connected, the server not",
    source: LINUX_QUEUE,
    explanation: "Established connections wait in a queue until the program accepts them. When the last place is taken \
        while a third segment is under way, Linux ignores that segment: the client, which has had its SYN+ACK, is \
        connected and may send, and the server still stands in SYN-RECEIVED. It sends its SYN+ACK again after a second, \
        and the client's answer counts when a place has become free. So the client's connect time looks fine while its \
        first data waits for a second or more: an overflow hides from those who measure connects alone.",
    play: |scene| {
        let listener = scene.listen(SHORT_QUEUE)?;
        let mut waiting = Vec::new();
        for port in 1..=2 {
            waiting.push(scene.connect_from(Seat::Client, CLIENT_PORT + port, SERVER_PORT)?);
        }
        scene.settle()?;
        let before = scene.counters(Seat::Server)?.listen_overflows;
        // Both SYNs find a place free, and only one of the two that follow them.
        waiting.push(scene.connect_from(Seat::Client, CLIENT_PORT + 3, SERVER_PORT)?);
        let client = scene.connect()?;
        scene.settle()?;
        let after = scene.counters(Seat::Server)?.listen_overflows;
        scene.fact("overflows", after.saturating_sub(before));
        let first = scene.accept(&listener)?;
        scene.rest(Nanos::from_millis(1_300))?;
        scene.keep(waiting);
        scene.keep([client, first]);
        Ok(())
    },
    rules: |seen| {
        let copies: Vec<_> = seen.all("server", "SYN+ACK").collect();
        let (client, server) = (
            seen.since("client", "ESTABLISHED"),
            seen.since("server", "ESTABLISHED"),
        );
        let later = client
            .zip(server)
            .map(|(client, server)| server.saturating_sub(client));
        let overflows = seen.facts.get("overflows").copied().unwrap_or(0);
        vec![
            seen.told(SET_UP, "client", "connect() = 0"),
            of_the_system(check(
                "the third segment is ignored, and counted as an overflow",
                "Linux, net/ipv4/tcp_ipv4.c, tcp_v4_syn_recv_sock",
                overflows >= 1,
                format!("ListenOverflows rose by {overflows}"),
            )),
            sent_again("SYN+ACK", &copies),
            of_the_system(check(
                "the server is connected only after that, a second and more behind the client",
                LINUX_QUEUE,
                later.is_some_and(|later| later > 900_000_000),
                later.map_or_else(
                    || "one of them never was".to_owned(),
                    |later| format!("{} behind", millis(later)),
                ),
            )),
        ]
    },
};

const SYN_DROPPED: Scenario = Scenario {
    name: "accept-queue-full-syn-dropped",
    title: "The accept queue is full: the SYN is dropped",
    source: "Linux, net/ipv4/tcp_input.c, tcp_conn_request",
    explanation: "A SYN that finds the queue full already is dropped without a word, as if the wire had lost it: there \
        would be no place for the connection, and the client will ask again in a second anyway. The server counts it; \
        the client sees nothing but a slow connect.",
    play: |scene| {
        let listener = scene.listen(SHORT_QUEUE)?;
        let mut waiting = Vec::new();
        for port in 1..=3 {
            waiting.push(scene.connect_from(Seat::Client, CLIENT_PORT + port, SERVER_PORT)?);
            scene.settle()?;
        }
        let before = scene.counters(Seat::Server)?;
        let client = scene.connect_from(Seat::Client, CLIENT_PORT, SERVER_PORT)?;
        scene.settle()?;
        let after = scene.counters(Seat::Server)?;
        scene.fact(
            "overflows",
            after
                .listen_overflows
                .saturating_sub(before.listen_overflows),
        );
        let first = scene.accept(&listener)?;
        scene.connected(Seat::Client, &client)?;
        scene.settle()?;
        scene.keep(waiting);
        scene.keep([client, first]);
        Ok(())
    },
    rules: |seen| {
        let copies: Vec<_> = seen.all("client", "SYN").collect();
        let answered = copies.first().and_then(|syn| syn.arrived_ns);
        let answer = seen
            .first("server", "SYN+ACK")
            .map(|segment| segment.sent_ns);
        let overflows = seen.facts.get("overflows").copied().unwrap_or(0);
        vec![
            of_the_system(check(
                "a SYN that arrives at a full queue is dropped, and counted",
                "Linux, net/ipv4/tcp_input.c, tcp_conn_request",
                answered.is_some() && overflows >= 1,
                format!("the first SYN arrived; ListenOverflows rose by {overflows}"),
            )),
            sent_again("SYN", &copies),
            check(
                "the SYN that comes when a place is free is answered",
                SET_UP,
                copies
                    .get(1)
                    .zip(answer)
                    .is_some_and(|(again, answer)| answer >= again.sent_ns),
                seen.listing(),
            ),
            seen.told(SET_UP, "client", "connect() = 0"),
        ]
    },
};

/// The server listens, the client connects, and the story ends when all is still.
fn come_together(scene: &mut Scene<'_>) -> Result<(), ExperimentError> {
    let listener = scene.listen(16)?;
    let client = scene.connect()?;
    let server = scene.accept(&listener)?;
    scene.settle()?;
    scene.keep([client, server]);
    Ok(())
}

/// Has the wire lose the first segment that `meant` is true of.
fn lose_first(scene: &Scene<'_>, meant: impl Fn(Seat, &Segment) -> bool + Send + 'static) {
    let mut lost = false;
    scene.wire.rule(move |from, segment| {
        if !lost && meant(from, segment) {
            lost = true;
            return Fate::Lose;
        }
        Fate::Carry
    });
}
