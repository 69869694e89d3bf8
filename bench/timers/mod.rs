//! Everything that can hold a million deadlines: the wheel, what it might have been, and its rivals.
//!
//! Does not measure; it says what there is to measure and, by the [`script`], that all of it does
//! the same. Units: ticks, counted from zero and far from wrapping. Allocation: each subject's own.

pub(crate) mod chains;
pub(crate) mod eager;
pub(crate) mod geometry;
pub(crate) mod lazy;
pub(crate) mod list;
pub(crate) mod lru;
pub(crate) mod nexus;
pub(crate) mod own;
pub(crate) mod rivals;
pub(crate) mod script;
pub(crate) mod std_rivals;
pub(crate) mod subject;

use subject::Timers;

/// Something to be done with every subject.
pub(crate) trait Visitor {
    /// Does it with one.
    fn visit<T: Timers>(&mut self);
}

/// Shows every subject to `visitor`: ours first, then the baselines, then the rivals.
pub(crate) fn visit_all(visitor: &mut impl Visitor) {
    visitor.visit::<own::Wheel>();
    visitor.visit::<list::List>();
    visitor.visit::<eager::Eager>();
    visitor.visit::<lru::Lru>();
    visitor.visit::<own::Sweep<1>>();
    visitor.visit::<own::Sweep<{ own::TENTH_OF_A_SECOND }>>();
    visitor.visit::<std_rivals::Heap>();
    visitor.visit::<lazy::Lazy<std_rivals::Heap>>();
    visitor.visit::<std_rivals::Tree>();
    visitor.visit::<rivals::TokioDelayQueue>();
    visitor.visit::<nexus::NexusWheel>();
    visitor.visit::<lazy::Lazy<nexus::NexusWheel>>();
    visitor.visit::<nexus::NexusQueues>();
    visitor.visit::<rivals::HashWheel>();
    visitor.visit::<rivals::KeyedHeap>();
}
