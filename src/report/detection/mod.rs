//! A fault lab as sentences, as a matrix and as tables; terminal, Markdown and page render these.
//!
//! Does not judge or compute statistics: bounds, verdicts and figures are the record's. Spans come in as nanoseconds.

mod answer;
mod cells;
#[cfg(test)]
pub(super) mod fixture;
mod matrix;
mod page;

pub(super) use answer::{counts, headline};
pub(super) use cells::{cells_csv, stems};
pub(super) use matrix::{Matrix, NEVER, Outcome, outcome, partly, suspicion};
pub(super) use page::body;

use super::answer::verdict;
use super::format;
use super::grid::{self, draw, draw_narrow, footnotes, markdown_line, wrap};
use super::text::warnings;
use crate::record::{ClaimRecord, DetectionRecord, Record};
use std::fmt::Write as _;

/// How narrow the terminal may make a mechanism's column.
const COLUMN: usize = 10;
/// How the matrix is read.
const KEY: &str = "p99 from the fault to the verdict; n/m: only n of m were noticed; ✕ never noticed; ! outside its \
                   bound; – not measured. Where the peer lives: connections suspected of those that met the stress, in \
                   brackets per million signs of life.";

fn claims(record: &Record) -> &[ClaimRecord] {
    record.detection.as_ref().map_or(&[], |lab| &lab.claims)
}

/// A verdict as people say it: `does not hold`.
pub(super) fn said(verdict: &str) -> String {
    verdict.replace('-', " ")
}

/// The end of a run for a person at a terminal.
pub(super) fn text(record: &Record, width: Option<u16>, paragraph: usize) -> String {
    let mut text = String::new();
    for sentence in headline(record) {
        text.push_str(&wrap(&sentence, paragraph, ""));
    }
    let matrices = Matrix::all(&record.cells);
    for matrix in &matrices {
        let table = matrix.table();
        write!(text, "\nSeen from the {}:\n", matrix.seat).unwrap_or_default();
        text.push_str(&draw_narrow(&table, width, COLUMN));
        text.push_str(&footnotes(&table, paragraph));
    }
    if !matrices.is_empty() {
        text.push_str(&wrap(KEY, paragraph, ""));
    }
    if let Some(lab) = &record.detection {
        text.push_str(&lab_text(lab, width, paragraph));
    }
    text.push_str(&warnings(&record.warnings, paragraph));
    write!(text, "\n{}", wrap(&verdict(record), paragraph, "")).unwrap_or_default();
    format::plain(&text)
}

fn lab_text(lab: &DetectionRecord, width: Option<u16>, paragraph: usize) -> String {
    let mut text = String::new();
    if !lab.thresholds.is_empty() {
        text.push_str("\nThreshold by threshold:\n");
        text.push_str(&draw(&matrix::thresholds(&lab.thresholds), width));
    }
    let room = width.map_or(paragraph, usize::from);
    let mut table = |title: &str, header: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            let drawn = grid::sentences(header, &rows, room);
            write!(text, "\n{title}:\n{drawn}").unwrap_or_default();
        }
    };
    let claims = lab.claims.iter();
    table(
        "What is said, and what was seen",
        &["claim", "verdict", "evidence"],
        claims
            .map(|c| vec![c.claim.clone(), said(&c.verdict), c.evidence.clone()])
            .collect(),
    );
    let oracles = lab.oracles.iter().map(|oracle| {
        let held = if oracle.held { "yes" } else { "NO" };
        vec![
            oracle.name.clone(),
            oracle.expected.clone(),
            oracle.seen.clone(),
            held.to_owned(),
        ]
    });
    table(
        "The kernel's rules",
        &["rule", "expected", "seen", "held"],
        oracles.collect(),
    );
    let settings = lab.settings.iter();
    table(
        "Settings",
        &["mechanism", "timing"],
        settings
            .map(|s| vec![s.mechanism.clone(), s.settings.clone()])
            .collect(),
    );
    let left_out = lab.left_out.iter();
    table(
        "Left out on this host",
        &["fault", "reason"],
        left_out
            .map(|(fault, why)| vec![matrix::words(fault), why.clone()])
            .collect(),
    );
    text
}

/// The answer, the matrices and the claims in Markdown.
pub(super) fn markdown(record: &Record) -> String {
    let mut text = format!("{}\n", headline(record).join(" "));
    let matrices = Matrix::all(&record.cells);
    for matrix in &matrices {
        let table = grid::markdown(&matrix.table());
        write!(text, "\nSeen from the {}:\n\n{table}", matrix.seat).unwrap_or_default();
    }
    if !matrices.is_empty() {
        writeln!(text, "\n{KEY}").unwrap_or_default();
    }
    let claims = claims(record);
    if !claims.is_empty() {
        text.push('\n');
        let titles = ["claim", "verdict", "evidence"].map(str::to_owned);
        text.push_str(&markdown_line(&titles));
        text.push_str(&markdown_line(&["---"; 3].map(str::to_owned)));
        for claim in claims {
            let row = [&claim.claim, &said(&claim.verdict), &claim.evidence].map(String::clone);
            text.push_str(&markdown_line(&row));
        }
    }
    format::plain(&text)
}

#[cfg(test)]
mod tests;
