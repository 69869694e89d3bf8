//! The figures of two records that are compared, arm by arm: same name, same place.
//!
//! Does not judge; [`judge`] does. Arms that only one side has are named in no row.

use super::figures::{Figure, Judged, Verdict, judge};
use crate::record::{
    ArmRecord, Estimate, HistogramError, NoiseRecord, Record, RoundRecord, ScaleAxis, decode,
};
use crate::report::format::{self, ABSENT, count, float_u, whole};
use crate::report::scale::rung_name;

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) one: String,
    pub(super) other: String,
    pub(super) judged: Judged,
}

impl Row {
    pub(super) fn resolved(&self) -> bool {
        matches!(self.judged.verdict, Verdict::Resolved { .. })
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
            Verdict::Resolved { larger: true } => "B is larger",
            Verdict::Resolved { larger: false } => "B is smaller",
            Verdict::NotResolved => "not resolved",
            Verdict::NotJudged => "no interval",
        }
    }
}

/// The rows of one arm.
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

/// Every arm of both, and every rung's that both have.
pub(super) fn groups(a: &Record, b: &Record) -> Result<Vec<Group>, HistogramError> {
    let drift = |record: &Record| {
        let drift = record
            .noise
            .as_ref()
            .and_then(|noise: &NoiseRecord| noise.drift_milli);
        float_u(drift.unwrap_or(0)) / 2e3
    };
    let both = Both {
        drifts: [drift(a), drift(b)],
        speed: speed(a, b).unwrap_or(1.0),
    };
    let mut groups = both.arms("", &a.arms, &b.arms)?;
    if let (Some(one), Some(other)) = (&a.drop_free_rung, &b.drop_free_rung)
        && one.connections == other.connections
    {
        let place = format!("{} connections: ", count(one.connections));
        groups.extend(both.arms(&place, &one.arms, &other.arms)?);
    }
    if let (Some(one), Some(other)) = (&a.scale, &b.scale) {
        for rung in &one.rungs {
            let same = other.rungs.iter().find(|candidate| {
                (candidate.connections, candidate.tick_us) == (rung.connections, rung.tick_us)
            });
            let of = match one.axis {
                ScaleAxis::Connections => " connections: ",
                ScaleAxis::Tick => " tick: ",
            };
            let place = rung_name(one.axis, rung) + of;
            if let Some(same) = same {
                groups.extend(both.arms(&place, &rung.arms, &same.arms)?);
            }
        }
    }
    Ok(groups)
}

type Cost = fn(&ArmRecord) -> Option<Estimate>;
type Count = fn(&ArmRecord) -> u64;

/// What bears on every row.
struct Both {
    /// Half of each run's drift, as a part of one.
    drifts: [f64; 2],
    speed: f64,
}

/// What a figure is of; how it is written, and whether the machine's speed bears on it.
#[derive(Clone, Copy)]
enum Of {
    Time,
    Packets,
    Bytes,
    Count,
}

impl Of {
    fn written(self, figure: &Figure) -> String {
        let value = figure.value;
        match self {
            Self::Time => {
                let ns = i64::try_from(whole(value.abs())).unwrap_or(i64::MAX);
                format::nanos(if value < 0.0 { -ns } else { ns })
            }
            Self::Packets => format!("{value:.2}"),
            Self::Bytes => format::bytes(whole(value)),
            Self::Count => count(whole(value)),
        }
    }
}

impl Both {
    fn arms(
        &self,
        place: &str,
        ones: &[ArmRecord],
        others: &[ArmRecord],
    ) -> Result<Vec<Group>, HistogramError> {
        let mut groups = Vec::new();
        for one in ones {
            if let Some(other) = others.iter().find(|other| other.name == one.name) {
                let rows = self.rows(one, other)?;
                let title = format!("{place}{}", one.name);
                groups.extend((!rows.is_empty()).then_some(Group { title, rows }));
            }
        }
        Ok(groups)
    }

