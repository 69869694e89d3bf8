//! How connections end in order: each direction by itself.

use super::super::seen::{Seen, check, end_of};
use super::super::wire::Fate;
use super::{ARRIVES, CLOSING, HALF_CLOSED, NUMBERS, Scenario, millis};
use crate::experiment::Seat;
use crate::record::LifecycleCheck;
use crate::units::Nanos;

/// How long a program takes before it closes in turn: longer than the kernel holds an acknowledgement back in the hope
/// of something to send with it (40 ms).
const THINKS: Nanos = Nanos::from_millis(120);

pub(super) const ALL: &[&Scenario] = &[
    &BY_CLIENT,
    &BY_SERVER,
    &HALF_CLOSE,
    &THREE_SEGMENTS,
    &SIMULTANEOUS,
    &LAST_ACK_LOST,
];

const BY_CLIENT: Scenario = Scenario {
    name: "close-by-client",
    title: "The client closes: four segments",
    source: "RFC 9293, section 3.6, figure 12",
    explanation: "A connection is two streams, one each way, and each is closed by its own sender: a FIN says that nothing \
        more will come this way, and the other end acknowledges it. The server learns of it when its read() returns 0; it \
        may still have something to send, so its own FIN has to wait for its program. FIN, ACK, FIN, ACK: four. The end \
        that closed first keeps the connection in TIME-WAIT, for the last ACK could be lost, and somebody must be there \
        to send it again.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        scene.close(Seat::Client, client);
        let _ = scene.read(Seat::Server, &server);
        scene.rest(THINKS)?;
        scene.close(Seat::Server, server);
        scene.settle()
    },
    rules: |seen| four_segments(seen, "client", "server"),
};

const BY_SERVER: Scenario = Scenario {
    name: "close-by-server",
    title: "The server closes: the same, and TIME-WAIT is the server's",
    source: "RFC 9293, section 3.6, figure 12",
    explanation: "Nothing in a tear-down depends on who connected: the end that closes first goes through the FIN-WAIT \
        states and ends in TIME-WAIT, the other through CLOSE-WAIT and LAST-ACK. When it is the server that closes first, \
        the minute of TIME-WAIT, and the memory it takes, is the server's.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        scene.close(Seat::Server, server);
        let _ = scene.read(Seat::Client, &client);
        scene.rest(THINKS)?;
        scene.close(Seat::Client, client);
        scene.settle()
    },
    rules: |seen| four_segments(seen, "server", "client"),
};

