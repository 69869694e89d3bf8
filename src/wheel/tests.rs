//! The wheel against a sorted list, and the boundaries other wheels have stumbled over.
//!
//! Asserts no time and no speed: cost is checked by counting ticks processed and entries visited.

mod oracle;

use super::*;
use oracle::{Pair, tick};
use proptest::prelude::*;

const FINE: u64 = 1 << 13;
const MIDDLE: u64 = 1 << 19;
const FAR: u64 = 1 << 25;
/// An odd lap of the 32-bit tick, so that the oracle can look back without going below zero.
const LAP: u64 = 1 << 32;

#[derive(Clone, Debug)]
enum Operation {
    Arm {
        index: u32,
        delay: i64,
    },
    Refresh {
        index: u32,
        extra: u64,
    },
    Retire {
        index: u32,
    },
    Cancel {
        index: u32,
    },
    /// Turn `step` ticks ahead, `budget` entries at a time; if `whole`, until nothing is pending.
    Turn {
        step: i64,
        budget: usize,
        whole: bool,
    },
    /// Arm again everything that expired since, and turn on.
    ArmExpired {
        delay: i64,
    },
}

/// Distances near every boundary of the geometry, and between.
fn distance() -> impl Strategy<Value = u64> {
    let near = |boundary: u64| boundary.saturating_sub(3)..boundary + 4;
    prop_oneof![
        4 => 0..4_u64,
        4 => 4..FINE,
        3 => near(FINE),
        2 => near(2 * FINE),
        2 => FINE..MIDDLE,
        2 => near(MIDDLE),
        1 => MIDDLE..FAR,
        1 => near(FAR),
        1 => near(FAR + FINE),
        1 => FAR..10 * FAR,
    ]
}

#[expect(clippy::cast_possible_wrap, reason = "distances are below 2^30")]
fn signed() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => distance().prop_map(|ticks| ticks as i64),
        1 => distance().prop_map(|ticks| -(ticks as i64)),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let index = || prop_oneof![9 => 0..16_u32, 1 => 40..44_u32];
    let budget = prop_oneof![0..4_usize, Just(usize::MAX)];
    prop_oneof![
        6 => (index(), signed()).prop_map(|(index, delay)| Operation::Arm { index, delay }),
        4 => (index(), distance()).prop_map(|(index, extra)| Operation::Refresh { index, extra }),
        2 => index().prop_map(|index| Operation::Retire { index }),
        1 => index().prop_map(|index| Operation::Cancel { index }),
        5 => (signed(), budget, any::<bool>())
            .prop_map(|(step, budget, whole)| Operation::Turn { step, budget, whole }),
        2 => prop_oneof![Just(0), signed()].prop_map(|delay| Operation::ArmExpired { delay }),
    ]
}

fn start() -> impl Strategy<Value = u64> {
    let base = prop_oneof![
        Just(0),
        Just(FINE),
        Just(MIDDLE),
        Just(FAR),
        Just(1_u64 << 31),
        Just(LAP),
        Just(LAP - FAR),
    ];
    (base, 0..6_u64).prop_map(|(base, offset)| LAP + base + offset - 3)
}

fn apply(pair: &mut Pair, operation: &Operation) {
    match *operation {
        Operation::Arm { index, delay } => {
            pair.arm(index, pair.now.saturating_add_signed(delay));
        }
        Operation::Refresh { index, extra } => pair.refresh(index, extra),
        Operation::Retire { index } => pair.retire(index),
        Operation::Cancel { index } => pair.cancel(index),
        Operation::Turn {
            step,
            budget,
            whole,
        } => {
            let now = pair.now.saturating_add_signed(step);
            let budget = if whole { budget.max(1) } else { budget };
            while pair.turn(now, budget) && whole {
                pair.check();
            }
        }
        Operation::ArmExpired { delay } => {
            for index in std::mem::take(&mut pair.expired) {
                pair.arm(index, pair.now.saturating_add_signed(delay));
            }
        }
    }
}

proptest! {
    #[test]
    fn expires_what_a_sorted_list_expires(
        start in start(),
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let mut pair = Pair::new(start);
        for operation in &operations {
            apply(&mut pair, operation);
            pair.check();
        }
        let end = pair.timers.values().map(|armed| armed.due()).max().unwrap_or(0);
        while pair.turn(end.max(pair.now), 3) {
            pair.check();
        }
        pair.check();
        prop_assert!(pair.wheel.is_empty());
    }

    #[test]
    fn a_budget_in_slices_expires_what_one_turn_expires(
        start in start(),
        delays in prop::collection::vec(distance(), 1..40),
        refreshed in prop::collection::vec((0..40_u32, distance()), 0..40),
        step in distance(),
        budget in 1..5_usize,
    ) {
        let mut whole = Pair::new(start);
        let mut sliced = Pair::new(start);
        for pair in [&mut whole, &mut sliced] {
            for (index, delay) in (0..).zip(&delays) {
                pair.arm(index, start + delay);
            }
            for &(index, extra) in &refreshed {
                pair.refresh(index, extra);
            }
        }
        prop_assert!(!whole.turn(start + step, usize::MAX));
        while sliced.turn(start + step, budget) {
            sliced.check();
        }
        whole.expired.sort_unstable();
        sliced.expired.sort_unstable();
        prop_assert_eq!(&whole.expired, &sliced.expired);
        prop_assert_eq!(whole.wheel.cursor, sliced.wheel.cursor);
    }

    #[test]
    fn sleeping_until_the_next_deadline_gets_there_in_few_turns(
        start in start(),
        delay in distance(),
    ) {
        let mut wheel = Wheel::new(tick(start));
        wheel.arm(0, tick(start + delay));
        let mut expired = Vec::new();
        let mut turns = 0;
        while let Some(next) = wheel.next_deadline() {
            wheel.turn_to(next, usize::MAX, &mut expired);
            wheel.check_invariants();
            turns += 1;
        }
        prop_assert_eq!(expired, [0]);
        prop_assert!(turns <= 4 + delay / (FAR - 1), "{} turns", turns);
    }
}

