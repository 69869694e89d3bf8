//! A scenario of a life cycle as a sequence diagram: time downwards, the ends' states as bars at the sides, segments as
//! slanted arrows between.
//!
//! Does not decide where things stand; [`place()`] does. A state's colour is the same in all diagrams: green for an open
//! connection, warm while one is set up, blue where this end closed first, brown where it closed second; each says its
//! name too.

mod place;

use super::canvas::{Area, Canvas, GRID, INK, LABEL_SIZE};
use super::hover::Hover;
use super::{Plot, PlotError};
use crate::record::{LifecycleRecord, ScenarioRecord, SegmentRecord};
use crate::report::csv::field;
use crate::report::lifecycle::{End, Sequence, instant, stems};
use place::{Anchor, Arrow, BAR, LEFT, Placed, RIGHT, Tip, Use, WIDTH, Words, place};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color, IntoFont, RGBColor, TextStyle};

const ALARM: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// The size of a state's name: the longest must fit its bar in capitals.
const STATE_SIZE: i32 = 14;
/// Segments told in a text alternative before they are only counted.
const TOLD: usize = 16;

/// A diagram for each scenario, in the record's order.
pub(super) fn sequences(lifecycle: &LifecycleRecord) -> Result<Vec<Plot>, PlotError> {
    let named = lifecycle.scenarios.iter().zip(stems(lifecycle));
    let drawn = named.map(|(scenario, stem)| {
        let sequence = Sequence::new(scenario, lifecycle.one_way_delay_ns);
        diagram(scenario, &sequence, &format!("lifecycle-{stem}"))
    });
    drawn.collect()
}

fn diagram(
    scenario: &ScenarioRecord,
    sequence: &Sequence<'_>,
    name: &str,
) -> Result<Plot, PlotError> {
    let placed = place(sequence);
    let canvas = Canvas {
        name,
        title: &scenario.title,
        alternative: alternative(scenario),
        height: u32::try_from(placed.height + 36).unwrap_or(400),
        legend: Vec::new(),
    };
    let mut hover = Hover::default();
    let plot = canvas.draw_as_wide_as(WIDTH, |area| {
        point_out(&mut hover, area, &placed, scenario);
        draw(area, &placed, scenario)
    })?;
    Ok(plot.telling(&hover).listing(csv(scenario)))
}

/// Every stretch of a state and every arrow says what it is and when.
fn point_out(hover: &mut Hover, area: &Area<'_>, placed: &Placed<'_>, scenario: &ScenarioRecord) {
    for bar in &placed.bars {
        let corners = [(bar.left, bar.top), (bar.left + BAR, bar.bottom)];
        let since = instant(bar.since_ns);
        let said = format!("{}: {} from {since} ms on", bar.end, bar.state);
        hover.over(area, corners, &said);
    }
    for arrow in &placed.arrows {
        let said = segment_said(&scenario.segments[arrow.segment]);
        hover.along(area, arrow.from, arrow.to, &said);
    }
}

fn segment_said(segment: &SegmentRecord) -> String {
    let acknowledges = segment
        .acknowledgement
        .map_or_else(String::new, |number| format!(", acknowledges {number}"));
    let arrived = segment.arrived_ns.map_or_else(
        || "lost".to_owned(),
        |at| format!("arrived at {} ms", instant(at)),
    );
    let note = if segment.note.is_empty() {
        String::new()
    } else {
        format!(" ({})", segment.note)
    };
    format!(
        "{} sends {}, sequence {}{acknowledges}, {} B; sent at {} ms, {arrived}{note}",
        segment.from,
        segment.flags,
        segment.sequence,
        segment.bytes,
        instant(segment.sent_ns)
    )
}

/// The scenario's segments, one a row.
fn csv(scenario: &ScenarioRecord) -> String {
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let rows = scenario.segments.iter().map(|s| {
        let (arrived, acknowledged) = (
            number(s.arrived_ns),
            number(s.acknowledgement.map(u64::from)),
        );
        format!(
            "{},{arrived},{},{},{},{acknowledged},{}\n",
            s.sent_ns,
            field(&s.from),
            field(&s.flags),
            s.sequence,
            s.bytes
        )
    });
    let rows: String = rows.collect();
    format!("sent_ns,arrived_ns,from,flags,sequence,acknowledgement,payload_bytes\n{rows}")
}

