//! What all costs of a life cycle have in common: the two processes, and what drives them.
//!
//! Pure. No mechanism runs on any of the connections, so there is no budget to choose.

use crate::arm::{Arm, Budget, KeepaliveSide};
use crate::bank::{Driver, EngineConfig};
use crate::experiment::capacity::{HostFacts, fit};
use crate::experiment::plan::{CostOptions, CostPlan};
use crate::experiment::trial::TrialSpec;
use crate::experiment::{NetworkPath, RampRate};
use crate::shard::Phases;
use crate::wheel::TimersKind;
use std::time::Duration;

/// How both processes are made.
#[derive(Clone, Debug)]
pub struct LifecycleShape {
    /// What carries the operations.
    pub engine: EngineConfig,
    /// What the threads of both halves sleep on.
    pub driver: Driver,
    /// Length of a tick.
    pub tick: Duration,
    /// Cores of the server.
    pub server_cores: Vec<usize>,
    /// Cores of the load generator.
    pub load_cores: Vec<usize>,
    /// Congestion control of both ends.
    pub congestion: String,
    /// Bytes the connections may take; `None` is what the machine has, less a reserve.
    pub memory_limit: Option<u64>,
    /// Seed of the order and the bootstrap.
    pub seed: u64,
}

impl LifecycleShape {
    /// A plan for `asked` connections, or for `usual` cut to what the host holds, opened as fast as they are answered
    /// over `path`; with a bound on the connects in flight per core, if one is given.
    pub(super) fn plan(
        &self,
        (asked, usual): (Option<u64>, u64),
        path: NetworkPath,
        in_flight: Option<u64>,
        host: HostFacts,
    ) -> Result<CostPlan, String> {
        let (connections, limited_by) =
            fit(asked, usual, path.ends_here(), &host).map_err(|error| error.to_string())?;
        let (within, misses) = Budget::STRICT;
        let options = CostOptions {
            connections: Some(asked.unwrap_or(usual)),
            quick: false,
            arms: vec![Arm::None],
            engines: vec![self.engine],
            driver: self.driver,
            budget: Budget::derive(within, misses).map_err(|error| error.to_string())?,
            steady: Some(Duration::ZERO),
            settle: Some(Duration::ZERO),
            rounds: Some(1),
            ramp: RampRate::Free,
            in_flight,
            memory_limit: self.memory_limit,
            tick: self.tick,
            phases: Phases::Staggered,
            timers: TimersKind::Wheel,
            server_cores: self.server_cores.clone(),
            load_cores: self.load_cores.clone(),
            congestion: self.congestion.clone(),
            keepalive_side: KeepaliveSide::Server,
            keepalive_spread_s: 0,
            path,
            no_rung: true,
            seed: self.seed,
            label: None,
            command: String::new(),
        };
        CostPlan::at(options, host, connections, limited_by)
    }
}

/// A trial of `plan` called `name`, at `place` among how many.
pub(super) fn spec(
    plan: &CostPlan,
    (name, part): (&str, &str),
    (round, place): (u32, (usize, usize)),
    steady: Duration,
) -> TrialSpec {
    let mut spec = TrialSpec {
        arm: Arm::None,
        engine: plan.options.engines.first().copied().unwrap_or_default(),
        name: name.to_owned(),
        control: Arm::None.to_string(),
        connections: plan.connections,
        ramp_rate: None,
        settle: Duration::ZERO,
        steady,
        round,
        part: part.to_owned(),
        place,
        later: Duration::ZERO,
    };
    let left = u32::try_from(place.1.saturating_sub(place.0 + 1)).unwrap_or(u32::MAX);
    spec.later = spec.span() * left;
    spec
}
