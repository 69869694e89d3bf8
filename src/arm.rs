//! The mechanisms compared ("arms"), and the timing each gets from one detection budget.
//!
//! Pure. A comparison is fair only if every arm promises the same: to find a dead peer within D, and to probe
//! equally often. [`Budget`] derives each arm's settings from D and the number of misses.

#![forbid(unsafe_code)]

mod budget;

pub use budget::{Budget, BudgetError};

use crate::shard::Role;
use std::fmt;
use std::str::FromStr;

/// One mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arm {
    /// Nobody sends, nobody decides: the control every cost is net of.
    None,
    /// The kernel's keepalive probes.
    Keepalive,
    /// The same with `TCP_USER_TIMEOUT`, which takes the count's place (tcp(7)).
    KeepaliveUserTimeout,
    /// Client heartbeat, server ack: the classic exchange.
    Heartbeat,
    /// Client heartbeat without ack: as many packets as keepalive, and only the server decides.
    HeartbeatOneway,
    /// Server heartbeat from its timer, client ack.
    HeartbeatPush,
    /// The classic exchange on sockets that carry keepalive, idle for less than the heartbeats' interval.
    Both,
}

impl Arm {
    /// All arms, in the order they are reported.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Keepalive,
        Self::KeepaliveUserTimeout,
        Self::Heartbeat,
        Self::HeartbeatOneway,
        Self::HeartbeatPush,
        Self::Both,
    ];

    /// Those a comparison of costs runs unless told otherwise. The others cost what these do: the user timeout changes
    /// a verdict and no packet, and both together are their sum.
    pub const COMPARED: [Self; 5] = [
        Self::None,
        Self::Keepalive,
        Self::Heartbeat,
        Self::HeartbeatOneway,
        Self::HeartbeatPush,
    ];

    /// The name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Keepalive => "keepalive",
            Self::KeepaliveUserTimeout => "keepalive-user-timeout",
            Self::Heartbeat => "heartbeat",
            Self::HeartbeatOneway => "heartbeat-oneway",
            Self::HeartbeatPush => "heartbeat-push",
            Self::Both => "both",
        }
    }

    /// What the server's shards do.
    #[must_use]
    pub const fn server_role(self) -> Role {
        match self {
            Self::None | Self::Keepalive | Self::KeepaliveUserTimeout => Role::Idle,
            Self::Heartbeat | Self::Both => Role::Responder { acked: true },
            Self::HeartbeatOneway => Role::Responder { acked: false },
            Self::HeartbeatPush => Role::Sender { acked: true },
        }
    }

    /// What the load generator's shards do.
    #[must_use]
    pub const fn load_role(self) -> Role {
        match self {
            Self::None | Self::Keepalive | Self::KeepaliveUserTimeout => Role::Idle,
            Self::Heartbeat | Self::Both => Role::Sender { acked: true },
            Self::HeartbeatOneway => Role::Sender { acked: false },
            Self::HeartbeatPush => Role::Responder { acked: true },
        }
    }

    /// Whether the application sends heartbeats.
    #[must_use]
    pub const fn has_heartbeats(self) -> bool {
        !matches!(
            self,
            Self::None | Self::Keepalive | Self::KeepaliveUserTimeout
        )
    }

    /// Whether the sockets carry keepalive, on the side or sides that were asked for.
    #[must_use]
    pub const fn has_keepalive(self) -> bool {
        matches!(
            self,
            Self::Keepalive | Self::KeepaliveUserTimeout | Self::Both
        )
    }

    /// Whether the sockets that carry keepalive have a `TCP_USER_TIMEOUT` too.
    #[must_use]
    pub const fn has_user_timeout(self) -> bool {
        matches!(self, Self::KeepaliveUserTimeout)
    }

    /// Whether keepalive's probes are the arm's events. Where heartbeats flow too, the exchange is the event and the
    /// probes are counted beside it.
    #[must_use]
    pub const fn counts_probes(self) -> bool {
        self.has_keepalive() && !self.has_heartbeats()
    }

    /// Packets one event costs by the protocol: a probe and its ACK; a heartbeat and the TCP ACK of it; or
    /// heartbeat, ack that carries the TCP ACK, and the TCP ACK of the ack. Probes beside an exchange come on top,
    /// [`PACKETS_PER_PROBE`](Self::PACKETS_PER_PROBE) each.
    #[must_use]
    pub const fn packets_per_event(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Keepalive | Self::KeepaliveUserTimeout => Some(Self::PACKETS_PER_PROBE),
            Self::HeartbeatOneway => Some(2.0),
            Self::Heartbeat | Self::HeartbeatPush | Self::Both => Some(3.0),
        }
    }
}

impl Arm {
    /// A probe and its ACK.
    pub const PACKETS_PER_PROBE: f64 = 2.0;

    /// Frames among those packets; the others are pure ACKs.
    #[must_use]
    pub const fn frames_per_event(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Keepalive | Self::KeepaliveUserTimeout => Some(0.0),
            Self::HeartbeatOneway => Some(1.0),
            Self::Heartbeat | Self::HeartbeatPush | Self::Both => Some(2.0),
        }
    }

    /// ACKs among them that the kernel sends late, because nothing of the application's goes along: one per exchange,
    /// and none for a probe, which is answered at once.
    #[must_use]
    pub const fn delayed_acks_per_event(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Keepalive | Self::KeepaliveUserTimeout => Some(0.0),
            Self::Heartbeat | Self::HeartbeatOneway | Self::HeartbeatPush | Self::Both => Some(1.0),
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|arm| arm.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|arm| arm.name()).collect();
                format!("`{text}` is not an arm: choose from {}", names.join(", "))
            })
    }
}

/// Whose sockets carry keepalive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepaliveSide {
    /// The accepted ones.
    #[default]
    Server,
    /// The connecting ones.
    Client,
    /// Both.
    Both,
}

impl KeepaliveSide {
    /// All, the default first.
    pub const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Both];

    /// The name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
        }
    }

    /// Whether the accepted sockets carry it.
    #[must_use]
    pub const fn server(self) -> bool {
        matches!(self, Self::Server | Self::Both)
    }

    /// Whether the connecting sockets carry it.
    #[must_use]
    pub const fn client(self) -> bool {
        matches!(self, Self::Client | Self::Both)
    }

    /// Ends of a connection that probe.
    #[must_use]
    pub const fn ends(self) -> u64 {
        if matches!(self, Self::Both) { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_read_back(position in 0..Arm::ALL.len()) {
            let arm = Arm::ALL[position];
            prop_assert_eq!(arm.name().parse(), Ok(arm));
        }
    }

    #[test]
    fn what_an_arm_carries_follows_from_what_it_is() {
        let named = |keep: fn(Arm) -> bool| {
            let kept = Arm::ALL.into_iter().filter(|arm| keep(*arm));
            kept.map(Arm::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            named(Arm::has_keepalive),
            "keepalive keepalive-user-timeout both"
        );
        assert_eq!(
            named(Arm::counts_probes),
            "keepalive keepalive-user-timeout"
        );
        assert_eq!(named(Arm::has_user_timeout), "keepalive-user-timeout");
        assert_eq!(
            named(|arm| !arm.has_heartbeats() && !arm.has_keepalive()),
            "none"
        );
        assert!(Arm::COMPARED.iter().all(|arm| Arm::ALL.contains(arm)));
        for arm in Arm::ALL {
            let quiet = [arm.server_role(), arm.load_role()] == [Role::Idle; 2];
            assert_eq!(quiet, !arm.has_heartbeats(), "{arm}");
        }
    }
}
