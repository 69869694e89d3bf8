//! The script every subject must play alike before it is measured.
//!
//! Seeded, 20,000 operations on 500 indices, beside a model that holds one deadline per index and
//! looks at all of them. Two scripts: one with two timeouts, for all; one whose timeouts reach over
//! the levels of a wheel, for those that can reschedule to any. A subject that may be late by its
//! precision must report each expiration within it; an index that has expired rests for as long.

use super::own::TENTH_OF_A_SECOND;
use super::subject::{Timers, cannot_reschedule};
use super::{Visitor, visit_all};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

const INDICES: u32 = 500;
const OPERATIONS: u32 = 20_000;
/// Ticks an index rests after it has expired: longer than any subject's precision.
const REST: u32 = TENTH_OF_A_SECOND + 1;
const CLASSES: [u32; 2] = [40, 700];

#[derive(Clone, Debug)]
enum Step {
    Arm {
        index: u32,
        timeout: u32,
    },
    Touch {
        index: u32,
        timeout: u32,
    },
    Cancel {
        index: u32,
    },
    Reschedule {
        index: u32,
        timeout: u32,
    },
    /// Time passes; these indices expire, in ascending order.
    Turn {
        now: u32,
        expired: Vec<u32>,
    },
}

#[derive(Clone, Copy)]
enum State {
    Resting { until: u32 },
    Armed { deadline: u32, timeout: u32 },
}

/// Writes a script. `any` asks for timeouts besides the classes'.
fn write(seed: u64, any: bool) -> Vec<Step> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut now = 0;
    let mut states = vec![State::Resting { until: 0 }; INDICES as usize];
    let mut steps = Vec::new();
    for _ in 0..OPERATIONS {
        let index = dice.random_range(0..INDICES);
        let class = CLASSES[dice.random_range(0..CLASSES.len())];
        let other = match dice.random_range(0..4) {
            0 => dice.random_range(8_185..8_200),
            1 => dice.random_range(1..30_000),
            _ => dice.random_range(1..500),
        };
        let turns = dice.random_range(0..3) == 0;
        let state = &mut states[index as usize];
        match (*state, dice.random_range(0..10)) {
            _ if turns => {
                now += match dice.random_range(0..100) {
                    0 => dice.random_range(1..3_000),
                    1..20 => dice.random_range(0..20),
                    _ => 1,
                };
                let expired = expire(&mut states, now);
                steps.push(Step::Turn { now, expired });
            }
            (State::Resting { until }, _) if until <= now => {
                let (deadline, timeout) = (now + class, class);
                *state = State::Armed { deadline, timeout };
                steps.push(Step::Arm { index, timeout });
            }
            (State::Resting { .. }, _) => {}
            (State::Armed { .. }, 0) => {
                *state = State::Resting { until: now };
                steps.push(Step::Cancel { index });
            }
            (State::Armed { .. }, 1..4) if any => {
                let (deadline, timeout) = (now + other, other);
                *state = State::Armed { deadline, timeout };
                steps.push(Step::Reschedule { index, timeout });
            }
            (State::Armed { timeout, .. }, _) => {
                let deadline = now + timeout;
                *state = State::Armed { deadline, timeout };
                steps.push(Step::Touch { index, timeout });
            }
        }
    }
    now += 40_000;
    let expired = expire(&mut states, now);
    steps.push(Step::Turn { now, expired });
    steps
}

/// The model's turn.
fn expire(states: &mut [State], now: u32) -> Vec<u32> {
    let mut expired = Vec::new();
    for (index, state) in (0..).zip(states) {
        if let State::Armed { deadline, .. } = *state
            && deadline <= now
        {
            *state = State::Resting { until: now + REST };
            expired.push(index);
        }
    }
    expired
}

/// Plays a script. The error says where `T` departed from it.
fn play<T: Timers>(script: &[Step]) -> Result<(), String> {
    let mut timers = T::new(INDICES, &CLASSES);
    let (mut now, mut met) = (0, Vec::new());
    // Expired by the model, not yet by the subject, and since when.
    let mut awaited = BTreeMap::new();
    for (number, step) in script.iter().enumerate() {
        match *step {
            Step::Arm { index, timeout } => timers.arm(index, now, timeout),
            Step::Touch { index, timeout } => timers.touch(index, now, timeout),
            Step::Cancel { index } => timers.cancel(index),
            Step::Reschedule { index, timeout } => timers
                .reschedule(index, now, timeout)
                .map_err(|reason| reason.to_string())?,
            Step::Turn {
                now: present,
                ref expired,
            } => {
                now = present;
                if T::READS_CLOCK {
                    timers.clock_to(now);
                }
                let count = timers.turn_to(now, &mut met);
                awaited.extend(expired.iter().map(|&index| (index, now)));
                if count != met.len() {
                    return Err(format!("step {number}: {count} is not {}", met.len()));
                }
                for index in met.drain(..) {
                    let early = format!("step {number}: {index} expired early, at tick {now}");
                    awaited.remove(&index).ok_or(early)?;
                }
                let late = awaited
                    .iter()
                    .find(|&(_, &since)| now - since + 1 >= T::PRECISION);
                if let Some((index, since)) = late {
                    return Err(format!(
                        "step {number}: {index}, due by tick {since}, is still armed at {now}"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Lets every subject play. Returns who departed from the script, and where.
pub(crate) fn divergences(seed: u64) -> Vec<String> {
    struct Gate {
        classes: Vec<Step>,
        any: Vec<Step>,
        failures: Vec<String>,
    }
    impl Visitor for Gate {
        fn visit<T: Timers>(&mut self) {
            let mut played = play::<T>(&self.classes);
            if played.is_ok() && cannot_reschedule::<T>().is_none() {
                played = play::<T>(&self.any);
            }
            if let Err(where_) = played {
                self.failures.push(format!("{}: {where_}", T::NAME));
            }
        }
    }
    let mut gate = Gate {
        classes: write(seed, false),
        any: write(seed + 1, true),
        failures: Vec::new(),
    };
    visit_all(&mut gate);
    gate.failures
}
