//! What the record holds per arm: counts, costs with their intervals, memory, drops, histograms.
//!
//! Does not compute any of it. See the [module above](super) for units and the meaning of `null`.

use super::{BurstSlices, HistogramRecord, MeterRecord, ShardRecord};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One mechanism's results, all rounds together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ArmRecord {
    /// `none`, `keepalive`, `heartbeat`, …; a repeated arm carries `#2`.
    pub name: String,
    /// What carried the operations: `uring`, `uring-recv` or `epoll`.
    #[serde(default = "uring")]
    pub engine: String,
    /// The arm that the costs are net of; its own name for a control.
    #[serde(default = "none")]
    pub control: String,
    /// Rounds that were measured.
    pub rounds: u32,
    /// Connections the load side set out to open, per round.
    pub connections_requested: u64,
    /// The fewest that were established in any round, as both ends count them.
    pub connections_established: u64,
    /// The fewest that both ends and the kernel still held at the end of the window in any round.
    pub connections_held_at_end: u64,
    /// Lost by cause, all rounds together, both ends' views; causes never seen are left out.
    pub connections_lost: BTreeMap<String, u64>,
    /// Heartbeats answered (one-way: received; keepalive: probes delivered) in all windows; `null` for `none`.
    pub events: Option<u64>,
    /// Keepalive only: probes the kernel attempted, delivered or not.
    pub events_attempted: Option<u64>,
    /// Events ÷ window length.
    pub events_per_second: Option<f64>,
    /// System-wide CPU per event, net of `none`.
    pub cpu_ns_per_event: Option<Estimate>,
    /// Keepalive only: the same per attempted probe.
    pub cpu_ns_per_attempt: Option<Estimate>,
    /// System-wide CPU per connection and hour, net of `none`; for `none` its own gross cost.
    pub cpu_ns_per_connection_hour: Option<Estimate>,
    /// The first figure by the second meter: time that an idle-class thread could not get, net of `none`, in a stretch
    /// after each window.
    #[serde(default)]
    pub soaker_cpu_ns_per_event: Option<Estimate>,
    /// The third meter: cycles of all cores per event, net of `none`.
    #[serde(default)]
    pub cycles_per_event: Option<Estimate>,
    /// CPU of the server process per event, net of `none`: what the server's own host would see. Frames that its sends
    /// deliver to the other end's sockets are in it, those delivered to its own by the other end's sends are not.
    #[serde(default)]
    pub server_cpu_ns_per_event: Option<Estimate>,
    /// The load process likewise.
    #[serde(default)]
    pub load_cpu_ns_per_event: Option<Estimate>,
    /// Connections established per second of the ramp, median of the rounds. A record without the key did not keep
    /// it.
    #[serde(default)]
    pub connects_per_second: Option<f64>,
    /// CPU in the windows by account, mean of the rounds, gross (control not subtracted).
    pub cpu_ns: CpuNanos,
    /// The packets of all windows against the model, and what explains the difference. A record without the key did
    /// not keep it.
    #[serde(default)]
    pub wire: Option<WireRecord>,
    /// Packets per event on the path's interface, net of `none`.
    pub packets_per_event: Option<f64>,
    /// What the protocol predicts for the line above.
    pub packets_per_event_model: Option<f64>,
    /// Bytes at IP level per event, net of `none`.
    pub wire_bytes_per_event: Option<f64>,
    /// Bytes at IP level per connection and hour, net of `none`.
    pub wire_bytes_per_connection_hour: Option<u64>,
    /// Memory per connection, by owner.
    pub memory_bytes_per_connection: MemoryPerConnection,
    /// Growth of each slab cache per connection, both ends, where the run had root's eyes: what `kernel_sockets` and
    /// `kernel_io_uring` are made of, and what the remainder hides. A record without the key did not keep it.
    #[serde(default)]
    pub memory_bytes_by_cache: BTreeMap<String, i64>,
    /// What `total` and `remainder` may be off by: free memory moved by so much per connection while nothing happened.
    #[serde(default)]
    pub memory_uncertainty_bytes: Option<u64>,
    /// What was dropped on the way.
    pub drops: Drops,
    /// What became of keepalive's probes, all windows together; only for arms with keepalive. A record without the key
    /// did not keep it.
    #[serde(default)]
    pub probes: Option<ProbeRecord>,
    /// How bunched keepalive probes were; only for arms with keepalive.
    pub burst: Option<Burst>,
    /// What was sent in one window, 10 ms by 10 ms; only in the arms of `compare`. A record without the key did not keep
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<BurstSlices>,
    /// Heartbeats sent of those that were due, ×1000: below 990 the load side lagged and the run is invalid. `null` where
    /// nobody sends. A record without the key did not keep it.
    #[serde(default)]
    pub rate_ratio_milli: Option<u64>,
    /// Merged histograms by name: `rtt`, `response`, `lateness`, `schedule_lag`, `connect`.
    pub histograms: BTreeMap<String, HistogramRecord>,
    /// The rounds one by one.
    pub rounds_detail: Vec<RoundRecord>,
    /// Why a `null` above is `null`, by key.
    pub absent: BTreeMap<String, String>,
}

