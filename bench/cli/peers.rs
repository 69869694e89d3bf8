//! Peers that are no load generators: noise, and a half-closed connection.

use super::child::{run, serve};
use nix::sys::signal::Signal;
use ringbeat::protocol::{FRAME_BYTES, Frame, Kind};
use ringbeat::units::Nanos;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

fn peer(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream
}

fn heartbeat(sequence: u32) -> [u8; FRAME_BYTES] {
    let frame = Frame {
        kind: Kind::Heartbeat,
        sequence,
        sent_at: Nanos(7),
    };
    frame.encode()
}

fn expect_ack(stream: &mut TcpStream, sequence: u32) {
    let mut bytes = [0; FRAME_BYTES];
    stream.read_exact(&mut bytes).unwrap();
    let ack = Frame::decode(&bytes).unwrap();
    assert_eq!(
        (ack.kind, ack.sequence, ack.sent_at),
        (Kind::Ack, sequence, Nanos(7))
    );
}

#[test]
fn noise_costs_its_own_connection_and_no_other() {
    let (server, port) = serve("--preset relaxed");
    let mut good = peer(port);
    good.write_all(&heartbeat(1)).unwrap();
    expect_ack(&mut good, 1);
    let mut noisy = peer(port);
    noisy
        .write_all(b"GET / HTTP/1.1\r\nHost: ringbeat\r\n\r\n")
        .unwrap();
    // Closed with or without unread bytes: an end or a reset.
    let mut rest = Vec::new();
    let _ = noisy.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
    good.write_all(&heartbeat(2)).unwrap();
    expect_ack(&mut good, 2);
    server.signal(Signal::SIGTERM);
    let ended = server.wait();
    assert_eq!(ended.code(), 143);
    for words in ["protocol-error 1", "bad-magic 1", "drained 1", "accepted 2"] {
        assert!(ended.stdout.contains(words), "{words}: {ended:#?}");
    }
}

#[test]
fn a_half_closed_peer_gets_its_ack_and_then_the_end() {
    let (server, port) = serve("--preset relaxed");
    let mut stream = peer(port);
    stream.write_all(&heartbeat(9)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    expect_ack(&mut stream, 9);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    server.signal(Signal::SIGTERM);
    let ended = server.wait();
    assert!(ended.stdout.contains("peer-closed 1"), "{ended:#?}");
}

#[test]
fn a_silent_peer_is_evicted_and_a_lively_one_is_not() {
    let (server, port) = serve("--interval 1s --timeout 5s");
    let mut silent = peer(port);
    let mut lively = peer(port);
    let watcher = std::thread::spawn(move || silent.read(&mut [0; 1]).unwrap_or(0));
    let mut sequence = 0;
    while !watcher.is_finished() {
        lively.write_all(&heartbeat(sequence)).unwrap();
        expect_ack(&mut lively, sequence);
        sequence += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(watcher.join().unwrap(), 0, "the silent one sees the end");
    lively.write_all(&heartbeat(sequence)).unwrap();
    expect_ack(&mut lively, sequence);
    server.signal(Signal::SIGTERM);
    let ended = server.wait();
    for words in ["heartbeat-timeout 1", "drained 1"] {
        assert!(ended.stdout.contains(words), "{words}: {ended:#?}");
    }
}

#[test]
fn a_server_that_never_answers_is_declared_dead() {
    // The kernel takes the connections into the backlog and the data into its buffers; nobody acks.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ended = run(&format!(
        "load --target {address} --connections 20 --interval 1s --timeout 2s --settle 0s --for 30s"
    ));
    assert_eq!(ended.code(), 1, "{ended:#?}");
    assert!(ended.stdout.contains("answer-timeout 20"), "{ended:#?}");
}
