//! How connections begin and end, as sentences, diagrams and tables; terminal, Markdown and page render these.
//!
//! Does not compute statistics and judges nothing: every figure and every verdict is the record's. Spans come in as
//! nanoseconds.

pub(super) mod costs;
mod diagram;
mod files;
#[cfg(test)]
pub(super) mod fixture;
mod page;
mod sequence;
mod words;

pub(super) use costs::port_names;
pub(super) use diagram::instant;
pub(super) use files::{RAMP, files, histograms};
pub(super) use page::body;
pub(super) use sequence::{End, Happening, Sequence, UNSEEN, labels, ordinal};

use super::answer::verdict;
use super::format;
use super::grid::{self, draw, footnotes, markdown_line, wrap};
use super::text::warnings;
use crate::record::{
    HandshakeRecord, LifecycleCheck, LifecycleRecord, PortRecord, Record, ScenarioRecord,
    TimeWaitRecord,
};
use costs::turnover_names;
use std::fmt::Write as _;

/// `names`, each that was there before with `mark` and a number behind it.
pub(super) fn numbered(names: impl Iterator<Item = String>, mark: char) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for plain in names {
        let mut name = plain.clone();
        let mut number = 2;
        while taken.contains(&name) {
            name = format!("{plain}{mark}{number}");
            number += 1;
        }
        taken.push(name);
    }
    taken
}

/// The scenarios' names as parts of file names and of links, where a `#` would end them.
pub(super) fn stems(lifecycle: &LifecycleRecord) -> Vec<String> {
    let scenarios = lifecycle.scenarios.iter();
    numbered(
        scenarios.map(|scenario| format::file_name(&scenario.name).replace('#', "_")),
        '-',
    )
}

/// What each ramp is called: the connections it asked for.
pub(super) fn handshake_names(handshakes: &[HandshakeRecord]) -> Vec<String> {
    numbered(
        handshakes
            .iter()
            .map(|ramp| ramp.connections_asked.to_string()),
        '#',
    )
}

/// The record's life cycle, if there is anything in it.
fn told(record: &Record) -> Option<&LifecycleRecord> {
    record.lifecycle.as_ref().filter(|l| {
        !l.scenarios.is_empty()
            || !l.turnovers.is_empty()
            || !l.ports.is_empty()
            || !l.handshakes.is_empty()
            || l.time_wait.is_some()
    })
}

/// The sentences a reader must not miss, most important first.
pub(super) fn headline(record: &Record) -> Vec<String> {
    let Some(lifecycle) = told(record) else {
        return vec!["No connection's begin or end was watched.".to_owned()];
    };
    let said = [
        held(&lifecycle.scenarios),
        turned_over(lifecycle),
        waited(lifecycle),
        ran_out(lifecycle),
        opened(lifecycle),
    ];
    said.into_iter().flatten().collect()
}

fn held(scenarios: &[ScenarioRecord]) -> Option<String> {
    if scenarios.is_empty() {
        return None;
    }
    let astray = scenarios.iter().filter(|scenario| !scenario.held);
    let astray: Vec<&str> = astray.map(|scenario| scenario.name.as_str()).collect();
    let rules: usize = scenarios.iter().map(|scenario| scenario.checks.len()).sum();
    let told = format!(
        "{} of {} ways a connection begins or ends, captured from the wire, went by TCP's rules ({} checked)",
        scenarios.len() - astray.len(),
        scenarios.len(),
        format::count(u64::try_from(rules).unwrap_or(u64::MAX))
    );
    Some(match astray.as_slice() {
        [] => format!("{told}."),
        names => format!("{told}; NOT so: {}.", names.join(", ")),
    })
}

fn turned_over(lifecycle: &LifecycleRecord) -> Option<String> {
    let turnovers = &lifecycle.turnovers;
    let first = turnovers.first()?;
    let ends = turnovers
        .iter()
        .zip(turnover_names(turnovers))
        .map(|(turnover, name)| {
            format!(
                "{name} {} and {:.1} packets",
                costs::told(&turnover.cpu_ns_per_close),
                turnover.packets_per_close
            )
        });
    Some(format!(
        "A set-up costs {} and {:.1} packets, about {} a second; a tear-down by way of ending: {}.",
        costs::told(&first.cpu_ns_per_connect),
        first.packets_per_connect,
        costs::told_rate(&first.connects_per_second),
        ends.collect::<Vec<_>>().join("; ")
    ))
}

