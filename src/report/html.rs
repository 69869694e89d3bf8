//! `report.html`: the whole record on one page that needs nothing but itself.
//!
//! Does not fetch anything: no script, no font, no image from elsewhere, and a policy in the page
//! that forbids it. Its own script draws the charts anew, so that they answer; without it the page is whole all the same.
//! Everything from the record is escaped. Light and dark follow the reader's system; it prints on paper.

mod figure;
mod meters;
mod script;

use super::answer;
use super::format::{self, ABSENT, superscript};
pub(super) use figure::{drawing, figure, narrow_drawing};
#[cfg(test)]
pub(super) use script::fetches_nothing;

use super::plot::{Plot, PlotError, plots};
use super::rows::{CostTable, Row};
use super::text::settings;
use super::{detection, fleet, lifecycle, scale, shards, storm};
use crate::record::{ArmRecord, Comparison, Environment, Kind, Record, Rung};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeMap;

const STYLE: &str = include_str!("style.css");

/// The page.
///
/// # Errors
/// [`PlotError`] when a stored histogram does not open.
pub fn html(record: &Record) -> Result<String, PlotError> {
    Ok(page(record, &plots(record)?))
}

/// The page around charts already drawn.
pub(super) fn page(record: &Record, plots: &[Plot]) -> String {
    let usual = match record.kind {
        Kind::Cost => "heartbeat and keepalive compared",
        Kind::Scale => "heartbeat and keepalive at scale",
        Kind::Detection => "who notices a dead peer, and when",
        Kind::Storm => "reconnect storms and churn",
        Kind::Lifecycle => "how connections begin and end",
        Kind::Fleet => "connections held by hand, on one host or many",
    };
    let title = record.label.as_deref().unwrap_or(usual);
    let head = html! {
        p.quiet { (record.started_at) ", took " (format::millis(record.duration_ms)) }
        @for sentence in answer::headline(record) { p.answer { (sentence) } }
        p.verdict.bad[!record.valid] { (answer::verdict(record)) }
    };
    let main = match (record.kind, &record.scale) {
        (_, Some(scale)) => scale::body(record, scale, plots),
        (Kind::Detection, _) => detection::body(record, plots),
        (Kind::Storm, _) => storm::body(record, plots),
        (Kind::Lifecycle, _) => lifecycle::body(record, plots),
        (Kind::Fleet, _) => fleet::body(record, plots),
        _ => body(record, plots),
    };
    let main = html! {
        (main)
        p.quiet { "Rendered from record.json beside this page; ringbeat report renders it again." }
    };
    shell(title, &head, &main, plots)
}

/// A page with this title, what stands above its main part, and that.
pub(super) fn shell(title: &str, head: &Markup, main: &Markup, plots: &[Plot]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(script::policy());
                title { "ringbeat: " (title) }
                style { (PreEscaped(script::STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the figures" }
                header {
                    h1 { "ringbeat: " (title) }
                    (head)
                }
                main #main tabindex="-1" {
                    (script::help())
                    (main)
                }
                (script::element(plots))
            }
        }
    }
    .into_string()
}

fn body(record: &Record, plots: &[Plot]) -> Markup {
    let elsewhere = ["cpu-per-event", "memory"];
    let rest: Vec<_> = plots
        .iter()
        .filter(|p| !elsewhere.contains(&p.name.as_str()))
        .collect();
    html! {
        (warnings(record))
        section {
            h2 { "What each mechanism costs" }
            (figure(plots, "cpu-per-event"))
            (cost_table(&CostTable::new(&record.arms, &record.comparisons)))
            (winners(&record.comparisons))
            @for hosts in &shards::tables(&record.arms) { (grid(hosts)) }
        }
        @if let Some(rung) = &record.drop_free_rung { (drop_free(rung)) }
        (killed(record.arms.iter()))
        (meters::meters(record))
        (meters::wire(&record.arms))
        @if !rest.is_empty() {
            section {
                h2 { "Over time, and percentile by percentile" }
                @for plot in rest { (drawing(plot)) }
            }
        }
        section {
            h2 { "Where a connection's memory goes" }
            (figure(plots, "memory"))
            p { @if record.arms.iter().any(shards::elsewhere) {
                    "The load generators' ends and processes are on other hosts and in no figure here. "
                } @else {
                    "Kernel figures count both ends of a connection, since both live on this machine. "
                }
                "The unexplained rest is what the machine's free memory shrank by beyond the "
                "other rows." }
        }
        (meters::caches(&record.arms))
        (rounds(record.arms.iter()))
        (method(record))
        (environment(&record.environment))
    }
}

