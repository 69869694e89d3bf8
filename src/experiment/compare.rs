//! The arms become rows, each with its order and, where the lead is resolved, its winner.
//!
//! Pure. A row's lead is bootstrapped over the rounds of best and runner-up; with one round, or an interval that
//! includes a tie, there is no winner and the sentence says so.

use super::summary::float;
use crate::measure::statistics::ratio_bootstrap;
use crate::record::{
    ArmRecord, Comparison, ComparisonEntry, CpuNanos, RatioRecord, RoundRecord, decode,
};
use std::fmt::Write as _;

/// The part of an arm's attempted events that took place.
fn share_delivered(arm: &ArmRecord) -> f64 {
    match (arm.events, arm.events_attempted) {
        (Some(events), Some(attempted)) if attempted > 0 => float(events) / float(attempted),
        _ => 1.0,
    }
}

/// An arm that left a tenth of its work undone cannot be the cheapest at doing it.
fn shirks(arm: &ArmRecord) -> bool {
    share_delivered(arm) < 0.9
}

/// What a row compares.
struct Metric {
    key: &'static str,
    /// Whether less work done makes the figure smaller.
    of_cost: bool,
    title: &'static str,
    unit: &'static str,
    /// The arm's figure with its interval, and whether it stands out of the noise.
    figure: fn(&ArmRecord) -> Option<ComparisonEntry>,
    /// The figure of one round, for the bootstrap of the lead.
    round: fn(&ArmRecord, &RoundRecord, &RoundRecord) -> Option<f64>,
}

const METRICS: [Metric; 11] = [
    Metric {
        key: "cpu_ns_per_event",
        of_cost: true,
        title: "CPU per event",
        unit: "ns",
        figure: |arm| estimate(arm, arm.cpu_ns_per_event),
        round: |_, round, control| Some(net_cpu(round, control)? / events(round)?),
    },
    Metric {
        key: "server_cpu_ns_per_event",
        of_cost: true,
        title: "CPU per event, server process",
        unit: "ns",
        figure: |arm| estimate(arm, arm.server_cpu_ns_per_event),
        round: |_, round, control| {
            Some(net_process(round, control, |cpu| Some(cpu.server_process))? / events(round)?)
        },
    },
    Metric {
        key: "load_cpu_ns_per_event",
        of_cost: true,
        title: "CPU per event, load process",
        unit: "ns",
        figure: |arm| estimate(arm, arm.load_cpu_ns_per_event),
        round: |_, round, control| {
            Some(net_process(round, control, |cpu| cpu.load_process)? / events(round)?)
        },
    },
    Metric {
        key: "cpu_ns_per_connection_hour",
        of_cost: true,
        title: "CPU per connection and hour",
        unit: "ns",
        figure: |arm| estimate(arm, arm.cpu_ns_per_connection_hour),
        round: |_, round, control| net_cpu(round, control),
    },
    Metric {
        key: "packets_per_event",
        of_cost: true,
        title: "packets per event",
        unit: "packets",
        figure: |arm| exact(arm, arm.packets_per_event),
        round: |_, round, control| {
            Some((float(round.packets) - float(control.packets)) / events(round)?)
        },
    },
    Metric {
        key: "wire_bytes_per_connection_hour",
        of_cost: true,
        title: "bytes on the wire per connection and hour",
        unit: "bytes",
        figure: |arm| exact(arm, arm.wire_bytes_per_connection_hour.map(float)),
        round: |_, round, control| {
            let bytes = float(round.wire_bytes) - float(control.wire_bytes);
            Some(bytes / float(round.window_ns.max(1)))
        },
    },
    Metric {
        key: "memory_bytes_per_connection",
        of_cost: false,
        title: "memory per connection",
        unit: "bytes",
        figure: |arm| exact(arm, arm.memory_bytes_per_connection.total.map(float)),
        round: |_, _, _| None,
    },
    Metric {
        key: "rtt_p50_ns",
        of_cost: false,
        title: "RTT p50",
        unit: "ns",
        figure: |arm| exact(arm, arm.histograms.get("rtt").map(|rtt| float(rtt.p50))),
        round: |_, round, _| quantile(round, 0.5),
    },
    Metric {
        key: "rtt_p99_ns",
        of_cost: false,
        title: "RTT p99",
        unit: "ns",
        figure: |arm| exact(arm, arm.histograms.get("rtt").map(|rtt| float(rtt.p99))),
        round: |_, round, _| quantile(round, 0.99),
    },
    Metric {
        key: "rtt_p999_ns",
        of_cost: false,
        title: "RTT p99.9",
        unit: "ns",
        figure: |arm| exact(arm, arm.histograms.get("rtt").map(|rtt| float(rtt.p999))),
        round: |_, round, _| quantile(round, 0.999),
    },
    Metric {
        key: "rtt_max_ns",
        of_cost: false,
        title: "RTT max",
        unit: "ns",
        figure: |arm| exact(arm, arm.histograms.get("rtt").map(|rtt| float(rtt.max))),
        round: |_, round, _| quantile(round, 1.0),
    },
];

