//! The record: what one run measured, as data. Written once by an experiment, read by reports and by people's
//! own scripts.
//!
//! Does not measure, render or touch files. Every number is an integer with its unit in its key, except ratios
//! and percentiles. A figure that could not be measured is `null` and its reason stands in `absent`; it is
//! never zero. Times are nanoseconds of the monotonic clock unless a key says otherwise.
//!
//! `schema_version` grows when a reader of the old shape would misread the new one; added keys do not count.

#![forbid(unsafe_code)]

mod arm;
mod detection;
#[cfg(test)]
pub(crate) mod fixture;
mod fleet;
mod histogram;
mod lifecycle;
mod meters;
mod scale;
mod shard;
mod slices;
mod storm;

pub use arm::{
    ArmRecord, Burst, Comparison, ComparisonEntry, CpuNanos, Drops, Estimate, MemoryPerConnection,
    OpeningPressure, OpeningRecord, ProbeRecord, RatioRecord, RoundRecord, Rung, WireRecord,
};
pub use detection::{
    CellRecord, ClaimRecord, DetectionRecord, LeftBehind, MechanismSettings, OracleRecord,
    ThresholdPoint,
};
pub use fleet::{
    CLOCK_DRIFT_PPM, FleetClock, FleetHost, FleetRecord, FleetTotals, FleetWindow, LoadHost,
    ServerHost,
};
pub use histogram::{HistogramError, HistogramRecord, decode, encode, merge, new_histogram};
pub use lifecycle::{
    CallRecord, HandshakeRecord, HandshakeSlice, LifecycleCheck, LifecycleRecord, PortRecord,
    ScenarioRecord, SegmentRecord, StateChange, SustainedRecord, TimeWaitRecord, TurnoverRecord,
};
pub use meters::{CoreCpu, IdlePhase, MeterRecord, NoiseRecord, SoakRecord, ThreadCpu};

pub use scale::{
    FloorRecord, HoldRecord, ScaleAxis, ScaleMemory, ScaleRecord, ScaleRung, StopRecord,
};
pub use shard::ShardRecord;
pub use slices::{BurstSlices, RowError, SliceRow};
pub use storm::{StormRecord, StormRun, StormSlice};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The shape this crate writes.
pub const SCHEMA_VERSION: u32 = 1;

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `compare`: what each mechanism costs.
    Cost,
    /// `scale`: the same over a ladder of connection counts, or of ticks. The arms stand in
    /// [`Record::scale`], rung by rung, and `arms` is empty.
    Scale,
    /// `detect`: the fault lab. The figures stand in [`Record::cells`] and [`Record::detection`], and `arms` is empty.
    Detection,
    /// `storm`: reconnect storms and churn. The figures stand in [`Record::storm`], and `arms` is empty.
    Storm,
    /// `lifecycle`: how connections begin and end. All of it stands in [`Record::lifecycle`], and `arms` is empty.
    Lifecycle,
    /// `serve`, `load` and `merge`: connections held by hand, on one host or many. All of it stands in [`Record::fleet`],
    /// and `arms` is empty.
    Fleet,
}

/// One run, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Record {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What the run was for.
    pub kind: Kind,
    /// Whether every check held. An invalid run's numbers are not to be quoted.
    pub valid: bool,
    /// The run was cut short (a signal, a dying half); what was measured until then is kept.
    pub partial: bool,
    /// Reasons to doubt the run, most serious first.
    pub warnings: Vec<Warning>,
    /// The command line, as typed.
    pub command: String,
    /// A name the user gave the run.
    pub label: Option<String>,
    /// Wall-clock start, RFC 3339.
    pub started_at: String,
    /// From start to the writing of the record.
    pub duration_ms: u64,
    /// The effective configuration, every default included.
    pub config: Config,
    /// The machine.
    pub environment: Environment,
    /// How far the CPU meters can be trusted here. A record without the key did not look.
    #[serde(default)]
    pub noise: Option<NoiseRecord>,
    /// One entry per arm, in the order asked for; `none` is always among them.
    pub arms: Vec<ArmRecord>,
    /// Per metric, which arm did best and by how much.
    pub comparisons: Vec<Comparison>,
    /// The headline: CPU per heartbeat over CPU per probe, where no probe was dropped if there is such a place. A
    /// record without the key leaves it to the comparisons.
    #[serde(default)]
    pub headline_ratio: Option<RatioRecord>,
    /// A smaller population at which keepalive's bursts fit the backlog, measured when the main one overflows it.
    pub drop_free_rung: Option<Rung>,
    /// The rungs of `scale`; absent in every other kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleRecord>,
    /// Of `detect`: one entry per fault, mechanism and seat; empty in every other kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellRecord>,
    /// Of `detect`: the lab, and what the cells say together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<DetectionRecord>,
    /// Of `storm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormRecord>,
    /// Of `lifecycle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<LifecycleRecord>,
    /// Of `serve`, `load` and `merge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetRecord>,
    /// One row a second, all arms in the order they ran.
    pub samples: Vec<Sample>,
}

