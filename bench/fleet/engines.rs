//! Each engine starts four hosts against one server: what they leave is one measurement, and nothing else is left.

use super::place::Place;
use nix::sys::signal::Signal;
use ringbeat::record::{FleetRecord, Kind};
use ringbeat::report::load;
use std::path::Path;

const CONNECTIONS: u32 = 4_000;

fn fleet(folder: &Path) -> FleetRecord {
    let record = load(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    assert_eq!(record.kind, Kind::Fleet);
    assert!(record.valid && !record.partial, "{:#?}", record.warnings);
    record.fleet.expect("the hosts of the fleet")
}

/// All four hosts and the server are in the merged result, and everywhere asked = established = held.
fn is_whole(out: &Path) {
    let whole = fleet(&out.join("merged"));
    let (all, share) = (u64::from(CONNECTIONS), u64::from(CONNECTIONS) / 4);
    assert_eq!((whole.shards, whole.loads.len()), (4, 4));
    let mut round_trips = 0;
    for (shard, load) in (0..).zip(&whole.loads) {
        assert_eq!(load.shard, shard);
        assert_eq!(load.host.name, format!("host-{shard}"));
        assert_eq!(load.source_addresses, [format!("10.77.0.{}", shard + 2)]);
        assert_eq!(load.connections_asked, share, "{load:#?}");
        assert_eq!(load.connections_established, share, "{load:#?}");
        assert_eq!(load.connections_held_at_end, share, "{load:#?}");
        assert_eq!(load.kernel_held, Some(share), "{load:#?}");
        let own = fleet(&out.join(format!("host-{shard}")));
        assert_eq!((&own.run, own.loads.len()), (&whole.run, 1));
        assert_eq!(own.loads[0].heartbeats_sent, load.heartbeats_sent);
        round_trips += own.loads[0].histograms["rtt"].count;
    }
    let together = &whole.together;
    assert_eq!(together.connections_asked, all);
    assert_eq!(together.connections_established, all);
    assert_eq!(together.connections_held_at_end, all);
    assert_eq!(together.histograms["rtt"].count, round_trips);
    assert!(
        round_trips >= all,
        "{round_trips} in a window of two intervals"
    );
    let server = whole.server.expect("the server's folder was merged too");
    assert_eq!(server.host.name, "host-server");
    assert_eq!(server.connections_accepted, all, "{server:#?}");
    assert_eq!(server.connections_held_at_end, all, "{server:#?}");
    assert_eq!(server.kernel_held, Some(all), "{server:#?}");
}

fn is_one_measurement(script: &str, tool: &str) {
    let Some(place) = Place::take(&[tool]) else {
        return;
    };
    let mut fleet = place.fleet(script, CONNECTIONS, "2s");
    let ended = fleet.wait();
    assert_eq!(ended.code(), 0, "{ended:#?}");
    assert!(ended.stdout.contains("Holds."), "{ended:#?}");
    is_whole(&place.out());
    assert_eq!(fleet.left.behind(), [""; 0]);
}

#[test]
fn openmpi_starts_one_measurement() {
    is_one_measurement("fleet-mpi", "mpirun");
}

#[test]
fn gnu_parallel_starts_one_measurement() {
    is_one_measurement("fleet-parallel", "parallel");
}

#[test]
fn a_fleet_that_is_interrupted_leaves_only_its_folders() {
    let Some(place) = Place::take(&["mpirun"]) else {
        return;
    };
    let mut fleet = place.fleet("fleet-mpi", CONNECTIONS, "10min");
    fleet.script().line("server: listening on ");
    fleet.script().signal(Signal::SIGTERM);
    let ended = fleet.wait();
    assert_eq!(ended.code(), 143, "{ended:#?}");
    assert_eq!(fleet.left.behind(), [""; 0]);
}
