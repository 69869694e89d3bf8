//! Disturbances: what an experiment has the connections of a whole process suffer, portion by portion.
//!
//! Does not know why. A core thread takes them from the [board](super::Board) in the order they were asked for, one
//! after the other.

use super::{Board, CLOSES_PER_TURN, Lane};
use crate::clock::MonotonicClock;
use crate::shard::{Instruments, Walk};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What an experiment may do to the connections of a half, besides its phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disturbance {
    /// Read nothing from now on, and judge nobody; heartbeats of its own leave on their schedule. For good, on every
    /// engine; a stream is cancelled.
    Deaf,
    /// Send data on every open connection at once.
    Speak {
        /// Frames on each.
        frames: u32,
    },
    /// End every open connection, counted as [drained](crate::shard::CloseCause::Drained). New ones may come.
    DropAll {
        /// With a RST instead of a FIN.
        abort: bool,
    },
}

/// A disturbance under way, with the pass of each lane.
#[derive(Debug)]
struct Current {
    disturbance: Disturbance,
    walks: Vec<Walk>,
}

/// The disturbances of one core thread.
#[derive(Debug, Default)]
pub(super) struct Disturbances {
    asked: VecDeque<Disturbance>,
    current: Option<Current>,
    /// Taken from the board.
    taken: usize,
    /// Carried out.
    done: usize,
}

impl Disturbances {
    /// Takes what is new on the board. One atomic is read when nothing is.
    pub(super) fn take(&mut self, board: &Board) {
        if board.disturbances() > self.taken {
            let new = board.disturbances_from(self.taken);
            self.taken += new.len();
            self.asked.extend(new);
        }
    }

    /// Disturbances carried out so far.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Begins a turn's portion. Returns whether there was any: it is carried out when the lanes have been driven, see
    /// [`settle`](Self::settle).
    pub(super) fn turn(
        &mut self,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> bool {
        if self.current.is_none() {
            self.current = self.asked.pop_front().map(|disturbance| Current {
                disturbance,
                walks: lanes.iter().map(|lane| lane.shard.walk()).collect(),
            });
        }
        let Some(Current { disturbance, walks }) = &mut self.current else {
            return false;
        };
        let mut left = match *disturbance {
            Disturbance::Speak { frames } => {
                let frames = usize::try_from(frames).unwrap_or(usize::MAX).max(1);
                (CLOSES_PER_TURN / frames).max(1)
            }
            Disturbance::Deaf | Disturbance::DropAll { .. } => CLOSES_PER_TURN,
        };
        for (lane, walk) in lanes.iter_mut().zip(walks) {
            left -= lane.with(&clock, instruments, |shard, cx| match *disturbance {
                Disturbance::Deaf => shard.deafen(walk, left, cx),
                Disturbance::Speak { frames } => shard.speak(walk, frames, left, cx),
                Disturbance::DropAll { abort } => shard.drop_some(walk, abort, left, cx),
            });
        }
        if left > 0 {
            self.current = None;
        }
        true
    }

    /// Every lane has been driven, and was left with nothing to do if `drained`: what the turns began is done.
    pub(super) fn settle(&mut self, drained: bool) {
        if drained {
            self.done = self.taken - self.asked.len() - usize::from(self.current.is_some());
        }
    }
}
