//! Runs of the built binary: what they hold, what they leave, how they end.
//!
//! Asserts counts and files, never a time or a speed. `--alongside` because another test binary may hold the lock.

use super::common::{
    alone, arm, code, host_can, record_in, ringbeat, ringbeat_apart, skipped, slices_add_up,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::FromRead as _;
use ringbeat::record::Record;
use std::io::{BufRead as _, BufReader};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};

/// Small and short: one-second heartbeats, a window of four thirds of it, one round.
const SMALL: [&str; 11] = [
    "compare",
    "--alongside",
    "--connections",
    "600",
    "--rounds",
    "1",
    "--interval",
    "1s",
    "--timeout",
    "8s",
    "--seed=7",
];

/// A run that is killed if its test fails.
struct Run(Child);

impl Run {
    /// Starts a small run and returns once a line of its progress holds `text`.
    fn until(out: &Path, text: &str) -> (Self, BufReader<ChildStderr>) {
        let mut child = ringbeat()
            .args(SMALL)
            .arg("--out")
            .arg(out)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while lines.read_line(&mut line).expect("text") > 0 {
            if line.contains(text) {
                return (Self(child), lines);
            }
            line.clear();
        }
        panic!("the run ended before it said `{text}`: {:?}", child.wait());
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"))
    }

    fn code(&mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_arm_holds_what_it_opened_and_both_ends_count_alike() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    let output = ringbeat_apart()
        .args(SMALL)
        .args(["--quiet", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(0));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("heartbeat-oneway") && table.contains("RTT p99.9"),
        "{table}"
    );
    let record = record_in(&out);
    assert!(record.valid && !record.partial, "{:?}", record.warnings);
    audit(&record);
    traffic(&record);
    latency(&record, &out);
    let again = ringbeat().arg("report").arg(&out).output().unwrap();
    assert_eq!(code(&again), Some(0));
    assert_eq!(
        String::from_utf8(again.stdout).unwrap(),
        table,
        "the same record, the same table"
    );
}

/// What is compared only on request: probes are events where nothing else flows, and stand beside the exchanges where
/// heartbeats flow too.
#[test]
fn keepalive_with_a_user_timeout_and_keepalive_beside_heartbeats_run_when_asked_for() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    let arguments = "compare --alongside --connections 300 --rounds 1 --interval 2s --timeout 8s --ramp-rate 300/s \
                     --seed=7 --arms keepalive-user-timeout,both --out";
    let output = ringbeat_apart()
        .args(arguments.split_whitespace())
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(0));
    plain_lines(&output.stderr);
    let record = record_in(&out);
    assert!(record.valid, "{:?}", record.warnings);
    assert_eq!(record.arms.len(), 3);
    let timed = arm(&record, "keepalive-user-timeout");
    assert!(timed.events > Some(0) && timed.probes.is_some());
    let both = arm(&record, "both");
    let round = &both.rounds_detail[0];
    assert!(both.events >= Some(300) && both.probes.is_none());
    assert!(round.probes_attempted > 0, "{round:?}");
    assert_eq!(round.heartbeats_sent_total, round.heartbeats_received_total);
    assert!(both.packets_per_event_model > Some(3.0));
    slices_add_up(both, |row| row.probes, Some(round.probes_attempted));
    for arm in [timed, both] {
        assert_eq!(arm.connections_held_at_end, 300, "{}", arm.name);
        assert!(arm.connections_lost.is_empty(), "{}", arm.name);
    }
}

/// Asked = established = held in every arm, and both ends count the same heartbeats.
fn audit(record: &Record) {
    assert_eq!(record.arms.len(), 5);
    for arm in &record.arms {
        let (asked, established, held) = (
            arm.connections_requested,
            arm.connections_established,
            arm.connections_held_at_end,
        );
        assert_eq!((asked, established, held), (600, 600, 600), "{}", arm.name);
        assert_eq!(arm.drops.cq_overflow, 0, "{}", arm.name);
        assert!(
            arm.connections_lost.is_empty(),
            "{}: {:?}",
            arm.name,
            arm.connections_lost
        );
        for round in &arm.rounds_detail {
            // Everything in flight had arrived when the totals were taken.
            let (sent, received) = (round.heartbeats_sent_total, round.heartbeats_received_total);
            assert_eq!(sent, received, "{}", arm.name);
            assert_eq!(sent > 0, arm.name.starts_with("heartbeat"), "{}", arm.name);
        }
    }
}

/// Two intervals of 600 connections make 1200 events, give or take the ends; packets follow the protocol.
fn traffic(record: &Record) {
    assert_eq!(arm(record, "none").events, None);
    assert!(
        arm(record, "none").absent.contains_key("events"),
        "an absent figure says why"
    );
    for name in [
        "keepalive",
        "heartbeat",
        "heartbeat-oneway",
        "heartbeat-push",
    ] {
        let arm = arm(record, name);
        assert!(arm.events > Some(600), "{name}: {:?}", arm.events);
        // A frame is a segment of its own; the halves' window is the longer one, by what it takes to open and close it.
        if name != "keepalive" {
            let round = &arm.rounds_detail[0];
            let acked = u64::from(name != "heartbeat-oneway");
            let frames = round.heartbeats_sent + acked * round.heartbeats_received;
            let seen = slices_add_up(arm, |row| row.segments, None);
            assert!(seen * 2 > frames, "{name}: {seen} of {frames}");
        }
        let measured = arm.packets_per_event.unwrap();
        let model = arm.packets_per_event_model.unwrap();
        // Young connections acknowledge at once instead of with their answer (quick ACKs): up to one packet
        // more.
        assert!(
            (model - 0.5..=model + 1.2).contains(&measured),
            "{name}: {measured} for {model}"
        );
    }
}

