//! Load generators on several hosts, here processes of one, and their server: one run, or one end with its reason.

use super::child::{Ended, Running, ringbeat};
use nix::sys::signal::Signal;
use ringbeat::record::{FleetRecord, Record};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const TOKEN: &str = "of no use to anybody else";
const RUN: &str = "--connections 301 --arm heartbeat --interval 1s --timeout 20s";

/// A command of the run, with the token.
fn command(arguments: &str) -> Command {
    let mut command = ringbeat(&format!("{arguments} {RUN}"));
    command.env("RINGBEAT_TOKEN", TOKEN);
    command
}

/// A server at which load generators meet.
struct Host {
    server: Running,
    rendezvous: String,
    port: String,
}

impl Host {
    fn start(shards: u32, more: &str) -> Self {
        let mut server = Running::start(command(&format!(
            "serve --rendezvous 127.0.0.1:0 --shards {shards} {more}"
        )));
        let rendezvous = server.line("rendezvous on ");
        let address = server.line("listening on ");
        let (_, port) = address.rsplit_once(':').unwrap();
        Self {
            server,
            rendezvous,
            port: port.to_owned(),
        }
    }

    fn load(&self, more: &str) -> Command {
        let (port, rendezvous) = (&self.port, &self.rendezvous);
        command(&format!(
            "load --target loopback:{port} --rendezvous {rendezvous} --settle 100ms {more}"
        ))
    }
}

fn record(folder: &Path) -> Record {
    let text = std::fs::read_to_string(folder.join("record.json"))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    serde_json::from_str(&text).unwrap()
}

fn fleet(folder: &Path) -> FleetRecord {
    record(folder).fleet.unwrap()
}

fn good(ended: &Ended) {
    assert_eq!(ended.code(), 0, "{ended:#?}");
}

#[test]
fn shards_and_their_server_are_one_run() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let host = Host::start(3, &format!("--for 2s --out {}", at("server").display()));
    let loads: Vec<Running> = (0..3)
        .map(|shard| {
            let out = at("load");
            Running::start(host.load(&format!(
                "--for 2s --shard {shard}/3 --host-name host-{shard} --out {}",
                out.display()
            )))
        })
        .collect();
    for load in loads {
        good(&load.wait());
    }
    good(&host.server.wait());
    let folders: Vec<PathBuf> = ["load-0", "load-1", "load-2", "server"].map(at).into();
    let parts: Vec<FleetRecord> = folders.iter().map(|folder| fleet(folder)).collect();
    for (shard, (part, share)) in (0..).zip(parts.iter().zip([101, 100, 100])) {
        let load = &part.loads[0];
        assert_eq!((load.shard, load.connections_asked), (shard, share));
        assert_eq!(load.connections_established, share);
        assert_eq!(load.connections_held_at_end, share);
        assert_eq!(load.host.name, format!("host-{shard}"));
        assert_eq!(
            load.kernel_held, None,
            "others' are on this host too: {load:?}"
        );
        let clock = &load.host.window.as_ref().unwrap().clock;
        assert_eq!(clock.compared_with, "rendezvous");
        // One clock on one host: what the comparison finds is its own error.
        let (offset, error) = (clock.offset_ns.unwrap(), clock.error_ns.unwrap());
        assert!(offset.unsigned_abs() <= error, "{clock:?}");
        assert_eq!((&part.run, part.shards), (&parts[3].run, 3));
    }
    let server = parts[3].server.as_ref().unwrap();
    assert_eq!(server.connections_accepted, 301);
    assert_eq!(server.connections_held_at_end, 301);
    assert_eq!(server.kernel_held, Some(301));
    assert!(server.heartbeats_received >= 301, "{server:?}");
    assert!(server.host.cpu_ns.is_some_and(|cpu| cpu.server_process > 0));

    let merged = at("merged");
    let list: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    let ended = Running::start(ringbeat(&format!(
        "merge {} --out {}",
        list.join(" "),
        merged.display()
    )))
    .wait();
    good(&ended);
    let whole = fleet(&merged);
    assert_eq!(whole.together.connections_asked, 301);
    assert_eq!(whole.together.connections_held_at_end, 301);
    let counts = parts[..3]
        .iter()
        .map(|part| part.loads[0].histograms["rtt"].count);
    assert_eq!(whole.together.histograms["rtt"].count, counts.sum::<u64>());
    assert!(
        whole
            .together
            .overlap_ns
            .is_some_and(|overlap| overlap > 1_000_000_000)
    );
}

