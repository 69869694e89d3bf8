//! A climb as sentences and as one table whose columns are the rungs; terminal, Markdown and page render these.
//!
//! Does not compute statistics. One ratio is formed here, an arm's cost over the floor's, both medians.

mod page;
mod table;

pub(super) use page::body;
pub(super) use table::table;

use super::answer::{self, event_word, harm, verdict};
use super::format;
use super::grid::{self, draw, footnotes, wrap};
use super::rows::CONTROL;
use super::text::warnings;
use crate::record::{
    ArmRecord, FloorRecord, Record, ScaleAxis, ScaleMemory, ScaleRecord, ScaleRung,
};
use crate::units::HumanBytes;
use std::fmt::Write as _;

/// What a rung is called: its population, or its tick.
pub(super) fn rung_name(axis: ScaleAxis, rung: &ScaleRung) -> String {
    match axis {
        ScaleAxis::Connections => format::count(rung.connections),
        ScaleAxis::Tick => format::micros(rung.tick_us),
    }
}

/// The arm whose latency and memory stand for the climb: the classic heartbeat, else the first with heartbeats, else
/// the last.
pub(super) fn leading_arm(arms: &[ArmRecord]) -> Option<&ArmRecord> {
    let named = |name: &str| arms.iter().find(|arm| arm.name == name);
    let any = || arms.iter().find(|arm| arm.name.starts_with("heartbeat"));
    named("heartbeat").or_else(any).or_else(|| arms.last())
}

/// The largest rung; of several ticks, the last.
pub(super) fn top(scale: &ScaleRecord) -> Option<&ScaleRung> {
    scale.rungs.iter().max_by_key(|rung| rung.connections)
}

/// The sentences a reader must not miss, most important first.
pub(super) fn headline(record: &Record, scale: &ScaleRecord) -> Vec<String> {
    let mut sentences: Vec<String> = scale.rungs.iter().filter_map(worst_harm).collect();
    // The harm of the largest rung stands for that of the smaller ones.
    sentences.drain(..sentences.len().saturating_sub(1));
    sentences.extend(held(record, scale));
    match scale.axis {
        ScaleAxis::Connections => sentences.extend(top(scale).and_then(cost_at)),
        ScaleAxis::Tick => sentences.extend(trade(scale)),
    }
    sentences.extend(floor(&scale.floor));
    if sentences.is_empty() {
        sentences.push("Nothing was measured.".to_owned());
    }
    sentences
}

fn worst_harm(rung: &ScaleRung) -> Option<String> {
    rung.arms.iter().find_map(harm)
}

/// How many connections were held, for how long, and what became of them.
fn held(record: &Record, scale: &ScaleRecord) -> Option<String> {
    let every = format::millis(record.config.heartbeat_interval_ms);
    if let Some(hold) = &scale.hold {
        let arm = &hold.arm;
        let lost: u64 = arm.connections_lost.values().sum();
        let fate = if lost == 0 && arm.connections_held_at_end == arm.connections_requested {
            "none lost".to_owned()
        } else {
            let held = format::count(arm.connections_held_at_end);
            format!("{held} still held at the end, {} lost", format::count(lost))
        };
        return Some(format!(
            "{} connections held for {} with a heartbeat each per {every} ({}): {fate}.",
            format::count(arm.connections_requested),
            format::millis(hold.steady_ms),
            arm.name
        ));
    }
    let rung = top(scale)?;
    let arm = leading_arm(&rung.arms)?;
    Some(format!(
        "{} connections were opened and {} held at the end of the window ({}; {}).",
        format::count(arm.connections_established),
        format::count(arm.connections_held_at_end),
        arm.name,
        rung.reason
    ))
}

/// The price of every arm at one rung.
fn cost_at(rung: &ScaleRung) -> Option<String> {
    let costs: Vec<String> = rung
        .arms
        .iter()
        .filter(|arm| arm.name != CONTROL)
        .filter_map(|arm| {
            let figure = arm.cpu_ns_per_event.filter(|figure| figure.resolved)?;
            let cost = format::nanos(figure.median);
            Some(format!("{} {cost} per {}", arm.name, event_word(&arm.name)))
        })
        .collect();
    (!costs.is_empty()).then(|| {
        format!(
            "CPU at {} connections, both ends, whole machine: {}.",
            format::count(rung.connections),
            costs.join("; ")
        )
    })
}

