//! The fault lab in sentences: what noticed a power cut, what never noticed, whom it killed without a fault.
//!
//! Does not judge: every word rests on the record's cells. A cell that is missing is not spoken of.

use super::matrix::{Matrix, Outcome, outcome, outside_because, row_name, seats};
use crate::record::{CellRecord, Record};
use crate::report::format;

/// Reasons told one by one before the rest is counted.
const TOLD: usize = 3;

/// The sentences a reader must not miss, most important first.
pub(in crate::report) fn headline(record: &Record) -> Vec<String> {
    let cells = &record.cells;
    let mut said: Vec<String> = outside(cells).into_iter().collect();
    for seat in seats(cells) {
        said.extend(after_a_power_cut(cells, seat));
    }
    for mechanism in ["keepalive", "heartbeat"] {
        said.extend(blind(cells, mechanism));
    }
    said.extend(killed(cells));
    if said.is_empty() {
        said.push("No cell was measured.".to_owned());
    }
    said
}

/// How many cells and rules of the kernel came out as they should.
pub(in crate::report) fn counts(record: &Record) -> Option<String> {
    let all = record.cells.len();
    if all == 0 {
        return None;
    }
    let within = record.cells.iter().filter(|cell| cell.within_bound).count();
    let rules = record.detection.iter().flat_map(|lab| &lab.oracles);
    let (mut held, mut asked) = (0, 0);
    for rule in rules {
        asked += 1;
        held += usize::from(rule.held);
    }
    let kernel = if asked == 0 {
        String::new()
    } else {
        format!(", {held} of {asked} kernel rules held")
    };
    Some(format!(
        "{within} of {all} cells within their bounds{kernel}"
    ))
}

fn outside(cells: &[CellRecord]) -> Option<String> {
    let astray: Vec<&CellRecord> = cells.iter().filter(|cell| !cell.within_bound).collect();
    if astray.is_empty() {
        return None;
    }
    let told = astray.iter().take(TOLD).map(|cell| {
        let (row, why) = (row_name(cell), outside_because(cell));
        format!("{row} under {} at the {}: {why}", cell.mechanism, cell.seat)
    });
    let told = told.collect::<Vec<_>>().join("; ");
    let more = astray.len().saturating_sub(TOLD);
    let rest = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    Some(format!(
        "{} of {} cells lie outside their bound: {told}{rest}.",
        astray.len(),
        cells.len()
    ))
}

fn after_a_power_cut(cells: &[CellRecord], seat: &str) -> Option<String> {
    let here = || {
        let cut = |cell: &&CellRecord| cell.fault == "power-cut" && cell.seat == seat;
        cells.iter().filter(cut)
    };
    let mut noticed: Vec<(u64, &CellRecord)> = here()
        .filter_map(|cell| match outcome(cell) {
            Outcome::Noticed(p99) => Some((p99, cell)),
            _ => None,
        })
        .collect();
    noticed.sort_by_key(|(p99, _)| *p99);
    let never: Vec<&str> = here()
        .filter(|cell| outcome(cell) == Outcome::Never)
        .map(|cell| cell.mechanism.as_str())
        .collect();
    let after = |(p99, cell): &(u64, &CellRecord)| {
        let missed = if cell.missed > 0 {
            format!(
                ", {} of {} missed",
                format::count(cell.missed),
                format::count(cell.injected)
            )
        } else {
            String::new()
        };
        format!("{} (p99 {}{missed})", cell.mechanism, format::span(*p99))
    };
    let start = format!("After a power cut the {seat}");
    let knew = match noticed.as_slice() {
        [] => None,
        [only] => Some(format!("{start} knew with {}", after(only))),
        [first, .., last] => Some(format!(
            "{start} knew soonest with {}, latest with {}",
            after(first),
            after(last)
        )),
    };
    let never = (!never.is_empty()).then(|| never.join(", "));
    match (knew, never) {
        (Some(knew), Some(never)) => Some(format!("{knew}; never with {never}.")),
        (Some(knew), None) => Some(format!("{knew}.")),
        (None, Some(never)) => Some(format!("{start} never knew with {never}.")),
        (None, None) => None,
    }
}

