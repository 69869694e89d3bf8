//! How a shard's connections come: accepts it arms and stops, connects it begins, the first time and again after a loss,
//! and what it does once they stand.
//!
//! Does not decide how many or when: whoever drives it does.

use super::connection::State;
use super::{CloseCause, Context, Fate, Reads, Role, Shard};
use crate::ring::{Completion, GENERATION_LIMIT, Operation, Token, TokenKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::RawFd;

/// Whether this shard's ring is taking connections from the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// Not asked to.
    Off,
    /// A multishot accept is armed.
    Armed,
    /// Its cancellation has been submitted.
    Stopping,
}

impl Shard {
    /// Whether the shard takes connections from the listener.
    #[must_use]
    pub fn accepting(&self) -> Accepting {
        self.accepting
    }

    /// Arms the multishot accept. Does nothing unless it is off.
    pub fn start_accept(&mut self, listener: RawFd, cx: &mut Context<'_>) {
        if self.accepting == Accepting::Off {
            self.accept_life = (self.accept_life + 1) % GENERATION_LIMIT;
            let token = Token::new(TokenKind::Accept, 0, self.accept_life);
            cx.operations
                .push_back(Operation::Accept { listener, token });
            self.accepting = Accepting::Armed;
        }
    }

    /// Cancels the multishot accept. Connections that arrive until the kernel sees it are still taken.
    pub fn stop_accept(&mut self, cx: &mut Context<'_>) {
        if self.accepting == Accepting::Armed {
            let target = Token::new(TokenKind::Accept, 0, self.accept_life);
            cx.operations.push_back(Operation::Cancel { target });
            self.accepting = Accepting::Stopping;
        }
    }

    /// Opens a socket, sets the ring's first `options` options on it and its variant of those behind them, binds it to
    /// `source` where one is given, and connects it to `address`.
    pub fn connect(
        &mut self,
        address: SocketAddrV4,
        source: Option<Ipv4Addr>,
        ordinal: u32,
        options: u32,
        cx: &mut Context<'_>,
    ) {
        let connecting = State::Connecting { again: false };
        self.open(connecting, (address, source), ordinal, options, cx);
    }

    /// As [`connect`](Self::connect), for the connection `ordinal` that has been established before; counted and timed
    /// apart from first connects.
    pub fn reconnect(
        &mut self,
        address: SocketAddrV4,
        source: Option<Ipv4Addr>,
        ordinal: u32,
        options: u32,
        cx: &mut Context<'_>,
    ) {
        let connecting = State::Connecting { again: true };
        self.counters.reconnects += 1;
        cx.instruments.reconnecting(cx.now);
        self.open(connecting, (address, source), ordinal, options, cx);
    }

    fn open(
        &mut self,
        state: State,
        (address, source): (SocketAddrV4, Option<Ipv4Addr>),
        ordinal: u32,
        options: u32,
        cx: &mut Context<'_>,
    ) {
        let index = self.table.insert(None, ordinal, cx.now, state);
        let Some(token) = self.table.token(index, TokenKind::Connect) else {
            return;
        };
        // The kernel runs these in order inside one enter, so a chain of links is not needed; if the socket
        // fails, the connect fails with EBADF and is counted.
        let open = token.with_kind(TokenKind::Open);
        cx.operations.push_back(Operation::Open {
            slot: index,
            token: open,
        });
        let variant = self.variant(ordinal).map(|variant| options + variant);
        for option in (0..options).chain(variant) {
            let token = token.with_kind(TokenKind::Option);
            cx.operations.push_back(Operation::SetOption {
                slot: index,
                option,
                token,
            });
        }
        if let Some(source) = source {
            let token = token.with_kind(TokenKind::Bind);
            cx.operations.push_back(Operation::Bind {
                slot: index,
                source,
                token,
            });
        }
        cx.operations.push_back(Operation::Connect {
            slot: index,
            address,
            token,
        });
        self.counters.connects += 1;
        self.counters.connecting += 1;
    }

