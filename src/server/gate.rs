//! The accept gate: which ring of a core takes connections from the core's listener, one at a time.
//!
//! Pure. Rings that accept from one listener at the same time do not share: one takes nearly all. So rings are
//! filled in turn, and a ring stops accepting before its table is full, because the kernel drops a connection
//! that finds no slot.

use crate::shard::Accepting;

/// What the gate wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateAction {
    /// As it is.
    Nothing,
    /// Arm the accept of this ring.
    Start(usize),
    /// Cancel the accept of this ring: it is full.
    Stop(usize),
    /// Every ring is full and nothing accepts; connections wait in the backlog.
    Full,
}

/// Decides for rings that each take `capacity` connections, given how many each holds and whether it accepts.
///
/// A ring that was full takes connections again when a 64th of its places is free, so that a connection that
/// comes and goes at the brim does not switch the accept each time.
pub(crate) fn decide(capacity: usize, rings: &[(usize, Accepting)]) -> GateAction {
    let active = rings
        .iter()
        .position(|(_, accepting)| *accepting != Accepting::Off);
    if let Some(ring) = active {
        let (occupied, accepting) = rings[ring];
        return if occupied >= capacity && accepting == Accepting::Armed {
            GateAction::Stop(ring)
        } else {
            GateAction::Nothing
        };
    }
    let enough = capacity - (capacity / 64).min(capacity.saturating_sub(1));
    rings
        .iter()
        .position(|(occupied, _)| *occupied < enough)
        .map_or(GateAction::Full, GateAction::Start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rings_fill_in_turn() {
        let off = Accepting::Off;
        assert_eq!(decide(100, &[(0, off), (0, off)]), GateAction::Start(0));
        assert_eq!(
            decide(100, &[(99, Accepting::Armed), (0, off)]),
            GateAction::Nothing
        );
        assert_eq!(
            decide(100, &[(101, Accepting::Armed), (0, off)]),
            GateAction::Stop(0)
        );
        assert_eq!(
            decide(100, &[(101, Accepting::Stopping), (0, off)]),
            GateAction::Nothing
        );
        assert_eq!(decide(100, &[(101, off), (0, off)]), GateAction::Start(1));
        assert_eq!(decide(100, &[(100, off), (100, off)]), GateAction::Full);
        assert_eq!(decide(1, &[(0, off)]), GateAction::Start(0));
    }

    proptest! {
        #[test]
        fn never_two_at_once_and_never_a_full_one(
            capacity in 1_usize..1000,
            rings in prop::collection::vec((0_usize..1100, 0_u8..3), 1..8)
        ) {
            let rings: Vec<_> = rings
                .into_iter()
                .map(|(occupied, state)| {
                    let states = [Accepting::Off, Accepting::Armed, Accepting::Stopping];
                    (occupied, states[usize::from(state)])
                })
                .collect();
            if let GateAction::Start(ring) = decide(capacity, &rings) {
                prop_assert!(rings.iter().all(|(_, accepting)| *accepting == Accepting::Off));
                prop_assert!(rings[ring].0 < capacity);
            }
        }
    }
}
