//! One connection's state, and the table of them.
//!
//! Does not do I/O. 32 bytes a connection plus the slab's tag; the half-read frame that TCP may leave behind is
//! rare and kept aside. Indices are dense and reused; every life of an index has its own generation.

use crate::protocol::Partial;
use crate::ring::{GENERATION_LIMIT, Token, TokenKind};
use crate::units::Nanos;
use slab::Slab;
use std::collections::HashMap;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The connect has been submitted.
    Connecting {
        /// It was established before.
        again: bool,
    },
    /// Established.
    Open,
}

/// Whether only one direction of a connection is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfClosed {
    /// Both are, or both are not.
    No,
    /// The peer's is not.
    Seen,
    /// And something was sent on ours since: it has been counted.
    Answered,
}

/// One TCP connection of a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    /// Sender: when the next heartbeat is due. While connecting: when the connect was submitted.
    pub(crate) due: Nanos,
    /// Direct descriptor.
    pub(crate) slot: u32,
    /// Life of the index.
    pub(crate) generation: u32,
    /// Sequence of the next heartbeat to send.
    pub(crate) sequence: u32,
    /// Sequence of the oldest heartbeat without an ack; equal to `sequence` when none is owed.
    pub(crate) unanswered: u32,
    /// Place in the spread of phases.
    pub(crate) ordinal: u32,
    pub(crate) state: State,
    /// The peer has sent its end (FIN or error): read until it comes.
    pub(crate) ending: bool,
    /// The peer has sent its FIN and reads on, as far as is known.
    pub(crate) half_closed: HalfClosed,
    /// The watch ended although the connection lives; arm it again once the data is read.
    pub(crate) watch_ended: bool,
}

const _: () = assert!(
    size_of::<Connection>() == 32,
    "the memory goal counts on this size"
);

/// A pass over the connections that were there when it began, however many come and go meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// The index to look at next.
    next: u32,
    /// The latest life there was.
    lives: u32,
}

/// The connections of one shard.
#[derive(Debug)]
pub(crate) struct Table {
    connections: Slab<Connection>,
    partials: HashMap<u32, Partial>,
    lives: u32,
}

impl Table {
    pub(crate) fn with_capacity(capacity: u32) -> Self {
        Self {
            connections: Slab::with_capacity(capacity as usize),
            partials: HashMap::new(),
            lives: 0,
        }
    }

    /// Adds a connection in a new life; its index is where `slot` of a connecting one will be.
    pub(crate) fn insert(
        &mut self,
        slot: Option<u32>,
        ordinal: u32,
        now: Nanos,
        state: State,
    ) -> u32 {
        self.lives = (self.lives + 1) % GENERATION_LIMIT;
        let entry = self.connections.vacant_entry();
        let index = u32::try_from(entry.key()).unwrap_or(u32::MAX);
        entry.insert(Connection {
            due: now,
            slot: slot.unwrap_or(index),
            generation: self.lives,
            sequence: 0,
            unanswered: 0,
            ordinal,
            state,
            ending: false,
            half_closed: HalfClosed::No,
            watch_ended: false,
        });
        index
    }

    /// The connection a token speaks of, if that life is not over.
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Connection> {
        self.connections
            .get_mut(token.index as usize)
            .filter(|connection| connection.generation == token.generation)
    }

    /// The connection at `index`, whichever life it is in.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Connection> {
        self.connections.get_mut(index as usize)
    }

    /// The token of kind `kind` for the current life of `index`.
    pub(crate) fn token(&self, index: u32, kind: TokenKind) -> Option<Token> {
        let connection = self.connections.get(index as usize)?;
        Some(Token::new(kind, index, connection.generation))
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<Connection> {
        self.partials.remove(&index);
        self.connections.try_remove(index as usize)
    }

    /// What is left of a frame that has not arrived whole.
    pub(crate) fn take_partial(&mut self, index: u32) -> Partial {
        self.partials.remove(&index).unwrap_or_default()
    }

    pub(crate) fn keep_partial(&mut self, index: u32, partial: Partial) {
        if !partial.is_empty() {
            self.partials.insert(index, partial);
        }
    }

    /// A pass over those that are in the table now.
    pub(crate) fn walk(&self) -> Walk {
        Walk {
            next: 0,
            lives: self.lives,
        }
    }

    /// The next established connection of `walk`; `None` once it is over.
    pub(crate) fn step(&self, walk: &mut Walk) -> Option<u32> {
        while (walk.next as usize) < self.connections.capacity() {
            let index = walk.next;
            walk.next += 1;
            let found = self.connections.get(index as usize);
            // Lives are counted around; those to come lie in the half of the circle ahead.
            let began_before = |life: u32| {
                let back = (walk.lives + GENERATION_LIMIT - life) % GENERATION_LIMIT;
                back < GENERATION_LIMIT / 2
            };
            if found.is_some_and(|connection| {
                connection.state == State::Open && began_before(connection.generation)
            }) {
                return Some(index);
            }
        }
        None
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        // A slab's entry is the connection and a tag, rounded to its alignment.
        self.connections.capacity() * (size_of::<Connection>() + size_of::<usize>())
            + self.partials.capacity() * size_of::<(u32, Partial)>()
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// The next `limit` established connections from index `first` on, going round once at most, and the index after
    /// the last of them.
    pub(crate) fn open_from(&self, first: u32, limit: usize) -> (Vec<u32>, u32) {
        let places = self.connections.capacity();
        let (mut found, mut next) = (Vec::new(), first);
        for step in 0..places {
            if found.len() == limit {
                break;
            }
            let place = (first as usize + step) % places;
            let open = |connection: &Connection| connection.state == State::Open;
            if let Ok(index) = u32::try_from(place) {
                next = index + 1;
                if self.connections.get(place).is_some_and(open) {
                    found.push(index);
                }
            }
        }
        (found, next)
    }

    /// The lowest `limit` indices in use.
    pub(crate) fn indices(&self, limit: usize) -> Vec<u32> {
        self.connections
            .iter()
            .take(limit)
            .filter_map(|(index, _)| u32::try_from(index).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_walk_meets_each_old_connection_once_and_no_new_one(
            lives in prop_oneof![Just(0), Just(GENERATION_LIMIT - 20)],
            before in 1_u32..40,
            churn in prop::collection::vec((0_u32..60, any::<bool>()), 0..60),
        ) {
            let mut table = Table::with_capacity(4);
            table.lives = lives;
            let insert = |table: &mut Table| table.insert(None, 0, Nanos::ZERO, State::Open);
            let mut old: Vec<u32> = (0..before).map(|_| insert(&mut table)).collect();
            table.insert(None, 0, Nanos::ZERO, State::Connecting { again: false });
            let mut walk = table.walk();
            let mut met = Vec::new();
            for (index, comes) in churn {
                if comes {
                    insert(&mut table);
                } else if table.remove(index).is_some() {
                    old.retain(|alive| *alive != index || met.contains(alive));
                }
                met.extend(table.step(&mut walk));
            }
            while let Some(index) = table.step(&mut walk) {
                met.push(index);
            }
            prop_assert_eq!(met, old);
        }
    }
}
