//! The percentiles of a fleet: all load generators together, and each host's own curve over it.
//!
//! Does not add histograms. Of many hosts the ones with the longest tails are drawn.

use super::percentile::{Entry, SUBJECTS, Subject, percentiles};
use super::{Plot, PlotError};
use crate::record::FleetRecord;
use crate::report::fleet::worst;
use plotters::style::RGBColor;

/// Hosts drawn at most: more curves than that nobody tells apart.
const CURVES: usize = 7;
const ALL: RGBColor = RGBColor(0x00, 0x72, 0xB2);
/// Okabe and Ito's, less the one of the sum.
const HOSTS: [RGBColor; CURVES] = [
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x7F, 0x7F, 0x7F),
    RGBColor(0xA6, 0x8A, 0x00),
];

const CONNECT: Subject = Subject {
    histogram: "connect",
    name: "connect",
    title: "Connect time by percentile: SYN submitted to established",
    axis: "connect time",
};

/// One chart per histogram that any host has.
pub(super) fn charts(fleet: &FleetRecord) -> Result<Vec<Plot>, PlotError> {
    let mut entries = Vec::new();
    if fleet.loads.len() > 1 {
        entries.push(Entry {
            name: "all".to_owned(),
            colour: ALL,
            histograms: &fleet.together.histograms,
        });
    }
    let drawn = worst(&fleet.loads, CURVES);
    entries.extend(drawn.iter().zip(HOSTS).map(|(load, colour)| Entry {
        name: format!("{} {}", load.shard, load.host.name),
        colour,
        histograms: &load.histograms,
    }));
    entries.extend(fleet.server.iter().map(|server| Entry {
        name: format!("server {}", server.host.name),
        colour: RGBColor(0x33, 0x33, 0x33),
        histograms: &server.histograms,
    }));
    let mut plots = Vec::new();
    for subject in SUBJECTS.into_iter().chain([CONNECT]) {
        plots.extend(percentiles(&entries, subject)?);
    }
    Ok(plots)
}
