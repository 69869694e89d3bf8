//! The accept gate and a shard against the fake kernel while strangers crowd the backlog.
//!
//! Does not measure. A failure names its seed.

use super::fake_ring::{Disorder, SERVER};
use super::simulation::{each_seed, open};
use super::socket::Segment;
use super::world::{Making, TICK};
use crate::arm::Arm;
use crate::bank::RingPlan;
use crate::server::gate::{GateAction, decide};
use crate::shard::Shard;

/// Strangers refill the backlog as fast as it is emptied, between any two enters.
#[test]
fn the_gate_never_lets_a_table_overflow() {
    each_seed(1100..1140, |seed| {
        let plan = RingPlan::new(300, 1, 420, 4096, true).unwrap();
        let (capacity, slots) = (plan.connections_per_ring, plan.slots as usize);
        let disorder = Disorder {
            crowd: 600,
            lost_more: 2,
            late: 300,
            ..Disorder::default()
        };
        let making = Making {
            slots,
            capacity,
            ..Making::new(seed, Arm::None, disorder)
        };
        let mut world = making.world_with_backlog(plan.backlog as usize);
        for _ in 0..150 {
            world.now += TICK;
            world.kernel.advance(world.now);
            world.drive(SERVER);
            world.drive(SERVER);
            let rings = [(
                world.shard(SERVER).occupied(),
                world.shard(SERVER).accepting(),
            )];
            match decide(capacity as usize, &rings) {
                GateAction::Nothing | GateAction::Full => {}
                GateAction::Start(_) => world.with(SERVER, |shard, cx| shard.start_accept(3, cx)),
                GateAction::Stop(_) => world.with(SERVER, Shard::stop_accept),
            }
            if world.dice.chance(500) {
                world.drive(SERVER);
                world.check(SERVER);
            }
            for socket in open(&world, SERVER) {
                if world.dice.chance(30) {
                    world.kernel.deliver(socket, Segment::Fin);
                }
            }
        }
        let server = world.counters(SERVER);
        assert!(
            server.established > 2 * u64::from(capacity),
            "the gate opens again"
        );
        assert_eq!((server.table_full, world.kernel.dropped), (0, 0));
    });
}
