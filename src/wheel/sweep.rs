//! The flat sweep: deadlines in one dense array, looked at in turn.
//!
//! Does not read a clock or convert time. Units: [`Tick`]s, compared by distance, as in the wheel.
//! Allocation: 4 B per index, reserved by [`Sweep::with_capacity`].
//!
//! It is the honest baseline of the [`Wheel`](super::Wheel): nothing is filed, linked or moved. A
//! refresh is a store, an expiry is noticed when the pass comes by. A pass over all indices is
//! spread evenly over `period` ticks, so that every turn looks at its share and no tick is a spike.
//!
//! # Lateness
//!
//! Every index is looked at once in any `period` ticks. What expires is therefore never early and at
//! most `period` - 1 ticks late, half of that in the mean; with a period of 1 the sweep is as
//! precise as the wheel and reads everything at every tick. (One deadline tick in 2^32, the one whose
//! number says "not armed", is kept as the tick after it.)
//!
//! # Cost
//!
//! Of `n` indices a turn reads `n / period`, in order, 16 to a cache line, without a branch inside
//! a chunk of 64: some tenths of a nanosecond each, whether they are armed or not and whatever their
//! timeouts. An expiry costs no more than one in the wheel. When turns were missed, or the budget was
//! short, a turn catches up on what is owed but never looks at an index twice.

use crate::units::Tick;
use std::fmt;

use super::bags::INDICES;
use super::{OLDEST, Turn};

/// Stored for an index that is not armed.
const NEVER: u32 = u32::MAX;

/// Indices looked at together: four cache lines. A larger chunk would save little and search longer
/// for what it found.
const CHUNK: usize = 64;

/// A flat pass over the deadlines of connection indices.
///
/// Same operations as [`Wheel`](super::Wheel), with a coarser idea of when:
///
/// ```
/// use ringbeat::units::Tick;
/// use ringbeat::wheel::Sweep;
///
/// let mut sweep = Sweep::with_capacity(2, 10, Tick(0));
/// sweep.arm(0, Tick(1_000));
/// sweep.arm(1, Tick(1_000));
/// sweep.refresh(1, Tick(1_400)); // a heartbeat
///
/// let mut expired = Vec::new();
/// sweep.turn_to(Tick(1_009), usize::MAX, &mut expired);
/// assert_eq!(expired, [0]);
/// ```
pub struct Sweep {
    /// Per index the tick at which it expires, or [`NEVER`].
    deadlines: Vec<u32>,
    /// Ticks of one pass.
    period: u32,
    /// The first tick whose share is not owed yet.
    cursor: Tick,
    /// Ticks of the present pass whose share is owed or done, at most the period.
    phase: u32,
    /// The next index to look at.
    at: usize,
    /// Where the stretch that is owed ends.
    until: usize,
    /// The stretch goes on past the last index, and from the first to `until`.
    wraps: bool,
    armed: usize,
    /// Indices looked at, for the test that a turn looks at none twice.
    #[cfg(test)]
    pub(super) looked: u64,
}

impl Sweep {
    /// An empty sweep that looks at everything once in `period` ticks (0 counts as 1) and whose next
    /// tick to process is `now`.
    #[must_use]
    pub fn new(period: u32, now: Tick) -> Self {
        Self::with_capacity(0, period, now)
    }

    /// The same with memory for exactly the indices below `capacity`. Larger indices may be armed
    /// too; memory then grows as a `Vec` does.
    #[must_use]
    pub fn with_capacity(capacity: u32, period: u32, now: Tick) -> Self {
        let mut deadlines = Vec::new();
        deadlines.reserve_exact(capacity as usize);
        Self {
            deadlines,
            period: period.max(1),
            cursor: now,
            phase: 0,
            at: 0,
            until: 0,
            wraps: false,
            armed: 0,
            #[cfg(test)]
            looked: 0,
        }
    }

    /// Ticks of one pass.
    #[must_use]
    pub const fn period(&self) -> u32 {
        self.period
    }

    /// Lets `index` expire at `deadline`, whether it was armed before, and for earlier or later, or
    /// not.
    ///
    /// A deadline that has passed is due when the pass comes by. A deadline 2^31 - 1 ticks or more
    /// ahead may count as passed. O(1): one store.
    ///
    /// # Panics
    /// If `index` is 2^30 or more.
    pub fn arm(&mut self, index: u32, deadline: Tick) {
        let place = index as usize;
        if place >= self.deadlines.len() {
            assert!(
                index < INDICES,
                "connection index {index} is not below 2^30"
            );
            self.deadlines.resize(place + 1, NEVER);
        }
        let stored = if deadline.since(self.cursor) < -OLDEST {
            Tick(self.cursor.0.wrapping_add_signed(-OLDEST))
        } else {
            deadline
        };
        self.armed += usize::from(self.deadlines[place] == NEVER);
        self.deadlines[place] = kept(stored);
    }

