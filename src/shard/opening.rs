//! How a shard opens connections: the first time, and again after they were lost.
//!
//! Does not decide when; whoever drives the shard does. See [the shard](super) for what follows.

use super::connection::State;
use super::{CloseCause, Context, Fate, Shard};
use crate::ring::{Completion, Operation, TokenKind};
use std::net::{Ipv4Addr, SocketAddrV4};

impl Shard {
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

    /// The one of the options' variants that the connection numbered `ordinal` gets.
    fn variant(&self, ordinal: u32) -> Option<u32> {
        ordinal.checked_rem(self.settings.option_variants)
    }

    pub(super) fn set_variant(&mut self, index: u32, ordinal: u32, cx: &mut Context<'_>) {
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
}
