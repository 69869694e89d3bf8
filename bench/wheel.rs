//! The timing wheel beside what it might have been and what else there is.
//!
//! Does not read a clock to decide anything: ticks of 8 ms are simulated. First every structure
//! plays a seeded script and must expire the same indices at the same ticks; then criterion times
//! one operation at a time; then a population lives through its heartbeats, tick by tick; then the
//! cheapest structure is sought for every population and precision. All of it goes to standard
//! output as Markdown and, with charts and the environment, into a folder: `timers` in the target
//! folder, or the one named by `--out`. `scripts/wheel` makes a kept result of it.
//!
//! What flatters the eager: heartbeats come back to back, so that the memory accesses of one overlap
//! with the next one's. In a server a system call or a frame to decode lies between them. A turn's
//! visits do come back to back. What burdens those who allocate while they are timed
//! (`hierarchical_hash_wheel` and, once in a dozen inserts, `BTreeSet`): the allocator counts.
//!
//! Run with `cargo bench --bench wheel`; it takes some twenty minutes. After `--`: a word filters
//! criterion's part and leaves out the rest; `--short` measures small populations, for a look at the
//! page; `--test` does everything once, smaller still.

#[path = "timers/measure/mod.rs"]
mod measure;
#[path = "timers/mod.rs"]
mod timers;

use criterion::Criterion;
use measure::page::{self, Measured};
use measure::{crossover, groups, ticks};
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use timers::script;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let _ = writeln!(io::stderr(), "failed to compare the timers: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Asked {
    /// Criterion's part only, and of that what the filter names.
    filtered: bool,
    /// Small populations.
    small: bool,
    /// Flags of ours alone, which criterion would refuse.
    ours: bool,
    folder: PathBuf,
}

impl Asked {
    fn read(target: &Path) -> Result<Self, Box<dyn Error>> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let out = arguments.iter().position(|argument| argument == "--out");
        let folder = match out {
            Some(at) => PathBuf::from(arguments.get(at + 1).ok_or("--out needs a folder")?),
            None => target.join("timers"),
        };
        let ours = out.is_some() || has("--short");
        Ok(Self {
            filtered: !ours && arguments.iter().any(|argument| !argument.starts_with('-')),
            small: has("--short") || has("--test") || !has("--bench"),
            ours,
            folder,
        })
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .ok_or("no target folder")?;
    let asked = Asked::read(target)?;
    let failures = script::divergences(43);
    if !failures.is_empty() {
        return Err(format!("they differ: {}", failures.join("; ")).into());
    }
    let (populations, crossing): (&[u32], &[u32]) = if asked.small {
        (&[1_000], &[1_000, 3_000])
    } else {
        (
            &[1_000, 10_000, 100_000, 1_000_000],
            &[1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000],
        )
    };
    let results = target.join("criterion");
    let criterion = Criterion::default()
        .sample_size(10)
        .nresamples(1_000)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(100))
        .without_plots()
        .output_directory(&results);
    let mut criterion = if asked.ours {
        criterion
    } else {
        criterion.configure_from_args()
    };
    let figures = groups::run(&mut criterion, populations, &results);
    criterion.final_summary();
    if asked.filtered {
        return Ok(());
    }
    let progress = |what: &str| writeln!(io::stderr(), "measuring {what}");
    progress("lives, tick by tick")?;
    let lives = ticks::measure(populations);
    progress("the crossover")?;
    let measured = Measured {
        figures,
        lives,
        points: crossover::measure(crossing),
        small: asked.small,
    };
    let text = page::write(&asked.folder, &measured)?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\n{text}\nKept with its charts in {}.",
        asked.folder.display()
    )?;
    Ok(())
}