fn waited(lifecycle: &LifecycleRecord) -> Option<String> {
    let waiting = lifecycle.time_wait.as_ref()?;
    let lasts = waiting
        .lifetime_ns
        .map(|ns| format!("lasts {}", format::span(ns)));
    let takes = waiting.bytes_per_socket.map(|size| {
        let whole = waiting.bytes_per_established_socket;
        let whole = whole.map_or_else(String::new, |whole| {
            format!(
                ", where an established socket takes {} (both ends' mean, with file, inode and dentry)",
                format::bytes(whole)
            )
        });
        format!("takes {}{whole}", taken(waiting, size))
    });
    let parts: Vec<String> = [lasts, takes].into_iter().flatten().collect();
    let held = "it falls to the end that closes first";
    (!parts.is_empty()).then(|| format!("TIME-WAIT {}; {held}.", parts.join(" and ")))
}

/// `255 B of kernel memory, and 162 B more at a client for its port`: the client's sockets were measured, and a server's share the
/// listener's bind buckets.
fn taken(waiting: &TimeWaitRecord, size: u64) -> String {
    let buckets = waiting.caches.iter();
    let buckets = buckets.filter(|(cache, _)| cache.contains("bind") && !cache.contains("tw_sock"));
    let port: u64 = buckets.map(|(_, size)| size).sum();
    match size.checked_sub(port) {
        Some(socket) if port > 0 && socket > 0 => format!(
            "{} of kernel memory, and {} more at a client for its port",
            format::bytes(socket),
            format::bytes(port)
        ),
        _ => format!("{} of kernel memory at a client", format::bytes(size)),
    }
}

fn ran_out(lifecycle: &LifecycleRecord) -> Option<String> {
    let ports = &lifecycle.ports;
    let ways = ports.iter().zip(port_names(ports)).enumerate();
    let ways = ways.map(|(place, (port, name))| {
        let what = if place == 0 { " connections" } else { "" };
        let (count, span) = (format::count(port.connects), format::span(port.watched_ns));
        format!("{name} {count}{what} in {span}, {}", lasted(port))
    });
    let ways: Vec<String> = ways.collect();
    (!ways.is_empty()).then(|| format!("How long the ports lasted: {}.", ways.join("; ")))
}

/// The ports were used up, and nothing else went wrong.
pub(super) fn out_of_ports(port: &PortRecord) -> bool {
    port.failures.keys().all(|cause| cause == "EADDRNOTAVAIL")
}

/// When a way was out of ports, and whether some were given back.
pub(super) fn lasted(port: &PortRecord) -> String {
    let Some(before) = port.connects_before_failure else {
        return "never out".to_owned();
    };
    let (told, after) = (format::count(before), port.connects.saturating_sub(before));
    match (out_of_ports(port), after) {
        (true, 0) => format!("out of ports after {told}"),
        (true, _) => format!("out of ports after {told} but given back"),
        (false, 0) => format!("first failure after {told}"),
        (false, _) => {
            let after = format::count(after);
            format!("first failure after {told}, {after} opened after it")
        }
    }
}

fn opened(lifecycle: &LifecycleRecord) -> Option<String> {
    let ramps = lifecycle.handshakes.iter().map(|ramp| {
        let believed = ramp.established_for_clients.saturating_sub(ramp.established);
        let believed = if believed > 0 {
            format!(
                " ({} more clients believe so, of whom the server keeps nothing)",
                format::count(believed)
            )
        } else {
            String::new()
        };
        format!(
            "{} of {} established{believed} in {} with accept queues of {}, {} overflows of them and {} SYNs or SYN-ACKs sent again",
            format::count(ramp.established),
            format::count(ramp.connections_asked),
            format::span(ramp.took_ns),
            format::count(ramp.accept_queue),
            format::count(ramp.pressure.listen_overflows),
            format::count(ramp.pressure.syn_retransmits)
        )
    });
    let ramps: Vec<String> = ramps.collect();
    (!ramps.is_empty()).then(|| format!("Opened at once: {}.", ramps.join("; ")))
}

/// The ramps that were given fewer connections than were asked for, each with the reason.
fn fewer(lifecycle: &LifecycleRecord) -> Vec<(String, &str)> {
    let names = handshake_names(&lifecycle.handshakes).into_iter();
    let ramps = names.zip(&lifecycle.handshakes);
    ramps
        .filter_map(|(name, ramp)| Some((name, ramp.limited_by.as_deref()?.trim_end_matches('.'))))
        .collect()
}

