//! `ringbeat load --reconnect` by hand, against a server that dies and comes again.

use super::child::{Running, ringbeat, serve, skipped};
use nix::sys::signal::Signal;
use std::net::TcpStream;
use std::time::Duration;

fn host_can() -> bool {
    match ringbeat::ring::self_test() {
        Ok(_) => true,
        Err(error) => {
            skipped(&error.to_string());
            false
        }
    }
}

#[test]
fn connections_outlive_the_server_they_were_made_with() {
    if !host_can() {
        return;
    }
    let (server, port) = serve("--interval 1s --timeout 8s --quiet");
    let load = format!(
        "load --target 127.0.0.1:{port} --connections 250 --interval 1s --timeout 8s --settle 0s --for 6s \
         --reconnect --backoff 20ms..200ms --seed 7"
    );
    let mut load = Running::start(ringbeat(&load));
    load.line("opened 250 of 250");
    server.signal(Signal::SIGKILL);
    drop(server);
    // Long enough for every connection to be refused: the cap is a fifth of a second.
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {}
    std::thread::sleep(Duration::from_millis(600));
    let again = format!(
        "serve --connections 300 --listen 127.0.0.1:{port} --interval 1s --timeout 8s --quiet --json"
    );
    let mut server = Running::start(ringbeat(&again));
    server.line("listening on ");
    let load = load.wait();
    assert_eq!(load.code(), 0, "{load:#?}");
    for words in [
        "asked 250, established 250, held 250, lost 250",
        "came back 250",
        "succeeded 250, failed ",
        "Connection refused",
        "recovery ",
    ] {
        assert!(load.stdout.contains(words), "{words}: {load:#?}");
    }
    for words in [
        "20 ms doubling to 200 ms, full jitter, seed 7",
        "opened 250",
    ] {
        assert!(load.stderr.contains(words), "{words}: {load:#?}");
    }
    server.signal(Signal::SIGTERM);
    let server = server.wait();
    assert_eq!(server.json()["totals"]["established"], 250, "{server:#?}");
}

#[test]
fn a_server_that_stays_away_is_told_and_tried_until_the_end() {
    if !host_can() {
        return;
    }
    let (server, port) = serve("--quiet");
    let load = format!(
        "load --target 127.0.0.1:{port} --connections 50 --settle 0s --for 1500ms --reconnect --no-jitter \
         --backoff 100ms..200ms"
    );
    let mut load = Running::start(ringbeat(&load));
    load.line("opened 50 of 50");
    server.signal(Signal::SIGKILL);
    drop(server);
    load.wait().refused_with(
        1,
        &[
            "no jitter",
            "50 connections were not back at the end, 0 had come back",
        ],
    );
}
