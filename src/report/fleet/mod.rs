//! A run on one host or on many: sentences, the sums beside the server, one row per host.
//!
//! Does not add anything up: every sum is the record's. What it forms is the server's CPU per event, gross, and busy shares,
//! each of one host's own figures.

#[cfg(test)]
pub(super) mod fixture;
mod page;
mod table;

pub(super) use page::body;

use super::answer::verdict;
use super::format;
use super::grid::{self, draw_narrow, footnotes, wrap};
use super::text::warnings;
use crate::record::{FleetHost, FleetRecord, HistogramRecord, LoadHost, Record, ServerHost};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rows of hosts on a terminal before the rest is left to the page.
const ROWS: usize = 24;
/// A column of the hosts' table on a terminal.
const NARROW: usize = 9;

/// The sentences a reader must not miss, most important first.
pub(super) fn headline(record: &Record) -> Vec<String> {
    let Some(fleet) = record.fleet.as_ref().filter(|fleet| count(fleet) > 0) else {
        return vec!["No host was measured.".to_owned()];
    };
    let mut said = vec![held(fleet)];
    said.extend(latency(fleet));
    said.extend(fleet.server.as_ref().and_then(|server| cost(fleet, server)));
    said.extend(at_once(fleet));
    said
}

/// Hosts in the record.
fn count(fleet: &FleetRecord) -> usize {
    fleet.loads.len() + usize::from(fleet.server.is_some())
}

fn held(fleet: &FleetRecord) -> String {
    if let ([], Some(server)) = (fleet.loads.as_slice(), &fleet.server) {
        return format!(
            "The server's own record: {} connections accepted, {} held to the end of the window ({}).",
            format::count(server.connections_accepted),
            format::count(server.connections_held_at_end),
            fleet.arm
        );
    }
    let sums = &fleet.together;
    let over = match (fleet.loads.len(), fleet.shards) {
        (1, 1) => "one load generator".to_owned(),
        (1, all) => format!("shard {} of {all}", fleet.loads[0].shard),
        (there, all) if u64::from(all) == there as u64 => format!("{there} load generators"),
        (there, all) => format!("{there} of {all} load generators"),
    };
    let [asked, established, held] = [
        sums.connections_asked,
        sums.connections_established,
        sums.connections_held_at_end,
    ];
    let lost: u64 = sums.connections_lost.values().sum();
    let fate = if asked == established && established == held && lost > 0 {
        format!(
            "all established, but {} lost on the way and {} opened anew",
            format::count(lost),
            format::count(sums.reconnects_established)
        )
    } else if asked == established && established == held {
        "all established and all held to the end of the window".to_owned()
    } else {
        format!(
            "{} established, {} held to the end of the window",
            format::count(established),
            format::count(held)
        )
    };
    format!(
        "{} connections over {over} ({}): {fate}.",
        format::count(asked),
        fleet.arm
    )
}

fn latency(fleet: &FleetRecord) -> Option<String> {
    let rtt = fleet.together.histograms.get("rtt");
    let rtt = rtt.filter(|rtt| rtt.count > 0)?;
    let over = if fleet.loads.len() > 1 {
        " over all of them"
    } else {
        ""
    };
    Some(format!(
        "Round trip{over}: p50 {}, p99 {}, max {}, of {} exchanges.",
        format::span(rtt.p50),
        format::span(rtt.p99),
        format::span(rtt.max),
        format::count(rtt.count)
    ))
}

/// What one event at the server is, and how many there were in its window.
fn events(fleet: &FleetRecord, server: &ServerHost) -> Option<(&'static str, u64)> {
    let (word, events) = match fleet.arm.as_str() {
        arm if arm.starts_with("keepalive") => ("attempted probe", server.probes_attempted?),
        "heartbeat-push" => ("heartbeat sent", server.heartbeats_sent),
        _ => ("heartbeat received", server.heartbeats_received),
    };
    (events > 0).then_some((word, events))
}

/// CPU of the server's host per event, gross: nothing is subtracted for what the host does anyway.
fn gross(fleet: &FleetRecord, server: &ServerHost) -> Option<(&'static str, u64)> {
    let busy = server.host.cpu_ns?.busy;
    events(fleet, server).map(|(word, events)| (word, busy / events))
}

fn cost(fleet: &FleetRecord, server: &ServerHost) -> Option<String> {
    let (word, each) = gross(fleet, server)?;
    Some(format!(
        "The server's host was busy for {} per {word}, gross: what it does when idle is in that.",
        format::span(each)
    ))
}

