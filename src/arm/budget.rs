//! The timing each arm gets from one detection budget.
//!
//! Pure. Where the kernel's whole seconds make keepalive's promise shorter than the budget,
//! [`Budget::keepalive_promise_s`] says so.

use super::Arm;
use crate::socket::keepalive::Keepalive;
use crate::units::Nanos;
use std::time::Duration;

/// The detection budget and the timing derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// A dead peer is found within this after its last sign of life.
    pub detect_within: Nanos,
    /// Intervals of silence that make the verdict.
    pub misses: u32,
    /// Gap between two heartbeats of one connection.
    pub interval: Nanos,
    /// Silence a responder allows: the whole budget.
    pub idle_timeout: Nanos,
    /// A sender's wait for an ack: the budget less the interval in which the fault may go unnoticed.
    pub answer_timeout: Nanos,
    /// `TCP_KEEPIDLE`, seconds.
    pub keepalive_idle_s: u32,
    /// `TCP_KEEPINTVL`, seconds.
    pub keepalive_interval_s: u32,
    /// `TCP_KEEPCNT`.
    pub keepalive_count: u32,
}

/// Why a budget cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// One miss leaves no time for a probe to be repeated.
    #[error(
        "misses must be between 2 and 100, not {0}: a verdict after one lost packet is no verdict"
    )]
    Misses(u32),
    /// Keepalive counts whole seconds.
    #[error(
        "a detection time of {within:?} with {misses} misses means an interval of {interval:?}, but TCP \
         keepalive counts whole seconds (tcp(7)): give --detect-within {misses}s or more (--interval 1s or more), or \
         leave the keepalive arms out"
    )]
    TooShort {
        /// Detection time asked for.
        within: Duration,
        /// Misses asked for.
        misses: u32,
        /// The interval that follows.
        interval: Duration,
    },
    /// Beyond what the kernel's options hold.
    #[error(
        "a detection time of {0:?} is too long: TCP_KEEPIDLE and TCP_KEEPINTVL end at 32767 s, so ask for 9h or less"
    )]
    TooLong(Duration),
    /// Heartbeats would come before every probe.
    #[error(
        "with a heartbeat every {0:?} keepalive never probes: its idle time counts whole seconds (tcp(7)) and starts \
         over with everything that arrives, so the interval must be above 1s; or leave the arm `both` out"
    )]
    Outrun(Duration),
    /// An interval that does not fit the timeout.
    #[error(
        "a timeout of {timeout:?} must be at least twice the interval of {interval:?}, or one late heartbeat is a verdict: lengthen --timeout or shorten --interval"
    )]
    Timeout {
        /// Interval asked for.
        interval: Duration,
        /// Timeout asked for.
        timeout: Duration,
    },
}

impl Budget {
    /// Verdict 6 to 9 s after a fault.
    pub const STRICT: (Duration, u32) = (Duration::from_secs(9), 3);
    /// Verdict 30 to 40 s after a fault.
    pub const RELAXED: (Duration, u32) = (Duration::from_secs(40), 4);

