//! The cost comparison: all trials in their order, the drop-free rung if one is needed, and the record.
//!
//! Does not print. Whatever ends the run early, the trials that are whole make a record marked partial.

use super::checks;
use super::compare::{comparisons, heartbeat_over_keepalive};
use super::doubt::Doubt;
use super::driven::DrivenFleet;
use super::meters::{idle_phase, noise};
use super::plan::{CostOptions, CostPlan, rate_over};
use super::sampler::Sampler;
use super::summary::{Controls, arm_record, burst_slices};
use super::trial::{self, Stage, Trial, TrialSpec};
use super::watch::Watch;
use super::{ExperimentError, Observer};
use crate::arm::Arm;
use crate::clock::{Clock as _, MonotonicClock, wall_rfc3339};
use crate::environment;
use crate::os::memory::swapped_pages;
use crate::os::network::SocketStats;
use crate::record::{
    ArmRecord, Config, Environment, IdlePhase, Kind, Record, Rung, SCHEMA_VERSION, Warning,
};
use crate::units::HumanCount;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Runs the plan with `executable`'s halves, or with the load generators of `fleet`, and returns what was measured, also when it was cut short.
///
/// # Errors
/// Only what goes wrong before the first trial: the host's figures cannot be read.
pub fn run_cost(
    plan: &CostPlan,
    executable: &Path,
    fleet: Option<&Arc<DrivenFleet>>,
    ring_features: BTreeMap<String, String>,
    observer: &mut dyn Observer,
) -> Result<(Record, Option<ExperimentError>), ExperimentError> {
    let mut environment = environment::capture()?;
    environment.ring_features = ring_features;
    let started_at = wall_rfc3339();
    let begun = MonotonicClock.now();
    let baseline = SocketStats::read()?.tcp_allocated;
    let (mut sampler, mut watch) = (Sampler::new(), Watch::default());
    let mut stage = Stage {
        begun: sampler.begun(),
        plan,
        executable,
        observer,
        sampler: &mut sampler,
        watch: &mut watch,
        baseline,
        fleet,
    };
    let swapped_before = swapped_pages();
    let mut trials = Vec::new();
    let mut rung_trials = Vec::new();
    let mut idle = Vec::new();
    let mut ended = all_trials(&mut stage, &mut trials, &mut idle).err();
    let rung = if ended.is_none() {
        rung_for(plan, &trials)
    } else {
        None
    };
    if let Some((connections, _)) = rung {
        ended = rung_rounds(&mut stage, connections, &mut rung_trials).err();
    }
    if ended.is_none() {
        ended = idle_phase(&mut stage, "after")
            .map(|phase| idle.push(phase))
            .err();
    }
    if let Some(fleet) = fleet {
        fleet.conclude(ended.as_ref());
    }
    let noise = (!idle.is_empty()).then(|| noise(idle, environment.cpu_count, plan.steady));
    let mut record = Record {
        noise,
        partial: ended.is_some(),
        started_at,
        samples: sampler.into_rows(),
        ..blank(Kind::Cost, plan, environment)
    };
    let summed = summarise(plan, &mut record, &trials, &rung_trials, rung);
    ended = ended.or_else(|| summed.err());
    if let Some((before, after)) = swapped_before.zip(swapped_pages())
        && after > before
    {
        let pages = after - before;
        record.warnings.push(Doubt::Swapped { pages }.warning(""));
    }
    if let Some(error) = &ended {
        record.warnings.insert(0, cut_short(error));
    }
    record.valid = !record.partial && record.warnings.iter().all(|warning| !warning.invalidates);
    record.duration_ms = (MonotonicClock.now() - begun).0 / 1_000_000;
    Ok((record, ended))
}

/// A record of a comparison with nothing measured yet.
pub(super) fn blank(kind: Kind, plan: &CostPlan, environment: Environment) -> Record {
    let CostOptions { command, label, .. } = &plan.options;
    empty(kind, (command, label.as_ref()), plan.config(), environment)
}

