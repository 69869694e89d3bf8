//! The cost table as data: rows of text with footnotes. Terminal, Markdown and HTML all render this
//! one.
//!
//! Does not lay anything out and computes no statistics. An absent figure becomes a dash with a
//! footnote that gives the record's own reason.

use super::format::{self, ABSENT};
use super::shards;
use crate::record::{ArmRecord, Comparison, Drops, Estimate, HistogramRecord, MemoryPerConnection};
use std::collections::BTreeSet;

/// The row of a connection's whole memory, with both ends on this machine and with one.
pub(super) const TOTAL_BOTH_ENDS: &str = "total, both ends";
pub(super) const TOTAL_THIS_END: &str = "total, this end";
/// The control's name in a record of one engine.
pub(super) const CONTROL: &str = "none";

/// A whole table.
#[derive(Debug, Default)]
pub(super) struct CostTable {
    /// One heading per arm.
    pub(super) arms: Vec<String>,
    /// The rows in reading order, gathered in groups.
    pub(super) groups: Vec<Group>,
    /// Footnotes; number 1 is the first.
    pub(super) notes: Vec<String>,
}

/// Rows that belong together.
#[derive(Debug)]
pub(super) struct Group {
    /// What they have in common.
    pub(super) title: String,
    /// The rows.
    pub(super) rows: Vec<Row>,
}

/// One metric across the arms.
#[derive(Debug)]
pub(super) struct Row {
    /// What is measured.
    pub(super) label: String,
    /// One cell per arm.
    pub(super) cells: Vec<Cell>,
    /// Who did best, or that nobody did; empty where nothing was compared.
    pub(super) winner: String,
}

/// One figure.
#[derive(Debug)]
pub(super) struct Cell {
    /// The figure, or a dash.
    pub(super) text: String,
    /// Footnote number, from 1.
    pub(super) note: Option<usize>,
}

impl CostTable {
    /// The table of `arms`, with the winners that `comparisons` name.
    pub(super) fn new(arms: &[ArmRecord], comparisons: &[Comparison]) -> Self {
        let heading = |arm: &ArmRecord| {
            let role = if arm.is_control() { " (control)" } else { "" };
            format!("{}{role}", arm.name)
        };
        let mut builder = Builder {
            arms,
            comparisons,
            notes: Vec::new(),
        };
        let groups = vec![
            Group {
                title: "Cost, net of the control".to_owned(),
                rows: cost(&mut builder),
            },
            Group {
                title: "Memory per connection".to_owned(),
                rows: memory(&mut builder),
            },
            Group {
                title: "Latency".to_owned(),
                rows: latency(&mut builder),
            },
            Group {
                title: "Connections".to_owned(),
                rows: connections(&mut builder),
            },
            Group {
                title: "Traffic and drops".to_owned(),
                rows: traffic(&mut builder),
            },
        ];
        Self {
            arms: arms.iter().map(heading).collect(),
            groups,
            notes: builder.notes,
        }
    }

    /// Only the first group, for a small table.
    pub(super) fn cost_only(arms: &[ArmRecord], comparisons: &[Comparison]) -> Self {
        let whole = Self::new(arms, comparisons);
        let mut small = Self {
            arms: whole.arms,
            groups: whole.groups.into_iter().take(1).collect(),
            notes: whole.notes,
        };
        small.drop_unused_notes();
        small
    }

    /// Whether any row says who did best.
    pub(super) fn has_winners(&self) -> bool {
        let mut rows = self.groups.iter().flat_map(|group| &group.rows);
        rows.any(|row| !row.winner.is_empty())
    }

    fn drop_unused_notes(&mut self) {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        let used = rows
            .flat_map(|row| &row.cells)
            .filter_map(|cell| cell.note)
            .max();
        self.notes.truncate(used.unwrap_or(0));
    }
}

impl Cell {
    /// The figure with its footnote mark.
    pub(super) fn marked(&self) -> String {
        let mark = self.note.map_or_else(String::new, format::superscript);
        format!("{}{mark}", self.text)
    }
}

struct Builder<'a> {
    arms: &'a [ArmRecord],
    comparisons: &'a [Comparison],
    notes: Vec<String>,
}

