//! What the page shows of a run on several hosts.
//!
//! Does not draw charts; the [page](mod@crate::report::html) does. Differences between the hosts' machines are told against
//! the server's, or the first load generator's where there is none.

use super::{count, hosts, table};
use crate::record::{FleetRecord, LoadHost, Record};
use crate::report::against::machines;
use crate::report::format::{ABSENT, superscript};
use crate::report::html::{cost_table, drawing, environment, fact, method_and_settings, warnings};
use crate::report::plot::Plot;
use crate::report::rows::{CostTable, Row};
use maud::{Markup, html};

const METHOD: &str = "Every host counts for itself and its record is its own; joining them adds counts and adds histograms, \
    so that a percentile over all hosts is that of all values, never a mean of percentiles. CPU is each whole host's busy time \
    in its own window, gross: what the host does when idle is in it. A window's opening is told on the clock of the \
    rendezvous, as the host's own reading plus the offset that round trips measured, right to the error beside it; the time \
    that all windows were open at once has all errors taken off. RTT runs from sending to the ack; response time from when \
    the heartbeat was due.";

/// Keys of the general settings that bear on a run by hand.
const SETTINGS: [&str; 13] = [
    "connections",
    "arms",
    "detect within",
    "misses allowed",
    "heartbeat interval",
    "idle timeout",
    "answer timeout",
    "keepalive",
    "steady window",
    "tick",
    "phases",
    "timers",
    "congestion control",
];

/// The main part of the page.
pub(in crate::report) fn body(record: &Record, plots: &[Plot]) -> Markup {
    let fleet = record.fleet.as_ref().filter(|fleet| count(fleet) > 0);
    html! {
        (warnings(record))
        @if let Some(fleet) = fleet {
            section {
                h2 { @if fleet.loads.len() > 1 { "All load generators together, and the server" } @else { "What was counted" } }
                (cost_table(&table::sums(fleet)))
            }
            section {
                h2 { "Host by host" }
                (rows(fleet))
            }
        }
        @if !plots.is_empty() {
            section {
                h2 { "Percentile by percentile" }
                @for plot in plots { (drawing(plot)) }
            }
        }
        @if let Some(fleet) = fleet { (differences(fleet)) (how(fleet)) }
        (method_and_settings(record, METHOD, &SETTINGS))
        (environment(&record.environment))
    }
}

fn rows(fleet: &FleetRecord) -> Markup {
    let all: Vec<&LoadHost> = fleet.loads.iter().collect();
    let whole: CostTable = table::hosts(fleet, &all);
    html! {
        div.scroll.hosts {
            table {
                thead { tr {
                    th scope="col" { "host" }
                    @for column in &whole.arms { th scope="col" { (column.replace('-', "")) } }
                } }
                @for group in &whole.groups {
                    tbody {
                        tr.group { th colspan=(whole.arms.len() + 1) scope="rowgroup" { (group.title) } }
                        @for row in &group.rows { (one(row)) }
                    }
                }
            }
        }
        @if !whole.notes.is_empty() {
            ul.notes {
                @for (place, note) in whole.notes.iter().enumerate() {
                    li { (superscript(place + 1)) " " (ABSENT) " because " (note) }
                }
            }
        }
        p.quiet { "Heartbeats are those of the host's window, in the direction they go. A window's opening is told as so much "
            "after the first, by the clock of the rendezvous; behind ± stands what that host's clock may be off by." }
    }
}

fn one(row: &Row) -> Markup {
    html! {
        tr {
            th scope="row" { (row.label) }
            @for cell in &row.cells {
                td { (cell.text) @if let Some(note) = cell.note { sup { (note) } } }
            }
        }
    }
}

/// What of the hosts' machines differs from the first one's, the server's where there is one.
fn differences(fleet: &FleetRecord) -> Markup {
    let mut all: Vec<_> = hosts(fleet).collect();
    all.sort_by_key(|(place, _)| place != "server");
    let Some(((_, first), others)) = all.split_first() else {
        return Markup::default();
    };
    let changed: Vec<_> = others
        .iter()
        .flat_map(|(place, host)| {
            let who = format!("{place} {}", host.name);
            let changes = machines(&first.environment, &host.environment);
            // How much happens to be free differs everywhere and always.
            let changes = changes
                .into_iter()
                .filter(|change| change.0 != "memory free bytes");
            changes.map(move |change| (who.clone(), change))
        })
        .collect();
    html! {
        @if !others.is_empty() {
            section {
                h2 { "What differs between the machines" }
                @if changed.is_empty() {
                    p { "Nothing, by what the records hold." }
                } @else {
                    div.scroll.prose { table {
                        thead { tr {
                            th scope="col" { "host" } th scope="col" { "what" } th scope="col" { (first.name) }
                            th scope="col" { "there" }
                        } }
                        tbody {
                            @for (who, (key, one, other)) in &changed {
                                tr { th scope="row" { (who) } td { (key) } td { (one) } td { (other) } }
                            }
                        }
                    } }
                }
            }
        }
    }
}

fn how(fleet: &FleetRecord) -> Markup {
    html! {
        details {
            summary { "How it was laid out" }
            div.scroll { table { tbody {
                (fact("run", &fleet.run))
                (fact("load generators", &fleet.shards.to_string()))
                @for (place, host) in hosts(fleet) {
                    (fact(&format!("{place} {}", host.name), &format!(
                        "{}, {}, rings {}, began {}", host.engine, host.driver, host.ring_plan, host.started_at
                    )))
                }
                @for load in &fleet.loads {
                    (fact(&format!("{} sources", load.shard), &load.source_addresses.join(", ")))
                }
            } } }
        }
    }
}
