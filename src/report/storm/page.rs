//! What the page shows of a storm.
//!
//! Does not draw charts or tables itself; the [page](mod@crate::report::html) and the [table](mod@super::table) do.

use super::table;
use crate::record::{Record, StormRecord};
use crate::report::format;
use crate::report::html::{drawing, environment, fact, grid, marks, method_and_settings, warnings};
use crate::report::plot::Plot;
use maud::{Markup, html};

const METHOD: &str = "A connection's recovery runs from its loss to the moment it is established again, waiting and \
    failed connects within; a connect's time runs from its SYN's submission to its completion. With full jitter a client \
    waits a random time below a ceiling that doubles from failure to failure up to the cap; without jitter it waits the \
    ceiling itself. CPU is the whole machine's, from the drop until all were back or the wait was given up; \
    of a churn, that of the window.";

/// Keys of the general settings that bear on a storm.
const SETTINGS: [&str; 8] = [
    "connections",
    "arms",
    "heartbeat interval",
    "ramp",
    "tick",
    "server cores",
    "load cores",
    "seed",
];

/// Charts that stand before the table.
const FIRST: [&str; 2] = ["recovery", "comeback"];

/// The main part of the page.
pub(in crate::report) fn body(record: &Record, plots: &[Plot]) -> Markup {
    let storm = record.storm.as_ref().filter(|storm| !storm.runs.is_empty());
    let rest: Vec<&Plot> = plots
        .iter()
        .filter(|plot| !FIRST.contains(&plot.name.as_str()))
        .collect();
    html! {
        (warnings(record))
        @if let Some(whole) = storm.map(table) {
            section {
                h2 { "Until all are back" }
                @for plot in plots.iter().filter(|plot| FIRST.contains(&plot.name.as_str())) { (drawing(plot)) }
                (grid(&whole))
                (marks(&whole.notes))
            }
        }
        @if !rest.is_empty() {
            section {
                h2 { "Percentile by percentile, and over time" }
                @for plot in &rest { (drawing(plot)) }
            }
        }
        @if let Some(storm) = storm { (settings(storm)) }
        (method_and_settings(record, METHOD, &SETTINGS))
        (environment(&record.environment))
    }
}

fn settings(storm: &StormRecord) -> Markup {
    html! {
        section {
            h2 { "How it was done" }
            div.scroll { table { tbody {
                (fact("mode", &storm.mode))
                @if !storm.ending.is_empty() { (fact("connections ended by", &storm.ending.to_uppercase())) }
                @if let Some(rate) = storm.churn_per_second { (fact("ended per second", &format::count(rate))) }
                @if storm.accept_queue > 0 {
                    (fact("accept queue of each listener", &format::count(storm.accept_queue)))
                }
                @if storm.reconnects_in_flight_per_core > 0 {
                    (fact("reconnects in flight per core", &format::count(storm.reconnects_in_flight_per_core)))
                }
                @if storm.give_up_ms > 0 { (fact("given up after", &format::millis(storm.give_up_ms))) }
            } } }
        }
    }
}
