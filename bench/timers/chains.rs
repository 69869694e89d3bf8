//! Slots as doubly linked lists through the entries, for the variants that are compared with the
//! crate's bags.
//!
//! Does not know deadlines; an entry has the tick at which it is to be looked at. 12 B per index.

use super::geometry::{self, Occupied, SLOTS};

/// No entry. As `prev`: in no slot.
const NIL: u32 = u32::MAX;
/// In `prev`: first of the slot in the lower bits.
const FIRST: u32 = 1 << 31;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    due: u32,
}

const IDLE: Node = Node {
    next: NIL,
    prev: NIL,
    due: 0,
};

/// Every entry and every slot.
pub(crate) struct Chains {
    nodes: Vec<Node>,
    heads: Box<[u32]>,
    occupied: Occupied,
    /// The next tick to process.
    cursor: u32,
}

impl Chains {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            nodes: vec![IDLE; capacity as usize],
            heads: vec![NIL; SLOTS].into_boxed_slice(),
            occupied: Occupied::new(),
            cursor: 0,
        }
    }

    /// The tick at which `index` is looked at, `None` when it is in no slot.
    pub(crate) fn due(&self, index: u32) -> Option<u32> {
        let node = &self.nodes[index as usize];
        (node.prev != NIL).then_some(node.due)
    }

    /// Files an entry that is in no slot.
    pub(crate) fn link(&mut self, index: u32, due: u32) {
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

    /// Takes an entry out of its slot.
    pub(crate) fn unlink(&mut self, index: u32) {
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

    /// Takes out what comes up by `now`, tick after tick. `judge` is told an index, when it was to be
    /// looked at, and the present tick, and names the tick at which to look again, if it is to.
    pub(crate) fn turn_to(
        &mut self,
        now: u32,
        mut judge: impl FnMut(u32, u32, u32) -> Option<u32>,
    ) {
        while let Some(tick) = self.occupied.next_stop(self.cursor, now) {
            self.cursor = tick;
            for slot in geometry::coming_up(tick) {
                let mut rest = std::mem::replace(&mut self.heads[slot as usize], NIL);
                self.occupied.clear(slot);
                while rest != NIL {
                    let index = rest;
                    let Node { next, due, .. } = self.nodes[index as usize];
                    rest = next;
                    match judge(index, due, tick) {
                        Some(due) => self.link(index, due),
                        None => self.nodes[index as usize].prev = NIL,
                    }
                }
            }
            self.cursor = tick + 1;
        }
        self.cursor = self.cursor.max(now + 1);
    }
}
