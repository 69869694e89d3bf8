//! What was seen becomes a cell, held against the model.
//!
//! Pure.

use super::contestant::Contestant;
use super::fault::{Seat, Trouble};
use super::model::Model;
use super::plan::{ALLOWANCE, DetectPlan, TrialPlan};
use super::trial::{Ending, Outcome, View};
use crate::arm::Arm;
use crate::record::{CellRecord, HistogramError, HistogramRecord, LeftBehind, new_histogram};
use crate::shard::CloseCause;
use crate::units::{HumanNanos, Nanos};
use std::collections::BTreeMap;

/// What an end, its kernel included, decides by itself; the others tell of the peer's decision.
const VERDICTS: [CloseCause; 5] = [
    CloseCause::KeepaliveTimeout,
    CloseCause::RetransmissionTimeout,
    CloseCause::HeartbeatTimeout,
    CloseCause::AnswerTimeout,
    CloseCause::Unreachable,
];

/// Whether `ending` was this end's own verdict.
pub(super) fn is_verdict(ending: &Ending) -> bool {
    VERDICTS.contains(&ending.cause)
}

/// The model's word for one end of one contestant; `None` where only false suspicions count.
pub(super) fn model(
    plan: &DetectPlan,
    trial: &TrialPlan,
    contestant: &Contestant,
    seat: Seat,
) -> Option<Model> {
    let timing = contestant.timing(plan.options.tick, plan.host.hz, trial.reboot.into());
    match trial.trouble? {
        Trouble::Fault { fault, .. } => Some(timing.model(fault, seat)),
        Trouble::Stress(_) => None,
    }
}

/// One cell.
pub(super) fn cell(
    plan: &DetectPlan,
    trial: &TrialPlan,
    outcome: &Outcome,
    view: &View,
) -> Result<CellRecord, HistogramError> {
    let contestant = &trial.contestants[view.contestant];
    let Some(trouble) = trial.trouble else {
        return Ok(CellRecord::default());
    };
    let (early, later): (Vec<&Ending>, Vec<&Ending>) = view
        .endings
        .iter()
        .partition(|ending| ending.at < view.instants.before);
    let stress = matches!(trouble, Trouble::Stress(_));
    let counted: Vec<&Ending> = later
        .into_iter()
        .filter(|ending| !stress || is_verdict(ending))
        .collect();
    let mut times = new_histogram();
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    for ending in &counted {
        times.saturating_record((ending.at - view.instants.before).0);
        *causes.entry(ending.cause.name().to_owned()).or_default() += 1;
    }
    let count = counted.len() as u64;
    let injected = view.open_before;
    let mut record = CellRecord {
        fault: trouble.name().to_owned(),
        mechanism: contestant.name.clone(),
        seat: view.seat.name().to_owned(),
        stress,
        parameter: trouble.parameter(),
        injected,
        signs_of_life: signs_of_life(trial, outcome, view),
        watched_ns: outcome.watched.0,
        causes,
        left_behind: left_behind(contestant, view),
        histogram: HistogramRecord::of(&times)?,
        ..CellRecord::default()
    };
    if stress {
        record.false_suspicions = count + early.len() as u64;
        judge_stress(plan, trial, contestant, view.seat, &mut record);
    } else {
        record.detected = count;
        record.missed = injected.saturating_sub(count);
        record.false_suspicions = early.len() as u64;
        if let Some(model) = model(plan, trial, contestant, view.seat) {
            let slack = ALLOWANCE + outcome.stall + (view.instants.after - view.instants.before);
            judge(&model, &counted, view, slack, &mut record);
        }
    }
    let signs = record.signs_of_life;
    record.false_suspicions_per_million =
        (signs > 0).then(|| float(record.false_suspicions) * 1e6 / float(signs));
    Ok(record)
}

/// Heartbeats, and the probes of the host where no other contestant's are among them.
fn signs_of_life(trial: &TrialPlan, outcome: &Outcome, view: &View) -> u64 {
    let probing = trial
        .contestants
        .iter()
        .filter(|other| other.keepalive.is_some());
    let own = trial.contestants[view.contestant].keepalive.is_some();
    let probes = if own && probing.count() == 1 {
        outcome.probes
    } else {
        0
    };
    view.heartbeats + probes
}

/// What is there beyond the living. Timers are at most two a connection: a heartbeat's turn, and a deadline.
fn left_behind(contestant: &Contestant, view: &View) -> LeftBehind {
    let timers_each = if contestant.arm.has_heartbeats() {
        2
    } else {
        0
    };
    LeftBehind {
        sockets: view.sockets.saturating_sub(view.open_after),
        table: view.occupied.saturating_sub(view.open_after),
        timers: view
            .timers_armed
            .saturating_sub(view.open_after * timers_each),
    }
}

