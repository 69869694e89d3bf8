//! What a storm's run has measured becomes its part of the record, and its reasons to doubt.
//!
//! Does not run anything.

use super::plan::StormPlan;
use super::run::Measured;
use crate::experiment::ExperimentError;
use crate::experiment::checks::{connect_failures, errno_name};
use crate::experiment::doubt::Doubt;
use crate::record::{HistogramRecord, StormRecord, StormRun, StormSlice, Warning, decode};
use crate::shard::{CloseCause, Counters};
use crate::units::Nanos;
use std::collections::BTreeMap;

/// Histograms of the load generator, and what the record calls them.
const HISTOGRAMS: [(&str, &str); 2] = [("recovery", "recovery"), ("reconnect", "connect")];
/// Length of a slice of the time line, and how many of the halves' slices make one.
const SLICE: Nanos = Nanos::from_millis(100);
const SLICES: u64 = 10;
/// A churn that closes fewer than so many of a hundred asked for is not the one asked for.
const LEAST_CHURN_PERCENT: u64 = 95;

impl StormPlan {
    /// A record of no runs yet.
    pub(super) fn record(&self) -> StormRecord {
        let options = &self.options;
        StormRecord {
            mode: match options.churn_per_second {
                Some(_) => "churn".to_owned(),
                None => "storm".to_owned(),
            },
            ending: if options.abort { "rst" } else { "fin" }.to_owned(),
            accept_queue: self.accept_queue,
            reconnects_in_flight_per_core: self.reconnects_in_flight(),
            give_up_ms: u64::try_from(options.give_up.as_millis()).unwrap_or(u64::MAX),
            churn_per_second: options.churn_per_second,
            runs: Vec::new(),
        }
    }
}

impl Measured {
    /// What the clients counted from the trouble's begin on.
    fn counted(&self) -> Counters {
        self.load.totals.since(&self.load_before.totals)
    }

    /// Connections dropped at once, or churned.
    fn dropped(&self, plan: &StormPlan) -> u64 {
        if plan.churns() {
            return self.counted().closed_by(CloseCause::Churned);
        }
        let server = self.server.totals.since(&self.server_before.totals);
        server.closed_by(CloseCause::Drained)
    }

    fn held(&self) -> u64 {
        let (server, load) = (&self.server.totals, &self.load.totals);
        server.open.min(load.open).min(self.kernel_held)
    }

    /// What ended beside those that were meant to, by cause.
    fn lost_again(&self, plan: &StormPlan) -> BTreeMap<String, u64> {
        let mut lost = self.counted().closed;
        for ours in [CloseCause::Drained, CloseCause::Churned] {
            lost.remove(ours.name());
        }
        let mut meant = if plan.churns() { 0 } else { self.dropped(plan) };
        // The server's drop is a FIN or a RST to the client.
        for cause in [CloseCause::PeerClosed, CloseCause::Reset] {
            if let Some(count) = lost.get_mut(cause.name()) {
                let taken = meant.min(*count);
                (*count, meant) = (*count - taken, meant - taken);
            }
        }
        lost.retain(|_, count| *count > 0);
        lost
    }

    pub(super) fn record(&self, plan: &StormPlan) -> Result<StormRun, ExperimentError> {
        let backoff = plan.backoff(self.run.way);
        let counted = self.counted();
        let (dropped, held) = (self.dropped(plan), self.held());
        let asked = self.spec.connections;
        let (begun, established) = self.load.reconnects.clone().unwrap_or_default();
        let measured = (self.ended - self.begun).0;
        // A slice ends up to ten milliseconds after what happened in it, and so perhaps after the meters were read.
        let back = |count: u64| {
            let at = established.reached(count.max(1), self.begun)?;
            (!plan.churns()).then(|| (at - self.begun).0.min(measured))
        };
        let all_back = self.server_after.and_then(|after| {
            let exact = self.all_back_exactly()?;
            Some((exact + after.0).min(measured))
        });
        let mut histograms = BTreeMap::new();
        for (kept, name) in HISTOGRAMS {
            if let Some(text) = self.load.histograms.get(kept) {
                histograms.insert(name.to_owned(), HistogramRecord::of(&decode(text)?)?);
            }
        }
        let failures = counted.reconnects_failed.iter();
        Ok(StormRun {
            backoff: self.run.way.to_string(),
            arm: self.run.arm.to_string(),
            base_ms: backoff.base_ms,
            cap_ms: backoff.cap_ms,
            connections: asked,
            dropped,
            recovered: dropped.saturating_sub(asked.saturating_sub(held)),
            held_at_end: held,
            half_back_ns: back(dropped.div_ceil(2)),
            p99_back_ns: back((dropped * 99).div_ceil(100)),
            all_back_ns: all_back.filter(|_| !plan.churns()),
            attempts: counted.reconnects,
            failures: failures
                .map(|(errno, count)| (errno_name(*errno), *count))
                .collect(),
            attempts_per_100ms_max: begun.most_in(SLICE),
            syn_drops: self.wire.listen_drops,
            syn_retransmits: self.wire.opening.syn_retransmits,
            pressure: self.wire.opening,
            measured_ns: measured,
            cpu_busy_ns: self.cpu.busy,
            cpu_ns: self.cpu,
            lost_again: self.lost_again(plan),
            timeline: timeline(
                &begun.since(self.begun, SLICES),
                &established.since(self.begun, SLICES),
            ),
            histograms,
        })
    }