/// The diagram in sentences: what was sent, and what states each end went through.
fn alternative(scenario: &ScenarioRecord) -> String {
    let sent = scenario.segments.iter().take(TOLD).map(|segment| {
        let lost = if segment.arrived_ns.is_none() {
            ", lost"
        } else {
            ""
        };
        let again = if segment.again { " again" } else { "" };
        format!("{} sends {}{again}{lost}", segment.from, segment.flags)
    });
    let mut sent: Vec<String> = sent.collect();
    let rest = scenario.segments.len().saturating_sub(TOLD);
    if rest > 0 {
        sent.push(format!("{rest} more"));
    }
    let through = |end: End| {
        let changes = scenario.states.iter();
        let own = changes.filter(|change| End::of(&change.end) == end);
        own.map(|change| change.state.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "{}, time downwards: {}. The client's states: {}. The server's: {}.",
        scenario.title,
        if sent.is_empty() {
            "nothing is sent".to_owned()
        } else {
            sent.join("; ")
        },
        through(End::Client),
        through(End::Server)
    )
}

/// A state's colour, light enough for black on it.
fn colour(state: &str) -> RGBColor {
    match state {
        "LISTEN" => RGBColor(0xE3, 0xE6, 0xEA),
        "SYN-SENT" => RGBColor(0xFF, 0xE0, 0x8A),
        "SYN-RECEIVED" => RGBColor(0xFF, 0xC9, 0x5C),
        "ESTABLISHED" => RGBColor(0x8F, 0xD6, 0xA5),
        "FIN-WAIT-1" => RGBColor(0xA9, 0xD5, 0xF5),
        "FIN-WAIT-2" => RGBColor(0x83, 0xBE, 0xEC),
        "TIME-WAIT" => RGBColor(0xC9, 0xB6, 0xEE),
        "CLOSING" => RGBColor(0xF2, 0xB5, 0xD4),
        "CLOSE-WAIT" => RGBColor(0xEF, 0xC3, 0xA4),
        "LAST-ACK" => RGBColor(0xE0, 0xA5, 0x7D),
        _ => RGBColor(0xC4, 0xC8, 0xCE),
    }
}

fn draw(area: &Area<'_>, placed: &Placed<'_>, scenario: &ScenarioRecord) -> Result<(), PlotError> {
    for bar in &placed.bars {
        let corners = [(bar.left, bar.top), (bar.left + BAR, bar.bottom - 1)];
        area.draw(&Rectangle::new(corners, colour(bar.state).filled()))?;
    }
    for edge in [LEFT, RIGHT] {
        let line = vec![(edge, 24), (edge, placed.height - 10)];
        area.draw(&PathElement::new(line, GRID.stroke_width(1)))?;
    }
    for y in &placed.breaks {
        for side in [-10, 10] {
            let line = vec![(LEFT + 4, y + side), (RIGHT - 4, y + side)];
            area.draw(&PathElement::new(line, GRID.stroke_width(1)))?;
        }
    }
    for arrow in &placed.arrows {
        let resets = scenario.segments[arrow.segment].flags.starts_with("RST");
        draw_arrow(area, arrow, if resets { ALARM } else { INK })?;
    }
    for words in &placed.words {
        draw_words(area, words)?;
    }
    Ok(())
}

fn draw_words(area: &Area<'_>, words: &Words) -> Result<(), PlotError> {
    let horizontal = match words.anchor {
        Anchor::Left => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::Right => HPos::Right,
    };
    // A state's name lies on its bar, where black is black in the dark too.
    let (size, ink) = match words.of {
        Use::Plain => (LABEL_SIZE, INK),
        Use::State => (STATE_SIZE, BLACK),
    };
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&ink);
    let style = style.pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(words.text.clone(), words.at, style))?;
    Ok(())
}

fn draw_arrow(area: &Area<'_>, arrow: &Arrow, ink: RGBColor) -> Result<(), PlotError> {
    let stroke = |points: Vec<(i32, i32)>, colour: RGBColor| {
        area.draw(&PathElement::new(points, colour.stroke_width(2)))
    };
    let (from, to) = (arrow.from, arrow.to);
    let part = |tenths: i32| {
        let at = |a: i32, b: i32| a + (b - a) * tenths / 10;
        (at(from.0, to.0), at(from.1, to.1))
    };
    // Where the other half is elsewhere, that end is dashed.
    if arrow.tip == Tip::Late {
        stroke(vec![from, part(6)], ink)?;
        stroke(vec![part(7), part(8)], ink)?;
        stroke(vec![part(9), to], ink)?;
    } else if arrow.resumed {
        stroke(vec![from, part(1)], ink)?;
        stroke(vec![part(2), part(3)], ink)?;
        stroke(vec![part(4), to], ink)?;
    } else {
        stroke(vec![from, to], ink)?;
    }
    let back = if to.0 > from.0 { -1 } else { 1 };
    match arrow.tip {
        Tip::Arrived => {
            let (x, y) = to;
            let wing = |side: i32| (x + back * 10, y + side);
            // The shaft comes from above, so the upper wing leans with it.
            stroke(vec![wing(-7), to, wing(3)], ink)?;
        }
        Tip::Lost => {
            let (x, y) = to;
            stroke(vec![(x - 6, y - 6), (x + 6, y + 6)], ALARM)?;
            stroke(vec![(x - 6, y + 6), (x + 6, y - 6)], ALARM)?;
        }
        Tip::Late => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
