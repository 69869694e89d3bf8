//! What a life cycle leaves beside the page: the captures, every segment and state as a spreadsheet reads them, the
//! histograms under their names.
//!
//! Does not touch the disk.

use super::{numbered, stems};
use crate::record::{HistogramRecord, LifecycleRecord};
use crate::report::csv::field;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const SEGMENTS: &str =
    "scenario,sent_ns,arrived_ns,from,flags,sequence,acknowledgement,bytes,again,connection,note\n";
const STATES: &str = "scenario,at_ns,end,state,connection\n";

/// What the stem of a ramp's files begins with.
pub(in crate::report) const RAMP: &str = "handshake-";

/// Why a file could not be made: which one, and what was wrong.
pub(in crate::report) type Damage = (String, base64::DecodeError);

/// Every file but the histograms': name and content.
///
/// # Errors
/// The capture's name when its base64 is broken.
pub(in crate::report) fn files(
    lifecycle: &LifecycleRecord,
) -> Result<Vec<(String, Vec<u8>)>, Damage> {
    let mut files = Vec::new();
    for (scenario, stem) in lifecycle.scenarios.iter().zip(stems(lifecycle)) {
        let name = format!("{stem}.pcap");
        match STANDARD.decode(&scenario.pcap_base64) {
            Ok(capture) => files.push((name, capture)),
            Err(error) => return Err((name, error)),
        }
    }
    files.push(("segments.csv".to_owned(), segments(lifecycle).into_bytes()));
    files.push(("states.csv".to_owned(), states(lifecycle).into_bytes()));
    Ok(files)
}

/// One row a segment.
fn segments(lifecycle: &LifecycleRecord) -> String {
    let mut text = SEGMENTS.to_owned();
    for (scenario, stem) in lifecycle.scenarios.iter().zip(stems(lifecycle)) {
        for s in &scenario.segments {
            let or_nothing =
                |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
            writeln!(
                text,
                "{},{},{},{},{},{},{},{},{},{},{}",
                field(&stem),
                s.sent_ns,
                or_nothing(s.arrived_ns),
                field(&s.from),
                field(&s.flags),
                s.sequence,
                or_nothing(s.acknowledgement.map(u64::from)),
                s.bytes,
                s.again,
                s.connection,
                field(&s.note)
            )
            .unwrap_or_default();
        }
    }
    text
}

/// One row a change of state.
fn states(lifecycle: &LifecycleRecord) -> String {
    let mut text = STATES.to_owned();
    for (scenario, stem) in lifecycle.scenarios.iter().zip(stems(lifecycle)) {
        for s in &scenario.states {
            let (scenario, end, state) = (field(&stem), field(&s.end), field(&s.state));
            writeln!(
                text,
                "{scenario},{},{end},{state},{}",
                s.at_ns, s.connection
            )
            .unwrap_or_default();
        }
    }
    text
}

/// The histograms of everything that has some, each with the stem of its files' names.
pub(in crate::report) fn histograms(
    lifecycle: &LifecycleRecord,
) -> Vec<(String, &BTreeMap<String, HistogramRecord>)> {
    let mut stems = Vec::new();
    let mut all = Vec::new();
    for turnover in &lifecycle.turnovers {
        stems.push(turnover.ending.clone());
        all.push(&turnover.histograms);
        if let Some(sustained) = &turnover.sustained {
            stems.push(format!("{}-sustained", turnover.ending));
            all.push(&sustained.histograms);
        }
    }
    for ramp in &lifecycle.handshakes {
        stems.push(format!("{RAMP}{}", ramp.connections_asked));
        all.push(&ramp.histograms);
    }
    numbered(stems.into_iter(), '#')
        .into_iter()
        .zip(all)
        .collect()
}
