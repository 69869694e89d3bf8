//! Which endings are measured, how often, in which order.
//!
//! Pure.

use crate::experiment::NetworkPath;
use crate::experiment::capacity::HostFacts;
use crate::experiment::lifecycle::shape::LifecycleShape;
use crate::experiment::plan::{CostPlan, order};
use crate::record::Config;
use crate::shard::CloseCause;
use std::fmt;
use std::time::Duration;

/// Connections of a round that names no number, and of a quick one.
const CONNECTIONS: (u64, u64) = (20_000, 2_000);
/// Rounds, and quick ones.
const ROUNDS: (u32, u32) = (3, 2);
/// Length of a sustained stretch, and of a quick one.
const SUSTAINED: (Duration, Duration) = (Duration::from_secs(3), Duration::from_millis(600));
/// Length of the idle stretch that costs are net of, and of a quick one.
const IDLE: (Duration, Duration) = (Duration::from_millis(700), Duration::from_millis(150));
/// More turnovers in a second than a pair of cores has been seen to make: each takes a port for a minute.
const PORTS_PER_SECOND_AND_CORE: u64 = 40_000;

/// Who ends a connection, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client closes it: a FIN each way.
    ClientFin,
    /// The server closes it: a FIN each way.
    ServerFin,
    /// The client aborts it: a RST.
    ClientRst,
}

impl Ending {
    pub(super) const ALL: [Self; 3] = [Self::ClientFin, Self::ServerFin, Self::ClientRst];

    /// As the record calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ClientFin => "client-fin",
            Self::ServerFin => "server-fin",
            Self::ClientRst => "client-rst",
        }
    }

    pub(super) const fn by_server(self) -> bool {
        matches!(self, Self::ServerFin)
    }

    pub(super) const fn with_reset(self) -> bool {
        matches!(self, Self::ClientRst)
    }

    /// What the other end sees.
    pub(super) const fn seen_as(self) -> CloseCause {
        if self.with_reset() {
            CloseCause::Reset
        } else {
            CloseCause::PeerClosed
        }
    }

    /// The fewest and the most packets of one: a FIN each way and an ACK of each, of which the first may go along with
    /// the second FIN (RFC 9293, section 3.6); or the RST alone.
    pub(super) const fn packets(self) -> (f64, f64) {
        if self.with_reset() {
            (1.0, 1.0)
        } else {
            (3.0, 4.0)
        }
    }

    /// Sockets in `TIME_WAIT` that `connections` leave behind: at the server, at the client. Whoever sent the first FIN
    /// waits (RFC 9293, section 3.6); a RST leaves nothing (section 3.10.7.4).
    pub(super) const fn time_wait(self, connections: u64) -> (u64, u64) {
        match self {
            Self::ClientFin => (0, connections),
            Self::ServerFin => (connections, 0),
            Self::ClientRst => (0, 0),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Turnovers with nothing left to decide.
#[derive(Clone, Debug)]
pub struct TurnoverPlan {
    pub(super) cost: CostPlan,
    pub(super) rounds: u32,
    pub(super) idle: Duration,
    pub(super) sustained: Duration,
    /// The endings of each round, by their place among [`Ending::ALL`].
    pub(super) order: Vec<Vec<usize>>,
}

impl TurnoverPlan {
    /// Connections of each round are `connections`, or the usual number cut to what the host holds.
    ///
    /// # Errors
    /// A sentence with the remedy, when the host cannot hold it.
    pub fn new(
        shape: &LifecycleShape,
        connections: Option<u64>,
        quick: bool,
        host: HostFacts,
    ) -> Result<Self, String> {
        let usual = if quick { CONNECTIONS.1 } else { CONNECTIONS.0 };
        // Both ends' namespaces are the run's: what lingers in them, and what counts them, is nobody else's.
        let cost = shape.plan((connections, usual), NetworkPath::Veth, None, host)?;
        let rounds = if quick { ROUNDS.1 } else { ROUNDS.0 };
        Ok(Self {
            rounds,
            idle: if quick { IDLE.1 } else { IDLE.0 },
            sustained: if quick { SUSTAINED.1 } else { SUSTAINED.0 },
            order: order(Ending::ALL.len(), rounds, shape.seed),
            cost,
        })
    }

    /// About how long it will take, with the measurement of `TIME_WAIT`'s memory: each trial besides its stretches some
    /// two seconds of processes that start and sockets that go.
    pub(in crate::experiment::lifecycle) fn span(&self) -> Duration {
        let endings = u32::try_from(Ending::ALL.len()).unwrap_or(1);
        let each = Duration::from_secs(2);
        endings * (self.rounds * (self.idle + each) + self.sustained + each) + each
    }

    /// The effective configuration, as the record keeps it.
    pub(in crate::experiment::lifecycle) fn config(&self) -> Config {
        self.cost.config()
    }

    /// Trials in all: the rounds, and one sustained stretch for each ending.
    pub(super) fn trials(&self) -> usize {
        Ending::ALL.len() * (self.rounds as usize + 1)
    }

    /// Connections that may be missing at once while they come and go, all core threads: several times those in flight,
    /// so that there is always one to be opened.
    pub(super) fn missing(&self) -> u64 {
        let cores = self.cost.options.load_cores.len() as u64;
        (4 * self.cost.in_flight * cores).min(self.cost.connections / 2)
    }

    /// Ports of a sustained stretch: one for each connection that is held, and one for each that waits in `TIME_WAIT`.
    pub(super) fn ports(&self) -> u64 {
        let cores = self.cost.options.load_cores.len() as u64;
        let seconds = self.sustained.as_secs() + 2;
        self.cost.connections + PORTS_PER_SECOND_AND_CORE * cores * seconds
    }
}
