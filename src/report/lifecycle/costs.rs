//! What beginnings and ends cost, as tables: a way of ending, a way out of the ports, or a ramp in each column.
//!
//! Does not lay anything out. An absent figure becomes a dash with a footnote that says why.

use super::{handshake_names, numbered, seldom_looked};
use crate::record::{
    CpuNanos, Estimate, HandshakeRecord, HistogramRecord, LifecycleRecord, PortRecord,
    SustainedRecord, TimeWaitRecord, TurnoverRecord,
};
use crate::report::format::{self, ABSENT, float, float_u, whole};
use crate::report::rows::{Cell, CostTable, Group, Row, note};
use std::collections::{BTreeMap, BTreeSet};

/// The tables that have something to show, each with its heading.
pub(in crate::report) fn tables(lifecycle: &LifecycleRecord) -> Vec<(&'static str, CostTable)> {
    let mut tables = Vec::new();
    if !lifecycle.turnovers.is_empty() {
        tables.push((TURNOVERS, turnovers(&lifecycle.turnovers)));
    }
    if let Some(waiting) = &lifecycle.time_wait {
        tables.push((TIME_WAIT, time_wait(waiting)));
    }
    if !lifecycle.ports.is_empty() {
        tables.push((PORTS, ports(&lifecycle.ports)));
    }
    if !lifecycle.handshakes.is_empty() {
        tables.push((HANDSHAKES, handshakes(&lifecycle.handshakes)));
    }
    tables
}

/// The tables' headings.
pub(in crate::report) const TURNOVERS: &str = "What a set-up and a tear-down cost";
pub(in crate::report) const TIME_WAIT: &str = "What TIME-WAIT takes";
pub(in crate::report) const PORTS: &str = "How long the ports last";
pub(in crate::report) const HANDSHAKES: &str = "Many connections at once";

/// `TCP_TIMEWAIT_LEN` of include/net/tcp.h.
const TIME_WAIT_SECONDS: u64 = 60;

/// One entry per column, and the footnotes gathered on the way.
struct Builder<'a, T> {
    entries: &'a [T],
    notes: Vec<String>,
}

impl<'a, T> Builder<'a, T> {
    fn new(entries: &'a [T]) -> Self {
        Self {
            entries,
            notes: Vec::new(),
        }
    }

    /// A row with one cell per entry: the figure, or the reason for a dash.
    fn row(&mut self, label: &str, figure: impl Fn(&T) -> Result<String, String>) -> Row {
        let cells = self.entries.iter().map(|entry| match figure(entry) {
            Ok(text) => Cell { text, note: None },
            Err(reason) => Cell {
                text: ABSENT.to_owned(),
                note: Some(note(&mut self.notes, reason)),
            },
        });
        Row {
            label: label.to_owned(),
            cells: cells.collect(),
            winner: String::new(),
        }
    }

    fn counted(&mut self, label: &str, figure: impl Fn(&T) -> u64) -> Row {
        self.row(label, |entry| Ok(format::count(figure(entry))))
    }

    /// One row for each cause any entry has, in the causes' order.
    fn causes(&mut self, prefix: &str, of: impl Fn(&T) -> &BTreeMap<String, u64>) -> Vec<Row> {
        let causes: BTreeSet<String> = self
            .entries
            .iter()
            .flat_map(|entry| of(entry).keys().cloned())
            .collect();
        let row = |cause: &String| {
            self.counted(&format!("{prefix}: {cause}"), |entry| {
                of(entry).get(cause).copied().unwrap_or(0)
            })
        };
        causes.iter().map(row).collect()
    }

    fn connect(&mut self, of: impl Fn(&T) -> Option<&HistogramRecord>) -> Vec<Row> {
        type Pick = fn(&HistogramRecord) -> u64;
        let picks: [(&str, Pick); 4] = [
            ("connect p50", |times| times.p50),
            ("connect p99", |times| times.p99),
            ("connect p99.9", |times| times.p999),
            ("connect max", |times| times.max),
        ];
        let row = |(label, pick): (&str, Pick)| {
            self.row(label, |entry| {
                let times = of(entry).filter(|times| times.count > 0);
                let times = times.ok_or_else(|| "no connect was timed".to_owned())?;
                Ok(format::span(pick(times)))
            })
        };
        picks.into_iter().map(row).collect()
    }

