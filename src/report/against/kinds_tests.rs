//! Two fault labs, two storms, two life cycles: the same, with one thing changed, with one thing missing.

use super::rows::Row;
use super::tests::{between, kept};
use super::*;
use crate::record::{CellRecord, HistogramRecord, StormRun};
use crate::report::format;
use crate::report::html::fetches_nothing;
use crate::report::{detection, lifecycle, storm};

fn labs() -> [Record; 2] {
    [detection::fixture::record(), detection::fixture::record()]
}

fn storms() -> [Record; 2] {
    [storm::fixture::record(), storm::fixture::record()]
}

fn lives() -> [Record; 2] {
    [lifecycle::fixture::record(), lifecycle::fixture::record()]
}

fn rows(difference: &Difference) -> Vec<(&str, &Row)> {
    let groups = difference.groups.iter();
    groups
        .flat_map(|group| group.rows.iter().map(|row| (group.title.as_str(), row)))
        .collect()
}

/// The rows that are not the same: title, label, verdict.
fn unlike(difference: &Difference) -> Vec<[String; 3]> {
    let rows = rows(difference).into_iter();
    rows.filter(|(_, row)| row.judged.verdict != Verdict::Same)
        .map(|(title, row)| [title, &row.label, row.verdict()].map(format::plain))
        .collect()
}

fn cell<'a>(
    record: &'a mut Record,
    fault: &str,
    mechanism: &str,
    seat: &str,
) -> &'a mut CellRecord {
    let wanted = |cell: &&mut CellRecord| {
        cell.fault == fault && cell.mechanism == mechanism && cell.seat == seat
    };
    record.cells.iter_mut().find(wanted).unwrap()
}

fn run<'a>(record: &'a mut Record, backoff: &str) -> &'a mut StormRun {
    let storm = record.storm.as_mut().unwrap();
    let wanted = |run: &&mut StormRun| run.backoff == backoff;
    storm.runs.iter_mut().find(wanted).unwrap()
}

fn nothing_differs(records: &[Record; 2], least: usize, said: &str) {
    let same = between(&records[0], &records[1]);
    assert_eq!(unlike(&same), Vec::<[String; 3]>::new());
    assert!(same.compared() >= least, "{}", same.compared());
    assert!(same.environment.is_empty() && same.config.is_empty());
    assert!(same.outcomes.changed.is_empty() && same.outcomes.lone.is_empty());
    let answer = same.headline();
    assert!(answer.starts_with(said), "{answer}");
    assert!(
        answer.ends_with("figures none differs by more than noise."),
        "{answer}"
    );
    let page = same.page();
    fetches_nothing(&page);
    assert!(!page.contains("What came out otherwise"));
}

#[test]
fn the_same_record_differs_in_nothing_whatever_its_kind() {
    nothing_differs(&labs(), 200, "None of 209 cells came out otherwise. ");
    let ways = "None of 3 ways of backing off came out otherwise. ";
    nothing_differs(&storms(), 60, ways);
    nothing_differs(&lives(), 90, "None of 6 scenes came out otherwise. ");
}

