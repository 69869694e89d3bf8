//! Counts and meters of one host become its row.
//!
//! Pure. A process meters itself and knows nothing of the other half's: where the record's shape has room for both, the
//! other's place is zero and `absent` says why.

use super::meters::MeasuredWindow;
use crate::arm::{Arm, KeepaliveSide};
use crate::bank::Snapshot;
use crate::experiment::checks::errno_name;
use crate::record::{
    Config, CpuNanos, Environment, FleetClock, FleetHost, FleetRecord, HistogramError,
    HistogramRecord, LoadHost, MemoryPerConnection, OpeningPressure, ServerHost, decode,
};
use crate::shard::{CloseCause, Counters};
use crate::units::Nanos;
use std::collections::BTreeMap;

const PROBES: &str = "probes_attempted";
const ELSEWHERE: &str = "it is the other half's, which meters itself";

/// What a host is.
#[derive(Clone, Debug, Default)]
pub struct HostSpec {
    /// Its name.
    pub name: String,
    /// The machine.
    pub environment: Environment,
    /// The engine's name.
    pub engine: String,
    /// The driver's name.
    pub driver: String,
    /// Cores of its threads.
    pub cores: Vec<usize>,
    /// Its rings, in words.
    pub ring_plan: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// Why its part is not whole.
    pub stopped: Option<String>,
}

/// What a host held.
#[derive(Debug)]
pub struct Held<'a> {
    /// Before the first connection was ended on purpose.
    pub before: &'a Snapshot,
    /// When all was over; its window is the one to report.
    pub last: &'a Snapshot,
    /// Established sockets of the kernel when the window had closed.
    pub kernel: Result<u64, String>,
    /// The meters, when it came to a window.
    pub window: Option<&'a MeasuredWindow>,
    /// How the host's clock stands to the others'.
    pub clock: FleetClock,
    /// What the opening met with, when it is over.
    pub opening: OpeningPressure,
}

/// The row of a load generator.
///
/// # Errors
/// [`HistogramError`] when a histogram of its own does not open, which is a defect.
pub fn load_row(
    spec: &HostSpec,
    shard: u32,
    (asked, sources): (u64, Vec<String>),
    opened_in: Option<Nanos>,
    held: &Held<'_>,
) -> Result<LoadHost, HistogramError> {
    let mut host = host(spec, held);
    forget(
        &mut host,
        |cpu| cpu.server_process = 0,
        "cpu_ns.server_process",
    );
    let totals = &held.before.totals;
    let window = held.last.window.clone().unwrap_or_default();
    Ok(LoadHost {
        shard,
        source_addresses: sources,
        connections_asked: asked,
        connections_established: totals
            .established
            .saturating_sub(totals.reconnects_established),
        reconnects_established: totals.reconnects_established,
        connections_held_at_end: totals.open,
        kernel_held: kernel(&mut host, held),
        connections_lost: lost(totals),
        connects_failed: totals
            .connects_failed
            .iter()
            .map(|(errno, count)| (errno_name(*errno), *count))
            .collect(),
        opened_in_ns: opened_in.map(|took| took.0),
        opening: held.opening,
        heartbeats_sent: window.heartbeats_sent,
        heartbeats_received: window.heartbeats_received,
        acks_received: window.acks_received,
        probes_attempted: probes(&mut host, held, load_is_alone(held)),
        histograms: histograms(held.last)?,
        host,
    })
}

/// The server's row.
///
/// # Errors
/// As [`load_row`].
pub fn server_row(
    spec: &HostSpec,
    (mut memory, memory_absent): (MemoryPerConnection, BTreeMap<String, String>),
    held: &Held<'_>,
) -> Result<ServerHost, HistogramError> {
    let mut host = host(spec, held);
    forget(
        &mut host,
        |cpu| cpu.load_process = None,
        "cpu_ns.load_process",
    );
    host.absent.extend(memory_absent);
    drown(&mut memory, &mut host.absent);
    let totals = &held.before.totals;
    let window = held.last.window.clone().unwrap_or_default();
    Ok(ServerHost {
        connections_accepted: totals.established,
        connections_held_at_end: totals.open,
        kernel_held: kernel(&mut host, held),
        connections_lost: lost(totals),
        opening: held.opening,
        heartbeats_received: window.heartbeats_received,
        heartbeats_sent: window.heartbeats_sent,
        acks_sent: window.acks_sent,
        acks_received: window.acks_received,
        probes_attempted: probes(&mut host, held, Ok(())),
        memory_bytes_per_connection: memory,
        histograms: histograms(held.last)?,
        host,
    })
}

