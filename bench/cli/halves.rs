//! Server and load generator together, every arm, and every way to end.

use super::child::{Ended, Running, ringbeat, run, serve};
use nix::sys::signal::Signal;
use ringbeat::units::HumanCount;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt as _;

/// A budget wide enough that a busy machine kills no connection, with heartbeats soon enough.
const TIMING: &str = "--interval 2s --timeout 20s";

fn count(json: &Value, name: &str) -> u64 {
    json["totals"][name].as_u64().unwrap()
}

/// Runs both halves of `arm`; returns the server's JSON and the load generator's end.
fn both(arm: &str) -> (Value, Ended) {
    let (server, port) = serve(&format!("--arm {arm} {TIMING} --json --quiet"));
    let load = run(&format!(
        "load --target loopback:{port} --connections 300 --arm {arm} {TIMING} \
         --settle 100ms --for 3s"
    ));
    server.signal(Signal::SIGTERM);
    let server = server.wait();
    assert_eq!(server.code(), 143, "{server:#?}");
    assert_eq!(load.code(), 0, "{load:#?}");
    let audit = "asked 300, established 300, held 300, lost 0";
    assert!(load.stdout.contains(audit), "{load:#?}");
    assert!(load.stderr.contains("opened 300 of 300"), "{load:#?}");
    let json = server.json();
    assert_eq!(count(&json, "established"), 300);
    assert_eq!(count(&json, "open"), 0);
    assert_eq!(count(&json, "completion_overflows"), 0);
    assert_eq!(json["totals"]["protocol_errors"], serde_json::json!({}));
    (json, load)
}

/// The same count as the other side must have printed it.
fn agrees(load: &Ended, text: &str) {
    assert!(load.stdout.contains(text), "`{text}`: {load:#?}");
}

#[test]
fn heartbeat_counts_the_same_on_both_sides() {
    let (server, load) = both("heartbeat");
    let heard = count(&server, "heartbeats_received");
    assert!(heard >= 300, "{server}");
    assert_eq!(count(&server, "acks_sent"), heard);
    agrees(
        &load,
        &format!("sent {}, received 0, skipped", HumanCount(heard)),
    );
    agrees(&load, &format!("sent 0, received {}\n", HumanCount(heard)));
    agrees(&load, "rtt ");
}

#[test]
fn heartbeat_oneway_is_never_acked() {
    let (server, load) = both("heartbeat-oneway");
    let heard = count(&server, "heartbeats_received");
    assert!(heard >= 300 && count(&server, "acks_sent") == 0, "{server}");
    agrees(
        &load,
        &format!("sent {}, received 0, skipped", HumanCount(heard)),
    );
}

#[test]
fn heartbeat_push_comes_from_the_server() {
    let (server, load) = both("heartbeat-push");
    let sent = count(&server, "heartbeats_sent");
    let acked = count(&server, "acks_received");
    assert!(acked >= 300, "{server}");
    // The load generator leaves while the server still sends, so the last ones may meet nobody.
    let (_, rest) = load.stdout.split_once("sent 0, received ").unwrap();
    let (heard, _) = rest.split_once(", skipped").unwrap();
    let heard: u64 = heard.replace(',', "").parse().unwrap();
    assert!(acked <= heard && heard <= sent, "{heard}: {server}");
    agrees(&load, &format!("sent {}, received 0\n", HumanCount(heard)));
}

#[test]
fn keepalive_and_none_send_nothing() {
    // Side by side: they wait for what must not come.
    std::thread::scope(|scope| {
        for arm in ["keepalive", "keepalive-user-timeout", "none"] {
            scope.spawn(move || {
                let (server, load) = both(arm);
                assert_eq!(count(&server, "heartbeats_received"), 0);
                agrees(&load, "sent 0, received 0, skipped 0");
            });
        }
    });
}

#[test]
fn both_exchanges_heartbeats_on_sockets_with_keepalive() {
    let (server, load) = both("both");
    let heard = count(&server, "heartbeats_received");
    assert!(
        heard >= 300 && count(&server, "acks_sent") == heard,
        "{server}"
    );
    agrees(&load, &format!("sent 0, received {}\n", HumanCount(heard)));
}

#[test]
fn settings_are_printed_and_the_drain_of_the_server_is_reported() {
    let (server, port) = serve("--preset strict --keepalive-side server --arm keepalive");
    let target = format!("load --target 127.0.0.1:{port} --arm keepalive --connections 50");
    let mut load = Running::start(ringbeat(&target));
    load.line("opened 50 of 50");
    server.signal(Signal::SIGTERM);
    let server = server.wait();
    assert_eq!(server.code(), 143);
    for words in [
        "within 9s, 3 misses",
        "idle 3s, interval 2s, count 3",
        "core thread",
        "congestion ",
        "127.0.0.0/8",
    ] {
        assert!(server.stderr.contains(words), "{words}: {server:#?}");
    }
    assert!(
        server.stdout.contains("accepted 50, open at the end 50"),
        "{server:#?}"
    );
    assert!(server.stdout.contains("drained 50"), "{server:#?}");
    // The load generator lost them for a reason that is not its own drain.
    load.wait().refused_with(1, &["50 lost by peer-closed"]);
}

#[test]
fn an_interrupted_load_reports_and_says_so_in_its_code() {
    let (_server, port) = serve("");
    let target = format!("load --target loopback:{port} --connections 300 --json --abort");
    let mut load = Running::start(ringbeat(&target));
    load.line("opened 300 of 300");
    load.signal(Signal::SIGINT);
    let load = load.wait();
    assert_eq!(load.code(), 130, "{load:#?}");
    assert_eq!(count(&load.json(), "established"), 300);
    assert!(load.stderr.contains("held 300, lost 0") && load.stderr.contains("SIGINT"));
}

#[test]
fn a_server_with_a_time_ends_by_itself_and_a_second_signal_ends_at_once() {
    let (server, _) = serve("--for 100ms --quiet");
    let ended = server.wait();
    assert_eq!(ended.code(), 0, "{ended:#?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    let (server, _) = serve("");
    server.signal(Signal::SIGINT);
    server.signal(Signal::SIGINT);
    // Whether the second comes before the drain is over is up to the machine.
    let ended = server.wait();
    let status = ended.status;
    assert!(
        status.code() == Some(130) || status.signal() == Some(2),
        "{ended:#?}"
    );
}

#[test]
fn a_ramp_keeps_its_rate_flag_and_several_targets_are_used() {
    let (server, port) = serve("--json");
    let load = run(&format!(
        "load --target 127.0.0.1:{port},127.0.0.2:{port} --connections 60 --ramp-rate 600/s \
         --settle 0s --for 100ms"
    ));
    assert_eq!(load.code(), 0, "{load:#?}");
    assert!(
        load.stderr.contains("600/s") && load.stderr.contains("2, 127.0.0.1"),
        "{load:#?}"
    );
    server.signal(Signal::SIGINT);
    let server = server.wait();
    assert_eq!(
        (server.code(), count(&server.json(), "established")),
        (130, 60)
    );
}