    pub(super) fn on_accept(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        // One of an earlier arming may still deliver a connection, and that connection is real.
        if !completion.more && completion.token.generation == self.accept_life {
            self.accepting = Accepting::Off;
        }
        match completion.result {
            Ok(slot) => {
                let (ordinal, step) = self.accepted_ordinals;
                self.accepted_ordinals.0 = ordinal.wrapping_add(step);
                let index = self.table.insert(Some(slot), ordinal, cx.now, State::Open);
                self.set_variant(index, ordinal, cx);
                self.established(index, cx);
                // Told now and not when the tick is over: while a crowd keeps the backlog full, one tick's rounds
                // would take more connections than the table has slots to spare.
                if self.table.len() >= self.capacity as usize {
                    self.stop_accept(cx);
                }
            }
            Err(libc::ENFILE) => self.counters.table_full += 1,
            Err(_) => {}
        }
    }

    /// The one of the options' variants that the connection numbered `ordinal` gets.
    fn variant(&self, ordinal: u32) -> Option<u32> {
        ordinal.checked_rem(self.settings.option_variants)
    }

    fn set_variant(&mut self, index: u32, ordinal: u32, cx: &mut Context<'_>) {
        if let Some(option) = self.variant(ordinal)
            && let Some(token) = self.table.token(index, TokenKind::Option)
            && let Some(connection) = self.table.at_mut(index)
        {
            let slot = connection.slot;
            cx.operations.push_back(Operation::SetOption {
                slot,
                option,
                token,
            });
        }
    }

    pub(super) fn on_connect(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        let Some(connection) = self.table.get_mut(completion.token) else {
            self.counters.stale_completions += 1;
            return;
        };
        let index = completion.token.index;
        let again = connection.state == State::Connecting { again: true };
        let (ordinal, slot, begun) = (connection.ordinal, connection.slot, connection.due);
        self.counters.connecting -= 1;
        match completion.result {
            Ok(_) => {
                connection.state = State::Open;
                if again {
                    cx.instruments.reconnected(cx.now - begun, cx.now);
                    self.counters.reconnects_established += 1;
                    self.note(ordinal, Fate::Returned, cx.now);
                } else {
                    cx.instruments.connected(cx.now - begun);
                }
                self.established(index, cx);
            }
            Err(errno) => {
                self.connect_failed(ordinal, again, errno, cx);
                let token = completion.token.with_kind(TokenKind::Close);
                cx.operations.push_back(Operation::Close { slot, token });
                self.table.remove(index);
            }
        }
    }

    fn connect_failed(&mut self, ordinal: u32, again: bool, errno: i32, cx: &mut Context<'_>) {
        *self.counters.connects_failed.entry(errno).or_default() += 1;
        if again {
            *self.counters.reconnects_failed.entry(errno).or_default() += 1;
            self.note(ordinal, Fate::Failed, cx.now);
        }
    }

    /// Without its source address the connection would come from another one: it is given up, and counted as a
    /// failed connect. Its connect's own completion then finds nobody.
    pub(super) fn on_bind_failure(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        let found = self.table.get_mut(completion.token);
        let found = found.map(|connection| (connection.state, connection.ordinal));
        match (found, completion.result) {
            (Some((State::Connecting { again }, ordinal)), Err(errno)) => {
                self.connect_failed(ordinal, again, errno, cx);
                self.close(completion.token.index, CloseCause::SocketError, cx);
            }
            (Some((State::Open, _)), _) => {
                self.close(completion.token.index, CloseCause::SocketError, cx);
            }
            _ => self.counters.stale_completions += 1,
        }
    }

    fn established(&mut self, index: u32, cx: &mut Context<'_>) {
        let settings = self.settings;
        let Some(token) = self.table.token(index, self.reads_kind()) else {
            return;
        };
        let Some(connection) = self.table.at_mut(index) else {
            return;
        };
        let slot = connection.slot;
        let read = match self.reads {
            Reads::Watch => Operation::Watch { slot, token },
            Reads::Stream => Operation::Stream { slot, token },
        };
        if !self.deaf {
            cx.operations.push_back(read);
        }
        self.counters.established += 1;
        self.counters.open += 1;
        match settings.role {
            Role::Idle => {}
            Role::Responder { .. } => self.detector.watch(index, cx.now),
            Role::Sender { .. } => {
                connection.due = settings.first_due(connection.ordinal, cx.now);
                let due = self.clock.ceil(connection.due);
                self.schedule.arm(index, due);
            }
        }
    }
}
