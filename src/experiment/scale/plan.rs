//! The climb's options and the host's facts become rungs, each of them a cost plan of its own.
//!
//! Pure. What can be refused before a connection is opened is refused here; how many fit is only estimated here, and
//! found in the ramps.

use super::ladder::{Want, ladder, top};
use crate::arm::Arm;
use crate::bank::{PlanError, RingPlan};
use crate::experiment::capacity::{BYTES_PER_CONNECTION, HostFacts};
use crate::experiment::doctor::{Question, Verdict, crowding};
use crate::experiment::floor::FloorSize;
use crate::experiment::plan::{CostOptions, CostPlan, ramp_span};
use crate::load::loopback_targets;
use crate::record::{Config, ScaleAxis};
use crate::units::{HumanBytes, HumanCount};
use std::time::Duration;

/// Wait before the window in arms without heartbeats.
const SHORT_SETTLE: Duration = Duration::from_millis(500);
/// Population of a tick sweep that names none.
const SWEEP_CONNECTIONS: u64 = 100_000;
/// The same, when quick.
const QUICK_SWEEP_CONNECTIONS: u64 = 10_000;

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct ScaleOptions {
    /// What every rung has in common; its `connections` and `quick` do not count, its `settle` and `steady` may be
    /// left out.
    pub cost: CostOptions,
    /// The rungs as named; none takes the default ladder.
    pub ladder: Vec<Want>,
    /// Where the ladder ends.
    pub up_to: Option<u64>,
    /// A small ladder.
    pub quick: bool,
    /// Lengths of a tick to compare at one rung; none climbs with `cost.tick`.
    pub ticks: Vec<Duration>,
    /// How long to hold the top rung.
    pub hold: Option<Duration>,
    /// Numbers of pairs at which the floor is measured.
    pub floor: Vec<FloorSize>,
    /// Measure the floor and nothing else.
    pub only_floor: bool,
}

/// A climb with nothing left to decide but the machine's top.
#[derive(Clone, Debug)]
pub struct ScalePlan {
    pub(super) options: ScaleOptions,
    pub(super) host: HostFacts,
    pub(super) axis: ScaleAxis,
    pub(super) steps: Vec<Step>,
}

/// One rung before it has its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) want: Want,
    pub(super) tick: Duration,
}

/// Why a climb cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// The options make no sense together.
    #[error("{0}")]
    Usage(String),
    /// The host cannot hold the smallest rung.
    #[error("{0}")]
    Host(String),
}

impl ScalePlan {
    /// Fills in every default.
    ///
    /// # Errors
    /// [`ScaleError`] with the remedy.
    pub fn new(mut options: ScaleOptions, host: HostFacts) -> Result<Self, ScaleError> {
        let interval = options.cost.budget.interval.as_duration();
        options.cost.quick = false;
        options.cost.connections = None;
        options.cost.rounds.get_or_insert(1);
        // Short intervals leave time for two, which halves the noise.
        let steady = interval.max((interval * 2).min(Duration::from_secs(6)));
        options.cost.steady.get_or_insert(steady);
        let sweep = !options.ticks.is_empty();
        let mut rungs = ladder(&options.ladder, options.up_to, options.quick);
        if sweep && options.ladder.is_empty() {
            let usual = if options.quick {
                QUICK_SWEEP_CONNECTIONS
            } else {
                SWEEP_CONNECTIONS
            };
            rungs = vec![Want::Count(options.up_to.unwrap_or(usual))];
        }
        if sweep && rungs.len() != 1 {
            return Err(ScaleError::Usage(format!(
                "a tick sweep stays on one rung, and {} were named: give one, as in --ladder 100k",
                rungs.len()
            )));
        }
        let heartbeats = options.cost.arms.iter().any(|arm| arm.has_heartbeats());
        if options.hold.is_some() && !heartbeats {
            return Err(ScaleError::Usage(
                "--hold holds connections with heartbeats, and no arm has them: name one with --arms, such as heartbeat"
                    .to_owned(),
            ));
        }
        let ticks = if sweep {
            options.ticks.clone()
        } else {
            vec![options.cost.tick]
        };
        let steps = rungs.iter().flat_map(|want| {
            let want = *want;
            ticks.iter().map(move |tick| Step { want, tick: *tick })
        });
        let plan = Self {
            steps: steps.collect(),
            axis: if sweep {
                ScaleAxis::Tick
            } else {
                ScaleAxis::Connections
            },
            options,
            host,
        };
        let first = plan.steps.first().map_or(Want::Max, |step| step.want);
        let least = plan.settled(first, BYTES_PER_CONNECTION, plan.host.usable_bytes);
        if !plan.options.only_floor && least == 0 {
            return Err(ScaleError::Host(format!(
                "no connection fits: {} of memory are usable, and {} are kept back, lest the kernel's OOM killer wake; free \
                 memory, or raise --memory-limit where it is set",
                HumanBytes(plan.host.usable_bytes),
                HumanBytes(plan.host.reserve_bytes)
            )));
        }
        if !plan.options.only_floor {
            plan.cost_plan(least, plan.options.cost.tick)
                .map_err(ScaleError::Host)?;
        }
        Ok(plan)
    }

