//! The climb as planned against what a user would expect of it.

use super::*;
use crate::arm::{Budget, KeepaliveSide};
use crate::bank::{Driver, EngineConfig};
use crate::experiment::RampRate;
use crate::shard::Phases;
use crate::wheel::TimersKind;

fn options() -> ScaleOptions {
    ScaleOptions {
        cost: CostOptions {
            connections: None,
            quick: false,
            arms: vec![Arm::Heartbeat],
            engines: vec![EngineConfig::default()],
            driver: Driver::Tick,
            budget: Budget::derive(Duration::from_mins(2), 4).unwrap(),
            steady: None,
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
            path: crate::experiment::NetworkPath::Loopback,
            no_rung: false,
            seed: 7,
            label: None,
            command: "ringbeat scale".to_owned(),
        },
        ladder: Vec::new(),
        up_to: None,
        quick: false,
        ticks: Vec::new(),
        hold: None,
        floor: Vec::new(),
        only_floor: false,
    }
}

fn host() -> HostFacts {
    HostFacts {
        usable_bytes: 24_800_000_000,
        reserve_bytes: 256 << 20,
        nofile: 20_000,
        somaxconn: 4096,
        ephemeral: (32_768, 60_999),
        backlog: 1000,
        hash_buckets: Some(262_144),
        hz: 250,
    }
}

fn wants(plan: &ScalePlan) -> Vec<Want> {
    plan.steps.iter().map(|step| step.want).collect()
}

#[test]
fn the_default_climbs_to_what_the_machine_holds() {
    let plan = ScalePlan::new(options(), host()).unwrap();
    assert_eq!(wants(&plan).last(), Some(&Want::Max));
    assert_eq!(plan.steps.len(), 6);
    let preview = plan.preview().join("\n");
    assert!(preview.contains("max, about 2,5"), "{preview}");
    assert!(preview.contains("2 core threads × 32 rings ×"), "{preview}");
    assert!(preview.contains("20,000 open files"), "{preview}");
    // The measured bytes move the top.
    assert!(plan.top(8_000, 24_800_000_000) > plan.top(9_200, 24_800_000_000));
    let limited = ScaleOptions {
        cost: CostOptions {
            memory_limit: Some(860_000_000),
            ..options().cost
        },
        ..options()
    };
    let limited = ScalePlan::new(limited, host()).unwrap();
    assert_eq!(limited.top(8_600, 24_800_000_000), 97_000);
}

#[test]
fn two_and_a_half_million_are_tried_here_and_ten_are_cut() {
    let typed = |rung| ScaleOptions {
        ladder: vec![Want::Count(rung)],
        ..options()
    };
    let plan = ScalePlan::new(typed(2_500_000), host()).unwrap();
    assert_eq!(
        plan.settled(plan.steps[0].want, 9_200, 24_800_000_000),
        2_500_000
    );
    let preview = plan.preview().join("\n");
    assert!(
        preview.starts_with("2,500,000 at 8 ms: server 2 core threads × 79 rings × 17,"),
        "{preview}"
    );
    assert!(preview.contains("178 destination addresses"), "{preview}");
    let plan = ScalePlan::new(typed(10_000_000), host()).unwrap();
    assert!(plan.preview()[0].starts_with("10,000,000 cut to about 2,5"));
}

#[test]
fn each_connection_speaks_once_in_the_window_and_once_before() {
    let plan = ScalePlan::new(options(), host()).unwrap();
    let config = plan.config().unwrap();
    assert_eq!((config.steady_ms, config.rounds), (30_000, 1));
    assert_eq!(config.ramp_rate_per_second, None);
    assert_eq!(plan.settle(Arm::Heartbeat), Duration::from_secs(30));
    assert_eq!(plan.settle(Arm::None), SHORT_SETTLE);
    let (within, misses) = Budget::STRICT;
    let mut short = options();
    short.cost.budget = Budget::derive(within, misses).unwrap();
    short.cost.settle = Some(Duration::from_secs(1));
    let plan = ScalePlan::new(short, host()).unwrap();
    assert_eq!(plan.config().unwrap().steady_ms, 6_000);
    assert_eq!(plan.settle(Arm::Heartbeat), Duration::from_secs(1));
}

#[test]
fn a_sweep_stays_on_one_rung() {
    let ticks = [1, 8, 32].map(Duration::from_millis).to_vec();
    let sweep = |ladder| ScaleOptions {
        ticks: ticks.clone(),
        ladder,
        ..options()
    };
    let plan = ScalePlan::new(sweep(Vec::new()), host()).unwrap();
    assert_eq!(plan.axis, ScaleAxis::Tick);
    assert_eq!(wants(&plan), [Want::Count(100_000); 3]);
    let chosen: Vec<_> = plan.steps.iter().map(|step| step.tick).collect();
    assert_eq!(chosen, ticks);
    let two = vec![Want::Count(1), Want::Count(2)];
    let error = ScalePlan::new(sweep(two), host()).unwrap_err();
    assert!(
        matches!(&error, ScaleError::Usage(text) if text.contains("one rung")),
        "{error}"
    );
}

#[test]
fn what_cannot_be_is_refused_before_the_start() {
    let mut idle = options();
    idle.cost.arms = vec![Arm::Keepalive];
    idle.hold = Some(Duration::from_mins(10));
    assert!(matches!(
        ScalePlan::new(idle, host()),
        Err(ScaleError::Usage(_))
    ));
    let full = HostFacts {
        usable_bytes: 100 << 20,
        ..host()
    };
    assert!(matches!(
        ScalePlan::new(options(), full.clone()),
        Err(ScaleError::Host(_))
    ));
    let floor = ScaleOptions {
        only_floor: true,
        ..options()
    };
    assert!(
        ScalePlan::new(floor, full).is_ok(),
        "the floor needs no room for connections"
    );
    let cramped = HostFacts {
        nofile: 64,
        ..host()
    };
    let error = ScalePlan::new(options(), cramped).unwrap_err();
    assert!(error.to_string().contains("ulimit -n"), "{error}");
}

#[test]
fn keepalives_bursts_are_foreseen_at_the_top() {
    let mut both = options();
    both.cost.arms = vec![Arm::Keepalive, Arm::Heartbeat];
    let said = ScalePlan::new(both, host()).unwrap().forewarnings();
    assert!(said[0].contains("netdev_max_backlog"), "{said:?}");
    let small = ScaleOptions {
        up_to: Some(300_000),
        ..options()
    };
    let plan = ScalePlan::new(small, host()).unwrap();
    assert!(plan.forewarnings().is_empty());
}

#[test]
fn long_chains_in_the_kernels_hash_are_foreseen() {
    let said = ScalePlan::new(options(), host()).unwrap().forewarnings();
    assert!(
        said.len() == 1 && said[0].contains("some 19 sockets share one"),
        "{said:?}"
    );
    let roomy = HostFacts {
        hash_buckets: Some(8_388_608),
        ..host()
    };
    assert!(
        ScalePlan::new(options(), roomy)
            .unwrap()
            .forewarnings()
            .is_empty()
    );
}
