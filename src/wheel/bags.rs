//! The entries, one per connection index, and the slots they are filed in: bags without an order.
//!
//! Does not know ticks or the cursor, only slots. 8 B per index for its entry, at most 8 B per index
//! for its place in a bag, and 33 KiB for the slots, all reserved at once.
//!
//! # Layout
//!
//! All places are words of one array. The first words are the slots. A slot that holds one index
//! *is* that index; a slot that holds more names a chain of chunks further on, each a header and
//! then indices. Only the first chunk of a chain may be partly filled, and a chain holds two indices
//! at least. Each entry knows its place, so taking an index out moves the last one of the first
//! chunk into the gap.
//!
//! Why not a list through the entries: a list gives up one index per cache miss, because the next
//! one is written in the last one's entry. A chunk gives up all of its indices at once, and the
//! entries they name can be loaded without waiting for each other.
//!
//! # How wide a chunk is
//!
//! The more indices to a chunk the better, but every occupied slot may leave one chunk half empty.
//! The width is chosen by the capacity, such that 8 B per index and what is left of the 64 KiB
//! suffice *whatever the deadlines are*: see [`Layout`].

#[cfg(any(test, debug_assertions))]
mod check;

use super::layout::Layout;
use super::level::SLOTS;
use super::occupancy::Occupancy;
use crate::units::Tick;

/// Indices are below this, so that every place fits the 31 bits there are for it.
pub(super) const INDICES: u32 = 1 << 30;

/// In [`Entry::place`]: the timer is armed.
const ARMED: u32 = 1 << 31;
/// The place of an entry that is in no slot.
const NOWHERE: u32 = ARMED - 1;

/// In a slot's word: the rest is the place of the last index in the slot's first chunk.
const CHUNKED: u32 = 1 << 31;
/// The word of an empty slot. As a place it would end a chunk, so the chunk counts as full.
const EMPTY: u32 = u32::MAX;

/// Bits of a chunk's header that name its slot; the others name the next chunk.
const SLOT_BITS: u32 = 14;
/// As the next chunk: none. No chunk has this number.
pub(super) const NO_CHUNK: u32 = (1 << (u32::BITS - SLOT_BITS)) - 1;

const _: () = assert!(SLOTS < 1 << SLOT_BITS);

/// One index's timer.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The tick at which it expires; meaningful while armed. All that a heartbeat touches.
    deadline: u32,
    /// Where the index is written, and [`ARMED`].
    place: u32,
}

const _: () = assert!(size_of::<Entry>() == 8);

impl Entry {
    const IDLE: Self = Self {
        deadline: 0,
        place: NOWHERE,
    };

    const fn is_armed(self) -> bool {
        self.place & ARMED != 0
    }

    const fn place(self) -> u32 {
        self.place & !ARMED
    }

    fn move_to(&mut self, place: u32) {
        self.place = (self.place & ARMED) | place;
    }
}

/// An index that was taken out of its slot, and what its entry says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The index, and [`ARMED`].
    index: u32,
    pub(super) deadline: Tick,
}

impl Taken {
    /// Something to fill an array with.
    pub(super) const NONE: Self = Self {
        index: 0,
        deadline: Tick(0),
    };

    pub(super) const fn index(self) -> u32 {
        self.index & !ARMED
    }

    pub(super) const fn is_armed(self) -> bool {
        self.index & ARMED != 0
    }
}

/// Every entry and every slot.
pub(super) struct Bags {
    entries: Vec<Entry>,
    /// The slots' words, padding up to the width of a chunk, then chunks.
    words: Vec<u32>,
    /// log2 of the words of a chunk.
    width_bits: u32,
    /// A place's part that counts within its chunk; also the number of indices in a full chunk.
    mask: u32,
    /// A free chunk's number, whose header names the next one, or [`NO_CHUNK`].
    free: u32,
    occupancy: Occupancy,
}

