//! How far another host's clock is from this one's, and how well that is known.
//!
//! Computes and reads clocks; does not send. As in NTP (RFC 5905, section 8): the other's time was read somewhere within
//! the round trip, so its middle is right to half of it, and the shortest of several trips is the best. From then on the
//! two crystals drift apart, by [`CLOCK_DRIFT_PPM`] at most. A daemon that slews a clock harder than that, or sets it, is not
//! covered; so the comparison is made anew at every stage.

use crate::clock::{Clock as _, MonotonicClock};
use crate::record::{CLOCK_DRIFT_PPM, FleetClock};
use crate::units::Nanos;
use std::time::{SystemTime, UNIX_EPOCH};

/// One question for the time and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// When it was asked, by this host's monotonic clock.
    pub sent: Nanos,
    /// When the answer was there.
    pub received: Nanos,
    /// The answer, nanoseconds since 1970.
    pub theirs: u64,
}

impl RoundTrip {
    const fn length(self) -> u64 {
        self.received.0.saturating_sub(self.sent.0)
    }
}

/// What is known of the other clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The middle of the shortest round trip, by this host's monotonic clock.
    at: Nanos,
    /// The other's clock then.
    theirs: u64,
    half_trip: u64,
    round_trips: u32,
}

impl Comparison {
    /// Of all `trips`; `None` of none.
    #[must_use]
    pub fn of(trips: &[RoundTrip]) -> Option<Self> {
        let best = trips.iter().min_by_key(|trip| trip.length())?;
        Some(Self {
            at: Nanos(best.sent.0 + best.length() / 2),
            theirs: best.theirs,
            half_trip: best.length().div_ceil(2),
            round_trips: u32::try_from(trips.len()).unwrap_or(u32::MAX),
        })
    }

    /// Nothing is known yet.
    pub(super) const fn none() -> Self {
        Self {
            at: Nanos::ZERO,
            theirs: 0,
            half_trip: u64::MAX,
            round_trips: 0,
        }
    }

    /// The other's clock at `own`.
    #[must_use]
    pub fn theirs_at(self, own: Nanos) -> u64 {
        moved(self.theirs, self.at.0, own.0)
    }

    /// This host's monotonic clock when the other's shows `theirs`.
    #[must_use]
    pub fn own_at(self, theirs: u64) -> Nanos {
        Nanos(moved(self.at.0, self.theirs, theirs))
    }

    /// To how much either way both are right at `own`.
    #[must_use]
    pub fn error_at(self, own: Nanos) -> Nanos {
        // The drift counts from the reading, which may be half a trip from the middle.
        let apart = u128::from(self.at.0.abs_diff(own.0)) + u128::from(self.half_trip);
        let drift = (apart * u128::from(CLOCK_DRIFT_PPM)).div_ceil(1_000_000);
        let drift = u64::try_from(drift).unwrap_or(u64::MAX);
        // One more for what the middle was rounded by.
        Nanos(self.half_trip.saturating_add(drift).saturating_add(1))
    }

    /// How a wall clock of this host, read in `wall`, stands to the other.
    #[must_use]
    pub fn against(self, wall: RoundTrip, compared_with: &str) -> FleetClock {
        let own = Nanos(wall.sent.0 + wall.length() / 2);
        let offset = i128::from(self.theirs_at(own)) - i128::from(wall.theirs);
        let reading = Nanos(wall.length().div_ceil(2));
        FleetClock {
            compared_with: compared_with.to_owned(),
            offset_ns: Some(narrow(offset)),
            error_ns: Some((self.error_at(own) + reading).0),
            round_trips: self.round_trips,
        }
    }
}

fn narrow(offset: i128) -> i64 {
    let most = if offset < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(offset).unwrap_or(most)
}

/// `value`, moved by as much as `to` is after `from`.
fn moved(value: u64, from: u64, to: u64) -> u64 {
    if to >= from {
        value.saturating_add(to - from)
    } else {
        value.saturating_sub(from - to)
    }
}

/// This host's wall clock and when it was read; the shortest of a few readings, for one may be torn apart by the scheduler.
#[must_use]
pub fn read_wall() -> RoundTrip {
    let once = || {
        let sent = MonotonicClock.now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let received = MonotonicClock.now();
        RoundTrip {
            sent,
            received,
            theirs: wall.map_or(0, |since| Nanos::from(since).0),
        }
    };
    let mut best = once();
    for _ in 0..4 {
        let next = once();
        if next.length() < best.length() {
            best = next;
        }
    }
    best
}

/// This host's monotonic clock when its wall clock shows `epoch`, nanoseconds since 1970, unless somebody sets it.
#[must_use]
pub fn own_instant(epoch: Nanos) -> Nanos {
    SteadyClock::start().own_at(epoch.0)
}

/// The captain's clock: its wall clock when it began, and the monotonic one from then on. Whoever sets the wall clock
/// meanwhile does not move the instants that were agreed upon.
#[derive(Clone, Copy, Debug)]
pub(super) struct SteadyClock {
    origin: RoundTrip,
}

