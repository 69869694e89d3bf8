//! What the record of `lifecycle` holds: how TCP connections began and ended, segment by segment, held against the
//! rules; what beginning and ending cost; how ports run out; how many connections could be opened at once.
//!
//! Does not compute any of it. All instants of a scenario count from its begin, on one machine's monotonic clock, so
//! both ends' times compare.

use super::{CpuNanos, Estimate, HistogramRecord, OpeningPressure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scenarios and costs of one run of `lifecycle`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LifecycleRecord {
    /// Who made the namespaces: `root` or `user-namespace`.
    pub laboratory: String,
    /// How long the wire between the two hosts takes a segment from one to the other.
    pub one_way_delay_ns: u64,
    /// How far apart two looks at the sockets' states were meant to be: a state that lasted less may be missing.
    pub states_looked_at_every_ns: u64,
    /// In the order told.
    pub scenarios: Vec<ScenarioRecord>,
    /// What a set-up and a tear-down cost, one entry per way of ending.
    #[serde(default)]
    pub turnovers: Vec<TurnoverRecord>,
    /// What `TIME_WAIT` is and takes; `null` when it was not looked at.
    #[serde(default)]
    pub time_wait: Option<TimeWaitRecord>,
    /// How long one source address lasted, one entry per way out.
    #[serde(default)]
    pub ports: Vec<PortRecord>,
    /// Many connections opened at once.
    #[serde(default)]
    pub handshakes: Vec<HandshakeRecord>,
}

/// One connection's begin or end, made to happen and captured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScenarioRecord {
    /// A stable word: `set-up`, `close-by-client`, `half-close`, …
    pub name: String,
    /// A few words for a heading.
    pub title: String,
    /// Where the rule stands: `RFC 9293, section 3.6`.
    pub source: String,
    /// What happens and why, for somebody who has never seen TCP's states.
    pub explanation: String,
    /// Every check held.
    pub held: bool,
    /// The rules, each held against what was seen.
    pub checks: Vec<LifecycleCheck>,
    /// Every TCP segment that was put on the wire, in the order sent.
    pub segments: Vec<SegmentRecord>,
    /// Changes of the sockets' states, both ends, in the order seen.
    pub states: Vec<StateChange>,
    /// What the programs at both ends called, and what they were told, in order.
    pub calls: Vec<CallRecord>,
    /// From the begin to the end of the watch.
    pub watched_ns: u64,
    /// How often it was played: again when the machine had been too busy for what was seen to be relied on, whatever
    /// that was.
    #[serde(default)]
    pub takes: u32,
    /// Why the last of them is not to be relied on either; `null` when it is.
    #[serde(default)]
    pub disturbance: Option<String>,
    /// The segments as they went, a capture file in the classic pcap format (link type Ethernet), base64. Times in it
    /// are those of sending.
    pub pcap_base64: String,
}

/// One rule, and what was seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LifecycleCheck {
    /// What must be, in a sentence.
    pub rule: String,
    /// Where it is written: `RFC 9293, section 3.5`, `include/net/tcp.h, TCP_TIMEWAIT_LEN`.
    pub source: String,
    /// What was seen, in a sentence.
    pub seen: String,
    /// Whether it was so.
    pub held: bool,
    /// The rule is the operating system's and not the standard's, or departs from it on purpose.
    #[serde(default)]
    pub of_the_system: bool,
}

/// One TCP segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SegmentRecord {
    /// When its sender put it on the wire.
    pub sent_ns: u64,
    /// When it was handed to the other end; `null` when the wire lost it.
    pub arrived_ns: Option<u64>,
    /// `client` or `server`.
    pub from: String,
    /// `SYN`, `SYN+ACK`, `ACK`, `PSH+ACK`, `FIN+ACK`, `RST`, `RST+ACK`.
    pub flags: String,
    /// Sequence number, relative to the sender's first of this connection.
    pub sequence: u32,
    /// Acknowledgement number, relative to the other end's first; absent without the ACK flag.
    pub acknowledgement: Option<u32>,
    /// Payload.
    pub bytes: u32,
    /// A segment with this content had been sent before.
    #[serde(default)]
    pub again: bool,
    /// Which connection it belongs to, where a scenario has several one after the other: from 0.
    #[serde(default)]
    pub connection: u32,
    /// What is worth saying of it, if anything: `lost on the wire`, `held back and delivered late`.
    #[serde(default)]
    pub note: String,
}

