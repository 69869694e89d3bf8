//! Reconnect storms and churn: what a population does to a server that has dropped all of it, by the way its clients
//! back off; and what a part of it costs that is always coming and going.
//!
//! Does not print. Every run has fresh processes and sockets; the sockets of the one before are gone by then. Whatever
//! ends the series early, the runs that are whole, and the one that was cut, make a record marked partial.

mod plan;
mod run;
mod summary;

pub use plan::{StormOptions, StormPlan, Way};

use super::cost::{blank, cut_short};
use super::sampler::Sampler;
use super::trial::Stage;
use super::watch::Watch;
use super::{ExperimentError, Observer};
use crate::clock::{Clock as _, MonotonicClock, wall_rfc3339};
use crate::environment;
use crate::os::network::SocketStats;
use crate::record::{Kind, Record, StormRecord, Warning};
use std::collections::BTreeMap;
use std::path::Path;

/// Runs the plan with `executable`'s halves and returns what was measured, also when it was cut short.
///
/// # Errors
/// Only what goes wrong before the first run: the host's figures cannot be read.
pub fn run_storm(
    plan: &StormPlan,
    executable: &Path,
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
        plan: &plan.cost,
        executable,
        observer,
        sampler: &mut sampler,
        watch: &mut watch,
        baseline,
        fleet: None,
    };
    let (mut storm, mut warnings) = (plan.record(), Vec::new());
    let ended = all_runs(&mut stage, plan, &mut storm, &mut warnings).err();
    warnings.sort_by_key(|warning: &Warning| !warning.invalidates);
    let mut record = Record {
        partial: ended.is_some(),
        started_at,
        config: plan.config(),
        storm: Some(storm),
        warnings,
        samples: sampler.into_rows(),
        ..blank(Kind::Storm, &plan.cost, environment)
    };
    if let Some(error) = &ended {
        record.warnings.insert(0, cut_short(error));
    }
    record.valid = !record.partial && record.warnings.iter().all(|warning| !warning.invalidates);
    record.duration_ms = (MonotonicClock.now() - begun).0 / 1_000_000;
    Ok((record, ended))
}

fn all_runs(
    stage: &mut Stage<'_>,
    plan: &StormPlan,
    storm: &mut StormRecord,
    warnings: &mut Vec<Warning>,
) -> Result<(), ExperimentError> {
    for number in 0..plan.runs.len() {
        let (measured, cut) = run::run(stage, plan, number)?;
        storm.runs.push(measured.record(plan)?);
        if let Some(error) = cut {
            return Err(error);
        }
        warnings.extend(measured.doubts(plan));
    }
    Ok(())
}