fn estimate(arm: &ArmRecord, figure: Option<crate::record::Estimate>) -> Option<ComparisonEntry> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds of CPU, far below 2^53"
    )]
    figure.map(|figure| ComparisonEntry {
        arm: arm.name.clone(),
        value: figure.median as f64,
        low: Some(figure.low as f64),
        high: Some(figure.high as f64),
        resolved: figure.resolved,
    })
}

fn exact(arm: &ArmRecord, value: Option<f64>) -> Option<ComparisonEntry> {
    value.map(|value| ComparisonEntry {
        arm: arm.name.clone(),
        value,
        low: None,
        high: None,
        resolved: true,
    })
}

fn events(round: &RoundRecord) -> Option<f64> {
    (round.events > 0).then(|| float(round.events))
}

fn net_cpu(round: &RoundRecord, control: &RoundRecord) -> Option<f64> {
    net_process(round, control, |cpu| Some(cpu.busy))
}

fn net_process(
    round: &RoundRecord,
    control: &RoundRecord,
    account: fn(&CpuNanos) -> Option<u64>,
) -> Option<f64> {
    let share = float(round.window_ns) / float(control.window_ns.max(1));
    let net = float(account(&round.cpu_ns)?) - float(account(&control.cpu_ns)?) * share;
    (net > 0.0).then_some(net)
}

fn quantile(round: &RoundRecord, quantile: f64) -> Option<f64> {
    let histogram = decode(round.histograms.get("rtt")?).ok()?;
    Some(float(histogram.value_at_quantile(quantile)))
}

const ONE_ROUND: &str = "One round gives no interval, so no row has a winner: run without --quick, or \
                         with --rounds 3";

/// Whether two arms' rounds are further apart than either's rounds are among themselves. The bootstrap of three
/// rounds excludes a tie by chance once in four; that the rounds do not even overlap, by a gap of their own spread,
/// is rarer by far.
fn stand_apart(one: &[f64], other: &[f64]) -> bool {
    let range = |rounds: &[f64]| {
        let low = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let high = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    };
    let (one, other) = (range(one), range(other));
    let overlap = one.0 <= other.1 && other.0 <= one.1;
    let middle = |(low, high): (f64, f64)| f64::midpoint(low, high);
    let spread = (one.1 - one.0).max(other.1 - other.0);
    !overlap && (middle(one) - middle(other)).abs() > spread
}

/// Every row the arms have figures for.
pub(super) fn comparisons(arms: &[ArmRecord], seed: u64) -> Vec<Comparison> {
    let Some(control) = arms.iter().find(|arm| arm.is_control()) else {
        return Vec::new();
    };
    let mut rows: Vec<Comparison> = METRICS
        .iter()
        .filter_map(|metric| compare(metric, arms, seed))
        .collect();
    if control.rounds_detail.len() < 2 {
        // The same "not resolved" in every row would only be noise.
        for row in &mut rows {
            row.sentence.clear();
        }
        if let Some(first) = rows.first_mut() {
            ONE_ROUND.clone_into(&mut first.sentence);
        }
    }
    rows
}

/// What a heartbeat costs over a probe: CPU per event, net of the control, round by round. `None` unless both were
/// measured, and on one engine.
pub(super) fn heartbeat_over_keepalive(
    arms: &[ArmRecord],
    connections: u64,
    seed: u64,
) -> Option<RatioRecord> {
    let costs = |name: &str| {
        let arm = arms.iter().find(|arm| arm.name == name)?;
        let control = arms.iter().find(|other| other.name == arm.control)?;
        arm.rounds_detail
            .iter()
            .map(|round| {
                let mut paired = control.rounds_detail.iter();
                let paired = paired.find(|other| other.round == round.round)?;
                Some(net_cpu(round, paired)? / events(round)?)
            })
            .collect::<Option<Vec<f64>>>()
    };
    let (heartbeat, keepalive) = (costs("heartbeat")?, costs("keepalive")?);
    Some(RatioRecord {
        of: "heartbeat".to_owned(),
        over: "keepalive".to_owned(),
        connections,
        ratio_milli: ratio_bootstrap(&heartbeat, &keepalive, seed)?,
    })
}

