//! What the standard library offers: a heap that forgets lazily, and a sorted tree.
//!
//! Keys are a deadline and an index in one `u64`. Both structures keep the deadline per index (4 B)
//! to find or judge their keys by. The heap is pushed to at every change and compacted when more
//! than half of its keys are stale.

use super::subject::{Role, Timers, Unsupported};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Not armed. Never a deadline.
const UNARMED: u32 = u32::MAX;

fn key(deadline: u32, index: u32) -> u64 {
    u64::from(deadline) << 32 | u64::from(index)
}

#[expect(clippy::cast_possible_truncation, reason = "takes the key apart")]
fn parts(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

/// `BinaryHeap` with lazy deletion and compaction.
pub(crate) struct Heap {
    keys: BinaryHeap<Reverse<u64>>,
    deadlines: Vec<u32>,
    armed: usize,
}

impl Heap {
    fn push(&mut self, index: u32, deadline: u32) {
        if self.deadlines[index as usize] == deadline {
            return;
        }
        self.deadlines[index as usize] = deadline;
        self.keys.push(Reverse(key(deadline, index)));
        if self.keys.len() > 2 * self.armed + 64 {
            let deadlines = &self.deadlines;
            self.keys.retain(|&Reverse(key)| {
                let (deadline, index) = parts(key);
                deadlines[index as usize] == deadline
            });
        }
    }
}

impl Timers for Heap {
    const NAME: &'static str = "BinaryHeap";
    const ROLE: Role = Role::Rival;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self {
            keys: BinaryHeap::with_capacity(capacity as usize),
            deadlines: vec![UNARMED; capacity as usize],
            armed: 0,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.armed += 1;
        self.push(index, now + timeout);
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.push(index, now + timeout);
    }

    fn cancel(&mut self, index: u32) {
        self.armed -= 1;
        self.deadlines[index as usize] = UNARMED;
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.push(index, now + timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        while let Some(&Reverse(first)) = self.keys.peek() {
            let (deadline, index) = parts(first);
            if deadline > now {
                break;
            }
            self.keys.pop();
            if self.deadlines[index as usize] == deadline {
                self.deadlines[index as usize] = UNARMED;
                self.armed -= 1;
                expired.push(index);
            }
        }
        expired.len() - before
    }
}

/// `BTreeSet`, exact at every moment.
pub(crate) struct Tree {
    ordered: BTreeSet<u64>,
    deadlines: Vec<u32>,
}

impl Timers for Tree {
    const NAME: &'static str = "BTreeSet";
    const ROLE: Role = Role::Rival;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self {
            ordered: BTreeSet::new(),
            deadlines: vec![UNARMED; capacity as usize],
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.deadlines[index as usize] = now + timeout;
        self.ordered.insert(key(now + timeout, index));
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.cancel(index);
        self.arm(index, now, timeout);
    }

    fn cancel(&mut self, index: u32) {
        self.ordered
            .remove(&key(self.deadlines[index as usize], index));
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.touch(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        while let Some(&first) = self.ordered.first() {
            let (deadline, index) = parts(first);
            if deadline > now {
                break;
            }
            self.ordered.pop_first();
            expired.push(index);
        }
        expired.len() - before
    }
}