    /// The timing by which every arm finds a dead peer within `within`, after `misses` intervals of silence.
    ///
    /// # Errors
    /// [`BudgetError`] when the kernel's limits stand against it.
    pub fn derive(within: Duration, misses: u32) -> Result<Self, BudgetError> {
        if !(2..=100).contains(&misses) {
            return Err(BudgetError::Misses(misses));
        }
        let interval = within / misses;
        // Below a second keepalive cannot follow; these are then its shortest, and `suits` refuses its arms.
        let idle_s = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).max(1);
        let whole_s = u32::try_from(within.as_secs())
            .unwrap_or(u32::MAX)
            .max(idle_s + 1);
        if whole_s > 32_767 {
            return Err(BudgetError::TooLong(within));
        }
        let rest_s = whole_s - idle_s;
        // As many probes as misses where whole seconds allow it, else one fewer, and so on; one always divides.
        let count = (1..=misses)
            .rev()
            .find(|&count| rest_s >= count && rest_s.is_multiple_of(count));
        let keepalive_count = count.unwrap_or(1);
        Ok(Self {
            detect_within: within.into(),
            misses,
            interval: interval.into(),
            idle_timeout: within.into(),
            answer_timeout: Nanos::from(within) - Nanos::from(interval),
            keepalive_idle_s: idle_s,
            keepalive_interval_s: rest_s / keepalive_count,
            keepalive_count,
        })
    }

    /// Whether `arms` can keep this budget: keepalive counts whole seconds.
    ///
    /// # Errors
    /// [`BudgetError::TooShort`] when keepalive is among them and the interval is below a second,
    /// [`BudgetError::Outrun`] when it stands beside heartbeats and the interval is not above one.
    pub fn suits(&self, arms: &[Arm]) -> Result<(), BudgetError> {
        let second = Nanos::from_secs(1);
        if arms.iter().any(|arm| arm.has_keepalive()) && self.interval < second {
            return Err(BudgetError::TooShort {
                within: self.detect_within.as_duration(),
                misses: self.misses,
                interval: self.interval.as_duration(),
            });
        }
        if arms.contains(&Arm::Both) && self.interval <= second {
            return Err(BudgetError::Outrun(self.interval.as_duration()));
        }
        Ok(())
    }

    /// The timing for an interval and a timeout given outright.
    ///
    /// # Errors
    /// As [`derive`](Self::derive), and when the timeout is less than two intervals.
    pub fn from_interval(interval: Duration, timeout: Duration) -> Result<Self, BudgetError> {
        let misses = timeout.as_nanos() / interval.as_nanos().max(1);
        if misses < 2 {
            return Err(BudgetError::Timeout { interval, timeout });
        }
        let misses = u32::try_from(misses).unwrap_or(u32::MAX);
        let derived = Self::derive(timeout, misses)?;
        let answer_timeout = Nanos::from(timeout) - Nanos::from(interval);
        Ok(Self {
            interval: interval.into(),
            answer_timeout,
            ..derived
        })
    }

    /// After how many seconds of silence keepalive gives its verdict: idle + interval × count.
    #[must_use]
    pub const fn keepalive_promise_s(&self) -> u32 {
        self.keepalive_idle_s + self.keepalive_interval_s * self.keepalive_count
    }

    /// Keepalive's three numbers where sockets carry it in `arm`. Everything that arrives starts the idle time over
    /// (`keepalive_time_elapsed`, include/net/tcp.h), so beside heartbeats it is a second less than the interval's
    /// whole seconds: as long as it were no shorter than the interval, no probe would ever leave.
    #[must_use]
    pub fn keepalive_for(&self, arm: Arm) -> Keepalive {
        let interval_s = u32::try_from(self.interval.0 / 1_000_000_000).unwrap_or(u32::MAX);
        let beside_heartbeats = interval_s.saturating_sub(1).max(1);
        Keepalive {
            idle_s: match arm {
                Arm::Both => self.keepalive_idle_s.min(beside_heartbeats),
                _ => self.keepalive_idle_s,
            },
            interval_s: self.keepalive_interval_s,
            count: self.keepalive_count,
        }
    }

    /// `TCP_USER_TIMEOUT` beside keepalive: half a second less than keepalive's own promise. The kernel looks at it
    /// only when its probe timer fires and then in the count's place (`tcp_keepalive_timer`, `net/ipv4/tcp_timer.c`), so
    /// it has to end after the last probe and before the next look, at which the count would give the verdict.
    #[must_use]
    pub fn user_timeout(&self) -> Nanos {
        Nanos::from_secs(self.keepalive_promise_s().into()) - Nanos::from_millis(500)
    }

    /// The same in the kernel's unit, where `arm` has one.
    #[must_use]
    pub fn user_timeout_ms(&self, arm: Arm) -> Option<u32> {
        let millis = self.user_timeout().0 / 1_000_000;
        arm.has_user_timeout()
            .then(|| u32::try_from(millis).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_presets_promise_what_they_say() {
        let (within, misses) = Budget::STRICT;
        let strict = Budget::derive(within, misses).unwrap();
        assert_eq!(strict.interval, Nanos::from_secs(3));
        assert_eq!(strict.answer_timeout, Nanos::from_secs(6));
        let kernel = (
            strict.keepalive_idle_s,
            strict.keepalive_interval_s,
            strict.keepalive_count,
        );
        assert_eq!((kernel, strict.keepalive_promise_s()), ((3, 2, 3), 9));
        let (within, misses) = Budget::RELAXED;
        let relaxed = Budget::derive(within, misses).unwrap();
        assert_eq!(relaxed.interval, Nanos::from_secs(10));
        let kernel = (
            relaxed.keepalive_idle_s,
            relaxed.keepalive_interval_s,
            relaxed.keepalive_count,
        );
        assert_eq!((kernel, relaxed.keepalive_promise_s()), ((10, 10, 3), 40));
        assert_eq!(strict.user_timeout(), Nanos::from_millis(8_500));
        let arm = Arm::KeepaliveUserTimeout;
        assert_eq!(relaxed.user_timeout_ms(arm), Some(39_500));
        assert_eq!(relaxed.user_timeout_ms(Arm::Keepalive), None);
    }

    #[test]
    fn beside_heartbeats_keepalive_is_idle_for_less_than_their_interval() {
        let (within, misses) = Budget::STRICT;
        let mut strict = Budget::derive(within, misses).unwrap();
        assert_eq!(
            Some(strict.keepalive_for(Arm::Both)),
            Keepalive::new(2, 2, 3).ok()
        );
        assert_eq!(
            Some(strict.keepalive_for(Arm::Keepalive)),
            Keepalive::new(3, 2, 3).ok()
        );
        strict.keepalive_idle_s = 1;
        assert_eq!(strict.keepalive_for(Arm::Both).idle_s, 1);
        let second = Budget::derive(Duration::from_secs(3), 3).unwrap();
        assert_eq!(second.suits(&Arm::COMPARED), Ok(()));
        let refused = second.suits(&[Arm::Both]).unwrap_err().to_string();
        assert!(refused.contains("above 1s"), "{refused}");
    }

    #[test]
    fn impossible_budgets_say_why() {
        let text = |within, misses| Budget::derive(within, misses).unwrap_err().to_string();
        let short = Budget::derive(Duration::from_secs(2), 3).unwrap();
        let refused = short.suits(&Arm::ALL).unwrap_err().to_string();
        assert!(refused.contains("whole seconds"), "{refused}");
        assert_eq!(short.suits(&[Arm::None, Arm::HeartbeatPush]), Ok(()));
        assert!(text(Duration::from_secs(9), 1).contains("misses"));
        assert!(text(Duration::from_secs(100_000), 3).contains("32767"));
        let short = Budget::from_interval(Duration::from_secs(3), Duration::from_secs(4));
        assert!(matches!(short, Err(BudgetError::Timeout { .. })));
    }

    proptest! {
        #[test]
        fn no_arm_promises_more_than_the_budget(within_ms in 1000_u64..3_600_000, misses in 2_u32..20) {
            if let Ok(budget) = Budget::derive(Duration::from_millis(within_ms), misses)
                && budget.suits(&Arm::ALL).is_ok()
            {
                let within_s = within_ms / 1000;
                prop_assert!(u64::from(budget.keepalive_promise_s()) <= within_s);
                prop_assert!(u64::from(budget.keepalive_promise_s()) + 1 >= within_s);
                prop_assert!(budget.keepalive_interval_s >= 1 && budget.keepalive_count >= 1);
                prop_assert_eq!(budget.answer_timeout + budget.interval, budget.detect_within);
                let beside = budget.keepalive_for(Arm::Both);
                prop_assert!(Nanos::from_secs(beside.idle_s.into()) < budget.interval);
                let last_probe = budget.keepalive_promise_s() - budget.keepalive_interval_s;
                let user_timeout = budget.user_timeout();
                prop_assert!(user_timeout > Nanos::from_secs(last_probe.into()));
                prop_assert!(user_timeout < Nanos::from_secs(budget.keepalive_promise_s().into()));
            }
        }
    }
}
