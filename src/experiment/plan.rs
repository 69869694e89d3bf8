//! Options and the host's facts become one effective configuration, every default filled in.
//!
//! Pure. Everything that can be refused before a connection is opened is refused here.

use super::capacity::{CapacityError, HostFacts, fit};
use crate::arm::{Arm, Budget, KeepaliveSide};
use crate::bank::{Driver, EngineConfig, EngineKind, PlanError, RingPlan};
use crate::measure::keepalive::predict_burst_after_ramp;
use crate::record::Config;
use crate::shard::{Phases, Role, Settings};
use crate::units::Nanos;
use crate::wheel::TimersKind;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use std::time::Duration;

/// Connections of a run that names no number.
pub const DEFAULT_CONNECTIONS: u64 = 100_000;
/// Connections of `--quick`.
pub const QUICK_CONNECTIONS: u64 = 10_000;

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct CostOptions {
    /// `None` takes the default and bends to the host.
    pub connections: Option<u64>,
    /// Ten thousand connections, one round, a short window.
    pub quick: bool,
    /// Arms as named, repeats allowed; `none` is added when it is missing.
    pub arms: Vec<Arm>,
    /// Engines; with several, every arm runs on each of them.
    pub engines: Vec<EngineConfig>,
    /// What the threads of both halves sleep on.
    pub driver: Driver,
    /// The detection budget.
    pub budget: Budget,
    /// The measured window; `None` is two intervals.
    pub steady: Option<Duration>,
    /// Wait between the last connection and the window; `None` is half a second, less when quick.
    pub settle: Option<Duration>,
    /// Rounds; `None` is three, or one when quick.
    pub rounds: Option<u32>,
    /// Connections per second; `None` spreads the ramp over one interval.
    pub ramp_rate: Option<u64>,
    /// Length of a tick.
    pub tick: Duration,
    /// Spread of the heartbeats.
    pub phases: Phases,
    /// What holds the deadlines.
    pub timers: TimersKind,
    /// Cores of the server.
    pub server_cores: Vec<usize>,
    /// Cores of the load generator.
    pub load_cores: Vec<usize>,
    /// Congestion control of both ends.
    pub congestion: String,
    /// Who probes in the keepalive arm.
    pub keepalive_side: KeepaliveSide,
    /// Seed of the order and the bootstrap.
    pub seed: u64,
    /// A name for the run.
    pub label: Option<String>,
    /// The command line as typed.
    pub command: String,
}

/// One column of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedArm {
    pub(super) arm: Arm,
    pub(super) engine: EngineConfig,
    /// As reported: the arm's own name, a number when it repeats, the engine when there are several.
    pub(super) name: String,
    /// The arm its costs are net of.
    pub(super) control: String,
}

/// A run with nothing left to decide.
#[derive(Clone, Debug)]
pub struct CostPlan {
    pub(super) options: CostOptions,
    pub(super) host: HostFacts,
    /// The arms of each engine, the control of each first.
    pub(super) arms: Vec<PlannedArm>,
    pub(super) connections: u64,
    pub(super) limited_by: Option<String>,
    pub(super) steady: Duration,
    pub(super) settle: Duration,
    pub(super) rounds: u32,
    pub(super) ramp_rate: u64,
    pub(super) order: Vec<Vec<usize>>,
    pub(super) ring_plan: String,
    /// Accept queue of each of the server's listeners.
    pub(super) backlog: u32,
}

