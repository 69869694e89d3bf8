//! The load generator: opens connections at a set pace and plays the peer's part in the exchange.
//!
//! Does not listen and knows nothing of experiments. Load is open loop: heartbeats leave on their schedule
//! whatever has been answered. One pinned thread per core opens its share of the connections; what a core
//! opens, the kernel processes on that core, and the server's listener of that core takes it.

#![forbid(unsafe_code)]

mod ramp;

use crate::bank::{
    BankConfig, Crew, Director, Driver, EngineConfig, Lane, Pace, Phase, PlanError, RingPlan,
};
use crate::clock::{Clock as _, MonotonicClock};
use crate::ring::SocketOption;
use crate::shard::{Instruments, Settings};
use crate::socket::keepalive::Keepalive;
use crate::units::Nanos;
use ramp::Ramp;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

/// How to load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadConfig {
    /// Where to connect to, in turn.
    pub targets: Vec<SocketAddrV4>,
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
        let (part, per_core) = plan.per_thread(config.driver);
        let threads = cores * per_core;
        // The server's accept queue is per core, whatever shares it.
        let in_flight = (config.in_flight / u64::from(per_core)).max(1);
        let banks = (0..threads)
            .zip(config.cores.iter().cycle())
            .map(|(seat, &core)| {
                let bank = BankConfig {
                    core,
                    seat: (seat, threads),
                    plan: part,
                    engine: config.engine,
                    driver: config.driver,
                    settings: config.settings,
                    options: options.clone(),
                    tick_offset: Nanos::ZERO,
                };
                (
                    bank,
                    Connector::new(config, &part, options.len(), (seat, threads), in_flight),
                )
            })
            .collect();
        let crew = Crew::start(banks).map_err(LoadError::Core)?;
        Ok(Self { crew, plan })
    }
}

/// Loopback addresses to connect to so that `connections` fit the ephemeral ports: at most half of the range
/// per address, because the kernel's search for a free port slows down sharply in the second half.
#[must_use]
pub fn loopback_targets(connections: u64, port: u16, ephemeral: (u16, u16)) -> Vec<SocketAddrV4> {
    let range = u64::from(ephemeral.1.saturating_sub(ephemeral.0)) + 1;
    let per_address = (range / 2).max(1);
    let count = connections.div_ceil(per_address).clamp(1, 1 << 16);
    let base = u32::from(Ipv4Addr::LOCALHOST);
    (0..u32::try_from(count).unwrap_or(1))
        .map(|number| SocketAddrV4::new(Ipv4Addr::from(base + number), port))
        .collect()
}

/// Opens one core's share.
#[derive(Debug)]
struct Connector {
    ramp: Ramp,
    targets: Vec<SocketAddrV4>,
    options: u32,
    capacity: usize,
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
            targets: config.targets.clone(),
            options: u32::try_from(options).unwrap_or(0),
            capacity: plan.connections_per_ring as usize,
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
        let first = self.ramp.begun();
        let count = self.ramp.begin(clock.now(), connecting);
        for number in first..first + count {
            let Some(lane) = lanes
                .iter_mut()
                .find(|lane| lane.shard.occupied() < self.capacity)
            else {
                break;
            };
            let (seat, seats) = self.seat;
            let ordinal = u32::try_from(number)
                .unwrap_or(u32::MAX)
                .wrapping_mul(seats)
                .wrapping_add(seat);
            let target = self.targets[ordinal as usize % self.targets.len()];
            let options = self.options;
            lane.with(&clock, instruments, |shard, cx| {
                shard.connect(target, ordinal, options, cx);
            });
        }
        if self.ramp.is_over() && connecting == 0 {
            Pace::Tick
        } else {
            Pace::Busy
        }
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
                for lane in lanes {
                    lane.with(&clock, instruments, |shard, cx| {
                        shard.close_all(self.abort, cx);
                    });
                }
                Pace::Tick
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_multiply_with_the_connections_and_stay_on_loopback() {
        let ephemeral = (32_768, 60_999);
        assert_eq!(loopback_targets(10_000, 7000, ephemeral).len(), 1);
        let targets = loopback_targets(2_500_000, 7000, ephemeral);
        assert_eq!(targets.len(), 178);
        assert!(
            targets
                .iter()
                .all(|target| target.ip().is_loopback() && target.port() == 7000)
        );
        assert_eq!(targets[177].ip(), &Ipv4Addr::new(127, 0, 0, 178));
        assert!(
            loopback_targets(1 << 40, 7000, (1, 1))
                .iter()
                .all(|t| t.ip().is_loopback())
        );
    }
}
