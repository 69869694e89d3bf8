//! The answer in sentences: what each mechanism costs, and what keepalive did to healthy
//! connections.
//!
//! Does not compute costs. The one ratio it forms, heartbeat over keepalive, takes the record's own
//! interval when the record compared just these two, and otherwise the widest one the two intervals
//! allow.

use super::{detection, fleet, format, lifecycle, scale, shards, storm};
use crate::record::{ArmRecord, Comparison, Estimate, Kind, Record};

/// The sentences a reader must not miss, most important first.
pub(super) fn headline(record: &Record) -> Vec<String> {
    match (record.kind, &record.scale) {
        (_, Some(scale)) => return scale::headline(record, scale),
        (Kind::Detection, _) => return detection::headline(record),
        (Kind::Storm, _) => return storm::headline(record),
        (Kind::Lifecycle, _) => return lifecycle::headline(record),
        (Kind::Fleet, _) => return fleet::headline(record),
        _ => {}
    }
    let mut sentences: Vec<String> = record.arms.iter().filter_map(harm).collect();
    let answer = match &record.drop_free_rung {
        Some(rung) => cost(record, rung.connections, &rung.arms, &rung.comparisons)
            .map(|text| format!("{text} This is measured where no probe is dropped.")),
        None => cost(
            record,
            record.config.connections,
            &record.arms,
            &record.comparisons,
        ),
    };
    match answer {
        // Where harm was done it stands first already, and the price comes second.
        Some(text) => sentences.push(text),
        None => {
            sentences
                .push("No arm but the control was measured: there is no cost to state.".into());
        }
    }
    sentences.extend(shards::sentence(record));
    sentences
}

/// What happened to healthy connections under keepalive, with the reason; `None` when nothing did.
pub(super) fn harm(arm: &ArmRecord) -> Option<String> {
    let killed = arm
        .connections_lost
        .get("keepalive-timeout")
        .copied()
        .unwrap_or(0);
    let dropped = arm.drops.softnet_backlog;
    let carries_probes = arm.burst.is_some() || arm.name.starts_with("keepalive");
    if !carries_probes || (killed == 0 && dropped == 0) {
        return None;
    }
    let what = if killed > 0 {
        let rounds = if arm.rounds == 1 { "round" } else { "rounds" };
        format!(
            "{} closed healthy connections: {} in {} {rounds} of {}, no fault injected{}.",
            arm.name,
            format::count(killed),
            arm.rounds,
            format::count(arm.connections_requested),
            held(arm)
        )
    } else {
        format!(
            "{} lost probes to the kernel's backlog, though no connection.",
            arm.name
        )
    };
    Some(format!("{what} {}", burst_reason(arm, dropped)))
}

fn held(arm: &ArmRecord) -> String {
    format!(
        "; {} were still held at the end of the worst",
        format::count(arm.connections_held_at_end)
    )
}

fn burst_reason(arm: &ArmRecord, dropped: u64) -> String {
    let Some(burst) = &arm.burst else {
        return format!("The backlog dropped {} packets.", format::count(dropped));
    };
    if dropped == 0 {
        return "No packet was dropped at the backlog, so bursts do not explain it.".to_owned();
    }
    format!(
        "Reason: the kernel's timers fire probes in bursts, up to {} in 10 ms, and the backlog \
         holds {} packets; {} packets were dropped before delivery.",
        format::count(burst.probes_per_10ms_max),
        format::count(burst.backlog_limit),
        format::count(dropped)
    )
}

/// The price of every arm in one sentence.
fn cost(
    record: &Record,
    connections: u64,
    arms: &[ArmRecord],
    comparisons: &[Comparison],
) -> Option<String> {
    let keepalive = arms.iter().find(|arm| arm.name == "keepalive");
    let mut parts: Vec<String> = Vec::new();
    for arm in arms.iter().filter(|arm| !arm.is_control()) {
        let text = match arm.cpu_ns_per_event {
            Some(figure) if figure.resolved => {
                let ratio = keepalive
                    .filter(|k| k.name != arm.name)
                    .and_then(|k| {
                        let headline = record.headline_ratio.as_ref();
                        let own = headline.filter(|ratio| {
                            ratio.of == arm.name
                                && ratio.over == k.name
                                && ratio.connections == connections
                        });
                        own.map(|ratio| ratio.ratio_milli)
                            .or_else(|| over(arm, k, comparisons))
                    })
                    .map(|ratio| format!(" ({} keepalive)", format::ratio(&ratio)));
                let verb = if parts.is_empty() { " costs" } else { "" };
                format!(
                    "{}{verb} {}{} per {}{}{}",
                    arm.name,
                    format::nanos(figure.median),
                    if parts.is_empty() { " CPU" } else { "" },
                    event_word(&arm.name),
                    attempts(arm),
                    ratio.unwrap_or_default()
                )
            }
            Some(_) => format!("{}'s cost is not resolved above the noise", arm.name),
            None => format!("{}'s cost was not measured", arm.name),
        };
        parts.push(text);
    }
    if parts.is_empty() {
        return None;
    }
    Some(format!(
        "At {} connections and a {} detection budget, {}.",
        format::count(connections),
        format::millis(record.config.detect_within_ms),
        parts.join("; ")
    ))
}

