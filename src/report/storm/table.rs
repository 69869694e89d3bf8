//! The storm's table: one column per way of backing off, the figures below each other.
//!
//! Does not lay anything out. An absent figure becomes a dash with a footnote that says why.

use super::run_names;
use crate::record::{HistogramRecord, StormRecord, StormRun};
use crate::report::format::{self, ABSENT};
use crate::report::rows::{Cell, CostTable, Group, Row, note};
use std::collections::{BTreeMap, BTreeSet};

/// The table of `storm`.
pub(in crate::report) fn table(storm: &StormRecord) -> CostTable {
    let mut builder = Builder {
        storm,
        notes: Vec::new(),
    };
    let groups = [
        ("coming back", builder.back()),
        ("each connection", builder.latencies()),
        ("connects", builder.connects()),
        ("the machine", builder.machine()),
        ("backoff", builder.backoff()),
    ];
    let groups = groups.into_iter().filter(|(_, rows)| !rows.is_empty());
    CostTable {
        arms: run_names(storm),
        groups: groups
            .map(|(title, rows)| Group {
                title: title.to_owned(),
                rows,
            })
            .collect(),
        notes: builder.notes,
    }
}

struct Builder<'a> {
    storm: &'a StormRecord,
    notes: Vec<String>,
}

impl Builder<'_> {
    /// A row with one cell per run: the figure, or `absent` as a footnote.
    fn row(
        &mut self,
        label: String,
        absent: &str,
        figure: impl Fn(&StormRun) -> Option<String>,
    ) -> Row {
        let cells = self.storm.runs.iter().map(|run| match figure(run) {
            Some(text) => Cell { text, note: None },
            None => Cell {
                text: ABSENT.to_owned(),
                note: Some(note(&mut self.notes, absent.to_owned())),
            },
        });
        Row {
            label,
            cells: cells.collect(),
            winner: String::new(),
        }
    }

    fn counted(&mut self, label: &str, figure: impl Fn(&StormRun) -> u64) -> Row {
        self.row(label.to_owned(), "", |run| Some(format::count(figure(run))))
    }

    fn back(&mut self) -> Vec<Row> {
        type Pick = fn(&StormRun) -> Option<u64>;
        let churns = self.storm.mode == "churn";
        let dropped = if churns {
            "closed in the window"
        } else {
            "dropped at once"
        };
        let mut rows = vec![
            self.counted(dropped, |run| run.dropped),
            self.counted("back at the end", |run| run.recovered),
        ];
        let reached: [(&str, Pick); 3] = [
            ("half back after", |run| run.half_back_ns),
            ("99 % back after", |run| run.p99_back_ns),
            ("all back after", |run| run.all_back_ns),
        ];
        // In a churn there is no one drop to count from.
        for (label, pick) in reached.into_iter().filter(|_| !churns) {
            let absent = "not reached while it was watched";
            rows.push(self.row(label.to_owned(), absent, |run| pick(run).map(format::span)));
        }
        let causes = self.causes(|run| &run.lost_again);
        for cause in causes {
            rows.push(self.counted(&format!("lost again: {cause}"), |run| {
                run.lost_again.get(&cause).copied().unwrap_or(0)
            }));
        }
        rows
    }

    /// The causes any run has, in order.
    fn causes(&self, of: impl Fn(&StormRun) -> &BTreeMap<String, u64>) -> BTreeSet<String> {
        let runs = self.storm.runs.iter();
        runs.flat_map(|run| of(run).keys().cloned()).collect()
    }

    fn latencies(&mut self) -> Vec<Row> {
        type Pick = fn(&HistogramRecord) -> u64;
        let picks: [(&str, Pick); 4] = [
            ("p50", |h| h.p50),
            ("p99", |h| h.p99),
            ("p99.9", |h| h.p999),
            ("max", |h| h.max),
        ];
        let runs = self.storm.runs.iter();
        let names: BTreeSet<&String> = runs.flat_map(|run| run.histograms.keys()).collect();
        let mut rows = Vec::new();
        // Loss to re-establishment first, what it consists of after it.
        let mut names: Vec<&String> = names.into_iter().collect();
        names.sort_by_key(|name| *name != "recovery");
        for name in names {
            for (percentile, pick) in picks {
                let label = format!("{} {percentile}", name.replace('_', " "));
                rows.push(
                    self.row(label, "no connection came back in this run", |run| {
                        let times = run.histograms.get(name).filter(|times| times.count > 0)?;
                        Some(format::span(pick(times)))
                    }),
                );
            }
        }
        rows
    }

    fn connects(&mut self) -> Vec<Row> {
        let mut rows = vec![
            self.counted("tried, failed ones included", |run| run.attempts),
            self.counted("begun in the busiest 100 ms", |run| {
                run.attempts_per_100ms_max
            }),
        ];
        let causes = self.causes(|run| &run.failures);
        if causes.is_empty() {
            rows.push(self.counted("failed", |_| 0));
        }
        for cause in causes {
            rows.push(self.counted(&format!("failed: {cause}"), |run| {
                run.failures.get(&cause).copied().unwrap_or(0)
            }));
        }
        rows
    }

    fn machine(&mut self) -> Vec<Row> {
        type Pick = fn(&StormRun) -> u64;
        let mut rows = vec![
            self.counted("SYNs dropped at the listeners", |run| run.syn_drops),
            self.counted("SYNs and SYN-ACKs sent again", |run| run.syn_retransmits),
        ];
        let pressed: [(&str, Pick); 2] = [
            ("accept queue overflows", |run| {
                run.pressure.listen_overflows
            }),
            ("SYN queue full, dropped or answered with a cookie", |run| {
                run.pressure.syn_queue_drops + run.pressure.syn_cookies
            }),
        ];
        for (label, pick) in pressed {
            if self.storm.runs.iter().any(|run| pick(run) > 0) {
                rows.push(self.counted(label, pick));
            }
        }
        rows.push(self.row("CPU of the whole machine".to_owned(), "", |run| {
            Some(format::span(run.cpu_busy_ns))
        }));
        if self.storm.runs.iter().any(|run| run.measured_ns > 0) {
            let absent = "the record does not say";
            rows.push(self.row("in".to_owned(), absent, |run| {
                (run.measured_ns > 0).then(|| format::span(run.measured_ns))
            }));
        }
        rows
    }

    fn backoff(&mut self) -> Vec<Row> {
        vec![
            self.row("first ceiling".to_owned(), "", |run| {
                Some(format::millis(run.base_ms))
            }),
            self.row("cap".to_owned(), "", |run| Some(format::millis(run.cap_ms))),
        ]
    }
}
