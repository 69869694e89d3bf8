//! Climbs that meet trouble: memory ends, a half dies, queues overflow, a user asks for what cannot be.

use super::place::{Place, apart, code, said, skipped};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ringbeat::record::Record;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

/// Slow enough that a guard which looks ten times a second sees the limit come.
const LIMITED: &str = "--memory-limit 60MiB --ramp-rate 20k/s --steady 1s --floor none";

fn codes(record: &Record) -> Vec<&str> {
    record
        .warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect()
}

#[test]
fn a_ramp_stops_at_the_memory_limit_and_that_is_the_top() {
    let Some(place) = Place::take() else { return };
    let output = place
        .scale(
            &format!("--ladder 3k,20k --arms none,heartbeat {LIMITED}"),
            "",
        )
        .output()
        .unwrap();
    // The host could not do what was asked for by number, and what was measured stands.
    assert_eq!(code(&output), Some(3));
    let text = said(&output);
    assert!(
        text.contains("stopped at memory") && text.contains("--memory-limit 60 MiB"),
        "{text}"
    );
    let (record, scale) = place.record();
    assert!(!record.partial && record.valid, "{:?}", record.warnings);
    assert!(
        codes(&record).contains(&"stopped-at-memory"),
        "{:?}",
        record.warnings
    );
    assert_eq!(scale.not_reached, Some(20_000));
    let stop = &scale.stops[0];
    assert_eq!(
        (stop.bound.as_str(), stop.connections_requested),
        ("memory-limit", 20_000)
    );
    // 60 MiB are at most 8,777 connections, for none takes less than its two sockets.
    assert!((1..=8_777).contains(&stop.connections_open), "{stop:?}");
    assert!(stop.bytes_per_connection >= 7_168, "{stop:?}");
    let last = scale.rungs.last().unwrap();
    assert!(last.connections <= 8_777, "{}", last.connections);
    for arm in &last.arms {
        assert_eq!(
            arm.connections_held_at_end, last.connections,
            "{}",
            arm.name
        );
    }
}

#[test]
fn max_is_what_the_limit_leaves_and_no_failure() {
    let Some(place) = Place::take() else { return };
    let flags = format!("--ladder 1k,max --arms none {LIMITED} --quiet");
    let output = place.scale(&flags, "").output().unwrap();
    assert_eq!(code(&output), Some(0));
    let (record, scale) = place.record();
    assert!(record.valid, "{:?}", record.warnings);
    assert_eq!((scale.not_reached, scale.asked.len()), (None, 2));
    let top = scale.rungs.last().unwrap();
    assert!(
        (1_100..=8_777).contains(&top.connections),
        "{}",
        top.connections
    );
}

#[test]
fn a_load_generator_by_hand_stops_at_its_limit_too() {
    let Some(place) = Place::take() else { return };
    let script = r#"&& { "$0" serve --listen 127.0.0.1:7000 --connections 20k --quiet --for 60s >/dev/null 2>&1 &
        server=$!; trap 'kill $server; wait $server' EXIT
        for try in 1 2 3 4 5 6 7 8 9 10; do grep -q ":1B58 " /proc/net/tcp && break; sleep 0.2; done
        "$0" load --target 127.0.0.1:7000 --connections 20k --ramp-rate 15k --memory-limit 40MiB --for 60s
        exit $?; }"#;
    let mut command = Command::new("unshare");
    let script = format!("ip link set lo up {script}");
    let binary = env!("CARGO_BIN_EXE_ringbeat");
    command.args(["--net", "--map-root-user", "sh", "-c", &script, binary]);
    if apart("").is_none() {
        skipped("no network namespace to be had");
        return;
    }
    let output = command.output().unwrap();
    assert_eq!(code(&output), Some(3));
    let text = said(&output);
    assert!(
        text.contains("stopped at memory") && text.contains("--memory-limit 40 MiB"),
        "{text}"
    );
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        report.contains("asked 20,000, established") && report.contains("lost 0"),
        "{report}"
    );
    drop(place);
}

/// A run that is killed if its test fails.
struct Run(Child);

