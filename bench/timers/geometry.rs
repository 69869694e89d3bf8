//! The wheel's geometry once more, for the variants that are compared with it.
//!
//! Does not hold entries. Level 0 has 8192 slots of one tick, levels 1 and 2 have 64 slots of 2^13
//! and 2^19 ticks; a slot number counts through all of them. The crate keeps its own geometry
//! private, and a variant that shared its code would share its mistakes.

/// log2 of the slots of level 0.
const FINE_BITS: u32 = 13;
/// log2 of the slots of level 1, and of level 2.
const COARSE_BITS: u32 = 6;
/// Slots of level 0.
const FINE: u32 = 1 << FINE_BITS;
/// The farthest a slot can lie ahead.
const FARTHEST: u32 = (1 << (FINE_BITS + 2 * COARSE_BITS)) - 1;
/// Slots of all levels.
pub(crate) const SLOTS: usize = (FINE + (2 << COARSE_BITS)) as usize;

/// The slot for what is due at `due`, not before `cursor`, and the tick at which it is looked at.
pub(crate) fn place(due: u32, cursor: u32) -> (u32, u32) {
    let distance = (due - cursor).min(FARTHEST);
    let due = cursor + distance;
    let slot = if distance < FINE {
        due % FINE
    } else if distance < FINE << COARSE_BITS {
        coarse(0, due)
    } else {
        coarse(1, due)
    };
    (slot, due)
}

/// The slots that come up at `tick`, the coarsest first.
pub(crate) fn coming_up(tick: u32) -> impl Iterator<Item = u32> {
    let begins = |level: u32| tick.is_multiple_of(1 << (FINE_BITS + level * COARSE_BITS));
    [(1, begins(1)), (0, begins(0))]
        .into_iter()
        .filter(|&(_, begins)| begins)
        .map(move |(level, _)| coarse(level, tick))
        .chain([tick % FINE])
}

fn coarse(level: u32, tick: u32) -> u32 {
    let within = (tick >> (FINE_BITS + level * COARSE_BITS)) % (1 << COARSE_BITS);
    FINE + (level << COARSE_BITS) + within
}

/// Which slots hold entries, a bit per slot.
pub(crate) struct Occupied(Box<[u64]>);

impl Occupied {
    /// None.
    pub(crate) fn new() -> Self {
        Self(vec![0; SLOTS / 64].into_boxed_slice())
    }

    /// Marks `slot` occupied.
    pub(crate) fn set(&mut self, slot: u32) {
        self.0[slot as usize / 64] |= 1 << (slot % 64);
    }

    /// Marks `slot` empty.
    pub(crate) fn clear(&mut self, slot: u32) {
        self.0[slot as usize / 64] &= !(1 << (slot % 64));
    }

    /// The first tick from `cursor` to `now` at which anything may come up: an occupied slot of
    /// level 0, or the beginning of a circle.
    pub(crate) fn next_stop(&self, cursor: u32, now: u32) -> Option<u32> {
        let circle = cursor.next_multiple_of(FINE);
        let last = now.min(circle);
        let mut tick = cursor;
        while tick <= last && tick != circle {
            let slot = tick % FINE;
            let word = self.0[slot as usize / 64] >> (slot % 64);
            if word != 0 {
                let found = tick + word.trailing_zeros();
                return (found <= last).then_some(found);
            }
            tick += 64 - slot % 64;
        }
        (circle <= now).then_some(circle)
    }
}
