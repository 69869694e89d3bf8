//! A figure of two runs with its intervals, and whether the difference is more than their noise.
//!
//! Does not know what a figure means. An interval of a difference comes from the intervals of both sides by the method of
//! variance estimates recovery (Zou and Donner, "Construction of confidence limits about effect measures", Statistics in
//! Medicine 27, 2008), of positive figures in their logarithms, so that it is an interval of the ratio.

use crate::record::Estimate;
use crate::report::format::{float, float_i, float_u, whole};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// One run's figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) value: f64,
    /// Its 95 % interval; `None` where a run has one figure only.
    pub(super) interval: Option<(f64, f64)>,
    /// The record itself says that it does not rise above the noise.
    pub(super) noise: bool,
}

impl Figure {
    /// What the record says, its interval with it.
    pub(super) fn recorded(estimate: &Estimate) -> Self {
        let [value, low, high] = [estimate.median, estimate.low, estimate.high].map(float);
        Self {
            value,
            interval: (low < high).then_some((low, high)),
            noise: !estimate.resolved,
        }
    }

    /// One figure a run.
    pub(super) fn single(value: u64) -> Self {
        Self::alone(float_u(value))
    }

    /// The same of a figure that is no whole number.
    pub(super) fn alone(value: f64) -> Self {
        Self {
            value,
            interval: None,
            noise: false,
        }
    }

    /// The geometric mean over rounds with Student's interval of the logarithms; `None` unless all are positive.
    pub(super) fn of_rounds(rounds: &[f64]) -> Option<Self> {
        if rounds.is_empty() || rounds.iter().any(|value| *value <= 0.0) {
            return None;
        }
        let count = float_i(rounds.len());
        let logs: Vec<f64> = rounds.iter().map(|value| value.ln()).collect();
        let mean = logs.iter().sum::<f64>() / count;
        let squares = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
        let half = (rounds.len() > 1).then(|| {
            let error = (squares / (count - 1.0) / count).sqrt();
            let t = StudentsT::new(0.0, 1.0, count - 1.0);
            t.map_or(f64::INFINITY, |t| t.inverse_cdf(0.975)) * error
        });
        Some(Self {
            value: mean.exp(),
            interval: half.map(|half| ((mean - half).exp(), (mean + half).exp())),
            noise: false,
        })
    }

    /// With an interval wider by `part` of the figure at either end.
    pub(super) fn widened(self, part: f64) -> Self {
        let wider = |(low, high): (f64, f64)| {
            let room = self.value.abs() * part;
            (low - room, high + room)
        };
        Self {
            interval: self.interval.map(wider),
            ..self
        }
    }
}

/// What may be said of two figures.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The very same.
    Same,
    /// No matter of noise: something else became of it.
    Changed,
    /// More than noise: the other is larger, or smaller.
    Resolved { larger: bool },
    /// Within what intervals, drift and the machine's speed explain.
    NotResolved,
    /// One figure a run, or one round: nothing tells noise from difference.
    NotJudged,
}

/// The other over the one, and what may be said of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    /// ×1000, where both are positive.
    pub(super) ratio_milli: Option<Estimate>,
    pub(super) verdict: Verdict,
}

/// Compares. `speed` is the machine's own part: how much longer the same work took in the other run, 1 where that is not
/// known or does not matter. A difference must show with and without it.
pub(super) fn judge(one: Figure, other: Figure, speed: f64) -> Judged {
    let positive = one.value > 0.0 && other.value > 0.0;
    let ratio = other.value / one.value;
    let plain = |ratio: f64| {
        let milli = milli(ratio);
        Estimate {
            median: milli,
            low: milli,
            high: milli,
            resolved: false,
        }
    };
    let (Some(first), Some(second)) = (one.interval, other.interval) else {
        let same = (one.value - other.value).abs() < f64::EPSILON;
        return Judged {
            ratio_milli: positive.then(|| plain(ratio)),
            verdict: if same {
                Verdict::Same
            } else {
                Verdict::NotJudged
            },
        };
    };
    let noise = one.noise || other.noise;
    if one == other {
        return Judged {
            ratio_milli: positive.then(|| plain(1.0)),
            verdict: Verdict::Same,
        };
    }
    if !positive || first.0 <= 0.0 || second.0 <= 0.0 {
        let (low, high) = recovered((one.value, first), (other.value, second));
        return Judged {
            ratio_milli: None,
            verdict: said(low, high, noise),
        };
    }
    let log = |value: f64, (low, high): (f64, f64)| (value.ln(), (low.ln(), high.ln()));
    let (low, high) = recovered(log(one.value, first), log(other.value, second));
    let shift = speed.ln();
    let (low, high) = (low.min(low - shift), high.max(high - shift));
    let verdict = said(low, high, noise);
    Judged {
        ratio_milli: Some(Estimate {
            median: milli(ratio),
            low: milli(low.exp()),
            high: milli(high.exp()),
            resolved: matches!(verdict, Verdict::Resolved { .. }),
        }),
        verdict,
    }
}

