//! From the question to the timing of one mechanism: the detection budget, cut where a middlebox forgets sooner.
//!
//! Pure. Every mechanism gets its settings from one [`Budget`], as in a comparison. What differs: the kernel's whole
//! seconds are shared out so that the count stays a count (a verdict after one lost probe is none), and nothing may be
//! silent for longer than half of what the middlebox remembers, so that one lost sign of life is made good in time.

use super::Question;
use crate::arm::{Arm, Budget, BudgetError};
use crate::measure::keepalive::timer_granule;
use crate::socket::keepalive::{HIGHEST_COUNT, Keepalive};
use crate::units::Nanos;
use std::time::Duration;

/// Kernel ticks per second that texts and bounds assume; the usual one of distributions.
pub(super) const HZ: u32 = 250;

/// Between a lost packet and its retransmission, at first: `TCP_RTO_MIN`, and the doubling after it. The fault lab's
/// model has the same (`experiment::detect`).
const FIRST_RETRANSMISSIONS: Nanos = Nanos::from_millis(1_500);

/// The misses that are tried, the cheapest first.
const MISSES: [u32; 2] = [3, 4];

/// One mechanism's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) budget: Budget,
    /// What the interval would be without the middlebox; `None` when it is that.
    pub(super) uncut: Option<Nanos>,
    /// Whether the kernel's numbers exist: they count whole seconds.
    pub(super) kernel: bool,
}

impl Timing {
    /// The timing of `arm`, with the misses asked for, or the fewest of three and four that survive the outage; four
    /// where neither does.
    ///
    /// # Errors
    /// [`BudgetError`] when no number of misses keeps it.
    pub(super) fn of(question: &Question, arm: Arm) -> Result<Self, BudgetError> {
        if let Some(misses) = question.misses {
            return Self::with_misses(question, arm, misses);
        }
        let outage = outage(question);
        let mut last = Self::with_misses(question, arm, MISSES[0]);
        for misses in MISSES {
            if let Ok(timing) = Self::with_misses(question, arm, misses) {
                if timing.survives(arm) >= outage {
                    return Ok(timing);
                }
                last = Ok(timing);
            }
        }
        last
    }

    /// The timing with so many misses.
    ///
    /// # Errors
    /// [`BudgetError`] when they cannot be kept.
    pub(super) fn with_misses(
        question: &Question,
        arm: Arm,
        misses: u32,
    ) -> Result<Self, BudgetError> {
        let within = question.detect_within;
        let natural = Budget::derive(within, misses)?;
        let limit = question.middlebox_idle.map(|idle| idle / 2);
        let cut = limit.filter(|limit| natural.interval > Nanos::from(*limit));
        let mut budget = match cut {
            Some(limit) => Budget {
                interval: limit.into(),
                answer_timeout: natural.detect_within - Nanos::from(limit),
                misses: u32::try_from(within.as_nanos() / limit.as_nanos().max(1))
                    .unwrap_or(u32::MAX),
                ..natural
            },
            None => natural,
        };
        let kernel = kernel(within, misses, limit);
        if let Some(numbers) = kernel {
            budget.keepalive_idle_s = numbers.idle_s;
            budget.keepalive_interval_s = numbers.interval_s;
            budget.keepalive_count = numbers.count;
        }
        if kernel.is_none() || natural.interval < Nanos::from_secs(1) {
            natural.suits(&[arm])?;
        }
        Ok(Self {
            budget,
            uncut: cut.map(|_| natural.interval),
            kernel: kernel.is_some(),
        })
    }

    /// Between two signs of life of one end, when all is well.
    pub(super) fn interval(&self, arm: Arm) -> Nanos {
        if arm.has_heartbeats() {
            self.budget.interval
        } else {
            Nanos::from_secs(self.budget.keepalive_idle_s.into())
        }
    }

    /// By when `arm` has given a silent peer up, counted from the fault; the kernel's [rounding](Self::rounding) comes on
    /// top.
    pub(super) fn detects_within(&self, arm: Arm) -> Nanos {
        if arm.has_heartbeats() {
            self.budget.detect_within
        } else {
            Nanos::from_secs(self.budget.keepalive_promise_s().into())
        }
    }

    /// By how much the kernel's timers may be late, which are rounded up (`calc_wheel_index`, kernel/time/timer.c).
    pub(super) fn rounding(&self) -> Nanos {
        let late = |seconds: u32| {
            let granule = timer_granule(u64::from(seconds) * u64::from(HZ)) + 1;
            Nanos(granule * 1_000_000_000 / u64::from(HZ))
        };
        let probes = late(self.budget.keepalive_interval_s).0;
        late(self.budget.keepalive_idle_s) + Nanos(probes * u64::from(self.budget.keepalive_count))
    }

    /// The longest outage in which `arm` gives nobody up for certain, in a network that then is as before. Heartbeats
    /// that were lost are sent again after up to as long as the outage has lasted, for the pauses between
    /// retransmissions double (RFC 6298, 5.5); probes come at their interval.
    pub(super) fn survives(&self, arm: Arm) -> Duration {
        let heartbeats = self.budget.detect_within - self.budget.interval - FIRST_RETRANSMISSIONS;
        let heartbeats = heartbeats.as_duration() / 2;
        let probes = self.budget.keepalive_count.saturating_sub(1);
        let probes = Duration::from_secs(u64::from(probes * self.budget.keepalive_interval_s));
        match (arm.has_heartbeats(), arm.has_keepalive()) {
            (true, true) => heartbeats.min(probes),
            (true, false) => heartbeats,
            _ => probes,
        }
    }
}

/// The outage that must be survived: as asked, or the link's.
pub(super) fn outage(question: &Question) -> Duration {
    question
        .survive_outage
        .unwrap_or_else(|| question.link.outage())
}

/// The shortest detection time that survives `outage` by `arm`, in whole seconds, with `misses`.
pub(super) fn shortest_for(outage: Duration, arm: Arm, misses: u32) -> Duration {
    let misses = misses.max(2);
    let heartbeats = outage * 2 + FIRST_RETRANSMISSIONS.as_duration();
    let heartbeats = heartbeats * misses / (misses - 1);
    // idle is a misses'th part, and of the rest one interval of `misses` may be spoilt
    let probes = outage * misses / (misses - 1) * misses / (misses - 1);
    let needed = if arm.has_heartbeats() {
        heartbeats
    } else {
        probes + Duration::from_secs(u64::from(misses + 2)) // whole seconds round down twice
    };
    Duration::from_secs(needed.as_secs() + 1)
}

/// Keepalive's numbers: the first probe after a `misses`'th of the whole, then at least as many probes as there are
/// misses where whole seconds allow it.
fn kernel(within: Duration, misses: u32, longest: Option<Duration>) -> Option<Keepalive> {
    let whole = u32::try_from(within.as_secs()).unwrap_or(u32::MAX);
    let longest = longest.map_or(u32::MAX, |longest| {
        u32::try_from(longest.as_secs()).unwrap_or(u32::MAX)
    });
    let idle = (whole / misses).max(1).min(longest);
    let rest = whole.checked_sub(idle)?;
    let interval = (rest / misses).max(1).min(longest);
    let count = rest.checked_div(interval)?.min(HIGHEST_COUNT);
    Keepalive::new(idle, interval, count)
        .ok()
        .filter(|numbers| numbers.count > 1)
}
