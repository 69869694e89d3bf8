//! What is cheapest for how many timers and how fine a tick.
//!
//! Does not compare operations but a life: the strict preset's heartbeats and a turn per tick, the
//! tick being the precision. Nanoseconds of CPU per simulated second, the median of three stretches
//! of one timeout. Everybody who refreshes lazily pays the same store per heartbeat, which is shown
//! apart.

use super::population::{Order, Preset, Schedule, Steady};
use super::ticks::nanos;
use crate::timers::eager::Eager;
use crate::timers::list::List;
use crate::timers::lru::Lru;
use crate::timers::own::{Sweep, Wheel};
use crate::timers::std_rivals::Heap;
use crate::timers::subject::Timers;
use ringbeat::units::{HumanCount, HumanNanos};
use std::fmt::Write as _;
use std::time::Instant;

pub(crate) const PRECISIONS_MS: [u32; 4] = [8, 32, 100, 1_000];

/// Who takes part. The wheel comes first.
pub(crate) const STRUCTURES: [&str; 6] = [
    Wheel::NAME,
    "sweep",
    List::NAME,
    Eager::NAME,
    Lru::NAME,
    Heap::NAME,
];

/// One precision and population; costs in ns of CPU per simulated second.
pub(crate) struct Point {
    pub(crate) precision_ms: u32,
    pub(crate) population: u32,
    /// In the order of [`STRUCTURES`].
    pub(crate) costs: [u64; STRUCTURES.len()],
    /// A lazy structure's heartbeats alone.
    pub(crate) touches: u64,
}

/// Measures every point.
pub(crate) fn measure(populations: &[u32]) -> Vec<Point> {
    let points = PRECISIONS_MS
        .into_iter()
        .flat_map(|precision| populations.iter().map(move |&of| (precision, of)));
    points
        .map(|(precision_ms, population)| {
            let (wheel, touches) = cost::<Wheel>(population, precision_ms);
            let costs = [
                wheel,
                cost::<Sweep<1>>(population, precision_ms).0,
                cost::<List>(population, precision_ms).0,
                cost::<Eager>(population, precision_ms).0,
                cost::<Lru>(population, precision_ms).0,
                cost::<Heap>(population, precision_ms).0,
            ];
            Point {
                precision_ms,
                population,
                costs,
                touches,
            }
        })
        .collect()
}

/// The table. The cheapest of a row is set in bold.
pub(crate) fn table(points: &[Point]) -> String {
    let mut text = String::from("| precision | timers |");
    for name in STRUCTURES {
        let _ = write!(text, " {name} |");
    }
    text.push_str(" heartbeats alone |\n|--:|--:|");
    text.push_str(&"--:|".repeat(STRUCTURES.len() + 1));
    for point in points {
        let population = HumanCount(u64::from(point.population));
        let _ = write!(text, "\n| {} ms | {population} |", point.precision_ms);
        let least = point.costs.iter().min();
        for cost in &point.costs {
            let mark = if Some(cost) == least { "**" } else { "" };
            let _ = write!(text, " {mark}{}{mark} |", HumanNanos(*cost));
        }
        let _ = write!(text, " {} |", HumanNanos(point.touches));
    }
    text.push('\n');
    text
}

/// What a life costs, and its heartbeats alone, per simulated second.
fn cost<T: Timers>(population: u32, precision_ms: u32) -> (u64, u64) {
    let preset = Preset {
        name: "crossover",
        timeout: 9_000_u32.div_ceil(precision_ms),
        interval: 3_000 / precision_ms,
        tick_ms: precision_ms,
    };
    let schedule = Schedule::new(population, preset, Order::Shuffled);
    let mut steady = Steady::<T>::new(schedule, preset);
    steady.live(preset.timeout);
    // Small populations live longer, so that the clock has something to read.
    let ticks = preset.timeout * (300_000 / population).clamp(1, 30);
    let lived_ms = u64::from(ticks) * u64::from(precision_ms);
    let mut lives = [(); 3].map(|()| {
        let start = Instant::now();
        for _ in 0..ticks {
            steady.hear();
            steady.turn();
        }
        nanos(start.elapsed()) * 1_000 / lived_ms
    });
    lives.sort_unstable();
    let start = Instant::now();
    for _ in 0..ticks {
        steady.hear();
    }
    let touches = nanos(start.elapsed()) * 1_000 / lived_ms;
    (lives[1], touches)
}