/// Which faults `mechanism` never noticed.
fn blind(cells: &[CellRecord], mechanism: &str) -> Option<String> {
    let mut parts: Vec<(&str, String)> = Vec::new();
    for matrix in Matrix::all(cells) {
        let mut unseen: Vec<&CellRecord> = Vec::new();
        for cell in matrix
            .faults
            .iter()
            .flat_map(|row| row.cells.iter().flatten())
        {
            if cell.mechanism == mechanism && outcome(cell) == Outcome::Never {
                unseen.push(cell);
            }
        }
        if unseen.is_empty() {
            continue;
        }
        let names: Vec<String> = unseen.iter().map(|cell| row_name(cell)).collect();
        let other = (mechanism == "keepalive")
            .then(|| seen_by(cells, "heartbeat", &unseen))
            .flatten()
            .map_or_else(String::new, |p99| {
                format!(" (heartbeat knew them all, p99 {})", format::span(p99))
            });
        parts.push((matrix.seat, format!("{}{other}", names.join(", "))));
    }
    match parts.as_slice() {
        [] => None,
        [(one, what), (other, same)] if what == same => Some(format!(
            "Seen from {one} and {other} alike, {mechanism} never noticed {what}."
        )),
        _ => {
            let each = parts
                .iter()
                .map(|(seat, what)| format!("from the {seat} {what}"));
            let each = each.collect::<Vec<_>>().join("; ");
            Some(format!("{mechanism} never noticed, seen {each}."))
        }
    }
}

/// The worst 99th percentile of `mechanism` over the faults of `unseen`, if it missed none of them.
fn seen_by(cells: &[CellRecord], mechanism: &str, unseen: &[&CellRecord]) -> Option<u64> {
    let mut worst = 0;
    for fault in unseen {
        let same = |cell: &&CellRecord| {
            cell.mechanism == mechanism
                && (&cell.fault, &cell.seat, &cell.parameter)
                    == (&fault.fault, &fault.seat, &fault.parameter)
        };
        let cell = cells.iter().find(same).filter(|cell| cell.missed == 0)?;
        let Outcome::Noticed(p99) = outcome(cell) else {
            return None;
        };
        worst = worst.max(p99);
    }
    (worst > 0).then_some(worst)
}

/// Who closed connections whose peer lived: row by row, mechanisms that closed equally many together, the worse seat of
/// each.
fn killed(cells: &[CellRecord]) -> Option<String> {
    let measured = cells
        .iter()
        .filter(|cell| cell.stress && cell.injected > 0)
        .count();
    if measured == 0 {
        return None;
    }
    let matrices = Matrix::all(cells);
    let mut worst: Vec<(&str, Vec<&CellRecord>)> = Vec::new();
    for row in matrices.iter().flat_map(|matrix| &matrix.stress) {
        let harmful = row
            .cells
            .iter()
            .flatten()
            .copied()
            .filter(|cell| cell.false_suspicions > 0);
        for cell in harmful {
            let place = worst.iter().position(|(name, _)| *name == row.name);
            let place = place.unwrap_or_else(|| {
                worst.push((&row.name, Vec::new()));
                worst.len() - 1
            });
            let known = &mut worst[place].1;
            match known.iter_mut().find(|k| k.mechanism == cell.mechanism) {
                Some(same) if cell.false_suspicions > same.false_suspicions => *same = cell,
                Some(_) => {}
                None => known.push(cell),
            }
        }
    }
    if worst.is_empty() {
        let cells = if measured == 1 { "cell" } else { "cells" };
        return Some(format!(
            "Without a fault no mechanism closed a healthy connection ({measured} {cells} of stress)."
        ));
    }
    let told = worst
        .iter()
        .map(|(row, cells)| format!("{row}: {}", together(cells)));
    Some(format!(
        "Without a fault healthy connections were closed: {}.",
        told.collect::<Vec<_>>().join("; ")
    ))
}

/// `keepalive, both 200 of 200 each, heartbeat 3 of 200`.
fn together(cells: &[&CellRecord]) -> String {
    let mut groups: Vec<((u64, u64), Vec<&str>)> = Vec::new();
    for cell in cells {
        let share = (cell.false_suspicions, cell.injected);
        match groups.iter_mut().find(|(known, _)| *known == share) {
            Some((_, names)) => names.push(&cell.mechanism),
            None => groups.push((share, vec![&cell.mechanism])),
        }
    }
    let told = groups.iter().map(|((some, all), names)| {
        let each = if names.len() > 1 { " each" } else { "" };
        let (some, all) = (format::count(*some), format::count(*all));
        format!("{} {some} of {all}{each}", names.join(", "))
    });
    told.collect::<Vec<_>>().join(", ")
}
