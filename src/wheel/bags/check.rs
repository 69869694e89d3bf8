//! Whether the bags are sound. For tests.
//!
//! Does not change anything. Panics where something is wrong.

use super::{Bags, CHUNKED, EMPTY, NO_CHUNK, NOWHERE, SLOT_BITS, clipped};
use crate::wheel::layout::Layout;
use crate::wheel::level::SLOTS;

impl Bags {
    /// Walks everything and calls `entry(index, slot)` for each filed index. Panics unless every
    /// entry knows its place and every place its entry, chains are as the [module](self) describes
    /// them, occupancy says exactly which slots are not empty, and every chunk is in one chain or
    /// free. Returns how many timers are armed, and asserts that each of those is filed. O(slots +
    /// indices).
    pub(in crate::wheel) fn check(&self, mut entry: impl FnMut(u32, u32)) -> usize {
        let (mut met, mut chunks) = (0, 0);
        for slot in 0..clipped(SLOTS) {
            let head = self.words[slot as usize];
            let occupied = self.occupancy.contains(slot);
            assert_eq!(occupied, head != EMPTY, "occupancy of slot {slot}");
            if head == EMPTY {
                continue;
            }
            let alone = head & CHUNKED == 0;
            let mut last = if alone { slot } else { head & !CHUNKED };
            let before = met;
            loop {
                let begin = last & !self.mask;
                let first = if alone { slot } else { begin + 1 };
                assert!(first <= last, "an empty chunk in slot {slot}");
                for place in first..=last {
                    let index = self.words[place as usize];
                    let found = self.entries[index as usize].place();
                    assert_eq!(found, place, "place of {index} in slot {slot}");
                    entry(index, slot);
                    met += 1;
                }
                if alone {
                    break;
                }
                assert_eq!(self.slot_at(last), slot, "slot of a chunk");
                chunks += 1;
                assert!(met <= self.entries.len(), "slot {slot} runs in a circle");
                let next = self.words[begin as usize] >> SLOT_BITS;
                if next == NO_CHUNK {
                    break;
                }
                last = next << self.width_bits | self.mask;
            }
            assert!(alone || met - before > 1, "a chunk for one in slot {slot}");
        }
        let mut free = self.free;
        while free != NO_CHUNK {
            chunks += 1;
            free = self.words[(free << self.width_bits) as usize] >> SLOT_BITS;
        }
        let layout = Layout::of(self.entries.capacity());
        let made = (self.words.len() >> self.width_bits) - layout.first_chunk();
        assert_eq!(chunks, made, "chunks in chains and free");
        assert!(made <= layout.chunks, "{made} chunks for {layout:?}");
        let filed = self.entries.iter().filter(|e| e.place() != NOWHERE);
        assert_eq!(met, filed.count(), "entries that believe to be in a slot");
        let armed = self.entries.iter().filter(|e| e.is_armed());
        armed
            .inspect(|e| assert_ne!(e.place(), NOWHERE, "an armed timer is in no slot"))
            .count()
    }
}
