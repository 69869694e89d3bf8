//! How a shard behaves: its part in the exchange, its timing, and how heartbeats are spread over the interval.
//!
//! Pure. All spans are nanoseconds.

use crate::units::Nanos;
use crate::wheel::TimersKind;
use serde::{Deserialize, Serialize};

/// What a shard does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Holds them; no heartbeats either way.
    Idle,
    /// Sends a heartbeat on each connection every interval.
    Sender {
        /// Whether an ack is owed, and missed, for each.
        acked: bool,
    },
    /// Expects heartbeats and closes the silent.
    Responder {
        /// Whether it answers each.
        acked: bool,
    },
}

/// Whether heartbeats of different connections share their instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phases {
    /// Spread evenly over the interval, in no relation to the order of connecting: as after days of reconnecting,
    /// and the dearer for it, since neighbours in time are strangers in memory.
    Staggered,
    /// Spread evenly over the interval, in the order of connecting: as where every client starts its timer when it
    /// connects, and all connect at an even pace.
    InOrder {
        /// Connections among which the interval is shared.
        of: u32,
    },
    /// All at once: the worst case, only on request.
    Aligned,
}

/// How a shard learns what a connection has sent; a property of the engine that drives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A watch tells that something is there, a receive fetches it.
    Watch,
    /// The bytes come by themselves; needs a ring with receive buffers.
    Stream,
}

impl Phases {
    /// The name as typed and recorded.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staggered => "staggered",
            Self::InOrder { .. } => "in-order",
            Self::Aligned => "aligned",
        }
    }

    /// The same spread over `connections`.
    #[must_use]
    pub fn among(self, connections: u64) -> Self {
        match self {
            Self::InOrder { .. } => Self::InOrder {
                of: u32::try_from(connections).unwrap_or(u32::MAX).max(1),
            },
            other => other,
        }
    }
}

/// Everything a shard is told at its start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Its part in the exchange.
    pub role: Role,
    /// Gap between two heartbeats of one connection.
    pub interval: Nanos,
    /// Silence a responder allows.
    pub idle_timeout: Nanos,
    /// How long a sender waits for an ack.
    pub answer_timeout: Nanos,
    /// Length of a tick.
    pub tick: Nanos,
    /// Spread of the heartbeats.
    pub phases: Phases,
    /// What holds the deadlines. The schedule of a sender is a wheel in any case: it must be kept
    /// to the tick.
    pub timers: TimersKind,
    /// Sockets carry kernel keepalive: a time-out of the socket is keepalive's verdict.
    pub keepalive: bool,
    /// The last so many of the ring's options are variants of one: each connection gets a single one of them, by its
    /// ordinal. Accepted sockets inherit the others and so get nothing but their variant.
    #[serde(default)]
    pub option_variants: u32,
    /// Keep a log of the connections that end by another's doing or by a verdict; see
    /// [`Shard::endings`](super::Shard::endings).
    #[serde(default)]
    pub log_endings: bool,
    /// The instant that phases count from, by this host's monotonic clock, past or to come. Hosts that share a run set it
    /// to the same instant, each by its own clock; zero is the clock's own beginning, which differs from host to host.
    #[serde(default)]
    pub phase_origin: Nanos,
}

