//! A shard: the connections of one ring and everything that is decided about them, without I/O.
//!
//! Completions and the present go in, operations come out; the same shard runs on the real ring, on a fake one
//! in tests, and on any other engine that speaks [`Operation`] and [`Completion`]. It reads no clock, touches no
//! socket and starts no thread. Allocates its tables at the start and then only for rare events.
//!
//! The classic exchange, from the sender's side: a heartbeat leaves on its schedule and starts an answer timer;
//! the ack clears the timer; a timer that expires declares the peer dead, and the connection is closed and
//! counted. From the responder's side: a heartbeat is answered at once and moves the connection's deadline; a
//! deadline that passes closes the silent connection.
//!
//! The order inside one tick matters: all completions first, then [`Shard::on_tick`]. A loop that was stalled
//! thereby sees the heartbeats that waited in its sockets before it judges anyone silent.

#![forbid(unsafe_code)]

mod connection;
mod counters;
mod exchange;
mod fates;
mod instruments;
mod opening;
mod series;
mod settings;

pub use counters::{CloseCause, Counters};
pub use fates::{Fate, Told};
pub use instruments::Instruments;
pub use series::{SLICE, Series};
pub use settings::{Phases, Reads, Role, Settings};

use crate::detector::Detector;
use crate::ring::{Completion, GENERATION_LIMIT, Operation, Token, TokenKind};
use crate::units::{Nanos, TickClock};
use crate::wheel::Wheel;
use connection::{Connection, State, Table};
use std::collections::VecDeque;
use std::os::fd::RawFd;

/// Wheel entries looked at, or timers of a sweep expired, per tick, so that a mass expiry cannot hold up the
/// completions.
const TURN_BUDGET: usize = 16_384;

/// What a shard is handed with every call.
#[derive(Debug)]
pub struct Context<'a> {
    /// The present.
    pub now: Nanos,
    /// Where requests to the kernel go, in order.
    pub operations: &'a mut VecDeque<Operation>,
    /// Where latencies go.
    pub instruments: &'a mut Instruments,
}

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

/// The connections of one ring.
#[derive(Debug)]
pub struct Shard {
    settings: Settings,
    reads: Reads,
    capacity: u32,
    table: Table,
    detector: Detector,
    /// When each sender's next heartbeat is due.
    schedule: Wheel,
    clock: TickClock,
    counters: Counters,
    accepting: Accepting,
    accept_life: u32,
    accepted_ordinals: (u32, u32),
    quiet: bool,
    due: Vec<u32>,
    verdicts: Vec<u32>,
    /// What became of connections, when somebody asked to be told.
    fates: Option<Vec<Told>>,
    /// Where the next churn looks first.
    churn_next: u32,
}

impl Shard {
    /// A shard for `capacity` connections: with so many it stops accepting (those that come until the kernel
    /// sees it are taken, but move its tables). Accepted connections get the ordinals `first_ordinal`,
    /// `first_ordinal + step`, …, so that the shards of one server share one spread of phases. Wheel ticks begin
    /// at `origin`, which is not later than the first call.
    #[must_use]
    pub fn new(
        settings: Settings,
        reads: Reads,
        capacity: u32,
        ordinals: (u32, u32),
        origin: Nanos,
    ) -> Self {
        let clock = TickClock::new(origin, settings.tick);
        let timeout = match settings.role {
            Role::Sender { .. } => settings.answer_timeout,
            Role::Responder { .. } | Role::Idle => settings.idle_timeout,
        };
        let watched = if settings.role == Role::Idle {
            0
        } else {
            capacity
        };
        let sending = if matches!(settings.role, Role::Sender { .. }) {
            capacity
        } else {
            0
        };
        Self {
            settings,
            reads,
            capacity,
            table: Table::with_capacity(capacity),
            detector: Detector::new(settings.timers, watched, clock, timeout, origin),
            schedule: Wheel::with_capacity(sending, clock.floor(origin)),
            clock,
            counters: Counters::default(),
            accepting: Accepting::Off,
            accept_life: 0,
            accepted_ordinals: ordinals,
            quiet: false,
            due: Vec::new(),
            verdicts: Vec::new(),
            fates: None,
            churn_next: 0,
        }
    }

