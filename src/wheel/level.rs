//! Geometry: which slot holds a due tick, and when a slot comes up.
//!
//! Does not hold entries; every function here is arithmetic. Units: ticks, wrapping, compared by
//! their distance from the cursor (the next tick to process). Nothing allocates.
//!
//! | level | slots | slot width | reach from the cursor | at 8 ms ticks |
//! |-------|-------|------------|-----------------------|---------------|
//! | 0     | 8192  | 1 tick     | 2^13 ticks            | 65 s          |
//! | 1     | 64    | 2^13 ticks | 2^19 ticks            | 70 min        |
//! | 2     | 64    | 2^19 ticks | 2^25 ticks            | 74 h          |
//!
//! The level is chosen by distance with a strict `<`: a distance of exactly one circle would land
//! on the slot about to be processed. A slot of level 1 or 2 comes up at the first tick of its
//! window. When the cursor stands inside a window, that window's slot has been emptied already, so
//! what it holds now belongs one whole circle ahead; [`next_window`] therefore starts at the first
//! window that begins at or after the cursor.

use crate::units::Tick;

/// Slots of level 0, one tick each.
pub(super) const FINE_SLOTS: usize = 1 << FINE_BITS;
/// Slots of level 1, and of level 2.
pub(super) const COARSE_SLOTS: usize = 1 << COARSE_BITS;
/// Levels above level 0.
pub(super) const COARSE_LEVELS: usize = 2;
/// Slots of all levels; a slot number counts through level 0, then 1, then 2.
pub(super) const SLOTS: usize = FINE_SLOTS + COARSE_LEVELS * COARSE_SLOTS;

const FINE_BITS: u32 = 13;
const COARSE_BITS: u32 = 6;
/// log2 of the slot width of each coarse level.
const WIDTH_BITS: [u32; COARSE_LEVELS] = [FINE_BITS, FINE_BITS + COARSE_BITS];
/// log2 of the distance the highest level reaches.
const REACH_BITS: u32 = FINE_BITS + 2 * COARSE_BITS;
/// The farthest a slot can lie from the cursor, in ticks; longer distances are cut to it.
pub(super) const FARTHEST: u32 = (1 << REACH_BITS) - 1;

const _: () = assert!(COARSE_SLOTS == 64, "a coarse level's occupancy is one u64");
const _: () = assert!(
    REACH_BITS < 31,
    "a slot's distance fits a signed tick distance"
);

/// Where an entry is filed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Slot number over all levels, below [`SLOTS`].
    pub(super) slot: u32,
    /// The tick at which the slot comes up: the tick asked for, or an earlier one.
    pub(super) visit: Tick,
}

/// The place of an entry due at `due`, which must not lie before `cursor`. O(1).
#[inline]
pub(super) fn place(due: Tick, cursor: Tick) -> Place {
    let distance = due.0.wrapping_sub(cursor.0);
    debug_assert!(due.since(cursor) >= 0, "filed behind the cursor");
    if distance < 1 << FINE_BITS {
        return Place {
            slot: fine_slot(due),
            visit: due,
        };
    }
    place_far(distance, cursor)
}

/// The place of an entry due `distance` ticks after `cursor`, beyond level 0.
fn place_far(distance: u32, cursor: Tick) -> Place {
    let distance = distance.min(FARTHEST);
    let due = cursor.after(distance);
    let level = usize::from(distance >= 1 << WIDTH_BITS[1]);
    Place {
        slot: coarse_slot(level, due),
        visit: Tick(due.0 & (u32::MAX << WIDTH_BITS[level])),
    }
}

/// The next tick, from `cursor` on, at which `slot` comes up. O(1).
pub(super) fn visit(slot: u32, cursor: Tick) -> Tick {
    let ahead = match (slot as usize).checked_sub(FINE_SLOTS) {
        None => slot.wrapping_sub(cursor.0) & ((1 << FINE_BITS) - 1),
        Some(coarse) => {
            let occupied = 1 << (coarse % COARSE_SLOTS);
            next_window(coarse / COARSE_SLOTS, occupied, cursor).unwrap_or(0)
        }
    };
    cursor.after(ahead)
}

