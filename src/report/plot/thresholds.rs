//! The threshold's two sides over one axis: how fast it finds the dead, how many of the living it suspects.
//!
//! Does not fit or smooth: points are the record's, lines only join them. Thresholds on a logarithmic axis, seconds and
//! per cent from zero.

use super::canvas::{Area, Axis, Canvas, GRID, INK, LABEL_SIZE, text, ticks};
use super::curves::{RISING, apart, rounded};
use super::{Plot, PlotError};
use crate::record::ThresholdPoint;
use crate::report::format::{self, compact, float_u, whole};
use plotters::element::Text;
use plotters::prelude::{ChartBuilder, Circle, LineSeries};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, IntoFont, RGBColor};

const PANEL: u32 = 200;
const AXIS: u32 = 50;
const PLAIN: RGBColor = RGBColor(0xBB, 0xBB, 0xBB);
const P50: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
const P99: RGBColor = RGBColor(0x00, 0x72, 0xB2);

struct Series {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The two panels; `None` without points.
pub(super) fn thresholds(points: &[ThresholdPoint]) -> Result<Option<Plot>, PlotError> {
    let (found, suspected) = (detection(points), suspicion(points));
    if found.is_empty() && suspected.is_empty() {
        return Ok(None);
    }
    let title = "The threshold: detection of the dead, suspicion of the living";
    let legend = found.iter().chain(&suspected);
    let panels = [
        (found.as_slice(), "detection of a power cut, s"),
        (suspected.as_slice(), "living connections suspected, %"),
    ];
    let shown: Vec<_> = panels
        .iter()
        .filter(|(series, _)| !series.is_empty())
        .collect();
    let rows = u32::try_from(shown.len()).unwrap_or(1);
    let canvas = Canvas {
        name: "thresholds",
        title,
        alternative: alternative(title, &suspected),
        height: rows * PANEL + AXIS + 84,
        legend: legend.map(|s| (s.name.clone(), s.colour)).collect(),
    };
    let along = places(points);
    let plot = canvas.draw(|area| {
        let (width, height) = area.dim_in_pixel();
        let each = height.saturating_sub(AXIS) / rows.max(1);
        for (place, (series, label)) in shown.iter().enumerate() {
            let top = i32::try_from(place).unwrap_or(0) * i32::try_from(each).unwrap_or(0);
            let last = place + 1 == shown.len();
            let tall = each + if last { AXIS } else { 0 };
            let strip = area.clone().shrink((0, top), (width, tall));
            panel(&strip, series, label, &along, last)?;
        }
        Ok(())
    })?;
    Ok(Some(plot))
}

fn alternative(title: &str, suspected: &[Series]) -> String {
    let shown = suspected.iter().filter_map(|series| {
        let (first, last) = (series.points.first()?, series.points.last()?);
        let at = |point: &(f64, f64)| {
            format!(
                "{:.1} % at {}",
                point.1,
                format::millis(whole(10_f64.powf(point.0)))
            )
        };
        Some(format!("{}: {}, {}", series.name, at(first), at(last)))
    });
    let shown = shown.collect::<Vec<_>>().join("; ");
    if shown.is_empty() {
        format!("{title}, against the threshold.")
    } else {
        format!("{title}, against the threshold. Living connections suspected in an {shown}.")
    }
}

fn place(point: &ThresholdPoint) -> f64 {
    float_u(point.detect_within_ms.max(1)).log10()
}

/// The thresholds measured, rising.
fn places(points: &[ThresholdPoint]) -> Vec<f64> {
    let all: Vec<f64> = points.iter().map(place).collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    apart(all, (high - low) / 14.0)
}

fn rising(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points.dedup_by(|one, other| (one.0 - other.0).abs() < 1e-9);
    points
}

fn detection(points: &[ThresholdPoint]) -> Vec<Series> {
    type Pick = fn(&ThresholdPoint) -> u64;
    let picks: [(&str, RGBColor, Pick); 2] = [
        ("power cut, p50", P50, |p| p.detection_ns_p50),
        ("power cut, p99", P99, |p| p.detection_ns_p99),
    ];
    let mut all: Vec<Series> = Vec::new();
    for (name, colour, pick) in picks {
        let measured = points.iter().filter(|point| pick(point) > 0);
        let points = rising(
            measured
                .map(|p| (place(p), float_u(pick(p)) / 1e9))
                .collect(),
        );
        if !points.is_empty() {
            all.push(Series {
                name: name.to_owned(),
                colour,
                points,
            });
        }
    }
    if !all.is_empty() {
        let itself = points
            .iter()
            .map(|p| (place(p), float_u(p.detect_within_ms) / 1e3));
        let itself = Series {
            name: "the threshold itself".to_owned(),
            colour: PLAIN,
            points: rising(itself.collect()),
        };
        all.insert(0, itself);
    }
    all
}

fn suspicion(points: &[ThresholdPoint]) -> Vec<Series> {
    let measured = || points.iter().filter(|point| point.connections > 0);
    let mut outages: Vec<u64> = measured().map(|point| point.outage_ms).collect();
    outages.sort_unstable();
    outages.dedup();
    // Orange to brown, apart from the blues above; the longer the darker.
    let shades = [
        RGBColor(0xF0, 0xC2, 0x6B),
        RGBColor(0xE6, 0x9F, 0x00),
        RGBColor(0xD5, 0x5E, 0x00),
        RGBColor(0x8C, 0x2D, 0x04),
        RISING[5],
    ];
    let one = |(number, outage): (usize, u64)| {
        let same = measured().filter(|point| point.outage_ms == outage);
        let share = |p: &ThresholdPoint| {
            (
                place(p),
                float_u(p.false_suspicions) / float_u(p.connections) * 100.0,
            )
        };
        Series {
            name: format!("outage of {}", format::millis(outage)),
            colour: shades[number.min(shades.len() - 1)],
            points: rising(same.map(share).collect()),
        }
    };
    outages.into_iter().enumerate().map(one).collect()
}

fn panel(
    area: &Area<'_>,
    series: &[Series],
    label: &str,
    along: &[f64],
    with_axis: bool,
) -> Result<(), PlotError> {
    let all = || series.iter().flat_map(|series| &series.points);
    let high = all().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let marks = ticks(if high < 1e-6 { 1.0 } else { high }, 4);
    let (left, right) = (along.first().copied(), along.last().copied());
    let (left, right) = (left.unwrap_or(0.0), right.unwrap_or(0.0));
    let margin = ((right - left) * 0.04).max(0.05);
    let style = text(HPos::Left, VPos::Top);
    area.draw(&Text::new(label.to_owned(), (62, 2), style))?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(26)
        .margin_bottom(6)
        .margin_right(30)
        .x_label_area_size(if with_axis { AXIS } else { 0 })
        .y_label_area_size(62)
        .build_cartesian_2d(
            Axis {
                from: left - margin,
                to: right + margin,
                ticks: along.to_vec(),
            },
            Axis {
                from: 0.0,
                to: marks[marks.len() - 1],
                ticks: marks.clone(),
            },
        )?;
    let mut mesh = chart.configure_mesh();
    mesh.y_labels(marks.len())
        .x_labels(if with_axis { along.len() } else { 0 })
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .axis_desc_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
        .x_label_formatter(&|x| format::millis(whole(rounded(10_f64.powf(*x)))))
        .y_label_formatter(&|y| compact(*y));
    if with_axis {
        mesh.x_desc("threshold: a dead peer is found within (log scale)");
    }
    mesh.draw()?;
    for series in series {
        let style = series.colour.stroke_width(2);
        chart.draw_series(LineSeries::new(series.points.iter().copied(), style))?;
        let dots = series.points.iter();
        chart.draw_series(dots.map(|point| Circle::new(*point, 4, series.colour.filled())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::detection::fixture;

    #[test]
    fn every_outage_is_a_line_and_one_point_still_draws() {
        let points = fixture::record().detection.unwrap().thresholds;
        let plot = thresholds(&points).unwrap().unwrap();
        for must in [
            "outage of 2",
            "outage of 8",
            "power cut, p99",
            "the threshold itself",
        ] {
            assert!(plot.svg.contains(must), "{must}");
        }
        assert!(!plot.svg.contains("NaN"));
        let one = thresholds(&points[..1]).unwrap().unwrap();
        assert!(!one.svg.contains("NaN") && !one.svg.contains("inf"));
        assert!(thresholds(&[]).unwrap().is_none());
    }

    #[test]
    fn a_threshold_nobody_met_has_one_panel() {
        let mut points = fixture::record().detection.unwrap().thresholds;
        for point in &mut points {
            (point.detection_ns_p50, point.detection_ns_p99) = (0, 0);
        }
        let plot = thresholds(&points).unwrap().unwrap();
        assert!(!plot.svg.contains("power cut") && plot.svg.contains("suspected"));
    }
}
