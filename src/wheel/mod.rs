//! Timers: one deadline per connection, refreshed by a single store, in a timing wheel or a flat sweep.
//!
//! Does not read a clock, convert time, or know what a deadline means: ticks go in, expired
//! connection indices come out. Units: [`Tick`]s, which wrap, so everything is compared by distance
//! and stays right while deadlines lie within 2^31 ticks of the wheel's cursor (198 days at 8 ms).
//! Time base: whatever the caller counts ticks of. Allocation: at most 16 B per index and 64 KiB in
//! all, whatever the deadlines are, reserved by [`Wheel::with_capacity`]; nothing allocates after
//! that until an index beyond the capacity is armed or the caller's `expired` buffer is full.
//!
//! # How it works
//!
//! A heartbeat moves a deadline *later*, so [`Wheel::refresh`] only stores it and leaves the entry
//! in its slot. When the slot comes up the entry is visited: if its deadline has moved on it is
//! filed again at exactly that tick, otherwise it expires. An entry is thus never visited later
//! than its deadline, and laziness costs no precision. Level 0 is wide (8192 ticks) so that the
//! usual timeouts live in it alone and nothing cascades; two levels of 64 slots hold rarer, longer
//! ones, and what lies beyond is filed in the farthest slot and filed again when that comes up.
//!
//! An entry belongs to the *index*, not to the connection. [`Wheel::cancel`] leaves it where it is;
//! the next connection at that index inherits it. So there is never more than one entry per index,
//! closing is a store, and an old connection's entry cannot expire a new connection. Only
//! [`Wheel::arm`] with an earlier deadline moves an entry before its slot has come up.
//!
//! A slot is a bag: chunks of indices, in no order, rather than a list through the entries. A visit
//! to a list waits for the entry before to say which one is next; of a bag's entries a whole chunk
//! is loaded at once and then judged. The width of a chunk follows from the capacity, so that the
//! memory suffices however deadlines are spread.
//!
//! A tick counts as begun once one of its entries has been visited. What is armed for a begun or
//! earlier tick is due at the next tick, so an owner that arms what has just expired, even without
//! delay, never keeps a turn from ending. Entries of the same tick expire in no particular order.
//!
//! # The sweep, and when it is better
//!
//! [`Sweep`] is the honest baseline: one dense array of deadlines, looked at in turn, 4 B per index
//! and nothing else. [`Timers`] is either of the two, and `--timers wheel|sweep` chooses. With `n`
//! connections of which all are armed, a timeout `T`, a heartbeat every `H`, and a pass every `P`:
//!
//! | | wheel | sweep |
//! |---|---|---|
//! | heartbeat | one store | one store |
//! | turning, per second | `n / (T - H/2)` visits, scattered over the entries | `n / P` looks, in order |
//! | late by | less than a tick | less than `P` |
//! | an index that is not armed | nothing | a look per pass |
//! | memory | 16 B per index + 64 KiB | 4 B per index |
//! | next deadline | known, so an idle owner sleeps | unknown: the next tick |
//!
//! Both costs are proportional to `n`, so the population does not decide. The sweep is cheaper when
//! `P > (T - H/2) × look / visit`. A look costs some tenths of a nanosecond (vector instructions, 16
//! deadlines to a cache line), a visit is a dependent miss or two once the entries have left the
//! cache: tens to a hundred times as much. For timeouts of seconds the crossover therefore lies at
//! a pass of some tens of milliseconds, and **where a verdict may be a tenth of a second late, as
//! under `--timers sweep`, the sweep may well be the better structure for heartbeats**; `cargo bench
//! --bench wheel` prints the crossover of the machine it runs on. The wheel is better when lateness
//! must stay within a tick, when few of many indices are armed, when timeouts are long (visits become
//! rare, looks do not), and when an owner wants to sleep until something is due: so the schedule by
//! which heartbeats are *sent* is always a wheel.
//!
//! # Measured
//!
//! `scripts/wheel` keeps the page of `cargo bench --bench wheel`, fifteen structures, under
//! `results/2026-11-23-wheel`; the figures here are from it, of shuffled timers on two cores. CPU per heartbeat,
//! turns included:
//!
//! | | 10,000 strict | 100,000 strict | 1,000,000 strict | 1,000,000 relaxed | bytes per timer |
//! |---|---|---|---|---|---|
//! | this wheel | 3.7 ns | 2.9 ns | 4.7 ns | 2.6 ns | 13.2 |
//! | the same with linked lists for slots | 3.2 ns | 6.0 ns | 54.5 ns | 37.6 ns | 16.0 |
//! | an eager wheel of lists | 4.1 ns | 3.9 ns | 10.6 ns | 10.6 ns | 12.0 |
//! | a list per timeout, in order of use | 2.8 ns | 2.9 ns | 4.7 ns | 6.0 ns | 12.0 |
//! | `BinaryHeap`, stale entries skipped | 3.6 ns | 3.6 ns | 5.9 ns | 6.1 ns | 36.0 |
//! | a sweep each tick | 29.6 ns | 30.1 ns | 29.7 ns | 100 ns | 4.0 |
//!
//! Bags are the better slots: level with lists to some thirty thousand timers, twelve times cheaper at a million.
//! What is cheaper than this wheel, and where:
//!
//! - *Below thirty thousand timers*, in the caches, the lists, the heap and the eager wheel are up to a third cheaper;
//!   a ring holds twenty thousand under the usual limit on open files. It is microseconds in a second either way.
//! - *A list per timeout* costs the same under strict heartbeats. It knows one timeout only, and its worst ticks are
//!   longer (p99.9 of 4.2 ms at a million timers, against 157 µs here).
//! - *The sweep*, where a second of lateness does no harm, at every population: a third of the cost.
//!
//! Of the structures that others publish, the best under heartbeats is `BinaryHeap`: 1.3 (strict) to 2.4 (relaxed) times
//! the cost of this wheel from a hundred thousand timers on, and ticks of milliseconds when its stale entries are
//! thrown out. Three times was the aim. What stands in the way is the visit: under the strict preset a timer is visited
//! 0.4 times per heartbeat at some 7 ns, two scattered accesses each, which is most of the cost; a heap's heartbeats,
//! back to back in this benchmark, append to one warm array.
//!
//! # What it guards against
//!
//! Wheels elsewhere have had bugs of a few kinds, again and again. `tests.rs` numbers what must hold,
//! and tests it with times in nanoseconds, cursors near every boundary, and a check of the whole
//! structure after each operation.
//!
//! - *A circle early*: a timer exactly one circle ahead lands on the slot about to be processed. The
//!   level is chosen by distance with a strict `<`.
//! - *A circle late*: the current slot of a coarse level holds what lies a whole circle ahead, and is
//!   read as imminent, or as last, when the next deadline is sought. Windows count from the first
//!   that begins at or after the cursor.
//! - *Far deadlines*: cut at an absolute instant and not at a distance, so that they fire now; or
//!   filed in a level that does not exist after weeks of uptime. Distances are cut, and the tick
//!   wraps by design.
//! - *Past deadlines*: they rewind the cursor, or are filed a circle ahead. They are due at the next
//!   tick.
//! - *A fraction early*: both the deadline and the present are rounded down. Deadlines round up, in
//!   [`TickClock::ceil`](crate::units::TickClock::ceil).
//! - *Unlinking from the wrong slot*, by computing the position again: an entry knows its place, and
//!   the place knows its slot.
//! - *Changes during the walk*: an owner that arms, cancels or closes from a callback loses the rest
//!   of a slot, or never ends. There are no callbacks: expired indices go to a buffer, and what has
//!   begun is not begun again.
//! - *Expired but not collected*: a cancel looks in the wheel for what is in the buffer. It is no
//!   longer armed, and cancelling it does nothing.
//! - *A full timeout instead of the rest*, when a refreshed timer comes up: it is filed at the
//!   deadline it has.
//! - *Waking for nothing*, for ever: a next deadline that has passed while nothing is due. Every turn
//!   to it makes progress.
//! - *Falling behind*: one tick per call, or one step per tick jumped over. A turn goes to the
//!   present, from one occupied slot to the next.
//! - *Leaks*: closed connections stay until their slot comes up, and more of them than there are
//!   connections. An index has one entry.
//! - *The stalled loop*, which finds everybody silent although their heartbeats wait in its sockets:
//!   not the wheel's to mend but its owner's, see [the detector](crate::detector).
//!
//! # Example
//!
//! ```
//! use ringbeat::units::Tick;
//! use ringbeat::wheel::Wheel;
//!
//! let mut wheel = Wheel::with_capacity(2, Tick(0));
//! wheel.arm(0, Tick(1_000));
//! wheel.arm(1, Tick(1_000));
//! wheel.refresh(1, Tick(1_400)); // a heartbeat
//!
//! let mut expired = Vec::new();
//! let turn = wheel.turn_to(Tick(1_100), usize::MAX, &mut expired);
//! assert_eq!(expired, [0]);
//! assert_eq!(turn.visited, 2); // connection 1 was met at 1,000 and filed at 1,400
//! assert_eq!(turn.next_deadline, Some(Tick(1_400)));
//! ```

