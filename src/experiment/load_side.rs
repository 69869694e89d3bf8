//! The load generator of a trial: a process of this host, or one on each of several others.
//!
//! Does not say which connections are whose: [`DrivenFleet`] does. What several show is added up, so that a trial sees one
//! load generator; the time a snapshot was taken at is of another host's clock then and is compared with nothing.

use super::ExperimentError;
use super::driven::DrivenFleet;
use super::process::Half;
use crate::bank::{Phase, Snapshot};
use crate::control::{Order, Word};
use crate::load::LoadConfig;
use crate::record::{HistogramRecord, ShardRecord, decode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who loads.
#[derive(Debug)]
pub(super) enum LoadSide {
    /// A process of this host.
    Here(Half),
    /// One on each of several hosts.
    Elsewhere(Loads),
}

/// The load generators of a fleet in one trial.
#[derive(Debug)]
pub(super) struct Loads {
    fleet: Arc<DrivenFleet>,
    /// What each showed when its window had closed.
    closed: BTreeMap<u32, Snapshot>,
    /// Connections of all.
    connections: u64,
}

impl LoadSide {
    /// The load generators of `fleet`.
    pub(super) fn of(fleet: &Arc<DrivenFleet>) -> Self {
        Self::Elsewhere(Loads {
            fleet: Arc::clone(fleet),
            closed: BTreeMap::new(),
            connections: 0,
        })
    }

    /// The process's number, where it is one of this host.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Here(half) => Some(half.pid()),
            Self::Elsewhere(_) => None,
        }
    }

    /// Starts what `config` says of all connections.
    pub(super) fn start(&mut self, config: LoadConfig) -> Result<(), ExperimentError> {
        match self {
            Self::Here(half) => half.ask(&Order::Load(Box::new(config))).map(drop),
            Self::Elsewhere(loads) => {
                loads.connections = config.connections;
                loads.fleet.start(&config)
            }
        }
    }

    /// Gives an order whose answer is what there is to see, and adds up what there is to see.
    pub(super) fn show(&mut self, order: &Order) -> Result<Snapshot, ExperimentError> {
        match self {
            Self::Here(half) => half.show(order),
            Self::Elsewhere(loads) => together(&loads.show(order)?),
        }
    }

    /// Takes the load generator to `phase` and returns what it then shows.
    pub(super) fn go(&mut self, phase: Phase) -> Result<Snapshot, ExperimentError> {
        match self {
            Self::Here(half) => half.go(phase),
            Self::Elsewhere(loads) => {
                let all = loads.show(&Order::Go(phase))?;
                let sum = together(&all)?;
                if phase == Phase::Closed {
                    loads.closed = all;
                }
                Ok(sum)
            }
        }
    }

    /// What it shows now; at most a fifth of a second old.
    pub(super) fn report(&mut self) -> Result<Snapshot, ExperimentError> {
        self.show(&Order::Report)
    }

    /// What it shows after now.
    pub(super) fn settle(&mut self) -> Result<Snapshot, ExperimentError> {
        self.show(&Order::Settle)
    }

    /// Lets it end by itself and waits for it. On other hosts it has ended when it has ended its connections.
    pub(super) fn finish(self) {
        match self {
            Self::Here(half) => half.finish(),
            Self::Elsewhere(_) => {}
        }
    }
}

impl Loads {
    pub(super) fn fleet(&self) -> &DrivenFleet {
        &self.fleet
    }

    fn show(&self, order: &Order) -> Result<BTreeMap<u32, Snapshot>, ExperimentError> {
        let words = self.fleet.order(order)?.into_iter();
        let shown = words.map(|(shard, word)| match word {
            Word::Snapshot(snapshot) => Ok((shard, *snapshot)),
            other => Err(self.fleet.misheard(shard, &other, "a snapshot")),
        });
        shown.collect()
    }

    /// The load generators one by one, as they were when their windows had closed; `port` is the server's.
    pub(super) fn audit(&self, port: u16) -> Result<Vec<ShardRecord>, ExperimentError> {
        let words = self.fleet.order(&Order::Audit { port })?.into_iter();
        let rows = words.map(|(shard, word)| {
            let Word::Audited { established } = word else {
                return Err(self.fleet.misheard(shard, &word, "a count of sockets"));
            };
            let closed = self.closed.get(&shard).cloned().unwrap_or_default();
            self.row(shard, established, &closed)
        });
        rows.collect()
    }

    fn row(
        &self,
        shard: u32,
        kernel: u64,
        closed: &Snapshot,
    ) -> Result<ShardRecord, ExperimentError> {
        let window = closed.window.clone().unwrap_or_default();
        let rtt = closed.histograms.get("rtt");
        let rtt = rtt
            .map(|text| HistogramRecord::of(&decode(text)?))
            .transpose()?;
        Ok(ShardRecord {
            shard,
            host: self.fleet.host(shard).to_owned(),
            connections_requested: self.fleet.share(shard, self.connections),
            connections_established: closed.totals.established,
            connections_held_at_end: closed.totals.open.min(kernel),
            connections_lost: closed.totals.closed.clone(),
            heartbeats_sent: window.heartbeats_sent,
            acks_received: window.acks_received,
            opened_in_ns: closed.opened_in.map(|took| took.0),
            rtt,
        })
    }
}

/// All load generators as one. Its ramp is over when all of theirs are.
fn together(all: &BTreeMap<u32, Snapshot>) -> Result<Snapshot, ExperimentError> {
    let mut parts = all.values();
    let mut sum = parts.next().cloned().unwrap_or_default();
    for part in parts {
        sum.add(part)?;
    }
    if all.values().any(|part| part.opened_in.is_none()) {
        sum.opened_in = None;
    }
    Ok(sum)
}

#[cfg(test)]
#[path = "load_side_tests.rs"]
mod tests;
