//! How long a client waits before it connects again: capped exponential backoff, with full jitter or without.
//!
//! Pure, but for the generator it carries. The ceiling before attempt k, counted from 0, is `min(cap, base × 2^k)`;
//! with full jitter the delay is drawn uniformly from zero to the ceiling, without jitter it is the ceiling. Names and
//! rule: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015, where full jitter finishes a crowd
//! with the fewest attempts. A base of zero is no backoff at all: connect again at once.

use crate::units::Nanos;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

/// What is left to chance in a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// All of it: anything from zero to the ceiling.
    Full,
    /// Nothing: the ceiling.
    None,
}

/// A way of backing off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The ceiling before the first attempt.
    pub base_ms: u64,
    /// The ceiling that is never exceeded.
    pub cap_ms: u64,
    /// What is left to chance.
    pub jitter: Jitter,
    /// Seed of the chance.
    pub seed: u64,
}

impl Backoff {
    /// The longest delay before attempt number `attempt`, counted from 0.
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Nanos {
        let doubled = 1_u64.checked_shl(attempt).unwrap_or(u64::MAX);
        let millis = self.base_ms.saturating_mul(doubled).min(self.cap_ms);
        Nanos(millis.saturating_mul(1_000_000))
    }

    /// Delays for one thread: `stream` tells its chance from that of the others.
    pub(super) fn delays(self, stream: u32) -> Delays {
        // Neighbouring seeds must not share streams; the generator scrambles what it is seeded with.
        let seed = self
            .seed
            .wrapping_add(u64::from(stream).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Delays {
            backoff: self,
            random: StdRng::seed_from_u64(seed),
        }
    }
}

/// A reproducible sequence of delays.
#[derive(Debug)]
pub(super) struct Delays {
    backoff: Backoff,
    random: StdRng,
}

impl Delays {
    /// The delay before attempt number `attempt`, counted from 0.
    pub(super) fn before(&mut self, attempt: u32) -> Nanos {
        let ceiling = self.backoff.ceiling(attempt);
        match self.backoff.jitter {
            Jitter::None => ceiling,
            Jitter::Full => Nanos(self.random.random_range(0..=ceiling.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backoff(base_ms: u64, cap_ms: u64, jitter: Jitter, seed: u64) -> Backoff {
        Backoff {
            base_ms,
            cap_ms,
            jitter,
            seed,
        }
    }

    proptest! {
        #[test]
        fn delays_stay_below_their_ceiling_and_without_jitter_are_it(
            base: u64, cap: u64, seed: u64, stream: u32, attempts in prop::collection::vec(any::<u32>(), 1..50)
        ) {
            let mut full = backoff(base, cap, Jitter::Full, seed).delays(stream);
            let mut none = backoff(base, cap, Jitter::None, seed).delays(stream);
            for attempt in attempts {
                // In 128 bits nothing overflows for 2^64 at the most.
                let doubled = u128::from(base) << attempt.min(64);
                let ceiling = doubled.min(u128::from(cap)) * 1_000_000;
                let ceiling = Nanos(u64::try_from(ceiling).unwrap_or(u64::MAX));
                prop_assert_eq!(none.before(attempt), ceiling);
                prop_assert!(full.before(attempt) <= ceiling);
            }
        }

        #[test]
        fn the_same_seed_draws_the_same_and_each_thread_its_own(seed: u64, stream in 0_u32..64) {
            let draw = |stream| {
                let mut delays = backoff(100, 10_000, Jitter::Full, seed).delays(stream);
                (0..20).map(|attempt| delays.before(attempt)).collect::<Vec<_>>()
            };
            prop_assert_eq!(draw(stream), draw(stream));
            prop_assert_ne!(draw(stream), draw(stream + 1));
        }

        #[test]
        fn a_ceiling_never_falls(base in 0_u64..1 << 40, cap in 0_u64..1 << 40, attempt in 0_u32..200) {
            let backoff = backoff(base, cap, Jitter::None, 0);
            prop_assert!(backoff.ceiling(attempt) <= backoff.ceiling(attempt + 1));
        }
    }

    #[test]
    fn full_jitter_is_spread_evenly_from_zero_to_the_ceiling() {
        let mut delays = backoff(100, 10_000, Jitter::Full, 7).delays(0);
        let mut per_tenth = [0; 10];
        for _ in 0..10_000 {
            let delay = delays.before(2);
            per_tenth[usize::try_from(delay.0 / 40_000_001).unwrap()] += 1;
        }
        // A tenth of ten thousand, give or take more than six standard deviations of 30.
        assert!(
            per_tenth.iter().all(|count| (800..=1200).contains(count)),
            "{per_tenth:?}"
        );
    }

    #[test]
    fn the_ceilings_double_up_to_the_cap_and_a_base_of_zero_never_waits() {
        let ceilings = |base| {
            let backoff = backoff(base, 1_000, Jitter::None, 0);
            [0, 1, 3, 4, 64, u32::MAX].map(|attempt| backoff.ceiling(attempt).0 / 1_000_000)
        };
        assert_eq!(ceilings(100), [100, 200, 800, 1_000, 1_000, 1_000]);
        assert_eq!(ceilings(0), [0; 6]);
    }
}
