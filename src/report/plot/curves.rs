//! Curves of a climb: a figure against the number of connections, or against the tick, on a logarithmic axis.
//!
//! Does not fit or smooth: points are the record's, lines only join them. Lengths: microseconds of CPU, nanoseconds
//! and bytes on logarithmic axes, connections per second.

use super::canvas::{Area, Axis, Canvas, GRID, INK, LABEL_SIZE, arm_colour, ticks};
use super::data::{Line, Lines, Mark, Panel, Quantity, Table};
use super::percentile::{Entry, SUBJECTS, percentiles, span, value_ticks};
use super::{Plot, PlotError};
use crate::record::{ArmRecord, HistogramRecord, ScaleAxis, ScaleRecord, ScaleRung};
use crate::report::format::{self, float, float_u};
use crate::report::rows::{CONTROL, OWNERS};
use crate::report::scale::{leading_arm, rung_name};
use plotters::prelude::{ChartBuilder, Circle, LineSeries};
use plotters::style::{Color, IntoFont, RGBColor};

const ALONG_CONNECTIONS: &str = "connections (log scale)";
const ALONG_TICK: &str = "tick (log scale)";
const FLOOR: RGBColor = RGBColor(0x00, 0x00, 0x00);
/// Light to dark, for what rises from rung to rung or from median to tail.
pub(super) const RISING: [RGBColor; 6] = [
    RGBColor(0x9E, 0xCA, 0xE1),
    RGBColor(0x6B, 0xAE, 0xD6),
    RGBColor(0x42, 0x92, 0xC6),
    RGBColor(0x21, 0x71, 0xB5),
    RGBColor(0x08, 0x51, 0x9C),
    RGBColor(0x08, 0x30, 0x6B),
];
const OWNER_COLOURS: [RGBColor; 6] = [
    RGBColor(0x5B, 0x2A, 0x86),
    RGBColor(0x9A, 0x5F, 0xC0),
    RGBColor(0xA9, 0xB6, 0x65),
    RGBColor(0x6B, 0x7A, 0x2B),
    RGBColor(0xBB, 0xBB, 0xBB),
    RGBColor(0x33, 0x33, 0x33),
];

/// How the vertical axis is divided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scaling {
    /// From zero.
    Linear,
    /// Points are logarithms of nanoseconds.
    LogSpan,
    /// Points are logarithms of bytes.
    LogBytes,
}

struct Series {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

struct Chart<'a> {
    name: &'a str,
    title: &'a str,
    /// Of the vertical axis.
    description: &'a str,
    scaling: Scaling,
    series: Vec<Series>,
}

/// Every curve of a climb that has points.
pub(super) fn curves(scale: &ScaleRecord) -> Result<Vec<Plot>, PlotError> {
    let mut plots = Vec::new();
    for chart in [
        cost(scale),
        memory(scale),
        round_trip(scale),
        connects(scale),
    ] {
        plots.extend(draw(scale, chart)?);
    }
    // The tail from rung to rung.
    let entries: Vec<Entry<'_>> = scale
        .rungs
        .iter()
        .enumerate()
        .filter_map(|(place, rung)| {
            Some(Entry {
                name: rung_name(scale.axis, rung),
                colour: RISING[place.min(RISING.len() - 1)],
                histograms: &leading_arm(&rung.arms)?.histograms,
            })
        })
        .collect();
    for subject in SUBJECTS {
        plots.extend(percentiles(&entries, subject)?);
    }
    Ok(plots)
}

/// Where `rung` stands on the horizontal axis: the logarithm of connections, or of milliseconds.
fn place(axis: ScaleAxis, rung: &ScaleRung) -> f64 {
    match axis {
        ScaleAxis::Connections => float_u(rung.connections.max(1)).log10(),
        ScaleAxis::Tick => (float_u(rung.tick_us.max(1)) / 1e3).log10(),
    }
}

/// One curve: the figure of an arm at every rung that has it.
fn series(
    scale: &ScaleRecord,
    name: &str,
    colour: RGBColor,
    figure: impl Fn(&ScaleRung) -> Option<f64>,
) -> Series {
    let points = scale
        .rungs
        .iter()
        .filter_map(|rung| Some((place(scale.axis, rung), figure(rung)?)));
    Series {
        name: name.to_owned(),
        colour,
        points: points.collect(),
    }
}

