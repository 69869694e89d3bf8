//! What the trials say together: the kernel's rules, who keeps a firewall open, what a threshold buys and costs.
//!
//! Pure.

use super::cells::{float, is_verdict};
use super::fault::{Seat, Stress, Trouble};
use super::plan::{ALLOWANCE, DetectPlan, TrialKind, TrialPlan};
use super::trial::{Outcome, View};
use crate::measure::keepalive::timer_granule;
use crate::os::limits::KeepaliveDefaults;
use crate::record::{OracleRecord, ThresholdPoint, new_histogram};
use crate::units::{HumanNanos, Nanos};
use hdrhistogram::Histogram;
use std::time::Duration;

/// A trial with what came of it.
pub(super) type Done = (TrialPlan, Outcome);

/// Verdicts of one contestant at one seat, counted from the trouble.
fn times(done: &Done, name: &str, seat: Seat) -> Option<(Histogram<u64>, u64)> {
    since(done, name, seat, |view| view.instants.before)
}

/// The same, counted from another instant.
fn since(
    done: &Done,
    name: &str,
    seat: Seat,
    from: impl Fn(&View) -> Nanos,
) -> Option<(Histogram<u64>, u64)> {
    let (trial, outcome) = done;
    let place = trial
        .contestants
        .iter()
        .position(|other| other.name == name)?;
    let mut views = outcome.views.iter();
    let view = views.find(|view| view.contestant == place && view.seat == seat)?;
    let mut times = new_histogram();
    for ending in view.endings.iter().filter(|ending| is_verdict(ending)) {
        times.saturating_record((ending.at - from(view)).0);
    }
    Some((times, view.open_before))
}

fn find<'a>(done: &'a [Done], name: &str) -> Option<&'a Done> {
    done.iter().find(|(trial, _)| {
        trial.kind == TrialKind::Oracle && trial.contestants.iter().any(|other| other.name == name)
    })
}

fn seconds(nanos: u64) -> String {
    HumanNanos(nanos).to_string()
}

/// Every rule of the kernel that was tried.
pub(super) fn oracles(
    plan: &DetectPlan,
    done: &[Done],
    defaults: Option<KeepaliveDefaults>,
) -> Vec<OracleRecord> {
    let mut all = Vec::new();
    all.extend(default_numbers(defaults));
    all.extend(idle_interval_count(plan, done));
    all.extend(user_timeout(plan, done));
    all.extend(user_timeout_alone(plan, done));
    all.extend(data_in_flight(plan, done));
    all.extend(suppression(done));
    all
}

fn default_numbers(defaults: Option<KeepaliveDefaults>) -> Option<OracleRecord> {
    let KeepaliveDefaults {
        idle_s,
        interval_s,
        count,
    } = defaults?;
    let all = idle_s + interval_s * count;
    Some(OracleRecord {
        name: "defaults".to_owned(),
        rule:
            "a new network namespace has idle 7200 s, interval 75 s, count 9 (tcp(7), tcp_sk_init)"
                .to_owned(),
        experiment: "net.ipv4.tcp_keepalive_* read in a namespace just made".to_owned(),
        expected: "7200 s, 75 s, 9".to_owned(),
        seen: format!(
            "{idle_s} s, {interval_s} s, {count}: a verdict after {}",
            humantime::format_duration(Duration::from_secs(all.into()))
        ),
        held: (idle_s, interval_s, count) == (7200, 75, 9),
    })
}

/// Verdicts of `name` that the model puts `at_s` after the last segment, at either seat. The last segment is the
/// handshake's, so they are counted from the opening, which took a moment itself.
fn near(plan: &DetectPlan, done: &Done, name: &str, at_s: u32) -> Option<(String, String, bool)> {
    let hz = u64::from(plan.host.hz.max(1));
    let keepalive = plan.oracle;
    let granule = |seconds: u32| (timer_granule(u64::from(seconds) * hz) + 1) * 1_000_000_000 / hz;
    let late =
        granule(keepalive.idle_s) + granule(keepalive.interval_s) * u64::from(keepalive.count);
    let at = Nanos::from_secs(at_s.into()).0;
    let (mut seen, mut held, mut latest) = (Vec::new(), true, 0);
    for seat in Seat::ALL {
        let outcome = &done.1;
        let (found, asked) = since(done, name, seat, |_| outcome.opened)?;
        // The fault is made when all are open.
        let opening = outcome
            .views
            .iter()
            .map(|view| view.instants.before - outcome.opened)
            .max()?;
        latest = at + late + opening.0;
        held &= found.len() == asked && asked > 0;
        held &= found.min() >= at && found.max() <= latest + ALLOWANCE.0 + outcome.stall.0;
        seen.push(format!(
            "{seat}: {} of {asked} after {} to {}, median {}",
            found.len(),
            seconds(found.min()),
            seconds(found.max()),
            seconds(found.value_at_quantile(0.5))
        ));
    }
    let expected = format!(
        "all between {} and {} after the opening began",
        seconds(at),
        seconds(latest)
    );
    Some((expected, seen.join("; "), held))
}

