//! Two fault labs, cell by cell: same fault, same mechanism, same seat.
//!
//! Does not judge: bounds and verdicts are the records'. A cell is one trial, so its times have no interval.

use super::figures::{Figure, Judged, Verdict};
use super::outcomes::Outcomes;
use super::rows::{Both, Group, Of, Row, Sheet};
use crate::record::{CellRecord, DetectionRecord, OracleRecord, Record, ThresholdPoint};
use crate::report::detection::{Matrix, NEVER, Outcome, outcome, partly, said, suspicion};
use crate::report::format::{self, ABSENT, count, float_u};
use serde_json::{Map, Value, json};

const ONE_TRIAL: &str = "not resolved: one trial";

/// What the lab was set to.
pub(super) fn settings(lab: &DetectionRecord) -> Map<String, Value> {
    let timing = lab.settings.iter();
    let timing = timing.map(|set| (set.mechanism.clone(), json!(set.settings)));
    let all = [
        ("laboratory", json!(lab.laboratory)),
        ("connections_per_trial", json!(lab.connections_per_trial)),
        ("allowance_ns", json!(lab.allowance_ns)),
        ("timing", Value::Object(timing.collect())),
    ];
    all.map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// What became of the cells, and their figures.
pub(super) fn compare(both: Both, a: &Record, b: &Record) -> (Outcomes, Vec<Group>) {
    let both = both.saying(ONE_TRIAL);
    let mut outcomes = Outcomes::default();
    outcomes.begin(["cell", "cells"]);
    let mut groups = Vec::new();
    let allowance = allowance([a, b]);
    for (title, cells) in lines(&a.cells) {
        let mut rows = Vec::new();
        for one in &cells {
            if let Some(other) = partner(one, &b.cells) {
                let key = format!("{title}, {}", one.mechanism);
                let label = label([one, other], &allowance);
                rows.push(row((&key, label), [one, other], &both, &mut outcomes));
            }
        }
        groups.extend((!rows.is_empty()).then_some(Group { title, rows }));
    }
    for (first, [here, there]) in [(true, [a, b]), (false, [b, a])] {
        for (title, cells) in lines(&here.cells) {
            let lone = cells
                .iter()
                .filter(|cell| partner(cell, &there.cells).is_none());
            let lone: Vec<&str> = lone.map(|cell| cell.mechanism.as_str()).collect();
            if !lone.is_empty() {
                let fault = &cells[0].fault;
                let why = there
                    .detection
                    .as_ref()
                    .and_then(|lab| lab.left_out.get(fault));
                outcomes.only(first, (&title, lone.len()), &lone.join(", "), why);
            }
        }
    }
    if let (Some(one), Some(other)) = (&a.detection, &b.detection) {
        rules(one, other, &mut outcomes);
        groups.extend(thresholds(both, &one.thresholds, &other.thresholds));
    }
    (outcomes, groups)
}

/// The measured cells line by line as the matrices have them, each line with its title.
fn lines(cells: &[CellRecord]) -> Vec<(String, Vec<&CellRecord>)> {
    let mut lines = Vec::new();
    for matrix in Matrix::all(cells) {
        for line in matrix.faults.iter().chain(&matrix.stress) {
            let measured = line.cells.iter().flatten().copied();
            let measured: Vec<_> = measured.filter(|cell| became(cell).is_some()).collect();
            if !measured.is_empty() {
                let title = format!("{}, seen from the {}", line.name, matrix.seat);
                lines.push((format::plain(&title), measured));
            }
        }
    }
    lines
}

/// The same cell of another lab, if it was measured there.
fn partner<'a>(cell: &CellRecord, cells: &'a [CellRecord]) -> Option<&'a CellRecord> {
    fn key(cell: &CellRecord) -> [&str; 4] {
        [&cell.fault, &cell.parameter, &cell.mechanism, &cell.seat]
    }
    let same = |other: &&CellRecord| key(other) == key(cell) && became(other).is_some();
    cells.iter().find(same)
}

/// What a cell's trial came to; two of the same came out the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    /// Of those the fault met.
    noticed: Part,
    /// Verdicts on living peers.
    suspected: bool,
    within_bound: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    None,
    Some,
    All,
    /// There was nothing to notice.
    Alive,
}

