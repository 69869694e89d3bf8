//! Either structure, chosen at the start.
//!
//! Does not add anything of its own but the way lateness is told. Units: [`Tick`]s. Allocation: the
//! chosen structure's.

use super::{Sweep, Turn, Wheel};
use crate::units::Tick;
use serde::{Deserialize, Serialize};

/// Which structure holds the deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimersKind {
    /// The hierarchical [`Wheel`]: precise to the tick.
    #[default]
    Wheel,
    /// The flat [`Sweep`]: late by less than its period.
    Sweep {
        /// Ticks of one pass.
        period: u32,
    },
}

impl TimersKind {
    /// How many ticks after its deadline a timer may expire, when turned at every tick.
    #[must_use]
    pub const fn slack(self) -> u32 {
        match self {
            Self::Wheel => 0,
            Self::Sweep { period } => period.saturating_sub(1),
        }
    }
}

/// One deadline per connection index, in a [`Wheel`] or a [`Sweep`].
#[derive(Debug)]
pub enum Timers {
    /// Precise to the tick.
    Wheel(Wheel),
    /// Late by less than its period.
    Sweep(Sweep),
}

impl Timers {
    /// An empty structure whose next tick to process is `now`, with memory for exactly the indices
    /// below `capacity`.
    #[must_use]
    pub fn with_capacity(kind: TimersKind, capacity: u32, now: Tick) -> Self {
        match kind {
            TimersKind::Wheel => Self::Wheel(Wheel::with_capacity(capacity, now)),
            TimersKind::Sweep { period } => {
                Self::Sweep(Sweep::with_capacity(capacity, period, now))
            }
        }
    }

    /// See [`Wheel::arm`] and [`Sweep::arm`].
    ///
    /// # Panics
    /// If `index` is 2^30 or more.
    pub fn arm(&mut self, index: u32, deadline: Tick) {
        match self {
            Self::Wheel(wheel) => wheel.arm(index, deadline),
            Self::Sweep(sweep) => sweep.arm(index, deadline),
        }
    }

    /// See [`Wheel::refresh`] and [`Sweep::refresh`].
    ///
    /// # Panics
    /// In debug builds, if the deadline of an armed timer would move earlier.
    pub fn refresh(&mut self, index: u32, deadline: Tick) {
        match self {
            Self::Wheel(wheel) => wheel.refresh(index, deadline),
            Self::Sweep(sweep) => sweep.refresh(index, deadline),
        }
    }

    /// See [`Wheel::cancel`] and [`Sweep::cancel`].
    pub fn cancel(&mut self, index: u32) -> bool {
        match self {
            Self::Wheel(wheel) => wheel.cancel(index),
            Self::Sweep(sweep) => sweep.cancel(index),
        }
    }

    /// The deadline of `index`, `None` when it is not armed. O(1).
    #[must_use]
    pub fn deadline(&self, index: u32) -> Option<Tick> {
        match self {
            Self::Wheel(wheel) => wheel.deadline(index),
            Self::Sweep(sweep) => sweep.deadline(index),
        }
    }

    /// Processes every tick up to and including `now`; see [`Wheel::turn_to`] and
    /// [`Sweep::turn_to`].
    ///
    /// `late` is called with how many ticks ago something was due, and for how many entries. In the
    /// wheel that is every entry visited, also those whose deadline had moved on, against the tick
    /// at which it came up: it tells how late the owner turned. In the sweep it is every timer
    /// expired, against its own deadline: it tells how late the pass came by.
    pub fn turn_to(
        &mut self,
        now: Tick,
        budget: usize,
        expired: &mut Vec<u32>,
        mut late: impl FnMut(u32, u64),
    ) -> Turn {
        match self {
            Self::Wheel(wheel) => turn_by_tick(wheel, now, budget, expired, late),
            Self::Sweep(sweep) => sweep.turn_with(now, budget, expired, |behind| late(behind, 1)),
        }
    }

    /// See [`Wheel::next_deadline`] and [`Sweep::next_deadline`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        match self {
            Self::Wheel(wheel) => wheel.next_deadline(),
            Self::Sweep(sweep) => sweep.next_deadline(),
        }
    }

    /// How many timers are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Wheel(wheel) => wheel.len(),
            Self::Sweep(sweep) => sweep.len(),
        }
    }

    /// Whether no timer is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes the structure occupies, its heap memory included, whether used or reserved.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let beyond_self = match self {
            Self::Wheel(wheel) => wheel.memory_bytes() - size_of::<Wheel>(),
            Self::Sweep(sweep) => sweep.memory_bytes() - size_of::<Sweep>(),
        };
        size_of::<Self>() + beyond_self
    }

    /// Checks that the structure is sound. For tests. O(slots + indices).
    ///
    /// # Panics
    /// If it is not.
    #[cfg(any(test, debug_assertions))]
    pub fn check_invariants(&self) {
        match self {
            Self::Wheel(wheel) => wheel.check_invariants(),
            Self::Sweep(sweep) => sweep.check_invariants(),
        }
    }
}

/// Turns `wheel` from one occupied tick to the next, so that each one's lateness can be told.
fn turn_by_tick(
    wheel: &mut Wheel,
    now: Tick,
    budget: usize,
    expired: &mut Vec<u32>,
    mut late: impl FnMut(u32, u64),
) -> Turn {
    let mut total = Turn::default();
    loop {
        let due = wheel.next_visit();
        let tick = due.filter(|due| due.since(now) <= 0).unwrap_or(now);
        let turn = wheel.turn_to(tick, budget - total.visited, expired);
        if turn.visited > 0 {
            late(now.since(tick).unsigned_abs(), turn.visited as u64);
        }
        total = Turn {
            visited: total.visited + turn.visited,
            expired: total.expired + turn.expired,
            ..turn
        };
        if turn.pending || tick == now {
            return total;
        }
    }
}