pub(super) fn warnings(record: &Record) -> Markup {
    html! {
        @if !record.warnings.is_empty() {
            section.warnings {
                h2 { "Before you quote a number" }
                ul {
                    @for warning in &record.warnings {
                        li.bad[warning.invalidates] {
                            code { (warning.code) } " "
                            @if warning.invalidates { strong { "Makes the run invalid. " } }
                            (warning.message) ". " em { (warning.advice) "." }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn cost_table(table: &CostTable) -> Markup {
    html! { (grid(table)) (footnotes(table)) }
}

/// The table without its footnotes.
pub(super) fn grid(table: &CostTable) -> Markup {
    let winners = table.has_winners();
    let columns = table.arms.len() + 1 + usize::from(winners);
    html! {
        div.scroll {
            table {
                thead { tr {
                    th scope="col" { "figure" }
                    @for arm in &table.arms { th scope="col" { (arm) } }
                    @if winners { th.left scope="col" { "winner" } }
                } }
                @for group in &table.groups {
                    tbody {
                        tr.group {
                            th colspan=(columns) scope="rowgroup" { (group.title) }
                        }
                        @for row in &group.rows { (table_row(row, winners)) }
                    }
                }
            }
        }
    }
}

fn table_row(row: &Row, winners: bool) -> Markup {
    html! {
        tr {
            th scope="row" { (row.label) }
            @for cell in &row.cells {
                td {
                    (cell.text)
                    @if let Some(note) = cell.note { sup { (note) } }
                }
            }
            @if winners { td.winner { (row.winner) } }
        }
    }
}

fn footnotes(table: &CostTable) -> Markup {
    html! {
        @if !table.notes.is_empty() {
            ul.notes {
                @for (place, note) in table.notes.iter().enumerate() {
                    li { (superscript(place + 1)) " " (ABSENT) " because " (note) }
                }
            }
        }
    }
}

/// Footnotes that are sentences of their own; number 1 is the first.
pub(super) fn marks(notes: &[String]) -> Markup {
    html! {
        @if !notes.is_empty() {
            ul.notes {
                @for (place, note) in notes.iter().enumerate() {
                    li { (superscript(place + 1)) " " (note) }
                }
            }
        }
    }
}

fn winners(comparisons: &[Comparison]) -> Markup {
    let said = || {
        comparisons
            .iter()
            .filter(|comparison| !comparison.sentence.is_empty())
    };
    html! {
        @if said().next().is_some() {
            ul { @for comparison in said() { li { (comparison.sentence) } } }
        }
    }
}

fn drop_free(rung: &Rung) -> Markup {
    html! {
        section {
            h2 { "The same where nothing is dropped: " (format::count(rung.connections))
                " connections" }
            p { "Why here: " (rung.reason) "." }
            (cost_table(&CostTable::cost_only(&rung.arms, &rung.comparisons)))
            (winners(&rung.comparisons))
        }
    }
}

pub(super) fn killed<'a>(arms: impl Iterator<Item = &'a ArmRecord>) -> Markup {
    let harmed: Vec<_> = arms
        .filter_map(|arm| Some((arm, answer::harm(arm)?)))
        .collect();
    html! {
        @if !harmed.is_empty() {
            section {
                h2 { "Why healthy connections were closed, or probes lost" }
                @for (arm, sentence) in &harmed {
                    p { (sentence) }
                    (meters::probes(arm))
                    @if let Some(burst) = &arm.burst {
                        div.scroll { table {
                            tbody {
                                (fact("busiest 10 ms, probes",
                                    &format::count(burst.probes_per_10ms_max)))
                                (fact("99th percentile of 10 ms slices, probes",
                                    &format::count(burst.probes_per_10ms_p99)))
                                (fact("predicted per burst and CPU, packets",
                                    &format::count(burst.predicted_packets_per_burst)))
                                (fact("net.core.netdev_max_backlog, packets",
                                    &format::count(burst.backlog_limit)))
                            }
                        } }
                    }
                }
                p { "Connections opened together fall due together: far ahead, the kernel's timer "
                    "wheel rounds deadlines to coarse slots and fires a whole slot in one tick. "
                    "What the per-CPU backlog cannot take is dropped on this machine, and a sender "
                    "on loopback counts the lost probe against the peer. Larger backlogs or idle "
                    "times spread per connection prevent it. Over a real link the queue, and so "
                    "the result, differs." }
            }
        }
    }
}

pub(super) fn fact(key: &str, value: &str) -> Markup {
    html! { tr { th scope="row" { (key) } td.fact { (value) } } }
}

pub(super) fn rounds<'a>(arms: impl Iterator<Item = &'a ArmRecord>) -> Markup {
    html! {
        section {
            h2 { "Round by round" }
            div.scroll { table {
                thead { tr {
                    @for title in ["arm", "round", "place in order", "window", "ramp", "established",
                        "held", "events", "CPU busy, gross", "packets", "backlog drops", "lost"] {
                        th scope="col" { (title) }
                    }
                } }
                tbody {
                    @for arm in arms {
                        @for round in &arm.rounds_detail {
                            tr {
                                th scope="row" { (arm.name) }
                                td { (round.round + 1) }
                                td { (round.position + 1) }
                                td { (format::millis(round.window_ns / 1_000_000)) }
                                td { (format::millis(round.ramp_ms)) }
                                td { (format::count(round.connections_established)) }
                                td { (format::count(round.connections_held_at_end)) }
                                td { (format::count(round.events)) }
                                td { (format::span(round.cpu_ns.busy)) }
                                td { (format::count(round.packets)) }
                                td { (format::count(round.drops.softnet_backlog)) }
                                td { (format::count(round.connections_lost.values().sum())) }
                            }
                        }
                    }
                }
            } }
        }
    }
}

const METHOD: &str = "CPU per event is the whole machine's busy time in the steady window, less the same for the \
    control arm with the same connections, divided by events. Arms take turns in rounds, on fresh sockets each. Square \
    brackets hold the 95 % interval over rounds; “not resolved” means it does not rise above the noise. RTT runs from \
    sending to the ack; response time from when the heartbeat was due, so a stalled sender cannot hide delay. Lateness \
    is how long after its tick a timer entry was looked at; rounding up to the tick, less than one tick, comes on top. A \
    connection's first exchange is acknowledged at once and costs one packet more than the model; a window that begins \
    less than one interval after the last connection sees some of these.";

pub(super) fn method(record: &Record) -> Markup {
    method_and_settings(record, METHOD, &[])
}

/// How it was measured, the command, and those settings whose keys are `chosen`; all of them when none is.
pub(super) fn method_and_settings(record: &Record, prose: &str, chosen: &[&str]) -> Markup {
    let mut shown = settings(&record.config);
    shown.retain(|(key, _)| chosen.is_empty() || chosen.contains(key));
    html! {
        details {
            summary { "Method and settings" }
            p { (prose) }
            p { "Command: " code { (record.command) } }
            div.scroll { table { tbody {
                @for (key, value) in &shown { (fact(key, value)) }
            } } }
        }
    }
}

pub(super) fn environment(environment: &Environment) -> Markup {
    let e = environment;
    let commit = e.ringbeat_commit.as_deref().unwrap_or("unknown commit");
    let changed = if e.ringbeat_dirty == Some(true) {
        ", with changes"
    } else {
        ""
    };
    let hz = e
        .kernel_hz
        .map_or_else(|| "HZ not readable".to_owned(), |hz| format!("HZ {hz}"));
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let memory = format!(
        "{}, {} free at the start",
        format::bytes(e.memory_bytes),
        format::bytes(e.memory_free_bytes)
    );
    let rows = [
        (
            "ringbeat",
            format!("{} ({commit}{changed})", e.ringbeat_version),
        ),
        ("kernel", format!("{} {}, {hz}", e.kernel, e.architecture)),
        ("CPU", format!("{} × {}", e.cpu_count, e.cpu_model)),
        ("memory", memory),
        ("virtualised", yes(e.virtualised).to_owned()),
        ("clock source", e.clocksource.clone()),
        (
            "open files, soft / hard limit",
            format!("{} / {}", e.nofile_soft, e.nofile_hard),
        ),
        ("run as root", yes(e.root).to_owned()),
    ];
    html! {
        details {
            summary { "The machine" }
            div.scroll { table { tbody {
                @for (key, value) in &rows { (fact(key, value)) }
            } } }
            (pairs("Sysctls", &e.sysctls))
            (pairs("CPU mitigations", &e.mitigations))
            (pairs("Ring features", &e.ring_features))
        }
    }
}

fn pairs(title: &str, pairs: &BTreeMap<String, String>) -> Markup {
    html! {
        @if !pairs.is_empty() {
            h3 { (title) }
            div.scroll { table { tbody {
                @for (key, value) in pairs { (fact(key, value)) }
            } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_page_fetches_nothing_and_holds_everything() {
        let record = fixture::record();
        let page = html(&record).unwrap();
        fetches_nothing(&page);
        for arm in &record.arms {
            assert!(page.contains(&arm.name), "{}", arm.name);
        }
        assert_eq!(page.matches("<svg ").count(), 7);
        assert_eq!(page.matches("<svg role=\"img\" aria-label=").count(), 7);
        assert_eq!(page.matches(">data (CSV)</a>").count(), 7);
        assert!(page.contains("nothing comes back, so there is no round trip"));
        assert!(page.contains("keepalive closed healthy connections: 84,012"));
    }

    #[test]
    fn warnings_stand_before_the_table_and_text_is_escaped() {
        let page = html(&fixture::record()).unwrap();
        assert!(page.find("backlog-drops").unwrap() < page.find("<table").unwrap());
        assert!(page.contains("fixture &lt;not measured&gt;"));
        assert!(!page.contains("<not measured>"));
    }

    #[test]
    fn tags_are_balanced() {
        let page = html(&fixture::record()).unwrap();
        for tag in [
            "table", "tr", "td", "th", "section", "figure", "svg", "text", "details", "ul",
        ] {
            let opened = page.matches(&format!("<{tag} ")).count()
                + page.matches(&format!("<{tag}>")).count();
            let closed = page.matches(&format!("</{tag}>")).count();
            assert_eq!(opened, closed, "{tag}");
        }
    }
}
