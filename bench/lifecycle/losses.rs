//! The two halves against each other where a segment that begins or ends a connection is lost: nobody is lost with it,
//! and everybody is counted as if nothing had happened.
//!
//! In a network namespace of the test's own, where nft(8) drops one segment.

use super::child::{Ended, Running, ringbeat, skipped};
use super::common::count;
use super::lab::turn;
use nix::sys::signal::Signal;
use ringbeat::os::namespace::Network;
use ringbeat::os::network::TcpCounters;
use serde_json::json;
use std::process::Command;
use std::time::Duration;

const CONNECTIONS: u64 = 20;

/// A rule for the first segment, or the one after so many, of those that `which` matches.
fn losing(which: &str, after: u64) -> String {
    format!(
        "table inet losses {{ chain output {{ type filter hook output priority 0; policy accept; \
         {which} numgen inc mod 1000000 == {after} drop; }}; }}"
    )
}

/// Runs a command where it is; what it complains of, if anything.
fn furnish(program: &str, arguments: &[&str]) -> Result<(), String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Both halves' ends, and what the kernel between them counted; `None`, with a visible skip, where the host lets no test
/// lose a segment.
fn with_a_loss(rule: &str) -> Option<(Ended, Ended, TcpCounters)> {
    let place = Network::new().unwrap();
    let furnished = place.run(|| {
        furnish("ip", &["link", "set", "lo", "up"])?;
        furnish("nft", &[rule])
    });
    if let Err(why) = furnished.unwrap() {
        skipped(&why);
        return None;
    }
    let start = |arguments: String| place.run(|| Running::start(ringbeat(&arguments))).unwrap();
    let mut server = start(format!(
        "serve --listen 127.0.0.1:7000 --connections {CONNECTIONS} --arm none --json"
    ));
    server.line("listening on ");
    // No heartbeats: but for the third and the last segment of each connection nobody sends a bare ACK.
    let load = start(format!(
        "load --target 127.0.0.1:7000 --connections {CONNECTIONS} --arm none --settle 0s --for 100ms --json"
    ));
    let load = load.wait();
    // What was lost is sent again, at the latest some 200 ms after the FIN.
    std::thread::sleep(Duration::from_millis(700));
    let counted = place.run(TcpCounters::read_here).unwrap().unwrap();
    server.signal(Signal::SIGTERM);
    Some((server.wait(), load, counted))
}

/// Everybody came, and everybody left in order.
fn nobody_is_missing(server: &Ended, load: &Ended) {
    assert_eq!(load.code(), 0, "{load:#?}");
    let (server, load) = (server.json(), load.json());
    for half in [&server, &load] {
        assert_eq!(count(half, "established"), CONNECTIONS, "{half}");
        assert_eq!(half["totals"]["connects_failed"], json!({}), "{half}");
        assert_eq!(count(half, "ended_with_rst"), 0, "{half}");
    }
    let closed = json!({ "peer-closed": CONNECTIONS });
    assert_eq!(server["totals"]["closed"], closed, "{server}");
    assert_eq!(count(&load, "ended_with_fin"), CONNECTIONS, "{load}");
}

/// Segments that were sent, once or again, and did not arrive, or more: `Tcp OutSegs` leaves out what is sent again, but
/// not every SYN-ACK.
fn lost(counted: &TcpCounters) -> u64 {
    counted.sent + counted.retransmitted - counted.received
}

#[test]
fn a_lost_syn_syn_ack_or_third_ack_costs_nobody() {
    let Some(_turn) = turn() else { return };
    // What comes behind a third segment acknowledges as much, so that nothing has to be sent again. Each in a namespace
    // of its own, side by side: they wait for what is sent again.
    std::thread::scope(|scope| {
        for (which, again) in [
            ("tcp dport 7000 tcp flags & (syn | ack) == syn", true),
            (
                "tcp sport 7000 tcp flags & (syn | ack) == (syn | ack)",
                true,
            ),
            ("tcp dport 7000 tcp flags == ack", false),
        ] {
            scope.spawn(move || {
                let Some((server, load, counted)) = with_a_loss(&losing(which, 0)) else {
                    return;
                };
                nobody_is_missing(&server, &load);
                assert!(lost(&counted) >= 1, "{which}: {counted:?}");
                assert!(
                    counted.syn_retransmits > 0 || !again,
                    "{which}: {counted:?}"
                );
            });
        }
    });
}

#[test]
fn a_lost_last_ack_is_made_good_by_time_wait() {
    let Some(_turn) = turn() else { return };
    // The load generator closes first: behind the third segments of all connections its bare ACKs are the last ones.
    let rule = losing("tcp dport 7000 tcp flags == ack", CONNECTIONS);
    let Some((server, load, counted)) = with_a_loss(&rule) else {
        return;
    };
    nobody_is_missing(&server, &load);
    assert!(lost(&counted) >= 1, "{counted:?}");
    assert!(counted.retransmitted >= 1, "the server's FIN: {counted:?}");
    if counted.syn_retransmits > 0 {
        skipped("the machine stood still for a second, so it may have been another ACK");
        return;
    }
    assert_eq!(counted.resets_sent, 0, "{counted:?}");
}
