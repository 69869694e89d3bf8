//! The sampler's slices become those of the record: one round's, and of a long window the minute around the fullest.
//!
//! Pure.

use crate::arm::Arm;
use crate::experiment::trial::Trial;
use crate::measure::keepalive::Slice;
use crate::record::{BurstSlices, SliceRow};
use crate::units::Nanos;

/// The longest stretch that is kept: six thousand slices, some eighty kilobytes.
const LONGEST: Nanos = Nanos::from_secs(60);

/// The slices of the arm called `name`, of the round that has the fullest one; `None` where nothing was sent.
pub(crate) fn burst_slices(name: &str, trials: &[Trial]) -> Option<BurstSlices> {
    let own = trials.iter().filter(|trial| trial.spec.name == name);
    let fullest = |trial: &&Trial| {
        let counts = trial.burst.slices.iter();
        let counts = counts.map(|slice| burst_of(trial.spec.arm, slice));
        counts.max().unwrap_or(0)
    };
    // Of rounds alike the first: the later of two equals would win.
    let trial = own.rev().max_by_key(fullest)?;
    let slices = fold(trial.spec.arm, &trial.burst.slices, trial.counted)?;
    Some(BurstSlices {
        round: trial.spec.round,
        ..slices
    })
}

/// What makes a slice of this arm full: probes where the kernel sends them, else frames.
fn burst_of(arm: Arm, slice: &Slice) -> u64 {
    if arm.has_keepalive() {
        slice.probes
    } else if arm.has_heartbeats() {
        slice.data_segments
    } else {
        0
    }
}

/// The rows of slices that follow one another, counted from the first. `window` is when the other figures' window had
/// opened and was about to close.
fn fold(arm: Arm, slices: &[Slice], window: (Nanos, Nanos)) -> Option<BurstSlices> {
    let first = slices.first()?.begins;
    let us = |at: Nanos| (at - first).0 / 1_000;
    let kept = around_fullest(arm, slices);
    let last = kept.last()?;
    let rows: Vec<SliceRow> = kept
        .iter()
        .map(|slice| {
            // A row ends where the next begins, whatever rounding does.
            let begin_us = us(slice.begins);
            SliceRow {
                begin_us,
                length_us: us(slice.begins + slice.length) - begin_us,
                probes: if arm.has_keepalive() { slice.probes } else { 0 },
                segments: if arm.has_heartbeats() {
                    slice.data_segments
                } else {
                    0
                },
            }
        })
        .filter(|row| row.probes + row.segments > 0)
        .collect();
    (!rows.is_empty()).then(|| BurstSlices {
        round: 0,
        from_us: us(kept[0].begins),
        to_us: us(last.begins + last.length),
        window_opened_us: us(window.0),
        window_closing_us: us(window.1),
        rows,
    })
}

