//! What `serve` and `load` have in common: their flags, the settings they print, and the mode in
//! which an experiment gives the orders.
//!
//! Does not start either half.

use super::choices::{self, arm_meaning};
use super::flags::{BudgetFlags, ConnectionsFlag, EngineFlags, OutputFlags};
use super::{Failure, metrics, output, parse, signals};
use crate::arm::{Arm, Budget};
use crate::bank::{RingPlan, Snapshot};
use crate::os::limits::{raise_nofile, sysctl};
use crate::os::memory::volunteer_for_oom_killer;
use crate::shard::{Counters, Role, Settings};
use crate::socket::keepalive::Keepalive;
use crate::units::{HumanCount, Nanos};
use crate::wheel::TimersKind;
use clap::Args;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Flags of both halves.
#[derive(Debug, Args)]
pub(super) struct HalfFlags {
    #[command(flatten)]
    pub(super) connections: ConnectionsFlag,
    /// The mechanism to run; both halves must be told the same
    #[arg(long, value_name = "NAME", default_value = "heartbeat", value_parser = choices::arm())]
    pub(super) arm: Arm,
    /// End after this time [default: when interrupted]
    #[arg(long = "for", value_name = "TIME", value_parser = parse::duration,
          allow_hyphen_values = true)]
    pub(super) duration: Option<Duration>,
    #[command(flatten)]
    pub(super) budget: BudgetFlags,
    #[command(flatten)]
    pub(super) engine: EngineFlags,
    #[command(flatten)]
    pub(super) output: OutputFlags,
    /// Serve figures for Prometheus and its like at http://ADDR:PORT/metrics; a port alone is one of 127.0.0.1, port 0
    /// chooses a free one [default: off]
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = metrics::address)]
    pub(super) metrics: Option<SocketAddr>,
    /// Take orders from an experiment on standard input
    #[arg(long, hide = true)]
    pub(super) controlled: bool,
}

impl HalfFlags {
    /// What the shards of the half that plays `role` are told.
    pub(super) fn settings(
        &self,
        role: Role,
        budget: &Budget,
        timers: TimersKind,
        keepalive: bool,
    ) -> Settings {
        let settings = self.engine.settings(role, budget, timers, keepalive);
        Settings {
            phases: settings.phases.among(self.connections.connections),
            ..settings
        }
    }
}

/// Obeys an experiment until standard input ends. Ctrl-C is the experiment's to handle.
pub(super) fn controlled() -> Result<(), Failure> {
    signals::ignore_interrupt()?;
    raise_nofile().map_err(|error| Failure::Host(error.to_string()))?;
    // Should memory run out after all, it shall cost the experiment and nobody else's work.
    let _ = volunteer_for_oom_killer();
    crate::half::run(&mut io::stdin().lock(), &mut io::stdout().lock()).map_err(|error| {
        Failure::Run(format!(
            "the experiment that gave the orders went away ({error}): look at what it said last"
        ))
    })
}