fn names(scale: &ScaleRecord) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for arm in scale.rungs.iter().flat_map(|rung| &rung.arms) {
        if !names.contains(&arm.name.as_str()) {
            names.push(&arm.name);
        }
    }
    names
}

fn of<'a>(rung: &'a ScaleRung, name: &str) -> Option<&'a ArmRecord> {
    rung.arms.iter().find(|arm| arm.name == name)
}

fn cost(scale: &ScaleRecord) -> Chart<'_> {
    let mut all: Vec<Series> = names(scale)
        .into_iter()
        .filter(|name| *name != CONTROL)
        .map(|name| {
            series(scale, name, arm_colour(name), |rung| {
                let figure = of(rung, name)?.cpu_ns_per_event?;
                figure.resolved.then(|| float(figure.median) / 1e3)
            })
        })
        .collect();
    all.extend(floor(scale));
    Chart {
        name: "scale-cpu",
        title: "CPU per event, both ends, whole machine, net of the control",
        description: "CPU per event, µs",
        scaling: Scaling::Linear,
        series: all,
    }
}

/// The floor at its numbers of pairs; against ticks, the largest of them as a level line.
fn floor(scale: &ScaleRecord) -> Option<Series> {
    let us = |point: &crate::record::FloorRecord| float(point.cpu_ns_per_exchange.median) / 1e3;
    let points = match scale.axis {
        ScaleAxis::Connections => {
            let at = scale.floor.iter();
            at.map(|point| (float_u(point.pairs.max(1)).log10(), us(point)))
                .collect()
        }
        ScaleAxis::Tick => {
            let largest = scale.floor.iter().max_by_key(|point| point.pairs).map(us)?;
            let ends = [scale.rungs.first()?, scale.rungs.last()?];
            ends.map(|rung| (place(scale.axis, rung), largest)).to_vec()
        }
    };
    let name = "floor: bare system calls, by pairs".to_owned();
    (!scale.floor.is_empty()).then_some(Series {
        name,
        colour: FLOOR,
        points,
    })
}

fn memory(scale: &ScaleRecord) -> Chart<'_> {
    let log = |bytes: Option<i64>| {
        bytes
            .filter(|bytes| *bytes > 0)
            .map(|bytes| float(bytes).log10())
    };
    let mut all: Vec<Series> = OWNERS
        .iter()
        .zip(OWNER_COLOURS)
        .map(|((label, _, figure), colour)| {
            series(scale, label, colour, |rung| {
                log(figure(
                    &leading_arm(&rung.arms)?.memory_bytes_per_connection,
                ))
            })
        })
        .collect();
    all.push(series(scale, "total", OWNER_COLOURS[5], |rung| {
        let total = leading_arm(&rung.arms)?.memory_bytes_per_connection.total?;
        log(i64::try_from(total).ok())
    }));
    Chart {
        name: "scale-memory",
        title: "Memory per connection, both ends, by owner",
        description: "bytes per connection (log scale)",
        scaling: Scaling::LogBytes,
        series: all,
    }
}

fn round_trip(scale: &ScaleRecord) -> Chart<'_> {
    type Pick = fn(&HistogramRecord) -> u64;
    // The last drawn lies on top: where p99.9 and the largest are one, the percentile shows.
    let picks: [(&str, Pick, RGBColor); 4] = [
        ("max", |h| h.max, RGBColor(0xBB, 0xBB, 0xBB)),
        ("p50", |h| h.p50, RISING[1]),
        ("p99", |h| h.p99, RISING[3]),
        ("p99.9", |h| h.p999, RISING[5]),
    ];
    let all = picks.map(|(name, pick, colour)| {
        series(scale, name, colour, |rung| {
            let rtt = leading_arm(&rung.arms)?.histograms.get("rtt")?;
            (rtt.count > 0).then(|| float_u(pick(rtt).max(1)).log10())
        })
    });
    Chart {
        name: "scale-rtt",
        title: "Round trip of a heartbeat: sent to ack",
        description: "round trip (log scale)",
        scaling: Scaling::LogSpan,
        series: all.into(),
    }
}

