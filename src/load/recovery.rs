//! The connections that are gone and to come back: when each is due, how often it has been tried.
//!
//! Pure; time is handed in. Knows connections by their ordinals. A connection that ended is due after the first delay
//! of its backoff, one whose reconnect failed after the next; once it is established its attempts begin anew. One that
//! was ended to be opened anew is due at once, and backs off only if that fails.

use super::backoff::{Backoff, Delays};
use crate::shard::{Fate, Told};
use crate::units::Nanos;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// One connection that is gone.
#[derive(Clone, Copy, Debug)]
struct Outage {
    /// When it was lost; `None` when it was ended on purpose.
    lost: Option<Nanos>,
    /// Delays it has waited.
    waited: u32,
    /// Whether its connect is unanswered.
    connecting: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Recovery {
    /// `None`: what is lost stays lost.
    delays: Option<Delays>,
    outages: HashMap<u32, Outage>,
    due: BinaryHeap<Reverse<(Nanos, u32)>>,
    connecting: u64,
    /// Connects that may be unanswered at once.
    most: u64,
}

impl Recovery {
    /// For one thread, whose chance is number `stream`.
    pub(crate) fn new(backoff: Option<Backoff>, stream: u32, most: u64) -> Self {
        Self {
            delays: backoff.map(|backoff| backoff.delays(stream)),
            outages: HashMap::new(),
            due: BinaryHeap::new(),
            connecting: 0,
            most: most.max(1),
        }
    }

    /// Connects of its own that are unanswered.
    pub(crate) fn connecting(&self) -> u64 {
        self.connecting
    }

    /// When the next connection is due; `None` when nobody waits.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes in what became of a connection. Returns how long a lost one was gone when it is back.
    pub(crate) fn learn(&mut self, told: Told) -> Option<Nanos> {
        let Told { at, ordinal, fate } = told;
        match fate {
            Fate::Lost => {
                let outage = Outage {
                    lost: Some(at),
                    waited: 0,
                    connecting: false,
                };
                self.wait(ordinal, outage, at);
                None
            }
            Fate::Churned => {
                let outage = Outage {
                    lost: None,
                    waited: 0,
                    connecting: false,
                };
                self.outages.insert(ordinal, outage);
                self.due.push(Reverse((at, ordinal)));
                None
            }
            Fate::Failed => {
                if let Some(outage) = self.answered(ordinal) {
                    self.wait(ordinal, outage, at);
                }
                None
            }
            Fate::Returned => {
                let lost = self.answered(ordinal)?.lost?;
                Some(at - lost)
            }
        }
    }

    /// A connection that is to be opened now, if one is due and the connects in flight allow it.
    pub(crate) fn begin(&mut self, now: Nanos) -> Option<u32> {
        if self.connecting >= self.most || self.next_due()? > now {
            return None;
        }
        let Reverse((_, ordinal)) = self.due.pop()?;
        self.outages.get_mut(&ordinal)?.connecting = true;
        self.connecting += 1;
        Some(ordinal)
    }

    /// Lets a connection wait for its next attempt.
    fn wait(&mut self, ordinal: u32, mut outage: Outage, now: Nanos) {
        let Some(delays) = &mut self.delays else {
            return;
        };
        let delay = delays.before(outage.waited);
        outage.waited = outage.waited.saturating_add(1);
        self.outages.insert(ordinal, outage);
        self.due.push(Reverse((now + delay, ordinal)));
    }

