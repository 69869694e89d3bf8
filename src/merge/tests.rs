//! Joining: in any order and grouping the same; what does not fit is refused the same way from either side.

use super::*;
use crate::record::fixture::{EACH, SHARDS, WINDOW, bundles};
use crate::record::{CLOCK_DRIFT_PPM, HistogramRecord, new_histogram};
use proptest::prelude::*;

const NAMES: [&str; 6] = [
    "out/run-0",
    "out/run-1",
    "out/run-2",
    "out/run-3",
    "server",
    "extra",
];

fn joined(records: &[&Record], coverage: Coverage) -> Result<Record, MergeError> {
    let parts: Vec<Part<'_>> = records
        .iter()
        .zip(NAMES)
        .map(|(record, name)| Part { name, record })
        .collect();
    merge(&parts, coverage)
}

fn whole(records: &[Record]) -> Record {
    joined(&records.iter().collect::<Vec<_>>(), Coverage::Whole).unwrap()
}

fn refusal(records: &[Record]) -> String {
    let parts = |reversed: bool| {
        let mut parts: Vec<Part<'_>> = records
            .iter()
            .zip(NAMES)
            .map(|(record, name)| Part { name, record })
            .collect();
        if reversed {
            parts.reverse();
        }
        merge(&parts, Coverage::Whole).unwrap_err().to_string()
    };
    let said = parts(false);
    assert_eq!(
        said,
        parts(true),
        "the order of the folders changes nothing"
    );
    said
}

fn fleet(record: &mut Record) -> &mut FleetRecord {
    record.fleet.as_mut().unwrap()
}

/// Changes the load generator of a bundle, and its sums with it.
fn change(record: &mut Record, how: impl FnOnce(&mut LoadHost)) {
    let fleet = fleet(record);
    how(&mut fleet.loads[0]);
    fleet.together = together(&fleet.loads, None).unwrap();
}

fn codes(record: &Record) -> Vec<&str> {
    let warnings = record.warnings.iter();
    warnings.map(|warning| warning.code.as_str()).collect()
}

fn warned<'a>(record: &'a Record, code: &str) -> &'a Warning {
    let mut warnings = record.warnings.iter();
    let found = warnings.find(|warning| warning.code == code);
    found.unwrap_or_else(|| panic!("no {code}: {:?}", record.warnings))
}

fn json(record: &Record) -> serde_json::Value {
    serde_json::to_value(record).unwrap()
}

#[test]
fn a_whole_fleet_is_the_sum_of_its_hosts() {
    let record = whole(&bundles());
    let all = EACH * u64::from(SHARDS);
    let fleet = record.fleet.as_ref().unwrap();
    assert_eq!(fleet.loads.len(), 4);
    let sums = &fleet.together;
    assert_eq!(
        (
            sums.connections_asked,
            sums.connections_established,
            sums.connections_held_at_end
        ),
        (all, all, all)
    );
    // The last window opened 1.5 ms after the first; two clocks are right to 0.18 ms each, and drift while it is open.
    let drift = WINDOW / 1_000_000 * CLOCK_DRIFT_PPM;
    assert_eq!(
        sums.overlap_ns,
        Some(WINDOW - 1_500_000 - 2 * 180_000 - drift)
    );
    assert!(record.valid && !record.partial, "{:?}", record.warnings);
    assert_eq!(
        codes(&record),
        ["host-lagged", "host-rtt-far-off", "host-slow-ramp"]
    );
    for warning in &record.warnings {
        assert!(
            warning.message.contains("shard 2 on node-2"),
            "{}",
            warning.message
        );
        assert!(!warning.message.contains("node-1"), "{}", warning.message);
    }
    assert_eq!(record.config.connections, all);
    assert!(record.config.load_cores.is_empty() && record.samples.is_empty());
}

