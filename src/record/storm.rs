//! What the record of a storm holds: how a population came back after all of it was dropped at once, by the way its
//! clients backed off; or how it fared while some of it was always being ended and opened anew.
//!
//! Does not compute any of it. All instants are of one machine's monotonic clock.

use super::{CpuNanos, HistogramRecord, OpeningPressure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A reconnect storm, or a steady churn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StormRecord {
    /// `storm` or `churn`.
    pub mode: String,
    /// How connections were ended: `fin` or `rst`.
    #[serde(default)]
    pub ending: String,
    /// Length of each listener's accept queue, one listener per core of the server.
    #[serde(default)]
    pub accept_queue: u64,
    /// Reconnects that were allowed to be unanswered at once per core thread of the load generator.
    #[serde(default)]
    pub reconnects_in_flight_per_core: u64,
    /// The longest a run waited for the connections to be back.
    #[serde(default)]
    pub give_up_ms: u64,
    /// Connections to be ended and opened anew per second; `null` for a storm.
    #[serde(default)]
    pub churn_per_second: Option<u64>,
    /// One entry per way of backing off, and arm where there are several.
    pub runs: Vec<StormRun>,
}

/// One storm, or one churn, with one way of backing off.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StormRun {
    /// `full-jitter`, `no-jitter` or `immediate`.
    pub backoff: String,
    /// The mechanism that ran on the connections.
    #[serde(default)]
    pub arm: String,
    /// First ceiling of the backoff.
    pub base_ms: u64,
    /// Its cap.
    pub cap_ms: u64,
    /// Connections asked for.
    #[serde(default)]
    pub connections: u64,
    /// Connections dropped at once; for churn, closed in the window.
    pub dropped: u64,
    /// Of them, back at the end.
    pub recovered: u64,
    /// Held at the end: the smallest of both ends' and the kernel's counts.
    #[serde(default)]
    pub held_at_end: u64,
    /// From the drop until half, 99 % and all were back; `null` when that was not reached. The first two to the next ten
    /// milliseconds and by the clients' count; the last when the server had accepted them all, too.
    pub half_back_ns: Option<u64>,
    /// As above.
    pub p99_back_ns: Option<u64>,
    /// As above.
    pub all_back_ns: Option<u64>,
    /// Connects tried until all were back, failed ones included.
    pub attempts: u64,
    /// Failed connects by what the kernel said.
    pub failures: BTreeMap<String, u64>,
    /// The most connects begun in one tenth of a second.
    pub attempts_per_100ms_max: u64,
    /// SYNs dropped at the listeners, accept-queue overflows included.
    pub syn_drops: u64,
    /// SYNs and SYN-ACKs sent again.
    pub syn_retransmits: u64,
    /// The same and more, by the kernel's counters.
    #[serde(default)]
    pub pressure: OpeningPressure,
    /// From the drop, or the window's begin, until the meters were read: when all were back, or the wait was given up.
    #[serde(default)]
    pub measured_ns: u64,
    /// CPU of the whole machine from the drop until all were back.
    pub cpu_busy_ns: u64,
    /// The same time by account.
    #[serde(default)]
    pub cpu_ns: CpuNanos,
    /// Losses beyond those asked for, by cause: connections that ended again before all were back.
    #[serde(default)]
    pub lost_again: BTreeMap<String, u64>,
    /// Tenths of a second from the drop, or the window's begin, on.
    #[serde(default)]
    pub timeline: Vec<StormSlice>,
    /// `recovery`: loss to re-establishment of each connection; `connect`: how long each connect took.
    pub histograms: BTreeMap<String, HistogramRecord>,
}

/// One tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StormSlice {
    /// Its begin.
    pub elapsed_ms: u64,
    /// Reconnects begun in it.
    pub attempts: u64,
    /// Reconnects that succeeded in it.
    pub returned: u64,
}
