//! What beginnings cost, as charts: connect latency by percentile, how long the ports lasted, how the queues filled.
//!
//! Does not draw the scenarios' diagrams; those are sequences.

use super::canvas::{Area, Axis, Canvas, GRID, WIDTH, text, text_width, ticks};
use super::data::Quantity;
use super::percentile::{Entry, Subject, percentiles};
use super::sequence::sequences;
use super::stack::{Panel, Series, Stack};
use super::{Plot, PlotError};
use crate::record::{HandshakeRecord, HandshakeSlice, LifecycleRecord, PortRecord};
use crate::report::csv::field;
use crate::report::format::{self, compact, file_name, float_u, whole};
use crate::report::lifecycle::{RAMP, handshake_names, histograms, port_names};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

/// Okabe and Ito's, in turn.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
];
const TURNOVER: Subject = Subject {
    histogram: "connect",
    name: "connect-turnover",
    title: "Connect latency by percentile, by way of ending",
    axis: "connect",
};
const HANDSHAKE: Subject = Subject {
    histogram: "connect",
    name: "connect-handshake",
    title: "Connect latency by percentile, many at once",
    axis: "connect",
};
const BAR: i32 = 34;

/// The charts of `lifecycle` that have data, its diagrams first.
pub(super) fn charts(lifecycle: &LifecycleRecord) -> Result<Vec<Plot>, PlotError> {
    let mut plots = sequences(lifecycle)?;
    plots.extend(connects(lifecycle, TURNOVER, false)?);
    plots.extend(ports(&lifecycle.ports)?);
    plots.extend(connects(lifecycle, HANDSHAKE, true)?);
    for (ramp, name) in lifecycle
        .handshakes
        .iter()
        .zip(handshake_names(&lifecycle.handshakes))
    {
        plots.extend(filling(ramp, &name)?);
    }
    Ok(plots)
}

/// The connect latencies of the ramps, or of everything else.
fn connects(
    lifecycle: &LifecycleRecord,
    subject: Subject,
    of_ramps: bool,
) -> Result<Option<Plot>, PlotError> {
    let named = histograms(lifecycle).into_iter();
    let chosen = named.filter(|(name, _)| name.starts_with(RAMP) == of_ramps);
    let entries: Vec<Entry<'_>> = chosen
        .enumerate()
        .map(|(place, (name, histograms))| Entry {
            name: name.strip_prefix(RAMP).unwrap_or(&name).to_owned(),
            colour: COLOURS[place % COLOURS.len()],
            histograms,
        })
        .collect();
    percentiles(&entries, subject)
}

/// Connections before the first that failed, a bar for each way; one that never failed is hollow.
fn ports(ports: &[PortRecord]) -> Result<Option<Plot>, PlotError> {
    let counted = |port: &PortRecord| port.connects_before_failure.unwrap_or(port.connects);
    let most = ports.iter().map(counted).max().unwrap_or(0);
    if most == 0 {
        return Ok(None);
    }
    let names = port_names(ports);
    let said = ports.iter().zip(&names).map(|(port, name)| {
        let count = format::count(counted(port));
        match port.connects_before_failure {
            Some(_) => format!("{name} {count}"),
            None => format!("{name} none failed in {count}"),
        }
    });
    let said: Vec<String> = said.collect();
    let title = "Connections from the client before the first that failed";
    let rows = i32::try_from(ports.len()).unwrap_or(1);
    let canvas = Canvas {
        name: "ports",
        title,
        alternative: format!("{title}: {}.", said.join("; ")),
        height: u32::try_from(36 + rows * BAR + 44).unwrap_or(200),
        legend: Vec::new(),
    };
    let left = names.iter().map(|name| text_width(name)).max().unwrap_or(0) + 24;
    let marks = ticks(float_u(most), 4);
    // Room for what is said behind the longest bar.
    let wide = i32::try_from(WIDTH).unwrap_or(i32::MAX) - left - 190;
    let across = |value: f64| {
        let share = value / marks[marks.len() - 1].max(1.0);
        left + i32::try_from(whole(share * f64::from(wide))).unwrap_or(0)
    };
    let plot = canvas.draw(|area| {
        scale(area, &marks, &across, rows * BAR + 8)?;
        for ((place, port), name) in (0_i32..).zip(ports).zip(&names) {
            let middle = 8 + place * BAR + BAR / 2;
            let style = text(HPos::Right, VPos::Center);
            area.draw(&Text::new(name.clone(), (left - 10, middle), style))?;
            let end = across(float_u(counted(port)));
            let corners = [(left, middle - 10), (end.max(left + 1), middle + 10)];
            let colour = COLOURS[0];
            let failed = port.connects_before_failure.is_some();
            let style = if failed {
                colour.filled()
            } else {
                colour.stroke_width(2)
            };
            area.draw(&Rectangle::new(corners, style))?;
            let count = format::plain(&format::count(counted(port)));
            let count = if failed {
                count
            } else {
                format!("none failed in {count}")
            };
            let style = text(HPos::Left, VPos::Center);
            area.draw(&Text::new(count, (end + 8, middle), style))?;
        }
        Ok(())
    })?;
    Ok(Some(plot.listing(ports_csv(ports, &names))))
}

