//! A trial: one arm, once, with fresh processes and fresh sockets.
//!
//! Does not compare. The order is: wait for the sockets of the trial before to be gone; start both halves; ramp,
//! with an eye on memory; settle; read memory; open the window; read CPU and wire at its ends; close it; audit the
//! sockets; let what is in flight arrive; end everything with resets, which leave no `TIME_WAIT` behind.

use super::driven::DrivenFleet;
pub(super) use super::halves::Halves;
use super::load_side::LoadSide;
use super::meters::{OpenMeters, Stretch};
use super::network::NetworkPath;
use super::plan::CostPlan;
use super::plan::ramp_span;
use super::process::{Half, unexpected};
use super::ramp::{self, Ramp};
use super::sampler::Sampler;
use super::watch::{self, Watch, observe};
use super::{ExperimentError, Observer, StoppedAtMemory, checks};
use crate::arm::Arm;
use crate::bank::{EngineConfig, Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock, wall_epoch_ms};
use crate::control::{Order, Word};
use crate::load::{LoadConfig, Shard};
use crate::measure::keepalive::{BurstSampler, BurstSamples};
use crate::measure::memory::{MemorySnapshot, caches_per_connection, per_connection};
use crate::measure::wire::{WireDelta, WireSnapshot};
use crate::os::memory::SystemMemory;
use crate::os::network::SocketStats;
use crate::os::wait::wait_until_sockets_drained;
use crate::record::{CpuNanos, MemoryPerConnection, MeterRecord, OpeningPressure, ShardRecord};
use crate::server::ServerConfig;
use crate::socket::keepalive::Keepalive;
use crate::socket::port::choose_port;
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest the sockets of a trial may take to vanish: a part for all, and a part for every million.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(90);
const DRAIN_TIMEOUT_PER_MILLION: Duration = Duration::from_mins(1);
/// The longest to wait for what is in flight when the sending has stopped: several retransmission timeouts
/// (`TCP_RTO_MIN` is 200 ms) of a frame the backlog dropped.
const IN_FLIGHT_TIMEOUT: Nanos = Nanos::from_secs(2);

/// The part of a window that the soaker's stretch takes after it.
const SOAK_PART: u32 = 5;

/// The longest stretch: a hold of ten minutes needs no more.
const LONGEST_SOAK: Duration = Duration::from_secs(10);

/// The soaker's stretch after a window of this length.
pub(super) fn soak_after(window: Duration) -> Duration {
    (window / SOAK_PART).min(LONGEST_SOAK)
}

/// Which trial this is.
#[derive(Clone, Debug)]
pub(super) struct TrialSpec {
    pub(super) arm: Arm,
    pub(super) engine: EngineConfig,
    pub(super) name: String,
    /// The name of the arm it is net of.
    pub(super) control: String,
    pub(super) connections: u64,
    /// Connections per second; `None` is as fast as connects are answered.
    pub(super) ramp_rate: Option<u64>,
    pub(super) settle: Duration,
    pub(super) steady: Duration,
    pub(super) round: u32,
    /// The round or the rung, for people.
    pub(super) part: String,
    /// Place among all trials, and how many there are.
    pub(super) place: (usize, usize),
    /// What the trials after this one will take.
    pub(super) later: Duration,
}

impl TrialSpec {
    /// How long the trial takes, as planned: ramp, settle, window, and about a second around them, with the end of
    /// ten thousand connections in each hundred milliseconds.
    pub(super) fn span(&self) -> Duration {
        let around = Duration::from_millis(600 + self.connections / 100);
        let ramp = ramp_span(self.connections, self.ramp_rate);
        ramp + self.settle + self.steady + self.soak() + around
    }

    /// The soaker's stretch: a fifth of the window.
    pub(super) fn soak(&self) -> Duration {
        soak_after(self.steady)
    }
}

