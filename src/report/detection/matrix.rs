//! The matrix: faults down, mechanisms across, one for each seat; and the same figures as a table of text.
//!
//! Does not judge. A cell shows the record's 99th percentile, a cross where nothing was ever noticed, a dash where
//! nothing was measured; footnotes give the record's own reasons.

use crate::record::{CellRecord, ThresholdPoint};
use crate::report::format::{self, ABSENT, float_u};
use crate::report::rows::{Cell, CostTable, Group, Row, note};

/// Faults and then stress, in the order they are told in.
const FAULTS: [&str; 16] = [
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
    "outage",
    "random-loss",
    "cpu-starvation",
    "server-paused",
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
const SEATS: [&str; 2] = ["server", "client"];
/// Stands where a dead peer was never noticed.
pub(in crate::report) const NEVER: &str = "✕";

/// What became of the connections of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Outcome {
    /// Nothing was injected, or nothing can be said of it.
    NotMeasured,
    /// Nobody noticed.
    Never,
    /// This is the 99th percentile of those that noticed.
    Noticed(u64),
}

/// What `cell` says about noticing.
pub(in crate::report) fn outcome(cell: &CellRecord) -> Outcome {
    if cell.injected > 0 && cell.histogram.count > 0 {
        Outcome::Noticed(cell.histogram.p99)
    } else if cell.detected == 0 && cell.missed > 0 {
        Outcome::Never
    } else {
        Outcome::NotMeasured
    }
}

/// `detected/injected`, where some were not noticed though others were.
pub(in crate::report) fn partly(cell: &CellRecord) -> Option<String> {
    let some = cell.detected > 0 && cell.detected < cell.injected;
    some.then(|| of(cell.detected, cell.injected))
}

fn of(some: u64, all: u64) -> String {
    format!("{}/{}", format::count(some), format::count(all))
}

/// A name from the record as people say it: `one-way loss to server`.
pub(in crate::report) fn words(name: &str) -> String {
    name.replace('-', " ")
        .replace("one way", "one-way")
        .replace("cpu ", "CPU ")
}

/// What a row is called: the fault, or the stress with its size.
pub(in crate::report) fn row_name(cell: &CellRecord) -> String {
    if cell.parameter.is_empty() {
        words(&cell.fault)
    } else {
        let size = cell.parameter.replace(' ', "\u{a0}");
        format!("{}, {size}", words(&cell.fault))
    }
}

/// Each of `names` once: those `known` in its order, then the others as they come.
fn ordered<'a>(names: impl Iterator<Item = &'a str>, known: &[&str]) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    let place = |name: &&str| known.iter().position(|k| k == name).unwrap_or(known.len());
    found.sort_by_key(place);
    found
}

/// The seats that were looked from, the server's first.
pub(in crate::report) fn seats(cells: &[CellRecord]) -> Vec<&str> {
    ordered(cells.iter().map(|cell| cell.seat.as_str()), &SEATS)
}

/// The faults and stresses of `cells` in the order they are told in.
pub(in crate::report) fn faults<'a>(cells: impl Iterator<Item = &'a CellRecord>) -> Vec<&'a str> {
    ordered(cells.map(|cell| cell.fault.as_str()), &FAULTS)
}

/// The cells of one fault as they are told: seat by seat, mechanism by mechanism, size by size.
pub(in crate::report) fn of_fault<'a>(cells: &'a [CellRecord], fault: &str) -> Vec<&'a CellRecord> {
    let mut found: Vec<_> = cells.iter().filter(|cell| cell.fault == fault).collect();
    let rank = |known: &[&str], name: &str| {
        let place = known.iter().position(|k| *k == name);
        place.unwrap_or(known.len())
    };
    found.sort_by_key(|cell| {
        let seat = rank(&SEATS, &cell.seat);
        (seat, rank(&MECHANISMS, &cell.mechanism))
    });
    found
}

