//! The matrix as a picture: faults down, mechanisms across, colour for the 99th percentile of the detection time.
//!
//! Does not judge: a cross is a cell of the record in which nothing was noticed, a thick outline one that the record says
//! lies outside its bound. Colours run from light to dark by the logarithm of the time, in the order of viridis, which
//! readers of every kind of colour vision tell apart; every cell says its value too.

use super::canvas::{Area, Canvas, GRID, INK, LABEL_SIZE, WIDTH, text, text_width};
use super::hover::Hover;
use super::percentile::{span, value_ticks};
use super::{Plot, PlotError};
use crate::record::CellRecord;
use crate::report::csv::field;
use crate::report::detection::{Matrix, Outcome, outcome, partly};
use crate::report::format::{self, ABSENT, float_i, float_u, whole};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{BLACK, Color, IntoFont, RGBColor, WHITE};
use std::fmt::Write as _;

const ROW: i32 = 42;
const HEAD: i32 = 50;
const LINE: i32 = 15;
const SCALE: i32 = 76;
/// Characters of a column's heading before it takes a new line.
const HEADING: usize = 12;
/// What the colours tell apart, below the longest time: a closed socket is seen at once, and how soon matters less than
/// which of the slow ones is slower.
const DECADES: f64 = 2.0;
/// From fast to slow.
const COLOURS: [(u8, u8, u8); 5] = [
    (0xFD, 0xE7, 0x25),
    (0x5E, 0xC9, 0x62),
    (0x21, 0x91, 0x8C),
    (0x3B, 0x52, 0x8B),
    (0x44, 0x01, 0x54),
];

/// The picture of every seat that has cells; all share one scale of colours.
pub(super) fn matrices(cells: &[CellRecord]) -> Result<Vec<Plot>, PlotError> {
    let times = || {
        let faults = cells.iter().filter(|cell| !cell.stress);
        faults.filter_map(|cell| match outcome(cell) {
            Outcome::Noticed(p99) => Some(log(p99)),
            _ => None,
        })
    };
    let (least, high) = times().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), time| {
        (low.min(time), high.max(time))
    });
    let scale = if least.is_finite() {
        Scale {
            least,
            low: least.max(high - DECADES),
            high,
        }
    } else {
        Scale {
            least: 0.0,
            low: 0.0,
            high: 0.0,
        }
    };
    let mut plots = Vec::new();
    for matrix in Matrix::all(cells) {
        if !matrix.faults.is_empty() {
            plots.push(picture(&matrix, &scale)?);
        }
    }
    Ok(plots)
}

fn log(ns: u64) -> f64 {
    float_u(ns.max(1)).log10()
}

/// The logarithms of the shortest and the longest time that have a colour of their own.
struct Scale {
    /// The shortest time of all.
    least: f64,
    low: f64,
    high: f64,
}

