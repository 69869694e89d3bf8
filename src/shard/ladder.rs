//! Latencies by rough steps, kept at all times and cheap to show: what a live view and a metrics endpoint read.
//!
//! Does not replace the histograms, which have three digits, fill while a window is open and are shown when it closes.
//! A ladder has four steps to each doubling from one microsecond to a minute, counts from the start of the process and
//! never goes down, so that what happened between two looks is their difference.
//!
//! Pure. To record is a division, a shift and an addition, 2.3 ns in all; to show is to copy 860 bytes with the counters,
//! which a core thread does five times a second anyway. To show the histograms instead, a core thread would deflate
//! tens of thousands of counts each time, in the middle of what is measured.

use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// Steps to each doubling.
const SUBSTEPS: usize = 4;
/// Doublings from one microsecond on: up to 67 seconds.
pub const DOUBLINGS: usize = 26;
/// Up to a microsecond, the doublings, and everything above.
const STEPS: usize = 1 + SUBSTEPS * DOUBLINGS + 1;

/// Counts by latency, in steps of a quarter of a doubling from one microsecond to 67 seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Ladder {
    counts: [u64; STEPS],
    /// Of all values, nanoseconds.
    sum_ns: u64,
}

/// The stored form: steps that hold anything, by their number.
#[derive(Serialize, Deserialize)]
struct Stored {
    sum_ns: u64,
    counts: Vec<(usize, u64)>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            counts: [0; STEPS],
            sum_ns: 0,
        }
    }
}

impl Ladder {
    /// `count` more values of `span`.
    pub fn record(&mut self, span: Nanos, count: u64) {
        self.counts[step(span)] += count;
        self.sum_ns = self.sum_ns.saturating_add(span.0.saturating_mul(count));
    }

    /// Values recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub const fn sum(&self) -> Nanos {
        Nanos(self.sum_ns)
    }

    /// Values of at most one, two, four… microseconds, up to [`DOUBLINGS`] of them, each with its bound.
    pub fn at_most(&self) -> impl Iterator<Item = (Nanos, u64)> {
        let mut below = 0;
        let mut from = 0;
        (0..=DOUBLINGS).map(move |doubling| {
            let to = 1 + SUBSTEPS * doubling;
            below += self.counts[from..to].iter().sum::<u64>();
            from = to;
            (Nanos(1_000 << doubling), below)
        })
    }

    /// The value that `per_mille` of a thousand values do not exceed, within its step in proportion; `None` when there
    /// is no value.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> Option<Nanos> {
        let all = self.count();
        let rank = (u128::from(all) * u128::from(per_mille)).div_ceil(1_000);
        let rank = u64::try_from(rank).unwrap_or(u64::MAX).max(1);
        let mut below = 0;
        for (number, &here) in self.counts.iter().enumerate() {
            if here > 0 && below + here >= rank {
                let (low, high) = bounds(number);
                let part = u128::from(high - low) * u128::from(rank - below) / u128::from(here);
                return Some(Nanos(low + u64::try_from(part).unwrap_or(high - low)));
            }
            below += here;
        }
        None
    }

    /// Adds another thread's values.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// The values since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (mine, theirs) in difference.counts.iter_mut().zip(&earlier.counts) {
            *mine = mine.saturating_sub(*theirs);
        }
        difference.sum_ns = self.sum_ns.saturating_sub(earlier.sum_ns);
        difference
    }
}

/// The number of `span`'s step. A value that equals a bound belongs below it, as the bounds of OpenMetrics' buckets
/// have it.
fn step(span: Nanos) -> usize {
    let micros = span.0.saturating_sub(1) / 1_000;
    let Some(doubling) = micros.checked_ilog2() else {
        return 0;
    };
    let doubling = doubling as usize;
    // The two bits behind the highest one.
    let substep = ((micros << 2) >> doubling) & 3;
    let number = 1 + SUBSTEPS * doubling + usize::try_from(substep).unwrap_or(0);
    number.min(STEPS - 1)
}

/// Above the first and up to the second, nanoseconds. The last step has no end and shows its beginning.
fn bounds(number: usize) -> (u64, u64) {
    let bound = |number: usize| match number.checked_sub(1) {
        None => 1_000,
        Some(steps) => {
            let (doubling, substep) = (steps / SUBSTEPS, (steps % SUBSTEPS) as u64);
            // Below four microseconds there are no quarters.
            ((5 + substep) << doubling).div_ceil(4) * 1_000
        }
    };
    match number {
        0 => (0, bound(0)),
        _ if number >= STEPS - 1 => (bound(STEPS - 2), bound(STEPS - 2)),
        _ => (bound(number - 1), bound(number)),
    }
}

