//! The run over time: connections, CPU, traffic and drops, one panel each over one time axis.
//!
//! Does not smooth: one point per sample. Every stretch has its arm's colour and a band behind it.

use super::canvas::{Area, Axis, Canvas, GRID, INK, LABEL_SIZE, arm_colour, text, ticks};
use super::data::{self, Line, Lines, Mark, Quantity, Table};
use super::{Plot, PlotError};
use crate::record::{Record, Sample};
use crate::report::format::{compact, count, float_u};
use plotters::element::{Rectangle, Text};
use plotters::prelude::{ChartBuilder, LineSeries};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, IntoFont};
use std::collections::BTreeSet;

const PANEL_HEIGHT: u32 = 128;
const TIME_AXIS: u32 = 46;
const MS_PER_S: f64 = 1_000.0;

/// One panel: what it shows, and its value at a sample given the one before.
struct Panel {
    title: &'static str,
    column: &'static str,
    value: fn(Option<&Sample>, &Sample) -> f64,
}

const PANELS: [Panel; 5] = [
    Panel {
        title: "connections held",
        column: "connections",
        value: |_, now| float_u(now.connections),
    },
    Panel {
        title: "CPU busy, cores",
        column: "cpu_busy_cores",
        value: |before, now| float_u(now.cpu_busy_ns) / 1e9 / seconds(before, now),
    },
    Panel {
        title: "heartbeats per second",
        column: "heartbeats_per_second",
        // The first sample of an arm has nothing to compare with.
        value: |before, now| {
            before.map_or(0.0, |earlier| {
                float_u(now.heartbeats.saturating_sub(earlier.heartbeats)) / seconds(before, now)
            })
        },
    },
    Panel {
        title: "keepalive probes per second",
        column: "probes_per_second",
        value: |before, now| float_u(now.probes) / seconds(before, now),
    },
    Panel {
        title: "packets dropped by the backlog per second",
        column: "backlog_drops_per_second",
        value: |before, now| float_u(now.backlog_drops) / seconds(before, now),
    },
];

/// What a sample's sums are sums over: the time since the one before, which is a second but for those around a pause.
fn seconds(before: Option<&Sample>, now: &Sample) -> f64 {
    let since = before.map_or(0, |before| now.elapsed_ms.saturating_sub(before.elapsed_ms));
    if since == 0 {
        1.0
    } else {
        float_u(since) / MS_PER_S
    }
}

/// The time line; `None` with fewer than two samples.
pub(super) fn timeline(record: &Record) -> Result<Option<Plot>, PlotError> {
    let stretches = stretches(&record.samples);
    if record.samples.len() < 2 {
        return Ok(None);
    }
    let mut panels: Vec<(&Panel, f64)> = PANELS.iter().map(|p| (p, peak(p, &stretches))).collect();
    panels.retain(|(_, peak)| *peak > 0.0);
    if panels.is_empty() {
        return Ok(None);
    }
    let names: BTreeSet<&str> = record.samples.iter().map(|s| s.arm.as_str()).collect();
    let ordered = record
        .config
        .arms
        .iter()
        .map(String::as_str)
        .filter(|arm| names.contains(arm));
    let drops: u64 = record.samples.iter().map(|s| s.backlog_drops).sum();
    let rows = u32::try_from(panels.len()).unwrap_or(1);
    let title = "The run over time, by the arm that was running";
    let canvas = Canvas {
        name: "timeline",
        title,
        alternative: format!(
            "{title}: {} samples of connections, CPU, heartbeats, probes; {} packets dropped by \
             the backlog in all.",
            record.samples.len(),
            count(drops)
        ),
        height: rows * PANEL_HEIGHT + TIME_AXIS + 72,
        legend: ordered
            .map(|arm| (arm.to_owned(), arm_colour(arm)))
            .collect(),
    };
    let plot = canvas.draw(|area| {
        for (place, (panel, peak)) in panels.iter().enumerate() {
            let top = i32::try_from(place).unwrap_or(0) * i32::try_from(PANEL_HEIGHT).unwrap_or(0);
            let last = place + 1 == panels.len();
            let tall = PANEL_HEIGHT + if last { TIME_AXIS } else { 0 };
            let (width, _) = area.dim_in_pixel();
            let strip = area.clone().shrink((0, top), (width, tall));
            draw_panel(&strip, panel, *peak, &stretches, last)?;
        }
        Ok(())
    })?;
    let shown: Vec<&Panel> = panels.into_iter().map(|(panel, _)| panel).collect();
    Ok(Some(plot.showing(&numbers(title, &shown, &stretches))))
}

