//! What is the sweep's alone: how its looks are spread.

use crate::units::Tick;
use crate::wheel::Sweep;

#[test]
fn every_tick_looks_at_its_share_and_a_pass_at_everything() {
    let mut sweep = Sweep::new(12, Tick(0));
    (0..1_000).for_each(|index| sweep.arm(index, Tick(1 << 20)));
    for tick in 0..120 {
        let before = sweep.looked;
        sweep.turn_to(Tick(tick), usize::MAX, &mut Vec::new());
        assert!((83..=84).contains(&(sweep.looked - before)), "tick {tick}");
        sweep.check_invariants();
    }
    assert_eq!(sweep.looked, 10 * 1_000);
}

#[test]
fn a_late_turn_looks_at_what_it_missed_and_at_nothing_twice() {
    let mut sweep = Sweep::new(10, Tick(0));
    (0..100).for_each(|index| sweep.arm(index, Tick(1 << 20)));
    sweep.turn_to(Tick(2), usize::MAX, &mut Vec::new());
    assert_eq!(sweep.looked, 30);
    sweep.turn_to(Tick(10), usize::MAX, &mut Vec::new());
    assert_eq!(sweep.looked, 110);
    sweep.turn_to(Tick(1_000), usize::MAX, &mut Vec::new());
    assert_eq!(sweep.looked, 210);
    sweep.turn_to(Tick(1_001), usize::MAX, &mut Vec::new());
    assert_eq!(sweep.looked, 220);
}

// Shares that are not whole numbers: after the stall the pass stands between two of them.
#[test]
fn after_a_stall_nobody_waits_longer_than_a_pass() {
    for (count, period) in [(500, 12), (5, 3), (50, 7), (11, 12), (1_000, 13)] {
        for before in 0..2 * period {
            let mut sweep = Sweep::new(period, Tick(0));
            let mut expired = Vec::new();
            (0..count).for_each(|index| sweep.arm(index, Tick(1 << 20)));
            (0..before).for_each(|tick| {
                sweep.turn_to(Tick(tick), usize::MAX, &mut expired);
            });
            let stalled = before + period + 3;
            sweep.turn_to(Tick(stalled), usize::MAX, &mut expired);
            (0..count).for_each(|index| sweep.arm(index, Tick(stalled + 1)));
            for tick in stalled + 1..=stalled + period {
                sweep.turn_to(Tick(tick), usize::MAX, &mut expired);
                sweep.check_invariants();
            }
            assert_eq!(expired.len(), count as usize, "{count} by {period}");
        }
    }
}

#[test]
fn more_indices_do_not_keep_the_old_waiting() {
    for period in [1, 2, 7, 12] {
        let mut sweep = Sweep::new(period, Tick(0));
        let mut expired = Vec::new();
        for tick in 0..400_u32 {
            // Each tick's crowd is due at once, and each is larger than the one before.
            (0..=tick).for_each(|index| {
                if sweep.deadline(index).is_none() {
                    sweep.arm(index, Tick(tick));
                }
            });
            let late = |late: u32| assert!(late < period, "{late} ticks late, period {period}");
            sweep.turn_with(Tick(tick), usize::MAX, &mut expired, late);
            sweep.check_invariants();
        }
        assert!(!expired.is_empty());
    }
}

#[test]
fn a_short_budget_stops_the_pass_and_nobody_starves() {
    let mut sweep = Sweep::new(4, Tick(0));
    let mut fired = [0_u32; 40];
    (0..40).for_each(|index| sweep.arm(index, Tick(0)));
    for tick in 0..400 {
        let mut expired = Vec::new();
        let turn = sweep.turn_to(Tick(tick), 3, &mut expired);
        assert!(turn.expired <= 3 && turn.next_deadline.is_some());
        for index in expired {
            fired[index as usize] += 1;
            sweep.arm(index, Tick(tick));
        }
        sweep.check_invariants();
    }
    let (least, most) = (fired.iter().min(), fired.iter().max());
    assert!(least.is_some_and(|&least| least >= 29), "{fired:?}");
    assert!(most.is_some_and(|&most| most <= 31), "{fired:?}");
}

#[test]
fn the_tick_that_means_never_is_kept_as_the_next() {
    let mut sweep = Sweep::new(1, Tick(u32::MAX - 2));
    sweep.arm(0, Tick(u32::MAX));
    sweep.arm(1, Tick(u32::MAX - 1));
    sweep.refresh(1, Tick(u32::MAX));
    assert_eq!((sweep.deadline(0), sweep.len()), (Some(Tick(0)), 2));
    let mut expired = Vec::new();
    sweep.turn_to(Tick(u32::MAX), usize::MAX, &mut expired);
    assert!(expired.is_empty(), "early");
    sweep.turn_to(Tick(0), usize::MAX, &mut expired);
    assert_eq!(expired, [0, 1]);
}

#[test]
fn due_timers_are_found_wherever_in_a_chunk_they_lie() {
    for count in [1_u32, 63, 64, 65, 127, 128, 129, 1_000] {
        for at in [0, count / 2, count - 1] {
            let mut sweep = Sweep::with_capacity(count, 1, Tick(0));
            (0..count).for_each(|index| sweep.arm(index, Tick(100)));
            sweep.arm(at, Tick(5));
            let mut expired = Vec::new();
            sweep.turn_to(Tick(4), usize::MAX, &mut expired);
            assert!(expired.is_empty());
            sweep.turn_to(Tick(5), usize::MAX, &mut expired);
            assert_eq!(expired, [at], "of {count}");
        }
    }
}

#[test]
#[should_panic(expected = "is not below 2^30")]
fn an_index_that_cannot_be_stored_is_refused() {
    Sweep::new(1, Tick(0)).arm(u32::MAX, Tick(1));
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "refresh moves the deadline of 0")]
fn a_refresh_to_an_earlier_deadline_is_a_mistake() {
    let mut sweep = Sweep::new(1, Tick(0));
    sweep.arm(0, Tick(10));
    sweep.refresh(0, Tick(9));
}

#[test]
fn debug_output_is_short() {
    let shown = format!("{:?}", Sweep::new(12, Tick(3)));
    assert!(
        shown.starts_with("Sweep { cursor: Tick(3), period: 12"),
        "{shown}"
    );
}
