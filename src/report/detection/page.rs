//! What the page shows of a fault lab.
//!
//! Does not draw charts; the [page](mod@crate::report::html) does. Every cell stands here with all its figures, fault by
//! fault; the rules behind the bounds stand once below the table they are used in.

use super::matrix::{
    Matrix, NEVER, Outcome, faults, figures, of_fault, outcome, outside_because, thresholds, words,
};
use super::{KEY, said};
use crate::record::{CellRecord, ClaimRecord, DetectionRecord, LeftBehind, OracleRecord, Record};
use crate::report::format::{self, ABSENT};
use crate::report::html::{
    drawing, environment, fact, figure, grid, marks, method_and_settings, warnings,
};
use crate::report::plot::Plot;
use crate::report::rows::{CostTable, note};
use maud::{Markup, html};

const METHOD: &str = "Every connection of a trial meets the fault at its own random phase. A detection time runs from the \
    fault to the verdict at the seat, both read from one machine's monotonic clock. The bound of a cell follows from the \
    settings and the kernel's rules; a cell is within it when no connection was noticed before the earliest or after the \
    bound and the allowance, and nothing was noticed that cannot be. While the peer lives every verdict is a false \
    suspicion.";

/// Keys of the general settings that bear on a fault lab.
const SETTINGS: [&str; 11] = [
    "arms",
    "detect within",
    "misses allowed",
    "heartbeat interval",
    "idle timeout",
    "answer timeout",
    "keepalive",
    "tick",
    "timers",
    "congestion control",
    "seed",
];

/// The main part of the page.
pub(in crate::report) fn body(record: &Record, plots: &[Plot]) -> Markup {
    let matrices = Matrix::all(&record.cells);
    html! {
        (warnings(record))
        @if !matrices.is_empty() { (pictures(&matrices, plots)) }
        (stress(&matrices))
        @if let Some(lab) = &record.detection {
            (threshold(lab, plots))
            (claims(&lab.claims))
            (oracles(&lab.oracles))
        }
        (cell_by_cell(&record.cells))
        @if let Some(lab) = &record.detection {
            (left_out(lab))
            (laboratory(lab))
        }
        @if plots.iter().any(|plot| plot.name == "timeline") {
            section { h2 { "Over time" } (figure(plots, "timeline")) }
        }
        (method_and_settings(record, METHOD, &SETTINGS))
        (environment(&record.environment))
    }
}

