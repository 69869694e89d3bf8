//! The model held against a run on several hosts: predicted, measured, and their ratio.
//!
//! Foretells from figures of other records (never of the run itself) what the run's settings ask for, and reads from its
//! record what came. Does not judge: a ratio is a ratio.

use super::inputs::told;
use super::model::{Bounds, End, Profile, Run, predict};
use crate::advise::cost::nearest;
use crate::advise::figures::{Basis, CostFigure};
use crate::advise::words::float;
use crate::arm::{Arm, KeepaliveSide};
use crate::merge::audit;
use crate::record::{Config, FleetHost, FleetRecord, LoadHost, MemoryPerConnection, ServerHost};
use crate::units::{HumanCount, Nanos};
use serde::Serialize;
use std::collections::BTreeMap;

/// Why a run cannot be held against the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A name that is no arm's.
    #[error(
        "the record's mechanism `{0}` is none that the model knows: give a record of `serve`, `load` or `merge`"
    )]
    UnknownArm(String),
    /// Nothing to foretell.
    #[error(
        "the record's mechanism `{0}` sends nothing, so there is nothing to foretell: give one with a mechanism"
    )]
    NoEvents(String),
    /// No interval.
    #[error("the record does not say the mechanism's interval, so events cannot be foretold")]
    NoInterval,
    /// No figures.
    #[error(
        "no record tells what `{0}` costs, so nothing can be foretold: run `ringbeat compare --arms {0}` first, as root \
         for the memory"
    )]
    NoFigures(String),
    /// A run that did not come to its end.
    #[error(
        "the run was cut short ({0}), so its counts are of no whole window and its ratios would tell nothing: measure again, \
         and give a whole run"
    )]
    CutShort(String),
    /// No connection.
    #[error("the record holds no connection: nothing was measured that could be compared")]
    NoConnections,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckRow {
    /// Of what.
    pub what: &'static str,
    /// Of the three figures.
    pub unit: &'static str,
    /// By the model.
    pub predicted: Bounds,
    /// By the record.
    pub measured: f64,
    /// Measured ÷ predicted.
    pub ratio: f64,
    /// Whether the measured figure lies in the predicted interval.
    pub within: bool,
}

/// A run held against the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The run's name.
    pub run: String,
    /// Its arm.
    pub mechanism: &'static str,
    /// Of all load generators in the record.
    pub connections: u64,
    /// Load generators in the record.
    pub load_hosts: u64,
    /// Between two signs of life of one end.
    pub interval_ms: u64,
    /// The record the prediction is from.
    pub figures: String,
    /// The hosts were namespaces of one machine, whose meters show both ends.
    pub one_machine: bool,
    /// Why the run itself is no good measure: what makes it not valid, and what it lacks.
    pub doubts: Vec<String>,
    /// Figures.
    pub rows: Vec<CheckRow>,
    /// Figures that are missing, with the reason.
    pub absent: BTreeMap<&'static str, String>,
}

/// The figures of a record as a prediction needs them, with what it is of.
struct Subject<'a> {
    fleet: &'a FleetRecord,
    arm: Arm,
    side: KeepaliveSide,
    figure: &'a CostFigure,
    profile: Profile,
    one_machine: bool,
    rows: Vec<CheckRow>,
    absent: BTreeMap<&'static str, String>,
}

/// Holds `fleet`, which ran with `config`, against the model. `one_machine`: its hosts were namespaces of one machine, so
/// what is measured of a whole machine is of both ends.
///
/// # Errors
/// [`CheckError`] when the record leaves nothing to foretell, or no other record tells what the mechanism costs.
pub fn compare_with(
    fleet: &FleetRecord,
    config: &Config,
    basis: &Basis<'_>,
    one_machine: bool,
) -> Result<Check, CheckError> {
    let arm: Arm = fleet
        .arm
        .parse()
        .map_err(|_| CheckError::UnknownArm(fleet.arm.clone()))?;
    if arm == Arm::None {
        return Err(CheckError::NoEvents(fleet.arm.clone()));
    }
    if let Some(why) = cut_short(fleet) {
        return Err(CheckError::CutShort(why));
    }
    let interval_ms = interval_ms(arm, config).ok_or(CheckError::NoInterval)?;
    // Without the server only those load generators count that are in the record.
    let connections = match &fleet.server {
        Some(_) => fleet.connections_asked,
        None => fleet.together.connections_asked,
    };
    if connections == 0 {
        return Err(CheckError::NoConnections);
    }
    let of = |figures, published| {
        let figure = nearest(figures, arm, connections)?;
        Some((figure, Profile::of(arm, figure)?, published))
    };
    let found = basis.local.and_then(|local| of(local, false));
    let found = found.or_else(|| of(basis.published, true));
    let (figure, profile, published) =
        found.ok_or_else(|| CheckError::NoFigures(fleet.arm.clone()))?;
    let side = side_of(config);
    let mut subject = Subject {
        fleet,
        arm,
        side,
        figure,
        profile,
        one_machine,
        rows: Vec::new(),
        absent: BTreeMap::new(),
    };
    subject.compare(&Run {
        connections,
        hosts: 1,
        interval: Nanos::from_millis(interval_ms),
        ends: if arm.has_heartbeats() { 1 } else { side.ends() },
    });
    let measured = HumanCount(figure.connections);
    Ok(Check {
        run: fleet.run.clone(),
        mechanism: arm.name(),
        connections,
        load_hosts: u64::try_from(fleet.loads.len()).unwrap_or(u64::MAX),
        interval_ms,
        figures: format!(
            "`{}` at {measured} connections, {}",
            figure.arm,
            told(&figure.source, published)
        ),
        one_machine,
        doubts: doubts(fleet, config),
        rows: subject.rows,
        absent: subject.absent,
    })
}

