//! The failure detector: which peers have been silent for too long.
//!
//! Does not read a clock, send or close anything, or know sockets: instants and connection indices
//! go in, verdicts come out. Units: [`Nanos`] at this surface, ticks of the [`TickClock`] beneath.
//! Time base: the caller's monotonic clock, the same for every call. Allocation: that of the
//! [`Timers`], at construction.
//!
//! # Promises
//!
//! A verdict is never early: deadlines round up to a tick, the present rounds down. It is late by
//! less than one tick with a [wheel](TimersKind::Wheel) and by less than one period with a
//! [sweep](TimersKind::Sweep), plus however late the owner turns the detector;
//! [`Detector::turn_to`] reports that.
//!
//! # Order of a loop
//!
//! Wait, read the clock once, stamp every heartbeat that has arrived with [`Detector::heard`], then
//! turn. A loop that was stalled finds heartbeats waiting in its sockets; as they are stamped
//! before the turn, the stall kills nobody. Turning first would be a structural false suspicion.
//! Stamp with a clock read *after* the wait: an older one shortens the silence allowed.
//!
//! ```
//! use ringbeat::detector::Detector;
//! use ringbeat::units::{Nanos, TickClock};
//! use ringbeat::wheel::TimersKind;
//!
//! let start = Nanos::from_secs(100);
//! let clock = TickClock::new(start, Nanos::from_millis(8));
//! let kind = TimersKind::Wheel;
//! let mut detector = Detector::new(kind, 2, clock, Nanos::from_secs(9), start);
//! detector.watch(0, start);
//! detector.watch(1, start);
//! detector.heard(1, Nanos::from_secs(103));
//!
//! let mut verdicts = Vec::new();
//! detector.turn_to(Nanos::from_secs(110), usize::MAX, &mut verdicts, |_late, _count| ());
//! assert_eq!(verdicts, [0]);
//! ```

#![forbid(unsafe_code)]

use crate::units::{Nanos, Tick, TickClock};
use crate::wheel::{Timers, TimersKind, Turn};

/// Deadlines are cut to this many ticks ahead, half of what the timers can tell apart: 99 days at 8
/// ms.
const HORIZON_TICKS: u64 = 1 << 30;

/// Watches connections by index and gives a verdict on each that stays silent past its deadline.
/// See the [module](self).
#[derive(Debug)]
pub struct Detector {
    timers: Timers,
    clock: TickClock,
    timeout: Nanos,
    horizon: Nanos,
    /// The latest instant turned to.
    turned: Nanos,
    /// Where `now + timeout` fell last.
    recent: Span,
}

/// A deadline tick and the instants that round up to it: after `after`, up to and including
/// `until`.
#[derive(Clone, Copy, Debug)]
struct Span {
    after: Nanos,
    until: Nanos,
    tick: Tick,
}

impl Detector {
    /// A detector that keeps its deadlines in timers of `kind` and gives a verdict after a silence
    /// of `timeout`, with memory for the connection indices below `capacity` (see
    /// [`Timers::with_capacity`]), at the present `now`.
    ///
    /// A timeout of more than 2^30 ticks is cut to that.
    #[must_use]
    pub fn new(
        kind: TimersKind,
        capacity: u32,
        clock: TickClock,
        timeout: Nanos,
        now: Nanos,
    ) -> Self {
        // A quarter of the range keeps every sum below from overflowing.
        let horizon = clock.tick().0.saturating_mul(HORIZON_TICKS);
        let horizon = Nanos(horizon.min(u64::MAX / 4));
        let timeout = timeout.min(horizon);
        Self {
            timers: Timers::with_capacity(kind, capacity, clock.floor(now)),
            recent: Span::around(&clock, now + timeout),
            clock,
            timeout,
            horizon,
            turned: now,
        }
    }

    /// Begins to watch `index`: a verdict is due after a silence of the timeout from `now` on. An
    /// index watched already starts over. O(1).
    ///
    /// # Panics
    /// If `index` is 2^30 or more.
    pub fn watch(&mut self, index: u32, now: Nanos) {
        let deadline = self.after_timeout(now);
        self.timers.arm(index, deadline);
    }

    /// A sign of life from `index` at `now`: its deadline becomes `now` plus the timeout. Does
    /// nothing when the index is not watched, so a heartbeat that arrives after the verdict changes
    /// nothing. O(1): one store, and no division unless `now` has entered another tick since the
    /// last call.
    ///
    /// # Panics
    /// In debug builds, if this would move the deadline earlier: `now` went backwards, or
    /// [`Detector::expect_by`] had set a later one, which only `expect_by` and [`Detector::watch`]
    /// may shorten. In release builds the verdict then falls between the two.
    pub fn heard(&mut self, index: u32, now: Nanos) {
        let deadline = self.after_timeout(now);
        self.timers.refresh(index, deadline);
    }