/// The panels' numbers, a line for each arm, broken where another ran.
fn numbers(title: &str, panels: &[&Panel], stretches: &[&[Sample]]) -> Lines {
    let mut arms: Vec<&str> = Vec::new();
    for first in stretches.iter().filter_map(|stretch| stretch.first()) {
        if !arms.contains(&first.arm.as_str()) {
            arms.push(&first.arm);
        }
    }
    let line = |panel: &Panel, arm: &str| Line {
        name: arm.to_owned(),
        colour: arm_colour(arm),
        stretches: stretches
            .iter()
            .filter(|stretch| stretch.first().is_some_and(|first| first.arm == arm))
            .map(|stretch| points(panel, stretch))
            .collect(),
    };
    let panels = panels.iter().map(|panel| data::Panel {
        title: panel.title.to_owned(),
        up: Quantity::new(panel.title, panel.column, "count"),
        lines: arms.iter().map(|arm| line(panel, arm)).collect(),
    });
    Lines {
        title: title.to_owned(),
        across: Quantity::new("seconds since the start of the run", "since_start_s", "s"),
        panels: panels.collect(),
        mark: Mark::Bands,
        together: false,
        table: Table::Wide,
    }
}

/// Cuts the samples where the arm or the round changes.
fn stretches(samples: &[Sample]) -> Vec<&[Sample]> {
    samples
        .chunk_by(|a, b| a.arm == b.arm && a.round == b.round)
        .collect()
}

fn points(panel: &Panel, stretch: &[Sample]) -> Vec<(f64, f64)> {
    let before = std::iter::once(None).chain(stretch.iter().map(Some));
    let pair = |(before, now): (Option<&Sample>, &Sample)| {
        (
            float_u(now.elapsed_ms) / MS_PER_S,
            (panel.value)(before, now),
        )
    };
    before.zip(stretch).map(pair).collect()
}

fn peak(panel: &Panel, stretches: &[&[Sample]]) -> f64 {
    let all = stretches.iter().flat_map(|stretch| points(panel, stretch));
    all.map(|point| point.1).fold(0.0, f64::max)
}

fn draw_panel(
    area: &Area<'_>,
    panel: &Panel,
    peak: f64,
    stretches: &[&[Sample]],
    with_time: bool,
) -> Result<(), PlotError> {
    let marks = ticks(peak, 2);
    let top = marks[marks.len() - 1];
    let ends = |stretch: &&[Sample]| stretch.last().map_or(0, |sample| sample.elapsed_ms);
    let end = float_u(stretches.iter().map(ends).max().unwrap_or(1).max(1)) / MS_PER_S;
    let mut seconds = ticks(end, 8);
    seconds.retain(|tick| *tick <= end);
    area.draw(&Text::new(
        panel.title,
        (84, 2),
        text(HPos::Left, VPos::Top),
    ))?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(22)
        .margin_bottom(6)
        .margin_right(24)
        .x_label_area_size(if with_time { TIME_AXIS } else { 0 })
        .y_label_area_size(76)
        .build_cartesian_2d(
            Axis {
                from: 0.0,
                to: end,
                ticks: seconds.clone(),
            },
            Axis {
                from: 0.0,
                to: top,
                ticks: marks.clone(),
            },
        )?;
    let mut mesh = chart.configure_mesh();
    mesh.y_labels(marks.len())
        .x_labels(if with_time { seconds.len() } else { 0 })
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .axis_desc_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .x_label_formatter(&|x| compact(*x))
        .y_label_formatter(&|y| compact(*y));
    if with_time {
        mesh.x_desc("seconds since the start of the run");
    }
    mesh.draw()?;
    for stretch in stretches {
        let Some((first, last)) = stretch.first().zip(stretch.last()) else {
            continue;
        };
        let colour = arm_colour(&first.arm);
        let from = float_u(first.elapsed_ms) / MS_PER_S;
        let to = float_u(last.elapsed_ms) / MS_PER_S;
        chart.draw_series([Rectangle::new(
            [(from, 0.0), (to, top)],
            colour.mix(0.12).filled(),
        )])?;
        let style = colour.stroke_width(2);
        chart.draw_series(LineSeries::new(points(panel, stretch), style))?;
    }
    Ok(())
}
