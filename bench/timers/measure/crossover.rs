//! From how many timers on, and how fine a tick, a wheel beats a sweep.
//!
//! Does not compare operations but a life: the strict preset's heartbeats and a turn per tick, the
//! tick being the precision. Nanoseconds of CPU per simulated second, the median of three stretches
//! of one timeout. Both sides pay the same store per heartbeat, which is shown apart.

use super::population::{Preset, Schedule, Steady};
use super::summary::nanos;
use crate::timers::list::List;
use crate::timers::ours::Ours;
use crate::timers::subject::Timers;
use crate::timers::sweep::Sweep;
use plotters::prelude::*;
use ringbeat::units::{HumanCount, HumanNanos};
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

const PRECISIONS_MS: [u32; 4] = [8, 32, 100, 1_000];
const COLOURS: [RGBColor; 4] = [
    RGBColor(0x0b, 0x3c, 0x6f),
    RGBColor(0x1b, 0x7f, 0x79),
    RGBColor(0xc0, 0x6c, 0x00),
    RGBColor(0xa3, 0x1f, 0x4b),
];

/// One measured point; the last three in ns of CPU per simulated second.
pub(crate) struct Point {
    precision_ms: u32,
    population: u32,
    wheel: u64,
    sweep: u64,
    touches: u64,
}

/// Measures and prints every point.
pub(crate) fn table(out: &mut impl Write, populations: &[u32]) -> io::Result<Vec<Point>> {
    writeln!(
        out,
        "\n### Crossover: CPU per simulated second, 9 s timeout, a heartbeat every 3 s\n"
    )?;
    writeln!(
        out,
        "| precision | timers | ringbeat wheel | lazy wheel of lists | sweep | heartbeats alone |"
    )?;
    writeln!(out, "|--:|--:|--:|--:|--:|--:|")?;
    let mut points = Vec::new();
    for precision_ms in PRECISIONS_MS {
        for &population in populations {
            let (wheel, _) = cost::<Ours>(population, precision_ms);
            let (lists, _) = cost::<List>(population, precision_ms);
            let (sweep, touches) = cost::<Sweep<1>>(population, precision_ms);
            writeln!(
                out,
                "| {precision_ms} ms | {} | {} | {} | {} | {} |",
                HumanCount(u64::from(population)),
                HumanNanos(wheel),
                HumanNanos(lists),
                HumanNanos(sweep),
                HumanNanos(touches),
            )?;
            out.flush()?;
            points.push(Point {
                precision_ms,
                population,
                wheel,
                sweep,
                touches,
            });
        }
    }
    Ok(points)
}

/// What a life costs, and its heartbeats alone, per simulated second.
fn cost<T: Timers>(population: u32, precision_ms: u32) -> (u64, u64) {
    let preset = Preset {
        name: "crossover",
        timeout: 9_000_u32.div_ceil(precision_ms),
        interval: 3_000 / precision_ms,
        tick_ms: precision_ms,
    };
    let mut steady = Steady::<T>::new(Schedule::new(population, preset), preset);
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

/// What the axes have to hold: timers, and microseconds with some air.
fn bounds(points: &[Point]) -> (Range<f64>, Range<f64>) {
    let people = points.iter().map(|point| point.population);
    let (fewest, most) = (people.clone().min().unwrap_or(1), people.max().unwrap_or(2));
    let costs = points
        .iter()
        .flat_map(|p| [micros(p.wheel), micros(p.sweep)]);
    let (least, greatest) = costs.fold((f64::MAX, 1.0_f64), |(low, high), cost| {
        (low.min(cost), high.max(cost))
    });
    (
        f64::from(fewest)..f64::from(most),
        least / 2.0..greatest * 2.0,
    )
}

/// Draws the points into `path`.
pub(crate) fn plot(path: &Path, points: &[Point]) -> Result<(), Box<dyn Error>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let area = SVGBackend::new(path, (900, 600)).into_drawing_area();
    area.fill(&WHITE)?;
    let (timers, costs) = bounds(points);
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "A wheel and a sweep, by precision: 9 s timeout, 3 s interval",
            ("sans-serif", 18),
        )
        .margin(16)
        .margin_right(48)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(timers.log_scale(), costs.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("timers")
        .y_desc("CPU per second, µs")
        .x_label_formatter(&|count| HumanCount(whole(*count)).to_string())
        .y_label_formatter(&|cost| format!("{cost}"))
        .light_line_style(WHITE)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .draw()?;
    for (precision_ms, colour) in PRECISIONS_MS.into_iter().zip(COLOURS) {
        let own = || {
            points
                .iter()
                .filter(move |p| p.precision_ms == precision_ms)
        };
        let line = |value: fn(&Point) -> u64| {
            own().map(move |point| (f64::from(point.population), micros(value(point))))
        };
        let wheel = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line(|p| p.wheel), wheel))?
            .label(format!("wheel, {precision_ms} ms"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], wheel));
        let dots = DashedLineSeries::new(line(|p| p.sweep), 6, 4, wheel);
        chart
            .draw_series(dots)?
            .label(format!("sweep, {precision_ms} ms"))
            .legend(move |(x, y)| {
                let dash = |from| PathElement::new([(x + from, y), (x + from + 6, y)], wheel);
                EmptyElement::at((0, 0)) + dash(0) + dash(9) + dash(18)
            });
    }
    let alone = points.iter().filter(|p| p.precision_ms == PRECISIONS_MS[0]);
    let grey = RGBColor(0x88, 0x88, 0x88).stroke_width(1);
    chart
        .draw_series(LineSeries::new(
            alone.map(|p| (f64::from(p.population), micros(p.touches))),
            grey,
        ))?
        .label("heartbeats alone, 8 ms")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], grey));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .label_font(("sans-serif", 13))
        .draw()?;
    area.present()?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for a chart")]
fn micros(nanos: u64) -> f64 {
    nanos.max(1) as f64 / 1e3
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a chart's labels are populations"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}