fn pictures(matrices: &[Matrix<'_>], plots: &[Plot]) -> Markup {
    let drawn = |seat: &str| {
        let name = format!("detection-matrix-{seat}");
        plots.iter().find(move |plot| plot.name == name)
    };
    html! {
        section {
            h2 { "Who notices, and after how long" }
            @for matrix in matrices {
                @if let Some(plot) = drawn(matrix.seat) { (drawing(plot)) }
                (outside_notes(matrix))
            }
            p.quiet { (KEY) }
        }
    }
}

/// The cells outside their bound, in words: a thick outline alone says too little.
fn outside_notes(matrix: &Matrix<'_>) -> Markup {
    let rows = || matrix.faults.iter().chain(&matrix.stress);
    let astray = || {
        let cells = rows().flat_map(|row| row.cells.iter().flatten().map(move |cell| (row, cell)));
        cells.filter(|(_, cell)| !cell.within_bound)
    };
    html! {
        @if astray().next().is_some() {
            ul { @for (row, cell) in astray() {
                li.bad { strong { (row.name) " under " (cell.mechanism) " at the " (matrix.seat) } ": "
                    (outside_because(cell)) }
            } }
        }
    }
}

fn stress(matrices: &[Matrix<'_>]) -> Markup {
    let measured = || matrices.iter().filter(|matrix| !matrix.stress.is_empty());
    html! {
        @if measured().next().is_some() {
            section {
                h2 { "Whom it kills though the peer lives" }
                p { "No fault, only stress that ends: every verdict here closes a healthy connection. Suspected of those \
                     that met the stress, in brackets per million heartbeats and probes sent." }
                @for matrix in measured() {
                    h3 { "Seen from the " (matrix.seat) }
                    (noted(&matrix.stress_table()))
                }
            }
        }
    }
}

/// A table whose footnotes are whole sentences.
fn noted(table: &CostTable) -> Markup {
    html! { (grid(table)) (marks(&table.notes)) }
}

fn threshold(lab: &DetectionRecord, plots: &[Plot]) -> Markup {
    html! {
        @if !lab.thresholds.is_empty() {
            section {
                h2 { "How short a threshold may be" }
                p { "One threshold decides both: how soon the dead are found, and which outages the living survive." }
                (figure(plots, "thresholds"))
                (noted(&thresholds(&lab.thresholds)))
            }
        }
    }
}

fn claims(claims: &[ClaimRecord]) -> Markup {
    html! {
        @if !claims.is_empty() {
            section {
                h2 { "What is said, and what was seen" }
                div.scroll { table.prose {
                    thead { tr {
                        th scope="col" { "claim" }
                        th.brief scope="col" { "verdict" }
                        @for title in ["evidence", "rests on"] { th scope="col" { (title) } }
                    } }
                    tbody { @for claim in claims { tr {
                        th scope="row" { (claim.claim) }
                        td class=(verdict_class(&claim.verdict)) { (said(&claim.verdict)) }
                        td { (claim.evidence) }
                        td.quiet { (claim.experiment) }
                    } } }
                } }
            }
        }
    }
}

fn verdict_class(verdict: &str) -> &'static str {
    match verdict {
        "holds" => "brief yes",
        "does-not-hold" => "brief no",
        _ => "brief",
    }
}

fn oracles(oracles: &[OracleRecord]) -> Markup {
    html! {
        @if !oracles.is_empty() {
            section {
                h2 { "The kernel's rules, held against this kernel" }
                div.scroll { table.prose {
                    thead { tr {
                        th scope="col" { "rule" }
                        th.brief scope="col" { "held" }
                        @for title in ["experiment", "expected", "seen"] { th scope="col" { (title) } }
                    } }
                    tbody { @for oracle in oracles { tr {
                        th scope="row" { strong { (oracle.name) } br; (oracle.rule) }
                        @if oracle.held { td class="brief yes" { "yes" } } @else { td class="brief no" { "no" } }
                        td { (oracle.experiment) }
                        td { (oracle.expected) }
                        td { (oracle.seen) }
                    } } }
                } }
            }
        }
    }
}

fn cell_by_cell(cells: &[CellRecord]) -> Markup {
    html! {
        @if !cells.is_empty() {
            section {
                h2 { "Cell by cell" }
                p { "From the fault to the verdict; " code { "cells.csv" } " beside this page has the same with all digits." }
                @for fault in faults(cells.iter()) { (of_one_fault(fault, &of_fault(cells, fault))) }
            }
        }
    }
}

fn of_one_fault(fault: &str, cells: &[&CellRecord]) -> Markup {
    let within = cells.iter().filter(|cell| cell.within_bound).count();
    let mut rules = Vec::new();
    let mut rule =
        |cell: &CellRecord| (!cell.model.is_empty()).then(|| note(&mut rules, cell.model.clone()));
    let sized = cells.iter().any(|cell| !cell.parameter.is_empty());
    let [injected, detected, missed] = if cells.iter().all(|cell| cell.stress) {
        ["met the stress", "closed", "still open"]
    } else {
        ["injected", "detected", "missed"]
    };
    let titles = [
        injected,
        detected,
        missed,
        "falsely suspected",
        "p50",
        "p99",
        "max",
        "model",
        "within its bound",
        "endings by cause",
        "left behind",
    ];
    let columns = titles.len() + 1 + usize::from(sized);
    html! {
        details open[within < cells.len()] {
            summary { (words(fault)) ": " (within) " of " (cells.len()) " within their bounds" }
            p.quiet { "Watched for " (watched(cells)) "." }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "mechanism" }
                    @if sized { th scope="col" { "size" } }
                    @for title in titles { th scope="col" { (title) } }
                } }
                // They come seat by seat.
                @for seat in cells.chunk_by(|one, other| one.seat == other.seat) {
                    tbody {
                        tr.group { th colspan=(columns) scope="rowgroup" { "seen from the " (seat[0].seat) } }
                        @for cell in seat { (cell_row(cell, sized, rule(cell))) }
                    }
                }
            } }
            (marks(&rules))
        }
    }
}

