//! What a record of connections held by hand holds: one row per load generator, the server's own, and their sum.
//!
//! Does not compute any of it. `serve` and `load` leave one host each in such a record, `merge` joins them; a part of the
//! hosts is as good a record as all of them. Instants of different hosts are of different clocks: what compares them
//! carries the bound of its error. See the [module above](super) for units and the meaning of `null`.

use super::{CpuNanos, Environment, HistogramRecord, MemoryPerConnection, OpeningPressure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What two hosts' clocks may drift apart, millionths of the time that passes: 50 for each crystal. Every bound of an error
/// between two clocks allows for it.
pub const CLOCK_DRIFT_PPM: u64 = 100;

/// One run on one host or on many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetRecord {
    /// The run's name, the same in the records of all its hosts; the rendezvous makes one up, or `--run` says it.
    pub run: String,
    /// How many load generators there are in all.
    pub shards: u32,
    /// Connections of all of them together.
    pub connections_asked: u64,
    /// The arm that ran.
    pub arm: String,
    /// The load generators of this record, by their shard.
    pub loads: Vec<LoadHost>,
    /// The server, when its record is among those joined.
    pub server: Option<ServerHost>,
    /// All load generators of this record together.
    pub together: FleetTotals,
}

/// What every host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetHost {
    /// Its name: the system's host name, or what `--host-name` says.
    pub name: String,
    /// The machine.
    pub environment: Environment,
    /// What carried the operations.
    pub engine: String,
    /// What the threads slept on.
    pub driver: String,
    /// Cores of its threads.
    pub cores: Vec<usize>,
    /// Its rings.
    pub ring_plan: String,
    /// When it began, RFC 3339 by its own wall clock.
    pub started_at: String,
    /// Why its part is not whole; `null` when it is.
    pub stopped: Option<String>,
    /// The stretch that was measured; `null` when it did not come to one.
    pub window: Option<FleetWindow>,
    /// Busy time of the whole host in the window, and its split.
    pub cpu_ns: Option<CpuNanos>,
    /// Packets over the interface towards the others in the window, both ways.
    pub packets: Option<u64>,
    /// Their bytes, IP headers included.
    pub wire_bytes: Option<u64>,
    /// Packets this host's backlog dropped in the window.
    pub backlog_drops: Option<u64>,
    /// Reasons by key, for every figure that is `null`.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
}

/// A measured stretch, by the clocks of the host that measured it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetWindow {
    /// When it opened, by the host's wall clock, nanoseconds since 1970.
    pub opened_epoch_ns: u64,
    /// How long it was open, by the host's monotonic clock.
    pub length_ns: u64,
    /// How the host's wall clock stood to that of the others when it opened.
    pub clock: FleetClock,
}

/// How one host's wall clock stands to the fleet's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetClock {
    /// `rendezvous`: compared with the clock of whoever served the rendezvous; `own`: that host itself;
    /// `start-at`: never compared, the host's clock is taken at its word.
    pub compared_with: String,
    /// What is to be added to this host's clock to have the other's; `null` when they were never compared.
    pub offset_ns: Option<i64>,
    /// The offset is right to so much either way: half of the shortest round trip (RFC 5905, section 8), and what two
    /// crystals may drift apart meanwhile. `null` when nothing is known.
    pub error_ns: Option<u64>,
    /// Round trips it was measured with.
    pub round_trips: u32,
}

/// One load generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LoadHost {
    /// Which of the load generators, from 0.
    pub shard: u32,
    /// The host and its part.
    pub host: FleetHost,
    /// Addresses its connections come from.
    pub source_addresses: Vec<String>,
    /// Its own share of the connections.
    pub connections_asked: u64,
    /// First connects that were answered; those that came back are not in it.
    pub connections_established: u64,
    /// Connects that were answered of those that had been lost before, where they reconnect.
    #[serde(default)]
    pub reconnects_established: u64,
    /// Still there when the window had closed, by its own count; those that came back are in it.
    pub connections_held_at_end: u64,
    /// Established sockets of its kernel then, where they can be told from others'.
    pub kernel_held: Option<u64>,
    /// Lost by cause.
    pub connections_lost: BTreeMap<String, u64>,
    /// Connects that failed, by what the system said (`ECONNREFUSED`).
    pub connects_failed: BTreeMap<String, u64>,
    /// From the first connect to the answer to the last.
    pub opened_in_ns: Option<u64>,
    /// What its connects met with.
    pub opening: OpeningPressure,
    /// Heartbeats sent in the window.
    pub heartbeats_sent: u64,
    /// Heartbeats received in the window, where the server sends them.
    pub heartbeats_received: u64,
    /// Acks received in the window.
    pub acks_received: u64,
    /// Keepalive probes attempted in the window, where its sockets carry keepalive and can be told from others': the
    /// kernel counts them by network namespace. Those of the rendezvous' own connections are in it.
    pub probes_attempted: Option<u64>,
    /// What was recorded in the window, by name (`rtt`, `response`, `schedule_lag`), and over the ramp (`connect`).
    pub histograms: BTreeMap<String, HistogramRecord>,
}

/// The server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerHost {
    /// The host and its part.
    pub host: FleetHost,
    /// Connections it accepted.
    pub connections_accepted: u64,
    /// Still there when the window had closed, by its own count.
    pub connections_held_at_end: u64,
    /// Established sockets of its kernel then.
    pub kernel_held: Option<u64>,
    /// Lost by cause.
    pub connections_lost: BTreeMap<String, u64>,
    /// What its listeners met with while connections came.
    pub opening: OpeningPressure,
    /// Heartbeats received in the window.
    pub heartbeats_received: u64,
    /// Heartbeats sent in the window, where the server sends them.
    pub heartbeats_sent: u64,
    /// Acks sent in the window.
    pub acks_sent: u64,
    /// Acks received in the window, where the server sends the heartbeats.
    pub acks_received: u64,
    /// Keepalive probes attempted in the window, as [`LoadHost::probes_attempted`].
    pub probes_attempted: Option<u64>,
    /// Memory per connection, this end's alone where the others are on other hosts.
    pub memory_bytes_per_connection: MemoryPerConnection,
    /// What was recorded in the window, by name.
    pub histograms: BTreeMap<String, HistogramRecord>,
}

/// All load generators of a record together: counts added, nothing averaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetTotals {
    /// Shares of the connections.
    pub connections_asked: u64,
    /// First connects that were answered.
    pub connections_established: u64,
    /// Connects that were answered of those that had been lost before.
    #[serde(default)]
    pub reconnects_established: u64,
    /// Still there when the windows had closed.
    pub connections_held_at_end: u64,
    /// Lost by cause.
    pub connections_lost: BTreeMap<String, u64>,
    /// Connects that failed, by what the system said.
    pub connects_failed: BTreeMap<String, u64>,
    /// Heartbeats sent in the windows.
    pub heartbeats_sent: u64,
    /// Heartbeats received in the windows.
    pub heartbeats_received: u64,
    /// Acks received in the windows.
    pub acks_received: u64,
    /// Keepalive probes attempted in the windows; `null` where a load generator's are not known.
    pub probes_attempted: Option<u64>,
    /// How long all windows were open at once, by the clock of the rendezvous: at least this, whatever the clocks' errors.
    /// `null` with a window missing, or clocks that were never compared.
    pub overlap_ns: Option<u64>,
    /// The sum of all histograms, by name.
    pub histograms: BTreeMap<String, HistogramRecord>,
}
