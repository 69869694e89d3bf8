//! Records of single hosts of a small fleet, for tests. Invented figures: nothing here was measured, nothing is shipped.
//!
//! Four load generators and a server. The third load generator is a bad host: it answers late and opens slowly.

use super::{
    Config, CpuNanos, Environment, FleetClock, FleetHost, FleetRecord, FleetTotals, FleetWindow,
    HistogramRecord, Kind, LoadHost, MemoryPerConnection, OpeningPressure, Record, SCHEMA_VERSION,
    ServerHost, new_histogram,
};
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;
/// How many load generators there are.
pub(crate) const SHARDS: u32 = 4;
/// Connections of each.
pub(crate) const EACH: u64 = 2_500;
/// Length of every window.
pub(crate) const WINDOW: u64 = 60_000 * MS;
/// When the windows open, by the clock of the rendezvous.
const OPENED: u64 = 1_767_225_660_000 * MS;
/// Heartbeats of one load generator in its window: one in three seconds on each connection.
const BEATS: u64 = EACH * 20;

/// `count` values, a multiple of 500, spread evenly from `from` to `to`.
fn spread(from: u64, to: u64, count: u64) -> HistogramRecord {
    const PLACES: u64 = 500;
    let mut histogram = new_histogram();
    for place in 0..PLACES {
        histogram.saturating_record_n(from + (to - from) * place / PLACES, count / PLACES);
    }
    HistogramRecord::of(&histogram).unwrap()
}

fn config() -> Config {
    Config {
        connections_asked: EACH * u64::from(SHARDS),
        connections: EACH,
        connections_limited_by: None,
        arms: vec!["heartbeat".to_owned()],
        engines: vec!["uring".to_owned()],
        driver: "tick".to_owned(),
        detect_within_ms: 9_000,
        misses: 3,
        heartbeat_interval_ms: 3_000,
        idle_timeout_ms: 9_000,
        answer_timeout_ms: 3_000,
        keepalive_idle_s: 3,
        keepalive_interval_s: 2,
        keepalive_count: 3,
        keepalive_side: "server".to_owned(),
        keepalive_spread_s: 0,
        path: "loopback".to_owned(),
        steady_ms: WINDOW / MS,
        soak_ms: 0,
        settle_ms: 3_000,
        rounds: 1,
        ramp_rate_per_second: None,
        in_flight_per_core: Some(256),
        memory_limit_bytes: None,
        tick_us: 8_000,
        phases: "staggered".to_owned(),
        timers: "wheel".to_owned(),
        sweep_period_ms: None,
        server_cores: Vec::new(),
        load_cores: vec![0, 1],
        ring_plan: "2 core threads × 1 ring × 1,250".to_owned(),
        congestion_control: "cubic".to_owned(),
        seed: 42,
        order: Vec::new(),
    }
}

fn environment(kernel: &str) -> Environment {
    Environment {
        ringbeat_version: "0.0.0-fixture".to_owned(),
        ringbeat_commit: Some("0123abc".to_owned()),
        kernel: kernel.to_owned(),
        architecture: "x86_64".to_owned(),
        cpu_model: "Fixture CPU, not a real machine".to_owned(),
        cpu_count: 4,
        kernel_hz: Some(250),
        memory_bytes: 24_000_000_000,
        memory_free_bytes: 20_000_000_000,
        clocksource: "tsc".to_owned(),
        nofile_soft: 20_000,
        nofile_hard: 20_000,
        sysctls: BTreeMap::from([("net.core.netdev_max_backlog".to_owned(), "1000".to_owned())]),
        ..Environment::default()
    }
}

/// A host whose clock is `ahead_ns` before that of the rendezvous, and whose window opened `late_ns` after the others'.
fn host(name: &str, kernel: &str, ahead_ns: i64, late_ns: u64) -> FleetHost {
    let own = name == "hub";
    let wall = OPENED.saturating_add_signed(ahead_ns) + late_ns;
    FleetHost {
        name: name.to_owned(),
        environment: environment(kernel),
        engine: "uring".to_owned(),
        driver: "tick".to_owned(),
        cores: vec![0, 1],
        ring_plan: "2 core threads × 1 ring × 1,250".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        stopped: None,
        window: Some(FleetWindow {
            opened_epoch_ns: wall,
            length_ns: WINDOW,
            clock: FleetClock {
                compared_with: if own { "own" } else { "rendezvous" }.to_owned(),
                offset_ns: Some(-ahead_ns),
                error_ns: Some(if own { 0 } else { 180_000 }),
                round_trips: if own { 0 } else { 16 },
            },
        }),
        cpu_ns: Some(CpuNanos {
            busy: 21_000 * MS,
            user: 2_000 * MS,
            system: 12_000 * MS,
            softirq: 7_000 * MS,
            server_process: if own { 9_000 * MS } else { 0 },
            load_process: (!own).then_some(8_000 * MS),
            ..CpuNanos::default()
        }),
        packets: Some(if own { 12 * BEATS } else { 3 * BEATS }),
        wire_bytes: Some(if own { 720 * BEATS } else { 180 * BEATS }),
        backlog_drops: Some(0),
        absent: BTreeMap::new(),
    }
}

