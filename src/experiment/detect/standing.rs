//! Where the lab stands, for those who watch: told when a trial has ended, and once a second.
//!
//! Does not look into the laboratories: what happens there is known when a trial is over.

use super::plan::TrialPlan;
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::{CpuShares, Progress};
use crate::os::cpu::SystemCpu;
use crate::units::Nanos;
use std::time::Duration;

/// Between two reports of nothing new.
const EVERY: Nanos = Nanos::from_secs(1);

/// What has been told so far.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    trials: &'a [&'a TrialPlan],
    parallel: usize,
    begun: Nanos,
    planned: Duration,
    told: Nanos,
    /// How many trials are over, and the last that was.
    ended: usize,
    last: Option<usize>,
    cpu: Option<SystemCpu>,
}

impl<'a> Standing<'a> {
    pub(super) fn new(trials: &'a [&'a TrialPlan], parallel: usize) -> Self {
        let now = MonotonicClock.now();
        let longest = trials.iter().map(|trial| trial.span()).max();
        let planned = longest.unwrap_or_default().max(share(trials, parallel));
        Self {
            planned,
            trials,
            parallel,
            begun: now,
            told: now,
            ended: 0,
            last: None,
            cpu: SystemCpu::read().ok(),
        }
    }

    /// One more trial is over.
    pub(super) fn ended(&mut self, place: usize) {
        self.ended += 1;
        self.last = Some(place);
    }

    /// Whether it is time to tell again.
    pub(super) fn is_old(&self) -> bool {
        MonotonicClock.now() - self.told >= EVERY
    }

    /// The report of now; `next` is the first trial that has not begun.
    pub(super) fn now(&mut self, next: usize) -> Progress {
        self.told = MonotonicClock.now();
        let cpu = SystemCpu::read().ok();
        let machine = self.cpu.as_ref().zip(cpu.as_ref());
        let machine = machine.and_then(|(before, now)| before.spent_until(now));
        self.cpu = cpu;
        let begun = next.min(self.trials.len());
        let shown = self.last.unwrap_or_else(|| begun.saturating_sub(1));
        let trial = self.trials.get(shown);
        let connections = trial.map_or(0, |trial| {
            trial.connections * trial.contestants.len() as u64
        });
        let elapsed = (self.told - self.begun).as_duration();
        // As planned, and no less than what has not begun takes.
        let left = self.planned.saturating_sub(elapsed);
        let remaining = left.max(share(&self.trials[begun..], self.parallel));
        Progress {
            trial: self.ended.saturating_sub(1),
            trials: self.trials.len(),
            arm: trial.map(|trial| trial.title()).unwrap_or_default(),
            part: format!("{} trials under way", begun.saturating_sub(self.ended)),
            phase: if self.last.is_some() { "done" } else { "begun" },
            connections,
            connections_requested: connections,
            events_per_second: 0,
            rtt_p99: None,
            cpu: machine.map(|(busy, capacity)| CpuShares {
                machine: busy.0.saturating_mul(100) / capacity.0.max(1),
                halves: None,
            }),
            elapsed,
            remaining,
        }
    }
}

/// What `trials` take when so many run at once.
fn share(trials: &[&TrialPlan], parallel: usize) -> Duration {
    let all: Duration = trials.iter().map(|trial| trial.span()).sum();
    all / u32::try_from(parallel.max(1)).unwrap_or(1)
}
