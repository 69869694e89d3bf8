//! A plan worked out by hand, where it starts and what it says; and a run that was invented, held against the model.

use super::*;
use crate::advise::published::kept;
use crate::advise::tests::{EXAMPLE, codes};
use crate::advise::{
    Advice, AdviceError, Basis, CostFigure, Figures, Link, Question, advise, text,
};
use crate::arm::{Arm, KeepaliveSide};
use crate::record::{
    Config, CpuNanos, Estimate, FleetHost, FleetRecord, FleetTotals, FleetWindow, LoadHost,
    MemoryPerConnection, ServerHost,
};
use crate::units::Nanos;
use std::time::Duration;

/// A hundred million connections in data centres.
pub(super) const MANY: Question = Question {
    connections: 100_000_000,
    detect_within: Duration::from_secs(30),
    middlebox_idle: None,
    link: Link::Datacenter,
    ..EXAMPLE
};

/// A plan by the published figures.
pub(super) fn planned(
    question: &Question,
    fleet: &FleetQuestion,
) -> Result<Option<FleetPlan>, AdviceError> {
    let published = Figures::published();
    plan_fleet(
        question,
        fleet,
        &Basis {
            local: None,
            published: &published,
        },
    )
}

fn told(question: &Question, fleet: &FleetQuestion) -> Advice {
    let published = Figures::published();
    let basis = Basis {
        local: None,
        published: &published,
    };
    let mut advice = advise(question, &basis).unwrap();
    advice.add_fleet(plan_fleet(question, fleet, &basis).unwrap().unwrap());
    advice
}

fn estimate(low: i64, median: i64, high: i64) -> Estimate {
    Estimate {
        median,
        low,
        high,
        resolved: true,
    }
}

/// Figures that can be reckoned with by hand: 20 µs an event, 8 and 8 of it the processes'; 4,000 B an end.
pub(super) fn invented(arm: &str) -> CostFigure {
    CostFigure {
        source: crate::advise::Source::default(),
        arm: arm.to_owned(),
        connections: 40_000,
        cpu_ns_per_event: estimate(16_000, 20_000, 24_000),
        server_cpu_ns_per_event: Some(estimate(7_000, 8_000, 9_000)),
        load_cpu_ns_per_event: Some(estimate(7_500, 8_000, 8_500)),
        packets_per_event: 3.0,
        wire_bytes_per_event: 180.0,
        memory_bytes_per_connection: MemoryPerConnection {
            server_user: Some(50),
            load_user: Some(60),
            kernel_sockets: Some(7_400),
            kernel_io_uring: Some(500),
            remainder: Some(200),
            total: Some(8_210),
        },
    }
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= other.abs() * 1e-9
}

#[test]
fn a_prediction_is_what_one_works_out_by_hand() {
    let profile = Profile::of(Arm::Heartbeat, &invented("heartbeat")).unwrap();
    // half of 7,400 and 500, and 50; half of the 200 nobody owns to the upper end
    let memory = profile.server_bytes_per_connection;
    assert!(
        near(memory.low, 4_000.0) && near(memory.median, 4_000.0) && near(memory.high, 4_100.0)
    );
    // 20 − 8 − 8 = 4 µs were charged to no process
    let cpu = profile.server_cpu_ns_per_event;
    assert!(near(cpu.low, 7_000.0) && near(cpu.median, 10_000.0) && near(cpu.high, 13_000.0));
    let run = Run {
        connections: 1_000_001,
        hosts: 4,
        interval: Nanos::from_secs(10),
        ends: 1,
    };
    let foretold = predict(&profile, &run, End::Server);
    assert!(near(foretold.events_per_second, 100_000.1));
    assert!(near(foretold.packets_per_second, 300_000.3));
    assert_eq!(foretold.host.connections, 250_001);
    let events = 25_000.1;
    assert!(near(foretold.host.events_per_second, events));
    assert!(near(foretold.host.cpu_cores.median, events * 10e-6));
    // two of three packets, 60 B and 38 B of framing each
    let bits = events * 2.0 * 98.0 * 8.0;
    assert!(near(foretold.host.ethernet_bits_per_second, bits));
    // Probes are the kernel's: half of both ends', whatever process was charged.
    let kernel = Profile::of(Arm::Keepalive, &invented("keepalive")).unwrap();
    let cpu = kernel.server_cpu_ns_per_event;
    assert!(near(cpu.low, 8_000.0) && near(cpu.median, 10_000.0) && near(cpu.high, 24_000.0));
}