fn compare(metric: &Metric, arms: &[ArmRecord], seed: u64) -> Option<Comparison> {
    let others = arms.iter().filter(|arm| !arm.is_control());
    let (idle, working): (Vec<_>, Vec<_>) = others.partition(|arm| metric.of_cost && shirks(arm));
    let mut entries: Vec<ComparisonEntry> = working.into_iter().filter_map(metric.figure).collect();
    entries.sort_by(|one, other| one.value.total_cmp(&other.value));
    if entries.is_empty() {
        return None;
    }
    let best = entries.first()?.clone();
    let mut comparison = Comparison {
        metric: metric.key.to_owned(),
        title: metric.title.to_owned(),
        unit: metric.unit.to_owned(),
        sentence: format!("{}: only {} has this figure", metric.title, best.arm),
        ..Comparison::default()
    };
    if let Some(second) = entries.get(1).cloned() {
        let rounds = |name: &str| {
            let arm = arms.iter().find(|arm| arm.name == name)?;
            let control = arms.iter().find(|other| other.name == arm.control)?;
            arm.rounds_detail
                .iter()
                .map(|round| {
                    let paired = control
                        .rounds_detail
                        .iter()
                        .find(|other| other.round == round.round)?;
                    (metric.round)(arm, round, paired)
                })
                .collect::<Option<Vec<f64>>>()
        };
        let paired = rounds(&second.arm).zip(rounds(&best.arm));
        comparison.lead_ratio_milli = paired
            .as_ref()
            .and_then(|(second, best)| ratio_bootstrap(second, best, seed));
        let apart = paired.is_some_and(|(second, best)| stand_apart(&second, &best));
        let leads = comparison
            .lead_ratio_milli
            .filter(|lead| lead.resolved && best.resolved && apart);
        comparison.winner = leads.map(|_| best.arm.clone());
        comparison.sentence = match comparison.lead_ratio_milli {
            Some(lead) if comparison.winner.is_some() => format!(
                "{}: {} is best; {} has {:.2} times as much [{:.2}, {:.2}]",
                metric.title,
                best.arm,
                second.arm,
                milli(lead.median),
                milli(lead.low),
                milli(lead.high)
            ),
            _ => format!(
                "{}: {} is lowest, but its lead over {} is not resolved",
                metric.title, best.arm, second.arm
            ),
        };
    }
    for arm in idle {
        let share = share_delivered(arm) * 100.0;
        write!(
            comparison.sentence,
            "; {} is left out, because only {share:.0} % of its probes were delivered",
            arm.name
        )
        .unwrap_or_default();
    }
    comparison.entries = entries;
    Some(comparison)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of costs, thousands at most"
)]
fn milli(value: i64) -> f64 {
    value as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Estimate;

    fn arm(name: &str, busy: &[u64], median: i64) -> ArmRecord {
        let rounds_detail = (0..)
            .zip(busy)
            .map(|(round, &busy)| RoundRecord {
                round,
                window_ns: 6_000_000_000,
                events: 1000,
                cpu_ns: CpuNanos {
                    busy,
                    ..CpuNanos::default()
                },
                ..RoundRecord::default()
            })
            .collect();
        let resolved = true;
        ArmRecord {
            name: name.to_owned(),
            control: "none".to_owned(),
            rounds_detail,
            cpu_ns_per_event: Some(Estimate {
                median,
                low: median,
                high: median,
                resolved,
            }),
            ..ArmRecord::default()
        }
    }

    #[test]
    fn rounds_that_touch_or_scatter_name_no_winner() {
        assert!(stand_apart(&[10.0, 11.0, 12.0], &[20.0, 21.0, 19.0]));
        assert!(
            !stand_apart(&[10.0, 11.0, 12.0], &[12.0, 13.0, 14.0]),
            "they touch"
        );
        assert!(
            !stand_apart(&[10.0, 11.0, 16.0], &[16.5, 17.0, 14.0]),
            "they overlap"
        );
        assert!(
            !stand_apart(&[9.0, 9.1, 9.2], &[9.3, 9.9, 10.4]),
            "the gap is less than the spread"
        );
    }

    #[test]
    fn a_clear_lead_has_a_winner_and_an_overlap_has_none() {
        let control = arm("none", &[100, 110, 105], 0);
        let cheap = arm("keepalive", &[5100, 5000, 5200], 5);
        let dear = arm("heartbeat", &[18_100, 18_900, 17_700], 18);
        let rows = comparisons(&[control.clone(), dear.clone(), cheap.clone()], 1);
        let row = rows
            .iter()
            .find(|row| row.metric == "cpu_ns_per_event")
            .unwrap();
        assert_eq!(row.winner.as_deref(), Some("keepalive"));
        assert_eq!(row.entries[0].arm, "keepalive");
        assert!(row.lead_ratio_milli.unwrap().low > 3000, "{row:?}");
        let mut undone = cheap.clone();
        (undone.events, undone.events_attempted) = (Some(300), Some(1000));
        let other = arm("heartbeat-oneway", &[9000, 9100, 9200], 9);
        let rows = comparisons(&[control.clone(), undone, other, dear], 1);
        assert_eq!(rows[0].winner.as_deref(), Some("heartbeat-oneway"));
        assert!(
            rows[0].sentence.contains("only 30 %"),
            "{}",
            rows[0].sentence
        );
        let twin = arm("keepalive#2", &[5150, 5050, 5100], 5);
        let rows = comparisons(&[control, cheap, twin], 1);
        assert_eq!(rows[0].winner, None);
        assert!(rows[0].sentence.contains("not resolved"));
    }
}
