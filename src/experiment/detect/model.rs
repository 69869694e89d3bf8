//! What must follow from a fault, by the settings and the kernel's rules: when each end notices at the earliest and at
//! the latest, or that it never does.
//!
//! Pure. All spans are from the fault. They hold on a host that does everything at once; what an ordinary one needs
//! besides is the experiment's allowance. The rules, with their sources:
//!
//! * **Silence.** A responder gives a peer up `idle timeout` after it last heard a heartbeat; a sender gives it up
//!   `answer timeout` after it sent the oldest heartbeat that is unanswered. Heartbeats are one `interval` apart.
//! * **Keepalive** (`tcp_keepalive_timer` in `net/ipv4/tcp_timer.c`; tcp(7)): probes after `idle` of silence and every
//!   `interval` after, and gives up with the timer that finds `count` of them unanswered. Its timers lie on the kernel's
//!   wheel, which rounds them up (`kernel/time/timer.c`). With data unacknowledged or unsent it does nothing.
//! * **User timeout** (the same function): the count is not looked at; the first probe timer that finds the silence as long
//!   as the user timeout, and one probe out, gives up. On data it bounds retransmission (`tcp_write_timeout`) and, which
//!   few expect, the wait for a window (`tcp_probe_timer`), however well the peer acknowledges.
//! * **Retransmission** of data gives up after `tcp_retries2` doublings, 924 s (RFC 1122, 4.2.3.5; ip-sysctl): beyond what
//!   is watched. Until then a connection sends nothing new once its window of one segment is unanswered (RFC 5681, 3.1).
//! * **Being told**: a FIN or a RST ends a connection as soon as it is read, under any mechanism (RFC 9293, 3.10.7.4).

use super::fault::{Fault, Seat, Stress};
use crate::arm::Arm;
use crate::measure::keepalive::timer_granule;
use crate::socket::keepalive::{HIGHEST_COUNT, Keepalive};
use crate::units::Nanos;

/// From the first retransmission timeout to the last before a user timeout is up: the first is 200 ms and a little
/// (`TCP_RTO_MIN`), and the last is cut to the user timeout (`tcp_clamp_rto_to_user_timeout`).
const FIRST_RETRANSMISSIONS: Nanos = Nanos::from_millis(1500);

/// The timing of one mechanism, and of the trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) arm: Arm,
    pub(super) interval: Nanos,
    pub(super) idle_timeout: Nanos,
    pub(super) answer_timeout: Nanos,
    /// Of both ends.
    pub(super) keepalive: Option<Keepalive>,
    pub(super) user_timeout: Option<Nanos>,
    pub(super) tick: Nanos,
    /// Kernel ticks per second.
    pub(super) hz: u32,
    /// How long a rebooting host is away.
    pub(super) reboot: Nanos,
}

/// From the earliest to the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) earliest: Nanos,
    pub(super) latest: Nanos,
}

/// When, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// `None`: never, within what is watched.
    pub(super) span: Option<Span>,
    pub(super) rule: &'static str,
}

const NEVER_LOOKS: Model = Model {
    span: None,
    rule: "nothing is sent and nothing expected, so nothing is missed (an idle connection has no timer)",
};
const KERNEL_ANSWERS: Model = Model {
    span: None,
    rule: "the peer's kernel answers every probe, whatever its application does (RFC 9293, 3.8.4)",
};
const NOBODY_EXPECTS: Model = Model {
    span: None,
    rule: "this end sends and expects no answer; its data is retransmitted for tcp_retries2 doublings, 924 s",
};
const STILL_HEARS: Model = Model {
    span: None,
    rule: "the peer's heartbeats still arrive",
};
const WRITES: Model = Model {
    span: None,
    rule: "with data unacknowledged or unsent keepalive does nothing (RFC 9293, 3.8.4; tcp_keepalive_timer); \
           retransmission or the persist timer goes on for many minutes",
};

/// What one end does in the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Idle,
    /// Sends heartbeats and waits for acks.
    Asks,
    /// Sends heartbeats and waits for nothing.
    Tells,
    /// Expects heartbeats.
    Expects,
}

const fn part(arm: Arm, seat: Seat) -> Part {
    match (arm, seat) {
        (Arm::None | Arm::Keepalive | Arm::KeepaliveUserTimeout, _) => Part::Idle,
        (Arm::Heartbeat | Arm::Both, Seat::Client) | (Arm::HeartbeatPush, Seat::Server) => {
            Part::Asks
        }
        (Arm::HeartbeatOneway, Seat::Client) => Part::Tells,
        (Arm::Heartbeat | Arm::Both | Arm::HeartbeatOneway, Seat::Server)
        | (Arm::HeartbeatPush, Seat::Client) => Part::Expects,
    }
}

