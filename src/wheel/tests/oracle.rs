//! Timers beside a sorted list that knows what they should do, checked at every step.
//!
//! Counts in nanoseconds, and in `u64` ticks that never wrap; the timers see their lower 32 bits. The
//! oracle is eager: a refresh moves its entry at once.

use crate::units::{Nanos, Tick, TickClock};
use crate::wheel::{Timers, TimersKind};
use std::collections::{BTreeSet, HashMap};

/// Instant of tick 0.
const ORIGIN: Nanos = Nanos(777);
/// What the timers remember exactly of the past, and the farthest that tests look ahead, in ticks.
const EXACT: u64 = 1 << 30;

/// What the oracle knows of one armed timer.
#[derive(Clone, Copy, Debug)]
struct Armed {
    deadline: Nanos,
    /// The tick at which it must expire, or from which a sweep has one period.
    due: u64,
    /// The tick that was next when it was armed: it is not due before.
    floor: u64,
    /// Armed while a turn was pending: it may be due in that turn already.
    inexact: bool,
}

/// Timers and their oracle.
pub(super) struct World {
    pub(super) timers: Timers,
    pub(super) clock: TickClock,
    kind: TimersKind,
    armed: HashMap<u32, Armed>,
    due: BTreeSet<(u64, u32)>,
    /// The latest instant turned to, or the one of the start.
    pub(super) now: Nanos,
    /// The next tick to process once nothing is pending.
    next: u64,
    pub(super) pending: bool,
    /// What expired and was not taken yet.
    pub(super) expired: Vec<u32>,
    /// Slices the last [`World::finish`] took.
    pub(super) slices: usize,
}

impl World {
    /// Ticks of `tick` nanoseconds, of which `start` have passed, and `into` nanoseconds.
    pub(super) fn new(kind: TimersKind, tick: u64, start: u64, into: u64) -> Self {
        let clock = TickClock::new(ORIGIN, Nanos(tick));
        let now = Nanos(ORIGIN.0 + start * tick + into % tick);
        Self {
            timers: Timers::with_capacity(kind, 0, clock.floor(now)),
            clock,
            kind,
            armed: HashMap::new(),
            due: BTreeSet::new(),
            now,
            next: start,
            pending: false,
            expired: Vec::new(),
            slices: 0,
        }
    }

    /// One tick, one nanosecond: for tests that think in ticks.
    pub(super) fn plain(kind: TimersKind, start: u64) -> Self {
        Self::new(kind, 1, start, 0)
    }

    /// The instant at which `tick` begins.
    pub(super) fn at(&self, tick: u64) -> Nanos {
        Nanos(ORIGIN.0 + tick * self.clock.tick().0)
    }

    /// The tick that has begun at `now`.
    pub(super) fn floor(&self, now: Nanos) -> u64 {
        (now - ORIGIN).0 / self.clock.tick().0
    }

    fn ceil(&self, deadline: Nanos) -> u64 {
        let tick = (deadline - ORIGIN).0.div_ceil(self.clock.tick().0);
        let unstorable = matches!(self.kind, TimersKind::Sweep { .. }) && low(tick).0 == u32::MAX;
        tick + u64::from(unstorable)
    }

    /// How many ticks late a timer may be.
    pub(super) fn slack(&self) -> u64 {
        self.kind.slack().into()
    }

    pub(super) fn len(&self) -> usize {
        self.armed.len()
    }

    /// The latest deadline armed, or the present.
    pub(super) fn end(&self) -> Nanos {
        let latest = self.armed.values().map(|armed| armed.deadline).max();
        latest.unwrap_or(self.now).max(self.now)
    }

    pub(super) fn arm(&mut self, index: u32, deadline: Nanos) {
        self.timers.arm(index, self.clock.ceil(deadline));
        self.forget(index);
        let tick = self.ceil(deadline);
        let floor = if self.pending {
            self.floor(self.now) + 1
        } else {
            self.next
        };
        let armed = Armed {
            deadline,
            due: tick.max(floor),
            floor,
            inexact: self.pending,
        };
        self.armed.insert(index, armed);
        self.due.insert((armed.due, index));
        if tick + EXACT > self.next {
            assert_eq!(self.timers.deadline(index), Some(low(tick)));
        }
    }

