//! Bar charts: CPU per event with its interval, memory per connection by owner.
//!
//! Does not compute totals or intervals; it draws the record's. Lengths: microseconds, bytes.

use super::canvas::{
    Area, Axis, Canvas, GRID, INK, LABEL_SIZE, WIDTH, arm_colour, text, text_width, ticks,
};
use super::hover::Hover;
use super::{Plot, PlotError};
use crate::record::{ArmRecord, Estimate, Record};
use crate::report::csv::field;
use crate::report::format::{self, float, float_i};
use crate::report::rows::OWNERS;
use crate::report::shards;
use plotters::element::{PathElement, Rectangle, Text};
use plotters::prelude::{Cartesian2d, ChartBuilder, ChartContext, SVGBackend};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, IntoFont, RGBColor};

const ROW_HEIGHT: u32 = 46;
const NS_PER_US: f64 = 1_000.0;
/// Shades of one hue that no arm has, dark to light, in the order of [`OWNERS`].
const OWNER_COLOURS: [RGBColor; 5] = [
    RGBColor(0x5B, 0x2A, 0x86),
    RGBColor(0x9A, 0x5F, 0xC0),
    RGBColor(0xA9, 0xB6, 0x65),
    RGBColor(0x6B, 0x7A, 0x2B),
    RGBColor(0xBB, 0xBB, 0xBB),
];

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// CPU per event of every arm that has one.
pub(super) fn cpu_per_event(record: &Record) -> Result<Option<Plot>, PlotError> {
    let bars: Vec<(&ArmRecord, Estimate)> = record
        .arms
        .iter()
        .filter_map(|arm| Some((arm, arm.cpu_ns_per_event?)))
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let said = bars
        .iter()
        .map(|(arm, f)| format!("{} {}", arm.name, format::estimate(f)));
    let title = "CPU per event, whole machine, net of the control";
    let canvas = Canvas {
        name: "cpu-per-event",
        title,
        alternative: format!("{title}: {}.", said.collect::<Vec<_>>().join("; ")),
        height: height(bars.len()),
        legend: Vec::new(),
    };
    let names: Vec<String> = bars.iter().map(|(arm, _)| arm.name.clone()).collect();
    let longest = bars
        .iter()
        .map(|(_, f)| f.high.max(f.median))
        .max()
        .unwrap_or(0);
    let end = float(longest.max(1)) / NS_PER_US;
    let mut hover = Hover::default();
    let plot = canvas.draw(|area| {
        let desc = "CPU per event, µs; the line is the 95 % interval";
        let mut chart = frame(area, &names, end, desc)?;
        for (place, (arm, figure)) in bars.iter().enumerate() {
            let row = float_i(place);
            cost_bar(&mut chart, row, &arm.name, figure)?;
            let reach = float(figure.median.max(figure.high)).max(0.0) / NS_PER_US;
            let said = format!("{}: CPU per event {}", arm.name, format::estimate(figure));
            point_out(
                &mut hover,
                &chart,
                [(0.0, row + 0.2), (reach, row + 0.8)],
                &said,
            );
        }
        Ok(())
    })?;
    let rows = bars.iter().map(|(arm, f)| {
        format!(
            "{},{},{},{},{}\n",
            field(&arm.name),
            f.median,
            f.low,
            f.high,
            f.resolved
        )
    });
    let rows: String = rows.collect();
    Ok(Some(plot.telling(&hover).listing(format!(
        "arm,cpu_ns_per_event_median,low_ns,high_ns,resolved\n{rows}"
    ))))
}

fn cost_bar(
    chart: &mut Chart<'_, '_>,
    row: f64,
    arm: &str,
    figure: &Estimate,
) -> Result<(), PlotError> {
    let us = |ns: i64| float(ns).max(0.0) / NS_PER_US;
    let colour = arm_colour(arm);
    let fill = if figure.resolved {
        colour.filled()
    } else {
        colour.mix(0.25).filled()
    };
    let corners = [(0.0, row + 0.2), (us(figure.median), row + 0.8)];
    chart.draw_series([Rectangle::new(corners, fill)])?;
    let (low, high) = (us(figure.low), us(figure.high));
    let whisker = [
        vec![(low, row + 0.5), (high, row + 0.5)],
        vec![(low, row + 0.38), (low, row + 0.62)],
        vec![(high, row + 0.38), (high, row + 0.62)],
    ];
    let style = INK.stroke_width(2);
    chart.draw_series(whisker.map(|points| PathElement::new(points, style)))?;
    let beyond = high.max(us(figure.median));
    label(chart, (beyond, row + 0.5), format::estimate(figure))
}

