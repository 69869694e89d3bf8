//! What a run of `lifecycle` plays and measures.
//!
//! Pure.

use super::handshake::HandshakePlan;
use super::scenarios::{Scenario, TIME_WAIT, TIME_WAIT_UNWAITED, all};
use super::{LifecycleShape, TurnoverPlan};
use crate::experiment::HostFacts;
use crate::record::Config;
use std::time::Duration;

/// Where the scenario of `TIME-WAIT` is told: before those that something arrives in it.
const BEFORE: &str = "syn-in-time-wait";
/// The scenarios together, with four at once, and the same without the minute's wait.
const SCENARIOS: Duration = Duration::from_secs(6);
/// `TIME-WAIT` with what leads to it.
pub(super) const MINUTE: Duration = Duration::from_secs(64);
/// Connections of the ramp whose accept queues are short on purpose, and that length; the same when quick.
const OVERFLOWING: [(u64, u64); 2] = [(50_000, 128), (2_000, 16)];

/// What was asked for.
#[derive(Clone, Debug)]
pub struct LifecycleOptions {
    /// `TIME-WAIT` is not waited for, and the costs are of a small population.
    pub quick: bool,
    /// Names of scenarios; empty is all.
    pub scenarios: Vec<String>,
    /// Whether costs are measured.
    pub costs: bool,
    /// Connections of the turnovers.
    pub connections: Option<u64>,
    /// Connections of the large ramp.
    pub handshake: Option<u64>,
    /// How the two processes of the costs are made.
    pub shape: LifecycleShape,
    /// A name for the run.
    pub label: Option<String>,
    /// The command line.
    pub command: String,
}

/// The run.
#[derive(Debug)]
pub struct LifecyclePlan {
    pub(super) options: LifecycleOptions,
    /// All but the one that takes a minute.
    pub(super) scenarios: Vec<&'static Scenario>,
    /// That one, and its place among them.
    pub(super) waited: Option<(usize, &'static Scenario)>,
    pub(super) turnovers: TurnoverPlan,
    pub(super) handshakes: Vec<HandshakePlan>,
}

/// The scenarios there are, each by its name and its heading.
#[must_use]
pub fn scenarios() -> Vec<(&'static str, &'static str)> {
    in_order(false)
        .iter()
        .map(|scenario| (scenario.name, scenario.title))
        .collect()
}

/// All in the order told, with the wait or without.
fn in_order(quick: bool) -> Vec<&'static Scenario> {
    let mut scenarios = all();
    let at = scenarios
        .iter()
        .position(|scenario| scenario.name == BEFORE);
    let time_wait = if quick {
        &TIME_WAIT_UNWAITED
    } else {
        &TIME_WAIT
    };
    scenarios.insert(at.unwrap_or(scenarios.len()), time_wait);
    scenarios
}

impl LifecyclePlan {
    /// Puts the run together.
    ///
    /// # Errors
    /// A sentence with the remedy, when the host cannot hold the connections asked for.
    pub fn new(options: LifecycleOptions, host: &HostFacts) -> Result<Self, String> {
        let wanted = |scenario: &&Scenario| {
            options.scenarios.is_empty()
                || options.scenarios.iter().any(|name| name == scenario.name)
        };
        let mut scenarios: Vec<_> = in_order(options.quick).into_iter().filter(wanted).collect();
        let takes_a_minute =
            |scenario: &&Scenario| !options.quick && scenario.name == TIME_WAIT.name;
        let place = scenarios.iter().position(takes_a_minute);
        let minute = place.map(|place| (place, scenarios.remove(place)));
        let (shape, quick) = (&options.shape, options.quick);
        let turnovers = TurnoverPlan::new(shape, options.connections, quick, host.clone())?;
        let (connections, queue) = OVERFLOWING[usize::from(quick)];
        let ramp =
            |connections, queue| HandshakePlan::new(shape, connections, queue, quick, host.clone());
        let handshakes = vec![
            ramp(Some(connections), Some(queue))?,
            ramp(options.handshake, None)?,
        ];
        Ok(Self {
            options,
            scenarios,
            waited: minute,
            turnovers,
            handshakes,
        })
    }

    /// About how long it will take.
    #[must_use]
    pub fn span(&self) -> Duration {
        let costs: Duration = if self.options.costs {
            let ramps: Duration = self.handshakes.iter().map(HandshakePlan::span).sum();
            self.turnovers.span() + super::ports::span(self.options.quick) + ramps
        } else {
            Duration::ZERO
        };
        let told = SCENARIOS + costs;
        if self.waited.is_some() {
            told.max(MINUTE)
        } else {
            told
        }
    }

    /// The effective configuration, as the record keeps it.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            path: "three namespaces".to_owned(),
            ..self.turnovers.config()
        }
    }
}
