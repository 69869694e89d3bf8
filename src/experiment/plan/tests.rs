//! The effective configuration against what a user would expect of it.

use super::*;

fn options() -> CostOptions {
    let (within, misses) = Budget::STRICT;
    CostOptions {
        connections: None,
        quick: false,
        arms: Arm::COMPARED.to_vec(),
        engines: vec![EngineConfig::default()],
        driver: Driver::Tick,
        budget: Budget::derive(within, misses).unwrap(),
        steady: None,
        settle: None,
        rounds: None,
        ramp: RampRate::OverInterval,
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
        no_rung: false,
        seed: 7,
        label: None,
        command: "ringbeat compare".to_owned(),
    }
}

fn host() -> HostFacts {
    HostFacts {
        usable_bytes: 20 << 30,
        reserve_bytes: 256 << 20,
        nofile: 20_000,
        somaxconn: 4096,
        ephemeral: (32_768, 60_999),
        backlog: 1000,
        hash_buckets: Some(262_144),
        hz: 250,
    }
}

#[test]
fn defaults_are_those_of_the_manual() {
    let plan = CostPlan::new(options(), host()).unwrap();
    let config = plan.config();
    assert_eq!(
        (config.connections, config.rounds, config.steady_ms),
        (100_000, 3, 4_000)
    );
    assert_eq!(config.ramp_rate_per_second, Some(33_333));
    assert_eq!(config.arms[0], "none");
    let quick = CostPlan::new(
        CostOptions {
            quick: true,
            ..options()
        },
        host(),
    )
    .unwrap()
    .config();
    assert_eq!((quick.connections, quick.rounds), (10_000, 1));
}

#[test]
fn the_control_always_runs_and_repeats_are_numbered() {
    let arms = [Arm::Heartbeat, Arm::Heartbeat];
    let named = |arms: &[Arm], kinds: &[EngineKind]| {
        let engine = |&kind: &EngineKind| EngineConfig {
            kind,
            ..EngineConfig::default()
        };
        let engines: Vec<_> = kinds.iter().map(engine).collect();
        name_arms(arms, &engines)
            .into_iter()
            .map(|planned| planned.name)
            .collect::<Vec<_>>()
    };
    let uring = [EngineKind::Uring];
    assert_eq!(named(&arms, &uring), ["none", "heartbeat", "heartbeat#2"]);
    let twice = named(&[Arm::Keepalive, Arm::None, Arm::None], &uring);
    assert_eq!(twice, ["none", "keepalive", "none#2"]);
    let both = [EngineKind::Uring, EngineKind::Epoll];
    assert_eq!(
        named(&[Arm::Heartbeat], &both),
        [
            "none@uring",
            "heartbeat@uring",
            "none@epoll",
            "heartbeat@epoll"
        ]
    );
}

#[test]
fn rounds_go_forth_and_back_and_the_seed_decides() {
    let rounds = order(5, 3, 42);
    let mut back = rounds[0].clone();
    back.reverse();
    assert_eq!(rounds[1], back);
    assert_eq!(order(5, 3, 42), rounds);
    assert!((0..20).any(|seed| order(5, 3, seed) != rounds));
    for round in &rounds {
        let mut sorted = round.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_burst_over_the_backlog_is_foreseen_and_a_smaller_population_found() {
    let plan = CostPlan::new(options(), host()).unwrap();
    let rung = plan
        .drop_free_connections()
        .expect("100k at idle 3 s overflow 1000");
    assert!(rung < 100_000);
    let burst = plan.predicted_burst(Arm::Keepalive, rung, Duration::from_secs(3));
    assert!(burst * 10 <= 7_000, "{burst}");
    assert!(plan.forewarnings()[0].contains("netdev_max_backlog"));
    let quick = CostPlan::new(
        CostOptions {
            quick: true,
            ..options()
        },
        host(),
    )
    .unwrap();
    assert_eq!(quick.drop_free_connections(), None);
    assert!(quick.forewarnings().is_empty());
    let both = CostOptions {
        keepalive_side: KeepaliveSide::Both,
        ..options()
    };
    let twice = CostPlan::new(both, host()).unwrap();
    let ramp = ramp_span(10_000, Some(3_333));
    assert!(
        twice.predicted_burst(Arm::Keepalive, 10_000, ramp)
            > plan.predicted_burst(Arm::Keepalive, 10_000, ramp)
    );
}

#[test]
fn a_low_limit_on_open_files_bends_the_default_and_says_how_to_lift_it() {
    let low = HostFacts {
        nofile: 128,
        ..host()
    };
    let bent = CostPlan::new(options(), low.clone()).unwrap();
    assert!(
        (1..100_000).contains(&bent.connections),
        "{}",
        bent.connections
    );
    assert!(
        bent.forewarnings()[0].contains("ulimit -n"),
        "{:?}",
        bent.forewarnings()
    );
    let asked = CostOptions {
        connections: Some(100_000),
        ..options()
    };
    assert!(CostPlan::new(asked, low).unwrap_err().contains("ulimit -n"));
}

#[test]
fn too_little_memory_is_said_before_the_start() {
    let poor = HostFacts {
        usable_bytes: 512 << 20,
        ..host()
    };
    let bent = CostPlan::new(options(), poor.clone()).unwrap();
    assert!(bent.connections < 100_000 && bent.forewarnings()[0].contains("fit"));
    let asked = CostOptions {
        connections: Some(100_000),
        ..options()
    };
    assert!(
        CostPlan::new(asked, poor)
            .unwrap_err()
            .contains("--connections")
    );
}
