//! A small plausible record for tests. Invented figures: nothing here was measured, nothing is shipped.

use super::format::{float_i, whole};
use crate::record::{
    ArmRecord, Burst, Comparison, ComparisonEntry, Config, CpuNanos, Drops, Environment, Estimate,
    FloorRecord, HistogramRecord, HoldRecord, Kind, MemoryPerConnection, Record, RoundRecord, Rung,
    SCHEMA_VERSION, Sample, ScaleAxis, ScaleMemory, ScaleRecord, ScaleRung, Warning, encode,
    new_histogram,
};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

const ROUNDS: u32 = 3;
const WINDOW_NS: u64 = 20_000_000_000;

fn estimate(median: i64, spread: i64) -> Estimate {
    Estimate {
        median,
        low: median - spread,
        high: median + spread,
        resolved: median > 2 * spread,
    }
}

/// A right-skewed histogram around `middle_ns`, different for each `seed`.
fn histogram(middle_ns: u64, seed: u64) -> Histogram<u64> {
    let mut histogram = new_histogram();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..20_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let uniform = float_i(usize::try_from(state >> 40).unwrap()) / f64::from(1_u32 << 24);
        let tail = (1.0 / (1.0 - uniform * 0.9999)).powf(0.6);
        histogram.saturating_record(middle_ns + whole(tail * 0.4 * float_i(40_000)));
    }
    histogram
}

fn rounds(arm: &str, middles: &[(&str, u64)], connections: u64) -> Vec<RoundRecord> {
    (0..ROUNDS)
        .map(|round| RoundRecord {
            round,
            position: round * 4,
            window_ns: WINDOW_NS,
            ramp_ms: 4_200 + u64::from(round) * 30,
            connections_requested: connections,
            connections_established: connections,
            connections_held_at_end: connections,
            events: if arm == "none" { 0 } else { 666_600 },
            packets: 2_000_000,
            wire_bytes: 104_000_000,
            cpu_ns: cpu(13_000_000_000),
            histograms: middles
                .iter()
                .map(|(name, middle)| {
                    let seed = u64::from(round) + middle + arm.len() as u64;
                    let encoded = encode(&histogram(*middle, seed)).unwrap();
                    ((*name).to_owned(), encoded)
                })
                .collect(),
            window_started_epoch_ms: 1_767_225_600_000 + u64::from(round) * 60_000,
            ..RoundRecord::default()
        })
        .collect()
}

fn cpu(busy: u64) -> CpuNanos {
    CpuNanos {
        busy,
        user: busy / 10,
        system: busy / 2,
        softirq: busy / 3,
        irq: 0,
        steal: 0,
        ksoftirqd: Some(busy / 100),
        server_process: busy / 3,
        load_process: Some(busy / 2),
    }
}

fn merged(rounds: &[RoundRecord]) -> BTreeMap<String, HistogramRecord> {
    let mut all: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    for (name, encoded) in rounds.iter().flat_map(|r| &r.histograms) {
        let read = crate::record::decode(encoded).unwrap();
        all.entry(name.clone())
            .or_insert_with(new_histogram)
            .add(read)
            .unwrap();
    }
    all.iter()
        .map(|(name, h)| (name.clone(), HistogramRecord::of(h).unwrap()))
        .collect()
}

fn absent(reasons: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(key, why): &(&str, &str)| ((*key).to_owned(), (*why).to_owned());
    reasons.iter().map(own).collect()
}

fn memory(load: u64) -> MemoryPerConnection {
    MemoryPerConnection {
        server_user: Some(51),
        load_user: Some(load),
        kernel_sockets: Some(7_812),
        kernel_io_uring: Some(512),
        remainder: Some(140),
        total: Some(8_515 + load),
    }
}

fn base(name: &str, middles: &[(&str, u64)], connections: u64) -> ArmRecord {
    let rounds_detail = rounds(name, middles, connections);
    ArmRecord {
        name: name.to_owned(),
        control: "none".to_owned(),
        rounds: ROUNDS,
        connections_requested: connections,
        connections_established: connections,
        connections_held_at_end: connections,
        memory_bytes_per_connection: memory(48),
        cpu_ns: cpu(13_000_000_000),
        histograms: merged(&rounds_detail),
        rounds_detail,
        ..ArmRecord::default()
    }
}

