//! Intervals from rounds, in pairs: the bootstrap or Student's, whichever is wider.
//!
//! Does not know what the figures are. Rounds are resampled with replacement, each arm's round
//! together with the control's of the same round, [`RESAMPLES`] times; the bootstrap's interval is
//! the 2.5 % to 97.5 % of the resampled means (Efron and Tibshirani, "An Introduction to the
//! Bootstrap", chapter 13). Same seed, same interval.
//!
//! That interval never reaches beyond the smallest and largest round, so with n rounds of pure
//! noise it excludes zero about once in 2^(n-1): once in four runs of three rounds. Student's
//! interval (mean ± t × s ÷ √n with n − 1 degrees of freedom) is made for few rounds and excludes
//! zero once in twenty, if rounds scatter normally; where they do not, the bootstrap is the wider.
//! The union of both is printed: with three rounds it is Student's nearly always, with ten the two
//! agree. What it misses: rounds that drift together, against which the order of the rounds helps.

use super::MeasureError;
use crate::record::Estimate;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// How often the rounds are resampled.
pub const RESAMPLES: usize = 10_000;

/// The mean of (arm − control) ÷ divisor over the rounds, with its 95 % interval.
///
/// `noise_floor` is in the unit of `arm` and `control`: the size a difference must exceed to be
/// believed. The estimate is resolved when the mean difference does and the interval excludes zero;
/// with one round, whose interval is a point, when the difference does.
///
/// # Errors
/// [`MeasureError::Unpaired`] unless all three have the same length, at least one, and no divisor
/// is zero.
pub fn paired_bootstrap(
    arm: &[f64],
    control: &[f64],
    divisor: &[f64],
    noise_floor: f64,
    seed: u64,
) -> Result<Estimate, MeasureError> {
    let unpaired = |other| MeasureError::Unpaired {
        arm: arm.len(),
        other,
    };
    if arm.is_empty() || arm.len() != control.len() {
        return Err(unpaired(control.len()));
    }
    let usable = divisor.iter().filter(|divisor| divisor.is_normal()).count();
    if usable != arm.len() || divisor.len() != arm.len() {
        return Err(unpaired(usable));
    }
    let differences: Vec<f64> = arm
        .iter()
        .zip(control)
        .map(|(arm, control)| arm - control)
        .collect();
    let values: Vec<f64> = differences
        .iter()
        .zip(divisor)
        .map(|(value, by)| value / by)
        .collect();
    let interval =
        Interval::resample(values.len(), seed, |rounds| mean(rounds, &values)).or_students(&values);
    let excludes_zero = interval.low > 0.0 || interval.high < 0.0;
    let all: Vec<usize> = (0..arm.len()).collect();
    let above_floor = mean(&all, &differences).abs() > noise_floor;
    Ok(interval.estimate(1.0, excludes_zero && above_floor))
}

/// The ratio of the means of `a` and `b`, ×1000, with its 95 % interval; resolved when that
/// excludes 1000. A single round has no interval and is never resolved here: ask
/// [`paired_bootstrap`] with the two arms and a floor.
///
/// `None` when they do not pair or a figure is not positive, since a ratio would mean nothing.
#[must_use]
pub fn ratio_bootstrap(a: &[f64], b: &[f64], seed: u64) -> Option<Estimate> {
    let positive = |rounds: &[f64]| rounds.iter().all(|value| *value > 0.0 && value.is_finite());
    if a.is_empty() || a.len() != b.len() || !positive(a) || !positive(b) {
        return None;
    }
    // Ratios scatter evenly in their logarithms, and their rounds pair.
    let logarithms: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a / b).ln()).collect();
    let interval = Interval::resample(a.len(), seed, |rounds| mean(rounds, a) / mean(rounds, b))
        .or_students_of_logarithms(&logarithms);
    let resolved = a.len() > 1 && (interval.low > 1.0 || interval.high < 1.0);
    Some(interval.estimate(1000.0, resolved))
}