/// Everything a trial measured.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) spec: TrialSpec,
    pub(super) ramp: Ramp,
    pub(super) window: Nanos,
    pub(super) window_epoch_ms: u64,
    pub(super) cpu: CpuNanos,
    pub(super) meters: MeterRecord,
    /// The soaker's stretch after the window; `None` where it cannot run.
    pub(super) stretch: Option<Stretch>,
    pub(super) wire: WireDelta,
    /// What the ramp met with.
    pub(super) opening: OpeningPressure,
    pub(super) listen_drops: u64,
    pub(super) burst: BurstSamples,
    /// When the wire's counters had been read for the first time, and when they were about to be for the last.
    pub(super) counted: (Nanos, Nanos),
    pub(super) memory: MemoryPerConnection,
    pub(super) memory_absent: BTreeMap<String, String>,
    /// Bytes per connection by slab cache.
    pub(super) memory_caches: BTreeMap<String, i64>,
    /// What free memory moved by while it should have stood still, bytes per connection.
    pub(super) memory_unrest: u64,
    /// Established sockets in the kernel when the window closed, the fewer of the two ends.
    pub(super) kernel_held: u64,
    /// The load generators one by one, where they were on other hosts.
    pub(super) hosts: Vec<ShardRecord>,
    /// Both halves when the window closed.
    pub(super) server: Snapshot,
    pub(super) load: Snapshot,
    /// Both halves when everything in flight had arrived.
    pub(super) server_final: Snapshot,
    pub(super) load_final: Snapshot,
}

/// What all trials of a run share.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a CostPlan,
    pub(super) executable: &'a Path,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) sampler: &'a mut Sampler,
    pub(super) watch: &'a mut Watch,
    /// TCP sockets of the host before the run.
    pub(super) baseline: u64,
    /// When the run began.
    pub(super) begun: Nanos,
    /// The load generators, where they are on other hosts.
    pub(super) fleet: Option<&'a Arc<DrivenFleet>>,
}

impl Stage<'_> {
    /// What was sampled and said before belongs to another trial.
    pub(super) fn next_trial(&mut self) {
        self.sampler.next_trial();
        self.watch.next_trial();
    }
}

/// Runs one trial.
///
/// A ramp that memory stops ends in order, and is [`ExperimentError::Memory`].
pub(super) fn run(stage: &mut Stage<'_>, spec: TrialSpec) -> Result<Trial, ExperimentError> {
    wait_for_drain(stage)?;
    let unrest = wait_for_memory(stage)?;
    stage.next_trial();
    let mut halves = start(stage, &spec, |_, _| {})?;
    let pids = halves.pids();
    let path = stage.plan.options.path;
    let ground = halves.ground(path);
    let place = ground.place();
    let memory_before = MemorySnapshot::take(pids.0, pids.1)?;
    let wire_before = WireSnapshot::take(place)?;
    halves.server.go(Phase::Open)?;
    halves.load.go(Phase::Open)?;
    let ramp = ramp::climb(stage, &spec, &mut halves)?;
    if let Some(stop) = ramp.stopped {
        end(stage, &spec, halves)?;
        let asked = spec.connections;
        return Err(ExperimentError::Memory(StoppedAtMemory {
            arm: spec.name,
            asked,
            stop,
        }));
    }
    let opening = wire_before.until(&WireSnapshot::take(place)?).opening;
    hold(stage, &spec, &mut halves, "settle", spec.settle)?;
    let memory_after = MemorySnapshot::take(pids.0, pids.1)?;
    let established = halves.load.report()?.totals.open;
    let (memory, memory_absent) = per_connection(&memory_before, &memory_after, established);
    let memory_caches = caches_per_connection(&memory_before, &memory_after, established);

    halves.server.go(Phase::Window)?;
    halves.load.go(Phase::Window)?;
    let window_epoch_ms = wall_epoch_ms();
    let bursts = BurstSampler::start(&halves.namespaces(path))?;
    let (meters, wire_opened) = (OpenMeters::open(pids)?, WireSnapshot::take(place)?);
    let opened_at = MonotonicClock.now();
    hold(stage, &spec, &mut halves, "steady", spec.steady)?;
    let counted = (opened_at, MonotonicClock.now());
    let (meters, wire_closed) = (meters.close(pids)?, WireSnapshot::take(place)?);
    let burst = bursts.stop()?;
    let load = halves.load.go(Phase::Closed)?;
    let server = halves.server.go(Phase::Closed)?;
    let held = halves.audit(path)?;
    let stretch = Stretch::run(place, || {
        hold(stage, &spec, &mut halves, "soak", spec.soak())
    })?;

    let (server_final, load_final) = in_flight_arrived(&mut halves)?;
    end(stage, &spec, halves)?;
    Ok(Trial {
        ramp,
        opening,
        window: meters.window,
        window_epoch_ms,
        cpu: meters.cpu,
        meters: meters.record,
        stretch,
        wire: wire_opened.until(&wire_closed),
        listen_drops: wire_before.until(&wire_closed).listen_drops,
        burst,
        counted,
        memory,
        memory_absent,
        memory_caches,
        memory_unrest: unrest / established.max(1),
        kernel_held: held.kernel,
        hosts: held.hosts,
        server,
        load,
        server_final,
        load_final,
        spec,
    })
}