impl SteadyClock {
    pub(super) fn start() -> Self {
        Self {
            origin: read_wall(),
        }
    }

    /// Nanoseconds since 1970.
    pub(super) fn at(&self, own: Nanos) -> u64 {
        moved(self.origin.theirs, self.origin.sent.0, own.0)
    }

    /// This host's monotonic clock when it shows `epoch_ns`.
    pub(super) fn own_at(&self, epoch_ns: u64) -> Nanos {
        Nanos(moved(self.origin.sent.0, self.origin.theirs, epoch_ns))
    }

    /// How this host's wall clock stands to it now: not at all, unless somebody has set it.
    pub(super) fn against_wall(&self) -> FleetClock {
        let wall = read_wall();
        let own = Nanos(wall.sent.0 + wall.length() / 2);
        let offset = i128::from(self.at(own)) - i128::from(wall.theirs);
        FleetClock {
            compared_with: "own".to_owned(),
            offset_ns: Some(narrow(offset)),
            error_ns: Some(wall.length().div_ceil(2) + self.origin.length()),
            round_trips: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The other's clock at `own`, drifting by `ppm` against it.
    fn truth(base: i128, ppm: i128, own: u64) -> i128 {
        let own = i128::from(own);
        base + own + own * ppm / 1_000_000
    }

    proptest! {
        #[test]
        fn the_truth_is_within_the_error_whatever_the_delays(
            base in 1_000_000_000_000_000_i128..2_000_000_000_000_000_000,
            ppm in -100_i128..=100,
            begin in 0_u64..1_000_000_000_000_000,
            trips in prop::collection::vec((0_u64..500_000_000, 0_u64..500_000_000), 1..12),
            later in 0_u64..600_000_000_000,
        ) {
            let mut now = begin;
            let trips: Vec<RoundTrip> = trips
                .iter()
                .map(|(there, back)| {
                    let sent = now;
                    now += there + back;
                    let theirs = u64::try_from(truth(base, ppm, sent + there)).unwrap();
                    RoundTrip { sent: Nanos(sent), received: Nanos(now), theirs }
                })
                .collect();
            let comparison = Comparison::of(&trips).unwrap();
            let own = Nanos(now + later);
            let error = comparison.error_at(own).0;
            let is = truth(base, ppm, own.0);
            let said = i128::from(comparison.theirs_at(own));
            // One for the rounding of the truth itself.
            prop_assert!(is.abs_diff(said) <= u128::from(error) + 1, "{} apart, {}", is - said, error);

            // A wall clock of this host, and an instant there and back.
            let wall = RoundTrip { sent: own, received: Nanos(own.0 + 40), theirs: own.0 + 25 };
            let clock = comparison.against(wall, "rendezvous");
            let offset = truth(base, ppm, own.0 + 20) - i128::from(own.0 + 20);
            let apart = offset.abs_diff(i128::from(clock.offset_ns.unwrap()));
            prop_assert!(apart <= u128::from(clock.error_ns.unwrap()) + 1);
            prop_assert_eq!(comparison.own_at(comparison.theirs_at(own)), own);
        }

        #[test]
        fn absurd_clocks_are_no_panic(sent: u64, received: u64, theirs: u64, own: u64, wall: u64) {
            let trip = RoundTrip { sent: Nanos(sent), received: Nanos(received), theirs };
            let comparison = Comparison::of(&[trip]).unwrap();
            let _ = comparison.error_at(Nanos(own));
            let _ = comparison.own_at(wall);
            let reading = RoundTrip { sent: Nanos(own), received: Nanos(received), theirs: wall };
            let _ = comparison.against(reading, "rendezvous");
        }
    }

    #[test]
    fn the_shortest_trip_counts() {
        let trip = |sent, received, theirs| RoundTrip {
            sent: Nanos(sent),
            received: Nanos(received),
            theirs,
        };
        let comparison = Comparison::of(&[trip(0, 900, 9_999), trip(1_000, 1_100, 5_050)]);
        let comparison = comparison.unwrap();
        assert_eq!(comparison.theirs_at(Nanos(1_050)), 5_050);
        assert_eq!(comparison.error_at(Nanos(1_050)), Nanos(52));
        assert_eq!(
            comparison.error_at(Nanos(1_000_001_050)),
            Nanos(50 + 100_001 + 1)
        );
        assert_eq!(Comparison::of(&[]), None);
    }

    #[test]
    fn the_steady_clock_is_the_wall_clock_that_nobody_sets() {
        let clock = SteadyClock::start();
        let one = clock.at(Nanos(clock.origin.sent.0 + 5_000));
        assert_eq!(one, clock.origin.theirs + 5_000);
        assert_eq!(clock.own_at(one), Nanos(clock.origin.sent.0 + 5_000));
        assert_eq!(clock.against_wall().compared_with, "own");
    }
}