/// Median and 95 % interval of a resampled figure.
struct Interval {
    median: f64,
    low: f64,
    high: f64,
}

impl Interval {
    /// Resamples `rounds` indices and takes `figure` of each resample.
    fn resample(rounds: usize, seed: u64, figure: impl Fn(&[usize]) -> f64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut drawn = vec![0; rounds];
        let mut figures: Vec<f64> = Vec::with_capacity(RESAMPLES);
        // one round has one resample
        for _ in 0..if rounds == 1 { 1 } else { RESAMPLES } {
            for index in &mut drawn {
                *index = random.random_range(0..rounds);
            }
            figures.push(figure(&drawn));
        }
        figures.sort_unstable_by(f64::total_cmp);
        let per_mille = |rank: usize| figures[(figures.len() - 1) * rank / 1000];
        Self {
            median: per_mille(500),
            low: per_mille(25),
            high: per_mille(975),
        }
    }

    /// As wide as Student's interval around the mean of `values`, if that is wider at either end.
    fn or_students(self, values: &[f64]) -> Self {
        let Some((low, high)) = students_interval(values) else {
            return self;
        };
        Self {
            low: self.low.min(low),
            high: self.high.max(high),
            ..self
        }
    }

    fn or_students_of_logarithms(self, values: &[f64]) -> Self {
        let Some((low, high)) = students_interval(values) else {
            return self;
        };
        Self {
            low: self.low.min(low.exp()),
            high: self.high.max(high.exp()),
            ..self
        }
    }

    fn estimate(&self, scale: f64, resolved: bool) -> Estimate {
        Estimate {
            median: whole(self.median * scale),
            low: whole(self.low * scale),
            high: whole(self.high * scale),
            resolved,
        }
    }
}

/// Student's 95 % interval of the mean; `None` for fewer than two values.
#[expect(clippy::cast_precision_loss, reason = "rounds are few")]
fn students_interval(values: &[f64]) -> Option<(f64, f64)> {
    let freedom = values.len().checked_sub(1).filter(|freedom| *freedom > 0)? as f64;
    let all: Vec<usize> = (0..values.len()).collect();
    let centre = mean(&all, values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    let t = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.975);
    let half = t * (squares / freedom / values.len() as f64).sqrt();
    Some((centre - half, centre + half))
}

