//! What a chart of lines shows, as numbers: for the script that draws it anew, and for a download.
//!
//! Does not thin out or round what is drawn, beyond what a floating-point number keeps. Points arrive as they stand on
//! the still picture's axes, logarithms among them, and leave in the unit of their quantity.

use crate::report::csv::field;
use plotters::style::RGBColor;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A quantity along an axis.
#[derive(Clone, Debug)]
pub(super) struct Quantity {
    /// What the axis says.
    pub(super) label: String,
    /// The column of the download, its unit last: `rtt_ns`.
    pub(super) column: String,
    /// `ns`, `us`, `ms`, `s`, `bytes`, `percent`, `count`; `moment`, which is seconds to the millisecond; or `percentile`,
    /// whose places are log₁₀(1/(1−p)).
    pub(super) unit: &'static str,
    /// Places are decimal logarithms of the unit's value.
    pub(super) log: bool,
}

impl Quantity {
    pub(super) fn new(label: &str, column: &str, unit: &'static str) -> Self {
        Self {
            label: label.to_owned(),
            column: column.to_owned(),
            unit,
            log: false,
        }
    }

    /// The same on a logarithmic axis.
    pub(super) fn log(self) -> Self {
        Self { log: true, ..self }
    }

    /// What stands at `place`.
    fn at(&self, place: f64) -> f64 {
        match self.unit {
            "percentile" => 100.0 * (1.0 - 10_f64.powf(-place)),
            _ if self.log => snapped(10_f64.powf(place)),
            _ => place,
        }
    }

    /// What the script is given: the place itself where it is a percentile's.
    fn given(&self, place: f64) -> Value {
        let value = match self.unit {
            "percentile" => (place * 1e6).round() / 1e6,
            _ => self.at(place),
        };
        text(value).parse().map_or(Value::Null, Value::Number)
    }
}

/// A whole number that a logarithm has bent comes back whole.
fn snapped(value: f64) -> f64 {
    let whole = value.round();
    if (value - whole).abs() <= whole * 1e-11 {
        whole
    } else {
        value
    }
}

/// Without exponent and needless zeros; nine digits after the point.
fn text(value: f64) -> String {
    let long = format!("{value:.9}");
    let short = long.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0" } else { short }.to_owned()
}

/// One line; between its stretches it is broken.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: RGBColor,
    pub(super) stretches: Vec<Vec<(f64, f64)>>,
}

/// One panel.
#[derive(Debug)]
pub(super) struct Panel {
    /// What it shows, with its unit; empty where it is the only one.
    pub(super) title: String,
    pub(super) up: Quantity,
    pub(super) lines: Vec<Line>,
}

/// What a chart draws besides its lines, or instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Lines alone.
    None,
    /// Every point has a dot.
    Dots,
    /// A band behind each stretch.
    Bands,
    /// A value holds until the next point: steps instead of slants.
    Steps,
}

/// How the chart's numbers stand in its download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// A row for each point of each line.
    Long,
    /// A column for each panel: all have the same lines and points.
    Wide,
}

/// All panels over one axis.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) title: String,
    pub(super) across: Quantity,
    pub(super) panels: Vec<Panel>,
    pub(super) mark: Mark,
    /// All panels have one vertical scale.
    pub(super) together: bool,
    pub(super) table: Table,
}

impl Lines {
    /// For the script, safe between the tags of an element.
    pub(super) fn json(&self) -> String {
        let axis = |q: &Quantity| json!({"label": q.label, "unit": q.unit, "log": q.log});
        let panels = self.panels.iter().map(|panel| {
            let lines = panel.lines.iter().map(|line| self.line(panel, line));
            json!({"title": panel.title, "y": axis(&panel.up), "series": lines.collect::<Vec<_>>()})
        });
        let whole = json!({
            "title": self.title, "x": axis(&self.across), "dots": self.mark == Mark::Dots,
            "bands": self.mark == Mark::Bands, "steps": self.mark == Mark::Steps, "together": self.together,
            "panels": panels.collect::<Vec<_>>(),
        });
        whole.to_string().replace('<', "\\u003c")
    }

    fn line(&self, panel: &Panel, line: &Line) -> Value {
        let (mut along, mut up) = (Vec::new(), Vec::new());
        for stretch in &line.stretches {
            // A hole just before a stretch breaks the line there.
            if let (Some(first), false) = (stretch.first(), along.is_empty()) {
                along.push(self.across.given(first.0 - 1e-4));
                up.push(Value::Null);
            }
            along.extend(stretch.iter().map(|point| self.across.given(point.0)));
            up.extend(stretch.iter().map(|point| panel.up.given(point.1)));
        }
        let RGBColor(red, green, blue) = line.colour;
        let colour = format!("#{red:02X}{green:02X}{blue:02X}");
        json!({"name": line.name, "colour": colour, "x": along, "y": up})
    }

