//! Latency by percentile, the way HdrHistogram's plotter draws it: the tail is as wide as the body.
//!
//! Does not interpolate: the lines join the recorded percentiles. The horizontal axis is
//! log₁₀(1/(1−p)), the vertical one log₁₀ of nanoseconds.

use super::canvas::{Axis, Canvas, GRID, INK, LABEL_SIZE, arm_colour};
use super::data::{Line, Lines, Mark, Panel, Quantity, Table};
use super::{Overlaid, Plot, PlotError};
use crate::record::{ArmRecord, HistogramRecord};
use crate::report::format::{self, float_i, float_u, whole};
use plotters::prelude::{ChartBuilder, LineSeries};
use plotters::style::{Color, IntoFont, RGBColor};
use std::collections::BTreeMap;

const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// A histogram worth a chart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    pub(super) histogram: &'static str,
    /// File name without extension.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) axis: &'static str,
}

/// The histograms worth a chart, in reading order.
pub(super) const SUBJECTS: [Subject; 4] = [
    Subject {
        histogram: "rtt",
        name: "rtt",
        title: "Round trip by percentile: sent to ack",
        axis: "round trip",
    },
    Subject {
        histogram: "response",
        name: "response",
        title: "Response time by percentile: scheduled to ack",
        axis: "response time",
    },
    Subject {
        histogram: "lateness",
        name: "lateness",
        title: "Lateness of the timing wheel by percentile: fired minus deadline",
        axis: "lateness",
    },
    Subject {
        histogram: "schedule_lag",
        name: "schedule-lag",
        title: "Lag of the load generator by percentile: sent minus scheduled",
        axis: "lag",
    },
];

struct Curve {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    p99: u64,
}

/// One curve of a chart: what it is called, and whose histogram it shows.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) colour: RGBColor,
    pub(super) histograms: &'a BTreeMap<String, HistogramRecord>,
}

impl<'a> Entry<'a> {
    /// An arm under its own name and colour.
    pub(super) fn of(arm: &'a ArmRecord) -> Self {
        Self {
            name: arm.name.clone(),
            colour: arm_colour(&arm.name),
            histograms: &arm.histograms,
        }
    }

    /// The same thing in two runs, A in `colour`, B in a lighter one.
    pub(super) fn pair(both: &Overlaid<'a>, colour: RGBColor) -> [Self; 2] {
        let lighter = |part: u8| part / 2 + 0x70;
        let RGBColor(red, green, blue) = colour;
        let colours = [
            colour,
            RGBColor(lighter(red), lighter(green), lighter(blue)),
        ];
        [0, 1].map(|side| Self {
            name: format!("{}: {}", ["A", "B"][side], both.name),
            colour: colours[side],
            histograms: both.histograms[side],
        })
    }
}

/// The chart of one histogram, all entries that have it overlaid; `None` when none does.
pub(super) fn percentiles(
    entries: &[Entry<'_>],
    subject: Subject,
) -> Result<Option<Plot>, PlotError> {
    let mut curves = Vec::new();
    for entry in entries {
        curves.extend(curve(entry, subject.histogram)?);
    }
    if curves.is_empty() {
        return Ok(None);
    }
    let figures = curves
        .iter()
        .map(|c| format!("{} {}", c.name, format::span(c.p99)));
    let canvas = Canvas {
        name: subject.name,
        title: subject.title,
        alternative: format!(
            "{}. 99th percentile: {}.",
            subject.title,
            figures.collect::<Vec<_>>().join(", ")
        ),
        height: 440,
        legend: curves.iter().map(|c| (c.name.clone(), c.colour)).collect(),
    };
    let plot = canvas.draw(|area| chart(area, &curves, subject.axis))?;
    Ok(Some(plot.showing(&numbers(curves, subject))))
}

fn numbers(curves: Vec<Curve>, subject: Subject) -> Lines {
    let line = |curve: Curve| Line {
        name: curve.name,
        colour: curve.colour,
        stretches: vec![curve.points],
    };
    let column = format!("{}_ns", subject.histogram);
    Lines {
        title: subject.title.to_owned(),
        across: Quantity::new("percentile", "percentile", "percentile"),
        panels: vec![Panel {
            title: String::new(),
            up: Quantity::new(&format!("{} (log scale)", subject.axis), &column, "ns").log(),
            lines: curves.into_iter().map(line).collect(),
        }],
        mark: Mark::None,
        together: false,
        table: Table::Long,
    }
}

fn curve(entry: &Entry<'_>, name: &str) -> Result<Option<Curve>, PlotError> {
    let Some(stored) = entry.histograms.get(name).filter(|stored| stored.count > 0) else {
        return Ok(None);
    };
    let histogram = stored.histogram()?;
    let longest = float_u(histogram.len()).max(10.0).log10();
    let mut points: Vec<(f64, f64)> = Vec::new();
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        let beyond = (1.0 - step.quantile_iterated_to()).max(0.0);
        // One value in `len` is the last percentile the count can speak of.
        let x = if beyond > 0.0 {
            (1.0 / beyond).log10().min(longest)
        } else {
            longest
        };
        points.push((x, float_u(step.value_iterated_to().max(1)).log10()));
    }
    Ok(Some(Curve {
        name: entry.name.clone(),
        colour: entry.colour,
        points,
        p99: stored.p99,
    }))
}

