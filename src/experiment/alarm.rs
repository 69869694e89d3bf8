//! Reasons to doubt a run that show while it goes, each said once.
//!
//! Does not judge: what holds is decided at the end, by the same measures and from all that was counted. Pure.

use super::doubt::Doubt;
use crate::record::OpeningPressure;
use crate::shard::Counters;
use crate::units::{HumanBytes, HumanCount, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// What a look at a run sees.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    /// Since the start, of one end or of both added together.
    pub counters: Counters,
    /// 99th percentile of how late heartbeats have left since the last look.
    pub schedule_lag_p99: Option<Nanos>,
    /// Heartbeat interval.
    pub interval: Nanos,
    /// Packets the kernel has dropped before delivery since the last look.
    pub backlog_drops: u64,
    /// What listeners and SYN queues have met with since the last look.
    pub opening: OpeningPressure,
    /// Whether connections should stay.
    pub shall_hold: bool,
}

/// What has been said of one trial.
#[derive(Debug, Default)]
pub struct Alarms {
    said: BTreeSet<&'static str>,
}

impl Alarms {
    /// What is new, in sentences that say what to do about it.
    pub fn look(&mut self, signs: &Signs) -> Vec<String> {
        let mut new = Vec::new();
        for doubt in doubts(signs) {
            if self.said.insert(doubt.code()) {
                new.push(format!("{doubt}; {}", doubt.advice()));
            }
        }
        if signs.shall_hold && signs.counters.lost() > 0 && self.said.insert("connections-lost") {
            let causes = listed(&signs.counters.closed);
            new.push(format!(
                "connections end though nothing was done to them ({causes}); look for other load, memory pressure or a \
                 firewall on the path"
            ));
        }
        new
    }

    /// A sentence when less memory is `usable` than `reserve`, which should stay free.
    pub fn memory(&mut self, usable: u64, reserve: u64) -> Option<String> {
        let short = usable < reserve && self.said.insert("memory-short");
        short.then(|| {
            format!(
                "memory gets short: {} are still usable, and {} should stay free; stop what else takes memory, or ask \
                 for fewer connections",
                HumanBytes(usable),
                HumanBytes(reserve)
            )
        })
    }
}

/// The doubts of the record that can be had already.
fn doubts(signs: &Signs) -> Vec<Doubt> {
    let counters = &signs.counters;
    let (skipped, scheduled) = (
        counters.heartbeats_skipped,
        counters.heartbeats_skipped + counters.heartbeats_sent,
    );
    let late = signs.schedule_lag_p99.unwrap_or(Nanos::ZERO);
    let mut found = Vec::new();
    let mut doubt = |is_so: bool, what: Doubt| found.extend(is_so.then_some(what));
    doubt(
        skipped * 100 > scheduled,
        Doubt::LoadSkipped { skipped, scheduled },
    );
    doubt(
        signs.interval > Nanos::ZERO && late.0 > signs.interval.0 / 2,
        Doubt::LoadLate {
            p99_ms: late.0 / 1_000_000,
        },
    );
    doubt(
        signs.backlog_drops > 0,
        Doubt::BacklogDrops {
            packets: signs.backlog_drops,
        },
    );
    doubt(
        counters.completion_overflows > 0,
        Doubt::CompletionOverflow {
            times: counters.completion_overflows,
        },
    );
    doubt(
        counters.buffers_exhausted > 0,
        Doubt::ReceiveBuffers {
            times: counters.buffers_exhausted,
        },
    );
    doubt(
        counters.table_full > 0,
        Doubt::TableFull {
            dropped: counters.table_full,
        },
    );
    let connections = counters.protocol_errors.values().sum();
    doubt(connections > 0, Doubt::ProtocolErrors { connections });
    of_opening(signs.opening, &mut doubt);
    found
}

/// What queues met with.
fn of_opening(met: OpeningPressure, doubt: &mut impl FnMut(bool, Doubt)) {
    doubt(
        met.listen_overflows > 0,
        Doubt::AcceptQueueOverflow {
            times: met.listen_overflows,
        },
    );
    doubt(
        met.listen_drops > met.listen_overflows,
        Doubt::ListenDrops {
            dropped: met.listen_drops,
            overflows: met.listen_overflows,
        },
    );
    doubt(
        met.syn_queue_drops + met.syn_cookies > 0,
        Doubt::SynQueueFull {
            dropped: met.syn_queue_drops,
            cookies: met.syn_cookies,
        },
    );
    doubt(
        met.syn_retransmits > 0,
        Doubt::SynRetransmitted {
            segments: met.syn_retransmits,
        },
    );
}

/// `peer-closed 500, reset 1,500`.
pub(super) fn listed(causes: &BTreeMap<String, u64>) -> String {
    if causes.is_empty() {
        return "none was told".to_owned();
    }
    let causes = causes.iter();
    let parts: Vec<_> = causes
        .map(|(cause, count)| format!("{cause} {}", HumanCount(*count)))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::CloseCause;

    #[test]
    fn an_alarm_is_raised_once_and_says_what_to_do() {
        let mut alarms = Alarms::default();
        let mut signs = Signs {
            interval: Nanos::from_secs(3),
            schedule_lag_p99: Some(Nanos::from_millis(1_400)),
            shall_hold: true,
            ..Signs::default()
        };
        signs.counters.heartbeats_sent = 1_000;
        signs.counters.heartbeats_skipped = 10;
        assert!(alarms.look(&signs).is_empty(), "nothing is wrong yet");
        signs.backlog_drops = 7;
        signs.opening.listen_overflows = 3;
        signs.opening.listen_drops = 3;
        let said = alarms.look(&signs);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("dropped 7 packets") && said[0].contains("netdev_max_backlog"));
        assert!(
            said[1].contains("full 3 times") && said[1].contains("somaxconn"),
            "{said:?}"
        );
        signs.backlog_drops = 9;
        assert!(alarms.look(&signs).is_empty(), "it has been said");
        signs.schedule_lag_p99 = Some(Nanos::from_millis(1_600));
        signs.counters.closed(CloseCause::Drained);
        assert_eq!(alarms.look(&signs).len(), 1, "what we end is not lost");
        signs.counters.closed(CloseCause::Reset);
        let said = alarms.look(&signs);
        assert!(
            said.len() == 1 && said[0].contains("reset 1"),
            "of skipped and late only one is said: {said:?}"
        );
    }

    #[test]
    fn memory_is_foretold_before_the_run_ends_itself() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.memory(300 << 20, 256 << 20), None);
        let said = alarms.memory(200 << 20, 256 << 20).unwrap();
        assert!(
            said.contains("200 MiB") && said.contains("256 MiB"),
            "{said}"
        );
        assert_eq!(alarms.memory(190 << 20, 256 << 20), None);
    }
}
