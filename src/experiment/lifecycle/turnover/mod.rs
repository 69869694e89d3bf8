//! What set-ups and tear-downs cost, by who ends and how; how many a second can be sustained; what `TIME_WAIT` takes.
//!
//! Does not print. Every trial has fresh processes, sockets and namespaces. Rounds of the endings are interleaved, in an
//! order drawn from the seed; whatever ends the series early, the rounds that are whole make a record.

mod plan;
mod summary;
mod sustained;
mod time_wait;
mod trial;

pub use plan::TurnoverPlan;
pub(super) use time_wait::time_wait_memory;

use super::shape::spec;
use crate::environment;
use crate::experiment::cost::cut_short;
use crate::experiment::lifecycle::stage::on_stage;
use crate::experiment::trial::Stage;
use crate::experiment::{ExperimentError, Observer};
use crate::record::{TurnoverRecord, Warning};
use plan::Ending;
use std::path::Path;
use std::time::Duration;
use summary::{doubts, doubts_of_sustained, record};
use sustained::Sustained;
use trial::Turned;

/// Runs the plan with `executable`'s halves and returns the record of every ending that has a whole round, what is
/// doubtful, and what ended the run early if anything did.
pub fn turnovers(
    plan: &TurnoverPlan,
    executable: &Path,
    observer: &mut dyn Observer,
) -> (Vec<TurnoverRecord>, Vec<Warning>, Option<ExperimentError>) {
    let (mut rounds, mut sustained, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let mut ended = on_stage(&plan.cost, executable, observer, |stage| {
        all(stage, plan, (&mut rounds, &mut sustained), &mut warnings)
    })
    .err();
    let seed = plan.cost.options.seed;
    let mut records = Vec::new();
    let cpus = environment::capture().map_or(1, |environment| u64::from(environment.cpu_count));
    for ending in Ending::ALL {
        let stretch = sustained.iter().find(|measured| measured.ending == ending);
        match record(ending, &rounds, stretch, (cpus, seed)) {
            Ok(found) => records.extend(found),
            Err(error) => ended = ended.or(Some(error)),
        }
    }
    if let Some(error) = &ended {
        warnings.insert(0, cut_short(error));
    }
    (records, warnings, ended)
}

fn all(
    stage: &mut Stage<'_>,
    plan: &TurnoverPlan,
    (rounds, sustained): (&mut Vec<Turned>, &mut Vec<Sustained>),
    warnings: &mut Vec<Warning>,
) -> Result<(), ExperimentError> {
    let trials = plan.trials();
    for (round, order) in (0..).zip(&plan.order) {
        for &number in order {
            let ending = Ending::ALL[number];
            let part = format!("round {}", round + 1);
            let place = (round, (rounds.len(), trials));
            let spec = spec(&plan.cost, (ending.name(), &part), place, plan.idle);
            let turned = trial::run(stage, plan, &spec, ending)?;
            warnings.extend(doubts(&turned, &format!("{ending}, {part}")));
            rounds.push(turned);
        }
    }
    for ending in Ending::ALL {
        let place = (plan.rounds, (rounds.len() + sustained.len(), trials));
        let span = plan.sustained + Duration::from_millis(200);
        let spec = spec(&plan.cost, (ending.name(), "sustained"), place, span);
        let measured = sustained::run(stage, plan, &spec, ending)?;
        warnings.extend(doubts_of_sustained(&measured, ending.name()));
        sustained.push(measured);
    }
    Ok(())
}
