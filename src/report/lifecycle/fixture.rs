//! A small plausible life cycle for tests. Invented figures: nothing here was measured, nothing here is shipped.

use crate::record::{
    CallRecord, CpuNanos, Estimate, HandshakeRecord, HandshakeSlice, HistogramRecord, Kind,
    LifecycleCheck, LifecycleRecord, OpeningPressure, PortRecord, Record, ScenarioRecord,
    SegmentRecord, StateChange, SustainedRecord, TimeWaitRecord, TurnoverRecord, new_histogram,
};
use crate::report::fixture;
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;
const US: u64 = 1_000;
/// The wire of all these scenarios.
pub(crate) const ONE_WAY_NS: u64 = 10 * MS;
/// A pcap file's header and nothing else, base64.
const PCAP: &str = "1MOyoQIABAAAAAAAAAAAAAAABAABAAAA";

fn spread(from: u64, to: u64, count: u64) -> BTreeMap<String, HistogramRecord> {
    let mut histogram = new_histogram();
    for step in 0..count {
        histogram.saturating_record(from + (to - from) * step / count);
    }
    let stored = HistogramRecord::of(&histogram).unwrap();
    BTreeMap::from([("connect".to_owned(), stored)])
}

fn segment(sent_us: u64, from: &str, flags: &str, numbers: (u32, Option<u32>)) -> SegmentRecord {
    SegmentRecord {
        sent_ns: sent_us * US,
        arrived_ns: Some(sent_us * US + ONE_WAY_NS),
        from: from.to_owned(),
        flags: flags.to_owned(),
        sequence: numbers.0,
        acknowledgement: numbers.1,
        ..SegmentRecord::default()
    }
}

fn state(at_us: u64, end: &str, state: &str) -> StateChange {
    StateChange {
        at_ns: at_us * US,
        end: end.to_owned(),
        state: state.to_owned(),
        connection: 0,
    }
}

fn call(at_us: u64, end: &str, call: &str) -> CallRecord {
    CallRecord {
        at_ns: at_us * US,
        end: end.to_owned(),
        call: call.to_owned(),
    }
}

fn check(rule: &str, seen: &str, held: bool) -> LifecycleCheck {
    LifecycleCheck {
        rule: rule.to_owned(),
        source: "RFC 9293, section 3.5".to_owned(),
        seen: seen.to_owned(),
        held,
        of_the_system: false,
    }
}

fn scenario(name: &str, title: &str, watched_ms: u64) -> ScenarioRecord {
    ScenarioRecord {
        name: name.to_owned(),
        title: title.to_owned(),
        source: "RFC 9293, section 3.5".to_owned(),
        explanation: format!("{title}: what happens here & why, <for> somebody new to it."),
        held: true,
        checks: vec![check("Every number is acknowledged.", "All were.", true)],
        watched_ns: watched_ms * MS,
        pcap_base64: PCAP.to_owned(),
        ..ScenarioRecord::default()
    }
}

fn set_up() -> ScenarioRecord {
    ScenarioRecord {
        segments: vec![
            segment(100, "client", "SYN", (0, None)),
            segment(10_200, "server", "SYN+ACK", (0, Some(1))),
            segment(20_300, "client", "ACK", (1, Some(1))),
        ],
        states: vec![
            state(0, "server", "LISTEN"),
            state(400, "client", "SYN-SENT"),
            state(10_400, "server", "SYN-RECEIVED"),
            state(20_500, "client", "ESTABLISHED"),
            state(30_600, "server", "ESTABLISHED"),
        ],
        calls: vec![
            call(50, "client", "connect()"),
            call(20_400, "client", "connect() = 0"),
            call(30_700, "server", "accept() = a connection"),
        ],
        ..scenario("set-up", "Three segments set a connection up", 60)
    }
}

