//! The load generator: opens connections at a set pace and plays the peer's part in the exchange.
//!
//! Does not listen and knows nothing of experiments. Load is open loop: heartbeats leave on their schedule
//! whatever has been answered. One pinned thread per core opens its share of the connections; what a core
//! opens, the kernel processes on that core, and the server's listener of that core takes it.

#![forbid(unsafe_code)]

mod backoff;
mod connector;
mod opening;
mod ramp;
pub(crate) mod recovery;
mod routes;
mod share;

pub use backoff::{Backoff, Jitter};
pub use opening::Opening;
pub use routes::loopback_targets;
pub use share::{MOST_SHARDS, Shard};

use crate::bank::{BankConfig, Crew, Driver, EngineConfig, PlanError, RingPlan};
use crate::ring::{RingError, SocketOption, self_test_bind};
use crate::shard::Settings;
use crate::socket::keepalive::Keepalive;
use crate::units::Nanos;
use connector::Connector;
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
    /// Connections to open here: this shard's own.
    pub connections: u64,
    /// Which of several load generators this is, and so which numbers its connections have.
    #[serde(default)]
    pub shard: Shard,
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
    /// Open connections that were lost anew, and so. `None` leaves them lost.
    #[serde(default)]
    pub reconnect: Option<Backoff>,
    /// Reconnects that may be unanswered at once per core; `None` is `in_flight`. The clients of a storm know nothing of
    /// each other and keep to no such bound.
    #[serde(default)]
    pub reconnects_in_flight: Option<u64>,
    /// Established connections to end, in turn, and to open anew at once, per second and while the window is open.
    #[serde(default)]
    pub churn_per_second: Option<u64>,
    /// While the window is open, end the established connections beyond so many, in turn, and open them anew at once:
    /// with all of them but the ones in flight kept, connections come and go as fast as the machine goes.
    #[serde(default)]
    pub turnover_above: Option<u64>,
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
    /// Starts the threads and their rings; opens nothing until
    /// [`Phase::Open`](crate::bank::Phase::Open).
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
                    Connector::new(config, &part, common, (seat, threads), &opening),
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
