//! Tests of a storm's plan.

use super::*;
use crate::arm::{Budget, KeepaliveSide};
use crate::bank::{Driver, EngineConfig};
use crate::experiment::{NetworkPath, RampRate};
use crate::shard::Phases;
use crate::wheel::TimersKind;

fn host() -> HostFacts {
    HostFacts {
        usable_bytes: 8 << 30,
        reserve_bytes: 256 << 20,
        nofile: 20_000,
        somaxconn: 4096,
        ephemeral: (32_768, 60_999),
        backlog: 1000,
        hash_buckets: None,
        hz: 250,
    }
}

fn options() -> StormOptions {
    let (within, misses) = Budget::STRICT;
    StormOptions {
        cost: CostOptions {
            connections: Some(20_000),
            quick: false,
            arms: vec![Arm::Heartbeat],
            engines: vec![EngineConfig::default()],
            driver: Driver::Tick,
            budget: Budget::derive(within, misses).unwrap(),
            steady: Some(Duration::from_secs(20)),
            settle: None,
            rounds: None,
            ramp: RampRate::Free,
            in_flight: None,
            memory_limit: None,
            tick: Duration::from_millis(8),
            phases: Phases::Staggered,
            timers: TimersKind::Wheel,
            server_cores: vec![0, 1],
            load_cores: vec![0, 1],
            congestion: "cubic".to_owned(),
            keepalive_side: KeepaliveSide::Server,
            keepalive_spread_s: 0,
            path: NetworkPath::Loopback,
            no_rung: true,
            seed: 7,
            label: None,
            command: String::new(),
        },
        base_ms: 100,
        cap_ms: 5_000,
        ways: Way::ALL.to_vec(),
        churn_per_second: None,
        abort: false,
        give_up: Duration::from_mins(1),
        accept_queue: None,
        reconnects_in_flight: None,
    }
}

#[test]
fn every_way_runs_with_every_arm_and_is_named_so() {
    let plan = StormPlan::new(options(), host()).unwrap();
    let names: Vec<_> = (0..plan.runs.len()).map(|run| plan.name(run)).collect();
    assert_eq!(names, ["full-jitter", "no-jitter", "immediate"]);
    assert_eq!(plan.config().arms, names);
    let mut two = options();
    two.cost.arms = vec![Arm::None, Arm::Heartbeat];
    two.ways = vec![Way::NoJitter];
    let plan = StormPlan::new(two, host()).unwrap();
    assert_eq!(
        (plan.name(0).as_str(), plan.name(1).as_str()),
        ("none no-jitter", "heartbeat no-jitter")
    );
    assert!(plan.spec(0).later > Duration::ZERO && plan.spec(1).later.is_zero());
    for way in Way::ALL {
        assert_eq!(way.name().parse(), Ok(way));
    }
    assert!("half-jitter".parse::<Way>().is_err());
}

#[test]
fn a_way_is_a_backoff_and_immediate_never_waits() {
    let plan = StormPlan::new(options(), host()).unwrap();
    let full = plan.backoff(Way::FullJitter);
    assert_eq!(
        (full.base_ms, full.cap_ms, full.jitter, full.seed),
        (100, 5_000, Jitter::Full, 7)
    );
    assert_eq!(plan.backoff(Way::NoJitter).jitter, Jitter::None);
    let at_once = plan.backoff(Way::Immediate);
    assert_eq!(at_once.ceiling(60), crate::units::Nanos::ZERO);
    assert_eq!(plan.reconnects_in_flight(), 20_000, "no bound");
}

#[test]
fn an_accept_queue_can_be_shortened_and_the_ramp_keeps_to_it() {
    let usual = StormPlan::new(options(), host()).unwrap();
    let mut short = options();
    short.accept_queue = Some(64);
    let short = StormPlan::new(short, host()).unwrap();
    assert!(usual.accept_queue > 64);
    assert_eq!((short.accept_queue, short.cost.in_flight), (64, 64));
}

#[test]
fn connections_that_linger_at_the_client_have_ports_of_their_own() {
    let mut churn = options();
    churn.churn_per_second = Some(1_000);
    assert_eq!(
        StormPlan::new(churn.clone(), host()).unwrap().ports(),
        41_000
    );
    churn.cost.steady = Some(Duration::from_hours(1));
    assert_eq!(
        StormPlan::new(churn.clone(), host()).unwrap().ports(),
        80_000
    );
    churn.abort = true;
    assert_eq!(StormPlan::new(churn, host()).unwrap().ports(), 20_000);
}

#[test]
fn what_the_host_cannot_hold_is_refused_with_the_remedy() {
    let low = HostFacts {
        nofile: 100,
        ..host()
    };
    let refused = StormPlan::new(options(), low).unwrap_err();
    assert!(refused.contains("ulimit -n"), "{refused}");
    let small = HostFacts {
        usable_bytes: 300 << 20,
        ..host()
    };
    let refused = StormPlan::new(options(), small.clone()).unwrap_err();
    assert!(refused.contains("ask for --connections"), "{refused}");
    let mut unnamed = options();
    unnamed.cost.connections = None;
    let bent = StormPlan::new(unnamed, small).unwrap();
    assert!(bent.cost.connections < DEFAULT_CONNECTIONS);
    assert_eq!(bent.config().connections_asked, DEFAULT_CONNECTIONS);
}