#[test]
fn a_fault_nobody_noticed_any_more_is_told_first() {
    let [a, mut b] = labs();
    let lost = cell(&mut b, "power-cut", "keepalive", "server");
    (lost.detected, lost.missed, lost.histogram) = (0, 200, HistogramRecord::default());
    (lost.within_bound, lost.model_bound_ns) = (false, None);
    cell(&mut b, "outage", "heartbeat", "client").false_suspicions = 5;
    cell(&mut b, "cable-pulled", "heartbeat", "server")
        .histogram
        .p99 *= 2;
    let lab = b.detection.as_mut().unwrap();
    lab.oracles[1].held = true;
    lab.claims[0].verdict = "depends".to_owned();
    lab.connections_per_trial = 400;
    let difference = between(&a, &b);
    let answer = difference.headline();
    let said = "2 of 209 cells came out otherwise: power cut, seen from the server, keepalive: A all 200 noticed, B never \
                noticed, outside its bound; outage, 4 s, seen from the client, heartbeat: A nobody suspected, B 5 of 200 \
                suspected; so did 1 of 2 kernel rules, 1 of 4 claims. The machines";
    assert!(answer.starts_with(said), "{answer}");
    assert!(answer.contains("the settings differ in one;"), "{answer}");
    assert!(answer.ends_with(
        "3 differ, not resolved: each is of one trial, and nothing tells noise from difference."
    ));
    assert_eq!(difference.resolved(), 0);
    let expected = [
        [
            "power cut, seen from the server",
            "keepalive, bound 9.10 s + 120 ms in A",
            "came out otherwise",
        ],
        [
            "cable pulled, seen from the server",
            "heartbeat, bound 9.00 s + 120 ms",
            "not resolved: one trial",
        ],
        [
            "outage, 4 s, seen from the client",
            "heartbeat",
            "came out otherwise",
        ],
    ];
    assert_eq!(
        unlike(&difference),
        expected.map(|row| row.map(str::to_owned))
    );
    let text = difference.table(Some(80));
    let order = [
        "connections per trial",
        "What came out otherwise",
        "│ kernel rule",
        "power cut, seen from the server\n",
    ]
    .map(|what| text.find(what).unwrap_or_else(|| panic!("{what}: {text}")));
    assert!(order.is_sorted(), "{order:?}");
    assert!(
        difference
            .page()
            .contains("<strong>came out otherwise</strong>")
    );
}

#[test]
fn a_cell_that_one_lab_has_not_is_named_with_the_reason() {
    let [a, mut b] = labs();
    b.cells
        .retain(|cell| cell.fault != "host-reboot" || cell.seat == "client");
    // Not measured is as good as not there.
    cell(&mut b, "reset", "both", "client").injected = 0;
    let lab = b.detection.as_mut().unwrap();
    lab.left_out
        .insert("host-reboot".to_owned(), "no root".to_owned());
    let difference = between(&a, &b);
    assert_eq!(unlike(&difference), Vec::<[String; 3]>::new());
    let answer = difference.headline();
    let said = "None of 201 cells came out otherwise; only one of them has 8 cells. ";
    assert!(answer.starts_with(said), "{answer}");
    let lone = difference.outcomes.lone.iter();
    let lone: Vec<[&str; 3]> = lone.map(|c| [&*c.key, &*c.one, &*c.other]).collect();
    let mechanisms = "none, keepalive, keepalive-user-timeout, heartbeat, heartbeat-oneway, heartbeat-push, both";
    let expected = [
        [
            "host reboot, seen from the server",
            mechanisms,
            "not there: no root",
        ],
        ["reset, seen from the client", "both", "not there"],
    ];
    assert_eq!(lone, expected);
    let back = between(&b, &a);
    assert_eq!(back.outcomes.lone[0].one, "not there: no root");
}

#[test]
fn a_storm_that_did_not_end_is_told_first_and_one_run_resolves_nothing() {
    let [a, mut b] = storms();
    run(&mut b, "immediate").all_back_ns = None;
    run(&mut b, "full-jitter").attempts = 90_000;
    run(&mut b, "full-jitter").cap_ms = 5_000;
    b.storm.as_mut().unwrap().accept_queue = 128;
    let difference = between(&a, &b);
    let answer = difference.headline();
    let said = "1 of 3 ways of backing off came out otherwise: immediate: A all back after 1.10 s, B only 10,000 of \
                10,000 back while it was watched. ";
    assert!(format::plain(&answer).starts_with(said), "{answer}");
    assert!(answer.ends_with(
        "one differs, not resolved: each is of one run of a way, and nothing tells noise from difference."
    ));
    let keys: Vec<&str> = difference
        .config
        .iter()
        .map(|change| change.key.as_str())
        .collect();
    assert_eq!(keys, ["accept queue", "backoff: full-jitter"]);
    let expected = [[
        "full-jitter",
        "tried, failed ones included",
        "not resolved: one run",
    ]];
    assert_eq!(
        unlike(&difference),
        expected.map(|row| row.map(str::to_owned))
    );
    // What one side never reached has no row.
    let rows = rows(&difference);
    let reached = |label| {
        rows.iter()
            .any(|(title, row)| *title == "immediate" && row.label == label)
    };
    assert!(reached("half back after") && !reached("all back after"));
}

