//! What the commands that measure a cost take alike, and the experiment's options it becomes: `compare`, `scale`, `storm`.
//!
//! Does not know what each measures; whoever flattens this fills in the rest.

use super::flags::{BothCoresFlags, BudgetFlags, EngineFlags, RampBounds};
use super::place::{RunFlags, command_line};
use super::{Failure, host};
use crate::arm::{Arm, Budget};
use crate::experiment::{CostOptions, NetworkPath, RampRate};
use clap::Args;

/// Flags of a cost: what its ramps may not exceed, the detection budget, the engine, and the run.
#[derive(Debug, Args)]
pub(super) struct CostFlags {
    #[command(flatten)]
    bounds: RampBounds,
    #[command(flatten)]
    pub(super) budget: BudgetFlags,
    #[command(flatten)]
    pub(super) engine: EngineFlags,
    #[command(flatten)]
    cores: BothCoresFlags,
    #[command(flatten)]
    pub(super) run: RunFlags,
}

impl CostFlags {
    /// The options of `arms` at `budget` on the one engine asked for, over loopback, opened as fast as is accepted, with
    /// the experiment's own connections, rounds and times. The caller overrides what it has flags for.
    ///
    /// # Errors
    /// [`Failure::Usage`] when flags contradict each other, [`Failure::Host`] when the congestion control asked for
    /// cannot be had.
    pub(super) fn options(&self, arms: &[Arm], budget: Budget) -> Result<CostOptions, Failure> {
        let (engine, kernel) = (&self.engine, &self.engine.kernel);
        Ok(CostOptions {
            connections: None,
            quick: false,
            arms: arms.to_vec(),
            engines: vec![kernel.config()],
            driver: kernel.driver,
            budget,
            steady: None,
            settle: None,
            rounds: None,
            ramp: RampRate::Free,
            in_flight: self.bounds.in_flight,
            memory_limit: self.bounds.memory_limit,
            tick: kernel.tick.as_duration(),
            phases: engine.phases,
            timers: engine.timers()?,
            server_cores: self.cores.server(),
            load_cores: self.cores.load(),
            congestion: host::congestion(kernel.congestion.as_deref())?.unwrap_or_default(),
            keepalive_side: engine.keepalive_side,
            keepalive_spread_s: engine.keepalive_spread.unwrap_or(0),
            path: NetworkPath::Loopback,
            no_rung: false,
            seed: self.run.seed(),
            label: self.run.label(),
            command: command_line(),
        })
    }
}