    /// Lets the verdict on `index` be due at `deadline`, earlier or later than before, and watches
    /// the index if it was not. A deadline that has passed is due at the next tick; one more than
    /// 2^30 ticks after the last turn is cut to that. O(1).
    ///
    /// # Panics
    /// If `index` is 2^30 or more.
    pub fn expect_by(&mut self, index: u32, deadline: Nanos) {
        let nearest = deadline.max(self.turned);
        let deadline = nearest.min(self.turned + self.horizon);
        self.timers.arm(index, self.clock.ceil(deadline));
    }

    /// Stops watching `index`: its connection was closed. The index may be watched again at once.
    /// O(1).
    pub fn forget(&mut self, index: u32) {
        self.timers.cancel(index);
    }

    /// Processes every tick that has begun by `now`, visiting at most `budget` entries, and appends
    /// to `verdicts` the indices that are dead, earlier deadlines first. They are no longer
    /// watched.
    ///
    /// `lateness` is called with how long after its tick's own instant `now` is, and for how many
    /// entries: with a wheel for every tick at which entries were visited, with a sweep for every
    /// verdict (see [`Timers::turn_to`]). [`Turn::pending`] says that the budget ran out; the next
    /// call goes on from there. A `now` before the last one does nothing. O(occupied ticks +
    /// entries visited) with a wheel, O(indices / period) with a sweep.
    pub fn turn_to(
        &mut self,
        now: Nanos,
        budget: usize,
        verdicts: &mut Vec<u32>,
        mut lateness: impl FnMut(Nanos, u64),
    ) -> Turn {
        if now < self.turned {
            let next_deadline = self.timers.next_deadline();
            return Turn {
                next_deadline,
                ..Turn::default()
            };
        }
        self.turned = now;
        let last = self.clock.floor(now);
        let into_last = now - self.clock.instant(last, now);
        let tick = self.clock.tick();
        self.timers
            .turn_to(last, budget, verdicts, |behind, count| {
                lateness(into_last + Nanos(u64::from(behind) * tick.0), count);
            })
    }

    /// No verdict falls before this instant; `None` when nothing is watched. `now` is the present,
    /// to tell laps of the tick apart. It may turn out to bring no verdict, but every turn to it
    /// makes progress. O(1).
    #[must_use]
    pub fn next_deadline(&self, now: Nanos) -> Option<Nanos> {
        let tick = self.timers.next_deadline()?;
        Some(self.clock.instant(tick, now))
    }

    /// How many indices are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no index is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Bytes the detector occupies, its heap memory included, whether used or reserved.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Timers>() + self.timers.memory_bytes()
    }

    /// The deadline tick of something heard at `now`. Divides only when that is another tick than
    /// last time's.
    fn after_timeout(&mut self, now: Nanos) -> Tick {
        let deadline = now + self.timeout;
        if deadline <= self.recent.after || deadline > self.recent.until {
            self.recent = Span::around(&self.clock, deadline);
        }
        self.recent.tick
    }
}