#![forbid(unsafe_code)]

mod bags;
mod bitmap;
mod layout;
mod level;
mod occupancy;
mod sweep;
#[cfg(test)]
mod tests;
mod timers;

pub use sweep::Sweep;
pub use timers::{Timers, TimersKind};

use crate::units::Tick;
use bags::{Bags, Taken};
use level::COARSE_LEVELS;
use std::fmt;

/// How far in the past a deadline is remembered exactly, in ticks; older ones are stored as this
/// old.
const OLDEST: i32 = 1 << 30;

/// Entries that are looked at together: enough for their cache misses to overlap.
const BATCH: usize = 32;

/// A hierarchical timing wheel over connection indices. See the [module](self) for how it works.
pub struct Wheel {
    bags: Bags,
    /// The next tick to process.
    cursor: Tick,
    /// The next tick at which an entry is visited.
    next: Option<Tick>,
    /// Whether an entry of the cursor's tick has been visited already.
    begun: bool,
    armed: usize,
    /// Ticks processed, for the test that empty ones are jumped over.
    #[cfg(test)]
    processed: u64,
}

/// What one [`Wheel::turn_to`] or [`Sweep::turn_to`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Entries looked at: expired, filed again, or dropped because their timer was cancelled. In a
    /// sweep, which looks at everything, the expired ones alone.
    pub visited: usize,
    /// Indices appended to the caller's buffer.
    pub expired: usize,
    /// The budget ran out before the tick asked for was reached; turn again to go on.
    pub pending: bool,
    /// See [`Wheel::next_deadline`].
    pub next_deadline: Option<Tick>,
}