fn load_host(shard: u32) -> LoadHost {
    let bad = shard == 2;
    let place = u64::from(shard);
    let kernel = if bad { "6.12.9" } else { "6.18.0" };
    let ahead = [1_500_000, -2_200_000, 40_000_000, 0][shard as usize % 4];
    let slow = if bad { 12 } else { 1 };
    let lag = spread(10_000, 2 * MS * slow, BEATS);
    LoadHost {
        shard,
        host: host(&format!("node-{shard}"), kernel, ahead, place * MS / 2),
        source_addresses: vec![format!("10.0.0.{}", shard + 10)],
        connections_asked: EACH,
        connections_established: EACH,
        connections_held_at_end: EACH,
        kernel_held: Some(EACH),
        opened_in_ns: Some((310 + 10 * place) * MS * slow),
        heartbeats_sent: BEATS,
        acks_received: BEATS,
        histograms: BTreeMap::from([
            ("connect".to_owned(), spread(90_000, 900_000 * slow, EACH)),
            (
                "response".to_owned(),
                spread(MS, (9 + place) * MS * slow, BEATS),
            ),
            (
                "rtt".to_owned(),
                spread(60_000, (8 + place) * MS * slow, BEATS),
            ),
            ("schedule_lag".to_owned(), lag),
        ]),
        ..LoadHost::default()
    }
}

/// The record that load generator `shard` leaves.
pub(crate) fn load(shard: u32) -> Record {
    let host = load_host(shard);
    let together = FleetTotals {
        connections_asked: EACH,
        connections_established: EACH,
        connections_held_at_end: EACH,
        heartbeats_sent: BEATS,
        acks_received: BEATS,
        overlap_ns: Some(WINDOW),
        histograms: host.histograms.clone(),
        ..FleetTotals::default()
    };
    let fleet = FleetRecord {
        loads: vec![host],
        together,
        ..fleet()
    };
    record(fleet, config(), "ringbeat load --shard")
}

/// The record that the server leaves.
pub(crate) fn server() -> Record {
    let all = EACH * u64::from(SHARDS);
    let beats = BEATS * u64::from(SHARDS);
    let host = ServerHost {
        host: host("hub", "6.18.0", 0, 0),
        connections_accepted: all,
        connections_held_at_end: all,
        kernel_held: Some(all),
        opening: OpeningPressure {
            syn_retransmits: 3,
            ..OpeningPressure::default()
        },
        heartbeats_received: beats,
        acks_sent: beats,
        memory_bytes_per_connection: MemoryPerConnection {
            server_user: Some(96),
            kernel_sockets: Some(3_906),
            kernel_io_uring: Some(256),
            remainder: Some(70),
            total: Some(4_328),
            ..MemoryPerConnection::default()
        },
        histograms: BTreeMap::from([("lateness".to_owned(), spread(1_000, 8 * MS, 4_000))]),
        ..ServerHost::default()
    };
    let fleet = FleetRecord {
        server: Some(host),
        together: FleetTotals {
            overlap_ns: Some(WINDOW),
            ..FleetTotals::default()
        },
        ..fleet()
    };
    let mut config = config();
    config.server_cores = std::mem::take(&mut config.load_cores);
    record(fleet, config, "ringbeat serve --shards 4")
}

/// The records of all five hosts, the server's last.
pub(crate) fn bundles() -> Vec<Record> {
    (0..SHARDS).map(load).chain([server()]).collect()
}

fn fleet() -> FleetRecord {
    FleetRecord {
        run: "fixture".to_owned(),
        shards: SHARDS,
        connections_asked: EACH * u64::from(SHARDS),
        arm: "heartbeat".to_owned(),
        ..FleetRecord::default()
    }
}

fn record(fleet: FleetRecord, config: Config, command: &str) -> Record {
    let hosts = fleet.loads.iter().map(|load| &load.host);
    let environment = hosts
        .chain(fleet.server.iter().map(|server| &server.host))
        .map(|host| host.environment.clone())
        .next();
    Record {
        schema_version: SCHEMA_VERSION,
        kind: Kind::Fleet,
        valid: true,
        partial: false,
        warnings: Vec::new(),
        command: command.to_owned(),
        label: None,
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        duration_ms: 68_000,
        config,
        environment: environment.unwrap_or_default(),
        noise: None,
        arms: Vec::new(),
        comparisons: Vec::new(),
        headline_ratio: None,
        drop_free_rung: None,
        scale: None,
        cells: Vec::new(),
        detection: None,
        storm: None,
        lifecycle: None,
        fleet: Some(fleet),
        samples: Vec::new(),
    }
}
