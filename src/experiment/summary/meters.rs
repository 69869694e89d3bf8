//! An arm's CPU cost by the second and the third meter.
//!
//! Pure. The first meter's is formed in the module above.

use super::{Controls, Round, Trial, float, whole};
use crate::measure::statistics::paired_bootstrap;
use crate::record::{ArmRecord, Estimate};

/// Why there is no figure of the second meter where [`outlived`] is false.
pub(super) const DIED: &str = "connections were closed in the window, so the soaker's stretch after it saw another population";

/// Whether the stretches after the windows saw the windows' own population, within a per cent.
pub(super) fn outlived(rounds: &[Round<'_>]) -> bool {
    rounds.iter().all(|round| {
        let trial = round.trial;
        let open = trial.load.totals.open.min(trial.server.totals.open);
        open.min(trial.kernel_held) * 100 >= trial.spec.connections * 99
    })
}

/// The second meter's figure, from the stretches after the windows.
pub(super) fn soaked(
    record: &ArmRecord,
    rounds: &[Round<'_>],
    controls: Controls<'_>,
    seed: u64,
) -> Option<Estimate> {
    if !outlived(rounds) {
        return None;
    }
    let soak = |round: &Round<'_>, trial: &Trial| {
        let events = whole(round.events.unwrap_or(0.0));
        let stretch = trial.stretch.as_ref()?;
        Some(stretch.record(round.trial.window, events, trial.wire.probes_attempted))
    };
    let own = rounds.iter().map(|round| soak(round, round.trial));
    let own: Vec<_> = own.collect::<Option<_>>()?;
    let control = rounds.iter().map(|round| soak(round, round.control));
    let control: Vec<f64> = control
        .map(|soak| Some(float(soak?.taken_ns)))
        .collect::<Option<_>>()?;
    let taken: Vec<f64> = own.iter().map(|soak| float(soak.taken_ns)).collect();
    let events: Vec<f64> = own.iter().map(|soak| float(soak.events)).collect();
    let floor = controls.soaker_floor_ns(&record.control, rounds[0].trial.window);
    let figure = paired_bootstrap(&taken, &control, &events, floor, seed).ok()?;
    Some(controls.widened(figure))
}

pub(super) fn cycles(rounds: &[Round<'_>], events: &[f64], seed: u64) -> Option<Estimate> {
    let counted = |trial: &Trial| trial.meters.cycles.map(float);
    let own = rounds.iter().map(|round| counted(round.trial));
    let own: Vec<f64> = own.collect::<Option<_>>()?;
    let control = rounds.iter().map(|round| {
        let share = float(round.trial.window.0) / float(round.control.window.0);
        counted(round.control).map(|cycles| cycles * share)
    });
    let control: Vec<f64> = control.collect::<Option<_>>()?;
    paired_bootstrap(&own, &control, events, 0.0, seed).ok()
}
