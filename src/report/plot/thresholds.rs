//! The threshold's two sides over one axis: how fast it finds the dead, how many of the living it suspects.
//!
//! Does not fit or smooth: points are the record's, lines only join them. Thresholds on a logarithmic axis, seconds and
//! per cent from zero.

use super::canvas::{Axis, Canvas};
use super::curves::{RISING, apart, rounded};
use super::data::Quantity;
use super::stack::{Panel, Series, Stack};
use super::{Plot, PlotError};
use crate::record::ThresholdPoint;
use crate::report::format::{self, float_u, whole};
use plotters::style::RGBColor;

const PLAIN: RGBColor = RGBColor(0xBB, 0xBB, 0xBB);
const P50: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
const P99: RGBColor = RGBColor(0x00, 0x72, 0xB2);

/// The two panels; `None` without points.
pub(super) fn thresholds(points: &[ThresholdPoint]) -> Result<Option<Plot>, PlotError> {
    let (found, suspected) = (detection(points), suspicion(points));
    if found.is_empty() && suspected.is_empty() {
        return Ok(None);
    }
    let title = "The threshold: detection of the dead, suspicion of the living";
    let legend = found.iter().chain(&suspected);
    let panels = [
        (&found, "detection of a power cut, s"),
        (&suspected, "living connections suspected, %"),
    ];
    let panels: Vec<Panel<'_>> = panels
        .into_iter()
        .filter(|(series, _)| !series.is_empty())
        .map(|(series, title)| Panel {
            title: title.to_owned(),
            series,
        })
        .collect();
    let (along, margin) = places(points);
    let (left, right) = (along[0], along[along.len() - 1]);
    let stack = Stack {
        panels: &panels,
        across: Axis {
            from: left - margin,
            to: right + margin,
            ticks: along,
        },
        label: &|x| format::millis(whole(rounded(10_f64.powf(x)))),
        description: "threshold: a dead peer is found within (log scale)",
        dots: true,
        top: None,
    };
    let canvas = Canvas {
        name: "thresholds",
        title,
        alternative: alternative(title, &suspected),
        height: stack.height() + 84,
        legend: legend.map(|s| (s.name.clone(), s.colour)).collect(),
    };
    let across = Quantity::new(stack.description, "threshold_ms", "ms").log();
    let plot = stack.plot(canvas)?;
    Ok(Some(plot.showing(&stack.numbers(title, across, "count"))))
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

/// The thresholds measured, rising, at least one of them; and the room at either end.
fn places(points: &[ThresholdPoint]) -> (Vec<f64>, f64) {
    let all: Vec<f64> = points.iter().map(place).collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let apart = apart(all, (high - low) / 14.0);
    (apart, ((high - low) * 0.04).max(0.05))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::detection::fixture;
    use crate::report::plot::hover::told;

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
        let told = told(&plot.svg);
        assert_eq!(told.len(), plot.svg.matches("<circle ").count());
        for point in points.iter().filter(|point| point.connections > 0) {
            let share = float_u(point.false_suspicions) / float_u(point.connections) * 100.0;
            let said = format::plain(&format!(
                "outage of {}, at {}: living connections suspected, %: {}",
                format::millis(point.outage_ms),
                format::millis(point.detect_within_ms),
                format::compact(share)
            ));
            assert!(told.contains(&said), "{said}: {told:#?}");
        }
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
