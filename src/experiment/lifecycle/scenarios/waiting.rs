//! `TIME-WAIT`: how long it lasts, and what arrives in it.

use super::super::scene::{CLIENT_PORT, SERVER_PORT, Scene};
use super::super::seen::{NUMBER_STEP, Seen, check, of_the_system};
use super::super::wire::Fate;
use super::{ARRIVES, CLOSING, HALF_CLOSED, Scenario, millis};
use crate::experiment::{ExperimentError, Seat};
use crate::record::{LifecycleCheck, SegmentRecord};
use crate::units::Nanos;

/// Where Linux has its minute.
const LINUX_MINUTE: &str = "Linux, include/net/tcp.h, TCP_TIMEWAIT_LEN";

pub(super) const ALL: &[&Scenario] = &[&NEW_SYN, &OLD_SYN];

const EXPLANATION: &str = "The end that closed first keeps the connection's addresses, ports and numbers until no segment of \
    it can be under way any more: twice the longest life of a segment, 2 MSL. The standard takes a segment's life to be two \
    minutes, which would make four; Linux has a constant of 60 seconds, and no setting changes it (tcp_fin_timeout is about \
    FIN-WAIT-2). In that time the same pair of addresses and ports cannot be used by the waiting end for another connection.";

/// With the wait.
pub(in super::super) const TIME_WAIT: Scenario = Scenario {
    name: "time-wait",
    title: "TIME-WAIT, measured to its end",
    source: HALF_CLOSED,
    explanation: EXPLANATION,
    play: |scene| {
        close_in_order(scene)?;
        // What has to be played again is not waited for.
        if scene.worth_watching()? {
            // A minute and something: whoever waits for longer has seen another rule.
            scene.wait_gone(Seat::Client, Nanos::from_secs(90))?;
        }
        Ok(())
    },
    rules: |seen| {
        let mut checks = begins(seen);
        let begun = seen.since("client", "TIME-WAIT");
        let closed = seen
            .states
            .iter()
            .rev()
            .find(|change| change.end == "client" && change.state == "CLOSED");
        let lasted = begun
            .zip(closed)
            .map(|(begun, closed)| closed.at_ns.saturating_sub(begun));
        let said = lasted.map_or_else(
            || "it did not end while it was watched".to_owned(),
            |lasted| format!("it lasted {}", millis(lasted)),
        );
        // The kernel's timers of a minute may be late by an eighth of what they are set to, and are looked at seldom.
        let minute = 59_000_000_000..=69_000_000_000;
        checks.push(of_the_system(check(
            "it lasts 60 s, and as long as the kernel's timer of a minute is late, whatever 2 MSL would be",
            LINUX_MINUTE,
            lasted.is_some_and(|lasted| minute.contains(&lasted)),
            said,
        )));
        checks.push(check(
            "nothing is sent meanwhile",
            CLOSING,
            begun.is_some_and(|begun| {
                // The last ACK is what begins it.
                !seen.segments.is_empty()
                    && seen.segments.iter().all(|segment| segment.sent_ns <= begun)
            }),
            format!("{} segments in all", seen.segments.len()),
        ));
        checks
    },
};

/// Without it: the kernel's own word for how long it will be.
pub(in super::super) const TIME_WAIT_UNWAITED: Scenario = Scenario {
    name: "time-wait",
    title: "TIME-WAIT, its end not waited for",
    source: HALF_CLOSED,
    explanation: EXPLANATION,
    play: close_in_order,
    rules: begins,
};

fn close_in_order(scene: &mut Scene<'_>) -> Result<(), ExperimentError> {
    let (client, server, _listener) = scene.established()?;
    scene.close(Seat::Client, client);
    let _ = scene.read(Seat::Server, &server);
    scene.close(Seat::Server, server);
    scene.settle()
}

fn begins(seen: &Seen) -> Vec<LifecycleCheck> {
    let left = seen
        .time_wait
        .iter()
        .find(|(_, end, _)| end == "client")
        .map(|(_, _, left)| *left);
    let held = seen.states_of("server").contains(&"TIME-WAIT");
    vec![
        check(
            "the end that closed first holds it, the other does not",
            HALF_CLOSED,
            seen.since("client", "TIME-WAIT").is_some() && !held,
            format!(
                "client: {}; server: {}",
                seen.states_of("client").join(", "),
                seen.states_of("server").join(", ")
            ),
        ),
        of_the_system(check(
            "the kernel sets its timer to 60 s",
            LINUX_MINUTE,
            left.is_some_and(|left| (58_000..=60_500).contains(&left)),
            left.map_or_else(
                || "no timer was seen".to_owned(),
                |left| format!("{left} ms left when it was first seen"),
            ),
        )),
    ]
}

