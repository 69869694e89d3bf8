//! A state that several threads change, and that one waits upon with patience and an ear for signals.
//!
//! Does not know what the state is.

use super::Interrupted;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks for a signal.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// How a wait ended.
#[derive(Debug)]
pub(super) enum Waited<T> {
    Ready(T),
    TimedOut,
    Interrupted(i32),
}

#[derive(Debug, Default)]
pub(super) struct Board<S> {
    state: Mutex<S>,
    changed: Condvar,
}

impl<S> Board<S> {
    pub(super) const fn new(state: S) -> Self {
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// A state that a panicking thread has left is as good as any: every change is one step.
    fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and wakes those who wait.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let given = change(&mut self.lock());
        self.changed.notify_all();
        given
    }

    /// Waits until `ready` gives something, `patience` ends or a signal has come.
    pub(super) fn wait<T>(
        &self,
        patience: Duration,
        interrupted: Interrupted<'_>,
        mut ready: impl FnMut(&mut S) -> Option<T>,
    ) -> Waited<T> {
        // Beyond what the clock can show is for ever.
        let deadline = Instant::now().checked_add(patience);
        let mut state = self.lock();
        loop {
            if let Some(given) = ready(&mut state) {
                return Waited::Ready(given);
            }
            drop(state);
            if let Some(signal) = interrupted() {
                return Waited::Interrupted(signal);
            }
            let left = deadline.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
            if left == Duration::ZERO {
                return Waited::TimedOut;
            }
            state = self.lock();
            // What changed while the signal was looked for has woken nobody.
            if let Some(given) = ready(&mut state) {
                return Waited::Ready(given);
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left.min(LOOK))
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
