//! What the record of a fault lab holds: one cell per fault, mechanism and seat, the checks against the kernel's own
//! rules, the claims of the debate with their verdicts, and what false alarms cost over the threshold.
//!
//! Does not compute any of it. All instants are of one machine's monotonic clock, so a detection time is the
//! difference of two readings of the same clock.

use super::HistogramRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The fault lab beside its cells, which stand in [`Record::cells`](super::Record::cells).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DetectionRecord {
    /// How the laboratory came about: `root` or `user-namespace`.
    pub laboratory: String,
    /// Connections of each mechanism in each trial.
    pub connections_per_trial: u64,
    /// What the model's bounds are widened by for an ordinary host: ticks, socket teardown, being scheduled.
    pub allowance_ns: u64,
    /// The longest the lab's own watch was kept from running: added to the bounds of the trial it fell in.
    pub longest_stall_ns: u64,
    /// The timing of the kernel's mechanisms as read back, and of the application's.
    pub settings: Vec<MechanismSettings>,
    /// The kernel's rules, each with what was seen.
    pub oracles: Vec<OracleRecord>,
    /// What is said in the debate, each with its experiment and verdict.
    pub claims: Vec<ClaimRecord>,
    /// Detection time and false suspicions over the threshold.
    pub thresholds: Vec<ThresholdPoint>,
    /// Faults asked for that this host cannot make, by name, with the reason.
    pub left_out: BTreeMap<String, String>,
}

/// One mechanism's timing, as it was set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MechanismSettings {
    /// `none`, `keepalive`, …
    pub mechanism: String,
    /// In words: `idle 3 s, interval 2 s, count 3`.
    pub settings: String,
}

/// One fault under one mechanism, seen from one end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CellRecord {
    /// `process-exit`, `process-killed`, `reset`, `power-cut`, `cable-pulled`, `one-way-loss-to-server`,
    /// `one-way-loss-to-client`, `host-reboot`, `firewall-eviction`, `application-hung`, `zero-window`,
    /// `black-hole-with-data-in-flight`; without a fault `outage`, `random-loss`, `cpu-starvation`, `server-paused`.
    pub fault: String,
    /// `none`, `keepalive`, `keepalive-user-timeout`, `heartbeat`, `heartbeat-oneway`, `heartbeat-push`, `both`.
    pub mechanism: String,
    /// Who is to notice: `server` or `client`; the fault is at the other end or between them.
    pub seat: String,
    /// Whether the peer lives: then every verdict is a false suspicion.
    pub stress: bool,
    /// The stress's size in words (`4 s`, `20 %`), empty for a fault.
    pub parameter: String,
    /// The latest detection after the fault by the settings and the kernel's rules, allowance not added; `null` when
    /// the model says that this mechanism never notices within the time watched.
    pub model_bound_ns: Option<u64>,
    /// The earliest likewise.
    pub model_earliest_ns: Option<u64>,
    /// The rule behind the bound, with its source.
    pub model: String,
    /// Connections that the fault met.
    pub injected: u64,
    /// Of them, those closed at this seat while it was watched.
    pub detected: u64,
    /// Of them, those still open when the watch ended.
    pub missed: u64,
    /// Verdicts on living peers: before the fault, or under stress.
    pub false_suspicions: u64,
    /// Heartbeats and probes sent in the trial; what false suspicions are counted against.
    pub signs_of_life: u64,
    /// False suspicions per million of these; `null` where none were sent.
    pub false_suspicions_per_million: Option<f64>,
    /// How long it was watched after the fault.
    pub watched_ns: u64,
    /// Whether everything lay within the bound and the allowance, and nothing was noticed that the model says cannot be.
    pub within_bound: bool,
    /// Why not; empty when it was.
    pub out_of_bound: String,
    /// Endings by cause.
    pub causes: BTreeMap<String, u64>,
    /// What the seat still held of detected connections when the watch ended; all zero is the promise.
    pub left_behind: LeftBehind,
    /// Fault to verdict.
    pub histogram: HistogramRecord,
}

/// What dead connections have left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftBehind {
    /// Sockets in the kernel beyond those of living connections.
    pub sockets: u64,
    /// Places in the connection table likewise.
    pub table: u64,
    /// Armed timers likewise.
    pub timers: u64,
}

/// A rule of the kernel held against this kernel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OracleRecord {
    /// A stable word for scripts, kebab-case.
    pub name: String,
    /// The rule, with its source.
    pub rule: String,
    /// What was set and done.
    pub experiment: String,
    /// What it predicts.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Whether it held.
    pub held: bool,
}

/// Something said in the debate about heartbeats and keepalive.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClaimRecord {
    /// What is said.
    pub claim: String,
    /// `holds`, `does-not-hold`, `depends` or `not-measured`.
    pub verdict: String,
    /// The figures behind the verdict.
    pub evidence: String,
    /// The cells or oracles it rests on.
    pub experiment: String,
}

/// One threshold: how fast it finds the dead, how often it suspects the living.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThresholdPoint {
    /// The detection budget.
    pub detect_within_ms: u64,
    /// Heartbeat interval that goes with it.
    pub interval_ms: u64,
    /// Detection of a power cut, median and 99th percentile.
    pub detection_ns_p50: u64,
    /// As above.
    pub detection_ns_p99: u64,
    /// Length of the outage survived or not.
    pub outage_ms: u64,
    /// Living connections that met the outage.
    pub connections: u64,
    /// Of them, those suspected.
    pub false_suspicions: u64,
}
