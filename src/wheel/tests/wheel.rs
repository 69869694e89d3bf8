//! What is the wheel's alone: its order, its example-sized cases, its panics.

use super::oracle::World;
use crate::units::Tick;
use crate::wheel::{TimersKind, Wheel};

#[test]
fn cascades_at_every_tick_of_a_circle_lose_nothing() {
    let start = (1 << 32) - 2;
    let mut world = World::plain(TimersKind::Wheel, start);
    for index in 0..200 {
        world.arm(index, world.at(start + u64::from(index) * 131));
    }
    for now in start..start + 200 * 131 {
        world.turn(world.at(now), usize::MAX);
        assert_eq!(world.expired.len() as u64, (now - start) / 131 + 1);
    }
    world.check();
}

#[test]
fn the_wrap_of_the_tick_is_like_any_other_tick() {
    let mut wheel = Wheel::new(Tick(u32::MAX - 9));
    wheel.arm(0, Tick(u32::MAX));
    wheel.arm(1, Tick(0));
    wheel.arm(2, Tick(1));
    wheel.arm(3, Tick(u32::MAX - 20)); // passed
    let mut expired = Vec::new();
    for _ in 0..12 {
        let next = wheel.cursor;
        wheel.turn_to(next, usize::MAX, &mut expired);
        wheel.check_invariants();
    }
    assert_eq!(expired, [3, 0, 1, 2]);
}

#[test]
fn the_oldest_deadline_does_not_become_the_farthest_while_it_waits() {
    let mut wheel = Wheel::new(Tick(0));
    wheel.arm(0, Tick(0));
    wheel.arm(1, Tick(0));
    let mut expired = Vec::new();
    assert!(wheel.turn_to(Tick(0), 1, &mut expired).pending);
    wheel.arm(2, Tick(1 << 31)); // 2^31 behind, due at the next tick
    wheel.turn_to(Tick(1), usize::MAX, &mut expired);
    assert_eq!((expired.len(), expired[2]), (3, 2));
    wheel.check_invariants();
}

#[test]
fn steady_churn_takes_no_more_memory() {
    const CAPACITY: u32 = 1_000;
    let mut wheel = Wheel::with_capacity(CAPACITY, Tick(0));
    let reserved = wheel.memory_bytes();
    assert!(reserved <= 16 * CAPACITY as usize + 64 * 1024);
    let mut expired = Vec::new();
    for round in 0..10 {
        let now = Tick(round * 700);
        for index in 0..CAPACITY {
            wheel.arm(index, now.after(100 + index));
            if index % 3 == 0 {
                wheel.cancel(index);
            }
        }
        wheel.turn_to(now.after(699), usize::MAX, &mut expired);
        wheel.check_invariants();
        assert!(wheel.len() <= CAPACITY as usize);
    }
    assert_eq!(wheel.memory_bytes(), reserved);
}

#[test]
fn the_expired_buffer_is_appended_to() {
    let mut wheel = Wheel::new(Tick(0));
    wheel.arm(4, Tick(1));
    let mut expired = vec![99];
    let turn = wheel.turn_to(Tick(1), usize::MAX, &mut expired);
    assert_eq!((turn.expired, expired), (1, vec![99, 4]));
    assert!(!wheel.cancel(4), "an expired index is not armed");
    assert_eq!(wheel.deadline(4), None);
    assert_eq!(wheel.deadline(1_000_000), None);
    wheel.refresh(1_000_000, Tick(5));
    assert!(!wheel.cancel(1_000_000));
    wheel.check_invariants();
}

#[test]
#[should_panic(expected = "is not below 2^30")]
fn an_index_that_cannot_be_stored_is_refused() {
    Wheel::new(Tick(0)).arm(u32::MAX, Tick(1));
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "refresh moves the deadline of 0")]
fn a_refresh_to_an_earlier_deadline_is_a_mistake() {
    let mut wheel = Wheel::new(Tick(0));
    wheel.arm(0, Tick(10));
    wheel.refresh(0, Tick(9));
}

#[test]
fn debug_output_is_short() {
    let shown = format!("{:?}", Wheel::new(Tick(3)));
    assert!(
        shown.starts_with("Wheel { cursor: Tick(3), armed: 0"),
        "{shown}"
    );
    assert!(shown.len() < 200);
}