fn ports_csv(ports: &[PortRecord], names: &[String]) -> String {
    let rows = ports.iter().zip(names).map(|(port, name)| {
        let first = port.connects_before_failure;
        let first = first.map_or_else(String::new, |count| count.to_string());
        format!("{},{},{first}\n", field(name), port.connects)
    });
    let rows: String = rows.collect();
    format!("way,connects,connects_before_first_failure\n{rows}")
}

fn scale(
    area: &Area<'_>,
    marks: &[f64],
    across: &dyn Fn(f64) -> i32,
    bottom: i32,
) -> Result<(), PlotError> {
    for mark in marks {
        let x = across(*mark);
        let line = vec![(x, 4), (x, bottom)];
        area.draw(&PathElement::new(line, GRID.stroke_width(1)))?;
        let style = text(HPos::Center, VPos::Top);
        area.draw(&Text::new(compact(*mark), (x, bottom + 6), style))?;
    }
    Ok(())
}

type Count = fn(&HandshakeSlice) -> u64;

/// What was established, what waited in the queues, what was refused and sent again, each in one panel.
fn series(timeline: &[HandshakeSlice]) -> [Vec<Series>; 3] {
    let line = |place: usize, name: &str, count: Count| {
        let points = timeline.iter();
        let points = points.map(|s| (float_u(s.elapsed_ms) / 1e3, float_u(count(s))));
        Series {
            name: name.to_owned(),
            colour: COLOURS[place],
            points: points.collect(),
        }
    };
    [
        vec![line(0, "established", |s| s.connects)],
        vec![
            line(4, "in SYN_RECV", |s| s.syn_received),
            line(2, "in accept queues", |s| s.accept_waiting),
        ],
        vec![
            line(1, "refused by a listener", |s| s.listen_drops),
            line(3, "SYNs sent again", |s| s.syn_retransmits),
        ],
    ]
}

/// A ramp over time.
fn filling(ramp: &HandshakeRecord, name: &str) -> Result<Option<Plot>, PlotError> {
    if ramp.timeline.len() < 2 {
        return Ok(None);
    }
    let lines = series(&ramp.timeline);
    let slice = slice_ms(&ramp.timeline);
    let titles = [
        format!("connections established per {slice}"),
        format!("waiting at the end of each {slice}"),
        format!("per {slice}"),
    ];
    let panels = titles.into_iter().zip(&lines);
    let panels: Vec<Panel<'_>> = panels
        .map(|(title, series)| Panel { title, series })
        .collect();
    let end = ramp
        .timeline
        .iter()
        .map(|s| s.elapsed_ms)
        .max()
        .unwrap_or(0);
    let end = (float_u(end) / 1e3).max(0.1);
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
        description: "seconds since the first connect",
        dots: false,
        top: None,
    };
    let asked = format::count(ramp.connections_asked);
    let title = format!("{asked} connections at once, over time");
    let legend = lines.iter().flatten();
    let canvas = Canvas {
        name: &format!("{RAMP}{}", file_name(name)),
        title: &title,
        alternative: told(ramp, &title),
        height: stack.height() + 60,
        legend: legend
            .map(|line| (line.name.clone(), line.colour))
            .collect(),
    };
    let across = Quantity::new(stack.description, "elapsed_s", "s");
    let plot = canvas.draw(|area| stack.draw(area))?;
    Ok(Some(plot.showing(&stack.numbers(&title, across, "count"))))
}

/// The ramp's chart in two sentences.
fn told(ramp: &HandshakeRecord, title: &str) -> String {
    let most = |count: Count| {
        let counts = ramp.timeline.iter().map(count);
        format::count(counts.max().unwrap_or(0))
    };
    format!(
        "{title}, accept queues of {}. The most in one slice: {} established, {} in SYN_RECV, {} in the accept queues, {} \
         refused, {} SYNs sent again.",
        format::count(ramp.accept_queue),
        most(|s| s.connects),
        most(|s| s.syn_received),
        most(|s| s.accept_waiting),
        most(|s| s.listen_drops),
        most(|s| s.syn_retransmits)
    )
}

/// How long a slice is; the last may be cut short.
fn slice_ms(timeline: &[HandshakeSlice]) -> String {
    let steps = timeline.windows(2);
    let steps = steps.map(|pair| pair[1].elapsed_ms.saturating_sub(pair[0].elapsed_ms));
    format::plain(&format::millis(steps.max().unwrap_or(0)))
}
