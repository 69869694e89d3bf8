//! A run: the scenarios, then the costs, while `TIME-WAIT` is waited for; and the record.
//!
//! Does not print. The minute of `TIME-WAIT` is spent on what needs the machine for itself: to look at a socket fifty
//! times a second takes a thousandth of a core. Whatever ends the run early, what was seen and measured till then makes a
//! record marked partial.

use super::handshake::handshake;
use super::hosts::Hosts;
use super::plan::{LifecyclePlan, MINUTE};
use super::play::{play, play_all};
use super::ports::ports;
use super::turnover::{time_wait_memory, turnovers};
use crate::clock::{Clock as _, MonotonicClock, wall_rfc3339};
use crate::environment;
use crate::experiment::cost::{cut_short, empty};
use crate::experiment::doubt::Doubt;
use crate::experiment::{ExperimentError, Observer, Progress};
use crate::record::{Kind, LifecycleRecord, Record, ScenarioRecord, Warning};
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// What a scenario came to.
type Played = Result<ScenarioRecord, ExperimentError>;

/// Runs the plan with `executable`'s halves and returns what was seen, also when it was cut short. `laboratory` says how
/// this process came by its right to make namespaces.
///
/// # Errors
/// Only what goes wrong before the first scenario: no namespaces to be had, the host's figures cannot be read.
pub fn run_lifecycle(
    plan: &LifecyclePlan,
    executable: &Path,
    ring_features: BTreeMap<String, String>,
    laboratory: &str,
    observer: &mut dyn Observer,
) -> Result<(Record, Option<ExperimentError>), ExperimentError> {
    let mut environment = environment::capture()?;
    environment.ring_features = ring_features;
    // A host that lets nobody make namespaces, or has no ip(8), is told before anything is begun.
    drop(Hosts::build()?);
    let started_at = wall_rfc3339();
    let begun = MonotonicClock.now();
    let mut seen = LifecycleRecord {
        laboratory: laboratory.to_owned(),
        one_way_delay_ns: super::scene::DELAY.0,
        states_looked_at_every_ns: super::watch::LOOK_EVERY.0,
        ..LifecycleRecord::default()
    };
    let mut warnings = Vec::new();
    let ended = all(plan, executable, observer, &mut seen, &mut warnings).err();
    warnings.extend(doubts(&seen));
    warnings.sort_by_key(|warning: &Warning| !warning.invalidates);
    let mut record = Record {
        partial: ended.is_some(),
        started_at,
        lifecycle: Some(seen),
        warnings,
        ..empty(
            Kind::Lifecycle,
            (&plan.options.command, plan.options.label.as_ref()),
            plan.config(),
            environment,
        )
    };
    if let Some(error) = &ended {
        record.warnings.insert(0, cut_short(error));
    }
    record.valid = !record.partial && record.warnings.iter().all(|warning| !warning.invalidates);
    record.duration_ms = (MonotonicClock.now() - begun).0 / 1_000_000;
    Ok((record, ended))
}

fn all(
    plan: &LifecyclePlan,
    executable: &Path,
    observer: &mut dyn Observer,
    seen: &mut LifecycleRecord,
    warnings: &mut Vec<Warning>,
) -> Result<(), ExperimentError> {
    let interrupted = AtomicI32::new(0);
    std::thread::scope(|scope| {
        let waited = plan.waited.map(|(place, scenario)| {
            let stop = &interrupted;
            (place, scope.spawn(move || play(scenario, stop)))
        });
        let mut ended = scenarios(plan, &interrupted, observer, seen).err();
        if ended.is_none() && plan.options.costs {
            ended = costs(plan, executable, observer, seen, warnings).err();
        }
        if let Some((place, waited)) = waited {
            if let Some(error) = &ended {
                // Nobody waits for the rest of the minute.
                interrupted.store(signal_of(error), Ordering::Relaxed);
            }
            match wait(waited, &interrupted, observer) {
                Ok(scenario) => {
                    if let Some(time_wait) = &mut seen.time_wait {
                        time_wait.lifetime_ns = lifetime(&scenario);
                        time_wait.absent.remove("lifetime_ns");
                    }
                    let place = place.min(seen.scenarios.len());
                    seen.scenarios.insert(place, scenario);
                }
                Err(error) => ended = ended.or(Some(error)),
            }
        }
        ended.map_or(Ok(()), Err)
    })
}

