//! The result page: a folder with a README, the environment, and the charts.
//!
//! Does not measure or judge; it puts together what the other files of this folder say.

use super::crossover::{self, Point};
use super::figures::{self, Figure};
use super::ticks::{self, Life};
use super::{charts, missing, verdicts};
use ringbeat::environment;
use ringbeat::units::HumanCount;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Everything that was measured.
pub(crate) struct Measured {
    pub(crate) figures: Vec<Figure>,
    pub(crate) lives: Vec<Life>,
    pub(crate) points: Vec<Point>,
    /// It was a small run that is to be believed in nothing.
    pub(crate) small: bool,
}

/// Writes the folder and returns the page's text.
pub(crate) fn write(folder: &Path, measured: &Measured) -> Result<String, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    charts::crossover(&folder.join("crossover.svg"), &measured.points)?;
    charts::tails(&folder.join("tails.svg"), &measured.lives)?;
    let environment = environment::capture()?;
    let mut json = serde_json::to_string_pretty(&environment)?;
    json.push('\n');
    fs::write(folder.join("environment.json"), json)?;
    let machine = format!(
        "{} cores ({}{}), Linux {}, ringbeat {} at commit {}",
        environment.cpu_count,
        environment.cpu_model,
        if environment.virtualised {
            ", a guest"
        } else {
            ""
        },
        environment.kernel,
        environment.ringbeat_version,
        environment.ringbeat_commit.as_deref().unwrap_or("unknown"),
    );
    let text = text(&machine, measured);
    fs::write(folder.join("README.md"), &text)?;
    Ok(text)
}

fn text(machine: &str, measured: &Measured) -> String {
    let Measured {
        figures,
        lives,
        points,
        small,
    } = measured;
    let warning = if *small {
        "\n**A short run: it shows that the benchmark works, and its figures are not to be quoted.**\n"
    } else {
        ""
    };
    let populations: Vec<String> = {
        let mut all: Vec<u32> = lives.iter().map(|life| life.population).collect();
        all.dedup();
        all.sort_unstable();
        all.dedup();
        let people = all.into_iter().map(|of| HumanCount(u64::from(of)));
        people.map(|count| count.to_string()).collect()
    };
    let method = METHOD.replace("POPULATIONS", &populations.join(", "));
    [
        "# Timer structures under heartbeats\n\nWritten by `cargo bench --bench wheel`: ",
        machine,
        ". [environment.json](environment.json) has the rest.\n",
        warning,
        "\n## Goals\n\n",
        &verdicts::goals(figures, lives),
        "\n## The wheel beside the best rival\n\nThe ratio is the rival's time over the wheel's.\n\n",
        &verdicts::rivals(figures),
        "\n## Where something is cheaper than the wheel\n\nBy precision, in the crossover below.\n\n",
        &verdicts::cheaper(points),
        "\n## Method\n\n",
        &method,
        "\n## One operation at a time\n\nCriterion's medians.\n",
        &figures::tables(figures),
        "\n## A life, tick by tick\n\n![Each tick's cost by percentile](tails.svg)\n",
        &ticks::tables(lives),
        "\n## Crossover: CPU per simulated second, 9 s timeout, a heartbeat every 3 s\n\n\
         ![CPU per second by timers and precision](crossover.svg)\n\n",
        &crossover::table(points),
        "\n## Not run\n\n",
        &missing::list(),
    ]
    .concat()
}

const METHOD: &str = "\
* One busy thread, a simulated clock of 8 ms ticks. Before anything is timed, every structure plays a seeded script
  and must expire the same indices at the same ticks.
* Populations of POPULATIONS; *shuffled*: indices in random order, as peers speak; *sequential*: in their own.
* arm, touch, cancel, reschedule, expire-all: the whole population once per iteration, in memory that is warm. A
  cancel or a reschedule meets another order than the arming. The wheel, the lazy wheel of lists and `BinaryHeap`
  cancel by a store and drop the entry later; the others take it out.
* tick-empty: a turn with nothing due. tick-rearm: a turn per tick and the arming anew of what it expired, a
  population spread over 1,125 ticks; this is the schedule of a sender.
* heartbeat-strict and -relaxed: heartbeats and a turn per tick, nobody expires; 9 s timeout and 3 s interval, 40 s
  and 10 s. Each timer's share of the ticks is in the figure.
* A life: the same with each tick's cost in an HdrHistogram, and two readings of the clock per tick in it. Bytes are
  what the allocator has been asked for and not been given back, divided by timers.
* Heartbeats come back to back, so that the memory accesses of one overlap with the next one's. In a server a
  completion to handle lies between them. That flatters structures that do much per heartbeat; a turn's visits do
  come back to back.
* Rivals are used by their own fast paths, in the versions that `Cargo.toml` pins. *Lazily refreshed*: a rival's
  structure lent the wheel's trick, which it does not offer.
";
