//! The whole piece of advice, as data: what `--json` prints and the text is made of.
//!
//! Does not decide which mechanism ([`super::choice`]) and does not lay out text. Keys are stable; spans are whole
//! milliseconds, rates floats.

use super::alternatives::{Alternative, alternatives, rate};
use super::choice::{AdviceError, Choice, choose, heartbeats_possible};
use super::cost::{Cost, cost, far_off};
use super::figures::Basis;
use super::fleet::FleetPlan;
use super::link::LinkFigure;
use super::notice::{Blind, Suspected, at_budget, blind, suspected};
use super::timing::{Timing, outage};
use super::words::span;
use super::{Question, Source, doubts};
use crate::arm::Arm;
use crate::record::ThresholdPoint;
use crate::units::{HumanCount, Nanos};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest detection time that is one.
const LONGEST: Duration = Duration::from_hours(24);

/// A piece of advice.
#[derive(Clone, Debug, Serialize)]
pub struct Advice {
    /// 1; grows when a key changes its meaning.
    pub schema_version: u32,
    /// The answer in one sentence.
    pub answer: String,
    /// The arm's name.
    pub mechanism: &'static str,
    /// What was asked, with what was assumed.
    pub asked: Asked,
    /// The settings.
    pub settings: Settings,
    /// What they cost; `null` when no record tells.
    pub cost: Option<Cost>,
    /// What they do not notice.
    pub not_noticed: Vec<Blind>,
    /// Whom they suspected wrongly in the fault lab, at its own detection budget.
    pub suspected_wrongly: Vec<Suspected>,
    /// Living peers given up in the lab's outages at the detection budget nearest to the one advised; of heartbeats only.
    pub suspected_at_budget: Vec<ThresholdPoint>,
    /// The fault lab the three above are from.
    pub fault_lab: Source,
    /// The fault lab's detection budget.
    pub fault_lab_detect_within_ms: u64,
    /// Why this mechanism.
    pub why: Vec<String>,
    /// The others, each with its reason.
    pub alternatives: Vec<Alternative>,
    /// What to beware of, contradictions first.
    pub warnings: Vec<Warning>,
    /// Hosts for all the connections; absent where one host does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetPlan>,
    /// The settings as code and configuration, by name; those asked for.
    pub snippets: BTreeMap<&'static str, String>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Connections.
    pub connections: u64,
    /// Detection time.
    pub detect_within_ms: u64,
    /// The outage to be survived, given or the link's.
    pub survive_outage_ms: u64,
    /// The middlebox, if one was named.
    pub middlebox_idle_ms: Option<u64>,
    /// The link.
    pub link: &'static str,
    /// What that assumes.
    pub link_figures: Vec<LinkFigure>,
    /// Who notices.
    pub noticed_by: &'static str,
    /// What can be set up.
    pub side: &'static str,
    /// Whether applications can be changed.
    pub app_changes: bool,
    /// Whether a hung application must be noticed.
    pub hung_application_matters: bool,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// By when a silent peer is given up, counted from the fault.
    pub detects_within_ms: u64,
    /// The longest outage in which nobody is given up for certain.
    pub survives_outage_ms: u64,
    /// Intervals, or probes, that go unanswered before the verdict.
    pub misses: u32,
    /// Of the application.
    pub heartbeat: Option<HeartbeatSettings>,
    /// Of the kernel; `null` where whole seconds are too coarse.
    pub keepalive: Option<KernelSettings>,
}

/// Heartbeats' timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeartbeatSettings {
    /// Who sends them.
    pub sender: &'static str,
    /// Whether they are acked.
    pub acked: bool,
    /// Between two.
    pub interval_ms: u64,
    /// The sender gives the peer up so long after the oldest heartbeat without an ack.
    pub answer_timeout_ms: Option<u64>,
    /// The receiver gives the peer up after so long a silence.
    pub idle_timeout_ms: u64,
}

/// What the kernel's numbers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelRole {
    /// They are the mechanism.
    Mechanism,
    /// For connections that carry no heartbeats.
    WithoutHeartbeats,
}

/// The kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KernelSettings {
    /// What for.
    pub role: KernelRole,
    /// `TCP_KEEPIDLE`.
    pub idle_s: u32,
    /// `TCP_KEEPINTVL`.
    pub interval_s: u32,
    /// `TCP_KEEPCNT`.
    pub count: u32,
    /// `TCP_USER_TIMEOUT`: above the last probe, below the sum.
    pub user_timeout_ms: u64,
    /// idle + interval × count.
    pub sum_s: u32,
    /// By how much the kernel's timers may be late besides, at HZ 250.
    pub rounding_ms: u64,
}

/// Something to beware of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A stable word, kebab-case.
    pub code: &'static str,
    /// What.
    pub message: String,
    /// What to do.
    pub advice: String,
}

