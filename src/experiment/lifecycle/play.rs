//! One scenario, played and judged; and many, several at a time.
//!
//! Does not know what any is about.

use super::capture::pcap_base64;
use super::scenarios::Scenario;
use super::scene::{Footage, Scene};
use super::seen::Seen;
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::ExperimentError;
use crate::record::ScenarioRecord;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Scenarios under way at once: they wait nearly all of their time.
const AT_ONCE: usize = 4;

/// How often a scenario is played at most, when the machine was too busy to watch it.
const TAKES: u32 = 3;

/// Plays one, again if the machine was too busy to watch it, and returns what was left of the last take and its number.
pub(super) fn shoot(
    scenario: &Scenario,
    interrupted: &AtomicI32,
) -> Result<(Footage, u32), ExperimentError> {
    let mut take = 1;
    loop {
        let mut scene = Scene::set(interrupted, take == TAKES)?;
        (scenario.play)(&mut scene)?;
        let footage = scene.cut()?;
        // What the instruments may have missed is taken again, whatever was seen.
        if footage.disturbance.is_none() || take == TAKES {
            return Ok((footage, take));
        }
        take += 1;
    }
}

/// Plays one and holds its rules against what was seen.
pub(super) fn play(
    scenario: &Scenario,
    interrupted: &AtomicI32,
) -> Result<ScenarioRecord, ExperimentError> {
    let (footage, takes) = shoot(scenario, interrupted)?;
    let seen = Seen::of(&footage);
    let checks = (scenario.rules)(&seen);
    Ok(ScenarioRecord {
        name: scenario.name.to_owned(),
        title: scenario.title.to_owned(),
        source: scenario.source.to_owned(),
        explanation: scenario.explanation.to_owned(),
        held: !checks.is_empty() && checks.iter().all(|check| check.held),
        checks,
        pcap_base64: pcap_base64(&footage.carried, epoch())?,
        segments: seen.segments,
        states: seen.states,
        calls: seen.calls,
        watched_ns: seen.watched_ns,
        takes,
        disturbance: footage.disturbance,
    })
}

/// How far the wall clock is ahead of the monotonic one.
fn epoch() -> Duration {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    wall.saturating_sub(MonotonicClock.now().as_duration())
}

/// Plays all, a few at a time, and returns what came of each in their order. `look` is called several times a second
/// with how many are done. The first that cannot go on ends the rest.
pub(super) fn play_all(
    scenarios: &[&'static Scenario],
    interrupted: &AtomicI32,
    mut look: impl FnMut(usize),
) -> (Vec<ScenarioRecord>, Option<ExperimentError>) {
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    let (mut done, mut ended) = (Vec::new(), None);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(scenarios.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((place, scenario)) = take(scenarios, next) {
                    if sender.send((place, play(scenario, interrupted))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        loop {
            match results.recv_timeout(Duration::from_millis(100)) {
                Ok((place, Ok(record))) => done.push((place, record)),
                Ok((_, Err(error))) => {
                    next.store(scenarios.len(), Ordering::Relaxed);
                    ended.get_or_insert(error);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            look(done.len());
        }
    });
    done.sort_by_key(|(place, _)| *place);
    (done.into_iter().map(|(_, record)| record).collect(), ended)
}

fn take<'a>(scenarios: &[&'a Scenario], next: &AtomicUsize) -> Option<(usize, &'a Scenario)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    scenarios.get(place).map(|scenario| (place, *scenario))
}
