//! When timers expire: properties 1 to 4, and 20.

use super::cases;
use super::operations::{End, Span, apply, kind, make, operation, short, span, tick, world};
use super::oracle::World;
use crate::units::{Nanos, Tick};
use crate::wheel::{Timers, TimersKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(cases(64))]

    // The oracle compares nanoseconds: a deadline rounded down, or a present rounded up, shows.
    #[test]
    fn p1_never_early(drawn in world(), operations in prop::collection::vec(operation(), 1..80)) {
        let mut world = make(drawn);
        for operation in &operations {
            apply(&mut world, operation);
        }
        world.run_out();
    }

    #[test]
    fn p2_not_a_tick_late(
        drawn in world(),
        delay in span(),
        extra in prop::option::of(span()),
        others in prop::collection::vec(span(), 0..6),
    ) {
        let mut world = make(drawn);
        for (index, other) in (1..).zip(&others) {
            world.arm(index, other.from(&world, world.now, false));
        }
        let mut deadline = delay.from(&world, world.now, false);
        world.arm(0, deadline);
        if let Some(extra) = extra {
            world.refresh(0, extra.nanos(&world));
            deadline += Nanos(extra.nanos(&world));
        }
        let begun = world.floor(deadline);
        let tick = if world.at(begun) < deadline { begun + 1 } else { begun };
        let instant = world.at(tick);
        world.finish(Nanos(deadline.0 - 1).max(world.now), usize::MAX);
        prop_assert!(!world.expired.contains(&0) || deadline <= world.now, "early");
        // One more for the one tick in 2^32 that a sweep cannot store.
        let unstorable = u64::from(drawn.0 != TimersKind::Wheel && Tick(u32::MAX) == super::oracle::low(tick));
        let last = world.at(tick + world.slack() + unstorable);
        world.finish(instant.max(last), usize::MAX);
        prop_assert!(world.expired.contains(&0), "late");
    }

    // The oracle forgets what expired and refuses to hear of it again.
    #[test]
    fn p3_exactly_once_whatever_the_step(
        drawn in world(),
        delays in prop::collection::vec(span(), 1..40),
        steps in prop::collection::vec(span(), 1..12),
    ) {
        let mut world = make(drawn);
        for (index, delay) in (0..).zip(&delays) {
            world.arm(index, delay.from(&world, world.now, false));
        }
        for step in &steps {
            world.finish(step.from(&world, world.now, false), usize::MAX);
        }
        world.run_out();
        let mut expired = world.take_expired();
        expired.sort_unstable();
        prop_assert!(expired.into_iter().eq((0..).take(delays.len())));
    }

    #[test]
    fn p4_a_refresh_hides_the_old_deadline_up_to_the_turn_itself(
        drawn in world(),
        delay in span(),
        extra in short(),
        before in prop::collection::vec(short(), 0..4),
    ) {
        let mut world = make(drawn);
        let delay = Span { ticks: delay.ticks + 1, ..delay };
        let mut deadline = delay.from(&world, world.now, false);
        world.arm(0, deadline);
        for extra in &before {
            world.refresh(0, extra.nanos(&world));
            deadline += Nanos(extra.nanos(&world));
        }
        // A heartbeat at the very tick of expiry wins when it comes before the turn ...
        let extra = Span { ticks: extra.ticks + 1, end: End::Begin };
        world.refresh(0, extra.nanos(&world));
        let tick = world.floor(deadline);
        world.finish(world.at(tick).max(world.now), usize::MAX);
        world.finish(deadline.max(world.now), usize::MAX);
        prop_assert!(world.expired.is_empty());
        // ... and changes nothing when it comes after.
        world.run_out();
        prop_assert_eq!(&world.expired, &[0]);
        world.refresh(0, 1);
        world.check();
        prop_assert_eq!(world.len(), 0);
    }
}

/// The eager variant: every refresh moves the entry at once.
#[derive(Default)]
struct Eager {
    sorted: BTreeSet<(u32, u32)>,
    deadlines: Vec<Option<u32>>,
}

