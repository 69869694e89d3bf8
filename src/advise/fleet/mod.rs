//! A fleet: how many hosts hold so many connections, what each of them then does, and how long it takes until everybody
//! is back after a site was lost. And the same model held against a run on several hosts.
//!
//! Nothing here is measured, and no figure is made up: each is one of a record, of a rule that is cited, or given by the
//! user; [`FleetPlan::inputs`] says which. The arithmetic is that of [`predict`] and [`Host::limits`]:
//!
//! ```text
//! events/s            = connections × ends that probe ÷ interval          (ends: 1 for heartbeats)
//! packets/s           = events/s × packets per event, as measured
//! Ethernet bytes/s    = packets/s × (max(IP bytes per packet, 46) + 38)
//! of the busier way   = the above × 2/3 for heartbeats with an ack, × 1/2 for all others
//! cores of an end     = events/s × CPU per event of that end
//! CPU of an end       = its process's + half of what neither process was charged with   (low: none of it, high: all)
//!                       or half of both ends' together, where the kernel does it all    (high: all of it)
//! memory of an end    = its process's + half of the kernel's, of a connection with both ends on one machine
//! a host holds        = the least of memory ÷ memory per connection, cores ÷ cores per connection, NIC ÷ bits per
//!                       connection and what was given, each less the headroom
//! hosts that are needed = connections ÷ what a host holds, rounded up
//! hosts of a site     = hosts that are needed ÷ (sites − 1), rounded up; with one site all of them and one more
//! back after a loss   = (connections ÷ sites ÷ hosts left) ÷ connects per second of a host
//! conntrack           = one entry per connection wherever it is tracked
//! ```
//!
//! Where a figure has an interval, so has what follows from it; hosts are planned by the end that needs more.
//!
//! What the model does not know: TLS and the application's own memory and CPU, sockets with data in their buffers, a host
//! whose cost per event differs from the one measured (other CPUs, more of them, another network card), interrupts of a
//! network card, load balancers, and whether accepting gets faster with more cores in proportion.

mod check;
mod inputs;
mod model;
mod plan;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod text;

pub use check::{Check, CheckError, CheckRow, compare_with};
pub use inputs::FleetInput;
pub use model::{
    Bounds, End, Host, HostShare, Limit, Prediction, Profile, Run, hosts_needed, predict,
};
pub use plan::{
    Conntrack, FleetPlan, Formula, Hosts, LoadFleet, MechanismPlan, Reconnect, plan_fleet,
};
pub use text::check_text;
pub(super) use text::sections;

/// What is known of the hosts and how they are spread; what is `None` is taken from the records, or is the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetQuestion {
    /// The most connections one host is to hold.
    pub host_connections: Option<u64>,
    /// A host's memory, bytes.
    pub host_memory_bytes: Option<u64>,
    /// A host's cores.
    pub host_cores: Option<u64>,
    /// A host's network card, bits per second each way.
    pub nic_bits_per_second: Option<u64>,
    /// Sites the fleet is spread over evenly.
    pub sites: Option<u64>,
    /// Connections one host accepts per second.
    pub reconnects_per_second: Option<u64>,
    /// What is kept free of memory, cores and network, percent.
    pub headroom_percent: Option<u64>,
}

impl FleetQuestion {
    /// Whether any of it was given.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self != Self::default()
    }
}
