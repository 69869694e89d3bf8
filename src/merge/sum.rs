//! All load generators together: counts added, histograms added.
//!
//! Pure. A count that would leave 64 bits stays at the largest, which no run comes near; nothing is averaged.

use super::overlap::{Overlap, overlap};
use crate::record::{
    FleetHost, FleetTotals, HistogramError, HistogramRecord, LoadHost, ServerHost, new_histogram,
};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// The sum of `loads`, and how long their windows and the server's were open at once.
///
/// # Errors
/// [`HistogramError`] when a stored histogram does not open or has another shape.
pub fn together(
    loads: &[LoadHost],
    server: Option<&ServerHost>,
) -> Result<FleetTotals, HistogramError> {
    let sum = |of: fn(&LoadHost) -> u64| loads.iter().map(of).fold(0, u64::saturating_add);
    let hosts: Vec<&FleetHost> = loads
        .iter()
        .map(|load| &load.host)
        .chain(server.map(|server| &server.host))
        .collect();
    let overlap_ns = match overlap(&hosts) {
        Overlap::AtLeast { at_least_ns, .. } if !hosts.is_empty() => Some(at_least_ns),
        _ => None,
    };
    Ok(FleetTotals {
        connections_asked: sum(|load| load.connections_asked),
        connections_established: sum(|load| load.connections_established),
        reconnects_established: sum(|load| load.reconnects_established),
        connections_held_at_end: sum(|load| load.connections_held_at_end),
        connections_lost: by_key(loads, |load| &load.connections_lost),
        connects_failed: by_key(loads, |load| &load.connects_failed),
        heartbeats_sent: sum(|load| load.heartbeats_sent),
        heartbeats_received: sum(|load| load.heartbeats_received),
        acks_received: sum(|load| load.acks_received),
        probes_attempted: probes(loads),
        overlap_ns,
        histograms: histograms(loads)?,
    })
}

/// `None` unless all are known.
fn probes(loads: &[LoadHost]) -> Option<u64> {
    let (first, others) = loads.split_first()?;
    others
        .iter()
        .try_fold(first.probes_attempted?, |sum, load| {
            Some(sum.saturating_add(load.probes_attempted?))
        })
}

fn by_key(
    loads: &[LoadHost],
    of: fn(&LoadHost) -> &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (key, count) in loads.iter().flat_map(of) {
        let sum = sums.entry(key.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    sums
}

fn histograms(loads: &[LoadHost]) -> Result<BTreeMap<String, HistogramRecord>, HistogramError> {
    let mut sums: BTreeMap<&String, Histogram<u64>> = BTreeMap::new();
    for (name, stored) in loads.iter().flat_map(|load| &load.histograms) {
        let read = stored.histogram()?;
        let sum = sums.entry(name).or_insert_with(new_histogram);
        sum.add(read).map_err(|_| HistogramError::Shape)?;
    }
    sums.into_iter()
        .map(|(name, sum)| Ok((name.clone(), HistogramRecord::of(&sum)?)))
        .collect()
}
