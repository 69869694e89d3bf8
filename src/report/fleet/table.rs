//! Two tables of a fleet: all load generators together beside the server, and one row per host.
//!
//! Does not lay anything out. An absent figure becomes a dash with a footnote that says why.

use super::{gross, hosts as every_host};
use crate::record::{FleetHost, FleetRecord, HistogramRecord, LoadHost, ServerHost};
use crate::report::format::{self, ABSENT, float_u, whole};
use crate::report::rows::{Cell, CostTable, Group, Row, note};
use std::collections::BTreeMap;

const ALL: &str = "load generators";
const SERVER: &str = "server";
const UNMEASURED: &str = "it was not measured on that host";

/// What stands in a cell.
#[derive(Clone)]
enum Figure {
    There(String),
    /// Nothing, for this reason.
    Absent(String),
    /// Nothing, since it does not belong there.
    Blank,
}

fn cell(notes: &mut Vec<String>, figure: Figure) -> Cell {
    let (text, note) = match figure {
        Figure::There(text) => (text, None),
        Figure::Absent(why) => (ABSENT.to_owned(), Some(note(notes, why))),
        Figure::Blank => (String::new(), None),
    };
    Cell { text, note }
}

fn row(notes: &mut Vec<String>, label: &str, figures: Vec<Figure>) -> Row {
    Row {
        label: label.to_owned(),
        cells: figures
            .into_iter()
            .map(|figure| cell(notes, figure))
            .collect(),
        winner: String::new(),
    }
}

fn counted(count: u64) -> Figure {
    Figure::There(format::count(count))
}

fn nothing() -> Figure {
    Figure::Blank
}

/// A figure of one host, or what the host says of its absence.
fn told<T>(host: &FleetHost, key: &str, figure: Option<T>, show: impl Fn(T) -> String) -> Figure {
    let why = || {
        let given = host.absent.get(key).cloned();
        given.unwrap_or_else(|| UNMEASURED.to_owned())
    };
    figure.map_or_else(
        || Figure::Absent(why()),
        |figure| Figure::There(show(figure)),
    )
}

/// Busy time of the host as a share of all its cores in its window.
fn busy_share(host: &FleetHost) -> Option<String> {
    let cores = u64::from(host.environment.cpu_count);
    let window = host.window.as_ref()?.length_ns.saturating_mul(cores);
    let share = float_u(host.cpu_ns?.busy) * 1_000.0 / float_u(window.max(1));
    Some(format!("{:.1}\u{a0}%", float_u(whole(share)) / 10.0))
}

/// The sums and the server, figures below each other.
pub(super) fn sums(fleet: &FleetRecord) -> CostTable {
    let mut notes = Vec::new();
    let both = Sides {
        fleet,
        loads: !fleet.loads.is_empty(),
        server: fleet.server.as_ref(),
    };
    let mut columns = Vec::new();
    columns.extend(both.loads.then(|| ALL.to_owned()));
    columns.extend(both.server.map(|_| SERVER.to_owned()));
    let groups = [
        ("connections", both.connections(&mut notes)),
        ("in the window", both.window(&mut notes)),
        ("round trip", both.latency(&mut notes, "rtt")),
        ("response time", both.latency(&mut notes, "response")),
        ("connect time", both.latency(&mut notes, "connect")),
        ("the server's host", both.machine(&mut notes)),
    ];
    let groups = groups.into_iter().filter(|(_, rows)| !rows.is_empty());
    CostTable {
        arms: columns,
        groups: groups
            .map(|(title, rows)| Group {
                title: title.to_owned(),
                rows,
            })
            .collect(),
        notes,
    }
}

/// The two columns, of which one may be missing.
struct Sides<'a> {
    fleet: &'a FleetRecord,
    loads: bool,
    server: Option<&'a ServerHost>,
}

