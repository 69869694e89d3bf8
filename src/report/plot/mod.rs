//! The charts: SVG text from a record, one idea each, the same colour for the same arm in all of
//! them.
//!
//! Does not write files. A chart that would have nothing to show is left out, never drawn empty.
//! Colours are Okabe and Ito's, told apart by colour-blind readers too; text is left to the
//! viewer's sans-serif font.

mod bars;
mod bursts;
mod canvas;
mod curves;
mod data;
mod fleet;
mod hover;
mod lifecycle;
mod matrix;
mod percentile;
mod recovery;
mod sequence;
mod stack;
mod thresholds;
mod timeline;

use crate::record::{HistogramError, HistogramRecord, Kind, Record};
use std::collections::BTreeMap;

/// One chart.
#[derive(Clone, Debug)]
pub struct Plot {
    /// File name without extension.
    pub name: String,
    /// What the chart shows, in a few words.
    pub title: String,
    /// The chart in a sentence or two, for those who cannot see it.
    pub alternative: String,
    /// The SVG document.
    pub svg: String,
    /// What is drawn, as comma-separated values with the units in the header.
    pub csv: String,
    /// The same for the page's script, where it can draw the chart anew.
    pub(super) live: Option<String>,
}

impl Plot {
    /// Adds what is drawn, where it is lines.
    fn showing(self, lines: &data::Lines) -> Self {
        Self {
            csv: lines.csv(),
            live: Some(lines.json()),
            ..self
        }
    }

    /// Adds what is told over parts of the picture.
    fn telling(self, hover: &hover::Hover) -> Self {
        Self {
            svg: hover.laid_over(&self.svg),
            ..self
        }
    }

    /// Adds what is drawn, where it is anything else.
    fn listing(self, csv: String) -> Self {
        Self { csv, ..self }
    }
}

/// Why a chart could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// A stored histogram did not open.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// The drawing library refused.
    #[error("chart could not be drawn: {0}")]
    Draw(String),
}

impl<E: std::error::Error + Send + Sync> From<plotters::drawing::DrawingAreaErrorKind<E>>
    for PlotError
{
    fn from(error: plotters::drawing::DrawingAreaErrorKind<E>) -> Self {
        Self::Draw(error.to_string())
    }
}

/// Every chart the record has data for, in reading order.
///
/// # Errors
/// [`PlotError::Histogram`] when a stored histogram does not open.
pub fn plots(record: &Record) -> Result<Vec<Plot>, PlotError> {
    let mut plots = Vec::new();
    if let Some(scale) = &record.scale {
        plots.extend(curves::curves(scale)?);
        plots.extend(timeline::timeline(record)?);
        return Ok(plots);
    }
    match record.kind {
        Kind::Detection => {
            plots.extend(matrix::matrices(&record.cells)?);
            if let Some(lab) = &record.detection {
                plots.extend(thresholds::thresholds(&lab.thresholds)?);
            }
            plots.extend(timeline::timeline(record)?);
            return Ok(plots);
        }
        Kind::Storm => {
            if let Some(storm) = &record.storm {
                plots.extend(recovery::recovery(storm)?);
            }
            plots.extend(timeline::timeline(record)?);
            return Ok(plots);
        }
        Kind::Lifecycle => {
            if let Some(lifecycle) = &record.lifecycle {
                plots.extend(lifecycle::charts(lifecycle)?);
            }
            plots.extend(timeline::timeline(record)?);
            return Ok(plots);
        }
        Kind::Fleet => {
            if let Some(fleet) = &record.fleet {
                plots.extend(fleet::charts(fleet)?);
            }
            plots.extend(timeline::timeline(record)?);
            return Ok(plots);
        }
        Kind::Cost | Kind::Scale => {}
    }
    let entries: Vec<_> = record.arms.iter().map(percentile::Entry::of).collect();
    plots.extend(bars::cpu_per_event(record)?);
    plots.extend(timeline::timeline(record)?);
    plots.extend(bursts::bursts(&record.arms)?);
    plots.extend(drawn(&entries, &percentile::SUBJECTS)?);
    plots.extend(bars::memory(record)?);
    Ok(plots)
}

/// What two runs both have, and either's histograms of it.
#[derive(Clone, Debug)]
pub(super) struct Overlaid<'a> {
    /// What it is called in both.
    pub(super) name: String,
    /// One run's, the other's.
    pub(super) histograms: [&'a BTreeMap<String, HistogramRecord>; 2],
}

/// The histograms of what two runs of a kind both have, one's over the other's.
///
/// # Errors
/// [`PlotError::Histogram`] when a stored histogram does not open.
pub(super) fn overlaid(kind: Kind, pairs: &[Overlaid<'_>]) -> Result<Vec<Plot>, PlotError> {
    match kind {
        Kind::Storm => recovery::overlaid(pairs),
        Kind::Lifecycle => lifecycle::overlaid(pairs),
        Kind::Cost | Kind::Scale | Kind::Detection | Kind::Fleet => {
            let entries = pairs
                .iter()
                .flat_map(|pair| percentile::Entry::pair(pair, canvas::arm_colour(&pair.name)));
            drawn(&entries.collect::<Vec<_>>(), &percentile::SUBJECTS)
        }
    }
}

/// A chart for each of `subjects` that any entry has.
fn drawn(
    entries: &[percentile::Entry<'_>],
    subjects: &[percentile::Subject],
) -> Result<Vec<Plot>, PlotError> {
    let mut plots = Vec::new();
    for subject in subjects {
        plots.extend(percentile::percentiles(entries, *subject)?);
    }
    Ok(plots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_full_record_gives_every_chart_once() {
        let mut record = fixture::record();
        bursts::fixture::add_slices(&mut record.arms);
        let plots = plots(&record).unwrap();
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        let expected = [
            "cpu-per-event",
            "timeline",
            "bursts",
            "rtt",
            "response",
            "lateness",
            "schedule-lag",
            "memory",
        ];
        assert_eq!(names, expected);
        for plot in &plots {
            assert!(plot.svg.starts_with("<svg "), "{}", plot.name);
            assert!(plot.svg.trim_end().ends_with("</svg>"), "{}", plot.name);
            assert!(!plot.svg.contains("NaN"), "{}", plot.name);
            assert!(plot.alternative.len() > 20, "{}", plot.name);
            let columns = plot
                .csv
                .lines()
                .next()
                .map_or(0, |head| head.split(',').count());
            assert!(columns > 1 && plot.csv.lines().count() > 1, "{}", plot.name);
            let bars = ["cpu-per-event", "memory"].contains(&plot.name.as_str());
            assert_eq!(plot.live.is_none(), bars, "{}", plot.name);
        }
    }

    #[test]
    fn charts_without_data_are_left_out() {
        let mut record = fixture::record();
        record.samples.clear();
        for arm in &mut record.arms {
            arm.histograms.clear();
            arm.cpu_ns_per_event = None;
            arm.memory_bytes_per_connection = crate::record::MemoryPerConnection::default();
        }
        assert!(plots(&record).unwrap().is_empty());
    }
}