#[test]
fn ways_run_several_times_have_intervals_and_one_that_is_missing_is_named() {
    let [mut a, mut b] = storms();
    for (record, attempts) in [
        (&mut a, [10_000, 10_100, 10_050]),
        (&mut b, [20_000, 20_300, 20_100]),
    ] {
        let first = run(record, "immediate").clone();
        let runs = &mut record.storm.as_mut().unwrap().runs;
        runs.retain(|run| run.backoff != "immediate");
        runs.extend(attempts.map(|attempts| StormRun {
            attempts,
            ..first.clone()
        }));
    }
    b.storm
        .as_mut()
        .unwrap()
        .runs
        .retain(|run| run.backoff != "no-jitter");
    let difference = between(&a, &b);
    assert_eq!(difference.resolved(), 1);
    let expected = [["immediate", "tried, failed ones included", "B is larger"]];
    assert_eq!(
        unlike(&difference),
        expected.map(|row| row.map(str::to_owned))
    );
    let answer = difference.headline();
    assert!(
        answer.starts_with(
            "None of 2 ways of backing off came out otherwise; only one of them has 1 way"
        ),
        "{answer}"
    );
    assert!(
        answer.ends_with("one differs by more than noise, where chance alone may make 1."),
        "{answer}"
    );
    assert_eq!(difference.outcomes.lone[0].other, "not there");
    let names: Vec<&str> = difference
        .plots
        .iter()
        .map(|plot| plot.name.as_str())
        .collect();
    assert_eq!(names, ["recovery", "connect"]);
    assert!(difference.plots[0].svg.contains("B: immediate#3"));
}

#[test]
fn mechanisms_are_told_apart_and_a_churn_is_no_storm() {
    let [a, mut b] = storms();
    for run in &mut b.storm.as_mut().unwrap().runs {
        run.arm = "keepalive".to_owned();
    }
    let difference = between(&a, &b);
    assert!(difference.groups.is_empty() && difference.outcomes.lone.len() == 6);
    let answer = difference.headline();
    assert!(
        answer.starts_with("No way of backing off is in both; only one of them has 6 ways"),
        "{answer}"
    );
    b.storm.as_mut().unwrap().mode = "churn".to_owned();
    let side = |record| Side {
        name: "one",
        record,
    };
    let refused = Difference::between(side(&a), side(&b))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("of `storm`, the other of `storm --churn`"),
        "{refused}"
    );
    let churns = between(&b, &b);
    assert!(churns.outcomes.answer().starts_with("None of 3"));
    assert!(
        rows(&churns)
            .iter()
            .all(|(_, row)| !row.label.ends_with("back after"))
    );
}