fn parts_in(groups: &[usize], order: &[usize]) -> Record {
    let records = bundles();
    let mut joined_groups = Vec::new();
    for group in 0..SHARDS as usize {
        let members = order.iter().filter(|place| groups[**place] == group);
        let members: Vec<&Record> = members.map(|place| &records[*place]).collect();
        if !members.is_empty() {
            joined_groups.push(joined(&members, Coverage::Partial).unwrap());
        }
    }
    whole(&joined_groups)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_order_and_any_grouping_give_the_same(
        order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
        groups in prop::collection::vec(0_usize..4, 5)
    ) {
        prop_assert_eq!(json(&parts_in(&groups, &order)), json(&whole(&bundles())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_merged_histogram_is_that_of_the_union(
        values in prop::collection::vec(prop::collection::vec(1_u64..3_600_000_000_000, 0..40), 4)
    ) {
        let mut union = new_histogram();
        let mut records = bundles();
        for (record, values) in records.iter_mut().zip(&values) {
            let mut own = new_histogram();
            for value in values {
                own.record(*value).unwrap();
                union.record(*value).unwrap();
            }
            change(record, |load| {
                load.histograms = [("rtt".to_owned(), HistogramRecord::of(&own).unwrap())].into();
            });
        }
        let merged = whole(&records).fleet.unwrap().together.histograms;
        prop_assert_eq!(&merged["rtt"], &HistogramRecord::of(&union).unwrap());
    }
}

#[test]
fn warnings_of_the_hosts_are_kept_once_and_named() {
    let mut records = bundles();
    records[1].warnings.push(Warning {
        code: "swap".to_owned(),
        message: "the host swapped".to_owned(),
        advice: "free memory".to_owned(),
        invalidates: false,
    });
    records[3].valid = false;
    let half = joined(&[&records[1], &records[3]], Coverage::Partial).unwrap();
    let all = joined(
        &[&half, &records[0], &records[2], &records[4]],
        Coverage::Whole,
    )
    .unwrap();
    assert_eq!(json(&all), json(&whole(&records)));
    assert_eq!(
        warned(&all, "swap").message,
        "shard 1 on node-1: the host swapped"
    );
    assert!(
        warned(&all, "host-not-valid")
            .message
            .starts_with("shard 3 on node-3: ")
    );
    assert!(!all.valid);
}

#[test]
fn every_setting_is_either_shared_or_a_hosts_own() {
    let own = [
        "connections_asked",
        "connections",
        "connections_limited_by",
        "engines",
        "driver",
        "path",
        "settle_ms",
        "ramp_rate_per_second",
        "in_flight_per_core",
        "memory_limit_bytes",
        "server_cores",
        "load_cores",
        "ring_plan",
        "congestion_control",
        "seed",
        "order",
    ];
    let config = serde_json::to_value(&bundles()[0].config).unwrap();
    for key in config.as_object().unwrap().keys() {
        let shared = fit::ALIKE.contains(&key.as_str());
        assert!(
            shared != own.contains(&key.as_str()),
            "{key}: decide whether hosts must share it"
        );
    }
    assert_eq!(
        config.as_object().unwrap().len(),
        own.len() + fit::ALIKE.len()
    );
}

/// What is done to the five good bundles, and the words of the refusal.
type Case = (fn(&mut Vec<Record>), &'static [&'static str]);

fn refused(cases: &[Case]) {
    for (harm, words) in cases {
        let mut records = bundles();
        harm(&mut records);
        let said = refusal(&records);
        for word in *words {
            assert!(said.contains(word), "`{word}` is not said: {said}");
        }
    }
}

#[test]
fn another_run_or_other_settings_are_refused_with_both_sides_and_a_remedy() {
    refused(&[
        (
            |all| all[1].kind = Kind::Storm,
            &["out/run-1", "`storm`", "give folders"],
        ),
        (
            |all| all[1].schema_version = 2,
            &["schema version", "has 1", "has 2"],
        ),
        (
            |all| fleet(&mut all[1]).run = "other".to_owned(),
            &["the run", "fixture", "other"],
        ),
        (
            |all| fleet(&mut all[1]).shards = 5,
            &["number of shards", "has 4", "has 5"],
        ),
        (
            |all| fleet(&mut all[2]).connections_asked = 9,
            &["connections of all", "has 10000", "out/run-2 has 9"],
        ),
        (
            |all| fleet(&mut all[2]).arm = "both".to_owned(),
            &["the arm", "heartbeat", "both"],
        ),
        (
            |all| all[4].config.tick_us = 4_000,
            &["tick_us", "8000", "server has 4000", "measure again"],
        ),
        (
            |all| all[3].config.phases = "aligned".to_owned(),
            &["phases", "staggered", "aligned"],
        ),
    ]);
    assert!(joined(&[], Coverage::Partial).is_err());
}

#[test]
fn hosts_that_are_there_twice_or_not_at_all_are_refused() {
    refused(&[
        (
            |all| all[1] = all[0].clone(),
            &["out/run-0 and out/run-1", "the same record", "once"],
        ),
        (
            |all| {
                all[1] = all[0].clone();
                change(&mut all[1], |load| load.heartbeats_sent -= 1);
            },
            &["both out/run-0 and out/run-1", "shard 0 on node-0"],
        ),
        (
            |all| {
                let mut again = all[4].clone();
                fleet(&mut again).server.as_mut().unwrap().acks_sent += 1;
                all.push(again);
            },
            &["both extra and server", "the server on hub"],
        ),
        (
            |all| fleet(&mut all[0]).loads[0].shard = 7,
            &["holds shard 7", "has 4"],
        ),
        (
            |all| drop(all.remove(1)),
            &["of 4 shards, shard 1 is not among", "--partial"],
        ),
    ]);
}

#[test]
fn other_builds_changed_sums_and_windows_apart_are_refused() {
    refused(&[
        (
            |all| {
                let host = &mut fleet(&mut all[2]).loads[0].host;
                host.environment.ringbeat_commit = Some("fedcba".to_owned());
            },
            &[
                "build of ringbeat",
                "0123abc",
                "fedcba",
                "node-2 (out/run-2)",
                "same build",
            ],
        ),
        (
            |all| fleet(&mut all[2]).together.heartbeats_sent += 1,
            &[
                "out/run-2",
                "heartbeats_sent = 50001",
                "add up to 50000",
                "changed after",
            ],
        ),
        (
            |all| {
                let window = fleet(&mut all[1]).loads[0].host.window.as_mut().unwrap();
                window.opened_epoch_ns += 2 * WINDOW;
            },
            &[
                "had closed its window",
                "before shard 1 on node-1 (out/run-1)",
                "start the hosts together",
            ],
        ),
    ]);
}

#[test]
fn histograms_that_are_not_ours_or_were_edited_are_refused() {
    let mut records = bundles();
    let rtt = fleet(&mut records[0]).loads[0].histograms.get_mut("rtt");
    rtt.unwrap().p99 /= 2;
    let said = refusal(&records);
    assert!(said.contains("`rtt` of shard 0 on node-0"), "{said}");
    let coarse = hdrhistogram::Histogram::new_with_bounds(1, 3_600_000_000_000, 2).unwrap();
    let stored = crate::record::encode(&coarse).unwrap();
    let rtt = fleet(&mut records[0]).loads[0].histograms.get_mut("rtt");
    rtt.unwrap().v2_deflate_base64 = stored;
    let said = refusal(&records);
    assert!(
        said.contains("out/run-0") && said.contains("another shape"),
        "{said}"
    );
    let mut records = bundles();
    let rtt = fleet(&mut records[3]).together.histograms.get_mut("rtt");
    rtt.unwrap().max += 1_000_000_000;
    assert!(refusal(&records).contains("histogram rtt"));
}

#[test]
fn a_part_says_what_is_missing_and_is_no_longer_one_when_it_comes() {
    let records = bundles();
    let part = joined(&[&records[0], &records[2]], Coverage::Partial).unwrap();
    assert!(part.partial && part.valid, "{:?}", part.warnings);
    let said = &warned(&part, "shards-missing").message;
    assert!(
        said.contains("shards 1, 3 are not in this record"),
        "{said}"
    );
    warned(&part, "server-missing");
    let all = joined(
        &[&records[1], &part, &records[3], &records[4]],
        Coverage::Whole,
    )
    .unwrap();
    assert!(!all.partial && all.valid);
    assert_eq!(json(&all), json(&whole(&records)));
}

#[test]
fn hosts_own_settings_are_not_compared() {
    let mut records = bundles();
    records[0].config.load_cores = vec![7];
    records[0].config.congestion_control = "bbr".to_owned();
    change(&mut records[0], |load| {
        load.host.engine = "epoll".to_owned();
    });
    let config = whole(&records).config;
    assert_eq!(config.congestion_control, "bbr, cubic");
    assert_eq!(config.engines, ["epoll", "uring"]);
}

mod audits;