/// `None` where nothing was measured.
fn became(cell: &CellRecord) -> Option<Fate> {
    let noticed = match outcome(cell) {
        _ if cell.injected == 0 => return None,
        _ if cell.stress => Part::Alive,
        Outcome::NotMeasured => return None,
        Outcome::Never => Part::None,
        Outcome::Noticed(_) if partly(cell).is_some() => Part::Some,
        Outcome::Noticed(_) => Part::All,
    };
    Some(Fate {
        noticed,
        suspected: cell.false_suspicions > 0,
        within_bound: cell.within_bound,
    })
}

/// `198 of 200 noticed, outside its bound`.
fn told(cell: &CellRecord, fate: Fate) -> String {
    let all = count(cell.injected);
    let suspected = count(cell.false_suspicions);
    let noticed = match fate.noticed {
        Part::None => "never noticed".to_owned(),
        Part::Some => format!("{} of {all} noticed", count(cell.detected)),
        Part::All => format!("all {all} noticed"),
        Part::Alive if fate.suspected => format!("{suspected} of {all} suspected"),
        Part::Alive => "nobody suspected".to_owned(),
    };
    let before = fate.suspected && fate.noticed != Part::Alive;
    let before = before.then(|| format!("{suspected} suspected before"));
    let outside = (!fate.within_bound).then(|| "outside its bound".to_owned());
    let told: Vec<String> = [Some(noticed), before, outside]
        .into_iter()
        .flatten()
        .collect();
    told.join(", ")
}

fn row(
    (key, label): (&str, String),
    cells: [&CellRecord; 2],
    both: &Both,
    outcomes: &mut Outcomes,
) -> Row {
    let fates = cells.map(became);
    let same = fates[0] == fates[1];
    let texts =
        [0, 1].map(|side| fates[side].map_or_else(String::new, |fate| told(cells[side], fate)));
    outcomes.both(key, texts, same);
    let [one, other] = cells.map(written);
    let judged = both.row("", cells.map(figure), Of::Count, false);
    let judged = judged.map_or(
        Judged {
            ratio_milli: None,
            verdict: Verdict::Same,
        },
        |row| row.judged,
    );
    let verdict = match judged.verdict {
        _ if !same => Verdict::Changed,
        // The p99 alone may be the same.
        Verdict::Same if one != other => Verdict::NotJudged,
        verdict => verdict,
    };
    Row {
        label,
        one,
        other,
        judged: Judged { verdict, ..judged },
        alone: ONE_TRIAL,
    }
}

/// What both labs allow beyond every bound, ready to be written behind one; nothing where they allow differently.
fn allowance(records: [&Record; 2]) -> String {
    let allowed = |record: &Record| record.detection.as_ref().map(|lab| lab.allowance_ns);
    match records.map(allowed) {
        [Some(one), Some(other)] if one == other => format!(" + {}", format::span(one)),
        _ => String::new(),
    }
}

/// The mechanism with its bound, where anything was noticed in time that has one.
fn label([one, other]: [&CellRecord; 2], allowance: &str) -> String {
    let bound = |cell: &CellRecord| {
        let bound = cell.model_bound_ns.map(format::span);
        bound.map(|bound| bound + allowance)
    };
    let said = match (bound(one), bound(other)) {
        (Some(one), Some(other)) if one == other => format!(", bound {one}"),
        (Some(one), Some(other)) => format!(", bounds {one}, {other}"),
        (Some(one), None) => format!(", bound {one} in A"),
        (None, Some(other)) => format!(", bound {other} in B"),
        (None, None) => String::new(),
    };
    one.mechanism.clone() + &said
}

/// What the ratio is of: the p99, or of living peers the share that was suspected.
fn figure(cell: &CellRecord) -> Option<Figure> {
    if cell.stress {
        let share = float_u(cell.false_suspicions) / float_u(cell.injected.max(1));
        return Some(Figure::alone(share));
    }
    match outcome(cell) {
        Outcome::Noticed(p99) => Some(Figure::single(p99)),
        Outcome::Never | Outcome::NotMeasured => None,
    }
}

