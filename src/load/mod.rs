//! The load generator: opens connections at a set pace and plays the peer's part in the exchange.
//!
//! Does not listen and knows nothing of experiments. Load is open loop: heartbeats leave on their schedule
//! whatever has been answered. One pinned thread per core opens its share of the connections; what a core
//! opens, the kernel processes on that core, and the server's listener of that core takes it.

#![forbid(unsafe_code)]

mod opening;
mod ramp;
mod routes;

pub use opening::Opening;
pub use routes::loopback_targets;

use crate::bank::{
    BankConfig, CLOSES_PER_TURN, Crew, Director, Driver, EngineConfig, Lane, Pace, Phase,
    PlanError, RingPlan,
};
use crate::clock::{Clock as _, MonotonicClock};
use crate::ring::{RingError, SocketOption, self_test_bind};
use crate::shard::{Instruments, Settings};
use crate::socket::keepalive::Keepalive;
use crate::units::Nanos;
use ramp::Ramp;
use routes::Routes;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

/// How to load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadConfig {
    /// Where to connect to, in turn.
    pub targets: Vec<SocketAddrV4>,
    /// Where connections come from, each once with every target before the next; none leaves it to the kernel.
    #[serde(default)]
    pub sources: Vec<Ipv4Addr>,
    /// Connections to open.
    pub connections: u64,
    /// Connections per second; `None` is as fast as the connects in flight allow.
    pub ramp_rate: Option<u64>,
    /// Connects that may be unanswered at once per core; more than the server's accept queue would overflow it.
    pub in_flight: u64,
    /// Cores, one thread each.
    pub cores: Vec<usize>,
    /// What carries the operations.
    pub engine: EngineConfig,
    /// What its threads sleep on.
    pub driver: Driver,
    /// Soft limit on open files.
    pub nofile: u64,
    /// What the shards do.
    pub settings: Settings,
    /// Keepalive on the sockets opened here.
    pub keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT` of the sockets opened here, milliseconds; `None` leaves it to the kernel. It bounds their
    /// connects too.
    #[serde(default)]
    pub user_timeout_ms: Option<u32>,
    /// Seconds over which its idle time is spread, connection by connection.
    #[serde(default)]
    pub keepalive_spread_s: u32,
    /// `TCP_CONGESTION` of the sockets opened here.
    pub congestion: Option<String>,
    /// End connections with a reset, which leaves no `TIME_WAIT` behind, instead of a FIN.
    pub abort: bool,
}

/// Why the load generator did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The limits of the host.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A congestion control name the kernel cannot hold.
    #[error(
        "`{name}` is not a congestion control name: at most 15 bytes, see `sysctl net.ipv4.tcp_available_congestion_control`"
    )]
    Congestion {
        /// What was asked for.
        name: String,
    },
    /// A source address, or a kernel that cannot bind to one.
    #[error(transparent)]
    Source(#[from] RingError),
    /// A core thread, usually its ring.
    #[error("{0}")]
    Core(String),
}

/// Connects in flight per core thread where nothing asks for fewer: well within the accept queue of a listener
/// with its own defaults, and enough for tens of thousands of connections a second.
pub const IN_FLIGHT: u64 = 256;

/// A running load generator.
#[derive(Debug)]
pub struct Load {
    /// Its threads.
    pub crew: Crew,
    /// Its rings.
    pub plan: RingPlan,
    /// Stops and times its ramp.
    pub opening: Opening,
}

impl Load {
    /// Starts the threads and their rings; opens nothing until [`Phase::Open`].
    ///
    /// # Errors
    /// [`LoadError`], with the remedy.
    pub fn start(config: &LoadConfig) -> Result<Self, LoadError> {
        let cores = u32::try_from(config.cores.len()).unwrap_or(u32::MAX);
        let plan = RingPlan::for_engine(
            config.engine.kind,
            config.connections,
            cores,
            config.nofile,
            1,
            false,
        )?;
        let mut options = Vec::new();
        if let Some(name) = &config.congestion {
            let option = SocketOption::congestion(name)
                .ok_or_else(|| LoadError::Congestion { name: name.clone() })?;
            options.push(option);
        }
        if let Some(keepalive) = &config.keepalive {
            let Keepalive {
                idle_s,
                interval_s,
                count,
            } = *keepalive;
            options.extend(SocketOption::keepalive(idle_s, interval_s, count));
        }
        options.extend(config.user_timeout_ms.map(SocketOption::user_timeout));
        if !config.sources.is_empty() {
            if config.engine.kind.has_direct_descriptors() {
                self_test_bind(&config.sources)?;
            }
            options.push(SocketOption::bind_address_no_port());
        }
        let common = options.len();
        if let Some(keepalive) = &config.keepalive {
            let spread_s = config.keepalive_spread_s;
            options.extend(SocketOption::spread_idle(keepalive.idle_s, spread_s));
        }
        let mut settings = config.settings;
        settings.option_variants = u32::try_from(options.len() - common).unwrap_or(0);
        let (part, per_core) = plan.per_thread(config.driver);
        let threads = cores * per_core;
        // The server's accept queue is per core, whatever shares it.
        let in_flight = (config.in_flight / u64::from(per_core)).max(1);
        let opening = Opening::new(threads);
        let banks = (0..threads)
            .zip(config.cores.iter().cycle())
            .map(|(seat, &core)| {
                let bank = BankConfig {
                    core,
                    seat: (seat, threads),
                    plan: part,
                    engine: config.engine,
                    driver: config.driver,
                    settings,
                    options: options.clone(),
                    tick_offset: Nanos::ZERO,
                };
                (
                    bank,
                    Connector {
                        opening: opening.clone(),
                        ..Connector::new(config, &part, common, (seat, threads), in_flight)
                    },
                )
            })
            .collect();
        let crew = Crew::start(banks).map_err(LoadError::Core)?;
        Ok(Self {
            crew,
            plan,
            opening,
        })
    }
}

/// Opens one core's share.
#[derive(Debug)]
struct Connector {
    ramp: Ramp,
    routes: Routes,
    options: u32,
    capacity: usize,
    /// The lane that had room last: lanes fill in turn.
    filling: usize,
    opening: Opening,
    /// Whether the end of the ramp has been told.
    told: bool,
    /// This thread's place among the threads: ordinals are dealt out in turn.
    seat: (u32, u32),
    abort: bool,
}

impl Connector {
    #[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
    fn new(
        config: &LoadConfig,
        plan: &RingPlan,
        options: usize,
        seat: (u32, u32),
        in_flight: u64,
    ) -> Self {
        let (place, threads) = (u64::from(seat.0), u64::from(seat.1));
        let total = config.connections / threads + u64::from(place < config.connections % threads);
        let rate = config.ramp_rate.map(|rate| rate as f64 / threads as f64);
        Self {
            ramp: Ramp::new(total, rate, in_flight),
            routes: Routes::new(&config.targets, &config.sources),
            options: u32::try_from(options).unwrap_or(0),
            capacity: plan.connections_per_ring as usize,
            filling: 0,
            opening: Opening::new(1),
            told: false,
            seat,
            abort: config.abort,
        }
    }

    fn open(
        &mut self,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace {
        let connecting: u64 = lanes
            .iter()
            .map(|lane| lane.shard.counters().connecting)
            .sum();
        if self.opening.is_stopped() {
            self.ramp.stop();
        }
        let first = self.ramp.begun();
        let now = clock.now();
        let count = self.ramp.begin(now, connecting);
        if first == 0 && count > 0 {
            self.opening.begin(now);
        }
        for number in first..first + count {
            let Some(lane) = self.lane_with_room(lanes) else {
                break;
            };
            let (seat, seats) = self.seat;
            let ordinal = u32::try_from(number)
                .unwrap_or(u32::MAX)
                .wrapping_mul(seats)
                .wrapping_add(seat);
            let (target, source) = self.routes.of(ordinal);
            let options = self.options;
            lanes[lane].with(&clock, instruments, |shard, cx| {
                shard.connect(target, source, ordinal, options, cx);
            });
        }
        if !self.ramp.is_over() || connecting > 0 || count > 0 {
            return Pace::Busy;
        }
        if !std::mem::replace(&mut self.told, true) {
            self.opening.end(now);
        }
        Pace::Tick
    }

    fn lane_with_room(&mut self, lanes: &[Lane]) -> Option<usize> {
        let count = lanes.len();
        let found = (0..count)
            .map(|step| (self.filling + step) % count)
            .find(|lane| lanes[*lane].shard.occupied() < self.capacity)?;
        self.filling = found;
        Some(found)
    }
}

impl Director for Connector {
    fn direct(
        &mut self,
        phase: Phase,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace {
        match phase {
            Phase::Hold => Pace::Busy,
            Phase::Open | Phase::Window | Phase::Closed => self.open(lanes, instruments, clock),
            Phase::Quiet => Pace::Tick,
            Phase::Ending | Phase::Exit => {
                let mut left = CLOSES_PER_TURN;
                for lane in lanes {
                    left -= lane.with(&clock, instruments, |shard, cx| {
                        shard.close_some(left, self.abort, cx)
                    });
                }
                if left == 0 { Pace::Busy } else { Pace::Tick }
            }
        }
    }
}
