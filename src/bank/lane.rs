//! A lane: one shard with its ring and the operations between them.
//!
//! Does not sleep and does not decide when to run; the [bank](super) does. Operations wait in user space when
//! the submission queue is full: none is ever dropped.

use crate::clock::Clock;
use crate::ring::{Operation, Ring, RingError};
use crate::shard::{Context, Instruments, Shard};
use std::collections::VecDeque;

/// Rounds of submit and reap in one tick after which the lane yields to its neighbours.
const ROUND_BUDGET: u32 = 4096;

/// One shard with its ring.
#[derive(Debug)]
pub struct Lane {
    /// The connections.
    pub shard: Shard,
    ring: Ring,
    operations: VecDeque<Operation>,
}

impl Lane {
    /// Joins a shard and a ring made on this thread.
    #[must_use]
    pub fn new(shard: Shard, ring: Ring) -> Self {
        Self {
            shard,
            ring,
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

    /// Submits what is pending, reaps what is ready, and lets the shard answer, until nothing is left to do.
    ///
    /// # Errors
    /// [`RingError`] when the ring cannot go on.
    pub fn drive(
        &mut self,
        clock: &impl Clock,
        instruments: &mut Instruments,
    ) -> Result<(), RingError> {
        for _ in 0..ROUND_BUDGET {
            self.submit();
            if !self.ring.has_work() && self.operations.is_empty() {
                // Nothing queued, nothing ready: an idle lane costs no system call.
                return Ok(());
            }
            self.ring.enter()?;
            let now = clock.now();
            let Self {
                shard,
                ring,
                operations,
            } = self;
            ring.reap(|completion| {
                let mut context = Context {
                    now,
                    operations,
                    instruments,
                };
                shard.on_completion(&completion, &mut context);
            })?;
        }
        Ok(())
    }

    /// The ring's own counts.
    #[must_use]
    pub fn ring_counters(&self) -> crate::ring::RingCounters {
        self.ring.counters()
    }

    fn submit(&mut self) {
        while let Some(operation) = self.operations.front() {
            if !self.ring.push(operation) {
                return;
            }
            self.operations.pop_front();
        }
    }
}
