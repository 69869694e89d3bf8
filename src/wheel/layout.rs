//! How wide chunks are and how many there must be, for a number of indices.
//!
//! Does not hold any; arithmetic. Units: words of 4 B, chunks, indices. Nothing allocates.

use super::bags::NO_CHUNK;
use super::level::SLOTS;
use super::occupancy::Occupancy;

/// How many chunks there are, and how wide, for a number of indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// log2 of the words of a chunk.
    pub(super) width_bits: u32,
    /// The most chunks that can be in use at once.
    pub(super) chunks: usize,
}

impl Layout {
    /// Two cache lines of 16 words: what is wider gains little and wastes more.
    const WIDEST_BITS: u32 = 5;

    /// The layout for the indices below `capacity`.
    ///
    /// The widest chunk whose worst case stays within 8 B per index and [`SPARE_BYTES`]; but
    /// no narrower than the chunk numbers' 18 bits allow, which for millions of indices is more.
    pub(super) fn of(capacity: usize) -> Self {
        let affordable = |width_bits: &u32| {
            let bytes = Self::most_chunks(capacity, *width_bits) * (4 << width_bits);
            bytes <= 8 * capacity + SPARE_BYTES
        };
        let numbered = |width_bits: &u32| {
            let chunks = Self::most_chunks(capacity, *width_bits) + (SLOTS >> width_bits) + 1;
            chunks < NO_CHUNK as usize
        };
        let widest = (2..31).rev().find(affordable).unwrap_or(2);
        let narrowest = (2..31).find(numbered).unwrap_or(widest);
        let width_bits = Self::WIDEST_BITS.min(widest).max(narrowest);
        Self {
            width_bits,
            chunks: Self::most_chunks(capacity, width_bits),
        }
    }

    /// The most chunks of 2^`width_bits` words that `capacity` indices can need.
    const fn most_chunks(capacity: usize, width_bits: u32) -> usize {
        Self::most_chunks_in(SLOTS, capacity, width_bits)
    }

    /// The same for any number of slots.
    ///
    /// A slot with one index needs no chunk. One with `n`, of which `k` fit into a chunk (three or
    /// more), needs ⌈n/k⌉, which is at most n/2 and at most (n + k - 1) / k.
    const fn most_chunks_in(slots: usize, capacity: usize, width_bits: u32) -> usize {
        let fit = (1 << width_bits) - 1;
        let spread = (capacity + (fit - 1) * slots) / fit;
        if spread < capacity / 2 {
            spread
        } else {
            capacity / 2
        }
    }

    /// The first chunk's number: the slots' words come before it.
    pub(super) const fn first_chunk(self) -> usize {
        SLOTS.div_ceil(1 << self.width_bits)
    }
}

/// What the promised 64 KiB leave to chunks.
const SPARE_BYTES: usize = 64 * 1024 - SLOTS * 4 - Occupancy::heap_bytes() - 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(layout: Layout) -> usize {
        let words = (layout.first_chunk() + layout.chunks) << layout.width_bits;
        words * 4 + Occupancy::heap_bytes() + 512
    }

    #[test]
    fn every_capacity_has_a_layout_within_the_promise() {
        let powers = (0..30).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) * 3 / 2]);
        let around = (0..400_000).step_by(997);
        for capacity in powers.chain(around).chain([0, 1_000_000]) {
            let layout = Layout::of(capacity);
            let most = 8 * capacity + 64 * 1024;
            assert!(bytes(layout) <= most, "{capacity}: {layout:?}");
            let numbers = layout.first_chunk() + layout.chunks;
            assert!(numbers <= NO_CHUNK as usize, "{capacity}: {layout:?}");
            assert!(numbers << layout.width_bits < 1 << 31, "{capacity}");
        }
    }

    #[test]
    fn many_indices_have_wide_chunks() {
        let width = |capacity| Layout::of(capacity).width_bits;
        assert_eq!(width(10_000), 2);
        assert_eq!(width(100_000), 3);
        assert_eq!(width(1_000_000), 5);
        assert!(width(100_000_000) > 5, "chunk numbers have 18 bits");
    }

    // By trying all fillings of a few slots.
    #[test]
    fn no_filling_needs_more_chunks_than_the_most() {
        for width_bits in 2..4 {
            let fit = (1_usize << width_bits) - 1;
            let chunks = |filled: usize| if filled < 2 { 0 } else { filled.div_ceil(fit) };
            for capacity in 0..60 {
                let most = (0..=capacity)
                    .flat_map(|a| (0..=capacity - a).map(move |b| (a, b, capacity - a - b)))
                    .map(|(a, b, c)| chunks(a) + chunks(b) + chunks(c))
                    .max();
                let reserved = Layout::most_chunks_in(3, capacity, width_bits);
                assert!(most.is_some_and(|most| most <= reserved), "{capacity}");
            }
        }
    }
}
