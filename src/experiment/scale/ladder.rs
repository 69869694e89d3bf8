//! The rungs of a climb: which populations, and where the machine's top lies.
//!
//! Pure. What is asked for becomes a list in rising order; `max` stands for what the machine holds and gets its number
//! when the rungs below have told how many bytes a connection takes.

use crate::units::HumanCount;
use std::fmt;

/// The ladder of a run that names none.
const DEFAULT: [Want; 6] = [
    Want::Count(10_000),
    Want::Count(30_000),
    Want::Count(100_000),
    Want::Count(300_000),
    Want::Count(1_000_000),
    Want::Max,
];
/// The ladder of `--quick`.
const QUICK: [Want; 3] = [Want::Count(1_000), Want::Count(3_000), Want::Count(10_000)];
/// A rung less than this much above the one before tells nothing new: eleven tenths.
const LEAST_STEP: (u64, u64) = (11, 10);
/// Of what would fit the memory, this much is planned for: the rest is for what is not foreseen.
const SAFE_SHARE: (u64, u64) = (97, 100);

/// One rung as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// So many connections.
    Count(u64),
    /// What the machine holds.
    Max,
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{}", HumanCount(*count)),
            Self::Max => f.write_str("max"),
        }
    }
}

/// The rungs to climb, rising, each once. `up_to` cuts the ladder and is its last rung.
pub(super) fn ladder(asked: &[Want], up_to: Option<u64>, quick: bool) -> Vec<Want> {
    let mut rungs = match (asked, quick) {
        ([], true) => QUICK.to_vec(),
        ([], false) => DEFAULT.to_vec(),
        (asked, _) => asked.to_vec(),
    };
    if let Some(top) = up_to {
        rungs.retain(|rung| *rung < Want::Count(top));
        rungs.push(Want::Count(top));
    }
    rungs.sort_unstable();
    rungs.dedup();
    rungs
}

/// Connections that fit `room` bytes at `bytes_each`, with a margin, as a round number; at most `most`.
pub(super) fn top(room: u64, bytes_each: u64, most: u64) -> u64 {
    let fit = u128::from(room) * u128::from(SAFE_SHARE.0)
        / u128::from(SAFE_SHARE.1)
        / u128::from(bytes_each.max(1));
    round_down(u64::try_from(fit).unwrap_or(u64::MAX).min(most))
}

/// The next population to try after memory has stopped a ramp at `open` connections.
pub(super) fn below(open: u64) -> u64 {
    round_down(open / SAFE_SHARE.1 * SAFE_SHARE.0 + open % SAFE_SHARE.1)
        .min(open.saturating_sub(1))
        .max(1)
}

/// Whether a rung of `next` connections above one of `last` is worth its time.
pub(super) fn is_worthwhile(last: Option<u64>, next: u64) -> bool {
    last.is_none_or(|last| next.saturating_mul(LEAST_STEP.1) >= last.saturating_mul(LEAST_STEP.0))
}

/// `count` with two significant digits, never more than it was.
fn round_down(count: u64) -> u64 {
    let mut step = 1;
    while count / step >= 100 {
        step *= 10;
    }
    count / step * step
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(counts: &[u64]) -> Vec<Want> {
        counts.iter().copied().map(Want::Count).collect()
    }

    #[test]
    fn the_ladder_rises_and_ends_where_it_is_told() {
        assert_eq!(ladder(&[], None, false), DEFAULT);
        assert_eq!(ladder(&[], None, true), QUICK);
        let cut = ladder(&[], Some(250_000), false);
        assert_eq!(cut, counts(&[10_000, 30_000, 100_000, 250_000]));
        assert_eq!(ladder(&[], Some(30_000), false), counts(&[10_000, 30_000]));
        let asked = [Want::Max, Want::Count(5), Want::Count(3), Want::Count(5)];
        assert_eq!(
            ladder(&asked, None, true),
            [Want::Count(3), Want::Count(5), Want::Max]
        );
    }

    #[test]
    fn rungs_are_shown_as_they_are_read() {
        assert_eq!(Want::Count(2_500_000).to_string(), "2,500,000");
        assert_eq!(Want::Max.to_string(), "max");
    }

    #[test]
    fn the_top_is_a_round_number_that_fits() {
        // 24.4 GB of room at 8,600 B each hold 2.84 M; 97 of 100 are planned for.
        assert_eq!(top(24_400_000_000, 8_600, u64::MAX), 2_700_000);
        assert_eq!(top(24_400_000_000, 8_600, 1_234_567), 1_200_000);
        assert_eq!(top(0, 8_600, u64::MAX), 0);
        assert_eq!(below(2_640_000), 2_500_000);
        assert!(
            is_worthwhile(Some(1_000_000), 1_100_000) && !is_worthwhile(Some(1_000_000), 1_050_000)
        );
        assert!(is_worthwhile(None, 1));
    }

    proptest! {
        #[test]
        fn what_is_tried_after_a_stop_is_less_and_not_much_less(open in 1_u64..10_000_000) {
            let next = below(open);
            prop_assert!(next >= 1 && (next < open || open == 1));
            prop_assert!(open < 200 || next * 10 >= open * 8, "{next} of {open}");
        }

        #[test]
        fn the_top_never_exceeds_memory_nor_bound(room: u64, each in 1_u64..100_000, most: u64) {
            let top = top(room, each, most);
            prop_assert!(top <= most && u128::from(top) * u128::from(each) <= u128::from(room));
        }
    }
}