pub(super) fn wait_for_drain(stage: &Stage<'_>) -> Result<(), ExperimentError> {
    let cancelled = || stage.observer.interrupted().is_some();
    let allocated = SocketStats::read()?.tcp_allocated;
    let millions = u32::try_from(allocated / 2_000_000).unwrap_or(u32::MAX);
    let timeout = DRAIN_TIMEOUT + DRAIN_TIMEOUT_PER_MILLION * millions;
    if wait_until_sockets_drained(stage.baseline, 64, timeout, &cancelled) {
        return Ok(());
    }
    if let Some(signal) = stage.observer.interrupted() {
        return Err(ExperimentError::Interrupted(signal));
    }
    let left = SocketStats::read()?
        .tcp_allocated
        .saturating_sub(stage.baseline);
    Err(ExperimentError::NotDrained {
        left,
        waited: timeout,
    })
}

/// The kernel frees closed sockets behind an RCU grace period and a worker; memory that comes back during the ramp
/// would be taken off what the new connections cost. Waits until free memory stands still: half a second at most, and
/// as long as it comes back by much, which after millions of sockets is many seconds. Returns the bytes it last moved
/// by: nothing read from free memory is better than that.
fn wait_for_memory(stage: &Stage<'_>) -> Result<u64, ExperimentError> {
    const STILL_BYTES: u64 = 2 << 20;
    const MUCH_BYTES: u64 = 16 << 20;
    let mut last = SystemMemory::read()?.free_anywhere();
    let (mut still, mut quiet_looks, mut unrest) = (0, 0, 0);
    while still < 2 && quiet_looks < 10 {
        check_interrupt(stage)?;
        std::thread::sleep(Duration::from_millis(50));
        let free = SystemMemory::read()?.free_anywhere();
        let moved = free.abs_diff(last);
        still = if moved < STILL_BYTES { still + 1 } else { 0 };
        quiet_looks += u32::from(free < last + MUCH_BYTES);
        last = free;
        unrest = moved;
    }
    Ok(unrest)
}

/// Starts both halves. `adjust` may change what the load generator is told, once the server's port is known.
pub(super) fn start(
    stage: &Stage<'_>,
    spec: &TrialSpec,
    adjust: impl FnOnce(&mut LoadConfig, u16),
) -> Result<Halves, ExperimentError> {
    start_both(stage, spec, |_| {}, adjust)
}

/// The same, and `adjust_server` may change what the server is told.
pub(super) fn start_both(
    stage: &Stage<'_>,
    spec: &TrialSpec,
    adjust_server: impl FnOnce(&mut ServerConfig),
    adjust: impl FnOnce(&mut LoadConfig, u16),
) -> Result<Halves, ExperimentError> {
    let (plan, options) = (stage.plan, &stage.plan.options);
    let connects = options.keepalive_side.client();
    let port = if let Some(port) = stage.fleet.and_then(|fleet| fleet.port()) {
        port
    } else {
        let chosen = choose_port(plan.host.ephemeral);
        chosen
            .map_err(|error| ExperimentError::Host(error.to_string()))?
            .0
    };
    let (mut server, mut load) = if let Some(fleet) = stage.fleet {
        let server = Half::spawn(stage.executable, "server")?;
        (server, LoadSide::of(fleet))
    } else {
        let (server, load) = options.path.spawn(stage.executable)?;
        (server, LoadSide::Here(load))
    };
    let mut serve = server_config(plan, spec, port)?;
    if let Some(fleet) = stage.fleet {
        serve.settings.phase_origin = fleet.origin();
    }
    adjust_server(&mut serve);
    let answer = server.ask(&Order::Serve(Box::new(serve)))?;
    let Word::Ready {
        address: Some(address),
        ..
    } = answer
    else {
        return Err(unexpected("server", "its address"));
    };
    let mut config = LoadConfig {
        targets: match stage.fleet {
            Some(fleet) => fleet.targets(address.port()),
            None => options
                .path
                .targets(spec.connections, address.port(), plan.host.ephemeral),
        },
        connections: spec.connections,
        shard: Shard::default(),
        sources: Vec::new(),
        ramp_rate: spec.ramp_rate,
        in_flight: plan.in_flight,
        cores: options.load_cores.clone(),
        engine: spec.engine,
        driver: options.driver,
        nofile: plan.host.nofile,
        settings: plan.settings(spec.arm, spec.arm.load_role(), spec.connections),
        keepalive: keepalive(plan, spec)?.filter(|_| connects),
        user_timeout_ms: options
            .budget
            .user_timeout_ms(spec.arm)
            .filter(|_| connects),
        keepalive_spread_s: options.keepalive_spread_s,
        congestion: Some(options.congestion.clone()),
        abort: true,
        reconnect: None,
        reconnects_in_flight: None,
        churn_per_second: None,
        turnover_above: None,
    };
    adjust(&mut config, address.port());
    load.start(config)?;
    Ok(Halves {
        server,
        load,
        port: address.port(),
    })
}