#[test]
fn a_short_packet_is_padded_to_a_whole_frame() {
    let short = CostFigure {
        wire_bytes_per_event: 3.0 * 40.0,
        ..invented("heartbeat")
    };
    let profile = Profile::of(Arm::Heartbeat, &short).unwrap();
    assert!(near(profile.ethernet_bytes_per_packet(), 84.0));
}

#[test]
fn a_plan_appears_where_one_host_is_not_enough_or_it_is_asked_for() {
    let usual = FleetQuestion::default();
    let small = Question {
        connections: 2_500_000,
        ..MANY
    };
    assert_eq!(planned(&small, &usual).unwrap(), None);
    let more = Question {
        connections: 2_500_001,
        ..MANY
    };
    let plan = planned(&more, &usual).unwrap().unwrap();
    assert!(plan.because.contains("2,500,000"), "{}", plan.because);
    let asked = FleetQuestion {
        sites: Some(2),
        ..usual
    };
    let plan = planned(&small, &asked).unwrap().unwrap();
    assert_eq!(plan.chosen.hosts.total, 2 * plan.chosen.hosts.needed);
}

#[test]
fn what_is_given_wins_and_says_so() {
    let given = FleetQuestion {
        host_connections: Some(1_000_000),
        host_memory_bytes: Some(64 << 30),
        host_cores: Some(16),
        nic_bits_per_second: Some(25_000_000_000),
        sites: Some(5),
        reconnects_per_second: Some(10_000),
        headroom_percent: Some(50),
    };
    let plan = planned(&MANY, &given).unwrap().unwrap();
    // 100 hosts hold all; four of five sites are to have them
    assert_eq!(plan.chosen.limits[0].what, "given");
    assert_eq!(
        (
            plan.chosen.hosts.needed,
            plan.chosen.hosts.per_site,
            plan.chosen.hosts.total
        ),
        (100, 25, 125)
    );
    let back = plan.reconnect.as_ref().unwrap();
    assert_eq!((back.connections_lost, back.hosts), (20_000_000, 100));
    assert!(near(back.seconds.median, 20.0) && !back.seconds.is_range());
    assert_eq!(plan.conntrack.entries_per_host, 1_000_000);
    for flag in [
        "--host-connections",
        "--host-memory",
        "--host-cores",
        "--nic",
        "--sites",
        "--reconnect-rate",
        "--headroom",
    ] {
        let source = format!("given: {flag}");
        assert!(
            plan.inputs.iter().any(|input| input.source == source),
            "{flag}"
        );
    }
    let usual = planned(&MANY, &FleetQuestion::default()).unwrap().unwrap();
    let published = |name: &str| {
        let input = usual.inputs.iter().find(|input| input.name == name);
        input
            .unwrap()
            .source
            .contains("published with this program: results/")
    };
    assert!(published("memory of a host") && published("connects per second"));
}

#[test]
fn one_site_gets_a_spare_host_and_all_come_back_to_it() {
    let one = FleetQuestion {
        sites: Some(1),
        ..FleetQuestion::default()
    };
    let plan = planned(&MANY, &one).unwrap().unwrap();
    let hosts = plan.chosen.hosts;
    assert_eq!((hosts.total, hosts.left), (hosts.needed + 1, hosts.needed));
    assert_eq!(plan.reconnect.unwrap().connections_lost, 100_000_000);
}

#[test]
fn a_host_without_room_is_refused_with_what_to_do() {
    let tiny = FleetQuestion {
        host_memory_bytes: Some(1_000),
        ..FleetQuestion::default()
    };
    let refused = planned(&MANY, &tiny).unwrap_err().to_string();
    assert!(
        refused.contains("memory") && refused.contains("--host-memory"),
        "{refused}"
    );
}