fn none_arm(connections: u64) -> ArmRecord {
    ArmRecord {
        cpu_ns_per_connection_hour: Some(estimate(2_100_000, 90_000)),
        absent: absent(&[
            ("events", "nothing is sent in the control"),
            ("events_per_second", "nothing is sent in the control"),
            ("cpu_ns_per_event", "nothing is sent in the control"),
            ("packets_per_event", "nothing is sent in the control"),
            (
                "wire_bytes_per_connection_hour",
                "every other arm's figure is net of the control",
            ),
            ("rtt", "nothing is sent in the control"),
            ("response", "nothing is sent in the control"),
            ("lateness", "no deadline is armed in this arm"),
        ]),
        ..base("none", &[("connect", 90_000)], connections)
    }
}

fn keepalive_arm(connections: u64, bursts: bool) -> ArmRecord {
    let kernel = "the kernel sends and judges by itself; it reports no time per probe";
    let mut arm = ArmRecord {
        events: Some(2_000_000),
        events_attempted: Some(2_000_000),
        events_per_second: Some(33_330.0),
        cpu_ns_per_event: Some(estimate(5_200, 300)),
        cpu_ns_per_connection_hour: Some(estimate(6_240_000, 360_000)),
        packets_per_event: Some(2.003),
        packets_per_event_model: Some(2.0),
        wire_bytes_per_event: Some(104.1),
        wire_bytes_per_connection_hour: Some(124_900),
        burst: Some(Burst {
            probes_per_10ms_max: 620,
            probes_per_10ms_p99: 580,
            predicted_packets_per_burst: 640,
            backlog_limit: 1_000,
            granule_ms: Some(256),
        }),
        absent: absent(&[("rtt", kernel), ("response", kernel), ("lateness", kernel)]),
        ..base("keepalive", &[("connect", 90_000)], connections)
    };
    if bursts {
        arm.events = Some(148_000);
        arm.events_per_second = Some(2_466.0);
        arm.cpu_ns_per_attempt = Some(estimate(1_900, 200));
        arm.connections_held_at_end = 71_204;
        arm.connections_lost = BTreeMap::from([("keepalive-timeout".to_owned(), 84_012)]);
        arm.drops = Drops {
            softnet_backlog: 1_812_450,
            ..Drops::default()
        };
        arm.burst = Some(Burst {
            probes_per_10ms_max: 31_204,
            probes_per_10ms_p99: 28_800,
            predicted_packets_per_burst: 28_444,
            backlog_limit: 1_000,
            granule_ms: Some(256),
        });
    }
    arm
}

fn heartbeat_arm(name: &str, cost: i64, packets: f64, connections: u64) -> ArmRecord {
    let middle = 60_000 + u64::try_from(cost).unwrap();
    let mut middles = vec![
        ("connect", 90_000),
        ("lateness", 4_000_000),
        ("schedule_lag", 900_000),
    ];
    let mut reasons = vec![];
    if name == "heartbeat-oneway" {
        reasons.push(("rtt", "nothing comes back, so there is no round trip"));
        reasons.push(("response", "nothing comes back, so there is no round trip"));
    } else {
        middles.extend([("rtt", middle), ("response", 2 * middle)]);
    }
    ArmRecord {
        events: Some(1_999_800),
        events_per_second: Some(33_330.0),
        cpu_ns_per_event: Some(estimate(cost, cost / 20)),
        cpu_ns_per_connection_hour: Some(estimate(cost * 1_200, cost * 60)),
        packets_per_event: Some(packets + 0.004),
        packets_per_event_model: Some(packets),
        wire_bytes_per_event: Some(packets * 60.0),
        wire_bytes_per_connection_hour: Some(whole(packets * 60.0 * 1_200.0)),
        memory_bytes_per_connection: memory(96),
        absent: absent(&reasons),
        ..base(name, &middles, connections)
    }
}