    /// The population of `want`, with `usable` bytes and connections of `bytes_each`.
    pub(super) fn settled(&self, want: Want, bytes_each: u64, usable: u64) -> u64 {
        let Want::Count(count) = want else {
            return self.top(bytes_each, usable);
        };
        // What might fit is tried: the ramp finds out.
        if self.host.might_fit(count) {
            count
        } else {
            self.top(bytes_each, usable)
        }
    }

    /// What the machine holds.
    pub(super) fn top(&self, bytes_each: u64, usable: u64) -> u64 {
        let room = usable.saturating_sub(self.host.reserve_bytes);
        let room = self
            .options
            .cost
            .memory_limit
            .map_or(room, |limit| room.min(limit));
        let most = match self.rings(u64::from(u32::MAX), true) {
            Ok(_) => u64::from(u32::MAX),
            Err(PlanError::OpenFiles { most, .. } | PlanError::Descriptors { most, .. }) => most,
        };
        top(room, bytes_each, most)
    }

    /// The rings of one half.
    pub(super) fn rings(&self, connections: u64, server: bool) -> Result<RingPlan, PlanError> {
        let cores = if server {
            &self.options.cost.server_cores
        } else {
            &self.options.cost.load_cores
        };
        let cores = u32::try_from(cores.len()).unwrap_or(u32::MAX);
        let HostFacts {
            nofile, somaxconn, ..
        } = self.host;
        let engine = self.options.cost.engines.first().map(|engine| engine.kind);
        let engine = engine.unwrap_or_default();
        RingPlan::for_engine(engine, connections, cores, nofile, somaxconn, server)
    }

    /// The plan of one rung.
    pub(super) fn cost_plan(&self, connections: u64, tick: Duration) -> Result<CostPlan, String> {
        let options = CostOptions {
            connections: Some(connections),
            tick,
            ..self.options.cost.clone()
        };
        CostPlan::at(options, self.host.clone(), connections, None)
    }

    /// Wait between the last connection and the window. With heartbeats a whole interval: a connection's first
    /// exchange is acknowledged at once, costs a packet more than every later one, and is left out.
    pub(super) fn settle(&self, arm: Arm) -> Duration {
        let cost = &self.options.cost;
        match cost.settle {
            Some(settle) => settle,
            None if arm.has_heartbeats() => cost.budget.interval.as_duration(),
            None => SHORT_SETTLE,
        }
    }