impl Timing {
    /// When `seat` notices `fault`, which happens at the other end or between them.
    pub(super) fn model(&self, fault: Fault, seat: Seat) -> Model {
        match fault {
            Fault::ProcessExit | Fault::ProcessKilled | Fault::Reset => Model {
                span: Some(self.told()),
                rule: "the peer's kernel sends a FIN or a RST, which is read at once, whatever the mechanism",
            },
            Fault::PowerCut | Fault::CablePulled | Fault::FirewallEviction => self.silence(seat),
            Fault::OneWayLossToServer => self.one_way(seat, Seat::Server),
            Fault::OneWayLossToClient => self.one_way(seat, Seat::Client),
            Fault::HostReboot => self.reboot(seat),
            Fault::ApplicationHung => self.hung(seat),
            Fault::ZeroWindow => self.zero_window(seat),
            Fault::BlackHoleWithDataInFlight => self.in_flight(seat),
        }
    }

    /// Whether a stress may bring `seat` to a false verdict: only when the silence it can make is as long as the
    /// earliest verdict. What was lost in an outage is sent again after up to as long as the outage has lasted, for the
    /// pauses between retransmissions double (RFC 6298, 5.5).
    pub(super) fn may_suspect(&self, stress: Stress, seat: Seat) -> bool {
        let Some(span) = self.silence(seat).span else {
            return false;
        };
        let silence = match stress {
            Stress::Outage(lasting) => Nanos::from(lasting * 2) + FIRST_RETRANSMISSIONS,
            Stress::ServerPaused(lasting) => Nanos::from(lasting) + self.tick + self.tick,
            // Chance has no bound.
            Stress::RandomLoss { .. } | Stress::CpuStarvation { .. } => return true,
        };
        // The earliest verdict counts from a fault that falls right before the next sign of life.
        silence >= span.earliest
    }

    /// Two looks: the kernel's word may come right after one, and the answer to it goes out with the next.
    fn told(&self) -> Span {
        Span {
            earliest: Nanos::ZERO,
            latest: self.tick + self.tick,
        }
    }

    /// Nothing comes from the peer any more.
    fn silence(&self, seat: Seat) -> Model {
        let (tick, interval) = (self.tick, self.interval);
        match part(self.arm, seat) {
            Part::Idle => self.keepalive_silence().unwrap_or(NEVER_LOOKS),
            Part::Tells => NOBODY_EXPECTS,
            Part::Expects => self.or_keepalive(Model {
                span: Some(Span {
                    earliest: self.idle_timeout - interval - tick - tick,
                    latest: self.idle_timeout + tick + tick,
                }),
                rule: "idle timeout after the last heartbeat, which is at most one interval old",
            }),
            Part::Asks => self.or_keepalive(Model {
                span: Some(Span {
                    earliest: self.answer_timeout - tick - tick,
                    latest: interval + self.answer_timeout + tick + tick,
                }),
                rule: "answer timeout after the first heartbeat that is not answered, which leaves within one interval",
            }),
        }
    }

    /// Where keepalive runs beside heartbeats its verdict may come first, and need not come at all: data may be in
    /// flight.
    fn or_keepalive(&self, model: Model) -> Model {
        let kernels = self.keepalive_silence().and_then(|kernel| kernel.span);
        let (Some(own), Some(kernels)) = (model.span, kernels) else {
            return model;
        };
        Model {
            span: Some(Span {
                earliest: own.earliest.min(kernels.earliest),
                latest: own.latest,
            }),
            ..model
        }
    }

    fn granule(&self, seconds: u32) -> Nanos {
        let hz = u64::from(self.hz.max(1));
        let jiffy = 1_000_000_000 / hz;
        // One jiffy more: a timer is never early, and the present lies inside one.
        Nanos((timer_granule(u64::from(seconds) * hz) + 1) * jiffy)
    }

    /// From the last sign of life to keepalive's verdict, at the latest, and how old that sign may be.
    fn keepalive_silence(&self) -> Option<Model> {
        let Keepalive {
            idle_s,
            interval_s,
            count,
        } = self.keepalive?;
        let seconds = |seconds: u32| Nanos::from_secs(seconds.into());
        let (probes, rule) = match self.user_timeout {
            None => (
                count,
                "idle + interval × count after the last segment, which is at most idle old, each timer rounded up by \
                 the kernel's wheel",
            ),
            // The first timer with a probe out that finds the silence long enough.
            Some(timeout) => (
                (1..=HIGHEST_COUNT)
                    .find(|probes| seconds(idle_s + interval_s * probes) >= timeout)
                    .unwrap_or(count),
                "the first probe timer after the user timeout, counted from the last segment; the probe count is \
                 not looked at",
            ),
        };
        let promise = seconds(idle_s + interval_s * probes);
        let late = self.granule(idle_s) + Nanos(self.granule(interval_s).0 * u64::from(probes));
        Some(Model {
            span: Some(Span {
                earliest: promise - seconds(idle_s) - self.granule(idle_s),
                latest: promise + late,
            }),
            rule,
        })
    }

