//! A storm's options and the host's facts become one plan: which arms with which ways of backing off, in which order.
//!
//! Pure. What can be refused before a connection is opened is refused here.

use crate::arm::Arm;
use crate::experiment::capacity::{HostFacts, fit};
use crate::experiment::doctor::Question;
use crate::experiment::plan::{CostOptions, CostPlan, ramp_span};
use crate::experiment::trial::TrialSpec;
use crate::load::{Backoff, Jitter};
use crate::record::Config;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Connections of a storm that names no number.
pub(super) const DEFAULT_CONNECTIONS: u64 = 20_000;
/// How long the kernel keeps a port that a FIN of ours has closed: `TCP_TIMEWAIT_LEN` in include/net/tcp.h.
const TIME_WAIT_S: u64 = 60;
/// Connections two cores bring back per second; for estimates of time only.
const USUAL_RECONNECTS_PER_SECOND: u64 = 10_000;

/// A way of backing off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Anything from zero to the ceiling.
    FullJitter,
    /// The ceiling: everybody at the same instants.
    NoJitter,
    /// No backoff at all.
    Immediate,
}

impl Way {
    /// All, in the order they run.
    pub const ALL: [Self; 3] = [Self::FullJitter, Self::NoJitter, Self::Immediate];

    /// The name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullJitter => "full-jitter",
            Self::NoJitter => "no-jitter",
            Self::Immediate => "immediate",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|way| way.name() == text).ok_or_else(|| {
            format!("`{text}` is no way of backing off: full-jitter, no-jitter or immediate")
        })
    }
}

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct StormOptions {
    /// What a storm has in common with a comparison; its `quick`, `rounds` and `no_rung` do not count. `steady` is the
    /// window of a churn.
    pub cost: CostOptions,
    /// Ceiling before the first attempt.
    pub base_ms: u64,
    /// The ceiling that is never exceeded.
    pub cap_ms: u64,
    /// The ways to run, each once per arm.
    pub ways: Vec<Way>,
    /// Connections to end and open anew per second, instead of a storm.
    pub churn_per_second: Option<u64>,
    /// End connections with a RST instead of a FIN.
    pub abort: bool,
    /// The longest to wait until all are back.
    pub give_up: Duration,
    /// The longest accept queue of a listener; `None` is the usual one.
    pub accept_queue: Option<u64>,
    /// Reconnects unanswered at once per core thread; `None` is no bound.
    pub reconnects_in_flight: Option<u64>,
}

/// One run of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlannedRun {
    pub(super) arm: Arm,
    pub(super) way: Way,
}

/// A storm with nothing left to decide.
#[derive(Clone, Debug)]
pub struct StormPlan {
    pub(super) options: StormOptions,
    pub(super) cost: CostPlan,
    pub(super) runs: Vec<PlannedRun>,
    /// Length of each listener's accept queue.
    pub(super) accept_queue: u64,
}

impl StormPlan {
    /// Fills in every default.
    ///
    /// # Errors
    /// A sentence with the remedy, when the host cannot hold it.
    pub fn new(options: StormOptions, mut host: HostFacts) -> Result<Self, String> {
        if let Some(most) = options.accept_queue {
            host.somaxconn = host.somaxconn.min(most);
        }
        let (asked, ends) = (options.cost.connections, options.cost.path.ends_here());
        let (connections, limited_by) =
            fit(asked, DEFAULT_CONNECTIONS, ends, &host).map_err(|error| error.to_string())?;
        let mut cost = options.cost.clone();
        cost.connections = Some(asked.unwrap_or(DEFAULT_CONNECTIONS));
        cost.quick = false;
        cost.rounds = Some(1);
        cost.no_rung = true;
        let cost = CostPlan::at(cost, host, connections, limited_by)?;
        let accept_queue = cost.accept_queue().map_err(|error| error.to_string())?;
        let of = |arm: Arm| {
            let ways = options.ways.iter();
            ways.map(move |way| PlannedRun { arm, way: *way })
        };
        let runs = options.cost.arms.iter().copied().flat_map(of).collect();
        Ok(Self {
            options,
            cost,
            runs,
            accept_queue,
        })
    }

    /// Whether it is no storm but a churn.
    pub(super) fn churns(&self) -> bool {
        self.options.churn_per_second.is_some()
    }

