//! A thread that does nothing but be punctual: how late it was tells how late everything else may have been.
//!
//! Does not correct anything; bounds are widened by what it saw.

use crate::clock::{Clock as _, MonotonicClock};
use crate::units::Nanos;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How often it wants to run.
const EVERY: Nanos = Nanos::from_millis(5);
/// What is not worth remembering.
const SHORT: Nanos = Nanos::from_millis(10);

/// The running watch; it ends when dropped.
#[derive(Debug)]
pub(super) struct StallWatch {
    stopping: Arc<AtomicBool>,
    /// When it came back, and how late.
    stalls: Arc<Mutex<Vec<(Nanos, Nanos)>>>,
    thread: Option<JoinHandle<()>>,
}

impl StallWatch {
    /// Starts it. Without a thread to be had it sees nothing, and bounds stay as narrow as they are.
    pub(super) fn start() -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stalls = Arc::new(Mutex::new(Vec::new()));
        let (told, seen) = (Arc::clone(&stopping), Arc::clone(&stalls));
        let thread = std::thread::Builder::new()
            .name("stall-watch".to_owned())
            .spawn(move || {
                let clock = MonotonicClock;
                while !told.load(Ordering::Relaxed) {
                    let wanted = clock.now() + EVERY;
                    clock.sleep_until(wanted);
                    let now = clock.now();
                    if now - wanted > SHORT {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.push((now, now - wanted));
                    }
                }
            });
        Self {
            stopping,
            stalls,
            thread: thread.ok(),
        }
    }

    /// The longest stall that ended after `begun`; zero where none was worth remembering.
    pub(super) fn longest_since(&self, begun: Nanos) -> Nanos {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let later = stalls.iter().filter(|(at, _)| *at >= begun);
        later.map(|(_, late)| *late).max().unwrap_or(Nanos::ZERO)
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing left to say.
            let _ = thread.join();
        }
    }
}