    fn table(self, columns: Vec<String>, groups: Vec<(&str, Vec<Row>)>) -> CostTable {
        let groups = groups.into_iter().filter(|(_, rows)| !rows.is_empty());
        CostTable {
            arms: columns,
            groups: groups
                .map(|(title, rows)| Group {
                    title: title.to_owned(),
                    rows,
                })
                .collect(),
            notes: self.notes,
        }
    }
}

/// A rate with its interval: `52,000 [46,800, 57,200]`.
fn rate(figure: &Estimate) -> String {
    let show = |value: i64| format::count(u64::try_from(value).unwrap_or(0));
    if !figure.resolved {
        return "not resolved".to_owned();
    }
    if figure.low == figure.high {
        return show(figure.median);
    }
    format!(
        "{} [{},\u{a0}{}]",
        show(figure.median),
        show(figure.low),
        show(figure.high)
    )
}

/// What part of the busy time the kernel did in soft interrupts, where segments are handled.
fn softirq(cpu: &CpuNanos) -> Result<String, String> {
    if cpu.busy == 0 {
        return Err("no CPU time was accounted".to_owned());
    }
    Ok(format!(
        "{:.0}\u{a0}%",
        float_u(cpu.softirq) / float_u(cpu.busy) * 100.0
    ))
}

fn turnovers(entries: &[TurnoverRecord]) -> CostTable {
    let mut b = Builder::new(entries);
    let set_up = vec![
        b.row("connects a second", |t| Ok(rate(&t.connects_per_second))),
        b.row("CPU per set-up", |t| {
            Ok(format::estimate(&t.cpu_ns_per_connect))
        }),
        b.row("of it in soft interrupts", |t| softirq(&t.connect_cpu_ns)),
        b.row("packets per set-up", |t| {
            Ok(format!("{:.2}", t.packets_per_connect))
        }),
    ];
    let latency = b.connect(|t| t.histograms.get("connect"));
    let mut tear_down = vec![
        b.row("closes a second", |t| Ok(rate(&t.closes_per_second))),
        b.row("CPU per tear-down", |t| {
            Ok(format::estimate(&t.cpu_ns_per_close))
        }),
        b.row("of it in soft interrupts", |t| softirq(&t.close_cpu_ns)),
        b.row("packets per tear-down", |t| {
            Ok(format!("{:.2}", t.packets_per_close))
        }),
        b.counted("left in TIME_WAIT at the client", |t| t.time_wait_client),
        b.counted("left in TIME_WAIT at the server", |t| t.time_wait_server),
    ];
    tear_down.extend(b.causes("ended otherwise", |t| &t.unexpected));
    let measured = vec![
        b.counted("connections in a round", |t| t.connections),
        b.counted("rounds", |t| u64::from(t.rounds)),
    ];
    let sustained = sustained(&mut b);
    let groups = vec![
        ("set-up", set_up),
        ("each connect", latency),
        ("tear-down", tear_down),
        ("coming and going all the while", sustained),
        ("measured with", measured),
    ];
    b.table(turnover_names(entries), groups)
}

/// What each way of ending is called.
pub(in crate::report) fn turnover_names(entries: &[TurnoverRecord]) -> Vec<String> {
    numbered(entries.iter().map(|entry| entry.ending.clone()), '#')
}