impl Builder<'_> {
    /// A row; `keys` are where the record may give the reason of an absence, and name the
    /// comparison.
    fn row(
        &mut self,
        label: &str,
        keys: &[&str],
        figure: impl Fn(&ArmRecord) -> Option<String>,
    ) -> Row {
        let cells = self.arms.iter().map(|arm| match figure(arm) {
            Some(text) => Cell { text, note: None },
            None => Cell {
                text: ABSENT.to_owned(),
                note: Some(note(&mut self.notes, reason(arm, keys))),
            },
        });
        Row {
            label: label.to_owned(),
            cells: cells.collect(),
            winner: winner(self.comparisons, keys),
        }
    }

    /// A row whose figure is always there.
    fn counted(&mut self, label: &str, figure: impl Fn(&ArmRecord) -> u64) -> Row {
        self.row(label, &[], |arm| Some(format::count(figure(arm))))
    }

    fn any(&self, has: impl Fn(&ArmRecord) -> bool) -> bool {
        self.arms.iter().any(has)
    }
}

/// The number of the footnote that says `text`, new or old.
pub(super) fn note(notes: &mut Vec<String>, text: String) -> usize {
    if let Some(index) = notes.iter().position(|known| *known == text) {
        return index + 1;
    }
    notes.push(text);
    notes.len()
}

/// Why `arm` lacks the figure that goes by any of `keys`.
pub(super) fn reason(arm: &ArmRecord, keys: &[&str]) -> String {
    let given = keys.iter().find_map(|key| arm.absent.get(*key));
    given.cloned().unwrap_or_else(|| {
        let probes = ["cpu_ns_per_attempt", "events_attempted", "burst"];
        if arm.burst.is_none() && keys.iter().any(|key| probes.contains(key)) {
            return "counted only where the kernel sends keepalive probes".to_owned();
        }
        "not measured; the record gives no reason".to_owned()
    })
}

fn winner(comparisons: &[Comparison], keys: &[&str]) -> String {
    let found = comparisons
        .iter()
        .find(|c| keys.contains(&c.metric.as_str()));
    let Some(comparison) = found else {
        return String::new();
    };
    match (&comparison.winner, &comparison.lead_ratio_milli) {
        (Some(arm), Some(lead)) => format!("{arm} by {}", format::ratio(lead)),
        (Some(arm), None) => arm.clone(),
        (None, _) if comparison.entries.len() > 1 => "not resolved".to_owned(),
        (None, _) => String::new(),
    }
}

/// One process's part of a cost.
type Side = fn(&ArmRecord) -> Option<Estimate>;

fn cost(builder: &mut Builder<'_>) -> Vec<Row> {
    let shown = |figure: &Option<Estimate>| figure.as_ref().map(format::estimate);
    let mut rows = vec![builder.row("CPU per event", &["cpu_ns_per_event"], |arm| {
        shown(&arm.cpu_ns_per_event)
    })];
    if builder.any(|arm| arm.soaker_cpu_ns_per_event.is_some()) {
        rows.push(builder.row(
            "the same, by the soaker",
            &["soaker_cpu_ns_per_event"],
            |arm| shown(&arm.soaker_cpu_ns_per_event),
        ));
    }
    if builder.any(|arm| arm.cpu_ns_per_attempt.is_some()) {
        rows.push(
            builder.row("CPU per attempted probe", &["cpu_ns_per_attempt"], |arm| {
                shown(&arm.cpu_ns_per_attempt)
            }),
        );
    }
    let sides: [(&str, &str, Side); 2] = [
        ("of it, server process", "server_cpu_ns_per_event", |arm| {
            arm.server_cpu_ns_per_event
        }),
        ("of it, load process", "load_cpu_ns_per_event", |arm| {
            arm.load_cpu_ns_per_event
        }),
    ];
    for (label, key, figure) in sides {
        if builder.any(|arm| figure(arm).is_some()) {
            rows.push(builder.row(label, &[key], |arm| shown(&figure(arm))));
        }
    }
    rows.push(builder.row(
        "CPU per connection-hour",
        &["cpu_ns_per_connection_hour"],
        |arm| {
            let text = shown(&arm.cpu_ns_per_connection_hour)?;
            let gross = if arm.is_control() { " gross" } else { "" };
            Some(format!("{text}{gross}"))
        },
    ));
    rows.push(
        builder.row("packets per event (model)", &["packets_per_event"], |arm| {
            let measured = arm.packets_per_event?;
            let model = arm.packets_per_event_model;
            Some(model.map_or_else(
                || format!("{measured:.2}"),
                |model| format!("{measured:.2} ({model:.0})"),
            ))
        }),
    );
    rows.push(builder.row(
        "wire bytes per connection-hour",
        &["wire_bytes_per_connection_hour"],
        |arm| arm.wire_bytes_per_connection_hour.map(format::bytes),
    ));
    rows
}