fn connects(scale: &ScaleRecord) -> Chart<'_> {
    let all = names(scale).into_iter().map(|name| {
        series(scale, name, arm_colour(name), |rung| {
            of(rung, name)?.connects_per_second
        })
    });
    Chart {
        name: "scale-connects",
        title: "Connections opened per second of the ramp",
        description: "connections per second",
        scaling: Scaling::Linear,
        series: all.collect(),
    }
}

fn draw(scale: &ScaleRecord, mut chart: Chart<'_>) -> Result<Option<Plot>, PlotError> {
    chart.series.retain(|series| !series.points.is_empty());
    if scale.rungs.is_empty() || chart.series.is_empty() {
        return Ok(None);
    }
    let said = chart.series.iter().map(|series| {
        let last = series.points.last().map_or(0.0, |point| point.1);
        format!("{} {}", series.name, shown(chart.scaling, last))
    });
    let at = match scale.axis {
        ScaleAxis::Connections => "against the number of connections",
        ScaleAxis::Tick => "against the length of a tick",
    };
    let canvas = Canvas {
        name: chart.name,
        title: chart.title,
        alternative: format!(
            "{}, {at}. At the last point: {}.",
            chart.title,
            said.collect::<Vec<_>>().join(", ")
        ),
        height: 420,
        legend: chart
            .series
            .iter()
            .map(|series| (series.name.clone(), series.colour))
            .collect(),
    };
    let plot = canvas.draw(|area| lines(area, scale, &chart))?;
    Ok(Some(plot.showing(&numbers(scale.axis, chart))))
}

fn numbers(axis: ScaleAxis, chart: Chart<'_>) -> Lines {
    let across = match axis {
        ScaleAxis::Connections => Quantity::new(ALONG_CONNECTIONS, "connections", "count"),
        ScaleAxis::Tick => Quantity::new(ALONG_TICK, "tick_ms", "ms"),
    };
    let up = |column, unit| Quantity::new(chart.description, column, unit);
    let up = match chart.scaling {
        Scaling::Linear if chart.name == "scale-cpu" => up("cpu_us_per_event", "us"),
        Scaling::Linear => up("connections_per_second", "count"),
        Scaling::LogSpan => up("round_trip_ns", "ns").log(),
        Scaling::LogBytes => up("bytes_per_connection", "bytes").log(),
    };
    let line = |series: Series| Line {
        name: series.name,
        colour: series.colour,
        stretches: vec![series.points],
    };
    Lines {
        title: chart.title.to_owned(),
        across: across.log(),
        panels: vec![Panel {
            title: String::new(),
            up,
            lines: chart.series.into_iter().map(line).collect(),
        }],
        mark: Mark::Dots,
        together: false,
        table: Table::Long,
    }
}

fn shown(scaling: Scaling, value: f64) -> String {
    match scaling {
        Scaling::Linear => format::compact(value),
        Scaling::LogSpan => span(value),
        Scaling::LogBytes => format::bytes(format::whole(10_f64.powf(value))),
    }
}

