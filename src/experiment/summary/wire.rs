//! What an arm put on the wire: packets beside the protocol's, and what became of keepalive's probes.
//!
//! Pure.

use super::{CostPlan, Round, Trial, float, whole};
use crate::arm::Arm;
use crate::experiment::plan::ramp_span;
use crate::measure::wire::WireDelta;
use crate::protocol::FRAME_BYTES;
use crate::record::{Burst, ProbeRecord, RoundRecord, WireRecord};
use crate::units::Nanos;

/// A segment without payload: IPv4 header, TCP header, timestamps option (RFC 791, RFC 9293, RFC 7323).
const EMPTY_SEGMENT_BYTES: f64 = 52.0;

/// The packets of all windows beside the protocol's, and what the counters say of the difference.
pub(super) fn wire_record(rounds: &[Round<'_>], events: f64) -> Option<WireRecord> {
    let arm = rounds.first()?.trial.spec.arm;
    let net = |figure: fn(&WireDelta) -> u64| {
        rounds
            .iter()
            .map(|round| {
                let share = float(round.trial.window.0) / float(round.control.window.0.max(1));
                float(figure(&round.trial.wire)) - float(figure(&round.control.wire)) * share
            })
            .sum::<f64>()
    };
    let signed = |value: f64| whole(value.abs()).cast_signed() * if value < 0.0 { -1 } else { 1 };
    let packets_model =
        events * arm.packets_per_event()? + probes_beside(arm, rounds) * Arm::PACKETS_PER_PROBE;
    let frames = events * arm.frames_per_event()?;
    Some(WireRecord {
        packets: signed(net(|wire| wire.packets)),
        packets_model: signed(packets_model),
        bytes: signed(net(|wire| wire.ip_bytes)),
        bytes_model: signed(
            packets_model * EMPTY_SEGMENT_BYTES + frames * float(FRAME_BYTES as u64),
        ),
        retransmitted: signed(net(|wire| wire.retransmitted)),
        delayed_acks: signed(net(|wire| wire.delayed_acks)),
        delayed_acks_model: signed(events * arm.delayed_acks_per_event()?),
        resets: signed(net(|wire| wire.resets_received)),
    })
}

/// Probes that left beside the exchanges which are the arm's events.
pub(super) fn probes_beside(arm: Arm, rounds: &[Round<'_>]) -> f64 {
    if !(arm.has_keepalive() && arm.has_heartbeats()) {
        return 0.0;
    }
    rounds.iter().map(|round| round.attempted).sum()
}

/// How bunched the probes were, beside what was foreseen.
pub(super) fn burst(plan: &CostPlan, rounds: &[Round<'_>]) -> Burst {
    let most = |figure: fn(&Trial) -> u64| {
        rounds
            .iter()
            .map(|round| figure(round.trial))
            .max()
            .unwrap_or(0)
    };
    let Trial { spec, ramp, .. } = rounds[0].trial;
    // Where no rate was set, the ramp tells how far the deadlines lie apart.
    let ramp = match spec.ramp_rate {
        Some(rate) => Nanos::from(ramp_span(spec.connections, Some(rate))),
        None => ramp.took,
    };
    Burst {
        probes_per_10ms_max: most(|trial| trial.burst.probes_max),
        probes_per_10ms_p99: most(|trial| trial.burst.probes_p99),
        predicted_packets_per_burst: plan.predicted_burst(
            spec.arm,
            spec.connections,
            ramp.as_duration(),
        ),
        backlog_limit: plan.host.backlog,
        granule_ms: Some(plan.keepalive_granule_ms(spec.arm)),
    }
}

/// The rounds' probes added up.
pub(super) fn all_probes(rounds: &[RoundRecord]) -> ProbeRecord {
    let mut sum = ProbeRecord::default();
    for probes in rounds.iter().filter_map(|round| round.probes.as_ref()) {
        sum.attempted += probes.attempted;
        sum.on_the_wire += probes.on_the_wire;
        sum.delivered += probes.delivered;
        sum.acks_back += probes.acks_back;
        sum.killed += probes.killed;
        let cores = probes.backlog_drops_per_core.len();
        let most = sum.backlog_drops_per_core.len().max(cores);
        sum.backlog_drops_per_core.resize(most, 0);
        for (sum, drops) in sum
            .backlog_drops_per_core
            .iter_mut()
            .zip(&probes.backlog_drops_per_core)
        {
            *sum += drops;
        }
    }
    sum
}
