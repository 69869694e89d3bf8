//! `ringbeat serve` and peers that end in every way.

use super::child::{Running, ringbeat, serve};
use super::common::{count, expect_end, expect_unread, host_can, say_and_half_close};
use super::frames::{expect_ack, heartbeat, peer};
use nix::sys::signal::Signal;
use serde_json::json;
use socket2::SockRef;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A peer that has sent a heartbeat and read its ack.
fn greeted(port: u16) -> TcpStream {
    let mut stream = peer(port);
    stream.write_all(&heartbeat(1)).unwrap();
    expect_ack(&mut stream, 1);
    stream
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// Six peers, each with an end of its own, of one server.
fn every_ending_is_counted_by_itself(engine: &str) {
    if !host_can(engine) {
        return;
    }
    let (server, port) = serve(&format!("--preset relaxed --engine {engine} --json"));
    let mut fin = greeted(port);
    fin.shutdown(Shutdown::Write).unwrap();
    expect_end(&mut fin);
    // Everything it has said is answered, and only then comes the end.
    let mut half_closed = greeted(port);
    let several: Vec<u8> = (2..7).flat_map(heartbeat).collect();
    say_and_half_close(&half_closed, &several);
    for sequence in 2..7 {
        expect_ack(&mut half_closed, sequence);
    }
    expect_end(&mut half_closed);
    reset(greeted(port));
    // The ack lies unread, so the kernel ends with a RST.
    let mut unread = greeted(port);
    unread.write_all(&heartbeat(2)).unwrap();
    expect_unread(&unread);
    drop(unread);
    let mut stays = greeted(port);
    server.signal(Signal::SIGTERM);
    expect_end(&mut stays);
    let server = server.wait();
    assert_eq!(server.code(), 143, "{server:#?}");
    let json = server.json();
    let closed = json!({"peer-closed": 2, "reset": 2, "drained": 1});
    assert_eq!(json["totals"]["closed"], closed, "{json}");
    assert_eq!(json["totals"]["protocol_errors"], json!({}));
    assert_eq!((count(&json, "established"), count(&json, "open")), (5, 0));
    assert_eq!(count(&json, "acks_sent"), 5 + 5 + 1);
    let ours = (
        count(&json, "ended_with_fin"),
        count(&json, "ended_with_rst"),
    );
    assert_eq!(ours, (1, 0));
    // A stream hands a FIN over after what came before it was answered.
    let half_closed = u64::from(engine != "uring-recv");
    assert_eq!(count(&json, "half_closed"), half_closed);
    for words in [
        "drained 1, peer-closed 2, reset 2",
        "with FIN 1, with RST 0",
        &format!("half-closed and still answered {half_closed},"),
    ] {
        assert!(server.stderr.contains(words), "{words}: {server:#?}");
    }
}

#[test]
fn every_ending_is_counted_by_itself_with_polls() {
    every_ending_is_counted_by_itself("uring");
}

#[test]
fn every_ending_is_counted_by_itself_with_multishot_receives() {
    every_ending_is_counted_by_itself("uring-recv");
}

#[test]
fn every_ending_is_counted_by_itself_with_epoll() {
    every_ending_is_counted_by_itself("epoll");
}

/// Peers close while the server does: whoever is first, each connection ends in order and is counted once.
#[test]
fn both_ends_may_close_at_once() {
    for engine in ["uring", "epoll"] {
        if !host_can(engine) {
            continue;
        }
        let (server, port) = serve(&format!(
            "--preset relaxed --engine {engine} --json --quiet"
        ));
        let mut peers: Vec<_> = (0..40).map(|_| greeted(port)).collect();
        server.signal(Signal::SIGTERM);
        // The server ends what is left some half a second later, in the midst of this.
        for peer in &mut peers {
            peer.shutdown(Shutdown::Write).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        peers.iter_mut().for_each(expect_end);
        let json = server.wait().json();
        let closed = |cause: &str| json["totals"]["closed"][cause].as_u64().unwrap_or(0);
        let (theirs, ours) = (closed("peer-closed"), closed("drained"));
        assert_eq!(theirs + ours, 40, "{json}");
        assert!(theirs > 0, "{json}");
        assert_eq!(count(&json, "ended_with_fin"), ours);
        assert_eq!(count(&json, "ended_with_rst"), 0);
    }
}

/// A load generator that ends with FINs and one that ends with RSTs, as either end counts them.
#[test]
fn a_fin_and_a_rst_of_ours_are_counted_alike_at_both_ends() {
    if !host_can("uring") {
        return;
    }
    let (server, port) = serve("--preset relaxed --json --quiet");
    let load = |flags: &str| {
        let load = format!(
            "load --target 127.0.0.1:{port} --preset relaxed --settle 0s --for 100ms --json {flags}"
        );
        Running::start(ringbeat(&load))
    };
    let loads = [load("--connections 30"), load("--connections 20 --abort")];
    let [(fins, none), (nil, rsts)] = loads.map(|load| {
        let ended = load.wait();
        assert_eq!(ended.code(), 0, "{ended:#?}");
        let json = ended.json();
        (
            count(&json, "ended_with_fin"),
            count(&json, "ended_with_rst"),
        )
    });
    assert_eq!((fins, none, nil, rsts), (30, 0, 0, 20));
    server.signal(Signal::SIGTERM);
    let json = server.wait().json();
    let closed = json!({"peer-closed": 30, "reset": 20});
    assert_eq!(json["totals"]["closed"], closed, "{json}");
}
