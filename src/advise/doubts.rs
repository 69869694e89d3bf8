//! What to beware of with the settings that were chosen: contradictions, and what bites at this scale.
//!
//! Changes no setting. Each doubt names both sides and which one won, or the rule it comes from.

use super::cost::Cost;
use super::timing::{HZ, Timing, outage, shortest_for};
use super::words::{about, float, span};
use super::{Question, Warning};
use crate::arm::Arm;
use crate::measure::keepalive::predict_burst;
use crate::units::{HumanCount, Nanos};

/// `net.core.netdev_max_backlog` as the kernel sets it (Documentation/admin-guide/sysctl/net.rst).
const BACKLOG: u64 = 1_000;
/// The shortest idle timeout among well-known load balancers and NATs (Azure's, 4 min; AWS's is 350 s).
const FORGETFUL: Nanos = Nanos::from_secs(240);

/// The warning of keepalive's bursts.
pub(super) const BURSTS: &str = "keepalive-bursts";

/// All that apply, contradictions first.
pub(super) fn doubts(
    question: &Question,
    arm: Arm,
    timing: &Timing,
    cost: Option<&Cost>,
) -> Vec<Warning> {
    [
        cut_short(question, arm, timing),
        outage_too_long(question, arm, timing),
        one_loss(question, arm, timing),
        middlebox_unknown(question, arm, timing),
        radio(question, arm, timing),
        burst(question, arm, timing),
        spread(question, arm, cost),
        losses(question, arm, timing),
        overrides(arm, timing),
        in_flight(arm),
        next_hop(arm),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn warning(code: &'static str, message: String, advice: &str) -> Warning {
    Warning {
        code,
        message,
        advice: advice.to_owned(),
    }
}

fn cut_short(question: &Question, arm: Arm, timing: &Timing) -> Option<Warning> {
    let (idle, uncut) = (question.middlebox_idle?, timing.uncut?);
    Some(warning(
        "middlebox-shorter-than-interval",
        format!(
            "{} would allow a sign of life every {}, but the middlebox forgets after {}. The middlebox wins: one every \
             {}, half of that",
            span(question.detect_within.into()),
            span(uncut),
            span(idle.into()),
            span(timing.interval(arm))
        ),
        "raise the middlebox's idle timeout if it is yours: fewer packets do",
    ))
}

fn outage_too_long(question: &Question, arm: Arm, timing: &Timing) -> Option<Warning> {
    let outage = outage(question);
    let survived = timing.survives(arm);
    if survived >= outage {
        return None;
    }
    let misses = timing.budget.misses;
    let needed = shortest_for(outage, arm, misses);
    let given = if question.survive_outage.is_some() {
        "--survive-outage asks for"
    } else {
        "the link's preset asks for"
    };
    let (winner, way_out) = if needed > question.detect_within {
        let longer = format!(
            "to survive it give --detect-within {}s; otherwise let those given up come back with backoff and jitter \
             (`ringbeat storm` measures that)",
            needed.as_secs()
        );
        ("--detect-within", longer)
    } else {
        // TCP_KEEPCNT ends at 127, and the middlebox says how far apart probes may be.
        let fewer = "raise the middlebox's idle timeout, so that as many probes last longer, or let both ends speak \
                     heartbeats";
        ("The middlebox", fewer.to_owned())
    };
    Some(warning(
        "outage-longer-than-patience",
        format!(
            "{given} {} of outage, and a verdict within {} leaves room for {} at most. {winner} wins: a longer outage ends \
             living connections",
            span(outage.into()),
            span(timing.detects_within(arm)),
            span(survived.into())
        ),
        &way_out,
    ))
}

fn one_loss(question: &Question, arm: Arm, timing: &Timing) -> Option<Warning> {
    if !arm.has_heartbeats() {
        return None;
    }
    let round_trip = question.link.round_trip();
    // RFC 6298: the pause before a retransmission is a round trip and its variation, 200 ms at least on Linux
    let needed = Nanos::from(round_trip * 2) + Nanos::from_millis(200);
    (timing.budget.answer_timeout <= needed).then_some(())?;
    Some(warning(
        "one-loss-is-a-verdict",
        format!(
            "an answer is awaited for {}, and on this link a lost packet alone takes {} to be made good. \
             --detect-within wins: every lost packet may end a living connection",
            span(timing.budget.answer_timeout),
            span(needed)
        ),
        "give a longer --detect-within",
    ))
}

fn middlebox_unknown(question: &Question, arm: Arm, timing: &Timing) -> Option<Warning> {
    let unknown = question.middlebox_idle.is_none()
        && timing.interval(arm) + timing.interval(arm) > FORGETFUL;
    unknown.then_some(())?;
    Some(warning(
        "middlebox-unknown",
        format!(
            "with a sign of life every {} a middlebox on the way may forget the connection: Azure's load balancer does \
             after 4 min, AWS's network load balancer after 350 s, both by default",
            span(timing.interval(arm))
        ),
        "give --middlebox-idle",
    ))
}

fn radio(question: &Question, arm: Arm, timing: &Timing) -> Option<Warning> {
    let tail = question.link.radio_tail()?;
    let interval = timing.interval(arm);
    let share = (Nanos::from(tail).0 * 100 / interval.0.max(1)).min(100);
    (share > 10).then_some(())?;
    let longest = Nanos::from(tail * 10 * timing.budget.misses);
    Some(warning(
        "radio-kept-awake",
        format!(
            "every sign of life keeps a phone's radio awake for some {}: at one every {} that is {share} % of the time",
            span(tail.into()),
            span(interval)
        ),
        &format!(
            "for 10 % give --detect-within {}s; or let the platform's push service hold the only connection",
            longest.0 / 1_000_000_000
        ),
    ))
}

pub(super) fn burst(question: &Question, arm: Arm, timing: &Timing) -> Option<Warning> {
    if !arm.has_keepalive() {
        return None;
    }
    // both ends of a connection on one host: the only place where it matters
    let probing = question.connections * question.noticed_by.ends();
    let burst = predict_burst(probing, timing.budget.keepalive_idle_s, HZ, 1);
    (burst > BACKLOG).then_some(())?;
    Some(warning(
        BURSTS,
        format!(
            "the kernel fires keepalive timers in bursts, here of some {} probes in one tick, divided among the CPUs \
             (its timer wheel is that coarse {} s ahead, at HZ {HZ}); over loopback and veth (sidecars, containers) all \
             beyond net.core.netdev_max_backlog, {} per CPU by default, are dropped, and on loopback healthy connections \
             end for it",
            HumanCount(burst),
            timing.budget.keepalive_idle_s,
            HumanCount(BACKLOG)
        ),
        &format!(
            "where both ends share a host: sysctl -w net.core.netdev_max_backlog={burst}; idle times that differ from \
             connection to connection did not do alone (results/2026-11-24-keepalive-kills). Over a network card this \
             does not apply",
        ),
    ))
}

fn spread(question: &Question, arm: Arm, cost: Option<&Cost>) -> Option<Warning> {
    let rate = cost.map(|cost| cost.events_per_second)?;
    if !arm.has_heartbeats() || question.connections < 1_000 {
        return None;
    }
    Some(warning(
        "spread-the-heartbeats",
        format!(
            "{} heartbeats a second is the mean: clients that connect, or come back, together send together for good, \
             {} at once at worst",
            about(rate),
            about(float(question.connections))
        ),
        "send the first heartbeat after a random part of the interval",
    ))
}

fn overrides(arm: Arm, timing: &Timing) -> Option<Warning> {
    if !arm.has_user_timeout() {
        return None;
    }
    let budget = &timing.budget;
    let last = budget.keepalive_promise_s() - budget.keepalive_interval_s;
    Some(warning(
        "user-timeout-overrides-count",
        format!(
            "TCP_USER_TIMEOUT takes the place of TCP_KEEPCNT (tcp(7)): below {last} s it would end connections after \
             fewer probes, above {} s the next probe's timer would decide",
            budget.keepalive_promise_s()
        ),
        "change the four numbers together",
    ))
}

/// Living connections that end in an hour because as many probes or answers as the count were lost in a row.
fn ended_by_loss(question: &Question, timing: &Timing) -> f64 {
    let arrives = 1.0 - f64::from(question.link.loss_ppm()) / 1e6;
    let unanswered = 1.0 - arrives * arrives;
    let row = f64::from(timing.budget.keepalive_count);
    let probed = float(question.connections * question.noticed_by.ends());
    probed * 3600.0 / f64::from(timing.budget.keepalive_idle_s.max(1)) * unanswered.powf(row)
}

fn losses(question: &Question, arm: Arm, timing: &Timing) -> Option<Warning> {
    if !arm.has_keepalive() {
        return None;
    }
    let ended = ended_by_loss(question, timing);
    (ended >= 1.0).then_some(())?;
    let more = (timing.budget.keepalive_count + 1..=20).find(|misses| {
        let asked = Question {
            misses: Some(*misses),
            ..*question
        };
        Timing::of(&asked, arm).is_ok_and(|timing| ended_by_loss(&asked, &timing) < 1.0)
    });
    let way_out = more.map_or_else(
        || "give a longer --detect-within, or let both ends speak heartbeats, which are retransmitted".to_owned(),
        |misses| format!("--misses {misses} brings it below one, for more packets"),
    );
    Some(warning(
        "losses-in-a-row",
        format!(
            "a lost probe is not sent again: by the link's loss of {} ppm, were losses independent, {} lost in a row \
             would end {} living connections an hour (arithmetic, not measured)",
            HumanCount(question.link.loss_ppm().into()),
            timing.budget.keepalive_count,
            about(ended)
        ),
        &way_out,
    ))
}

fn in_flight(arm: Arm) -> Option<Warning> {
    if !arm.has_keepalive() {
        return None;
    }
    Some(warning(
        "silent-while-data-is-in-flight",
        "keepalive sends nothing while data is unacknowledged (RFC 9293, 3.8.4): then TCP_USER_TIMEOUT alone decides, \
         and where it cannot be set (nginx, Redis, the JDK, Node) retransmission goes on for some 15 minutes \
         (tcp_retries2)"
            .to_owned(),
        "set it wherever the program lets you, or sysctl -w net.ipv4.tcp_retries2=8 (RFC 1122 asks for 100 s at least)",
    ))
}

fn next_hop(arm: Arm) -> Option<Warning> {
    if !arm.has_keepalive() {
        return None;
    }
    Some(warning(
        "next-hop-only",
        "probes end at the next TCP endpoint: behind a proxy or an L4 load balancer that terminates TCP they tell of \
         the proxy, and some firewalls eat them (gRPC's keepalive guide)"
            .to_owned(),
        "set keepalive on both sides of a proxy (nginx: so_keepalive and proxy_socket_keepalive)",
    ))
}