/// Keepalive of the sockets of a trial, where its arm probes.
fn keepalive(plan: &CostPlan, spec: &TrialSpec) -> Result<Option<Keepalive>, ExperimentError> {
    let Keepalive {
        idle_s,
        interval_s,
        count,
    } = plan.options.budget.keepalive_for(spec.arm);
    let keepalive = Keepalive::new(idle_s, interval_s, count)
        .map_err(|error| ExperimentError::Host(error.to_string()))?;
    Ok(spec.arm.has_keepalive().then_some(keepalive))
}

/// What the server of a trial is told.
fn server_config(
    plan: &CostPlan,
    spec: &TrialSpec,
    port: u16,
) -> Result<ServerConfig, ExperimentError> {
    let options = &plan.options;
    let serves = options.keepalive_side.server();
    Ok(ServerConfig {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        loopback: options.path == NetworkPath::Loopback,
        connections: spec.connections,
        cores: options.server_cores.clone(),
        engine: spec.engine,
        driver: options.driver,
        nofile: plan.host.nofile,
        somaxconn: plan.host.somaxconn,
        settings: plan.settings(spec.arm, spec.arm.server_role(), spec.connections),
        keepalive: keepalive(plan, spec)?.filter(|_| serves),
        user_timeout_ms: options.budget.user_timeout_ms(spec.arm).filter(|_| serves),
        keepalive_spread_s: options.keepalive_spread_s,
        congestion: Some(options.congestion.clone()),
        abort: false,
        turnover_above: None,
    })
}

/// Lets `span` pass, with a row at each second.
pub(super) fn hold(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
    phase: &'static str,
    span: Duration,
) -> Result<(), ExperimentError> {
    let end = MonotonicClock.now() + span.into();
    loop {
        let now = MonotonicClock.now();
        let left = (end - now).as_duration();
        if left.is_zero() {
            return Ok(());
        }
        let second = Duration::from_secs(1);
        let step = left.min(second);
        let wake = now + step.into();
        while MonotonicClock.now() < wake {
            check_interrupt(stage)?;
            let nap = Duration::from_millis(100);
            MonotonicClock.sleep_until(wake.min(MonotonicClock.now() + nap.into()));
        }
        let usable = SystemMemory::read()?.usable();
        if usable < stage.plan.host.reserve_bytes / 2 {
            return Err(ExperimentError::InNeed {
                connections: spec.connections,
                usable_mib: usable >> 20,
            });
        }
        watch::memory(stage, spec, usable);
        if step == second {
            let (server, load) = (halves.server.report()?, halves.load.report()?);
            observe(stage, spec, halves, phase, (&server, &load))?;
        }
    }
}

pub(super) fn check_interrupt(stage: &Stage<'_>) -> Result<(), ExperimentError> {
    match stage.observer.interrupted() {
        Some(signal) => Err(ExperimentError::Interrupted(signal)),
        None => Ok(()),
    }
}

/// Both halves once every heartbeat sent has been received, refused or lost with its connection, and every connection
/// that one end lost was given up by the other; as they are when that does not come about.
fn in_flight_arrived(halves: &mut Halves) -> Result<(Snapshot, Snapshot), ExperimentError> {
    halves.load.go(Phase::Quiet)?;
    halves.server.go(Phase::Quiet)?;
    let begun = MonotonicClock.now();
    loop {
        let (server, load) = (halves.server.settle()?, halves.load.settle()?);
        let waited = MonotonicClock.now() - begun;
        let (ours, theirs) = (&server.totals, &load.totals);
        let settled = checks::balanced(ours, theirs) && checks::explained(ours, theirs);
        if settled || waited > IN_FLIGHT_TIMEOUT {
            return Ok((server, load));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn end(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    mut halves: Halves,
) -> Result<(), ExperimentError> {
    let (server, load) = (halves.server.report()?, halves.load.report()?);
    observe(stage, spec, &halves, "drain", (&server, &load))?;
    halves.load.go(Phase::Ending)?;
    halves.load.finish();
    halves.server.finish();
    Ok(())
}
