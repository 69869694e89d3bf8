//! The server: listens, holds the connections that arrive, and plays its part in the exchange.
//!
//! Does not open connections and knows nothing of experiments. One pinned thread per core, each with its own
//! listener in one reuseport group, so that a connection is held by the core its packets arrive on.

#![forbid(unsafe_code)]

pub(crate) mod gate;

use crate::bank::{
    BankConfig, CLOSES_PER_TURN, Crew, Director, Lane, Pace, Phase, PlanError, RingPlan,
};
use crate::clock::MonotonicClock;
use crate::shard::{Instruments, Settings};
use crate::socket::SocketError;
use crate::socket::keepalive::Keepalive;
use crate::socket::listener::{ListenOptions, ListenerGroup};
use crate::units::Nanos;
use gate::{GateAction, decide};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// How to serve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerConfig {
    /// Where to listen.
    pub address: SocketAddr,
    /// Listen on every loopback address (127.0.0.0/8) and nowhere else, at `address`'s port.
    pub loopback: bool,
    /// Connections to make room for.
    pub connections: u64,
    /// Cores, one thread and one listener each.
    pub cores: Vec<usize>,
    /// Soft limit on open files.
    pub nofile: u64,
    /// `net.core.somaxconn`.
    pub somaxconn: u64,
    /// What the shards do.
    pub settings: Settings,
    /// Keepalive on the accepted sockets.
    pub keepalive: Option<Keepalive>,
    /// `TCP_CONGESTION` of the accepted sockets.
    pub congestion: Option<String>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The limits of the host.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The listening socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A core thread, usually its ring.
    #[error("{0}")]
    Core(String),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its threads.
    pub crew: Crew,
    /// Its rings.
    pub plan: RingPlan,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Binds, starts the threads and their rings, and accepts nothing until [`Phase::Open`].
    ///
    /// # Errors
    /// [`ServerError`], with the remedy.
    pub fn start(config: &ServerConfig) -> Result<Self, ServerError> {
        let cores = u32::try_from(config.cores.len()).unwrap_or(u32::MAX);
        let plan = RingPlan::new(
            config.connections,
            cores,
            config.nofile,
            config.somaxconn,
            true,
        )?;
        let group = ListenerGroup::bind(&ListenOptions {
            address: config.address,
            loopback_device: config.loopback,
            cores: &config.cores,
            backlog: plan.backlog,
            congestion: config.congestion.as_deref(),
            keepalive: config.keepalive,
            nodelay: true,
        })?;
        let address = group.address();
        let listeners = group.into_listeners();
        let banks = (0_u32..)
            .zip(config.cores.iter().zip(listeners))
            .map(|(seat, (&core, listener))| {
                let bank = BankConfig {
                    core,
                    seat: (seat, cores),
                    plan,
                    settings: config.settings,
                    options: Vec::new(),
                    tick_offset: Nanos(config.settings.tick.0 / 2),
                };
                let capacity = plan.connections_per_ring as usize;
                (
                    bank,
                    Acceptor {
                        listener: Some(listener),
                        capacity,
                        established: 0,
                    },
                )
            })
            .collect();
        let crew = Crew::start(banks).map_err(ServerError::Core)?;
        Ok(Self {
            crew,
            plan,
            address,
        })
    }
}

/// Runs the accept gate of one core.
#[derive(Debug)]
struct Acceptor {
    listener: Option<socket2::Socket>,
    capacity: usize,
    established: u64,
}

impl Acceptor {
    fn open_gate(&self, lanes: &mut [Lane], instruments: &mut Instruments, clock: MonotonicClock) {
        let Some(listener) = &self.listener else {
            return;
        };
        let descriptor = listener.as_raw_fd();
        let rings: Vec<_> = lanes
            .iter()
            .map(|lane| (lane.shard.occupied(), lane.shard.accepting()))
            .collect();
        match decide(self.capacity, &rings) {
            GateAction::Nothing | GateAction::Full => {}
            GateAction::Start(ring) => lanes[ring].with(&clock, instruments, |shard, cx| {
                shard.start_accept(descriptor, cx);
            }),
            GateAction::Stop(ring) => {
                lanes[ring].with(&clock, instruments, super::shard::Shard::stop_accept);
            }
        }
    }

    fn end(
        &mut self,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace {
        let mut left = CLOSES_PER_TURN;
        for lane in lanes {
            lane.with(&clock, instruments, super::shard::Shard::stop_accept);
            left -= lane.with(&clock, instruments, |shard, cx| {
                shard.close_some(left, false, cx)
            });
        }
        // Closing the listener resets what still waits in its backlog.
        self.listener = None;
        if left == 0 { Pace::Busy } else { Pace::Tick }
    }
}

impl Director for Acceptor {
    fn direct(
        &mut self,
        phase: Phase,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace {
        match phase {
            Phase::Hold => Pace::Busy,
            Phase::Open | Phase::Window | Phase::Closed | Phase::Quiet => {
                self.open_gate(lanes, instruments, clock);
                let established = lanes
                    .iter()
                    .map(|lane| lane.shard.counters().established)
                    .sum();
                let arriving = established != self.established;
                self.established = established;
                // While connections arrive, look again soon: the backlog is short.
                if arriving && phase == Phase::Open {
                    Pace::Busy
                } else {
                    Pace::Tick
                }
            }
            Phase::Ending | Phase::Exit => self.end(lanes, instruments, clock),
        }
    }
}