#[test]
fn who_does_not_belong_is_refused_and_disturbs_nobody() {
    let host = Host::start(2, "--for 1s");
    let mut first = Running::start(host.load("--for 1s --shard 0/2 --host-name first"));
    first.line("waiting for the other hosts");
    for (arguments, words) in [
        (
            "--for 1s --shard 0/2 --host-name second",
            &["shard 0", "first"] as &[&str],
        ),
        ("--for 1s --shard 1/3", &["3", "2"]),
        ("--for 2s --shard 1/2", &["--for", "2000", "1000"]),
        ("--for 1s --shard 1/2 --tick 4ms", &["--tick"]),
        (
            "--for 1s --shard 1/2 --timers sweep --sweep-period 200ms",
            &["--timers"],
        ),
        (
            "--for 1s --shard 1/2 --gather-within 50s",
            &["--gather-within"],
        ),
    ] {
        let ended = Running::start(host.load(arguments)).wait();
        ended.refused_with(2, words);
    }
    let mut stranger = host.load("--for 1s --shard 1/2");
    stranger.env("RINGBEAT_TOKEN", "another secret of theirs");
    Running::start(stranger).wait().refused_with(2, &["token"]);
    let second = Running::start(host.load("--for 1s --shard 1/2"));
    good(&second.wait());
    good(&first.wait());
    good(&host.server.wait());
}

#[test]
fn a_shard_that_does_not_come_is_named_everywhere() {
    let host = Host::start(3, "--for 1s --gather-within 2s");
    let load = Running::start(host.load("--for 1s --shard 1/3 --gather-within 2s"));
    load.wait().refused_with(1, &["shards 0 and 2"]);
    host.server
        .wait()
        .refused_with(1, &["shards 0 and 2", "--gather-within"]);
}

#[test]
fn a_shard_that_dies_ends_the_run_for_all_and_what_they_have_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let host = Host::start(2, &format!("--for 1h --out {}", at("server").display()));
    let load = |shard: u32| {
        let out = at("load");
        let named = format!(
            "--shard {shard}/2 --host-name host-{shard} --out {}",
            out.display()
        );
        Running::start(host.load(&format!("--for 1h {named}")))
    };
    let (mut first, mut second) = (load(0), load(1));
    for shard in [&mut first, &mut second] {
        shard.line("waiting for the other hosts: connections opened");
    }
    second.signal(Signal::SIGKILL);
    let words = &["shard 1 (host host-1)"];
    first.wait().refused_with(1, words);
    host.server.wait().refused_with(1, words);
    for name in ["load-0", "server"] {
        let record = record(&at(name));
        assert!(record.partial && !record.valid, "{name}");
    }
    assert!(!at("load-1").exists());
}

#[test]
fn a_shard_that_is_interrupted_tells_the_others() {
    let host = Host::start(2, "--for 1h");
    let load = |shard: u32| {
        Running::start(host.load(&format!(
            "--for 1h --shard {shard}/2 --host-name host-{shard}"
        )))
    };
    let (mut first, second) = (load(0), load(1));
    first.line("waiting for the other hosts: connections opened");
    second.signal(Signal::SIGINT);
    assert_eq!(second.wait().code(), 130);
    first.wait().refused_with(1, &["shard 1 (host host-1)"]);
    host.server
        .wait()
        .refused_with(1, &["shard 1 (host host-1)"]);
}

#[test]
fn shard_zero_may_serve_the_rendezvous() {
    let (server, port) = super::child::serve("--arm heartbeat --interval 1s --timeout 20s --quiet");
    // A port that was free a moment ago: whoever takes it meanwhile makes this test fail, and not pass.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let meet = free.local_addr().unwrap();
    drop(free);
    let loads: Vec<Running> = (0..2)
        .map(|shard| {
            Running::start(command(&format!(
                "load --target loopback:{port} --rendezvous {meet} --rendezvous-on shard-0 --shard {shard}/2 --for 1s \
                 --settle 100ms"
            )))
        })
        .collect();
    for load in loads {
        let ended = load.wait();
        good(&ended);
        assert!(ended.stdout.contains("lost 0"), "{ended:#?}");
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), 143);
}