impl Wheel {
    /// An empty wheel whose next tick to process is `now`.
    #[must_use]
    pub fn new(now: Tick) -> Self {
        Self::with_capacity(0, now)
    }

    /// An empty wheel whose next tick to process is `now`, with memory for exactly the indices
    /// below `capacity`. Larger indices may be armed too; everything is then filed anew in memory
    /// for at least twice as many.
    #[must_use]
    pub fn with_capacity(capacity: u32, now: Tick) -> Self {
        Self {
            bags: Bags::with_capacity(capacity as usize),
            cursor: now,
            next: None,
            begun: false,
            armed: 0,
            #[cfg(test)]
            processed: 0,
        }
    }

    /// Lets `index` expire at `deadline`, whether it was armed before, and for earlier or later, or
    /// not.
    ///
    /// A deadline that has passed, or whose tick has begun, is due at the next tick. A deadline
    /// 2^31 ticks or more ahead counts as passed. O(1): a store when an entry is there already that
    /// is visited in time, otherwise the entry is moved.
    ///
    /// # Panics
    /// If `index` is 2^30 or more.
    pub fn arm(&mut self, index: u32, deadline: Tick) {
        self.bags.admit(index);
        let stored = if deadline.since(self.cursor) < -OLDEST {
            Tick(self.cursor.0.wrapping_add_signed(-OLDEST))
        } else {
            deadline
        };
        self.armed += usize::from(self.bags.set_armed(index, stored));
        let wanted = later(stored, self.earliest());
        if let Some(slot) = self.bags.slot(index) {
            if level::visit(slot, self.cursor).since(wanted) <= 0 {
                return;
            }
            self.unfile(index);
        }
        self.file(index, wanted);
    }