#[expect(clippy::cast_precision_loss, reason = "rounds are few")]
fn mean(rounds: &[usize], values: &[f64]) -> f64 {
    let sum: f64 = rounds.iter().map(|index| values[*index]).sum();
    sum / rounds.len() as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and nothing measured comes near 2^63"
)]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of noise around `centre`, as a seeded machine would give them.
    fn noisy(centre: f64, rounds: usize, seed: u64) -> Vec<f64> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..rounds)
            .map(|_| centre + random.random_range(-10.0..10.0))
            .collect()
    }

    #[test]
    fn the_same_arm_twice_resolves_nothing() {
        for seed in 0..12 {
            let (a, b) = (noisy(1e6, 5, seed), noisy(1e6, 5, seed + 1_000));
            let estimate = paired_bootstrap(&a, &b, &[100.0; 5], 20.0, seed).unwrap();
            assert!(!estimate.resolved, "seed {seed}: {estimate:?}");
            assert!(estimate.low <= estimate.median && estimate.median <= estimate.high);
        }
        let same = noisy(1e6, 5, 1);
        let estimate = paired_bootstrap(&same, &same, &[1.0; 5], 0.0, 1).unwrap();
        assert_eq!(estimate, Estimate::default());
    }

    /// Twenty rounds of three each, of nothing but noise and without a floor: the bootstrap alone would resolve five
    /// of them.
    #[test]
    fn three_rounds_of_noise_resolve_about_once_in_twenty() {
        let resolved = (0..200)
            .filter(|seed| {
                let (a, b) = (noisy(1e6, 3, *seed), noisy(1e6, 3, seed + 1_000));
                let estimate = paired_bootstrap(&a, &b, &[1.0; 3], 0.0, *seed).unwrap();
                estimate.resolved
            })
            .count();
        assert!(resolved <= 20, "{resolved} of 200");
        let ratios = (0..200)
            .filter(|seed| {
                let (a, b) = (noisy(1e3, 3, *seed), noisy(1e3, 3, seed + 1_000));
                ratio_bootstrap(&a, &b, *seed).unwrap().resolved
            })
            .count();
        assert!(ratios <= 20, "{ratios} of 200");
    }

    #[test]
    fn students_interval_is_the_textbooks() {
        // t(0.975, 2) = 4.302653; s = 1; √3 = 1.7320508
        let (low, high) = students_interval(&[1.0, 2.0, 3.0]).unwrap();
        assert!((high - 2.0 - 2.484_138).abs() < 1e-5 && (low + high - 4.0).abs() < 1e-9);
        assert_eq!(students_interval(&[1.0]), None);
    }

    #[test]
    fn a_real_difference_resolves_to_its_size() {
        let (arm, control) = (noisy(1_001_000.0, 5, 3), noisy(1e6, 5, 4));
        let estimate = paired_bootstrap(&arm, &control, &[10.0; 5], 20.0, 5).unwrap();
        assert!(estimate.resolved);
        assert!((98..=102).contains(&estimate.median), "{estimate:?}");
        let again = paired_bootstrap(&arm, &control, &[10.0; 5], 20.0, 5).unwrap();
        assert_eq!(estimate, again, "the same seed gives the same interval");
        let below = paired_bootstrap(&control, &arm, &[10.0; 5], 20.0, 5).unwrap();
        assert!(below.resolved && below.high < 0);
        let floored = paired_bootstrap(&arm, &control, &[10.0; 5], 2_000.0, 5).unwrap();
        assert!(!floored.resolved, "below the floor nothing is believed");
    }

    #[test]
    fn one_round_is_a_point_and_only_the_floor_decides() {
        let point = paired_bootstrap(&[1_500.0], &[500.0], &[10.0], 999.0, 1).unwrap();
        assert_eq!((point.low, point.median, point.high), (100, 100, 100));
        assert!(point.resolved);
        let floored = paired_bootstrap(&[1_500.0], &[500.0], &[10.0], 1_000.0, 1).unwrap();
        assert!(!floored.resolved);
    }

    #[test]
    fn rounds_that_do_not_pair_are_refused() {
        for (arm, control, divisor) in [
            (&[][..], &[][..], &[][..]),
            (&[1.0][..], &[1.0, 2.0][..], &[1.0][..]),
            (&[1.0][..], &[1.0][..], &[0.0][..]),
            (&[1.0][..], &[1.0][..], &[1.0, 1.0][..]),
        ] {
            let error = paired_bootstrap(arm, control, divisor, 0.0, 1).unwrap_err();
            assert!(matches!(error, MeasureError::Unpaired { .. }), "{error}");
        }
    }

    #[test]
    fn ratios_are_in_thousandths_and_need_positive_figures() {
        let lead = ratio_bootstrap(&noisy(2_000.0, 5, 1), &noisy(1_000.0, 5, 2), 3).unwrap();
        assert!(
            lead.resolved && (1_950..=2_050).contains(&lead.median),
            "{lead:?}"
        );
        let even = ratio_bootstrap(&[9.0, 11.0, 10.0], &[11.0, 9.0, 10.0], 3).unwrap();
        assert!(
            !even.resolved && even.low < 1_000 && even.high > 1_000,
            "{even:?}"
        );
        assert!(!ratio_bootstrap(&[2.0], &[1.0], 3).unwrap().resolved);
        assert_eq!(ratio_bootstrap(&[1.0], &[0.0], 3), None);
        assert_eq!(ratio_bootstrap(&[1.0], &[], 3), None);
        assert_eq!(ratio_bootstrap(&[-1.0], &[1.0], 3), None);
    }
}