fn comparison(metric: &str, title: &str, entries: &[(&str, f64)], decided: bool) -> Comparison {
    let lead = entries[1].1 / entries[0].1;
    let milli = i64::try_from(whole(lead * 1_000.0)).unwrap();
    Comparison {
        metric: metric.to_owned(),
        title: title.to_owned(),
        unit: "ns".to_owned(),
        entries: entries
            .iter()
            .map(|(arm, value)| ComparisonEntry {
                arm: (*arm).to_owned(),
                value: *value,
                low: Some(value * 0.94),
                high: Some(value * 1.06),
                resolved: true,
            })
            .collect(),
        winner: decided.then(|| entries[0].0.to_owned()),
        lead_ratio_milli: Some(estimate(milli, 240)),
        sentence: if decided {
            format!(
                "{title}: {} does best, {lead:.1} times below {}.",
                entries[0].0, entries[1].0
            )
        } else {
            format!(
                "{title}: not resolved between {} and {}.",
                entries[0].0, entries[1].0
            )
        },
    }
}

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (position, arm) in ["none", "keepalive", "heartbeat", "heartbeat-oneway"]
        .iter()
        .enumerate()
    {
        for second in 0..30_u64 {
            let keepalive = *arm == "keepalive";
            let beats = arm.starts_with("heartbeat") && second > 4;
            samples.push(Sample {
                elapsed_ms: (position as u64 * 30 + second) * 1_000,
                arm: (*arm).to_owned(),
                phase: if second < 5 { "ramp" } else { "steady" }.to_owned(),
                connections: match second {
                    0..5 => second * 20_000,
                    9.. if keepalive => 100_000 - (second - 8) * 1_309,
                    _ => 100_000,
                },
                heartbeats: if beats { (second - 4) * 33_330 } else { 0 },
                probes: if keepalive && second % 3 == 0 {
                    94_000
                } else {
                    0
                },
                cpu_busy_ns: if beats {
                    700_000_000
                } else {
                    160_000_000 + second * 1_000_000
                },
                backlog_drops: if keepalive && second % 3 == 0 {
                    91_000
                } else {
                    0
                },
                ..Sample::default()
            });
        }
    }
    samples
}

fn config() -> Config {
    Config {
        connections_asked: 200_000,
        connections: 100_000,
        connections_limited_by: Some("free memory: 8,070 B per connection".to_owned()),
        arms: ["none", "keepalive", "heartbeat", "heartbeat-oneway"]
            .map(str::to_owned)
            .to_vec(),
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
        soak_ms: 1_000,
        steady_ms: 20_000,
        settle_ms: 3_000,
        rounds: ROUNDS,
        in_flight_per_core: Some(256),
        memory_limit_bytes: None,
        ramp_rate_per_second: None,
        tick_us: 8_000,
        phases: "staggered".to_owned(),
        timers: "sweep".to_owned(),
        sweep_period_ms: Some(96),
        server_cores: vec![0],
        load_cores: vec![1],
        ring_plan: "1 core thread × 6 rings × 17,936".to_owned(),
        congestion_control: "cubic".to_owned(),
        seed: 42,
        order: vec![vec![0, 1, 2, 3], vec![3, 2, 1, 0], vec![1, 0, 3, 2]],
    }
}

fn environment() -> Environment {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Environment {
        ringbeat_version: "0.0.0-fixture".to_owned(),
        kernel: "6.18.0".to_owned(),
        architecture: "x86_64".to_owned(),
        cpu_model: "Fixture CPU, not a real machine".to_owned(),
        cpu_count: 2,
        kernel_hz: Some(250),
        memory_bytes: 24_000_000_000,
        memory_free_bytes: 20_000_000_000,
        virtualised: true,
        clocksource: "tsc".to_owned(),
        nofile_soft: 20_000,
        nofile_hard: 20_000,
        root: true,
        sysctls: BTreeMap::from([
            pair("net.core.netdev_max_backlog", "1000"),
            pair("net.ipv4.tcp_max_tw_buckets", "65536"),
        ]),
        mitigations: BTreeMap::from([pair("spectre_v2", "Mitigation: Retpolines")]),
        ring_features: BTreeMap::from([pair("IORING_FEAT_NODROP", "yes")]),
        ..Environment::default()
    }
}

fn rung() -> Rung {
    Rung {
        connections: 2_000,
        reason: "at 2,000 connections a burst of 640 packets fits the backlog of 1,000".to_owned(),
        arms: vec![
            none_arm(2_000),
            keepalive_arm(2_000, false),
            heartbeat_arm("heartbeat", 18_000, 3.0, 2_000),
        ],
        comparisons: vec![comparison(
            "cpu_ns_per_event",
            "CPU per event",
            &[("keepalive", 5_200.0), ("heartbeat", 18_000.0)],
            true,
        )],
    }
}

