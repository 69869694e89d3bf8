//! `ringbeat load` and servers that end in every way, or do not accept.

use super::child::{Running, ringbeat, run};
use super::common::{count, expect_unread, host_can, say_and_half_close};
use nix::sys::signal::Signal;
use ringbeat::protocol::{FRAME_BYTES, Frame, Kind};
use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// Reads one heartbeat and returns its ack.
fn heard(stream: &mut TcpStream) -> [u8; FRAME_BYTES] {
    let mut bytes = [0; FRAME_BYTES];
    stream.read_exact(&mut bytes).unwrap();
    let frame = Frame::decode(&bytes).unwrap();
    assert_eq!(frame.kind, Kind::Heartbeat);
    Frame {
        kind: Kind::Ack,
        ..frame
    }
    .encode()
}

/// What a server does with one connection.
type Manners = fn(TcpStream);

/// Answers a heartbeat and ends with a FIN.
fn fin(mut stream: TcpStream) {
    let ack = heard(&mut stream);
    say_and_half_close(&stream, &ack);
    until_the_end(stream);
}

/// Owes three acks, sends them with its FIN, and reads on.
fn half_close(mut stream: TcpStream) {
    let acks = [(); 3].map(|()| heard(&mut stream)).concat();
    say_and_half_close(&stream, &acks);
    until_the_end(stream);
}

/// Ends with a FIN and answers nothing.
fn fin_without_an_ack(mut stream: TcpStream) {
    let _ = heard(&mut stream);
    stream.shutdown(Shutdown::Write).unwrap();
    until_the_end(stream);
}

/// Answers a heartbeat and ends with a RST.
fn reset(mut stream: TcpStream) {
    let ack = heard(&mut stream);
    stream.write_all(&ack).unwrap();
    // The ack is read before the RST comes, which would throw it away.
    std::thread::sleep(Duration::from_millis(100));
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Leaves a heartbeat unread, for which the kernel ends with a RST.
fn unread(stream: TcpStream) {
    expect_unread(&stream);
    drop(stream);
}

/// The load generator has read everything, so it ends with a FIN of its own and not with a RST.
fn until_the_end(mut stream: TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
}

/// A server that treats its connections so, one after another.
fn server(manners: &'static [Manners]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let each = manners.iter().map(|manners| {
            let (stream, _) = listener.accept().unwrap();
            stream
                .set_read_timeout(Some(Duration::from_mins(1)))
                .unwrap();
            std::thread::spawn(move || manners(stream))
        });
        let each: Vec<_> = each.collect();
        for one in each {
            one.join().unwrap();
        }
    });
    (address, serving)
}

const MANNERS: &[Manners] = &[fin, half_close, fin_without_an_ack, reset, unread];

fn every_ending_is_counted_by_itself(engine: &str) {
    if !host_can(engine) {
        return;
    }
    let (address, serving) = server(MANNERS);
    let load = run(&format!(
        "load --target {address} --connections {} --interval 300ms --timeout 20s --settle 0s --for 1m \
         --engine {engine} --json",
        MANNERS.len()
    ));
    serving.join().unwrap();
    load.refused_with(
        1,
        &[
            "3 lost by peer-closed: the server ended them",
            "2 lost by reset",
            "with FIN 0, with RST 0",
        ],
    );
    let json = load.json();
    let closed = json!({"peer-closed": 3, "reset": 2});
    assert_eq!(json["totals"]["closed"], closed, "{json}");
    assert_eq!(json["totals"]["protocol_errors"], json!({}));
    assert_eq!(count(&json, "acks_received"), 1 + 3 + 1, "{json}");
    // Two had no answer at all; another may have sent its next heartbeat before it saw the end.
    let unanswered = count(&json, "ended_unanswered");
    assert!((2..=5).contains(&unanswered), "{json}");
    assert!(unanswered <= count(&json, "heartbeats_sent") - 5, "{json}");
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

/// The server closes while the load generator ends: each connection ends in order and is counted once.
#[test]
fn both_ends_may_close_at_once() {
    if !host_can("uring") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let load =
        format!("load --target {address} --connections 40 --arm none --settle 0s --for 1m --json");
    let mut load = Running::start(ringbeat(&load));
    let streams: Vec<_> = (0..40).map(|_| listener.accept().unwrap().0).collect();
    load.line("opened 40 of 40");
    load.signal(Signal::SIGTERM);
    for stream in &streams {
        stream.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    streams.into_iter().for_each(until_the_end);
    let json = load.wait().json();
    let closed = |cause: &str| json["totals"]["closed"][cause].as_u64().unwrap_or(0);
    assert_eq!(closed("peer-closed") + closed("drained"), 40, "{json}");
    assert_eq!(count(&json, "ended_with_fin"), closed("drained"));
}

/// A listener whose accept queue holds one connection.
fn full_after_one() -> Socket {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    // Linux takes one more than it is told.
    listener.listen(0).unwrap();
    listener
}

/// A SYN that finds the accept queue full is dropped, and sent again after a second (RFC 6298, section 2, rule 2.1; listen(2)).
fn a_full_accept_queue_is_told(engine: &str) {
    if !host_can(engine) {
        return;
    }
    let listener = full_after_one();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let load = format!(
        "load --target {address} --connections 6 --arm none --settle 0s --for 100ms --engine {engine} --json"
    );
    let load = Running::start(ringbeat(&load));
    // One connection waits in the queue from now on, and nobody takes it.
    while accept_waiting(&listener) == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(500));
    let held = [(); 6].map(|()| listener.accept().unwrap());
    let load = load.wait();
    drop(held);
    assert_eq!(load.code(), 0, "{load:#?}");
    for words in ["opened 6 of 6", "accept queue overflows", "SYNs sent again"] {
        assert!(load.stderr.contains(words), "{words}: {load:#?}");
    }
    assert!(slowest_connect_ns(&load.json()) >= 1_000_000_000);
}

/// Whether a connection waits to be accepted: the listener is readable.
fn accept_waiting(listener: &Socket) -> i32 {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let mut listener = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut listener, PollTimeout::ZERO).unwrap()
}

fn slowest_connect_ns(json: &Value) -> u64 {
    let text = json["histograms"]["connect"].as_str().unwrap();
    ringbeat::record::decode(text).unwrap().max()
}

/// Who gives up while SYNs are still unanswered is told how many there are.
#[test]
fn connects_that_nobody_answers_are_counted() {
    if !host_can("uring") {
        return;
    }
    let listener = full_after_one();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let load = format!("load --target {address} --connections 6 --arm none --json");
    let load = Running::start(ringbeat(&load));
    while accept_waiting(&listener) == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    // Both ends of the first know of it, and the SYNs of the others have been dropped.
    std::thread::sleep(Duration::from_millis(500));
    load.signal(Signal::SIGINT);
    let load = load.wait();
    assert_eq!(load.code(), 130, "{load:#?}");
    let json = load.json();
    assert_eq!(json["totals"]["connects_failed"], json!({}), "{json}");
    assert_eq!(count(&json, "connects"), 6);
    // One a core may have slipped in at the same instant.
    let established = count(&json, "established");
    let unanswered = 6 - established;
    assert!(unanswered > 0, "{json}");
    let audit = format!(
        "asked 6, established {established}, held {established}, lost 0, unanswered {unanswered}"
    );
    assert!(load.stderr.contains(&audit), "{audit}: {load:#?}");
}

#[test]
fn a_full_accept_queue_is_told_with_polls() {
    a_full_accept_queue_is_told("uring");
}

#[test]
fn a_full_accept_queue_is_told_with_epoll() {
    a_full_accept_queue_is_told("epoll");
}