/// An account of a connection's memory.
pub(super) type Owner = (
    &'static str,
    &'static str,
    fn(&MemoryPerConnection) -> Option<i64>,
);

/// Who owns a connection's memory: label, key, figure. Their sum is the total.
pub(super) const OWNERS: [Owner; 5] = [
    ("server process", "server_user", |m| signed(m.server_user)),
    ("load process", "load_user", |m| signed(m.load_user)),
    ("kernel sockets", "kernel_sockets", |m| {
        signed(m.kernel_sockets)
    }),
    ("io_uring", "kernel_io_uring", |m| signed(m.kernel_io_uring)),
    ("unexplained rest", "remainder", |m| m.remainder),
];

fn signed(figure: Option<u64>) -> Option<i64> {
    figure.and_then(|bytes| i64::try_from(bytes).ok())
}

fn memory(builder: &mut Builder<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (label, key, figure) in OWNERS {
        let long = format!("memory_bytes_per_connection.{key}");
        rows.push(builder.row(label, &[key, &long], |arm| {
            figure(&arm.memory_bytes_per_connection).map(signed_bytes)
        }));
    }
    let keys = [
        "memory_bytes_per_connection",
        "memory_bytes_per_connection.total",
        "memory_total_bytes_per_connection",
        "total",
    ];
    let total = if builder.any(shards::elsewhere) {
        TOTAL_THIS_END
    } else {
        TOTAL_BOTH_ENDS
    };
    rows.push(builder.row(total, &keys, |arm| {
        arm.memory_bytes_per_connection.total.map(format::bytes)
    }));
    rows
}

pub(super) fn signed_bytes(value: i64) -> String {
    let sign = if value < 0 { "−" } else { "" };
    format!("{sign}{}", format::bytes(value.unsigned_abs()))
}

fn latency(builder: &mut Builder<'_>) -> Vec<Row> {
    type Pick = fn(&HistogramRecord) -> u64;
    let figures: [(&str, &str, &str, Pick); 8] = [
        ("RTT p50", "rtt", "rtt_p50_ns", |h| h.p50),
        ("RTT p99", "rtt", "rtt_p99_ns", |h| h.p99),
        ("RTT p99.9", "rtt", "rtt_p999_ns", |h| h.p999),
        ("RTT max", "rtt", "rtt_max_ns", |h| h.max),
        ("response time p50", "response", "response_p50_ns", |h| {
            h.p50
        }),
        ("response time p99", "response", "response_p99_ns", |h| {
            h.p99
        }),
        (
            "schedule lag p99",
            "schedule_lag",
            "schedule_lag_p99_ns",
            |h| h.p99,
        ),
        ("wheel lateness p99", "lateness", "lateness_p99_ns", |h| {
            h.p99
        }),
    ];
    let mut rows = Vec::new();
    for (label, name, metric, pick) in figures {
        let long = format!("histograms.{name}");
        rows.push(builder.row(label, &[metric, name, &long], |arm| {
            let histogram = arm.histograms.get(name).filter(|h| h.count > 0)?;
            Some(format::span(pick(histogram)))
        }));
    }
    punctuality(builder, &mut rows);
    rows
}