fn watched(cells: &[&CellRecord]) -> String {
    let spans = || cells.iter().map(|cell| cell.watched_ns);
    let [from, to] = [spans().min(), spans().max()].map(|span| format::span(span.unwrap_or(0)));
    if from == to {
        from
    } else {
        format!("{from} to {to}")
    }
}

fn cell_row(cell: &CellRecord, sized: bool, rule: Option<usize>) -> Markup {
    let rate = cell
        .false_suspicions_per_million
        .filter(|_| cell.false_suspicions > 0);
    let rate = rate.map_or_else(String::new, |rate| format!(" ({}/M)", figures(rate)));
    let times = &cell.histogram;
    html! {
        tr {
            th scope="row" { (cell.mechanism) }
            @if sized { td { (cell.parameter) } }
            td { (format::count(cell.injected)) }
            td { (format::count(cell.detected)) }
            td { (format::count(cell.missed)) }
            td { (format::count(cell.false_suspicions)) (rate) }
            @for figure in [times.p50, times.p99, times.max] { td { (time(cell, figure)) } }
            td { (model(cell)) @if let Some(mark) = rule { sup { (mark) } } }
            @if cell.within_bound { td.fact { "yes" } }
            @else { td.fact.no { "no: " (outside_because(cell)) } }
            td.fact { (causes(cell)) }
            td.fact { (left_behind(cell.left_behind)) }
        }
    }
}

fn time(cell: &CellRecord, value: u64) -> String {
    match outcome(cell) {
        Outcome::Noticed(_) => format::span(value),
        Outcome::Never if !cell.stress => NEVER.to_owned(),
        _ => ABSENT.to_owned(),
    }
}

/// `6.00 s – 9.00 s`, or that nothing can be noticed.
fn model(cell: &CellRecord) -> String {
    match (cell.model_earliest_ns, cell.model_bound_ns) {
        (Some(from), Some(to)) => {
            format!("{}\u{a0}–\u{a0}{}", format::span(from), format::span(to))
        }
        (None, Some(to)) => format!("up to {}", format::span(to)),
        (_, None) => "never".to_owned(),
    }
}

fn causes(cell: &CellRecord) -> String {
    let each = cell.causes.iter().filter(|(_, count)| **count > 0);
    let each = each.map(|(cause, count)| format!("{cause} {}", format::count(*count)));
    let said = each.collect::<Vec<_>>().join(", ");
    if said.is_empty() {
        ABSENT.to_owned()
    } else {
        said
    }
}

fn left_behind(left: LeftBehind) -> String {
    if left == LeftBehind::default() {
        return "nothing".to_owned();
    }
    let parts = [
        ("sockets", left.sockets),
        ("table places", left.table),
        ("timers", left.timers),
    ];
    let some = parts.iter().filter(|(_, count)| *count > 0);
    let some = some.map(|(what, count)| format!("{} {what}", format::count(*count)));
    some.collect::<Vec<_>>().join(", ")
}

fn left_out(lab: &DetectionRecord) -> Markup {
    html! {
        @if !lab.left_out.is_empty() {
            section {
                h2 { "Left out on this host" }
                ul { @for (fault, reason) in &lab.left_out { li { strong { (words(fault)) } ": " (reason) } } }
            }
        }
    }
}

fn laboratory(lab: &DetectionRecord) -> Markup {
    html! {
        section {
            h2 { "The laboratory and its settings" }
            div.scroll { table { tbody {
                @if !lab.laboratory.is_empty() { (fact("made by", &words(&lab.laboratory))) }
                (fact("connections of each mechanism in each trial", &format::count(lab.connections_per_trial)))
                (fact("allowance on every bound", &format::span(lab.allowance_ns)))
                (fact("longest the lab's watch was kept from running", &format::span(lab.longest_stall_ns)))
                @for setting in &lab.settings { (fact(&setting.mechanism, &setting.settings)) }
            } } }
        }
    }
}
