//! A storm's recovery: which part of the dropped connections was back after how long, one line per way of backing off.
//!
//! Does not smooth: the lines join the histogram's own percentiles. Time on a logarithmic axis, per cent of those
//! dropped.

use super::canvas::{Area, Axis, Canvas, GRID, INK, LABEL_SIZE, ticks};
use super::data::{self, Lines, Mark, Quantity, Table};
use super::percentile::{Entry, Subject, percentiles, span, value_ticks};
use super::stack::{Panel, Series, Stack};
use super::{Overlaid, Plot, PlotError, drawn};
use crate::record::{StormRecord, StormRun, StormSlice};
use crate::report::format::{self, compact, float_u};
use crate::report::storm::run_names;
use plotters::prelude::{ChartBuilder, LineSeries};
use plotters::style::{Color, IntoFont, RGBColor};

const BEGUN: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const RETURNED: RGBColor = RGBColor(0x00, 0x72, 0xB2);
/// Steps of a line.
const STEPS: u32 = 200;
const TIME_SINCE: &str = "time since the connection was lost (log scale)";
const SHARE: &str = "back, % of those dropped";
const CONNECT: Subject = Subject {
    histogram: "connect",
    name: "connect",
    title: "Connect latency by percentile: begun to established",
    axis: "connect",
};

const RECOVERY: Subject = Subject {
    histogram: "recovery",
    name: "recovery",
    title: "Recovery by percentile: lost to established again",
    axis: "recovery",
};