/// A reason to doubt a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Warning {
    /// A stable word for scripts, kebab-case.
    pub code: String,
    /// What was seen.
    pub message: String,
    /// What to do about it.
    pub advice: String,
    /// Whether it makes the run invalid.
    pub invalidates: bool,
}

/// The effective configuration of a cost comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Config {
    /// Connections asked for on the command line, or the default.
    pub connections_asked: u64,
    /// Connections the run used: fewer than asked for when the host would not hold them.
    pub connections: u64,
    /// Why fewer, when fewer.
    pub connections_limited_by: Option<String>,
    /// Arms in the order reported.
    pub arms: Vec<String>,
    /// Engines, each with every arm. A record without the key is of io_uring.
    #[serde(default = "uring")]
    pub engines: Vec<String>,
    /// What the threads slept on: `tick` or `thread-per-ring`.
    #[serde(default = "tick")]
    pub driver: String,
    /// The detection budget: a dead peer is found within this, in every arm.
    pub detect_within_ms: u64,
    /// Heartbeats that may go missing before the verdict.
    pub misses: u32,
    /// Gap between two heartbeats of one connection.
    pub heartbeat_interval_ms: u64,
    /// Silence the responder's deadline allows.
    pub idle_timeout_ms: u64,
    /// How long a sender waits for an ack.
    pub answer_timeout_ms: u64,
    /// `TCP_KEEPIDLE`.
    pub keepalive_idle_s: u32,
    /// `TCP_KEEPINTVL`.
    pub keepalive_interval_s: u32,
    /// `TCP_KEEPCNT`.
    pub keepalive_count: u32,
    /// Whose sockets carry keepalive: `server`, `client` or `both`.
    pub keepalive_side: String,
    /// By how much the idle times of connections differ.
    #[serde(default)]
    pub keepalive_spread_s: u32,
    /// What lay between the halves: `loopback`, `veth`, or `fleet` for load generators on other hosts, whose costs are in
    /// no figure of CPU or memory. A record without the key is of loopback.
    #[serde(default = "loopback")]
    pub path: String,
    /// The measured window of each arm and round.
    pub steady_ms: u64,
    /// The stretch after it that is the soaker's.
    #[serde(default)]
    pub soak_ms: u64,
    /// Wait between the last connection and the window.
    pub settle_ms: u64,
    /// Rounds per arm.
    pub rounds: u32,
    /// Connections opened per second; `null` means as fast as the in-flight cap lets them.
    pub ramp_rate_per_second: Option<u64>,
    /// Connects unanswered at once per core thread of the load generator. A record without the key did not keep
    /// it: 256, or the accept queue where that is shorter.
    #[serde(default)]
    pub in_flight_per_core: Option<u64>,
    /// What the run was allowed to take; `null` is what the machine has, less a reserve.
    #[serde(default)]
    pub memory_limit_bytes: Option<u64>,
    /// Period of a core thread.
    pub tick_us: u64,
    /// `staggered` or `aligned`.
    pub phases: String,
    /// What held the deadlines: `wheel` or `sweep`. A record without the key is of the wheel.
    #[serde(default = "wheel")]
    pub timers: String,
    /// Time of a sweep's pass.
    #[serde(default)]
    pub sweep_period_ms: Option<u64>,
    /// Cores of the server's threads.
    pub server_cores: Vec<usize>,
    /// Cores of the load generator's threads.
    pub load_cores: Vec<usize>,
    /// Rings per core thread and slots per ring, as planned: `2 core threads × 3 rings × 17,936`.
    pub ring_plan: String,
    /// `TCP_CONGESTION` of both ends.
    pub congestion_control: String,
    /// Seed of the arm order and of the bootstrap.
    pub seed: u64,
    /// The order in which arms ran: per round, indices into `arms`.
    pub order: Vec<Vec<usize>>,
}

