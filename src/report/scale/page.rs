//! What the page shows of a climb.
//!
//! Does not draw charts or tables itself; the [page](mod@crate::report::html) and the [table](mod@super::table) do.

use super::{memory_foreseen, rung_name, table};
use crate::record::{Record, ScaleRecord};
use crate::report::format;
use crate::report::html::{cost_table, drawing, environment, killed, method, rounds, warnings};
use crate::report::plot::Plot;
use crate::report::rows::CostTable;
use maud::{Markup, html};

/// The main part of the page.
pub(in crate::report) fn body(record: &Record, scale: &ScaleRecord, plots: &[Plot]) -> Markup {
    let arms = || scale.rungs.iter().flat_map(|rung| &rung.arms);
    html! {
        (warnings(record))
        @if !scale.rungs.is_empty() {
            section {
                h2 { "From rung to rung" }
                (cost_table(&table(scale)))
                p { (memory_foreseen(&scale.memory)) }
            }
        }
        section {
            h2 { "Curves" }
            @for plot in plots { (drawing(plot)) }
        }
        (floor(scale))
        @if let Some(hold) = &scale.hold {
            section {
                h2 { "Held for " (format::millis(hold.steady_ms)) }
                (cost_table(&CostTable::new(std::slice::from_ref(&hold.arm), &[])))
            }
        }
        (killed(arms()))
        section {
            h2 { "Rung by rung" }
            @for rung in &scale.rungs {
                details {
                    summary { (rung_name(scale.axis, rung)) ", tick "
                        (format::micros(rung.tick_us)) ": " (rung.reason) }
                    p { "Server " (rung.server_rings) "; load " (rung.load_rings) "; "
                        (format::count(rung.destinations)) " destination addresses." }
                    (cost_table(&CostTable::new(&rung.arms, &rung.comparisons)))
                }
            }
        }
        (rounds(arms().chain(scale.hold.iter().map(|hold| &hold.arm))))
        (method(record))
        (environment(&record.environment))
    }
}

fn floor(scale: &ScaleRecord) -> Markup {
    html! {
        @if !scale.floor.is_empty() {
            section {
                h2 { "The floor" }
                p { "One thread, no event loop, no timer: write, read at the other end, write back, read, over that "
                    "many pairs of loopback sockets in scattered order. CPU time of the thread per exchange, the "
                    "kernel's work within; in brackets the middle 95 of 100 slices. What the larger number costs "
                    "more is the cache misses of sockets that lay idle." }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "pairs" } th scope="col" { "CPU per exchange" }
                        th scope="col" { "exchanges" }
                    } }
                    tbody {
                        @for point in &scale.floor {
                            tr {
                                th scope="row" { (format::count(point.pairs)) }
                                td { (format::estimate(&point.cpu_ns_per_exchange)) }
                                td { (format::count(point.exchanges)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}