impl Sides<'_> {
    fn row(
        &self,
        notes: &mut Vec<String>,
        label: &str,
        loads: Figure,
        server: impl Fn(&ServerHost) -> Figure,
    ) -> Row {
        let mut figures = Vec::new();
        figures.extend(self.loads.then_some(loads));
        figures.extend(self.server.map(server));
        row(notes, label, figures)
    }

    fn connections(&self, notes: &mut Vec<String>) -> Vec<Row> {
        let sums = &self.fleet.together;
        let mut rows = vec![
            self.row(notes, "asked for", counted(sums.connections_asked), |_| {
                nothing()
            }),
            self.row(
                notes,
                "established; accepted",
                counted(sums.connections_established),
                |server| counted(server.connections_accepted),
            ),
            self.row(
                notes,
                "held at the end",
                counted(sums.connections_held_at_end),
                |server| counted(server.connections_held_at_end),
            ),
        ];
        if sums.reconnects_established > 0 {
            let back = counted(sums.reconnects_established);
            rows.push(self.row(notes, "reconnected", back, |_| nothing()));
        }
        let none = BTreeMap::new();
        let server = self.server.map_or(&none, |server| &server.connections_lost);
        let mut causes: Vec<&String> = sums.connections_lost.keys().chain(server.keys()).collect();
        causes.sort();
        causes.dedup();
        for cause in causes {
            let of = |lost: &BTreeMap<String, u64>| counted(lost.get(cause).copied().unwrap_or(0));
            let label = format!("lost: {cause}");
            let loads = of(&sums.connections_lost);
            rows.push(self.row(notes, &label, loads, |server| of(&server.connections_lost)));
        }
        for (cause, count) in &sums.connects_failed {
            let label = format!("failed to open: {cause}");
            rows.push(self.row(notes, &label, counted(*count), |_| nothing()));
        }
        rows
    }

    fn window(&self, notes: &mut Vec<String>) -> Vec<Row> {
        type Pick = fn(&ServerHost) -> u64;
        let sums = &self.fleet.together;
        let server = self.server;
        let lines: [(&str, Option<u64>, Option<Pick>); 4] = [
            (
                "heartbeats sent",
                Some(sums.heartbeats_sent),
                Some(|s| s.heartbeats_sent),
            ),
            (
                "heartbeats received",
                Some(sums.heartbeats_received),
                Some(|s| s.heartbeats_received),
            ),
            ("acks sent", None, Some(|s| s.acks_sent)),
            (
                "acks received",
                Some(sums.acks_received),
                Some(|s| s.acks_received),
            ),
        ];
        let mut rows = Vec::new();
        for (label, loads, pick) in lines {
            let of_server = server.zip(pick).map_or(0, |(server, pick)| pick(server));
            if loads.unwrap_or(0) == 0 && of_server == 0 {
                continue;
            }
            let figure = loads.map_or_else(nothing, counted);
            rows.push(self.row(notes, label, figure, |server| {
                pick.map_or_else(nothing, |pick| counted(pick(server)))
            }));
        }
        rows.extend(self.probes(notes));
        rows
    }

    /// Nothing where no end is known to have sent any and none should.
    fn probes(&self, notes: &mut Vec<String>) -> Option<Row> {
        let sum = self.fleet.together.probes_attempted;
        let of_server = self.server.and_then(|server| server.probes_attempted);
        let silent =
            !["keepalive", "keepalive-user-timeout", "both"].contains(&self.fleet.arm.as_str());
        if silent && sum.unwrap_or(0) == 0 && of_server.unwrap_or(0) == 0 {
            return None;
        }
        let mut unknown = self.fleet.loads.iter();
        let unknown = unknown.find(|load| load.probes_attempted.is_none());
        let loads = unknown.map_or_else(
            || sum.map_or_else(nothing, counted),
            |load| told(&load.host, "probes_attempted", None, format::count),
        );
        let row = self.row(notes, "probes attempted", loads, |server| {
            told(
                &server.host,
                "probes_attempted",
                server.probes_attempted,
                format::count,
            )
        });
        Some(row)
    }

    fn latency(&self, notes: &mut Vec<String>, name: &str) -> Vec<Row> {
        type Pick = fn(&HistogramRecord) -> u64;
        let picks: [(&str, Pick); 4] = [
            ("p50", |h| h.p50),
            ("p99", |h| h.p99),
            ("p99.9", |h| h.p999),
            ("max", |h| h.max),
        ];
        let known = |all: &BTreeMap<String, HistogramRecord>| {
            all.get(name).filter(|one| one.count > 0).cloned()
        };
        let loads = known(&self.fleet.together.histograms);
        let of_server = self.server.and_then(|server| known(&server.histograms));
        if loads.is_none() && of_server.is_none() {
            return Vec::new();
        }
        let show = |one: &Option<HistogramRecord>, pick: Pick| {
            one.as_ref()
                .map_or_else(nothing, |one| Figure::There(format::span(pick(one))))
        };
        let rows = picks.into_iter().map(|(percentile, pick)| {
            self.row(notes, percentile, show(&loads, pick), |_| {
                show(&of_server, pick)
            })
        });
        rows.collect()
    }

    /// Why there is no CPU per event.
    fn no_cost(&self, server: &ServerHost) -> String {
        let said = |key: &str| server.host.absent.get(key).cloned();
        let reason = if self.fleet.arm == "none" {
            Some("the mechanism `none` sends nothing, so there is no event".to_owned())
        } else if server.host.cpu_ns.is_none() {
            said("cpu_ns")
        } else if self.fleet.arm.starts_with("keepalive") && server.probes_attempted.is_none() {
            said("probes_attempted")
        } else {
            Some("the server counted no event in its window".to_owned())
        };
        reason.unwrap_or_else(|| UNMEASURED.to_owned())
    }

    fn machine(&self, notes: &mut Vec<String>) -> Vec<Row> {
        let Some(server) = self.server else {
            return Vec::new();
        };
        let host = &server.host;
        let cpu = host.cpu_ns;
        let memory = server.memory_bytes_per_connection;
        let per_event = gross(self.fleet, server);
        let event = per_event.map_or("event", |(word, _)| word);
        let label = format!("CPU per {event}, gross");
        let bytes = |key: &str, figure: Option<u64>| told(host, key, figure, format::bytes);
        let memory_of = |key: &str, figure: Option<u64>| {
            bytes(&format!("memory_bytes_per_connection.{key}"), figure)
        };
        let lines = [
            (
                "CPU busy, of all cores".to_owned(),
                told(host, "cpu_ns", busy_share(host), |share| share),
            ),
            (
                label,
                per_event.map_or_else(
                    || Figure::Absent(self.no_cost(server)),
                    |(_, each)| Figure::There(format::span(each)),
                ),
            ),
            (
                "CPU of the process".to_owned(),
                told(host, "cpu_ns", cpu, |cpu| format::span(cpu.server_process)),
            ),
            (
                "packets".to_owned(),
                told(host, "packets", host.packets, format::count),
            ),
            (
                "wire bytes".to_owned(),
                bytes("wire_bytes", host.wire_bytes),
            ),
            (
                "backlog drops".to_owned(),
                told(host, "backlog_drops", host.backlog_drops, format::count),
            ),
            (
                "accept queue overflows".to_owned(),
                counted(server.opening.listen_overflows),
            ),
            (
                "SYNs dropped at the listeners".to_owned(),
                counted(server.opening.listen_drops),
            ),
            (
                "memory per connection, process".to_owned(),
                memory_of("server_user", memory.server_user),
            ),
            (
                "memory per connection, sockets".to_owned(),
                memory_of("kernel_sockets", memory.kernel_sockets),
            ),
            (
                "memory per connection, io_uring".to_owned(),
                memory_of("kernel_io_uring", memory.kernel_io_uring),
            ),
            (
                "memory per connection, total".to_owned(),
                memory_of("total", memory.total),
            ),
        ];
        let lines = lines.into_iter();
        lines
            .map(|(label, figure)| self.row(notes, &label, nothing(), |_| figure.clone()))
            .collect()
    }
}

