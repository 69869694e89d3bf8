//! A small plausible fault lab for tests. Invented figures: nothing here was measured, nothing here is shipped.

use crate::record::{
    CellRecord, ClaimRecord, DetectionRecord, HistogramRecord, Kind, LeftBehind, MechanismSettings,
    OracleRecord, Record, ThresholdPoint, new_histogram,
};
use crate::report::fixture;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;
const CONNECTIONS: u64 = 200;
const MECHANISMS: [&str; 7] = [
    "none",
    "keepalive",
    "keepalive-user-timeout",
    "heartbeat",
    "heartbeat-oneway",
    "heartbeat-push",
    "both",
];
/// Not in the order they are told in: the report has to know it.
const FAULTS: [&str; 11] = [
    "zero-window",
    "application-hung",
    "process-exit",
    "process-killed",
    "reset",
    "power-cut",
    "cable-pulled",
    "one-way-loss-to-server",
    "one-way-loss-to-client",
    "host-reboot",
    "black-hole-with-data-in-flight",
];
const STRESSES: [(&str, &str); 4] = [
    ("outage", "4 s"),
    ("outage", "12 s"),
    ("random-loss", "20 %"),
    ("server-paused", "4 s"),
];

/// `count` values spread evenly from `from` to `to`.
fn spread(from: u64, to: u64, count: u64) -> HistogramRecord {
    let mut histogram = new_histogram();
    for step in 0..count {
        histogram.saturating_record(from + (to - from) * step / count.max(1));
    }
    HistogramRecord::of(&histogram).unwrap()
}

/// When `mechanism` notices `fault`, earliest and latest; `None` for never.
fn model(fault: &str, mechanism: &str, seat: &str) -> Option<(u64, u64)> {
    let kernel = mechanism.starts_with("keepalive") || mechanism == "both";
    let beats = mechanism.starts_with("heartbeat") || mechanism == "both";
    match fault {
        "process-exit" | "process-killed" | "reset" => Some((40_000, 900_000)),
        _ if mechanism == "none" || (mechanism == "heartbeat-oneway" && seat == "client") => None,
        "application-hung" | "zero-window" if !beats => None,
        "black-hole-with-data-in-flight" if mechanism == "keepalive" => None,
        _ if beats => Some((6 * SECOND, 9 * SECOND)),
        _ if kernel => Some((6 * SECOND + SECOND / 2, 9 * SECOND + SECOND / 10)),
        _ => None,
    }
}

fn fault_cell(fault: &str, mechanism: &str, seat: &str) -> CellRecord {
    let noticed = model(fault, mechanism, seat);
    let detected = if noticed.is_some() { CONNECTIONS } else { 0 };
    CellRecord {
        fault: fault.to_owned(),
        mechanism: mechanism.to_owned(),
        seat: seat.to_owned(),
        model_earliest_ns: noticed.map(|(from, _)| from),
        model_bound_ns: noticed.map(|(_, to)| to),
        model: match noticed {
            Some(_) => {
                "idle + interval × count after the last segment (tcp(7), <net/ipv4/tcp_timer.c>)"
            }
            None => "nothing is due while the peer's kernel answers (tcp(7))",
        }
        .to_owned(),
        injected: CONNECTIONS,
        detected,
        missed: CONNECTIONS - detected,
        signs_of_life: 4_000,
        false_suspicions_per_million: Some(0.0),
        watched_ns: 14 * SECOND,
        within_bound: true,
        causes: noticed
            .map(|_| (format!("{mechanism}-timeout"), detected))
            .into_iter()
            .collect(),
        histogram: noticed.map_or_else(
            || HistogramRecord::of(&new_histogram()).unwrap(),
            |(from, to)| spread(from, to, detected),
        ),
        ..CellRecord::default()
    }
}

fn stress_cell((stress, size): (&str, &str), mechanism: &str, seat: &str) -> CellRecord {
    let killed = match (mechanism, size) {
        ("none", _) => 0,
        (_, "12 s") => CONNECTIONS,
        ("keepalive", "20 %") => 17,
        _ => 0,
    };
    let signs = if mechanism == "none" { 0 } else { 4_000 };
    CellRecord {
        fault: stress.to_owned(),
        mechanism: mechanism.to_owned(),
        seat: seat.to_owned(),
        stress: true,
        parameter: size.to_owned(),
        model: "the outage is shorter than the threshold".to_owned(),
        injected: CONNECTIONS,
        false_suspicions: killed,
        signs_of_life: signs,
        false_suspicions_per_million: (signs > 0).then(|| {
            f64::from(u32::try_from(killed).unwrap()) * 1e6
                / f64::from(u32::try_from(signs).unwrap())
        }),
        watched_ns: 20 * SECOND,
        within_bound: true,
        histogram: HistogramRecord::of(&new_histogram()).unwrap(),
        ..CellRecord::default()
    }
}