fn chart(area: &super::canvas::Area<'_>, curves: &[Curve], axis: &str) -> Result<(), PlotError> {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let right = all().map(|p| p.0).fold(1.0, f64::max);
    let low = all().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = all().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let marks = value_ticks(low, high);
    let (bottom, top) = (marks[0], marks[marks.len() - 1]);
    let percentiles: Vec<f64> = (0..=whole(right.floor())).map(float_u).collect();
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(30)
        .x_label_area_size(52)
        .y_label_area_size(92)
        .build_cartesian_2d(
            Axis {
                from: 0.0,
                to: right * 1.02,
                ticks: percentiles.clone(),
            },
            Axis {
                from: bottom,
                to: top,
                ticks: marks.clone(),
            },
        )?;
    let axis = format!("{axis} (log scale)");
    chart
        .configure_mesh()
        .x_labels(percentiles.len())
        .y_labels(marks.len())
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .axis_desc_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .x_label_formatter(&|x| percent(*x))
        .y_label_formatter(&|y| span(*y))
        .x_desc("percentile")
        .y_desc(axis)
        .draw()?;
    for curve in curves {
        let style = curve.colour.stroke_width(2);
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), style))?;
    }
    Ok(())
}

/// `0 %`, `90 %`, `99 %`, `99.9 %`, … for 0, 1, 2, 3.
fn percent(x: f64) -> String {
    let nines = usize::try_from(whole(x)).unwrap_or(0);
    match nines {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more - 2)),
    }
}

/// A tick of the value axis: `50 µs`.
pub(super) fn span(log_ns: f64) -> String {
    let ns = 10_f64.powf(log_ns);
    let (scaled, unit) = match ns {
        n if n < 999.0 => (n, "ns"),
        n if n < 999e3 => (n / 1e3, "µs"),
        n if n < 999e6 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{scaled:.0} {unit}")
}

/// Ticks at 1, 2 and 5 per decade when few decades are spanned, else at decades; they enclose
/// `low..high`.
pub(super) fn value_ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high - low > 3.0 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let first = low.floor();
    let decades = usize::try_from(whole(high.ceil() - first)).unwrap_or(0);
    let every: Vec<f64> = (0..=decades)
        .flat_map(|decade| {
            steps
                .iter()
                .map(move |s| first + float_i(decade) + s.log10())
        })
        .collect();
    let begin = every.iter().rposition(|t| *t <= low + 1e-9).unwrap_or(0);
    let end = every
        .iter()
        .position(|t| *t > high + 1e-9)
        .unwrap_or(every.len() - 1);
    every[begin..=end.max(begin + 1).min(every.len() - 1)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_labelled_for_people() {
        assert_eq!(percent(3.0), "99.9 %");
        assert_eq!(percent(5.0), "99.999 %");
        assert_eq!(span(4.698_97), "50 µs");
        assert_eq!(span(9.0), "1 s");
    }

    #[test]
    fn value_ticks_enclose_the_values() {
        for (low, high) in [(4.8, 5.9), (0.0, 0.0), (3.0, 9.9), (6.0, 7.0)] {
            let ticks = value_ticks(low, high);
            assert!(ticks.len() >= 2, "{low} {high}");
            assert!(
                ticks[0] <= low + 1e-6 && ticks[ticks.len() - 1] >= high,
                "{low} {high}"
            );
        }
    }
}
