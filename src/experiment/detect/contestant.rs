//! One mechanism with its numbers, as it is put into a trial.
//!
//! Pure.

use super::fault::Seat;
use super::model::Timing;
use crate::arm::{Arm, Budget};
use crate::shard::{Phases, Role, Settings};
use crate::socket::keepalive::Keepalive;
use crate::units::Nanos;
use crate::wheel::TimersKind;
use std::time::Duration;

/// A mechanism and its numbers.
#[derive(Clone, Debug)]
pub(super) struct Contestant {
    /// As reported: the arm's name, or what is special about this one.
    pub(super) name: String,
    pub(super) arm: Arm,
    pub(super) budget: Budget,
    /// On the sockets of both ends.
    pub(super) keepalive: Option<Keepalive>,
    pub(super) user_timeout: Option<Nanos>,
}

impl Contestant {
    /// `arm` with the numbers that `budget` gives it.
    pub(super) fn usual(arm: Arm, budget: Budget) -> Self {
        Self {
            name: arm.name().to_owned(),
            arm,
            budget,
            keepalive: arm.has_keepalive().then(|| budget.keepalive_for(arm)),
            user_timeout: (arm == Arm::KeepaliveUserTimeout).then(|| budget.user_timeout()),
        }
    }

    /// The kernel's mechanism alone with numbers of its own.
    pub(super) fn kernel(
        name: &str,
        budget: Budget,
        keepalive: Option<Keepalive>,
        user_timeout: Option<Duration>,
    ) -> Self {
        let arm = match (keepalive, user_timeout) {
            (None, _) => Arm::None,
            (Some(_), None) => Arm::Keepalive,
            (Some(_), Some(_)) => Arm::KeepaliveUserTimeout,
        };
        Self {
            name: name.to_owned(),
            arm,
            budget,
            keepalive,
            user_timeout: user_timeout.map(Nanos::from),
        }
    }

    /// The longest pause between two signs of life.
    pub(super) fn longest_pause(&self) -> Nanos {
        let idle = self.keepalive.map_or(Nanos::ZERO, |keepalive| {
            Nanos::from_secs(keepalive.idle_s.into())
        });
        if self.arm.has_heartbeats() {
            idle.max(self.budget.interval)
        } else {
            idle
        }
    }

    /// What the half at `seat` does.
    pub(super) fn settings(&self, seat: Seat, tick: Nanos) -> Settings {
        let role: Role = match seat {
            Seat::Server => self.arm.server_role(),
            Seat::Client => self.arm.load_role(),
        };
        Settings {
            role,
            interval: self.budget.interval,
            idle_timeout: self.budget.idle_timeout,
            answer_timeout: self.budget.answer_timeout,
            tick,
            phases: Phases::Staggered,
            timers: TimersKind::Wheel,
            keepalive: self.keepalive.is_some(),
            option_variants: 0,
            log_endings: true,
            phase_origin: Nanos::ZERO,
        }
    }

    /// For the model.
    pub(super) fn timing(&self, tick: Nanos, hz: u32, reboot: Nanos) -> Timing {
        Timing {
            arm: self.arm,
            interval: self.budget.interval,
            idle_timeout: self.budget.idle_timeout,
            answer_timeout: self.budget.answer_timeout,
            keepalive: self.keepalive,
            user_timeout: self.user_timeout,
            tick,
            hz,
            reboot,
        }
    }

    /// Its numbers in words.
    pub(super) fn in_words(&self) -> String {
        let span = |span: Nanos| humantime::format_duration(span.as_duration()).to_string();
        let mut parts = Vec::new();
        if self.arm.has_heartbeats() {
            parts.push(format!("heartbeat every {}", span(self.budget.interval)));
            parts.push(format!("idle timeout {}", span(self.budget.idle_timeout)));
            if self.arm != Arm::HeartbeatOneway {
                parts.push(format!(
                    "answer timeout {}",
                    span(self.budget.answer_timeout)
                ));
            }
        }
        if let Some(keepalive) = self.keepalive {
            parts.push(format!(
                "keepalive idle {} s, interval {} s, count {}",
                keepalive.idle_s, keepalive.interval_s, keepalive.count
            ));
        }
        if let Some(timeout) = self.user_timeout {
            parts.push(format!("user timeout {}", span(timeout)));
        }
        if self.arm == Arm::Both
            && let Some(keepalive) = self.keepalive
        {
            let fires = Nanos::from_secs(keepalive.idle_s.into()) < self.budget.interval;
            parts.push(
                if fires {
                    "keepalive fires between heartbeats, its idle time being the shorter"
                } else {
                    "keepalive never fires: heartbeats come before its idle time is up"
                }
                .to_owned(),
            );
        }
        if parts.is_empty() {
            return "nothing is sent and nothing expected".to_owned();
        }
        parts.join(", ")
    }
}
