//! The main thread while core threads work: waits for a condition, a time or a signal, and says how
//! it goes.
//!
//! Does not touch connections; a [`Crew`] does. Looks up ten times a second, which costs nothing
//! that shows.

use super::Failure;
use super::signals::Signals;
use super::status::Status;
use crate::bank::{Crew, Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::exporter::Exporter;
use crate::shard::{CloseCause, Counters};
use crate::units::{HumanCount, Nanos};
use std::time::Duration;

const LOOK_EVERY: Nanos = Nanos::from_millis(100);
/// What is in flight at the end arrives well within this, plus a few ticks.
const DRAIN: Nanos = Nanos::from_millis(500);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// What was waited for is so.
    Reached,
    /// The time is over.
    Elapsed,
    /// A signal came.
    Signal(i32),
}

/// A crew and those who watch it.
#[derive(Debug)]
pub(super) struct Session<'a> {
    crew: &'a Crew,
    signals: &'a Signals,
    status: Status,
    exporter: Option<&'a Exporter>,
}

impl<'a> Session<'a> {
    pub(super) const fn new(
        crew: &'a Crew,
        signals: &'a Signals,
        status: Status,
        exporter: Option<&'a Exporter>,
    ) -> Self {
        Self {
            crew,
            signals,
            status,
            exporter,
        }
    }

    /// A signal that has come.
    pub(super) fn signal(&self) -> Option<i32> {
        self.signals.caught()
    }

    /// Takes all threads to `phase`.
    pub(super) fn go(&self, phase: Phase) -> Result<(), Failure> {
        self.crew.go(phase).map_err(Failure::Run)
    }

    /// All threads together, for the exporter too: a scrape gets what the main thread saw last and touches no core
    /// thread.
    pub(super) fn snapshot(&self) -> Result<Snapshot, Failure> {
        let snapshot = self.crew.snapshot().map_err(Failure::Run)?;
        if let Some(exporter) = self.exporter {
            exporter.show(&snapshot);
        }
        Ok(snapshot)
    }

    /// Waits, at most for `limit`, showing `doing` with the counts.
    pub(super) fn wait(
        &mut self,
        doing: &str,
        limit: Option<Duration>,
        mut reached: impl FnMut(&Counters) -> bool,
    ) -> Result<Wait, Failure> {
        let clock = MonotonicClock;
        let end = limit.map(|limit| clock.now() + Nanos::from(limit));
        loop {
            if let Some(signal) = self.signals.caught() {
                return Ok(Wait::Signal(signal));
            }
            let snapshot = self.snapshot()?;
            if reached(&snapshot.totals) {
                return Ok(Wait::Reached);
            }
            let now = clock.now();
            if end.is_some_and(|end| now >= end) {
                return Ok(Wait::Elapsed);
            }
            self.status.show(doing, (now, end), &snapshot);
            let next = now + LOOK_EVERY;
            clock.sleep_until(end.map_or(next, |end| end.min(next)));
        }
    }

    /// Says something beside the status line.
    pub(super) fn say(&self, text: &str) {
        self.status.say(text);
    }

    /// Ends every connection in order. Returns what there was before the first was ended, and the
    /// last word.
    pub(super) fn drain(&mut self, tick: Nanos) -> Result<(Snapshot, Snapshot), Failure> {
        self.drain_after(tick, |_| Ok(()))
    }

    /// The same, and `others` are waited for before the first is ended.
    pub(super) fn drain_after(
        &mut self,
        tick: Nanos,
        others: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(Snapshot, Snapshot), Failure> {
        self.status.clear();
        self.go(Phase::Quiet)?;
        let before = self.snapshot()?;
        let clock = MonotonicClock;
        clock.sleep_until(clock.now() + DRAIN + tick + tick);
        others(self)?;
        self.go(Phase::Ending)?;
        Ok((before, self.snapshot()?))
    }
}

/// The connections that ended otherwise than by our drain, by cause: `reset 2, heartbeat-timeout
/// 1`.
pub(super) fn ended(totals: &Counters) -> String {
    let causes: Vec<_> = totals
        .closed
        .iter()
        .filter(|(name, _)| *name != CloseCause::Drained.name())
        .map(|(name, count)| format!("{name} {}", HumanCount(*count)))
        .collect();
    causes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_drain_is_no_cause() {
        let mut totals = Counters::default();
        totals.closed(CloseCause::Reset);
        totals.closed(CloseCause::Drained);
        assert_eq!(ended(&totals), "reset 1");
    }
}