/// Memory per connection of every arm, stacked by owner.
pub(super) fn memory(record: &Record) -> Result<Option<Plot>, PlotError> {
    let bars: Vec<(&ArmRecord, Vec<(usize, f64)>)> = record
        .arms
        .iter()
        .map(|arm| (arm, owned(arm)))
        .filter(|(_, parts)| !parts.is_empty())
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let shown = |owner: usize| {
        bars.iter()
            .any(|(_, parts)| parts.iter().any(|p| p.0 == owner))
    };
    let sum = |parts: &[(usize, f64)]| parts.iter().map(|part| part.1).sum::<f64>();
    let title = if record.arms.iter().any(shards::elsewhere) {
        "Memory per connection, the server's end"
    } else {
        "Memory per connection, both ends"
    };
    let said = bars
        .iter()
        .map(|(arm, parts)| format!("{} {}", arm.name, format::bytes(format::whole(sum(parts)))));
    let canvas = Canvas {
        name: "memory",
        title,
        alternative: format!("{title}: {}.", said.collect::<Vec<_>>().join("; ")),
        height: height(bars.len()) + 24,
        legend: (0..OWNERS.len())
            .filter(|owner| shown(*owner))
            .map(|owner| (OWNERS[owner].0.to_owned(), OWNER_COLOURS[owner]))
            .collect(),
    };
    let names: Vec<String> = bars.iter().map(|(arm, _)| arm.name.clone()).collect();
    let end = bars.iter().map(|(_, parts)| sum(parts)).fold(1.0, f64::max);
    let mut hover = Hover::default();
    let plot = canvas.draw(|area| {
        let mut chart = frame(area, &names, end, "bytes per connection")?;
        for (place, (arm, parts)) in bars.iter().enumerate() {
            let row = float_i(place);
            let mut from = 0.0;
            for (owner, size) in parts {
                let corners = [(from, row + 0.2), (from + size, row + 0.8)];
                let fill = OWNER_COLOURS[*owner].filled();
                chart.draw_series([Rectangle::new(corners, fill)])?;
                let each = format::bytes(format::whole(*size));
                let said = format!("{}, {}: {each} per connection", arm.name, OWNERS[*owner].0);
                point_out(&mut hover, &chart, corners, &said);
                from += size;
            }
            label(
                &mut chart,
                (from, row + 0.5),
                format::bytes(format::whole(from)),
            )?;
        }
        Ok(())
    })?;
    let rows = bars.iter().flat_map(|(arm, parts)| {
        let row = |(owner, bytes): &(usize, f64)| {
            format!("{},{},{bytes}\n", field(&arm.name), field(OWNERS[*owner].0))
        };
        parts.iter().map(row)
    });
    let rows: String = rows.collect();
    Ok(Some(plot.telling(&hover).listing(format!(
        "arm,owner,bytes_per_connection\n{rows}"
    ))))
}

/// The positive parts of an arm's memory: owner and bytes.
fn owned(arm: &ArmRecord) -> Vec<(usize, f64)> {
    let part = |(owner, (_, _, figure)): (usize, &crate::report::rows::Owner)| {
        let bytes = figure(&arm.memory_bytes_per_connection).filter(|bytes| *bytes > 0)?;
        Some((owner, float(bytes)))
    };
    OWNERS.iter().enumerate().filter_map(part).collect()
}

fn height(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX / 2 / ROW_HEIGHT) * ROW_HEIGHT + 112
}

/// Axes with one row per name, top to bottom, and room right of the longest bar for its figure.
fn frame<'a, 'b>(
    area: &'a Area<'b>,
    names: &[String],
    end: f64,
    description: &str,
) -> Result<Chart<'a, 'b>, PlotError> {
    let marks = ticks(end, 5);
    let axis_end = marks[marks.len() - 1];
    let longest = names.iter().map(|name| text_width(name)).max().unwrap_or(0);
    let left = longest.max(40) + 24;
    let room = 210.0;
    let width = f64::from(i32::try_from(WIDTH).unwrap_or(i32::MAX) - left);
    let right = (end * width / (width - room)).max(axis_end);
    let rows: Vec<f64> = (0..names.len()).map(|row| float_i(row) + 0.5).collect();
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(50)
        .y_label_area_size(left)
        .build_cartesian_2d(
            Axis {
                from: 0.0,
                to: right,
                ticks: marks.clone(),
            },
            Axis {
                from: float_i(names.len()),
                to: 0.0,
                ticks: rows,
            },
        )?;
    let name = |y: &f64| {
        let row = usize::try_from(format::whole(y - 0.5)).unwrap_or(0);
        names.get(row).cloned().unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_labels(marks.len())
        .y_labels(names.len())
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .axis_desc_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .x_label_formatter(&|x| format::compact(*x))
        .y_label_formatter(&name)
        .x_desc(description)
        .draw()?;
    Ok(chart)
}

/// Tells `said` over the rectangle between two corners of the chart.
fn point_out(hover: &mut Hover, chart: &Chart<'_, '_>, corners: [(f64, f64); 2], said: &str) {
    hover.at(corners.map(|corner| chart.backend_coord(&corner)), said);
}

/// Writes `figure` right of `at`.
fn label(chart: &mut Chart<'_, '_>, at: (f64, f64), figure: String) -> Result<(), PlotError> {
    let style = text(HPos::Left, VPos::Center);
    let beside = plotters::element::EmptyElement::at(at) + Text::new(figure, (8, 0), style);
    chart.draw_series([beside])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::plot::hover::told;

    #[test]
    fn every_bar_says_whose_it_is_and_how_long() {
        let mut record = fixture::record();
        record.arms[1].name = "keepalive<&>".to_owned();
        let plot = cpu_per_event(&record).unwrap().unwrap();
        let costs = record.arms.iter().filter_map(|arm| {
            let figure = format::estimate(&arm.cpu_ns_per_event?);
            Some(format!(
                "{}: CPU per event {}",
                arm.name,
                format::plain(&figure)
            ))
        });
        assert_eq!(told(&plot.svg), costs.collect::<Vec<_>>());
        let plot = memory(&record).unwrap().unwrap();
        let parts = record.arms.iter().flat_map(|arm| {
            let memory = &arm.memory_bytes_per_connection;
            let owners = OWNERS.iter().filter_map(|(owner, _, bytes)| {
                let bytes = bytes(memory).filter(|bytes| *bytes > 0)?;
                let bytes = format::plain(&format::bytes(bytes.unsigned_abs()));
                Some(format!("{}, {owner}: {bytes} per connection", arm.name))
            });
            owners.collect::<Vec<_>>()
        });
        let parts: Vec<String> = parts.collect();
        assert!(parts.len() > record.arms.len());
        assert_eq!(told(&plot.svg), parts);
        assert!(plot.svg.contains("<title>keepalive&lt;&amp;&gt;, "));
    }
}
