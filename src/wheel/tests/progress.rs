//! Turning: properties 8 and 12 to 15.

use super::cases;
use super::operations::{FAR, Operation, apply, make, operation, short, span, start, world};
use super::oracle::{World, low};
use crate::units::Tick;
use crate::wheel::{Sweep, Timers, TimersKind, Wheel};
use proptest::prelude::*;

const SWEEP: TimersKind = TimersKind::Sweep { period: 7 };

proptest! {
    #![proptest_config(cases(48))]

    // That it is never too late is asserted after every operation of every property.
    #[test]
    fn p8_sleeping_until_the_next_deadline_makes_progress(
        start in start(),
        delays in prop::collection::vec(span(), 1..8),
    ) {
        let mut world = World::new(TimersKind::Wheel, 8_388_608, start, 9);
        let mut longest = 0;
        for (index, delay) in (0..).zip(&delays) {
            world.arm(index, delay.from(&world, world.now, false));
            longest = longest.max(delay.ticks);
        }
        let mut turns = 0;
        while let Some(next) = world.timers.next_deadline() {
            let now = world.clock.instant(next, world.now);
            world.finish(now.max(world.now), usize::MAX);
            turns += 1;
            // A visit to each level, and one more for every time it lay beyond all of them.
            let each = 4 + longest / (FAR - 1);
            prop_assert!(turns <= delays.len() as u64 * each, "{} turns", turns);
        }
        prop_assert_eq!(world.expired.len(), delays.len());
    }

    #[test]
    fn p8_a_sweep_sleeps_a_tick_at_a_time(start in start(), ticks in 0..40_u64, period in 1..20_u32) {
        let mut world = World::new(TimersKind::Sweep { period }, 1_000_003, start, 3);
        world.arm(0, world.at(world.floor(world.now) + ticks));
        let mut turns = 0;
        while let Some(next) = world.timers.next_deadline() {
            let now = world.clock.instant(next, world.now);
            world.finish(now.max(world.now), usize::MAX);
            turns += 1;
            prop_assert!(turns <= ticks + u64::from(period) + 1, "{} turns", turns);
        }
        prop_assert_eq!(&world.expired, &[0]);
    }

    // The oracle keeps the latest present; a turn to an earlier one must visit nothing.
    #[test]
    fn p12_a_clock_that_goes_backwards_changes_nothing(
        drawn in world(),
        operations in prop::collection::vec((operation(), span(), 0..4_usize), 1..40),
    ) {
        let mut world = make(drawn);
        world.finish(world.now, usize::MAX);
        for (operation, back, budget) in &operations {
            apply(&mut world, operation);
            let reported = world.expired.len();
            let deadline = world.timers.next_deadline();
            if !world.pending {
                let now = back.from(&world, world.now, true).min(world.now);
                world.turn(now, *budget);
                prop_assert_eq!(world.timers.next_deadline(), deadline);
                prop_assert_eq!(world.expired.len(), reported);
                world.check();
            }
        }
        world.run_out();
    }

    #[test]
    fn p13_slices_of_a_budget_are_one_turn(
        drawn in world(),
        operations in prop::collection::vec(operation(), 1..40),
        step in span(),
        budget in 1..5_usize,
    ) {
        let [mut whole, mut sliced] = [drawn, drawn].map(|drawn| {
            let mut world = make(drawn);
            for operation in &operations {
                apply(&mut world, operation);
            }
            world.finish(world.now, usize::MAX);
            world
        });
        let armed = whole.len();
        let now = step.from(&whole, whole.now, false);
        whole.finish(now, usize::MAX);
        sliced.finish(now, budget);
        // An entry is visited once a level, and where it was cancelled once more.
        prop_assert!(sliced.slices <= (4 * armed + 200) / budget + 2, "{}", sliced.slices);
        whole.expired.sort_unstable();
        sliced.expired.sort_unstable();
        prop_assert_eq!(&whole.expired, &sliced.expired);
        prop_assert_eq!(whole.timers.next_deadline(), sliced.timers.next_deadline());
        prop_assert_eq!(whole.len(), sliced.len());
    }

    // Whatever the owner does between the slices of one turn.
    #[test]
    fn p13_a_turn_survives_what_is_done_between_its_slices(
        drawn in world(),
        delays in prop::collection::vec(short(), 4..40),
        between in prop::collection::vec(operation(), 1..40),
        step in short(),
        budget in 0..3_usize,
    ) {
        let mut world = make(drawn);
        for (index, delay) in (0..).zip(&delays) {
            world.arm(index, delay.from(&world, world.now, false));
        }
        let now = step.from(&world, world.now, false);
        for operation in &between {
            world.turn(now.max(world.now), budget);
            world.check();
            if !matches!(operation, Operation::Turn { .. }) {
                apply(&mut world, operation);
            }
        }
        world.finish(world.now, 1);
        prop_assert!(!world.pending);
        world.run_out();
    }

    #[test]
    fn p14_what_has_just_expired_may_be_armed_for_now(
        drawn in world(),
        count in 1..12_u32,
        budget in prop_oneof![1..4_usize, Just(usize::MAX)],
        ticks in 1..12_u64,
        late in short(),
    ) {
        let mut world = make(drawn);
        // An instant within a tick is due when the next one begins, so the first tick to fire lies after the present.
        let late = late.from(&world, world.now, false).max(world.now);
        let first = world.floor(late) + 1;
        world.finish(world.at(first - 1).max(world.now), budget);
        (0..count).for_each(|index| world.arm(index, world.now));
        for tick in first..first + ticks {
            let now = world.at(tick).max(world.now);
            let (mut fired, mut pending, mut slices) = (0, true, 0);
            while pending {
                pending = world.turn(now, budget);
                fired += world.expired.len();
                for index in world.take_expired() {
                    world.arm(index, if index % 2 == 0 { now } else { world.at(tick - 1) });
                }
                world.check();
                slices += 1;
                prop_assert!(slices <= 2 * count + 2, "the turn does not end");
            }
            let at_least = if drawn.0 == TimersKind::Wheel { count } else { 0 };
            prop_assert!((at_least..=count).contains(&u32::try_from(fired).unwrap()));
        }
        prop_assert_eq!(world.len(), count as usize);
    }

    #[test]
    fn p15_a_jump_costs_what_it_meets(
        start in start(),
        deadlines in prop::collection::vec(span(), 1..30),
        jump in 1..i32::MAX.unsigned_abs() - 1,
    ) {
        let mut wheel = Wheel::new(low(start));
        let mut sweep = Sweep::new(12, low(start));
        for (index, delay) in (0..).zip(&deadlines) {
            let ticks = u32::try_from(delay.ticks).unwrap();
            wheel.arm(index, low(start).after(ticks));
            sweep.arm(index, low(start).after(ticks));
        }
        let turn = wheel.turn_to(low(start).after(jump), usize::MAX, &mut Vec::new());
        // At most a visit per level and entry, one more per whole range it lies ahead.
        let most = deadlines.len() * (3 + 11);
        prop_assert!(turn.visited <= most && wheel.processed <= turn.visited as u64 + 1);
        sweep.turn_to(low(start).after(jump), usize::MAX, &mut Vec::new());
        prop_assert!(sweep.looked <= deadlines.len() as u64, "{} looks", sweep.looked);
    }
}

