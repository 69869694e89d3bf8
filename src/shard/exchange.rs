//! The heartbeat exchange of a shard: what is sent when, what an arriving frame means, who is judged dead.
//!
//! Does not accept, connect or watch (see [the shard](super)). Times are nanoseconds of the caller's clock; an
//! ack carries its heartbeat's `sent_at` back, so no send time is stored per connection.

use super::connection::{Connection, HalfClosed};
use super::{CloseCause, Context, Role, Shard, TURN_BUDGET};
use crate::protocol::{Frame, Kind, decode_stream};
use crate::ring::{Completion, Operation, RECEIVE_BYTES, TokenKind};
use crate::units::Nanos;

/// What a frame makes of its connection.
enum Judged {
    Fine,
    Broken(&'static str),
}

impl Shard {
    pub(super) fn on_receive(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        let index = completion.token.index;
        if self.table.get_mut(completion.token).is_none() {
            self.counters.stale_completions += 1;
            return;
        }
        match completion.result {
            Ok(0) => self.close(index, CloseCause::PeerClosed, cx),
            Ok(length) => {
                if let Err(reason) = self.on_bytes(index, completion.data, cx) {
                    return self.broken(index, reason, cx);
                }
                let deaf = self.deaf;
                let found = self.table.get_mut(completion.token);
                let Some(connection) = found.filter(|_| !deaf) else {
                    return;
                };
                // The watch is edge-triggered, so what is left must be asked for; after a FIN or an error the
                // end itself is what is left.
                if completion.nonempty || length as usize == RECEIVE_BYTES || connection.ending {
                    let slot = connection.slot;
                    cx.operations.push_back(Operation::Receive {
                        slot,
                        token: completion.token,
                    });
                } else {
                    self.rearm_watch(completion, cx);
                }
            }
            Err(libc::EAGAIN) => self.rearm_watch(completion, cx),
            Err(errno) => self.close(index, self.cause_of(errno), cx),
        }
    }

    /// Bytes that came by themselves.
    pub(super) fn on_stream(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        let index = completion.token.index;
        let Some(connection) = self.table.get_mut(completion.token) else {
            self.counters.stale_completions += 1;
            return;
        };
        let slot = connection.slot;
        match completion.result {
            Ok(0) => return self.close(index, CloseCause::PeerClosed, cx),
            Ok(_) => {
                if let Err(reason) = self.on_bytes(index, completion.data, cx) {
                    return self.broken(index, reason, cx);
                }
            }
            // The bytes wait in the socket, and the buffers of this round are free again before the stream is armed.
            Err(libc::ENOBUFS) => self.counters.buffers_exhausted += 1,
            Err(libc::ECANCELED) => {}
            Err(errno) => return self.close(index, self.cause_of(errno), cx),
        }
        if !completion.more && !self.deaf {
            self.counters.watches_rearmed += 1;
            let token = completion.token;
            cx.operations.push_back(Operation::Stream { slot, token });
        }
    }

    /// Ends a connection whose stream is not our protocol.
    fn broken(&mut self, index: u32, reason: &str, cx: &mut Context<'_>) {
        let errors = &mut self.counters.protocol_errors;
        *errors.entry(reason.to_owned()).or_default() += 1;
        self.close(index, CloseCause::ProtocolError, cx);
    }

    /// Arms the watch again if the kernel ended it.
    fn rearm_watch(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        let deaf = self.deaf;
        let found = self.table.get_mut(completion.token);
        let Some(connection) = found.filter(|_| !deaf) else {
            return;
        };
        if connection.watch_ended {
            connection.watch_ended = false;
            connection.ending = false;
            let slot = connection.slot;
            let token = completion.token.with_kind(TokenKind::Watch);
            self.counters.watches_rearmed += 1;
            cx.operations.push_back(Operation::Watch { slot, token });
        }
    }

    /// Reads the frames in `bytes`; an error names why the stream is not ours.
    fn on_bytes(
        &mut self,
        index: u32,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), &'static str> {
        let mut partial = self.table.take_partial(index);
        let mut judged = Judged::Fine;
        let decoded = decode_stream(&mut partial, bytes, |frame| {
            if matches!(judged, Judged::Fine) {
                judged = self.on_frame(index, &frame, cx);
            }
        });
        self.table.keep_partial(index, partial);
        match (judged, decoded) {
            (Judged::Broken(reason), _) => Err(reason),
            (Judged::Fine, Err(error)) => Err(error.reason()),
            (Judged::Fine, Ok(())) => Ok(()),
        }
    }

    fn on_frame(&mut self, index: u32, frame: &Frame, cx: &mut Context<'_>) -> Judged {
        match (self.settings.role, frame.kind) {
            (Role::Responder { acked }, Kind::Heartbeat) => {
                self.counters.heartbeats_received += 1;
                self.detector.heard(index, cx.now);
                if acked {
                    let ack = Frame {
                        kind: Kind::Ack,
                        ..*frame
                    };
                    self.counters.acks_sent += 1;
                    self.send(index, &ack, cx);
                }
                Judged::Fine
            }
            (Role::Sender { acked: true }, Kind::Ack) => self.on_ack(index, frame, cx),
            (role, Kind::Data) => {
                self.counters.data_received += 1;
                if matches!(role, Role::Responder { .. }) {
                    self.detector.heard(index, cx.now);
                }
                Judged::Fine
            }
            (_, Kind::Heartbeat) => Judged::Broken("unexpected-heartbeat"),
            (_, Kind::Ack) => Judged::Broken("unexpected-ack"),
        }
    }

