//! A wheel beside a sorted list that knows what it should do, checked at every step.
//!
//! Counts in `u64` ticks that never wrap; the wheel sees their lower 32 bits.

use super::super::Wheel;
use crate::units::Tick;
use std::collections::BTreeMap;

#[expect(clippy::cast_possible_truncation, reason = "ticks wrap by design")]
pub(super) fn tick(absolute: u64) -> Tick {
    Tick(absolute as u32)
}

/// What the oracle knows of one armed timer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    pub(super) deadline: u64,
    /// The tick that was next when it was armed: it is not due before.
    pub(super) floor: u64,
    /// Armed in a tick already begun: it may have inherited an entry due in that tick.
    pub(super) inexact: bool,
}

impl Armed {
    pub(super) fn due(self) -> u64 {
        self.deadline.max(self.floor)
    }
}

/// A wheel and its oracle.
pub(super) struct Pair {
    pub(super) wheel: Wheel,
    pub(super) timers: BTreeMap<u32, Armed>,
    /// Latest tick turned to, or the one before the start.
    pub(super) now: u64,
    pub(super) expired: Vec<u32>,
}

impl Pair {
    pub(super) fn new(start: u64) -> Self {
        Self {
            wheel: Wheel::new(tick(start)),
            timers: BTreeMap::new(),
            now: start - 1,
            expired: Vec::new(),
        }
    }

    /// The wheel's cursor on the oracle's scale: it never lies after `now + 1`.
    pub(super) fn cursor(&self) -> u64 {
        let behind = tick(self.now + 1).since(self.wheel.cursor);
        self.now + 1 - u64::from(behind.unsigned_abs())
    }

    pub(super) fn arm(&mut self, index: u32, deadline: u64) {
        let floor = self.cursor() + u64::from(self.wheel.begun);
        self.wheel.arm(index, tick(deadline));
        let armed = Armed {
            deadline,
            floor,
            inexact: self.wheel.begun,
        };
        self.timers.insert(index, armed);
        assert_eq!(self.wheel.deadline(index), Some(tick(deadline)));
    }

    pub(super) fn refresh(&mut self, index: u32, extra: u64) {
        let deadline = match self.timers.get_mut(&index) {
            Some(armed) => {
                // Repeated refreshes must stay within the wheel's 2^31 ticks.
                let farthest = self.now + (1 << 30);
                armed.deadline = (armed.deadline + extra).min(farthest.max(armed.deadline));
                armed.deadline
            }
            None => self.now + extra,
        };
        self.wheel.refresh(index, tick(deadline));
        let kept = self.timers.get(&index).map(|armed| tick(armed.deadline));
        assert_eq!(self.wheel.deadline(index), kept);
    }

    pub(super) fn retire(&mut self, index: u32) {
        self.wheel.retire(index);
        self.timers.remove(&index);
    }

    pub(super) fn cancel(&mut self, index: u32) {
        let was_armed = self.timers.remove(&index).is_some();
        assert_eq!(self.wheel.cancel(index), was_armed);
        assert!(!self.wheel.cancel(index), "cancelling twice");
    }

    /// Turns once and checks what expired; returns whether work is left.
    pub(super) fn turn(&mut self, now: u64, budget: usize) -> bool {
        let before = self.expired.len();
        let turn = self.wheel.turn_to(tick(now), budget, &mut self.expired);
        assert!(turn.visited <= budget);
        assert_eq!(turn.expired, self.expired.len() - before);
        assert_eq!(turn.next_deadline, self.wheel.next_deadline());
        let backwards = now < self.now;
        self.now = self.now.max(now);
        let mut latest = 0;
        for index in &self.expired[before..] {
            let armed = self.timers.remove(index).expect("expired but not armed");
            assert!(armed.deadline <= now, "{index} expired early");
            assert!(
                armed.due() >= latest || armed.inexact,
                "{index} out of order"
            );
            if !armed.inexact {
                latest = armed.due();
            }
        }
        if !turn.pending && !backwards {
            let late = self.timers.iter().find(|(_, armed)| armed.due() <= now);
            assert_eq!(late.map(|(index, _)| index), None, "late at {now}");
        }
        turn.pending
    }

    pub(super) fn check(&self) {
        self.wheel.check_invariants();
        assert_eq!(self.wheel.len(), self.timers.len());
        assert_eq!(self.wheel.is_empty(), self.timers.is_empty());
        let next = self.wheel.next_deadline();
        assert_eq!(next.is_none(), self.timers.is_empty());
        if let Some(next) = next {
            assert!(
                next.since(self.wheel.cursor) >= 0,
                "next deadline has passed"
            );
            let first = self.timers.values().map(|armed| armed.due()).min();
            let first = first.expect("not empty");
            assert!(next.since(tick(first)) <= 0, "next deadline is too late");
        }
    }
}