fn cells() -> Vec<CellRecord> {
    let mut cells = Vec::new();
    for seat in ["client", "server"] {
        for stress in STRESSES {
            cells.extend(MECHANISMS.map(|mechanism| stress_cell(stress, mechanism, seat)));
        }
        for fault in FAULTS {
            cells.extend(MECHANISMS.map(|mechanism| fault_cell(fault, mechanism, seat)));
        }
    }
    for cell in cells.iter_mut().filter(|cell| cell.seat == "server") {
        match (cell.fault.as_str(), cell.mechanism.as_str()) {
            ("cable-pulled", "keepalive") => {
                cell.within_bound = false;
                cell.out_of_bound = "late, by 1.2 s".to_owned();
                (cell.detected, cell.missed) = (198, 2);
                cell.histogram = spread(6 * SECOND, 10 * SECOND + 300_000_000, 198);
                cell.left_behind = LeftBehind {
                    sockets: 1,
                    ..LeftBehind::default()
                };
            }
            ("host-reboot", "heartbeat") => cell.false_suspicions = 3,
            ("one-way-loss-to-client", "heartbeat-push") => cell.injected = 0,
            _ => {}
        }
    }
    cells
}

fn claim(claim: &str, verdict: &str, evidence: &str) -> ClaimRecord {
    ClaimRecord {
        claim: claim.to_owned(),
        verdict: verdict.to_owned(),
        evidence: evidence.to_owned(),
        experiment: "power-cut and cable-pulled under keepalive, both seats".to_owned(),
    }
}

fn oracle(name: &str, held: bool) -> OracleRecord {
    OracleRecord {
        name: name.to_owned(),
        rule: "A connection that answers none of count probes is closed (tcp(7), tcp_keepalive_timer).".to_owned(),
        experiment: "idle 5 s, interval 3 s, count 3; both directions dropped while the connection is idle".to_owned(),
        expected: "closed 14 s after the last segment, by at most one tick more".to_owned(),
        seen: "200 of 200 closed after 14.0 s to 14.1 s".to_owned(),
        held,
    }
}

fn thresholds() -> Vec<ThresholdPoint> {
    let mut points = Vec::new();
    for budget in [3_000, 6_000, 9_000, 18_000, 40_000] {
        for outage_ms in [2_000, 4_000, 8_000] {
            let suspected = if budget > outage_ms + budget / 3 {
                0
            } else {
                CONNECTIONS.min(outage_ms * 200 / budget)
            };
            points.push(ThresholdPoint {
                detect_within_ms: budget,
                interval_ms: budget / 3,
                detection_ns_p50: budget * 830_000,
                detection_ns_p99: budget * 995_000,
                outage_ms,
                connections: CONNECTIONS,
                false_suspicions: suspected,
            });
        }
    }
    points
}

fn lab() -> DetectionRecord {
    let settings = MECHANISMS.map(|mechanism| MechanismSettings {
        mechanism: mechanism.to_owned(),
        settings: match mechanism {
            "none" => "nothing".to_owned(),
            "keepalive" => "idle 3 s, interval 2 s, count 3".to_owned(),
            "keepalive-user-timeout" => "idle 3 s, interval 2 s, user timeout 9000 ms".to_owned(),
            _ => "interval 3 s, 3 misses".to_owned(),
        },
    });
    DetectionRecord {
        laboratory: "user-namespace".to_owned(),
        connections_per_trial: CONNECTIONS,
        allowance_ns: 120_000_000,
        longest_stall_ns: 7_300_000,
        settings: settings.to_vec(),
        oracles: vec![
            oracle("keepalive-idle-interval-count", true),
            oracle("keepalive-silent-with-data-in-flight", false),
        ],
        claims: vec![
            claim(
                "keepalive cannot notice a power loss, a pulled cable or a firewall",
                "does-not-hold",
                "200 of 200 closed within 9.1 s after a power cut",
            ),
            claim(
                "keepalive <badly set> kills healthy connections in a short outage",
                "holds",
                "an outage of 12 s closed 200 of 200",
            ),
            claim("30 to 40 s is a good threshold", "depends", "see the curve"),
            claim(
                "firewalls forget idle connections",
                "not-measured",
                "nft is not installed",
            ),
        ],
        thresholds: thresholds(),
        left_out: BTreeMap::from([(
            "firewall-eviction".to_owned(),
            "nft is not installed <here>".to_owned(),
        )]),
    }
}

/// A whole lab: one cell late, one not measured, one fault left out.
pub(crate) fn record() -> Record {
    let mut record = fixture::record();
    record.kind = Kind::Detection;
    record.command = "ringbeat detect --timeout 9s --misses 3".to_owned();
    record.warnings[0].code = "cell-outside-its-bound".to_owned();
    record.warnings[0].invalidates = true;
    record.valid = false;
    record.arms.clear();
    record.comparisons.clear();
    record.drop_free_rung = None;
    record.samples.clear();
    record.cells = cells();
    record.detection = Some(lab());
    record
}

/// The same with nothing measured at all.
pub(crate) fn empty_record() -> Record {
    let mut record = record();
    record.cells.clear();
    record.detection = None;
    record
}
