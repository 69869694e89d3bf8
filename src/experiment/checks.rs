//! What must hold of a trial, and the typed reasons to doubt it.
//!
//! Pure. A warning says what was seen and what to do; one that `invalidates` makes the run's exit code 1. Healthy
//! connections closed by keepalive are a result, not an error of the run, and are worded so.

use super::doubt::Doubt;
use super::plan::CostPlan;
use super::summary::{float, whole};
use super::trial::Trial;
use crate::arm::Arm;
use crate::record::{ArmRecord, NoiseRecord, Warning, WireRecord};
use crate::shard::{CloseCause, Counters};
use crate::units::HumanCount;
use nix::errno::Errno;
use std::collections::BTreeMap;

/// Causes that only tell of the other end's decision.
const CONSEQUENCES: [CloseCause; 2] = [CloseCause::Reset, CloseCause::PeerClosed];

/// Lost connections by cause, each once: a reset or a FIN that follows from the other end's verdict is left out.
pub(super) fn lost(server: &Counters, load: &Counters) -> BTreeMap<String, u64> {
    let split = |counters: &Counters| {
        let consequences: u64 = CONSEQUENCES
            .iter()
            .map(|cause| counters.closed_by(*cause))
            .sum();
        let all: u64 = counters.closed.values().sum();
        (all - consequences, consequences)
    };
    let mut lost: BTreeMap<String, u64> = BTreeMap::new();
    for (own, other) in [(server, load), (load, server)] {
        let (decided_there, _) = split(other);
        let (_, suffered_here) = split(own);
        for (cause, count) in &own.closed {
            let consequence = CONSEQUENCES.iter().any(|known| known.name() == cause);
            let count = if consequence {
                // What the other end decided explains that many of them, in proportion.
                count * suffered_here.saturating_sub(decided_there) / suffered_here.max(1)
            } else {
                *count
            };
            if count > 0 {
                *lost.entry(cause.clone()).or_default() += count;
            }
        }
    }
    lost
}

/// Healthy connections that keepalive closed, from the first connect to the end.
pub(super) fn killed_by_keepalive(trial: &Trial) -> u64 {
    let (server, load) = (&trial.server_final.totals, &trial.load_final.totals);
    let lost = lost(server, load);
    lost.get(CloseCause::KeepaliveTimeout.name())
        .copied()
        .unwrap_or(0)
}

/// Whether every heartbeat that was sent is accounted for: received, refused by a full send buffer, or lost with a
/// connection that ended.
pub(super) fn balanced(server: &Counters, load: &Counters) -> bool {
    let sent = server.heartbeats_sent + load.heartbeats_sent;
    let received = server.heartbeats_received + load.heartbeats_received;
    let blocked = server.sends_blocked + load.sends_blocked;
    let ended: u64 = server.closed.values().chain(load.closed.values()).sum();
    received <= sent && sent - received <= blocked + ended
}

/// Whether what each end suffered is explained by what the other end had decided when it was asked: no more resets and
/// FINs than verdicts. The halves answer one after the other, so while keepalive closes connections the later answer may
/// hold the consequences of verdicts that the earlier one lacks.
pub(super) fn explained(server: &Counters, load: &Counters) -> bool {
    let lost = lost(server, load);
    CONSEQUENCES
        .iter()
        .all(|cause| !lost.contains_key(cause.name()))
}

/// Heartbeats that the schedule asks for in the trial's counting window.
pub(super) fn scheduled(trial: &Trial) -> u64 {
    let sender = match trial.spec.arm {
        Arm::None | Arm::Keepalive | Arm::KeepaliveUserTimeout => return 0,
        Arm::Heartbeat | Arm::HeartbeatOneway | Arm::Both => &trial.load,
        Arm::HeartbeatPush => &trial.server,
    };
    sender.window.as_ref().map_or(0, |window| {
        window.heartbeats_sent + window.heartbeats_skipped
    })
}

/// Failed connects in words.
pub(super) fn connect_failures(totals: &Counters) -> String {
    if totals.connects_failed.is_empty() {
        return "no connect was answered: is the accept queue full (ListenOverflows in `nstat -az`)? Then ramp more \
                slowly (--in-flight, --ramp-rate)"
            .to_owned();
    }
    let parts: Vec<String> = totals
        .connects_failed
        .iter()
        .map(|(errno, count)| {
            let error = std::io::Error::from_raw_os_error(*errno);
            format!("{} × {error}{}", HumanCount(*count), remedy(*errno))
        })
        .collect();
    parts.join("; ")
}

/// `ECONNREFUSED` for 111, and so on.
pub(super) fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

