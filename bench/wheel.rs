//! What the timing wheel costs per operation, beside a `BTreeSet` of (deadline, index).
//!
//! Does not read a clock to decide anything: the ticks are simulated, the timers are those of
//! connections with a 9 s timeout and a heartbeat every 3 s at 8 ms ticks, in shuffled order so that
//! memory is touched as real peers would touch it. Units: time per element, an element being what
//! each group's name says. Measures means; tails under load are the experiments' business.
//!
//! Run with `cargo bench --bench wheel`; it takes under a minute.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use ringbeat::units::Tick;
use ringbeat::wheel::Wheel;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// 9 s at 8 ms.
const TIMEOUT: u32 = 1_125;
/// 3 s at 8 ms.
const INTERVAL: u32 = 375;
/// Populations; the largest is measured where cache misses are the point.
const POPULATIONS: [u32; 3] = [10_000, 100_000, 1_000_000];

/// What both structures do. Ticks count from zero and do not wrap here.
trait Timers {
    const NAME: &'static str;
    fn new(capacity: u32) -> Self;
    fn arm(&mut self, index: u32, deadline: u32);
    fn refresh(&mut self, index: u32, deadline: u32);
    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>);
}

impl Timers for Wheel {
    const NAME: &'static str = "wheel";
    fn new(capacity: u32) -> Self {
        Self::with_capacity(capacity, Tick(0))
    }
    fn arm(&mut self, index: u32, deadline: u32) {
        self.arm(index, Tick(deadline));
    }
    fn refresh(&mut self, index: u32, deadline: u32) {
        self.refresh(index, Tick(deadline));
    }
    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) {
        black_box(self.turn_to(Tick(now), usize::MAX, expired));
    }
}

/// The baseline: exact, eager, and what the standard library offers.
struct Tree {
    ordered: BTreeSet<(u32, u32)>,
    deadlines: Vec<u32>,
}

impl Timers for Tree {
    const NAME: &'static str = "btreeset";
    fn new(capacity: u32) -> Self {
        Self {
            ordered: BTreeSet::new(),
            deadlines: vec![u32::MAX; capacity as usize],
        }
    }
    fn arm(&mut self, index: u32, deadline: u32) {
        self.deadlines[index as usize] = deadline;
        self.ordered.insert((deadline, index));
    }
    fn refresh(&mut self, index: u32, deadline: u32) {
        let stored = &mut self.deadlines[index as usize];
        self.ordered.remove(&(*stored, index));
        *stored = deadline;
        self.ordered.insert((deadline, index));
    }
    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) {
        while let Some(&(deadline, index)) = self.ordered.first()
            && deadline <= now
        {
            self.ordered.pop_first();
            expired.push(index);
        }
    }
}

/// The indices below `population`, in an order no prefetcher guesses.
fn shuffled(population: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..population).collect();
    order.shuffle(&mut StdRng::seed_from_u64(u64::from(population)));
    order
}

/// A population whose heartbeats are spread evenly over the interval, and the simulated present.
struct Population<T> {
    timers: T,
    order: Vec<u32>,
    now: u32,
    expired: Vec<u32>,
}

impl<T: Timers> Population<T> {
    /// In the steady state: every timer has been filed again at least once, and the visits are
    /// spread over the timeout as evenly as the heartbeats are over the interval. (A timeout of a
    /// whole number of intervals would otherwise keep them in the bunch they started in.)
    fn steady(population: u32) -> Self {
        let mut steady = Self {
            timers: T::new(population),
            order: shuffled(population),
            now: 0,
            expired: Vec::new(),
        };
        for position in 0..steady.order.len() {
            let index = steady.order[position];
            steady
                .timers
                .arm(index, TIMEOUT - index % (TIMEOUT / INTERVAL) * INTERVAL);
        }
        for _ in 0..2 * TIMEOUT {
            steady.hear();
            steady.turn();
        }
        steady
    }

    /// The heartbeats of the next tick, an interval's share of the population.
    fn hear(&mut self) {
        self.now += 1;
        let share = self.order.len().div_ceil(INTERVAL as usize);
        let from = (self.now % INTERVAL) as usize * share;
        let beating = self.order.iter().skip(from).take(share);
        for &index in beating {
            self.timers.refresh(index, self.now + TIMEOUT);
        }
    }

    fn turn(&mut self) {
        self.timers.turn_to(self.now, &mut self.expired);
        assert!(self.expired.is_empty(), "everybody is alive");
    }
}

fn arm<T: Timers>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arm");
    for population in &POPULATIONS[..2] {
        let order = shuffled(*population);
        group.throughput(Throughput::Elements(u64::from(*population)));
        group.bench_function(BenchmarkId::new(T::NAME, population), |bencher| {
            bencher.iter_batched_ref(
                || T::new(*population),
                |timers| {
                    for &index in &order {
                        timers.arm(index, TIMEOUT + index % INTERVAL);
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn refresh<T: Timers>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refresh");
    for population in POPULATIONS {
        group.throughput(Throughput::Elements(u64::from(population)));
        let order = shuffled(population);
        let mut timers = T::new(population);
        for &index in &order {
            timers.arm(index, TIMEOUT);
        }
        let mut deadline = TIMEOUT;
        group.bench_function(BenchmarkId::new(T::NAME, population), |bencher| {
            bencher.iter(|| {
                deadline += 1;
                for &index in &order {
                    timers.refresh(black_box(index), deadline);
                }
            });
        });
    }
    group.finish();
}

/// One tick of everybody's life: its heartbeats, then the turn. An element is one heartbeat.
fn heartbeat<T: Timers>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heartbeat_and_turn");
    for population in POPULATIONS {
        let mut steady = Population::<T>::steady(population);
        group.throughput(Throughput::Elements(u64::from(population / INTERVAL)));
        group.bench_function(BenchmarkId::new(T::NAME, population), |bencher| {
            bencher.iter(|| {
                steady.hear();
                steady.turn();
            });
        });
    }
    group.finish();
}

/// The turn alone. An element is one visit: here each timer is filed again once per timeout. The
/// figure includes reading the clock twice a tick.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn_filing_again");
    for population in POPULATIONS {
        let mut steady = Population::<Wheel>::steady(population);
        let visits = population / TIMEOUT;
        group.throughput(Throughput::Elements(u64::from(visits)));
        group.bench_function(BenchmarkId::new("wheel", population), |bencher| {
            bencher.iter_custom(|ticks| {
                let mut spent = Duration::ZERO;
                for _ in 0..ticks {
                    steady.hear();
                    let start = Instant::now();
                    steady.turn();
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

/// A turn by one tick at which nothing is due, with timers far ahead.
fn empty_turn<T: Timers>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn_empty");
    let mut timers = T::new(10_000);
    for index in 0..10_000 {
        timers.arm(index, (1 << 30) + index);
    }
    let (mut now, mut expired) = (0, Vec::new());
    group.bench_function(T::NAME, |bencher| {
        bencher.iter(|| {
            now += 1;
            timers.turn_to(now, &mut expired);
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    arm::<Wheel>(&mut criterion);
    arm::<Tree>(&mut criterion);
    refresh::<Wheel>(&mut criterion);
    refresh::<Tree>(&mut criterion);
    heartbeat::<Wheel>(&mut criterion);
    heartbeat::<Tree>(&mut criterion);
    turn(&mut criterion);
    empty_turn::<Wheel>(&mut criterion);
    empty_turn::<Tree>(&mut criterion);
    criterion.final_summary();
}
