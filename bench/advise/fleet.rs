//! A plan of hosts for more connections than one holds, its flags, and the model held against a run on several hosts.

use super::ask::{ask, ask_in, json};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const MANY: &str = "--connections 100M --detect-within 30s --link datacenter";

#[test]
fn a_hundred_million_connections_get_hosts_in_80_columns() {
    let answer = ask(MANY);
    assert_eq!(
        (answer.code, answer.stderr.as_str()),
        (Some(0), ""),
        "{answer:?}"
    );
    for line in answer.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let flat = answer.stdout.split_whitespace().collect::<Vec<_>>();
    let flat = flat.join(" ");
    for part in [
        "100,000,000 connections are more than the 2,500,000 that any record's host held",
        "in each of 3 sites",
        "Fleet by mechanism and interval",
        "How the fleet was computed",
        "published with this program: results/",
        "no record tells of: both",
        "what it cannot show",
        "ringbeat load --shard i/",
    ] {
        assert!(flat.contains(part), "`{part}` is not in {}", answer.stdout);
    }
    assert!(
        !ask("--connections 1M --detect-within 30s")
            .stdout
            .contains("Fleet")
    );
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn json_has_the_plan_and_it_adds_up() {
    let small = json("--connections 1M --detect-within 30s");
    assert!(small.get("fleet").is_none());
    let advice = json(&format!(
        "{MANY} --host-memory 256GiB --host-cores 32 --nic 25G --sites 4 --headroom 40"
    ));
    let plan = &advice["fleet"];
    let chosen = &plan["chosen"];
    assert_eq!(chosen["mechanism"], advice["mechanism"]);
    assert_eq!(
        chosen["interval_ms"],
        advice["settings"]["heartbeat"]["interval_ms"]
    );
    let hosts = &chosen["hosts"];
    assert_eq!(count(&hosts["per_site"]) * 4, count(&hosts["total"]));
    assert_eq!(count(&hosts["per_site"]) * 3, count(&hosts["left"]));
    let each = count(&chosen["host_after_loss"]["connections"]);
    assert!(each * count(&hosts["left"]) >= 100_000_000);
    assert_eq!(plan["conntrack"]["entries_per_host"], each);
    let rate = chosen["load"]["events_per_second"].as_f64().unwrap();
    let whole = advice["cost"]["events_per_second"].as_f64().unwrap();
    assert!((rate - whole).abs() < 1.0, "{rate} {whole}");
    let back = &plan["reconnect"];
    assert_eq!(back["connections_lost"], 25_000_000);
    let others: Vec<_> = plan["others"].as_array().unwrap().iter().collect();
    let named: Vec<_> = others.iter().map(|one| &one["mechanism"]).collect();
    assert!(named.contains(&&json!("heartbeat-oneway")), "{named:?}");
    // A faster rate of accepting is believed.
    let faster = json(&format!("{MANY} --sites 4 --reconnect-rate 1M/s"));
    let seconds = |plan: &Value| plan["reconnect"]["seconds"]["median"].as_f64().unwrap();
    assert!(seconds(&faster["fleet"]) < seconds(plan));
}

#[test]
fn what_cannot_be_planned_is_refused() {
    for (flags, remedy) in [
        ("--host-memory 1kB", "1MiB"),
        ("--nic fast", "10G"),
        ("--nic 10", "1M"),
        ("--sites 0", "1..=1000"),
        ("--headroom 96", "0..=95"),
        ("--host-connections 0", "at least 1"),
        ("--one-machine", "--check"),
    ] {
        let answer = ask(&format!("{MANY} {flags}"));
        assert_eq!(answer.code, Some(2), "{flags}: {answer:?}");
        assert!(answer.stderr.contains(remedy), "{flags}: {answer:?}");
    }
}

/// A record of a fleet that was invented: two load generators with half of the connections each, and the server.
fn leave_run(folder: &Path) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/2026-11-25-overlap/run-3");
    let text = fs::read_to_string(kept.join("record.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    let environment = record["environment"].clone();
    let interval_ms = count(&record["config"]["heartbeat_interval_ms"]);
    let events = 20_000 * 1_000 / interval_ms * 30;
    let host = |name: &str, packets: u64| {
        json!({"name": name, "environment": environment, "engine": "uring", "driver": "tick", "cores": [0],
            "ring_plan": "", "started_at": "2026-11-26T00:00:00Z", "stopped": null,
            "window": {"opened_epoch_ns": 0, "length_ns": 30_000_000_000_u64, "clock": {"compared_with": "rendezvous",
                "offset_ns": null, "error_ns": null, "round_trips": 0}},
            "cpu_ns": null, "packets": packets, "wire_bytes": null, "backlog_drops": null})
    };
    let opening = json!({"listen_overflows": 0, "listen_drops": 0, "syn_queue_drops": 0, "syn_cookies": 0,
        "syn_retransmits": 0});
    let load = |shard: u64| {
        json!({"shard": shard, "host": host("load", events * 3 / 2), "source_addresses": [], "connections_asked": 10_000,
            "connections_established": 10_000, "connections_held_at_end": 10_000, "kernel_held": null,
            "connections_lost": {}, "connects_failed": {}, "opened_in_ns": null, "opening": opening,
            "heartbeats_sent": events / 2, "heartbeats_received": 0, "acks_received": events / 2, "probes_attempted": 0,
            "histograms": {}})
    };
    let memory = json!({"server_user": 50, "load_user": null, "kernel_sockets": 3_800, "kernel_io_uring": 260,
        "remainder": null, "total": null});
    record["fleet"] = json!({"run": "invented", "shards": 2, "connections_asked": 20_000, "arm": "heartbeat",
        "loads": [load(0), load(1)],
        "server": {"host": host("server", events * 3), "connections_accepted": 20_000, "connections_held_at_end": 20_000,
            "kernel_held": null, "connections_lost": {}, "opening": opening, "heartbeats_received": events,
            "heartbeats_sent": 0, "acks_sent": events, "acks_received": 0, "probes_attempted": 0,
            "memory_bytes_per_connection": memory, "histograms": {}},
        "together": {"connections_asked": 20_000, "connections_established": 20_000, "connections_held_at_end": 20_000,
            "connections_lost": {}, "connects_failed": {}, "heartbeats_sent": events, "heartbeats_received": 0,
            "acks_received": events, "probes_attempted": 0, "overlap_ns": null, "histograms": {}}});
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("record.json"), record.to_string()).unwrap();
}

#[test]
fn a_run_on_several_hosts_is_held_against_the_model() {
    let top = tempfile::tempdir().unwrap();
    leave_run(&top.path().join("merged"));
    let answer = ask_in(top.path(), "--check merged --published");
    assert_eq!(
        (answer.code, answer.stderr.as_str()),
        (Some(0), ""),
        "{answer:?}"
    );
    for line in answer.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(answer.stdout.contains("20,000 connections"), "{answer:?}");
    let answer = ask_in(
        top.path(),
        "--check merged --published --one-machine --json",
    );
    let check: Value = serde_json::from_str(&answer.stdout).unwrap();
    let rows = check["rows"].as_array().unwrap();
    let ratio = |what: &str| {
        let row = rows.iter().find(|row| row["what"] == what).unwrap();
        row["ratio"].as_f64().unwrap()
    };
    for what in ["connections held", "events", "packets"] {
        // the kept figure of packets has some of the tail's
        assert!((ratio(what) - 1.0).abs() < 0.1, "{what}: {check}");
    }
    assert!(check["absent"].get("server's machine").is_some(), "{check}");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/2026-11-25-detect");
    let refused = ask(&format!("--check {}", other.display()));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("merge"), "{refused:?}");
    let both = ask_in(top.path(), "--check merged --connections 10k");
    assert_eq!(both.code, Some(2), "{both:?}");
}