fn host(spec: &HostSpec, held: &Held<'_>) -> FleetHost {
    let mut absent = BTreeMap::new();
    let mut keep = |keys: &[&str], reason: &str| {
        absent.extend(
            keys.iter()
                .map(|key| ((*key).to_owned(), reason.to_owned())),
        );
    };
    let (mut cpu, mut wire) = (None, None);
    match held.window {
        None => keep(
            &["window", "cpu_ns", "packets", "wire_bytes", "backlog_drops"],
            "it did not come to a window",
        ),
        Some(window) => {
            match &window.cpu {
                Ok(spent) => cpu = Some(*spent),
                Err(reason) => keep(&["cpu_ns"], reason),
            }
            match &window.wire {
                Ok(counted) => wire = Some(*counted),
                Err(reason) => keep(&["packets", "wire_bytes", "backlog_drops"], reason),
            }
            if let Some(reason) = &window.unseen {
                keep(&["packets", "wire_bytes"], reason);
            }
        }
    }
    let seen = wire.filter(|_| held.window.is_some_and(|window| window.unseen.is_none()));
    FleetHost {
        name: spec.name.clone(),
        environment: spec.environment.clone(),
        engine: spec.engine.clone(),
        driver: spec.driver.clone(),
        cores: spec.cores.clone(),
        ring_plan: spec.ring_plan.clone(),
        started_at: spec.started_at.clone(),
        stopped: spec.stopped.clone(),
        window: held.window.map(|window| window.record(held.clock.clone())),
        cpu_ns: cpu,
        packets: seen.map(|wire| wire.packets),
        wire_bytes: seen.map(|wire| wire.ip_bytes),
        backlog_drops: wire.map(|wire| wire.softnet_drops),
        absent,
    }
}

/// Takes out what belongs to the half that is not this process.
fn forget(host: &mut FleetHost, forgotten: fn(&mut CpuNanos), key: &str) {
    if let Some(cpu) = &mut host.cpu_ns {
        forgotten(cpu);
        host.absent.insert(key.to_owned(), ELSEWHERE.to_owned());
    }
}

/// Leaves out what the whole machine's free memory shrank by where more of it has no owner than has: then it is mostly of
/// other things than connections, and a figure per connection would be none.
fn drown(memory: &mut MemoryPerConnection, absent: &mut BTreeMap<String, String>) {
    let parts = [
        memory.server_user,
        memory.kernel_sockets,
        memory.kernel_io_uring,
    ];
    let named: u64 = parts.into_iter().flatten().sum();
    let Some(remainder) = memory.remainder.filter(|rest| rest.unsigned_abs() > named) else {
        return;
    };
    let reason = format!(
        "the whole machine's free memory changed by {remainder} bytes per connection that have no owner, more than the \
         {named} that have one: too few connections to tell from other changes"
    );
    (memory.total, memory.remainder) = (None, None);
    for key in ["total", "remainder"] {
        let key = format!("memory_bytes_per_connection.{key}");
        absent.entry(key).or_insert_with(|| reason.clone());
    }
}

fn kernel(host: &mut FleetHost, held: &Held<'_>) -> Option<u64> {
    let found = held.kernel.as_ref();
    found
        .map_err(|reason| host.absent.insert("kernel_held".to_owned(), reason.clone()))
        .ok()
        .copied()
}

/// What the kernel counted of the whole network namespace, if that is this host's `alone`.
fn probes(host: &mut FleetHost, held: &Held<'_>, alone: Result<(), String>) -> Option<u64> {
    let counted = match held.window {
        None => Err("it did not come to a window".to_owned()),
        Some(window) => alone.and_then(|()| {
            let wire = window.wire.as_ref().map_err(Clone::clone)?;
            Ok(wire.probes_attempted)
        }),
    };
    counted
        .map_err(|reason| host.absent.insert(PROBES.to_owned(), reason))
        .ok()
}

/// Whether all sockets of the server's port in this network namespace are this load generator's.
fn load_is_alone(held: &Held<'_>) -> Result<(), String> {
    let others = match &held.kernel {
        Ok(count) if *count <= held.before.totals.open => return Ok(()),
        Ok(count) => format!("the kernel has {count} sockets of that port, others' among them"),
        Err(reason) => reason.clone(),
    };
    Err(format!(
        "the kernel counts probes of the whole network namespace, which may have others' in it: {others}"
    ))
}

