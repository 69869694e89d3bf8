//! That the published figures are those of `results/`. To write them anew after a new result:
//! `RINGBEAT_WRITE_PUBLISHED=1 cargo test --lib published`.

use super::{Figures, Noticed};
use crate::record::Record;
use serde::Serialize;
use std::path::Path;

/// The results that a program carries: what `compare` costs, the ladder above it, keepalive where nothing was dropped,
/// the fault lab, and how fast connections come.
const PUBLISHED: [&str; 8] = [
    "results/2026-11-25-overlap/run-3",
    "results/2026-11-23-scale/ladder",
    "results/2026-11-23-scale/million",
    "results/2026-11-23-scale/hold",
    "results/2026-11-24-keepalive-kills/loopback-backlog",
    "results/2026-11-25-detect",
    "results/2026-11-25-storm/usual",
    "results/2026-11-26-lifecycle",
];

/// The record of a kept result.
pub(super) fn kept(folder: &str) -> Record {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join("record.json");
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_published_figures_are_those_of_the_results() {
    let mut made = Figures::default();
    for folder in PUBLISHED {
        let one = Figures::local(folder, &kept(folder));
        assert_ne!(one, Figures::default(), "{folder} holds nothing to publish");
        made.costs.extend(one.costs);
        made.hosts.extend(one.hosts);
        made.connects.extend(one.connects);
        if !one.noticed.faults.is_empty() {
            made.noticed = one.noticed;
        }
    }
    let Noticed {
        faults,
        stresses,
        thresholds,
        ..
    } = &made.noticed;
    let head = json(&Noticed {
        faults: Vec::new(),
        stresses: Vec::new(),
        thresholds: Vec::new(),
        ..made.noticed.clone()
    });
    let head = head
        .replace(
            "\"faults\":[]",
            &format!("\"faults\":[\n{}\n]", lines(faults)),
        )
        .replace(
            "\"stresses\":[]",
            &format!("\"stresses\":[\n{}\n]", lines(stresses)),
        )
        .replace(
            "\"thresholds\":[]",
            &format!("\"thresholds\":[\n{}\n]", lines(thresholds)),
        );
    let costs = lines(&made.costs);
    let hosts = lines(&made.hosts);
    let connects = lines(&made.connects);
    let text = format!(
        "{{\"costs\":[\n{costs}\n],\n\"hosts\":[\n{hosts}\n],\n\"connects\":[\n{connects}\n],\n\"noticed\":{head}}}\n"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/advise/published.json");
    if std::env::var_os("RINGBEAT_WRITE_PUBLISHED").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == text,
        "src/advise/published.json is not that of {PUBLISHED:?}: run `RINGBEAT_WRITE_PUBLISHED=1 cargo test --lib \
         published` and commit it"
    );
    assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), made);
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// One a line, so that a change can be read.
fn lines(values: &[impl Serialize]) -> String {
    let lines: Vec<_> = values.iter().map(json).collect();
    lines.join(",\n")
}
