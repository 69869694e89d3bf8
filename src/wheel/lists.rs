//! The entries: one per connection index, chained into the slots they are filed in.
//!
//! Does not know deadlines or the cursor, only slots. 12 B per index in one `Vec`, which grows when
//! an index beyond it is used, and 34 KiB for the slots.
//!
//! Two words carry a flag in their top bit, which is why indices stay below 2^31 - 1. `next` says
//! whether the timer is armed: a retired entry stays chained and is dropped when visited. `prev`
//! says "first of slot s": only the first entry of a slot can empty it, and that one knows the slot
//! by name, so unlinking never recomputes a position and cannot clear the wrong occupancy bit.

use super::bitmap::Bitmap;
use super::level::{COARSE_LEVELS, COARSE_SLOTS, FINE_SLOTS, SLOTS};
use crate::units::Tick;

/// No entry. Also the number of indices there can be.
pub(super) const NIL: u32 = ARMED - 1;

/// In `next`: the timer is armed.
const ARMED: u32 = 1 << 31;
/// In `prev`: the entry is the first of the slot in the lower bits.
const FIRST: u32 = 1 << 31;
/// As `prev`: the entry is in no slot.
const UNLINKED: u32 = u32::MAX;

const _: () = assert!(
    SLOTS < NIL as usize,
    "a slot number is never mistaken for UNLINKED"
);

/// One index's entry.
#[derive(Clone, Copy, Debug)]
struct Node {
    next: u32,
    prev: u32,
    due: u32,
}

const _: () = assert!(size_of::<Node>() == 12);

impl Node {
    const IDLE: Self = Self {
        next: NIL,
        prev: UNLINKED,
        due: 0,
    };
}

/// Every entry and every slot.
pub(super) struct Lists {
    nodes: Vec<Node>,
    /// The first entry of each slot, or [`NIL`].
    heads: Box<[u32]>,
    fine: Bitmap,
    coarse: [u64; COARSE_LEVELS],
}

