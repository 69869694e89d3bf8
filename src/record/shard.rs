//! What one of several load generators saw in a round of `compare --fleet`, so that a bad host stays visible.
//!
//! Does not compute any of it. What all saw together stands in the round itself.

use super::HistogramRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One load generator in one round. Its times are of its own host's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShardRecord {
    /// Which of the load generators, from 0.
    pub shard: u32,
    /// What its host is called.
    pub host: String,
    /// Its share of the connections.
    pub connections_requested: u64,
    /// Connects that were answered.
    pub connections_established: u64,
    /// Held when the window had closed, by its own count or its kernel's, whichever is smaller. Its kernel counts the
    /// sockets of all load generators that share a host.
    pub connections_held_at_end: u64,
    /// Lost by cause, by its own count.
    pub connections_lost: BTreeMap<String, u64>,
    /// Heartbeats sent in the window.
    pub heartbeats_sent: u64,
    /// Acks received in the window.
    pub acks_received: u64,
    /// From its first connect to the answer to its last.
    pub opened_in_ns: Option<u64>,
    /// Its round trips in the window; `null` where it measures none.
    pub rtt: Option<HistogramRecord>,
}
