//! Occupancy of level 0: one bit per slot, and a summary bit per word, so that the next occupied
//! slot is found in a few instructions however many ticks lie between.
//!
//! Does not know ticks: positions are slot numbers below 8192, and searching wraps around. 1 KiB,
//! allocated once.

use super::level::FINE_SLOTS;

const WORD_BITS: usize = u64::BITS as usize;
const WORDS: usize = FINE_SLOTS / WORD_BITS;
const SUMMARY_WORDS: usize = WORDS / WORD_BITS;
const _: () = assert!(WORDS * WORD_BITS == FINE_SLOTS && SUMMARY_WORDS * WORD_BITS == WORDS);

/// A set of level 0 slots.
pub(super) struct Bitmap {
    words: Box<[u64; WORDS]>,
    /// Bit `w` is set exactly when word `w` is not zero.
    summary: [u64; SUMMARY_WORDS],
}

impl Bitmap {
    /// The empty set.
    pub(super) fn new() -> Self {
        Self {
            words: Box::new([0; WORDS]),
            summary: [0; SUMMARY_WORDS],
        }
    }

    /// Adds `slot`. O(1).
    pub(super) fn set(&mut self, slot: usize) {
        let word = slot / WORD_BITS;
        self.words[word] |= 1 << (slot % WORD_BITS);
        self.summary[word / WORD_BITS] |= 1 << (word % WORD_BITS);
    }

    /// Removes `slot`. O(1).
    pub(super) fn clear(&mut self, slot: usize) {
        let word = slot / WORD_BITS;
        self.words[word] &= !(1 << (slot % WORD_BITS));
        if self.words[word] == 0 {
            self.summary[word / WORD_BITS] &= !(1 << (word % WORD_BITS));
        }
    }

    /// How many slots after `slot`, going round, the next member lies: 0 when `slot` itself is one,
    /// `None` when there is none. O(1).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "distances are below the 8192 slots"
    )]
    pub(super) fn distance_from(&self, slot: usize) -> Option<u32> {
        let word = slot / WORD_BITS;
        let here = self.words[word] >> (slot % WORD_BITS);
        if here != 0 {
            return Some(here.trailing_zeros());
        }
        // A whole circle of words, so that the low bits of the first word are looked at last.
        let next = self.next_word(word + 1)?;
        let found = next * WORD_BITS + self.words[next].trailing_zeros() as usize;
        Some((found.wrapping_sub(slot) % FINE_SLOTS) as u32)
    }

    /// The first word at or after `from` (which may be one past the end), going round, that is not
    /// zero.
    fn next_word(&self, from: usize) -> Option<usize> {
        let from = from % WORDS;
        let part = from / WORD_BITS;
        let upper = self.summary[part] & (u64::MAX << (from % WORD_BITS));
        if upper != 0 {
            return Some(part * WORD_BITS + upper.trailing_zeros() as usize);
        }
        (1..=SUMMARY_WORDS)
            .map(|step| (part + step) % SUMMARY_WORDS)
            .find(|&candidate| self.summary[candidate] != 0)
            .map(|found| found * WORD_BITS + self.summary[found].trailing_zeros() as usize)
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes() -> usize {
        size_of::<[u64; WORDS]>()
    }

    /// Whether `slot` is a member; panics if the summary contradicts its word.
    #[cfg(any(test, debug_assertions))]
    pub(super) fn contains(&self, slot: usize) -> bool {
        let word = slot / WORD_BITS;
        let summarised = self.summary[word / WORD_BITS] >> (word % WORD_BITS) & 1 == 1;
        assert_eq!(summarised, self.words[word] != 0, "summary of word {word}");
        self.words[word] >> (slot % WORD_BITS) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_next_member_is_the_one_a_scan_finds(
            members in prop::collection::btree_set(0..FINE_SLOTS, 0..6),
            removed in prop::collection::vec(0..FINE_SLOTS, 0..6),
            from in 0..FINE_SLOTS,
        ) {
            let mut bitmap = Bitmap::new();
            let mut model: BTreeSet<usize> = members.clone();
            for &slot in &members {
                bitmap.set(slot);
            }
            for slot in removed.into_iter().chain(members.into_iter().take(2)) {
                bitmap.clear(slot);
                model.remove(&slot);
            }
            let expected = model.range(from..).next().map(|&slot| slot - from)
                .or_else(|| model.first().map(|&slot| slot + FINE_SLOTS - from));
            let seen = bitmap.distance_from(from).map(|distance| distance as usize);
            prop_assert_eq!(seen, expected);
            for slot in 0..FINE_SLOTS {
                prop_assert_eq!(bitmap.contains(slot), model.contains(&slot));
            }
        }
    }
}
