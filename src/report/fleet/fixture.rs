//! A small plausible fleet for tests: four hosts and a server, of which one host is a bad one. Invented figures: nothing
//! here was measured, nothing here is shipped.

use crate::record::fixture::{EACH, SHARDS, WINDOW, bundles};
use crate::record::{FleetTotals, HistogramRecord, Record, Warning, new_histogram};
use std::collections::BTreeMap;

fn warning(code: &str, message: &str, invalidates: bool) -> Warning {
    Warning {
        code: code.to_owned(),
        message: message.to_owned(),
        advice: "look at that host".to_owned(),
        invalidates,
    }
}

/// What joining the hosts' records gives, the bad host's warnings included.
pub(crate) fn record() -> Record {
    let mut parts = bundles().into_iter();
    let mut record = parts.next().unwrap();
    let all = u64::from(SHARDS);
    let fleet = record.fleet.as_mut().unwrap();
    for part in parts {
        let other = part.fleet.unwrap();
        fleet.loads.extend(other.loads);
        fleet.server = other.server;
    }
    let bad = &mut fleet.loads[2];
    bad.connections_held_at_end -= 40;
    bad.connections_lost = BTreeMap::from([("answer-timeout".to_owned(), 40)]);
    bad.host.backlog_drops = Some(1_204);
    bad.host.stopped = Some("interrupted by <SIGTERM>".to_owned());
    let mut sums = BTreeMap::new();
    for (name, stored) in fleet.loads.iter().flat_map(|load| &load.histograms) {
        let sum = sums.entry(name.clone()).or_insert_with(new_histogram);
        sum.add(stored.histogram().unwrap()).unwrap();
    }
    let beats = fleet.loads.iter().map(|load| load.heartbeats_sent).sum();
    fleet.together = FleetTotals {
        connections_asked: EACH * all,
        connections_established: EACH * all,
        connections_held_at_end: EACH * all - 40,
        connections_lost: fleet.loads[2].connections_lost.clone(),
        heartbeats_sent: beats,
        acks_received: beats,
        overlap_ns: Some(WINDOW - 1_860_000),
        histograms: sums
            .iter()
            .map(|(name, sum)| (name.clone(), HistogramRecord::of(sum).unwrap()))
            .collect(),
        ..FleetTotals::default()
    };
    record.command = "ringbeat merge run-0 run-1 run-2 run-3 server --out whole".to_owned();
    record.config.connections = EACH * all;
    (record.valid, record.partial) = (false, true);
    record.warnings = vec![
        warning(
            "hosts-not-held",
            "not all connections were there to the end: shard 2 on node-2 asked for 2,500, established 2,500, held 2,460",
            true,
        ),
        warning(
            "host-rtt-far-off",
            "round trips of a host are far off the others': p99 shard 2 on node-2 119 ms, the hosts' median 8.91 ms",
            false,
        ),
    ];
    record
}
