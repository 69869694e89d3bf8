//! What all charts share: size, fonts, colours, title, legend, axis ticks.
//!
//! Does not know what is plotted. Lengths are SVG user units; a chart is mostly [`WIDTH`] wide and scales
//! with its page.

use super::{Plot, PlotError};
use crate::report::format::float_i;
use maud::html;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle};
use std::ops::Range;

/// Width of every chart but those full of small print.
pub(super) const WIDTH: u32 = 840;
/// Text and axes; the page recolours it in the dark.
pub(super) const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// Grid lines; likewise.
pub(super) const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
/// Font size of labels: the library divides by 1.24 for SVG, so this is 13 units.
pub(super) const LABEL_SIZE: i32 = 16;
const TITLE_SIZE: i32 = 21;
/// What the title and one line of legend take off the top.
const TITLE_HEIGHT: i32 = 36;
const LEGEND_HEIGHT: i32 = 24;

/// A drawing area of the SVG kind.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The colour of an arm, the same in every chart. A repeated arm (`heartbeat#2`) shares its colour; where engines are
/// compared (`heartbeat@epoll`), the engine has the colour.
pub(super) fn arm_colour(name: &str) -> RGBColor {
    let (arm, engine) = name.split_once('@').unwrap_or((name, ""));
    let arm = arm.split('#').next().unwrap_or(arm);
    let told_apart = if engine.is_empty() || arm == "none" {
        arm
    } else {
        engine
    };
    match told_apart {
        "none" => RGBColor(0x7F, 0x7F, 0x7F),
        "keepalive" | "epoll" => RGBColor(0xD5, 0x5E, 0x00),
        "keepalive-user-timeout" => RGBColor(0xE6, 0x9F, 0x00),
        "heartbeat" | "uring" => RGBColor(0x00, 0x72, 0xB2),
        "heartbeat-oneway" => RGBColor(0x56, 0xB4, 0xE9),
        "heartbeat-push" | "uring-recv" => RGBColor(0x00, 0x9E, 0x73),
        "both" => RGBColor(0xCC, 0x79, 0xA7),
        _ => RGBColor(0xA6, 0x8A, 0x00),
    }
}

/// The style of ordinary text, anchored as `horizontal` and `vertical` say.
pub(super) fn text(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    let style = TextStyle::from(("sans-serif", LABEL_SIZE).into_font());
    style.color(&INK).pos(Pos::new(horizontal, vertical))
}

/// How wide `label` will be, roughly; nobody knows the viewer's font.
pub(super) fn text_width(label: &str) -> i32 {
    i32::try_from(label.chars().count())
        .unwrap_or(i32::MAX / 8)
        .saturating_mul(7)
}

/// Describes a chart and holds its SVG while it is drawn.
#[derive(Debug)]
pub(super) struct Canvas<'a> {
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    pub(super) alternative: String,
    pub(super) height: u32,
    /// Entries of the legend; empty for none.
    pub(super) legend: Vec<(String, RGBColor)>,
}

impl Canvas<'_> {
    /// Draws title and legend, lets `body` fill the rest, and finishes the document.
    pub(super) fn draw(
        self,
        body: impl FnOnce(&Area<'_>) -> Result<(), PlotError>,
    ) -> Result<Plot, PlotError> {
        self.draw_as_wide_as(WIDTH, body)
    }

    /// The same in a picture `width` wide, where the usual width would make small print too small.
    pub(super) fn draw_as_wide_as(
        self,
        width: u32,
        body: impl FnOnce(&Area<'_>) -> Result<(), PlotError>,
    ) -> Result<Plot, PlotError> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (width, self.height)).into_drawing_area();
            root.fill(&WHITE)?;
            let bold = TextStyle::from(("sans-serif", TITLE_SIZE, FontStyle::Bold).into_font());
            let bold = bold.color(&INK).pos(Pos::new(HPos::Left, VPos::Top));
            root.draw(&Text::new(self.title.to_owned(), (10, 8), bold))?;
            let top = TITLE_HEIGHT + legend(&root, &self.legend)?;
            let (_, rest) = root.split_vertically(top);
            body(&rest)?;
            root.present()?;
        }
        Ok(Plot {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            svg: described(&svg, &self.alternative),
            alternative: self.alternative,
            csv: String::new(),
            live: None,
        })
    }
}

/// Draws the legend under the title, in as many lines as it takes; says how high it came out.
fn legend(root: &Area<'_>, entries: &[(String, RGBColor)]) -> Result<i32, PlotError> {
    let (mut x, mut y) = (10, TITLE_HEIGHT);
    for (name, colour) in entries {
        let width = 20 + text_width(name) + 18;
        if x > 10 && x + width > i32::try_from(WIDTH).unwrap_or(i32::MAX) {
            x = 10;
            y += LEGEND_HEIGHT;
        }
        root.draw(&Rectangle::new([(x, y), (x + 13, y + 13)], colour.filled()))?;
        let style = text(HPos::Left, VPos::Center);
        root.draw(&Text::new(name.clone(), (x + 20, y + 7), style))?;
        x += width;
    }
    Ok(if entries.is_empty() {
        0
    } else {
        y - TITLE_HEIGHT + LEGEND_HEIGHT
    })
}

/// Gives the document its text alternative.
fn described(svg: &str, alternative: &str) -> String {
    let label = html! { (alternative) }.into_string().replace('"', "&quot;");
    svg.replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{label}\" "),
        1,
    )
}

/// An axis from `from` to `to` whose ticks stand just where they are told to; `from` may be the
/// larger.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.from..self.to).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

/// Round tick values from 0 to at least `max`, about `wanted` of them; the last is the axis' end.
pub(super) fn ticks(max: f64, wanted: usize) -> Vec<f64> {
    let raw = (max / float_i(wanted.max(1))).max(f64::MIN_POSITIVE);
    let decade = 10_f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps
        .iter()
        .map(|s| s * decade)
        .find(|s| *s >= raw * 0.999_999)
        .unwrap_or(raw);
    let mut ticks = vec![0.0];
    while ticks[ticks.len() - 1] < max * 0.999_999 && ticks.len() <= wanted + 2 {
        ticks.push(float_i(ticks.len()) * step);
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(18.0, 5), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(ticks(100_000.0, 2), [0.0, 50_000.0, 100_000.0]);
        for max in [1e-9, 0.7, 3.0, 999.0, 1e12] {
            let ticks = ticks(max, 4);
            assert!(ticks[ticks.len() - 1] >= max * 0.999, "{max}");
            assert!(ticks.len() <= 7, "{max}");
        }
    }

    #[test]
    fn text_alternatives_cannot_break_out() {
        let svg = described("<svg width=\"1\">", "a \"b\" <c>");
        assert_eq!(
            svg,
            "<svg role=\"img\" aria-label=\"a &quot;b&quot; &lt;c&gt;\" width=\"1\">"
        );
    }
}