/// A record with nothing measured yet; `said` is the command line and the run's name.
pub(super) fn empty(
    kind: Kind,
    said: (&str, Option<&String>),
    config: Config,
    environment: Environment,
) -> Record {
    Record {
        schema_version: SCHEMA_VERSION,
        kind,
        valid: true,
        partial: false,
        warnings: Vec::new(),
        command: said.0.to_owned(),
        label: said.1.cloned(),
        started_at: String::new(),
        duration_ms: 0,
        config,
        environment,
        noise: None,
        arms: Vec::new(),
        comparisons: Vec::new(),
        headline_ratio: None,
        drop_free_rung: None,
        scale: None,
        cells: Vec::new(),
        detection: None,
        storm: None,
        lifecycle: None,
        fleet: None,
        samples: Vec::new(),
    }
}

fn all_trials(
    stage: &mut Stage<'_>,
    trials: &mut Vec<Trial>,
    idle: &mut Vec<IdlePhase>,
) -> Result<(), ExperimentError> {
    let plan = stage.plan;
    let keepalive = plan.arms.iter().any(|planned| planned.arm.has_keepalive());
    let expected_rung = keepalive && plan.drop_free_connections().is_some();
    let main: usize = plan.order.iter().map(Vec::len).sum();
    let extra = if expected_rung {
        rung_arms(plan).len() * plan.rounds as usize
    } else {
        0
    };
    for (round, order) in (0..).zip(&plan.order) {
        let when = if round == 0 { "before" } else { "between" };
        idle.push(idle_phase(stage, when)?);
        for &index in order {
            let planned = plan.arms[index].clone();
            let place = (trials.len(), main + extra);
            let mut spec = TrialSpec {
                arm: planned.arm,
                engine: planned.engine,
                name: planned.name,
                control: planned.control,
                connections: plan.connections,
                ramp_rate: plan.ramp_rate,
                settle: plan.settle,
                steady: plan.steady,
                round,
                part: format!("round {}", round + 1),
                place,
                later: Duration::ZERO,
            };
            let left = u32::try_from(place.1 - place.0 - 1).unwrap_or(u32::MAX);
            spec.later = spec.span() * left;
            trials.push(trial::run(stage, spec)?);
        }
    }
    Ok(())
}

/// Whether and where the drop-free rung is to be measured, with the reason.
fn rung_for(plan: &CostPlan, trials: &[Trial]) -> Option<(u64, String)> {
    let dropped: u64 = trials
        .iter()
        .filter(|trial| trial.spec.arm.has_keepalive())
        .map(|trial| trial.wire.softnet_drops)
        .sum();
    if dropped == 0 {
        return None;
    }
    let connections = plan.drop_free_connections()?;
    let reason = format!(
        "at {} connections the kernel's backlog dropped {} packets of keepalive's bursts; at {} a burst is \
         expected to fit net.core.netdev_max_backlog = {}",
        HumanCount(plan.connections),
        HumanCount(dropped),
        HumanCount(connections),
        HumanCount(plan.host.backlog)
    );
    Some((connections, reason))
}

/// Control, keepalive, and each kind of heartbeat that was asked for, once, on the first engine.
fn rung_arms(plan: &CostPlan) -> Vec<Arm> {
    let mut arms: Vec<Arm> = plan.arms.iter().map(|planned| planned.arm).collect();
    arms.sort_unstable();
    arms.dedup();
    // One heartbeat is enough for the ratio; the classic one if it is there.
    let heartbeat = arms.iter().copied().find(|arm| arm.has_heartbeats());
    arms.retain(|arm| !arm.has_heartbeats() || Some(*arm) == heartbeat);
    arms
}

fn rung_rounds(
    stage: &mut Stage<'_>,
    connections: u64,
    trials: &mut Vec<Trial>,
) -> Result<(), ExperimentError> {
    let plan = stage.plan;
    let mut arms = rung_arms(plan);
    let main: usize = plan.order.iter().map(Vec::len).sum();
    let total = main + arms.len() * plan.rounds as usize;
    stage.observer.note(&format!(
        "measuring again at {} connections, where no burst overflows",
        HumanCount(connections)
    ));
    for round in 0..plan.rounds {
        for &arm in &arms {
            let place = (main + trials.len(), total);
            let mut spec = TrialSpec {
                arm,
                engine: plan.arms[0].engine,
                name: arm.to_string(),
                control: Arm::None.to_string(),
                connections,
                ramp_rate: Some(rate_over(connections, plan.options.budget.interval)),
                settle: plan.settle,
                // It answers one question and must not double the run.
                steady: plan.steady * 2 / 3,
                round: plan.rounds + round,
                part: format!("round {}", plan.rounds + round + 1),
                place,
                later: Duration::ZERO,
            };
            let left = u32::try_from(place.1 - place.0 - 1).unwrap_or(u32::MAX);
            spec.later = spec.span() * left;
            trials.push(trial::run(stage, spec)?);
        }
        arms.reverse();
    }
    Ok(())
}