    /// The effective configuration, as the record keeps it.
    #[must_use]
    pub fn config(&self) -> Config {
        let names: Vec<String> = (0..self.runs.len()).map(|run| self.name(run)).collect();
        let steady = if self.churns() {
            self.cost.steady
        } else {
            Duration::ZERO
        };
        Config {
            order: vec![(0..names.len()).collect()],
            arms: names,
            soak_ms: 0,
            steady_ms: u64::try_from(steady.as_millis()).unwrap_or(u64::MAX),
            ..self.cost.config()
        }
    }

    /// What is particular to a storm, in words, for the settings printed before it.
    #[must_use]
    pub fn preview(&self) -> Vec<(&'static str, String)> {
        let options = &self.options;
        let ending = if options.abort { "a RST" } else { "a FIN" };
        let what = match options.churn_per_second {
            None => format!(
                "the server drops all at once with {ending}; given up after {} s",
                options.give_up.as_secs()
            ),
            Some(rate) => format!(
                "the clients end {rate} a second with {ending} each, for {} s, and open them anew at once",
                self.cost.steady.as_secs_f64()
            ),
        };
        let flight = options.reconnects_in_flight.map_or_else(
            || "all at once: clients do not know of each other".to_owned(),
            |most| format!("{most} per core"),
        );
        vec![
            (if self.churns() { "churn" } else { "storm" }, what),
            (
                "backoff",
                format!(
                    "{} ms doubling to {} ms at the most",
                    options.base_ms, options.cap_ms
                ),
            ),
            ("reconnects in flight", flight),
            (
                "accept queue",
                format!("{} connections per core", self.accept_queue),
            ),
        ]
    }

    /// Sentences to say before the start.
    #[must_use]
    pub fn forewarnings(&self) -> Vec<String> {
        self.cost.forewarnings()
    }

    /// What to ask the doctor before the start.
    #[must_use]
    pub fn question(&self) -> Question {
        self.cost.question()
    }

    /// The backoff of a way.
    pub(super) fn backoff(&self, way: Way) -> Backoff {
        let (base_ms, cap_ms) = match way {
            Way::Immediate => (0, 0),
            Way::FullJitter | Way::NoJitter => (self.options.base_ms, self.options.cap_ms),
        };
        Backoff {
            base_ms,
            cap_ms,
            jitter: match way {
                Way::FullJitter => Jitter::Full,
                Way::NoJitter | Way::Immediate => Jitter::None,
            },
            seed: self.cost.options.seed,
        }
    }

    /// Reconnects a core thread may have unanswered at once.
    pub(super) fn reconnects_in_flight(&self) -> u64 {
        let most = self.options.reconnects_in_flight;
        most.unwrap_or(self.cost.connections).max(1)
    }

    /// Ports a run takes: one per connection, and one for each that lingers in `TIME_WAIT` at the client, which ended
    /// it.
    pub(super) fn ports(&self) -> u64 {
        let lingering = match self.options.churn_per_second {
            Some(rate) if !self.options.abort => {
                let window = self.cost.steady.as_secs().saturating_add(1);
                rate.saturating_mul(window.min(TIME_WAIT_S))
            }
            _ => 0,
        };
        self.cost.connections.saturating_add(lingering)
    }

    /// What run number `run` is called among the samples.
    pub(super) fn name(&self, run: usize) -> String {
        let PlannedRun { arm, way } = self.runs[run];
        let several = self.runs.iter().any(|other| other.arm != arm);
        if several {
            format!("{arm} {way}")
        } else {
            way.to_string()
        }
    }

    /// The spec of run number `run`.
    pub(super) fn spec(&self, run: usize) -> TrialSpec {
        let arm = self.runs[run].arm;
        let connections = self.cost.connections;
        let churn = self.options.churn_per_second;
        // A storm's length is what it is about; this is for the time left on a progress line.
        let storm = ramp_span(connections, Some(USUAL_RECONNECTS_PER_SECOND))
            + Duration::from_millis(self.options.base_ms);
        let mut spec = TrialSpec {
            arm,
            engine: self
                .cost
                .options
                .engines
                .first()
                .copied()
                .unwrap_or_default(),
            name: self.name(run),
            control: Arm::None.to_string(),
            connections,
            ramp_rate: self.cost.ramp_rate,
            settle: self.cost.settle,
            steady: churn.map_or(storm, |_| self.cost.steady),
            round: u32::try_from(run).unwrap_or(u32::MAX),
            part: churn.map_or("storm", |_| "churn").to_owned(),
            place: (run, self.runs.len()),
            later: Duration::ZERO,
        };
        let left = u32::try_from(self.runs.len() - run - 1).unwrap_or(u32::MAX);
        spec.later = spec.span() * left;
        spec
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
