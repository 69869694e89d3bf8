//! What becomes of connections, told to whoever opens them anew; and the churn, which ends them to that purpose.
//!
//! Does not open anything. Nothing is kept unless it is asked for with [`Shard::follow`]: then one entry of 16 bytes
//! for each connection lost and for each connect of a lost one answered, until it is fetched.

use super::{CloseCause, Context, Shard};
use crate::units::Nanos;

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was established and ended, and not by our own will.
    Lost,
    /// It was ended to be opened anew.
    Churned,
    /// Its reconnect failed.
    Failed,
    /// Its reconnect succeeded.
    Returned,
}

/// One connection's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When it was seen.
    pub at: Nanos,
    /// Whose it is.
    pub ordinal: u32,
    /// What.
    pub fate: Fate,
}

impl Shard {
    /// Keeps from now on what becomes of connections.
    pub fn follow(&mut self) {
        self.fates.get_or_insert_default();
    }

    /// Moves what has been kept since the last call to the end of `told`, in the order in which it happened.
    pub fn fetch(&mut self, told: &mut Vec<Told>) {
        if let Some(fates) = &mut self.fates {
            told.append(fates);
        }
    }

    /// Ends at most `limit` established connections to have them opened anew, each once before any is ended again, and
    /// returns how many; with a RST each when `abort`.
    pub fn churn(&mut self, limit: usize, abort: bool, cx: &mut Context<'_>) -> usize {
        let (indices, next) = self.table.open_from(self.churn_next, limit);
        self.churn_next = next;
        for index in &indices {
            self.end(*index, CloseCause::Churned, abort, cx);
        }
        indices.len()
    }

    pub(super) fn note(&mut self, ordinal: u32, fate: Fate, at: Nanos) {
        if let Some(fates) = &mut self.fates {
            fates.push(Told { at, ordinal, fate });
        }
    }

    /// Keeps the end of an established connection.
    pub(super) fn note_end(&mut self, ordinal: u32, cause: CloseCause, at: Nanos) {
        match cause {
            CloseCause::Drained => {}
            CloseCause::Churned => self.note(ordinal, Fate::Churned, at),
            _ => self.note(ordinal, Fate::Lost, at),
        }
    }
}