fn summarise(
    plan: &CostPlan,
    record: &mut Record,
    trials: &[Trial],
    rung_trials: &[Trial],
    rung: Option<(u64, String)>,
) -> Result<(), ExperimentError> {
    let cpus = record.environment.cpu_count;
    let drift = record.noise.as_ref().and_then(|noise| noise.drift_milli);
    let drift = drift.unwrap_or(0);
    let names: Vec<String> = plan.arms.iter().map(|arm| arm.name.clone()).collect();
    record.arms = arm_records(plan, &names, trials, (cpus, drift))?;
    for arm in &mut record.arms {
        arm.slices = burst_slices(&arm.name, trials);
    }
    record.comparisons = comparisons(&record.arms, plan.options.seed);
    if let Some((connections, reason)) = rung {
        let names: Vec<String> = rung_arms(plan).iter().map(ToString::to_string).collect();
        let arms = arm_records(plan, &names, rung_trials, (cpus, drift))?;
        let comparisons = comparisons(&arms, plan.options.seed);
        record.drop_free_rung = Some(Rung {
            connections,
            reason,
            arms,
            comparisons,
        });
    }
    let (connections, arms) = match &record.drop_free_rung {
        Some(rung) => (rung.connections, &rung.arms),
        None => (plan.connections, &record.arms),
    };
    record.headline_ratio = heartbeat_over_keepalive(arms, connections, plan.options.seed);
    let mut warnings: Vec<Warning> = trials
        .iter()
        .chain(rung_trials)
        .flat_map(|trial| checks::of_trial(plan, trial))
        .collect();
    let rung_arms = record.drop_free_rung.iter().flat_map(|rung| &rung.arms);
    for arm in record.arms.iter().chain(rung_arms) {
        warnings.extend(checks::of_arm(arm, plan, record.noise.as_ref()));
    }
    warnings.extend(record.noise.iter().flat_map(checks::of_noise));
    warnings.extend(other_load(&record.arms, &record.environment));
    warnings.dedup_by(|one, other| one.code == other.code && one.message == other.message);
    warnings.sort_by_key(|warning| !warning.invalidates);
    record.warnings = warnings;
    Ok(())
}

pub(super) fn arm_records(
    plan: &CostPlan,
    names: &[String],
    trials: &[Trial],
    (cpus, drift_milli): (u32, u64),
) -> Result<Vec<ArmRecord>, ExperimentError> {
    let controls = Controls {
        trials,
        cpus,
        drift_milli,
    };
    names
        .iter()
        .filter_map(|name| arm_record(plan, name, trials, controls).transpose())
        .collect()
}

/// Something else on the machine used more than a twentieth of it while the control stood idle.
pub(super) fn other_load(arms: &[ArmRecord], environment: &Environment) -> Option<Warning> {
    let control = arms.iter().find(|arm| arm.is_control())?;
    let window: u64 = control
        .rounds_detail
        .iter()
        .map(|round| round.window_ns)
        .max()?;
    let own = control.cpu_ns.server_process + control.cpu_ns.load_process.unwrap_or(0);
    let other = control.cpu_ns.busy.saturating_sub(own);
    let capacity = window * u64::from(environment.cpu_count.max(1));
    (other * 20 > capacity).then(|| {
        let percent = other * 100 / capacity.max(1);
        Doubt::OtherLoad { percent }.warning("")
    })
}

pub(super) fn cut_short(error: &ExperimentError) -> Warning {
    let (code, advice) = match error {
        ExperimentError::Interrupted(_) => ("interrupted", "run again without interruption"),
        ExperimentError::Half { .. } => ("half-died", "see what ended it, then run again"),
        ExperimentError::Fleet(_) => (
            "load-host-failed",
            "see what that host says last, then run again",
        ),
        ExperimentError::Memory(_) | ExperimentError::InNeed { .. } => (
            "stopped-at-memory",
            "free memory, raise --memory-limit, or ask for fewer connections",
        ),
        _ => ("cut-short", "mend the cause named, then run again"),
    };
    Warning {
        code: code.to_owned(),
        message: error.to_string(),
        advice: advice.to_owned(),
        invalidates: true,
    }
}
