//! The reasons to doubt a run, as values: what was seen, what to do about it, and whether the run still counts.
//!
//! Does not look for them; [`super::checks`] does. A record keeps each as a [`Warning`], whose `code` is stable.

use super::alarm::listed;
use crate::record::Warning;
use crate::units::HumanCount;
use std::collections::BTreeMap;
use std::fmt;

/// A reason to doubt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doubt {
    /// Fewer connections than asked for.
    NotEstablished {
        established: u64,
        asked: u64,
        why: String,
    },
    /// Keepalive closed connections that nothing was wrong with: a result.
    KeepaliveKilled { killed: u64, of: u64, dropped: u64 },
    /// Connections ended though no fault was injected.
    ConnectionsLost {
        held: u64,
        established: u64,
        causes: BTreeMap<String, u64>,
    },
    /// Somebody else's bytes on our connections.
    ProtocolErrors { connections: u64 },
    /// The two ends do not agree on what was sent.
    CountMismatch {
        sent: u64,
        received: u64,
        blocked: u64,
    },
    /// Heartbeats whose turn came a whole interval late.
    LoadSkipped { skipped: u64, scheduled: u64 },
    /// Heartbeats that left late.
    LoadLate { p99_ms: u64 },
    /// Fewer heartbeats were due than the schedule says.
    RateLow { scheduled: u64, expected: u64 },
    /// Packets lost before delivery, in an arm that should lose none.
    BacklogDrops { packets: u64 },
    /// Completions that found no room.
    CompletionOverflow { times: u64 },
    /// Streams that found no receive buffer.
    ReceiveBuffers { times: u64 },
    /// An accept queue was full.
    AcceptQueueOverflow { times: u64 },
    /// Listeners refused connections.
    ListenDrops { dropped: u64, overflows: u64 },
    /// The SYN queue was full.
    SynQueueFull { dropped: u64, cookies: u64 },
    /// SYNs were sent again.
    SynRetransmitted { segments: u64 },
    /// A ring took connections it had no room for.
    TableFull { dropped: u64 },
    /// A mechanism did not do what the settings and the kernel's rules say.
    OutOfBound { why: String },
    /// The kernel did something else than its rule says.
    RuleBroken { expected: String, seen: String },
    /// A connection began or ended otherwise than the rule says.
    ScenarioBroken { rule: String, seen: String },
    /// The machine was too busy to watch a scenario.
    ScenarioDisturbed { why: String, takes: u32 },
    /// The machine was faster at one time and slower at another.
    SpeedDrift { percent: f64 },
    /// The server did not drop everybody.
    NotDropped { dropped: u64, asked: u64 },
    /// Dropped connections that did not come back.
    NotRecovered {
        held: u64,
        asked: u64,
        after_s: u64,
        why: String,
    },
    /// Reconnects that are neither established nor failed.
    ReconnectsAstray {
        begun: u64,
        established: u64,
        failed: u64,
    },
    /// Fewer connections were churned than the rate asks for.
    ChurnSlow { closed: u64, expected: u64 },
    /// Memory went to swap and back.
    Swapped { pages: u64 },
    /// The cost is no larger than the noise.
    NotResolved,
    /// More or fewer packets than the protocol needs.
    PacketsOffModel {
        measured: f64,
        model: f64,
        explained: String,
    },
    /// Two independent meters do not tell the same.
    MetersDisagree {
        stat_ns: i64,
        soaker_ns: i64,
        apart_ns_per_s: u64,
        floors_ns_per_s: u64,
    },
    /// Something else had the machine while the control stood idle.
    OtherLoad { percent: u64 },
    /// User, system and interrupt time are samples.
    TickSampled,
    /// The hypervisor takes time that it does not admit to.
    HiddenSteal { percent: f64 },
}