impl Eager {
    fn arm(&mut self, index: u32, deadline: u32) {
        let place = index as usize;
        self.deadlines
            .resize(self.deadlines.len().max(place + 1), None);
        if let Some(old) = self.deadlines[place].replace(deadline) {
            self.sorted.remove(&(old, index));
        }
        self.sorted.insert((deadline, index));
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) {
        while let Some(&(due, index)) = self.sorted.first()
            && due <= now
        {
            self.sorted.pop_first();
            self.deadlines[index as usize] = None;
            expired.push(index);
        }
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn p20_wheel_sweep_and_sorted_list_agree(
        period in 1..50_u32,
        start in prop_oneof![Just(0_u32), Just(u32::MAX - 300), Just(u32::MAX - 8_500), any::<u32>()],
        delays in prop::collection::vec(prop_oneof![0..300_u32, 0..700_u32], 1..30),
        heartbeats in prop::collection::vec((0..700_u32, 0..30_u32, 0..400_u32), 0..80),
    ) {
        let kinds = [
            TimersKind::Wheel,
            TimersKind::Sweep { period: 1 },
            TimersKind::Sweep { period },
        ];
        let mut all = kinds.map(|kind| Timers::with_capacity(kind, 0, Tick(start)));
        let mut eager = Eager::default();
        let mut at = vec![[None; 4]; delays.len()];
        for (index, &delay) in (0..).zip(&delays) {
            // The tick that the sweep cannot store would be one late.
            let delay = delay + u32::from(start.wrapping_add(delay) == u32::MAX);
            for timers in &mut all {
                timers.arm(index, Tick(start).after(delay));
            }
            eager.arm(index, delay);
        }
        for now in 0..1_200 + period {
            for &(_, index, extra) in heartbeats.iter().filter(|(when, ..)| *when == now) {
                // Those whom all variants still believe alive.
                let live = all.iter().all(|timers| timers.deadline(index).is_some());
                if let (true, Some(Some(old))) = (live, eager.deadlines.get(index as usize)) {
                    let deadline = (*old).max(now + extra);
                    let deadline = deadline + u32::from(start.wrapping_add(deadline) == u32::MAX);
                    for timers in &mut all {
                        timers.refresh(index, Tick(start).after(deadline));
                    }
                    eager.arm(index, deadline);
                }
            }
            for (variant, timers) in all.iter_mut().enumerate() {
                let mut expired = Vec::new();
                timers.turn_to(Tick(start).after(now), usize::MAX, &mut expired, |_, _| ());
                timers.check_invariants();
                for index in expired {
                    at[index as usize][variant] = Some(now);
                }
            }
            let mut expired = Vec::new();
            eager.turn_to(now, &mut expired);
            for index in expired {
                at[index as usize][3] = Some(now);
            }
        }
        for (index, expired) in at.into_iter().enumerate() {
            let [Some(wheel), Some(exact), Some(sweep), Some(eager)] = expired else {
                panic!("{index} never expired: {expired:?}");
            };
            prop_assert_eq!((wheel, exact), (eager, eager), "{}", index);
            prop_assert!((eager..eager + period).contains(&sweep), "{}: {} {}", index, eager, sweep);
        }
    }

    // The sweep beside the wheel in nanoseconds, at random steps: same set, at most a period later.
    #[test]
    fn p20_a_sweep_expires_what_a_wheel_expires(
        kind in kind(),
        tick in tick(),
        delays in prop::collection::vec(short(), 1..30),
        steps in prop::collection::vec(short(), 1..20),
    ) {
        let mut worlds = [kind, TimersKind::Wheel].map(|kind| World::new(kind, tick, 1 << 20, 5));
        for step in &steps {
            for world in &mut worlds {
                for (index, delay) in (0..).zip(&delays) {
                    if world.expired.is_empty() {
                        world.arm(index, delay.from(world, world.now, false));
                    }
                }
                world.finish(step.from(world, world.now, false), usize::MAX);
            }
            let [one, wheel] = &worlds;
            prop_assert!(one.expired.iter().all(|index| wheel.expired.contains(index)));
        }
        let [mut one, mut wheel] = worlds.map(|mut world| {
            world.run_out();
            world.take_expired()
        });
        one.sort_unstable();
        wheel.sort_unstable();
        prop_assert_eq!(one, wheel);
    }
}