fn sustained(b: &mut Builder<'_, TurnoverRecord>) -> Vec<Row> {
    if b.entries.iter().all(|entry| entry.sustained.is_none()) {
        return Vec::new();
    }
    let mut row = |label: &str, figure: &dyn Fn(&SustainedRecord) -> String| {
        b.row(label, |t| {
            let held = t.sustained.as_ref();
            held.map(figure)
                .ok_or_else(|| "a sustained stretch was not measured".to_owned())
        })
    };
    vec![
        row("watched for", &|s| format::span(s.window_ns)),
        row("connections held", &|s| format::count(s.held)),
        row("connects a second, sustained", &|s| {
            format::count(whole(s.connects_per_second))
        }),
        row("closes a second, sustained", &|s| {
            format::count(whole(s.closes_per_second))
        }),
        row("CPU per connect and close, all the machine spent", &|s| {
            format::span(s.cpu_ns_per_turnover)
        }),
        row("machine busy", &|s| {
            format!("{:.0}\u{a0}%", f64::from(s.busy_milli) / 10.0)
        }),
        row("connect p99, sustained", &|s| {
            let times = s.histograms.get("connect");
            times.map_or_else(|| ABSENT.to_owned(), |times| format::span(times.p99))
        }),
        row("connects failed", &|s| {
            format::count(s.failures.values().sum())
        }),
        row("in TIME_WAIT at its end", &|s| format::count(s.time_wait)),
    ]
}

fn time_wait(waiting: &TimeWaitRecord) -> CostTable {
    let entries = std::slice::from_ref(waiting);
    let mut b = Builder::new(entries);
    let reason = |t: &TimeWaitRecord, key: &str| {
        let given = t.absent.get(key).cloned();
        given.unwrap_or_else(|| "it was not measured".to_owned())
    };
    let mut rows = vec![
        b.row("lasts", |t| {
            t.lifetime_ns
                .map(format::span)
                .ok_or_else(|| reason(t, "lifetime_ns"))
        }),
        b.row(
            "kernel memory of one socket in TIME_WAIT, at the client",
            |t| {
                t.bytes_per_socket
                    .map(format::bytes)
                    .ok_or_else(|| reason(t, "bytes_per_socket"))
            },
        ),
    ];
    for (cache, size) in &waiting.caches {
        rows.push(b.row(&format!("of it in {cache}"), |_| Ok(format::bytes(*size))));
    }
    rows.extend([
        b.row(
            "kernel memory of one established socket, mean of both ends",
            |t| {
                let size = t.bytes_per_established_socket.map(format::bytes);
                size.ok_or_else(|| reason(t, "bytes_per_established_socket"))
            },
        ),
        b.row("most there may be (net.ipv4.tcp_max_tw_buckets)", |t| {
            t.most.map(format::count).ok_or_else(|| reason(t, "most"))
        }),
        b.row("enough for so many closes a second, sustained", |t| {
            let most = t.most.ok_or_else(|| reason(t, "most"))?;
            Ok(format::count(most / TIME_WAIT_SECONDS))
        }),
        b.counted("sockets it was measured with", |t| t.measured_with),
    ]);
    b.table(vec!["here".to_owned()], vec![("TIME-WAIT", rows)])
}

fn ports(entries: &[PortRecord]) -> CostTable {
    let mut b = Builder::new(entries);
    let asked = vec![
        b.counted("ports of an address", |p| p.ports),
        b.counted("client addresses", |p| u64::from(p.addresses)),
        b.row("tried for", |p| Ok(format::span(p.watched_ns))),
    ];
    let none = || "no connect failed while it was tried".to_owned();
    let mut got = vec![
        b.counted("connections opened and ended", |p| p.connects),
        b.row("before the first that failed", |p| {
            p.connects_before_failure
                .map(format::count)
                .ok_or_else(none)
        }),
        b.row("first failure after", |p| {
            p.first_failure_ns.map(format::span).ok_or_else(none)
        }),
    ];
    got.extend(b.causes("failed", |p| &p.failures));
    let left = vec![
        b.counted("in TIME_WAIT at the client at the end", |p| {
            p.time_wait_client
        }),
        b.counted("in TIME_WAIT at the server at the end", |p| {
            p.time_wait_server
        }),
    ];
    let ceiling = b.row("can be sustained, connections a second", |p| {
        let ceiling = p.ceiling_per_second.ok_or("ports do not limit this way")?;
        Ok(if ceiling < 100.0 {
            format!("{ceiling:.1}")
        } else {
            format::count(whole(ceiling))
        })
    });
    let groups = vec![
        ("tried", asked),
        ("came of it", got),
        ("left behind", left),
        ("by arithmetic", vec![ceiling]),
    ];
    b.table(port_names(entries), groups)
}

