//! Turnover: a core thread ends the connections it holds beyond a number, each in its turn, so that others come in their
//! place.
//!
//! Does not open any and sets no pace: as many end as have come.

use super::{CLOSES_PER_TURN, Lane};
use crate::clock::MonotonicClock;
use crate::shard::Instruments;

/// Ends connections of all lanes in turn.
#[derive(Debug, Default)]
pub struct Rotation {
    /// The lane that is taken from first.
    next: usize,
}

impl Rotation {
    /// Ends so many connections, [`CLOSES_PER_TURN`] at most, some of each lane; with a RST each when `abort`.
    pub fn end(
        &mut self,
        count: u64,
        abort: bool,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) {
        let mut left = usize::try_from(count.min(CLOSES_PER_TURN as u64)).unwrap_or(0);
        let each = left.div_ceil(lanes.len().max(1));
        // What one lane lacks, the next round makes up for.
        for _ in 0..2 * lanes.len() {
            let lane = self.next % lanes.len();
            self.next = lane + 1;
            left -= lanes[lane].with(&clock, instruments, |shard, cx| {
                shard.churn(each.min(left), abort, cx)
            });
        }
    }
}

/// One thread's share of a population that is kept.
#[derive(Debug)]
pub struct Turnover {
    keep: u64,
    abort: bool,
    rotation: Rotation,
}

impl Turnover {
    /// For the thread at `seat`, number and how many there are, when all of them keep `keep` connections.
    #[must_use]
    pub fn new(keep: u64, seat: (u32, u32), abort: bool) -> Self {
        let (place, threads) = (u64::from(seat.0), u64::from(seat.1.max(1)));
        Self {
            keep: keep / threads + u64::from(place < keep % threads),
            abort,
            rotation: Rotation::default(),
        }
    }

    /// Ends what is open beyond the share.
    pub fn turn(
        &mut self,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) {
        let open: u64 = lanes.iter().map(|lane| lane.shard.counters().open).sum();
        let excess = open.saturating_sub(self.keep);
        if excess > 0 {
            self.rotation
                .end(excess, self.abort, lanes, instruments, clock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_what_is_kept() {
        for (keep, threads) in [(0, 1), (1, 2), (10, 3), (19_999, 2)] {
            let shares = (0..threads).map(|seat| Turnover::new(keep, (seat, threads), false).keep);
            assert_eq!(shares.sum::<u64>(), keep, "{threads} threads");
        }
    }
}