    /// Counts so far, with the gauges as they are now.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections in the table, established or connecting.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.table.len()
    }

    /// Bytes of the connection table and the wheels.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        (self.table.memory_bytes() + self.detector.memory_bytes() + self.schedule.memory_bytes())
            as u64
    }

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

    /// Takes one completion.
    pub fn on_completion(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        match completion.token.kind {
            TokenKind::Accept => self.on_accept(completion, cx),
            TokenKind::Connect => self.on_connect(completion, cx),
            TokenKind::Watch => self.on_watch(completion, cx),
            TokenKind::Stream => self.on_stream(completion, cx),
            TokenKind::Receive => self.on_receive(completion, cx),
            TokenKind::Send => self.on_send_failure(completion, cx),
            TokenKind::Bind => self.on_bind_failure(completion, cx),
            // A socket that could not be made or set up: its connect tells the same story and is counted.
            // A cancel that found nothing, an abort or a close that came too late: the target's own final
            // completion decides.
            TokenKind::Open
            | TokenKind::Option
            | TokenKind::Cancel
            | TokenKind::Abort
            | TokenKind::Close => {}
        }
    }

    /// Turns the wheels to the present. Call once per tick, after all completions.
    pub fn on_tick(&mut self, cx: &mut Context<'_>) {
        self.on_late_tick(cx);
        if !self.quiet && self.settings.role != Role::Idle {
            self.judge(cx);
        }
    }

    /// As [`on_tick`](Self::on_tick) while completions are still unread: sends what is due and judges nobody, for a
    /// peer's heartbeat may be among the unread.
    pub fn on_late_tick(&mut self, cx: &mut Context<'_>) {
        if self.quiet {
            return;
        }
        if matches!(self.settings.role, Role::Sender { .. }) {
            self.send_due(cx);
        }
    }

    /// When the wheels next have something to look at; a driver that is not called once per tick must call then.
    #[must_use]
    pub fn next_deadline(&self, now: Nanos) -> Option<Nanos> {
        let send = self
            .schedule
            .next_deadline()
            .map(|tick| self.clock.instant(tick, now));
        let verdict = self.detector.next_deadline(now);
        [send, verdict].into_iter().flatten().min()
    }

    /// Stops sending and judging; what arrives is still read and answered.
    pub fn quiet(&mut self) {
        self.quiet = true;
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

    /// Ends a connection of our own will.
    fn end(&mut self, index: u32, cause: CloseCause, abort: bool, cx: &mut Context<'_>) {
        if abort
            && let Some(token) = self.table.token(index, TokenKind::Abort)
            && let Some(connection) = self.table.at_mut(index)
        {
            let slot = connection.slot;
            cx.operations.push_back(Operation::Abort { slot, token });
        }
        self.close(index, cause, cx);
    }

    fn on_accept(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
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

    fn established(&mut self, index: u32, cx: &mut Context<'_>) {
        let settings = self.settings;
        let Some(token) = self.table.token(index, self.reads_kind()) else {
            return;
        };
        let Some(connection) = self.table.at_mut(index) else {
            return;
        };
        let slot = connection.slot;
        cx.operations.push_back(match self.reads {
            Reads::Watch => Operation::Watch { slot, token },
            Reads::Stream => Operation::Stream { slot, token },
        });
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

    /// What a connection's armed read is called.
    fn reads_kind(&self) -> TokenKind {
        match self.reads {
            Reads::Watch => TokenKind::Watch,
            Reads::Stream => TokenKind::Stream,
        }
    }

    fn on_watch(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        let Some(connection) = self.table.get_mut(completion.token) else {
            self.counters.stale_completions += 1;
            return;
        };
        match completion.result {
            Ok(events) => {
                connection.watch_ended |= !completion.more;
                let ends = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
                connection.ending |= events & u32::from(ends.cast_unsigned()) != 0;
                let slot = connection.slot;
                let token = completion.token.with_kind(TokenKind::Receive);
                cx.operations.push_back(Operation::Receive { slot, token });
            }
            Err(libc::ECANCELED) => {
                let slot = connection.slot;
                self.counters.watches_rearmed += 1;
                cx.operations.push_back(Operation::Watch {
                    slot,
                    token: completion.token,
                });
            }
            Err(errno) => self.close(completion.token.index, self.cause_of(errno), cx),
        }
    }

    fn on_send_failure(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        if self.table.get_mut(completion.token).is_none() {
            self.counters.stale_completions += 1;
            return;
        }
        match completion.result {
            // The peer does not read and our buffer is full. Nothing was taken, so the stream is whole; the
            // timers decide whether the peer lives.
            Err(libc::EAGAIN) => self.counters.sends_blocked += 1,
            Err(errno) => self.close(completion.token.index, self.cause_of(errno), cx),
            Ok(_) => self.close(completion.token.index, CloseCause::ShortSend, cx),
        }
    }

    /// What an errno of an established socket means.
    fn cause_of(&self, errno: i32) -> CloseCause {
        match errno {
            libc::ECONNRESET | libc::EPIPE => CloseCause::Reset,
            libc::ETIMEDOUT if self.settings.keepalive => CloseCause::KeepaliveTimeout,
            libc::ETIMEDOUT => CloseCause::RetransmissionTimeout,
            _ => CloseCause::SocketError,
        }
    }

    /// Ends a connection. The watch is cancelled in the same batch: a close alone would leave the socket open
    /// for as long as the watch is armed, and the peer would see no FIN.
    fn close(&mut self, index: u32, cause: CloseCause, cx: &mut Context<'_>) {
        let Some(watch) = self.table.token(index, self.reads_kind()) else {
            return;
        };
        let Some(Connection {
            slot,
            state,
            ordinal,
            ..
        }) = self.table.remove(index)
        else {
            return;
        };
        if state == State::Open {
            self.counters.open -= 1;
            self.counters.closed(cause);
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
}
