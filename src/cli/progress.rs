//! An experiment's progress, as a person sees it.
//!
//! Does not measure and does not draw: the [view](super::view) does.

use super::signals::Signals;
use super::view::{Scene, View};
use crate::experiment::{CpuShares, Observer, Progress};
use crate::units::{HumanCount, HumanNanos, Nanos};

/// Watches a run for a person.
#[derive(Debug)]
pub(super) struct Watcher<'a> {
    signals: &'a Signals,
    view: View,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(signals: &'a Signals, quiet: bool) -> Self {
        Self {
            signals,
            view: View::new(quiet),
        }
    }

    /// Clears the view away.
    pub(super) fn finish(&mut self) {
        self.view.clear();
    }
}

/// Where the run stands, as it is shown.
fn scene(progress: &Progress) -> Scene {
    let mut flow = Vec::new();
    // What plays a few connections of its own has no such figures.
    if progress.connections_requested > 0 {
        flow.push(format!(
            "{} of {} connections",
            HumanCount(progress.connections),
            HumanCount(progress.connections_requested)
        ));
        flow.push(format!(
            "{} events/s",
            HumanCount(progress.events_per_second)
        ));
    }
    flow.extend(progress.rtt_p99.map(rtt));
    let mut facts = if flow.is_empty() {
        Vec::new()
    } else {
        vec![flow.join(", ")]
    };
    facts.extend(progress.cpu.map(cpu));
    Scene {
        title: format!(
            "[{}/{}] {}, {}, {}",
            progress.trial + 1,
            progress.trials,
            progress.arm,
            progress.part,
            progress.phase
        ),
        key: format!("{} {}", progress.trial, progress.phase),
        facts,
        elapsed: progress.elapsed,
        remaining: Some(progress.remaining),
    }
}

/// `rtt p99 8.00 ms`.
pub(super) fn rtt(p99: Nanos) -> String {
    format!("rtt p99 {}", HumanNanos(p99.0))
}

fn cpu(shares: CpuShares) -> String {
    let machine = format!("cpu {} % of the machine", shares.machine);
    match shares.halves {
        Some((server, load)) => format!("{machine} (server {server} %, load {load} %)"),
        None => machine,
    }
}

impl Observer for Watcher<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.view.show(&scene(progress));
    }

    fn note(&mut self, text: &str) {
        self.view.say(text);
    }

    fn warn(&mut self, text: &str) {
        self.view.warn(text);
    }

    fn interrupted(&self) -> Option<i32> {
        self.signals.caught()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_known_is_shown_and_what_is_not_is_left_out() {
        let mut progress = Progress {
            trial: 1,
            trials: 9,
            arm: "heartbeat".to_owned(),
            part: "round 1".to_owned(),
            phase: "steady",
            connections: 9_999,
            connections_requested: 10_000,
            events_per_second: 3_333,
            rtt_p99: Some(Nanos::from_millis(8)),
            cpu: Some(CpuShares {
                machine: 43,
                halves: Some((12, 15)),
            }),
            elapsed: Duration::from_secs(62),
            remaining: Duration::from_secs(30),
        };
        let shown = scene(&progress);
        assert_eq!(shown.title, "[2/9] heartbeat, round 1, steady");
        assert_eq!(
            shown.facts,
            [
                "9,999 of 10,000 connections, 3,333 events/s, rtt p99 8.00 ms",
                "cpu 43 % of the machine (server 12 %, load 15 %)"
            ]
        );
        progress.rtt_p99 = None;
        progress.cpu = None;
        let shown = scene(&progress);
        assert_eq!(shown.facts, ["9,999 of 10,000 connections, 3,333 events/s"]);
    }
}