impl Span {
    /// The span that holds `deadline`.
    fn around(clock: &TickClock, deadline: Nanos) -> Self {
        let tick = clock.ceil(deadline);
        let until = clock.instant(tick, deadline);
        Self {
            after: until - clock.tick(),
            until,
            tick,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const TICK: Nanos = Nanos::from_millis(8);
    const TIMEOUT: Nanos = Nanos(9_000_000_123);

    #[derive(Clone, Debug)]
    enum Operation {
        Watch(u32),
        Heard(u32),
        ExpectBy(u32, i64),
        Forget(u32),
        /// Let this many nanoseconds pass, turned every tick.
        Pass(u64),
        /// Let this many nanoseconds pass unturned, then hear everyone, then turn.
        Stall(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let index = || 0..8_u32;
        let delay = prop_oneof![-20_000_000..40_000_000_i64, 0..30_000_000_000_i64];
        prop_oneof![
            3 => index().prop_map(Operation::Watch),
            6 => index().prop_map(Operation::Heard),
            1 => (index(), delay).prop_map(|(index, delay)| Operation::ExpectBy(index, delay)),
            2 => index().prop_map(Operation::Forget),
            3 => (0..20_000_000_u64).prop_map(Operation::Pass),
            3 => (0..5_000_000_000_u64).prop_map(Operation::Pass),
            1 => (0..60_000_000_000_u64).prop_map(Operation::Stall),
        ]
    }

    /// The detector beside a map of deadlines in nanoseconds.
    struct Pair {
        detector: Detector,
        deadlines: BTreeMap<u32, Nanos>,
        now: Nanos,
        /// How late a verdict may be when the detector is turned every tick; never as late as this.
        bound: Nanos,
    }

    impl Pair {
        fn new(kind: TimersKind, origin: Nanos, now: Nanos) -> Self {
            let ticks = match kind {
                TimersKind::Wheel => 1,
                // One more for the tick number that the sweep cannot store.
                TimersKind::Sweep { period } => u64::from(period) + 1,
            };
            let clock = TickClock::new(origin, TICK);
            Self {
                detector: Detector::new(kind, 8, clock, TIMEOUT, now),
                deadlines: BTreeMap::new(),
                now,
                bound: Nanos(ticks * TICK.0),
            }
        }

        fn apply(&mut self, operation: &Operation) {
            match *operation {
                Operation::Watch(index) => {
                    self.detector.watch(index, self.now);
                    self.deadlines.insert(index, self.now + TIMEOUT);
                }
                Operation::Heard(index) => self.hear(index),
                Operation::ExpectBy(index, delay) => {
                    let deadline = Nanos(self.now.0.saturating_add_signed(delay));
                    self.detector.expect_by(index, deadline);
                    self.deadlines.insert(index, deadline.max(self.now));
                }
                Operation::Forget(index) => {
                    self.detector.forget(index);
                    self.deadlines.remove(&index);
                }
                Operation::Pass(nanos) => {
                    let end = self.now + Nanos(nanos);
                    while self.now < end {
                        self.now = end.min(self.now + TICK);
                        self.turn(TICK);
                    }
                }
                Operation::Stall(nanos) => {
                    self.now += Nanos(nanos);
                    (0..8).for_each(|index| self.hear(index));
                    let watched = self.deadlines.len();
                    self.turn(Nanos(nanos));
                    let alive = self.deadlines.values().filter(|&&due| due > self.now);
                    assert_eq!(alive.count(), self.deadlines.len());
                    assert_eq!(watched, self.deadlines.len(), "a stall killed a live peer");
                }
            }
            assert_eq!(self.detector.len(), self.deadlines.len());
            let next = self.detector.next_deadline(self.now);
            let first = self.deadlines.values().min().copied();
            assert_eq!(next.is_some(), first.is_some());
            if let (Some(next), Some(first)) = (next, first) {
                assert!(
                    next < first.max(self.now) + TICK,
                    "next deadline is too late"
                );
            }
        }

        /// Skips what the contract forbids: an earlier deadline than the one set by hand.
        fn hear(&mut self, index: u32) {
            let deadline = self.now + TIMEOUT;
            match self.deadlines.get_mut(&index) {
                Some(due) if *due > deadline => {}
                Some(due) => {
                    *due = deadline;
                    self.detector.heard(index, self.now);
                }
                None => self.detector.heard(index, self.now),
            }
        }

        fn turn(&mut self, since_last: Nanos) {
            let mut verdicts = Vec::new();
            let mut counted = 0;
            let (now, bound) = (self.now, self.bound);
            let late = |late: Nanos, count: u64| {
                assert!(late < since_last + bound, "late by {late:?}");
                counted += count;
            };
            let turn = self.detector.turn_to(now, usize::MAX, &mut verdicts, late);
            assert_eq!(turn.visited as u64, counted);
            assert_eq!(turn.expired, verdicts.len());
            assert!(!turn.pending);
            for index in verdicts {
                let deadline = self.deadlines.remove(&index).expect("verdict on nobody");
                assert!(deadline <= now, "early");
            }
            for (index, &deadline) in &self.deadlines {
                assert!(now < deadline + bound, "{index} is late");
            }
        }
    }

    proptest! {
        #[test]
        fn verdicts_are_never_early_and_less_than_a_tick_or_period_late(
            kind in prop_oneof![
                Just(TimersKind::Wheel),
                (1..20_u32).prop_map(|period| TimersKind::Sweep { period }),
            ],
            origin in 0..50_000_000_u64,
            uptime in prop_oneof![
                0..100_000_000_u64,
                Just(((1 << 32) - 300) * TICK.0), // the tick wraps on the way
                Just(((1 << 31) + 5) * TICK.0 + 3),
            ],
            operations in prop::collection::vec(operation(), 1..60),
        ) {
            let mut pair = Pair::new(kind, Nanos(origin), Nanos(origin + uptime));
            for operation in &operations {
                pair.apply(operation);
            }
        }

        #[test]
        fn a_cached_deadline_is_the_computed_one(
            origin in 0..1_000_u64,
            tick in 1..50_u64,
            steps in prop::collection::vec(0..120_u64, 1..50),
        ) {
            let clock = TickClock::new(Nanos(origin), Nanos(tick));
            let mut now = Nanos::ZERO;
            let mut detector = Detector::new(TimersKind::Wheel, 0, clock, Nanos(77), now);
            for step in steps {
                now += Nanos(step);
                prop_assert_eq!(detector.after_timeout(now), clock.ceil(now + Nanos(77)));
            }
        }
    }

    #[test]
    fn lateness_is_reported_for_each_tick_within_the_budget() {
        let clock = TickClock::new(Nanos(0), Nanos(10));
        let mut detector = Detector::new(TimersKind::Wheel, 4, clock, Nanos(100), Nanos(0));
        detector.expect_by(0, Nanos(20));
        detector.expect_by(1, Nanos(20));
        detector.expect_by(2, Nanos(41));
        detector.expect_by(3, Nanos(95));
        let (mut verdicts, mut late) = (Vec::new(), Vec::new());
        let mut turn = |budget| {
            let report = |nanos: Nanos, count| late.push((nanos.0, count));
            detector.turn_to(Nanos(73), budget, &mut verdicts, report)
        };
        assert!(turn(1).pending);
        let rest = turn(2);
        assert_eq!((rest.pending, rest.visited), (false, 2));
        assert_eq!(rest.next_deadline, Some(Tick(10)));
        assert_eq!(late, [(53, 1), (53, 1), (23, 1)]);
        verdicts[..2].sort_unstable();
        assert_eq!(verdicts, [0, 1, 2]);
    }

    #[test]
    fn a_reused_index_keeps_nothing_of_its_predecessor() {
        let start = Nanos::from_secs(1);
        let clock = TickClock::new(start, TICK);
        let mut detector = Detector::new(TimersKind::Wheel, 1, clock, Nanos::from_secs(9), start);
        detector.watch(0, start);
        detector.forget(0);
        assert!(detector.is_empty());
        assert_eq!(detector.next_deadline(start), None);
        detector.heard(0, Nanos::from_secs(2)); // a late frame of the closed connection
        detector.watch(0, Nanos::from_secs(5));
        let mut verdicts = Vec::new();
        detector.turn_to(Nanos(13_999_999_999), usize::MAX, &mut verdicts, |_, _| ());
        assert!(verdicts.is_empty());
        let end = Nanos::from_secs(14) + TICK;
        detector.turn_to(end, usize::MAX, &mut verdicts, |_, _| ());
        assert_eq!(verdicts, [0]);
    }

    #[test]
    fn endless_timeouts_and_ancient_deadlines_are_cut_and_not_wrapped() {
        let sweep = TimersKind::Sweep { period: 9 };
        for (tick, kind) in [
            (Nanos(1), TimersKind::Wheel),
            (TICK, TimersKind::Wheel),
            (TICK, sweep),
            (Nanos::from_secs(1), TimersKind::Wheel),
            (Nanos::from_secs(1), sweep),
        ] {
            let start = Nanos(((1 << 31) + 9) * tick.0);
            let clock = TickClock::new(Nanos(0), tick);
            let mut detector = Detector::new(kind, 3, clock, Nanos(u64::MAX), start);
            detector.watch(0, start);
            detector.expect_by(1, Nanos(u64::MAX));
            detector.expect_by(2, Nanos(0));
            let mut verdicts = Vec::new();
            let soon = start + Nanos(tick.0 * 1_000_000);
            detector.turn_to(soon, usize::MAX, &mut verdicts, |_, _| ());
            assert_eq!(verdicts, [2]);
            detector.turn_to(Nanos(3), usize::MAX, &mut verdicts, |_, _| ());
            assert_eq!((verdicts.len(), detector.len()), (1, 2));
        }
    }

    #[test]
    fn memory_is_sixteen_bytes_an_index_and_a_constant() {
        let clock = TickClock::new(Nanos(0), TICK);
        let detector = Detector::new(TimersKind::Wheel, 100_000, clock, TIMEOUT, Nanos(0));
        assert!(detector.memory_bytes() <= 16 * 100_000 + 64 * 1024);
    }
}