/// Two runs' recoveries and connects, one's over the other's.
pub(super) fn overlaid(pairs: &[Overlaid<'_>]) -> Result<Vec<Plot>, PlotError> {
    let way = |name: &str| name.split(['@', '#']).next().unwrap_or_default().to_owned();
    let before = |place: usize| {
        let same = |pair: &&Overlaid<'_>| way(&pair.name) == way(&pairs[place].name);
        pairs[..place].iter().filter(same).count()
    };
    let entries = pairs
        .iter()
        .enumerate()
        .flat_map(|(place, pair)| Entry::pair(pair, colour(&way(&pair.name), before(place))));
    drawn(&entries.collect::<Vec<_>>(), &[RECOVERY, CONNECT])
}

/// The curves of `storm` that have data.
pub(super) fn recovery(storm: &StormRecord) -> Result<Vec<Plot>, PlotError> {
    let mut plots: Vec<Plot> = back(storm)?.into_iter().collect();
    let entries: Vec<Entry<'_>> = storm
        .runs
        .iter()
        .zip(run_names(storm))
        .zip(colours(storm))
        .map(|((run, name), colour)| Entry {
            colour,
            name,
            histograms: &run.histograms,
        })
        .collect();
    plots.extend(comeback(storm)?);
    plots.extend(percentiles(&entries, CONNECT)?);
    Ok(plots)
}

/// Reconnects begun and connections returned in every tenth of a second of each run that has them.
fn slices(storm: &StormRecord) -> Vec<(String, Vec<Series>)> {
    let line = |run: &StormRun, name: &str, colour: RGBColor, count: fn(&StormSlice) -> u64| {
        let slices = run.timeline.iter();
        let points = slices.map(|s| (float_u(s.elapsed_ms) / 1e3, float_u(count(s))));
        Series {
            name: name.to_owned(),
            colour,
            points: points.collect(),
        }
    };
    let runs = storm.runs.iter().zip(run_names(storm));
    runs.filter(|(run, _)| run.timeline.len() > 1)
        .map(|(run, name)| {
            let begun = line(run, "connects begun", BEGUN, |slice| slice.attempts);
            let back = line(run, "connections returned", RETURNED, |slice| {
                slice.returned
            });
            (name, vec![begun, back])
        })
        .collect()
}

/// The slices, one panel for each run, all to one scale.
fn comeback(storm: &StormRecord) -> Result<Option<Plot>, PlotError> {
    let runs = slices(storm);
    let Some((_, lines)) = runs.first() else {
        return Ok(None);
    };
    let points = || {
        let all = runs.iter().flat_map(|(_, lines)| lines);
        all.flat_map(|line| &line.points)
    };
    let end = points().map(|point| point.0).fold(0.1, f64::max);
    let panels: Vec<Panel<'_>> = runs
        .iter()
        .map(|(name, series)| Panel {
            title: format!("{name}: per tenth of a second"),
            series,
        })
        .collect();
    let mut seconds = ticks(end, 8);
    seconds.retain(|tick| *tick <= end);
    let stack = Stack {
        panels: &panels,
        across: Axis {
            from: 0.0,
            to: end,
            ticks: seconds,
        },
        label: &compact,
        description: if storm.mode == "churn" {
            "seconds since the window's begin"
        } else {
            "seconds since the drop"
        },
        dots: false,
        top: Some(points().map(|point| point.1).fold(0.0, f64::max)),
    };
    let title = "Coming back, tenth of a second by tenth of a second";
    let peaks = storm.runs.iter().zip(run_names(storm));
    let peaks = peaks.map(|(run, name)| {
        let most = run.timeline.iter().map(|slice| slice.attempts).max();
        format!("{name} {}", format::count(most.unwrap_or(0)))
    });
    let canvas = Canvas {
        name: "comeback",
        title,
        alternative: format!(
            "{title}. The most connects begun in one: {}.",
            peaks.collect::<Vec<_>>().join(", ")
        ),
        height: stack.height() + 60,
        legend: lines
            .iter()
            .map(|line| (line.name.clone(), line.colour))
            .collect(),
    };
    let across = Quantity::new(stack.description, "elapsed_s", "s");
    let plot = stack.plot(canvas)?;
    Ok(Some(plot.showing(&stack.numbers(title, across, "count"))))
}

/// The colour of a way of backing off; where it was tried under several mechanisms, the later ones are lighter.
fn colour(name: &str, before: usize) -> RGBColor {
    let shades = match name {
        "full-jitter" => [(0x00, 0x72, 0xB2), (0x56, 0xB4, 0xE9), (0xA8, 0xD8, 0xF4)],
        "no-jitter" => [(0xD5, 0x5E, 0x00), (0xE6, 0x9F, 0x00), (0xF3, 0xCF, 0x80)],
        "immediate" => [(0x7F, 0x7F, 0x7F), (0xA6, 0xA6, 0xA6), (0xC8, 0xC8, 0xC8)],
        _ => [(0x00, 0x9E, 0x73), (0x66, 0xC5, 0xAB), (0xB2, 0xE2, 0xD5)],
    };
    let (red, green, blue) = shades[before.min(shades.len() - 1)];
    RGBColor(red, green, blue)
}

/// The colours of all runs.
fn colours(storm: &StormRecord) -> Vec<RGBColor> {
    let before = |place: usize| {
        let same = |run: &&StormRun| run.backoff == storm.runs[place].backoff;
        storm.runs[..place].iter().filter(same).count()
    };
    let runs = storm.runs.iter().enumerate();
    runs.map(|(place, run)| colour(&run.backoff, before(place)))
        .collect()
}

fn back(storm: &StormRecord) -> Result<Option<Plot>, PlotError> {
    let mut lines = Vec::new();
    let mut said = Vec::new();
    for ((run, name), colour) in storm.runs.iter().zip(run_names(storm)).zip(colours(storm)) {
        let points = cumulative(run)?;
        if points.is_empty() {
            continue;
        }
        let all = run.all_back_ns.map_or_else(
            || {
                format!(
                    "{} of {}",
                    format::count(run.recovered),
                    format::count(run.dropped)
                )
            },
            |after| format!("all after {}", format::span(after)),
        );
        said.push(format!("{name} {all}"));
        lines.push(Series {
            name,
            colour,
            points,
        });
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let title = "Connections back, by the time since each was lost";
    let canvas = Canvas {
        name: "recovery",
        title,
        alternative: format!("{title}: {}.", said.join("; ")),
        height: 440,
        legend: lines
            .iter()
            .map(|line| (line.name.clone(), line.colour))
            .collect(),
    };
    let plot = canvas.draw(|area| chart(area, &lines))?;
    let numbers = Lines {
        title: title.to_owned(),
        across: Quantity::new(TIME_SINCE, "since_lost_ns", "ns").log(),
        panels: vec![data::Panel {
            title: String::new(),
            up: Quantity::new(SHARE, "back_percent_of_dropped", "percent"),
            lines: lines.iter().map(Series::line).collect(),
        }],
        mark: Mark::None,
        together: false,
        table: Table::Long,
    };
    Ok(Some(plot.showing(&numbers)))
}

/// Time (logarithm of nanoseconds) and the per cent of those dropped that were back by then.
fn cumulative(run: &StormRun) -> Result<Vec<(f64, f64)>, PlotError> {
    let Some(stored) = run
        .histograms
        .get("recovery")
        .filter(|times| times.count > 0)
    else {
        return Ok(Vec::new());
    };
    let histogram = stored.histogram()?;
    let part = float_u(stored.count) / float_u(run.dropped.max(stored.count));
    let point = |step: u32| {
        let quantile = f64::from(step) / f64::from(STEPS);
        let after = histogram.value_at_quantile(quantile).max(1);
        (float_u(after).log10(), quantile * part * 100.0)
    };
    Ok((0..=STEPS).map(point).collect())
}

fn chart(area: &Area<'_>, lines: &[Series]) -> Result<(), PlotError> {
    let all = || lines.iter().flat_map(|line| &line.points);
    let low = all().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let high = all().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
    let marks = value_ticks(low, high);
    let shares = [0.0, 25.0, 50.0, 75.0, 100.0].to_vec();
    let across = Axis {
        from: marks[0],
        to: marks[marks.len() - 1],
        ticks: marks.clone(),
    };
    let up = Axis {
        from: 0.0,
        to: 100.0,
        ticks: shares.clone(),
    };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(30)
        .x_label_area_size(52)
        .y_label_area_size(70)
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .x_labels(marks.len())
        .y_labels(shares.len())
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .axis_desc_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .x_label_formatter(&|x| span(*x))
        .y_label_formatter(&|y| compact(*y))
        .x_desc(TIME_SINCE)
        .y_desc(SHARE)
        .draw()?;
    for line in lines {
        let style = line.colour.stroke_width(2);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::storm::fixture;

    #[test]
    fn lines_rise_to_the_part_that_came_back() {
        let storm = fixture::record().storm.unwrap();
        let names: Vec<String> = recovery(&storm)
            .unwrap()
            .into_iter()
            .map(|p| p.name)
            .collect();
        assert_eq!(names, ["recovery", "comeback", "connect"]);
        for run in &storm.runs {
            let points = cumulative(run).unwrap();
            assert!(
                points
                    .windows(2)
                    .all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1)
            );
            let end = points.last().unwrap().1;
            let back = float_u(run.recovered) / float_u(run.dropped) * 100.0;
            assert!((end - back).abs() < 1e-6, "{end} {back}");
        }
        let empty = StormRecord::default();
        assert!(recovery(&empty).unwrap().is_empty());
    }
}