#[test]
fn a_scene_that_held_no_more_is_told_before_what_became_dearer() {
    let [a, mut b] = lives();
    let life = b.lifecycle.as_mut().unwrap();
    let scene = &mut life.scenarios[0];
    (scene.held, scene.checks[0].held) = (false, false);
    scene.disturbance = Some("the machine was busy".to_owned());
    let dear = &mut life.turnovers[2].cpu_ns_per_close;
    (dear.median, dear.low, dear.high) = (27_000, 25_000, 29_000);
    life.ports[2].connects_before_failure = Some(9_000);
    life.handshakes[0].took_ns *= 3;
    life.one_way_delay_ns *= 2;
    let difference = between(&a, &b);
    let answer = difference.headline();
    let said = "1 of 6 scenes came out otherwise: scene set-up: A held: 1 of 1 rules, B NOT held: 0 of 1 rules; not to be \
                relied on: the machine was busy; so did 1 of 7 rules, 1 of 3 ways out of the ports. ";
    assert!(answer.starts_with(said), "{answer}");
    assert!(
        answer.ends_with("one differs by more than noise, where chance alone may make 1."),
        "{answer}"
    );
    let keys: Vec<&str> = difference
        .outcomes
        .changed
        .iter()
        .map(|c| c.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "scene set-up",
            "set-up: Every number is acknowledged.",
            "ports by client-resets"
        ]
    );
    assert_eq!(difference.config[0].key, "one way delay ns");
    let many = "Many connections at once: 20000";
    let expected = [
        [
            "What a set-up and a tear-down cost: client-rst",
            "CPU per tear-down",
            "B is larger",
        ],
        [many, "took", "no interval"],
        [many, "established a second", "no interval"],
    ];
    assert_eq!(
        unlike(&difference),
        expected.map(|row| row.map(str::to_owned))
    );
    let names: Vec<&str> = difference
        .plots
        .iter()
        .map(|plot| plot.name.as_str())
        .collect();
    assert_eq!(names, ["connect-turnover", "connect-handshake"]);
}

#[test]
fn scenes_and_ways_that_one_has_not_are_named() {
    let [a, mut b] = lives();
    let life = b.lifecycle.as_mut().unwrap();
    life.scenarios.remove(0);
    life.turnovers.remove(1);
    life.scenarios[0].checks[0].rule = "Another rule.".to_owned();
    life.time_wait = None;
    let difference = between(&a, &b);
    assert_eq!(unlike(&difference), Vec::<[String; 3]>::new());
    let answer = difference.headline();
    let said = "None of 5 scenes came out otherwise; only one of them has 1 scene, 2 rules, 1 way of ending. ";
    assert!(answer.starts_with(said), "{answer}");
    b.lifecycle = None;
    let nothing = between(&a, &b);
    assert!(nothing.headline().starts_with("No scene is in both"));
    assert_eq!(nothing.compared(), 0);
}

#[test]
fn rows_are_called_what_the_records_own_tables_call_them() {
    let storm = &storms()[0];
    let life = &lives()[0];
    let mut tables = vec![storm::table(storm.storm.as_ref().unwrap())];
    let costs = lifecycle::costs::tables(life.lifecycle.as_ref().unwrap());
    tables.extend(costs.into_iter().map(|(_, table)| table));
    let groups = tables.iter().flat_map(|table| &table.groups);
    let known: Vec<&str> = groups
        .flat_map(|group| &group.rows)
        .map(|row| row.label.as_str())
        .collect();
    for record in [storm, life] {
        for (title, row) in rows(&between(record, record)) {
            assert!(
                known.contains(&row.label.as_str()),
                "{title}: {}",
                row.label
            );
        }
    }
}

#[test]
fn kept_runs_keep_the_terminals_width() {
    for name in [
        "2026-11-25-detect",
        "2026-11-26-lifecycle",
        "2026-11-25-storm/usual",
        "2026-11-25-storm/churn",
    ] {
        let record = kept(name);
        let same = between(&record, &record);
        assert_eq!(unlike(&same), Vec::<[String; 3]>::new(), "{name}");
        for width in [60_u16, 80, 120] {
            let text = same.table(Some(width));
            let long = text
                .lines()
                .find(|line| line.chars().count() > usize::from(width));
            assert_eq!(long, None, "{name}, {width}");
        }
    }
    let two = [
        kept("2026-11-25-storm/usual"),
        kept("2026-11-25-storm/short-queue"),
    ];
    let difference = between(&two[0], &two[1]);
    assert_eq!(difference.resolved(), 0);
    assert!(
        difference
            .config
            .iter()
            .any(|change| change.key == "accept queue")
    );
}
