//! Options and the host's facts become one effective configuration, every default filled in.
//!
//! Pure. Everything that can be refused before a connection is opened is refused here.

use super::capacity::{CapacityError, HostFacts, fit};
use super::doctor::{Question, Side, Timing, Verdict, burst};
use super::network::NetworkPath;
use super::trial::soak_after;
use crate::arm::{Arm, Budget, KeepaliveSide};
use crate::bank::{Driver, EngineConfig, EngineKind, PlanError, RingPlan};
use crate::load::IN_FLIGHT;
use crate::measure::keepalive::{predict_burst_after_ramp, timer_granule};
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
/// Connections two cores open per second when nothing holds them back; for estimates of time only.
const USUAL_CONNECTS_PER_SECOND: u64 = 50_000;
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
    /// The measured window; `None` is one and a third intervals.
    pub steady: Option<Duration>,
    /// Wait between the last connection and the window; `None` is half a second, less when quick.
    pub settle: Option<Duration>,
    /// Rounds; `None` is three, or one when quick.
    pub rounds: Option<u32>,
    /// How fast connections are opened.
    pub ramp: RampRate,
    /// Connects unanswered at once per core thread of the load generator; `None` is [`IN_FLIGHT`], or the accept
    /// queue where that is shorter.
    pub in_flight: Option<u64>,
    /// Bytes the connections may take; `None` is what the machine has, less a reserve.
    pub memory_limit: Option<u64>,
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
    /// Seconds over which keepalive's idle time is spread, connection by connection.
    pub keepalive_spread_s: u32,
    /// What lies between the halves.
    pub path: NetworkPath,
    /// Whether the drop-free rung is left out.
    pub no_rung: bool,
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

