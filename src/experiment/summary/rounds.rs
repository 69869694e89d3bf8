//! One trial becomes its row in the record; histograms and CPU accounts of several become one.
//!
//! Pure.

use super::{Round, float, whole};
use crate::bank::Snapshot;
use crate::experiment::trial::Trial;
use crate::experiment::{ExperimentError, checks};
use crate::measure::wire::WireDelta;
use crate::record::{
    CpuNanos, Drops, HistogramRecord, MeterRecord, OpeningRecord, ProbeRecord, RoundRecord,
    SoakRecord, decode, merge,
};
use std::collections::BTreeMap;

pub(super) fn round_record(round: &Round<'_>) -> Result<RoundRecord, ExperimentError> {
    let trial = round.trial;
    let (server, load) = (&trial.server, &trial.load);
    let mut merged = BTreeMap::new();
    for (name, text) in server.histograms.iter().chain(&load.histograms) {
        fold(&mut merged, name, text)?;
    }
    let (server_end, load_end) = (&trial.server_final.totals, &trial.load_final.totals);
    let held = load
        .totals
        .open
        .min(server.totals.open)
        .min(trial.kernel_held);
    Ok(RoundRecord {
        round: trial.spec.round,
        position: u32::try_from(trial.spec.place.0).unwrap_or(u32::MAX),
        window_ns: trial.window.0,
        counting_window_ns: server.window_ns.0.max(load.window_ns.0),
        ramp_ms: trial.ramp.took.0 / 1_000_000,
        opening: opening(trial),
        connections_requested: trial.spec.connections,
        connections_established: load_end.established.min(server_end.established),
        connections_held_at_end: held,
        heartbeats_sent: in_window(server, |c| c.heartbeats_sent)
            + in_window(load, |c| c.heartbeats_sent),
        heartbeats_received: in_window(server, |c| c.heartbeats_received)
            + in_window(load, |c| c.heartbeats_received),
        acks_received: in_window(server, |c| c.acks_received)
            + in_window(load, |c| c.acks_received),
        heartbeats_scheduled: checks::scheduled(trial),
        heartbeats_timed_out: in_window(server, |c| c.heartbeats_timed_out)
            + in_window(load, |c| c.heartbeats_timed_out),
        heartbeats_sent_total: server_end.heartbeats_sent + load_end.heartbeats_sent,
        heartbeats_received_total: server_end.heartbeats_received + load_end.heartbeats_received,
        probes_attempted: trial.wire.probes_attempted,
        events: whole(round.events.unwrap_or(0.0)),
        cpu_ns: trial.cpu,
        meters: Some(MeterRecord {
            soaker: soaker(round),
            ..trial.meters.clone()
        }),
        // Their fate is told by the counters of both ends.
        probes: (trial.spec.arm.counts_probes() && trial.hosts.is_empty()).then(|| probes(round)),
        packets: trial.wire.packets,
        wire_bytes: trial.wire.ip_bytes,
        drops: Drops {
            softnet_backlog: trial.wire.softnet_drops,
            listen: trial.listen_drops,
            cq_overflow: server_end.completion_overflows + load_end.completion_overflows,
            receive_buffers: server_end.buffers_exhausted + load_end.buffers_exhausted,
            retransmitted: trial.wire.retransmitted,
        },
        connections_lost: checks::lost(server_end, load_end),
        hosts: trial.hosts.clone(),
        histograms: merged,
        window_started_epoch_ms: trial.window_epoch_ms,
    })
}

fn soaker(round: &Round<'_>) -> Option<SoakRecord> {
    let trial = round.trial;
    let events = whole(round.events.unwrap_or(0.0));
    let stretch = trial.stretch.as_ref()?;
    Some(stretch.record(trial.window, events, trial.wire.probes_attempted))
}

/// What became of a window's probes; see [`WireDelta`] for what counts them.
fn probes(round: &Round<'_>) -> ProbeRecord {
    let (wire, control) = (&round.trial.wire, &round.control.wire);
    let share = float(round.trial.window.0) / float(round.control.window.0.max(1));
    let net = |figure: fn(&WireDelta) -> u64| {
        whole((float(figure(wire)) - float(figure(control)) * share).max(0.0))
    };
    // All that an idle connection receives is a probe or the ACK of one.
    let arrived = net(WireDelta::probes_answered).min(wire.probes_attempted);
    let acks = net(WireDelta::probe_acks_back).min(arrived);
    let resets = net(|wire| wire.resets_received);
    ProbeRecord {
        attempted: wire.probes_attempted,
        on_the_wire: net(|wire| wire.packets)
            .saturating_sub(acks + resets)
            .min(wire.probes_attempted),
        delivered: arrived,
        acks_back: acks,
        backlog_drops_per_core: round
            .trial
            .meters
            .cores
            .iter()
            .map(|core| core.backlog_drops)
            .collect(),
        killed: checks::killed_by_keepalive(round.trial),
    }
}

fn opening(trial: &Trial) -> OpeningRecord {
    let took = trial.ramp.took;
    let established = trial.load_final.totals.established;
    OpeningRecord {
        took_ns: (took.0 > 0).then_some(took.0),
        connects_per_second: (took.0 > 0).then(|| float(established) / took.as_secs_f64()),
        pressure: trial.opening,
    }
}

pub(super) fn in_window(snapshot: &Snapshot, figure: fn(&crate::shard::Counters) -> u64) -> u64 {
    snapshot.window.as_ref().map_or(0, figure)
}

/// Merged over the rounds, by name.
pub(super) fn histograms(
    rounds: &[RoundRecord],
) -> Result<BTreeMap<String, HistogramRecord>, ExperimentError> {
    let mut merged = BTreeMap::new();
    for (name, text) in rounds.iter().flat_map(|round| &round.histograms) {
        fold(&mut merged, name, text)?;
    }
    merged
        .into_iter()
        .map(|(name, text)| Ok((name, HistogramRecord::of(&decode(&text)?)?)))
        .collect()
}

fn fold(
    merged: &mut BTreeMap<String, String>,
    name: &str,
    text: &str,
) -> Result<(), ExperimentError> {
    let sum = match merged.get(name) {
        Some(other) => merge(other, text)?,
        None => text.to_owned(),
    };
    merged.insert(name.to_owned(), sum);
    Ok(())
}

pub(super) fn mean_cpu(rounds: &[Round<'_>]) -> CpuNanos {
    let count = rounds.len() as u64;
    let mean = |figure: fn(&CpuNanos) -> u64| {
        rounds
            .iter()
            .map(|round| figure(&round.trial.cpu))
            .sum::<u64>()
            / count.max(1)
    };
    let ksoftirqd = rounds
        .iter()
        .map(|round| round.trial.cpu.ksoftirqd)
        .sum::<Option<u64>>();
    let load = rounds
        .iter()
        .map(|round| round.trial.cpu.load_process)
        .sum::<Option<u64>>();
    CpuNanos {
        busy: mean(|cpu| cpu.busy),
        user: mean(|cpu| cpu.user),
        system: mean(|cpu| cpu.system),
        softirq: mean(|cpu| cpu.softirq),
        irq: mean(|cpu| cpu.irq),
        steal: mean(|cpu| cpu.steal),
        ksoftirqd: ksoftirqd.map(|sum| sum / count.max(1)),
        server_process: mean(|cpu| cpu.server_process),
        load_process: load.map(|sum| sum / count.max(1)),
    }
}