#[test]
fn hosts_that_cannot_meet_begin_at_an_instant() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let when = format!("--start-at {} --for 1s", now + 10);
    let mut server = Running::start(command(&format!(
        "serve {when} --shards 1 --out {}",
        at("server").display()
    )));
    let address = server.line("listening on ");
    let (_, port) = address.rsplit_once(':').unwrap();
    let load = Running::start(command(&format!(
        "load --target loopback:{port} --settle 100ms {when} --out {}",
        at("load").display()
    )));
    good(&load.wait());
    good(&server.wait());
    for name in ["load", "server"] {
        assert_eq!(fleet(&at(name)).run, format!("start-at-{}", now + 10));
    }
    let window = fleet(&at("load")).loads[0].host.window.clone().unwrap();
    assert_eq!(window.clock.compared_with, "start-at");
    assert!(
        window.opened_epoch_ns >= (now + 10) * 1_000_000_000,
        "{window:?}"
    );
    let late = Running::start(command(&format!(
        "serve --start-at {now} --for 1s --shards 1 --out {}",
        at("late").display()
    )));
    late.wait().refused_with(1, &["--start-at"]);
}

#[test]
fn what_is_missing_for_a_meeting_is_said() {
    for (arguments, words) in [
        (
            "serve --rendezvous 127.0.0.1:0 --shards 2 --for 1s",
            &["RINGBEAT_TOKEN"] as &[&str],
        ),
        ("serve --out somewhere", &["--rendezvous", "--start-at"]),
        ("serve --rendezvous 127.0.0.1:0 --for 1s", &["--shards"]),
        ("load --target loopback:7000 --shard 4/4", &["from 0 to 3"]),
        (
            "load --target loopback:7000 --rendezvous nowhere",
            &["10.0.0.1:7100"],
        ),
        (
            "load --target loopback:7000 --shard 0/2 --source-addresses 127.0.0.1",
            &["do not divide"],
        ),
    ] {
        let mut command = ringbeat(arguments);
        command.env_remove("RINGBEAT_TOKEN");
        Running::start(command).wait().refused_with(2, words);
    }
    let mut endless = command("serve --rendezvous 127.0.0.1:0 --shards 2");
    endless.env_remove("RINGBEAT_SHARDS");
    Running::start(endless).wait().refused_with(2, &["--for"]);
}

#[test]
fn a_shard_that_dies_in_the_window_leaves_the_others_their_figures() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let host = Host::start(2, &format!("--for 1h --out {}", at("server").display()));
    let load = |shard: u32| {
        let out = at("load");
        let named = format!(
            "--shard {shard}/2 --host-name host-{shard} --out {}",
            out.display()
        );
        Running::start(host.load(&format!("--for 1h {named}")))
    };
    let (mut first, second) = (load(0), load(1));
    first.line("holding: ");
    second.signal(Signal::SIGKILL);
    first.wait().refused_with(1, &["shard 1 (host host-1)"]);
    host.server
        .wait()
        .refused_with(1, &["shard 1 (host host-1)"]);
    for name in ["load-0", "server"] {
        let kept = record(&at(name));
        assert!(kept.partial, "{name}");
        let fleet = kept.fleet.unwrap();
        let host = fleet
            .server
            .map_or_else(|| fleet.loads[0].host.clone(), |server| server.host);
        assert!(
            host.window.is_some_and(|window| window.length_ns > 0),
            "{name}"
        );
        assert!(host.stopped.unwrap().contains("host-1"), "{name}");
    }
}

#[test]
fn a_shard_that_dies_while_the_others_settle_is_named() {
    let host = Host::start(2, "--for 1h");
    let load = |shard: u32, settle: &str| {
        let named = format!("--shard {shard}/2 --host-name host-{shard} --settle {settle}");
        let (port, rendezvous) = (&host.port, &host.rendezvous);
        Running::start(command(&format!(
            "load --target loopback:{port} --rendezvous {rendezvous} --for 1h {named}"
        )))
    };
    let (mut first, second) = (load(0, "50s"), load(1, "50s"));
    first.line("opened ");
    second.signal(Signal::SIGKILL);
    first.wait().refused_with(1, &["shard 1 (host host-1)"]);
    host.server
        .wait()
        .refused_with(1, &["shard 1 (host host-1)"]);
}
