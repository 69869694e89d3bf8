//! The ramp: when how many connections may be begun.
//!
//! Pure: time is handed in. Two bounds hold at once: an arrival rate, and a number of connects in flight that
//! keeps the server's accept queue from overflowing (an overflow would show as connect times of a second).

use crate::units::Nanos;

/// The opening of `total` connections by one core thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    total: u64,
    /// Connections per second; `None` is bounded by the connects in flight alone.
    rate: Option<f64>,
    in_flight: u64,
    started: Option<Nanos>,
    begun: u64,
}

impl Ramp {
    pub(super) fn new(total: u64, rate: Option<f64>, in_flight: u64) -> Self {
        Self {
            total,
            rate,
            in_flight: in_flight.max(1),
            started: None,
            begun: 0,
        }
    }

    /// How many to begin at `now` with `connecting` still unanswered; counts them as begun.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of connections, far below 2^53 and never negative"
    )]
    pub(super) fn begin(&mut self, now: Nanos, connecting: u64) -> u64 {
        let started = *self.started.get_or_insert(now);
        let due = match self.rate {
            None => self.total,
            // The tick that starts the ramp begins one, so that a slow ramp starts at all.
            Some(rate) => ((now - started).as_secs_f64() * rate) as u64 + 1,
        };
        let allowed = due.min(self.total).saturating_sub(self.begun);
        let count = allowed.min(self.in_flight.saturating_sub(connecting));
        self.begun += count;
        count
    }

    /// Begins no more: what is begun is all there is.
    pub(super) fn stop(&mut self) {
        self.total = self.begun;
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    pub(super) fn is_over(&self) -> bool {
        self.begun == self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_ramp_keeps_its_rate_its_cap_and_its_total(
            total in 1_u64..5000, rate in 1.0_f64..100_000.0, cap in 1_u64..500,
            steps in prop::collection::vec((1_u64..50, 0_u64..600), 1..200)
        ) {
            let mut ramp = Ramp::new(total, Some(rate), cap);
            let mut now = Nanos(1_000);
            let mut begun = 0;
            for (millis, connecting) in steps {
                let count = ramp.begin(now, connecting);
                begun += count;
                prop_assert!(count + connecting <= cap.max(connecting));
                prop_assert!(begun <= total);
                let elapsed = (now - Nanos(1_000)).as_secs_f64();
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let begun_f64 = begun as f64;
                prop_assert!(begun_f64 <= elapsed * rate + 1.0);
                now += Nanos::from_millis(millis);
            }
            prop_assert_eq!(ramp.is_over(), begun == total);
        }
    }

    #[test]
    fn without_a_rate_only_the_flight_is_bounded() {
        let mut ramp = Ramp::new(1000, None, 256);
        assert_eq!(ramp.begin(Nanos(0), 0), 256);
        assert_eq!(ramp.begin(Nanos(1), 250), 6);
        assert_eq!(ramp.begin(Nanos(1), 256), 0);
        assert_eq!(ramp.begin(Nanos(2), 0), 256);
        assert_eq!(ramp.begun(), 518);
        assert!(!ramp.is_over());
        ramp.stop();
        assert_eq!((ramp.begin(Nanos(3), 0), ramp.is_over()), (0, true));
    }
}