    /// Its connect has its answer.
    fn answered(&mut self, ordinal: u32) -> Option<Outage> {
        let mut outage = self.outages.remove(&ordinal)?;
        self.connecting -= u64::from(outage.connecting);
        outage.connecting = false;
        Some(outage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::backoff::Jitter;
    use super::*;
    use proptest::prelude::*;

    fn told(ordinal: u32, fate: Fate, at: Nanos) -> Told {
        Told { at, ordinal, fate }
    }

    fn backoff(base_ms: u64, cap_ms: u64, jitter: Jitter) -> Backoff {
        Backoff {
            base_ms,
            cap_ms,
            jitter,
            seed: 3,
        }
    }

    #[test]
    fn attempts_double_their_delay_until_one_succeeds_and_begin_anew_after_that() {
        let at = Nanos::from_millis;
        let mut recovery = Recovery::new(Some(backoff(100, 350, Jitter::None)), 0, 10);
        recovery.learn(told(7, Fate::Lost, at(1_000)));
        let mut now = at(1_000);
        for delay in [100, 200, 350, 350] {
            let due = now + at(delay);
            assert_eq!(recovery.next_due(), Some(due));
            assert_eq!(recovery.begin(Nanos(due.0 - 1)), None, "early");
            assert_eq!(recovery.begin(due), Some(7));
            assert_eq!((recovery.connecting(), recovery.begin(due)), (1, None));
            now = due + at(5);
            assert_eq!(recovery.learn(told(7, Fate::Failed, now)), None);
        }
        assert_eq!(recovery.begin(now + at(350)), Some(7));
        let back = now + at(400);
        let gone = recovery.learn(told(7, Fate::Returned, back));
        assert_eq!((gone, recovery.connecting()), (Some(back - at(1_000)), 0));
        recovery.learn(told(7, Fate::Lost, back));
        assert_eq!(recovery.next_due(), Some(back + at(100)));
    }

    #[test]
    fn one_that_was_ended_on_purpose_comes_back_at_once_and_was_never_lost() {
        let mut recovery = Recovery::new(Some(backoff(100, 100, Jitter::None)), 0, 10);
        let now = Nanos::from_secs(1);
        recovery.learn(told(3, Fate::Churned, now));
        assert_eq!(recovery.begin(now), Some(3));
        assert_eq!(recovery.learn(told(3, Fate::Failed, now)), None);
        let due = now + Nanos::from_millis(100);
        assert_eq!((recovery.begin(now), recovery.begin(due)), (None, Some(3)));
        assert_eq!(recovery.learn(told(3, Fate::Returned, due)), None);
        assert_eq!(recovery.next_due(), None);
    }

    #[test]
    fn without_a_backoff_only_what_was_ended_on_purpose_comes_back() {
        let mut recovery = Recovery::new(None, 0, 10);
        let now = Nanos::from_secs(1);
        recovery.learn(told(1, Fate::Lost, now));
        assert_eq!(recovery.next_due(), None);
        recovery.learn(told(2, Fate::Churned, now));
        assert_eq!(recovery.begin(now), Some(2));
        recovery.learn(told(2, Fate::Failed, now));
        assert_eq!((recovery.next_due(), recovery.connecting()), (None, 0));
    }

    proptest! {
        /// However connects end, everyone comes back, the connects in flight stay bounded, nobody is opened twice.
        #[test]
        fn everyone_comes_back_and_the_flight_is_bounded(
            count in 1_u32..200, most in 1_u64..50, base in 0_u64..200, full: bool,
            verdicts in prop::collection::vec(0_u32..3, 50)
        ) {
            let jitter = if full { Jitter::Full } else { Jitter::None };
            let mut recovery = Recovery::new(Some(backoff(base, 1_000, jitter)), 0, most);
            let start = Nanos::from_secs(5);
            for ordinal in 0..count {
                recovery.learn(told(ordinal, Fate::Lost, start));
            }
            let (mut now, mut flying, mut back) = (start, Vec::new(), 0);
            let mut verdicts = verdicts.iter().cycle();
            while back < count {
                prop_assert!(now < start + Nanos::from_secs(3_600), "stuck at {back} of {count}");
                while let Some(ordinal) = recovery.begin(now) {
                    prop_assert!(!flying.contains(&ordinal));
                    flying.push(ordinal);
                }
                prop_assert!(flying.len() as u64 <= most);
                prop_assert_eq!(recovery.connecting(), flying.len() as u64);
                // At least the last in flight has luck in the end.
                for ordinal in std::mem::take(&mut flying) {
                    match verdicts.next() {
                        Some(0) => {
                            let gone = recovery.learn(told(ordinal, Fate::Returned, now));
                            prop_assert_eq!(gone, Some(now - start));
                            back += 1;
                        }
                        Some(1) if back + 1 < count => {
                            recovery.learn(told(ordinal, Fate::Failed, now));
                        }
                        _ if back + 1 < count => flying.push(ordinal),
                        _ => {
                            recovery.learn(told(ordinal, Fate::Returned, now));
                            back += 1;
                        }
                    }
                }
                now += Nanos::from_millis(8);
            }
            prop_assert_eq!((recovery.next_due(), recovery.connecting()), (None, 0));
        }
    }
}
