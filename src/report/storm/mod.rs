//! A reconnect storm, or a churn, as sentences and as one table; terminal, Markdown and page render these.
//!
//! Does not compute statistics: every figure is the record's. Spans come in as nanoseconds.

#[cfg(test)]
pub(super) mod fixture;
mod page;
mod table;

pub(super) use page::body;

use super::answer::verdict;
use super::format;
use super::grid::{self, draw, footnotes, wrap};
use super::text::warnings;
use crate::record::{Record, StormRecord, StormRun};
use std::fmt::Write as _;
pub(super) use table::table;

/// What each run is called: its way of backing off, with the mechanism that ran where there were several; numbered where
/// one was run again.
pub(super) fn run_names(storm: &StormRecord) -> Vec<String> {
    let several = storm.runs.windows(2).any(|runs| runs[0].arm != runs[1].arm);
    let mut names: Vec<String> = Vec::new();
    for run in &storm.runs {
        let plain = if several {
            format!("{}@{}", run.backoff, run.arm)
        } else {
            run.backoff.clone()
        };
        let mut name = plain.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{plain}#{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

/// The sentences a reader must not miss, most important first.
pub(super) fn headline(record: &Record) -> Vec<String> {
    let Some(storm) = record.storm.as_ref().filter(|storm| !storm.runs.is_empty()) else {
        return vec!["No storm was measured.".to_owned()];
    };
    let named = || storm.runs.iter().zip(run_names(storm));
    let each = |say: &dyn Fn(&StormRun) -> String| {
        let told = named().map(|(run, name)| format!("{name} {}", say(run)));
        told.collect::<Vec<_>>().join("; ")
    };
    let mut said = vec![if storm.mode == "churn" {
        churned(storm)
    } else {
        format!(
            "{} at once; all were back after: {}.",
            dropped(storm, "dropped"),
            each(&back)
        )
    }];
    said.push(format!("What it took: {}.", each(&pressure)));
    said
}

fn dropped(storm: &StormRecord, verb: &str) -> String {
    let largest = storm.runs.iter().map(|run| run.dropped).max().unwrap_or(0);
    format!("{} connections were {verb}", format::count(largest))
}

/// `2.30 s`, or how many were back when the watch ended.
fn back(run: &StormRun) -> String {
    run.all_back_ns.map_or_else(
        || {
            format!(
                "only {} of {} while it was watched",
                format::count(run.recovered),
                format::count(run.dropped)
            )
        },
        format::span,
    )
}

fn pressure(run: &StormRun) -> String {
    let failed: u64 = run.failures.values().sum();
    format!(
        "{} connects, at most {} within 100\u{a0}ms, {} failed, {} SYNs dropped by the listeners",
        format::count(run.attempts),
        format::count(run.attempts_per_100ms_max),
        format::count(failed),
        format::count(run.syn_drops)
    )
}

fn churned(storm: &StormRecord) -> String {
    let told = storm.runs.iter().zip(run_names(storm)).map(|(run, name)| {
        let each = run
            .histograms
            .get("recovery")
            .filter(|times| times.count > 0);
        let each = each.map_or_else(String::new, |times| {
            format!(", each after {} (p99)", format::span(times.p99))
        });
        format!(
            "{name} {} of {} back{each}",
            format::count(run.recovered),
            format::count(run.dropped)
        )
    });
    format!(
        "Churn, connections closed at a steady rate: {}.",
        told.collect::<Vec<_>>().join("; ")
    )
}

/// The end of a run for a person at a terminal.
pub(super) fn text(record: &Record, width: Option<u16>, paragraph: usize) -> String {
    let mut text = String::new();
    for sentence in headline(record) {
        text.push_str(&wrap(&sentence, paragraph, ""));
    }
    if let Some(storm) = record.storm.as_ref().filter(|storm| !storm.runs.is_empty()) {
        let whole = table(storm);
        text.push('\n');
        text.push_str(&draw(&whole, width));
        text.push_str(&footnotes(&whole, paragraph));
    }
    text.push_str(&warnings(&record.warnings, paragraph));
    write!(text, "\n{}", wrap(&verdict(record), paragraph, "")).unwrap_or_default();
    format::plain(&text)
}

/// The answer and the whole table in Markdown.
pub(super) fn markdown(record: &Record) -> String {
    let mut text = format!("{}\n\n", headline(record).join(" "));
    if let Some(storm) = record.storm.as_ref().filter(|storm| !storm.runs.is_empty()) {
        text.push_str(&grid::markdown(&table(storm)));
    }
    format::plain(&text)
}

#[cfg(test)]
mod tests;
