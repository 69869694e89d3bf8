//! The wheel's trick lent to another structure: a heartbeat is a store, and what comes up with a
//! later deadline is armed again.
//!
//! Not something the rivals offer; it shows how much of a difference is the trick and how much the
//! structure. 4 B per index on top of what the structure takes.

use super::subject::{Role, Timers, Unsupported};

/// `T`, refreshed lazily.
pub(crate) struct Lazy<T> {
    inner: T,
    deadlines: Vec<u32>,
    /// What came up in this turn.
    met: Vec<u32>,
}

impl<T: Timers> Timers for Lazy<T> {
    const NAME: &'static str = match T::NAME.as_bytes() {
        b"BinaryHeap" => "BinaryHeap, lazily refreshed",
        b"nexus Wheel" => "nexus Wheel, lazily refreshed",
        _ => "lazily refreshed",
    };
    const ROLE: Role = Role::Lent;
    const PRECISION: u32 = T::PRECISION;

    fn new(capacity: u32, classes: &[u32]) -> Self {
        Self {
            inner: T::new(capacity, classes),
            deadlines: vec![0; capacity as usize],
            met: Vec::new(),
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.deadlines[index as usize] = now + timeout;
        self.inner.arm(index, now, timeout);
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.deadlines[index as usize] = now + timeout;
    }

    fn cancel(&mut self, index: u32) {
        self.inner.cancel(index);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.deadlines[index as usize] = now + timeout;
        self.inner.reschedule(index, now, timeout)
    }

    fn clock_to(&mut self, now: u32) {
        self.inner.clock_to(now);
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        // A deadline met late in a long turn may itself have come by now: turn until nothing does.
        while self.inner.turn_to(now, &mut self.met) > 0 {
            for index in self.met.drain(..) {
                let deadline = self.deadlines[index as usize];
                if deadline <= now {
                    expired.push(index);
                } else {
                    self.inner.arm(index, now, deadline - now);
                }
            }
        }
        expired.len() - before
    }
}