fn comparisons() -> Vec<Comparison> {
    let beats = [("heartbeat-oneway", 12_000.0), ("heartbeat", 18_000.0)];
    let memory = [("keepalive", 8_563.0), ("heartbeat", 8_611.0)];
    vec![
        comparison("cpu_ns_per_event", "CPU per event", &beats, true),
        comparison(
            "memory_bytes_per_connection",
            "Memory per connection",
            &memory,
            false,
        ),
    ]
}

/// A comparison in which keepalive's bursts overflow the backlog and close healthy connections.
pub(crate) fn record() -> Record {
    Record {
        schema_version: SCHEMA_VERSION,
        kind: Kind::Cost,
        valid: true,
        partial: false,
        warnings: vec![Warning {
            code: "backlog-drops".to_owned(),
            message: "the kernel dropped 1,812,450 keepalive packets before they were delivered"
                .to_owned(),
            advice: "raise net.core.netdev_max_backlog, or spread the idle times".to_owned(),
            invalidates: false,
        }],
        command: "ringbeat compare --connections 200k --detect-within 9s --misses 3".to_owned(),
        label: Some("fixture <not measured>".to_owned()),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        duration_ms: 312_000,
        config: config(),
        environment: environment(),
        noise: None,
        headline_ratio: None,
        arms: vec![
            none_arm(100_000),
            keepalive_arm(100_000, true),
            heartbeat_arm("heartbeat", 18_000, 3.0, 100_000),
            heartbeat_arm("heartbeat-oneway", 12_000, 2.0, 100_000),
        ],
        comparisons: comparisons(),
        drop_free_rung: Some(rung()),
        scale: None,
        cells: Vec::new(),
        detection: None,
        storm: None,
        lifecycle: None,
        fleet: None,
        samples: samples(),
    }
}

/// The same without drops, kills or a rung.
pub(super) fn calm_record() -> Record {
    let mut record = record();
    record.warnings.clear();
    record.drop_free_rung = None;
    record.arms[1] = keepalive_arm(100_000, false);
    let entries = [
        ("keepalive", 5_200.0),
        ("heartbeat-oneway", 12_000.0),
        ("heartbeat", 18_000.0),
    ];
    record.comparisons[0] = comparison("cpu_ns_per_event", "CPU per event", &entries, true);
    record
}

/// A climb of three rungs with a floor and a hold.
pub(super) fn scale_record() -> Record {
    let rung = |connections: u64| ScaleRung {
        connections,
        reason: "asked for".to_owned(),
        tick_us: 8_000,
        server_rings: "2 core threads × 1 ring × 5,689".to_owned(),
        load_rings: "2 core threads × 1 ring × 5,000".to_owned(),
        destinations: connections.div_ceil(14_116),
        arms: [
            none_arm(connections),
            keepalive_arm(connections, connections > 100_000),
            heartbeat_arm("heartbeat", 18_000, 3.0, connections),
        ]
        .map(|arm| ArmRecord {
            connects_per_second: Some(81_000.0),
            ..arm
        })
        .to_vec(),
        comparisons: Vec::new(),
    };
    let point = |pairs: u64, cost: i64| FloorRecord {
        pairs,
        exchanges: 100_000,
        cpu_ns_per_exchange: estimate(cost, cost / 20),
    };
    Record {
        kind: Kind::Scale,
        arms: Vec::new(),
        comparisons: Vec::new(),
        drop_free_rung: None,
        scale: Some(ScaleRecord {
            axis: ScaleAxis::Connections,
            asked: ["10,000", "100,000", "max"].map(str::to_owned).to_vec(),
            not_reached: None,
            rungs: [10_000, 100_000, 2_500_000].map(rung).to_vec(),
            hold: Some(HoldRecord {
                steady_ms: 600_000,
                arm: heartbeat_arm("heartbeat", 17_000, 3.0, 2_500_000),
            }),
            floor: vec![point(1_000, 6_500), point(9_968, 11_500)],
            memory: ScaleMemory {
                usable_bytes_at_start: 24 << 30,
                reserve_bytes: 256 << 20,
                bytes_per_connection: Some(8_600),
                connections_that_fit: Some(2_900_000),
            },
            stops: Vec::new(),
        }),
        ..record()
    }
}