fn written(cell: &CellRecord) -> String {
    let mark = if cell.within_bound { "" } else { "\u{a0}!" };
    if cell.stress {
        return suspicion(cell) + mark;
    }
    let times = &cell.histogram;
    let some = partly(cell).map_or_else(String::new, |some| format!(" ({some})"));
    let before = match cell.false_suspicions {
        0 => String::new(),
        number => format!(", {} suspected before", count(number)),
    };
    let said = match outcome(cell) {
        Outcome::Noticed(_) => spans([times.p50, times.p99, times.max]),
        Outcome::Never => NEVER.to_owned(),
        Outcome::NotMeasured => ABSENT.to_owned(),
    };
    format!("{said}{some}{mark}{before}")
}

/// `7.52 / 8.98 / 8.99 s`, the unit said once where it is the same.
fn spans(values: [u64; 3]) -> String {
    let texts = values.map(format::span);
    let split = |text: &'_ str| {
        let (number, unit) = text.rsplit_once('\u{a0}').unwrap_or((text, ""));
        (number.to_owned(), unit.to_owned())
    };
    let [first, second, third] = texts.each_ref().map(|text| split(text));
    if first.1 == second.1 && second.1 == third.1 {
        let (numbers, unit) = ([first.0, second.0, third.0], third.1);
        return format!("{}\u{a0}{unit}", numbers.join(" / "));
    }
    texts.join(" / ")
}

/// The kernel's rules, and what is said in the debate.
fn rules(one: &DetectionRecord, other: &DetectionRecord, outcomes: &mut Outcomes) {
    outcomes.begin(["kernel rule", "kernel rules"]);
    let held = |rule: &OracleRecord| {
        let word = if rule.held { "held" } else { "NOT held" };
        format!("{word}: {}", rule.seen)
    };
    for rule in &one.oracles {
        if let Some(same) = other.oracles.iter().find(|r| r.name == rule.name) {
            let key = format!("kernel rule {}", rule.name);
            outcomes.both(&key, [held(rule), held(same)], rule.held == same.held);
        }
    }
    outcomes.begin(["claim", "claims"]);
    for claim in &one.claims {
        if let Some(same) = other.claims.iter().find(|c| c.claim == claim.claim) {
            let key = format!("said: {}", claim.claim);
            let texts = [said(&claim.verdict), said(&same.verdict)];
            outcomes.both(&key, texts, claim.verdict == same.verdict);
        }
    }
}

/// Detection and suspicion by threshold, those that both tried.
fn thresholds(both: Both, ones: &[ThresholdPoint], others: &[ThresholdPoint]) -> Option<Group> {
    let mut rows = Vec::new();
    let mut told: Option<u64> = None;
    let mut points: Vec<&ThresholdPoint> = ones.iter().collect();
    points.sort_by_key(|point| (point.detect_within_ms, point.outage_ms));
    for point in points {
        let same = others.iter().find(|p| {
            (p.detect_within_ms, p.outage_ms) == (point.detect_within_ms, point.outage_ms)
        });
        let Some(same) = same else { continue };
        let mut sheet = Sheet::new(both, [point, same]);
        let budget = format::millis(point.detect_within_ms);
        if told != Some(point.detect_within_ms) {
            told = Some(point.detect_within_ms);
            let time = |ns: u64| (ns > 0).then_some(ns);
            sheet.lone(&format!("{budget}: detection p50"), Of::Time, |p| {
                time(p.detection_ns_p50)
            });
            sheet.lone(&format!("{budget}: detection p99"), Of::Time, |p| {
                time(p.detection_ns_p99)
            });
        }
        let outage = format::millis(point.outage_ms);
        sheet.add(
            &format!("{budget}: suspected in an outage of {outage}"),
            Of::Share,
            |p| {
                (p.connections > 0)
                    .then(|| Figure::alone(float_u(p.false_suspicions) / float_u(p.connections)))
            },
        );
        rows.extend(sheet.rows);
    }
    let title = "threshold by threshold".to_owned();
    (!rows.is_empty()).then_some(Group { title, rows })
}
