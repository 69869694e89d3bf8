//! The wheel without laziness: every heartbeat moves its entry to another slot at once.
//!
//! Same geometry as the crate's wheel, slots as [lists](super::chains). 12 B per index.

use super::chains::Chains;
use super::subject::{Role, Timers, Unsupported};

/// See the [module](self).
pub(crate) struct Eager(Chains);

impl Timers for Eager {
    const NAME: &'static str = "eager wheel of lists";
    const ROLE: Role = Role::Baseline;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self(Chains::new(capacity))
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.0.link(index, now + timeout);
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.0.unlink(index);
        self.0.link(index, now + timeout);
    }

    fn cancel(&mut self, index: u32) {
        self.0.unlink(index);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.touch(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        self.0.turn_to(now, |index, due, tick| {
            if due > tick {
                return Some(due);
            }
            expired.push(index);
            None
        });
        expired.len() - before
    }
}