impl ArmRecord {
    /// Whether others' costs are net of this one's.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.name == self.control
    }
}

fn uring() -> String {
    "uring".to_owned()
}

fn none() -> String {
    "none".to_owned()
}

/// A measured figure with its 95 % interval. Negative values are possible: they are noise and `resolved` is false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Estimate {
    /// Median of the bootstrap; with one round, the round's value.
    pub median: i64,
    /// Lower end of the interval.
    pub low: i64,
    /// Upper end of the interval.
    pub high: i64,
    /// The interval excludes zero and the value is above the noise floor.
    pub resolved: bool,
}

/// CPU time in one window by account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CpuNanos {
    /// All CPUs: window × CPUs − idle. What costs are computed from.
    pub busy: u64,
    /// Tick-sampled share of `busy` in user mode.
    pub user: u64,
    /// Tick-sampled share of `busy` in the kernel on behalf of a process.
    pub system: u64,
    /// Tick-sampled soft interrupts. Where `irq` is missing, hard ones are within.
    pub softirq: u64,
    /// Tick-sampled hard interrupts.
    #[serde(default)]
    pub irq: u64,
    /// What the hypervisor admits to have taken.
    #[serde(default)]
    pub steal: u64,
    /// Run time of the ksoftirqd threads.
    pub ksoftirqd: Option<u64>,
    /// The server process, user and kernel, from its own process clock.
    pub server_process: u64,
    /// The load process, likewise; `null` where it ran on other hosts.
    #[serde(default)]
    pub load_process: Option<u64>,
}

/// Memory per connection by owner; the kernel's figures are for both ends of a loopback connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemoryPerConnection {
    /// Growth of the server's resident set.
    pub server_user: Option<u64>,
    /// Growth of the load generator's resident set.
    pub load_user: Option<u64>,
    /// Socket structures (TCP, inode, dentry, file slabs).
    pub kernel_sockets: Option<u64>,
    /// The ring's requests and file nodes in the kernel.
    pub kernel_io_uring: Option<u64>,
    /// Growth of used memory (`MemFree` shrinking) not explained by the lines above; may be negative.
    pub remainder: Option<i64>,
    /// Growth of used memory as a whole.
    pub total: Option<u64>,
}

/// What was dropped on the way, all windows together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Drops {
    /// `/proc/net/softnet_stat`, second column.
    pub softnet_backlog: u64,
    /// `TcpExt ListenDrops` and `ListenOverflows`, whichever is larger, from ramp to end.
    pub listen: u64,
    /// Completion queue overflows of all rings.
    pub cq_overflow: u64,
    /// Streams of `uring-recv` that found no receive buffer and were armed again.
    #[serde(default)]
    pub receive_buffers: u64,
    /// `TcpExt TCPRetransSegs`.
    pub retransmitted: u64,
}