    fn on_ack(&mut self, index: u32, frame: &Frame, cx: &mut Context<'_>) -> Judged {
        let Some(connection) = self.table.at_mut(index) else {
            return Judged::Fine;
        };
        let owed = connection.sequence.wrapping_sub(connection.unanswered);
        if frame.sequence.wrapping_sub(connection.unanswered) >= owed {
            return Judged::Broken("unexpected-ack");
        }
        if frame.sent_at > cx.now {
            return Judged::Broken("impossible-timestamp");
        }
        let scheduled = scheduled_at(connection, frame.sequence, self.settings.interval);
        connection.unanswered = frame.sequence.wrapping_add(1);
        self.counters.acks_received += 1;
        cx.instruments
            .answered(cx.now - frame.sent_at, cx.now - scheduled);
        if connection.unanswered == connection.sequence {
            self.detector.forget(index);
        } else {
            // The instant at which the oldest unanswered heartbeat left is not stored, and counting from the one
            // at which it was due would cut its timeout short by as much as it left late. The ack is a sign of
            // life, so the timer starts over, as TCP's does (RFC 6298, 5.3).
            self.detector
                .expect_by(index, cx.now + self.settings.answer_timeout);
        }
        Judged::Fine
    }

    /// Sends every heartbeat whose turn has come.
    pub(super) fn send_due(&mut self, cx: &mut Context<'_>) {
        let mut due = std::mem::take(&mut self.due);
        let _ = self
            .schedule
            .turn_to(self.clock.floor(cx.now), TURN_BUDGET, &mut due);
        for index in due.drain(..) {
            self.send_heartbeat(index, cx);
        }
        self.due = due;
    }

    fn send_heartbeat(&mut self, index: u32, cx: &mut Context<'_>) {
        let settings = self.settings;
        let Some(connection) = self.table.at_mut(index) else {
            return;
        };
        let owed = connection.unanswered != connection.sequence;
        // A turn that comes more than an interval late is skipped, not made up for: a burst of old heartbeats
        // would be another workload. The skipped ones keep their numbers, so later ones keep their schedule.
        while connection.due + settings.interval <= cx.now {
            connection.due += settings.interval;
            connection.sequence = connection.sequence.wrapping_add(1);
            self.counters.heartbeats_skipped += 1;
        }
        let sequence = connection.sequence;
        cx.instruments.sent(cx.now - connection.due);
        connection.due += settings.interval;
        connection.sequence = sequence.wrapping_add(1);
        let next = self.clock.ceil(connection.due);
        match settings.role {
            Role::Sender { acked: true } if !owed => {
                connection.unanswered = sequence;
                self.detector
                    .expect_by(index, cx.now + settings.answer_timeout);
            }
            Role::Sender { acked: true } => {}
            _ => connection.unanswered = connection.sequence,
        }
        self.schedule.arm(index, next);
        self.counters.heartbeats_sent += 1;
        let frame = Frame {
            kind: Kind::Heartbeat,
            sequence,
            sent_at: cx.now,
        };
        self.send(index, &frame, cx);
    }

    pub(super) fn send(&mut self, index: u32, frame: &Frame, cx: &mut Context<'_>) {
        let Some(token) = self.table.token(index, TokenKind::Send) else {
            return;
        };
        let Some(connection) = self.table.at_mut(index) else {
            return;
        };
        let slot = connection.slot;
        if connection.half_closed == HalfClosed::Seen {
            connection.half_closed = HalfClosed::Answered;
            self.counters.half_closed += 1;
        }
        cx.operations.push_back(Operation::Send {
            slot,
            bytes: frame.encode(),
            token,
        });
    }

    /// Closes everyone whose deadline had passed at `seen`.
    pub(super) fn judge(&mut self, seen: Nanos, cx: &mut Context<'_>) {
        let mut verdicts = std::mem::take(&mut self.verdicts);
        let instruments = &mut *cx.instruments;
        let since = cx.now - seen;
        let _ = self
            .detector
            .turn_to(seen, TURN_BUDGET, &mut verdicts, |late, count| {
                instruments.turned(late + since, count);
            });
        for index in verdicts.drain(..) {
            if let Role::Sender { .. } = self.settings.role {
                self.counters.heartbeats_timed_out += 1;
                if let Some(connection) = self.table.at_mut(index) {
                    // A heartbeat that is never answered belongs in the tail, not out of sight.
                    let sequence = connection.unanswered;
                    let due = scheduled_at(connection, sequence, self.settings.interval);
                    cx.instruments.answered(cx.now - due, cx.now - due);
                }
                self.close(index, CloseCause::AnswerTimeout, cx);
            } else {
                self.close(index, CloseCause::HeartbeatTimeout, cx);
            }
        }
        self.verdicts = verdicts;
    }
}

/// When the heartbeat `sequence` was due, counted back from the next one.
fn scheduled_at(connection: &Connection, sequence: u32, interval: Nanos) -> Nanos {
    let back = u64::from(connection.sequence.wrapping_sub(sequence));
    connection.due - Nanos(back * interval.0)
}