fn remedy(errno: i32) -> &'static str {
    match errno {
        libc::EADDRNOTAVAIL => {
            " (local ports are used up: more destination or source addresses have more, or widen \
             net.ipv4.ip_local_port_range, e.g. `sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'`)"
        }
        libc::ECONNREFUSED => " (nobody listens there: look at what the server said last)",
        libc::ENFILE | libc::EMFILE => {
            " (open files are used up: raise `ulimit -n` or fs.file-max)"
        }
        libc::ENOMEM | libc::ENOBUFS => {
            " (the kernel has no memory for sockets: see `sysctl net.ipv4.tcp_mem`, or ask for fewer connections)"
        }
        libc::ETIMEDOUT => {
            " (no SYN was answered: ramp more slowly with --in-flight or --ramp-rate)"
        }
        libc::ECONNRESET => {
            " (answered and taken back: is an accept queue full with net.ipv4.tcp_abort_on_overflow=1?)"
        }
        _ => "",
    }
}

/// Everything doubtful about one trial.
pub(super) fn of_trial(plan: &CostPlan, trial: &Trial) -> Vec<Warning> {
    let mut found = Vec::new();
    population(trial, &mut found);
    honesty(plan, trial, &mut found);
    opening(trial, &mut found);
    if trial.wire.softnet_drops > 0 && !trial.spec.arm.has_keepalive() {
        found.push(Doubt::BacklogDrops {
            packets: trial.wire.softnet_drops,
        });
    }
    let (server, load) = (&trial.server_final.totals, &trial.load_final.totals);
    let overflows = server.completion_overflows + load.completion_overflows;
    if overflows > 0 {
        found.push(Doubt::CompletionOverflow { times: overflows });
    }
    let starved = server.buffers_exhausted + load.buffers_exhausted;
    if starved > 0 {
        found.push(Doubt::ReceiveBuffers { times: starved });
    }
    let place = format!("{}, round {}", trial.spec.name, trial.spec.round + 1);
    found.iter().map(|doubt| doubt.warning(&place)).collect()
}

/// What the ramp met with. The kernel sends a lost SYN again by itself, after a second and then ever later: what it
/// hides in slow connects is said here.
fn opening(trial: &Trial, found: &mut Vec<Doubt>) {
    let met = trial.opening;
    if met.listen_overflows > 0 {
        found.push(Doubt::AcceptQueueOverflow {
            times: met.listen_overflows,
        });
    }
    let others = trial.listen_drops.max(met.listen_drops);
    if others > met.listen_overflows {
        found.push(Doubt::ListenDrops {
            dropped: others,
            overflows: met.listen_overflows,
        });
    }
    if met.syn_queue_drops + met.syn_cookies > 0 {
        found.push(Doubt::SynQueueFull {
            dropped: met.syn_queue_drops,
            cookies: met.syn_cookies,
        });
    }
    if met.syn_retransmits > 0 {
        found.push(Doubt::SynRetransmitted {
            segments: met.syn_retransmits,
        });
    }
    let dropped = trial.server_final.totals.table_full + trial.load_final.totals.table_full;
    if dropped > 0 {
        found.push(Doubt::TableFull { dropped });
    }
}

/// Why fewer were established than asked for.
fn not_established(asked: u64, server: &Counters, load: &Counters) -> String {
    if load.established < asked {
        return connect_failures(load);
    }
    format!(
        "the load generator believes that it has all, but the server has taken only {}: their last ACK met a full \
         accept queue",
        HumanCount(server.established)
    )
}

/// Asked, established, held.
fn population(trial: &Trial, found: &mut Vec<Doubt>) {
    let (server, load) = (&trial.server_final.totals, &trial.load_final.totals);
    let established = load.established.min(server.established);
    if established != trial.spec.connections {
        found.push(Doubt::NotEstablished {
            established,
            asked: trial.spec.connections,
            why: not_established(trial.spec.connections, server, load),
        });
    }
    let lost = lost(server, load);
    let by_keepalive = killed_by_keepalive(trial);
    if by_keepalive > 0 {
        found.push(Doubt::KeepaliveKilled {
            killed: by_keepalive,
            of: trial.spec.connections,
            dropped: trial.wire.softnet_drops,
        });
    }
    let others: u64 = lost.values().sum::<u64>() - by_keepalive;
    let held = trial
        .load
        .totals
        .open
        .min(trial.server.totals.open)
        .min(trial.kernel_held);
    // While keepalive closes connections, the other ends' resets are counted a moment later than its verdicts.
    if by_keepalive == 0 && (others > 0 || held != established) {
        found.push(Doubt::ConnectionsLost {
            held,
            established,
            causes: lost,
        });
    }
    let errors = server.protocol_errors.values();
    let errors = errors.chain(load.protocol_errors.values()).sum();
    if errors > 0 {
        found.push(Doubt::ProtocolErrors {
            connections: errors,
        });
    }
}

