//! Connections whose source address cannot be had: given up and counted, never opened from another address.

use super::fake_ring::{Disorder, LOAD, SERVER};
use super::world::Making;
use crate::arm::Arm;
use crate::units::Nanos;

#[test]
fn without_its_source_address_a_connection_fails_and_its_place_is_free_again() {
    for seed in 900..906 {
        let disorder = Disorder {
            unbindable: 300,
            delay: Nanos::from_millis(5),
            ..Disorder::default()
        };
        let mut world = Making::new(seed, Arm::Heartbeat, disorder).world();
        // Every other connection names a source, see the world.
        for _ in 0..4 {
            world.connect(50);
            world.run_for(Nanos::from_millis(200));
        }
        world.run_for(Nanos::from_secs(10));
        let load = world.counters(LOAD);
        let failed = load.connects_failed.get(&libc::EADDRNOTAVAIL).copied();
        let failed = failed.unwrap_or(0);
        assert!((5..100).contains(&failed), "seed {seed}: {failed}");
        assert_eq!(load.connects_failed.len(), 1, "seed {seed}: {load:?}");
        assert_eq!(
            (load.open, load.connecting),
            (200 - failed, 0),
            "seed {seed}"
        );
        // The server may have seen the connects that were given up; it holds none of them.
        assert_eq!(world.counters(SERVER).open, load.open, "seed {seed}");
        assert_eq!(
            world.kernel.held(LOAD),
            world.kernel.held(SERVER),
            "seed {seed}"
        );
    }
}