const NEW_SYN: Scenario = Scenario {
    name: "syn-in-time-wait",
    title: "A new SYN arrives in TIME-WAIT, and is welcome",
    source: HALF_CLOSED,
    explanation: "The server closed first and holds the connection in TIME-WAIT; the client connects again from the same \
        port. The standard lets the server open a new connection directly, if the first number it gives itself lies beyond \
        all it used before and it goes back to TIME-WAIT should the SYN turn out to be an old one. Linux, as RFC 6191 \
        advises, tells an old SYN from a new one by its timestamp, or by its number. So a \
        TIME-WAIT at the server does not keep clients out; one at the client keeps the client from using that port.",
    play: |scene| {
        let (client, server, listener) = scene.established()?;
        scene.close(Seat::Server, server);
        let _ = scene.read(Seat::Client, &client);
        scene.close(Seat::Client, client);
        scene.settle()?;
        let again = scene.connect_from(Seat::Client, CLIENT_PORT, SERVER_PORT)?;
        scene.connected(Seat::Client, &again)?;
        let server = scene.accept(&listener)?;
        scene.settle()?;
        scene.keep([again, server]);
        Ok(())
    },
    rules: |seen| {
        let syn = seen.first("client", "SYN");
        let waiting = seen.since("server", "TIME-WAIT");
        let answer = seen.first("server", "SYN+ACK");
        let step = seen.facts.get(NUMBER_STEP).copied();
        vec![
            check(
                "the SYN arrives while the server is in TIME-WAIT",
                HALF_CLOSED,
                syn.zip(waiting)
                    .is_some_and(|(syn, waiting)| syn.sent_ns > waiting),
                seen.states_of("server").join(", "),
            ),
            check(
                "it opens a new connection directly",
                HALF_CLOSED,
                answer.is_some_and(|answer| answer.connection == 1),
                seen.listing(),
            ),
            Seen::acknowledges(
                "the answer acknowledges the new SYN",
                "RFC 9293, section 3.4",
                syn,
                answer,
            ),
            check(
                "the server's new first number lies beyond all it used before",
                HALF_CLOSED,
                step.is_some_and(|step| (1..1 << 31).contains(&step)),
                step.map_or_else(
                    || "there was no second connection".to_owned(),
                    |step| format!("it begins {step} behind the last one of the old connection"),
                ),
            ),
            seen.told(HALF_CLOSED, "client", "connect() = 0"),
            check(
                "the server goes from TIME-WAIT to SYN-RECEIVED to ESTABLISHED",
                HALF_CLOSED,
                seen.states_of("server")
                    .ends_with(&["TIME-WAIT", "SYN-RECEIVED", "ESTABLISHED"]),
                seen.states_of("server").join(", "),
            ),
        ]
    },
};

const OLD_SYN: Scenario = Scenario {
    name: "old-syn-in-time-wait",
    title: "An old SYN arrives in TIME-WAIT, and is caught",
    source: ARRIVES,
    explanation: "What TIME-WAIT is for: a copy of the connection's own SYN was held up on the way and arrives when all is \
        over. The server, in TIME-WAIT, sees that its number and timestamp are old, opens nothing and answers with what \
        it expects. The client knows no such connection any more and says so with a RST. The standard lets that RST \
        end TIME-WAIT, and Linux does; RFC 1337 calls it assassination and advises to ignore it (tcp_rfc1337=1). Had there been no TIME-WAIT, a \
        listening server would have taken the old SYN for a new one.",
    play: |scene| {
        let mut copied = false;
        scene.wire.rule(move |from, segment| {
            if from == Seat::Client && segment.flags.syn && !copied {
                copied = true;
                return Fate::CarryAndKeep;
            }
            Fate::Carry
        });
        let (client, server, _listener) = scene.established()?;
        scene.close(Seat::Server, server);
        let _ = scene.read(Seat::Client, &client);
        scene.close(Seat::Client, client);
        scene.settle()?;
        // Timestamps count milliseconds; the copy must be older by some.
        scene.rest(Nanos::from_millis(50))?;
        scene.wire.release();
        scene.settle()
    },
    rules: |seen| {
        let old = seen
            .segments
            .iter()
            .position(|segment| segment.note.contains("old copy"));
        let after = old.map(|at| &seen.segments[at + 1..]).unwrap_or_default();
        let answer = after.iter().find(|segment| segment.from == "server");
        let before = &seen.segments[..old.unwrap_or(0)];
        let last = before
            .iter()
            .rev()
            .find(|s| s.from == "server" && s.flags == "ACK");
        let reset = after.iter().find(|segment| segment.from == "client");
        let states = seen.states_of("server");
        vec![
            check(
                "the old SYN opens nothing: the answer is once more the last ACK the server sent",
                ARRIVES,
                answer.zip(last).is_some_and(|(answer, last)| {
                    let numbers = |s: &SegmentRecord| (s.sequence, s.acknowledgement);
                    answer.flags == "ACK" && numbers(answer) == numbers(last)
                }) && !states.contains(&"SYN-RECEIVED"),
                seen.listing(),
            ),
            check(
                "the client, which has no such connection, answers with a RST that has the number acknowledged",
                "RFC 9293, section 3.5.2",
                reset.zip(answer).is_some_and(|(reset, answer)| {
                    reset.flags == "RST" && Some(reset.sequence) == answer.acknowledgement
                }),
                reset.map_or_else(
                    || "it said nothing".to_owned(),
                    |reset| format!("{} with number {}", reset.flags, reset.sequence),
                ),
            ),
            check(
                "that RST ends the TIME-WAIT early, unless tcp_rfc1337 is set",
                "RFC 9293, section 3.10.7.4; RFC 1337, section 3",
                states.ends_with(&["TIME-WAIT", "CLOSED"]),
                states.join(", "),
            ),
        ]
    },
};