/// A socket was first seen in a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StateChange {
    /// When it was first seen.
    pub at_ns: u64,
    /// `client` or `server`.
    pub end: String,
    /// As the RFC writes it: `SYN-SENT`, `TIME-WAIT`; `CLOSED` when the socket is gone.
    pub state: String,
    /// As in [`SegmentRecord`].
    #[serde(default)]
    pub connection: u32,
}

/// A program called the system, or was told something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CallRecord {
    /// When.
    pub at_ns: u64,
    /// `client` or `server`.
    pub end: String,
    /// `connect()`, `close()`, `read() = 0, the end`, `connect() = ECONNREFUSED`.
    pub call: String,
}

/// What beginnings and ends cost, with one way of ending. CPU is the whole machine's, both ends, net of an idle
/// stretch with as many connections held, but for that of [`SustainedRecord`]; intervals over the rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TurnoverRecord {
    /// `client-fin`, `server-fin` or `client-rst`: who ends, and how.
    pub ending: String,
    /// Connections opened, then ended, in each round.
    pub connections: u64,
    /// Rounds.
    pub rounds: u32,
    /// Set-ups a second while the machine did nothing else.
    pub connects_per_second: Estimate,
    /// Tear-downs a second, until the last socket but those in `TIME_WAIT` was gone.
    pub closes_per_second: Estimate,
    /// CPU time of one set-up.
    pub cpu_ns_per_connect: Estimate,
    /// CPU time of one tear-down.
    pub cpu_ns_per_close: Estimate,
    /// The set-ups' CPU time by account, all rounds.
    pub connect_cpu_ns: CpuNanos,
    /// The tear-downs' CPU time by account, all rounds.
    pub close_cpu_ns: CpuNanos,
    /// Packets of one set-up, mean.
    pub packets_per_connect: f64,
    /// Packets of one tear-down, mean.
    pub packets_per_close: f64,
    /// Sockets in `TIME_WAIT` at the server after a round, mean.
    pub time_wait_server: u64,
    /// Sockets in `TIME_WAIT` at the client after a round, mean.
    pub time_wait_client: u64,
    /// Connections that ended otherwise than asked for, by cause.
    #[serde(default)]
    pub unexpected: BTreeMap<String, u64>,
    /// `connect`: from the SYN's submission to the connect's completion.
    pub histograms: BTreeMap<String, HistogramRecord>,
    /// Coming and going all the while: `null` when it was not measured.
    #[serde(default)]
    pub sustained: Option<SustainedRecord>,
}

/// Connections opened as others end, for a stretch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SustainedRecord {
    /// How long.
    pub window_ns: u64,
    /// Connections held on the average.
    pub held: u64,
    /// Set-ups in it.
    pub connects: u64,
    /// Tear-downs in it.
    pub closes: u64,
    /// Set-ups a second.
    pub connects_per_second: f64,
    /// Tear-downs a second.
    pub closes_per_second: f64,
    /// CPU time of one set-up with one tear-down: all that the machine spent in the window, with no idle stretch taken
    /// off.
    pub cpu_ns_per_turnover: u64,
    /// Share of the machine that was busy, thousandths.
    pub busy_milli: u32,
    /// Connects that failed, by what the kernel said.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Sockets in `TIME_WAIT` at its end, both ends.
    pub time_wait: u64,
    /// `connect`.
    pub histograms: BTreeMap<String, HistogramRecord>,
}

/// What `TIME_WAIT` is here and what it takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TimeWaitRecord {
    /// From the first sight of the state to the last of the socket; `null` when it was not waited for.
    pub lifetime_ns: Option<u64>,
    /// Kernel memory of one socket in `TIME_WAIT`, by the slab caches; `null` without root's eyes.
    pub bytes_per_socket: Option<u64>,
    /// The same by cache.
    #[serde(default)]
    pub caches: BTreeMap<String, u64>,
    /// Kernel memory of one established socket, the same way.
    pub bytes_per_established_socket: Option<u64>,
    /// Sockets in `TIME_WAIT` it was measured with.
    pub measured_with: u64,
    /// `net.ipv4.tcp_max_tw_buckets`: beyond it they are ended at once.
    pub most: Option<u64>,
    /// Why a figure is `null`.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
}

