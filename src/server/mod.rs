//! The server: listens, holds the connections that arrive, and plays its part in the exchange.
//!
//! Does not open connections and knows nothing of experiments. One pinned thread per core, each with its own
//! listener in one reuseport group, so that a connection is held by the core its packets arrive on.

#![forbid(unsafe_code)]

pub(crate) mod gate;

use crate::bank::{
    BankConfig, CLOSES_PER_TURN, Crew, Director, Driver, EngineConfig, Lane, Pace, Phase,
    PlanError, RingPlan, Turnover,
};
use crate::clock::MonotonicClock;
use crate::ring::SocketOption;
use crate::shard::{Instruments, Settings};
use crate::socket::SocketError;
use crate::socket::keepalive::Keepalive;
use crate::socket::listener::{ListenOptions, ListenerGroup};
use crate::units::Nanos;
use gate::{GateAction, decide};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
    /// What carries the operations.
    pub engine: EngineConfig,
    /// What its threads sleep on.
    pub driver: Driver,
    /// Soft limit on open files.
    pub nofile: u64,
    /// `net.core.somaxconn`.
    pub somaxconn: u64,
    /// What the shards do.
    pub settings: Settings,
    /// Keepalive on the accepted sockets.
    pub keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT` of the accepted sockets, milliseconds; `None` leaves it to the kernel.
    #[serde(default)]
    pub user_timeout_ms: Option<u32>,
    /// Seconds over which its idle time is spread, connection by connection.
    #[serde(default)]
    pub keepalive_spread_s: u32,
    /// `TCP_CONGESTION` of the accepted sockets.
    pub congestion: Option<String>,
    /// End connections with a reset, which leaves no `TIME_WAIT` behind, instead of a FIN.
    #[serde(default)]
    pub abort: bool,
    /// While the window is open, end the connections beyond so many, in turn.
    #[serde(default)]
    pub turnover_above: Option<u64>,
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
    /// The listening socket could not be shared among threads.
    #[error(
        "the listening socket could not be duplicated ({0}): raise the limit on open files with `ulimit -n`"
    )]
    Listener(std::io::Error),
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
        let plan = RingPlan::for_engine(
            config.engine.kind,
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
            user_timeout_ms: config.user_timeout_ms,
            nodelay: true,
        })?;
        let address = group.address();
        let (part, per_core) = plan.per_thread(config.driver);
        let threads = cores * per_core;
        let capacity = part.connections_per_ring as usize;
        let variants = config.keepalive.map_or_else(Vec::new, |keepalive| {
            SocketOption::spread_idle(keepalive.idle_s, config.keepalive_spread_s)
        });
        let mut settings = config.settings;
        settings.option_variants = u32::try_from(variants.len()).unwrap_or(0);
        let mut banks = Vec::new();
        for (number, listener) in (0_u32..).zip(group.into_listeners()) {
            let turn = Arc::new(AtomicU32::new(0));
            for place in 0..per_core {
                let seat = number * per_core + place;
                let bank = BankConfig {
                    core: config.cores[number as usize],
                    seat: (seat, threads),
                    plan: part,
                    engine: config.engine,
                    driver: config.driver,
                    settings,
                    options: variants.clone(),
                    tick_offset: Nanos(config.settings.tick.0 / 2),
                };
                let acceptor = Acceptor {
                    listener: Some(listener.try_clone().map_err(ServerError::Listener)?),
                    capacity,
                    established: 0,
                    abort: config.abort,
                    turnover: config
                        .turnover_above
                        .map(|keep| Turnover::new(keep, (seat, threads), config.abort)),
                    turn: Turn {
                        now: Arc::clone(&turn),
                        mine: place,
                        of: per_core,
                    },
                };
                banks.push((bank, acceptor));
            }
        }
        let crew = Crew::start(banks).map_err(ServerError::Core)?;
        Ok(Self {
            crew,
            plan,
            address,
        })
    }
}

/// Whose turn it is to take connections, among the threads that share a core's listener.
#[derive(Debug)]
struct Turn {
    now: Arc<AtomicU32>,
    mine: u32,
    of: u32,
}

impl Turn {
    fn is_mine(&self) -> bool {
        self.now.load(Ordering::Relaxed) == self.mine
    }

    /// Gives it to the next thread.
    fn pass(&self) {
        self.now.store((self.mine + 1) % self.of, Ordering::Relaxed);
    }
}

/// Runs the accept gate of one thread.
#[derive(Debug)]
struct Acceptor {
    listener: Option<socket2::Socket>,
    capacity: usize,
    established: u64,
    abort: bool,
    turnover: Option<Turnover>,
    turn: Turn,
}

impl Acceptor {
    fn open_gate(&self, lanes: &mut [Lane], instruments: &mut Instruments, clock: MonotonicClock) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.turn.is_mine()) else {
            return;
        };
        let descriptor = listener.as_raw_fd();
        let rings: Vec<_> = lanes
            .iter()
            .map(|lane| (lane.shard.occupied(), lane.shard.accepting()))
            .collect();
        match decide(self.capacity, &rings) {
            GateAction::Nothing => {}
            GateAction::Full => self.turn.pass(),
            GateAction::Start(ring) => {
                // Without a descriptor to spare nothing is accepted now; the next tick tries again.
                if lanes[ring].adopt(listener).is_ok() {
                    lanes[ring].with(&clock, instruments, |shard, cx| {
                        shard.start_accept(descriptor, cx);
                    });
                }
            }
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
                shard.close_some(left, self.abort, cx)
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
                let turnover = self.turnover.as_mut().filter(|_| phase == Phase::Window);
                let turning = turnover.is_some();
                if let Some(turnover) = turnover {
                    turnover.turn(lanes, instruments, clock);
                }
                let established = lanes
                    .iter()
                    .map(|lane| lane.shard.counters().established)
                    .sum();
                let arriving = established != self.established;
                self.established = established;
                // While connections arrive, look again soon: the backlog is short.
                let waiting = !self.turn.is_mine();
                if turning || ((arriving || waiting) && phase == Phase::Open) {
                    Pace::Busy
                } else {
                    Pace::Tick
                }
            }
            Phase::Ending | Phase::Exit => self.end(lanes, instruments, clock),
        }
    }
}