/// The two answered arms have their histograms, in the record and as files; the others say why not.
fn latency(record: &Record, out: &Path) {
    for name in ["heartbeat", "heartbeat-push"] {
        let arm = arm(record, name);
        let rtt = &arm.histograms["rtt"];
        assert!(rtt.count > 600 && rtt.p50 > 0, "{rtt:?}");
        assert!(rtt.p50 <= rtt.p99 && rtt.p99 <= rtt.max, "{rtt:?}");
        assert!(arm.histograms.contains_key("response"));
        for ending in ["hgrm", "hlog"] {
            assert!(
                out.join(format!("{name}.rtt.{ending}")).is_file(),
                "{name}.rtt.{ending}"
            );
        }
    }
    let keepalive = arm(record, "keepalive");
    assert!(!keepalive.histograms.contains_key("rtt") && keepalive.absent.contains_key("rtt"));
    let samples = std::fs::read_to_string(out.join("samples.csv")).unwrap();
    assert!(samples.lines().count() > record.arms.len(), "{samples}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("heartbeat-push"));
}

/// Where there is no terminal each phase of each trial has a line, and nothing is drawn.
fn plain_lines(said: &[u8]) {
    let said = String::from_utf8_lossy(said);
    assert!(!said.contains('\u{1b}') && !said.contains('█'), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with('[')).collect();
    let of = |arm: &str, phase: &str| {
        let words = [arm, phase, "300 of 300 connections, ", " gone, about "];
        let line = lines
            .iter()
            .find(|line| words.iter().all(|word| line.contains(word)));
        *line.unwrap_or_else(|| panic!("no line of {arm}{phase}: {said}"))
    };
    for (arm, acked) in [("none", false), ("both", true)] {
        let steady = of(arm, ", round 1, steady: ");
        assert_eq!(steady.contains(", rtt p99 "), acked, "{steady}");
        assert!(
            steady.contains(", cpu ") && steady.contains(" (server "),
            "{steady}"
        );
    }
    assert!((6..40).contains(&lines.len()), "{said}");
}

#[test]
fn ctrl_c_ends_in_a_partial_record() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("cut");
    let (mut run, _lines) = Run::until(&out, ", steady:");
    kill(run.pid(), Signal::SIGINT).unwrap();
    assert_eq!(run.code(), Some(130));
    let record = record_in(&out);
    assert!(record.partial && !record.valid);
    assert_eq!(record.warnings[0].code, "interrupted");
}

#[test]
fn a_half_that_dies_ends_the_run_with_its_name() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("half");
    let (mut run, _lines) = Run::until(&out, ", steady:");
    let parent = run.pid().as_raw();
    let server = procfs::process::all_processes()
        .unwrap()
        .filter_map(Result::ok)
        .find(|process| {
            process.stat().is_ok_and(|stat| stat.ppid == parent)
                && process
                    .cmdline()
                    .is_ok_and(|line| line.iter().any(|word| word == "serve"))
        })
        .expect("the server half is a child of the run");
    kill(Pid::from_raw(server.pid), Signal::SIGKILL).unwrap();
    assert_eq!(run.code(), Some(1));
    let record = record_in(&out);
    assert!(record.partial);
    assert_eq!(record.warnings[0].code, "half-died");
    assert!(
        record.warnings[0].message.contains("server"),
        "{:?}",
        record.warnings[0]
    );
}

#[test]
fn a_second_measurement_waits_its_turn() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let name = SocketAddr::from_abstract_name("ringbeat-measures").unwrap();
    // Whether this test holds the lock or a run beside it does, it is held.
    let _held = UnixListener::bind_addr(&name);
    let place = tempfile::tempdir().unwrap();
    let output = ringbeat()
        .args(["compare", "--connections", "10", "--out"])
        .arg(place.path().join("second"))
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--alongside"));
    assert_eq!(
        std::fs::read_dir(place.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn what_the_host_cannot_do_is_said_before_the_first_connection() {
    let _alone = alone();
    if !host_can() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let unwritable = ringbeat()
        .args(SMALL)
        .arg("--out")
        .arg(file.join("below"))
        .output()
        .unwrap();
    assert_eq!(code(&unwritable), Some(3));
    let memory = procfs::Meminfo::from_file("/proc/meminfo").map(|info| info.mem_total);
    if memory.is_ok_and(|bytes| bytes < 64 << 30) {
        let out = place.path().join("large");
        let large = ringbeat()
            .args(["compare", "--alongside", "--connections", "10M", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        assert_eq!(code(&large), Some(3));
        assert!(String::from_utf8_lossy(&large.stderr).contains("ask for --connections"));
        assert!(!out.exists());
    } else {
        skipped("this host may hold ten million connections");
    }
}

#[test]
fn absurd_flags_are_usage_errors() {
    for flags in [
        &["--rounds", "0"][..],
        &["--connections", "0"],
        &["--arms", "heartbeat,ping"],
        &["--steady", "0s"],
        &["--detect-within", "2s"],
        &["--tick", "0ms"],
    ] {
        let output = ringbeat().arg("compare").args(flags).output().unwrap();
        assert_eq!(code(&output), Some(2), "{flags:?}");
        assert!(!output.stderr.is_empty());
    }
}