impl Scale {
    /// From 0, the shortest, to 1.
    fn place(&self, log_ns: f64) -> f64 {
        if self.high - self.low < 1e-9 {
            0.5
        } else {
            ((log_ns - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        }
    }
}

/// The colour at `place` of the scale, 0 to 1.
fn colour(place: f64) -> RGBColor {
    let steps = COLOURS.len() - 1;
    let along = place * float_i(steps);
    let before = usize::try_from(whole(along.floor()))
        .unwrap_or(0)
        .min(steps - 1);
    let part = along - float_i(before);
    let (from, to) = (COLOURS[before], COLOURS[before + 1]);
    let mix = |from: u8, to: u8| {
        let value = f64::from(from) + (f64::from(to) - f64::from(from)) * part;
        u8::try_from(whole(value)).unwrap_or(u8::MAX)
    };
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Black or white, whichever stands out more from `behind` (WCAG 2, relative luminance).
fn on(behind: RGBColor) -> RGBColor {
    let linear = |channel: u8| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.040_45 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    };
    let luminance =
        0.2126 * linear(behind.0) + 0.7152 * linear(behind.1) + 0.0722 * linear(behind.2);
    // The two contrasts are equal where (l + 0.05)² = 0.05 × 1.05.
    if luminance > 0.179 { BLACK } else { WHITE }
}

/// Where things stand, in the units of the picture.
struct Layout {
    left: i32,
    column: i32,
}

fn picture(matrix: &Matrix<'_>, scale: &Scale) -> Result<Plot, PlotError> {
    let columns = i32::try_from(matrix.mechanisms.len().max(1)).unwrap_or(1);
    let rows = i32::try_from(matrix.faults.len()).unwrap_or(0);
    let longest = matrix.faults.iter().map(|row| text_width(&row.name)).max();
    let left = (longest.unwrap_or(0) + 20).clamp(60, 250);
    let width = i32::try_from(WIDTH).unwrap_or(i32::MAX);
    let layout = Layout {
        left,
        column: ((width - left - 8) / columns).min(130),
    };
    let title = format!(
        "Detection time by fault and mechanism, p99, seen from the {}",
        matrix.seat
    );
    let canvas = Canvas {
        name: &format!("detection-matrix-{}", matrix.seat),
        title: &title,
        alternative: alternative(matrix, &title),
        height: u32::try_from(36 + HEAD + rows * ROW + SCALE).unwrap_or(400),
        legend: Vec::new(),
    };
    let mut hover = Hover::default();
    let plot = canvas.draw(|area| {
        for (place, mechanism) in (0_i32..).zip(&matrix.mechanisms) {
            let middle = layout.left + place * layout.column + layout.column / 2;
            let lines = format::hyphenated(mechanism, HEADING);
            let tall = i32::try_from(lines.len()).unwrap_or(0) * LINE;
            for (number, line) in (0_i32..).zip(lines) {
                let at = (middle, HEAD - 6 - tall + number * LINE);
                area.draw(&Text::new(line, at, text(HPos::Center, VPos::Top)))?;
            }
        }
        for (place, row) in (0_i32..).zip(&matrix.faults) {
            let top = HEAD + place * ROW;
            let at = (layout.left - 10, top + ROW / 2);
            let style = text(HPos::Right, VPos::Center);
            area.draw(&Text::new(row.name.clone(), at, style))?;
            for ((column, cell), mechanism) in (0_i32..).zip(&row.cells).zip(&matrix.mechanisms) {
                let corner = (layout.left + column * layout.column, top);
                draw_cell(area, *cell, corner, layout.column, scale)?;
                let end = (corner.0 + layout.column, top + ROW);
                let said = format!("{}, {mechanism}: {}", row.name, cell_said(*cell));
                hover.over(area, [corner, end], &said);
            }
        }
        key(area, HEAD + rows * ROW + 18, layout.left, scale)
    })?;
    Ok(plot.telling(&hover).listing(csv(matrix)))
}

/// What a cell shows, in words.
fn cell_said(cell: Option<&CellRecord>) -> String {
    let mut said = match cell.map_or(Outcome::NotMeasured, outcome) {
        Outcome::Noticed(p99) => format!("noticed, p99 {}", format::span(p99)),
        Outcome::Never => "never noticed".to_owned(),
        Outcome::NotMeasured => "not measured".to_owned(),
    };
    if let Some(some) = cell.and_then(partly) {
        write!(said, ", by {some} of the connections").unwrap_or_default();
    }
    if cell.is_some_and(|cell| !cell.within_bound) {
        said.push_str(", outside its bound");
    }
    said
}

fn csv(matrix: &Matrix<'_>) -> String {
    let mut rows = "fault,mechanism,outcome,detection_p99_ns,within_bound\n".to_owned();
    for row in &matrix.faults {
        for (mechanism, cell) in matrix.mechanisms.iter().zip(&row.cells) {
            let (said, p99) = match cell.map_or(Outcome::NotMeasured, outcome) {
                Outcome::Noticed(p99) => ("noticed", p99.to_string()),
                Outcome::Never => ("never noticed", String::new()),
                Outcome::NotMeasured => ("not measured", String::new()),
            };
            let within = cell.map_or_else(String::new, |cell| cell.within_bound.to_string());
            let (fault, mechanism) = (field(&row.name), field(mechanism));
            writeln!(rows, "{fault},{mechanism},{said},{p99},{within}").unwrap_or_default();
        }
    }
    rows
}

/// The chart in two sentences; every value stands in the page's tables.
fn alternative(matrix: &Matrix<'_>, title: &str) -> String {
    let cells = || {
        matrix
            .faults
            .iter()
            .flat_map(|row| row.cells.iter().flatten())
    };
    let times = || {
        cells().filter_map(|cell| match outcome(cell) {
            Outcome::Noticed(p99) => Some(p99),
            _ => None,
        })
    };
    let range = match (times().min(), times().max()) {
        (Some(low), Some(high)) => {
            format!("from {} to {}", format::span(low), format::span(high))
        }
        _ => "no fault was noticed".to_owned(),
    };
    let never = cells()
        .filter(|cell| outcome(cell) == Outcome::Never)
        .count();
    let outside = cells().filter(|cell| !cell.within_bound).count();
    format!(
        "{title}: {range}. Of {} cells {never} never noticed their fault, a cross; {outside} lie outside their bound, a \
         thick outline. The tables below hold every value.",
        cells().count()
    )
}

fn draw_cell(
    area: &Area<'_>,
    cell: Option<&CellRecord>,
    (x, y): (i32, i32),
    wide: i32,
    scale: &Scale,
) -> Result<(), PlotError> {
    let outside = cell.is_some_and(|cell| !cell.within_bound);
    // A gap keeps the outline apart from the darkest colour.
    let inset = if outside { 7 } else { 2 };
    let corners = [(x + inset, y + inset), (x + wide - inset, y + ROW - inset)];
    let (middle, centre) = (x + wide / 2, y + ROW / 2);
    let found = cell.map_or(Outcome::NotMeasured, outcome);
    let some = cell.and_then(partly);
    let mut ink = INK;
    let mut value = String::new();
    match found {
        Outcome::Noticed(p99) => {
            let fill = colour(scale.place(log(p99)));
            area.draw(&Rectangle::new(corners, fill.filled()))?;
            ink = on(fill);
            value = format::span(p99);
        }
        Outcome::Never => {
            area.draw(&Rectangle::new(corners, GRID.stroke_width(1)))?;
            cross(area, (middle, centre))?;
        }
        Outcome::NotMeasured => ABSENT.clone_into(&mut value),
    }
    let style = text(HPos::Center, VPos::Center).color(&ink);
    if outside {
        outline(area, (x + 2, y + 2), (x + wide - 2, y + ROW - 2))?;
    }
    match some {
        Some(some) => {
            let small = ("sans-serif", LABEL_SIZE - 3).into_font();
            let below = plotters::style::TextStyle::from(small)
                .color(&ink)
                .pos(style.pos);
            area.draw(&Text::new(value, (middle, centre - 7), style))?;
            area.draw(&Text::new(some, (middle, centre + 9), below))?;
        }
        None => area.draw(&Text::new(value, (middle, centre), style))?,
    }
    Ok(())
}

/// A thick outline; the library draws the rectangle's own in one unit only.
fn outline(area: &Area<'_>, from: (i32, i32), to: (i32, i32)) -> Result<(), PlotError> {
    let corners = vec![
        from,
        (to.0, from.1),
        to,
        (from.0, to.1),
        from,
        (to.0, from.1),
    ];
    area.draw(&PathElement::new(corners, INK.stroke_width(4)))?;
    Ok(())
}

fn cross(area: &Area<'_>, (x, y): (i32, i32)) -> Result<(), PlotError> {
    let arms = [
        vec![(x - 7, y - 7), (x + 7, y + 7)],
        vec![(x - 7, y + 7), (x + 7, y - 7)],
    ];
    for arm in arms {
        area.draw(&PathElement::new(arm, INK.stroke_width(3)))?;
    }
    Ok(())
}

/// The scale of colours, and what the marks mean.
fn key(area: &Area<'_>, top: i32, left: i32, scale: &Scale) -> Result<(), PlotError> {
    const STEPS: i32 = 48;
    const STEP: i32 = 6;
    let x = left.min(110);
    for step in 0..STEPS {
        let fill = colour(f64::from(step) / f64::from(STEPS - 1));
        let corners = [(x + step * STEP, top), (x + (step + 1) * STEP, top + 14)];
        area.draw(&Rectangle::new(corners, fill.filled()))?;
    }
    let style = || text(HPos::Center, VPos::Top);
    let along = |log_ns: f64| {
        let part = scale.place(log_ns) * f64::from(STEPS * STEP);
        x + i32::try_from(whole(part)).unwrap_or(0)
    };
    // Both ends first, so that they are always told; round values between them where there is room.
    let round = value_ticks(scale.low, scale.high).into_iter();
    let round = round.filter(|mark| (scale.low..=scale.high).contains(mark));
    let mut ends = [scale.low, scale.high].map(|end| (end, format::span(whole(10_f64.powf(end)))));
    if scale.low > scale.least {
        ends[0].1.insert_str(0, "≤ ");
    }
    let mut taken: Vec<(i32, i32)> = Vec::new();
    for (mark, label) in ends.into_iter().chain(round.map(|mark| (mark, span(mark)))) {
        let (at, half) = (along(mark), text_width(&label) / 2 + 5);
        if taken
            .iter()
            .all(|(known, wide)| (at - known).abs() > half + wide)
        {
            taken.push((at, half));
            area.draw(&Text::new(label, (at, top + 18), style()))?;
        }
    }
    let left_of = text(HPos::Left, VPos::Center);
    let middle = top + 7;
    let mut x = x + STEPS * STEP + 48;
    cross(area, (x, middle))?;
    area.draw(&Text::new(
        "never noticed",
        (x + 14, middle),
        left_of.clone(),
    ))?;
    x += 122;
    outline(area, (x, top - 2), (x + 20, top + 16))?;
    area.draw(&Text::new(
        "outside its bound",
        (x + 30, middle),
        left_of.clone(),
    ))?;
    x += 162;
    area.draw(&Text::new(
        format!("{ABSENT}  not measured"),
        (x, middle),
        left_of,
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::detection::fixture;
    use crate::report::plot::hover::told;

    #[test]
    fn both_seats_have_a_picture_with_every_value() {
        let record = fixture::record();
        let plots = matrices(&record.cells).unwrap();
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(
            names,
            ["detection-matrix-server", "detection-matrix-client"]
        );
        for (plot, seat) in plots.iter().zip(["server", "client"]) {
            assert!(!plot.svg.contains("NaN"), "{seat}");
            let cells = record.cells.iter().filter(|c| !c.stress && c.seat == seat);
            for cell in cells {
                if let Outcome::Noticed(p99) = outcome(cell) {
                    assert!(plot.svg.contains(&format::span(p99)), "{}", cell.fault);
                }
                if let Some(some) = partly(cell) {
                    assert!(plot.svg.contains(&some), "{}", cell.fault);
                }
            }
        }
    }

    #[test]
    fn every_cell_says_its_fault_its_mechanism_and_its_value() {
        let record = fixture::record();
        for (plot, matrix) in matrices(&record.cells)
            .unwrap()
            .iter()
            .zip(Matrix::all(&record.cells))
        {
            let told = told(&plot.svg);
            assert_eq!(told.len(), matrix.faults.len() * matrix.mechanisms.len());
            let shown = matrix.faults.iter().flat_map(|row| {
                let cells = matrix.mechanisms.iter().zip(&row.cells);
                cells.map(|(mechanism, cell)| (row.name.clone(), mechanism, *cell))
            });
            for ((fault, mechanism, cell), told) in shown.zip(&told) {
                let begins = format::plain(&format!("{fault}, {mechanism}: "));
                let said = told.strip_prefix(&begins);
                let said = said.unwrap_or_else(|| panic!("{told}, not {begins}"));
                match cell.map_or(Outcome::NotMeasured, outcome) {
                    Outcome::Noticed(p99) => {
                        assert!(said.contains(&format::plain(&format::span(p99))), "{told}");
                    }
                    Outcome::Never => assert!(said.starts_with("never noticed"), "{told}"),
                    Outcome::NotMeasured => assert!(said.starts_with("not measured"), "{told}"),
                }
                let outside = cell.is_some_and(|cell| !cell.within_bound);
                assert_eq!(said.ends_with("outside its bound"), outside, "{told}");
            }
        }
    }

    #[test]
    fn colours_run_from_light_to_dark_and_text_stands_out() {
        assert_eq!(colour(0.0), RGBColor(0xFD, 0xE7, 0x25));
        assert_eq!(colour(1.0), RGBColor(0x44, 0x01, 0x54));
        assert_eq!((on(colour(0.0)), on(colour(1.0))), (BLACK, WHITE));
        assert_eq!(on(colour(0.5)), BLACK);
    }

    #[test]
    fn cells_of_one_time_or_none_still_draw() {
        let mut record = fixture::record();
        record.cells.retain(|cell| outcome(cell) == Outcome::Never);
        for plot in matrices(&record.cells).unwrap() {
            assert!(!plot.svg.contains("NaN") && plot.alternative.contains("no fault was noticed"));
        }
        assert!(matrices(&[]).unwrap().is_empty());
    }
}