/// What each way is called.
pub(in crate::report) fn port_names(entries: &[PortRecord]) -> Vec<String> {
    numbered(entries.iter().map(|entry| entry.way.clone()), '#')
}

fn handshakes(entries: &[HandshakeRecord]) -> CostTable {
    let mut b = Builder::new(entries);
    let mut opened = vec![
        b.counted("asked for", |h| h.connections_asked),
        b.counted("established at both ends", |h| h.established),
        b.counted("established as far as the clients know", |h| {
            h.established_for_clients.max(h.established)
        }),
        b.row("took", |h| Ok(format::span(h.took_ns))),
        b.row("established a second", |h| {
            if h.took_ns == 0 {
                return Err("it took no time".to_owned());
            }
            let rate = float_u(h.established) / float_u(h.took_ns) * 1e9;
            Ok(format::count(whole(rate)))
        }),
        b.row("CPU per connection", |h| {
            if h.cpu_ns.busy == 0 || h.established == 0 {
                return Err("no CPU time was accounted".to_owned());
            }
            let each = h.cpu_ns.busy / h.established;
            Ok(format::nanos(i64::try_from(each).unwrap_or(i64::MAX)))
        }),
    ];
    opened.extend(b.causes("failed", |h| &h.failures));
    let latency = b.connect(|h| h.histograms.get("connect"));
    let queues = vec![
        b.counted("listeners", |h| h.listeners),
        b.counted("accept queue of each", |h| h.accept_queue),
        b.counted("waiting in accept queues, at most", |h| {
            h.accept_waiting_max
        }),
        b.counted("accept queue overflows", |h| h.pressure.listen_overflows),
        b.counted("refused by a listener, any reason", |h| {
            h.pressure.listen_drops
        }),
        b.row("seen in SYN_RECV, at most", seen_in_syn_received),
        b.row("looks at it", |h| match h.syn_received_looks {
            0 => Err("how often it was looked at was not kept".to_owned()),
            looks => Ok(format::count(looks)),
        }),
        b.counted("SYN queue full, dropped", |h| h.pressure.syn_queue_drops),
        b.counted("SYN queue full, answered with a cookie", |h| {
            h.pressure.syn_cookies
        }),
        b.counted("SYNs and SYN-ACKs sent again", |h| {
            h.pressure.syn_retransmits
        }),
        b.counted("connects unanswered at once, at most", |h| h.in_flight),
    ];
    let groups = vec![
        ("opened", opened),
        ("each connect", latency),
        ("the queues", queues),
    ];
    b.table(handshake_names(entries), groups)
}

/// The most seen, unless so few looks cannot be right: sockets were there while cookies were sent.
fn seen_in_syn_received(ramp: &HandshakeRecord) -> Result<String, String> {
    let (looks, cookies) = (ramp.syn_received_looks, ramp.pressure.syn_cookies);
    if seldom_looked(ramp) {
        let looked = match looks {
            0 => "how often it was looked at was not kept".to_owned(),
            1 => "it was looked at only once".to_owned(),
            _ => format!("it was looked at only {} times", format::count(looks)),
        };
        return Err(format!(
            "its queue was full: {} cookies were sent, and {looked}",
            format::count(cookies)
        ));
    }
    Ok(format::count(ramp.syn_received_max))
}

/// How `figure` is told in a sentence: `31.0 µs of CPU`, or that noise hid it.
pub(super) fn told(figure: &Estimate) -> String {
    if figure.resolved {
        format!("{} of CPU", format::nanos(figure.median))
    } else {
        "no CPU that rises above the noise".to_owned()
    }
}

/// A rate rounded for a sentence.
pub(super) fn told_rate(figure: &Estimate) -> String {
    format::about(whole(float(figure.median)))
}