/// From the first sight of `TIME-WAIT` to the last of the socket.
fn lifetime(scenario: &ScenarioRecord) -> Option<u64> {
    let of_it = |state: &str| {
        let mut changes = scenario.states.iter().rev();
        let found = changes.find(|change| change.end == "client" && change.state == state);
        found.map(|change| change.at_ns)
    };
    of_it("CLOSED")
        .zip(of_it("TIME-WAIT"))
        .map(|(closed, begun)| closed.saturating_sub(begun))
}

fn signal_of(error: &ExperimentError) -> i32 {
    match error {
        ExperimentError::Interrupted(signal) => *signal,
        _ => libc::SIGTERM,
    }
}

fn scenarios(
    plan: &LifecyclePlan,
    interrupted: &AtomicI32,
    observer: &mut dyn Observer,
    seen: &mut LifecycleRecord,
) -> Result<(), ExperimentError> {
    let (all, begun) = (plan.scenarios.len(), MonotonicClock.now());
    let (played, ended) = play_all(&plan.scenarios, interrupted, |done| {
        heed(observer, interrupted);
        let part = format!("{done} of {all} played");
        observer.progress(&progress("scenarios", part, begun, plan.span()));
    });
    let held = played.iter().filter(|scenario| scenario.held).count();
    observer.note(&format!("{held} of {all} scenarios hold"));
    seen.scenarios = played;
    ended.map_or(Ok(()), Err)
}

/// The costs, one after the other; what one of them could not do ends the rest.
fn costs(
    plan: &LifecyclePlan,
    executable: &Path,
    observer: &mut dyn Observer,
    seen: &mut LifecycleRecord,
    warnings: &mut Vec<Warning>,
) -> Result<(), ExperimentError> {
    let (measured, doubts, ended) = turnovers(&plan.turnovers, executable, observer);
    seen.turnovers = measured;
    warnings.extend(doubts);
    ended.map_or(Ok(()), Err)?;
    seen.time_wait = Some(time_wait_memory(&plan.turnovers, executable, observer)?);
    seen.ports = ports(plan.options.quick, &|| observer.interrupted())?;
    for ramp in &plan.handshakes {
        let (measured, doubts, ended) = handshake(ramp, executable, observer);
        seen.handshakes.push(measured);
        warnings.extend(doubts);
        ended.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// Waits for the scenario of the minute, and looks after the observer meanwhile.
fn wait(
    waited: ScopedJoinHandle<'_, Played>,
    interrupted: &AtomicI32,
    observer: &mut dyn Observer,
) -> Played {
    let begun = MonotonicClock.now();
    while !waited.is_finished() {
        heed(observer, interrupted);
        let part = "waiting for its end".to_owned();
        observer.progress(&progress("TIME-WAIT", part, begun, MINUTE));
        std::thread::sleep(Duration::from_millis(100));
    }
    match waited.join() {
        Ok(played) => played,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Passes a signal on to the scenes that are played.
fn heed(observer: &dyn Observer, interrupted: &AtomicI32) {
    if let Some(signal) = observer.interrupted() {
        interrupted.store(signal, Ordering::Relaxed);
    }
}

fn progress(what: &str, part: String, begun: Nanos, whole: Duration) -> Progress {
    let elapsed = (MonotonicClock.now() - begun).as_duration();
    Progress {
        trial: 0,
        trials: 1,
        arm: what.to_owned(),
        part,
        phase: "scenarios",
        connections: 0,
        connections_requested: 0,
        events_per_second: 0,
        rtt_p99: None,
        cpu: None,
        elapsed,
        remaining: whole.saturating_sub(elapsed),
    }
}

/// What of the scenarios must not be overlooked.
fn doubts(seen: &LifecycleRecord) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for scenario in &seen.scenarios {
        for check in scenario.checks.iter().filter(|check| !check.held) {
            let doubt = Doubt::ScenarioBroken {
                rule: format!("{} ({})", check.rule, check.source),
                seen: check.seen.clone(),
            };
            warnings.push(doubt.warning(&scenario.name));
        }
        if let Some(why) = &scenario.disturbance {
            let doubt = Doubt::ScenarioDisturbed {
                why: why.clone(),
                takes: scenario.takes,
            };
            warnings.push(doubt.warning(&scenario.name));
        }
    }
    warnings
}
