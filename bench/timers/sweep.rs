//! No structure at all: every so often, compare every stamp with the clock.
//!
//! The stamp is the deadline rather than the moment last seen, so that timeouts may differ; that is
//! the same single store per heartbeat and the same single comparison per sweep. 4 B per index. The
//! comparison is over signed numbers because that is what plain x86-64 has vector instructions for.

use super::subject::{Timers, Unsupported};

/// Ticks of 8 ms that just fit into 100 ms.
pub(crate) const TENTH_OF_A_SECOND: u32 = 12;

/// Stamps looked at before the sweep asks whether one of them was old.
const STRIDE: usize = 512;

/// Never comes.
const UNARMED: i32 = i32::MAX;

/// Sweeps whenever a multiple of `EVERY` ticks has passed.
pub(crate) struct Sweep<const EVERY: u32> {
    deadlines: Vec<i32>,
    /// How many multiples of `EVERY` had passed at the last sweep.
    swept: u32,
}

impl<const EVERY: u32> Timers for Sweep<EVERY> {
    const NAME: &'static str = match EVERY {
        1 => "sweep each tick",
        TENTH_OF_A_SECOND => "sweep each 96 ms",
        _ => "sweep",
    };
    const PRECISION: u32 = EVERY;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self {
            deadlines: vec![UNARMED; capacity as usize],
            swept: 0,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.deadlines[index as usize] = (now + timeout).cast_signed();
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.arm(index, now, timeout);
    }

    fn cancel(&mut self, index: u32) {
        self.deadlines[index as usize] = UNARMED;
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.arm(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        if now / EVERY == self.swept {
            return 0;
        }
        self.swept = now / EVERY;
        let now = now.cast_signed();
        let before = expired.len();
        let firsts = (0_u32..).step_by(STRIDE);
        for (first, stamps) in firsts.zip(self.deadlines.chunks_mut(STRIDE)) {
            let oldest = stamps
                .iter()
                .fold(UNARMED, |oldest, &stamp| oldest.min(stamp));
            if oldest > now {
                continue;
            }
            for (index, stamp) in (first..).zip(stamps) {
                if *stamp <= now {
                    *stamp = UNARMED;
                    expired.push(index);
                }
            }
        }
        expired.len() - before
    }
}
