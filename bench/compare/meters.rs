//! The meters of a real run: probes from attempt to ACK over both paths, cores, threads and the soaker, and a burst that
//! overflows a backlog of its own making.
//!
//! Asserts what must add up, never how much it is.

use super::common::{
    alone, arm, code, host_can, record_in, ringbeat, ringbeat_apart, skipped, slices_add_up,
};
use nix::unistd::Uid;
use ringbeat::record::Record;
use std::path::Path;
use std::process::Command;

/// Keepalive after a second, in a window of three: every connection is probed at least twice. The ramp takes the second
/// between two probes, which spreads them evenly over it.
const PROBED: [&str; 13] = [
    "compare",
    "--alongside",
    "--arms",
    "keepalive",
    "--connections",
    "500",
    "--keepalive",
    "1s/1s/9",
    "--rounds=1",
    "--steady=3s",
    "--ramp-rate=500/s",
    "--seed=7",
    "--quiet",
];

fn run(mut command: Command, more: &[&str], out: &Path) -> Option<Record> {
    let output = command
        .args(PROBED)
        .args(more)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if code(&output) == Some(3) && more.contains(&"veth") {
        skipped(&said);
        return None;
    }
    assert_eq!(code(&output), Some(0), "{said}");
    Some(record_in(out))
}

/// Attempted = on the wire = delivered = acknowledged where nothing is dropped.
fn probes_add_up(record: &Record) {
    let keepalive = arm(record, "keepalive");
    let probes = keepalive.probes.as_ref().expect("keepalive was counted");
    let all = keepalive.connections_held_at_end;
    assert_eq!(all, 500);
    assert!(probes.attempted >= 2 * all, "{probes:?}");
    assert_eq!(probes.killed, 0);
    // What is under way at either end of the window may fall outside of it.
    for figure in [probes.on_the_wire, probes.delivered, probes.acks_back] {
        assert!(figure.abs_diff(probes.attempted) <= all / 10, "{probes:?}");
    }
    let wire = keepalive.wire.expect("packets were counted");
    assert!(
        (wire.packets - wire.packets_model).unsigned_abs() <= probes.attempted / 5,
        "{wire:?}"
    );
}

#[test]
fn every_probe_is_accounted_for_over_loopback() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    let Some(record) = run(ringbeat_apart(), &[], &out) else {
        return;
    };
    probes_add_up(&record);
    assert_eq!(record.config.path, "loopback");
    assert_eq!(record.config.keepalive_idle_s, 1);
    let keepalive = arm(&record, "keepalive");
    let round = &keepalive.rounds_detail[0];
    let all = slices_add_up(keepalive, |row| row.probes, Some(round.probes_attempted));
    let rows = &keepalive.slices.as_ref().unwrap().rows;
    let fullest = rows.iter().map(|row| row.probes).max();
    assert_eq!(
        fullest,
        keepalive.burst.map(|burst| burst.probes_per_10ms_max)
    );
    assert!(all > 0 && rows.iter().all(|row| row.segments == 0));
    assert!(arm(&record, "none").slices.is_none());
    let meters = round.meters.as_ref().expect("the meters ran");
    assert_eq!(
        meters.cores.len(),
        usize::try_from(record.environment.cpu_count).unwrap()
    );
    let roles: Vec<&str> = meters
        .threads
        .iter()
        .map(|thread| thread.role.as_str())
        .collect();
    assert!(
        roles.contains(&"server") && roles.contains(&"load"),
        "{roles:?}"
    );
    let noise = record.noise.as_ref().expect("idle phases were measured");
    assert_eq!(noise.idle.len(), 2, "before and after the only round");
    assert_eq!(
        meters.soaker.is_some(),
        noise.soaker_floor_ns_per_s.is_some()
    );
    if let Some(soaker) = &meters.soaker {
        let capacity = round.window_ns * u64::from(record.environment.cpu_count);
        assert!(
            soaker.stretch_ns > 0 && soaker.taken_ns <= capacity,
            "{soaker:?}"
        );
    }
}

#[test]
fn every_probe_is_accounted_for_over_veth_and_with_idle_times_spread() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    if !Uid::effective().is_root() {
        skipped("--path veth makes network namespaces, which needs root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    let more = ["--path", "veth", "--keepalive-spread", "1s"];
    let Some(record) = run(ringbeat(), &more, &out) else {
        return;
    };
    assert_eq!(
        (
            record.config.path.as_str(),
            record.config.keepalive_spread_s
        ),
        ("veth", 1)
    );
    let keepalive = arm(&record, "keepalive");
    let probes = keepalive.probes.as_ref().unwrap();
    // Half of the connections are probed every second and half every two.
    assert!(probes.attempted >= 500 && probes.delivered.abs_diff(probes.attempted) <= 50);
    assert_eq!(keepalive.connections_held_at_end, 500);
    let names = Command::new("ip").args(["netns", "list"]).output();
    let left = names.map(|output| String::from_utf8_lossy(&output.stdout).contains("ringbeat"));
    assert!(!left.unwrap_or(false), "a namespace was left behind");
}
