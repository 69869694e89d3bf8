//! The wheel without laziness: every heartbeat moves its entry to another slot at once.
//!
//! Same geometry and list layout as the crate's wheel, so that the difference is the laziness.
//! 12 B per index.

use super::geometry::{self, Occupied, SLOTS};
use super::subject::{Timers, Unsupported};

/// No entry.
const NIL: u32 = u32::MAX;
/// In `prev`: first of the slot in the lower bits.
const FIRST: u32 = 1 << 31;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    due: u32,
}

/// See the [module](self).
pub(crate) struct Eager {
    nodes: Vec<Node>,
    heads: Box<[u32]>,
    occupied: Occupied,
    /// The next tick to process.
    cursor: u32,
}

impl Eager {
    /// Files an entry that is in no slot.
    fn link(&mut self, index: u32, due: u32) {
        let (slot, _) = geometry::place(due.max(self.cursor), self.cursor);
        let head = std::mem::replace(&mut self.heads[slot as usize], index);
        if head == NIL {
            self.occupied.set(slot);
        } else {
            self.nodes[head as usize].prev = index;
        }
        self.nodes[index as usize] = Node {
            next: head,
            prev: FIRST | slot,
            due,
        };
    }

    fn unlink(&mut self, index: u32) {
        let Node { next, prev, .. } = self.nodes[index as usize];
        if prev & FIRST == 0 {
            self.nodes[prev as usize].next = next;
        } else {
            let slot = prev & !FIRST;
            self.heads[slot as usize] = next;
            if next == NIL {
                self.occupied.clear(slot);
            }
        }
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        }
    }

    /// Expires or files again what `slot` holds.
    fn drain(&mut self, slot: u32, tick: u32, expired: &mut Vec<u32>) {
        let mut rest = std::mem::replace(&mut self.heads[slot as usize], NIL);
        self.occupied.clear(slot);
        while rest != NIL {
            let index = rest;
            let Node { next, due, .. } = self.nodes[index as usize];
            rest = next;
            if due <= tick {
                expired.push(index);
            } else {
                self.link(index, due);
            }
        }
    }
}

impl Timers for Eager {
    const NAME: &'static str = "eager wheel";

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        let idle = Node {
            next: NIL,
            prev: NIL,
            due: 0,
        };
        Self {
            nodes: vec![idle; capacity as usize],
            heads: vec![NIL; SLOTS].into_boxed_slice(),
            occupied: Occupied::new(),
            cursor: 0,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.link(index, now + timeout);
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.unlink(index);
        self.link(index, now + timeout);
    }

    fn cancel(&mut self, index: u32) {
        self.unlink(index);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.touch(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        while let Some(tick) = self.occupied.next_stop(self.cursor, now) {
            self.cursor = tick;
            for slot in geometry::coming_up(tick) {
                self.drain(slot, tick, expired);
            }
            self.cursor = tick + 1;
        }
        self.cursor = self.cursor.max(now + 1);
        expired.len() - before
    }
}