/// The level 0 slot of `tick`.
pub(super) const fn fine_slot(tick: Tick) -> u32 {
    tick.0 & ((1 << FINE_BITS) - 1)
}

/// The slot of coarse level `level` (0 for level 1, 1 for level 2) whose window holds `tick`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "slot numbers are below 8320"
)]
pub(super) const fn coarse_slot(level: usize, tick: Tick) -> u32 {
    let within = (tick.0 >> WIDTH_BITS[level]) & (COARSE_SLOTS as u32 - 1);
    (FINE_SLOTS + level * COARSE_SLOTS) as u32 + within
}

/// Whether a window of coarse level `level` begins at `tick`.
pub(super) const fn begins_window(level: usize, tick: Tick) -> bool {
    tick.0 & ((1 << WIDTH_BITS[level]) - 1) == 0
}

/// Distance in ticks from `cursor` to the beginning of the first occupied window of coarse level
/// `level`, whose occupancy, a bit per slot, is `occupied`. `None` when it is empty. O(1).
pub(super) fn next_window(level: usize, occupied: u64, cursor: Tick) -> Option<u32> {
    if occupied == 0 {
        return None;
    }
    let width = 1_u32 << WIDTH_BITS[level];
    let to_boundary = cursor.0.wrapping_neg() & (width - 1);
    let first = cursor.after(to_boundary).0 >> WIDTH_BITS[level];
    let skipped = occupied.rotate_right(first % u64::BITS).trailing_zeros();
    Some(to_boundary + (skipped << WIDTH_BITS[level]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_of_one_circle_goes_a_level_up() {
        for cursor in [0, 1, 8191, 8192, (1 << 19) - 1, u32::MAX - 5, u32::MAX].map(Tick) {
            for (distance, level) in [
                (0, 0),
                (8191, 0),
                (8192, 1),
                (8193, 1),
                ((1 << 19) - 1, 1),
                (1 << 19, 2),
                ((1 << 19) + 1, 2),
                (FARTHEST, 2),
            ] {
                let place = place(cursor.after(distance), cursor);
                let due = cursor.after(distance);
                assert!(place.visit.since(due) <= 0 && place.visit.since(cursor) >= 0);
                assert!(level > 0 || place.visit == due);
                assert_eq!(visit(place.slot, cursor), place.visit);
                let seen = match place.slot {
                    0..8192 => 0,
                    8192..8256 => 1,
                    _ => 2,
                };
                assert_eq!(seen, level, "{distance} from {cursor:?}");
            }
        }
    }

    #[test]
    fn beyond_the_reach_the_distance_is_cut_and_not_the_instant() {
        let cursor = Tick(u32::MAX - 3);
        for distance in [FARTHEST + 1, FARTHEST + 2, 1 << 30, i32::MAX.unsigned_abs()] {
            let place = place(cursor.after(distance), cursor);
            let farthest = cursor.after(FARTHEST);
            assert_eq!(place.slot, coarse_slot(1, farthest));
            assert_eq!(place.visit, Tick(farthest.0 >> 19 << 19));
        }
    }

    #[test]
    fn the_current_coarse_slot_belongs_to_the_next_circle() {
        let in_slot_zero = 1;
        assert_eq!(next_window(0, in_slot_zero, Tick(0)), Some(0));
        assert_eq!(next_window(0, in_slot_zero, Tick(1)), Some((1 << 19) - 1));
        assert_eq!(next_window(1, in_slot_zero, Tick(1)), Some((1 << 25) - 1));
        assert_eq!(next_window(0, in_slot_zero, Tick(u32::MAX)), Some(1));
        assert_eq!(next_window(0, 0, Tick(9)), None);
    }
}