/// What the listeners and the SYN queue met with while connections were opened; all counts of the network
/// namespace. The kernel sends a lost SYN again after a second, so any of these shows as connect times of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OpeningPressure {
    /// `TcpExt ListenOverflows`: an accept queue was full.
    pub listen_overflows: u64,
    /// `TcpExt ListenDrops`: refused by a listener for any reason.
    pub listen_drops: u64,
    /// `TcpExt TCPReqQFullDrop`: the SYN queue was full.
    pub syn_queue_drops: u64,
    /// `TcpExt TCPReqQFullDoCookies`: the same, answered with a cookie.
    pub syn_cookies: u64,
    /// `TcpExt TCPSynRetrans`: SYNs and SYN-ACKs sent again.
    pub syn_retransmits: u64,
}

/// How the connections of one round were opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OpeningRecord {
    /// From the first connect to the answer to the last, by the load generator's own clock.
    pub took_ns: Option<u64>,
    /// Established ÷ the line above.
    pub connects_per_second: Option<f64>,
    /// What the listeners and the SYN queue met with.
    pub pressure: OpeningPressure,
}

/// How bunched keepalive probes were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Burst {
    /// Probes in the busiest 10 ms.
    pub probes_per_10ms_max: u64,
    /// Probes in the 99th percentile of 10 ms slices.
    pub probes_per_10ms_p99: u64,
    /// What N, idle and the kernel wheel's granularity foretold for one CPU, packets in one burst.
    pub predicted_packets_per_burst: u64,
    /// `net.core.netdev_max_backlog`.
    pub backlog_limit: u64,
    /// How far apart the kernel's timer wheel lets timers fire that are as far away as the idle time: all within it
    /// fire at once.
    #[serde(default)]
    pub granule_ms: Option<u64>,
}

/// One arm in one round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RoundRecord {
    /// From 0.
    pub round: u32,
    /// Place in the overall running order, from 0.
    pub position: u32,
    /// Length of the window.
    pub window_ns: u64,
    /// Length of the counting window, which opens and closes with the halves' next tick; events are counted
    /// in this one.
    pub counting_window_ns: u64,
    /// Time from the first connect to the last established.
    pub ramp_ms: u64,
    /// How they were opened. A record without the key did not keep it.
    #[serde(default)]
    pub opening: OpeningRecord,
    /// Asked for.
    pub connections_requested: u64,
    /// Established, the smaller of both ends' counts.
    pub connections_established: u64,
    /// Held at the end of the window: the smallest of both ends' and the kernel's counts.
    pub connections_held_at_end: u64,
    /// Heartbeats sent in the window.
    pub heartbeats_sent: u64,
    /// Heartbeats the other side counted in the window.
    pub heartbeats_received: u64,
    /// Acks received by the sender in the window.
    pub acks_received: u64,
    /// Heartbeats that were due in the window by the schedule.
    pub heartbeats_scheduled: u64,
    /// Heartbeats whose ack did not come within the answer timeout; their waiting time stands in `rtt` and `response`
    /// too, so that the tail is not cut.
    #[serde(default)]
    pub heartbeats_timed_out: u64,
    /// From first to last heartbeat of the whole run, sent.
    pub heartbeats_sent_total: u64,
    /// From first to last heartbeat of the whole run, received by the other side.
    pub heartbeats_received_total: u64,
    /// Probes attempted in the window.
    pub probes_attempted: u64,
    /// What became of them; only for arms with keepalive. A record without the key did not keep it.
    #[serde(default)]
    pub probes: Option<ProbeRecord>,
    /// Events, as in [`ArmRecord::events`].
    pub events: u64,
    /// CPU by account.
    pub cpu_ns: CpuNanos,
    /// CPU by core and thread, and by the other meters. A record without the key did not keep it.
    #[serde(default)]
    pub meters: Option<MeterRecord>,
    /// Packets on the interface in the window.
    pub packets: u64,
    /// Bytes at IP level on the interface in the window.
    pub wire_bytes: u64,
    /// Drops of this round.
    pub drops: Drops,
    /// Lost connections by cause in this round.
    pub connections_lost: BTreeMap<String, u64>,
    /// What each load generator of `compare --fleet` saw, by its number; empty where there was one, on this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<ShardRecord>,
    /// Histograms of the window: base64 of the compressed HdrHistogram V2 form.
    pub histograms: BTreeMap<String, String>,
    /// Wall-clock start of the window, seconds since the epoch, for `.hlog` files.
    pub window_started_epoch_ms: u64,
}

