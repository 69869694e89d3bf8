//! The opening of a process's connections, seen from outside the core threads: it can be stopped, and it is timed.
//!
//! Does not open anything. A core thread looks at one atomic per turn, and writes three times in all.

use crate::units::Nanos;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// One ramp of all core threads of a process. Clones are the same ramp.
#[derive(Clone, Debug)]
pub struct Opening(Arc<State>);

#[derive(Debug)]
struct State {
    stopped: AtomicBool,
    /// Threads whose ramp is not over.
    unfinished: AtomicU32,
    /// Monotonic nanoseconds of the first connect of any thread; the largest number before it.
    began: AtomicU64,
    /// The same of the last answer.
    ended: AtomicU64,
}

impl Opening {
    pub(super) fn new(threads: u32) -> Self {
        Self(Arc::new(State {
            stopped: AtomicBool::new(false),
            unfinished: AtomicU32::new(threads),
            began: AtomicU64::new(u64::MAX),
            ended: AtomicU64::new(0),
        }))
    }

    /// Opens no more. Connects that are under way end as they may.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// A thread begins its first connect.
    pub(super) fn begin(&self, now: Nanos) {
        self.0.began.fetch_min(now.0, Ordering::AcqRel);
    }

    /// A thread has had the answer to its last connect.
    pub(super) fn end(&self, now: Nanos) {
        self.0.ended.fetch_max(now.0, Ordering::AcqRel);
        self.0.unfinished.fetch_sub(1, Ordering::AcqRel);
    }

    /// From the first connect to the answer to the last, once every thread has had it.
    #[must_use]
    pub fn took(&self) -> Option<Nanos> {
        let over = self.0.unfinished.load(Ordering::Acquire) == 0;
        let began = self.0.began.load(Ordering::Acquire);
        let ended = self.0.ended.load(Ordering::Acquire);
        over.then(|| Nanos(ended.saturating_sub(began)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_lasts_from_the_first_threads_begin_to_the_last_threads_end() {
        let opening = Opening::new(2);
        let same = opening.clone();
        opening.begin(Nanos(500));
        same.begin(Nanos(300));
        opening.end(Nanos(900));
        assert_eq!(opening.took(), None, "one thread still opens");
        same.end(Nanos(800));
        assert_eq!(opening.took(), Some(Nanos(600)));
    }

    #[test]
    fn a_thread_without_connections_adds_nothing() {
        let opening = Opening::new(1);
        opening.end(Nanos(5));
        assert_eq!(opening.took(), Some(Nanos::ZERO));
        assert!(!opening.is_stopped());
        opening.clone().stop();
        assert!(opening.is_stopped());
    }
}