impl From<Ladder> for Stored {
    fn from(ladder: Ladder) -> Self {
        let counts = ladder.counts.into_iter().enumerate();
        Self {
            sum_ns: ladder.sum_ns,
            counts: counts.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

impl TryFrom<Stored> for Ladder {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let mut ladder = Self {
            sum_ns: stored.sum_ns,
            ..Self::default()
        };
        for (number, count) in stored.counts {
            let step = ladder.counts.get_mut(number);
            *step.ok_or_else(|| format!("a ladder has no step {number}"))? = count;
        }
        Ok(ladder)
    }
}

/// The ladders of one core thread, or of many added together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladders {
    /// From the handing of a heartbeat to the kernel to its ack.
    pub rtt: Ladder,
    /// From when a heartbeat was due to its ack.
    pub response: Ladder,
    /// From a tick's begin until its deadlines were looked at, by wheel entries.
    pub lateness: Ladder,
    /// From when a heartbeat was due until it left.
    pub schedule_lag: Ladder,
    /// From a connect to its answer, reconnects among them.
    pub connect: Ladder,
}

impl Ladders {
    /// All of them, by the record's names.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, &Ladder); 5] {
        [
            ("rtt", &self.rtt),
            ("response", &self.response),
            ("lateness", &self.lateness),
            ("schedule_lag", &self.schedule_lag),
            ("connect", &self.connect),
        ]
    }

    /// Adds another thread's values.
    pub fn add(&mut self, other: &Self) {
        self.rtt.add(&other.rtt);
        self.response.add(&other.response);
        self.lateness.add(&other.lateness);
        self.schedule_lag.add(&other.schedule_lag);
        self.connect.add(&other.connect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_lies_within_the_bounds_of_its_step(value in 0_u64..67_108_864_000) {
            let number = step(Nanos(value));
            let (low, high) = bounds(number);
            prop_assert!(number < STEPS - 1 && value <= high, "{value} in {number}");
            prop_assert!(value > low || value == 0, "{value} above {low}");
            // A quarter of the doubling, or a microsecond.
            prop_assert!(high - low <= (low / 4).max(1_000), "{low} to {high}");
        }

        #[test]
        fn a_quantile_is_right_to_its_step_and_counts_are_those_of_a_list(
            mut values in prop::collection::vec(1_u64..100_000_000, 1..200), per_mille in 1_u64..=1_000,
            other in prop::collection::vec(1_u64..100_000_000, 0..50)
        ) {
            let mut ladder = Ladder::default();
            for value in &values {
                ladder.record(Nanos(*value), 1);
            }
            let before = ladder.clone();
            let mut more = Ladder::default();
            for value in &other {
                more.record(Nanos(*value), 1);
            }
            ladder.add(&more);
            prop_assert_eq!(&ladder.since(&before), &more);
            values.extend(&other);
            values.sort_unstable();
            prop_assert_eq!(ladder.sum().0, values.iter().sum::<u64>());
            let rank = (values.len() as u64 * per_mille).div_ceil(1_000).max(1);
            let exact = values[usize::try_from(rank).unwrap() - 1];
            let (low, high) = bounds(step(Nanos(exact)));
            let shown = ladder.quantile(per_mille).unwrap().0;
            prop_assert!((low..=high).contains(&shown), "{shown} for {exact}");
            for (bound, count) in ladder.at_most() {
                let counted = values.iter().filter(|value| **value <= bound.0).count();
                prop_assert_eq!(count, counted as u64, "up to {}", bound.0);
            }
            let text = serde_json::to_string(&ladder).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ladder>(&text).unwrap(), ladder);
        }
    }

    #[test]
    fn the_ends_are_open_and_nothing_is_no_quantile() {
        let mut ladder = Ladder::default();
        assert_eq!(ladder.quantile(990), None);
        ladder.record(Nanos::from_secs(3_600), 2);
        assert_eq!(ladder.quantile(990), Some(Nanos(67_108_864_000)));
        let last = ladder.at_most().last().unwrap();
        assert_eq!(last, (Nanos(67_108_864_000), 0), "beyond the last bound");
        assert_eq!(ladder.count(), 2);
        let wrong = serde_json::from_str::<Ladder>(r#"{"sum_ns":1,"counts":[[106,1]]}"#);
        assert!(wrong.unwrap_err().to_string().contains("no step 106"));
    }
}