impl CostPlan {
    /// Fills in every default.
    ///
    /// # Errors
    /// A sentence with the remedy, when the host cannot hold it.
    pub fn new(options: CostOptions, host: HostFacts) -> Result<Self, String> {
        let default = if options.quick {
            QUICK_CONNECTIONS
        } else {
            DEFAULT_CONNECTIONS
        };
        let (mut connections, mut limited_by) = fit(options.connections, default, &host)
            .map_err(|error: CapacityError| error.to_string())?;
        let server_cores = u32::try_from(options.server_cores.len()).unwrap_or(u32::MAX);
        let ring_plan = |count| {
            let plan = |engine: &EngineConfig| {
                let kind = engine.kind;
                RingPlan::for_engine(kind, count, server_cores, host.nofile, host.somaxconn, true)
                    .map(|plan| (kind, plan))
            };
            options
                .engines
                .iter()
                .map(plan)
                .collect::<Result<Vec<_>, _>>()
        };
        let rings = match ring_plan(connections) {
            Ok(rings) => rings,
            // As with memory: a default bends to the limit and says so, a typed number does not.
            Err(
                error @ (PlanError::OpenFiles { most, .. } | PlanError::Descriptors { most, .. }),
            ) if options.connections.is_none() && most > 0 => {
                (connections, limited_by) = (most, Some(error.to_string()));
                ring_plan(most).map_err(|error| error.to_string())?
            }
            Err(error) => return Err(error.to_string()),
        };
        let interval = options.budget.interval.as_duration();
        let steady = options.steady.unwrap_or(if options.quick {
            interval * 4 / 3
        } else {
            interval * 2
        });
        let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 });
        let arms = name_arms(&options.arms, &options.engines);
        let order = order(arms.len(), rounds, options.seed);
        let ramp_rate = options
            .ramp_rate
            .unwrap_or_else(|| rate_over(connections, options.budget.interval));
        let settle = options
            .settle
            .unwrap_or_else(|| Duration::from_millis(if options.quick { 300 } else { 500 }));
        Ok(Self {
            options,
            host,
            arms,
            connections,
            limited_by,
            steady,
            settle,
            rounds,
            ramp_rate,
            order,
            ring_plan: describe(&rings),
            backlog: rings
                .iter()
                .map(|(_, plan)| plan.backlog)
                .min()
                .unwrap_or(1),
        })
    }

    /// The engines that run.
    #[must_use]
    pub fn engines(&self) -> Vec<EngineKind> {
        self.options
            .engines
            .iter()
            .map(|engine| engine.kind)
            .collect()
    }

    /// The effective configuration, as the record keeps it.
    #[must_use]
    pub fn config(&self) -> Config {
        let (options, budget) = (&self.options, &self.options.budget);
        let millis = |span: Nanos| span.0 / 1_000_000;
        let whole = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Config {
            connections_asked: options.connections.unwrap_or(if options.quick {
                QUICK_CONNECTIONS
            } else {
                DEFAULT_CONNECTIONS
            }),
            connections: self.connections,
            connections_limited_by: self.limited_by.clone(),
            arms: self.arms.iter().map(|arm| arm.name.clone()).collect(),
            engines: options
                .engines
                .iter()
                .map(|engine| engine.kind.to_string())
                .collect(),
            driver: options.driver.to_string(),
            detect_within_ms: millis(budget.detect_within),
            misses: budget.misses,
            heartbeat_interval_ms: millis(budget.interval),
            idle_timeout_ms: millis(budget.idle_timeout),
            answer_timeout_ms: millis(budget.answer_timeout),
            keepalive_idle_s: budget.keepalive_idle_s,
            keepalive_interval_s: budget.keepalive_interval_s,
            keepalive_count: budget.keepalive_count,
            keepalive_side: options.keepalive_side.name().to_owned(),
            steady_ms: whole(self.steady),
            settle_ms: whole(self.settle),
            rounds: self.rounds,
            ramp_rate_per_second: Some(self.ramp_rate),
            tick_us: u64::try_from(options.tick.as_micros()).unwrap_or(u64::MAX),
            phases: options.phases.name().to_owned(),
            timers: match options.timers {
                TimersKind::Wheel => "wheel".to_owned(),
                TimersKind::Sweep { .. } => "sweep".to_owned(),
            },
            sweep_period_ms: match options.timers {
                TimersKind::Wheel => None,
                TimersKind::Sweep { period } => Some(whole(options.tick.saturating_mul(period))),
            },
            server_cores: options.server_cores.clone(),
            load_cores: options.load_cores.clone(),
            ring_plan: self.ring_plan.clone(),
            congestion_control: options.congestion.clone(),
            seed: options.seed,
            order: self.order.clone(),
        }
    }

    /// How long one trial takes, as planned: ramp, settle, window, and about a second around them.
    pub(super) fn trial_span(&self, connections: u64, ramp_rate: u64) -> Duration {
        let ramp_ms = connections.saturating_mul(1000) / ramp_rate.max(1);
        let around = Duration::from_millis(600 + connections / 100);
        Duration::from_millis(ramp_ms) + self.settle + self.steady + around
    }

    /// Settings of a half that plays `role` in `arm` with so many connections.
    pub(super) fn settings(&self, arm: Arm, role: Role, connections: u64) -> Settings {
        let budget = &self.options.budget;
        Settings {
            role,
            interval: budget.interval,
            idle_timeout: budget.idle_timeout,
            answer_timeout: budget.answer_timeout,
            tick: self.options.tick.into(),
            phases: self.options.phases.among(connections),
            timers: self.options.timers,
            keepalive: arm == Arm::Keepalive,
        }
    }

    /// Packets that one keepalive burst of `connections` puts on one CPU's backlog, as foreseen.
    pub(super) fn predicted_burst(&self, connections: u64, ramp_rate: u64) -> u64 {
        let ramp_ns = u128::from(connections) * 1_000_000_000 / u128::from(ramp_rate.max(1));
        predict_burst_after_ramp(
            connections * self.options.keepalive_side.ends(),
            self.options.budget.keepalive_idle_s,
            Nanos(u64::try_from(ramp_ns).unwrap_or(u64::MAX)),
            self.host.hz,
            u32::try_from(self.options.server_cores.len()).unwrap_or(1),
        )
    }

    /// The largest round population whose burst fills no more than 7 tenths of the backlog, when the planned one
    /// overflows it.
    pub(super) fn drop_free_connections(&self) -> Option<u64> {
        if self.predicted_burst(self.connections, self.ramp_rate) <= self.host.backlog {
            return None;
        }
        let interval = self.options.budget.interval;
        let mut connections = self.connections / 100 * 100;
        while connections > 100 {
            let burst = self.predicted_burst(connections, rate_over(connections, interval));
            if burst * 10 <= self.host.backlog * 7 {
                return Some(connections);
            }
            connections = connections * 95 / 100 / 100 * 100;
        }
        None
    }

    /// Sentences to say before the start.
    #[must_use]
    pub fn forewarnings(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.limited_by.iter().cloned().collect();
        let keepalive = self
            .arms
            .iter()
            .any(|planned| planned.arm == Arm::Keepalive);
        let burst = self.predicted_burst(self.connections, self.ramp_rate);
        if keepalive && burst > self.host.backlog {
            notes.push(format!(
                "keepalive will fire about {burst} probes at once per CPU (kernel timer wheel at HZ {}, \
                 idle {} s), more than net.core.netdev_max_backlog = {} takes: expect dropped probes and \
                 healthy connections closed; {}",
                self.host.hz,
                self.options.budget.keepalive_idle_s,
                self.host.backlog,
                match self.drop_free_connections() {
                    Some(rung) => format!("the cost ratio is measured at {rung} connections too"),
                    None => "no population avoids it".to_owned(),
                }
            ));
        }
        notes
    }
}

