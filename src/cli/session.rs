//! The main thread while core threads work: waits for a condition, a time or a signal, and says how
//! it goes.
//!
//! Does not touch connections; a [`Crew`] does. Looks up ten times a second, which costs nothing
//! that shows.

use super::signals::Signals;
use super::{Failure, output};
use crate::bank::{Crew, Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::shard::{CloseCause, Counters};
use crate::units::{HumanCount, Nanos};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
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
}

impl<'a> Session<'a> {
    pub(super) fn new(crew: &'a Crew, signals: &'a Signals, quiet: bool) -> Self {
        Self {
            crew,
            signals,
            status: Status::new(quiet),
        }
    }

    /// Takes all threads to `phase`.
    pub(super) fn go(&self, phase: Phase) -> Result<(), Failure> {
        self.crew.go(phase).map_err(Failure::Run)
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot, Failure> {
        self.crew.snapshot().map_err(Failure::Run)
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
            self.status.show(doing, now, &snapshot);
            let next = now + LOOK_EVERY;
            clock.sleep_until(end.map_or(next, |end| end.min(next)));
        }
    }

    /// Says something beside the status line.
    pub(super) fn say(&self, text: &str) {
        match &self.status.line {
            Some(line) => line.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    /// Ends every connection in order. Returns what there was before the first was ended, and the
    /// last word.
    pub(super) fn drain(&mut self, tick: Nanos) -> Result<(Snapshot, Snapshot), Failure> {
        self.status.clear();
        self.go(Phase::Quiet)?;
        let before = self.snapshot()?;
        let clock = MonotonicClock;
        clock.sleep_until(clock.now() + DRAIN + tick + tick);
        self.go(Phase::Ending)?;
        Ok((before, self.snapshot()?))
    }
}

/// One line a second on a terminal, a line every ten seconds elsewhere, nothing when quiet.
#[derive(Debug)]
struct Status {
    line: Option<ProgressBar>,
    every: Option<Nanos>,
    shown: Option<(Nanos, u64)>,
}

impl Status {
    fn new(quiet: bool) -> Self {
        let terminal = !quiet && io::stderr().is_terminal();
        let line = terminal.then(|| {
            let style = ProgressStyle::with_template("{msg}");
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        let every = if quiet {
            None
        } else if terminal {
            Some(Nanos::from_secs(1))
        } else {
            Some(Nanos::from_secs(10))
        };
        Self {
            line,
            every,
            shown: None,
        }
    }

    fn show(&mut self, doing: &str, now: Nanos, snapshot: &Snapshot) {
        let Some(every) = self.every else { return };
        let totals = &snapshot.totals;
        let beats = totals.heartbeats_sent + totals.heartbeats_received;
        let (since, earlier) = *self.shown.get_or_insert((now, beats));
        if now - since < every {
            return;
        }
        self.shown = Some((now, beats));
        let text = sentence(doing, totals, per_second(beats - earlier, now - since));
        match &self.line {
            Some(line) => line.set_message(text),
            None => output::note(&text),
        }
    }

    fn clear(&mut self) {
        if let Some(line) = self.line.take() {
            line.finish_and_clear();
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `count` over `span`, rounded.
fn per_second(count: u64, span: Nanos) -> u64 {
    let millis = (span.0 / 1_000_000).max(1);
    (count.saturating_mul(1_000) + millis / 2) / millis
}

fn sentence(doing: &str, totals: &Counters, rate: u64) -> String {
    let mut text = format!(
        "{doing}: {} connections, {} heartbeats/s",
        HumanCount(totals.open),
        HumanCount(rate)
    );
    let failed: u64 = totals.connects_failed.values().sum();
    if failed > 0 {
        write!(text, ", {} connects failed", HumanCount(failed)).unwrap_or_default();
    }
    let back = totals.reconnects_established;
    if back > 0 {
        write!(text, ", {} came back", HumanCount(back)).unwrap_or_default();
    }
    let ended = ended(totals);
    if ended.is_empty() {
        text
    } else {
        format!("{text}, ended: {ended}")
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
    fn the_status_line_counts_and_names_causes() {
        let mut totals = Counters {
            open: 1_500,
            ..Counters::default()
        };
        assert_eq!(
            sentence("serving", &totals, 500),
            "serving: 1,500 connections, 500 heartbeats/s"
        );
        totals.closed(CloseCause::Reset);
        totals.closed(CloseCause::Drained);
        totals.connects_failed.insert(libc::ECONNREFUSED, 3);
        let text = sentence("opening", &totals, 0);
        assert!(
            text.ends_with("3 connects failed, ended: reset 1"),
            "{text}"
        );
    }

    #[test]
    fn rates_are_per_second_and_never_divide_by_zero() {
        assert_eq!(per_second(500, Nanos::from_secs(10)), 50);
        assert_eq!(per_second(1, Nanos::ZERO), 1_000);
    }
}