fn close() -> ScenarioRecord {
    let mut data = segment(15_000, "server", "PSH+ACK", (1, Some(2)));
    data.bytes = 1_400;
    ScenarioRecord {
        segments: vec![
            segment(100, "client", "FIN+ACK", (1, Some(1))),
            segment(10_200, "server", "ACK", (1, Some(2))),
            data,
            segment(25_100, "client", "ACK", (2, Some(1_401))),
            segment(40_200, "server", "FIN+ACK", (1_401, Some(2))),
            segment(50_300, "client", "ACK", (2, Some(1_402))),
        ],
        states: vec![
            state(0, "client", "ESTABLISHED"),
            state(0, "server", "ESTABLISHED"),
            state(300, "client", "FIN-WAIT-1"),
            state(10_400, "server", "CLOSE-WAIT"),
            state(20_500, "client", "FIN-WAIT-2"),
            state(40_400, "server", "LAST-ACK"),
            state(50_600, "client", "TIME-WAIT"),
            state(60_700, "server", "CLOSED"),
        ],
        calls: vec![
            call(50, "client", "close()"),
            call(10_500, "server", "read() = 0, the end"),
            call(40_100, "server", "close()"),
        ],
        ..scenario("close-by-client", "Four segments tear it down", 70)
    }
}

fn both_close() -> ScenarioRecord {
    ScenarioRecord {
        segments: vec![
            segment(100, "client", "FIN+ACK", (1, Some(1))),
            segment(150, "server", "FIN+ACK", (1, Some(1))),
            segment(10_200, "server", "ACK", (2, Some(2))),
            segment(10_250, "client", "ACK", (2, Some(2))),
        ],
        states: vec![
            state(0, "client", "ESTABLISHED"),
            state(0, "server", "ESTABLISHED"),
            state(300, "client", "FIN-WAIT-1"),
            state(350, "server", "FIN-WAIT-1"),
            state(10_400, "server", "CLOSING"),
            state(10_450, "client", "CLOSING"),
            state(20_500, "client", "TIME-WAIT"),
            state(20_550, "server", "TIME-WAIT"),
        ],
        calls: vec![call(50, "client", "close()"), call(60, "server", "close()")],
        ..scenario("simultaneous-close", "Both close at once", 30)
    }
}

/// The first SYN is lost; the second goes after the retransmission timer's second.
fn syn_lost() -> ScenarioRecord {
    let mut lost = segment(100, "client", "SYN", (0, None));
    (lost.arrived_ns, lost.note) = (None, "lost on the wire".to_owned());
    let mut again = segment(1_010_100, "client", "SYN", (0, None));
    again.again = true;
    ScenarioRecord {
        segments: vec![
            lost,
            again,
            segment(1_020_200, "server", "SYN+ACK", (0, Some(1))),
            segment(1_030_300, "client", "ACK", (1, Some(1))),
        ],
        states: vec![
            state(0, "server", "LISTEN"),
            state(300, "client", "SYN-SENT"),
            state(1_020_400, "server", "SYN-RECEIVED"),
            state(1_030_500, "client", "ESTABLISHED"),
            state(1_040_600, "server", "ESTABLISHED"),
        ],
        calls: vec![call(50, "client", "connect()")],
        ..scenario("syn-lost", "The SYN is lost", 1_060)
    }
}

/// Not held: the last acknowledgement is lost and nobody sends the FIN again.
fn last_ack_lost() -> ScenarioRecord {
    let mut lost = segment(10_300, "client", "ACK", (2, Some(2)));
    lost.arrived_ns = None;
    ScenarioRecord {
        held: false,
        checks: vec![
            check(
                "The first FIN is acknowledged.",
                "It was, with the second.",
                true,
            ),
            LifecycleCheck {
                of_the_system: true,
                ..check("The second FIN is sent again.", "It was <not>.", false)
            },
        ],
        segments: vec![
            segment(100, "client", "FIN+ACK", (1, Some(1))),
            segment(10_200, "server", "FIN+ACK", (1, Some(2))),
            lost,
        ],
        states: vec![
            state(0, "client", "ESTABLISHED"),
            state(0, "server", "ESTABLISHED"),
            state(300, "client", "FIN-WAIT-1"),
            state(10_250, "server", "LAST-ACK"),
            state(20_500, "client", "TIME-WAIT"),
        ],
        ..scenario("last-ack-lost", "The last ACK is lost", 3_000)
    }
}

