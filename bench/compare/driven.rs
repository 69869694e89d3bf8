//! `compare --fleet`: load generators that somebody else started, here processes of the same host, driven by the server's.
//!
//! Asserts counts and names, never a time. Both load generators share this host's kernel, which a real fleet's do not.

use super::common::{alone, code, host_can, record_in, ringbeat};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ringbeat::record::{Record, ShardRecord};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// Ends a process if its test fails.
struct Ends(Child);

impl Ends {
    fn start(mut command: Command) -> (Self, BufReader<ChildStderr>) {
        let mut child = command
            .env("RINGBEAT_TOKEN", "of no use to anybody else")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        (Self(child), lines)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The rest of the first line that begins so.
fn line(lines: &mut BufReader<ChildStderr>, begins: &str) -> String {
    let mut line = String::new();
    while lines.read_line(&mut line).expect("text") > 0 {
        if let Some(rest) = line.strip_prefix(begins) {
            return rest.trim_end().to_owned();
        }
        line.clear();
    }
    panic!("the process ended before it said `{begins}`");
}

/// Reads what else is said, so that nobody waits for a reader; then how it ended.
fn finish(mut running: Ends, mut lines: BufReader<ChildStderr>) -> (Option<i32>, String) {
    let mut said = String::new();
    while lines.read_line(&mut said).expect("text") > 0 {}
    let status = running.0.wait().expect("it was started");
    println!("{said}");
    (status.code(), said)
}

struct Run {
    place: tempfile::TempDir,
    captain: (Ends, BufReader<ChildStderr>),
    loads: Vec<(Ends, BufReader<ChildStderr>)>,
}

impl Run {
    fn out(place: &Path) -> PathBuf {
        place.join("out")
    }

    fn start() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let plan = place.path().join("plan.toml");
        let text = "rendezvous = \"127.0.0.1:0\"\nshards = 2\ntargets = [\"127.0.0.1\"]\n";
        std::fs::write(&plan, text).expect("a plan");
        let mut compare = ringbeat();
        compare
            .args("compare --alongside --connections 401 --arms heartbeat --rounds 1".split(' '))
            .args("--interval 1s --timeout 8s --settle 0s --steady 1500ms --seed 7".split(' '))
            .arg("--fleet")
            .arg(&plan)
            .arg("--out")
            .arg(Self::out(place.path()));
        let mut captain = Ends::start(compare);
        let said = line(&mut captain.1, "rendezvous on ");
        let address = said.split(": ").next().expect("an address").to_owned();
        let loads = ["alpha", "beta"].iter().zip(0..).map(|(name, shard)| {
            let mut load = ringbeat();
            load.args([
                "load",
                "--driven",
                "--rendezvous",
                &address,
                "--host-name",
                name,
            ]);
            load.args(["--shard", &format!("{shard}/2")]);
            Ends::start(load)
        });
        Self {
            loads: loads.collect(),
            place,
            captain,
        }
    }
}

fn hosts(record: &Record) -> &[ShardRecord] {
    let arm = record.arms.iter().find(|arm| arm.name == "heartbeat");
    &arm.expect("it ran").rounds_detail[0].hosts
}

#[test]
fn load_generators_elsewhere_hold_what_was_asked_for_and_each_stays_visible() {
    if !host_can() {
        return;
    }
    let _alone = alone();
    let run = Run::start();
    for (load, lines) in run.loads {
        let (code, said) = finish(load, lines);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.matches("loading:").count(), 2, "once a trial: {said}");
    }
    let (code, said) = finish(run.captain.0, run.captain.1);
    assert_eq!(code, Some(0), "{said}");
    let record = record_in(&Run::out(run.place.path()));
    assert!(record.valid && record.config.path == "fleet");
    for arm in &record.arms {
        let round = &arm.rounds_detail[0];
        assert_eq!(arm.connections_requested, 401);
        assert_eq!(arm.connections_established, 401);
        assert_eq!(arm.connections_held_at_end, 401);
        let shares: Vec<(u64, u64)> = round
            .hosts
            .iter()
            .map(|host| (host.connections_established, host.connections_held_at_end))
            .collect();
        assert_eq!(shares, [(201, 201), (200, 200)], "{}", arm.name);
        assert_eq!(arm.cpu_ns.load_process, None);
        assert!(arm.absent["cpu_ns.load_process"].contains("other hosts"));
        assert!(arm.absent.contains_key("load_cpu_ns_per_event"));
        assert_eq!(arm.memory_bytes_per_connection.load_user, None);
    }
    assert!(record.samples.iter().all(|row| row.load_cpu_ns.is_none()));
    let hosts = hosts(&record);
    let names: Vec<&str> = hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(names, ["alpha", "beta"]);
    let count = |host: &ShardRecord| host.rtt.as_ref().expect("acked heartbeats").count;
    let heartbeat = record.arms.iter().find(|arm| arm.name == "heartbeat");
    let all = &heartbeat.expect("it ran").histograms["rtt"];
    assert!(all.count > 0);
    assert_eq!(all.count, hosts.iter().map(count).sum::<u64>());
}

