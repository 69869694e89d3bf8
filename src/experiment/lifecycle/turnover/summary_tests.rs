//! Tests of a turnover's figures, against rounds whose figures were chosen.

use super::*;
use crate::bank::Snapshot;
use crate::measure::wire::WireDelta;

const CONNECTIONS: u64 = 10_000;

fn stretch(millis: u64, busy_ms: u64, packets: u64) -> Stretch {
    Stretch {
        span: Nanos::from_millis(millis),
        cpu: CpuNanos {
            busy: busy_ms * 1_000_000,
            ..CpuNanos::default()
        },
        wire: WireDelta {
            packets,
            ..WireDelta::default()
        },
    }
}

fn ended(cause: CloseCause, count: u64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    if count > 0 {
        let name = cause.name().to_owned();
        snapshot.totals.closed.insert(name, count);
    }
    snapshot
}

/// A round that costs 30 µs a set-up and 20 µs a tear-down above an idle machine's 50 ms a second.
fn round(ending: Ending) -> Turned {
    let (ours, theirs) = (CloseCause::Drained, ending.seen_as());
    let (at_server, at_load) = if ending.by_server() {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    let close = if ending.with_reset() { 1 } else { 4 };
    Turned {
        ending,
        asked: CONNECTIONS,
        established: CONNECTIONS,
        opening: stretch(400, 320, 3 * CONNECTIONS + 8),
        opened_in: Nanos::from_millis(250),
        idle: stretch(1_000, 50, 0),
        closing: stretch(200, 210, close * CONNECTIONS),
        closed_in: Nanos::from_millis(125),
        left: 0,
        time_wait: ending.time_wait(CONNECTIONS),
        server: (Snapshot::default(), ended(at_server, CONNECTIONS)),
        load: (Snapshot::default(), ended(at_load, CONNECTIONS)),
        connect: None,
    }
}

fn codes(warnings: &[Warning]) -> Vec<&str> {
    warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect()
}

#[test]
fn costs_are_net_of_idling_and_rates_are_by_the_clock() {
    let rounds = vec![
        round(Ending::ClientFin),
        round(Ending::ServerFin),
        round(Ending::ClientFin),
    ];
    let of = |ending| record(ending, &rounds, None, (2, 7)).unwrap();
    let found = of(Ending::ClientFin).unwrap();
    assert_eq!((found.rounds, found.connections), (2, CONNECTIONS));
    assert_eq!(found.connects_per_second.median, 40_000);
    assert_eq!(found.closes_per_second.median, 80_000);
    assert_eq!(found.cpu_ns_per_connect.median, 30_000);
    assert_eq!(found.cpu_ns_per_close.median, 20_000);
    assert!(found.cpu_ns_per_connect.resolved && found.cpu_ns_per_close.resolved);
    assert_eq!(found.connect_cpu_ns.busy, 640_000_000);
    assert!((found.packets_per_connect - 3.000_8).abs() < 1e-9);
    assert!((found.packets_per_close - 4.0).abs() < 1e-9);
    assert_eq!(
        (found.time_wait_server, found.time_wait_client),
        (0, CONNECTIONS)
    );
    assert!(found.unexpected.is_empty() && found.sustained.is_none());
    assert_eq!(of(Ending::ServerFin).unwrap().rounds, 1);
    assert!(of(Ending::ClientRst).is_none(), "no round, no figures");
}

#[test]
fn a_cost_within_the_clocks_resolution_is_not_resolved() {
    let mut small = round(Ending::ClientRst);
    small.closing = stretch(200, 10 + 39, CONNECTIONS);
    let found = record(
        Ending::ClientRst,
        std::slice::from_ref(&small),
        None,
        (2, 7),
    )
    .unwrap()
    .unwrap();
    assert!(found.cpu_ns_per_connect.resolved && !found.cpu_ns_per_close.resolved);
}

#[test]
fn a_round_as_the_rules_have_it_raises_no_doubt() {
    for ending in Ending::ALL {
        assert!(doubts(&round(ending), ending.name()).is_empty(), "{ending}");
    }
}

#[test]
fn whoever_waits_in_the_wrong_place_is_told() {
    let mut wrong = round(Ending::ServerFin);
    wrong.time_wait = (0, CONNECTIONS);
    let found = doubts(&wrong, "server-fin");
    assert_eq!(codes(&found), ["rule-broken"]);
    assert!(
        found[0]
            .message
            .contains("10,000 sockets in TIME_WAIT at the server")
    );
    let mut few = round(Ending::ClientFin);
    few.time_wait = (0, CONNECTIONS - 50);
    assert!(doubts(&few, "").is_empty(), "a dump is no snapshot");
    few.time_wait = (0, CONNECTIONS - 51);
    assert_eq!(codes(&doubts(&few, "")), ["rule-broken"]);
}

#[test]
fn strays_and_packets_too_many_are_told() {
    let mut round = round(Ending::ClientFin);
    round.load.1.totals.closed.insert("reset".to_owned(), 3);
    round.left = 2;
    round.closing.wire.packets = 5 * CONNECTIONS;
    round.established -= 1;
    let found = doubts(&round, "client-fin");
    assert_eq!(
        codes(&found),
        ["not-established", "packets-off-model", "rule-broken"]
    );
    let strays = unexpected(&[&round]);
    assert_eq!(
        (strays["reset"], strays["not-gone"], strays.len()),
        (3, 2, 2)
    );
}

#[test]
fn processors_accounts_add_up() {
    let part = |busy, ksoftirqd| CpuNanos {
        busy,
        ksoftirqd,
        ..CpuNanos::default()
    };
    let sum = total([part(1, None), part(2, Some(5))].into_iter());
    assert_eq!((sum.busy, sum.ksoftirqd), (3, Some(5)));
    assert_eq!(total([part(1, None)].into_iter()).ksoftirqd, None);
}
