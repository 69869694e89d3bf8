//! The whole matrix, quickly, and what is written down of it.

use super::child::{run, skipped};
use super::lab::turn;
use super::place::{cell, record_in};
use ringbeat::record::Record;

const FAULTS: [&str; 12] = [
    "process-exit",
    "process-killed",
    "reset",
    "power-cut",
    "cable-pulled",
    "one-way-loss-to-server",
    "one-way-loss-to-client",
    "host-reboot",
    "firewall-eviction",
    "application-hung",
    "zero-window",
    "black-hole-with-data-in-flight",
];

const MECHANISMS: [&str; 7] = [
    "none",
    "keepalive",
    "keepalive-user-timeout",
    "heartbeat",
    "heartbeat-oneway",
    "heartbeat-push",
    "both",
];

#[test]
fn every_cell_of_the_quick_lab_is_within_its_bound() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    // Trials mostly wait, and each is in a laboratory of its own: more of them at once, with half of the usual
    // connections, are no more work at a time.
    let ended = run(&format!(
        "detect --quick --quiet --alongside --parallel 14 --connections 30 --seed 7 --out {}",
        out.display()
    ));
    assert_eq!(ended.code(), 0, "{ended:#?}");
    let record = record_in(&out);
    assert!(record.valid && !record.partial, "{:?}", record.warnings);
    let detection = record.detection.as_ref().unwrap();
    for (name, reason) in &detection.left_out {
        skipped(&format!("{name}: {reason}"));
    }
    for fault in FAULTS {
        if detection.left_out.contains_key(fault) {
            continue;
        }
        for mechanism in MECHANISMS {
            for seat in ["server", "client"] {
                let cell = cell(&record, fault, mechanism, seat);
                assert!(cell.within_bound, "{cell:#?}");
                assert!(
                    cell.injected > 0 && cell.detected + cell.missed == cell.injected,
                    "{cell:#?}"
                );
                assert_eq!(cell.histogram.count, cell.detected, "{cell:#?}");
                assert_eq!(
                    cell.model_bound_ns.is_some(),
                    cell.detected > 0,
                    "{cell:#?}"
                );
                assert!(!cell.model.is_empty());
            }
        }
    }
    what_keepalive_cannot(&record);
    the_living(&record);
    assert!(detection.oracles.len() >= 6, "{:#?}", detection.oracles);
    assert!(
        detection.oracles.iter().all(|oracle| oracle.held),
        "{:#?}",
        detection.oracles
    );
    assert!(detection.claims.len() >= 7 && !detection.thresholds.is_empty());
    let unmeasured = |claim: &&ringbeat::record::ClaimRecord| claim.verdict == "not-measured";
    let missing: Vec<_> = detection.claims.iter().filter(unmeasured).collect();
    assert!(
        missing.is_empty() || !detection.left_out.is_empty(),
        "{missing:#?}"
    );
    for file in ["report.html", "record.json"] {
        assert!(out.join(file).exists(), "{file}");
    }
}

/// The kernel answers for a process that does not.
fn what_keepalive_cannot(record: &Record) {
    let hung = |mechanism| cell(record, "application-hung", mechanism, "server");
    assert_eq!(hung("keepalive").detected, 0);
    assert_eq!(hung("keepalive-user-timeout").detected, 0);
    assert_eq!(hung("heartbeat").missed, 0);
    let exit = cell(record, "process-exit", "none", "server");
    assert_eq!(
        (exit.missed, exit.causes.get("peer-closed")),
        (0, Some(&exit.injected))
    );
}

/// Under stress only the living are there to be suspected, and some stresses are too short for any verdict.
fn the_living(record: &Record) {
    let stresses: Vec<_> = record.cells.iter().filter(|cell| cell.stress).collect();
    for name in ["cpu-starvation", "server-paused"] {
        assert!(stresses.iter().any(|cell| cell.fault == name), "{name}");
    }
    for cell in stresses {
        assert!(cell.within_bound && cell.injected > 0, "{cell:#?}");
        assert_eq!((cell.detected, cell.missed), (0, 0), "{cell:#?}");
        assert!(
            cell.mechanism == "none" || cell.signs_of_life > 0,
            "{cell:#?}"
        );
    }
}