/// One row per host: `loads`, then the server.
pub(super) fn hosts(fleet: &FleetRecord, loads: &[&LoadHost]) -> CostTable {
    const COLUMNS: [&str; 12] = [
        "asked",
        "established",
        "held",
        "lost",
        "opened in",
        "heart-beats",
        "rtt p50",
        "rtt p99",
        "rtt max",
        "CPU busy",
        "drops",
        "window opened",
    ];
    let mut notes = Vec::new();
    let reference = first_opened(fleet);
    let rows: Vec<Row> = loads
        .iter()
        .map(|load| {
            let mut figures = of_load(load);
            figures.extend(of_host(&load.host, reference));
            let label = format!("{} {}", load.shard, load.host.name);
            row(&mut notes, &label, figures)
        })
        .collect();
    let server: Vec<Row> = fleet
        .server
        .iter()
        .map(|server| {
            let mut figures = of_server(server);
            figures.extend(of_host(&server.host, reference));
            row(&mut notes, &server.host.name, figures)
        })
        .collect();
    let groups = [("shard and host", rows), ("server", server)];
    let groups = groups.into_iter().filter(|(_, rows)| !rows.is_empty());
    CostTable {
        arms: COLUMNS.map(str::to_owned).to_vec(),
        groups: groups
            .map(|(title, rows)| Group {
                title: title.to_owned(),
                rows,
            })
            .collect(),
        notes,
    }
}

