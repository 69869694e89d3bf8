//! How a shard's connections end: what an error means, what is freed and counted, and the log of endings.
//!
//! Does not decide who is dead (see [the exchange](super::exchange)). Everything a connection had, its place in the
//! table, its timers and its socket, is given back in the call that gives the verdict.

use super::connection::{Connection, State};
use super::{CloseCause, Context, Role, Shard};
use crate::ring::{Operation, TokenKind};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// One established connection that ended, and not because we ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingRecord {
    /// When the shard gave its verdict, monotonic.
    pub at_ns: Nanos,
    /// Which of the connections: its place in the spread of phases.
    pub ordinal: u32,
    /// Why.
    pub cause: CloseCause,
}

/// Endings a shard keeps: 16 MB of them. Later ones are only counted, so that a log which is shorter than the counters
/// say was cut at its end.
const LOGGED: usize = 1 << 20;

impl Shard {
    /// Endings so far, in the order of their verdicts; none unless the settings ask for the log.
    #[must_use]
    pub fn endings(&self) -> &[EndingRecord] {
        &self.endings
    }

    /// Ends at most `limit` connections, with a FIN each, or with a RST each when `abort`, and returns how many. The
    /// operations wait in user space, a hundred bytes for each connection: ending millions at once would take the
    /// memory that a full machine has not got.
    pub fn close_some(&mut self, limit: usize, abort: bool, cx: &mut Context<'_>) -> usize {
        let indices = self.table.indices(limit);
        let count = indices.len();
        for index in indices {
            self.end(index, CloseCause::Drained, abort, cx);
        }
        count
    }

    /// What an errno of an established socket means.
    pub(super) fn cause_of(&self, errno: i32) -> CloseCause {
        match errno {
            libc::ECONNRESET | libc::EPIPE => CloseCause::Reset,
            libc::ETIMEDOUT if self.settings.keepalive => CloseCause::KeepaliveTimeout,
            libc::ETIMEDOUT => CloseCause::RetransmissionTimeout,
            // A timer that gives up reports what ICMP or the neighbour table said last instead of a time-out
            // (`sk_err_soft` in `tcp_write_err`, net/ipv4/tcp_timer.c).
            libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENETDOWN => {
                CloseCause::Unreachable
            }
            _ => CloseCause::SocketError,
        }
    }

    /// Ends a connection. The watch is cancelled in the same batch: a close alone would leave the socket open
    /// for as long as the watch is armed, and the peer would see no FIN.
    ///
    /// A peer that we gave up gets a RST: a FIN that nobody acknowledges would keep the socket in `FIN_WAIT1`, with all
    /// that was not sent, for as long as the kernel repeats it (`tcp_orphan_retries`, ip-sysctl), a minute and more; and
    /// should the peer live after all, the RST tells it at once.
    pub(super) fn close(&mut self, index: u32, cause: CloseCause, cx: &mut Context<'_>) {
        self.end(index, cause, cause.is_verdict(), cx);
    }

    /// As [`close`](Self::close), with a RST when `abort`.
    pub(super) fn end(&mut self, index: u32, cause: CloseCause, abort: bool, cx: &mut Context<'_>) {
        let Some(watch) = self.table.token(index, self.reads_kind()) else {
            return;
        };
        let Some(connection) = self.table.remove(index) else {
            return;
        };
        let Connection {
            slot,
            state,
            ordinal,
            ..
        } = connection;
        if abort {
            let token = watch.with_kind(TokenKind::Abort);
            cx.operations.push_back(Operation::Abort { slot, token });
        }
        if state == State::Open {
            self.counters.open -= 1;
            self.counters.closed(cause);
            self.count_how(&connection, cause, abort);
            self.log(ordinal, cause, cx.now);
            self.note_end(ordinal, cause, cx.now);
            cx.operations.push_back(Operation::Cancel { target: watch });
        } else {
            self.counters.connecting -= 1;
            cx.operations.push_back(Operation::Cancel {
                target: watch.with_kind(TokenKind::Connect),
            });
        }
        let token = watch.with_kind(TokenKind::Close);
        cx.operations.push_back(Operation::Close { slot, token });
        match self.settings.role {
            Role::Idle => {}
            Role::Responder { .. } => self.detector.forget(index),
            Role::Sender { .. } => {
                self.detector.forget(index);
                self.schedule.cancel(index);
            }
        }
    }

    /// Counts who ended an established connection and how, beside the cause.
    fn count_how(&mut self, connection: &Connection, cause: CloseCause, abort: bool) {
        let owed = connection.unanswered != connection.sequence;
        if abort {
            self.counters.ended_with_rst += 1;
        } else if cause.is_ours() {
            self.counters.ended_with_fin += 1;
        } else if owed && matches!(self.settings.role, Role::Sender { acked: true }) {
            self.counters.ended_unanswered += 1;
        }
    }

    fn log(&mut self, ordinal: u32, cause: CloseCause, now: Nanos) {
        let ours = matches!(cause, CloseCause::Drained | CloseCause::Churned);
        let wanted = self.settings.log_endings && !ours;
        if wanted && self.endings.len() < LOGGED {
            self.endings.push(EndingRecord {
                at_ns: now,
                ordinal,
                cause,
            });
        }
    }
}