impl Doubt {
    /// The stable word for scripts.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NotEstablished { .. } => "not-established",
            Self::KeepaliveKilled { .. } => "keepalive-killed",
            Self::ConnectionsLost { .. } => "connections-lost",
            Self::ProtocolErrors { .. } => "protocol-error",
            Self::CountMismatch { .. } => "count-mismatch",
            Self::LoadSkipped { .. } | Self::LoadLate { .. } => "load-lagged",
            Self::RateLow { .. } => "rate-low",
            Self::BacklogDrops { .. } => "backlog-drops",
            Self::CompletionOverflow { .. } => "cq-overflow",
            Self::ReceiveBuffers { .. } => "receive-buffers",
            Self::AcceptQueueOverflow { .. } => "accept-queue-overflow",
            Self::ListenDrops { .. } => "listen-drops",
            Self::SynQueueFull { .. } => "syn-queue-full",
            Self::SynRetransmitted { .. } => "syn-retransmitted",
            Self::TableFull { .. } => "table-full",
            Self::OutOfBound { .. } => "out-of-bound",
            Self::RuleBroken { .. } | Self::ScenarioBroken { .. } => "rule-broken",
            Self::ScenarioDisturbed { .. } => "scenario-disturbed",
            Self::NotDropped { .. } => "not-dropped",
            Self::NotRecovered { .. } => "not-recovered",
            Self::ReconnectsAstray { .. } => "reconnects-astray",
            Self::ChurnSlow { .. } => "churn-slow",
            Self::Swapped { .. } => "swap",
            Self::NotResolved => "not-resolved",
            Self::PacketsOffModel { .. } => "packets-off-model",
            Self::MetersDisagree { .. } => "meters-disagree",
            Self::OtherLoad { .. } => "other-load",
            Self::TickSampled => "tick-sampled",
            Self::HiddenSteal { .. } => "hidden-steal",
            Self::SpeedDrift { .. } => "speed-drift",
        }
    }

    /// Whether the run's numbers are not to be quoted.
    pub(super) const fn invalidates(&self) -> bool {
        matches!(
            self,
            Self::NotEstablished { .. }
                | Self::ConnectionsLost { .. }
                | Self::ProtocolErrors { .. }
                | Self::CountMismatch { .. }
                | Self::LoadSkipped { .. }
                | Self::LoadLate { .. }
                | Self::CompletionOverflow { .. }
                | Self::TableFull { .. }
                | Self::OutOfBound { .. }
                | Self::RuleBroken { .. }
                | Self::ScenarioBroken { .. }
                | Self::NotDropped { .. }
                | Self::NotRecovered { .. }
                | Self::ReconnectsAstray { .. }
                | Self::ChurnSlow { .. }
        )
    }

    /// What to do about it.
    #[expect(clippy::too_many_lines, reason = "one remedy for each doubt")]
    pub(super) const fn advice(&self) -> &'static str {
        const SLOWER: &str = "ramp more slowly: fewer connects at once (--in-flight) or a second (--ramp-rate), or raise \
                              net.core.somaxconn";
        const ALONE: &str = "run again with fewer trials at once (--parallel 1); if it stays, the mechanism, this kernel or \
                             the model is not what it is taken for: please report it with the record";
        const SENDER: &str = "the sender cannot keep its schedule: ask for fewer --connections, a longer --interval, or \
                              give it more cores";
        match self {
            Self::NotEstablished { .. } => {
                "mend the cause named, or ask for fewer with --connections"
            }
            Self::KeepaliveKilled { .. } => {
                "this is a result: the kernel fires probes in bursts that exceed net.core.netdev_max_backlog; raise \
                 that sysctl, or spread the idle times (--keepalive-spread)"
            }
            Self::ConnectionsLost { .. } => {
                "no fault was injected, so look for other load, memory pressure or a firewall on the path"
            }
            Self::ProtocolErrors { .. } => {
                "another program connects to the listening port: see which with `ss -tnp`, end it, and measure again"
            }
            Self::CountMismatch { .. } => {
                "the two ends must agree once everything in flight has arrived; please report this"
            }
            Self::LoadSkipped { .. } | Self::LoadLate { .. } => SENDER,
            Self::RateLow { .. } => {
                "see whether connections were lost; if none were, give a longer --steady"
            }
            Self::BacklogDrops { .. } => {
                "raise net.core.netdev_max_backlog, or look for other traffic on this machine"
            }
            Self::CompletionOverflow { .. } => {
                "shorten --tick, give --completion-entries more, or ask for fewer connections per core"
            }
            Self::ReceiveBuffers { .. } => {
                "raise --receive-buffers: arming again costs CPU that is not the engine's"
            }
            Self::AcceptQueueOverflow { .. } | Self::ListenDrops { .. } => SLOWER,
            Self::SynQueueFull { .. } => {
                "ramp more slowly with --in-flight or --ramp-rate, or raise net.ipv4.tcp_max_syn_backlog"
            }
            Self::SynRetransmitted { .. } => {
                "do what the accept and SYN queues' warnings say; without any, packets were lost on the way: ramp more \
                 slowly (--ramp-rate)"
            }
            Self::TableFull { .. } => "the accept gate must stop before that; please report this",
            Self::OutOfBound { .. } | Self::RuleBroken { .. } => ALONE,
            Self::ScenarioBroken { .. } => {
                "look at the scenario's diagram and its capture; if it comes again, this kernel departs from the rule: \
                 please report it with the record"
            }
            Self::ScenarioDisturbed { .. } => {
                "end what else runs here and play it again (--scenarios NAME); a state may be missing from the diagram"
            }
            Self::NotDropped { .. } => {
                "the storm was smaller than asked for: let them settle longer (--settle)"
            }
            Self::NotRecovered { .. } => {
                "wait longer (--give-up), lower the cap of --backoff, or ask for fewer connections"
            }
            Self::ReconnectsAstray { .. } => {
                "every connect ends one way or the other; please report this"
            }
            Self::ChurnSlow { .. } => "lower --churn, or give the load generator more cores",
            Self::Swapped { .. } => {
                "free memory or ask for fewer connections: what swapping costs is in the figures"
            }
            Self::NotResolved => "measure more --connections, a longer --steady, or more --rounds",
            Self::PacketsOffModel { .. } => {
                "look for other traffic on the interface, retransmissions, or connections that end in the window, and \
                 measure again without"
            }
            Self::MetersDisagree { .. } => {
                "quote both: /proc/stat has the price of waking an idle core in it and the soaker, which never lets one \
                 sleep, has not; a busy neighbour shows in whichever ran while it was busy"
            }
            Self::OtherLoad { .. } => {
                "stop other programs, or expect wide intervals; on a shared host the neighbours count too"
            }
            Self::TickSampled => {
                "quote the sum, which does not come from samples, and take the split for a sketch; a kernel with \
                 CONFIG_IRQ_TIME_ACCOUNTING has an exact one"
            }
            Self::SpeedDrift { .. } => {
                "intervals are widened by it; arms are measured in turns, so ratios between them suffer less than their \
                 costs. A machine without neighbours, or with a fixed frequency, has less of it"
            }
            Self::HiddenSteal { .. } => {
                "costs are net of the control, which suffers it too; what varies from window to window is in the \
                 intervals. Bare metal has none of it"
            }
        }
    }

    /// As the record keeps it; `place` says which arm and round, if any.
    pub(super) fn warning(&self, place: &str) -> Warning {
        let message = if place.is_empty() {
            self.to_string()
        } else {
            format!("{place}: {self}")
        };
        Warning {
            code: self.code().to_owned(),
            message,
            advice: self.advice().to_owned(),
            invalidates: self.invalidates(),
        }
    }
}

