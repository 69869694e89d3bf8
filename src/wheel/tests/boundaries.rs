//! Structure and boundaries: properties 9 to 11, and 16.

use super::cases;
use super::operations::{FAR, FINE, LAP, MIDDLE, apply, end, make, operation, tick, world};
use super::oracle::World;
use crate::units::{Nanos, Tick};
use crate::wheel::{Timers, TimersKind};
use proptest::prelude::*;

const KINDS: [TimersKind; 3] = [
    TimersKind::Wheel,
    TimersKind::Sweep { period: 1 },
    TimersKind::Sweep { period: 12 },
];

proptest! {
    #![proptest_config(cases(24))]

    // Every other property checks the structure too; this one has the longest histories.
    #[test]
    fn p9_the_structure_is_sound_after_every_operation(
        drawn in world(),
        operations in prop::collection::vec(operation(), 100..250),
    ) {
        let mut world = make(drawn);
        for operation in &operations {
            apply(&mut world, operation);
        }
    }

    // A parked far timer is on time after any uptime and delays nothing near.
    #[test]
    fn p11_far_timers_are_on_time_after_any_uptime(
        kind in prop::sample::select(&KINDS[..]),
        tick in tick(),
        power in 23..41_u32,
        offset in 0..6_u64,
        far in prop_oneof![FAR..10 * FAR, Just((1_u64 << 31) - 3), Just(1_u64 << 30)],
        near in prop::collection::vec((1..3 * FINE, end()), 1..24),
        leap in 1..(1_u64 << 29),
    ) {
        let mut world = World::new(kind, tick, (1 << power) - 3 + offset, 1);
        let begin = world.floor(world.now);
        let deadline = world.at(begin + far);
        world.arm(0, deadline);
        for (place, (delay, end)) in near.into_iter().enumerate() {
            let span = super::operations::Span { ticks: delay, end };
            let due = span.from(&world, world.now, false);
            if due >= deadline {
                break;
            }
            world.arm(1, due);
            world.arm(2, world.now);
            // To the near deadline, and sometimes far beyond it.
            let beyond = if place % 3 == 0 { leap * tick } else { tick };
            world.finish((due + Nanos(beyond)).min(Nanos(deadline.0 - 1)), usize::MAX);
            prop_assert!(!world.take_expired().contains(&0));
        }
        world.finish(Nanos(deadline.0 - 1).max(world.now), usize::MAX);
        prop_assert!(!world.take_expired().contains(&0), "early");
        let last = begin + far + 1 + world.slack();
        world.finish(world.at(last), usize::MAX);
        prop_assert!(world.expired.contains(&0), "late");
    }

    #[test]
    fn p16_the_wrap_of_the_tick_is_like_any_other_tick(
        drawn in world(),
        before in 0..2 * FINE,
        operations in prop::collection::vec(operation(), 1..40),
        steps in prop::collection::vec(1..FINE, 1..12),
    ) {
        let (kind, tick, _, into) = drawn;
        let mut world = make((kind, tick, LAP - before, into));
        for (operation, step) in operations.iter().zip(steps.iter().cycle()) {
            if world.floor(world.now) < LAP + 2 * FINE {
                apply(&mut world, operation);
            }
            world.finish(world.now + Nanos(step * tick), usize::MAX);
        }
        world.run_out();
    }
}

#[test]
fn p10_level_boundaries_are_like_any_other_tick() {
    let starts = [
        0,
        1,
        FINE - 1,
        FINE,
        MIDDLE - 1,
        MIDDLE,
        MIDDLE + 1,
        LAP - 1,
        LAP - FINE,
    ];
    let boundaries = [0, FINE, 2 * FINE, MIDDLE, 2 * MIDDLE, FAR, 2 * FAR, 1 << 30];
    for (start, kind) in starts
        .into_iter()
        .flat_map(|start| KINDS.map(|kind| (start, kind)))
    {
        for delay in boundaries
            .iter()
            .flat_map(|b| [b.saturating_sub(1), *b, b + 1])
        {
            let mut world = World::plain(kind, start);
            let deadline = world.at(start + delay);
            world.arm(7, deadline);
            world.check();
            if delay > 0 {
                world.finish(Nanos(deadline.0 - 1), usize::MAX);
                assert!(world.expired.is_empty(), "{delay} from {start}: early");
            }
            world.finish(deadline + Nanos(world.slack() + 1), usize::MAX);
            assert_eq!(world.expired, [7], "{delay} from {start}: late");
        }
    }
}

// A window of a coarse level comes up at its first tick. What is due then, just before and just after,
// and what was filed while the cursor stood in that very window, one whole circle ahead.
#[test]
fn p10_cascades_are_like_any_other_tick() {
    for (width, circle) in [(FINE, MIDDLE), (MIDDLE, FAR)] {
        for start in [LAP + 1, LAP + width - 1, LAP + circle - 2, LAP - width / 2] {
            let window = start / width * width;
            let mut world = World::plain(TimersKind::Wheel, start);
            let dues = [width, 2 * width, circle, circle + width];
            let dues = dues
                .iter()
                .flat_map(|ahead| [window + ahead - 1, window + ahead, window + ahead + 1]);
            for (index, due) in (0..).zip(dues.clone()) {
                world.arm(index, world.at(due));
                world.check();
            }
            for (index, due) in (0_u32..).zip(dues) {
                if due > start {
                    world.finish(world.at(due - 1), usize::MAX);
                }
                assert!(!world.expired.contains(&index), "{due} from {start}: early");
                world.finish(world.at(due), usize::MAX);
                assert!(world.expired.contains(&index), "{due} from {start}: late");
            }
        }
    }
}

#[test]
fn p11_passed_deadlines_are_due_at_the_next_tick() {
    for (start, kind) in [0, 1, FINE, LAP]
        .into_iter()
        .flat_map(|s| KINDS.map(|kind| (s, kind)))
    {
        for behind in [0, 1, FINE, FAR, (1 << 31) - 1] {
            let mut world = World::plain(kind, start);
            world.finish(world.at(start + 5), usize::MAX);
            let passed = Nanos(world.now.0.saturating_sub(behind));
            world.arm(0, passed);
            world.arm(1, world.now);
            world.check();
            world.finish(world.now, usize::MAX);
            assert!(world.expired.is_empty(), "the tick is over");
            world.finish(world.at(start + 6 + world.slack()), usize::MAX);
            world.expired.sort_unstable();
            assert_eq!(world.expired, [0, 1], "{behind} behind {start}");
        }
    }
}

// Nanoseconds that would overflow are the detector's to cut: see its own tests. Ticks wrap.
#[test]
fn p11_the_farthest_and_the_oldest_deadline_are_what_they_say() {
    for (kind, farthest) in [
        (TimersKind::Wheel, i32::MAX.unsigned_abs()),
        (TimersKind::Sweep { period: 1 }, i32::MAX.unsigned_abs() - 1),
    ] {
        for start in [0, 5, u32::MAX] {
            let start = Tick(start);
            let mut timers = Timers::with_capacity(kind, 0, start);
            timers.arm(0, start.after(farthest));
            timers.arm(1, start.after(i32::MAX.unsigned_abs() + 1)); // 2^31 behind
            timers.check_invariants();
            let mut expired = Vec::new();
            let mut turn = |ticks: u32| {
                timers.turn_to(start.after(ticks), usize::MAX, &mut expired, |_, _| ());
                expired.clone()
            };
            assert_eq!(turn(0), [1]);
            assert_eq!(turn(farthest - 1), [1]);
            turn(farthest);
            assert_eq!(turn(farthest + 1), [1, 0]);
        }
    }
}