fn uring() -> Vec<String> {
    vec!["uring".to_owned()]
}

fn loopback() -> String {
    "loopback".to_owned()
}

fn tick() -> String {
    "tick".to_owned()
}

fn wheel() -> String {
    "wheel".to_owned()
}

/// The machine a run happened on. Holds no host name, user name or address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Environment {
    /// This program's version.
    pub ringbeat_version: String,
    /// Commit the binary was built from, when the build could tell.
    pub ringbeat_commit: Option<String>,
    /// Whether the tree it was built from had changes beyond that commit.
    #[serde(default)]
    pub ringbeat_dirty: Option<bool>,
    /// `uname -r`.
    pub kernel: String,
    /// Options of the kernel's configuration that bear on the result: `y`, `m`, `n` or a value. Empty where the kernel
    /// does not show them.
    #[serde(default)]
    pub kernel_config: BTreeMap<String, String>,
    /// `uname -m`.
    pub architecture: String,
    /// CPU model name.
    pub cpu_model: String,
    /// Online CPUs.
    pub cpu_count: u32,
    /// Kernel ticks per second, when readable.
    pub kernel_hz: Option<u32>,
    /// Physical memory.
    pub memory_bytes: u64,
    /// Free memory at the start.
    pub memory_free_bytes: u64,
    /// Hypervisor flag of the CPU.
    pub virtualised: bool,
    /// Clock source in use.
    pub clocksource: String,
    /// The first CPU's frequency governor; `null` where the system has none, as most virtual machines.
    #[serde(default)]
    pub governor: Option<String>,
    /// Threads of one core run at once (`/sys/devices/system/cpu/smt/active`).
    #[serde(default)]
    pub smt: Option<bool>,
    /// NUMA nodes with memory or CPUs.
    #[serde(default)]
    pub numa_nodes: Option<u32>,
    /// `transparent_hugepage/enabled`, the choice in force.
    #[serde(default)]
    pub transparent_hugepages: Option<String>,
    /// Soft `RLIMIT_NOFILE` after raising it.
    pub nofile_soft: u64,
    /// Hard `RLIMIT_NOFILE`.
    pub nofile_hard: u64,
    /// Whether the run had root's eyes (`/proc/slabinfo`).
    pub root: bool,
    /// Sysctls that bear on the result, by name; unreadable ones are left out.
    pub sysctls: BTreeMap<String, String>,
    /// CPU vulnerabilities' mitigations, by name.
    pub mitigations: BTreeMap<String, String>,
    /// Features of the ring in use, by name.
    pub ring_features: BTreeMap<String, String>,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sample {
    /// Since the start of the run.
    pub elapsed_ms: u64,
    /// Round, from 0; the drop-free rung continues the count.
    pub round: u32,
    /// The arm that was running.
    pub arm: String,
    /// `ramp`, `settle`, `steady` or `drain`; of `storm` also `recovery` and `churn`.
    pub phase: String,
    /// Established connections the load side holds.
    pub connections: u64,
    /// Heartbeats sent so far in this arm's run.
    pub heartbeats: u64,
    /// Acks received so far in this arm's run.
    pub acks: u64,
    /// Keepalive probes the kernel sent in this second.
    pub probes: u64,
    /// CPU time of the whole system in this second.
    pub cpu_busy_ns: u64,
    /// CPU time of the server process in this second.
    pub server_cpu_ns: u64,
    /// CPU time of the load process in this second; `null` where it ran on other hosts.
    #[serde(default)]
    pub load_cpu_ns: Option<u64>,
    /// Packets received on the path's interface in this second.
    pub packets: u64,
    /// Packets the kernel's backlog dropped in this second.
    pub backlog_drops: u64,
}