/// What is in force, defaults included, in the words of both halves.
#[derive(Debug)]
pub(super) struct Effective<'a> {
    pub(super) flags: &'a HalfFlags,
    pub(super) budget: &'a Budget,
    pub(super) plan: RingPlan,
    pub(super) cores: &'a [usize],
    pub(super) nofile: u64,
    pub(super) congestion: Option<&'a str>,
    /// Keepalive of this half's sockets.
    pub(super) keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT` of this half's sockets, milliseconds.
    pub(super) user_timeout_ms: Option<u32>,
    pub(super) timers: TimersKind,
}

impl Effective<'_> {
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let engine = &self.flags.engine;
        let cores: Vec<_> = self.cores.iter().map(usize::to_string).collect();
        let system = sysctl("net.ipv4.tcp_congestion_control").unwrap_or_default();
        vec![
            (
                "arm",
                format!("{}: {}", self.flags.arm, arm_meaning(self.flags.arm)),
            ),
            (
                "connections",
                HumanCount(self.flags.connections.connections).to_string(),
            ),
            ("detection", detection(self.budget)),
            ("heartbeats", heartbeats(self.flags.arm, self.budget)),
            (
                "keepalive",
                describe_keepalive(self.keepalive, self.user_timeout_ms),
            ),
            (
                "tick",
                format!(
                    "{}, phases {}",
                    span(engine.kernel.tick),
                    engine.phases.name()
                ),
            ),
            ("timers", describe_timers(self.timers, engine.kernel.tick)),
            ("rings", format!("{}, cores {}", self.plan, cores.join(","))),
            ("open files", HumanCount(self.nofile).to_string()),
            (
                "congestion",
                format!(
                    "{} (the system's: {system})",
                    self.congestion.unwrap_or("unknown")
                ),
            ),
        ]
    }
}

fn detection(budget: &Budget) -> String {
    format!(
        "within {}, {} misses",
        span(budget.detect_within),
        budget.misses
    )
}

fn heartbeats(arm: Arm, budget: &Budget) -> String {
    if !arm.has_heartbeats() {
        return "none".to_owned();
    }
    let acked = arm != Arm::HeartbeatOneway;
    let (sender, receiver) = match arm.load_role() {
        Role::Responder { .. } => ("server", "client"),
        _ => ("client", "server"),
    };
    let silence = format!(
        "every {}; the {receiver} closes after {} of silence",
        span(budget.interval),
        span(budget.idle_timeout)
    );
    if acked {
        format!(
            "{silence}, the {sender} after {} without an ack",
            span(budget.answer_timeout)
        )
    } else {
        silence
    }
}

fn describe_keepalive(keepalive: Option<Keepalive>, user_timeout_ms: Option<u32>) -> String {
    let Some(Keepalive {
        idle_s,
        interval_s,
        count,
    }) = keepalive
    else {
        return "off on this side".to_owned();
    };
    let numbers = format!("idle {idle_s}s, interval {interval_s}s, count {count}");
    match user_timeout_ms {
        None => {
            let verdict = idle_s + interval_s * count;
            format!("{numbers}: verdict after {verdict}s")
        }
        Some(millis) => format!(
            "{numbers}; user timeout {} instead of the count",
            span(Nanos::from_millis(millis.into()))
        ),
    }
}

fn describe_timers(timers: TimersKind, tick: Nanos) -> String {
    match timers {
        TimersKind::Wheel => "wheel".to_owned(),
        TimersKind::Sweep { period } => {
            let pass = Nanos(tick.0.saturating_mul(period.into()));
            format!("sweep, a pass every {}", span(pass))
        }
    }
}

/// A span as people write it.
pub(super) fn span(span: Nanos) -> String {
    humantime::format_duration(span.as_duration()).to_string()
}

/// The counts that both halves report.
pub(super) fn counted(totals: &Counters) -> Vec<(&'static str, String)> {
    let joined = |map: &std::collections::BTreeMap<String, u64>| {
        let parts: Vec<_> = map
            .iter()
            .map(|(name, count)| format!("{name} {}", HumanCount(*count)))
            .collect();
        if parts.is_empty() {
            "none".to_owned()
        } else {
            parts.join(", ")
        }
    };
    vec![
        ("ended", joined(&totals.closed)),
        (
            "ended by us",
            format!(
                "with FIN {}, with RST {}",
                HumanCount(totals.ended_with_fin),
                HumanCount(totals.ended_with_rst)
            ),
        ),
        (
            "ended by peer",
            format!(
                "half-closed and still answered {}, with a heartbeat unanswered {}",
                HumanCount(totals.half_closed),
                HumanCount(totals.ended_unanswered)
            ),
        ),
        (
            "heartbeats",
            format!(
                "sent {}, received {}, skipped {}",
                HumanCount(totals.heartbeats_sent),
                HumanCount(totals.heartbeats_received),
                HumanCount(totals.heartbeats_skipped)
            ),
        ),
        (
            "acks",
            format!(
                "sent {}, received {}",
                HumanCount(totals.acks_sent),
                HumanCount(totals.acks_received)
            ),
        ),
        ("protocol errors", joined(&totals.protocol_errors)),
        (
            "overflows",
            format!(
                "completion queue {}, table full {}, send buffer full {}, no receive buffer {}",
                HumanCount(totals.completion_overflows),
                HumanCount(totals.table_full),
                HumanCount(totals.sends_blocked),
                HumanCount(totals.buffers_exhausted)
            ),
        ),
    ]
}

/// The result where it was asked for: text on standard output, or JSON there and the text beside
/// it.
pub(super) fn conclude(flags: OutputFlags, text: &str, snapshot: &Snapshot) -> Result<(), Failure> {
    if !flags.json {
        return output::result(text);
    }
    if !flags.quiet {
        output::note(text);
    }
    let json = serde_json::to_string_pretty(snapshot).map_err(|error| {
        Failure::Run(format!(
            "the result did not serialise ({error}); this is a defect, please report it"
        ))
    })?;
    output::result(&json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_derived_number_is_shown() {
        let (within, misses) = Budget::STRICT;
        let strict = Budget::derive(within, misses).unwrap();
        let classic = heartbeats(Arm::Heartbeat, &strict);
        assert!(classic.contains("every 3s") && classic.contains("9s") && classic.contains("6s"));
        assert!(heartbeats(Arm::HeartbeatPush, &strict).contains("the client closes"));
        assert!(!heartbeats(Arm::HeartbeatOneway, &strict).contains("ack"));
        let keepalive = describe_keepalive(Keepalive::new(3, 2, 3).ok(), None);
        assert!(keepalive.contains("verdict after 9s"), "{keepalive}");
        let timed = describe_keepalive(Keepalive::new(3, 2, 3).ok(), Some(8_500));
        assert!(timed.contains("user timeout 8s 500ms"), "{timed}");
    }
}