    /// Moves the deadline of `index` to `deadline`, which must not be earlier than the one it has;
    /// that is what [`Sweep::arm`] is for. Does nothing to a timer that is not armed. O(1): one
    /// store.
    ///
    /// # Panics
    /// In debug builds, if the deadline of an armed timer would move earlier, because the wheel
    /// cannot do that.
    pub fn refresh(&mut self, index: u32, deadline: Tick) {
        let Some(stored) = self.deadlines.get_mut(index as usize) else {
            return;
        };
        if *stored != NEVER {
            let deadline = kept(deadline);
            debug_assert!(
                Tick(deadline).since(Tick(*stored)) >= 0,
                "refresh moves the deadline of {index} from {stored} back to {deadline}"
            );
            *stored = deadline;
        }
    }

    /// Forgets the deadline of `index` and returns whether it was armed. O(1).
    pub fn cancel(&mut self, index: u32) -> bool {
        let Some(stored) = self.deadlines.get_mut(index as usize) else {
            return false;
        };
        let was_armed = *stored != NEVER;
        *stored = NEVER;
        self.armed -= usize::from(was_armed);
        was_armed
    }

    /// The deadline of `index` as it was set, `None` when it is not armed. O(1).
    #[must_use]
    pub fn deadline(&self, index: u32) -> Option<Tick> {
        let stored = *self.deadlines.get(index as usize)?;
        (stored != NEVER).then_some(Tick(stored))
    }

    /// Looks at the share of every tick up to and including `now` and appends to `expired` the
    /// indices whose deadline has come, at most `budget` of them, in no particular order. An expired
    /// index is no longer armed.
    ///
    /// When the budget runs out the pass stands still, [`Turn::pending`] says so, and the next call
    /// goes on from there; timers may be armed, refreshed and cancelled in between. What
    /// the budget bounds is expiries: looking is bounded by the number of indices. A `now` before
    /// the last one does nothing. `now` must be less than 2^31 ticks ahead.
    pub fn turn_to(&mut self, now: Tick, budget: usize, expired: &mut Vec<u32>) -> Turn {
        self.turn_with(now, budget, expired, |_| ())
    }

    /// [`Sweep::turn_to`], calling `late` for each expired index with the ticks between its deadline
    /// and `now`.
    pub(super) fn turn_with(
        &mut self,
        now: Tick,
        budget: usize,
        expired: &mut Vec<u32>,
        mut late: impl FnMut(u32),
    ) -> Turn {
        let already = expired.len();
        let ahead = now.since(self.cursor);
        if ahead >= 0 {
            self.owe(ahead.unsigned_abs() + 1);
            self.cursor = now.after(1);
        }
        let current = ahead >= -1;
        if current {
            let mut left = budget;
            while self.look(now, &mut left, expired, &mut late) && self.wraps {
                self.wraps = false;
                self.at = 0;
            }
        }
        let expired = expired.len() - already;
        Turn {
            visited: expired,
            expired,
            pending: current && self.is_behind(),
            next_deadline: self.next_deadline(),
        }
    }

