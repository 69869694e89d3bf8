//! What must hold of every plan: more connections and shorter intervals never need fewer hosts, larger hosts never more,
//! what is planned holds all, and an interval contains its figure.

use super::tests::{MANY, invented, planned};
use super::*;
use crate::advise::Question;
use crate::arm::Arm;
use crate::units::Nanos;
use proptest::prelude::*;

fn arm() -> impl Strategy<Value = Arm> {
    let sending = Arm::ALL.into_iter().filter(|arm| *arm != Arm::None);
    proptest::sample::select(sending.collect::<Vec<_>>())
}

prop_compose! {
    fn host()(
        cores in 1_u64..256, memory_gib in 1_u64..2_048, nic_gbit in 1_u64..400,
        connections in proptest::option::of(1_000_u64..100_000_000), headroom_percent in 0_u64..=95,
    ) -> Host {
        Host {
            cores,
            memory_bytes: memory_gib << 30,
            nic_bits_per_second: nic_gbit * 1_000_000_000,
            connections,
            headroom_percent,
        }
    }
}

prop_compose! {
    fn question()(
        connections in 2_500_001_u64..10_000_000_000, detect_s in 3_u64..3_600, app_changes: bool,
    ) -> Question {
        Question {
            connections,
            detect_within: std::time::Duration::from_secs(detect_s),
            app_changes,
            ..MANY
        }
    }
}

/// Hosts by the dear end of the figures.
fn hosts(arm: Arm, host: &Host, connections: u64, interval_ms: u64) -> Option<u64> {
    let profile = Profile::of(arm, &invented(arm.name())).unwrap();
    let run = Run {
        connections,
        hosts: 1,
        interval: Nanos::from_millis(interval_ms),
        ends: 1,
    };
    let limits = host.limits(&profile, run.rate_per_connection(), End::Server);
    hosts_needed(connections, limits[0].connections.low)
}

fn ordered(bounds: Bounds) -> bool {
    bounds.low <= bounds.median && bounds.median <= bounds.high
}

proptest! {
    #[test]
    fn more_to_do_never_needs_fewer_hosts(
        arm in arm(), host in host(), connections in 1_u64..1_000_000_000, more in 0_u64..1_000_000_000,
        interval_ms in 500_u64..600_000, shorter_ms in 0_u64..400,
    ) {
        let Some(base) = hosts(arm, &host, connections, interval_ms) else { return Ok(()); };
        prop_assert!(hosts(arm, &host, connections + more, interval_ms).unwrap() >= base);
        if let Some(busier) = hosts(arm, &host, connections, interval_ms - shorter_ms) {
            prop_assert!(busier >= base);
        }
    }

    #[test]
    fn twice_the_host_never_needs_more_of_them(
        arm in arm(), host in host(), connections in 1_u64..1_000_000_000, interval_ms in 500_u64..600_000,
    ) {
        let Some(base) = hosts(arm, &host, connections, interval_ms) else { return Ok(()); };
        let twice = Host {
            cores: host.cores * 2,
            memory_bytes: host.memory_bytes * 2,
            nic_bits_per_second: host.nic_bits_per_second * 2,
            connections: host.connections.map(|most| most * 2),
            ..host
        };
        let halved = hosts(arm, &twice, connections, interval_ms).unwrap();
        prop_assert!(halved <= base && base <= halved * 2 + halved, "{halved} of {base}");
        // One part alone does not harm either.
        let roomy = Host { memory_bytes: host.memory_bytes * 2, ..host };
        prop_assert!(hosts(arm, &roomy, connections, interval_ms).unwrap() <= base);
    }

    #[test]
    fn a_run_is_the_sum_of_its_hosts(
        arm in arm(), connections in 1_u64..1_000_000_000, hosts in 1_u64..10_000, interval_ms in 1_u64..600_000,
    ) {
        let profile = Profile::of(arm, &invented(arm.name())).unwrap();
        let run = Run { connections, hosts, interval: Nanos::from_millis(interval_ms), ends: 1 };
        for end in [End::Server, End::Load] {
            let foretold = predict(&profile, &run, end);
            prop_assert!(foretold.host.connections * hosts >= connections);
            prop_assert!((foretold.host.connections - 1) * hosts < connections);
            let all = crate::advise::words::float(hosts) * foretold.host.events_per_second;
            prop_assert!(all >= foretold.events_per_second * 0.999_999);
            for bounds in [foretold.cpu_cores, foretold.memory_bytes, foretold.host.cpu_cores] {
                prop_assert!(ordered(bounds), "{bounds:?}");
            }
        }
    }

    #[test]
    fn a_plan_holds_all_with_a_site_lost(
        question in question(), sites in 1_u64..9, headroom in 0_u64..=95, more in 0_u64..1_000_000_000,
    ) {
        let fleet = FleetQuestion {
            sites: Some(sites),
            headroom_percent: Some(headroom),
            ..FleetQuestion::default()
        };
        let plan = planned(&question, &fleet).unwrap().unwrap();
        let larger = Question { connections: question.connections + more, ..question };
        let larger = planned(&larger, &fleet).unwrap().unwrap();
        prop_assert!(larger.chosen.hosts.total >= plan.chosen.hosts.total);
        let host = plan.host;
        let plans = plan.others.iter().chain(&plan.intervals).chain([&plan.chosen]);
        for one in plans {
            let hosts = one.hosts;
            prop_assert!(hosts.needed_low <= hosts.needed_median && hosts.needed_median <= hosts.needed);
            prop_assert!(hosts.left >= hosts.needed && hosts.total > hosts.left);
            prop_assert!(one.limits.iter().all(|limit| ordered(limit.connections)));
            // By the dear end no host is fuller than the headroom allows, with a site lost.
            let used = 1.0 - crate::advise::words::float(headroom) / 100.0 + 1e-9;
            let after = one.host_after_loss;
            prop_assert!(after.memory_bytes.high <= crate::advise::words::float(host.memory_bytes) * used);
            prop_assert!(after.cpu_cores.high <= crate::advise::words::float(host.cores) * used);
            prop_assert!(one.nic_share_after_loss <= used);
        }
        let back = plan.reconnect.unwrap();
        prop_assert!(back.arrivals_per_host * back.hosts >= back.connections_lost);
        prop_assert!(back.connections_lost * sites >= question.connections);
        prop_assert!(ordered(back.seconds));
        let intervals: Vec<_> = plan.intervals.iter().map(|one| one.hosts.total).collect();
        prop_assert!(intervals.is_sorted_by(|shorter, longer| shorter >= longer), "{intervals:?}");
    }
}