/// The rules of FIN, ACK, FIN, ACK; `first` is the end that closes first.
fn four_segments(seen: &Seen, first: &str, second: &str) -> Vec<LifecycleCheck> {
    let fins = [first, second].map(|end| seen.first(end, "FIN+ACK"));
    let expected = [
        (first, "FIN+ACK"),
        (second, "ACK"),
        (second, "FIN+ACK"),
        (first, "ACK"),
    ];
    vec![
        seen.order(
            "FIN, ACK, FIN, ACK: each direction by itself",
            CLOSING,
            &expected,
        ),
        Seen::acknowledges(
            "a FIN takes one sequence number, and the second segment acknowledges it",
            NUMBERS,
            fins[0],
            seen.first(second, "ACK"),
        ),
        Seen::acknowledges(
            "the last segment acknowledges the other FIN",
            NUMBERS,
            fins[1],
            seen.first(first, "ACK"),
        ),
        seen.passes(
            CLOSING,
            first,
            &["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
        ),
        seen.passes(
            CLOSING,
            second,
            &["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
        ),
        seen.told(CLOSING, second, "read() = 0, the end"),
    ]
}

const HALF_CLOSE: Scenario = Scenario {
    name: "half-close",
    title: "Half-close: one direction ends, the other goes on",
    source: HALF_CLOSED,
    explanation: "With shutdown(SHUT_WR) the client says that it has nothing more to send, and keeps its socket: its FIN \
        goes out, and everything that the server still sends arrives as before. Only when the server closes too does the \
        client's read() return 0. This is how one asks for all of an answer without knowing its length, and why a FIN is \
        no reason to stop sending.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        scene.shut(Seat::Client, &client)?;
        let _ = scene.read(Seat::Server, &server);
        for _ in 0..3 {
            scene.rest(THINKS)?;
            scene.send(Seat::Server, &server, 1000)?;
        }
        scene.close(Seat::Server, server);
        let received = scene.read_to_end(Seat::Client, &client).unwrap_or(0);
        scene.fact("received", received as u64);
        scene.close(Seat::Client, client);
        scene.settle()
    },
    rules: |seen| {
        let received = seen.facts.get("received").copied().unwrap_or(0);
        let closed = seen.first("client", "FIN+ACK");
        let last_data = seen
            .segments
            .iter()
            .rev()
            .find(|s| s.from == "server" && s.bytes > 0);
        let end = seen
            .segments
            .iter()
            .find(|s| s.from == "server" && s.flags.contains("FIN"));
        let arrived = closed.and_then(|fin| fin.arrived_ns);
        let after: u64 = seen
            .segments
            .iter()
            .filter(|s| s.from == "server" && arrived.is_some_and(|at| s.sent_ns >= at))
            .map(|s| u64::from(s.bytes))
            .sum();
        let in_order = last_data
            .zip(end)
            .is_some_and(|(data, fin)| fin.sent_ns >= data.sent_ns && end_of(fin) == 1 + 3000 + 1);
        vec![
            check(
                "the end that closed still receives everything the other has left to send",
                HALF_CLOSED,
                after > 0 && received == after,
                format!(
                    "{after} bytes were sent after the client's FIN had arrived, {received} were read"
                ),
            ),
            check(
                "then the other's FIN comes, behind the last byte",
                CLOSING,
                in_order,
                end.map_or_else(
                    || "it sent none".to_owned(),
                    |fin| {
                        format!(
                            "the server's FIN has number {}",
                            end_of(fin).wrapping_sub(1)
                        )
                    },
                ),
            ),
            seen.told(CLOSING, "client", "read() = 0, the end"),
            seen.passes(
                CLOSING,
                "client",
                &["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
            ),
            seen.passes(
                CLOSING,
                "server",
                &["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
            ),
        ]
    },
};

const THREE_SEGMENTS: Scenario = Scenario {
    name: "three-segment-close",
    title: "Three segments, when nothing is left to say",
    source: CLOSING,
    explanation: "The server's program closes as soon as it reads the end. Its kernel has not acknowledged the client's FIN \
        yet, for it holds such an ACK back, 40 ms here, in case there is something to send with it. Now there is: the \
        server's own FIN. ACK and FIN travel in one segment, and the tear-down takes three. So four is the general case \
        and three the special one; a set-up is always in the special case, since a SYN never has to wait for a program.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        // A receiver that has had data puts an ACK off by 40 ms, and not just by a tick or two as before.
        scene.send(Seat::Client, &client, 100)?;
        let _ = scene.read(Seat::Server, &server);
        scene.mark()?;
        scene.close(Seat::Client, client);
        let _ = scene.read(Seat::Server, &server);
        scene.close(Seat::Server, server);
        scene.settle()
    },
    rules: |seen| {
        let expected = [
            ("client", "FIN+ACK"),
            ("server", "FIN+ACK"),
            ("client", "ACK"),
        ];
        let fins = ["client", "server"].map(|end| seen.first(end, "FIN+ACK"));
        vec![
            seen.order("FIN, FIN+ACK, ACK", CLOSING, &expected),
            Seen::acknowledges(
                "the server's FIN acknowledges the client's",
                NUMBERS,
                fins[0],
                fins[1],
            ),
            Seen::acknowledges(
                "the last segment acknowledges the server's FIN",
                NUMBERS,
                fins[1],
                seen.first("client", "ACK"),
            ),
            seen.passes(
                ARRIVES,
                "client",
                &["ESTABLISHED", "FIN-WAIT-1", "TIME-WAIT"],
            ),
            check(
                "the server is over when the last ACK arrives, with no TIME-WAIT of its own",
                CLOSING,
                seen.states_of("server").last() == Some(&"CLOSED")
                    && !seen.states_of("server").contains(&"TIME-WAIT"),
                seen.states_of("server").join(", "),
            ),
        ]
    },
};

const SIMULTANEOUS: Scenario = Scenario {
    name: "simultaneous-close",
    title: "Both close at once",
    source: "RFC 9293, section 3.6, figure 13",
    explanation: "Two FINs cross on the wire. Each end learns of the other's before its own is acknowledged: CLOSING. Each \
        acknowledges, and as both closed first, both end in TIME-WAIT.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        scene.close(Seat::Client, client);
        scene.close(Seat::Server, server);
        scene.settle()
    },
    rules: |seen| {
        let states = ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"];
        let fins = ["client", "server"].map(|end| seen.first(end, "FIN+ACK"));
        let crossed = match fins {
            [Some(one), Some(other)] => one
                .arrived_ns
                .zip(other.arrived_ns)
                .is_some_and(|(first, second)| first > other.sent_ns && second > one.sent_ns),
            _ => false,
        };
        vec![
            check(
                "the two FINs cross: each is sent before the other has arrived",
                CLOSING,
                crossed,
                seen.listing(),
            ),
            Seen::acknowledges(
                "the client acknowledges the server's FIN",
                NUMBERS,
                fins[1],
                seen.first("client", "ACK"),
            ),
            Seen::acknowledges(
                "the server acknowledges the client's",
                NUMBERS,
                fins[0],
                seen.first("server", "ACK"),
            ),
            seen.passes(CLOSING, "client", &states),
            seen.passes(CLOSING, "server", &states),
        ]
    },
};

const LAST_ACK_LOST: Scenario = Scenario {
    name: "last-ack-lost",
    title: "The last ACK is lost, and TIME-WAIT answers",
    source: ARRIVES,
    explanation: "The client has had everything and would be done; its last ACK is lost, and the server, which cannot know \
        whether its FIN arrived, sends it again. TIME-WAIT is what is left of the client's end to answer it: it \
        acknowledges once more and begins its minute anew. Without it a RST would come back, and the server's program \
        could be told that the connection failed when all had arrived.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        let (mut fin_sent, mut lost) = (false, false);
        scene.wire.rule(move |from, segment| {
            if from == Seat::Server && segment.flags.fin {
                fin_sent = true;
            } else if from == Seat::Client && fin_sent && !lost {
                lost = true;
                return Fate::Lose;
            }
            Fate::Carry
        });
        scene.close(Seat::Client, client);
        let _ = scene.read(Seat::Server, &server);
        scene.rest(THINKS)?;
        scene.close(Seat::Server, server);
        // The server's time-out is that of a round trip it knows: 200 ms and more on Linux.
        scene.wait_gone(Seat::Server, Nanos::from_secs(3))?;
        scene.settle()
    },
    rules: |seen| {
        let fins: Vec<_> = seen.all("server", "FIN+ACK").collect();
        let answers: Vec<_> = seen.all("client", "ACK").collect();
        let lost = answers.first().is_some_and(|ack| ack.arrived_ns.is_none());
        let waits: Vec<_> = seen
            .time_wait
            .iter()
            .filter(|(_, end, _)| end == "client")
            .collect();
        let begun_anew = match waits.as_slice() {
            [first, .., last] => last.0 > first.0 && u64::from(last.2) + 100 >= u64::from(first.2),
            _ => false,
        };
        let told: Vec<String> = waits
            .iter()
            .map(|(at, _, left)| format!("{left} ms left at {}", millis(*at)))
            .collect();
        vec![
            check(
                "the server's FIN is sent again, unchanged",
                CLOSING,
                fins.len() >= 2 && fins.iter().all(|fin| fin.sequence == fins[0].sequence),
                format!("sent {} times", fins.len()),
            ),
            check(
                "TIME-WAIT acknowledges it once more",
                ARRIVES,
                lost && answers.get(1).is_some_and(|ack| ack.arrived_ns.is_some()),
                seen.listing(),
            ),
            check(
                "and begins its time anew",
                ARRIVES,
                begun_anew,
                told.join("; "),
            ),
            seen.passes(
                CLOSING,
                "server",
                &["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
            ),
        ]
    },
};
