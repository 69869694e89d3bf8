//! What must hold of a trial, and the typed reasons to doubt it.
//!
//! Pure. A warning says what was seen and what to do; one that `invalidates` makes the run's exit code 1. Healthy
//! connections closed by keepalive are a result, not an error of the run, and are worded so.

use super::plan::CostPlan;
use super::summary::float;
use super::trial::Trial;
use crate::arm::Arm;
use crate::record::{ArmRecord, Warning};
use crate::shard::{CloseCause, Counters};
use crate::units::HumanCount;
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

/// Heartbeats that the schedule asks for in the trial's counting window.
pub(super) fn scheduled(trial: &Trial) -> u64 {
    let sender = match trial.spec.arm {
        Arm::None | Arm::Keepalive => return 0,
        Arm::Heartbeat | Arm::HeartbeatOneway => &trial.load,
        Arm::HeartbeatPush => &trial.server,
    };
    sender.window.as_ref().map_or(0, |window| {
        window.heartbeats_sent + window.heartbeats_skipped
    })
}

/// Failed connects in words.
pub(super) fn connect_failures(totals: &Counters) -> String {
    if totals.connects_failed.is_empty() {
        return "no connect was answered; is the accept queue full (ListenOverflows in `nstat -az`)?"
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

fn remedy(errno: i32) -> &'static str {
    match errno {
        libc::EADDRNOTAVAIL => {
            " (local ports are used up: more destination or source addresses have more, or widen \
             net.ipv4.ip_local_port_range, e.g. `sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'`)"
        }
        libc::ECONNREFUSED => " (nobody listens there)",
        libc::ENFILE | libc::EMFILE => {
            " (open files are used up: raise `ulimit -n` or fs.file-max)"
        }
        libc::ENOMEM | libc::ENOBUFS => " (the kernel is out of memory for sockets)",
        _ => "",
    }
}

/// Everything doubtful about one trial.
pub(super) fn of_trial(plan: &CostPlan, trial: &Trial) -> Vec<Warning> {
    let mut found = Vec::new();
    let place = format!("{}, round {}", trial.spec.name, trial.spec.round + 1);
    let mut warn = |code: &str, invalidates: bool, message: String, advice: &str| {
        found.push(Warning {
            code: code.to_owned(),
            message: format!("{place}: {message}"),
            advice: advice.to_owned(),
            invalidates,
        });
    };
    population(trial, &mut warn);
    honesty(plan, trial, &mut warn);
    opening(trial, &mut warn);
    if trial.wire.softnet_drops > 0 && trial.spec.arm != Arm::Keepalive {
        warn(
            "backlog-drops",
            false,
            format!(
                "the kernel dropped {} packets before delivery",
                trial.wire.softnet_drops
            ),
            "raise net.core.netdev_max_backlog, or look for other traffic on this machine",
        );
    }
    let overflows = trial.server_final.totals.completion_overflows
        + trial.load_final.totals.completion_overflows;
    if overflows > 0 {
        warn(
            "cq-overflow",
            true,
            format!("a completion queue overflowed {overflows} times"),
            "shorten --tick, or ask for fewer connections per core",
        );
    }
    let starved =
        trial.server_final.totals.buffers_exhausted + trial.load_final.totals.buffers_exhausted;
    if starved > 0 {
        warn(
            "receive-buffers",
            false,
            format!("a stream found no receive buffer {starved} times and was armed again"),
            "raise --receive-buffers: arming again costs CPU that is not the engine's",
        );
    }
    found
}

/// What the ramp met with. The kernel sends a lost SYN again by itself, after a second and then ever later: what it
/// hides in slow connects is said here.
fn opening(trial: &Trial, warn: &mut impl FnMut(&str, bool, String, &str)) {
    const SLOWER: &str = "ramp more slowly: fewer connects at once (--in-flight) or a second (--ramp-rate), or raise \
                          net.core.somaxconn";
    let met = trial.opening;
    if met.listen_overflows > 0 {
        warn(
            "accept-queue-overflow",
            false,
            format!(
                "an accept queue was full {} times while connections were opened",
                HumanCount(met.listen_overflows)
            ),
            SLOWER,
        );
    }
    let others = trial.listen_drops.max(met.listen_drops);
    if others > met.listen_overflows {
        warn(
            "listen-drops",
            false,
            format!(
                "the listeners dropped {} connection attempts, {} of them for a full accept queue",
                HumanCount(others),
                HumanCount(met.listen_overflows)
            ),
            SLOWER,
        );
    }
    if met.syn_queue_drops + met.syn_cookies > 0 {
        warn(
            "syn-queue-full",
            false,
            format!(
                "the SYN queue was full: {} SYNs were dropped, {} answered with a cookie",
                HumanCount(met.syn_queue_drops),
                HumanCount(met.syn_cookies)
            ),
            "ramp more slowly with --in-flight or --ramp-rate, or raise net.ipv4.tcp_max_syn_backlog",
        );
    }
    if met.syn_retransmits > 0 {
        warn(
            "syn-retransmitted",
            false,
            format!(
                "{} SYNs or SYN-ACKs were sent again; each of those connects took a second or more",
                HumanCount(met.syn_retransmits)
            ),
            "see the accept and SYN queues' warnings; without any, packets were lost on the way",
        );
    }
    let dropped = trial.server_final.totals.table_full + trial.load_final.totals.table_full;
    if dropped > 0 {
        warn(
            "table-full",
            true,
            format!(
                "{} established connections were dropped by a ring whose table was full",
                HumanCount(dropped)
            ),
            "the accept gate must stop before that; please report this",
        );
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
fn population(trial: &Trial, warn: &mut impl FnMut(&str, bool, String, &str)) {
    let (server, load) = (&trial.server_final.totals, &trial.load_final.totals);
    let established = load.established.min(server.established);
    if established != trial.spec.connections {
        let failures = not_established(trial.spec.connections, server, load);
        warn(
            "not-established",
            true,
            format!(
                "{established} of {} connections were established: {failures}",
                trial.spec.connections
            ),
            "mend the cause named, or ask for fewer with --connections",
        );
    }
    let lost = lost(server, load);
    let by_keepalive = killed_by_keepalive(trial);
    if by_keepalive > 0 {
        warn(
            "keepalive-killed",
            false,
            format!(
                "keepalive closed {} healthy connections of {}; {} packets were dropped at the backlog",
                HumanCount(by_keepalive),
                HumanCount(trial.spec.connections),
                HumanCount(trial.wire.softnet_drops)
            ),
            "this is a result: the kernel fires probes in bursts that exceed net.core.netdev_max_backlog; \
             raise that sysctl, or spread the idle times",
        );
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
        warn(
            "connections-lost",
            true,
            format!(
                "{held} of {established} connections were held at the end; lost by cause: {lost:?}"
            ),
            "no fault was injected, so look for other load, memory pressure or a firewall on loopback",
        );
    }
    let errors: u64 = server
        .protocol_errors
        .values()
        .chain(load.protocol_errors.values())
        .sum();
    if errors > 0 {
        warn(
            "protocol-error",
            true,
            format!("{errors} connections carried something that is not our protocol"),
            "does another program connect to the listening port?",
        );
    }
}

/// Whether both ends count the same heartbeats and the load side kept its schedule.
fn honesty(plan: &CostPlan, trial: &Trial, warn: &mut impl FnMut(&str, bool, String, &str)) {
    let (server, load) = (&trial.server_final.totals, &trial.load_final.totals);
    if !balanced(server, load) {
        let sent = server.heartbeats_sent + load.heartbeats_sent;
        let received = server.heartbeats_received + load.heartbeats_received;
        let blocked = server.sends_blocked + load.sends_blocked;
        warn(
            "count-mismatch",
            true,
            format!("{sent} heartbeats were sent and {received} received, {blocked} were blocked"),
            "the two ends must agree once everything in flight has arrived; please report this",
        );
    }
    let skipped = [&trial.server, &trial.load]
        .iter()
        .filter_map(|snapshot| snapshot.window.as_ref())
        .map(|window| window.heartbeats_skipped)
        .sum::<u64>();
    let scheduled = scheduled(trial);
    // One in a hundred is the rate ratio below which a load generator is no longer offering its load.
    if skipped * 100 > scheduled {
        warn(
            "load-lagged",
            true,
            format!(
                "{skipped} of {scheduled} heartbeats were skipped because their turn came an interval late"
            ),
            "the sender cannot keep its schedule: fewer connections, a longer interval, or more cores",
        );
    }
    let expected = float(trial.spec.connections) * float(trial.load.window_ns.0)
        / float(plan.options.budget.interval.0.max(1));
    if trial.spec.arm.has_heartbeats() && float(scheduled) < 0.95 * expected {
        warn(
            "rate-low",
            false,
            format!("{scheduled} heartbeats were due in the window and {expected:.0} expected"),
            "connections were lost, or the window is too short for the interval",
        );
    }
}

/// Everything doubtful about an arm as a whole.
pub(super) fn of_arm(arm: &ArmRecord, plan: &CostPlan) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |code: &str, invalidates: bool, message: String, advice: &str| {
        found.push(Warning {
            code: code.to_owned(),
            message: format!("{}: {message}", arm.name),
            advice: advice.to_owned(),
            invalidates,
        });
    };
    if arm
        .cpu_ns_per_event
        .is_some_and(|estimate| !estimate.resolved)
    {
        warn(
            "not-resolved",
            false,
            "its CPU cost does not stand out of the noise".to_owned(),
            "more connections, a longer --steady, or more --rounds",
        );
    }
    if let (Some(measured), Some(model)) = (arm.packets_per_event, arm.packets_per_event_model)
        && (measured - model).abs() > 0.15 * model
        && arm.drops.softnet_backlog == 0
    {
        warn(
            "packets-off-model",
            false,
            format!("{measured:.2} packets per event where the protocol predicts {model:.0}"),
            "other traffic on the interface, retransmissions, or connections that end in the window",
        );
    }
    let lag = arm.histograms.get("schedule_lag").map_or(0, |lag| lag.p99);
    if lag > plan.options.budget.interval.0 / 2 {
        warn(
            "load-lagged",
            true,
            format!(
                "one heartbeat in a hundred left {} ms after it was due",
                lag / 1_000_000
            ),
            "the sender cannot keep its schedule: fewer connections, a longer interval, or more cores",
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