/// Where probes were dropped a delivered one carries the price of all that were not, which nobody must take for the
/// price of a probe.
fn attempts(arm: &ArmRecord) -> String {
    let Some((attempted, delivered)) = arm.events_attempted.zip(arm.events) else {
        return String::new();
    };
    let Some(each) = arm.cpu_ns_per_attempt.filter(|_| delivered < attempted) else {
        return String::new();
    };
    format!(
        " and {} per attempt ({} of {} arrived)",
        format::nanos(each.median),
        format::count(delivered),
        format::count(attempted)
    )
}

/// What one event of the arm is.
pub(super) fn event_word(arm: &str) -> &'static str {
    if arm.starts_with("keepalive") {
        "delivered probe"
    } else if arm.starts_with("heartbeat-oneway") {
        "heartbeat"
    } else {
        "exchange"
    }
}

/// `arm`'s cost as a multiple of `keepalive`'s, in thousandths; `None` unless both are resolved.
fn over(arm: &ArmRecord, keepalive: &ArmRecord, comparisons: &[Comparison]) -> Option<Estimate> {
    let theirs = arm.cpu_ns_per_event.filter(|figure| figure.resolved)?;
    let base = keepalive
        .cpu_ns_per_event
        .filter(|figure| figure.resolved)?;
    let compared = comparisons.iter().find(|c| c.metric == "cpu_ns_per_event");
    let just_these = compared.filter(|c| {
        let mut places = c.entries.iter().map(|entry| entry.arm.as_str());
        places.next() == Some(keepalive.name.as_str()) && places.next() == Some(arm.name.as_str())
    });
    if let Some(lead) = just_these.and_then(|c| c.lead_ratio_milli) {
        return Some(lead);
    }
    let milli = |above: i64, below: i64| (below > 0).then(|| above.saturating_mul(1_000) / below);
    Some(Estimate {
        median: milli(theirs.median, base.median)?,
        low: milli(theirs.low, base.high)?,
        high: milli(theirs.high, base.low)?,
        resolved: true,
    })
}

/// Whether the numbers may be quoted, as a sentence.
pub(super) fn verdict(record: &Record) -> String {
    let cut = if record.partial {
        " It was cut short: what was measured until then is kept."
    } else {
        ""
    };
    let counted =
        detection::counts(record).map_or_else(String::new, |counts| format!("; {counts}"));
    if record.valid {
        return format!("Valid: every check held{counted}.{cut}");
    }
    let reasons: Vec<&str> = record
        .warnings
        .iter()
        .filter(|warning| warning.invalidates)
        .map(|warning| warning.code.as_str())
        .collect();
    let why = if reasons.is_empty() {
        "a check failed".to_owned()
    } else {
        reasons.join(", ")
    };
    format!("INVALID ({why}): do not quote these numbers{counted}.{cut}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn said(record: &Record) -> Vec<String> {
        headline(record)
            .iter()
            .map(|sentence| format::plain(sentence))
            .collect()
    }

    #[test]
    fn harm_comes_first_with_its_reason_and_the_price_from_the_rung() {
        let sentences = said(&fixture::record());
        assert_eq!(sentences.len(), 2);
        assert!(
            sentences[0].starts_with("keepalive closed healthy connections: 84,012 in 3 rounds")
        );
        assert!(sentences[0].contains("up to 31,204 in 10 ms"));
        assert!(sentences[1].starts_with(
            "At 2,000 connections and a 9 s detection budget, keepalive costs 5.20 µs CPU per \
             delivered probe; heartbeat 18.0 µs per exchange (3.5× ["
        ));
    }

    #[test]
    fn a_calm_run_answers_in_one_sentence() {
        let sentences = said(&fixture::calm_record());
        assert_eq!(sentences.len(), 1);
        assert!(sentences[0].contains("heartbeat-oneway 12.0 µs per heartbeat (2.3× ["));
    }

    #[test]
    fn a_price_per_delivered_probe_says_how_many_were_dropped() {
        let mut record = fixture::calm_record();
        let keepalive = record.arms.iter_mut().find(|arm| arm.name == "keepalive");
        let arm = keepalive.unwrap();
        (arm.events, arm.events_attempted) = (Some(83), Some(2_862));
        arm.cpu_ns_per_attempt = Some(Estimate {
            median: 7_070,
            ..arm.cpu_ns_per_event.unwrap()
        });
        let text = said(&record).join(" ");
        assert!(
            text.contains("per delivered probe and 7.07 µs per attempt (83 of 2,862 arrived)"),
            "{text}"
        );
    }

    #[test]
    fn no_ratio_is_formed_from_noise() {
        let mut record = fixture::calm_record();
        for arm in &mut record.arms {
            if let Some(figure) = &mut arm.cpu_ns_per_event {
                figure.resolved = false;
            }
        }
        let text = headline(&record).join(" ");
        assert!(text.contains("keepalive's cost is not resolved above the noise"));
        assert!(!text.contains('×'));
    }

    #[test]
    fn an_invalid_run_says_which_check_failed() {
        let mut record = fixture::record();
        record.valid = false;
        record.warnings[0].invalidates = true;
        assert!(verdict(&record).starts_with("INVALID (backlog-drops)"));
    }
}
