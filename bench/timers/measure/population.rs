//! A population of connections and its heartbeats, tick by tick.
//!
//! Does not measure. The connections arrive evenly over one timeout, so that a lazy structure's
//! visits are spread as those of a long-lived population would be, and each beats once per interval
//! from then on. Shuffled populations beat in an order that differs from one interval to the next by
//! about a tenth of a second, as the network would have it; sequential ones beat in the order of
//! their indices, and entries that were filed one after the other are touched one after the other
//! for ever, which flatters everybody and linked lists most.

use crate::timers::subject::Timers;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// How long a silence is tolerated and how often peers are heard, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) timeout: u32,
    pub(crate) interval: u32,
    /// The length of a tick.
    pub(crate) tick_ms: u32,
}

/// 9 s and 3 s at 8 ms.
pub(crate) const STRICT: Preset = Preset {
    name: "strict",
    timeout: 1_125,
    interval: 375,
    tick_ms: 8,
};
/// 40 s and 10 s at 8 ms.
pub(crate) const RELAXED: Preset = Preset {
    name: "relaxed",
    timeout: 5_000,
    interval: 1_250,
    tick_ms: 8,
};

/// How far a heartbeat strays from its schedule, all told.
const JITTER_MS: u32 = 128;

/// In which order indices are touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Sequential,
    Shuffled,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Shuffled => "shuffled",
        }
    }

    /// The indices below `population`. `round` seeds the shuffling.
    pub(crate) fn indices(self, population: u32, round: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..population).collect();
        if self == Self::Shuffled {
            order.shuffle(&mut StdRng::seed_from_u64(round));
        }
        order
    }
}

/// A population in its steady state. Nobody ever expires.
pub(crate) struct Steady<T> {
    timers: T,
    preset: Preset,
    /// Who beats after whom, in even and in odd intervals.
    rounds: [Vec<u32>; 2],
    now: u32,
    expired: Vec<u32>,
}

impl<T: Timers> Steady<T> {
    /// Everybody has arrived.
    pub(crate) fn new(schedule: Schedule, preset: Preset) -> Self {
        let capacity = u32::try_from(schedule.0[0].len()).expect("a u32 population");
        let mut steady = Self {
            timers: T::new(capacity, &[preset.timeout]),
            preset,
            rounds: schedule.0,
            now: 0,
            expired: Vec::new(),
        };
        let rounds = preset.timeout / preset.interval;
        for round in 0..rounds {
            for _ in 0..preset.interval {
                steady.now += 1;
                let (from, to) = steady.share();
                for (place, &index) in (0..rounds).cycle().zip(&steady.rounds[0][from..to]) {
                    if place == round {
                        steady.timers.arm(index, steady.now, preset.timeout);
                    } else if place < round {
                        steady.timers.touch(index, steady.now, preset.timeout);
                    }
                }
                steady.clock();
                steady.turn();
            }
        }
        steady
    }

    /// Lets `ticks` pass.
    pub(crate) fn live(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.hear();
            self.clock();
            self.turn();
        }
    }

    /// The next tick begins, with its heartbeats.
    pub(crate) fn hear(&mut self) {
        self.now += 1;
        let (from, to) = self.share();
        let odd = self.now / self.preset.interval % 2;
        for &index in &self.rounds[odd as usize][from..to] {
            self.timers.touch(index, self.now, self.preset.timeout);
        }
    }

    /// Sets the clock, for those who read one.
    pub(crate) fn clock(&mut self) {
        self.timers.clock_to(self.now);
    }

    /// The tick's turn.
    pub(crate) fn turn(&mut self) {
        self.timers.turn_to(self.now, &mut self.expired);
        assert!(self.expired.is_empty(), "everybody is alive");
    }

    /// How many entries the turns have looked at, 0 where nobody counts.
    pub(crate) fn visited(&self) -> u64 {
        self.timers.visited()
    }

    /// Whose heartbeats come in this tick, as a range of a round.
    fn share(&self) -> (usize, usize) {
        let phase = (self.now % self.preset.interval) as usize;
        let interval = self.preset.interval as usize;
        let population = self.rounds[0].len();
        (
            phase * population / interval,
            (phase + 1) * population / interval,
        )
    }
}

/// Who beats after whom. Made apart from the population, whose memory is measured.
pub(crate) struct Schedule([Vec<u32>; 2]);

impl Schedule {
    pub(crate) fn new(population: u32, preset: Preset, order: Order) -> Self {
        let even = order.indices(population, 1);
        let mut odd = even.clone();
        if order == Order::Sequential {
            return Self([even, odd]);
        }
        let ticks = JITTER_MS / preset.tick_ms;
        let jitter = (population / preset.interval + 1) * ticks;
        let mut dice = StdRng::seed_from_u64(2);
        for near in odd.chunks_mut(jitter.max(1) as usize) {
            near.shuffle(&mut dice);
        }
        Self([even, odd])
    }
}
