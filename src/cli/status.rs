//! What a half by hand shows while it runs: counts, rates and round trips of the last second, CPU, and what arises to
//! doubt it by.
//!
//! Does not draw: the [view](super::view) does. Looks at a snapshot and at `/proc` once a second, and at nothing when
//! quiet.

use super::output;
use super::progress::rtt;
use super::session::ended;
use super::view::{Scene, View};
use crate::bank::Snapshot;
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::{Alarms, Signs};
use crate::measure::headroom::{reserve, usable};
use crate::measure::wire::{Place, WireDelta, WireSnapshot};
use crate::os::cpu::{SystemCpu, process_cpu};
use crate::shard::{Counters, Ladders};
use crate::units::{HumanCount, Nanos};

const EVERY: Nanos = Nanos::from_secs(1);
/// What is counted for the whole machine or namespace, dropped packets and connects, comes with any interface.
const ANY: Place<'static> = Place::Here { interface: "lo" };

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Status {
    view: View,
    begun: Nanos,
    interval: Nanos,
    alarms: Alarms,
    doing: String,
    last: Option<Seen>,
}

/// What the next look is the difference to.
#[derive(Debug)]
struct Seen {
    at: Nanos,
    beats: u64,
    ladders: Ladders,
    machine: Option<SystemCpu>,
    own: Option<Nanos>,
    wire: Option<WireSnapshot>,
}

impl Seen {
    fn now(at: Nanos, snapshot: &Snapshot) -> Self {
        let totals = &snapshot.totals;
        Self {
            at,
            beats: totals.heartbeats_sent + totals.heartbeats_received,
            ladders: snapshot.ladders.clone(),
            machine: SystemCpu::read().ok(),
            own: process_cpu(std::process::id()).ok(),
            wire: WireSnapshot::take(ANY).ok(),
        }
    }

    /// `cpu 43 % of the machine (this process 12 %)`.
    fn cpu(&self, now: &Self) -> Option<String> {
        let (busy, capacity) = self.machine.as_ref()?.spent_until(now.machine.as_ref()?)?;
        let percent = |part: Nanos| part.0.saturating_mul(100) / capacity.0.max(1);
        let own = now.own? - self.own?;
        Some(format!(
            "cpu {} % of the machine (this process {} %)",
            percent(busy),
            percent(own)
        ))
    }

    fn moved(&self, now: &Self) -> Option<WireDelta> {
        Some(self.wire.as_ref()?.until(now.wire.as_ref()?))
    }
}

impl Status {
    /// `interval` is that of the heartbeats.
    pub(super) fn new(quiet: bool, interval: Nanos) -> Self {
        Self {
            view: View::new(quiet),
            begun: MonotonicClock.now(),
            interval,
            alarms: Alarms::default(),
            doing: String::new(),
            last: None,
        }
    }

    /// Shows `doing` with what has come since the last look, when that is a second ago or was about something else.
    pub(super) fn show(
        &mut self,
        doing: &str,
        (now, end): (Nanos, Option<Nanos>),
        snapshot: &Snapshot,
    ) {
        let old = self.last.as_ref().map(|last| now - last.at);
        let same = self.doing == doing;
        if self.view.is_quiet() || (same && old.is_some_and(|age| age < EVERY)) {
            return;
        }
        doing.clone_into(&mut self.doing);
        let seen = Seen::now(now, snapshot);
        let totals = &snapshot.totals;
        let mut flow = vec![format!("{} connections", HumanCount(totals.open))];
        let mut facts = Vec::new();
        if let Some(last) = &self.last {
            let rate = per_second(seen.beats.saturating_sub(last.beats), now - last.at);
            flow.push(format!("{} heartbeats/s", HumanCount(rate)));
            let trips = seen.ladders.rtt.since(&last.ladders.rtt);
            flow.extend(trips.quantile(990).map(rtt));
            facts.extend(last.cpu(&seen));
            for said in self.alarms.look(&self.interval_signs(last, &seen, totals)) {
                self.view.warn(&said);
            }
        }
        if let Some(said) = usable()
            .ok()
            .and_then(|(usable, total)| self.alarms.memory(usable, reserve(total)))
        {
            self.view.warn(&said);
        }
        facts.insert(0, flow.join(", "));
        facts.extend(trouble(totals));
        self.view.show(&Scene {
            title: doing.to_owned(),
            key: doing.to_owned(),
            facts,
            elapsed: (now - self.begun).as_duration(),
            remaining: end.map(|end| (end - now).as_duration()),
        });
        self.last = Some(seen);
    }

    fn interval_signs(&self, last: &Seen, seen: &Seen, totals: &Counters) -> Signs {
        let moved = last.moved(seen).unwrap_or_default();
        let lag = seen.ladders.schedule_lag.since(&last.ladders.schedule_lag);
        Signs {
            counters: totals.clone(),
            schedule_lag_p99: lag.quantile(990),
            interval: self.interval,
            backlog_drops: moved.softnet_drops,
            opening: moved.opening,
            // The other half may come and go as it likes; what ended is among the facts.
            shall_hold: false,
        }
    }

    /// Says something that stays, whether quiet or not.
    pub(super) fn say(&self, text: &str) {
        if self.view.is_quiet() {
            output::note(text);
        } else {
            self.view.say(text);
        }
    }

    /// Clears away what is drawn.
    pub(super) fn clear(&mut self) {
        self.view.clear();
    }
}

/// `count` over `span`, rounded.
fn per_second(count: u64, span: Nanos) -> u64 {
    let millis = (span.0 / 1_000_000).max(1);
    (count.saturating_mul(1_000) + millis / 2) / millis
}

/// Connects that failed, connections that came back, and those that ended, if there are any.
fn trouble(totals: &Counters) -> Option<String> {
    let mut parts = Vec::new();
    let failed: u64 = totals.connects_failed.values().sum();
    if failed > 0 {
        parts.push(format!("{} connects failed", HumanCount(failed)));
    }
    let back = totals.reconnects_established;
    if back > 0 {
        parts.push(format!("{} came back", HumanCount(back)));
    }
    let ended = ended(totals);
    if !ended.is_empty() {
        parts.push(format!("ended: {ended}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::CloseCause;

    #[test]
    fn trouble_is_counted_and_causes_are_named() {
        let mut totals = Counters::default();
        assert_eq!(trouble(&totals), None);
        totals.closed(CloseCause::Reset);
        totals.closed(CloseCause::Drained);
        totals.connects_failed.insert(libc::ECONNREFUSED, 3);
        let text = trouble(&totals).unwrap();
        assert_eq!(text, "3 connects failed, ended: reset 1");
    }

    #[test]
    fn rates_are_per_second_and_never_divide_by_zero() {
        assert_eq!(per_second(500, Nanos::from_secs(10)), 50);
        assert_eq!(per_second(1, Nanos::ZERO), 1_000);
    }
}