/// Whether both ends count the same heartbeats and the load side kept its schedule.
fn honesty(plan: &CostPlan, trial: &Trial, found: &mut Vec<Doubt>) {
    let (server, load) = (&trial.server_final.totals, &trial.load_final.totals);
    if !balanced(server, load) {
        found.push(Doubt::CountMismatch {
            sent: server.heartbeats_sent + load.heartbeats_sent,
            received: server.heartbeats_received + load.heartbeats_received,
            blocked: server.sends_blocked + load.sends_blocked,
        });
    }
    let skipped = [&trial.server, &trial.load]
        .iter()
        .filter_map(|snapshot| snapshot.window.as_ref())
        .map(|window| window.heartbeats_skipped)
        .sum::<u64>();
    let scheduled = scheduled(trial);
    // One in a hundred is the rate ratio below which a load generator is no longer offering its load.
    if skipped * 100 > scheduled {
        found.push(Doubt::LoadSkipped { skipped, scheduled });
    }
    let expected = float(trial.spec.connections) * float(trial.load.window_ns.0)
        / float(plan.options.budget.interval.0.max(1));
    if trial.spec.arm.has_heartbeats() && float(scheduled) < 0.95 * expected {
        found.push(Doubt::RateLow {
            scheduled,
            expected: whole(expected),
        });
    }
}

/// Everything doubtful about an arm as a whole.
pub(super) fn of_arm(
    arm: &ArmRecord,
    plan: &CostPlan,
    noise: Option<&NoiseRecord>,
) -> Vec<Warning> {
    let mut found = Vec::new();
    if arm
        .cpu_ns_per_event
        .is_some_and(|estimate| !estimate.resolved)
    {
        found.push(Doubt::NotResolved);
    }
    if let (Some(measured), Some(model)) = (arm.packets_per_event, arm.packets_per_event_model)
        && (measured - model).abs() > 0.15 * model
        && arm.drops.softnet_backlog == 0
    {
        found.push(Doubt::PacketsOffModel {
            measured,
            model,
            explained: arm.wire.as_ref().map(explanation).unwrap_or_default(),
        });
    }
    found.extend(noise.and_then(|noise| disagreement(arm, noise)));
    let lag = arm.histograms.get("schedule_lag").map_or(0, |lag| lag.p99);
    if lag > plan.options.budget.interval.0 / 2 {
        found.push(Doubt::LoadLate {
            p99_ms: lag / 1_000_000,
        });
    }
    found.iter().map(|doubt| doubt.warning(&arm.name)).collect()
}

/// What the wire's counters say of packets beyond the model.
fn explanation(wire: &WireRecord) -> String {
    format!(
        " ({} more than modelled: {} segments sent again, {} RSTs, {} ACKs that left alone where the model has {})",
        wire.packets - wire.packets_model,
        wire.retransmitted,
        wire.resets,
        wire.delayed_acks,
        wire.delayed_acks_model
    )
}

/// Two meters of the same cost that differ by more than both their floors.
fn disagreement(arm: &ArmRecord, noise: &NoiseRecord) -> Option<Doubt> {
    let (stat, soaker) = (arm.cpu_ns_per_event?, arm.soaker_cpu_ns_per_event?);
    let apart = float(stat.median.abs_diff(soaker.median)) * arm.events_per_second?;
    let floors = noise.stat_floor_ns_per_s + noise.soaker_floor_ns_per_s?;
    // Where the intervals overlap the rounds themselves say that no more is known.
    let overlap = stat.low <= soaker.high && soaker.low <= stat.high;
    (!overlap && apart > float(floors)).then(|| Doubt::MetersDisagree {
        stat_ns: stat.median,
        soaker_ns: soaker.median,
        apart_ns_per_s: whole(apart),
        floors_ns_per_s: floors,
    })
}