/// Whether what was seen in `SYN_RECV` is no figure: its queue was full, since cookies were sent, and there were fewer
/// looks than rows of the time line.
pub(super) fn seldom_looked(ramp: &HandshakeRecord) -> bool {
    let rows = u64::try_from(ramp.timeline.len()).unwrap_or(u64::MAX);
    ramp.pressure.syn_cookies > 0 && ramp.syn_received_looks < rows
}

/// `held` or `NOT held`, with how many of the rules.
pub(super) fn outcome(scenario: &ScenarioRecord) -> String {
    let kept = scenario.checks.iter().filter(|check| check.held).count();
    let word = if scenario.held { "held" } else { "NOT held" };
    format!("{word}: {kept} of {} rules", scenario.checks.len())
}

/// Where a rule stands, and whose it is.
fn whence(check: &LifecycleCheck) -> String {
    if check.of_the_system {
        format!("{}; the system's, not the standard's", check.source)
    } else {
        check.source.clone()
    }
}

/// The end of a run for a person at a terminal.
pub(super) fn text(record: &Record, width: Option<u16>, paragraph: usize) -> String {
    let mut text = String::new();
    for sentence in headline(record) {
        text.push_str(&wrap(&sentence, paragraph, ""));
    }
    if let Some(lifecycle) = told(record) {
        if !lifecycle.scenarios.is_empty() {
            write!(text, "\n{}", wrap(words::DIAGRAM_BRIEF, paragraph, "")).unwrap_or_default();
        }
        for scenario in &lifecycle.scenarios {
            text.push_str(&told_scenario(lifecycle, scenario, paragraph));
        }
        for (title, table) in costs::tables(lifecycle) {
            write!(text, "\n{title}\n{}", draw(&table, width)).unwrap_or_default();
            text.push_str(&footnotes(&table, paragraph));
        }
        for (name, reason) in fewer(lifecycle) {
            let said = format!("{name}: fewer than asked for: {reason}.");
            write!(text, "\n{}", wrap(&said, paragraph, "  ")).unwrap_or_default();
        }
    }
    text.push_str(&warnings(&record.warnings, paragraph));
    write!(text, "\n{}", wrap(&verdict(record), paragraph, "")).unwrap_or_default();
    format::plain(&text)
}

/// Title, explanation, diagram and verdict of one scenario.
fn told_scenario(lifecycle: &LifecycleRecord, scenario: &ScenarioRecord, width: usize) -> String {
    let title = format!("▸ {} ({})", scenario.title, scenario.name);
    let drawn = diagram::diagram(scenario, lifecycle.one_way_delay_ns, width);
    let mut text = format!("\n{}", wrap(&title, width, "  "));
    text.push_str(&wrap(&scenario.explanation, width, ""));
    write!(text, "\n{drawn}\n{}", wrap(&outcome(scenario), width, "")).unwrap_or_default();
    for check in &scenario.checks {
        let mark = if check.held { '✓' } else { '✗' };
        let said = format!("{mark} {} ({}) {}", check.rule, whence(check), check.seen);
        text.push_str(&wrap(&said, width, "  "));
    }
    text
}

/// The answer, the verdicts and the tables in Markdown.
pub(super) fn markdown(record: &Record) -> String {
    let mut text = format!("{}\n\n", headline(record).join(" "));
    if let Some(lifecycle) = told(record) {
        if !lifecycle.scenarios.is_empty() {
            let titles = ["scenario", "what happens", "verdict"].map(str::to_owned);
            text.push_str(&markdown_line(&titles));
            text.push_str(&markdown_line(&vec!["---".to_owned(); titles.len()]));
        }
        for scenario in &lifecycle.scenarios {
            let name = format!("`{}`", scenario.name);
            let verdict = format!("{} ({})", outcome(scenario), scenario.source);
            text.push_str(&markdown_line(&[name, scenario.title.clone(), verdict]));
        }
        for (title, table) in costs::tables(lifecycle) {
            write!(text, "\n{title}:\n\n{}", grid::markdown(&table)).unwrap_or_default();
        }
    }
    format::plain(&text)
}

#[cfg(test)]
mod tests;
