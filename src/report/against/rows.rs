//! The rows of two results side by side: how a figure is written, and what is said of its difference.
//!
//! Does not judge; [`judge`] does. A figure that either side lacks has no row.

use super::figures::{Figure, Judged, Verdict, judge};
use crate::record::{HistogramRecord, NoiseRecord, Record};
use crate::report::format::{self, ABSENT, count, float_u, whole};
use std::collections::{BTreeMap, BTreeSet};

/// What is said where a run has one figure and no interval.
const NO_INTERVAL: &str = "no interval";

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) one: String,
    pub(super) other: String,
    pub(super) judged: Judged,
    /// What is said where nothing tells noise from difference.
    pub(super) alone: &'static str,
}

impl Row {
    pub(super) fn resolved(&self) -> bool {
        matches!(self.judged.verdict, Verdict::Resolved { .. })
    }

    /// Whether it is what a reader looks for.
    pub(super) fn told(&self) -> bool {
        self.resolved() || self.judged.verdict == Verdict::Changed
    }

    /// The other over the one, with its interval.
    pub(super) fn ratio(&self) -> String {
        let ratio = self.judged.ratio_milli.as_ref();
        ratio.map_or_else(|| ABSENT.to_owned(), format::ratio)
    }

    /// The row's texts, as its table's headings ask.
    pub(super) fn cells(&self) -> Vec<String> {
        vec![
            self.label.clone(),
            self.one.clone(),
            self.other.clone(),
            self.ratio(),
            self.verdict().to_owned(),
        ]
    }

    pub(super) fn verdict(&self) -> &'static str {
        match self.judged.verdict {
            Verdict::Same => "the same",
            Verdict::Changed => "came out otherwise",
            Verdict::Resolved { larger: true } => "B is larger",
            Verdict::Resolved { larger: false } => "B is smaller",
            Verdict::NotResolved => "not resolved",
            Verdict::NotJudged => self.alone,
        }
    }
}

/// The rows of one arm, one fault, one way, under a title.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// How much longer a fixed piece of work took in `b` than in `a`: the medians of their idle phases.
pub(super) fn speed(a: &Record, b: &Record) -> Option<f64> {
    let median = |record: &Record| {
        let phases = record.noise.as_ref()?.idle.iter();
        let mut times: Vec<u64> = phases.filter_map(|phase| phase.reference_ns).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().filter(|time| *time > 0)
    };
    Some(float_u(median(b)?) / float_u(median(a)?))
}

/// What a figure is of; how it is written, and whether the machine's speed bears on it.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Time,
    /// So many a second.
    Rate,
    Packets,
    Bytes,
    Count,
    /// A part of one.
    Share,
}

impl Of {
    fn written(self, figure: &Figure) -> String {
        let value = figure.value;
        match self {
            Self::Time => {
                let ns = i64::try_from(whole(value.abs())).unwrap_or(i64::MAX);
                format::nanos(if value < 0.0 { -ns } else { ns })
            }
            Self::Rate if value < 100.0 => format!("{value:.1}"),
            Self::Packets => format!("{value:.2}"),
            Self::Bytes => format::bytes(whole(value)),
            Self::Rate | Self::Count => count(whole(value)),
            Self::Share => format!("{:.0}\u{a0}%", value * 100.0),
        }
    }

    /// By how much the machine's speed alone multiplies such a figure, when work takes `longer` times as long.
    fn by_speed(self, longer: f64) -> f64 {
        match self {
            Self::Time => longer,
            Self::Rate => longer.recip(),
            _ => 1.0,
        }
    }

    fn drifts(self) -> bool {
        matches!(self, Self::Time | Self::Rate)
    }
}

/// What bears on every row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Both {
    /// Half of each run's drift, as a part of one.
    drifts: [f64; 2],
    speed: f64,
    /// See [`Row::alone`].
    alone: &'static str,
}

impl Both {
    /// The same with another [`Row::alone`].
    pub(super) fn saying(self, alone: &'static str) -> Self {
        Self { alone, ..self }
    }

    pub(super) fn of(a: &Record, b: &Record) -> Self {
        let drift = |record: &Record| {
            let drift = record
                .noise
                .as_ref()
                .and_then(|noise: &NoiseRecord| noise.drift_milli);
            float_u(drift.unwrap_or(0)) / 2e3
        };
        Self {
            drifts: [drift(a), drift(b)],
            speed: speed(a, b).unwrap_or(1.0),
            alone: NO_INTERVAL,
        }
    }

    /// `None` where either side lacks the figure. `widen` where the record has not widened it by its drift already.
    pub(super) fn row(
        &self,
        label: &str,
        figures: [Option<Figure>; 2],
        of: Of,
        widen: bool,
    ) -> Option<Row> {
        let [Some(one), Some(other)] = figures else {
            return None;
        };
        let [one, other] = if widen && of.drifts() {
            [one.widened(self.drifts[0]), other.widened(self.drifts[1])]
        } else {
            [one, other]
        };
        Some(Row {
            label: label.to_owned(),
            one: of.written(&one),
            other: of.written(&other),
            judged: judge(one, other, of.by_speed(self.speed)),
            alone: self.alone,
        })
    }
}

/// The rows of one thing that both have.
pub(super) struct Sheet<'a, T: ?Sized> {
    pub(super) both: Both,
    pub(super) sides: [&'a T; 2],
    pub(super) rows: Vec<Row>,
}

impl<'a, T: ?Sized> Sheet<'a, T> {
    pub(super) fn new(both: Both, sides: [&'a T; 2]) -> Self {
        Self {
            both,
            sides,
            rows: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, label: &str, of: Of, figure: impl Fn(&T) -> Option<Figure>) {
        let figures = self.sides.map(figure);
        self.rows.extend(self.both.row(label, figures, of, true));
    }

    /// A figure of which a run has one.
    pub(super) fn lone(&mut self, label: &str, of: Of, figure: impl Fn(&T) -> Option<u64>) {
        self.add(label, of, |side| figure(side).map(Figure::single));
    }

    pub(super) fn count(&mut self, label: &str, figure: impl Fn(&T) -> u64) {
        self.lone(label, Of::Count, |side| Some(figure(side)));
    }

    /// One row for each cause that either side has.
    pub(super) fn causes(&mut self, prefix: &str, of: impl Fn(&T) -> &BTreeMap<String, u64>) {
        let causes: BTreeSet<String> = self
            .sides
            .iter()
            .flat_map(|side| of(side).keys().cloned())
            .collect();
        for cause in causes {
            self.count(&format!("{prefix}: {cause}"), |side| {
                of(side).get(&cause).copied().unwrap_or(0)
            });
        }
    }

    /// The percentiles of connect latencies: one histogram a run, whatever its rounds.
    pub(super) fn connect(&mut self, of: impl Fn(&T) -> Option<&HistogramRecord>) {
        for (percentile, pick) in PERCENTILES {
            self.lone(&format!("connect {percentile}"), Of::Time, |side| {
                of(side).filter(|times| times.count > 0).map(pick)
            });
        }
    }

    /// The rows under a title; nothing where there is none.
    pub(super) fn under(self, title: String) -> Option<Group> {
        let rows = self.rows;
        (!rows.is_empty()).then_some(Group { title, rows })
    }
}

type Percentile = fn(&HistogramRecord) -> u64;

/// The percentiles that a record's own table shows.
pub(super) const PERCENTILES: [(&str, Percentile); 4] = [
    ("p50", |times| times.p50),
    ("p99", |times| times.p99),
    ("p99.9", |times| times.p999),
    ("max", |times| times.max),
];