#[test]
fn a_load_generator_that_is_killed_ends_the_run_and_is_named() {
    if !host_can() {
        return;
    }
    let _alone = alone();
    let mut run = Run::start();
    // The second trial: one is whole and is kept.
    let (mut doomed, mut lines) = run.loads.pop().expect("two were started");
    line(&mut lines, "loading: ");
    line(&mut lines, "loading: ");
    doomed.0.kill().expect("it runs");
    let (code, said) = finish(run.captain.0, run.captain.1);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("shard 1 (host beta)"), "{said}");
    let record = record_in(&Run::out(run.place.path()));
    assert!(record.partial && !record.valid);
    let first = &record.warnings[0];
    assert_eq!(first.code, "load-host-failed");
    assert!(first.message.contains("shard 1 (host beta)"), "{first:?}");
    let (other, lines) = run.loads.pop().expect("two were started");
    let (code, said) = finish(other, lines);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("ended the run") && said.contains("host beta"),
        "{said}"
    );
}

#[test]
fn a_load_generator_that_is_asked_to_end_says_so_to_all() {
    if !host_can() {
        return;
    }
    let _alone = alone();
    let mut run = Run::start();
    let (asked, mut lines) = run.loads.pop().expect("two were started");
    line(&mut lines, "loading: ");
    let pid = Pid::from_raw(i32::try_from(asked.0.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    let (code, said) = finish(asked, lines);
    assert_eq!(code, Some(143), "{said}");
    let (code, said) = finish(run.captain.0, run.captain.1);
    assert_eq!(code, Some(1), "{said}");
    let why = "shard 1 (host beta): interrupted by signal 15";
    assert!(said.contains(why), "{said}");
}

#[test]
fn load_generators_whose_captain_is_gone_end_with_the_reason() {
    if !host_can() {
        return;
    }
    let _alone = alone();
    let mut run = Run::start();
    for (_, lines) in &mut run.loads {
        line(lines, "loading: ");
    }
    run.captain.0.0.kill().expect("it runs");
    for (load, lines) in run.loads {
        let (code, said) = finish(load, lines);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is gone"), "{said}");
    }
}

#[test]
fn what_makes_no_sense_with_a_fleet_is_refused_before_anybody_is_waited_for() {
    let place = tempfile::tempdir().expect("a folder");
    let plan = place.path().join("plan.toml");
    std::fs::write(&plan, "rendezvous = \"127.0.0.1:0\"\nshards = 0\n").expect("a plan");
    let refused = |arguments: &str| -> (Output, String) {
        let ended = ringbeat()
            .args(arguments.split(' '))
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        (ended, said)
    };
    let plan = plan.display();
    for (arguments, why) in [
        (format!("compare --fleet {plan} --path veth"), "--path"),
        (
            format!("compare --fleet {plan} --load-cores 0"),
            "--load-cores",
        ),
        (format!("compare --fleet {plan}"), "line 2, key `shards`"),
        ("load --driven".to_owned(), "--rendezvous"),
        (
            "load --driven --rendezvous 127.0.0.1:1 --connections 5".to_owned(),
            "--connections",
        ),
        (
            "load --driven --rendezvous 127.0.0.1:1 --target 127.0.0.1:1".to_owned(),
            "--target",
        ),
    ] {
        let (ended, said) = refused(&arguments);
        assert_eq!(code(&ended), Some(2), "{arguments}: {said}");
        assert!(said.contains(why), "{arguments}: {said}");
    }
}