    /// Packets towards `blind` are lost; those of `blind` arrive, its RST too.
    fn one_way(&self, seat: Seat, blind: Seat) -> Model {
        let of_blind = self.silence(blind);
        if seat == blind {
            return of_blind;
        }
        let own = match part(self.arm, seat) {
            Part::Expects => Model {
                // What the peer sends after the first heartbeat that nobody acknowledges waits behind it.
                span: Some(Span {
                    earliest: self.idle_timeout - self.interval - self.tick - self.tick,
                    latest: self.interval + self.idle_timeout + self.tick + self.tick,
                }),
                rule: "idle timeout after the last heartbeat that came through: new ones wait behind the first that \
                       is not acknowledged (RFC 5681, 3.1)",
            },
            _ => self.silence(seat),
        };
        match (own.span, of_blind.span) {
            (Some(own_span), Some(other)) => {
                let told = other.latest + self.told().latest;
                Model {
                    span: Some(Span {
                        earliest: own_span.earliest.min(other.earliest),
                        latest: own_span.latest.min(told),
                    }),
                    rule: if told < own_span.latest {
                        "the other end gives up and says so with a RST, which arrives"
                    } else {
                        own.rule
                    },
                }
            }
            (None, Some(other)) => Model {
                span: Some(Span {
                    earliest: other.earliest,
                    latest: other.latest + self.told().latest,
                }),
                rule: "the other end gives up and says so with a RST, which arrives",
            },
            _ => own,
        }
    }

    /// The address is back after a while and answers anything it is sent with a RST.
    fn reboot(&self, seat: Seat) -> Model {
        let away = self.reboot;
        // Sent while it was away: again after a pause no longer than it had been away.
        let again = away + FIRST_RETRANSMISSIONS;
        let told = self.told().latest;
        let sends = Model {
            span: Some(Span {
                earliest: Nanos::ZERO,
                latest: away + self.interval.max(again) + told,
            }),
            rule: "the next heartbeat, or its retransmission, is answered with a RST by a host that knows nothing of \
                   the connection (RFC 9293, 3.5.2)",
        };
        let probes = self.keepalive.map(|keepalive| {
            let idle = Nanos::from_secs(keepalive.idle_s.into()) + self.granule(keepalive.idle_s);
            let next =
                Nanos::from_secs(keepalive.interval_s.into()) + self.granule(keepalive.interval_s);
            Model {
                span: Some(Span {
                    earliest: Nanos::ZERO,
                    latest: away + idle.max(next) + told,
                }),
                rule: "the next probe is answered with a RST by a host that knows nothing of the connection (RFC 9293, \
                       3.5.2)",
            }
        });
        match part(self.arm, seat) {
            Part::Asks | Part::Tells => sends,
            Part::Idle => probes.unwrap_or(NEVER_LOOKS),
            Part::Expects => {
                // Its last ack may be on the way when the host goes; the retransmission is answered with a RST.
                let own = self.silence(seat);
                Model {
                    span: own.span.map(|span| Span {
                        earliest: Nanos::ZERO,
                        ..span
                    }),
                    ..own
                }
            }
        }
    }

    fn hung(&self, seat: Seat) -> Model {
        let heartbeats_only = Self {
            keepalive: None,
            ..*self
        };
        match part(self.arm, seat) {
            Part::Idle if self.keepalive.is_some() => KERNEL_ANSWERS,
            Part::Idle => NEVER_LOOKS,
            Part::Tells => Model {
                rule: "this end sends and expects no answer, and the peer's kernel acknowledges",
                ..NOBODY_EXPECTS
            },
            Part::Asks | Part::Expects => heartbeats_only.silence(seat),
        }
    }

    fn zero_window(&self, seat: Seat) -> Model {
        match part(self.arm, seat) {
            Part::Idle => self.bounded_by_user_timeout().unwrap_or(WRITES),
            Part::Tells => Model {
                rule: "this end sends and expects no answer; the peer acknowledges every probe of its closed window",
                ..NOBODY_EXPECTS
            },
            Part::Expects => STILL_HEARS,
            Part::Asks => Self {
                keepalive: None,
                ..*self
            }
            .silence(seat),
        }
    }

    fn in_flight(&self, seat: Seat) -> Model {
        match part(self.arm, seat) {
            Part::Idle if self.keepalive.is_none() => Model {
                rule: "data is retransmitted for tcp_retries2 doublings, 924 s",
                ..WRITES
            },
            Part::Idle => self.bounded_by_user_timeout().unwrap_or(WRITES),
            _ => Self {
                keepalive: None,
                ..*self
            }
            .silence(seat),
        }
    }

    fn bounded_by_user_timeout(&self) -> Option<Model> {
        let timeout = self.user_timeout?;
        Some(Model {
            span: Some(Span {
                earliest: timeout,
                latest: timeout + FIRST_RETRANSMISSIONS + FIRST_RETRANSMISSIONS,
            }),
            rule: "the user timeout, from the first retransmission or window probe (tcp_write_timeout, tcp_probe_timer)",
        })
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
