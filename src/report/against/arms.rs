//! The figures of two records that are compared, arm by arm: same name, same place.
//!
//! Does not judge. Arms that only one side has are named in no row.

use super::figures::Figure;
use super::rows::{Both, Group, Of, Row};
use crate::record::{ArmRecord, Estimate, HistogramError, Record, RoundRecord, ScaleAxis, decode};
use crate::report::format::{count, float_u};
use crate::report::plot::Overlaid;
use crate::report::scale::rung_name;

/// The histograms of the arms that both have.
pub(super) fn overlaid<'a>(a: &'a Record, b: &'a Record) -> Vec<Overlaid<'a>> {
    let pair = |one: &'a ArmRecord| {
        let other = b.arms.iter().find(|other| other.name == one.name)?;
        Some(Overlaid {
            name: one.name.clone(),
            histograms: [&one.histograms, &other.histograms],
        })
    };
    a.arms.iter().filter_map(pair).collect()
}

type Cost = fn(&ArmRecord) -> Option<Estimate>;
type Count = fn(&ArmRecord) -> u64;

/// Every arm of both, and every rung's that both have.
pub(super) fn groups(both: Both, a: &Record, b: &Record) -> Result<Vec<Group>, HistogramError> {
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