    /// Comma-separated values with the units in the header.
    pub(super) fn csv(&self) -> String {
        match self.table {
            Table::Long => self.long(),
            Table::Wide => self.wide(),
        }
    }

    fn long(&self) -> String {
        let several = self.panels.len() > 1;
        let panel = if several { "panel," } else { "" };
        let across = &self.across.column;
        let up = self
            .panels
            .first()
            .map_or("value", |panel| &panel.up.column);
        let mut out = format!("{panel}series,{across},{up}\n");
        for panel in &self.panels {
            let title = if several {
                format!("{},", field(&panel.title))
            } else {
                String::new()
            };
            for line in &panel.lines {
                for (x, y) in line.stretches.iter().flatten() {
                    let (x, y) = (text(self.across.at(*x)), text(panel.up.at(*y)));
                    writeln!(out, "{title}{},{x},{y}", field(&line.name)).unwrap_or_default();
                }
            }
        }
        out
    }

    fn wide(&self) -> String {
        let columns = self.panels.iter().map(|panel| field(&panel.up.column));
        let mut out = format!("series,{},", self.across.column);
        out.push_str(&columns.collect::<Vec<_>>().join(","));
        out.push('\n');
        let lines = self.panels.first().map_or(&[][..], |panel| &panel.lines);
        for (number, line) in lines.iter().enumerate() {
            for (place, (x, _)) in line.stretches.iter().flatten().enumerate() {
                let values = self.panels.iter().map(|panel| {
                    let mut points = panel.lines[number].stretches.iter().flatten();
                    points
                        .nth(place)
                        .map_or_else(String::new, |point| text(panel.up.at(point.1)))
                });
                let values = values.collect::<Vec<_>>().join(",");
                let x = text(self.across.at(*x));
                writeln!(out, "{},{x},{values}", field(&line.name)).unwrap_or_default();
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(table: Table) -> Lines {
        let line = |up: f64| Line {
            name: "a, b".to_owned(),
            colour: RGBColor(0, 0x72, 0xB2),
            stretches: vec![vec![(1.0, up), (2.0, 0.5)], vec![(4.0, 3.0)]],
        };
        let panel = |title: &str, up: f64| Panel {
            title: title.to_owned(),
            up: Quantity::new("", title, "count"),
            lines: vec![line(up)],
        };
        Lines {
            title: "a < b".to_owned(),
            across: Quantity::new("time", "time_s", "s"),
            panels: vec![panel("one", 7.0), panel("two", 8.25)],
            mark: Mark::Bands,
            together: true,
            table,
        }
    }

    #[test]
    fn logarithms_leave_as_what_they_are_of() {
        let span = Quantity::new("", "", "ns").log();
        for ns in [1.0, 999.0, 15_123.0, 6_000_000_001.0, 3_600_000_000_000.0] {
            assert_eq!(text(span.at(f64::log10(ns))), format!("{ns:.0}"));
        }
        let percentile = Quantity::new("", "", "percentile");
        assert_eq!(text(percentile.at(3.0)), "99.9");
        assert_eq!(percentile.given(3.0), json!(3));
    }

    #[test]
    fn a_download_has_every_point_under_its_unit() {
        let long =
            "panel,series,time_s,one\none,\"a, b\",1,7\none,\"a, b\",2,0.5\none,\"a, b\",4,3\n";
        assert!(lines(Table::Long).csv().starts_with(long));
        let wide = "series,time_s,one,two\n\"a, b\",1,7,8.25\n\"a, b\",2,0.5,0.5\n\"a, b\",4,3,3\n";
        assert_eq!(lines(Table::Wide).csv(), wide);
    }

    #[test]
    fn the_scripts_data_break_between_stretches_and_close_no_tag() {
        let json = lines(Table::Long).json();
        assert!(json.contains("a \\u003c b"));
        let value: Value = serde_json::from_str(&json).unwrap();
        let first = &value["panels"][0]["series"][0];
        assert_eq!(first["y"], json!([7, 0.5, null, 3]));
        assert_eq!(first["x"], json!([1, 2, 3.9999, 4]));
        assert_eq!(first["colour"], json!("#0072B2"));
        assert_eq!(
            (&value["bands"], &value["dots"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (&value["steps"], &value["together"]),
            (&json!(false), &json!(true))
        );
    }
}
