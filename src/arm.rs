//! The mechanisms compared ("arms"), and the timing each gets from one detection budget.
//!
//! Pure. A comparison is fair only if every arm promises the same: to find a dead peer within D, and to probe
//! equally often. [`Budget`] derives each arm's settings from D and the number of misses; where the kernel's
//! whole seconds make keepalive's promise shorter than D, [`Budget::keepalive_promise_s`] says so.

#![forbid(unsafe_code)]

use crate::shard::Role;
use crate::units::Nanos;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arm {
    /// Nobody sends, nobody decides: the control every cost is net of.
    None,
    /// The kernel's keepalive probes.
    Keepalive,
    /// Client heartbeat, server ack: the classic exchange.
    Heartbeat,
    /// Client heartbeat without ack: as many packets as keepalive, and only the server decides.
    HeartbeatOneway,
    /// Server heartbeat from its timer, client ack.
    HeartbeatPush,
}

impl Arm {
    /// All arms, in the order they are reported.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Keepalive,
        Self::Heartbeat,
        Self::HeartbeatOneway,
        Self::HeartbeatPush,
    ];

    /// The name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Keepalive => "keepalive",
            Self::Heartbeat => "heartbeat",
            Self::HeartbeatOneway => "heartbeat-oneway",
            Self::HeartbeatPush => "heartbeat-push",
        }
    }

    /// What the server's shards do.
    #[must_use]
    pub const fn server_role(self) -> Role {
        match self {
            Self::None | Self::Keepalive => Role::Idle,
            Self::Heartbeat => Role::Responder { acked: true },
            Self::HeartbeatOneway => Role::Responder { acked: false },
            Self::HeartbeatPush => Role::Sender { acked: true },
        }
    }

    /// What the load generator's shards do.
    #[must_use]
    pub const fn load_role(self) -> Role {
        match self {
            Self::None | Self::Keepalive => Role::Idle,
            Self::Heartbeat => Role::Sender { acked: true },
            Self::HeartbeatOneway => Role::Sender { acked: false },
            Self::HeartbeatPush => Role::Responder { acked: true },
        }
    }

    /// Whether the application sends heartbeats.
    #[must_use]
    pub const fn has_heartbeats(self) -> bool {
        !matches!(self, Self::None | Self::Keepalive)
    }

    /// Packets one event costs by the protocol: a probe and its ACK; a heartbeat and the TCP ACK of it; or
    /// heartbeat, ack that carries the TCP ACK, and the TCP ACK of the ack.
    #[must_use]
    pub const fn packets_per_event(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Keepalive | Self::HeartbeatOneway => Some(2.0),
            Self::Heartbeat | Self::HeartbeatPush => Some(3.0),
        }
    }
}

impl Arm {
    /// Frames among those packets; the others are pure ACKs.
    #[must_use]
    pub const fn frames_per_event(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Keepalive => Some(0.0),
            Self::HeartbeatOneway => Some(1.0),
            Self::Heartbeat | Self::HeartbeatPush => Some(2.0),
        }
    }

    /// ACKs among them that the kernel sends late, because nothing of the application's goes along: one per exchange,
    /// and none for a probe, which is answered at once.
    #[must_use]
    pub const fn delayed_acks_per_event(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Keepalive => Some(0.0),
            Self::Heartbeat | Self::HeartbeatOneway | Self::HeartbeatPush => Some(1.0),
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|arm| arm.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|arm| arm.name()).collect();
                format!("`{text}` is not an arm: choose from {}", names.join(", "))
            })
    }
}

/// Whose sockets carry keepalive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepaliveSide {
    /// The accepted ones.
    #[default]
    Server,
    /// The connecting ones.
    Client,
    /// Both.
    Both,
}

impl KeepaliveSide {
    /// All, the default first.
    pub const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Both];

    /// The name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
        }
    }

    /// Whether the accepted sockets carry it.
    #[must_use]
    pub const fn server(self) -> bool {
        matches!(self, Self::Server | Self::Both)
    }

    /// Whether the connecting sockets carry it.
    #[must_use]
    pub const fn client(self) -> bool {
        matches!(self, Self::Client | Self::Both)
    }

    /// Ends of a connection that probe.
    #[must_use]
    pub const fn ends(self) -> u64 {
        if matches!(self, Self::Both) { 2 } else { 1 }
    }
}

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
         keepalive counts whole seconds (tcp(7)): use at least {misses}s, or leave the keepalive arms out"
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
    #[error("a detection time of {0:?} is too long: TCP_KEEPIDLE and TCP_KEEPINTVL end at 32767 s")]
    TooLong(Duration),
    /// An interval that does not fit the timeout.
    #[error("a timeout of {timeout:?} must be at least twice the interval of {interval:?}")]
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
    /// [`BudgetError::TooShort`] when keepalive is among them and the interval is below a second.
    pub fn suits(&self, arms: &[Arm]) -> Result<(), BudgetError> {
        if arms.contains(&Arm::Keepalive) && self.interval < Nanos::from_secs(1) {
            return Err(BudgetError::TooShort {
                within: self.detect_within.as_duration(),
                misses: self.misses,
                interval: self.interval.as_duration(),
            });
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
            }
        }

        #[test]
        fn names_read_back(position in 0..Arm::ALL.len()) {
            let arm = Arm::ALL[position];
            prop_assert_eq!(arm.name().parse(), Ok(arm));
        }
    }
}