type Bounded = (f64, (f64, f64));

/// The interval of the other less the one.
fn recovered((one, (one_low, one_high)): Bounded, (other, (low, high)): Bounded) -> (f64, f64) {
    let difference = other - one;
    (
        difference - (other - low).hypot(one_high - one),
        difference + (high - other).hypot(one - one_low),
    )
}

fn said(low: f64, high: f64, noise: bool) -> Verdict {
    if noise || (low <= 0.0 && high >= 0.0) {
        Verdict::NotResolved
    } else {
        Verdict::Resolved { larger: low > 0.0 }
    }
}

fn milli(ratio: f64) -> i64 {
    i64::try_from(whole((ratio * 1e3).round())).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(value: f64, half: f64) -> Figure {
        Figure {
            value,
            interval: Some((value - half, value + half)),
            noise: false,
        }
    }

    #[test]
    fn what_lies_far_apart_is_resolved_and_what_overlaps_is_not() {
        let doubled = judge(around(10.0, 1.0), around(20.0, 2.0), 1.0);
        assert_eq!(doubled.verdict, Verdict::Resolved { larger: true });
        let ratio = doubled.ratio_milli.unwrap();
        // By hand: ln 2 ∓ √(ln(20/18)² + ln(11/10)²), and so for the other end.
        assert_eq!((ratio.median, ratio.low, ratio.high), (2_000, 1_735, 2_305));
        assert_eq!(
            judge(around(20.0, 2.0), around(10.0, 1.0), 1.0).verdict,
            Verdict::Resolved { larger: false }
        );
        assert_eq!(
            judge(around(10.0, 3.0), around(13.0, 3.0), 1.0).verdict,
            Verdict::NotResolved
        );
    }

    #[test]
    fn what_the_machines_speed_explains_is_not_resolved() {
        let (one, other) = (around(10.0, 0.1), around(12.0, 0.1));
        assert_eq!(
            judge(one, other, 1.0).verdict,
            Verdict::Resolved { larger: true }
        );
        assert_eq!(judge(one, other, 1.2).verdict, Verdict::NotResolved);
        // Nor does a speed that would hide a difference make one.
        assert_eq!(
            judge(one, around(10.0, 0.11), 1.2).verdict,
            Verdict::NotResolved
        );
    }

    #[test]
    fn single_figures_and_noise_are_never_resolved() {
        assert_eq!(
            judge(Figure::single(5), Figure::single(5), 1.0).verdict,
            Verdict::Same
        );
        assert_eq!(
            judge(Figure::single(5), Figure::single(50), 1.0).verdict,
            Verdict::NotJudged
        );
        let noise = Figure {
            noise: true,
            ..around(100.0, 1.0)
        };
        assert_eq!(
            judge(around(10.0, 1.0), noise, 1.0).verdict,
            Verdict::NotResolved
        );
        let below_zero = judge(around(1.0, 2.0), around(10.0, 2.0), 1.0);
        assert_eq!(below_zero.ratio_milli, None);
        assert_eq!(below_zero.verdict, Verdict::Resolved { larger: true });
    }

    #[test]
    fn rounds_have_students_interval() {
        let figure = Figure::of_rounds(&[1.0, 1.0, 1.0]).unwrap();
        assert_eq!(figure.interval, Some((1.0, 1.0)));
        // ln 2 and ln 8: mean ln 4, standard error ln 2, t for one degree of freedom 12.706.
        let (low, high) = Figure::of_rounds(&[2.0, 8.0]).unwrap().interval.unwrap();
        let half = 12.706_2 * 2_f64.ln();
        assert!((high.ln() - (4_f64.ln() + half)).abs() < 1e-3 && low < 4.0);
        assert_eq!(Figure::of_rounds(&[3.0]).unwrap().interval, None);
        assert_eq!(Figure::of_rounds(&[0.0, 1.0]), None);
    }
}