fn connections(builder: &mut Builder<'_>) -> Vec<Row> {
    let mut rows = vec![
        builder.counted("asked for", |arm| arm.connections_requested),
        builder.counted("established", |arm| arm.connections_established),
        builder.counted("held at the end, worst round", |arm| {
            arm.connections_held_at_end
        }),
    ];
    let causes: BTreeSet<&String> = builder
        .arms
        .iter()
        .flat_map(|arm| arm.connections_lost.keys())
        .collect();
    for cause in causes {
        rows.push(
            builder.counted(&format!("lost: {cause}, all rounds"), |arm| {
                arm.connections_lost.get(cause).copied().unwrap_or(0)
            }),
        );
    }
    if rows.len() == 3 {
        rows.push(builder.counted("lost", |_| 0));
    }
    rows
}

/// Heartbeats that were given up, and those that left of those due.
fn punctuality(builder: &mut Builder<'_>, rows: &mut Vec<Row>) {
    if builder.any(|arm| arm.rate_ratio_milli.is_some()) {
        rows.push(
            builder.row("sent of those due", &["rate_ratio_milli", "rtt"], |arm| {
                let milli = format::float_u(arm.rate_ratio_milli?);
                Some(format!("{:.1} %", milli / 10.0))
            }),
        );
        rows.push(
            builder.row("timed out", &["rate_ratio_milli", "rtt"], |arm| {
                arm.rate_ratio_milli?;
                let rounds = arm.rounds_detail.iter();
                Some(format::count(
                    rounds.map(|round| round.heartbeats_timed_out).sum(),
                ))
            }),
        );
    }
}

fn traffic(builder: &mut Builder<'_>) -> Vec<Row> {
    type Pick = fn(&Drops) -> u64;
    let rate = builder.row("events per second", &["events_per_second"], |arm| {
        arm.events_per_second
            .map(|rate| format::count(format::whole(rate)))
    });
    let mut rows = vec![rate];
    if builder.any(|arm| arm.events_attempted != arm.events && arm.events_attempted.is_some()) {
        let label = "probes delivered of attempted";
        rows.push(builder.row(label, &["events_attempted", "events"], |arm| {
            let attempted = format::count(arm.events_attempted?);
            Some(format!("{} of {attempted}", format::count(arm.events?)))
        }));
    }
    if builder.any(|arm| arm.burst.is_some()) {
        rows.push(
            builder.row("probes in the busiest 10 ms", &["burst"], |arm| {
                arm.burst
                    .map(|burst| format::count(burst.probes_per_10ms_max))
            }),
        );
    }
    let drops: [(&str, Pick); 5] = [
        ("dropped: kernel backlog", |d| d.softnet_backlog),
        ("dropped: listen queue", |d| d.listen),
        ("completion queue overflows", |d| d.cq_overflow),
        ("streams without a buffer", |d| d.receive_buffers),
        ("retransmitted segments", |d| d.retransmitted),
    ];
    for (place, (label, pick)) in drops.into_iter().enumerate() {
        if place == 0 || builder.any(|arm| pick(&arm.drops) > 0) {
            rows.push(builder.counted(label, |arm| pick(&arm.drops)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_absent_figure_has_a_reason() {
        let record = fixture::record();
        let table = CostTable::new(&record.arms, &record.comparisons);
        let rows: Vec<&Row> = table.groups.iter().flat_map(|g| &g.rows).collect();
        assert!(rows.iter().all(|row| row.cells.len() == record.arms.len()));
        for cell in rows.iter().flat_map(|row| &row.cells) {
            assert_eq!(cell.text == ABSENT, cell.note.is_some());
            assert!(cell.note.is_none_or(|n| n >= 1 && n <= table.notes.len()));
        }
        assert!(
            table
                .notes
                .contains(&"nothing is sent in the control".to_owned())
        );
    }

    #[test]
    fn winners_and_the_lack_of_one_are_said() {
        let record = fixture::record();
        let table = CostTable::new(&record.arms, &record.comparisons);
        assert!(
            table.groups[0].rows[0]
                .winner
                .starts_with("heartbeat-oneway by 1.50×")
        );
        let memory = &table.groups[1].rows;
        assert_eq!(memory.last().unwrap().winner, "not resolved");
    }
}
