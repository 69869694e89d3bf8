//! What each tick costs, tail and all, and how much memory a timer takes.
//!
//! Touches and turns are means; a tick is its heartbeats and its turn together, in a histogram,
//! because a mean hides what a cascade or a compaction does to the tick it falls into. Touches and
//! turns include reading the clock, some 20 to 50 ns per tick each. Memory is what the allocator has
//! been asked for and not been given back, after the population has lived through a timeout.

use super::population::{Order, Preset, RELAXED, STRICT, Schedule, Steady};
use crate::timers::subject::{Role, Timers};
use crate::timers::{Visitor, visit_all};
use hdrhistogram::Histogram;
use ringbeat::units::{HumanCount, HumanNanos};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// One structure's life.
pub(crate) struct Life {
    pub(crate) structure: &'static str,
    pub(crate) role: Role,
    pub(crate) preset: Preset,
    pub(crate) population: u32,
    touch_ns: f64,
    turn_ns: u64,
    /// Mean cost of a turn per entry it looked at, where that is counted and a turn does nothing else.
    pub(crate) visit_ns: Option<f64>,
    /// Nanoseconds per tick.
    pub(crate) ticks: Histogram<u64>,
    cpu_ns_per_second: u64,
    pub(crate) bytes: i64,
}

/// Lets every structure live with every population by both presets.
pub(crate) fn measure(populations: &[u32]) -> Vec<Life> {
    struct Each<'a> {
        population: u32,
        preset: Preset,
        lives: &'a mut Vec<Life>,
    }
    impl Visitor for Each<'_> {
        fn visit<T: Timers>(&mut self) {
            self.lives.push(live::<T>(self.population, self.preset));
        }
    }
    let mut lives = Vec::new();
    for preset in [STRICT, RELAXED] {
        for &population in populations {
            visit_all(&mut Each {
                population,
                preset,
                lives: &mut lives,
            });
        }
    }
    lives
}

/// A table per preset and population.
pub(crate) fn tables(lives: &[Life]) -> String {
    let mut text = String::new();
    let alike = |one: &Life, other: &Life| {
        one.population == other.population && one.preset.name == other.preset.name
    };
    for lives in lives.chunk_by(alike) {
        let Life {
            preset, population, ..
        } = &lives[0];
        let _ = writeln!(
            text,
            "\n### {} timers, {}: timeout {} ticks, a heartbeat every {} ticks of {} ms\n",
            HumanCount(u64::from(*population)),
            preset.name,
            preset.timeout,
            preset.interval,
            preset.tick_ms,
        );
        text.push_str(
            "| structure | touch | turn | tick p50 | p99 | p99.9 | max | CPU per second | bytes per timer |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for life in lives {
            row(&mut text, life);
        }
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn row(text: &mut String, life: &Life) {
    let ns = |quantile| HumanNanos(life.ticks.value_at_quantile(quantile));
    let _ = writeln!(
        text,
        "| {} | {:.1} ns | {} | {} | {} | {} | {} | {} | {:.1} |",
        life.structure,
        life.touch_ns,
        HumanNanos(life.turn_ns),
        ns(0.5),
        ns(0.99),
        ns(0.999),
        HumanNanos(life.ticks.max()),
        HumanNanos(life.cpu_ns_per_second),
        life.bytes as f64 / f64::from(life.population),
    );
}

/// Measures two timeouts after one has been lived through.
#[expect(clippy::cast_precision_loss, reason = "for display")]
fn live<T: Timers>(population: u32, preset: Preset) -> Life {
    let schedule = Schedule::new(population, preset, Order::Shuffled);
    let mut made = None;
    let memory = allocation_counter::measure(|| {
        let mut steady = Steady::<T>::new(schedule, preset);
        steady.live(preset.timeout);
        made = Some(steady);
    });
    let mut steady = made.expect("made");
    let histogram = Histogram::new_with_bounds(1, 10_000_000_000, 3);
    let mut tick_costs = histogram.expect("valid bounds");
    let (mut touching, mut turning) = (Duration::ZERO, Duration::ZERO);
    let (ticks, visited) = (2 * preset.timeout, steady.visited());
    for _ in 0..ticks {
        let start = Instant::now();
        steady.hear();
        let touch = start.elapsed();
        steady.clock();
        let start = Instant::now();
        steady.turn();
        let turn = start.elapsed();
        touching += touch;
        turning += turn;
        tick_costs.saturating_record(nanos(touch + turn));
    }
    let heartbeats = f64::from(population) * f64::from(ticks) / f64::from(preset.interval);
    let lived_ms = u64::from(ticks) * u64::from(preset.tick_ms);
    let visits = steady.visited() - visited;
    Life {
        structure: T::NAME,
        role: T::ROLE,
        preset,
        population,
        touch_ns: touching.as_nanos() as f64 / heartbeats,
        turn_ns: nanos(turning) / u64::from(ticks),
        visit_ns: (visits > 0).then(|| turning.as_nanos() as f64 / visits as f64),
        ticks: tick_costs,
        cpu_ns_per_second: nanos(touching + turning) * 1_000 / lived_ms,
        bytes: memory.bytes_current,
    }
}

/// A short span in nanoseconds.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