    /// No timer expires before this tick; `None` when none is armed. The sweep does not know its
    /// deadlines' order, so this is the next tick, or the present one while a turn is pending. O(1).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let present = u32::from(self.is_behind());
        (self.armed > 0).then(|| Tick(self.cursor.0.wrapping_sub(present)))
    }

    /// How many timers are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.armed
    }

    /// Whether no timer is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Bytes the sweep occupies, its heap memory included, whether used or reserved.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.deadlines.capacity() * size_of::<u32>()
    }

    /// Counts the armed timers and checks that the pass stands where it can. For tests. O(indices).
    ///
    /// # Panics
    /// If it does not, or if the count is wrong.
    #[cfg(any(test, debug_assertions))]
    pub fn check_invariants(&self) {
        let armed = self.deadlines.iter().filter(|&&stored| stored != NEVER);
        assert_eq!(armed.count(), self.armed, "armed timers");
        let most = self.deadlines.len().max(1);
        assert!(self.phase <= self.period, "phase {}", self.phase);
        assert!(self.at < most, "stands at {}", self.at);
        let stretch = if self.wraps {
            0..=self.at
        } else {
            self.at..=most
        };
        assert!(
            stretch.contains(&self.until),
            "owes {} to {}, wraps: {}",
            self.at,
            self.until,
            self.wraps
        );
    }

    /// Whether indices are still to be looked at for ticks that have begun.
    const fn is_behind(&self) -> bool {
        self.wraps || self.at < self.until
    }

    /// Where a pass stands after `phase` ticks.
    fn goal(&self, phase: u32) -> usize {
        share(self.deadlines.len(), u64::from(phase), self.period)
    }

    /// Adds the share of the next `ticks` ticks to the stretch.
    ///
    /// The goal moves with the number of indices and never back within a pass, so an index that a
    /// pass met at some phase is met no later in the next one.
    fn owe(&mut self, ticks: u32) {
        let total = u64::from(self.phase) + u64::from(ticks);
        let ends_pass = total >= u64::from(self.period);
        if ticks >= self.period || (ends_pass && self.wraps) {
            return self.owe_all();
        }
        // The sum is less than two periods.
        let phase = if ends_pass {
            self.phase.wrapping_add(ticks).wrapping_sub(self.period)
        } else {
            self.phase + ticks
        };
        let goal = self.goal(phase);
        let wraps = self.wraps || ends_pass;
        if wraps && goal > self.at {
            return self.owe_all();
        }
        self.wraps = wraps;
        self.phase = phase;
        self.until = if wraps { goal } else { goal.max(self.at) };
    }

    /// Owes one look at every index: nobody is served by two. The phase becomes the first whose goal
    /// is not before the place where the pass stands, so that as many ticks as the period come round
    /// to that place again.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the quotient is at most the period"
    )]
    fn owe_all(&mut self) {
        let (at, indices) = (self.at as u64, self.deadlines.len() as u64);
        self.phase = (at * u64::from(self.period)).div_ceil(indices.max(1)) as u32;
        self.until = self.at;
        self.wraps = true;
    }

    /// Looks on to the end of the stretch, or of the indices when it wraps. Returns whether it got
    /// there; otherwise it stands at something due and the budget is spent.
    fn look(
        &mut self,
        now: Tick,
        left: &mut usize,
        expired: &mut Vec<u32>,
        late: &mut impl FnMut(u32),
    ) -> bool {
        let end = if self.wraps {
            self.deadlines.len()
        } else {
            self.until
        };
        #[cfg(test)]
        let begin = self.at;
        let mut found = true;
        while found && self.at < end {
            self.at += quiet(&self.deadlines[self.at..end], now.0);
            let chunk = self.at..end.min(self.at + CHUNK);
            found = self.take(chunk, now, left, expired, late);
        }
        #[cfg(test)]
        {
            self.looked += (self.at - begin) as u64;
        }
        found
    }

    /// Expires what is due in `chunk` and moves past it; returns false, and stays at the first that
    /// is left, when the budget is spent.
    fn take(
        &mut self,
        chunk: std::ops::Range<usize>,
        now: Tick,
        left: &mut usize,
        expired: &mut Vec<u32>,
        late: &mut impl FnMut(u32),
    ) -> bool {
        self.at = chunk.end;
        // `arm` admits no index that would not fit.
        let indices = u32::try_from(chunk.start).unwrap_or(INDICES)..;
        for (index, stored) in indices.zip(&mut self.deadlines[chunk]) {
            if due_bits(*stored, now.0) >> 31 == 0 {
                continue;
            }
            if *left == 0 {
                self.at = index as usize;
                return false;
            }
            *left -= 1;
            late(now.0.wrapping_sub(*stored));
            *stored = NEVER;
            self.armed -= 1;
            expired.push(index);
        }
        true
    }
}

/// The first `part` of `period` equal shares of `whole`.
fn share(whole: usize, part: u64, period: u32) -> usize {
    usize::try_from(whole as u64 * part / u64::from(period)).unwrap_or(whole)
}

/// A deadline as it is stored: the tick called [`NEVER`] becomes the next, so as not to be early.
const fn kept(deadline: Tick) -> u32 {
    if deadline.0 == NEVER { 0 } else { deadline.0 }
}

/// The top bit says whether `stored` is armed and due at `now`. Written with masks alone, so that a
/// chunk of it compiles to vector instructions.
const fn due_bits(stored: u32, now: u32) -> u32 {
    let armed = if stored == NEVER { 0 } else { u32::MAX };
    armed & !now.wrapping_sub(stored)
}

/// How many of `deadlines` come before the first chunk with something due.
fn quiet(deadlines: &[u32], now: u32) -> usize {
    let any_due = |chunk: &[u32]| {
        let bits = chunk
            .iter()
            .fold(0, |all, &stored| all | due_bits(stored, now));
        bits >> 31 != 0
    };
    let (chunks, rest) = deadlines.as_chunks::<CHUNK>();
    match chunks.iter().position(|chunk| any_due(chunk)) {
        Some(quiet) => quiet * CHUNK,
        None if any_due(rest) => chunks.len() * CHUNK,
        None => deadlines.len(),
    }
}

impl fmt::Debug for Sweep {
    /// The sweep's state, without its deadlines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep")
            .field("cursor", &self.cursor)
            .field("period", &self.period)
            .field("armed", &self.armed)
            .finish_non_exhaustive()
    }
}
