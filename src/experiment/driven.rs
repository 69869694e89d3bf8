//! The load generators of `compare --fleet`: this host is the captain, and all others do what it orders at the same time.
//!
//! Does not start them; the engine of the cluster has. They are one population: each opens its share of the connections,
//! numbered among those of all, see [`Shard`].

use super::ExperimentError;
use crate::control::{Order, Word};
use crate::fleet::{Captain, FleetError};
use crate::load::{LoadConfig, Shard};
use crate::os::route::way_from;
use crate::units::Nanos;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The longest a load generator may take to obey; as long as one of this host's.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where the load generators' connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrivenPlan {
    targets: Vec<Ipv4Addr>,
    port: Option<u16>,
    sources: Vec<Ipv4Addr>,
    /// The one that has the targets.
    interface: String,
}

impl DrivenPlan {
    /// `targets` are addresses of this host, as the others reach it; `port` is the server's in every trial, where it may
    /// not be any; `sources` are those of all shards, in equal blocks, where the kernels are not to choose.
    ///
    /// # Errors
    /// A sentence, when an address is no interface's, or several interfaces', or the sources do not divide.
    pub fn new(
        targets: Vec<Ipv4Addr>,
        port: Option<u16>,
        sources: Vec<Ipv4Addr>,
        shards: u32,
    ) -> Result<Self, String> {
        let mut interfaces = BTreeSet::new();
        for target in &targets {
            let way = way_from(*target).map_err(|error| {
                format!(
                    "`targets` are addresses of this host as the load generators reach it, and no interface has \
                     {target} ({error})"
                )
            })?;
            interfaces.insert(way.interface);
        }
        let one = interfaces
            .pop_first()
            .ok_or("`targets` names no address of this host")?;
        if let Some(other) = interfaces.first() {
            return Err(format!(
                "`targets` are on {one} and on {other}, and packets are counted on one interface: name addresses of one"
            ));
        }
        Shard::new(0, shards)?
            .part(&sources)
            .map_err(|why| format!("`source_addresses` are those of all shards: {why}"))?;
        Ok(Self {
            targets,
            port,
            sources,
            interface: one,
        })
    }
}

/// Whoever carries orders to the shards.
trait Carrier: Debug + Send + Sync {
    fn order(&self, orders: &BTreeMap<u32, Order>) -> Result<BTreeMap<u32, Word>, FleetError>;
    fn conclude(&self, trouble: Option<&str>);
}

impl Carrier for Captain {
    fn order(&self, orders: &BTreeMap<u32, Order>) -> Result<BTreeMap<u32, Word>, FleetError> {
        // A signal is looked for between orders, as with the halves of this host.
        Self::order(self, orders, PATIENCE, &mut || None)
    }

    fn conclude(&self, trouble: Option<&str>) {
        match trouble {
            Some(why) => self.abort(why),
            None => self.dismiss(),
        }
    }
}

/// Load generators on other hosts that are all there.
#[derive(Debug)]
pub struct DrivenFleet {
    carrier: Box<dyn Carrier>,
    /// By the shard's number.
    hosts: Vec<String>,
    plan: DrivenPlan,
    /// The instant that heartbeats' phases count from on every host.
    origin: Nanos,
}

impl DrivenFleet {
    /// Those that have gathered at `captain`.
    #[must_use]
    pub fn new(captain: Captain, plan: DrivenPlan) -> Self {
        let (hosts, origin) = (captain.hosts(), captain.origin());
        Self {
            carrier: Box::new(captain),
            hosts,
            plan,
            origin,
        }
    }

    /// The instant that heartbeats' phases count from, by this host's clock.
    pub(super) const fn origin(&self) -> Nanos {
        self.origin
    }

    /// Ends the run for all: well, or for the reason given.
    pub(super) fn conclude(&self, ended: Option<&ExperimentError>) {
        let why = ended.map(ToString::to_string);
        self.carrier.conclude(why.as_deref());
    }

    /// The server's port in every trial, if it may not be any.
    pub(super) const fn port(&self) -> Option<u16> {
        self.plan.port
    }

    /// The interface that the server is reached by.
    pub(super) fn interface(&self) -> &str {
        &self.plan.interface
    }

    /// What the shard's host is called.
    pub(super) fn host(&self, shard: u32) -> &str {
        let host = usize::try_from(shard)
            .ok()
            .and_then(|at| self.hosts.get(at));
        host.map_or("unknown", String::as_str)
    }

