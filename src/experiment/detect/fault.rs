//! What can go wrong between two hosts, and what can only be hard for them: the lab's faults and stresses.
//!
//! Pure: names and properties. How each is made is in `inject`, what follows from it in `model`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seat {
    /// The accepting end.
    Server,
    /// The connecting end.
    Client,
}

impl Seat {
    /// Both, in the order reported.
    pub const ALL: [Self; 2] = [Self::Server, Self::Client];

    /// The name in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that ends a connection's use, whether or not anybody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The peer's process ends in order: FIN.
    ProcessExit,
    /// SIGKILL; the kernel closes what the process had.
    ProcessKilled,
    /// The peer aborts: RST.
    Reset,
    /// Nothing passes any more, either way, and nobody says so.
    PowerCut,
    /// The link to the peer is down; the router knows, and its ICMP says so.
    CablePulled,
    /// What the client sends is lost.
    OneWayLossToServer,
    /// What the server sends is lost.
    OneWayLossToClient,
    /// The peer's host is away for a moment and comes back without its connections.
    HostReboot,
    /// A firewall on the way forgets the connection and drops what it does not know.
    FirewallEviction,
    /// The peer's process is stopped; its kernel goes on acknowledging.
    ApplicationHung,
    /// The peer reads no more, and what it is sent fills its buffers.
    ZeroWindow,
    /// As a power cut, with data sent at that moment.
    BlackHoleWithDataInFlight,
}

impl Fault {
    /// All, in the order reported.
    pub const ALL: [Self; 12] = [
        Self::ProcessExit,
        Self::ProcessKilled,
        Self::Reset,
        Self::PowerCut,
        Self::CablePulled,
        Self::OneWayLossToServer,
        Self::OneWayLossToClient,
        Self::HostReboot,
        Self::FirewallEviction,
        Self::ApplicationHung,
        Self::ZeroWindow,
        Self::BlackHoleWithDataInFlight,
    ];

    /// The name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessExit => "process-exit",
            Self::ProcessKilled => "process-killed",
            Self::Reset => "reset",
            Self::PowerCut => "power-cut",
            Self::CablePulled => "cable-pulled",
            Self::OneWayLossToServer => "one-way-loss-to-server",
            Self::OneWayLossToClient => "one-way-loss-to-client",
            Self::HostReboot => "host-reboot",
            Self::FirewallEviction => "firewall-eviction",
            Self::ApplicationHung => "application-hung",
            Self::ZeroWindow => "zero-window",
            Self::BlackHoleWithDataInFlight => "black-hole-with-data-in-flight",
        }
    }

    /// Whether it lies between the hosts, so that one trial serves both seats.
    #[must_use]
    pub const fn is_between(self) -> bool {
        matches!(
            self,
            Self::PowerCut
                | Self::OneWayLossToServer
                | Self::OneWayLossToClient
                | Self::FirewallEviction
                | Self::BlackHoleWithDataInFlight
        )
    }

    /// Whether it is made with packet filter rules.
    #[must_use]
    pub const fn needs_filter(self) -> bool {
        self.is_between()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|fault| fault.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("`{text}` is no fault: choose from {}", names.join(", "))
        })
    }
}

/// Something that is hard for a connection whose ends both live: every verdict is a false one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stress {
    /// Nothing passes for a while.
    Outage(Duration),
    /// So many packets of a hundred are lost, either way, for a while.
    RandomLoss {
        /// Of a hundred.
        percent: u32,
        /// How long.
        lasting: Duration,
    },
    /// One end's process gets a share of the time only, in slices of a fifth of a second, as a CPU quota does.
    CpuStarvation {
        /// Which end.
        of: Seat,
        /// What it gets, of a hundred.
        percent: u32,
        /// How long.
        lasting: Duration,
    },
    /// The server's process stands still for a while, as in a long collection of garbage or a migration.
    ServerPaused(Duration),
}

impl Stress {
    /// The name in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outage(_) => "outage",
            Self::RandomLoss { .. } => "random-loss",
            Self::CpuStarvation { .. } => "cpu-starvation",
            Self::ServerPaused(_) => "server-paused",
        }
    }

    /// Its size in words.
    #[must_use]
    pub fn parameter(self) -> String {
        let span = |span: Duration| humantime::format_duration(span).to_string();
        match self {
            Self::Outage(lasting) | Self::ServerPaused(lasting) => span(lasting),
            Self::RandomLoss { percent, lasting } => format!("{percent} % for {}", span(lasting)),
            Self::CpuStarvation {
                of,
                percent,
                lasting,
            } => format!("{of} at {percent} % for {}", span(lasting)),
        }
    }

    /// How long it lasts.
    #[must_use]
    pub const fn lasting(self) -> Duration {
        match self {
            Self::Outage(lasting)
            | Self::ServerPaused(lasting)
            | Self::RandomLoss { lasting, .. }
            | Self::CpuStarvation { lasting, .. } => lasting,
        }
    }

    /// Whether it is made with packet filter rules.
    #[must_use]
    pub const fn needs_filter(self) -> bool {
        matches!(self, Self::Outage(_) | Self::RandomLoss { .. })
    }
}

/// A fault or a stress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The peer, or the way to it, is lost; `victim` is the end at which it happens.
    Fault {
        /// Which.
        fault: Fault,
        /// Where; without meaning where the fault lies between the ends.
        victim: Seat,
    },
    /// The peer lives.
    Stress(Stress),
}

impl Trouble {
    /// The name in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault { fault, .. } => fault.name(),
            Self::Stress(stress) => stress.name(),
        }
    }

    /// Its size in words; empty for a fault.
    #[must_use]
    pub fn parameter(self) -> String {
        match self {
            Self::Fault { .. } => String::new(),
            Self::Stress(stress) => stress.parameter(),
        }
    }

    /// Who is watched.
    #[must_use]
    pub fn seats(self) -> Vec<Seat> {
        match self {
            Self::Fault { fault, victim } if !fault.is_between() => vec![victim.other()],
            _ => Seat::ALL.to_vec(),
        }
    }

    /// Whether it is made with packet filter rules.
    #[must_use]
    pub const fn needs_filter(self) -> bool {
        match self {
            Self::Fault { fault, .. } => fault.needs_filter(),
            Self::Stress(stress) => stress.needs_filter(),
        }
    }

    /// Whether the router is a firewall that tracks connections.
    #[must_use]
    pub const fn needs_tracking(self) -> bool {
        matches!(
            self,
            Self::Fault {
                fault: Fault::FirewallEviction,
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_every_fault_is_seen_from_both_ends() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            let mut seats: Vec<Seat> = if fault.is_between() {
                let victim = Seat::Client;
                Trouble::Fault { fault, victim }.seats()
            } else {
                let of = |victim| Trouble::Fault { fault, victim }.seats();
                Seat::ALL.into_iter().flat_map(of).collect()
            };
            seats.sort();
            assert_eq!(seats, Seat::ALL);
        }
        let refused = "earthquake".parse::<Fault>().unwrap_err();
        assert!(refused.contains("power-cut"), "{refused}");
    }

    #[test]
    fn sizes_are_told_in_words() {
        let stress = Stress::CpuStarvation {
            of: Seat::Server,
            percent: 10,
            lasting: Duration::from_secs(9),
        };
        assert_eq!(stress.parameter(), "server at 10 % for 9s");
        let outage = Trouble::Stress(Stress::Outage(Duration::from_millis(4500)));
        assert_eq!(
            (outage.name(), outage.parameter().as_str()),
            ("outage", "4s 500ms")
        );
        assert!(outage.needs_filter());
    }
}
