//! What the page shows of a life cycle: how to read it, every scenario, then the costs.
//!
//! Does not draw charts or tables itself; the [page](mod@crate::report::html) and the [tables](mod@super::costs) do.

use super::{costs, outcome, sequence, stems, told, whence, words};
use crate::record::{LifecycleRecord, PortRecord, Record, ScenarioRecord};
use crate::report::format::{self, ABSENT};
use crate::report::html::{
    cost_table, drawing, environment, fact, figure, method_and_settings, narrow_drawing, warnings,
};
use crate::report::plot::Plot;
use maud::{Markup, html};

const METHOD: &str = "Each scenario is a real connection between two network namespaces of this machine, with a wire \
    between them that can delay, lose and hold back single segments. Every segment is captured on the wire itself, and its \
    two times are those at which the wire took it from one end and handed it to the other. The sockets' states are read from \
    the kernel every millisecond, so that a state is shown from when it was first seen, and one that lasted less may be \
    missing. A scenario in which the wire or the looks were late by half of the wire's delay is played again, whatever was \
    seen, at most three times. All times are one clock's. Sequence numbers are counted from each end's first. CPU of set-ups \
    and tear-downs is the whole machine's for both ends, net of an idle stretch with as many connections held; that of the \
    coming and going all the while is all that the machine spent, with nothing taken off. A connect's time runs from its \
    SYN's submission to its completion.";

/// Keys of the general settings that bear on a life cycle.
const SETTINGS: [&str; 7] = [
    "connections",
    "rounds",
    "ramp",
    "tick",
    "server cores",
    "load cores",
    "seed",
];

/// The main part of the page.
pub(in crate::report) fn body(record: &Record, plots: &[Plot]) -> Markup {
    let lifecycle = told(record);
    html! {
        (warnings(record))
        @if let Some(lifecycle) = lifecycle {
            @if !lifecycle.scenarios.is_empty() {
                (reading())
                (contents(lifecycle))
                @for (scenario, stem) in lifecycle.scenarios.iter().zip(stems(lifecycle)) {
                    (shown(scenario, &stem, plots))
                }
            }
            (costs_told(lifecycle, plots))
            (laboratory(lifecycle))
        }
        (method_and_settings(record, METHOD, &SETTINGS))
        (environment(&record.environment))
    }
}

/// What somebody who has never seen TCP's states needs first.
fn reading() -> Markup {
    html! {
        section {
            h2 { "How to read what follows" }
            p { (words::DIAGRAM) }
            div.scroll { table.prose { tbody {
                @for (word, meaning) in words::SEGMENT {
                    tr { th.brief scope="row" { (word) } td { (meaning) } }
                }
            } } }
            @for (title, text) in words::WHY { h3 { (title) } p { (text) } }
            h3 { "The eleven states" }
            p { "As RFC 9293, section 3.3.2, names them. No connection passes through all: above all it matters who closes \
                 first." }
            div.scroll { table.prose {
                thead { tr {
                    th.brief scope="col" { "state" }
                    th.left scope="col" { "what it waits for" }
                    th.left scope="col" { "where one meets it" }
                } }
                tbody {
                    @for (state, meaning, met) in words::STATES {
                        tr { th.brief scope="row" { (state) } td { (meaning) } td { (met) } }
                    }
                }
            } }
        }
    }
}

fn contents(lifecycle: &LifecycleRecord) -> Markup {
    html! {
        section {
            h2 { "What was made to happen" }
            div.scroll { table.prose {
                thead { tr {
                    th.brief scope="col" { "scenario" }
                    th.left scope="col" { "what happens" }
                    th.left.brief scope="col" { "verdict" }
                } }
                tbody {
                    @for (scenario, stem) in lifecycle.scenarios.iter().zip(stems(lifecycle)) {
                        tr {
                            th.brief scope="row" { a href=(format!("#{stem}")) { (scenario.name) } }
                            td { (scenario.title) }
                            (verdict_cell(scenario.held, &outcome(scenario)))
                        }
                    }
                }
            } }
        }
    }
}

fn verdict_cell(held: bool, said: &str) -> Markup {
    html! { td.brief.yes[held].no[!held] { (said) } }
}

fn shown(scenario: &ScenarioRecord, stem: &str, plots: &[Plot]) -> Markup {
    let picture = plots
        .iter()
        .find(|plot| plot.name == format!("lifecycle-{stem}"));
    html! {
        section.scenario id=(stem) {
            h2 { (scenario.title) }
            p.quiet { code { (scenario.name) } " " (scenario.source) }
            p { (scenario.explanation) }
            @if let Some(plot) = picture { (narrow_drawing(plot)) }
            p.verdict.bad[!scenario.held] { (outcome(scenario)) "." }
            @if !scenario.checks.is_empty() { (rules(scenario)) }
            p { "The segments as they went, for any program that reads captures: "
                a href=(format!("{stem}.pcap")) { (stem) ".pcap" } " beside this page." }
            @if !scenario.segments.is_empty() { (segments(scenario)) }
        }
    }
}

