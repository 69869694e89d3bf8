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
//! thereby sees the heartbeats that waited in its sockets before it judges anyone silent. It may also be stopped between
//! the two, by a signal or by the scheduler, and what arrives then is unseen however long it waits: verdicts are
//! therefore given as of the instant up to which everything was seen, and not as of the present.

#![forbid(unsafe_code)]

mod closing;
mod connection;
mod counters;
mod disturbance;
mod exchange;
mod fates;
mod instruments;
mod ladder;
mod opening;
mod series;
mod settings;

pub use closing::EndingRecord;
pub use connection::Walk;
pub use counters::{CloseCause, Counters};
pub use fates::{Fate, Told};
pub use instruments::Instruments;
pub use ladder::{DOUBLINGS, Ladder, Ladders};
pub use opening::Accepting;
pub use series::{SLICE, Series};
pub use settings::{Phases, Reads, Role, Settings};

use crate::detector::Detector;
use crate::ring::{Completion, Operation, TokenKind};
use crate::units::{Nanos, TickClock};
use crate::wheel::Wheel;
use connection::{HalfClosed, Table};
use std::collections::VecDeque;

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
    endings: Vec<EndingRecord>,
    accepting: Accepting,
    accept_life: u32,
    accepted_ordinals: (u32, u32),
    quiet: bool,
    /// Nothing is read, and so nobody judged.
    deaf: bool,
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
            endings: Vec::new(),
            accepting: Accepting::Off,
            accept_life: 0,
            accepted_ordinals: ordinals,
            quiet: false,
            deaf: false,
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

    /// Timers armed: deadlines that are watched, and heartbeats that are scheduled.
    #[must_use]
    pub fn timers_armed(&self) -> usize {
        self.detector.len() + self.schedule.len()
    }

    /// Bytes of the connection table and the wheels.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        (self.table.memory_bytes() + self.detector.memory_bytes() + self.schedule.memory_bytes())
            as u64
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

    /// Turns the wheels. Call once per tick, after all completions: all that had come at `seen` is among them. That
    /// instant never goes back from call to call.
    pub fn on_tick(&mut self, seen: Nanos, cx: &mut Context<'_>) {
        self.on_late_tick(cx);
        if !self.quiet && !self.deaf && self.settings.role != Role::Idle {
            self.judge(seen, cx);
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
        if self.quiet {
            return None;
        }
        let send = self
            .schedule
            .next_deadline()
            .map(|tick| self.clock.instant(tick, now));
        let verdict = self.detector.next_deadline(now);
        let verdict = verdict.filter(|_| !self.deaf);
        [send, verdict].into_iter().flatten().min()
    }

    /// Stops sending and judging; what arrives is still read and answered.
    pub fn quiet(&mut self) {
        self.quiet = true;
    }

    fn on_watch(&mut self, completion: &Completion<'_>, cx: &mut Context<'_>) {
        let Some(connection) = self.table.get_mut(completion.token) else {
            self.counters.stale_completions += 1;
            return;
        };
        if self.deaf {
            return;
        }
        match completion.result {
            Ok(events) => {
                connection.watch_ended |= !completion.more;
                let ends = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
                connection.ending |= events & u32::from(ends.cast_unsigned()) != 0;
                // Of a connection that was reset both directions are over, which POLLHUP says (tcp_poll).
                let over = u32::from((libc::POLLHUP | libc::POLLERR).cast_unsigned());
                let fin = u32::from(libc::POLLRDHUP.cast_unsigned());
                if events & (fin | over) == fin && connection.half_closed == HalfClosed::No {
                    connection.half_closed = HalfClosed::Seen;
                }
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
}