#[test]
fn p15_an_idle_jump_costs_nothing() {
    let mut wheel = Wheel::new(Tick(0));
    wheel.turn_to(Tick(1 << 30), usize::MAX, &mut Vec::new());
    assert_eq!(wheel.processed, 0);
    wheel.arm(0, Tick((1 << 30) + 3));
    wheel.arm(1, Tick((1 << 30) + 8_000));
    wheel.arm(2, Tick((1 << 30) + (1 << 20)));
    let turn = wheel.turn_to(Tick((1 << 31) - 2), usize::MAX, &mut Vec::new());
    assert_eq!(turn.expired, 3);
    assert!(wheel.processed <= 3 + 2, "{} ticks", wheel.processed);
}

#[test]
fn p12_turning_back_before_the_start_does_nothing() {
    for kind in [TimersKind::Wheel, SWEEP] {
        let mut timers = Timers::with_capacity(kind, 0, Tick(1_000));
        timers.arm(0, Tick(1_010));
        for back in [0, 5, 999] {
            let turn = timers.turn_to(Tick(back), usize::MAX, &mut Vec::new(), |_, _| ());
            assert_eq!((turn.visited, turn.pending), (0, false));
            timers.check_invariants();
        }
        let mut expired = Vec::new();
        timers.turn_to(Tick(1_016), usize::MAX, &mut expired, |_, _| ());
        assert_eq!(expired, [0]);
    }
}
