//! Which slots hold entries, over all levels, and when the next of them comes up.
//!
//! Does not know entries. Units: ticks, wrapping. 1 KiB, allocated once.

use super::bitmap::Bitmap;
use super::level::{self, COARSE_LEVELS, COARSE_SLOTS, FINE_SLOTS};
use crate::units::Tick;

/// A set of slots.
pub(super) struct Occupancy {
    fine: Bitmap,
    /// A bit per slot of each coarse level.
    coarse: [u64; COARSE_LEVELS],
}

impl Occupancy {
    /// No slot.
    pub(super) fn new() -> Self {
        Self {
            fine: Bitmap::new(),
            coarse: [0; COARSE_LEVELS],
        }
    }

    /// Adds `slot`. O(1).
    pub(super) fn occupy(&mut self, slot: u32) {
        match (slot as usize).checked_sub(FINE_SLOTS) {
            None => self.fine.set(slot as usize),
            Some(coarse) => self.coarse[coarse / COARSE_SLOTS] |= 1 << (coarse % COARSE_SLOTS),
        }
    }

    /// Removes `slot`. O(1).
    pub(super) fn vacate(&mut self, slot: u32) {
        match (slot as usize).checked_sub(FINE_SLOTS) {
            None => self.fine.clear(slot as usize),
            Some(coarse) => self.coarse[coarse / COARSE_SLOTS] &= !(1 << (coarse % COARSE_SLOTS)),
        }
    }

    /// The next tick, from `cursor` on, at which one of the slots comes up. O(1).
    pub(super) fn next_visit(&self, cursor: Tick) -> Option<Tick> {
        let fine = self.fine.distance_from(level::fine_slot(cursor) as usize);
        (0..COARSE_LEVELS)
            .filter_map(|level| level::next_window(level, self.coarse[level], cursor))
            .chain(fine)
            .min()
            .map(|distance| cursor.after(distance))
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes() -> usize {
        Bitmap::heap_bytes()
    }

    /// Whether `slot` is a member.
    #[cfg(any(test, debug_assertions))]
    pub(super) fn contains(&self, slot: u32) -> bool {
        match (slot as usize).checked_sub(FINE_SLOTS) {
            None => self.fine.contains(slot as usize),
            Some(coarse) => self.coarse[coarse / COARSE_SLOTS] >> (coarse % COARSE_SLOTS) & 1 == 1,
        }
    }
}
