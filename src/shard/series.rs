//! Counts over time: how many reconnects were begun, and how many succeeded, in each hundredth of a second.
//!
//! Pure; time is handed in. Slices lie on multiples of ten milliseconds of the monotonic clock, so that the series of
//! the threads of one machine add up slice by slice. Bounded: the last ten minutes are kept.

use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Length of a slice.
pub const SLICE: Nanos = Nanos::from_millis(10);
/// Slices kept: 240 kB at the most.
const MOST: u64 = 60_000;

/// How often something happened, slice by slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Number of the first slice, counted from the clock's zero.
    first: u64,
    counts: VecDeque<u32>,
}

impl Series {
    /// It happened once more. What lies before the oldest slice kept is counted there.
    pub fn count(&mut self, now: Nanos) {
        self.add_at(now.0 / SLICE.0, 1);
    }

    /// Adds another thread's series.
    pub fn add(&mut self, other: &Self) {
        for (number, count) in other.numbered() {
            if count > 0 {
                self.add_at(number, count);
            }
        }
    }

    /// Everything counted, save what was forgotten.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The most in any `span` that begins with a slice.
    #[must_use]
    pub fn most_in(&self, span: Nanos) -> u64 {
        let width = usize::try_from(span.0.div_ceil(SLICE.0).max(1)).unwrap_or(usize::MAX);
        let (mut within, mut most) = (0_u64, 0);
        for (place, count) in self.counts.iter().enumerate() {
            within += u64::from(*count);
            if let Some(left) = place.checked_sub(width).and_then(|at| self.counts.get(at)) {
                within -= u64::from(*left);
            }
            most = most.max(within);
        }
        most
    }

    /// The end of the slice in which the `count`-th since `from` happened; `None` when there were fewer.
    #[must_use]
    pub fn reached(&self, count: u64, from: Nanos) -> Option<Nanos> {
        let mut sum = 0;
        let since = self
            .numbered()
            .skip_while(|(number, _)| *number < from.0 / SLICE.0);
        for (number, here) in since {
            sum += u64::from(here);
            if sum >= count {
                return Some(Nanos((number + 1) * SLICE.0));
            }
        }
        None
    }

    /// The counts of `width` slices each from `from` on, as long as there are any.
    #[must_use]
    pub fn since(&self, from: Nanos, width: u64) -> Vec<u64> {
        let begin = from.0 / SLICE.0;
        let mut sums = Vec::new();
        for (number, count) in self.numbered() {
            let Some(place) = number.checked_sub(begin) else {
                continue;
            };
            let place = usize::try_from(place / width.max(1)).unwrap_or(usize::MAX);
            if sums.len() <= place {
                sums.resize(place + 1, 0);
            }
            sums[place] += u64::from(count);
        }
        sums
    }

    fn numbered(&self) -> impl Iterator<Item = (u64, u32)> {
        (self.first..).zip(self.counts.iter().copied())
    }

    fn add_at(&mut self, number: u64, count: u32) {
        if self.counts.is_empty() {
            self.first = number;
        }
        while number < self.first && (self.counts.len() as u64) < MOST {
            self.counts.push_front(0);
            self.first -= 1;
        }
        let end = self.first + self.counts.len() as u64;
        if number >= end + MOST {
            // Nothing of what was kept is among the last slices.
            self.counts.clear();
            self.first = number;
        }
        while number >= self.first + self.counts.len() as u64 {
            self.counts.push_back(0);
            if self.counts.len() as u64 > MOST {
                self.counts.pop_front();
                self.first += 1;
            }
        }
        let place = usize::try_from(number.saturating_sub(self.first)).unwrap_or(0);
        if let Some(slice) = self.counts.get_mut(place) {
            *slice = slice.saturating_add(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(millis: &[u64]) -> Series {
        let mut series = Series::default();
        for at in millis {
            series.count(Nanos::from_millis(*at));
        }
        series
    }

    proptest! {
        #[test]
        fn it_counts_as_a_list_of_instants_would(
            one in prop::collection::vec(0_u64..100_000, 0..200),
            other in prop::collection::vec(0_u64..100_000, 0..200),
            from in 0_u64..100_000, wanted in 1_u64..100
        ) {
            let mut merged = series(&one);
            merged.add(&series(&other));
            let mut all: Vec<u64> = one.iter().chain(&other).map(|at| at / 10).collect();
            all.sort_unstable();
            prop_assert_eq!(merged.total(), all.len() as u64);
            let most = all.iter().map(|first| {
                all.iter().filter(|at| (*first..first + 10).contains(at)).count() as u64
            });
            prop_assert_eq!(merged.most_in(Nanos::from_millis(100)), most.max().unwrap_or(0));
            let from = from / 10;
            let after: Vec<u64> = all.iter().copied().filter(|at| *at >= from).collect();
            let reached = after.get(usize::try_from(wanted).unwrap() - 1);
            prop_assert_eq!(
                merged.reached(wanted, Nanos::from_millis(from * 10)),
                reached.map(|at| Nanos::from_millis((at + 1) * 10))
            );
            let sums = merged.since(Nanos::from_millis(from * 10), 10);
            prop_assert_eq!(sums.iter().sum::<u64>(), after.len() as u64);
        }
    }

    #[test]
    fn what_is_older_than_ten_minutes_is_forgotten() {
        let minutes = |count: u64| count * 60_000;
        let two = series(&[0, minutes(5), minutes(11)]);
        assert_eq!(two.total(), 2);
        assert_eq!(two.counts.len() as u64, MOST);
        let late = series(&[0, 10, minutes(60 * 24), minutes(60 * 24)]);
        assert_eq!((late.total(), late.most_in(SLICE)), (2, 2));
        let text = serde_json::to_string(&late).unwrap();
        assert_eq!(serde_json::from_str::<Series>(&text).unwrap(), late);
    }
}
