//! The criterion groups: one operation at a time, over every subject.
//!
//! Does not do the work; it says what of it criterion sees. All of a population is one iteration of
//! arm, touch, cancel, reschedule and expire-all; one tick is one of the others.

use super::cycle::{Case, Cycle, Idle};
use super::population::{Order, Preset, RELAXED, STRICT, Schedule, Steady};
use crate::timers::subject::{Timers, cannot_reschedule};
use crate::timers::{Visitor, visit_all};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use std::time::{Duration, Instant};

/// Runs everything. Sequential order is measured at `sequential` only.
pub(crate) fn run(criterion: &mut Criterion, populations: &[u32], sequential: u32) {
    for (case, name) in [
        (Case::Arm, "arm"),
        (Case::Touch, "touch"),
        (Case::Cancel, "cancel"),
        (Case::Reschedule, "reschedule"),
        (Case::ExpireAll, "expire-all"),
    ] {
        for &population in populations {
            let order = Order::Shuffled;
            each(criterion, name, population, order, Work::Operation(case));
        }
        let order = Order::Sequential;
        each(criterion, name, sequential, order, Work::Operation(case));
    }
    for (work, name) in [
        (Work::Empty, "tick-empty"),
        (Work::Rearm, "tick-rearm"),
        (Work::Mix(STRICT), "heartbeat-strict"),
        (Work::Mix(RELAXED), "heartbeat-relaxed"),
    ] {
        for &population in populations {
            each(criterion, name, population, Order::Shuffled, work);
        }
    }
}

#[derive(Clone, Copy)]
enum Work {
    Operation(Case),
    Empty,
    Rearm,
    Mix(Preset),
}

fn each(criterion: &mut Criterion, name: &str, population: u32, order: Order, work: Work) {
    struct Each<'a> {
        criterion: &'a mut Criterion,
        name: &'a str,
        population: u32,
        order: Order,
        work: Work,
    }
    impl Visitor for Each<'_> {
        fn visit<T: Timers>(&mut self) {
            let mut group = self.criterion.benchmark_group(self.name);
            group.sampling_mode(SamplingMode::Flat);
            let population = self.population;
            let parameter = match self.work {
                Work::Operation(case) => {
                    if case == Case::Reschedule && cannot_reschedule::<T>().is_some() {
                        return;
                    }
                    group.throughput(Throughput::Elements(u64::from(population)));
                    format!("{population}/{}", self.order.name())
                }
                _ => population.to_string(),
            };
            let id = BenchmarkId::new(T::NAME, parameter);
            match self.work {
                Work::Operation(case) => {
                    // Made when first used, which a filter may prevent.
                    let mut cycle = None;
                    let make = || Cycle::<T>::new(population, self.order);
                    group.bench_function(id, |bencher| {
                        let cycle = cycle.get_or_insert_with(make);
                        bencher.iter_custom(|times| (0..times).map(|_| cycle.run(case)).sum());
                    });
                }
                Work::Empty => {
                    let mut idle = None;
                    group.bench_function(id, |bencher| {
                        let idle = idle.get_or_insert_with(|| Idle::<T>::new(population));
                        bencher.iter_custom(|ticks| idle.run(ticks));
                    });
                }
                Work::Rearm | Work::Mix(_) => {
                    let (preset, heard) = match self.work {
                        Work::Mix(preset) => (preset, true),
                        _ => (STRICT, false),
                    };
                    let mut steady = None;
                    let make = || Steady::<T>::new(Schedule::new(population, preset), preset);
                    group.bench_function(id, |bencher| {
                        let steady = steady.get_or_insert_with(make);
                        bencher.iter_custom(|ticks| stretch(steady, ticks, heard));
                    });
                }
            }
            group.finish();
        }
    }
    visit_all(&mut Each {
        criterion,
        name,
        population,
        order,
        work,
    });
}

/// Times the turns of `ticks` ticks, and the heartbeats if `heard`.
fn stretch<T: Timers>(steady: &mut Steady<T>, ticks: u64, heard: bool) -> Duration {
    let whole = Instant::now();
    if heard && !T::READS_CLOCK {
        for _ in 0..ticks {
            steady.hear();
            steady.turn();
        }
        return whole.elapsed();
    }
    let mut spent = Duration::ZERO;
    for _ in 0..ticks {
        let start = Instant::now();
        steady.hear();
        if heard {
            spent += start.elapsed();
        }
        steady.clock();
        let start = Instant::now();
        steady.turn();
        spent += start.elapsed();
    }
    spent
}
