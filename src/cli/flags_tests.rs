//! The flag groups as a user would type them.

use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Probe {
    #[command(flatten)]
    budget: BudgetFlags,
    #[command(flatten)]
    engine: EngineFlags,
    #[command(flatten)]
    ramp: RampFlag,
    #[command(flatten)]
    seed: SeedFlag,
    #[command(flatten)]
    server_cores: ServerCoresFlag,
}

fn typed(arguments: &str) -> Result<Probe, clap::Error> {
    Probe::try_parse_from(std::iter::once("probe").chain(arguments.split_whitespace()))
}

fn budget(arguments: &str) -> Result<Budget, Failure> {
    typed(arguments).unwrap().budget.budget(&Arm::ALL)
}

#[test]
fn the_budget_has_three_spellings_and_one_default() {
    let strict = budget("").unwrap();
    assert_eq!(budget("--preset strict").unwrap(), strict);
    assert_eq!(budget("--detect-within 9s --misses 3").unwrap(), strict);
    assert_eq!(budget("--interval 3s --timeout 9s").unwrap(), strict);
    let relaxed = budget("--preset relaxed").unwrap();
    assert_eq!(relaxed.detect_within, Nanos::from_secs(40));
    let thirty = budget("--detect-within 30s").unwrap();
    assert_eq!((thirty.misses, thirty.interval), (3, Nanos::from_secs(10)));
}

#[test]
fn budgets_nobody_can_keep_are_usage_errors() {
    for (arguments, why) in [
        ("--interval 10s --timeout 9s", "at least twice"),
        ("--interval 9s --timeout 9s", "at least twice"),
        ("--detect-within 2s", "whole seconds"),
        ("--detect-within 100d", "32767"),
        ("--interval 1ms --timeout 9s", "misses"),
    ] {
        match budget(arguments) {
            Err(Failure::Usage(message)) => assert!(message.contains(why), "{message}"),
            other => panic!("{arguments}: {other:?}"),
        }
    }
}

#[test]
fn keepalive_is_set_on_the_side_asked_for_and_in_its_arm_alone() {
    let strict = budget("").unwrap();
    for (side, server, client) in [
        ("server", true, false),
        ("client", false, true),
        ("both", true, true),
    ] {
        let engine = typed(&format!("--keepalive-side {side}")).unwrap().engine;
        assert_eq!(
            engine.server_keepalive(Arm::Keepalive, &strict).is_some(),
            server
        );
        assert_eq!(
            engine.load_keepalive(Arm::Keepalive, &strict).is_some(),
            client
        );
        assert_eq!(engine.server_keepalive(Arm::Heartbeat, &strict), None);
        assert_eq!(engine.load_keepalive(Arm::None, &strict), None);
    }
    let engine = typed("").unwrap().engine;
    let keepalive = engine.server_keepalive(Arm::Keepalive, &strict);
    assert_eq!(keepalive, Keepalive::new(3, 2, 3).ok());
    let timed = Arm::KeepaliveUserTimeout;
    assert_eq!(engine.server_keepalive(timed, &strict), keepalive);
    assert_eq!(engine.server_user_timeout(timed, &strict), Some(8_500));
    assert_eq!(engine.load_user_timeout(timed, &strict), None);
    assert_eq!(engine.server_user_timeout(Arm::Both, &strict), None);
    let beside = engine.server_keepalive(Arm::Both, &strict);
    assert_eq!(beside, Keepalive::new(2, 2, 3).ok());
}

#[test]
fn settings_carry_the_budget_and_the_engine() {
    let strict = budget("").unwrap();
    let engine = typed("--tick 4ms --phases aligned").unwrap().engine;
    let settings = engine.settings(Role::Idle, &strict, TimersKind::Wheel, true);
    assert_eq!(
        (settings.tick, settings.phases),
        (Nanos::from_millis(4), Phases::Aligned)
    );
    assert_eq!(
        (settings.interval, settings.keepalive),
        (strict.interval, true)
    );
}

#[test]
fn a_sweep_has_a_period_of_whole_ticks_and_a_wheel_has_none() {
    let timers = |arguments: &str| typed(arguments).unwrap().engine.timers();
    let sweep = |period| Some(TimersKind::Sweep { period });
    assert_eq!(timers("").ok(), Some(TimersKind::Wheel));
    assert_eq!(timers("--timers wheel").ok(), Some(TimersKind::Wheel));
    assert_eq!(timers("--timers sweep").ok(), sweep(12));
    assert_eq!(timers("--timers sweep --tick 1s").ok(), sweep(1));
    assert_eq!(timers("--timers sweep --sweep-period 8ms").ok(), sweep(1));
    for (arguments, why) in [
        ("--sweep-period 1s", "--timers sweep"),
        ("--timers wheel --sweep-period 1s", "--timers sweep"),
        ("--timers sweep --sweep-period 7ms", "a tick, 8ms"),
    ] {
        match timers(arguments) {
            Err(Failure::Usage(message)) => assert!(message.contains(why), "{message}"),
            other => panic!("{arguments}: {other:?}"),
        }
    }
}

#[test]
fn rate_seed_and_cores_are_optional() {
    let nothing = typed("").unwrap();
    assert_eq!((nothing.ramp.ramp_rate, nothing.seed.seed), (None, None));
    assert_eq!(
        cores_or_all(nothing.server_cores.server_cores.as_ref()),
        usable_cores()
    );
    let all = typed("--ramp-rate 5k/s --seed 7").unwrap();
    assert_eq!((all.ramp.ramp_rate, all.seed.seed), (Some(5_000), Some(7)));
    assert_eq!(cores_or_all(Some(&CoreList(vec![1, 0]))), [1, 0]);
}