    /// The effective configuration, of the largest rung as estimated.
    ///
    /// # Errors
    /// As [`new`](Self::new), for that rung.
    pub fn config(&self) -> Result<Config, String> {
        let last = self.steps.last().map_or(Want::Max, |step| step.want);
        let largest = self.settled(last, BYTES_PER_CONNECTION, self.host.usable_bytes);
        Ok(self
            .cost_plan(largest.max(1), self.options.cost.tick)?
            .config())
    }

    /// The plan as a person reads it before the start: what each rung takes, and what the host allows.
    #[must_use]
    pub fn preview(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut total = Duration::ZERO;
        let mut backlog = 0;
        for step in &self.steps {
            let count = self.settled(step.want, BYTES_PER_CONNECTION, self.host.usable_bytes);
            let (Ok(server), Ok(load)) = (self.rings(count, true), self.rings(count, false)) else {
                lines.push(format!(
                    "{}: more than the limit on open files allows",
                    step.want
                ));
                continue;
            };
            backlog = server.backlog;
            let destinations = loopback_targets(count, 1, self.host.ephemeral).len();
            let span = self.span(count);
            total += span;
            let name = match step.want {
                Want::Max => format!("max, about {}", HumanCount(count)),
                Want::Count(asked) if asked > count => {
                    format!("{} cut to about {}", HumanCount(asked), HumanCount(count))
                }
                Want::Count(_) => HumanCount(count).to_string(),
            };
            lines.push(format!(
                "{name} at {} ms: server {server}; load {load}; {destinations} destination address{}; about {} of \
                 memory; {}",
                step.tick.as_millis(),
                if destinations == 1 { "" } else { "es" },
                HumanBytes(count * BYTES_PER_CONNECTION),
                minutes(span)
            ));
        }
        if let Some(hold) = self.options.hold {
            total += hold;
        }
        lines.push(format!(
            "limits: {} open files (the largest table of one ring), accept queues of {backlog}, {} of memory usable \
             less {} kept back; in all about {}",
            HumanCount(self.host.nofile),
            HumanBytes(self.host.usable_bytes),
            HumanBytes(self.host.reserve_bytes),
            minutes(total)
        ));
        lines
    }

    /// How long a rung of `connections` takes, as planned.
    pub(super) fn span(&self, connections: u64) -> Duration {
        let cost = &self.options.cost;
        let rate = match cost.ramp {
            crate::experiment::RampRate::PerSecond(rate) => Some(rate),
            _ => None,
        };
        let around = Duration::from_millis(600 + connections / 100);
        let each = ramp_span(connections, rate) + around + cost.steady.unwrap_or_default();
        let mut arms = cost.arms.clone();
        if !arms.contains(&Arm::None) {
            arms.push(Arm::None);
        }
        let once: Duration = arms.iter().map(|arm| each + self.settle(*arm)).sum();
        once * cost.rounds.unwrap_or(1)
    }

    /// Sentences to say before the start.
    #[must_use]
    pub fn forewarnings(&self) -> Vec<String> {
        let Some(plan) = self.largest() else {
            return Vec::new();
        };
        plan.burst_forewarning()
            .into_iter()
            .chain(self.crowded_hash(plan.connections))
            .collect()
    }

    /// The plan of the largest rung, as estimated.
    fn largest(&self) -> Option<CostPlan> {
        let counts = self
            .steps
            .iter()
            .map(|step| self.settled(step.want, BYTES_PER_CONNECTION, self.host.usable_bytes));
        self.cost_plan(counts.max()?.max(1), self.options.cost.tick)
            .ok()
    }

    /// What to ask the doctor before the start.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        self.largest().map(|plan| plan.question())
    }

    /// What the kernel's hash table of sockets costs at `connections`, both ends in it, when its chains are long.
    fn crowded_hash(&self, connections: u64) -> Option<String> {
        let buckets = self.host.hash_buckets.filter(|buckets| *buckets > 0)?;
        let finding = crowding(buckets, 2 * connections, connections);
        (finding.verdict == Verdict::Warns).then(|| finding.sentence())
    }
}

/// `45 s`, `12 min`.
fn minutes(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
