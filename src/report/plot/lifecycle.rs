//! What beginnings cost, as charts: connect latency by percentile, how long the ports lasted, how the queues filled.
//!
//! Does not draw the scenarios' diagrams; those are sequences.

use super::canvas::{Area, Axis, Canvas, GRID, WIDTH, text, text_width, ticks};
use super::data::Quantity;
use super::hover::Hover;
use super::percentile::{Entry, Subject, percentiles};
use super::sequence::sequences;
use super::stack::{Panel, Series, Stack};
use super::{Overlaid, Plot, PlotError};
use crate::record::{HandshakeRecord, HandshakeSlice, LifecycleRecord, PortRecord};
use crate::report::csv::field;
use crate::report::format::{self, compact, file_name, float_u, whole};
use crate::report::lifecycle::{
    RAMP, handshake_names, histograms, lasted, out_of_ports, port_names, seldom_looked,
};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};
use std::iter;

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
/// Of sockets in `SYN_RECV`, which are counted seldom.
const CARRIED: &str = "; in SYN_RECV the last look's, carried forward";
const BAR: i32 = 34;
/// Of a bar, connections before the first that failed, and the others.
const BEFORE: RGBColor = COLOURS[0];
const AFTER: RGBColor = COLOURS[5];

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

/// Two runs' connect latencies, one's over the other's.
pub(super) fn overlaid(pairs: &[Overlaid<'_>]) -> Result<Vec<Plot>, PlotError> {
    let mut plots = Vec::new();
    for (subject, of_ramps) in [(TURNOVER, false), (HANDSHAKE, true)] {
        let chosen = pairs
            .iter()
            .filter(|pair| pair.name.starts_with(RAMP) == of_ramps);
        let entries = chosen.enumerate().flat_map(|(place, pair)| {
            let name = pair.name.strip_prefix(RAMP).unwrap_or(&pair.name);
            let named = Overlaid {
                name: name.to_owned(),
                ..pair.clone()
            };
            Entry::pair(&named, COLOURS[place % COLOURS.len()])
        });
        plots.extend(percentiles(&entries.collect::<Vec<_>>(), subject)?);
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

/// Of a way's connections, those before the first that failed.
fn before(port: &PortRecord) -> u64 {
    let before = port.connects_before_failure.unwrap_or(port.connects);
    before.min(port.connects)
}

/// What stands behind a way's bar.
fn beside(port: &PortRecord) -> String {
    let opened = format::count(port.connects);
    let Some(before) = port.connects_before_failure else {
        return format!("{opened}, never out");
    };
    let word = if out_of_ports(port) { "out" } else { "failed" };
    format!("{opened}, {word} after {}", format::count(before))
}

/// All connections opened, a bar for each way, and of it the part before the first that failed in a darker colour.
fn ports(ports: &[PortRecord]) -> Result<Option<Plot>, PlotError> {
    let most = ports.iter().map(|port| port.connects).max().unwrap_or(0);
    if most == 0 {
        return Ok(None);
    }
    let names = port_names(ports);
    let said = ports.iter().zip(&names).map(|(port, name)| {
        let opened = format::count(port.connects);
        format!("{name} {opened}, {}", lasted(port))
    });
    let said: Vec<String> = said.collect();
    let title = "Connections opened from the client, and when a connect first failed";
    let rows = i32::try_from(ports.len()).unwrap_or(1);
    let canvas = Canvas {
        name: "ports",
        title,
        alternative: format!("{title}: {}.", said.join("; ")),
        height: u32::try_from(60 + rows * BAR + 44).unwrap_or(200),
        legend: vec![
            ("before the first that failed".to_owned(), BEFORE),
            ("after it".to_owned(), AFTER),
        ],
    };
    let left = names.iter().map(|name| text_width(name)).max().unwrap_or(0) + 24;
    let marks = ticks(float_u(most), 4);
    // Room for what is said behind the longest bar.
    let wide = i32::try_from(WIDTH).unwrap_or(i32::MAX) - left - 210;
    let across = |value: f64| {
        let share = value / marks[marks.len() - 1].max(1.0);
        left + i32::try_from(whole(share * f64::from(wide))).unwrap_or(0)
    };
    let mut hover = Hover::default();
    let plot = canvas.draw(|area| {
        scale(area, &marks, &across, rows * BAR + 8)?;
        for ((place, port), name) in (0_i32..).zip(ports).zip(&names) {
            let middle = 8 + place * BAR + BAR / 2;
            let style = text(HPos::Right, VPos::Center);
            area.draw(&Text::new(name.clone(), (left - 10, middle), style))?;
            let end = across(float_u(port.connects));
            for (count, colour) in [(port.connects, AFTER), (before(port), BEFORE)] {
                let far = across(float_u(count)).max(left + 1);
                let corners = [(left, middle - 10), (far, middle + 10)];
                area.draw(&Rectangle::new(corners, colour.filled()))?;
            }
            let opened = format::count(port.connects);
            let said = format!("{name}: {opened} connections opened, {}", lasted(port));
            hover.over(
                area,
                [(left, middle - 10), (end.max(left + 1), middle + 10)],
                &said,
            );
            let style = text(HPos::Left, VPos::Center);
            let said = format::plain(&beside(port));
            area.draw(&Text::new(said, (end + 8, middle), style))?;
        }
        Ok(())
    })?;
    Ok(Some(plot.telling(&hover).listing(ports_csv(ports, &names))))
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

/// What was established, what waited in the queues, what was refused and sent again, each in one panel. What happened
/// in a row is told per `slice`, whatever the row's own length; what was seen to wait is not.
fn series(ramp: &HandshakeRecord, slice: u64) -> [Vec<Series>; 3] {
    let rows = || ramp.timeline.iter().zip(steps(&ramp.timeline));
    let line = |place: usize, name: &str, count: &dyn Fn(&HandshakeSlice, u64) -> f64| {
        let points = rows().map(|(s, step)| (float_u(s.elapsed_ms) / 1e3, count(s, step)));
        Series {
            name: name.to_owned(),
            colour: COLOURS[place],
            points: points.collect(),
        }
    };
    let rate = |place: usize, name: &str, count: Count| {
        line(place, name, &|s, step| {
            float_u(count(s)) * float_u(slice) / float_u(step)
        })
    };
    let seen =
        |place: usize, name: &str, count: Count| line(place, name, &|s, _| float_u(count(s)));
    let mut waiting = vec![seen(2, "in accept queues", |s| s.accept_waiting)];
    if !seldom_looked(ramp) {
        let name = "in SYN_RECV, at the last look";
        waiting.insert(0, seen(4, name, |s| s.syn_received));
    }
    [
        vec![rate(0, "established", |s| s.connects)],
        waiting,
        vec![
            rate(1, "refused by a listener", |s| s.listen_drops),
            rate(3, "SYNs or SYN-ACKs sent again", |s| s.syn_retransmits),
        ],
    ]
}

/// A ramp over time.
fn filling(ramp: &HandshakeRecord, name: &str) -> Result<Option<Plot>, PlotError> {
    if ramp.timeline.len() < 2 {
        return Ok(None);
    }
    let usual = slice_ms(&ramp.timeline);
    let lines = series(ramp, usual);
    let slice = format::plain(&format::millis(usual));
    let titles = [
        format!("connections established per {slice}"),
        format!(
            "most seen waiting in each {slice}{}",
            if seldom_looked(ramp) { "" } else { CARRIED }
        ),
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
        alternative: told(ramp, &title, &slice, &lines),
        height: stack.height() + 60,
        legend: legend
            .map(|line| (line.name.clone(), line.colour))
            .collect(),
    };
    let across = Quantity::new(stack.description, "elapsed_s", "s");
    let plot = stack.plot(canvas)?;
    Ok(Some(plot.showing(&stack.numbers(&title, across, "count"))))
}

/// The ramp's chart in two sentences.
fn told(ramp: &HandshakeRecord, title: &str, slice: &str, panels: &[Vec<Series>; 3]) -> String {
    let most = |lines: &[Series]| {
        let said = lines.iter().map(|line| {
            let heights = line.points.iter().map(|point| point.1);
            let most = format::count(whole(heights.fold(0.0, f64::max)));
            format!("{most} {}", line.name)
        });
        said.collect::<Vec<_>>().join(", ")
    };
    let [established, waiting, refused] = panels;
    format!(
        "{title}, accept queues of {}. The most per {slice}: {}, {}. The most seen waiting: {}.",
        format::count(ramp.accept_queue),
        most(established),
        most(refused),
        most(waiting)
    )
}

/// How long each row is, milliseconds: the first from the first connect.
fn steps(timeline: &[HandshakeSlice]) -> impl Iterator<Item = u64> {
    let begins = iter::once(0).chain(timeline.iter().map(|row| row.elapsed_ms));
    let rows = timeline.iter().zip(begins);
    rows.map(|(row, begin)| row.elapsed_ms.saturating_sub(begin).max(1))
}

/// How long a row usually is, milliseconds. The last is cut short, or stretched by the wait for the last answers.
fn slice_ms(timeline: &[HandshakeSlice]) -> u64 {
    let mut steps: Vec<u64> = steps(timeline).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::hover::told;

    fn row(elapsed_ms: u64, count: u64) -> HandshakeSlice {
        HandshakeSlice {
            elapsed_ms,
            connects: count,
            syn_received: 7,
            accept_waiting: 9,
            listen_drops: count,
            syn_retransmits: count,
        }
    }

    /// Rows of 100 ms, the last of 500.
    fn ramp() -> HandshakeRecord {
        HandshakeRecord {
            timeline: vec![row(100, 40), row(200, 50), row(300, 30), row(800, 60)],
            syn_received_looks: 4,
            ..HandshakeRecord::default()
        }
    }

    fn heights(series: &Series) -> Vec<u64> {
        let points = series.points.iter();
        points.map(|point| whole(point.1)).collect()
    }

    #[test]
    fn one_long_row_changes_neither_the_label_nor_the_others() {
        let ramp = ramp();
        assert_eq!(slice_ms(&ramp.timeline), 100);
        let [established, waiting, refused] = series(&ramp, 100);
        // Sixty in 500 ms are twelve per 100 ms.
        for rate in [&established[0], &refused[0], &refused[1]] {
            assert_eq!(heights(rate), [40, 50, 30, 12], "{}", rate.name);
        }
        assert_eq!(heights(&waiting[0]), [7; 4]);
        assert_eq!(heights(&waiting[1]), [9; 4]);
        let plot = filling(&ramp, "4").unwrap().unwrap();
        assert!(plot.svg.contains("connections established per 100"));
        assert!(!plot.svg.contains("per 500"), "{}", plot.alternative);
        assert!(
            plot.alternative
                .contains("The most per 100 ms: 50 established, 50 refused"),
            "{}",
            plot.alternative
        );
    }

    #[test]
    fn what_was_seldom_looked_at_is_not_drawn() {
        let mut ramp = ramp();
        ramp.syn_received_looks = 1;
        let names = |ramp: &HandshakeRecord| {
            let [_, waiting, _] = series(ramp, 100);
            waiting
                .into_iter()
                .map(|line| line.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&ramp).len(), 2);
        ramp.pressure.syn_cookies = 3;
        assert_eq!(names(&ramp), ["in accept queues"]);
        let plot = filling(&ramp, "4").unwrap().unwrap();
        assert!(!plot.svg.contains("SYN_RECV"));
    }

    #[test]
    fn a_bar_is_as_long_as_all_and_dark_until_the_first_failure() {
        let way = |connects, before: Option<u64>| PortRecord {
            way: format!("way-{connects}"),
            connects,
            connects_before_failure: before,
            ..PortRecord::default()
        };
        let ways = [way(8_000, Some(2_000)), way(4_000, None)];
        let plot = ports(&ways).unwrap().unwrap();
        let told = told(&plot.svg);
        assert_eq!(told.len(), ways.len());
        for (way, told) in ways.iter().zip(&told) {
            let opened = format::count(way.connects);
            let begins = format!("{}: {opened} connections opened, ", way.way);
            assert!(told.starts_with(&begins), "{told}, not {begins}");
            assert!(told.ends_with(&format::plain(&lasted(way))), "{told}");
        }
        for said in ["8,000, out after 2,000", "4,000, never out", "after it"] {
            assert!(plot.svg.contains(said), "{said}");
        }
        let width = |colour: RGBColor| -> Vec<i32> {
            let fill = format!("fill=\"#{:02X}{:02X}{:02X}\"", colour.0, colour.1, colour.2);
            let bars = plot
                .svg
                .split("<rect ")
                .filter(|rect| rect.contains(&fill) && rect.contains("height=\"20\""));
            let width = |rect: &str| {
                rect.split("width=\"")
                    .nth(1)?
                    .split('"')
                    .next()?
                    .parse()
                    .ok()
            };
            bars.map(|rect| width(rect).unwrap()).collect()
        };
        let (all, first) = (width(AFTER), width(BEFORE));
        assert_eq!((all.len(), first.len()), (2, 2), "{}", plot.svg);
        assert!((all[0] - 4 * first[0]).abs() <= 4, "{all:?} {first:?}");
        assert_eq!(all[1], first[1]);
        assert!((all[0] - 2 * all[1]).abs() <= 2, "{all:?}");
    }
}
