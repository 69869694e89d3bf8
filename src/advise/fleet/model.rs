//! The arithmetic of a fleet: from figures per event and per connection to what a run asks of each host.
//!
//! Pure, and knows of no record's place: a [`Profile`] is handed in. [`predict`] foretells a run, [`Host::limits`] says
//! what bounds a host, [`hosts_needed`] divides. See the [module above](super) for the formulas.

use crate::advise::figures::CostFigure;
use crate::advise::words::{float, whole};
use crate::arm::Arm;
use crate::record::{Estimate, MemoryPerConnection};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// Preamble and start delimiter 8, header 14, checksum 4, gap 12 (IEEE 802.3, clauses 3 and 4).
pub(super) const FRAMING_BYTES: f64 = 38.0;
/// A frame is 64 bytes at least, header and checksum included: a shorter packet is padded to this (IEEE 802.3, 3.2.8).
pub(super) const SHORTEST_PACKET_BYTES: f64 = 46.0;

/// A figure with its interval. A figure without one has three equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end.
    pub low: f64,
    /// The figure.
    pub median: f64,
    /// Upper end.
    pub high: f64,
}

impl Bounds {
    /// Known to the digit, as far as the model goes.
    #[must_use]
    pub const fn exact(value: f64) -> Self {
        Self {
            low: value,
            median: value,
            high: value,
        }
    }

    /// All three times `factor`, which is not negative.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            low: self.low * factor,
            median: self.median * factor,
            high: self.high * factor,
        }
    }

    /// `amount` divided by all three: most where the figure is least.
    #[must_use]
    pub fn divide(self, amount: f64) -> Self {
        Self {
            low: amount / self.high,
            median: amount / self.median,
            high: amount / self.low,
        }
    }

    /// Whether the interval says more than the figure.
    #[must_use]
    pub fn is_range(self) -> bool {
        self.low < self.high
    }

    /// Whether `value` lies within.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

impl From<Estimate> for Bounds {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a cost or a rate, far below 2^53"
    )]
    fn from(estimate: Estimate) -> Self {
        Self {
            low: estimate.low as f64,
            median: estimate.median as f64,
            high: estimate.high as f64,
        }
    }
}

/// Which end of the connections a host holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The listening one.
    Server,
    /// The load generator's.
    Load,
}

/// What one event and one connection ask of either end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Both ways.
    pub packets_per_event: f64,
    /// Both ways, at IP level.
    pub wire_bytes_per_event: f64,
    /// The busier way's share of the packets.
    pub busier_share: f64,
    /// Nanoseconds at the server's host.
    pub server_cpu_ns_per_event: Bounds,
    /// Nanoseconds at the load generator's host.
    pub load_cpu_ns_per_event: Bounds,
    /// Bytes at the server's host.
    pub server_bytes_per_connection: Bounds,
    /// Bytes at the load generator's host.
    pub load_bytes_per_connection: Bounds,
}

impl Profile {
    /// What a record of both ends on one machine says of each; `None` without memory figures.
    #[must_use]
    pub fn of(arm: Arm, figure: &CostFigure) -> Option<Self> {
        let memory = figure.memory_bytes_per_connection;
        // Probes are the kernel's, and whom they are charged to is chance.
        let process = |cost: Option<Estimate>| cost.filter(|_| !arm.counts_probes());
        let (server, load) = (
            process(figure.server_cpu_ns_per_event),
            process(figure.load_cpu_ns_per_event),
        );
        Some(Self {
            packets_per_event: figure.packets_per_event,
            wire_bytes_per_event: figure.wire_bytes_per_event,
            busier_share: busier_share(arm),
            server_cpu_ns_per_event: split(figure.cpu_ns_per_event, server, load),
            load_cpu_ns_per_event: split(figure.cpu_ns_per_event, load, server),
            server_bytes_per_connection: one_end(memory, memory.server_user)?,
            load_bytes_per_connection: one_end(memory, memory.load_user)?,
        })
    }

