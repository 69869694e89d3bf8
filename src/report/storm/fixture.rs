//! A small plausible storm for tests. Invented figures: nothing here was measured, nothing here is shipped.

use crate::record::{
    HistogramRecord, Kind, OpeningPressure, Record, StormRecord, StormRun, StormSlice,
    new_histogram,
};
use crate::report::fixture;
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;
const CONNECTIONS: u64 = 10_000;

/// `count` values spread evenly from `from` to `to`.
fn spread(from: u64, to: u64, count: u64) -> HistogramRecord {
    let mut histogram = new_histogram();
    for step in 0..count {
        histogram.saturating_record(from + (to - from) * step / count);
    }
    HistogramRecord::of(&histogram).unwrap()
}

fn run(backoff: &str, longest: u64, recovered: u64) -> StormRun {
    let whole = recovered == CONNECTIONS;
    StormRun {
        backoff: backoff.to_owned(),
        base_ms: 100,
        cap_ms: 30_000,
        dropped: CONNECTIONS,
        recovered,
        half_back_ns: Some(longest / 2),
        p99_back_ns: whole.then_some(longest / 100 * 99),
        all_back_ns: whole.then_some(longest),
        attempts: CONNECTIONS + 417,
        failures: BTreeMap::from([("ETIMEDOUT <late>".to_owned(), 417)]),
        attempts_per_100ms_max: 9_100,
        syn_drops: 2_048,
        syn_retransmits: 3_071,
        cpu_busy_ns: 812 * MS,
        histograms: BTreeMap::from([
            ("recovery".to_owned(), spread(2 * MS, longest, recovered)),
            ("connect".to_owned(), spread(MS / 10, 1_040 * MS, recovered)),
        ]),
        arm: "heartbeat".to_owned(),
        measured_ns: longest,
        lost_again: BTreeMap::from([("answer-timeout".to_owned(), 7)]),
        pressure: OpeningPressure {
            listen_overflows: 2_001,
            ..OpeningPressure::default()
        },
        timeline: (0..longest / (100 * MS))
            .map(|slice| StormSlice {
                elapsed_ms: slice * 100,
                attempts: 9_100 / (slice + 1),
                returned: recovered / (longest / (100 * MS)),
            })
            .collect(),
        ..StormRun::default()
    }
}

/// A storm backed off from in three ways, one of which does not end.
pub(crate) fn record() -> Record {
    let mut record = fixture::record();
    record.kind = Kind::Storm;
    record.command = "ringbeat storm --connections 10k".to_owned();
    record.warnings.clear();
    record.arms.clear();
    record.comparisons.clear();
    record.drop_free_rung = None;
    record.samples.clear();
    record.storm = Some(StormRecord {
        mode: "storm".to_owned(),
        ending: "fin".to_owned(),
        accept_queue: 4_096,
        give_up_ms: 60_000,
        runs: vec![
            run("full-jitter", 2_300 * MS, CONNECTIONS),
            run("no-jitter", 4_500 * MS, 9_900),
            run("immediate", 1_100 * MS, CONNECTIONS),
        ],
        ..StormRecord::default()
    });
    record
}