/// Answers.
///
/// # Errors
/// [`AdviceError`] for a question that contradicts itself, with what to do about it.
pub fn advise(question: &Question, basis: &Basis<'_>) -> Result<Advice, AdviceError> {
    if question.detect_within > LONGEST {
        return Err(AdviceError::TooLong(question.detect_within));
    }
    if let Some(idle) = question.middlebox_idle.filter(|idle| idle.as_secs() < 2) {
        return Err(AdviceError::Forgetful(idle));
    }
    let Choice {
        arm,
        mut why,
        mut warnings,
    } = choose(question)?;
    let timing = Timing::of(question, arm)?;
    answerable(question, arm, &timing)?;
    let cost = cost(
        basis,
        arm,
        question.connections,
        rate(&timing, arm, question.noticed_by),
    );
    warnings.extend(doubts::doubts(question, arm, &timing, cost.as_ref()));
    warnings.extend(
        cost.as_ref()
            .and_then(|cost| far_off(basis, arm, question.connections, cost)),
    );
    if let Some(uncut) = timing.uncut {
        why.push(format!(
            "a sign of life every {} instead of {}: half of what the middlebox remembers, so that one that is lost is \
             made good before it forgets",
            span(timing.interval(arm)),
            span(uncut)
        ));
    }
    let lab = basis.noticed();
    let settings = settings(question, arm, &timing);
    Ok(Advice {
        schema_version: 1,
        answer: answer(question, arm, &timing),
        mechanism: arm.name(),
        asked: asked(question),
        settings,
        cost,
        not_noticed: blind(lab, arm, question.noticed_by),
        suspected_wrongly: suspected(lab, arm),
        suspected_at_budget: at_budget(lab, arm, ms(timing.detects_within(arm))),
        fault_lab: lab.source.clone(),
        fault_lab_detect_within_ms: lab.detect_within_ms,
        why,
        alternatives: alternatives(question, arm, basis),
        warnings,
        fleet: None,
        snippets: BTreeMap::new(),
    })
}

/// Whether the settings can work at all.
fn answerable(question: &Question, arm: Arm, timing: &Timing) -> Result<(), AdviceError> {
    if arm.has_keepalive() && !timing.kernel {
        return Err(AdviceError::TooCoarse(question.detect_within));
    }
    let round_trip = question.link.round_trip();
    if timing.budget.answer_timeout <= Nanos::from(round_trip) {
        return Err(AdviceError::TooShort {
            within: question.detect_within,
            round_trip,
            link: question.link.name(),
            // an interval, a round trip, and as much again for what is lost
            least: round_trip * 4,
        });
    }
    Ok(())
}

fn answer(question: &Question, arm: Arm, timing: &Timing) -> String {
    let connections = HumanCount(question.connections);
    let within = span(timing.detects_within(arm));
    let interval = span(timing.interval(arm));
    let found = format!("a dead peer is found within {within} at {connections} connections");
    match arm {
        Arm::HeartbeatOneway => format!(
            "heartbeat-oneway: a heartbeat from the client every {interval}, no ack; {found}, by the server."
        ),
        _ if arm.has_heartbeats() => format!(
            "{arm}: a heartbeat from the client every {interval}, acked by the server; {found}, by both ends."
        ),
        _ => format!(
            "{arm}: TCP keepalive {}/{}/{} with a user timeout of {} ms; {found}, by {}.",
            timing.budget.keepalive_idle_s,
            timing.budget.keepalive_interval_s,
            timing.budget.keepalive_count,
            ms(timing.budget.user_timeout()),
            match question.noticed_by.name() {
                "both" => "both ends".to_owned(),
                end => format!("the {end}"),
            }
        ),
    }
}

fn ms(span: Nanos) -> u64 {
    span.0 / 1_000_000
}

fn asked(question: &Question) -> Asked {
    let ms = |span: Duration| ms(Nanos::from(span));
    Asked {
        connections: question.connections,
        detect_within_ms: ms(question.detect_within),
        survive_outage_ms: ms(outage(question)),
        middlebox_idle_ms: question.middlebox_idle.map(ms),
        link: question.link.name(),
        link_figures: question.link.figures(),
        noticed_by: question.noticed_by.name(),
        side: question.side.name(),
        app_changes: question.app_changes,
        hung_application_matters: question.hung_matters,
    }
}

fn settings(question: &Question, arm: Arm, timing: &Timing) -> Settings {
    let budget = &timing.budget;
    let acked = arm != Arm::HeartbeatOneway;
    let heartbeat = arm.has_heartbeats().then(|| HeartbeatSettings {
        sender: "client",
        acked,
        interval_ms: ms(budget.interval),
        answer_timeout_ms: acked.then(|| ms(budget.answer_timeout)),
        idle_timeout_ms: ms(budget.idle_timeout),
    });
    let role = if arm.has_keepalive() {
        KernelRole::Mechanism
    } else {
        KernelRole::WithoutHeartbeats
    };
    debug_assert!(heartbeat.is_none() || heartbeats_possible(question));
    let keepalive = timing.kernel.then(|| KernelSettings {
        role,
        idle_s: budget.keepalive_idle_s,
        interval_s: budget.keepalive_interval_s,
        count: budget.keepalive_count,
        user_timeout_ms: ms(budget.user_timeout()),
        sum_s: budget.keepalive_promise_s(),
        rounding_ms: ms(timing.rounding()),
    });
    Settings {
        detects_within_ms: ms(timing.detects_within(arm)),
        survives_outage_ms: ms(timing.survives(arm).into()),
        misses: if arm.has_heartbeats() {
            budget.misses
        } else {
            budget.keepalive_count
        },
        heartbeat,
        keepalive,
    }
}
