//! The timing wheel beside what it might have been and what else there is.
//!
//! Does not read a clock to decide anything: ticks of 8 ms are simulated. First every structure
//! plays a seeded script and must expire the same indices at the same ticks; then criterion times
//! one operation at a time; then a population lives through its heartbeats, and tables say what its
//! ticks cost, tail included, how much memory a timer takes, and when a sweep would do. Tables are
//! Markdown on standard output; the chart goes to `target/timers/crossover.svg`.
//!
//! Shuffled order is the rule, since peers do not speak in order of their index; sequential order is
//! measured at 100,000 only. Below that all fits into the cache and order changes nothing, above it
//! sequential access stays what it is. Ticks know no order of indices, so they are not measured in
//! two. The counting allocator adds some 20 ns to an allocation and the freeing of it; of the
//! structures only `hierarchical_hash_wheel` and, once in a dozen inserts, `BTreeSet` allocate while
//! they are timed.
//!
//! What flatters the eager: heartbeats come back to back, so that the memory accesses of one overlap
//! with the next one's. In a server a system call or a frame to decode lies between them. A turn's
//! visits do come back to back.
//!
//! Run with `cargo bench --bench wheel`; it takes seven minutes. A word after `--` filters criterion's
//! part and leaves out the tables; `--summary-only` makes the tables alone; `--test` does everything
//! once, small.

#[path = "timers/measure/mod.rs"]
mod measure;
#[path = "timers/mod.rs"]
mod timers;

use criterion::Criterion;
use measure::{crossover, groups, summary};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use timers::script;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let _ = writeln!(io::stderr(), "failed to compare the timers: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filtered = arguments.iter().any(|argument| !argument.starts_with('-'));
    let small = has("--test") || !has("--bench");

    let failures = script::divergences(43);
    if !failures.is_empty() {
        return Err(format!("they differ: {}", failures.join("; ")).into());
    }
    if !has("--summary-only") {
        let mut criterion = Criterion::default()
            .sample_size(10)
            .nresamples(1_000)
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(Duration::from_millis(100))
            .without_plots()
            .configure_from_args();
        let populations: &[u32] = if small {
            &[1_000]
        } else {
            &[1_000, 10_000, 100_000, 1_000_000]
        };
        let sequential = if small { 1_000 } else { 100_000 };
        groups::run(&mut criterion, populations, sequential);
        criterion.final_summary();
    }
    if filtered {
        return Ok(());
    }
    let (living, crossing): (&[u32], &[u32]) = if small {
        (&[1_000], &[1_000, 3_000])
    } else {
        (
            &[100_000, 1_000_000],
            &[1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000],
        )
    };
    let mut out = io::stdout().lock();
    summary::ticks(&mut out, living, allocated)?;
    let points = crossover::table(&mut out, crossing)?;
    summary::missing(&mut out)?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let chart = target
        .ok_or("no target folder")?
        .join("timers/crossover.svg");
    crossover::plot(&chart, &points)?;
    writeln!(out, "\nThe crossover is drawn in {}.", chart.display())?;
    Ok(())
}