impl fmt::Display for Doubt {
    #[expect(clippy::too_many_lines, reason = "one sentence for each doubt")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEstablished { established, asked, why } => {
                write!(
                    f,
                    "{} of {} connections were established: {why}",
                    HumanCount(*established),
                    HumanCount(*asked)
                )
            }
            Self::KeepaliveKilled { killed, of, dropped } => write!(
                f,
                "keepalive closed {} healthy connections of {}; {} packets were dropped at the backlog",
                HumanCount(*killed),
                HumanCount(*of),
                HumanCount(*dropped)
            ),
            Self::ConnectionsLost { held, established, causes } => {
                write!(
                    f,
                    "{} of {} connections were held at the end; lost by cause: {}",
                    HumanCount(*held),
                    HumanCount(*established),
                    listed(causes)
                )
            }
            Self::ProtocolErrors { connections } => {
                write!(
                    f,
                    "{} connections carried something that is not ringbeat's protocol",
                    HumanCount(*connections)
                )
            }
            Self::CountMismatch { sent, received, blocked } => write!(
                f,
                "{} heartbeats were sent and {} received, {} met a full send buffer: some are unaccounted for",
                HumanCount(*sent),
                HumanCount(*received),
                HumanCount(*blocked)
            ),
            Self::LoadSkipped { skipped, scheduled } => write!(
                f,
                "{} of {} heartbeats were skipped because their turn came an interval late",
                HumanCount(*skipped),
                HumanCount(*scheduled)
            ),
            Self::LoadLate { p99_ms } => {
                write!(f, "one heartbeat in a hundred left {p99_ms} ms after it was due")
            }
            Self::RateLow { scheduled, expected } => write!(
                f,
                "{} heartbeats were due in the window, where the interval asks for {}",
                HumanCount(*scheduled),
                HumanCount(*expected)
            ),
            Self::BacklogDrops { packets } => {
                write!(
                    f,
                    "the kernel dropped {} packets before delivery, its backlog being full",
                    HumanCount(*packets)
                )
            }
            Self::CompletionOverflow { times } => {
                write!(f, "a completion queue overflowed {} times", HumanCount(*times))
            }
            Self::ReceiveBuffers { times } => {
                write!(
                    f,
                    "a stream found no receive buffer {} times and was armed again",
                    HumanCount(*times)
                )
            }
            Self::AcceptQueueOverflow { times } => write!(
                f,
                "an accept queue was full {} times while connections were opened",
                HumanCount(*times)
            ),
            Self::ListenDrops { dropped, overflows } => write!(
                f,
                "the listeners dropped {} connection attempts, {} of them for a full accept queue",
                HumanCount(*dropped),
                HumanCount(*overflows)
            ),
            Self::SynQueueFull { dropped, cookies } => write!(
                f,
                "the SYN queue was full: {} SYNs were dropped, {} answered with a cookie",
                HumanCount(*dropped),
                HumanCount(*cookies)
            ),
            Self::SynRetransmitted { segments } => write!(
                f,
                "{} SYNs or SYN-ACKs were sent again; each of those connects took a second or more",
                HumanCount(*segments)
            ),
            Self::TableFull { dropped } => write!(
                f,
                "{} established connections were dropped by a ring whose table was full",
                HumanCount(*dropped)
            ),
            Self::OutOfBound { why } => f.write_str(why),
            Self::RuleBroken { expected, seen } => write!(f, "expected {expected}; seen {seen}"),
            Self::ScenarioBroken { rule, seen } => {
                write!(f, "the rule did not hold: {rule}; seen: {seen}")
            }
            Self::ScenarioDisturbed { why, takes } => write!(f, "played {takes} times, and {why}"),
            Self::NotDropped { dropped, asked } => write!(
                f,
                "the server dropped {} of {} connections",
                HumanCount(*dropped),
                HumanCount(*asked)
            ),
            Self::NotRecovered { held, asked, after_s, why } => write!(
                f,
                "{} of {} connections were held {after_s} s after it began: {why}",
                HumanCount(*held),
                HumanCount(*asked)
            ),
            Self::ReconnectsAstray { begun, established, failed } => write!(
                f,
                "{} reconnects were begun, {} established and {} failed",
                HumanCount(*begun),
                HumanCount(*established),
                HumanCount(*failed)
            ),
            Self::ChurnSlow { closed, expected } => write!(
                f,
                "{} connections were ended and opened anew where the rate asks for {}",
                HumanCount(*closed),
                HumanCount(*expected)
            ),
            Self::Swapped { pages } => {
                write!(f, "{} pages went to swap or came back in the run", HumanCount(*pages))
            }
            Self::NotResolved => f.write_str("its CPU cost does not stand out of the noise"),
            Self::PacketsOffModel { measured, model, explained } => write!(
                f,
                "{measured:.2} packets per event where the protocol predicts {model:.0}{explained}"
            ),
            Self::MetersDisagree {
                stat_ns,
                soaker_ns,
                apart_ns_per_s,
                floors_ns_per_s,
            } => write!(
                f,
                "/proc/stat gives {} ns per event and the soaker {} ns: {} ms of CPU a second apart, where both floors \
                 together are {} ms",
                stat_ns,
                soaker_ns,
                apart_ns_per_s / 1_000_000,
                floors_ns_per_s / 1_000_000
            ),
            Self::OtherLoad { percent } => write!(
                f,
                "{percent} % of the machine was busy with something else while the control stood idle"
            ),
            Self::TickSampled => f.write_str(
                "this kernel samples user, system and interrupt time with its clock tick; work in step with the tick, \
                 as timers and keepalive's probes are, is over- or undercounted in the split",
            ),
            Self::SpeedDrift { percent } => write!(
                f,
                "the same work cost up to {percent:.0} % more at one time than at another while the machine was measured"
            ),
            Self::HiddenSteal { percent } => write!(
                f,
                "{percent:.1} % of a core is missing while nothing runs, and the hypervisor reports no steal"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_says_where_what_and_what_to_do() {
        let doubt = Doubt::KeepaliveKilled {
            killed: 84_012,
            of: 100_000,
            dropped: 7,
        };
        let warning = doubt.warning("keepalive, round 1");
        assert_eq!(warning.code, "keepalive-killed");
        assert!(
            warning
                .message
                .starts_with("keepalive, round 1: keepalive closed 84,012")
        );
        assert!(warning.advice.contains("netdev_max_backlog") && !warning.invalidates);
        assert!(Doubt::TableFull { dropped: 1 }.warning("").invalidates);
        let lost = Doubt::ConnectionsLost {
            held: 98_000,
            established: 100_000,
            causes: BTreeMap::from([("reset".to_owned(), 1_500), ("peer-closed".to_owned(), 500)]),
        };
        assert_eq!(
            lost.to_string(),
            "98,000 of 100,000 connections were held at the end; lost by cause: peer-closed 500, reset 1,500"
        );
        let apart = Doubt::MetersDisagree {
            stat_ns: 8_000,
            soaker_ns: 6_000,
            apart_ns_per_s: 66_000_000,
            floors_ns_per_s: 20_000_000,
        };
        assert!(
            apart.to_string().contains("66 ms of CPU a second apart"),
            "{apart}"
        );
    }
}
