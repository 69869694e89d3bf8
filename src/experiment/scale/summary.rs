//! What a climb has gathered becomes its record.
//!
//! Does not run anything. Every rung is summed up as a cost comparison of its own; warnings name their rung.

use super::ladder::Want;
use super::plan::Step;
use super::{Climb, Measured};
use crate::experiment::capacity::HostFacts;
use crate::experiment::cost::{arm_records, other_load};
use crate::experiment::summary::{Controls, arm_record};
use crate::experiment::{ExperimentError, StoppedAtMemory, checks, compare};
use crate::load::loopback_targets;
use crate::measure::headroom::Bound;
use crate::record::{
    HoldRecord, Record, ScaleAxis, ScaleMemory, ScaleRecord, ScaleRung, StopRecord, Warning,
};
use crate::units::HumanCount;

impl Climb<'_> {
    pub(super) fn summarise(&self, record: &mut Record) -> Result<(), ExperimentError> {
        let cpus = record.environment.cpu_count;
        let mut scale = ScaleRecord {
            axis: self.plan.axis,
            asked: self
                .plan
                .steps
                .iter()
                .map(|step| step.want.to_string())
                .collect(),
            floor: self.floor.clone(),
            memory: self.memory(),
            stops: self.stops.iter().map(stop_record).collect(),
            ..ScaleRecord::default()
        };
        let mut warnings = Vec::new();
        for rung in &self.rungs {
            let summed = self.rung_record(rung, cpus)?;
            let mut found: Vec<Warning> = rung
                .trials
                .iter()
                .flat_map(|trial| checks::of_trial(&rung.plan, trial))
                .collect();
            for arm in &summed.arms {
                found.extend(checks::of_arm(arm, &rung.plan, None));
            }
            found.extend(other_load(&summed.arms, &record.environment));
            let place = match self.plan.axis {
                ScaleAxis::Connections => format!("{} connections", HumanCount(summed.connections)),
                ScaleAxis::Tick => format!("tick {} ms", summed.tick_us / 1_000),
            };
            warnings.extend(found.into_iter().map(|warning| Warning {
                message: format!("{place}: {}", warning.message),
                ..warning
            }));
            // Cut short before its control was measured, a rung has no figure to show.
            if !summed.arms.is_empty() {
                scale.rungs.push(summed);
            }
        }
        if let (Some((plan, trial)), Some(top)) = (&self.hold, self.rungs.last()) {
            let controls = Controls::new(&top.trials, cpus);
            let name = &trial.spec.name;
            if let Some(arm) = arm_record(plan, name, std::slice::from_ref(trial), controls)? {
                let found = checks::of_trial(plan, trial);
                warnings.extend(found.into_iter().map(|warning| Warning {
                    message: format!("hold: {}", warning.message),
                    ..warning
                }));
                let steady_ms = u64::try_from(trial.spec.steady.as_millis()).unwrap_or(u64::MAX);
                scale.hold = Some(HoldRecord { steady_ms, arm });
            }
        }
        warnings.extend(self.stops.iter().map(|stopped| Warning {
            code: "stopped-at-memory".to_owned(),
            message: stopped.to_string(),
            advice: "the rung was measured with fewer connections, and is the last".to_owned(),
            invalidates: false,
        }));
        warnings.dedup_by(|one, other| one.code == other.code && one.message == other.message);
        warnings.sort_by_key(|warning| !warning.invalidates);
        record.warnings = warnings;
        if let Some(top) = scale.rungs.iter().max_by_key(|rung| rung.connections) {
            record.config.connections = top.connections;
            record.config.ring_plan.clone_from(&top.server_rings);
        }
        scale.not_reached = self.not_reached();
        record.scale = Some(scale);
        Ok(())
    }

    fn rung_record(&self, rung: &Measured, cpus: u32) -> Result<ScaleRung, ExperimentError> {
        let names: Vec<String> = rung
            .plan
            .arms
            .iter()
            .map(|planned| planned.name.clone())
            .collect();
        let arms = arm_records(&rung.plan, &names, &rung.trials, (cpus, 0))?;
        let connections = rung.plan.connections;
        let load = self.plan.rings(connections, false);
        let tick_us = rung.plan.options.tick.as_micros();
        Ok(ScaleRung {
            connections,
            reason: rung.reason.clone(),
            tick_us: u64::try_from(tick_us).unwrap_or(u64::MAX),
            server_rings: rung.plan.ring_plan.clone(),
            load_rings: load.map(|plan| plan.to_string()).unwrap_or_default(),
            destinations: loopback_targets(connections, 1, self.plan.host.ephemeral).len() as u64,
            comparisons: compare::comparisons(&arms, rung.plan.options.seed),
            arms,
        })
    }

    /// The largest population asked for by its number, if the climb ended below it for want of memory.
    fn not_reached(&self) -> Option<u64> {
        let counted = |step: &Step| match step.want {
            Want::Count(count) => Some(count),
            Want::Max => None,
        };
        let asked = self.plan.steps.iter().filter_map(counted).max()?;
        let reached = self.rungs.iter().map(|rung| rung.plan.connections).max();
        let short = reached.is_some_and(|reached| reached < asked);
        (short || (reached.is_none() && !self.stops.is_empty())).then_some(asked)
    }

    fn memory(&self) -> ScaleMemory {
        let HostFacts {
            usable_bytes,
            reserve_bytes,
            ..
        } = self.plan.host;
        let fit = |each: u64| {
            let room = usable_bytes.saturating_sub(reserve_bytes);
            let limit = self.plan.options.cost.memory_limit;
            limit.map_or(room, |limit| room.min(limit)) / each.max(1)
        };
        ScaleMemory {
            usable_bytes_at_start: usable_bytes,
            reserve_bytes,
            bytes_per_connection: self.bytes_each,
            connections_that_fit: self.bytes_each.map(fit),
        }
    }
}

fn stop_record(stopped: &StoppedAtMemory) -> StopRecord {
    let stop = &stopped.stop;
    StopRecord {
        arm: stopped.arm.clone(),
        connections_requested: stopped.asked,
        connections_open: stop.connections,
        bytes_per_connection: stop.bytes_per_connection,
        usable_bytes: stop.usable,
        bound: match stop.bound {
            Bound::Memory => "memory".to_owned(),
            Bound::Limit => "memory-limit".to_owned(),
        },
    }
}