    /// Moves the deadline of `index` to `deadline`, which must not be earlier than the one it has;
    /// that is what [`Wheel::arm`] is for. Does nothing to a timer that is not armed. O(1): one
    /// store.
    ///
    /// # Panics
    /// In debug builds, if the deadline of an armed timer would move earlier. In release builds the
    /// timer then expires between the two.
    #[inline]
    pub fn refresh(&mut self, index: u32, deadline: Tick) {
        debug_assert!(
            self.deadline(index)
                .is_none_or(|stored| deadline.since(stored) >= 0),
            "refresh moves the deadline of {index} from {:?} back to {}",
            self.deadline(index),
            deadline.0
        );
        self.bags.set_deadline(index, deadline);
    }

    /// Forgets the deadline of `index` and returns whether it was armed. The entry stays in its slot
    /// until visited or inherited. O(1): one store.
    pub fn cancel(&mut self, index: u32) -> bool {
        let was_armed = self.bags.clear_armed(index);
        self.armed -= usize::from(was_armed);
        was_armed
    }

    /// The deadline of `index` as it was set, `None` when it is not armed. O(1).
    #[must_use]
    pub fn deadline(&self, index: u32) -> Option<Tick> {
        let deadline = self.bags.deadline(index);
        deadline.filter(|_| self.bags.is_armed(index))
    }

    /// Processes every tick up to and including `now`, visiting at most `budget` entries, and
    /// appends to `expired` the indices whose deadline has come, earlier ticks first. An expired
    /// index is no longer armed.
    ///
    /// When the budget runs out the rest waits, [`Turn::pending`] says so, and the next call goes
    /// on from there; timers may be armed, refreshed and cancelled in between. A `now` before the
    /// last one does nothing. `now` must be less than 2^31 ticks ahead. O(occupied slots passed +
    /// entries visited).
    #[inline]
    pub fn turn_to(&mut self, now: Tick, budget: usize, expired: &mut Vec<u32>) -> Turn {
        let (already, mut left) = (expired.len(), budget);
        if self.comes_up_by(now) {
            self.process_to(now, &mut left, expired);
        }
        if !self.comes_up_by(now) && now.since(self.cursor) >= 0 {
            self.move_to(now.after(1));
        }
        Turn {
            visited: budget - left,
            expired: expired.len() - already,
            pending: now.since(self.cursor) >= 0,
            next_deadline: self.next_deadline(),
        }
    }