/// The hosts that say that they stopped before their end, and why.
fn cut_short(fleet: &FleetRecord) -> Option<String> {
    let hosts = loads(fleet)
        .map(|load| &load.host)
        .chain(fleet.server.iter().map(|server| &server.host));
    let stopped = hosts.filter_map(|host| Some((&host.name, host.stopped.as_ref()?)));
    let said: Vec<String> = stopped
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// What makes the run not valid, and that load generators are missing where the server's figures are of all.
fn doubts(fleet: &FleetRecord, config: &Config) -> Vec<String> {
    let found = audit(fleet, config).into_iter();
    let mut doubts: Vec<String> = found
        .filter(|warning| warning.invalidates)
        .map(|warning| {
            format!(
                "the run is not valid ({}): {}",
                warning.code, warning.message
            )
        })
        .collect();
    let there = fleet.loads.len();
    let all = usize::try_from(fleet.shards).unwrap_or(usize::MAX);
    if fleet.server.is_some() && there > 0 && there < all {
        doubts.push(format!(
            "the record is partial: it has {there} of {all} load generators, and the server's figures are of all"
        ));
    }
    doubts
}

/// Whose sockets carried keepalive.
fn side_of(config: &Config) -> KeepaliveSide {
    let named = |side: &KeepaliveSide| side.name() == config.keepalive_side;
    let side = KeepaliveSide::ALL.into_iter().find(named);
    side.unwrap_or(KeepaliveSide::Server)
}

/// Between two signs of life of one end; `None` when the record does not tell.
fn interval_ms(arm: Arm, config: &Config) -> Option<u64> {
    let ms = if arm.has_heartbeats() {
        config.heartbeat_interval_ms
    } else {
        u64::from(config.keepalive_idle_s) * 1_000
    };
    (ms > 0).then_some(ms)
}

/// A count of `host`'s window per second of it.
fn per_second(host: &FleetHost, count: u64) -> Option<f64> {
    let length = host.window.as_ref().map(|window| window.length_ns)?;
    (length > 0).then(|| float(count) * 1e9 / float(length))
}

/// A sum that is `None` when any part is, or when there are none.
fn sum(parts: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut parts = parts.peekable();
    parts.peek()?;
    parts.sum()
}

impl Subject<'_> {
    fn row(
        &mut self,
        (what, unit): (&'static str, &'static str),
        predicted: Bounds,
        measured: Option<f64>,
    ) {
        let Some(measured) = measured.filter(|_| predicted.median > 0.0) else {
            let why = "not in the record, or nothing is foretold of it".to_owned();
            self.absent.insert(what, why);
            return;
        };
        self.rows.push(CheckRow {
            what,
            unit,
            predicted,
            measured,
            ratio: measured / predicted.median,
            within: predicted.contains(measured),
        });
    }

    fn compare(&mut self, run: &Run) {
        let fleet = self.fleet;
        let foretold = predict(&self.profile, run, End::Server);
        let held = match &fleet.server {
            Some(server) => server.connections_held_at_end,
            None => fleet.together.connections_held_at_end,
        };
        self.row(
            ("connections held", "at the end"),
            Bounds::exact(float(run.connections)),
            Some(float(held)),
        );
        let events = self.events_per_second();
        self.row(
            ("events", "per second"),
            Bounds::exact(foretold.events_per_second),
            events,
        );
        let rate = |of: fn(&FleetHost) -> Option<u64>| match &fleet.server {
            Some(server) => of(&server.host).and_then(|count| per_second(&server.host, count)),
            None => sum(loads(fleet).map(|load| per_second(&load.host, of(&load.host)?))),
        };
        self.row(
            ("packets", "per second"),
            Bounds::exact(foretold.packets_per_second),
            rate(|host| host.packets),
        );
        self.row(
            ("bytes at IP level", "per second"),
            Bounds::exact(foretold.wire_bytes_per_second),
            rate(|host| host.wire_bytes),
        );
        if let Some(server) = &fleet.server {
            self.memory(server);
            self.cpu(server, events);
        } else {
            let why = "the server is not among the hosts of the record".to_owned();
            self.absent.insert("memory and CPU of the server", why);
        }
        self.load_cpu(events);
    }

    /// By the server's counts, and without it by the load generators'.
    fn events_per_second(&self) -> Option<f64> {
        let fleet = self.fleet;
        let known_of_loads = |of: fn(&LoadHost) -> Option<u64>| {
            sum(loads(fleet).map(|load| per_second(&load.host, of(load)?)))
        };
        let of_loads = |of: fn(&LoadHost) -> u64| {
            sum(loads(fleet).map(|load| per_second(&load.host, of(load))))
        };
        let known_of_server = |of: fn(&ServerHost) -> Option<u64>| {
            let server = fleet.server.as_ref()?;
            per_second(&server.host, of(server)?)
        };
        let of_server = |of: fn(&ServerHost) -> u64| {
            let server = fleet.server.as_ref()?;
            per_second(&server.host, of(server))
        };
        if self.arm.counts_probes() {
            let server = self
                .side
                .server()
                .then(|| known_of_server(|one| one.probes_attempted));
            let loads = self
                .side
                .client()
                .then(|| known_of_loads(|one| one.probes_attempted));
            return sum([server, loads].into_iter().flatten());
        }
        match self.arm {
            Arm::HeartbeatOneway => of_server(|one| one.heartbeats_received)
                .or_else(|| of_loads(|one| one.heartbeats_sent)),
            Arm::HeartbeatPush => of_server(|one| one.acks_received)
                .or_else(|| of_loads(|one| one.heartbeats_received)),
            _ => of_server(|one| one.heartbeats_received)
                .or_else(|| of_loads(|one| one.acks_received)),
        }
    }

    /// The kernel's part is of the whole machine; of the processes the server's alone, which is all that its record has.
    fn memory(&mut self, server: &ServerHost) {
        let measured = server.memory_bytes_per_connection;
        let both = self.figure.memory_bytes_per_connection;
        let one = self.profile.server_bytes_per_connection;
        let predicted = if self.one_machine {
            let both = owned(&both).map(Bounds::exact);
            both.unwrap_or_else(|| one.times(2.0))
        } else {
            one
        };
        self.row(
            ("memory of a connection", "bytes"),
            predicted,
            owned(&measured),
        );
    }

    /// What its own process was charged with, and what its machine was busy with.
    fn cpu(&mut self, server: &ServerHost, events: Option<f64>) {
        let cpu = server.host.cpu_ns;
        let per_event =
            |ns: u64| Some(per_second(&server.host, ns)? / events.filter(|one| *one > 0.0)?);
        let process = self.figure.server_cpu_ns_per_event;
        let process = process.filter(|_| !self.arm.counts_probes());
        if let Some(process) = process {
            self.row(
                ("server process", "CPU ns/event"),
                Bounds::from(process),
                cpu.and_then(|cpu| per_event(cpu.server_process)),
            );
        }
        let whole = if self.one_machine {
            Bounds::from(self.figure.cpu_ns_per_event)
        } else {
            self.profile.server_cpu_ns_per_event
        };
        self.row(
            ("server's machine", "CPU ns/event"),
            whole,
            cpu.and_then(|cpu| per_event(cpu.busy)),
        );
    }

    /// What all load processes were charged with.
    fn load_cpu(&mut self, events: Option<f64>) {
        let process = self.figure.load_cpu_ns_per_event;
        let Some(process) = process.filter(|_| !self.arm.counts_probes()) else {
            return;
        };
        let charged = sum(loads(self.fleet).map(|load| {
            let ns = load.host.cpu_ns?.load_process?;
            per_second(&load.host, ns)
        }));
        let per_event = charged.zip(events.filter(|one| *one > 0.0));
        self.row(
            ("load processes", "CPU ns/event"),
            Bounds::from(process),
            per_event.map(|(charged, events)| charged / events),
        );
    }
}

fn loads(fleet: &FleetRecord) -> impl Iterator<Item = &LoadHost> {
    fleet.loads.iter()
}

/// The server's process and the kernel; `None` unless all are known.
fn owned(memory: &MemoryPerConnection) -> Option<f64> {
    let kernel = float(memory.kernel_sockets?) + float(memory.kernel_io_uring?);
    Some(kernel + float(memory.server_user?))
}