/// What the longest tick saves and costs against the shortest.
fn trade(scale: &ScaleRecord) -> Option<String> {
    let (first, last) = (scale.rungs.first()?, scale.rungs.last()?);
    let figures = |rung: &ScaleRung| {
        let arm = leading_arm(&rung.arms)?;
        let cost = arm.cpu_ns_per_event.filter(|figure| figure.resolved)?;
        let rtt = arm.histograms.get("rtt").map_or(0, |rtt| rtt.p50);
        Some(format!(
            "a tick of {} costs {} CPU per {} at an RTT p50 of {}",
            format::micros(rung.tick_us),
            format::nanos(cost.median),
            event_word(&arm.name),
            format::span(rtt)
        ))
    };
    Some(format!(
        "At {} connections {}; {}.",
        format::count(first.connections),
        figures(first)?,
        figures(last)?
    ))
}

/// The floor in a sentence.
fn floor(floor: &[FloorRecord]) -> Option<String> {
    let costs: Vec<String> = floor
        .iter()
        .map(|point| {
            format!(
                "{} over {} pairs",
                format::estimate(&point.cpu_ns_per_exchange),
                format::count(point.pairs)
            )
        })
        .collect();
    (!costs.is_empty()).then(|| {
        format!(
            "The floor, an exchange with nothing but its four system calls on one thread: {}.",
            costs.join("; ")
        )
    })
}

/// What was foreseen of memory, in a sentence.
pub(super) fn memory_foreseen(memory: &ScaleMemory) -> String {
    let start = format!(
        "Memory: {} usable at the start, {} of it kept back",
        HumanBytes(memory.usable_bytes_at_start),
        HumanBytes(memory.reserve_bytes)
    );
    match (memory.bytes_per_connection, memory.connections_that_fit) {
        (Some(each), Some(fit)) => format!(
            "{start}; a connection takes {}, both ends, so about {} fit.",
            format::bytes(each),
            format::about(fit)
        ),
        _ => format!("{start}; too few connections were opened to tell how many fit."),
    }
}

/// The end of a climb for a person at a terminal.
pub(super) fn text(
    record: &Record,
    scale: &ScaleRecord,
    width: Option<u16>,
    paragraph: usize,
) -> String {
    let mut text = String::new();
    for sentence in answer::headline(record) {
        text.push_str(&wrap(&sentence, paragraph, ""));
    }
    if !scale.rungs.is_empty() {
        let whole = table(scale);
        text.push('\n');
        text.push_str(&draw(&whole, width));
        text.push_str(&footnotes(&whole, paragraph));
        let rings: String = scale
            .rungs
            .iter()
            .map(|rung| rings(scale.axis, rung))
            .collect();
        write!(text, "\n{rings}").unwrap_or_default();
        text.push_str(&wrap(&memory_foreseen(&scale.memory), paragraph, ""));
    }
    text.push_str(&warnings(&record.warnings, paragraph));
    write!(text, "\n{}", wrap(&verdict(record), paragraph, "")).unwrap_or_default();
    format::plain(&text)
}

fn rings(axis: ScaleAxis, rung: &ScaleRung) -> String {
    format!(
        "{}: server {}; load {}; {} destination address{}\n",
        rung_name(axis, rung),
        rung.server_rings,
        rung.load_rings,
        format::count(rung.destinations),
        if rung.destinations == 1 { "" } else { "es" }
    )
}

/// The answer and the whole table in Markdown.
pub(super) fn markdown(record: &Record, scale: &ScaleRecord) -> String {
    let mut text = format!("{}\n\n", answer::headline(record).join(" "));
    if scale.rungs.is_empty() {
        return format::plain(&text);
    }
    text.push_str(&grid::markdown(&table(scale)));
    format::plain(&text)
}

#[cfg(test)]
mod tests;