    /// The shard's part of all connections.
    pub(super) fn share(&self, shard: u32, connections: u64) -> u64 {
        Shard::new(shard, self.count()).map_or(0, |shard| shard.share(connections))
    }

    fn count(&self) -> u32 {
        u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    /// Where connections go to, at `port`.
    pub(super) fn targets(&self, port: u16) -> Vec<SocketAddrV4> {
        let at = |address: &Ipv4Addr| SocketAddrV4::new(*address, port);
        self.plan.targets.iter().map(at).collect()
    }

    /// Starts the load generators, each with its part of `all`: connections, pace, connects in flight, addresses.
    pub(super) fn start(&self, all: &LoadConfig) -> Result<(), ExperimentError> {
        let mut orders = BTreeMap::new();
        for index in 0..self.count() {
            let shard = Shard::new(index, self.count()).map_err(ExperimentError::Host)?;
            let sources = shard.part(&self.plan.sources);
            let config = LoadConfig {
                connections: shard.share(all.connections),
                sources: sources.map_err(ExperimentError::Host)?.to_vec(),
                ramp_rate: all.ramp_rate.map(|rate| shard.share(rate).max(1)),
                in_flight: shard.share(all.in_flight).max(1),
                shard,
                ..all.clone()
            };
            orders.insert(index, Order::Load(Box::new(config)));
        }
        for (shard, word) in self.carry(&orders)? {
            if !matches!(word, Word::Ready { .. }) {
                return Err(self.misheard(shard, &word, "that it stands ready"));
            }
        }
        Ok(())
    }

    /// Gives all the same order, at the same time, and waits for all their answers.
    pub(super) fn order(&self, order: &Order) -> Result<BTreeMap<u32, Word>, ExperimentError> {
        self.carry(
            &(0..self.count())
                .map(|shard| (shard, order.clone()))
                .collect(),
        )
    }

    fn carry(&self, orders: &BTreeMap<u32, Order>) -> Result<BTreeMap<u32, Word>, ExperimentError> {
        let words = self.carrier.order(orders)?;
        let failed = words.iter().find_map(|(shard, word)| match word {
            Word::Failed { message, .. } => Some(self.said(*shard, message.clone())),
            _ => None,
        });
        failed.map_or(Ok(words), Err)
    }

    /// An answer that is none to what was asked.
    pub(super) fn misheard(&self, shard: u32, word: &Word, wanted: &str) -> ExperimentError {
        self.said(shard, format!("it answered {word:?} instead of {wanted}"))
    }

    fn said(&self, shard: u32, why: String) -> ExperimentError {
        let who = format!("shard {shard} (host {})", self.host(shard));
        ExperimentError::Fleet(FleetError::Said { who, why })
    }
}

#[cfg(test)]
pub(super) mod fake {
    use super::*;
    use std::sync::{Arc, Mutex, PoisonError};

    /// Answers by a closure, and keeps what was ordered.
    type Answer = Box<dyn Fn(u32, &Order) -> Word + Send + Sync>;
    /// The orders of each call.
    pub(in crate::experiment) type Orders = Arc<Mutex<Vec<BTreeMap<u32, Order>>>>;

    struct Fake {
        answer: Answer,
        orders: Orders,
    }

    impl Debug for Fake {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Fake")
        }
    }

    impl Carrier for Fake {
        fn order(&self, orders: &BTreeMap<u32, Order>) -> Result<BTreeMap<u32, Word>, FleetError> {
            let mut all = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(orders.clone());
            let words = orders.iter();
            Ok(words
                .map(|(shard, order)| (*shard, (self.answer)(*shard, order)))
                .collect())
        }

        fn conclude(&self, _: Option<&str>) {}
    }

    /// A fleet of `hosts` that answers so.
    pub(in crate::experiment) fn fleet(
        hosts: &[&str],
        answer: impl Fn(u32, &Order) -> Word + Send + Sync + 'static,
    ) -> (Arc<DrivenFleet>, Orders) {
        let orders = Orders::default();
        let shards = u32::try_from(hosts.len()).unwrap();
        let plan = DrivenPlan::new(vec![Ipv4Addr::LOCALHOST], None, Vec::new(), shards).unwrap();
        let fleet = DrivenFleet {
            carrier: Box::new(Fake {
                answer: Box::new(answer),
                orders: Arc::clone(&orders),
            }),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            plan,
            origin: Nanos::ZERO,
        };
        (Arc::new(fleet), orders)
    }
}
