//! Clocks: the monotonic one that everything is timed with, the wall clock for stamps, and one that
//! tests turn by hand.
//!
//! Does not measure durations or schedule anything. Units: [`Nanos`] of `CLOCK_MONOTONIC`, which
//! all processes of one machine share and which does not run while the machine is suspended; wall
//! times are UTC and only ever stored, never subtracted. Allocates nothing but the RFC 3339 text.
//! Sources: `clock_gettime(2)`, `clock_nanosleep(2)`.

use crate::units::Nanos;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Something that knows what time it is.
pub trait Clock {
    /// The present instant; never earlier than an instant this clock gave before.
    fn now(&self) -> Nanos;
}

/// `CLOCK_MONOTONIC`, read through the vDSO (some 20 ns).
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock;

impl MonotonicClock {
    /// Sleeps until `deadline`, to an absolute time, so that repeated sleeps do not drift. Returns
    /// at once when it has passed. Signals do not cut it short. The kernel may be late by the
    /// thread's timer slack (50 µs by default, `prctl(2)` `PR_SET_TIMERSLACK`) and by scheduling.
    pub fn sleep_until(&self, deadline: Nanos) {
        let request = TimeSpec::from_duration(deadline.as_duration());
        loop {
            let slept = clock_nanosleep(
                ClockId::CLOCK_MONOTONIC,
                ClockNanosleepFlags::TIMER_ABSTIME,
                &request,
            );
            match slept {
                Ok(_) => return,
                Err(Errno::EINTR) => {}
                Err(_) => {
                    std::thread::sleep((deadline - self.now()).as_duration());
                    return;
                }
            }
        }
    }
}

impl Clock for MonotonicClock {
    /// # Panics
    /// If the kernel has no `CLOCK_MONOTONIC`, which every Linux has.
    fn now(&self) -> Nanos {
        ClockId::CLOCK_MONOTONIC
            .now()
            .map(|time| Nanos::from(Duration::from(time)))
            .expect("every Linux has CLOCK_MONOTONIC")
    }
}

/// A clock that stands still until it is turned; for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: Nanos) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Turns the clock forward by `span`.
    pub fn advance(&self, span: Nanos) {
        self.0.fetch_add(span.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::SeqCst))
    }
}

/// The wall clock as RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
#[must_use]
pub fn wall_rfc3339() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// The wall clock in milliseconds since 1970; a wall clock set before 1970 reads as 0.
#[must_use]
pub fn wall_epoch_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The wall clock in nanoseconds since 1970; one set before 1970 reads as 0.
#[must_use]
pub fn wall_epoch_ns() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_advances_and_sleeps_never_end_early() {
        let clock = MonotonicClock;
        let deadline = clock.now() + Nanos::from_millis(3);
        clock.sleep_until(deadline);
        assert!(clock.now() >= deadline);
        clock.sleep_until(Nanos::ZERO);
    }

    #[test]
    fn a_manual_clock_moves_only_when_turned() {
        let clock = ManualClock::new(Nanos(5));
        assert_eq!(clock.now(), Nanos(5));
        clock.advance(Nanos(7));
        assert_eq!(clock.now(), Nanos(12));
    }

    #[test]
    fn wall_stamps_agree_with_each_other() {
        let stamp = wall_rfc3339();
        assert!(stamp.ends_with('Z') && stamp.len() == 24, "{stamp}");
        let parsed = humantime::parse_rfc3339(&stamp).unwrap();
        let epoch_ms = parsed.duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert!(u128::from(wall_epoch_ms()).abs_diff(epoch_ms) < 60_000);
    }
}