fn numbers(plan: &DetectPlan) -> String {
    let keepalive = plan.oracle;
    format!(
        "{}/{}/{}",
        keepalive.idle_s, keepalive.interval_s, keepalive.count
    )
}

fn idle_interval_count(plan: &DetectPlan, done: &[Done]) -> Option<OracleRecord> {
    let keepalive = plan.oracle;
    let at = keepalive.idle_s + keepalive.interval_s * keepalive.count;
    let (expected, seen, held) = near(plan, find(done, "keepalive")?, "keepalive", at)?;
    Some(OracleRecord {
        name: "idle-interval-count".to_owned(),
        rule: "keepalive gives up idle + interval × count after the last segment (tcp_keepalive_timer)".to_owned(),
        experiment: format!("{} on connections black-holed as soon as they were made", numbers(plan)),
        expected,
        seen,
        held,
    })
}

fn user_timeout(plan: &DetectPlan, done: &[Done]) -> Option<OracleRecord> {
    let name = "keepalive-and-user-timeout";
    let keepalive = plan.oracle;
    // One second after the first probe: neither there nor at the count's end, but at the next probe timer.
    let at = keepalive.idle_s + keepalive.interval_s;
    let (expected, seen, held) = near(plan, find(done, name)?, name, at)?;
    Some(OracleRecord {
        name: "user-timeout-overrides-count".to_owned(),
        rule:
            "TCP_USER_TIMEOUT overrides the count, and acts only when a probe timer fires (tcp(7), \
               tcp_keepalive_timer)"
                .to_owned(),
        experiment: format!(
            "{} with a user timeout of {} s on black-holed connections",
            numbers(plan),
            keepalive.idle_s + 1
        ),
        expected,
        seen,
        held,
    })
}

/// Nobody may have been given up.
fn nobody(done: &Done, name: &str) -> Option<(String, bool)> {
    let (mut seen, mut held) = (Vec::new(), true);
    for seat in Seat::ALL {
        let (times, asked) = times(done, name, seat)?;
        held &= times.is_empty() && asked > 0;
        seen.push(format!("{seat}: {} of {asked}", times.len()));
    }
    let watched = seconds(done.1.watched.0);
    Some((format!("{} in {watched}", seen.join(", ")), held))
}

fn user_timeout_alone(plan: &DetectPlan, done: &[Done]) -> Option<OracleRecord> {
    let name = "user-timeout-alone";
    let (seen, held) = nobody(find(done, name)?, name)?;
    Some(OracleRecord {
        name: name.to_owned(),
        rule: "TCP_USER_TIMEOUT without keepalive does nothing for an idle connection: it bounds data (tcp(7), RFC 5482)"
            .to_owned(),
        experiment: format!(
            "a user timeout of {} s, no keepalive, on black-holed connections",
            plan.oracle.idle_s + 1
        ),
        expected: "nobody is given up".to_owned(),
        seen,
        held,
    })
}

fn data_in_flight(plan: &DetectPlan, done: &[Done]) -> Option<OracleRecord> {
    let name = "keepalive-with-data-in-flight";
    let (seen, held) = nobody(find(done, name)?, name)?;
    Some(OracleRecord {
        name: "data-in-flight".to_owned(),
        rule: "keepalive never fires with data in flight; retransmission does, after tcp_retries2 doublings, 924 s \
               (tcp_keepalive_timer, ip-sysctl)"
            .to_owned(),
        experiment: format!(
            "{} on connections with one unacknowledged frame each way, black-holed",
            numbers(plan)
        ),
        expected: "nobody is given up".to_owned(),
        seen,
        held,
    })
}

