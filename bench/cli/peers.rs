//! Peers that are no load generators: noise, silence, a server that never answers. How they end is in `lifecycle`.

use super::child::{run, serve};
use super::frames::{expect_ack, heartbeat, peer};
use nix::sys::signal::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

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