/// `TIME-WAIT` to its end, then a second connection from the same port, met by a segment of the first.
fn time_wait() -> ScenarioRecord {
    let second = |mut segment: SegmentRecord| {
        segment.connection = 1;
        segment
    };
    let mut late = segment(9_000, "server", "PSH+ACK", (1, Some(1)));
    late.bytes = 100;
    late.arrived_ns = Some(60_200 * MS);
    late.note = "held back and delivered late".to_owned();
    let mut refused = segment(60_200_100, "client", "RST", (1, None));
    refused.arrived_ns = Some(60_210_200 * US);
    let change = |at_us, end, name, connection| StateChange {
        connection,
        ..state(at_us, end, name)
    };
    ScenarioRecord {
        segments: vec![
            late,
            segment(10_200, "server", "FIN+ACK", (101, Some(1))),
            segment(20_300, "client", "ACK", (1, Some(102))),
            refused,
            second(segment(60_300_000, "client", "SYN", (0, None))),
            second(segment(60_310_100, "server", "SYN+ACK", (0, Some(1)))),
            second(segment(60_320_200, "client", "ACK", (1, Some(1)))),
        ],
        states: vec![
            state(0, "client", "FIN-WAIT-2"),
            state(0, "server", "CLOSE-WAIT"),
            state(10_300, "server", "LAST-ACK"),
            state(20_500, "client", "TIME-WAIT"),
            state(30_500, "server", "CLOSED"),
            state(60_060_000, "client", "CLOSED"),
            change(60_300_300, "client", "SYN-SENT", 1),
            change(60_310_300, "server", "SYN-RECEIVED", 1),
            change(60_320_400, "client", "ESTABLISHED", 1),
            change(60_330_400, "server", "ESTABLISHED", 1),
        ],
        calls: vec![
            call(10_000, "server", "close()"),
            call(60_299_900, "client", "connect() from the same port"),
        ],
        ..scenario("time-wait", "TIME-WAIT, and a late segment", 60_350)
    }
}

/// Every scenario there is a picture of.
pub(crate) fn scenarios() -> Vec<ScenarioRecord> {
    let all = [set_up(), close(), both_close(), syn_lost(), last_ack_lost()];
    all.into_iter().chain([time_wait()]).collect()
}

fn estimate(median: i64) -> Estimate {
    Estimate {
        median,
        low: median * 9 / 10,
        high: median * 11 / 10,
        resolved: true,
    }
}

fn turnover(ending: &str, cpu_ns: i64, packets: f64) -> TurnoverRecord {
    TurnoverRecord {
        ending: ending.to_owned(),
        connections: 10_000,
        rounds: 3,
        connects_per_second: estimate(52_000),
        closes_per_second: estimate(61_000),
        cpu_ns_per_connect: estimate(31_000),
        cpu_ns_per_close: estimate(cpu_ns),
        connect_cpu_ns: CpuNanos {
            busy: 930 * MS,
            user: 40 * MS,
            system: 500 * MS,
            softirq: 390 * MS,
            ..CpuNanos::default()
        },
        packets_per_connect: 3.0,
        packets_per_close: packets,
        time_wait_client: if ending == "client-fin" { 10_000 } else { 0 },
        time_wait_server: if ending == "server-fin" { 10_000 } else { 0 },
        unexpected: BTreeMap::from([("reset <by peer>".to_owned(), 2)]),
        histograms: spread(MS / 10, 4 * MS, 30_000),
        sustained: (ending == "client-rst").then(|| SustainedRecord {
            window_ns: 5_000 * MS,
            held: 10_000,
            connects: 100_000,
            closes: 99_990,
            connects_per_second: 20_000.0,
            closes_per_second: 19_998.0,
            cpu_ns_per_turnover: 48_000,
            busy_milli: 480,
            failures: BTreeMap::from([("EADDRNOTAVAIL".to_owned(), 3)]),
            time_wait: 0,
            histograms: spread(MS / 10, 2 * MS, 100_000),
        }),
        ..TurnoverRecord::default()
    }
}