/// Conjugate of the golden ratio as a 64-bit fraction: multiples of it fill the circle evenly and in scattered
/// order (the three-distance theorem; Knuth, TAOCP vol. 3, section 6.4, on Fibonacci hashing).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Settings {
    /// Offset inside the interval of the connection numbered `ordinal`.
    #[must_use]
    pub fn phase(&self, ordinal: u32) -> Nanos {
        match self.phases {
            Phases::Aligned => Nanos::ZERO,
            Phases::InOrder { of } => {
                let of = of.max(1);
                let part = u128::from(ordinal % of) * u128::from(self.interval.0);
                Nanos(u64::try_from(part / u128::from(of)).unwrap_or(0))
            }
            Phases::Staggered => {
                let fraction = u64::from(ordinal).wrapping_mul(GOLDEN);
                Nanos(((u128::from(fraction) * u128::from(self.interval.0)) >> 64) as u64)
            }
        }
    }

    /// The first instant after `now` that lies at the connection's phase, counted from
    /// [`phase_origin`](Self::phase_origin).
    #[must_use]
    pub fn first_due(&self, ordinal: u32, now: Nanos) -> Nanos {
        let phase = self.phase(ordinal).0;
        let interval = self.interval.0.max(1);
        // Modulo the interval, as the origin may be later than now.
        let since = now.0 % interval + interval - self.phase_origin.0 % interval;
        let into = (since % interval + interval - phase) % interval;
        Nanos(now.0 + interval - into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(phases: Phases) -> Settings {
        Settings {
            role: Role::Sender { acked: true },
            interval: Nanos::from_secs(3),
            idle_timeout: Nanos::from_secs(9),
            answer_timeout: Nanos::from_secs(6),
            tick: Nanos::from_millis(8),
            phases,
            timers: TimersKind::Wheel,
            keepalive: false,
            option_variants: 0,
            log_endings: false,
            phase_origin: Nanos::ZERO,
        }
    }

    #[test]
    fn staggered_phases_fill_the_interval_evenly() {
        let settings = settings(Phases::Staggered);
        let mut per_slice = [0; 30];
        for ordinal in 0..3000 {
            let phase = settings.phase(ordinal).0;
            assert!(phase < settings.interval.0);
            per_slice[usize::try_from(phase / 100_000_000).unwrap()] += 1;
        }
        assert!(
            per_slice.iter().all(|count| (95..=105).contains(count)),
            "{per_slice:?}"
        );
    }

    #[test]
    fn in_order_means_that_neighbours_follow_each_other() {
        let settings = settings(Phases::InOrder { of: 0 }.among(3000));
        let phases: Vec<u64> = (0..3000).map(|ordinal| settings.phase(ordinal).0).collect();
        assert!(phases.windows(2).all(|pair| pair[1] - pair[0] == 1_000_000));
        assert_eq!(
            settings.phase(3000),
            settings.phase(0),
            "one more wraps around"
        );
    }

    proptest! {
        #[test]
        fn the_first_heartbeat_is_within_one_interval_and_at_its_phase(ordinal: u32, now in 0..u64::MAX / 4) {
            for phases in [Phases::Staggered, Phases::InOrder { of: 1000 }, Phases::Aligned] {
                let settings = settings(phases);
                let due = settings.first_due(ordinal, Nanos(now));
                prop_assert!(due.0 > now && due.0 <= now + settings.interval.0);
                prop_assert_eq!(due.0 % settings.interval.0, settings.phase(ordinal).0);
            }
        }

        /// Two hosts that were booted at different times, before and after the origin, beat as one.
        #[test]
        fn hosts_of_one_origin_have_the_same_phases_whatever_their_clocks_show(
            ordinal: u32,
            boots in (0..1_u64 << 50, 0..1_u64 << 50),
            origin in 1_u64 << 50..1 << 51,
            now in 1_u64 << 50..1 << 51,
        ) {
            for phases in [Phases::Staggered, Phases::InOrder { of: 1000 }, Phases::Aligned] {
                let due = |boot: u64| {
                    let settings = Settings { phase_origin: Nanos(origin - boot), ..settings(phases) };
                    settings.first_due(ordinal, Nanos(now - boot)).0 + boot
                };
                let (one, other) = (due(boots.0), due(boots.1));
                prop_assert_eq!(one, other);
                prop_assert!(one > now && one <= now + settings(phases).interval.0);
                let since = i128::from(one) - i128::from(origin) - i128::from(settings(phases).phase(ordinal).0);
                prop_assert_eq!(since % i128::from(settings(phases).interval.0), 0);
            }
        }
    }
}
