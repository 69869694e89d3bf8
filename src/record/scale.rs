//! What a record of `scale` holds beside the rest: its rungs, the hold, the floor, the memory foreseen.
//!
//! Does not compute any of it. A rung is the cost comparison at one population and one tick; its arms have the same
//! shape as those of `compare`. See the [module above](super) for units and the meaning of `null`.

use super::{ArmRecord, Comparison, Estimate};
use serde::{Deserialize, Serialize};

/// A climb.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScaleRecord {
    /// What differs from rung to rung.
    pub axis: ScaleAxis,
    /// The ladder as asked for, in words: `10k`, `max`.
    pub asked: Vec<String>,
    /// The largest population asked for by its number that the machine did not hold; `null` when all were reached.
    #[serde(default)]
    pub not_reached: Option<u64>,
    /// The rungs that were measured, from the smallest.
    pub rungs: Vec<ScaleRung>,
    /// The long window at the top.
    pub hold: Option<HoldRecord>,
    /// What an exchange costs without an event loop, by number of pairs.
    pub floor: Vec<FloorRecord>,
    /// What was foreseen of memory.
    pub memory: ScaleMemory,
    /// Ramps that were stopped because memory would have run out, in their order.
    pub stops: Vec<StopRecord>,
}

/// What differs from rung to rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ScaleAxis {
    /// The population.
    #[default]
    Connections,
    /// The length of a tick, at one population.
    Tick,
}

/// All arms at one population and one tick.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScaleRung {
    /// Connections per arm.
    pub connections: u64,
    /// Why this population: `asked for`, or what bounded it.
    pub reason: String,
    /// Period of a core thread.
    pub tick_us: u64,
    /// The server's rings: `2 core threads × 3 rings × 17,936`.
    pub server_rings: String,
    /// The load generator's rings.
    pub load_rings: String,
    /// Loopback addresses the connections went to.
    pub destinations: u64,
    /// The arms, control first; rounds are numbered through the whole run.
    pub arms: Vec<ArmRecord>,
    /// Who did best here.
    pub comparisons: Vec<Comparison>,
}

/// The top rung held for long.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HoldRecord {
    /// Length of the window asked for.
    pub steady_ms: u64,
    /// The arm, with the control of the top rung scaled to the longer window.
    pub arm: ArmRecord,
}

/// One thread, plain `write`, `read`, `write`, `read` over pairs of loopback sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FloorRecord {
    /// Connections gone through in turn.
    pub pairs: u64,
    /// Exchanges measured, both ways each.
    pub exchanges: u64,
    /// CPU time of the thread per exchange, the kernel's part included; low and high are the 2.5th and 97.5th
    /// percentile of the slices.
    pub cpu_ns_per_exchange: Estimate,
}

/// What was foreseen of memory, and what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScaleMemory {
    /// What connections could take when the run began.
    pub usable_bytes_at_start: u64,
    /// What was kept back.
    pub reserve_bytes: u64,
    /// Measured during the ramps: the most any arm took per connection at the largest rung that tells (ten
    /// thousand connections and more), both ends.
    pub bytes_per_connection: Option<u64>,
    /// Connections that would fit by the two lines above and `--memory-limit`.
    pub connections_that_fit: Option<u64>,
}

/// A ramp that was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StopRecord {
    /// The arm that was being opened.
    pub arm: String,
    /// Connections asked for.
    pub connections_requested: u64,
    /// Open when it was stopped.
    pub connections_open: u64,
    /// What each had taken.
    pub bytes_per_connection: u64,
    /// What was still usable.
    pub usable_bytes: u64,
    /// `memory`, or `memory-limit` for the user's own.
    pub bound: String,
}