fn port(way: &str, before: Option<u64>, ceiling: Option<f64>) -> PortRecord {
    PortRecord {
        way: way.to_owned(),
        explanation: format!("What was done under {way}."),
        ports: 1_000,
        addresses: if way == "more-addresses" { 4 } else { 1 },
        watched_ns: 10_000 * MS,
        connects: before.unwrap_or(50_000),
        connects_before_failure: before,
        first_failure_ns: before.map(|count| count * 100 * US),
        failures: before
            .map(|_| ("EADDRNOTAVAIL".to_owned(), 500))
            .into_iter()
            .collect(),
        time_wait_client: before.unwrap_or(0),
        ceiling_per_second: ceiling,
        ceiling_because: ceiling.map_or_else(String::new, |_| "1,000 ports ÷ 60 s".to_owned()),
        ..PortRecord::default()
    }
}

fn handshake(asked: u64, queue: u64) -> HandshakeRecord {
    HandshakeRecord {
        connections_asked: asked,
        established: asked - 3,
        took_ns: 2_000 * MS,
        accept_queue: queue,
        listeners: 2,
        in_flight: 4_096,
        pressure: OpeningPressure {
            listen_overflows: 1_204,
            listen_drops: 1_204,
            syn_retransmits: 1_500,
            ..OpeningPressure::default()
        },
        syn_received_max: 311,
        syn_received_looks: 20,
        accept_waiting_max: queue + 1,
        failures: BTreeMap::from([("ETIMEDOUT".to_owned(), 3)]),
        timeline: (1..=20)
            .map(|slice| HandshakeSlice {
                elapsed_ms: slice * 100,
                connects: asked / 20 + slice,
                syn_received: 300 - slice,
                accept_waiting: queue / slice,
                listen_drops: 60 * (slice % 3),
                syn_retransmits: 70 * (slice % 3),
            })
            .collect(),
        histograms: spread(MS, 1_030 * MS, asked - 3),
        ..HandshakeRecord::default()
    }
}

/// Six scenarios, one of which did not hold, and every cost.
pub(crate) fn record() -> Record {
    let mut record = fixture::record();
    record.kind = Kind::Lifecycle;
    record.command = "ringbeat lifecycle --connections 10k".to_owned();
    record.warnings.clear();
    record.arms.clear();
    record.comparisons.clear();
    record.drop_free_rung = None;
    record.samples.clear();
    record.lifecycle = Some(LifecycleRecord {
        laboratory: "root".to_owned(),
        one_way_delay_ns: ONE_WAY_NS,
        states_looked_at_every_ns: MS,
        scenarios: scenarios(),
        turnovers: vec![
            turnover("client-fin", 24_000, 3.0),
            turnover("server-fin", 25_000, 3.0),
            turnover("client-rst", 9_000, 1.0),
        ],
        time_wait: Some(TimeWaitRecord {
            lifetime_ns: Some(60_060 * MS),
            bytes_per_socket: None,
            bytes_per_established_socket: Some(3_968),
            measured_with: 10_000,
            most: Some(131_072),
            absent: BTreeMap::from([(
                "bytes_per_socket".to_owned(),
                "only root may read the slab caches".to_owned(),
            )]),
            ..TimeWaitRecord::default()
        }),
        ports: vec![
            port("client-closes", Some(1_000), Some(16.7)),
            port("more-addresses", Some(4_000), Some(66.7)),
            port("client-resets", None, None),
        ],
        handshakes: vec![
            handshake(20_000, 128),
            HandshakeRecord {
                limited_by: Some("the host holds no <more>".to_owned()),
                ..handshake(20_000, 4_096)
            },
        ],
    });
    record
}
