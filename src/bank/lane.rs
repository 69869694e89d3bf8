//! A lane: one shard with its engine and the operations between them.
//!
//! Does not sleep and does not decide when to run; the [bank](super) does. Operations wait in user space when
//! the submission queue is full: none is ever dropped.

use super::engine::Engine;
use crate::clock::Clock;
use crate::ring::{Operation, RingError, TokenKind};
use crate::shard::{Context, Instruments, Shard};
use crate::units::Nanos;
use std::collections::VecDeque;
use std::time::Duration;

/// How far a lane got in the time it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// Nothing is queued and nothing is ready: the shard has seen everything that its sockets held at this instant.
    Drained(Nanos),
    /// Time was up with completions still to come.
    Behind,
    /// Time was up with operations still unsubmitted.
    Congested,
}

/// One shard with its engine.
#[derive(Debug)]
pub struct Lane {
    /// The connections.
    pub shard: Shard,
    engine: Engine,
    operations: VecDeque<Operation>,
}

impl Lane {
    /// Joins a shard and an engine made on this thread.
    #[must_use]
    pub(super) fn new(shard: Shard, engine: Engine) -> Self {
        Self {
            shard,
            engine,
            operations: VecDeque::new(),
        }
    }

    /// Calls `with` with the shard and a context whose operations go to this lane's ring.
    pub fn with<R>(
        &mut self,
        clock: &impl Clock,
        instruments: &mut Instruments,
        with: impl FnOnce(&mut Shard, &mut Context<'_>) -> R,
    ) -> R {
        let mut context = Context {
            now: clock.now(),
            operations: &mut self.operations,
            instruments,
        };
        with(&mut self.shard, &mut context)
    }

    /// Submits what is pending, reaps what is ready, and lets the shard answer, until nothing is left to do or
    /// `spend` is spent: a lane whose peers answer as fast as it works would otherwise keep the core from its
    /// neighbours for seconds.
    ///
    /// # Errors
    /// [`RingError`] when the ring cannot go on.
    pub fn drive(
        &mut self,
        clock: &impl Clock,
        instruments: &mut Instruments,
        spend: Nanos,
    ) -> Result<Drive, RingError> {
        let begun = clock.now();
        let mut now = begun;
        let must_ask = self.engine.must_ask();
        self.engine.begin();
        loop {
            self.submit();
            if !self.engine.has_work() && self.operations.is_empty() {
                // An idle lane costs no system call.
                // Of what has come since it asked, an engine that must ask knows nothing.
                return Ok(Drive::Drained(if must_ask { begun } else { now }));
            }
            if now - begun > spend {
                let congested = !self.operations.is_empty();
                return Ok(if congested {
                    Drive::Congested
                } else {
                    Drive::Behind
                });
            }
            self.engine.enter()?;
            now = clock.now();
            let Self {
                shard,
                engine,
                operations,
            } = self;
            engine.reap(|completion| {
                // Stamped with an instant before it came, what was received after a stop of this process would age by
                // as long as the stop was.
                if must_ask && completion.token.kind == TokenKind::Receive {
                    now = clock.now();
                }
                let mut context = Context {
                    now,
                    operations,
                    instruments,
                };
                shard.on_completion(&completion, &mut context);
            })?;
        }
    }

    /// Sleeps in the kernel until the engine has something or `longest` has passed; at once when operations wait.
    ///
    /// # Errors
    /// [`RingError`] when the engine cannot go on.
    pub(super) fn wait(&mut self, longest: Duration) -> Result<(), RingError> {
        if !self.operations.is_empty() {
            return Ok(());
        }
        self.engine.wait(longest)
    }

    /// Makes a listener known that [`Shard::start_accept`] will name.
    ///
    /// # Errors
    /// Of the system calls the engine needs.
    pub fn adopt(&mut self, listener: &socket2::Socket) -> std::io::Result<()> {
        self.engine.adopt(listener)
    }

    /// Operations that the kernel has not taken yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.operations.len()
    }

    /// The engine's own counts.
    #[must_use]
    pub fn ring_counters(&self) -> crate::ring::RingCounters {
        self.engine.counters()
    }

    fn submit(&mut self) {
        while let Some(operation) = self.operations.front() {
            if !self.engine.push(operation) {
                return;
            }
            self.operations.pop_front();
        }
    }
}
