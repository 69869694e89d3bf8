//! The two halves of one contestant, each on its host in the laboratory.
//!
//! Does not decide when anything happens.

use super::contestant::Contestant;
use super::fault::Seat;
use super::laboratory::Laboratory;
use crate::bank::{Disturbance, Driver, EngineConfig, Phase, Snapshot};
use crate::control::Order;
use crate::experiment::process::Half;
use crate::experiment::{ExperimentError, HostFacts};
use crate::load::{LoadConfig, Shard};
use crate::os::established::count_connections;
use crate::server::ServerConfig;
use crate::units::Nanos;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

/// The first port; every pair of a laboratory has one of its own, below those the kernel gives away.
const FIRST_PORT: u16 = 7000;

/// What all pairs of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct PairPlan {
    pub(super) connections: u64,
    /// Connections per second; `None` is as fast as connects are answered.
    pub(super) ramp_rate: Option<u64>,
    pub(super) cores: Vec<usize>,
    pub(super) engine: EngineConfig,
    pub(super) tick: Nanos,
    pub(super) congestion: String,
    pub(super) host: HostFacts,
    /// The end that ends its connections with a RST.
    pub(super) aborts: Option<Seat>,
}

/// A server and a load generator.
#[derive(Debug)]
pub(super) struct Pair {
    server: Half,
    load: Half,
    port: u16,
}

impl Pair {
    /// Starts both, number `place` of the laboratory. Nothing is opened yet.
    pub(super) fn start(
        lab: &Laboratory,
        executable: &Path,
        contestant: &Contestant,
        plan: &PairPlan,
        place: usize,
    ) -> Result<Self, ExperimentError> {
        let spawn = |seat: Seat, role| lab.host(seat).run(|| Half::spawn(executable, role))?;
        let mut pair = Self {
            server: spawn(Seat::Server, "server")?,
            load: spawn(Seat::Client, "load")?,
            port: FIRST_PORT + u16::try_from(place).unwrap_or(0),
        };
        let core = vec![plan.cores[place % plan.cores.len().max(1)]];
        let user_timeout_ms = contestant
            .user_timeout
            .map(|timeout| u32::try_from(timeout.0 / 1_000_000).unwrap_or(u32::MAX));
        pair.server.ask(&Order::Serve(Box::new(ServerConfig {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, pair.port)),
            loopback: false,
            connections: plan.connections,
            cores: core.clone(),
            engine: plan.engine,
            driver: Driver::Tick,
            nofile: plan.host.nofile,
            somaxconn: plan.host.somaxconn,
            settings: contestant.settings(Seat::Server, plan.tick),
            keepalive: contestant.keepalive,
            keepalive_spread_s: 0,
            user_timeout_ms,
            congestion: Some(plan.congestion.clone()),
            abort: plan.aborts == Some(Seat::Server),
            turnover_above: None,
        })))?;
        let target = SocketAddrV4::new(Laboratory::server_address(), pair.port);
        pair.load.ask(&Order::Load(Box::new(LoadConfig {
            targets: vec![target],
            shard: Shard::default(),
            sources: Vec::new(),
            connections: plan.connections,
            ramp_rate: plan.ramp_rate,
            in_flight: crate::load::IN_FLIGHT,
            cores: core,
            engine: plan.engine,
            driver: Driver::Tick,
            nofile: plan.host.nofile,
            settings: contestant.settings(Seat::Client, plan.tick),
            keepalive: contestant.keepalive,
            keepalive_spread_s: 0,
            user_timeout_ms,
            congestion: Some(plan.congestion.clone()),
            abort: plan.aborts == Some(Seat::Client),
            reconnect: None,
            reconnects_in_flight: None,
            churn_per_second: None,
            turnover_above: None,
        })))?;
        Ok(pair)
    }

    /// The half at `seat`.
    pub(super) fn half(&mut self, seat: Seat) -> &mut Half {
        match seat {
            Seat::Server => &mut self.server,
            Seat::Client => &mut self.load,
        }
    }

    /// Lets connections be opened.
    pub(super) fn open(&mut self) -> Result<(), ExperimentError> {
        self.server.go(Phase::Open)?;
        self.load.go(Phase::Open)?;
        Ok(())
    }

    /// What the half at `seat` shows now.
    pub(super) fn report(&mut self, seat: Seat) -> Result<Snapshot, ExperimentError> {
        self.half(seat).report()
    }

    /// Has the half at `seat` do something it would not do by itself.
    pub(super) fn disturb(
        &mut self,
        seat: Seat,
        disturbance: Disturbance,
    ) -> Result<(), ExperimentError> {
        self.half(seat).ask(&Order::Disturb(disturbance)).map(drop)
    }

    /// Sends a signal to the half at `seat`; one that is gone needs none.
    pub(super) fn signal(&mut self, seat: Seat, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.half(seat).pid()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Sockets of this pair on the host of `seat`, in any state but listening and `TIME_WAIT`.
    pub(super) fn sockets(&self, lab: &Laboratory, seat: Seat) -> Result<u64, ExperimentError> {
        let port = self.port;
        let found = lab.host(seat).run(|| count_connections(port))??;
        Ok(match seat {
            Seat::Server => found.server_side,
            Seat::Client => found.client_side,
        })
    }
}
