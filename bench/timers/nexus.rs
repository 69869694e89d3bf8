//! nexus-timer's two structures, each by its own fast path: the wheel with `poll_and_rebalance`, and
//! one `TimeoutQueue` per timeout.
//!
//! Ticks of 8 ms. Both are shown the middle of each tick: they divide by multiplying with a
//! reciprocal that is rounded down, so an instant at which a tick begins counts as the tick before,
//! except the very first. Handles are kept in a table per index, and count as their memory.

use super::subject::{Role, Timers, Unsupported};
use nexus_timer::{TimeoutQueue, TimeoutQueueBuilder, TimerHandle, Wheel, WheelBuilder};
use std::time::{Duration, Instant};

/// The length of a tick.
const TICK: Duration = Duration::from_millis(8);

/// nexus-timer's wheel.
pub(crate) struct NexusWheel {
    wheel: Wheel<u32>,
    handles: Vec<Option<TimerHandle<u32>>>,
    start: Instant,
}

impl NexusWheel {
    fn handle(&mut self, index: u32) -> TimerHandle<u32> {
        self.handles[index as usize].take().expect("armed")
    }
}

impl Timers for NexusWheel {
    const NAME: &'static str = "nexus Wheel";
    const ROLE: Role = Role::Rival;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        let now = Instant::now();
        let wheel = WheelBuilder::new()
            .tick_duration(TICK)
            .unbounded(capacity as usize)
            .build(now);
        Self {
            wheel: wheel.expect("valid"),
            handles: (0..capacity).map(|_| None).collect(),
            start: now + TICK / 2,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        let deadline = self.start + TICK * (now + timeout);
        self.handles[index as usize] = Some(self.wheel.schedule(deadline, index));
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        let deadline = self.start + TICK * (now + timeout);
        let handle = self.handle(index);
        self.handles[index as usize] = Some(self.wheel.reschedule(handle, deadline));
    }

    fn cancel(&mut self, index: u32) {
        let handle = self.handle(index);
        self.wheel.cancel(handle);
    }

    fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
        self.touch(index, now, timeout);
        Ok(())
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        let count = self
            .wheel
            .poll_and_rebalance(self.start + TICK * now, expired);
        for &index in &expired[before..] {
            let handle = self.handles[index as usize].take().expect("armed");
            self.wheel.free(handle);
        }
        count
    }
}

impl Drop for NexusWheel {
    /// Handles must not be dropped one by one, and the memory goes with the wheel.
    fn drop(&mut self) {
        self.handles.drain(..).for_each(std::mem::forget);
    }
}

/// nexus-timer's queues of equal timeouts, one per class.
pub(crate) struct NexusQueues {
    queues: Vec<(u32, TimeoutQueue<u32>)>,
    handles: Vec<Option<(usize, TimerHandle<u32>)>>,
    start: Instant,
}

impl Timers for NexusQueues {
    const NAME: &'static str = "nexus TimeoutQueue";
    const ROLE: Role = Role::Rival;

    fn new(capacity: u32, classes: &[u32]) -> Self {
        let now = Instant::now();
        let queue = |&timeout: &u32| {
            let builder = TimeoutQueueBuilder::new(TICK * timeout).tick_duration(TICK);
            let queue = builder.unbounded(capacity as usize).build(now);
            (timeout, queue.expect("valid"))
        };
        Self {
            queues: classes.iter().map(queue).collect(),
            handles: (0..capacity).map(|_| None).collect(),
            start: now + TICK / 2,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        let class = self.queues.iter().position(|queue| queue.0 == timeout);
        let class = class.expect("armed with a timeout it was made for");
        let handle = self.queues[class]
            .1
            .schedule(self.start + TICK * now, index);
        self.handles[index as usize] = Some((class, handle));
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.cancel(index);
        self.arm(index, now, timeout);
    }

    fn cancel(&mut self, index: u32) {
        let (class, handle) = self.handles[index as usize].take().expect("armed");
        self.queues[class].1.cancel(handle);
    }

    fn reschedule(&mut self, _index: u32, _now: u32, _timeout: u32) -> Result<(), Unsupported> {
        Err(Unsupported("a queue holds one timeout only"))
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        for class in 0..self.queues.len() {
            let queue = &mut self.queues[class].1;
            let from = expired.len();
            queue.poll(self.start + TICK * now, expired);
            for &index in &expired[from..] {
                let (_, handle) = self.handles[index as usize].take().expect("armed");
                queue.free(handle);
            }
        }
        expired.len() - before
    }
}

impl Drop for NexusQueues {
    /// As for [`NexusWheel`].
    fn drop(&mut self) {
        self.handles.drain(..).for_each(std::mem::forget);
    }
}
