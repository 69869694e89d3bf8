//! The charts: the crossover, a panel per precision, and the ticks' tails.
//!
//! Does not measure. Logarithmic axes, microseconds.

use super::crossover::{PRECISIONS_MS, Point, STRUCTURES};
use super::ticks::Life;
use crate::timers::subject::Role;
use plotters::coord::Shift;
use plotters::prelude::*;
use ringbeat::units::HumanCount;
use std::error::Error;
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// In the order of [`STRUCTURES`], then whatever else there is.
const COLOURS: [RGBColor; 12] = [
    RGBColor(0x0b, 0x3c, 0x6f),
    RGBColor(0xa3, 0x1f, 0x4b),
    RGBColor(0x1b, 0x7f, 0x79),
    RGBColor(0xc0, 0x6c, 0x00),
    RGBColor(0x6b, 0x4f, 0x9a),
    RGBColor(0x55, 0x6b, 0x2f),
    RGBColor(0xd1, 0x49, 0x5b),
    RGBColor(0x2e, 0x86, 0xc1),
    RGBColor(0x8d, 0x6e, 0x63),
    RGBColor(0x00, 0x96, 0x88),
    RGBColor(0xb7, 0x95, 0x0b),
    RGBColor(0x7f, 0x00, 0x7f),
];
const GREY: RGBColor = RGBColor(0x88, 0x88, 0x88);
const FONT: &str = "sans-serif";

/// Draws the crossover into `path`.
pub(crate) fn crossover(path: &Path, points: &[Point]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (1_080, 880)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = "CPU per second by timers and precision: 9 s timeout, a heartbeat every 3 s";
    let area = area.titled(title, (FONT, 18))?;
    for (panel, precision_ms) in area.split_evenly((2, 2)).iter().zip(PRECISIONS_MS) {
        let own: Vec<&Point> = points
            .iter()
            .filter(|point| point.precision_ms == precision_ms)
            .collect();
        if !own.is_empty() {
            precision(panel, precision_ms, &own)?;
        }
    }
    area.present()?;
    Ok(())
}

fn precision(panel: &Area<'_>, precision_ms: u32, points: &[&Point]) -> Result<(), Box<dyn Error>> {
    let people = || points.iter().map(|point| point.population);
    let timers = f64::from(people().min().unwrap_or(1))..f64::from(people().max().unwrap_or(2));
    let costs = || points.iter().flat_map(|point| point.costs);
    let least = points.iter().map(|point| point.touches).min().unwrap_or(1);
    let spent = micros(least) / 2.0..micros(costs().max().unwrap_or(1)) * 2.0;
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("late by less than {precision_ms} ms"), (FONT, 15))
        .margin(10)
        .margin_right(30)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(timers.log_scale(), spent.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("timers")
        .y_desc("CPU per second, µs")
        .x_label_formatter(&|count| HumanCount(whole(*count)).to_string())
        .y_label_formatter(&|cost| format!("{cost}"))
        .light_line_style(WHITE)
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 13))
        .draw()?;
    for (number, (name, colour)) in STRUCTURES.into_iter().zip(COLOURS).enumerate() {
        let style = colour.stroke_width(if number < 2 { 3 } else { 1 });
        let line = points
            .iter()
            .map(|point| (f64::from(point.population), micros(point.costs[number])));
        chart
            .draw_series(LineSeries::new(line, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    let alone = points
        .iter()
        .map(|point| (f64::from(point.population), micros(point.touches)));
    let dashed = GREY.stroke_width(1);
    chart
        .draw_series(DashedLineSeries::new(alone, 4, 4, dashed))?
        .label("heartbeats alone")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], dashed));
    legend(&mut chart)
}

/// Draws each tick's cost by percentile into `path`, for the largest population by the first preset.
pub(crate) fn tails(path: &Path, lives: &[Life]) -> Result<(), Box<dyn Error>> {
    let Some(first) = lives.first() else {
        return Ok(());
    };
    let largest = lives.iter().map(|life| life.population).max();
    let shown: Vec<&Life> = lives
        .iter()
        .filter(|life| {
            Some(life.population) == largest
                && life.preset.name == first.preset.name
                && life.role != Role::Lent
        })
        .collect();
    let area = SVGBackend::new(path, (1_080, 640)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!(
        "A tick of {} ms with its heartbeats, {} timers, {}",
        first.preset.tick_ms,
        HumanCount(u64::from(largest.unwrap_or(0))),
        first.preset.name,
    );
    let least = shown.iter().map(|life| life.ticks.min()).min().unwrap_or(1);
    let most = shown.iter().map(|life| life.ticks.max()).max().unwrap_or(1);
    let spent = micros(least) / 2.0..micros(most) * 2.0;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(14)
        .margin_right(200)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..3.4_f64, spent.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("CPU per tick, µs")
        .x_labels(4)
        .x_label_formatter(&|nines| format!("{}", 100.0 - 100.0 / 10_f64.powf(*nines)))
        .y_label_formatter(&|cost| format!("{cost}"))
        .light_line_style(WHITE)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    for (life, colour) in shown.into_iter().zip(COLOURS.into_iter().cycle()) {
        let style = colour.stroke_width(if life.role == Role::Ours { 3 } else { 1 });
        let line = (0..=68).map(|step| {
            let nines = f64::from(step) / 20.0;
            let quantile = 1.0 - 10_f64.powf(-nines);
            (nines, micros(life.ticks.value_at_quantile(quantile)))
        });
        chart
            .draw_series(LineSeries::new(line, style))?
            .label(life.structure)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    legend(&mut chart)?;
    area.present()?;
    Ok(())
}

/// Names the lines.
fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
) -> Result<(), Box<dyn Error>>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .label_font((FONT, 12))
        .draw()?;
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