/// Takes out the probes of hosts whose sockets carry no keepalive under the settings of the run, and of ends that share one
/// network namespace: what was counted there was somebody else's too.
pub(super) fn only_own_probes(fleet: &mut FleetRecord, config: &Config) {
    let Ok(arm) = fleet.arm.parse::<Arm>() else {
        return;
    };
    let named = |side: &KeepaliveSide| side.name() == config.keepalive_side;
    let Some(side) = KeepaliveSide::ALL.into_iter().find(named) else {
        return;
    };
    let why_not = |own: bool| {
        if !arm.has_keepalive() {
            Some(format!("the mechanism `{arm}` has no keepalive"))
        } else if !own {
            Some("keepalive is on the other end's sockets".to_owned())
        } else if side == KeepaliveSide::Both && config.path == "loopback" {
            Some(
                "both ends are in one network namespace, and the kernel counts probes of all of it"
                    .to_owned(),
            )
        } else {
            None
        }
    };
    let forget = |host: &mut FleetHost, probes: &mut Option<u64>, own: bool| {
        if let Some(reason) = why_not(own) {
            host.absent.insert(PROBES.to_owned(), reason);
            *probes = None;
        }
    };
    for load in &mut fleet.loads {
        forget(&mut load.host, &mut load.probes_attempted, side.client());
    }
    if let Some(server) = &mut fleet.server {
        forget(
            &mut server.host,
            &mut server.probes_attempted,
            side.server(),
        );
    }
    let known = |sum: u64, load: &LoadHost| Some(sum.saturating_add(load.probes_attempted?));
    let sum = fleet.loads.iter().try_fold(0, known);
    fleet.together.probes_attempted = sum.filter(|_| !fleet.loads.is_empty());
}

/// By cause, but for those that were ended on purpose.
fn lost(totals: &Counters) -> BTreeMap<String, u64> {
    let mut lost = totals.closed.clone();
    lost.remove(CloseCause::Drained.name());
    lost.retain(|_, count| *count > 0);
    lost
}