    /// Bytes of one packet on an Ethernet wire, framing included, on the average.
    #[must_use]
    pub fn ethernet_bytes_per_packet(&self) -> f64 {
        let packet = self.wire_bytes_per_event / self.packets_per_event;
        packet.max(SHORTEST_PACKET_BYTES) + FRAMING_BYTES
    }

    fn cpu(&self, end: End) -> Bounds {
        match end {
            End::Server => self.server_cpu_ns_per_event,
            End::Load => self.load_cpu_ns_per_event,
        }
    }

    fn memory(&self, end: End) -> Bounds {
        match end {
            End::Server => self.server_bytes_per_connection,
            End::Load => self.load_bytes_per_connection,
        }
    }
}

/// Of a heartbeat, its ack and the TCP ACK of that two go one way; of a probe, or a heartbeat without an ack, half.
fn busier_share(arm: Arm) -> f64 {
    match arm {
        Arm::Heartbeat | Arm::HeartbeatPush | Arm::Both => 2.0 / 3.0,
        Arm::None | Arm::Keepalive | Arm::KeepaliveUserTimeout | Arm::HeartbeatOneway => 0.5,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds per event are far below 2^53"
)]
fn at_least_zero(value: i64) -> f64 {
    value.max(0) as f64
}

/// One end's part of what both ends together cost.
fn split(both: Estimate, mine: Option<Estimate>, theirs: Option<Estimate>) -> Bounds {
    let Some((mine, theirs)) = mine.zip(theirs) else {
        return Bounds {
            low: at_least_zero(both.low) / 2.0,
            median: at_least_zero(both.median) / 2.0,
            high: at_least_zero(both.high.max(both.median)),
        };
    };
    let unowned = at_least_zero(both.median - mine.median - theirs.median);
    Bounds {
        low: at_least_zero(mine.low),
        median: at_least_zero(mine.median) + unowned / 2.0,
        high: at_least_zero(mine.high) + unowned,
    }
}

/// One end's memory: its process's and half of the kernel's, which is of both ends; what no owner was found for, if
/// anything, is added to the upper end by half.
fn one_end(memory: MemoryPerConnection, user: Option<u64>) -> Option<Bounds> {
    let kernel = memory.kernel_sockets.zip(memory.kernel_io_uring);
    let Some(((sockets, rings), user)) = kernel.zip(user) else {
        return memory.total.map(|total| Bounds::exact(float(total) / 2.0));
    };
    let named = float(user) + float(sockets + rings) / 2.0;
    let unnamed = at_least_zero(memory.remainder.unwrap_or(0)) / 2.0;
    Some(Bounds {
        low: named,
        median: named,
        high: named + unnamed,
    })
}

/// A run to be foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Of all hosts together.
    pub connections: u64,
    /// Hosts of the end that is looked at.
    pub hosts: u64,
    /// Between two signs of life of one end.
    pub interval: Nanos,
    /// Ends of a connection that give one.
    pub ends: u64,
}

impl Run {
    /// Signs of life of one connection per second.
    #[must_use]
    pub fn rate_per_connection(&self) -> f64 {
        float(self.ends) / self.interval.as_secs_f64()
    }
}

/// What one host does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct HostShare {
    /// Of the fullest host.
    pub connections: u64,
    /// Heartbeats or probes.
    pub events_per_second: f64,
    /// Both ways.
    pub packets_per_second: f64,
    /// Both ways, at IP level.
    pub wire_bytes_per_second: f64,
    /// The busier way, with framing.
    pub ethernet_bits_per_second: f64,
    /// Cores for the events.
    pub cpu_cores: Bounds,
    /// For the connections.
    pub memory_bytes: Bounds,
}