/// Probes of a healthy connection with heartbeats below and above the idle time.
fn suppression(done: &[Done]) -> Option<OracleRecord> {
    let below = &find(done, "heartbeats-below-idle")?.1;
    let above = &find(done, "heartbeats-above-idle")?.1;
    Some(OracleRecord {
        name: "heartbeats-suppress-probes".to_owned(),
        rule: "what arrives re-bases the idle time, so heartbeats closer than idle leave no probe to be sent \
               (keepalive_time_elapsed)"
            .to_owned(),
        experiment: "both mechanisms on living connections: heartbeats every second with idle 3 s, and every 3 s with \
                     idle 1 s"
            .to_owned(),
        expected: "no probe in the first, probes in the second (TcpExt TCPKeepAlive)".to_owned(),
        seen: format!("{} probes in the first, {} in the second", below.probes, above.probes),
        held: below.probes == 0 && above.probes > 0,
    })
}

/// Of each contestant of the idle firewall: how many connections were asked for, and how many were still heard.
pub(super) fn heard_through_firewall(done: &[Done]) -> Vec<(String, u64, u64)> {
    let Some((trial, outcome)) = done
        .iter()
        .find(|(trial, _)| trial.kind == TrialKind::Firewall)
    else {
        return Vec::new();
    };
    let clients = outcome
        .views
        .iter()
        .filter(|view| view.seat == Seat::Client);
    clients
        .map(|view: &View| {
            let name = trial.contestants[view.contestant].name.clone();
            (name, trial.connections, view.data_received)
        })
        .collect()
}

/// Packets of each mechanism alone, per connection and minute.
pub(super) fn traffic(done: &[Done]) -> Vec<(String, f64)> {
    let alone = done
        .iter()
        .filter(|(trial, _)| trial.kind == TrialKind::Traffic);
    alone
        .filter_map(|(trial, outcome)| {
            let minutes = outcome.watched.as_secs_f64() / 60.0;
            let per_minute = float(outcome.packets) / float(trial.connections) / minutes;
            Some((trial.contestants.first()?.name.clone(), per_minute))
        })
        .collect()
}

/// The points of the curve: every threshold under every outage.
pub(super) fn thresholds(done: &[Done]) -> Vec<ThresholdPoint> {
    let of = |wanted: fn(Trouble) -> Option<Duration>| {
        let own = done
            .iter()
            .filter(|(trial, _)| trial.kind == TrialKind::Threshold);
        own.filter_map(move |done| Some((done, wanted(done.0.trouble?)?)))
    };
    let cut =
        of(|trouble| matches!(trouble, Trouble::Fault { .. }).then_some(Duration::ZERO)).next();
    let outages: Vec<(&Done, Duration)> = of(|trouble| match trouble {
        Trouble::Stress(Stress::Outage(lasting)) => Some(lasting),
        _ => None,
    })
    .collect();
    let mut points = Vec::new();
    for (done, outage) in outages {
        for contestant in &done.0.contestants {
            let mut suspected = 0;
            let mut connections = 0;
            for seat in Seat::ALL {
                if let Some((verdicts, asked)) = times(done, &contestant.name, seat) {
                    suspected += verdicts.len();
                    connections = asked.max(connections);
                }
            }
            // Of an exchange either end may give up first, and the other then has nothing left to suspect.
            let detected = cut.and_then(|(cut, _)| both_seats(cut, &contestant.name));
            let quantile = |quantile| {
                detected
                    .as_ref()
                    .map_or(0, |times| times.value_at_quantile(quantile))
            };
            points.push(ThresholdPoint {
                detect_within_ms: contestant.budget.detect_within.0 / 1_000_000,
                interval_ms: contestant.budget.interval.0 / 1_000_000,
                detection_ns_p50: quantile(0.5),
                detection_ns_p99: quantile(0.99),
                outage_ms: u64::try_from(outage.as_millis()).unwrap_or(u64::MAX),
                connections,
                false_suspicions: suspected.min(connections),
            });
        }
    }
    points.sort_by_key(|point| (point.outage_ms, point.detect_within_ms));
    points
}

fn both_seats(done: &Done, name: &str) -> Option<Histogram<u64>> {
    let (mut all, _) = times(done, name, Seat::Server)?;
    let (other, _) = times(done, name, Seat::Client)?;
    // Histograms of one shape always add.
    all.add(&other).ok()?;
    Some(all)
}
