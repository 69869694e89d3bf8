//! The other crates (nexus-timer has a file of its own): each by its own fast path, with the versions `Cargo.toml` pins.
//!
//! - tokio-util `DelayQueue`: real time of 8 ms per tick, since its unit is fixed at 1 ms; a paused
//!   clock that is moved outside the timed part; deadlines passed as instants, so that it reads no
//!   clock either. That it resets an inner `Sleep` is its own.
//! - `hierarchical_hash_wheel_timer`: the cancellable wheel with its default Fx hash, its unit one
//!   tick; a refresh is a cancel and an insert, as its documentation has it.
//! - priority-queue with the Fx hash.
//!
//! Handles a structure gives out are kept in a table per index, and count as its memory.

use super::subject::{Role, Timers, Unsupported};
use hierarchical_hash_wheel_timer::wheels::Skip;
use hierarchical_hash_wheel_timer::wheels::cancellable::{
    CancellableTimerEntry, QuadWheelWithOverflow,
};
use priority_queue::PriorityQueue;
use rustc_hash::FxBuildHasher;
use std::cmp::Reverse;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

/// The length of a tick to those who count in real time.
const TICK: Duration = Duration::from_millis(8);

thread_local! {
    /// The paused clock `DelayQueue` runs on: a leaked runtime, entered for good.
    static PAUSED: (&'static Runtime, EnterGuard<'static>) = {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime: &'static Runtime = Box::leak(Box::new(runtime.expect("a runtime without I/O")));
        (runtime, runtime.enter())
    };
}

/// tokio-util's queue.
pub(crate) struct TokioDelayQueue {
    queue: DelayQueue<u32>,
    keys: Vec<Option<Key>>,
    start: tokio::time::Instant,
}

impl TokioDelayQueue {
    fn key(&self, index: u32) -> Key {
        self.keys[index as usize].expect("armed")
    }
}

impl Timers for TokioDelayQueue {
    const NAME: &'static str = "tokio-util DelayQueue";
    const ROLE: Role = Role::Rival;
    const READS_CLOCK: bool = true;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        PAUSED.with(|_| Self {
            queue: DelayQueue::with_capacity(capacity as usize),
            keys: vec![None; capacity as usize],
            start: tokio::time::Instant::now(),
        })
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        let key = self
            .queue
            .insert_at(index, self.start + TICK * (now + timeout));
        self.keys[index as usize] = Some(key);
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        let key = self.key(index);
        self.queue
            .reset_at(&key, self.start + TICK * (now + timeout));
    }

    fn cancel(&mut self, index: u32) {
        let key = self.key(index);
        self.queue.remove(&key);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.touch(index, now, timeout);
        Ok(())
    }

    fn clock_to(&mut self, now: u32) {
        let ahead = (self.start + TICK * now).duration_since(tokio::time::Instant::now());
        PAUSED.with(|(runtime, _)| runtime.block_on(tokio::time::advance(ahead)));
    }

    fn turn_to(&mut self, _now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(entry)) = self.queue.poll_expired(&mut context) {
            expired.push(entry.into_inner());
        }
        expired.len() - before
    }
}

/// What is filed in a [`HashWheel`].
#[derive(Debug)]
struct Id(u32);

impl CancellableTimerEntry for Id {
    type Id = u32;

    fn id(&self) -> &u32 {
        &self.0
    }
}

/// `hierarchical_hash_wheel_timer`'s cancellable wheel.
pub(crate) struct HashWheel {
    wheel: QuadWheelWithOverflow<Id>,
    /// The last tick processed.
    now: u32,
}

impl Timers for HashWheel {
    const NAME: &'static str = "hierarchical_hash_wheel";
    const ROLE: Role = Role::Rival;

    fn new(_capacity: u32, _classes: &[u32]) -> Self {
        Self {
            wheel: QuadWheelWithOverflow::new(),
            now: 0,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        let delay = Duration::from_millis(u64::from(now + timeout - self.now));
        let filed = self.wheel.insert_ref_with_delay(Rc::new(Id(index)), delay);
        assert!(filed.is_ok(), "the delay is not zero");
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.cancel(index);
        self.arm(index, now, timeout);
    }

    fn cancel(&mut self, index: u32) {
        assert!(self.wheel.cancel(&index).is_ok(), "armed");
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.touch(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        while self.now < now {
            if now - self.now > 1 {
                let most = now - self.now - 1;
                let skipped = match self.wheel.can_skip() {
                    Skip::Empty => most,
                    Skip::Millis(ticks) => ticks.min(most),
                    Skip::None => 0,
                };
                if skipped > 0 {
                    self.wheel.skip(skipped);
                    self.now += skipped;
                }
            }
            expired.extend(self.wheel.tick().iter().map(|id| id.0));
            self.now += 1;
        }
        expired.len() - before
    }
}

/// priority-queue's heap with a map.
pub(crate) struct KeyedHeap(PriorityQueue<u32, Reverse<u32>, FxBuildHasher>);

impl Timers for KeyedHeap {
    const NAME: &'static str = "priority-queue";
    const ROLE: Role = Role::Rival;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        let capacity = capacity as usize;
        Self(PriorityQueue::with_capacity_and_default_hasher(capacity))
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.0.push(index, Reverse(now + timeout));
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.0.change_priority(&index, Reverse(now + timeout));
    }

    fn cancel(&mut self, index: u32) {
        self.0.remove(&index);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.touch(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        while self.0.peek().is_some_and(|(_, first)| first.0 <= now) {
            expired.extend(self.0.pop().map(|(index, _)| index));
        }
        expired.len() - before
    }
}