/// Holds a fault's detections against the model.
fn judge(model: &Model, counted: &[&Ending], view: &View, slack: Nanos, record: &mut CellRecord) {
    model.rule.clone_into(&mut record.model);
    record.model_bound_ns = model.span.map(|span| span.latest.0);
    record.model_earliest_ns = model.span.map(|span| span.earliest.0);
    let since = |ending: &Ending| ending.at - view.instants.before;
    let mut wrong = Vec::new();
    match model.span {
        None if !counted.is_empty() => wrong.push(format!(
            "{} noticed what cannot be noticed by the model",
            counted.len()
        )),
        None => {}
        Some(span) => {
            if record.missed > 0 {
                wrong.push(format!(
                    "{} of {} did not notice",
                    record.missed, record.injected
                ));
            }
            let late = counted
                .iter()
                .filter(|ending| since(ending) > span.latest + slack);
            let worst = late.clone().map(|ending| since(ending)).max();
            if let Some(worst) = worst {
                wrong.push(format!(
                    "{} later than the bound of {} and {} of allowance, the last after {}",
                    late.count(),
                    HumanNanos(span.latest.0),
                    HumanNanos(slack.0),
                    HumanNanos(worst.0)
                ));
            }
            // Kernel timers are never early; ours round to the tick, which the model has counted in.
            let early = counted
                .iter()
                .filter(|ending| since(ending) < span.earliest);
            let first = early.clone().map(|ending| since(ending)).min();
            if let Some(first) = first {
                wrong.push(format!(
                    "{} earlier than {}, the first after {}",
                    early.count(),
                    HumanNanos(span.earliest.0),
                    HumanNanos(first.0)
                ));
            }
        }
    }
    if record.injected == 0 {
        wrong.push("no connection was there to meet the fault".to_owned());
    }
    if record.false_suspicions > 0 {
        wrong.push(format!(
            "{} were closed before the fault",
            record.false_suspicions
        ));
    }
    if record.left_behind != LeftBehind::default() {
        let LeftBehind {
            sockets,
            table,
            timers,
        } = record.left_behind;
        wrong.push(format!(
            "left behind: {sockets} sockets, {table} table places, {timers} timers"
        ));
    }
    record.within_bound = wrong.is_empty();
    record.out_of_bound = wrong.join("; ");
}

/// Holds a stress's false suspicions against the model: none where the silence is too short for any.
fn judge_stress(
    plan: &DetectPlan,
    trial: &TrialPlan,
    contestant: &Contestant,
    seat: Seat,
    record: &mut CellRecord,
) {
    let Some(Trouble::Stress(stress)) = trial.trouble else {
        return;
    };
    let timing = contestant.timing(plan.options.tick, plan.host.hz, trial.reboot.into());
    let may = timing.may_suspect(stress, seat);
    let rule = if may {
        "the silence may be as long as the earliest verdict takes: false suspicions are counted, not forbidden"
    } else if contestant.arm == Arm::None {
        "nothing is expected, so nobody is suspected"
    } else {
        "the silence is shorter than the earliest verdict takes: nobody may be suspected"
    };
    rule.clone_into(&mut record.model);
    record.within_bound = may || record.false_suspicions == 0;
    if !record.within_bound {
        record.out_of_bound = format!("{} living peers were suspected", record.false_suspicions);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::detect::inject::Instants;
    use crate::experiment::detect::model::Span;

    const MODEL: Model = Model {
        span: Some(Span {
            earliest: Nanos::from_secs(6),
            latest: Nanos::from_secs(9),
        }),
        rule: "six to nine",
    };

    /// Ten connections at a fault at 100 s, ended after so many milliseconds.
    fn judged(model: &Model, millis: &[u64], left: LeftBehind) -> CellRecord {
        let before = Nanos::from_secs(100);
        let endings: Vec<Ending> = millis
            .iter()
            .map(|&after| Ending {
                at: before + Nanos::from_millis(after),
                cause: CloseCause::AnswerTimeout,
            })
            .collect();
        let view = View {
            contestant: 0,
            seat: Seat::Server,
            instants: Instants {
                before,
                after: before,
            },
            open_before: 10,
            open_after: 10 - endings.len() as u64,
            endings: endings.clone(),
            occupied: 0,
            timers_armed: 0,
            sockets: 0,
            heartbeats: 0,
            data_received: 0,
        };
        let mut record = CellRecord {
            injected: 10,
            detected: endings.len() as u64,
            missed: 10 - endings.len() as u64,
            left_behind: left,
            ..CellRecord::default()
        };
        let counted: Vec<&Ending> = endings.iter().collect();
        judge(model, &counted, &view, ALLOWANCE, &mut record);
        record
    }

    #[test]
    fn a_cell_holds_only_if_everybody_noticed_in_time_and_nothing_is_left() {
        let nothing = LeftBehind::default();
        let good = judged(
            &MODEL,
            &[
                6_000, 7_000, 8_000, 9_000, 9_300, 6_500, 6_600, 6_700, 6_800, 6_900,
            ],
            nothing,
        );
        assert!(good.within_bound, "{}", good.out_of_bound);
        let mut times = [7_000; 10];
        for (wrong, said) in [(9_301, "later"), (5_999, "earlier")] {
            times[3] = wrong;
            let cell = judged(&MODEL, &times, nothing);
            assert!(
                !cell.within_bound && cell.out_of_bound.contains(said),
                "{cell:?}"
            );
        }
        let missing = judged(&MODEL, &times[4..], nothing);
        assert!(
            missing.out_of_bound.contains("4 of 10 did not notice"),
            "{missing:?}"
        );
        let left = LeftBehind {
            sockets: 1,
            ..nothing
        };
        let left = judged(&MODEL, &[7_000; 10], left);
        assert!(left.out_of_bound.contains("1 sockets"), "{left:?}");
    }

    #[test]
    fn noticing_what_cannot_be_noticed_is_an_error_of_the_model() {
        let never = Model {
            span: None,
            rule: "never",
        };
        assert!(judged(&never, &[], LeftBehind::default()).within_bound);
        let cell = judged(&never, &[7_000], LeftBehind::default());
        assert!(cell.out_of_bound.contains("cannot be noticed"), "{cell:?}");
    }

    #[test]
    fn what_the_peer_decided_is_no_suspicion_of_ones_own() {
        let ending = |cause: CloseCause| Ending {
            at: Nanos::ZERO,
            cause,
        };
        for cause in VERDICTS {
            assert!(is_verdict(&ending(cause)));
        }
        for cause in [CloseCause::Reset, CloseCause::PeerClosed] {
            assert!(!is_verdict(&ending(cause)));
        }
    }
}