impl Lists {
    /// Empty slots, and room for `capacity` entries.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut nodes = Vec::new();
        nodes.reserve_exact(capacity);
        Self {
            nodes,
            heads: vec![NIL; SLOTS].into_boxed_slice(),
            fine: Bitmap::new(),
            coarse: [0; COARSE_LEVELS],
        }
    }

    /// Makes `index` valid. O(1), or the growth of a `Vec`.
    pub(super) fn admit(&mut self, index: u32) {
        if index as usize >= self.nodes.len() {
            assert!(
                index < NIL,
                "connection index {index} is not below 2^31 - 1"
            );
            self.nodes.resize(index as usize + 1, Node::IDLE);
        }
    }

    /// Whether `index` is armed; an index never admitted is not.
    pub(super) fn is_armed(&self, index: u32) -> bool {
        self.nodes
            .get(index as usize)
            .is_some_and(|node| node.next & ARMED != 0)
    }

    /// Marks an admitted `index` armed; returns whether it was not before.
    pub(super) fn set_armed(&mut self, index: u32) -> bool {
        let next = &mut self.nodes[index as usize].next;
        let changed = *next & ARMED == 0;
        *next |= ARMED;
        changed
    }

    /// Marks `index` not armed; returns whether it was.
    pub(super) fn clear_armed(&mut self, index: u32) -> bool {
        let Some(node) = self.nodes.get_mut(index as usize) else {
            return false;
        };
        let changed = node.next & ARMED != 0;
        node.next &= !ARMED;
        changed
    }

    /// The tick by which the entry of `index` is visited; `None` when it is in no slot.
    pub(super) fn due(&self, index: u32) -> Option<Tick> {
        let node = self.nodes.get(index as usize)?;
        (node.prev != UNLINKED).then_some(Tick(node.due))
    }

    /// Files an admitted, unlinked `index` as the first entry of `slot`. O(1), three cache lines.
    pub(super) fn link(&mut self, index: u32, slot: u32, due: Tick) {
        let head = self.heads[slot as usize];
        if head == NIL {
            self.occupy(slot);
        } else {
            self.nodes[head as usize].prev = index;
        }
        self.heads[slot as usize] = index;
        let node = &mut self.nodes[index as usize];
        node.next = (node.next & ARMED) | head;
        node.prev = FIRST | slot;
        node.due = due.0;
    }

    /// Takes `index` out of its slot, if it is in one. O(1).
    pub(super) fn unlink(&mut self, index: u32) {
        let Some(&Node { next, prev, .. }) = self.nodes.get(index as usize) else {
            return;
        };
        if prev == UNLINKED {
            return;
        }
        let following = next & !ARMED;
        if prev & FIRST == 0 {
            let before = &mut self.nodes[prev as usize];
            before.next = (before.next & ARMED) | following;
            if following != NIL {
                self.nodes[following as usize].prev = prev;
            }
        } else {
            self.set_first(prev & !FIRST, following);
        }
        self.forget_place(index);
    }

    /// The first entry of `slot`, or [`NIL`].
    pub(super) fn first(&self, slot: u32) -> u32 {
        self.heads[slot as usize]
    }

    /// The entry after `index` in its slot, or [`NIL`].
    pub(super) fn following(&self, index: u32) -> u32 {
        self.nodes[index as usize].next & !ARMED
    }

    /// Lets `slot` begin at `index` (or be empty, for [`NIL`]): what came before has been taken out
    /// one by one with [`Self::forget_place`] or [`Self::link`].
    pub(super) fn set_first(&mut self, slot: u32, index: u32) {
        self.heads[slot as usize] = index;
        if index == NIL {
            self.vacate(slot);
        } else {
            self.nodes[index as usize].prev = FIRST | slot;
        }
    }

    /// Marks `index` as in no slot without touching its neighbours.
    pub(super) fn forget_place(&mut self, index: u32) {
        self.nodes[index as usize].prev = UNLINKED;
    }

    /// Distance from level 0 slot `slot` to the next occupied one. See [`Bitmap::distance_from`].
    pub(super) fn fine_distance(&self, slot: u32) -> Option<u32> {
        self.fine.distance_from(slot as usize)
    }

    /// Occupancy of coarse level `level`, a bit per slot.
    pub(super) fn coarse_occupancy(&self, level: usize) -> u64 {
        self.coarse[level]
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + size_of_val(&*self.heads) + Bitmap::heap_bytes()
    }

    fn occupy(&mut self, slot: u32) {
        match (slot as usize).checked_sub(FINE_SLOTS) {
            None => self.fine.set(slot as usize),
            Some(coarse) => self.coarse[coarse / COARSE_SLOTS] |= 1 << (coarse % COARSE_SLOTS),
        }
    }

    fn vacate(&mut self, slot: u32) {
        match (slot as usize).checked_sub(FINE_SLOTS) {
            None => self.fine.clear(slot as usize),
            Some(coarse) => self.coarse[coarse / COARSE_SLOTS] &= !(1 << (coarse % COARSE_SLOTS)),
        }
    }

    /// Walks everything and calls `entry(index, slot, due)` for each chained entry. Panics unless
    /// links agree in both directions, occupancy bits say exactly which slots hold entries, and
    /// every entry that believes to be in a slot was met in one. Returns how many timers are armed,
    /// and asserts that each of those is chained. O(slots + entries).
    #[cfg(any(test, debug_assertions))]
    pub(super) fn check(&self, mut entry: impl FnMut(u32, u32, Tick)) -> usize {
        let mut met = 0;
        for (slot, &head) in (0_u32..).zip(&self.heads) {
            let occupied = match (slot as usize).checked_sub(FINE_SLOTS) {
                None => self.fine.contains(slot as usize),
                Some(c) => self.coarse[c / COARSE_SLOTS] >> (c % COARSE_SLOTS) & 1 == 1,
            };
            assert_eq!(occupied, head != NIL, "occupancy bit of slot {slot}");
            let (mut before, mut index) = (FIRST | slot, head);
            while index != NIL {
                let node = self.nodes[index as usize];
                assert_eq!(node.prev, before, "back link of {index} in slot {slot}");
                entry(index, slot, Tick(node.due));
                met += 1;
                assert!(met <= self.nodes.len(), "slot {slot} runs in a circle");
                before = index;
                index = node.next & !ARMED;
            }
        }
        let linked = self.nodes.iter().filter(|n| n.prev != UNLINKED).count();
        assert_eq!(met, linked, "entries that believe to be in a slot");
        let armed = self.nodes.iter().filter(|n| n.next & ARMED != 0);
        armed
            .inspect(|n| assert_ne!(n.prev, UNLINKED, "an armed timer is in no slot"))
            .count()
    }
}