    /// Everything doubtful about the run.
    pub(super) fn doubts(&self, plan: &StormPlan) -> Vec<Warning> {
        let mut found = Vec::new();
        let asked = self.spec.connections;
        let (before, counted) = (&self.load_before.totals, self.counted());
        if before.open != asked {
            found.push(Doubt::NotEstablished {
                established: before.open,
                asked,
                why: connect_failures(before),
            });
        }
        let (dropped, held) = (self.dropped(plan), self.held());
        if let Some(rate) = plan.options.churn_per_second {
            let expected = rate.saturating_mul(self.load.window_ns.0 / 1_000_000) / 1_000;
            if dropped * 100 < expected * LEAST_CHURN_PERCENT {
                found.push(Doubt::ChurnSlow {
                    closed: dropped,
                    expected,
                });
            }
        } else if dropped < asked {
            found.push(Doubt::NotDropped { dropped, asked });
        }
        if held != asked {
            found.push(Doubt::NotRecovered {
                held,
                asked,
                after_s: (self.ended - self.begun).0 / 1_000_000_000,
                why: self.why_missing(&counted),
            });
        }
        let failed = counted.reconnects_failed.values().sum();
        let answered = counted.reconnects_established + failed;
        if answered + self.load.totals.connecting != counted.reconnects {
            found.push(Doubt::ReconnectsAstray {
                begun: counted.reconnects,
                established: counted.reconnects_established,
                failed,
            });
        }
        self.defects(&mut found);
        found
            .iter()
            .map(|doubt| doubt.warning(&self.spec.name))
            .collect()
    }

    /// What no run of any kind may have.
    fn defects(&self, found: &mut Vec<Doubt>) {
        let (server, load) = (&self.server.totals, &self.load.totals);
        let errors = server.protocol_errors.values();
        let connections = errors.chain(load.protocol_errors.values()).sum();
        if connections > 0 {
            found.push(Doubt::ProtocolErrors { connections });
        }
        let times = server.completion_overflows + load.completion_overflows;
        if times > 0 {
            found.push(Doubt::CompletionOverflow { times });
        }
        let dropped = server.table_full + load.table_full;
        if dropped > 0 {
            found.push(Doubt::TableFull { dropped });
        }
    }

    fn why_missing(&self, counted: &Counters) -> String {
        let (server, load) = (&self.server.totals, &self.load.totals);
        if !counted.reconnects_failed.is_empty() {
            let failures = Counters {
                connects_failed: counted.reconnects_failed.clone(),
                ..Counters::default()
            };
            return connect_failures(&failures);
        }
        if load.connecting > 0 {
            return format!("{} connects were still unanswered", load.connecting);
        }
        let mut why = format!(
            "the clients held {}, the server {}, the kernel {}",
            load.open, server.open, self.kernel_held
        );
        if load.open > server.open && self.wire.opening.syn_cookies > 0 {
            why.push_str(
                "; a client that was answered with a SYN cookie, and whose last ACK met a full accept queue, is unknown \
                 to the server until it sends something",
            );
        }
        why
    }

    /// From the drop to the last return: by the series to ten milliseconds.
    fn all_back_exactly(&self) -> Option<u64> {
        let (_, established) = self.load.reconnects.as_ref()?;
        let returned = self.counted().reconnects_established;
        let at = established.reached(returned.max(1), self.begun)?;
        Some((at - self.begun).0)
    }
}

fn timeline(begun: &[u64], established: &[u64]) -> Vec<StormSlice> {
    let at = |counts: &[u64], place: usize| counts.get(place).copied().unwrap_or(0);
    (0..begun.len().max(established.len()))
        .map(|place| StormSlice {
            elapsed_ms: place as u64 * SLICE.0 / 1_000_000,
            attempts: at(begun, place),
            returned: at(established, place),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_is_named_as_people_know_it() {
        assert_eq!(errno_name(libc::ECONNREFUSED), "ECONNREFUSED");
        assert_eq!(errno_name(libc::ETIMEDOUT), "ETIMEDOUT");
        assert_eq!(errno_name(99_999), "errno 99999");
    }

    #[test]
    fn a_time_line_is_as_long_as_the_longer_series() {
        let slices = timeline(&[5, 0], &[0, 1, 4]);
        assert_eq!(slices.len(), 3);
        assert_eq!(
            slices[2],
            StormSlice {
                elapsed_ms: 200,
                attempts: 0,
                returned: 4
            }
        );
    }
}
