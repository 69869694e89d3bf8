//! One operation on a whole population, over and over.
//!
//! Does not build anything anew per iteration: the same structure is filled and drained, untimed, so
//! that memory is warm and allocators have settled.

use super::population::{Order, RELAXED, STRICT};
use crate::timers::subject::Timers;
use std::time::{Duration, Instant};

/// So far ahead that billions of ticks are empty: nine hours at 8 ms.
const FAR: u32 = 4_000_000;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Arm,
    Touch,
    Cancel,
    Reschedule,
    ExpireAll,
}

/// A structure that is filled and drained.
pub(crate) struct Cycle<T> {
    timers: T,
    population: u32,
    orders: [Vec<u32>; 2],
    now: u32,
    expired: Vec<u32>,
    filled: bool,
}

impl<T: Timers> Cycle<T> {
    pub(crate) fn new(population: u32, order: Order) -> Self {
        let mut cycle = Self {
            timers: T::new(population, &[STRICT.timeout, RELAXED.timeout]),
            population,
            orders: [order.indices(population, 1), order.indices(population, 2)],
            now: 0,
            expired: Vec::new(),
            filled: false,
        };
        cycle.arm(STRICT.timeout);
        cycle.drain(STRICT.timeout);
        cycle
    }

    fn arm(&mut self, timeout: u32) {
        for &index in &self.orders[0] {
            self.timers.arm(index, self.now, timeout);
        }
    }

    /// Lets everything expire that is still armed.
    fn drain(&mut self, timeout: u32) {
        self.now += timeout + 16;
        self.turn();
        self.expired.clear();
    }

    fn turn(&mut self) {
        self.timers.clock_to(self.now);
        self.timers.turn_to(self.now, &mut self.expired);
    }

    /// One iteration; only what `case` names is timed.
    pub(crate) fn run(&mut self, case: Case) -> Duration {
        match case {
            Case::Arm => {
                let start = Instant::now();
                self.arm(STRICT.timeout);
                let spent = start.elapsed();
                self.drain(STRICT.timeout);
                spent
            }
            Case::Touch => self.touch(),
            Case::Cancel => {
                self.arm(STRICT.timeout);
                let start = Instant::now();
                for &index in &self.orders[1] {
                    self.timers.cancel(index);
                }
                let spent = start.elapsed();
                self.drain(STRICT.timeout);
                spent
            }
            Case::Reschedule => {
                self.arm(RELAXED.timeout);
                let start = Instant::now();
                for &index in &self.orders[1] {
                    let sooner = STRICT.timeout - index % 400;
                    let moved = self.timers.reschedule(index, self.now, sooner);
                    debug_assert!(moved.is_ok(), "asked before");
                }
                let spent = start.elapsed();
                self.drain(RELAXED.timeout);
                spent
            }
            Case::ExpireAll => self.expire_all(),
        }
    }

    /// Everybody beats once; an interval passes before the next round, in another order.
    fn touch(&mut self) -> Duration {
        if !self.filled {
            self.arm(STRICT.timeout);
            self.filled = true;
        }
        self.now += STRICT.interval;
        self.orders.swap(0, 1);
        let start = Instant::now();
        for &index in &self.orders[0] {
            self.timers.touch(index, self.now, STRICT.timeout);
        }
        let spent = start.elapsed();
        self.turn();
        assert!(self.expired.is_empty(), "everybody is alive");
        spent
    }

    /// Armed over one interval, expired in a single turn.
    fn expire_all(&mut self) -> Duration {
        let per_tick = self.population.div_ceil(STRICT.interval) as usize;
        for beating in self.orders[0].chunks(per_tick) {
            self.now += 1;
            for &index in beating {
                self.timers.arm(index, self.now, STRICT.timeout);
            }
        }
        self.now += STRICT.timeout + 16;
        self.timers.clock_to(self.now);
        let start = Instant::now();
        let count = self.timers.turn_to(self.now, &mut self.expired);
        let spent = start.elapsed();
        assert_eq!(count, self.population as usize, "everybody expired");
        self.expired.clear();
        spent
    }
}

/// A structure in which what expires is armed again: the schedule of a sender. The population is
/// spread over one timeout.
pub(crate) struct Rearm<T> {
    timers: T,
    now: u32,
    expired: Vec<u32>,
}

impl<T: Timers> Rearm<T> {
    /// Everybody is armed and has expired once.
    pub(crate) fn new(population: u32, order: Order) -> Self {
        let mut rearm = Self {
            timers: T::new(population, &[STRICT.timeout]),
            now: 0,
            expired: Vec::new(),
        };
        let order = order.indices(population, 1);
        let of = |tick: u32| u64::from(tick) * u64::from(population) / u64::from(STRICT.timeout);
        for tick in 0..STRICT.timeout {
            rearm.run(1);
            for place in of(tick)..of(tick + 1) {
                let index = order[usize::try_from(place).expect("an index")];
                rearm.timers.arm(index, rearm.now, STRICT.timeout);
            }
        }
        rearm.run(u64::from(STRICT.timeout));
        rearm
    }

    /// Times `ticks` turns, and the arming of what they expire.
    pub(crate) fn run(&mut self, ticks: u64) -> Duration {
        if !T::READS_CLOCK {
            let start = Instant::now();
            (0..ticks).for_each(|_| self.tick());
            return start.elapsed();
        }
        let mut spent = Duration::ZERO;
        for _ in 0..ticks {
            self.timers.clock_to(self.now + 1);
            let start = Instant::now();
            self.tick();
            spent += start.elapsed();
        }
        spent
    }

    fn tick(&mut self) {
        self.now += 1;
        self.timers.turn_to(self.now, &mut self.expired);
        for index in self.expired.drain(..) {
            self.timers.arm(index, self.now, STRICT.timeout);
        }
    }
}

/// A structure whose deadlines are all far away.
pub(crate) struct Idle<T> {
    cycle: Cycle<T>,
    /// When they come.
    due: u32,
}

impl<T: Timers> Idle<T> {
    pub(crate) fn new(population: u32) -> Self {
        let mut cycle = Cycle::<T> {
            timers: T::new(population, &[FAR]),
            population,
            orders: [Order::Sequential.indices(population, 1), Vec::new()],
            now: 0,
            expired: Vec::new(),
            filled: true,
        };
        cycle.arm(FAR);
        Self { cycle, due: FAR }
    }

    /// Times `ticks` turns with nothing to do.
    pub(crate) fn run(&mut self, mut ticks: u64) -> Duration {
        let mut spent = Duration::ZERO;
        while ticks > 0 {
            if self.cycle.now + 1 == self.due {
                self.cycle.drain(1);
                self.cycle.arm(FAR);
                self.due = self.cycle.now + FAR;
            }
            let first = self.cycle.now + 1;
            let room = u64::from(self.due - first).min(ticks);
            ticks -= room;
            self.cycle.now += u32::try_from(room).expect("less than FAR");
            self.cycle.timers.clock_to(self.cycle.now);
            let start = Instant::now();
            for now in first..=self.cycle.now {
                self.cycle.timers.turn_to(now, &mut self.cycle.expired);
            }
            spent += start.elapsed();
            assert!(self.cycle.expired.is_empty(), "nothing was due");
        }
        spent
    }
}
