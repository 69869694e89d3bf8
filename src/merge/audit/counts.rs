//! What the load generators counted against what the server counted: the same connections, the same heartbeats.
//!
//! Pure. Says nothing while a load generator is missing: its part would be missing on one side only.

use super::warning;
use crate::merge::overlap::{Overlap, overlap};
use crate::merge::{hosts, missing, server_name};
use crate::record::{Config, FleetHost, FleetRecord, LoadHost, Warning};
use crate::units::HumanCount;

/// The server's side of the connections against the sum of the others'.
pub(super) fn of_connections(fleet: &FleetRecord) -> Option<Warning> {
    let server = fleet
        .server
        .as_ref()
        .filter(|_| missing(fleet).is_empty())?;
    let sum = |of: fn(&LoadHost) -> u64| fleet.loads.iter().map(of).fold(0, u64::saturating_add);
    let back = sum(|load| load.reconnects_established);
    let established = sum(|load| load.connections_established).saturating_add(back);
    let held = sum(|load| load.connections_held_at_end);
    let mut found = Vec::new();
    if server.connections_accepted != established {
        found.push(format!(
            "accepted {} connections where the load generators established {}{}",
            HumanCount(server.connections_accepted),
            HumanCount(established),
            if back == 0 {
                String::new()
            } else {
                format!(", {} reconnects among them", HumanCount(back))
            }
        ));
    }
    if server.connections_held_at_end != held {
        found.push(format!(
            "held {} at the end where they held {}",
            HumanCount(server.connections_held_at_end),
            HumanCount(held)
        ));
    }
    // One more accepted may be somebody else's look at the port; one fewer held is a connection that only one end has.
    let invalidates =
        server.connections_held_at_end != held || server.connections_accepted < established;
    let by_word = hosts(fleet).any(|(_, host)| {
        let window = host.window.as_ref();
        window.is_some_and(|window| window.clock.compared_with == "start-at")
    });
    let clocks = if by_word {
        "; their clocks were never compared (--start-at), so they may have counted at other moments"
    } else {
        ""
    };
    (!found.is_empty()).then(|| {
        warning(
            "server-counts-differ",
            invalidates,
            format!("{} {}{clocks}", server_name(server), found.join(" and ")),
            "let nothing else connect to the server's port, and look for connections that died on one side; then measure \
             again",
        )
    })
}

/// Heartbeats sent against heartbeats received, both ways. The windows are not the same instants, so the counts may differ
/// by what falls into one and not into the other, and by what is under way for two ticks; one in a hundred is allowed
/// beyond, which is where a load generator counts as lagging.
pub(super) fn of_heartbeats(fleet: &FleetRecord, config: &Config) -> Option<Warning> {
    let server = fleet
        .server
        .as_ref()
        .filter(|_| missing(fleet).is_empty())?;
    let all: Vec<&FleetHost> = hosts(fleet).map(|(_, host)| host).collect();
    let Overlap::AtLeast {
        at_least_ns,
        longest_ns,
    } = overlap(&all)
    else {
        return None;
    };
    let sum = |of: fn(&LoadHost) -> u64| fleet.loads.iter().map(of).fold(0, u64::saturating_add);
    let outside =
        u128::from(longest_ns.saturating_sub(at_least_ns)) + 2 * 1_000 * u128::from(config.tick_us);
    let bunched = if config.phases == "aligned" {
        u128::from(sum(|load| load.connections_held_at_end))
    } else {
        0
    };
    let ways = [
        (
            "sent by the load generators",
            sum(|load| load.heartbeats_sent),
            "received by the server",
            server.heartbeats_received,
        ),
        (
            "sent by the server",
            server.heartbeats_sent,
            "received by the load generators",
            sum(|load| load.heartbeats_received),
        ),
    ];
    let wrong = ways.iter().filter(|(_, sent, _, received)| {
        let sent_or_not = u128::from((*sent).max(*received));
        let allowed =
            sent_or_not * outside / u128::from(longest_ns.max(1)) + sent_or_not / 100 + bunched;
        u128::from(sent.abs_diff(*received)) > allowed
    });
    let wrong: Vec<String> = wrong
        .map(|(from, sent, to, received)| {
            format!(
                "{} heartbeats were {from}, {} {to}",
                HumanCount(*sent),
                HumanCount(*received)
            )
        })
        .collect();
    (!wrong.is_empty()).then(|| {
        warning(
            "heartbeats-astray",
            true,
            format!(
                "{}: more apart than the windows' edges explain",
                wrong.join("; ")
            ),
            "look for a host that lagged or lost connections, and measure again",
        )
    })
}
