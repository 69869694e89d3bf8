//! Two results: the same ones, two real ones, and two of which one is known to cost more.

use super::rows::Row;
use super::*;
use crate::record::Estimate;
use crate::report::{fixture, load};
use std::path::Path;

pub(super) fn between(a: &Record, b: &Record) -> Difference {
    let side = |name, record| Side { name, record };
    Difference::between(side("first", a), side("second", b)).unwrap()
}

pub(super) fn kept(name: &str) -> Record {
    load(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("results")
            .join(name),
    )
    .unwrap()
}

/// A kept run whose heartbeat costs `times` as much in every round.
fn dearer(record: &Record, times: i64) -> Record {
    let mut dearer = record.clone();
    for arm in dearer.arms.iter_mut().filter(|arm| arm.name == "heartbeat") {
        let by = |e: Estimate| Estimate {
            median: e.median * times,
            low: e.low * times,
            high: e.high * times,
            ..e
        };
        arm.cpu_ns_per_event = arm.cpu_ns_per_event.map(by);
    }
    dearer
}

#[test]
fn a_result_against_itself_differs_in_nothing() {
    for record in [
        kept("2026-11-25-overlap/run-1"),
        kept("2026-11-23-scale/ladder"),
    ] {
        let same = between(&record, &record);
        assert!(same.environment.is_empty() && same.config.is_empty());
        assert_eq!(same.resolved(), 0);
        assert!(same.compared() > 20);
        let verdicts = same.groups.iter().flat_map(|group| &group.rows);
        assert!(verdicts.clone().all(|row| row.verdict() == "the same"));
    }
}

#[test]
fn two_runs_of_one_command_differ_in_no_cost() {
    let (one, other) = (
        kept("2026-11-25-overlap/run-1"),
        kept("2026-11-25-overlap/run-2"),
    );
    let difference = between(&one, &other);
    let keys: Vec<&str> = difference
        .environment
        .iter()
        .map(|change| change.key.as_str())
        .collect();
    assert_eq!(keys, ["memory free bytes"]);
    let rows = difference.groups.iter().flat_map(|group| &group.rows);
    let headline: Vec<String> = rows
        .filter(|row| row.label == "CPU per event" && row.resolved())
        .map(Row::ratio)
        .collect();
    assert_eq!(headline, Vec::<String>::new());
    // Of many intervals of 95 % some miss, and the answer says how many may.
    let (resolved, chance) = (difference.resolved(), difference.chance());
    assert!(resolved <= chance, "{}", difference.headline());
    let said = format!("where chance alone may make {chance}.");
    assert!(
        difference.headline().ends_with(&said),
        "{}",
        difference.headline()
    );
}

#[test]
fn a_known_difference_is_resolved_and_only_that() {
    let record = kept("2026-11-22-2core-24gib");
    let mut other = dearer(&record, 3);
    other.environment.kernel = "7.0.0".to_owned();
    other
        .environment
        .sysctls
        .insert("net.core.netdev_max_backlog".to_owned(), "9".to_owned());
    other.config.rounds += 1;
    let difference = between(&record, &other);
    assert_eq!(difference.resolved(), 1);
    let text = difference.table(Some(80));
    assert!(text.contains("3.0× ["), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let order = ["kernel", "netdev_max_backlog", "rounds", "CPU per event"]
        .map(|what| text.find(what).unwrap());
    assert!(order.is_sorted(), "{order:?}");
    let markdown = difference.markdown();
    assert!(markdown.contains("| kernel |") && markdown.contains("B is larger"));
    let page = difference.page();
    assert!(page.contains("<strong>B is larger</strong>") && page.contains("chart-rtt"));
    assert!(page.contains("B: heartbeat-push"));
    assert_eq!(between(&other, &record).resolved(), 1);
}

#[test]
fn two_kinds_are_refused_with_what_each_is() {
    let (cost, mut other) = (fixture::record(), fixture::record());
    let side = |record| Side {
        name: "one",
        record,
    };
    other.kind = Kind::Storm;
    let mixed = Difference::between(side(&cost), side(&other)).unwrap_err();
    assert!(mixed.to_string().contains("`compare`") && mixed.to_string().contains("`storm`"));
}