/// One row: a fault or a stress, and its cell under each mechanism.
#[derive(Debug)]
pub(in crate::report) struct Line<'a> {
    /// See [`row_name`].
    pub(in crate::report) name: String,
    /// In the order of the matrix's mechanisms.
    pub(in crate::report) cells: Vec<Option<&'a CellRecord>>,
}

/// A group of rows: its title, the rows, how a cell is written.
type Part<'b, 'a> = (&'b str, &'b [Line<'a>], fn(&CellRecord) -> String);

/// What one seat saw.
#[derive(Debug)]
pub(in crate::report) struct Matrix<'a> {
    /// `server` or `client`.
    pub(in crate::report) seat: &'a str,
    /// The columns.
    pub(in crate::report) mechanisms: Vec<&'a str>,
    /// Rows in which the peer is dead or out of reach.
    pub(in crate::report) faults: Vec<Line<'a>>,
    /// Rows in which it lives.
    pub(in crate::report) stress: Vec<Line<'a>>,
}

impl<'a> Matrix<'a> {
    /// The matrices of a record's cells, one for each seat that has any.
    pub(in crate::report) fn all(cells: &'a [CellRecord]) -> Vec<Self> {
        let seats = seats(cells).into_iter();
        seats.map(|seat| Self::of(cells, seat)).collect()
    }

    fn of(cells: &'a [CellRecord], seat: &'a str) -> Self {
        let seen = || cells.iter().filter(|cell| cell.seat == seat);
        let mechanisms = ordered(seen().map(|cell| cell.mechanism.as_str()), &MECHANISMS);
        let lines = |stress: bool| {
            let kind = || seen().filter(|cell| cell.stress == stress);
            let mut lines = Vec::new();
            for fault in faults(kind()) {
                let same = || kind().filter(|cell| cell.fault == fault);
                for parameter in ordered(same().map(|cell| cell.parameter.as_str()), &[]) {
                    let row: Vec<_> = same().filter(|c| c.parameter == parameter).collect();
                    let under = |name: &&str| row.iter().find(|c| c.mechanism == *name).copied();
                    lines.push(Line {
                        name: row.first().map_or_else(String::new, |cell| row_name(cell)),
                        cells: mechanisms.iter().map(under).collect(),
                    });
                }
            }
            lines
        };
        let (faults, stress) = (lines(false), lines(true));
        Self {
            seat,
            mechanisms,
            faults,
            stress,
        }
    }

    /// Faults, and below them stress.
    pub(in crate::report) fn table(&self) -> CostTable {
        self.groups(&[
            ("faults: detection p99", &self.faults, detection),
            ("peer alive: suspected", &self.stress, suspicion),
        ])
    }

    /// Only the rows in which the peer lives.
    pub(in crate::report) fn stress_table(&self) -> CostTable {
        self.groups(&[("peer alive: suspected", &self.stress, suspicion)])
    }

    fn groups(&self, parts: &[Part<'_, 'a>]) -> CostTable {
        let mut notes = Vec::new();
        let mut groups = Vec::new();
        for (title, lines, show) in parts.iter().filter(|(_, lines, _)| !lines.is_empty()) {
            let row = |line: &Line<'_>| Row {
                label: line.name.clone(),
                cells: line
                    .cells
                    .iter()
                    .map(|cell| shown(*cell, *show, &mut notes))
                    .collect(),
                winner: String::new(),
            };
            groups.push(Group {
                title: (*title).to_owned(),
                rows: lines.iter().map(row).collect(),
            });
        }
        CostTable {
            arms: self.mechanisms.iter().map(|m| (*m).to_owned()).collect(),
            groups,
            notes,
        }
    }
}

