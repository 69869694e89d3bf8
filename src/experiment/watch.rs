//! What a trial shows while it goes: where it stands, and what arises to doubt it by.
//!
//! Does not measure: it looks at the row that the [sampler](super::sampler) takes once a second anyway, and at the same
//! two snapshots.

use super::alarm::{Alarms, Signs};
use super::trial::{Halves, Stage, TrialSpec};
use super::{ExperimentError, Progress};
use crate::bank::Snapshot;
use crate::clock::{Clock as _, MonotonicClock};
use crate::units::Nanos;

/// What is known of the trial that runs.
#[derive(Debug, Default)]
pub(super) struct Watch {
    begun: Nanos,
    alarms: Alarms,
}

impl Watch {
    /// Forgets the trial before.
    pub(super) fn next_trial(&mut self) {
        *self = Self {
            begun: MonotonicClock.now(),
            alarms: Alarms::default(),
        };
    }
}

/// Takes a row, tells the observer where the trial stands, and warns it of what is new.
pub(super) fn observe(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &Halves,
    phase: &'static str,
    (server, load): (&Snapshot, &Snapshot),
) -> Result<(), ExperimentError> {
    let place = (spec.round, spec.name.as_str(), phase);
    let pids = halves.pids();
    let ground = halves.ground(stage.plan.options.path);
    let look = stage
        .sampler
        .sample(place, pids, ground.place(), (server, load))?;
    let mut counters = server.totals.clone();
    counters.add(&load.totals);
    let signs = Signs {
        counters,
        schedule_lag_p99: look.schedule_lag_p99,
        interval: stage.plan.options.budget.interval,
        backlog_drops: look.backlog_drops,
        opening: look.opening,
        // Before the trouble of a storm, and before the end.
        shall_hold: matches!(phase, "ramp" | "settle" | "steady" | "soak"),
    };
    for said in stage.watch.alarms.look(&signs) {
        warn(stage, spec, &said);
    }
    let now = MonotonicClock.now();
    let gone = (now - stage.watch.begun).as_duration();
    stage.observer.progress(&Progress {
        trial: spec.place.0,
        trials: spec.place.1,
        arm: spec.name.clone(),
        part: spec.part.clone(),
        phase,
        connections: load.totals.open,
        connections_requested: spec.connections,
        events_per_second: look.events_per_second,
        rtt_p99: look.rtt_p99,
        cpu: look.cpu,
        elapsed: (now - stage.begun).as_duration(),
        remaining: spec.span().saturating_sub(gone) + spec.later,
    });
    Ok(())
}

/// Says when less memory is `usable` than should stay free.
pub(super) fn memory(stage: &mut Stage<'_>, spec: &TrialSpec, usable: u64) {
    let reserve = stage.plan.host.reserve_bytes;
    if let Some(said) = stage.watch.alarms.memory(usable, reserve) {
        warn(stage, spec, &said);
    }
}

fn warn(stage: &mut Stage<'_>, spec: &TrialSpec, said: &str) {
    let place = format!("{}, {}", spec.name, spec.part);
    stage.observer.warn(&format!("{place}: {said}"));
}
