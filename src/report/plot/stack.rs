//! Panels one above the other over one axis, each with its lines.
//!
//! Does not know what is plotted. Vertical axes begin at zero.

use super::canvas::{Area, Axis, Canvas, GRID, INK, LABEL_SIZE, text, ticks};
use super::data::{self, Line, Lines, Mark, Quantity, Table};
use super::hover::Hover;
use super::{Plot, PlotError};
use crate::report::format::compact;
use plotters::element::Text;
use plotters::prelude::{ChartBuilder, Circle, LineSeries};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, IntoFont, RGBColor};

const PANEL: u32 = 200;
const AXIS: u32 = 50;

/// One line.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) colour: RGBColor,
    pub(super) points: Vec<(f64, f64)>,
}

impl Series {
    /// Its numbers.
    pub(super) fn line(&self) -> Line {
        Line {
            name: self.name.clone(),
            colour: self.colour,
            stretches: vec![self.points.clone()],
        }
    }
}

/// One panel.
#[derive(Debug)]
pub(super) struct Panel<'a> {
    /// What its vertical axis counts.
    pub(super) title: String,
    pub(super) series: &'a [Series],
}

/// All of them.
pub(super) struct Stack<'a> {
    pub(super) panels: &'a [Panel<'a>],
    /// The axis they share.
    pub(super) across: Axis,
    /// How its ticks are written.
    pub(super) label: &'a dyn Fn(f64) -> String,
    pub(super) description: &'a str,
    /// Whether every point is marked.
    pub(super) dots: bool,
    /// The top of all vertical axes, where they are to be compared; else each has its own.
    pub(super) top: Option<f64>,
}

impl Stack<'_> {
    /// The height it asks for.
    pub(super) fn height(&self) -> u32 {
        u32::try_from(self.panels.len()).unwrap_or(1) * PANEL + AXIS
    }

    /// What is drawn, as numbers along `across`; a panel's unit is `unit`, and its title says of what.
    pub(super) fn numbers(&self, title: &str, across: Quantity, unit: &'static str) -> Lines {
        let panel = |panel: &Panel<'_>| data::Panel {
            title: panel.title.clone(),
            up: Quantity::new(&panel.title, "value", unit),
            lines: panel.series.iter().map(Series::line).collect(),
        };
        Lines {
            title: title.to_owned(),
            across,
            panels: self.panels.iter().map(panel).collect(),
            mark: if self.dots { Mark::Dots } else { Mark::None },
            together: self.top.is_some(),
            table: Table::Long,
        }
    }

    /// Draws the panels on `canvas`, in equal parts of the height there is; every dot says its value.
    pub(super) fn plot(&self, canvas: Canvas<'_>) -> Result<Plot, PlotError> {
        let mut hover = Hover::default();
        let plot = canvas.draw(|area| self.draw(area, &mut hover))?;
        Ok(plot.telling(&hover))
    }

    fn draw(&self, area: &Area<'_>, hover: &mut Hover) -> Result<(), PlotError> {
        let (width, height) = area.dim_in_pixel();
        let rows = u32::try_from(self.panels.len().max(1)).unwrap_or(1);
        let each = height.saturating_sub(AXIS) / rows;
        for (place, panel) in self.panels.iter().enumerate() {
            let top = i32::try_from(place).unwrap_or(0) * i32::try_from(each).unwrap_or(0);
            let last = place + 1 == self.panels.len();
            let tall = each + if last { AXIS } else { 0 };
            let strip = area.clone().shrink((0, top), (width, tall));
            self.panel(&strip, panel, last, hover)?;
        }
        Ok(())
    }

    fn panel(
        &self,
        area: &Area<'_>,
        panel: &Panel<'_>,
        last: bool,
        hover: &mut Hover,
    ) -> Result<(), PlotError> {
        let all = || panel.series.iter().flat_map(|series| &series.points);
        let high = all().map(|point| point.1).fold(0.0, f64::max);
        let high = self.top.unwrap_or(high);
        let marks = ticks(if high < 1e-6 { 1.0 } else { high }, 4);
        let style = text(HPos::Left, VPos::Top);
        area.draw(&Text::new(panel.title.clone(), (62, 2), style))?;
        let up = Axis {
            from: 0.0,
            to: marks[marks.len() - 1],
            ticks: marks.clone(),
        };
        let mut chart = ChartBuilder::on(area)
            .margin_top(26)
            .margin_bottom(6)
            .margin_right(30)
            .x_label_area_size(if last { AXIS } else { 0 })
            .y_label_area_size(62)
            .build_cartesian_2d(self.across.clone(), up)?;
        let label = |x: &f64| (self.label)(*x);
        let mut mesh = chart.configure_mesh();
        mesh.y_labels(marks.len())
            .x_labels(if last { self.across.ticks.len() } else { 0 })
            .max_light_lines(0)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
            .axis_desc_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
            .x_label_formatter(&label)
            .y_label_formatter(&|y| compact(*y));
        if last {
            mesh.x_desc(self.description);
        }
        mesh.draw()?;
        for series in panel.series {
            let style = series.colour.stroke_width(2);
            let points = || series.points.iter().copied();
            chart.draw_series(LineSeries::new(points(), style))?;
            if self.dots {
                let fill = series.colour.filled();
                chart.draw_series(points().map(|point| Circle::new(point, 4, fill)))?;
                for point in points() {
                    let (x, y) = chart.backend_coord(&point);
                    let (at, value) = ((self.label)(point.0), compact(point.1));
                    let said = format!("{}, at {at}: {}: {value}", series.name, panel.title);
                    hover.at([(x - 6, y - 6), (x + 6, y + 6)], &said);
                }
            }
        }
        Ok(())
    }
}