fn shown(
    cell: Option<&CellRecord>,
    show: fn(&CellRecord) -> String,
    notes: &mut Vec<String>,
) -> Cell {
    let Some(cell) = cell.filter(|cell| cell.injected > 0) else {
        return Cell {
            text: ABSENT.to_owned(),
            note: None,
        };
    };
    let mut why = Vec::new();
    if !cell.within_bound {
        why.push(outside_because(cell).to_owned());
    }
    if !cell.stress && cell.false_suspicions > 0 {
        why.push(format!(
            "{} suspected while the peer lived, before the fault",
            of(cell.false_suspicions, cell.injected)
        ));
    }
    let mark = if cell.within_bound { "" } else { "\u{a0}!" };
    Cell {
        text: format!("{}{mark}", show(cell)),
        note: (!why.is_empty()).then(|| note(notes, why.join("; "))),
    }
}

/// Why a cell lies outside its bound, in the record's words.
pub(in crate::report) fn outside_because(cell: &CellRecord) -> &str {
    if cell.out_of_bound.is_empty() {
        "outside its bound; the record gives no reason"
    } else {
        &cell.out_of_bound
    }
}

fn detection(cell: &CellRecord) -> String {
    let some = partly(cell).map_or_else(String::new, |some| format!(" ({some})"));
    match outcome(cell) {
        Outcome::Noticed(p99) => format!("{}{some}", format::span(p99)),
        Outcome::Never => NEVER.to_owned(),
        Outcome::NotMeasured => format!("{ABSENT}{some}"),
    }
}

/// Of those that met the stress, those suspected, and per million signs of life: `3/200 (750/M)`.
pub(in crate::report) fn suspicion(cell: &CellRecord) -> String {
    let rate = cell
        .false_suspicions_per_million
        .map_or_else(|| ABSENT.to_owned(), |rate| format!("{}/M", figures(rate)));
    format!("{} ({rate})", of(cell.false_suspicions, cell.injected))
}

/// A rate as a count, with decimals where it is small.
pub(in crate::report) fn figures(rate: f64) -> String {
    if rate > 0.0 && rate < 100.0 {
        format!("{rate:.1}")
    } else {
        format::count(format::whole(rate))
    }
}

/// Thresholds across; detection of a power cut, and what each length of outage did to the living, down.
pub(in crate::report) fn thresholds(points: &[ThresholdPoint]) -> CostTable {
    let mut budgets: Vec<u64> = points.iter().map(|p| p.detect_within_ms).collect();
    budgets.sort_unstable();
    budgets.dedup();
    let mut outages: Vec<u64> = points.iter().map(|p| p.outage_ms).collect();
    outages.sort_unstable();
    outages.dedup();
    let row = |label: String, figure: &dyn Fn(&ThresholdPoint) -> Option<String>| {
        let text = |budget: &u64| {
            let mut at = points.iter().filter(|p| p.detect_within_ms == *budget);
            at.find_map(figure).unwrap_or_else(|| ABSENT.to_owned())
        };
        let cells = budgets.iter().map(|budget| Cell {
            text: text(budget),
            note: None,
        });
        Row {
            label,
            cells: cells.collect(),
            winner: String::new(),
        }
    };
    let span = |ns: u64| (ns > 0).then(|| format::span(ns));
    let found = vec![
        row("heartbeat interval".to_owned(), &|p| {
            Some(format::millis(p.interval_ms))
        }),
        row("detection p50".to_owned(), &|p| span(p.detection_ns_p50)),
        row("detection p99".to_owned(), &|p| span(p.detection_ns_p99)),
    ];
    let survived = outages.iter().map(|outage| {
        row(format!("outage of {}", format::millis(*outage)), &|p| {
            let met = p.outage_ms == *outage && p.connections > 0;
            met.then(|| {
                let share = float_u(p.false_suspicions) / float_u(p.connections) * 100.0;
                let (some, all) = (p.false_suspicions, p.connections);
                format!("{share:.1}\u{a0}% ({})", of(some, all))
            })
        })
    });
    let group = |title: &str, rows: Vec<Row>| Group {
        title: title.to_owned(),
        rows,
    };
    CostTable {
        arms: budgets.iter().map(|ms| format::millis(*ms)).collect(),
        groups: vec![
            group("power cut", found),
            group("alive, yet suspected", survived.collect()),
        ],
        notes: Vec::new(),
    }
}
