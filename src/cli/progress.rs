//! What a person sees while a run goes: a bar on a terminal, a line per phase elsewhere, nothing when quiet.
//!
//! Does not measure, and draws on standard error only.

use super::output;
use super::signals::Signals;
use crate::experiment::{Observer, Progress};
use crate::units::HumanCount;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, stderr};

/// Watches a run for a person.
#[derive(Debug)]
pub(super) struct Watcher<'a> {
    signals: &'a Signals,
    quiet: bool,
    bar: Option<ProgressBar>,
    /// Trial and phase of the last plain line.
    said: Option<(usize, &'static str)>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(signals: &'a Signals, quiet: bool) -> Self {
        let bar = (!quiet && stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(1);
            // The template is a constant; without it the default bar does.
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            signals,
            quiet,
            bar,
            said: None,
        }
    }

    /// Clears the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// One line about where the run stands.
fn line(progress: &Progress) -> String {
    format!(
        "{}, {}, {}: {} of {} connections, {} events/s, about {} s left",
        progress.arm,
        progress.part,
        progress.phase,
        HumanCount(progress.connections),
        HumanCount(progress.connections_requested),
        HumanCount(progress.events_per_second),
        progress.remaining.as_secs()
    )
}

impl Observer for Watcher<'_> {
    fn progress(&mut self, progress: &Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(progress.trials as u64);
            bar.set_position(progress.trial as u64);
            bar.set_message(line(progress));
        } else if !self.quiet && self.said != Some((progress.trial, progress.phase)) {
            self.said = Some((progress.trial, progress.phase));
            output::note(&format!(
                "[{}/{}] {}",
                progress.trial + 1,
                progress.trials,
                line(progress)
            ));
        }
    }

    fn note(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => bar.println(text),
            None => output::note(text),
        }
    }

    fn interrupted(&self) -> Option<i32> {
        self.signals.caught()
    }
}
