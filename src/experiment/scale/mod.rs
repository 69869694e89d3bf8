//! The climb: floor, rung after rung, the hold at the top, and the record from them.
//!
//! Does not print and runs no connections itself: a rung is a cost comparison at one population, made of the same
//! trials. Where memory stops a ramp, the rung is measured again a little lower and is the last. Whatever ends the run
//! early, the trials that are whole make a record marked partial.

mod ladder;
mod plan;
mod summary;

pub use ladder::Want;
pub use plan::{ScaleError, ScaleOptions, ScalePlan};

use super::capacity::BYTES_PER_CONNECTION;
use super::cost::{blank, cut_short};
use super::plan::CostPlan;
use super::sampler::Sampler;
use super::trial::{self, Stage, Trial, TrialSpec};
use super::watch::Watch;
use super::{ExperimentError, Observer, StoppedAtMemory, floor};
use crate::clock::{Clock as _, MonotonicClock, wall_rfc3339};
use crate::environment;
use crate::measure::headroom::{Bound, LEARN_AFTER, usable};
use crate::os::network::SocketStats;
use crate::os::wait::wait_until_sockets_drained;
use crate::record::{FloorRecord, Kind, Record, ScaleAxis};
use crate::units::HumanCount;
use plan::Step;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Ramps of one rung that memory may stop before the climb is given up.
const MOST_STOPS: usize = 4;
/// The longest wait for sockets to be gone before memory is read for the top.
const REST: Duration = Duration::from_mins(2);

/// One rung, measured.
struct Measured {
    plan: CostPlan,
    reason: String,
    trials: Vec<Trial>,
}

/// What a climb gathers.
struct Climb<'a> {
    plan: &'a ScalePlan,
    executable: &'a Path,
    observer: &'a mut dyn Observer,
    sampler: Sampler,
    watch: Watch,
    /// TCP sockets of the host before the run.
    baseline: u64,
    rungs: Vec<Measured>,
    hold: Option<(CostPlan, Trial)>,
    floor: Vec<FloorRecord>,
    stops: Vec<StoppedAtMemory>,
    /// Of the largest rung that tells.
    bytes_each: Option<u64>,
    /// Trials run so far, and rounds.
    position: usize,
    rounds: u32,
}

/// Runs the plan with `executable`'s halves and returns what was measured, also when it was cut short.
///
/// # Errors
/// Only what goes wrong before the first trial: the host's figures cannot be read.
pub fn run_scale(
    plan: &ScalePlan,
    executable: &Path,
    ring_features: BTreeMap<String, String>,
    observer: &mut dyn Observer,
) -> Result<(Record, Option<ExperimentError>), ExperimentError> {
    let mut environment = environment::capture()?;
    environment.ring_features = ring_features;
    let started_at = wall_rfc3339();
    let begun = MonotonicClock.now();
    let config = plan.config().map_err(ExperimentError::Host)?;
    let largest = plan
        .cost_plan(config.connections, plan.options.cost.tick)
        .map_err(ExperimentError::Host)?;
    let mut climb = Climb {
        plan,
        executable,
        observer,
        sampler: Sampler::new(),
        watch: Watch::default(),
        baseline: SocketStats::read()?.tcp_allocated,
        rungs: Vec::new(),
        hold: None,
        floor: Vec::new(),
        stops: Vec::new(),
        bytes_each: None,
        position: 0,
        rounds: 0,
    };
    let mut ended = climb.run().err();
    let mut record = Record {
        partial: ended.is_some(),
        started_at,
        ..blank(Kind::Scale, &largest, environment)
    };
    let summed = climb.summarise(&mut record);
    ended = ended.or_else(|| summed.err());
    record.samples = climb.sampler.into_rows();
    if let Some(error) = &ended {
        record.warnings.insert(0, cut_short(error));
    }
    record.valid = !record.partial && record.warnings.iter().all(|warning| !warning.invalidates);
    record.duration_ms = (MonotonicClock.now() - begun).0 / 1_000_000;
    Ok((record, ended))
}