fn at_once(fleet: &FleetRecord) -> Option<String> {
    if count(fleet) < 2 {
        return None;
    }
    let Some(overlap) = fleet.together.overlap_ns else {
        return Some(
            "How long all windows were open at once cannot be told; the warnings say why."
                .to_owned(),
        );
    };
    let longest = hosts(fleet).filter_map(|(_, host)| host.window.as_ref());
    let longest = longest.map(|window| window.length_ns).max().unwrap_or(0);
    if overlap == 0 {
        return Some("It is not certain that all windows were open at once at all.".to_owned());
    }
    // What they did not share is an upper bound, which rounding does not turn into a better one as it would the rest.
    Some(format!(
        "All {} windows of {} were open at once but for {} at most, the clocks' errors counted in.",
        count(fleet),
        format::span(longest),
        format::span(longest.saturating_sub(overlap))
    ))
}

/// Every host by its place: the load generators, then the server.
fn hosts(fleet: &FleetRecord) -> impl Iterator<Item = (String, &FleetHost)> {
    let loads = fleet
        .loads
        .iter()
        .map(|load| (load.shard.to_string(), &load.host));
    let server = fleet.server.iter();
    loads.chain(server.map(|server| ("server".to_owned(), &server.host)))
}

/// The histograms of the hosts under the stems of their files; all load generators together under `all`.
pub(super) fn histograms(fleet: &FleetRecord) -> Vec<(String, &BTreeMap<String, HistogramRecord>)> {
    let mut all = Vec::new();
    if fleet.loads.len() > 1 {
        all.push(("all".to_owned(), &fleet.together.histograms));
    }
    let loads = fleet.loads.iter();
    all.extend(loads.map(|load| (format!("shard-{}", load.shard), &load.histograms)));
    let server = fleet.server.iter();
    all.extend(server.map(|server| ("server".to_owned(), &server.histograms)));
    all
}

/// At most `most` load generators, those with the longest tails, in their order.
pub(super) fn worst(loads: &[LoadHost], most: usize) -> Vec<&LoadHost> {
    let tail = |load: &LoadHost| load.histograms.get("rtt").map_or(0, |rtt| rtt.p99);
    let mut kept: Vec<&LoadHost> = loads.iter().collect();
    kept.sort_by_key(|load| std::cmp::Reverse(tail(load)));
    kept.truncate(most);
    kept.sort_by_key(|load| load.shard);
    kept
}

/// The end of a run for a person at a terminal.
pub(super) fn text(record: &Record, width: Option<u16>, paragraph: usize) -> String {
    let mut text = String::new();
    for sentence in headline(record) {
        text.push_str(&wrap(&sentence, paragraph, ""));
    }
    if let Some(fleet) = record.fleet.as_ref().filter(|fleet| count(fleet) > 0) {
        let sums = table::sums(fleet);
        text.push('\n');
        text.push_str(&grid::draw(&sums, width));
        text.push_str(&footnotes(&sums, paragraph));
        let rows = table::hosts(fleet, &worst(&fleet.loads, ROWS));
        text.push('\n');
        text.push_str(&draw_narrow(&rows, width, NARROW));
        text.push_str(&footnotes(&rows, paragraph));
        if fleet.loads.len() > ROWS {
            let left = format!(
                "Of {} load generators these are the {ROWS} with the longest tails; report.html has all.",
                fleet.loads.len()
            );
            text.push_str(&wrap(&left, paragraph, ""));
        }
    }
    text.push_str(&warnings(&record.warnings, paragraph));
    write!(text, "\n{}", wrap(&verdict(record), paragraph, "")).unwrap_or_default();
    format::plain(&text)
}

/// The answer, the sums and the hosts in Markdown.
pub(super) fn markdown(record: &Record) -> String {
    let mut text = format!("{}\n\n", headline(record).join(" "));
    if let Some(fleet) = record.fleet.as_ref().filter(|fleet| count(fleet) > 0) {
        text.push_str(&grid::markdown(&table::sums(fleet)));
        text.push('\n');
        let all: Vec<&LoadHost> = fleet.loads.iter().collect();
        text.push_str(&grid::markdown(&table::hosts(fleet, &all)));
    }
    format::plain(&text)
}

#[cfg(test)]
mod tests;
