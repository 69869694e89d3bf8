//! Climbs that go well: what they hold and what they leave.

use super::place::{Place, code, said};
use ringbeat::record::{Kind, ScaleAxis, ScaleRung};

/// Asked = established = held in every arm, both ends count the same heartbeats, and nobody's connection was dropped
/// by the accept side.
fn audited(rung: &ScaleRung) {
    assert!(!rung.arms.is_empty());
    for arm in &rung.arms {
        let counts = [
            arm.connections_requested,
            arm.connections_established,
            arm.connections_held_at_end,
        ];
        assert_eq!(counts, [rung.connections; 3], "{}", arm.name);
        assert!(
            arm.connections_lost.is_empty(),
            "{}: {:?}",
            arm.name,
            arm.connections_lost
        );
        for round in &arm.rounds_detail {
            let (sent, received) = (round.heartbeats_sent_total, round.heartbeats_received_total);
            assert_eq!(sent, received, "{}", arm.name);
            assert_eq!(sent > 0, arm.name.starts_with("heartbeat"), "{}", arm.name);
            assert!(
                round.opening.took_ns.is_some_and(|took| took > 0),
                "{}",
                arm.name
            );
        }
        assert!(
            arm.connects_per_second.is_some_and(|rate| rate > 0.0),
            "{}",
            arm.name
        );
        assert!(
            arm.histograms["connect"].count >= rung.connections,
            "{}",
            arm.name
        );
    }
}

#[test]
fn a_small_ladder_is_climbed_held_and_kept() {
    let Some(place) = Place::take() else { return };
    let flags = "--ladder 2k,4k --arms none,heartbeat --steady 1s --floor 50 --hold 2s";
    let output = place.scale(flags, "").output().unwrap();
    assert_eq!(code(&output), Some(0));
    let preview = said(&output);
    assert!(
        preview.contains("2,000 at 8 ms: server") && preview.contains(" ring"),
        "{preview}"
    );
    assert!(preview.contains("destination address"), "{preview}");
    let (record, scale) = place.record();
    assert_eq!(
        (record.kind, scale.axis),
        (Kind::Scale, ScaleAxis::Connections)
    );
    assert!(
        record.valid && !record.partial && record.arms.is_empty(),
        "{:?}",
        record.warnings
    );
    let populations: Vec<u64> = scale.rungs.iter().map(|rung| rung.connections).collect();
    assert_eq!(populations, [2_000, 4_000]);
    for rung in &scale.rungs {
        audited(rung);
        let heartbeat = rung
            .arms
            .iter()
            .find(|arm| arm.name == "heartbeat")
            .unwrap();
        // One interval of each connection, give or take the ends.
        assert!(
            heartbeat.events > Some(rung.connections / 2),
            "{:?}",
            heartbeat.events
        );
        assert!(heartbeat.histograms["rtt"].count > rung.connections / 2);
    }
    let hold = scale.hold.as_ref().unwrap();
    assert_eq!(
        (hold.steady_ms, hold.arm.connections_held_at_end),
        (2_000, 4_000)
    );
    assert!(hold.arm.connections_lost.is_empty());
    assert_eq!(scale.floor.len(), 1);
    assert!(scale.floor[0].pairs == 50 && scale.floor[0].cpu_ns_per_exchange.median > 0);
    assert_eq!((scale.not_reached, scale.stops.len()), (None, 0));
    for file in [
        "heartbeat@2000.rtt.hgrm",
        "heartbeat@4000.rtt.hlog",
        "heartbeat@hold.rtt.hgrm",
        "none@4000.connect.hgrm",
        "scale-rtt.svg",
        "scale-connects.svg",
        "report.html",
        "samples.csv",
    ] {
        assert!(place.has(file), "{file}");
    }
    let table = String::from_utf8(output.stdout).unwrap();
    let again = std::process::Command::new(env!("CARGO_BIN_EXE_ringbeat"))
        .arg("report")
        .arg(place.out())
        .output()
        .unwrap();
    assert_eq!(code(&again), Some(0));
    assert_eq!(
        String::from_utf8(again.stdout).unwrap(),
        table,
        "the same record, the same table"
    );
}

#[test]
fn a_tick_sweep_stays_on_its_rung() {
    let Some(place) = Place::take() else { return };
    let flags =
        "--tick-sweep 4ms,16ms --ladder 1k --arms heartbeat --steady 1s --floor none --quiet";
    let output = place.scale(flags, "").output().unwrap();
    assert_eq!(code(&output), Some(0));
    let (record, scale) = place.record();
    assert!(record.valid, "{:?}", record.warnings);
    assert_eq!(scale.axis, ScaleAxis::Tick);
    let rungs: Vec<_> = scale
        .rungs
        .iter()
        .map(|rung| (rung.connections, rung.tick_us))
        .collect();
    assert_eq!(rungs, [(1_000, 4_000), (1_000, 16_000)]);
    for rung in &scale.rungs {
        audited(rung);
    }
    assert!(place.has("heartbeat@1000-tick16000us.rtt.hgrm") && place.has("scale-rtt.svg"));
    assert!(scale.floor.is_empty());
}

#[test]
fn ports_are_multiplied_over_loopback_addresses_without_a_sysctl() {
    let Some(place) = Place::take() else { return };
    // Twenty ports in all: two thousand connections need two hundred destinations at ten each.
    let narrow = r#"&& echo "40000 40019" > /proc/sys/net/ipv4/ip_local_port_range"#;
    if super::place::apart(narrow).is_none() {
        super::place::skipped(
            "no network namespace to be had; the host's port range stays as it is",
        );
        return;
    }
    let flags = "--ladder 2k --arms none --steady 1s --floor none --quiet";
    let output = place.scale(flags, narrow).output().unwrap();
    assert_eq!(code(&output), Some(0));
    let (_, scale) = place.record();
    assert_eq!(scale.rungs[0].destinations, 200);
    audited(&scale.rungs[0]);
}

#[test]
fn the_floor_alone_needs_no_connections() {
    let Some(place) = Place::take() else { return };
    let output = place
        .scale("--only-floor --floor 10,40", "")
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(0));
    let (record, scale) = place.record();
    assert!(record.valid && scale.rungs.is_empty());
    let pairs: Vec<u64> = scale.floor.iter().map(|point| point.pairs).collect();
    assert_eq!(pairs, [10, 40]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("The floor"));
}
