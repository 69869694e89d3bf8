//! What beginnings and ends of connections cost, for real: two processes, two network namespaces, a few thousand
//! connections.
//!
//! Asserts counts and who holds what, never a time or a speed.

use super::child::skipped;
use super::lab::turn;
use ringbeat::bank::{Driver, EngineConfig};
use ringbeat::experiment::{
    HostFacts, LifecycleShape, Observer, Progress, TurnoverPlan, turnovers,
};
use ringbeat::os::cores::usable_cores;
use ringbeat::os::limits::{sees_slabs, sysctl};
use ringbeat::record::{HandshakeRecord, TimeWaitRecord, TurnoverRecord};
use std::path::Path;
use std::time::Duration;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_ringbeat");

/// Watches, and interrupts the run when it comes to the trial of this number.
struct Watcher {
    until: usize,
    at: usize,
}

impl Observer for Watcher {
    fn progress(&mut self, progress: &Progress) {
        assert!(progress.trial < progress.trials, "{progress:?}");
        self.at = progress.trial;
    }

    fn note(&mut self, _: &str) {}

    fn warn(&mut self, _: &str) {}

    fn interrupted(&self) -> Option<i32> {
        (self.at == self.until).then_some(2)
    }
}

fn shape() -> LifecycleShape {
    LifecycleShape {
        engine: EngineConfig::default(),
        driver: Driver::default(),
        tick: Duration::from_millis(8),
        server_cores: usable_cores(),
        load_cores: usable_cores(),
        congestion: sysctl("net.ipv4.tcp_congestion_control").unwrap(),
        memory_limit: None,
        seed: 7,
    }
}

fn quick_plan() -> TurnoverPlan {
    TurnoverPlan::new(&shape(), None, true, HostFacts::read().unwrap()).unwrap()
}

/// Whoever ends a connection waits, and a reset leaves nothing.
pub(crate) fn turnovers_are_right(records: &[TurnoverRecord], all: u64) {
    let names: Vec<&str> = records
        .iter()
        .map(|record| record.ending.as_str())
        .collect();
    assert_eq!(names, ["client-fin", "server-fin", "client-rst"]);
    for (record, waiting) in records.iter().zip([(0, all), (all, 0), (0, 0)]) {
        let name = &record.ending;
        assert_eq!((record.connections, record.rounds), (all, 2), "{name}");
        let (server, client) = (record.time_wait_server, record.time_wait_client);
        // A dump of the kernel's sockets is no snapshot, and now and then misses one.
        let near = |seen: u64, meant: u64| seen.abs_diff(meant) <= meant / 200;
        let held = near(server, waiting.0) && near(client, waiting.1);
        assert!(held, "{name}: {server} and {client}");
        assert!(
            record.unexpected.is_empty(),
            "{name}: {:?}",
            record.unexpected
        );
        assert_eq!(record.histograms["connect"].count, 2 * all, "{name}");
        assert!(
            (2.99..3.05).contains(&record.packets_per_connect),
            "{record:?}"
        );
        let (least, most) = if name == "client-rst" {
            (1.0, 1.05)
        } else {
            (3.0, 4.05)
        };
        assert!(
            (least..most).contains(&record.packets_per_close),
            "{record:?}"
        );
        assert!(record.connect_cpu_ns.busy > 0 && record.close_cpu_ns.busy > 0);
        let sustained = record.sustained.as_ref().unwrap();
        assert!(
            sustained.failures.is_empty(),
            "{name}: {:?}",
            sustained.failures
        );
        assert!(
            sustained.connects > 0 && sustained.closes > 0,
            "{sustained:?}"
        );
        assert!((all / 4..=all).contains(&sustained.held), "{sustained:?}");
        assert!(sustained.histograms["connect"].count >= sustained.connects);
        assert_eq!(
            sustained.time_wait > 0,
            name != "client-rst",
            "{sustained:?}"
        );
    }
}

/// A socket that waits is small.
pub(crate) fn time_wait_is_small(record: &TimeWaitRecord, connections: u64) {
    assert!(record.measured_with.abs_diff(connections) <= connections / 200);
    assert!(record.most.is_some() && record.absent.contains_key("lifetime_ns"));
    if !sees_slabs() {
        assert!(
            record.absent["bytes_per_socket"].contains("root"),
            "{record:?}"
        );
        skipped("/proc/slabinfo is root's, so there is no figure to look at");
        return;
    }
    // A structure of some 250 bytes and two small ones for its port, against several thousand of a live socket.
    if let Some(each) = record.bytes_per_socket {
        assert!((100..1_000).contains(&each), "{record:?}");
        assert_eq!(record.caches.values().sum::<u64>(), each);
    }
    if let Some(live) = record.bytes_per_established_socket {
        assert!((1_000..10_000).contains(&live), "{record:?}");
    }
}

/// Handshakes are counted slice by slice.
pub(crate) fn handshakes_add_up(record: &HandshakeRecord, all: u64) {
    assert_eq!((record.connections_asked, record.established), (all, all));
    assert!(record.failures.is_empty() && record.stopped.is_none());
    let counted: u64 = record.timeline.iter().map(|slice| slice.connects).sum();
    assert_eq!(counted, all);
    assert_eq!(record.histograms["connect"].count, all);
    assert_eq!(record.listeners, usable_cores().len() as u64);
    assert!(record.took_ns > 0 && record.syn_received_looks > 0);
}

/// A short accept queue overflows, and SYNs are sent again.
pub(crate) fn a_short_queue_overflows(record: &HandshakeRecord) {
    assert_eq!((record.accept_queue, record.connections_asked), (16, 2_000));
    assert!(
        record.pressure.listen_overflows > 0,
        "{:?}",
        record.pressure
    );
    assert!(record.pressure.syn_retransmits > 0, "{:?}", record.pressure);
    // Looks are milliseconds apart, and a server empties sixteen in less: only the most that can wait is certain. A queue
    // takes one more than its length (`sk_acceptq_is_full`, include/net/sock.h).
    assert!(record.accept_waiting_max <= (record.accept_queue + 1) * record.listeners);
    // A SYN that met a full queue is sent again after a second (RFC 6298, section 2).
    assert!(record.histograms["connect"].max >= 999_000_000);
    let drops: u64 = record.timeline.iter().map(|slice| slice.listen_drops).sum();
    assert_eq!(drops, record.pressure.listen_drops);
}

#[test]
fn what_an_interruption_cuts_short_keeps_its_whole_rounds() {
    let Some(_turn) = turn() else { return };
    let mut impatient = Watcher { until: 2, at: 0 };
    let (records, warnings, ended) =
        turnovers(&quick_plan(), Path::new(EXECUTABLE), &mut impatient);
    assert!(matches!(
        ended,
        Some(ringbeat::experiment::ExperimentError::Interrupted(2))
    ));
    assert_eq!(warnings[0].code, "interrupted");
    let rounds: u32 = records.iter().map(|record| record.rounds).sum();
    assert_eq!((records.len(), rounds), (2, 2), "{records:#?}");
    assert!(records.iter().all(|record| record.sustained.is_none()));
}