/// Connections per second that open `connections` in one `interval`.
pub(super) fn rate_over(connections: u64, interval: Nanos) -> u64 {
    let per_second = u128::from(connections) * 1_000_000_000 / u128::from(interval.0.max(1));
    u64::try_from(per_second).unwrap_or(u64::MAX).max(1)
}

/// The rings of each engine, for people.
fn describe(rings: &[(EngineKind, RingPlan)]) -> String {
    match rings {
        [(_, plan)] => plan.to_string(),
        several => several
            .iter()
            .map(|(engine, plan)| format!("{engine}: {plan}"))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// Per engine: the control first, then the arms as asked; repeats carry `#2`, `#3`, …, and with several engines each
/// name says its own.
fn name_arms(asked: &[Arm], engines: &[EngineConfig]) -> Vec<PlannedArm> {
    let mut planned = Vec::new();
    for &engine in engines {
        let named = |name: String| match engines.len() {
            1 => name,
            _ => format!("{name}@{}", engine.kind),
        };
        let control = named(Arm::None.to_string());
        let mut arms: Vec<PlannedArm> = Vec::new();
        let missing = (!asked.contains(&Arm::None)).then_some(Arm::None);
        for arm in missing.into_iter().chain(asked.iter().copied()) {
            let repeats = arms.iter().filter(|other| other.arm == arm).count();
            let name = if repeats == 0 {
                arm.to_string()
            } else {
                format!("{arm}#{}", repeats + 1)
            };
            arms.push(PlannedArm {
                arm,
                engine,
                name: named(name),
                control: control.clone(),
            });
        }
        // A control that was named later still leads.
        arms.sort_by_key(|planned| planned.name != control);
        planned.extend(arms);
    }
    planned
}

/// Per round, the order of the arms: shuffled, then the next round the other way round, so that a drift of the
/// machine hits every arm from both sides.
fn order(arms: usize, rounds: u32, seed: u64) -> Vec<Vec<usize>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut forth: Vec<usize> = (0..arms).collect();
    (0..rounds)
        .map(|round| {
            if round % 2 == 0 {
                forth.shuffle(&mut random);
                forth.clone()
            } else {
                forth.iter().rev().copied().collect()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