    /// No timer expires before this tick; `None` when none is armed. The tick may turn out to
    /// expire nothing, because a refreshed timer was filed again, a long one moved down a level, or
    /// a cancelled one dropped, but every turn to it makes progress. Never earlier than the next
    /// tick to process. O(1).
    #[must_use]
    #[inline]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.next.filter(|_| self.armed > 0)
    }

    /// The next tick at which an entry is visited, that of a cancelled timer too. O(1).
    #[must_use]
    pub(crate) const fn next_visit(&self) -> Option<Tick> {
        self.next
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

    /// Bytes the wheel occupies, its heap memory included, whether used or reserved.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bags.heap_bytes()
    }

    /// Walks the whole wheel and checks that it is sound: places, occupancy, counts, and that every
    /// entry is in a slot that comes up no later than the entry must be visited. For tests. O(slots
    /// + indices).
    ///
    /// # Panics
    /// If it is not.
    #[cfg(any(test, debug_assertions))]
    pub fn check_invariants(&self) {
        let armed = self.bags.check(|index, slot| {
            let visit = level::visit(slot, self.cursor);
            if let Some(deadline) = self.deadline(index) {
                let next = self.cursor.after(1);
                assert!(
                    visit.since(later(deadline, next)) <= 0,
                    "entry {index} is visited at {visit:?}, its deadline is {deadline:?}"
                );
            }
        });
        assert_eq!(armed, self.armed, "armed timers");
        assert_eq!(self.next, self.soonest(), "the next visit");
    }

    /// The earliest tick at which something new can be due.
    fn earliest(&self) -> Tick {
        self.cursor.after(u32::from(self.begun))
    }

    /// The next visit, found anew.
    fn soonest(&self) -> Option<Tick> {
        self.bags.occupancy().next_visit(self.cursor)
    }

    /// Whether an entry is to be visited at `now` or before.
    #[inline]
    fn comes_up_by(&self, now: Tick) -> bool {
        self.next.is_some_and(|next| next.since(now) <= 0)
    }

    #[inline]
    fn move_to(&mut self, tick: Tick) {
        if tick != self.cursor {
            self.cursor = tick;
            self.begun = false;
        }
    }

    /// Files an entry that is in no slot. `due` is not before the cursor.
    fn file(&mut self, index: u32, due: Tick) {
        let place = level::place(due, self.cursor);
        self.bags.file(index, place.slot);
        if self.next.is_none_or(|next| place.visit.since(next) < 0) {
            self.next = Some(place.visit);
        }
    }

    /// Takes an entry out of its slot.
    fn unfile(&mut self, index: u32) {
        let emptied = self.bags.unfile(index);
        if emptied.is_some_and(|slot| self.next == Some(level::visit(slot, self.cursor))) {
            self.next = self.soonest();
        }
    }

    /// Processes what comes up by `now`, while the budget lasts.
    #[inline(never)]
    fn process_to(&mut self, now: Tick, budget: &mut usize, expired: &mut Vec<u32>) {
        while let Some(tick) = self.next.filter(|next| next.since(now) <= 0)
            && *budget > 0
        {
            self.move_to(tick);
            if self.process(budget, expired) {
                self.move_to(tick.after(1));
            }
            self.next = self.soonest();
        }
    }

    /// Visits the entries that come up at the cursor's tick. Returns whether that was all of them.
    fn process(&mut self, budget: &mut usize, expired: &mut Vec<u32>) -> bool {
        #[cfg(test)]
        {
            self.processed += 1;
        }
        let tick = self.cursor;
        self.begun = true;
        for level in (0..COARSE_LEVELS).rev() {
            if level::begins_window(level, tick)
                && !self.drain(level::coarse_slot(level, tick), budget, expired)
            {
                return false;
            }
        }
        self.drain(level::fine_slot(tick), budget, expired)
    }

    /// Visits the entries of `slot`, which has come up. Returns whether it is empty now.
    ///
    /// Nothing visited goes back into this slot: it expires, or its deadline is later and so, by
    /// the strict comparison in [`level::place`], is filed in another slot.
    fn drain(&mut self, slot: u32, budget: &mut usize, expired: &mut Vec<u32>) -> bool {
        let mut batch = [Taken::NONE; BATCH];
        while *budget > 0 {
            let room = BATCH.min(*budget);
            let count = self.bags.take(slot, &mut batch[..room]);
            if count == 0 {
                return true;
            }
            *budget -= count;
            self.visit(&batch[..count], slot, expired);
        }
        self.bags.is_empty(slot)
    }

    /// Expires, files again or drops the entries of a batch taken from `slot`.
    fn visit(&mut self, batch: &[Taken], slot: u32, expired: &mut Vec<u32>) {
        let (cursor, armed) = (self.cursor, &mut self.armed);
        self.bags.settle(batch, |taken| {
            if taken.is_armed() && taken.deadline.since(cursor) > 0 {
                let place = level::place(taken.deadline, cursor);
                debug_assert_ne!(place.slot, slot, "filed into the slot it came from");
                return Some(place.slot);
            }
            if taken.is_armed() {
                *armed -= 1;
                expired.push(taken.index());
            }
            None
        });
    }
}

impl fmt::Debug for Wheel {
    /// The wheel's state, without its thousands of slots.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("cursor", &self.cursor)
            .field("armed", &self.armed)
            .field("next_visit", &self.next)
            .finish_non_exhaustive()
    }
}

/// The later of two ticks less than 2^31 apart.
const fn later(one: Tick, other: Tick) -> Tick {
    if one.since(other) >= 0 { one } else { other }
}