/// Packets and bytes of all windows together, net of `none`, beside what the protocol predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WireRecord {
    /// Packets on the path's interface.
    pub packets: i64,
    /// Events × the model's packets per event.
    pub packets_model: i64,
    /// Bytes at IP level.
    pub bytes: i64,
    /// Events × the model's bytes per event.
    pub bytes_model: i64,
    /// Segments sent again (`Tcp RetransSegs`): each is a packet more.
    pub retransmitted: i64,
    /// ACKs that left alone (`TcpExt DelayedACKs`).
    pub delayed_acks: i64,
    /// As many as the model has: the last of each exchange goes alone.
    pub delayed_acks_model: i64,
    /// RSTs that arrived, each a packet more: connections given up in a window. A record without the key did not keep
    /// them.
    #[serde(default)]
    pub resets: i64,
}

/// What became of keepalive's probes, net of the control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProbeRecord {
    /// The kernel set out to send (`TcpExt TCPKeepAlive`).
    pub attempted: u64,
    /// Left the sender: packets on the interface that were no ACKs.
    pub on_the_wire: u64,
    /// Arrived and were answered (`Tcp OutSegs` less the probes attempted and the RSTs, `OutRsts`).
    pub delivered: u64,
    /// ACKs of them that came back (`Tcp InSegs` less the line above and the RSTs that arrived).
    pub acks_back: u64,
    /// Packets the input queue of each core dropped, probes and ACKs alike.
    pub backlog_drops_per_core: Vec<u64>,
    /// Healthy connections that keepalive closed, from the first connect to the end.
    pub killed: u64,
}

/// The same arms at another population.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rung {
    /// Connections per arm.
    pub connections: u64,
    /// Why this population.
    pub reason: String,
    /// The arms measured there, control first.
    pub arms: Vec<ArmRecord>,
    /// Who did best at this population.
    pub comparisons: Vec<Comparison>,
}

/// One metric across the arms.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    /// Stable key: `cpu_ns_per_event`, `rtt_p99_ns`, …
    pub metric: String,
    /// For people: `CPU per event`.
    pub title: String,
    /// `ns`, `bytes`, `packets`.
    pub unit: String,
    /// Every arm that has the figure, best first.
    pub entries: Vec<ComparisonEntry>,
    /// The best arm, when its lead over the runner-up is resolved.
    pub winner: Option<String>,
    /// Runner-up ÷ best, ×1000, with its interval, when both are positive.
    pub lead_ratio_milli: Option<Estimate>,
    /// The answer as one sentence, also when it is "not resolved".
    pub sentence: String,
}

/// What one arm costs over another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RatioRecord {
    /// The arm whose cost it is.
    pub of: String,
    /// The arm it is divided by.
    pub over: String,
    /// Where it was measured: at so many connections.
    pub connections: u64,
    /// Cost per event ÷ cost per event, ×1000, with its interval over the rounds.
    pub ratio_milli: Estimate,
}

/// One arm's place in a [`Comparison`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComparisonEntry {
    /// The arm.
    pub arm: String,
    /// Its figure.
    pub value: f64,
    /// Lower end of its 95 % interval, where there is one.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Whether the figure itself is above the noise.
    pub resolved: bool,
}