impl Run {
    /// Starts a run and returns once a line of its progress holds `text`.
    fn until(mut command: Command, text: &str) -> (Self, BufReader<ChildStderr>) {
        let mut child = command
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

    /// The half that was started as `subcommand`. `unshare` and `sh` become the binary, so the run is our child.
    fn half(&self, subcommand: &str) -> Pid {
        let parent = i32::try_from(self.0.id()).unwrap();
        let half = procfs::process::all_processes()
            .unwrap()
            .filter_map(Result::ok)
            .find(|process| {
                process.stat().is_ok_and(|stat| stat.ppid == parent)
                    && process
                        .cmdline()
                        .is_ok_and(|line| line.iter().any(|word| word == subcommand))
            })
            .expect("both halves are children of the run");
        Pid::from_raw(half.pid)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills the half `victim` once the run says `moment`; the run ends with code 1, names the half, and takes the other
/// one with it.
fn one_half_dies(flags: &str, moment: &str, victim: &str, role: &str) {
    let Some(place) = Place::take() else { return };
    let (mut run, _lines) = Run::until(place.scale(flags, ""), moment);
    let halves = [run.half("serve"), run.half("load")];
    kill(run.half(victim), Signal::SIGKILL).unwrap();
    assert_eq!(run.0.wait().unwrap().code(), Some(1));
    for half in halves {
        assert!(kill(half, None).is_err(), "{half} is still there");
    }
    let (record, _) = place.record();
    assert!(record.partial && !record.valid);
    assert_eq!(record.warnings[0].code, "half-died");
    assert!(
        record.warnings[0].message.contains(role),
        "{:?}",
        record.warnings[0]
    );
}

#[test]
fn a_load_generator_killed_in_mid_ramp_ends_the_climb_with_its_name() {
    let flags = "--ladder 10k --ramp-rate 1k/s --arms none --floor none";
    one_half_dies(flags, ", ramp:", "load", "load process");
}

#[test]
fn a_server_killed_with_its_connections_open_ends_the_climb_with_its_name() {
    let flags = "--ladder 4k --arms none,heartbeat --steady 20s --floor none";
    one_half_dies(flags, ", steady:", "serve", "server process");
}

#[test]
fn full_accept_queues_are_said_and_not_retried_into_silence() {
    let Some(place) = Place::take() else { return };
    let short = "&& echo 4 > /proc/sys/net/core/somaxconn";
    if apart(short).is_none() {
        skipped("no network namespace to be had; the host's accept queues stay as they are");
        return;
    }
    let flags = "--ladder 1k --in-flight 500 --arms none --steady 1s --floor none --quiet";
    let output = place.scale(flags, short).output().unwrap();
    let ended = code(&output);
    let text = said(&output);
    // The doctor comes first, with what it would take.
    for words in ["accept queues at 4", "`sudo sysctl -w net.core.somaxconn="] {
        assert!(text.contains(words), "{text}");
    }
    let (record, scale) = place.record();
    assert!(
        codes(&record).contains(&"accept-queue-overflow"),
        "{:?}",
        record.warnings
    );
    let arm = &scale.rungs[0].arms[0];
    let met = arm.rounds_detail[0].opening.pressure;
    assert!(
        met.listen_overflows > 0 && met.listen_drops >= met.listen_overflows,
        "{met:?}"
    );
    // Whether the kernel's repetitions brought every connection in before the window is up to them; if not, the run
    // does not pass for whole.
    if arm.connections_held_at_end == 1_000 {
        assert_eq!(ended, Some(0));
    } else {
        assert_eq!(ended, Some(1));
        assert!(
            codes(&record).contains(&"not-established"),
            "{:?}",
            record.warnings
        );
    }
}

#[test]
fn an_interrupted_climb_keeps_the_rungs_it_has() {
    let Some(place) = Place::take() else { return };
    // The second rung takes twenty seconds to open, so it is interrupted in the midst of it.
    let flags = "--ladder 1k,20k --ramp-rate 1k/s --arms none --steady 1s --floor none";
    let (mut run, _lines) = Run::until(place.scale(flags, ""), "rung of 20,000, ramp:");
    kill(
        Pid::from_raw(i32::try_from(run.0.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    assert_eq!(run.0.wait().unwrap().code(), Some(130));
    let (record, scale) = place.record();
    assert!(record.partial && record.warnings[0].code == "interrupted");
    assert_eq!(scale.rungs.len(), 1);
    assert_eq!(scale.rungs[0].connections, 1_000);
}

#[test]
fn absurd_flags_are_usage_errors() {
    for flags in [
        "--ladder 0",
        "--ladder 10k,top",
        "--up-to 0",
        "--tick-sweep 4ms --ladder 1k,2k",
        "--tick-sweep 0ms",
        "--tick-sweep 4ms --hold 1m",
        "--hold 1m --arms keepalive",
        "--floor all",
        "--memory-limit 10",
        "--in-flight 0",
        "--rounds 0",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ringbeat"))
            .arg("scale")
            .args(flags.split_whitespace())
            .output()
            .unwrap();
        assert_eq!(code(&output), Some(2), "{flags}");
        assert!(
            !output.stderr.is_empty() && output.stdout.is_empty(),
            "{flags}"
        );
    }
}