/// What a run asks of the whole fleet and of its fullest host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Prediction {
    /// Of all hosts.
    pub events_per_second: f64,
    /// Both ways, of all hosts.
    pub packets_per_second: f64,
    /// Both ways, at IP level, of all hosts.
    pub wire_bytes_per_second: f64,
    /// Cores for the events, of all hosts of this end.
    pub cpu_cores: Bounds,
    /// Of all hosts of this end.
    pub memory_bytes: Bounds,
    /// The fullest host.
    pub host: HostShare,
}

/// What `run` asks of the hosts at `end`.
#[must_use]
pub fn predict(profile: &Profile, run: &Run, end: End) -> Prediction {
    let all = share(profile, run.connections, run.rate_per_connection(), end);
    let fullest = run.connections.div_ceil(run.hosts.max(1));
    Prediction {
        events_per_second: all.events_per_second,
        packets_per_second: all.packets_per_second,
        wire_bytes_per_second: all.wire_bytes_per_second,
        cpu_cores: all.cpu_cores,
        memory_bytes: all.memory_bytes,
        host: share(profile, fullest, run.rate_per_connection(), end),
    }
}

fn share(profile: &Profile, connections: u64, rate_per_connection: f64, end: End) -> HostShare {
    let events = float(connections) * rate_per_connection;
    let packets = events * profile.packets_per_event;
    HostShare {
        connections,
        events_per_second: events,
        packets_per_second: packets,
        wire_bytes_per_second: events * profile.wire_bytes_per_event,
        ethernet_bits_per_second: packets
            * profile.busier_share
            * profile.ethernet_bytes_per_packet()
            * 8.0,
        cpu_cores: profile.cpu(end).times(events / 1e9),
        memory_bytes: profile.memory(end).times(float(connections)),
    }
}

/// One host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Host {
    /// Cores.
    pub cores: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Each way.
    pub nic_bits_per_second: u64,
    /// The most it is to hold, whatever else would allow; `null` without such a bound.
    pub connections: Option<u64>,
    /// What is kept free of the first three.
    pub headroom_percent: u64,
}

/// How many connections one thing allows on one host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// `memory`, `cores`, `network` or `given`.
    pub what: &'static str,
    /// By the dearest, the usual and the cheapest figure.
    pub connections: Bounds,
}

impl Host {
    /// What bounds the connections of one host at `end`, tightest first.
    #[must_use]
    pub fn limits(&self, profile: &Profile, rate_per_connection: f64, end: End) -> Vec<Limit> {
        let free = float(100_u64.saturating_sub(self.headroom_percent)) / 100.0;
        let one = share(profile, 1, rate_per_connection, end);
        let bits = Bounds::exact(one.ethernet_bits_per_second);
        let mut limits = vec![
            Limit {
                what: "memory",
                connections: one.memory_bytes.divide(float(self.memory_bytes) * free),
            },
            Limit {
                what: "cores",
                connections: one.cpu_cores.divide(float(self.cores) * free),
            },
            Limit {
                what: "network",
                connections: bits.divide(float(self.nic_bits_per_second) * free),
            },
        ];
        limits.extend(self.connections.map(|most| Limit {
            what: "given",
            connections: Bounds::exact(float(most)),
        }));
        limits.sort_by(|one, other| one.connections.low.total_cmp(&other.connections.low));
        limits
    }
}

/// Whole connections that one host holds by all of `limits`.
pub(super) fn held(limits: &[Limit]) -> Bounds {
    let least = |of: fn(&Bounds) -> f64| {
        let values = limits.iter().map(|limit| of(&limit.connections));
        values.fold(f64::INFINITY, f64::min).floor()
    };
    Bounds {
        low: least(|bounds| bounds.low),
        median: least(|bounds| bounds.median),
        high: least(|bounds| bounds.high),
    }
}

/// Hosts that hold `connections` when one holds `each`: one at least. `None` when one does not hold a single one.
#[must_use]
pub fn hosts_needed(connections: u64, each: f64) -> Option<u64> {
    let each = whole(each.floor());
    (each > 0).then(|| connections.div_ceil(each).max(1))
}