/// One client address connecting to one server port until the ports are used up, and past that.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PortRecord {
    /// `client-closes`, `tcp-tw-reuse`, `more-addresses`, `server-closes` or `client-resets`.
    pub way: String,
    /// What was done, in a sentence.
    pub explanation: String,
    /// Ports of each address (`net.ipv4.ip_local_port_range`).
    pub ports: u64,
    /// Client addresses.
    pub addresses: u32,
    /// How long it was tried.
    pub watched_ns: u64,
    /// Connections that were opened and ended.
    pub connects: u64,
    /// Of them, before the first that failed; `null` when none did.
    pub connects_before_failure: Option<u64>,
    /// When the first failed.
    pub first_failure_ns: Option<u64>,
    /// Failed connects by what the kernel said.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Sockets in `TIME_WAIT` at the client's host at the end.
    pub time_wait_client: u64,
    /// Sockets in `TIME_WAIT` at the server's host at the end.
    pub time_wait_server: u64,
    /// How long a port rests before it is used again (`net.ipv4.tcp_tw_reuse_delay`); only of `tcp-tw-reuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_delay_ns: Option<u64>,
    /// What this way can sustain by arithmetic, connections a second; `null` when ports do not limit it.
    pub ceiling_per_second: Option<f64>,
    /// What the arithmetic is.
    #[serde(default)]
    pub ceiling_because: String,
}

/// Many connections opened at once, as fast as they are answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HandshakeRecord {
    /// Asked for.
    pub connections_asked: u64,
    /// Established at both ends.
    pub established: u64,
    /// Established as far as the clients know. More than the line above where a SYN was answered with a cookie and the
    /// client's ACK met a full accept queue: the server keeps nothing of it, and does not tell.
    #[serde(default)]
    pub established_for_clients: u64,
    /// From the first connect to the answer to the last.
    pub took_ns: u64,
    /// Length of each listener's accept queue.
    pub accept_queue: u64,
    /// Listeners.
    pub listeners: u64,
    /// Connects unanswered at once, all core threads of the load generator.
    pub in_flight: u64,
    /// What the listeners and the SYN queue met with.
    pub pressure: OpeningPressure,
    /// The most sockets seen in `SYN_RECV` at once.
    pub syn_received_max: u64,
    /// How often they were counted: each count walks all sockets of the machine.
    #[serde(default)]
    pub syn_received_looks: u64,
    /// How long the counting took in all.
    #[serde(default)]
    pub syn_received_looked_ns: u64,
    /// The most connections seen waiting in the accept queues.
    pub accept_waiting_max: u64,
    /// CPU time of the whole machine.
    pub cpu_ns: CpuNanos,
    /// Failed connects by what the kernel said.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Why it was ended early, when it was.
    #[serde(default)]
    pub stopped: Option<String>,
    /// Why fewer were opened than asked for, when the host would not hold them.
    #[serde(default)]
    pub limited_by: Option<String>,
    /// Tenths of a second, or longer slices of a long ramp.
    #[serde(default)]
    pub timeline: Vec<HandshakeSlice>,
    /// `connect`.
    pub histograms: BTreeMap<String, HistogramRecord>,
}

/// One stretch of a ramp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HandshakeSlice {
    /// Its end, from the first connect.
    pub elapsed_ms: u64,
    /// Connections established in it.
    pub connects: u64,
    /// The most sockets in `SYN_RECV` at the last look, or the looks, until its end.
    pub syn_received: u64,
    /// The most connections seen waiting in the accept queues in it.
    pub accept_waiting: u64,
    /// Refused by a listener in it (`TcpExt ListenDrops`).
    pub listen_drops: u64,
    /// SYNs and SYN-ACKs sent again in it.
    pub syn_retransmits: u64,
}