#[test]
fn the_text_keeps_to_its_columns_and_shows_how_it_was_computed() {
    for sites in [1, 2, 7] {
        for app_changes in [true, false] {
            let question = Question {
                app_changes,
                ..MANY
            };
            let fleet = FleetQuestion {
                sites: Some(sites),
                ..FleetQuestion::default()
            };
            let advice = told(&question, &fleet);
            let text = text(&advice);
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
            for heading in [
                "Fleet",
                "Fleet by mechanism and interval",
                "How the fleet was computed",
            ] {
                assert!(
                    text.contains(&format!("\n{heading}\n")),
                    "{heading}: {text}"
                );
            }
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in [
                "full jitter",
                "source addresses",
                "what it cannot show",
                "both ways",
            ] {
                assert!(flat.contains(part), "{part}: {text}");
            }
            // A host does not hold a hundred million, so nothing is said of one that does.
            let bursts = advice
                .warnings
                .iter()
                .filter(|one| one.code == "keepalive-bursts");
            for burst in bursts {
                assert!(!burst.message.contains(",000,000"), "{burst:?}");
            }
            assert!(!codes(&advice).contains(&"cost-far-extrapolated"));
        }
    }
}

/// Four load generators and a server for 50 s, each of which does what the model foretells but for what is said.
fn invented_run(arm: &str, packets_per_event: u64) -> (FleetRecord, Config) {
    let window = |length_s: u64| FleetWindow {
        length_ns: length_s * 1_000_000_000,
        ..FleetWindow::default()
    };
    let config = Config {
        heartbeat_interval_ms: 2_000,
        keepalive_idle_s: 2,
        keepalive_side: "server".to_owned(),
        ..kept("results/2026-11-25-overlap/run-3").config
    };
    let load = |shard| LoadHost {
        shard,
        host: FleetHost {
            name: format!("node-{shard}"),
            window: Some(window(50)),
            packets: Some(250_000 * packets_per_event),
            cpu_ns: Some(CpuNanos {
                load_process: Some(250_000 * 8_000),
                ..CpuNanos::default()
            }),
            ..FleetHost::default()
        },
        connections_asked: 10_000,
        connections_established: 10_000,
        connections_held_at_end: 10_000,
        acks_received: 250_000,
        heartbeats_sent: 250_000,
        probes_attempted: Some(0),
        ..LoadHost::default()
    };
    let server = ServerHost {
        host: FleetHost {
            window: Some(window(25)),
            packets: Some(500_000 * packets_per_event),
            cpu_ns: Some(CpuNanos {
                busy: 500_000 * 30_000,
                server_process: 500_000 * 8_800,
                ..CpuNanos::default()
            }),
            ..FleetHost::default()
        },
        connections_accepted: 40_000,
        connections_held_at_end: 40_000,
        heartbeats_received: 500_000,
        probes_attempted: Some(500_000),
        memory_bytes_per_connection: MemoryPerConnection {
            server_user: Some(55),
            kernel_sockets: Some(7_500),
            kernel_io_uring: Some(500),
            ..MemoryPerConnection::default()
        },
        ..ServerHost::default()
    };
    let fleet = FleetRecord {
        run: "four-ranks".to_owned(),
        shards: 4,
        connections_asked: 40_000,
        arm: arm.to_owned(),
        loads: (0..4).map(load).collect(),
        server: Some(server),
        together: FleetTotals {
            connections_asked: 40_000,
            connections_held_at_end: 39_999,
            ..FleetTotals::default()
        },
    };
    (fleet, config)
}

fn checked(fleet: &FleetRecord, config: &Config, one_machine: bool) -> Result<Check, CheckError> {
    let figures = Figures {
        costs: ["heartbeat", "keepalive"].map(invented).to_vec(),
        ..Figures::default()
    };
    let basis = Basis {
        local: Some(&figures),
        published: &Figures::default(),
    };
    compare_with(fleet, config, &basis, one_machine)
}

fn ratio(check: &Check, what: &str) -> f64 {
    let row = check.rows.iter().find(|row| row.what == what);
    row.unwrap_or_else(|| panic!("{what}: {check:?}")).ratio
}