fn lines(area: &Area<'_>, scale: &ScaleRecord, chart: &Chart<'_>) -> Result<(), PlotError> {
    let all = || chart.series.iter().flat_map(|series| &series.points);
    let extent = |pick: fn(&(f64, f64)) -> f64| {
        let low = all().map(pick).fold(f64::INFINITY, f64::min);
        let high = all().map(pick).fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    };
    let ((left, right), (low, high)) = (extent(|p| p.0), extent(|p| p.1));
    let marks = if chart.scaling == Scaling::Linear {
        ticks(high.max(f64::MIN_POSITIVE), 5)
    } else {
        value_ticks(low, high)
    };
    let places = apart(
        scale
            .rungs
            .iter()
            .map(|rung| place(scale.axis, rung))
            .chain([left, right])
            .collect(),
        (right - left) / 14.0,
    );
    let margin = ((right - left) * 0.04).max(0.05);
    let across = Axis {
        from: left - margin,
        to: right + margin,
        ticks: places.clone(),
    };
    let up = Axis {
        from: marks[0],
        to: marks[marks.len() - 1],
        ticks: marks.clone(),
    };
    let mut drawn = ChartBuilder::on(area)
        .margin(8)
        .margin_right(30)
        .x_label_area_size(52)
        .y_label_area_size(92)
        .build_cartesian_2d(across, up)?;
    let (scaling, axis) = (chart.scaling, scale.axis);
    let along = move |x: f64| match axis {
        ScaleAxis::Connections => format::compact(rounded(10_f64.powf(x))),
        ScaleAxis::Tick => format!("{} ms", format::compact(rounded(10_f64.powf(x)))),
    };
    drawn
        .configure_mesh()
        .x_labels(places.len())
        .y_labels(marks.len())
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .axis_desc_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .x_label_formatter(&|x| along(*x))
        .y_label_formatter(&|y| shown(scaling, *y))
        .x_desc(match scale.axis {
            ScaleAxis::Connections => ALONG_CONNECTIONS,
            ScaleAxis::Tick => ALONG_TICK,
        })
        .y_desc(chart.description)
        .draw()?;
    for series in &chart.series {
        let style = series.colour.stroke_width(2);
        drawn.draw_series(LineSeries::new(series.points.iter().copied(), style))?;
        let dots = series.points.iter();
        drawn.draw_series(dots.map(|point| Circle::new(*point, 4, series.colour.filled())))?;
    }
    Ok(())
}

/// A power of ten back from its logarithm, to three digits.
pub(super) fn rounded(value: f64) -> f64 {
    let step = 10_f64.powf(value.abs().max(f64::MIN_POSITIVE).log10().floor() - 2.0);
    (value / step).round() * step
}

/// The places in rising order, without those nearer than `least` to the one before.
pub(super) fn apart(mut places: Vec<f64>, least: f64) -> Vec<f64> {
    places.sort_by(f64::total_cmp);
    let mut kept: Vec<f64> = Vec::new();
    for place in places {
        if kept
            .last()
            .is_none_or(|last| place - last > least.max(1e-9))
        {
            kept.push(place);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn places_too_near_for_a_label_are_left_out() {
        assert_eq!(apart(vec![3.0, 1.0, 1.0, 1.01, 2.0], 0.1), [1.0, 2.0, 3.0]);
        assert_eq!(apart(vec![1.0], 0.0), [1.0]);
    }

    #[test]
    fn logarithms_come_back_as_the_round_numbers_they_were() {
        for value in [1.0, 8.0, 32.0, 300_000.0, 2_500_000.0] {
            let back = rounded(10_f64.powf(f64::log10(value)));
            assert!((back - value).abs() < value * 1e-9, "{value}: {back}");
        }
        assert_eq!(format::compact(rounded(2_499_999.7)), "2.5M");
    }

    #[test]
    fn a_climb_has_its_curves_and_a_sweep_too() {
        let mut scale = fixture::scale_record().scale.unwrap();
        let names = |scale: &ScaleRecord| -> Vec<String> {
            curves(scale)
                .unwrap()
                .into_iter()
                .map(|plot| plot.name)
                .collect()
        };
        let expected = [
            "scale-cpu",
            "scale-memory",
            "scale-rtt",
            "scale-connects",
            "rtt",
            "response",
            "lateness",
            "schedule-lag",
        ];
        assert_eq!(names(&scale), expected);
        for (tick, rung) in [1_000, 8_000, 32_000].into_iter().zip(&mut scale.rungs) {
            rung.tick_us = tick;
            rung.connections = 100_000;
        }
        scale.axis = ScaleAxis::Tick;
        assert_eq!(names(&scale), expected);
        let cost = draw(&scale, cost(&scale)).unwrap().unwrap();
        assert!(
            cost.svg.contains("32 ms") && cost.alternative.contains("against the length of a tick")
        );
        assert!(!cost.svg.contains("NaN"));
        scale.rungs.clear();
        assert!(names(&scale).is_empty());
    }

    #[test]
    fn one_rung_is_drawn_as_points() {
        let mut scale = fixture::scale_record().scale.unwrap();
        scale.rungs.truncate(1);
        scale.floor.clear();
        for plot in curves(&scale).unwrap() {
            assert!(
                !plot.svg.contains("NaN") && !plot.svg.contains("inf"),
                "{}",
                plot.name
            );
        }
    }
}