impl Bags {
    /// Empty slots, and room for the indices below `capacity`.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let layout = Layout::of(capacity);
        let mut entries = Vec::new();
        entries.reserve_exact(capacity);
        let chunks_begin = layout.first_chunk() << layout.width_bits;
        let mut words = Vec::new();
        words.reserve_exact(chunks_begin + (layout.chunks << layout.width_bits));
        words.resize(chunks_begin, EMPTY);
        Self {
            entries,
            words,
            width_bits: layout.width_bits,
            mask: (1 << layout.width_bits) - 1,
            free: NO_CHUNK,
            occupancy: Occupancy::new(),
        }
    }

    /// Makes `index` valid. O(1), or O(indices) when it is beyond the capacity, which then at least
    /// doubles.
    pub(super) fn admit(&mut self, index: u32) {
        let needed = index as usize + 1;
        if needed > self.entries.len() {
            assert!(
                index < INDICES,
                "connection index {index} is not below 2^30"
            );
            if needed > self.entries.capacity() {
                self.grow(needed.max(2 * self.entries.capacity()).max(16));
            }
            self.entries.resize(needed, Entry::IDLE);
        }
    }

    /// Files everything anew in bags for `capacity` indices.
    fn grow(&mut self, capacity: usize) {
        let mut grown = Self::with_capacity(capacity);
        grown.entries.extend_from_slice(&self.entries);
        for entry in &mut grown.entries {
            entry.move_to(NOWHERE);
        }
        for (index, entry) in (0..).zip(&self.entries) {
            if entry.place() != NOWHERE {
                grown.file(index, self.slot_at(entry.place()));
            }
        }
        *self = grown;
    }

    /// Whether `index` is armed; an index never admitted is not.
    pub(super) fn is_armed(&self, index: u32) -> bool {
        let entry = self.entries.get(index as usize);
        entry.is_some_and(|entry| entry.is_armed())
    }

    /// The deadline stored for `index`, `None` if it was never admitted.
    pub(super) fn deadline(&self, index: u32) -> Option<Tick> {
        let entry = self.entries.get(index as usize)?;
        Some(Tick(entry.deadline))
    }

    /// Stores the deadline of `index`; does nothing if it was never admitted.
    #[inline]
    pub(super) fn set_deadline(&mut self, index: u32, deadline: Tick) {
        if let Some(entry) = self.entries.get_mut(index as usize) {
            entry.deadline = deadline.0;
        }
    }

    /// Marks an admitted `index` armed until `deadline`; returns whether it was not before.
    pub(super) fn set_armed(&mut self, index: u32, deadline: Tick) -> bool {
        let entry = &mut self.entries[index as usize];
        let changed = !entry.is_armed();
        entry.deadline = deadline.0;
        entry.place |= ARMED;
        changed
    }

    /// Marks `index` not armed; returns whether it was.
    pub(super) fn clear_armed(&mut self, index: u32) -> bool {
        let Some(entry) = self.entries.get_mut(index as usize) else {
            return false;
        };
        let changed = entry.is_armed();
        entry.place &= !ARMED;
        changed
    }

    /// The slot that holds an admitted `index`, `None` when it is in none.
    pub(super) fn slot(&self, index: u32) -> Option<u32> {
        let place = self.entries[index as usize].place();
        (place != NOWHERE).then(|| self.slot_at(place))
    }

    /// Whether `slot` is empty.
    pub(super) fn is_empty(&self, slot: u32) -> bool {
        self.words[slot as usize] == EMPTY
    }

    /// Which slots are not empty.
    pub(super) const fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    /// Files an admitted `index`, which is in no slot, in `slot`. O(1).
    #[inline]
    pub(super) fn file(&mut self, index: u32, slot: u32) {
        let place = self.place_in(index, slot);
        self.entries[index as usize].move_to(place);
    }

    /// Takes `index` out of its slot. Returns the slot if that emptied it. O(1).
    pub(super) fn unfile(&mut self, index: u32) -> Option<u32> {
        let place = self.entries[index as usize].place();
        if place == NOWHERE {
            return None;
        }
        self.entries[index as usize].move_to(NOWHERE);
        let slot = self.slot_at(place);
        if place == slot {
            self.empty(slot);
            return Some(slot);
        }
        let last = self.words[slot as usize] & !CHUNKED;
        let stand_in = self.words[last as usize];
        if last != place {
            self.words[place as usize] = stand_in;
            self.entries[stand_in as usize].move_to(place);
        }
        self.shorten(slot, last, 1);
        None
    }

    /// Takes as many indices out of `slot` as fit into `taken` and returns how many those are, 0
    /// when the slot is empty. They must be [settled](Self::settle): their entries still name the old
    /// places. O(taken).
    ///
    /// No entry is judged before all are loaded, by loads that do not wait for each other.
    pub(super) fn take(&mut self, slot: u32, taken: &mut [Taken]) -> usize {
        let mut head = self.words[slot as usize];
        let mut count = 0;
        while head & CHUNKED != 0 && head != EMPTY {
            let last = head & !CHUNKED;
            let begin = last & !self.mask;
            let (filled, room) = ((last - begin) as usize, taken.len() - count);
            if filled > room {
                if count == 0 {
                    let from = last as usize + 1 - room;
                    load(&self.entries, &self.words[from..=last as usize], taken);
                    self.shorten(slot, last, clipped(room));
                    return room;
                }
                break;
            }
            let indices = &self.words[begin as usize + 1..=last as usize];
            load(&self.entries, indices, &mut taken[count..]);
            count += filled;
            head = self.give_back(begin);
        }
        if head & CHUNKED == 0 && count < taken.len() {
            load(&self.entries, &[head], &mut taken[count..]);
            count += 1;
            head = EMPTY;
        }
        self.words[slot as usize] = head;
        if head == EMPTY {
            self.occupancy.vacate(slot);
        }
        count
    }

    /// Settles what becomes of indices that were [taken](Self::take): those for which `judge` names
    /// a slot are filed there, armed; the others are in no slot and not armed from then on. O(taken).
    pub(super) fn settle(&mut self, taken: &[Taken], mut judge: impl FnMut(&Taken) -> Option<u32>) {
        let mut rest = taken.iter();
        loop {
            let (words, entries, mask) = (&mut *self.words, &mut *self.entries, self.mask);
            let (index, slot) = loop {
                let Some(taken) = rest.next() else {
                    return;
                };
                let entry = &mut entries[taken.index() as usize];
                let Some(slot) = judge(taken) else {
                    entry.place = NOWHERE;
                    continue;
                };
                let head = words[slot as usize];
                if is_full(head, mask) {
                    break (taken.index(), slot);
                }
                let place = (head & !CHUNKED) + 1;
                words[place as usize] = taken.index();
                words[slot as usize] = head + 1;
                entry.place = ARMED | place;
            };
            let place = self.place_anew(index, slot);
            self.entries[index as usize].place = ARMED | place;
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.words.capacity() * size_of::<u32>()
            + Occupancy::heap_bytes()
    }

    /// The slot to which `place` belongs.
    fn slot_at(&self, place: u32) -> u32 {
        if (place as usize) < SLOTS {
            return place;
        }
        self.words[(place & !self.mask) as usize] & ((1 << SLOT_BITS) - 1)
    }

    /// Writes `index` into `slot` and returns the place.
    #[inline]
    fn place_in(&mut self, index: u32, slot: u32) -> u32 {
        let head = self.words[slot as usize];
        if is_full(head, self.mask) {
            return self.place_anew(index, slot);
        }
        let place = (head & !CHUNKED) + 1;
        self.words[place as usize] = index;
        self.words[slot as usize] = head + 1;
        place
    }

    fn empty(&mut self, slot: u32) {
        self.words[slot as usize] = EMPTY;
        self.occupancy.vacate(slot);
    }

    /// Makes a place for `index` where a slot is empty, or holds one index, or its first chunk is
    /// full.
    #[inline(never)]
    fn place_anew(&mut self, index: u32, slot: u32) -> u32 {
        let head = self.words[slot as usize];
        if head == EMPTY {
            self.words[slot as usize] = index;
            self.occupancy.occupy(slot);
            return slot;
        }
        let alone = head & CHUNKED == 0;
        let next = if alone {
            NO_CHUNK
        } else {
            (head & !CHUNKED) >> self.width_bits
        };
        let mut place = self.take_chunk(next << SLOT_BITS | slot) + 1;
        if alone {
            self.words[place as usize] = head;
            self.entries[head as usize].move_to(place);
            place += 1;
        }
        self.words[place as usize] = index;
        self.words[slot as usize] = CHUNKED | place;
        place
    }

    /// Takes the last `count` indices off the first chunk of `slot`, which ends at `last`.
    fn shorten(&mut self, slot: u32, last: u32, count: u32) {
        let begin = last & !self.mask;
        let left = (last & self.mask) - count;
        let is_only = self.words[begin as usize] >> SLOT_BITS == NO_CHUNK;
        self.words[slot as usize] = if left == 0 {
            self.give_back(begin)
        } else if left == 1 && is_only {
            let alone = self.words[begin as usize + 1];
            self.entries[alone as usize].move_to(slot);
            self.give_back(begin);
            alone
        } else {
            CHUNKED | (last - count)
        };
    }

    /// A chunk with this header, free until now. Returns where it begins.
    fn take_chunk(&mut self, header: u32) -> u32 {
        let begin = if self.free == NO_CHUNK {
            let begin = self.words.len();
            self.words.resize(begin + (1 << self.width_bits), 0);
            clipped(begin)
        } else {
            let begin = self.free << self.width_bits;
            self.free = self.words[begin as usize] >> SLOT_BITS;
            begin
        };
        self.words[begin as usize] = header;
        begin
    }

    /// Frees the chunk that begins at `begin`. Returns the word of a slot that goes on after it.
    fn give_back(&mut self, begin: u32) -> u32 {
        let header = &mut self.words[begin as usize];
        let next = *header >> SLOT_BITS;
        *header = self.free << SLOT_BITS;
        self.free = begin >> self.width_bits;
        if next == NO_CHUNK {
            EMPTY
        } else {
            CHUNKED | next << self.width_bits | self.mask
        }
    }
}

/// Looks up the entries of `indices`.
#[inline]
fn load(entries: &[Entry], indices: &[u32], taken: &mut [Taken]) {
    for (taken, &index) in taken.iter_mut().zip(indices) {
        let Entry { deadline, place } = entries[index as usize];
        *taken = Taken {
            index: index | (place & ARMED),
            deadline: Tick(deadline),
        };
    }
}

/// Whether a slot with this word has no chunk with room, or none at all.
const fn is_full(head: u32, mask: u32) -> bool {
    head & CHUNKED == 0 || head & mask == mask
}

/// As `u32`; nothing here is larger.
fn clipped(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
