//! The lazy wheel with slots as bags: chunks of indices instead of links through the entries.
//!
//! Same geometry and laziness as the crate's wheel. A slot is a chain of 128-byte chunks, of which
//! only the first is partly filled; each index knows its place, so taking it out moves the bag's
//! last index into the gap. What a list gives up one dependent load at a time, a bag gives up by the
//! chunk: the visit first reads the deadlines of a whole chunk, loads that do not wait for each
//! other, and only then looks at them. That is as much prefetching as can be had without `unsafe`.
//! 12 B per index and 4 B per entry, rounded up to chunks: 1 MiB at worst when slots hold one entry.

use super::geometry::{self, Occupied, SLOTS};
use super::subject::{Timers, Unsupported};

/// Indices per chunk, which fill two cache lines together with the chunk's header.
const FULL: u32 = 30;
/// No chunk; as a place: in no slot.
const NIL: u32 = u32::MAX;
/// log2 of the places a chunk's number is multiplied by.
const PLACE_BITS: u32 = 5;

#[derive(Clone)]
#[repr(align(128))]
struct Chunk {
    indices: [u32; FULL as usize],
    /// The chunk after this one, a full one; in a free chunk, the next free one.
    next: u32,
    slot: u32,
}

/// The first chunk of a slot and how many indices are in it.
#[derive(Clone, Copy)]
struct Slot {
    chunk: u32,
    filled: u32,
}

const EMPTY: Slot = Slot {
    chunk: NIL,
    filled: 0,
};

/// Where an index is filed, and the tick at which it is looked at there.
#[derive(Clone, Copy)]
struct Entry {
    place: u32,
    due: u32,
}

/// See the [module](self).
pub(crate) struct Bag {
    deadlines: Vec<u32>,
    entries: Vec<Entry>,
    slots: Box<[Slot]>,
    chunks: Vec<Chunk>,
    free: u32,
    occupied: Occupied,
    /// The next tick to process.
    cursor: u32,
}

impl Bag {
    fn file(&mut self, index: u32, due: u32) {
        let (slot, due) = geometry::place(due.max(self.cursor), self.cursor);
        let Slot { chunk, filled } = self.slots[slot as usize];
        let (chunk, filled) = if chunk == NIL || filled == FULL {
            if chunk == NIL {
                self.occupied.set(slot);
            }
            (self.take_chunk(slot, chunk), 0)
        } else {
            (chunk, filled)
        };
        self.slots[slot as usize] = Slot {
            chunk,
            filled: filled + 1,
        };
        self.chunks[chunk as usize].indices[filled as usize] = index;
        self.entries[index as usize] = Entry {
            place: chunk << PLACE_BITS | filled,
            due,
        };
    }

    fn take_chunk(&mut self, slot: u32, next: u32) -> u32 {
        if self.free == NIL {
            let fresh = u32::try_from(self.chunks.len()).expect("fewer chunks than indices");
            self.chunks.push(Chunk {
                indices: [0; FULL as usize],
                next,
                slot,
            });
            return fresh;
        }
        let taken = self.free;
        let chunk = &mut self.chunks[taken as usize];
        self.free = std::mem::replace(&mut chunk.next, next);
        chunk.slot = slot;
        taken
    }

    fn give_back(&mut self, chunk: u32) {
        self.chunks[chunk as usize].next = std::mem::replace(&mut self.free, chunk);
    }

    fn unfile(&mut self, index: u32) {
        let place = std::mem::replace(&mut self.entries[index as usize].place, NIL);
        let slot = self.chunks[(place >> PLACE_BITS) as usize].slot;
        let Slot { chunk, filled } = self.slots[slot as usize];
        let last = self.chunks[chunk as usize].indices[filled as usize - 1];
        if last != index {
            let gap = (place & ((1 << PLACE_BITS) - 1)) as usize;
            self.chunks[(place >> PLACE_BITS) as usize].indices[gap] = last;
            self.entries[last as usize].place = place;
        }
        self.slots[slot as usize].filled = filled - 1;
        if filled == 1 {
            let next = self.chunks[chunk as usize].next;
            self.give_back(chunk);
            self.slots[slot as usize] = if next == NIL {
                self.occupied.clear(slot);
                EMPTY
            } else {
                Slot {
                    chunk: next,
                    filled: FULL,
                }
            };
        }
    }

    /// Expires or files again what `slot` holds.
    fn drain(&mut self, slot: u32, tick: u32, expired: &mut Vec<u32>) {
        let Slot { chunk, filled } = std::mem::replace(&mut self.slots[slot as usize], EMPTY);
        self.occupied.clear(slot);
        let (mut rest, mut filled) = (chunk, filled);
        while rest != NIL {
            let Chunk { indices, next, .. } = self.chunks[rest as usize].clone();
            self.give_back(rest);
            let mut deadlines = [0; FULL as usize];
            for (deadline, &index) in deadlines.iter_mut().zip(&indices[..filled as usize]) {
                *deadline = self.deadlines[index as usize];
            }
            for (&index, &deadline) in indices[..filled as usize].iter().zip(&deadlines) {
                if deadline <= tick {
                    self.entries[index as usize].place = NIL;
                    expired.push(index);
                } else {
                    self.file(index, deadline);
                }
            }
            (rest, filled) = (next, FULL);
        }
    }
}

impl Timers for Bag {
    const NAME: &'static str = "lazy wheel of bags";

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        let idle = Entry { place: NIL, due: 0 };
        Self {
            deadlines: vec![0; capacity as usize],
            entries: vec![idle; capacity as usize],
            slots: vec![EMPTY; SLOTS].into_boxed_slice(),
            chunks: Vec::with_capacity((capacity / FULL) as usize),
            free: NIL,
            occupied: Occupied::new(),
            cursor: 0,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        let deadline = now + timeout;
        self.deadlines[index as usize] = deadline;
        let Entry { place, due } = self.entries[index as usize];
        if place == NIL || due > deadline {
            if place != NIL {
                self.unfile(index);
            }
            self.file(index, deadline);
        }
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.deadlines[index as usize] = now + timeout;
    }

    fn cancel(&mut self, index: u32) {
        self.unfile(index);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.arm(index, now, timeout);
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
