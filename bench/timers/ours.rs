//! The crate's wheel: refreshed lazily, slots are bags of chunks.
//!
//! Does not limit the turn by a budget, since no rival has one that means the same.

use super::subject::{Timers, Unsupported};
use ringbeat::units::Tick;
use ringbeat::wheel::Wheel;

/// See the [module](self).
pub(crate) struct Ours(Wheel);

impl Timers for Ours {
    const NAME: &'static str = "ringbeat wheel";

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self(Wheel::with_capacity(capacity, Tick(0)))
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.0.arm(index, Tick(now + timeout));
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.0.refresh(index, Tick(now + timeout));
    }

    fn cancel(&mut self, index: u32) {
        self.0.cancel(index);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.0.arm(index, Tick(now + timeout));
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        self.0.turn_to(Tick(now), usize::MAX, expired).expired
    }
}
