//! Two storms, or two churns, way by way of backing off.
//!
//! Does not judge. A way that was run several times in a record has an interval over those runs, and one that was run
//! once has none.

use super::figures::Figure;
use super::outcomes::Outcomes;
use super::rows::{Both, Group, Of, PERCENTILES, Sheet};
use crate::record::{Record, StormRecord, StormRun};
use crate::report::format::{self, count, float_i, float_u};
use crate::report::plot::Overlaid;
use crate::report::storm::run_names;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ONE_RUN: &str = "not resolved: one run";

/// What the storm was set to.
pub(super) fn settings(storm: &StormRecord) -> Map<String, Value> {
    let named = storm.runs.iter().zip(run_names(storm));
    let backoff = named.map(|(run, name)| {
        let (base, cap) = (format::millis(run.base_ms), format::millis(run.cap_ms));
        (name, json!(format!("{base} to {cap}")))
    });
    let all = [
        ("ending", json!(storm.ending)),
        ("accept_queue", json!(storm.accept_queue)),
        (
            "reconnects_in_flight_per_core",
            json!(storm.reconnects_in_flight_per_core),
        ),
        ("give_up_ms", json!(storm.give_up_ms)),
        ("churn_per_second", json!(storm.churn_per_second)),
        ("backoff", Value::Object(backoff.collect())),
    ];
    all.map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// All runs of a way under a mechanism, in both records.
struct Way<'a> {
    name: String,
    runs: [Vec<&'a StormRun>; 2],
}

fn runs(record: &Record) -> &[StormRun] {
    record.storm.as_ref().map_or(&[], |storm| &storm.runs)
}

/// Every way of either, with the mechanism in its name where there are several.
fn ways<'a>(a: &'a Record, b: &'a Record) -> Vec<Way<'a>> {
    let all = || runs(a).iter().chain(runs(b));
    let mechanisms: BTreeSet<&str> = all().map(|run| run.arm.as_str()).collect();
    let mut ways: Vec<Way<'a>> = Vec::new();
    for (side, record) in [a, b].into_iter().enumerate() {
        for run in runs(record) {
            let name = if mechanisms.len() > 1 {
                format!("{}@{}", run.backoff, run.arm)
            } else {
                run.backoff.clone()
            };
            let place = ways.iter().position(|way| way.name == name);
            let place = place.unwrap_or_else(|| {
                let runs = [Vec::new(), Vec::new()];
                ways.push(Way { name, runs });
                ways.len() - 1
            });
            ways[place].runs[side].push(run);
        }
    }
    ways
}

/// Who came back, and the figures.
pub(super) fn compare(both: Both, a: &Record, b: &Record) -> (Outcomes, Vec<Group>) {
    let churns = a.storm.as_ref().is_some_and(|storm| storm.mode == "churn");
    let mut outcomes = Outcomes::default();
    outcomes.begin(["way of backing off", "ways of backing off"]);
    let mut groups = Vec::new();
    for way in ways(a, b) {
        let [ones, others] = &way.runs;
        match (ones.is_empty(), others.is_empty()) {
            (false, false) => {
                let texts = [ones, others].map(|runs| returned(runs, churns));
                let same = all_back(ones, churns) == all_back(others, churns);
                outcomes.both(&way.name, texts, same);
                groups.extend(group(both, &way, churns));
            }
            (first, _) => {
                let there = returned(if first { others } else { ones }, churns);
                outcomes.only(!first, (&way.name, 1), &there, None);
            }
        }
    }
    (outcomes, groups)
}

/// Whether nobody was missing at the end, in any run.
fn all_back(runs: &[&StormRun], churns: bool) -> bool {
    runs.iter().all(|run| came_back(run, churns))
}

fn came_back(run: &StormRun, churns: bool) -> bool {
    if churns {
        run.recovered >= run.dropped
    } else {
        run.all_back_ns.is_some()
    }
}

fn returned(runs: &[&StormRun], churns: bool) -> String {
    match runs {
        [run] if churns => {
            let (some, all) = (count(run.recovered), count(run.dropped));
            format!("{some} of {all} back")
        }
        [run] => {
            let (some, all) = (count(run.recovered), count(run.dropped));
            let only = format!("only {some} of {all} back while it was watched");
            let after = run.all_back_ns.map(format::span);
            after.map_or(only, |after| format!("all back after {after}"))
        }
        runs => {
            let whole = runs.iter().filter(|run| came_back(run, churns)).count();
            format!("all back in {whole} of {} runs", runs.len())
        }
    }
}

type Pick = fn(&StormRun) -> u64;
type Reached = fn(&StormRun) -> Option<u64>;

fn group(both: Both, way: &Way<'_>, churns: bool) -> Option<Group> {
    let [ones, others] = &way.runs;
    let both = if ones.len().min(others.len()) > 1 {
        both
    } else {
        both.saying(ONE_RUN)
    };
    let mut table = Table(Sheet::new(both, [ones.as_slice(), others.as_slice()]));
    let dropped = if churns {
        "closed in the window"
    } else {
        "dropped at once"
    };
    table.counts(&[
        (dropped, |run| run.dropped),
        ("back at the end", |run| run.recovered),
    ]);
    let reached: [(&str, Reached); 3] = [
        ("half back after", |run| run.half_back_ns),
        ("99 % back after", |run| run.p99_back_ns),
        ("all back after", |run| run.all_back_ns),
    ];
    for (label, pick) in reached.into_iter().filter(|_| !churns) {
        table.add(label, Of::Time, pick);
    }
    table.causes("lost again", |run| &run.lost_again);
    for name in ["recovery", "connect"] {
        for (percentile, pick) in PERCENTILES {
            table.add(&format!("{name} {percentile}"), Of::Time, |run| {
                let times = run.histograms.get(name);
                times.filter(|times| times.count > 0).map(pick)
            });
        }
    }
    table.counts(&[
        ("tried, failed ones included", |run| run.attempts),
        ("begun in the busiest 100 ms", |run| {
            run.attempts_per_100ms_max
        }),
    ]);
    table.causes("failed", |run| &run.failures);
    table.counts(&[
        ("SYNs dropped at the listeners", |run| run.syn_drops),
        ("SYNs and SYN-ACKs sent again", |run| run.syn_retransmits),
    ]);
    let pressed: [(&str, Pick); 2] = [
        ("accept queue overflows", |run| {
            run.pressure.listen_overflows
        }),
        ("SYN queue full, dropped or answered with a cookie", |run| {
            run.pressure.syn_queue_drops + run.pressure.syn_cookies
        }),
    ];
    let any = |pick: Pick| ones.iter().chain(others).any(|run| pick(run) > 0);
    for row in pressed.into_iter().filter(|(_, pick)| any(*pick)) {
        table.counts(&[row]);
    }
    table.add("CPU of the whole machine", Of::Time, |run| {
        Some(run.cpu_busy_ns)
    });
    table.add("in", Of::Time, |run| {
        (run.measured_ns > 0).then_some(run.measured_ns)
    });
    table.0.under(way.name.clone())
}

/// A sheet of which each side is the runs of a way.
struct Table<'a>(Sheet<'a, [&'a StormRun]>);

impl Table<'_> {
    /// Over the runs of either side; no row where one of them lacks the figure.
    fn add(&mut self, label: &str, of: Of, pick: impl Fn(&StormRun) -> Option<u64>) {
        self.0.add(label, of, |runs| {
            let figures = runs.iter().map(|run| pick(run).map(float_u));
            over(&figures.collect::<Option<Vec<f64>>>()?)
        });
    }

    fn counts(&mut self, rows: &[(&str, Pick)]) {
        for (label, pick) in rows {
            self.add(label, Of::Count, |run| Some(pick(run)));
        }
    }

    fn causes(&mut self, prefix: &str, of: impl Fn(&StormRun) -> &BTreeMap<String, u64>) {
        let runs = self.0.sides.iter().copied().flatten();
        let causes: BTreeSet<String> = runs.flat_map(|run| of(run).keys().cloned()).collect();
        for cause in causes {
            self.add(&format!("{prefix}: {cause}"), Of::Count, |run| {
                Some(of(run).get(&cause).copied().unwrap_or(0))
            });
        }
    }
}

/// One run's figure, several runs' with their interval, or their mean where a zero has no logarithm.
fn over(runs: &[f64]) -> Option<Figure> {
    match runs {
        [] => None,
        [one] => Some(Figure::alone(*one)),
        several => Figure::of_rounds(several).or_else(|| {
            let mean = several.iter().sum::<f64>() / float_i(several.len());
            Some(Figure::alone(mean))
        }),
    }
}

/// The runs of the ways that both have, one by one.
pub(super) fn overlaid<'a>(a: &'a Record, b: &'a Record) -> Vec<Overlaid<'a>> {
    let mut pairs = Vec::new();
    for way in ways(a, b) {
        let [ones, others] = &way.runs;
        for (place, (one, other)) in ones.iter().zip(others).enumerate() {
            let name = match place {
                0 => way.name.clone(),
                more => format!("{}#{}", way.name, more + 1),
            };
            pairs.push(Overlaid {
                name,
                histograms: [&one.histograms, &other.histograms],
            });
        }
    }
    pairs
}
