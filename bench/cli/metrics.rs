//! The metrics endpoint of both halves: what it says, whom it serves, and that nobody disturbs the run through it.

use super::child::{Running, ringbeat, run, serve};
use super::openmetrics::parse;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const TIMING: &str = "--interval 1s --timeout 20s";

/// Sends `request` and returns all that comes.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn scrape(address: SocketAddr) -> BTreeMap<String, f64> {
    let answer = ask(address, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let kind = "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(head.contains(kind), "{head}");
    let length = format!("\r\nContent-Length: {}\r\n", body.len());
    assert!(head.contains(&length), "{head}");
    parse(body)
}

/// Scrapes until `so`.
fn scrape_until(
    address: SocketAddr,
    so: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> BTreeMap<String, f64> {
    let begun = Instant::now();
    loop {
        let samples = scrape(address);
        if so(&samples) {
            return samples;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{samples:#?}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// The address that a half with `--metrics` says.
fn metrics_of(half: &mut Running) -> SocketAddr {
    let url = half.line("metrics on http://");
    url.strip_suffix("/metrics").unwrap().parse().unwrap()
}

/// A quiet server with an endpoint, both addresses.
fn server() -> (Running, u16, SocketAddr) {
    let mut server = Running::start(ringbeat(&format!(
        "serve --connections 300 --metrics 127.0.0.1:0 {TIMING} --json --quiet"
    )));
    let metrics = metrics_of(&mut server);
    let address: SocketAddr = server.line("listening on ").parse().unwrap();
    (server, address.port(), metrics)
}

fn load(port: u16, more: &str) -> Running {
    Running::start(ringbeat(&format!(
        "load --target loopback:{port} --connections 300 {TIMING} --json {more}"
    )))
}

#[test]
fn both_halves_are_scraped_while_they_run_and_agree_with_their_results() {
    let (server, port, metrics) = server();
    assert!(scrape(metrics)["ringbeat_connections{state=\"open\"}"] < 0.5);
    // However long the scrapes take, it is there: it ends when it is told to.
    let mut load = load(port, "--metrics 0 --settle 0s --for 10m");
    let of_load = metrics_of(&mut load);
    let first = scrape_until(of_load, |at| at["ringbeat_rtt_seconds_count"] > 0.5);
    let acked = first["ringbeat_acks_received_total"];
    let second = scrape_until(of_load, |at| at["ringbeat_acks_received_total"] > acked);
    for (name, before) in &first {
        let goes_down = ["{state=", "armed", "_bytes"];
        let counts = !goes_down.iter().any(|gauge| name.contains(gauge));
        let now = second.get(name).unwrap_or_else(|| panic!("{name} is gone"));
        assert!(!counts || now >= before, "{name}: {before}, then {now}");
    }
    let build = first.keys().find(|name| name.contains("_build_info"));
    let build = build.unwrap();
    assert!(build.contains("role=\"load\"") && build.contains("arm=\"heartbeat\""));
    load.signal(Signal::SIGTERM);
    let ended = load.wait();
    assert_eq!(ended.code(), 143, "{ended:#?}");
    let result = ended.json();
    let total = |json: &serde_json::Value, name: &str| json["totals"][name].as_f64().unwrap();
    assert!(second["ringbeat_heartbeats_sent_total"] <= total(&result, "heartbeats_sent"));

    // With the load generator gone nothing moves any more.
    let last = scrape_until(metrics, |at| {
        at["ringbeat_connections_closed_total{cause=\"peer-closed\"}"] > 299.5
    });
    server.signal(Signal::SIGTERM);
    let result = server.wait().json();
    for (name, key) in [
        ("connections_established_total", "established"),
        ("heartbeats_received_total", "heartbeats_received"),
        ("acks_sent_total", "acks_sent"),
        ("completion_overflows_total", "completion_overflows"),
    ] {
        let (scraped, told) = (last[&format!("ringbeat_{name}")], total(&result, key));
        assert!((scraped - told).abs() < 0.5, "{name}: {scraped}, {told}");
    }
    // The endpoint's own connections are none of the run's.
    assert!((total(&result, "established") - 300.0).abs() < 0.5);
    assert!(last["process_cpu_seconds_total"] > 0.0);
    assert!(last["process_resident_memory_bytes"] > 1e6);
}

#[test]
fn garbage_crowds_and_sluggards_disturb_nothing() {
    let (server, port, metrics) = server();
    let mut load = load(port, "--settle 0s --for 4s");
    load.line("opened 300 of 300");
    // More than there are workers, and none of them says a whole word.
    let sluggards: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(metrics).unwrap();
            stream.write_all(b"GE").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    scrape(metrics);
    assert!(begun.elapsed() < Duration::from_secs(20), "starved");
    drop(sluggards);
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(60_000));
    for (request, status) in [
        (long.as_bytes(), "431 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 "),
        (
            b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "405 ",
        ),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", "404 "),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", "200 "),
    ] {
        let answer = ask(metrics, request);
        let told = answer.strip_prefix("HTTP/1.1 ").unwrap_or_default();
        assert!(told.starts_with(status), "{answer}");
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..8).for_each(|_| drop(scrape(metrics))));
        }
    });
    let load = load.wait();
    assert_eq!(load.code(), 0, "{load:#?}");
    assert!(load.stderr.contains("held 300, lost 0"), "{load:#?}");
    server.signal(Signal::SIGTERM);
    let server = server.wait();
    assert_eq!(server.code(), 143, "{server:#?}");
    let json = server.json();
    assert_eq!(json["totals"]["established"], 300);
    assert_eq!(json["totals"]["protocol_errors"], serde_json::json!({}));
}

#[test]
fn a_taken_port_is_refused_before_anything_listens() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = run(&format!("serve --metrics {address} --for 1s"));
    let words = ["is taken", "ss -ltnp", "another with --metrics"];
    ended.refused_with(3, &words);
    assert!(!ended.stderr.contains("listening on"), "{ended:#?}");
    let (_server, port) = serve("");
    let port = format!(
        "load --target loopback:{port} --for 1s --metrics {}",
        address.port()
    );
    run(&port).refused_with(3, &words);
    for nowhere in ["nowhere", "127.0.0.1", "70000"] {
        run(&format!("serve --metrics {nowhere}")).refused_with(2, &["127.0.0.1:9100"]);
    }
    run("serve --metrics 192.0.2.1:9100").refused_with(3, &["address of this host"]);
}
