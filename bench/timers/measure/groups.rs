//! The criterion groups: one operation at a time, over every subject.
//!
//! Does not do the work; it says what of it criterion sees, and collects the figures. All of a
//! population is one iteration of arm, touch, cancel, reschedule and expire-all; one tick is one of
//! the others.

use super::cycle::{Case, Cycle, Idle, Rearm};
use super::figures::{Figure, Place, Unit};
use super::population::{Order, Preset, RELAXED, STRICT, Schedule, Steady};
use crate::timers::subject::{Timers, cannot_reschedule};
use crate::timers::{Visitor, visit_all};
use criterion::{Bencher, BenchmarkId, Criterion, SamplingMode};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is timed.
#[derive(Clone, Copy, Debug)]
enum Work {
    Operation(Case),
    Empty,
    Rearm,
    Mix(Preset),
}

/// A group's name, its work, and what a figure of it counts.
const GROUPS: [(&str, Work, Unit); 9] = [
    ("arm", Work::Operation(Case::Arm), Unit::Timer),
    ("touch", Work::Operation(Case::Touch), Unit::Timer),
    ("cancel", Work::Operation(Case::Cancel), Unit::Timer),
    ("reschedule", Work::Operation(Case::Reschedule), Unit::Timer),
    ("expire-all", Work::Operation(Case::ExpireAll), Unit::Timer),
    ("tick-empty", Work::Empty, Unit::Tick),
    ("tick-rearm", Work::Rearm, Unit::Entry),
    ("heartbeat-strict", Work::Mix(STRICT), Unit::Heartbeat),
    ("heartbeat-relaxed", Work::Mix(RELAXED), Unit::Heartbeat),
];

/// Every group with every population, in both orders.
pub(crate) fn run(criterion: &mut Criterion, populations: &[u32], results: &Path) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (group, work, unit) in GROUPS {
        for &population in populations {
            for order in [Order::Sequential, Order::Shuffled] {
                // Nobody is touched, and nothing comes up.
                if matches!(work, Work::Empty) && order == Order::Sequential {
                    continue;
                }
                let mut each = Each {
                    criterion,
                    work,
                    place: Place {
                        group,
                        population,
                        order,
                    },
                    unit,
                    results,
                    figures: &mut figures,
                };
                visit_all(&mut each);
            }
        }
    }
    figures
}

struct Each<'a> {
    criterion: &'a mut Criterion,
    work: Work,
    place: Place,
    unit: Unit,
    results: &'a Path,
    figures: &'a mut Vec<Figure>,
}

impl Visitor for Each<'_> {
    fn visit<T: Timers>(&mut self) {
        let Place {
            group,
            population,
            order,
        } = self.place;
        let reschedules = matches!(self.work, Work::Operation(Case::Reschedule));
        if reschedules && cannot_reschedule::<T>().is_some() {
            return;
        }
        let begun = std::time::SystemTime::now();
        let value = format!("{population}-{}", order.name());
        let mut criterion_group = self.criterion.benchmark_group(group);
        criterion_group.sampling_mode(SamplingMode::Flat);
        let mut subject = Subject::<T>::Unmade;
        let work = self.work;
        let id = BenchmarkId::new(T::NAME, &value);
        criterion_group.bench_function(id, |bencher| {
            subject.time(bencher, work, population, order);
        });
        criterion_group.finish();
        let folder = self.results.join(group).join(T::NAME).join(value);
        let figure = Figure::read::<T>(self.place, self.unit, &folder, begun);
        self.figures.extend(figure);
    }
}

/// A structure in the state a piece of work needs, made when first used, which a filter may prevent.
enum Subject<T> {
    Unmade,
    Cycle(Cycle<T>),
    Idle(Idle<T>),
    Rearm(Rearm<T>),
    Steady(Steady<T>),
}

impl<T: Timers> Subject<T> {
    fn time(&mut self, bencher: &mut Bencher<'_>, work: Work, population: u32, order: Order) {
        if matches!(self, Self::Unmade) {
            *self = match work {
                Work::Operation(_) => Self::Cycle(Cycle::new(population, order)),
                Work::Empty => Self::Idle(Idle::new(population)),
                Work::Rearm => Self::Rearm(Rearm::new(population, order)),
                Work::Mix(preset) => {
                    let schedule = Schedule::new(population, preset, order);
                    Self::Steady(Steady::new(schedule, preset))
                }
            };
        }
        bencher.iter_custom(|times| match (&mut *self, work) {
            (Self::Cycle(cycle), Work::Operation(case)) => {
                (0..times).map(|_| cycle.run(case)).sum()
            }
            (Self::Idle(idle), _) => idle.run(times),
            (Self::Rearm(rearm), _) => rearm.run(times),
            (Self::Steady(steady), _) => stretch(steady, times),
            _ => unreachable!("made for this work"),
        });
    }
}

/// Times the heartbeats and the turns of `ticks` ticks.
fn stretch<T: Timers>(steady: &mut Steady<T>, ticks: u64) -> Duration {
    let whole = Instant::now();
    if !T::READS_CLOCK {
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
        spent += start.elapsed();
        steady.clock();
        let start = Instant::now();
        steady.turn();
        spent += start.elapsed();
    }
    spent
}