/// All slices, or those within half of [`LONGEST`] of the fullest; as many at an end of the window.
fn around_fullest(arm: Arm, slices: &[Slice]) -> &[Slice] {
    let (Some(first), Some(last)) = (slices.first(), slices.last()) else {
        return slices;
    };
    let end = last.begins + last.length;
    if end - first.begins <= LONGEST {
        return slices;
    }
    let fullest = slices
        .iter()
        .rev()
        .max_by_key(|slice| burst_of(arm, slice))
        .unwrap_or(first);
    let half = Nanos(LONGEST.0 / 2);
    let from = (fullest.begins - half).max(first.begins).min(end - LONGEST);
    let until = from + LONGEST;
    let begin = slices.partition_point(|slice| slice.begins < from);
    let after = slices.partition_point(|slice| slice.begins + slice.length <= until);
    &slices[begin..after.max(begin)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Slices one after the other from some instant on.
    fn following(lengths_and_counts: &[(u64, u64, u64)]) -> Vec<Slice> {
        let mut at = Nanos(123_456_789);
        let mut slices = Vec::new();
        for &(length, probes, data_segments) in lengths_and_counts {
            let length = Nanos(length);
            slices.push(Slice {
                begins: at,
                length,
                probes,
                data_segments,
            });
            at += length;
        }
        slices
    }

    fn sampled() -> impl Strategy<Value = Vec<Slice>> {
        let count = prop_oneof![3 => Just(0_u64), 1 => 1..9_000_u64];
        let slice = (9_000_000..400_000_000_u64, count.clone(), count);
        proptest::collection::vec(slice, 1..500).prop_map(|slices| following(&slices))
    }

    proptest! {
        /// Against the plainest way to say it: every microsecond of the kept stretch lies in the row of its slice or in
        /// none, and nothing is lost or invented.
        #[test]
        fn rows_are_the_slices_that_sent_something(
            slices in sampled(),
            arm in prop_oneof![
                Just(Arm::None), Just(Arm::Keepalive), Just(Arm::Heartbeat), Just(Arm::Both)
            ],
        ) {
            let counts = |slice: &Slice| (
                if arm.has_keepalive() { slice.probes } else { 0 },
                if arm.has_heartbeats() { slice.data_segments } else { 0 },
            );
            let folded = fold(arm, &slices, (slices[0].begins, slices[0].begins));
            let Some(folded) = folded else {
                prop_assert!(arm == Arm::None || around_fullest(arm, &slices).iter().all(|s| counts(s) == (0, 0)));
                return Ok(());
            };
            let first = slices[0].begins;
            let us = |at: Nanos| (at - first).0 / 1_000;
            let expected: Vec<(u64, u64, u64, u64)> = slices
                .iter()
                .filter(|slice| counts(slice) != (0, 0))
                .filter(|slice| us(slice.begins) >= folded.from_us && us(slice.begins + slice.length) <= folded.to_us)
                .map(|slice| (us(slice.begins), us(slice.begins + slice.length), counts(slice).0, counts(slice).1))
                .collect();
            let got: Vec<(u64, u64, u64, u64)> = folded
                .rows
                .iter()
                .map(|row| (row.begin_us, row.end_us(), row.probes, row.segments))
                .collect();
            prop_assert_eq!(got, expected);
            // The fullest of all is among them, and no more than a minute is kept.
            let most = slices.iter().map(|slice| burst_of(arm, slice)).max();
            let kept = folded.rows.iter().map(|row| if arm.has_keepalive() { row.probes } else { row.segments }).max();
            prop_assert_eq!(kept, most);
            prop_assert!(folded.to_us - folded.from_us <= LONGEST.0 / 1_000 + 1);
        }
    }

    #[test]
    fn a_short_window_is_kept_whole_and_a_long_one_around_its_fullest_slice() {
        let second = |probes| (1_000_000_000, probes, 7);
        let mut seconds: Vec<_> = (0..60).map(|_| second(1)).collect();
        seconds[59].1 = 5;
        let window = (Nanos(123_457_789), Nanos(59_123_456_789));
        let whole = fold(Arm::Keepalive, &following(&seconds), window).unwrap();
        assert_eq!((whole.from_us, whole.to_us), (0, 60_000_000));
        assert_eq!(
            (whole.window_opened_us, whole.window_closing_us),
            (1, 59_000_000)
        );
        assert_eq!(whole.rows.iter().map(|row| row.probes).sum::<u64>(), 64);
        assert!(whole.rows.iter().all(|row| row.segments == 0));
        seconds.extend((0..60).map(|_| second(1)));
        let middle = fold(Arm::Keepalive, &following(&seconds), window).unwrap();
        assert_eq!((middle.from_us, middle.to_us), (29_000_000, 89_000_000));
        seconds[119].1 = 9;
        let end = fold(Arm::Keepalive, &following(&seconds), window).unwrap();
        assert_eq!((end.from_us, end.to_us), (60_000_000, 120_000_000));
        assert_eq!(fold(Arm::Keepalive, &following(&[second(0)]), window), None);
        assert_eq!(fold(Arm::Heartbeat, &[], window), None);
    }
}
