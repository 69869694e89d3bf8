//! What a mechanism does not notice, and whom it suspects wrongly, by the cells of a fault lab.
//!
//! Adds no opinion: a fault is missed where the lab saw it missed, and the rule is the one the lab's model gave.

use super::figures::{Noticed, NoticedCell};
use crate::arm::{Arm, KeepaliveSide};
use crate::record::ThresholdPoint;
use serde::Serialize;

/// A fault that an end does not notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blind {
    /// The fault, by the lab's name.
    pub fault: String,
    /// The end that does not notice: `server` or `client`.
    pub seat: String,
    /// Whether that end was to notice.
    pub matters: bool,
    /// Connections that met the fault in the lab.
    pub injected: u64,
    /// Of them, those noticed.
    pub noticed: u64,
    /// Why, by the kernel's rules and the settings.
    pub why: String,
}

/// A stress under which living peers were given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspected {
    /// The stress, by the lab's name.
    pub stress: String,
    /// Its size.
    pub parameter: String,
    /// Who gave up.
    pub seat: String,
    /// Living connections that met it.
    pub living: u64,
    /// Of them, those given up.
    pub given_up: u64,
}

/// Faults that `arm` does not notice, those that matter first.
pub(super) fn blind(noticed: &Noticed, arm: Arm, by: KeepaliveSide) -> Vec<Blind> {
    let mut missed: Vec<Blind> = of(&noticed.faults, arm)
        .filter(|cell| cell.noticed < cell.injected)
        .map(|cell| Blind {
            fault: cell.fault.clone(),
            seat: cell.seat.clone(),
            matters: sits(by, &cell.seat),
            injected: cell.injected,
            noticed: cell.noticed,
            why: cell.rule.clone(),
        })
        .collect();
    missed.sort_by_key(|blind| !blind.matters);
    missed
}

/// Stresses under which `arm` gave living peers up.
pub(super) fn suspected(noticed: &Noticed, arm: Arm) -> Vec<Suspected> {
    let cells = of(&noticed.stresses, arm).map(|cell| Suspected {
        stress: cell.fault.clone(),
        parameter: cell.parameter.clone(),
        seat: cell.seat.clone(),
        living: cell.injected,
        given_up: cell.noticed,
    });
    cells.collect()
}

/// What the lab's outages did at the detection budget nearest to `within_ms`, where it was heartbeats'.
pub(super) fn at_budget(noticed: &Noticed, arm: Arm, within_ms: u64) -> Vec<ThresholdPoint> {
    if !arm.has_heartbeats() {
        return Vec::new();
    }
    let points = &noticed.thresholds;
    let nearest = points
        .iter()
        .map(|point| point.detect_within_ms)
        .min_by_key(|budget| budget.abs_diff(within_ms));
    let of_it = points
        .iter()
        .filter(|point| Some(point.detect_within_ms) == nearest);
    of_it.copied().collect()
}

/// Faults that `chosen` notices where it must and `other` does not, each with the ends: `reset (server, client)`.
pub(super) fn worse(noticed: &Noticed, chosen: Arm, other: Arm, by: KeepaliveSide) -> Vec<String> {
    let known = blind(noticed, chosen, by);
    let is_known = |blind: &Blind| {
        let same = |mine: &Blind| mine.fault == blind.fault && mine.seat == blind.seat;
        known.iter().any(same)
    };
    let mut faults: Vec<(String, Vec<String>)> = Vec::new();
    for blind in blind(noticed, other, by) {
        if !blind.matters || is_known(&blind) {
            continue;
        }
        match faults.iter_mut().find(|(fault, _)| *fault == blind.fault) {
            Some((_, seats)) => seats.push(blind.seat),
            None => faults.push((blind.fault, vec![blind.seat])),
        }
    }
    let named = faults.into_iter();
    named
        .map(|(fault, seats)| format!("{fault} ({})", seats.join(", ")))
        .collect()
}

fn of(cells: &[NoticedCell], arm: Arm) -> impl Iterator<Item = &NoticedCell> {
    cells
        .iter()
        .filter(move |cell| cell.mechanism == arm.name())
}

fn sits(by: KeepaliveSide, seat: &str) -> bool {
    match seat {
        "server" => by.server(),
        _ => by.client(),
    }
}
