//! How connections end out of order: with a RST, which nobody acknowledges and after which nobody waits.

use super::super::seen::{Seen, check};
use super::{HALF_CLOSED, Scenario};
use crate::experiment::Seat;
use crate::record::LifecycleCheck;
use crate::units::Nanos;

/// Where the call to abort is described.
const ABORT: &str = "RFC 9293, section 3.10.5";
/// What a RST does to the one who gets it.
const PROCESSING: &str = "RFC 9293, section 3.5.3";

pub(super) const ALL: &[&Scenario] = &[&LINGER_ZERO, &UNREAD_DATA, &DATA_AFTER_CLOSE];

const LINGER_ZERO: Scenario = Scenario {
    name: "reset-linger-zero",
    title: "Abort: SO_LINGER 0",
    source: ABORT,
    explanation: "A socket closed with SO_LINGER set to nothing is aborted: a RST instead of a FIN. Whatever was not \
        delivered is lost, the other end's read() fails with ECONNRESET instead of returning 0, nothing is acknowledged \
        and nobody keeps a TIME-WAIT. That is why load generators like it, and why a server that does it to clients it \
        respects loses them their last bytes.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        scene.abort(Seat::Client, client)?;
        let _ = scene.read(Seat::Server, &server);
        scene.settle()
    },
    rules: |seen| {
        let mut checks =
            vec![seen.order("one RST, and no answer", ABORT, &[("client", "RST+ACK")])];
        checks.extend(both_over(seen));
        checks.push(seen.told(PROCESSING, "server", "read() = ECONNRESET"));
        checks
    },
};

/// After a RST both ends are gone, with no `TIME-WAIT`.
fn both_over(seen: &Seen) -> Vec<LifecycleCheck> {
    let over = |end: &str| {
        let states = seen.states_of(end);
        check(
            &format!("the {end} is CLOSED, with no TIME-WAIT"),
            PROCESSING,
            states.last() == Some(&"CLOSED") && !states.contains(&"TIME-WAIT"),
            states.join(", "),
        )
    };
    vec![over("client"), over("server")]
}

const UNREAD_DATA: Scenario = Scenario {
    name: "reset-unread-data",
    title: "Closing with unread data: a RST, not a FIN",
    source: HALF_CLOSED,
    explanation: "The client closes while data it never read stands in its socket. A FIN would tell the server that all \
        is well; the RST tells it that something it had sent was thrown away. A program that wants an orderly end reads \
        to the end before it closes.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        scene.send(Seat::Server, &server, 500)?;
        scene.settle()?;
        scene.close(Seat::Client, client);
        let _ = scene.read(Seat::Server, &server);
        scene.settle()
    },
    rules: |seen| {
        let fins = seen
            .segments
            .iter()
            .filter(|segment| segment.flags.contains("FIN"))
            .count();
        let resets = seen
            .segments
            .iter()
            .filter(|s| s.from == "client" && s.flags.contains("RST"));
        let mut checks = vec![check(
            "a close with unread data sends a RST, to show that data was lost, and no FIN",
            HALF_CLOSED,
            fins == 0 && resets.count() == 1,
            seen.listing(),
        )];
        checks.extend(both_over(seen));
        checks.push(seen.told(PROCESSING, "server", "read() = ECONNRESET"));
        checks
    },
};

const DATA_AFTER_CLOSE: Scenario = Scenario {
    name: "reset-data-after-close",
    title: "Data for a socket that was closed: a RST",
    source: HALF_CLOSED,
    explanation: "The client has called close(): unlike after shutdown(), nobody is left to read. It waits in FIN-WAIT-2 \
        for the server's FIN; what comes is data, and the kernel answers with a RST, since it can deliver it to nobody. \
        The server's write() succeeded, as the data had only to be copied; the next call is the one that fails. Compare \
        the half-close, where the same data arrives.",
    play: |scene| {
        let (client, server, _listener) = scene.established()?;
        scene.close(Seat::Client, client);
        let _ = scene.read(Seat::Server, &server);
        scene.rest(Nanos::from_millis(120))?;
        scene.send(Seat::Server, &server, 500)?;
        scene.settle()?;
        let _ = scene.write(Seat::Server, &server, 500);
        scene.close(Seat::Server, server);
        scene.settle()
    },
    rules: |seen| {
        let data = seen.segments.iter().find(|segment| segment.bytes > 0);
        let reset = seen
            .segments
            .iter()
            .find(|s| s.from == "client" && s.flags.contains("RST"));
        let arrived = data.and_then(|data| data.arrived_ns);
        vec![
            check(
                "data for a closed socket is answered with a RST, to show that it was lost",
                HALF_CLOSED,
                arrived
                    .zip(reset)
                    .is_some_and(|(arrived, reset)| reset.sent_ns >= arrived),
                seen.listing(),
            ),
            check(
                "the server is CLOSED without having sent a FIN",
                PROCESSING,
                seen.states_of("server").last() == Some(&"CLOSED")
                    && !seen
                        .segments
                        .iter()
                        .any(|s| s.from == "server" && s.flags.contains("FIN")),
                seen.states_of("server").join(", "),
            ),
            seen.told("write(2), EPIPE", "server", "write() = EPIPE"),
        ]
    },
};