impl Climb<'_> {
    fn run(&mut self) -> Result<(), ExperimentError> {
        self.measure_floor()?;
        if self.plan.options.only_floor {
            return Ok(());
        }
        for step in self.plan.steps.clone() {
            if !self.rung(step)? {
                break;
            }
        }
        match self.plan.options.hold {
            Some(span) => self.hold(span),
            None => Ok(()),
        }
    }

    fn measure_floor(&mut self) -> Result<(), ExperimentError> {
        let (options, host) = (&self.plan.options, &self.plan.host);
        let mut sizes: Vec<u64> = options
            .floor
            .iter()
            .map(|size| size.pairs(host.nofile))
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        let core = options.cost.load_cores.first().copied().unwrap_or(0);
        for pairs in sizes {
            self.observer.note(&format!(
                "measuring the floor over {} pairs",
                HumanCount(pairs)
            ));
            let found = floor::measure(pairs, core, &options.cost.congestion)?;
            self.floor.push(found);
            if let Some(signal) = self.observer.interrupted() {
                return Err(ExperimentError::Interrupted(signal));
            }
        }
        Ok(())
    }

    /// Measures one rung; false when the ladder ends with it.
    fn rung(&mut self, step: Step) -> Result<bool, ExperimentError> {
        let each = self.bytes_each.unwrap_or(BYTES_PER_CONNECTION);
        let climbing = self.plan.axis == ScaleAxis::Connections;
        if let (false, Some(first)) = (climbing, self.rungs.first()) {
            // A sweep stays where it began, whatever its first ramp came up to.
            let (count, reason) = (first.plan.connections, first.reason.clone());
            self.attempt(count, step.tick, &reason)?;
            return Ok(true);
        }
        let known = matches!(step.want, Want::Count(count) if self.plan.host.might_fit(count));
        let usable = if known { 0 } else { self.usable_at_rest()? };
        let mut count = self.plan.settled(step.want, each, usable);
        let is_top = step.want != Want::Count(count);
        let mut reason = match step.want {
            Want::Max => "what the machine holds".to_owned(),
            Want::Count(asked) if is_top => {
                format!(
                    "{} were asked for and the machine does not hold them",
                    HumanCount(asked)
                )
            }
            Want::Count(_) => "asked for".to_owned(),
        };
        let last = self.rungs.last().map(|rung| rung.plan.connections);
        for _ in 0..MOST_STOPS {
            if climbing && is_top && !ladder::is_worthwhile(last, count) {
                let text = format!(
                    "the machine holds about {}, hardly more than the rung before: the ladder ends there",
                    HumanCount(count)
                );
                self.observer.note(&text);
                return Ok(false);
            }
            let stops = self.stops.len();
            self.attempt(count, step.tick, &reason)?;
            let Some(stopped) = self.stops.get(stops) else {
                return Ok(!climbing || (!is_top && stops == 0));
            };
            count = ladder::below(stopped.stop.connections);
            reason = match stopped.stop.bound {
                Bound::Memory => "what the memory holds".to_owned(),
                Bound::Limit => "what --memory-limit allows".to_owned(),
            };
            self.observer.note(&format!(
                "{stopped}; measuring this rung at {}",
                HumanCount(count)
            ));
            if climbing && last.is_some_and(|last| count <= last) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Every arm at `count` connections. A ramp that memory stops discards the rung and is kept among the stops.
    fn attempt(&mut self, count: u64, tick: Duration, reason: &str) -> Result<(), ExperimentError> {
        let plan = self
            .plan
            .cost_plan(count, tick)
            .map_err(ExperimentError::Host)?;
        let part = match self.plan.axis {
            ScaleAxis::Connections => format!("rung of {}", HumanCount(count)),
            ScaleAxis::Tick => format!("tick of {} ms", tick.as_millis()),
        };
        let mut rung = Measured {
            plan,
            reason: reason.to_owned(),
            trials: Vec::new(),
        };
        let after: Duration = self.rungs_after(count);
        let mut ended = Ok(());
        let order = rung.plan.order.clone();
        let trials: usize = order.iter().map(Vec::len).sum();
        'rounds: for (round, arms) in (self.rounds..).zip(&order) {
            for &index in arms {
                let planned = rung.plan.arms[index].clone();
                let left = trials - rung.trials.len() - 1;
                let mut spec = TrialSpec {
                    arm: planned.arm,
                    engine: planned.engine,
                    name: planned.name,
                    control: planned.control,
                    connections: count,
                    ramp_rate: rung.plan.ramp_rate,
                    settle: self.plan.settle(planned.arm),
                    steady: rung.plan.steady,
                    round,
                    part: part.clone(),
                    place: (
                        self.position,
                        self.position + left + 1 + self.trials_after(trials),
                    ),
                    later: Duration::ZERO,
                };
                spec.later = spec.span() * u32::try_from(left).unwrap_or(0) + after;
                match trial::run(&mut self.stage(&rung.plan), spec) {
                    Ok(trial) => rung.trials.push(trial),
                    Err(error) => {
                        ended = Err(error);
                        break 'rounds;
                    }
                }
                self.position += 1;
            }
        }
        self.rounds += rung.plan.rounds;
        if let Err(ExperimentError::Memory(stopped)) = ended {
            self.stops.push(stopped);
            return Ok(());
        }
        self.learn(&rung.trials, count);
        self.rungs.push(rung);
        ended
    }

    /// Keeps the bytes per connection that the trials of the largest rung took.
    fn learn(&mut self, trials: &[Trial], count: u64) {
        let most = trials
            .iter()
            .filter_map(|trial| trial.ramp.bytes_per_connection)
            .max();
        if count >= LEARN_AFTER && most.is_some_and(|bytes| bytes > 0) {
            self.bytes_each = most;
        }
    }

    fn hold(&mut self, span: Duration) -> Result<(), ExperimentError> {
        let Some(top) = self.rungs.last() else {
            return Ok(());
        };
        let plan = top.plan.clone();
        let arms = plan
            .arms
            .iter()
            .filter(|planned| planned.arm.has_heartbeats());
        let Some(planned) = arms.min_by_key(|planned| planned.arm).cloned() else {
            return Ok(());
        };
        // The control it is paired with.
        let round = top.trials.first().map_or(0, |trial| trial.spec.round);
        let spec = TrialSpec {
            arm: planned.arm,
            engine: planned.engine,
            name: planned.name,
            control: planned.control,
            connections: plan.connections,
            ramp_rate: plan.ramp_rate,
            settle: self.plan.settle(planned.arm),
            steady: span,
            round,
            part: format!("hold of {}", HumanCount(plan.connections)),
            place: (self.position, self.position + 1),
            later: Duration::ZERO,
        };
        let trial = trial::run(&mut self.stage(&plan), spec)?;
        self.hold = Some((plan, trial));
        Ok(())
    }

    fn stage<'s>(&'s mut self, plan: &'s CostPlan) -> Stage<'s> {
        let begun = self.sampler.begun();
        Stage {
            begun,
            plan,
            executable: self.executable,
            observer: &mut *self.observer,
            sampler: &mut self.sampler,
            watch: &mut self.watch,
            baseline: self.baseline,
            fleet: None,
        }
    }

    /// Memory once the sockets of the rung before are gone.
    fn usable_at_rest(&self) -> Result<u64, ExperimentError> {
        let cancelled = || self.observer.interrupted().is_some();
        // If they do not go, the trial says so.
        let _ = wait_until_sockets_drained(self.baseline, 64, REST, &cancelled);
        Ok(usable()?.0)
    }

    /// Trials still to come after a rung of `trials` trials, as far as known.
    fn trials_after(&self, trials: usize) -> usize {
        let rungs = self.plan.steps.len().saturating_sub(self.rungs.len() + 1);
        rungs * trials + usize::from(self.plan.options.hold.is_some())
    }

    /// What the rungs after this one, and the hold, will take.
    fn rungs_after(&self, count: u64) -> Duration {
        let each = self.bytes_each.unwrap_or(BYTES_PER_CONNECTION);
        let usable = self.plan.host.usable_bytes;
        let left = self.plan.steps.iter().skip(self.rungs.len() + 1);
        let rungs: Duration = left
            .map(|step| self.plan.span(self.plan.settled(step.want, each, usable)))
            .sum();
        let hold = self.plan.options.hold.map_or(Duration::ZERO, |hold| {
            hold + self.plan.span(count)
                / u32::try_from(self.plan.options.cost.arms.len().max(1)).unwrap_or(1)
        });
        rungs + hold
    }
}