fn rules(scenario: &ScenarioRecord) -> Markup {
    html! {
        div.scroll { table.prose {
            thead { tr {
                th.left scope="col" { "rule" }
                th.left scope="col" { "where it stands" }
                th.left scope="col" { "what was seen" }
                th.left.brief scope="col" { "held" }
            } }
            tbody {
                @for check in &scenario.checks {
                    tr {
                        th scope="row" { (check.rule) }
                        td { (whence(check)) }
                        td { (check.seen) }
                        (verdict_cell(check.held, if check.held { "yes" } else { "NO" }))
                    }
                }
            }
        } }
    }
}

fn segments(scenario: &ScenarioRecord) -> Markup {
    let several = scenario
        .segments
        .iter()
        .any(|segment| segment.connection > 0);
    html! {
        details {
            summary { "Every segment (" (scenario.segments.len()) ")" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "sent, ms" }
                    th scope="col" { "arrived, ms" }
                    @if several { th.left scope="col" { "connection" } }
                    th.left scope="col" { "from" }
                    th.left scope="col" { "flags" }
                    th scope="col" { "seq" }
                    th scope="col" { "ack" }
                    th scope="col" { "bytes" }
                    th.left scope="col" { "note" }
                } }
                tbody {
                    @for segment in &scenario.segments {
                        tr {
                            td { (super::instant(segment.sent_ns)) }
                            td { (segment.arrived_ns.map_or_else(|| ABSENT.to_owned(), super::instant)) }
                            @if several { td.fact { (sequence::ordinal(segment.connection)) } }
                            td.fact { (segment.from) }
                            td.fact { (segment.flags) }
                            td { (segment.sequence) }
                            td { (segment.acknowledgement.map_or_else(|| ABSENT.to_owned(), |n| n.to_string())) }
                            td { (segment.bytes) }
                            td.fact { (noted(segment.again, segment.arrived_ns.is_none(), &segment.note)) }
                        }
                    }
                }
            } }
        }
    }
}

/// What is worth saying of a segment; that it was lost is said once.
fn noted(again: bool, lost: bool, note: &str) -> String {
    let mut said = Vec::new();
    if again {
        said.push("sent again");
    }
    if lost && note.is_empty() {
        said.push("lost");
    }
    if !note.is_empty() {
        said.push(note);
    }
    said.join("; ")
}

/// Each table under its heading, between what it is about and its charts.
fn costs_told(lifecycle: &LifecycleRecord, plots: &[Plot]) -> Markup {
    html! {
        @for (title, table) in costs::tables(lifecycle) {
            section {
                h2 { (title) }
                @match title {
                    costs::TURNOVERS => {
                        p { (words::TURNOVERS) }
                        (cost_table(&table))
                        (figure(plots, "connect-turnover"))
                    }
                    costs::TIME_WAIT => { p { (words::TIME_WAIT) } (cost_table(&table)) }
                    costs::PORTS => {
                        p { (words::PORTS) }
                        (figure(plots, "ports"))
                        (cost_table(&table))
                        (ways(&lifecycle.ports))
                    }
                    _ => {
                        p { (words::HANDSHAKES) }
                        (cost_table(&table))
                        (stopped(lifecycle))
                        (figure(plots, "connect-handshake"))
                        @for plot in plots.iter().filter(|plot| plot.name.starts_with(super::RAMP)) { (drawing(plot)) }
                    }
                }
            }
        }
    }
}

fn ways(ports: &[PortRecord]) -> Markup {
    html! {
        ul { @for (port, name) in ports.iter().zip(costs::port_names(ports)) {
            li {
                strong { (name) } ": " (port.explanation)
                @if !port.ceiling_because.is_empty() { " Ceiling: " (port.ceiling_because) "." }
            }
        } }
    }
}

/// Why a ramp was ended early, and why it was given fewer connections than were asked for.
fn stopped(lifecycle: &LifecycleRecord) -> Markup {
    let names = super::handshake_names(&lifecycle.handshakes);
    let ramps = || lifecycle.handshakes.iter().zip(&names);
    html! {
        @if ramps().any(|(ramp, _)| ramp.stopped.is_some() || ramp.limited_by.is_some()) {
            ul { @for (ramp, name) in ramps() {
                @if let Some(reason) = &ramp.stopped { li.bad { strong { (name) } " was ended early: " (reason) } }
                @if let Some(reason) = &ramp.limited_by { li { strong { (name) } ": fewer than asked for: " (reason) } }
            } }
        }
    }
}

fn laboratory(lifecycle: &LifecycleRecord) -> Markup {
    html! {
        section {
            h2 { "How it was done" }
            div.scroll { table { tbody {
                @if !lifecycle.laboratory.is_empty() {
                    (fact("network namespaces made by", &lifecycle.laboratory))
                }
                @if lifecycle.one_way_delay_ns > 0 {
                    (fact("the wire takes, one way", &format::span(lifecycle.one_way_delay_ns)))
                }
                @if lifecycle.states_looked_at_every_ns > 0 {
                    (fact("states looked at every", &format::span(lifecycle.states_looked_at_every_ns)))
                }
            } } }
        }
    }
}
