//! The lazy wheel with slots as linked lists: what the crate's would be without its bags.
//!
//! Same geometry and laziness, slots as [lists](super::chains): the entry a visit comes to next is
//! written in the entry it looks at, so each waits for the one before. 16 B per index.

use super::chains::Chains;
use super::subject::{Role, Timers, Unsupported};

/// The deadline of a cancelled timer, whose entry stays until it is visited.
const NEVER: u32 = u32::MAX;

/// See the [module](self).
pub(crate) struct List {
    deadlines: Vec<u32>,
    chains: Chains,
}

impl Timers for List {
    const NAME: &'static str = "lazy wheel of lists";
    const ROLE: Role = Role::Baseline;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self {
            deadlines: vec![NEVER; capacity as usize],
            chains: Chains::new(capacity),
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        let deadline = now + timeout;
        self.deadlines[index as usize] = deadline;
        match self.chains.due(index) {
            Some(due) if due <= deadline => return,
            Some(_) => self.chains.unlink(index),
            None => {}
        }
        self.chains.link(index, deadline);
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.deadlines[index as usize] = now + timeout;
    }

    fn cancel(&mut self, index: u32) {
        self.deadlines[index as usize] = NEVER;
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.arm(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        self.chains.turn_to(now, |index, _, tick| {
            let deadline = self.deadlines[index as usize];
            if deadline <= tick {
                expired.push(index);
            }
            (deadline > tick && deadline != NEVER).then_some(deadline)
        });
        expired.len() - before
    }
}
