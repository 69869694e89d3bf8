//! What the page shows of a storm.
//!
//! Does not draw charts or tables itself; the [page](mod@crate::report::html) and the [table](mod@super::table) do.

use super::table;
use crate::record::Record;
use crate::report::html::{drawing, environment, grid, marks, method_and_settings, warnings};
use crate::report::plot::Plot;
use maud::{Markup, html};

const METHOD: &str = "A connection's recovery runs from its loss to the moment it is established again, waiting and \
    failed connects within; a connect's time runs from its SYN's submission to its completion. With full jitter a client \
    waits a random time below a ceiling that doubles from failure to failure up to the cap; without jitter it waits the \
    ceiling itself. CPU is the whole machine's, from the drop until all were back.";

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

/// The main part of the page.
pub(in crate::report) fn body(record: &Record, plots: &[Plot]) -> Markup {
    let storm = record.storm.as_ref().filter(|storm| !storm.runs.is_empty());
    html! {
        (warnings(record))
        @if let Some(whole) = storm.map(table) {
            section {
                h2 { "Until all are back" }
                @for plot in plots.iter().filter(|plot| plot.name == "recovery") { (drawing(plot)) }
                (grid(&whole))
                (marks(&whole.notes))
            }
        }
        @if plots.iter().any(|plot| plot.name != "recovery") {
            section {
                h2 { "Percentile by percentile, and over time" }
                @for plot in plots.iter().filter(|plot| plot.name != "recovery") { (drawing(plot)) }
            }
        }
        (method_and_settings(record, METHOD, &SETTINGS))
        (environment(&record.environment))
    }
}