    fn rows(&self, one: &ArmRecord, other: &ArmRecord) -> Result<Vec<Row>, HistogramError> {
        let mut rows = Vec::new();
        // The last: whether the record has widened it by its drift already.
        let costs: [(&str, Cost, bool); 5] = [
            ("CPU per event", |arm| arm.cpu_ns_per_event, true),
            (
                "CPU per attempted probe",
                |arm| arm.cpu_ns_per_attempt,
                true,
            ),
            (
                "CPU per connection-hour",
                |arm| arm.cpu_ns_per_connection_hour,
                true,
            ),
            (
                "server process, CPU per event",
                |arm| arm.server_cpu_ns_per_event,
                false,
            ),
            (
                "load process, CPU per event",
                |arm| arm.load_cpu_ns_per_event,
                false,
            ),
        ];
        for (label, pick, widened) in costs {
            let figures = [one, other].map(|arm| pick(arm).as_ref().map(Figure::recorded));
            rows.extend(self.row(label, figures, Of::Time, !widened));
        }
        rows.extend(self.tails(one, other)?);
        let packets = |arm: &ArmRecord| {
            let rounds = arm.rounds_detail.iter().filter(|round| round.events > 0);
            let each = |round: &RoundRecord| float_u(round.packets) / float_u(round.events);
            Figure::of_rounds(&rounds.map(each).collect::<Vec<_>>())
        };
        let figures = [packets(one), packets(other)];
        rows.extend(self.row("packets per event, gross", figures, Of::Packets, false));
        let memory = |arm: &ArmRecord| arm.memory_bytes_per_connection.total.map(Figure::single);
        rows.extend(self.row(
            "memory per connection",
            [memory(one), memory(other)],
            Of::Bytes,
            false,
        ));
        let counts: [(&str, Count); 3] = [
            ("held at the end, worst round", |arm| {
                arm.connections_held_at_end
            }),
            ("connections lost", |arm| {
                arm.connections_lost.values().sum()
            }),
            ("dropped by the backlog, packets", |arm| {
                arm.drops.softnet_backlog
            }),
        ];
        for (label, pick) in counts {
            let figures = [one, other].map(|arm| Some(Figure::single(pick(arm))));
            rows.extend(self.row(label, figures, Of::Count, false));
        }
        Ok(rows)
    }

    fn tails(&self, one: &ArmRecord, other: &ArmRecord) -> Result<Vec<Row>, HistogramError> {
        let mut rows = Vec::new();
        let tails = [
            ("rtt", "RTT p50", 0.5),
            ("rtt", "RTT p99", 0.99),
            ("rtt", "RTT p99.9", 0.999),
            ("response", "response time p99", 0.99),
            ("lateness", "wheel lateness p99", 0.99),
        ];
        for (histogram, label, quantile) in tails {
            let figures = [
                tail(one, histogram, quantile)?,
                tail(other, histogram, quantile)?,
            ];
            rows.extend(self.row(label, figures, Of::Time, true));
        }
        Ok(rows)
    }

    /// `None` where either side lacks the figure.
    fn row(&self, label: &str, figures: [Option<Figure>; 2], of: Of, widen: bool) -> Option<Row> {
        let [Some(one), Some(other)] = figures else {
            return None;
        };
        let [one, other] = if widen && matches!(of, Of::Time) {
            [one.widened(self.drifts[0]), other.widened(self.drifts[1])]
        } else {
            [one, other]
        };
        let speed = if matches!(of, Of::Time) {
            self.speed
        } else {
            1.0
        };
        Some(Row {
            label: label.to_owned(),
            one: of.written(&one),
            other: of.written(&other),
            judged: judge(one, other, speed),
        })
    }
}

/// A percentile of every round's histogram.
fn tail(arm: &ArmRecord, histogram: &str, quantile: f64) -> Result<Option<Figure>, HistogramError> {
    let mut rounds = Vec::new();
    for stored in arm
        .rounds_detail
        .iter()
        .filter_map(|round| round.histograms.get(histogram))
    {
        let opened = decode(stored)?;
        if !opened.is_empty() {
            rounds.push(float_u(opened.value_at_quantile(quantile).max(1)));
        }
    }
    Ok(Figure::of_rounds(&rounds))
}
