//! The tables: what each tick costs, tail and all, and how much memory a timer takes.
//!
//! Touches and turns are means; a tick is its heartbeats and its turn together, in a histogram,
//! because a mean hides what a cascade or a compaction does to the tick it falls into. Touches and
//! turns include reading the clock, some 20 to 50 ns per tick each. Memory is what the allocator has
//! been asked for and not been given back, after the population has lived through a timeout.

use super::population::{Preset, RELAXED, STRICT, Schedule, Steady};
use crate::timers::subject::{Timers, cannot_reschedule};
use crate::timers::{Visitor, visit_all};
use hdrhistogram::Histogram;
use ringbeat::units::{HumanCount, HumanNanos};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Bytes allocated and not freed yet.
pub(crate) type Allocated = fn() -> usize;

/// Crates that were considered and are not in the tables, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "keyed_priority_queue",
        "the same structure as priority-queue, which is the maintained one",
    ),
    (
        "bitwheel",
        "64 slots of fixed capacity: a population with equal timeouts overflows into its BTreeMap",
    ),
    (
        "kestrel-timer",
        "its wheel allocates a task per timer and is made to be driven by Tokio",
    ),
    (
        "intrusive-collections, radix-heap",
        "no keyed timers; they would be structures of ours",
    ),
];

/// Prints a table per preset and population.
pub(crate) fn ticks(
    out: &mut impl Write,
    populations: &[u32],
    allocated: Allocated,
) -> io::Result<()> {
    for preset in [STRICT, RELAXED] {
        for &population in populations {
            writeln!(
                out,
                "\n### {} timers, {}: timeout {} ticks, a heartbeat every {} ticks of {} ms\n",
                HumanCount(u64::from(population)),
                preset.name,
                preset.timeout,
                preset.interval,
                preset.tick_ms,
            )?;
            writeln!(
                out,
                "| structure | touch | turn | tick p50 | p99 | p99.9 | max | CPU per second | bytes per timer |"
            )?;
            writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
            let mut table = Table {
                out: &mut *out,
                population,
                preset,
                allocated,
                result: Ok(()),
            };
            visit_all(&mut table);
            table.result?;
        }
    }
    Ok(())
}

struct Table<'a, W> {
    out: &'a mut W,
    population: u32,
    preset: Preset,
    allocated: Allocated,
    result: io::Result<()>,
}

impl<W: Write> Visitor for Table<'_, W> {
    fn visit<T: Timers>(&mut self) {
        let row = live::<T>(self.population, self.preset, self.allocated);
        let ns = |quantile| HumanNanos(row.ticks.value_at_quantile(quantile));
        let written = writeln!(
            self.out,
            "| {} | {:.1} ns | {} | {} | {} | {} | {} | {} | {:.1} |",
            T::NAME,
            row.touch_ns,
            HumanNanos(row.turn_ns),
            ns(0.5),
            ns(0.99),
            ns(0.999),
            HumanNanos(row.ticks.max()),
            HumanNanos(row.cpu_ns_per_second),
            row.bytes_per_timer,
        );
        if self.result.is_ok() {
            self.result = written.and_then(|()| self.out.flush());
        }
    }
}

struct Row {
    touch_ns: f64,
    turn_ns: u64,
    ticks: Histogram<u64>,
    cpu_ns_per_second: u64,
    bytes_per_timer: f64,
}

/// Measures two timeouts after one has been lived through.
#[expect(clippy::cast_precision_loss, reason = "for display")]
fn live<T: Timers>(population: u32, preset: Preset, allocated: Allocated) -> Row {
    let schedule = Schedule::new(population, preset);
    let before = allocated();
    let mut steady = Steady::<T>::new(schedule, preset);
    steady.live(preset.timeout);
    let bytes = allocated().saturating_sub(before);
    let histogram = Histogram::new_with_bounds(1, 10_000_000_000, 3);
    let mut tick_costs = histogram.expect("valid bounds");
    let (mut touching, mut turning) = (Duration::ZERO, Duration::ZERO);
    let ticks = 2 * preset.timeout;
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
    Row {
        touch_ns: touching.as_nanos() as f64 / heartbeats,
        turn_ns: nanos(turning) / u64::from(ticks),
        ticks: tick_costs,
        cpu_ns_per_second: nanos(touching + turning) * 1_000 / lived_ms,
        bytes_per_timer: bytes as f64 / f64::from(population),
    }
}

/// A short span in nanoseconds.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Prints which cases and crates are missing, and why.
pub(crate) fn missing(out: &mut impl Write) -> io::Result<()> {
    struct Missing(Vec<String>);
    impl Visitor for Missing {
        fn visit<T: Timers>(&mut self) {
            if let Some(reason) = cannot_reschedule::<T>() {
                let name = T::NAME;
                self.0.push(format!("- {name}: no reschedule, {reason}"));
            }
        }
    }
    let mut missing = Missing(Vec::new());
    visit_all(&mut missing);
    writeln!(out, "\n### Not run\n")?;
    for line in missing.0 {
        writeln!(out, "{line}")?;
    }
    for (name, reason) in NOT_RUN {
        writeln!(out, "- {name}: {reason}")?;
    }
    Ok(())
}