#[test]
fn boundary_deadlines_expire_on_their_tick_and_not_before() {
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
    for start in starts.map(|start| LAP + start) {
        for delay in boundaries
            .iter()
            .flat_map(|b| [b.saturating_sub(1), *b, b + 1])
        {
            let mut pair = Pair::new(start);
            pair.arm(7, start + delay);
            pair.check();
            if delay > 0 {
                assert!(!pair.turn(start + delay - 1, usize::MAX));
                assert!(pair.expired.is_empty(), "{delay} from {start}: early");
                pair.check();
            }
            assert!(!pair.turn(start + delay, usize::MAX));
            assert_eq!(pair.expired, [7], "{delay} from {start}: late");
            pair.check();
        }
    }
}

#[test]
fn cascades_at_every_tick_of_a_circle_lose_nothing() {
    let start = LAP - 2;
    let mut pair = Pair::new(start);
    for index in 0..200 {
        pair.arm(index, start + u64::from(index) * 131);
    }
    for now in start..start + 200 * 131 {
        pair.turn(now, usize::MAX);
        assert_eq!(pair.expired.len() as u64, (now - start) / 131 + 1);
    }
    pair.check();
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
fn the_farthest_and_the_oldest_deadline_are_what_they_say() {
    let farthest = i32::MAX.unsigned_abs();
    for start in [0, 5, u32::MAX] {
        let start = Tick(start);
        let mut wheel = Wheel::new(start);
        wheel.arm(0, start.after(farthest));
        wheel.arm(1, start.after(farthest + 1)); // 2^31 behind
        wheel.check_invariants();
        let mut expired = Vec::new();
        wheel.turn_to(start, usize::MAX, &mut expired);
        assert_eq!(expired, [1]);
        wheel.turn_to(start.after(farthest - 1), usize::MAX, &mut expired);
        assert_eq!(expired, [1]);
        wheel.turn_to(start.after(farthest), usize::MAX, &mut expired);
        assert_eq!(expired, [1, 0]);
    }
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
fn a_refresh_hides_the_old_deadline_up_to_the_turn_itself() {
    let mut pair = Pair::new(LAP);
    pair.arm(0, LAP + 100);
    pair.turn(LAP + 99, usize::MAX);
    pair.refresh(0, 1);
    pair.turn(LAP + 100, usize::MAX);
    assert!(pair.expired.is_empty());
    pair.turn(LAP + 101, usize::MAX);
    assert_eq!(pair.expired, [0]);
    pair.refresh(0, 50); // too late: the verdict stands
    pair.check();
    assert!(pair.wheel.is_empty());
}

#[test]
fn a_reused_index_inherits_the_entry_and_not_the_deadline() {
    for deadline in [200, 500, 900] {
        let mut pair = Pair::new(LAP);
        pair.arm(3, LAP + 500);
        pair.retire(3);
        pair.retire(3);
        pair.check();
        pair.arm(3, LAP + deadline);
        pair.check();
        pair.turn(LAP + deadline - 1, usize::MAX);
        assert!(pair.expired.is_empty(), "{deadline}");
        pair.turn(LAP + deadline, usize::MAX);
        assert_eq!(pair.expired, [3], "{deadline}");
    }
}

#[test]
fn arming_an_expired_index_without_delay_fires_once_a_turn_and_ends() {
    for budget in [1, 2, usize::MAX] {
        let mut pair = Pair::new(LAP);
        (0..5).for_each(|index| pair.arm(index, LAP));
        for now in LAP..LAP + 3 {
            let mut fired = 0;
            while pair.turn(now, budget) {
                fired += pair.expired.len();
                for index in std::mem::take(&mut pair.expired) {
                    pair.arm(index, now);
                }
                pair.check();
            }
            for index in std::mem::take(&mut pair.expired) {
                fired += 1;
                pair.arm(index, now);
            }
            assert_eq!(fired, 5, "tick {now}, budget {budget}");
        }
    }
}

#[test]
fn a_backwards_turn_does_nothing() {
    let mut pair = Pair::new(LAP + 1_000);
    pair.arm(0, LAP + 1_500);
    pair.turn(LAP + 1_200, usize::MAX);
    let turn = pair
        .wheel
        .turn_to(tick(LAP + 3), usize::MAX, &mut pair.expired);
    let next_deadline = Some(tick(LAP + 1_500));
    assert_eq!(
        turn,
        Turn {
            next_deadline,
            ..Turn::default()
        }
    );
    pair.check();
    pair.turn(LAP + 1_500, usize::MAX);
    assert_eq!(pair.expired, [0]);
}

#[test]
fn a_turn_processes_occupied_ticks_only() {
    let mut wheel = Wheel::new(Tick(0));
    wheel.arm(0, Tick(3));
    wheel.arm(1, Tick(8_000));
    wheel.arm(2, Tick(1 << 20));
    let turn = wheel.turn_to(Tick(1 << 30), usize::MAX, &mut Vec::new());
    assert_eq!(turn.expired, 3);
    assert!(turn.visited <= 3 + 2, "one visit per level at most");
    assert!(wheel.processed <= 5, "{} ticks", wheel.processed);
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
                wheel.retire(index);
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
    wheel.retire(1_000_000);
    wheel.check_invariants();
}

#[test]
#[should_panic(expected = "is not below 2^31 - 1")]
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