    /// Moves the deadline of `index` by `extra` nanoseconds, if it is armed.
    pub(super) fn refresh(&mut self, index: u32, extra: u64) {
        let Some(mut armed) = self.armed.get(&index).copied() else {
            let late_frame = self.now + Nanos(extra);
            self.timers.refresh(index, self.clock.ceil(late_frame));
            assert_eq!(self.timers.deadline(index), None, "a refresh armed {index}");
            return;
        };
        let farthest = self.at(self.next + EXACT);
        let deadline = armed.deadline + Nanos(extra);
        armed.deadline = deadline.min(farthest.max(armed.deadline));
        self.timers.refresh(index, self.clock.ceil(armed.deadline));
        self.due.remove(&(armed.due, index));
        armed.due = self.ceil(armed.deadline).max(armed.floor);
        self.due.insert((armed.due, index));
        self.armed.insert(index, armed);
    }

    pub(super) fn cancel(&mut self, index: u32) {
        let was_armed = self.forget(index);
        assert_eq!(self.timers.cancel(index), was_armed);
        assert!(!self.timers.cancel(index), "cancelling twice");
        assert_eq!(self.timers.deadline(index), None);
    }

    /// Turns once, checks what expired, and returns whether work is left.
    pub(super) fn turn(&mut self, now: Nanos, budget: usize) -> bool {
        let (already, tick) = (self.expired.len(), self.floor(now));
        let mut told = Vec::new();
        let turn = self.timers.turn_to(
            self.clock.floor(now),
            budget,
            &mut self.expired,
            |behind, count| {
                told.push((behind, count));
            },
        );
        assert!(turn.visited <= budget, "over budget");
        assert_eq!(turn.expired, self.expired.len() - already);
        let counted: u64 = told.iter().map(|(_, count)| count).sum();
        assert_eq!(turn.visited as u64, counted, "lateness told");
        let backwards = tick < self.floor(self.now);
        assert!(!backwards || self.pending || turn.visited == 0, "backwards");
        self.now = self.now.max(now);
        let mut latest = 0;
        for place in already..self.expired.len() {
            let index = self.expired[place];
            let armed = self.armed.remove(&index).expect("expired, not armed");
            self.due.remove(&(armed.due, index));
            assert!(armed.deadline <= now, "{index} expired early");
            assert!(
                armed.inexact || armed.due <= tick,
                "{index} before its tick"
            );
            match self.kind {
                TimersKind::Wheel => {
                    assert!(armed.inexact || armed.due >= latest, "{index} out of order");
                    if !armed.inexact {
                        latest = armed.due;
                    }
                }
                TimersKind::Sweep { .. } => {
                    // Older deadlines are not remembered exactly.
                    let late = tick - self.ceil(armed.deadline);
                    let told = u64::from(told[place - already].0);
                    assert_eq!(told.min(EXACT), late.min(EXACT), "lateness");
                }
            }
        }
        self.pending = turn.pending || (backwards && self.pending);
        if !self.pending && !backwards {
            self.next = tick + 1;
            if let Some((due, index)) = self.due.first() {
                assert!(due + self.slack() > tick, "{index}, due at {due}, is late");
            }
        }
        turn.pending
    }

    /// Turns in slices of `budget` until nothing is pending, checking after each.
    pub(super) fn finish(&mut self, now: Nanos, budget: usize) {
        self.slices = 1;
        while self.turn(now, budget.max(1)) {
            self.check();
            self.slices += 1;
        }
        self.check();
    }

    /// Turns far enough for everything armed to have expired.
    pub(super) fn run_out(&mut self) {
        let last = self.floor(self.end()) + 2 + self.slack();
        let last = last.max(self.next + self.slack());
        self.finish(self.at(last), 3);
        assert!(self.timers.is_empty(), "something never expired");
    }

    /// What expired since the last call.
    pub(super) fn take_expired(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.expired)
    }

    /// The structure, the counts, and the promises of the next deadline.
    pub(super) fn check(&self) {
        self.timers.check_invariants();
        assert_eq!(self.timers.len(), self.armed.len());
        assert_eq!(self.timers.is_empty(), self.armed.is_empty());
        let next = self.timers.next_deadline();
        let first = self.due.first();
        assert_eq!(next.is_none(), first.is_none(), "next deadline of nothing");
        if let (Some(next), Some((first, _))) = (next, first) {
            // What is overdue, in a sweep or a pending turn, expires in the next turn at the earliest.
            let turn = if self.pending {
                self.floor(self.now)
            } else {
                self.next
            };
            let first = (*first).max(turn);
            assert!(next.since(low(first)) <= 0, "next deadline is too late");
            let progress = self.pending || next.since(low(self.next)) >= 0;
            assert!(progress, "next deadline has passed");
        }
    }

    fn forget(&mut self, index: u32) -> bool {
        let armed = self.armed.remove(&index);
        if let Some(armed) = armed {
            self.due.remove(&(armed.due, index));
        }
        armed.is_some()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ticks wrap by design")]
pub(super) fn low(tick: u64) -> Tick {
    Tick(tick as u32)
}
