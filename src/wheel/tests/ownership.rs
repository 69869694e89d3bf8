//! Who a timer belongs to: properties 5 to 7, 18 and 19.

use super::cases;
use super::operations::{Operation, Span, apply, make, operation, short, span, world};
use crate::units::Tick;
use crate::wheel::{Timers, TimersKind};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(48))]

    // Without generations an old connection has no way to reach a new one's timer but its index, which
    // the owner's table guards; so "a stale key does nothing" is "a closed index does nothing" here.
    #[test]
    fn p5_what_is_cancelled_never_expires(
        drawn in world(),
        delays in prop::collection::vec(short(), 2..20),
        steps in prop::collection::vec((short(), 0..20_u32), 1..12),
    ) {
        let mut world = make(drawn);
        for (index, delay) in (0..).zip(&delays) {
            world.arm(index, delay.from(&world, world.now, false));
        }
        for (step, index) in steps {
            // One entry a slice, so that closes meet expired indices nobody has taken yet.
            world.turn(step.from(&world, world.now, false), 1);
            let reported = world.expired.len();
            world.cancel(index);
            world.refresh(index, 5);
            world.check();
            prop_assert_eq!(world.expired.len(), reported);
        }
        world.run_out();
    }

    #[test]
    fn p6_a_reused_index_keeps_nothing_of_its_predecessor(
        drawn in world(),
        lives in prop::collection::vec((span(), short(), any::<bool>(), any::<bool>()), 1..12),
    ) {
        let mut world = make(drawn);
        for (delay, step, closes, sliced) in lives {
            world.arm(3, delay.from(&world, world.now, false));
            world.arm(9, delay.from(&world, world.now, false));
            world.check();
            let budget = if sliced { 1 } else { usize::MAX };
            world.turn(step.from(&world, world.now, false), budget);
            world.check();
            if closes {
                world.cancel(3);
                world.check();
            }
        }
        world.run_out();
    }

    #[test]
    fn p7_an_earlier_deadline_is_kept(
        drawn in world(),
        first in span(),
        earlier in prop::collection::vec(span(), 1..6),
    ) {
        let mut world = make(drawn);
        let mut deadline = first.from(&world, world.now, false);
        world.arm(0, deadline);
        for delay in earlier {
            deadline = deadline.min(delay.from(&world, world.now, false));
            world.arm(0, deadline);
            world.check();
        }
        world.finish(deadline.max(world.now), usize::MAX);
        let tick = world.floor(deadline) + 2 + world.slack();
        world.finish(world.at(tick).max(world.now), usize::MAX);
        prop_assert_eq!(&world.expired, &[0]);
    }

    #[test]
    fn p18_churn_takes_no_more_than_was_reserved(
        sweep in any::<bool>(),
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let kind = if sweep { TimersKind::Sweep { period: 12 } } else { TimersKind::Wheel };
        let mut world = make((kind, 8_000_000, 1 << 14, 0));
        world.timers = Timers::with_capacity(kind, 200, Tick(1 << 14));
        let reserved = world.timers.memory_bytes();
        let each = if sweep { 4 } else { 16 };
        prop_assert!(reserved <= each * 200 + 64 * 1024);
        for operation in &operations {
            apply(&mut world, operation);
            prop_assert!(world.timers.len() <= 200);
        }
        prop_assert_eq!(world.timers.memory_bytes(), reserved);
    }

    #[test]
    fn p19_all_may_be_cancelled_or_dropped_in_the_middle_of_a_turn(
        drawn in world(),
        operations in prop::collection::vec(operation(), 1..40),
        step in short(),
        budget in 0..5_usize,
        drop_it in any::<bool>(),
    ) {
        let mut world = make(drawn);
        for operation in &operations {
            apply(&mut world, operation);
        }
        world.turn(step.from(&world, world.now, false), budget);
        if drop_it {
            return Ok(());
        }
        let reported = world.expired.len();
        for index in 0..200 {
            world.cancel(index);
        }
        world.check();
        prop_assert!(world.timers.is_empty());
        prop_assert_eq!(world.timers.next_deadline(), None);
        world.finish(world.now, 1);
        prop_assert_eq!(world.expired.len(), reported);
        // And it goes on as if new.
        let delay = Span { ticks: 5, end: super::operations::End::Begin };
        apply(&mut world, &Operation::Arm { index: 7, delay, past: false });
        world.run_out();
        prop_assert_eq!(&world.expired[reported..], &[7]);
    }
}

#[test]
fn p18_memory_is_what_the_documentation_says() {
    for (kind, each) in [
        (TimersKind::Wheel, 16),
        (TimersKind::Sweep { period: 12 }, 4),
    ] {
        let timers = Timers::with_capacity(kind, 100_000, Tick(0));
        let bytes = timers.memory_bytes();
        assert!(bytes <= each * 100_000 + 64 * 1024, "{kind:?}: {bytes}");
    }
}
