//! What a trial sees of several load generators, which here are words that were made up.

use super::super::driven::fake::fleet;
use super::*;
use crate::bank::{Driver, EngineConfig};
use crate::load::Shard;
use crate::record::{encode, new_histogram};
use crate::shard::{Counters, Phases, Role, Settings};
use crate::units::Nanos;
use crate::wheel::TimersKind;
use std::net::{Ipv4Addr, SocketAddrV4};

fn config() -> LoadConfig {
    LoadConfig {
        targets: vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7000)],
        sources: Vec::new(),
        connections: 401,
        shard: Shard::default(),
        ramp_rate: Some(1_001),
        in_flight: 256,
        cores: vec![0],
        engine: EngineConfig::default(),
        driver: Driver::default(),
        nofile: 1_024,
        settings: Settings {
            role: Role::Idle,
            interval: Nanos::from_secs(3),
            idle_timeout: Nanos::from_secs(9),
            answer_timeout: Nanos::from_secs(6),
            tick: Nanos::from_millis(8),
            phases: Phases::Staggered,
            timers: TimersKind::Wheel,
            keepalive: false,
            option_variants: 0,
            log_endings: false,
            phase_origin: Nanos::ZERO,
        },
        keepalive: None,
        user_timeout_ms: None,
        keepalive_spread_s: 0,
        congestion: None,
        abort: true,
        reconnect: None,
        reconnects_in_flight: None,
        churn_per_second: None,
        turnover_above: None,
    }
}

/// Shard 0 has 201 connections and is open, shard 1 has 200 and may not be; each saw as many round trips.
fn shown(shard: u32, opened: bool) -> Word {
    let open = if shard == 0 { 201 } else { 200 };
    let mut rtt = new_histogram();
    rtt.record_n(1_000_000 * u64::from(shard + 1), open)
        .unwrap();
    Word::Snapshot(Box::new(Snapshot {
        at: Nanos(u64::from(shard)),
        totals: Counters {
            open,
            established: open,
            ..Counters::default()
        },
        opened_in: (shard == 0 || opened).then_some(Nanos::from_secs(1)),
        histograms: [("rtt".to_owned(), encode(&rtt).unwrap())].into(),
        ..Snapshot::default()
    }))
}

#[test]
fn shares_of_connections_pace_and_connects_in_flight_make_the_whole() {
    let (fleet, orders) = fleet(&["alpha", "beta"], |_, _| Word::Ready {
        address: None,
        plan: String::new(),
    });
    LoadSide::of(&fleet).start(config()).unwrap();
    let orders = orders.lock().unwrap();
    let parts: Vec<(u64, Option<u64>, u64, u32)> = orders[0]
        .values()
        .map(|order| match order {
            Order::Load(part) => (
                part.connections,
                part.ramp_rate,
                part.in_flight,
                part.shard.index(),
            ),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(parts, [(201, Some(501), 128, 0), (200, Some(500), 128, 1)]);
}

#[test]
fn the_ramp_is_over_when_every_load_generators_is() {
    for opened in [false, true] {
        let (fleet, _) = fleet(&["alpha", "beta"], move |shard, _| shown(shard, opened));
        let seen = LoadSide::of(&fleet).report().unwrap();
        assert_eq!(seen.totals.open, 401);
        assert_eq!(seen.opened_in.is_some(), opened);
    }
}

#[test]
fn a_host_with_fewer_sockets_than_it_says_stays_visible() {
    let (fleet, _) = fleet(&["alpha", "beta"], |shard, order| match order {
        Order::Audit { port: 7000 } => Word::Audited {
            // The other's sockets are in a kernel that both share.
            established: if shard == 0 { 401 } else { 150 },
        },
        _ => shown(shard, true),
    });
    let mut side = LoadSide::of(&fleet);
    let all = side.go(Phase::Closed).unwrap();
    let LoadSide::Elsewhere(loads) = &side else {
        panic!("{side:?}");
    };
    let rows = loads.audit(7000).unwrap();
    let held: Vec<u64> = rows.iter().map(|row| row.connections_held_at_end).collect();
    assert_eq!(held, [201, 150]);
    assert_eq!(
        (rows[1].host.as_str(), rows[1].connections_established),
        ("beta", 200)
    );
    let counts: u64 = rows.iter().map(|row| row.rtt.as_ref().unwrap().count).sum();
    assert_eq!(decode(&all.histograms["rtt"]).unwrap().len(), counts);
}

#[test]
fn a_load_generator_that_cannot_go_on_is_named_with_its_host() {
    let (fleet, _) = fleet(&["alpha", "beta"], |shard, _| match shard {
        0 => shown(0, true),
        _ => Word::Failed {
            message: "no memory".to_owned(),
            host: true,
        },
    });
    let said = LoadSide::of(&fleet).settle().unwrap_err();
    assert!(
        matches!(said, ExperimentError::Fleet(_)),
        "this host is not to blame: {said:?}"
    );
    assert_eq!(said.to_string(), "shard 1 (host beta): no memory");
}