/// How fast connections are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RampRate {
    /// All within one heartbeat interval.
    OverInterval,
    /// So many per second.
    PerSecond(u64),
    /// As fast as connects are answered.
    Free,
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
    /// Connections per second; `None` is as fast as connects are answered.
    pub(super) ramp_rate: Option<u64>,
    pub(super) in_flight: u64,
    pub(super) order: Vec<Vec<usize>>,
    pub(super) ring_plan: String,
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
        let ends = options.path.ends_here();
        let (mut connections, mut limited_by) = fit(options.connections, default, ends, &host)
            .map_err(|error: CapacityError| error.to_string())?;
        // As with memory: a default bends to the limit and says so, a typed number does not.
        if options.connections.is_none()
            && let Err(
                error @ (PlanError::OpenFiles { most, .. } | PlanError::Descriptors { most, .. }),
            ) = ring_plans(&options, &host, connections)
            && most > 0
        {
            (connections, limited_by) = (most, Some(error.to_string()));
        }
        Self::at(options, host, connections, limited_by)
    }

    /// Fills in every other default for a population that is settled.
    ///
    /// # Errors
    /// A sentence with the remedy, when the limit on open files does not hold it.
    pub(super) fn at(
        options: CostOptions,
        host: HostFacts,
        connections: u64,
        limited_by: Option<String>,
    ) -> Result<Self, String> {
        let rings = ring_plans(&options, &host, connections).map_err(|error| error.to_string())?;
        let backlog = rings.iter().map(|(_, plan)| plan.backlog).min();
        let interval = options.budget.interval.as_duration();
        let steady = options.steady.unwrap_or(if options.quick {
            interval * 7 / 6
        } else {
            interval * 4 / 3
        });
        let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 3 });
        let arms = name_arms(&options.arms, &options.engines);
        let order = order(arms.len(), rounds, options.seed);
        let ramp_rate = match options.ramp {
            RampRate::OverInterval => Some(rate_over(connections, options.budget.interval)),
            RampRate::PerSecond(rate) => Some(rate),
            RampRate::Free => None,
        };
        let in_flight = options
            .in_flight
            .unwrap_or_else(|| IN_FLIGHT.min(backlog.unwrap_or(1).into()));
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
            in_flight,
            order,
            ring_plan: describe(&rings),
        })
    }

    /// Length of the server's accept queues, one per core: the shortest of the engines'.
    pub(super) fn accept_queue(&self) -> Result<u64, PlanError> {
        let rings = ring_plans(&self.options, &self.host, self.connections)?;
        let shortest = rings.iter().map(|(_, plan)| plan.backlog).min();
        Ok(shortest.unwrap_or(1).into())
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
            keepalive_spread_s: options.keepalive_spread_s,
            path: options.path.name().to_owned(),
            soak_ms: whole(soak_after(self.steady)),
            steady_ms: whole(self.steady),
            settle_ms: whole(self.settle),
            rounds: self.rounds,
            ramp_rate_per_second: self.ramp_rate,
            in_flight_per_core: Some(self.in_flight),
            memory_limit_bytes: options.memory_limit,
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
            keepalive: arm.has_keepalive(),
            option_variants: 0,
            log_endings: false,
            phase_origin: Nanos::ZERO,
        }
    }

    /// Packets that one keepalive burst of `connections` puts on one CPU's backlog in `arm`, as foreseen.
    pub(super) fn predicted_burst(&self, arm: Arm, connections: u64, ramp: Duration) -> u64 {
        predict_burst_after_ramp(
            connections * self.options.keepalive_side.ends(),
            self.options.budget.keepalive_for(arm).idle_s,
            ramp.into(),
            self.host.hz,
            u32::try_from(self.options.server_cores.len()).unwrap_or(1),
        )
    }

    /// The first arm whose sockets probe.
    fn probing_arm(&self) -> Option<Arm> {
        let arms = self.arms.iter().map(|planned| planned.arm);
        arms.into_iter().find(|arm| arm.has_keepalive())
    }

    /// How coarse the kernel's timer wheel is at the distance of the idle time.
    pub(super) fn keepalive_granule_ms(&self, arm: Arm) -> u64 {
        let hz = u64::from(self.host.hz.max(1));
        let ticks = u64::from(self.options.budget.keepalive_for(arm).idle_s) * hz;
        timer_granule(ticks) * 1000 / hz
    }

    /// The largest round population whose burst fills no more than 7 tenths of the backlog, when the planned one
    /// overflows it.
    pub(super) fn drop_free_connections(&self) -> Option<u64> {
        if self.options.no_rung {
            return None;
        }
        let arm = self.probing_arm()?;
        let ramp = ramp_span(self.connections, self.ramp_rate);
        if self.predicted_burst(arm, self.connections, ramp) <= self.host.backlog {
            return None;
        }
        let interval = self.options.budget.interval;
        let mut connections = self.connections / 100 * 100;
        while connections > 100 {
            let ramp = ramp_span(connections, Some(rate_over(connections, interval)));
            let burst = self.predicted_burst(arm, connections, ramp);
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
        if self.arms.iter().any(|planned| planned.arm == Arm::Both) {
            notes.push(format!(
                "in the arm `both` keepalive is idle for {} s, less than the interval: any heartbeat starts it over",
                self.options.budget.keepalive_for(Arm::Both).idle_s
            ));
        }
        notes.extend(self.burst_forewarning().map(|text| {
            let rung = match self.drop_free_connections() {
                Some(rung) => format!("the cost ratio is measured at {rung} connections too"),
                None if self.options.no_rung => "--no-rung leaves it at that".to_owned(),
                None => "no population avoids it".to_owned(),
            };
            format!("{text}; {rung}")
        }));
        notes
    }

    /// What keepalive's bursts will do at this population, when they overflow the backlog.
    pub(super) fn burst_forewarning(&self) -> Option<String> {
        let cores = u32::try_from(self.options.server_cores.len()).unwrap_or(1);
        self.probing_arm()?;
        let finding = burst(&self.host, cores, self.connections, &self.timing());
        (finding.verdict == Verdict::Warns).then(|| finding.sentence())
    }

    /// How the connections are watched over, as the doctor asks.
    fn timing(&self) -> Timing {
        let budget = &self.options.budget;
        let probing = self.probing_arm();
        Timing {
            name: "as asked".to_owned(),
            interval: budget.interval,
            heartbeats: self.arms.iter().any(|planned| planned.arm.has_heartbeats()),
            keepalive_idle_s: budget.keepalive_for(probing.unwrap_or(Arm::None)).idle_s,
            keepalive_ends: probing.map_or(0, |_| self.options.keepalive_side.ends()),
            ramp: ramp_span(self.connections, self.ramp_rate).into(),
        }
    }

    /// What to ask the doctor before the start.
    #[must_use]
    pub fn question(&self) -> Question {
        let cores = |cores: &[usize]| u32::try_from(cores.len()).unwrap_or(u32::MAX);
        let engine = self.options.engines.first();
        Question {
            connections: Some(self.connections),
            side: match self.options.path {
                NetworkPath::Loopback | NetworkPath::Veth => Side::Both,
                NetworkPath::Fleet => Side::Server,
            },
            engine: engine.map(|engine| engine.kind).unwrap_or_default(),
            server_cores: cores(&self.options.server_cores),
            load_cores: cores(&self.options.load_cores),
            pairs: 1,
            runs: 1,
            timings: vec![self.timing()],
        }
    }
}

/// Connections per second that open `connections` in one `interval`.
pub(super) fn rate_over(connections: u64, interval: Nanos) -> u64 {
    let per_second = u128::from(connections) * 1_000_000_000 / u128::from(interval.0.max(1));
    u64::try_from(per_second).unwrap_or(u64::MAX).max(1)
}

/// The server's rings with each engine.
fn ring_plans(
    options: &CostOptions,
    host: &HostFacts,
    connections: u64,
) -> Result<Vec<(EngineKind, RingPlan)>, PlanError> {
    let cores = u32::try_from(options.server_cores.len()).unwrap_or(u32::MAX);
    let plan = |engine: &EngineConfig| {
        let (nofile, somaxconn) = (host.nofile, host.somaxconn);
        RingPlan::for_engine(engine.kind, connections, cores, nofile, somaxconn, true)
            .map(|plan| (engine.kind, plan))
    };
    options.engines.iter().map(plan).collect()
}

/// How long the opening of `connections` takes; without a rate, at the pace that is usual.
pub(super) fn ramp_span(connections: u64, rate: Option<u64>) -> Duration {
    let rate = rate.unwrap_or(USUAL_CONNECTS_PER_SECOND).max(1);
    Duration::from_millis(connections.saturating_mul(1000) / rate)
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
pub(super) fn order(arms: usize, rounds: u32, seed: u64) -> Vec<Vec<usize>> {
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