fn of_load(load: &LoadHost) -> Vec<Figure> {
    let lost = load.connections_lost.values().sum();
    let rtt = load.histograms.get("rtt").filter(|rtt| rtt.count > 0);
    let span = |pick: fn(&HistogramRecord) -> u64| {
        told(&load.host, "rtt", rtt, |rtt| format::span(pick(rtt)))
    };
    let beats = load.heartbeats_sent.max(load.heartbeats_received);
    vec![
        counted(load.connections_asked),
        counted(load.connections_established),
        counted(load.connections_held_at_end),
        counted(lost),
        told(&load.host, "opened_in_ns", load.opened_in_ns, format::span),
        counted(beats),
        span(|rtt| rtt.p50),
        span(|rtt| rtt.p99),
        span(|rtt| rtt.max),
    ]
}

fn of_server(server: &ServerHost) -> Vec<Figure> {
    let beats = server.heartbeats_received.max(server.heartbeats_sent);
    vec![
        nothing(),
        counted(server.connections_accepted),
        counted(server.connections_held_at_end),
        counted(server.connections_lost.values().sum()),
        nothing(),
        counted(beats),
        nothing(),
        nothing(),
        nothing(),
    ]
}

fn of_host(host: &FleetHost, reference: Option<i128>) -> Vec<Figure> {
    let place = placed(host);
    let opened = match place {
        Some((opened, error)) => {
            let after = opened - reference.unwrap_or(opened);
            let after = format::span(u64::try_from(after).unwrap_or(0));
            Figure::There(format!("+{after} ±\u{a0}{}", format::span(error)))
        }
        None if host.window.is_none() => told(host, "window", None, |()| String::new()),
        None => Figure::Absent("its clock was never compared with the others'".to_owned()),
    };
    vec![
        told(host, "cpu_ns", busy_share(host), |share| share),
        told(host, "backlog_drops", host.backlog_drops, format::count),
        opened,
    ]
}

/// When the host's window opened by the clock of the rendezvous, and what that is right to.
fn placed(host: &FleetHost) -> Option<(i128, u64)> {
    let window = host.window.as_ref()?;
    let clock = &window.clock;
    let own = clock.compared_with == "own";
    let (offset, error) = match (clock.offset_ns, clock.error_ns) {
        (Some(offset), Some(error)) => (offset, error),
        _ if own => (0, 0),
        _ => return None,
    };
    Some((
        i128::from(window.opened_epoch_ns) + i128::from(offset),
        error,
    ))
}

/// The first window to open, by what is known: the others are told as so much after it.
fn first_opened(fleet: &FleetRecord) -> Option<i128> {
    every_host(fleet)
        .filter_map(|(_, host)| placed(host))
        .map(|(opened, _)| opened)
        .min()
}