/// Everything doubtful about the machine's meters.
pub(super) fn of_noise(noise: &NoiseRecord) -> Vec<Warning> {
    let mut found = Vec::new();
    if noise.tick_sampled == Some(true) {
        found.push(Doubt::TickSampled);
    }
    // Below that it is within what a busy machine's caches do.
    if let Some(drift) = noise.drift_milli.filter(|drift| *drift > 100) {
        found.push(Doubt::SpeedDrift {
            percent: float(drift) / 10.0,
        });
    }
    let missing = noise.idle.iter().filter_map(|phase| {
        let unseen = phase.stat_busy_ns_per_s + phase.steal_ns_per_s;
        Some(phase.soaker_taken_ns_per_s?.saturating_sub(unseen))
    });
    // The quietest phase: what is missing always is the hypervisor's, what is missing once is a neighbour's.
    if let Some(least) = missing.min()
        && least > 10_000_000
    {
        found.push(Doubt::HiddenSteal {
            percent: float(least) / 1e7,
        });
    }
    found.iter().map(|doubt| doubt.warning("")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Estimate, IdlePhase};

    fn counters(closed: &[(CloseCause, u64)]) -> Counters {
        let closed = closed
            .iter()
            .map(|(cause, count)| (cause.name().to_owned(), *count))
            .collect();
        Counters {
            closed,
            ..Counters::default()
        }
    }

    #[test]
    fn a_loss_is_counted_once_and_at_the_end_that_decided() {
        let server = counters(&[(CloseCause::KeepaliveTimeout, 90)]);
        let load = counters(&[(CloseCause::Reset, 90)]);
        let lost = lost(&server, &load);
        assert_eq!(
            lost.into_iter().collect::<Vec<_>>(),
            [("keepalive-timeout".to_owned(), 90)]
        );
    }

    #[test]
    fn a_reset_nobody_decided_stays_a_reset() {
        let server = counters(&[(CloseCause::Reset, 7)]);
        assert_eq!(lost(&server, &counters(&[])).get("reset"), Some(&7));
        let mixed = lost(&server, &counters(&[(CloseCause::AnswerTimeout, 5)]));
        assert_eq!(
            (mixed.get("reset"), mixed.get("answer-timeout")),
            (Some(&2), Some(&5))
        );
    }

    #[test]
    fn resets_without_verdicts_are_unexplained_until_the_verdicts_are_seen() {
        let load = counters(&[(CloseCause::Reset, 893)]);
        assert!(
            !explained(&counters(&[]), &load),
            "the server was asked before it decided"
        );
        let decided = counters(&[(CloseCause::KeepaliveTimeout, 900)]);
        assert!(explained(&decided, &load), "seven resets are on their way");
    }

    #[test]
    fn meters_disagree_only_beyond_their_intervals_and_floors() {
        let estimate = |median: i64| {
            Some(Estimate {
                median,
                low: median - 100,
                high: median + 100,
                resolved: true,
            })
        };
        let arm = ArmRecord {
            cpu_ns_per_event: estimate(8_000),
            soaker_cpu_ns_per_event: estimate(5_000),
            events_per_second: Some(30_000.0),
            ..ArmRecord::default()
        };
        let noise = |floor| NoiseRecord {
            stat_floor_ns_per_s: floor,
            soaker_floor_ns_per_s: Some(floor),
            ..NoiseRecord::default()
        };
        let found = disagreement(&arm, &noise(40_000_000)).unwrap();
        assert!(
            found.to_string().contains("90 ms of CPU a second apart"),
            "{found}"
        );
        assert_eq!(
            disagreement(&arm, &noise(50_000_000)),
            None,
            "below the floors"
        );
        let close = ArmRecord {
            soaker_cpu_ns_per_event: estimate(7_900),
            ..arm
        };
        assert_eq!(
            disagreement(&close, &noise(0)),
            None,
            "the intervals overlap"
        );
    }

    #[test]
    fn time_that_is_always_missing_is_the_hypervisors() {
        let phase = |soaker, stat| IdlePhase {
            soaker_taken_ns_per_s: Some(soaker),
            stat_busy_ns_per_s: stat,
            ..IdlePhase::default()
        };
        let noise = NoiseRecord {
            idle: vec![phase(90_000_000, 10_000_000), phase(45_000_000, 5_000_000)],
            tick_sampled: Some(true),
            ..NoiseRecord::default()
        };
        let codes: Vec<String> = of_noise(&noise)
            .into_iter()
            .map(|found| found.code)
            .collect();
        assert_eq!(codes, ["tick-sampled", "hidden-steal"]);
        assert!(of_noise(&noise)[1].message.starts_with("4.0 %"));
        assert!(of_noise(&NoiseRecord::default()).is_empty());
    }

    #[test]
    fn failed_connects_are_told_in_words_with_a_remedy() {
        let mut totals = Counters::default();
        totals.connects_failed.insert(libc::EADDRNOTAVAIL, 12);
        let text = connect_failures(&totals);
        assert!(
            text.contains("12") && text.contains("ip_local_port_range"),
            "{text}"
        );
        assert!(connect_failures(&Counters::default()).contains("ListenOverflows"));
    }
}
