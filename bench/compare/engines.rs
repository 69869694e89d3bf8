//! Every engine and driver behind the same checks, and what happens when their queues are too small.
//!
//! Asserts counts, never a time or a speed.

use super::common::{alone, arm, code, host_can, record_in, ringbeat_apart, skipped};
use ringbeat::record::Record;
use std::process::Command;

/// A window of a second, one round.
const SHORT: [&str; 9] = [
    "--alongside",
    "--arms",
    "heartbeat",
    "--rounds",
    "1",
    "--steady",
    "1s",
    "--seed",
    "7",
];
/// Half-second heartbeats.
const QUICK: [&str; 4] = ["--interval", "500ms", "--timeout", "4s"];

/// Runs `compare` with `SHORT` and `more`; the exit code and the record.
fn run(mut command: Command, more: &[&str]) -> (Option<i32>, Record) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let timed = more.iter().any(|flag| flag.starts_with("--interval"));
    let output = command
        .arg("compare")
        .args(SHORT)
        .args(if timed { &[][..] } else { &QUICK[..] })
        .args(more)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    (code(&output), record_in(&out))
}

/// Asked, established and held are the same, and every heartbeat sent was received and answered.
fn holds(record: &Record, names: &[&str], connections: u64) {
    for name in names {
        let arm = arm(record, name);
        let counts = [
            arm.connections_requested,
            arm.connections_established,
            arm.connections_held_at_end,
        ];
        assert_eq!(counts, [connections; 3], "{name}: {:?}", record.warnings);
        for round in &arm.rounds_detail {
            let (sent, received) = (round.heartbeats_sent_total, round.heartbeats_received_total);
            assert_eq!(sent, received, "{name}");
            assert!(sent > 0 || arm.is_control(), "{name} sent nothing");
        }
    }
}

/// Every engine in one run, each beside a control of its own.
fn every_engine_of(engines: &[&str], driver: &str, connections: u64, timing: &[&str]) {
    let (named, population) = (engines.join(","), connections.to_string());
    let asked = [
        "--engines",
        &named,
        "--driver",
        driver,
        "--connections",
        &population,
    ];
    let (code, record) = run(ringbeat_apart(), &[&asked[..], timing].concat());
    assert_eq!(code, Some(0), "{engines:?}: {:?}", record.warnings);
    assert_eq!(record.config.engines, engines);
    assert_eq!(record.config.driver, driver);
    for engine in engines {
        let single = engines.len() == 1;
        let [control, heartbeat] = ["none", "heartbeat"].map(|name| {
            if single {
                name.to_owned()
            } else {
                format!("{name}@{engine}")
            }
        });
        holds(&record, &[&control, &heartbeat], connections);
        let arm = arm(&record, &heartbeat);
        assert_eq!((arm.engine.as_str(), &arm.control), (*engine, &control));
    }
}

#[test]
fn twenty_thousand_go_through_every_engine() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let slower = ["--interval=3s", "--timeout=12s", "--ramp-rate=20k/s"];
    let through = |engines: &[&str], held| every_engine_of(engines, "tick", held, &slower);
    // epoll takes an open file for each, and this host may not allow so many.
    let (_, most) = ringbeat::os::limits::nofile().unwrap();
    let files = most.saturating_sub(200);
    if files < 20_000 {
        skipped(&format!(
            "epoll with 20,000: the limit on open files is {most}; {files} it is"
        ));
        through(&["uring", "uring-recv"], 20_000);
        through(&["epoll"], files);
    } else {
        through(&["uring", "uring-recv", "epoll"], 20_000);
    }
}

#[test]
fn a_thread_per_ring_holds_them_too() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let engines = ["uring", "uring-recv", "epoll"];
    every_engine_of(&engines, "thread-per-ring", 1200, &QUICK);
}

#[test]
fn threads_of_one_core_take_turns_at_its_listener() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    // A low limit on open files makes several rings per core necessary, and so several threads.
    let mut limited = Command::new("sh");
    let script = r#"ulimit -n 600 && exec "$0" "$@""#;
    limited.args(["-c", script, env!("CARGO_BIN_EXE_ringbeat")]);
    let more = ["--driver", "thread-per-ring", "--connections", "3000"];
    let (code, record) = run(limited, &more);
    assert!(
        !record.config.ring_plan.contains("× 1 ring ×"),
        "{}",
        record.config.ring_plan
    );
    holds(&record, &["none", "heartbeat"], 3000);
    assert_eq!(code, Some(0), "{:?}", record.warnings);
}

#[test]
fn a_tiny_completion_queue_overflows_loses_nothing_and_invalidates_the_run() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let more = [
        "--completion-entries",
        "16",
        "--phases",
        "aligned",
        "--connections",
        "1000",
    ];
    let (code, record) = run(ringbeat_apart(), &more);
    assert_eq!(code, Some(1));
    holds(&record, &["none", "heartbeat"], 1000);
    assert!(arm(&record, "heartbeat").drops.cq_overflow > 0);
    assert!(
        record
            .warnings
            .iter()
            .any(|warning| warning.code == "cq-overflow")
    );
}

#[test]
fn too_few_receive_buffers_are_counted_and_lose_nothing() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let more = [
        "--engine",
        "uring-recv",
        "--receive-buffers",
        "1",
        "--phases",
        "aligned",
        "--connections",
        "1000",
    ];
    let (_, record) = run(ringbeat_apart(), &more);
    holds(&record, &["none", "heartbeat"], 1000);
    assert!(arm(&record, "heartbeat").drops.receive_buffers > 0);
    assert!(
        record
            .warnings
            .iter()
            .any(|warning| warning.code == "receive-buffers")
    );
}

#[test]
fn epoll_beyond_the_limit_on_open_files_is_refused_with_the_remedies() {
    let mut limited = Command::new("sh");
    let script = r#"ulimit -n 600 && exec "$0" "$@""#;
    limited.args(["-c", script, env!("CARGO_BIN_EXE_ringbeat")]);
    let output = limited
        .args([
            "compare",
            "--engine",
            "epoll",
            "--connections",
            "1000",
            "--arms",
            "heartbeat",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code(&output), Some(3));
    assert!(
        said.contains("--engine uring") && said.contains("ulimit -n"),
        "{said}"
    );
    if !host_can() {
        skipped("whether uring would hold them");
    }
}
