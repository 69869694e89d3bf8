//! Plans of the lab: every fault under every mechanism, long enough to see it, in the time promised.

use super::*;

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

fn options(quick: bool) -> DetectOptions {
    let (within, misses) = if quick {
        (Duration::from_secs(4), 2)
    } else {
        Budget::STRICT
    };
    DetectOptions {
        arms: Arm::ALL.to_vec(),
        faults: Fault::ALL.to_vec(),
        stress: true,
        debate: true,
        connections: 50,
        budget: Budget::derive(within, misses).unwrap(),
        quick,
        parallel: if quick { 8 } else { 4 },
        engine: EngineConfig::default(),
        tick: Nanos::from_millis(8),
        congestion: "cubic".to_owned(),
        cores: vec![0, 1],
        seed: 7,
        label: None,
        command: String::new(),
    }
}

#[test]
fn every_fault_meets_every_mechanism_at_both_ends() {
    let plan = DetectPlan::new(options(false), host());
    for fault in Fault::ALL {
        let mut seen: Vec<(String, Seat)> = plan
            .trials
            .iter()
            .filter(|trial| trial.kind == TrialKind::Cells)
            .filter(|trial| {
                trial
                    .trouble
                    .is_some_and(|trouble| trouble.name() == fault.name())
            })
            .flat_map(|trial| {
                let with = |seat| {
                    trial
                        .contestants
                        .iter()
                        .map(move |one| (one.name.clone(), seat))
                };
                trial.seats().into_iter().flat_map(with).collect::<Vec<_>>()
            })
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), Arm::ALL.len() * 2, "{fault}");
    }
}

#[test]
fn what_a_mechanism_sends_is_counted_while_it_is_alone() {
    let plan = DetectPlan::new(options(true), host());
    let traffic: Vec<_> = plan
        .trials
        .iter()
        .filter(|trial| trial.kind == TrialKind::Traffic)
        .collect();
    assert!(traffic.len() >= 3 && traffic.iter().all(|trial| trial.contestants.len() == 1));
    assert!(
        traffic
            .iter()
            .all(|trial| trial.trouble.is_none() && !trial.watch.is_zero())
    );
}

#[test]
fn a_run_is_as_long_as_it_promises() {
    let full = DetectPlan::new(options(false), host());
    assert!(full.span() < Duration::from_mins(15), "{:?}", full.span());
    let quick = DetectPlan::new(options(true), host());
    assert!(quick.span() < Duration::from_secs(90), "{:?}", quick.span());
}

#[test]
fn who_should_notice_is_watched_beyond_the_bound_and_who_should_not_beyond_the_budget() {
    let plan = DetectPlan::new(options(false), host());
    for trial in plan
        .trials
        .iter()
        .filter(|trial| trial.kind == TrialKind::Cells)
    {
        let Some(Trouble::Fault { fault, .. }) = trial.trouble else {
            continue;
        };
        for contestant in &trial.contestants {
            let timing = contestant.timing(plan.options.tick, 250, trial.reboot.into());
            for seat in trial.seats() {
                if let Some(span) = timing.model(fault, seat).span {
                    assert!(trial.watch > span.latest.as_duration() + ALLOWANCE.as_duration());
                } else {
                    assert!(trial.watch > contestant.budget.detect_within.as_duration());
                    assert!(!trial.may_end_early);
                }
            }
        }
    }
}

#[test]
fn probes_under_stress_can_be_told_apart() {
    let plan = DetectPlan::new(options(false), host());
    let stresses = plan.trials.iter().filter(|trial| {
        trial.kind == TrialKind::Cells && matches!(trial.trouble, Some(Trouble::Stress(_)))
    });
    for trial in stresses {
        let probing = trial
            .contestants
            .iter()
            .filter(|one| one.keepalive.is_some());
        assert!(probing.count() <= 1, "{}", trial.title());
    }
}

#[test]
fn the_seed_decides_the_order_and_nothing_else() {
    let titles = |seed| {
        let mut options = options(true);
        options.seed = seed;
        let plan = DetectPlan::new(options, host());
        plan.trials.iter().map(TrialPlan::title).collect::<Vec<_>>()
    };
    assert_eq!(titles(1), titles(1));
    let sorted = |seed| {
        let mut all = titles(seed);
        all.sort();
        all
    };
    assert_eq!(sorted(1), sorted(2));
}
