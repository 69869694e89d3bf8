//! The rounds of one ending become its figures, and its reasons for doubt.
//!
//! Does not run anything.

use super::plan::Ending;
use super::sustained::Sustained;
use super::trial::{Stretch, Turned};
use crate::experiment::ExperimentError;
use crate::experiment::checks::connect_failures;
use crate::experiment::doubt::Doubt;
use crate::experiment::summary::float;
use crate::measure::statistics::paired_bootstrap;
use crate::record::{CpuNanos, Estimate, HistogramRecord, TurnoverRecord, Warning, decode, merge};
use crate::shard::{CloseCause, Counters};
use crate::units::{HumanCount, Nanos};
use std::collections::BTreeMap;

/// `/proc/stat`'s idle column is right to 10 ms at either end of a stretch, per CPU.
const RESOLUTION_NS: u64 = 20_000_000;
/// Packets that nobody's connections sent (neighbour discovery), and what a round may be off by for them.
const STRAY_PACKETS: f64 = 40.0;
/// Sockets that may be missing from `TIME_WAIT`, of a thousand: a dump is no snapshot.
const MISSING_PER_MILLE: u64 = 5;

/// Nothing of a stretch but what was spent beyond idling, as the bootstrap takes it.
struct Spent {
    busy: Vec<f64>,
    idle: Vec<f64>,
    events: Vec<f64>,
}

impl Spent {
    fn of(rounds: &[&Turned], stretch: fn(&Turned) -> &Stretch) -> Self {
        let spent = |round: &&Turned| float(stretch(round).cpu.busy);
        let idling = |round: &&Turned| {
            let per_second = float(round.idle.cpu.busy) / round.idle.span.as_secs_f64().max(1e-9);
            per_second * stretch(round).span.as_secs_f64()
        };
        Self {
            busy: rounds.iter().map(spent).collect(),
            idle: rounds.iter().map(idling).collect(),
            events: events(rounds),
        }
    }

    fn estimate(&self, floor: f64, seed: u64) -> Result<Estimate, ExperimentError> {
        Ok(paired_bootstrap(
            &self.busy,
            &self.idle,
            &self.events,
            floor,
            seed,
        )?)
    }
}

/// The record of `ending` from its rounds; `None` without any. `cpus` is how many `/proc/stat` has.
pub(super) fn record(
    ending: Ending,
    all: &[Turned],
    sustained: Option<&Sustained>,
    (cpus, seed): (u64, u64),
) -> Result<Option<TurnoverRecord>, ExperimentError> {
    let of_ending = all.iter().filter(|round| round.ending == ending);
    let rounds: Vec<&Turned> = of_ending.filter(|round| round.established > 0).collect();
    let Some(first) = rounds.first() else {
        return Ok(None);
    };
    let floor = float(RESOLUTION_NS * cpus);
    let rate = |span: fn(&Turned) -> Nanos| {
        let rates: Vec<f64> = rounds
            .iter()
            .map(|round| float(round.established) / span(round).as_secs_f64().max(1e-9))
            .collect();
        let (none, one) = (vec![0.0; rates.len()], vec![1.0; rates.len()]);
        paired_bootstrap(&rates, &none, &one, 0.0, seed)
    };
    let mean = |figure: fn(&Turned) -> u64| {
        let sum: u64 = rounds.iter().map(|round| figure(round)).sum();
        sum / rounds.len() as u64
    };
    let mut connect: Option<String> = None;
    for text in rounds.iter().filter_map(|round| round.connect.as_deref()) {
        connect = Some(match connect {
            None => text.to_owned(),
            Some(mine) => merge(&mine, text)?,
        });
    }
    let mut histograms = BTreeMap::new();
    if let Some(text) = connect {
        histograms.insert("connect".to_owned(), HistogramRecord::of(&decode(&text)?)?);
    }
    Ok(Some(TurnoverRecord {
        ending: ending.to_string(),
        connections: first.asked,
        rounds: u32::try_from(rounds.len()).unwrap_or(u32::MAX),
        connects_per_second: rate(|round| round.opened_in)?,
        closes_per_second: rate(|round| round.closed_in)?,
        cpu_ns_per_connect: Spent::of(&rounds, |round| &round.opening).estimate(floor, seed)?,
        cpu_ns_per_close: Spent::of(&rounds, |round| &round.closing).estimate(floor, seed)?,
        connect_cpu_ns: total(rounds.iter().map(|round| round.opening.cpu)),
        close_cpu_ns: total(rounds.iter().map(|round| round.closing.cpu)),
        packets_per_connect: packets(&rounds, |round| &round.opening),
        packets_per_close: packets(&rounds, |round| &round.closing),
        time_wait_server: mean(|round| round.time_wait.0),
        time_wait_client: mean(|round| round.time_wait.1),
        unexpected: unexpected(&rounds),
        histograms,
        sustained: sustained.map(|measured| measured.record.clone()),
    }))
}

fn packets(rounds: &[&Turned], stretch: fn(&Turned) -> &Stretch) -> f64 {
    let sum: u64 = rounds.iter().map(|round| stretch(round).wire.packets).sum();
    let events: f64 = events(rounds).iter().sum();
    float(sum) / events.max(1.0)
}