#[test]
fn a_run_that_keeps_to_the_model_has_ratios_of_one() {
    let (fleet, config) = invented_run("heartbeat", 3);
    let check = checked(&fleet, &config, true).unwrap();
    assert_eq!(
        (check.connections, check.load_hosts, check.interval_ms),
        (40_000, 4, 2_000)
    );
    // 40,000 every 2 s; 500,000 in the server's 25 s
    for what in ["connections held", "events", "packets", "load processes"] {
        assert!(near(ratio(&check, what), 1.0), "{what}: {check:?}");
    }
    assert!(near(ratio(&check, "server process"), 1.1));
    assert!(near(ratio(&check, "server's machine"), 1.5));
    // Both ends on one machine: 7,500 + 500 + 55 against 7,400 + 500 + 50. The load
    // generators' processes are in no record of a server.
    assert!(near(
        ratio(&check, "memory of a connection"),
        8_055.0 / 7_950.0
    ));
    let apart = checked(&fleet, &config, false).unwrap();
    assert!(near(
        ratio(&apart, "memory of a connection"),
        8_055.0 / 4_000.0
    ));
    assert!(near(ratio(&apart, "server's machine"), 3.0));
    assert!(apart.absent.contains_key("bytes at IP level"));
    let text = check_text(&apart);
    assert!(
        text.contains("four-ranks") && text.contains("3.00*"),
        "{text}"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_run_that_departs_from_the_model_shows_it() {
    let (mut fleet, config) = invented_run("heartbeat", 4);
    let server = fleet.server.as_mut().unwrap();
    server.heartbeats_received = 250_000;
    server.connections_held_at_end = 20_000;
    let check = checked(&fleet, &config, true).unwrap();
    assert!(near(ratio(&check, "events"), 0.5));
    assert!(near(ratio(&check, "connections held"), 0.5));
    assert!(near(ratio(&check, "packets"), 4.0 / 3.0));
    // The same run without its server is judged by the load generators.
    fleet.server = None;
    let alone = checked(&fleet, &config, true).unwrap();
    assert!(near(ratio(&alone, "events"), 1.0));
    assert!(near(ratio(&alone, "connections held"), 39_999.0 / 40_000.0));
    assert!(alone.absent.contains_key("memory and CPU of the server"));
}

#[test]
fn a_run_that_is_no_measure_is_refused_or_says_so_first() {
    let (mut fleet, config) = invented_run("heartbeat", 3);
    assert_eq!(checked(&fleet, &config, true).unwrap().doubts, [""; 0]);
    fleet.loads[1].connections_lost = [("reset".to_owned(), 3)].into();
    let check = checked(&fleet, &config, true).unwrap();
    assert!(check.doubts[0].contains("hosts-not-held"), "{check:?}");
    let text = check_text(&check);
    assert!(text.starts_with("WARNING: the run is not valid"), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    fleet.loads.remove(1);
    let text = check_text(&checked(&fleet, &config, true).unwrap());
    assert!(
        text.starts_with("WARNING: the record is partial: it has 3 of 4"),
        "{text}"
    );
    fleet.loads[0].host.stopped = Some("interrupted by SIGTERM".to_owned());
    let refused = checked(&fleet, &config, true).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("cut short (node-0: interrupted by SIGTERM)"),
        "{refused}"
    );
}

#[test]
fn probes_count_at_the_ends_that_send_them() {
    let (fleet, mut config) = invented_run("keepalive", 3);
    let check = checked(&fleet, &config, true).unwrap();
    assert!(near(ratio(&check, "events"), 1.0));
    assert!(!check.rows.iter().any(|row| row.what == "server process"));
    config.keepalive_side = KeepaliveSide::Both.name().to_owned();
    let both = checked(&fleet, &config, true).unwrap();
    assert!(near(ratio(&both, "events"), 0.5));
    let mut unknown = fleet.clone();
    unknown.loads[1].probes_attempted = None;
    let unknown = checked(&unknown, &config, true).unwrap();
    assert!(unknown.absent.contains_key("events"), "{unknown:?}");
}

#[test]
fn what_cannot_be_foretold_says_why() {
    let (fleet, config) = invented_run("heartbeat", 3);
    let refused = |fleet: FleetRecord| checked(&fleet, &config, true).unwrap_err();
    let of = |arm: &str| FleetRecord {
        arm: arm.to_owned(),
        ..fleet.clone()
    };
    assert_eq!(
        refused(of("pigeon")),
        CheckError::UnknownArm("pigeon".to_owned())
    );
    assert_eq!(refused(of("none")), CheckError::NoEvents("none".to_owned()));
    assert!(
        refused(of("heartbeat-push"))
            .to_string()
            .contains("compare --arms heartbeat-push")
    );
    let empty = FleetRecord {
        connections_asked: 0,
        ..fleet.clone()
    };
    assert_eq!(refused(empty), CheckError::NoConnections);
    let silent = Config {
        heartbeat_interval_ms: 0,
        ..config.clone()
    };
    assert_eq!(checked(&fleet, &silent, true), Err(CheckError::NoInterval));
}
