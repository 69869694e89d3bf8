//! `ringbeat lifecycle` as a whole: scenarios, costs, files; interrupted, without its tools, without root.

use super::child::{Running, ringbeat, run, skipped};
use super::costs::{
    a_short_queue_overflows, handshakes_add_up, time_wait_is_small, turnovers_are_right,
};
use super::lab::{
    as_nobody, networks, nothing_is_left, public_copy, turn, users_may_make_namespaces, without,
    without_namespaces,
};
use etherparse::SlicedPacket;
use nix::sys::signal::Signal;
use pcap_file::pcap::PcapReader;
use ringbeat::record::{Kind, LifecycleRecord, Record};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

fn lifecycle_in(folder: &Path) -> (Record, LifecycleRecord) {
    let record = ringbeat::report::load(folder).expect("a folder holds its record");
    let lifecycle = record.lifecycle.clone().expect("it is of a life cycle");
    (record, lifecycle)
}

/// The packets of a capture, each read by a parser that knows nothing of the record.
fn packets(path: &Path) -> Vec<(u32, bool)> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let parsed = SlicedPacket::from_ethernet(&packet.data).unwrap();
        let Some(etherparse::NetSlice::Ipv4(ip)) = &parsed.net else {
            panic!("something else than IPv4 was captured");
        };
        let Some(etherparse::TransportSlice::Tcp(tcp)) = &parsed.transport else {
            panic!("something else than TCP was captured");
        };
        let (source, target) = (ip.header().source(), ip.header().destination());
        let right = tcp.calc_checksum_ipv4(source, target).unwrap() == tcp.checksum();
        found.push((tcp.sequence_number(), right));
    }
    found
}

#[test]
fn quick_it_plays_everything_measures_everything_and_keeps_it() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let before = networks();
    let out = place.path().join("result");
    let ended = run(&format!(
        "lifecycle --alongside --quick --out {}",
        out.display()
    ));
    let (record, lifecycle) = lifecycle_in(&out);
    assert_eq!(record.kind, Kind::Lifecycle);
    // A machine too busy to watch a scene says so, and is not to be relied on.
    let disturbed = lifecycle
        .scenarios
        .iter()
        .filter(|s| s.disturbance.is_some());
    if disturbed.clone().count() == 0 {
        assert_eq!(ended.code(), 0, "{ended:#?}");
        assert!(record.valid && !record.partial, "{:?}", record.warnings);
    }
    for scenario in disturbed {
        skipped(&format!("{}: {:?}", scenario.name, scenario.disturbance));
    }
    let names: BTreeSet<&str> = lifecycle
        .scenarios
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert!(names.len() >= 20 && names.len() == lifecycle.scenarios.len());
    for scenario in &lifecycle.scenarios {
        let (held, disturbed) = (scenario.held, scenario.disturbance.is_some());
        assert!(
            held || disturbed,
            "{}: {:?}",
            scenario.name,
            scenario.checks
        );
        // What a person sees, and what other programs open.
        assert!(ended.stdout.contains(&scenario.title), "{}", scenario.name);
        let svg = std::fs::read_to_string(out.join(format!("lifecycle-{}.svg", scenario.name)));
        assert!(svg.unwrap().starts_with("<svg"));
        let captured = packets(&out.join(format!("{}.pcap", scenario.name)));
        assert!(captured.len() >= scenario.segments.len());
        assert!(
            captured.iter().all(|(_, right)| *right),
            "{}",
            scenario.name
        );
    }
    turnovers_are_right(&lifecycle.turnovers, 2_000);
    time_wait_is_small(lifecycle.time_wait.as_ref().unwrap(), 2_000);
    let ways: Vec<&str> = lifecycle
        .ports
        .iter()
        .map(|port| port.way.as_str())
        .collect();
    assert_eq!(ways.len(), 5, "{ways:?}");
    let used_up = &lifecycle.ports[0];
    assert!(used_up.connects_before_failure.is_some(), "{used_up:?}");
    let [short, usual] = lifecycle.handshakes.as_slice() else {
        panic!("two ramps");
    };
    a_short_queue_overflows(short);
    handshakes_add_up(usual, 5_000);
    nothing_is_left(&before);
    // The page is rendered again from the record alone.
    let again = run(&format!("report {}", out.display()));
    assert_eq!(again.code(), 0, "{again:#?}");
}

#[test]
fn interrupted_in_the_minute_it_keeps_what_it_has() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let before = networks();
    let out = place.path().join("result");
    let mut running = Running::start(ringbeat(&format!(
        "lifecycle --alongside --no-costs --scenarios set-up,time-wait --out {}",
        out.display()
    )));
    running.line("1 of 1 scenarios hold");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.code(), 130, "{ended:#?}");
    let (record, lifecycle) = lifecycle_in(&out);
    assert!(record.partial && !record.valid);
    assert_eq!(record.warnings[0].code, "interrupted");
    let names: Vec<&str> = lifecycle
        .scenarios
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["set-up"]);
    nothing_is_left(&before);
}

#[test]
fn without_root_it_runs_in_a_user_namespace_where_there_is_one() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let copy = public_copy(place.path());
    let out = place.path().join("result");
    let mut command = as_nobody(&copy, place.path());
    command
        .args(
            "lifecycle --alongside --quick --no-costs --scenarios half-close,closed-port"
                .split(' '),
        )
        .args(["--out", out.to_str().unwrap()]);
    let ended = Running::start(command).wait();
    if !users_may_make_namespaces(place.path()) {
        skipped("this host lets users make no namespaces; the refusal is tested instead");
        ended.refused_with(3, &["user namespace"]);
        return;
    }
    assert_eq!(ended.code(), 0, "{ended:#?}");
    let (_, lifecycle) = lifecycle_in(&out);
    assert_eq!(lifecycle.laboratory, "user-namespace");
    assert!(lifecycle.scenarios.iter().all(|scenario| scenario.held));
}

#[test]
fn what_the_host_refuses_is_code_3_with_the_reason() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    let arguments = format!(
        "lifecycle --alongside --quick --no-costs --scenarios set-up --out {}",
        out.display()
    );
    if let Some(command) = without("ip", &arguments) {
        let ended = Running::start(command).wait();
        ended.refused_with(3, &["iproute2", "apt-get install"]);
    }
    let output = without_namespaces(ringbeat(&arguments));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("namespace") && said.contains("root"),
        "{said}"
    );
}

#[test]
fn absurd_flags_are_usage_errors_that_name_what_there_is() {
    let ended = run("lifecycle --scenarios four-way-handshake");
    ended.refused_with(2, &["four-way-handshake", "set-up", "half-close"]);
    for arguments in [
        "lifecycle --connections 0",
        "lifecycle --handshake -1",
        "lifecycle --tick 0ms",
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code(), 2, "`{arguments}`: {ended:#?}");
    }
}
