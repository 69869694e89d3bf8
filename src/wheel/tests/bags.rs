//! What is the bags' alone: chunks fill, empty, split off and are reused, at every width.

use super::cases;
use crate::units::Tick;
use crate::wheel::bags::{Bags, Taken};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What an owner can do to a bag.
#[derive(Clone, Debug)]
enum Step {
    /// File so many indices, one after the other, if they are in no slot.
    File { first: u32, count: u32, slot: usize },
    /// Take so many out, one after the other, by index.
    Unfile { first: u32, count: u32 },
    /// Take a batch out of a slot. Every `keep`th is filed in another, the others are forgotten.
    Settle {
        slot: usize,
        room: usize,
        keep: usize,
        to: usize,
    },
}

/// Few slots, so that they fill: of all levels, neighbours, first and last.
const SLOTS: [u32; 6] = [0, 1, 8191, 8192, 8255, 8319];

fn step(indices: u32) -> impl Strategy<Value = Step> {
    let slot = || 0..SLOTS.len();
    let run = move || (0..indices, prop_oneof![1..4_u32, 1..90_u32]);
    prop_oneof![
        3 => (run(), slot()).prop_map(|((first, count), slot)| Step::File { first, count, slot }),
        1 => run().prop_map(|(first, count)| Step::Unfile { first, count }),
        2 => (slot(), 1..40_usize, 1..4_usize, slot())
            .prop_map(|(slot, room, keep, to)| Step::Settle { slot, room, keep, to }),
    ]
}

/// Bags, and what should be in each.
struct Pair {
    bags: Bags,
    model: BTreeMap<u32, BTreeSet<u32>>,
}

impl Pair {
    fn slot_of(&self, index: u32) -> Option<u32> {
        let mut slots = self.model.iter();
        slots.find_map(|(&slot, members)| members.contains(&index).then_some(slot))
    }

    fn apply(&mut self, step: &Step, indices: u32) {
        match *step {
            Step::File { first, count, slot } => {
                for index in (first..first + count).map(|index| index % indices) {
                    if self.slot_of(index).is_none() {
                        self.bags.admit(index);
                        self.bags.set_armed(index, Tick(index));
                        self.bags.file(index, SLOTS[slot]);
                        self.model.entry(SLOTS[slot]).or_default().insert(index);
                    }
                }
            }
            Step::Unfile { first, count } => {
                for index in (first..first + count).map(|index| index % indices) {
                    let Some(slot) = self.slot_of(index) else {
                        continue;
                    };
                    self.bags.clear_armed(index);
                    let emptied = self.bags.unfile(index);
                    let members = self.model.get_mut(&slot).unwrap();
                    members.remove(&index);
                    assert_eq!(emptied, members.is_empty().then_some(slot));
                }
            }
            Step::Settle {
                slot,
                room,
                keep,
                to,
            } => self.settle(SLOTS[slot], room, keep, SLOTS[to]),
        }
    }

    fn settle(&mut self, slot: u32, room: usize, keep: usize, to: u32) {
        let mut taken = vec![Taken::NONE; room];
        let count = self.bags.take(slot, &mut taken);
        let members = self.model.entry(slot).or_default();
        assert_eq!(count == 0, members.is_empty());
        assert!(count <= room);
        let mut kept = BTreeSet::new();
        for (place, taken) in taken[..count].iter().enumerate() {
            assert!(members.remove(&taken.index()), "{} twice", taken.index());
            assert_eq!(taken.deadline, Tick(taken.index()));
            assert!(taken.is_armed());
            if place % keep == 0 {
                kept.insert(taken.index());
            }
        }
        self.bags
            .settle(&taken[..count], |t| kept.contains(&t.index()).then_some(to));
        self.model.entry(to).or_default().extend(kept);
    }

    /// The structure, and every bag against its model.
    fn check(&self) {
        let mut found = BTreeMap::<u32, BTreeSet<u32>>::new();
        let armed = self.bags.check(|index, slot| {
            found.entry(slot).or_default().insert(index);
        });
        let expected = self.model.iter().filter(|(_, members)| !members.is_empty());
        assert!(
            expected.eq(&found),
            "{:?} instead of {:?}",
            found,
            self.model
        );
        assert_eq!(armed, found.values().map(BTreeSet::len).sum::<usize>());
        for (&slot, members) in &found {
            assert!(members.iter().all(|&i| self.bags.slot(i) == Some(slot)));
        }
    }
}

proptest! {
    #![proptest_config(cases(48))]

    // Capacities of which each has chunks of another width, and none, so that it grows.
    #[test]
    fn a_bag_holds_what_was_filed_and_nothing_else(
        capacity in prop::sample::select(&[0_usize, 400, 3_000, 20_000, 70_000, 150_000, 300_000][..]),
        steps in prop::collection::vec(step(400), 1..40),
    ) {
        let mut pair = Pair { bags: Bags::with_capacity(capacity), model: BTreeMap::new() };
        let reserved = pair.bags.heap_bytes();
        for step in &steps {
            pair.apply(step, 400);
            pair.check();
        }
        prop_assert!(capacity < 400 || pair.bags.heap_bytes() == reserved);
    }
}

// The worst there is: every slot in use, and each with one index more than fills its chunks.
#[test]
fn no_spread_of_indices_takes_more_than_was_reserved() {
    for capacity in [1_000_u32, 10_000, 40_000, 60_000, 130_000] {
        for each in [1, 2, 4, 8, 16, 32] {
            let mut bags = Bags::with_capacity(capacity as usize);
            let reserved = bags.heap_bytes();
            for index in 0..capacity {
                bags.admit(index);
                bags.file(index, index / each % 8_320);
            }
            bags.check(|_, _| ());
            assert_eq!(bags.heap_bytes(), reserved, "{capacity} by {each}");
        }
    }
}
