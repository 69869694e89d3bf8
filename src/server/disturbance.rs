//! What an experiment has the server do to its connections, told from outside the core threads.
//!
//! Does not touch a connection. A core thread looks at one atomic per turn and does once what it asks.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Trouble, made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disturbance {
    /// Every connection is ended at once; whoever comes afterwards is taken.
    DropAll {
        /// With a RST each instead of a FIN.
        abort: bool,
    },
}

/// The way to the core threads. Clones are the same way.
#[derive(Clone, Debug, Default)]
pub struct Disturber(Arc<AtomicU64>);

impl Disturber {
    /// Asks every core thread for `disturbance`.
    pub fn ask(&self, disturbance: Disturbance) {
        let Disturbance::DropAll { abort } = disturbance;
        // The lowest bit says how, the others how often: every request is another number.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |asked| {
                Some(((asked >> 1) + 1) << 1 | u64::from(abort))
            });
    }
}

/// One core thread's end of it.
#[derive(Debug)]
pub(super) struct Disturbed {
    from: Disturber,
    done: u64,
}

impl Disturbed {
    pub(super) fn by(from: &Disturber) -> Self {
        Self {
            from: from.clone(),
            done: 0,
        }
    }

    /// What has been asked for and not been done; counts as done.
    pub(super) fn take(&mut self) -> Option<Disturbance> {
        let asked = self.from.0.load(Ordering::Acquire);
        let abort = asked & 1 == 1;
        let new = std::mem::replace(&mut self.done, asked) != asked;
        new.then_some(Disturbance::DropAll { abort })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_does_once_what_is_asked() {
        let disturber = Disturber::default();
        let mut threads = [Disturbed::by(&disturber), Disturbed::by(&disturber)];
        assert_eq!(threads[0].take(), None);
        for abort in [true, true, false] {
            disturber.ask(Disturbance::DropAll { abort });
            for thread in &mut threads {
                assert_eq!(thread.take(), Some(Disturbance::DropAll { abort }));
                assert_eq!(thread.take(), None);
            }
        }
    }
}