fn events(rounds: &[&Turned]) -> Vec<f64> {
    rounds
        .iter()
        .map(|round| float(round.established))
        .collect()
}

/// Connections that ended in another way than asked for, at either end, by cause; and those that did not end.
fn unexpected(rounds: &[&Turned]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for round in rounds {
        let (server, load) = (&round.server.1.totals, &round.load.1.totals);
        let (ours, theirs) = (CloseCause::Drained, round.ending.seen_as());
        let expected = if round.ending.by_server() {
            [(server, ours), (load, theirs)]
        } else {
            [(server, theirs), (load, ours)]
        };
        for (counters, meant) in expected {
            for (cause, count) in others(counters, meant) {
                *found.entry(cause).or_default() += count;
            }
        }
        if round.left > 0 {
            *found.entry("not-gone".to_owned()).or_default() += round.left;
        }
    }
    found
}

fn others(counters: &Counters, meant: CloseCause) -> impl Iterator<Item = (String, u64)> {
    let all = counters.closed.iter();
    all.filter(move |(cause, count)| *cause != meant.name() && **count > 0)
        .map(|(cause, count)| (cause.clone(), *count))
}

/// Everything doubtful about a round.
pub(super) fn doubts(round: &Turned, name: &str) -> Vec<Warning> {
    let mut found = Vec::new();
    if round.established != round.asked {
        found.push(Doubt::NotEstablished {
            established: round.established,
            asked: round.asked,
            why: connect_failures(&round.load.0.totals),
        });
    }
    let model = |stretch: &Stretch, (least, most): (f64, f64), of: &str| {
        let each = float(stretch.wire.packets) / float(round.established.max(1));
        let stray = STRAY_PACKETS / float(round.established.max(1));
        let again = stretch.wire.retransmitted;
        (each < least - stray || each > most + stray).then(|| Doubt::PacketsOffModel {
            measured: each,
            model: if each < least { least } else { most },
            explained: format!(" at most for {of}; {again} segments were sent again"),
        })
    };
    found.extend(model(&round.opening, (3.0, 3.0), "a set-up"));
    found.extend(model(&round.closing, round.ending.packets(), "a tear-down"));
    found.extend(active_closer(round));
    let strays = unexpected(&[round]);
    if !strays.is_empty() {
        found.push(Doubt::RuleBroken {
            expected: format!("all to end by {}", round.ending),
            seen: format!("{strays:?}"),
        });
    }
    found.iter().map(|doubt| doubt.warning(name)).collect()
}

/// Who holds `TIME_WAIT`, against the rule.
fn active_closer(round: &Turned) -> Option<Doubt> {
    let expected = round.ending.time_wait(round.established);
    let near =
        |seen: u64, meant: u64| seen.abs_diff(meant) <= (meant * MISSING_PER_MILLE).div_ceil(1_000);
    let (server, client) = round.time_wait;
    let held = near(server, expected.0) && near(client, expected.1);
    (!held).then(|| Doubt::RuleBroken {
        expected: format!(
            "{} sockets in TIME_WAIT at the server and {} at the client, since whoever sends the first FIN waits \
             (RFC 9293, section 3.6)",
            HumanCount(expected.0),
            HumanCount(expected.1)
        ),
        seen: format!("{} and {}", HumanCount(server), HumanCount(client)),
    })
}

/// Everything noteworthy about a sustained stretch.
pub(super) fn doubts_of_sustained(sustained: &Sustained, name: &str) -> Vec<Warning> {
    let mut found = Vec::new();
    let record = &sustained.record;
    if let Some(most) = sustained.most_time_wait
        && record.time_wait >= most
    {
        found.push(Warning {
            code: "time-wait-full".to_owned(),
            message: format!(
                "{name}: net.ipv4.tcp_max_tw_buckets = {most} was reached: sockets beyond it are closed at once, without \
                 the wait that keeps old segments out of new connections"
            ),
            advice: "this is what the setting does; raise it to have every socket wait".to_owned(),
            invalidates: false,
        });
    }
    let failed: u64 = record.failures.values().sum();
    if failed > 0 {
        found.push(Warning {
            code: "connects-failed".to_owned(),
            message: format!("{name}: {failed} connects failed: {:?}", record.failures),
            advice: "EADDRNOTAVAIL: the client's ports are used up, which more addresses cure"
                .to_owned(),
            invalidates: false,
        });
    }
    found
}

/// All accounts added up.
pub(super) fn total(parts: impl Iterator<Item = CpuNanos>) -> CpuNanos {
    parts.fold(CpuNanos::default(), |sum, part| CpuNanos {
        busy: sum.busy + part.busy,
        user: sum.user + part.user,
        system: sum.system + part.system,
        softirq: sum.softirq + part.softirq,
        irq: sum.irq + part.irq,
        steal: sum.steal + part.steal,
        ksoftirqd: match (sum.ksoftirqd, part.ksoftirqd) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        },
        server_process: sum.server_process + part.server_process,
        load_process: match (sum.load_process, part.load_process) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        },
    })
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