fn histograms(last: &Snapshot) -> Result<BTreeMap<String, HistogramRecord>, HistogramError> {
    let stored = last.histograms.iter();
    stored
        .map(|(name, text)| Ok((name.clone(), HistogramRecord::of(&decode(text)?)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{encode, new_histogram};

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let totals = &mut snapshot.totals;
        (totals.open, totals.established) = (98, 101);
        totals.reconnects_established = 1;
        totals.closed(CloseCause::Reset);
        totals.closed(CloseCause::Drained);
        totals.connects_failed.insert(libc::ECONNREFUSED, 5);
        let mut rtt = new_histogram();
        rtt.saturating_record(1_000);
        snapshot
            .histograms
            .insert("rtt".to_owned(), encode(&rtt).unwrap());
        snapshot
    }

    fn held<'a>(snapshot: &'a Snapshot, window: Option<&'a MeasuredWindow>) -> Held<'a> {
        Held {
            before: snapshot,
            last: snapshot,
            kernel: Err("sock_diag is not there".to_owned()),
            window,
            clock: FleetClock::default(),
            opening: OpeningPressure::default(),
        }
    }

    #[test]
    fn a_row_has_what_was_counted_and_says_what_was_not() {
        let snapshot = snapshot();
        let row = load_row(
            &HostSpec::default(),
            3,
            (105, vec!["10.0.0.7".to_owned()]),
            None,
            &held(&snapshot, None),
        )
        .unwrap();
        assert_eq!((row.shard, row.connections_asked), (3, 105));
        assert_eq!(
            (row.connections_established, row.reconnects_established),
            (100, 1)
        );
        assert_eq!(
            row.connections_lost,
            BTreeMap::from([("reset".to_owned(), 1)])
        );
        assert_eq!(row.connects_failed["ECONNREFUSED"], 5);
        assert_eq!(
            (row.kernel_held, row.host.packets, row.opened_in_ns),
            (None, None, None)
        );
        assert!(row.host.absent["kernel_held"].contains("sock_diag"));
        assert!(row.host.absent["cpu_ns"].contains("window"));
        assert_eq!(row.histograms["rtt"].count, 1);
    }

    /// Probes in the network namespace.
    const SEEN: u64 = 5;

    fn rows_with(kernel: Result<u64, String>) -> FleetRecord {
        let snapshot = snapshot();
        let mut window = MeasuredWindow::invented();
        window.wire.as_mut().unwrap().probes_attempted = SEEN;
        let held = Held {
            kernel,
            ..held(&snapshot, Some(&window))
        };
        let load = load_row(&HostSpec::default(), 0, (100, Vec::new()), None, &held);
        let server = server_row(&HostSpec::default(), Default::default(), &held);
        FleetRecord {
            loads: vec![load.unwrap()],
            server: Some(server.unwrap()),
            ..FleetRecord::default()
        }
    }

    /// What is left of the load generator's, the server's and the sum of probes.
    fn probes_left(
        kernel: Result<u64, String>,
        (arm, side, path): (&str, &str, &str),
    ) -> [Option<u64>; 3] {
        let mut fleet = rows_with(kernel);
        arm.clone_into(&mut fleet.arm);
        let mut config = crate::record::fixture::bundles().remove(0).config;
        side.clone_into(&mut config.keepalive_side);
        path.clone_into(&mut config.path);
        only_own_probes(&mut fleet, &config);
        let (load, server) = (&fleet.loads[0], fleet.server.as_ref().unwrap());
        for (probes, host) in [
            (load.probes_attempted, &load.host),
            (server.probes_attempted, &server.host),
        ] {
            assert_eq!(probes.is_none(), host.absent.contains_key(PROBES));
        }
        [
            load.probes_attempted,
            server.probes_attempted,
            fleet.together.probes_attempted,
        ]
    }

    #[test]
    fn probes_are_told_only_where_they_can_only_be_the_hosts_own() {
        let own = Some(SEEN);
        let far = ("keepalive", "both", "network");
        assert_eq!(probes_left(Ok(98), far), [own, own, own]);
        // Another load generator's sockets are in the same network namespace, or may be.
        assert_eq!(probes_left(Ok(99), far), [None, own, None]);
        let others = Err("sockets of others".to_owned());
        assert_eq!(probes_left(others, far), [None, own, None]);
        let near = ("keepalive", "both", "loopback");
        assert_eq!(probes_left(Ok(98), near), [None; 3]);
        let one = ("keepalive", "server", "loopback");
        assert_eq!(probes_left(Ok(98), one), [None, own, None]);
        let beats = ("heartbeat", "both", "network");
        assert_eq!(probes_left(Ok(98), beats), [None; 3]);
    }

    #[test]
    fn a_total_that_is_mostly_nobodys_is_left_out() {
        let row = |remainder, total| {
            let memory = MemoryPerConnection {
                server_user: Some(100),
                kernel_sockets: Some(3_800),
                kernel_io_uring: Some(100),
                remainder: Some(remainder),
                total,
                ..MemoryPerConnection::default()
            };
            let snapshot = snapshot();
            let held = held(&snapshot, None);
            server_row(&HostSpec::default(), (memory, BTreeMap::new()), &held).unwrap()
        };
        let plain = row(4_000, Some(8_000));
        assert_eq!(plain.memory_bytes_per_connection.total, Some(8_000));
        assert!(
            !plain
                .host
                .absent
                .contains_key("memory_bytes_per_connection.total")
        );
        for (remainder, total) in [(14_000_000, Some(14_004_000)), (-4_001, None)] {
            let row = row(remainder, total);
            let memory = row.memory_bytes_per_connection;
            assert_eq!((memory.total, memory.remainder), (None, None));
            assert_eq!(memory.kernel_sockets, Some(3_800));
            for key in ["total", "remainder"] {
                let reason = &row.host.absent[&format!("memory_bytes_per_connection.{key}")];
                assert!(reason.contains("no owner"), "{reason}");
            }
        }
    }

    #[test]
    fn each_half_leaves_out_the_others_process() {
        let snapshot = snapshot();
        let window = MeasuredWindow::invented();
        let held = held(&snapshot, Some(&window));
        let load = load_row(&HostSpec::default(), 0, (100, Vec::new()), None, &held).unwrap();
        let server = server_row(&HostSpec::default(), Default::default(), &held).unwrap();
        let (load, server) = (load.host, server.host);
        let (of_load, of_server) = (load.cpu_ns.unwrap(), server.cpu_ns.unwrap());
        assert_eq!((of_load.server_process, of_load.load_process), (0, Some(7)));
        assert_eq!(
            (of_server.server_process, of_server.load_process),
            (7, None)
        );
        assert!(load.absent.contains_key("cpu_ns.server_process"));
        assert!(server.absent.contains_key("cpu_ns.load_process"));
        assert_eq!(load.packets, Some(12));
    }
}
