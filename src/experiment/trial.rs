//! A trial: one arm, once, with fresh processes and fresh sockets.
//!
//! Does not compare. The order is: wait for the sockets of the trial before to be gone; start both halves; ramp;
//! settle; read memory; open the window; read CPU and wire at its ends; close it; audit the sockets; let what is
//! in flight arrive; end everything with resets, which leave no `TIME_WAIT` behind.

use super::plan::CostPlan;
use super::process::Half;
use super::sampler::{INTERFACE, Sampler};
use super::{ExperimentError, Observer, Progress};
use crate::arm::Arm;
use crate::bank::{EngineConfig, Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock, wall_epoch_ms};
use crate::control::{Order, Word};
use crate::load::{IN_FLIGHT, LoadConfig, loopback_targets};
use crate::measure::cpu::CpuSnapshot;
use crate::measure::keepalive::{BurstSampler, BurstSamples};
use crate::measure::memory::{MemorySnapshot, per_connection};
use crate::measure::wire::{WireDelta, WireSnapshot};
use crate::os::established::count_established;
use crate::os::memory::SystemMemory;
use crate::os::network::SocketStats;
use crate::os::wait::wait_until_sockets_drained;
use crate::record::{CpuNanos, MemoryPerConnection};
use crate::server::ServerConfig;
use crate::socket::keepalive::Keepalive;
use crate::socket::port::choose_port;
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Without a single new connection for this long, the ramp is stuck.
const STUCK_AFTER: Nanos = Nanos::from_secs(20);
/// The longest the sockets of a trial may take to vanish.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(90);
/// The longest to wait for what is in flight when the sending has stopped: several retransmission timeouts
/// (`TCP_RTO_MIN` is 200 ms) of a frame the backlog dropped.
const IN_FLIGHT_TIMEOUT: Nanos = Nanos::from_secs(2);

/// Which trial this is.
#[derive(Clone, Debug)]
pub(super) struct TrialSpec {
    pub(super) arm: Arm,
    pub(super) engine: EngineConfig,
    pub(super) name: String,
    /// The name of the arm it is net of.
    pub(super) control: String,
    pub(super) connections: u64,
    pub(super) ramp_rate: u64,
    pub(super) steady: Duration,
    pub(super) round: u32,
    /// Place among all trials, and how many there are.
    pub(super) place: (usize, usize),
}

/// Everything a trial measured.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) spec: TrialSpec,
    pub(super) ramp: Nanos,
    pub(super) window: Nanos,
    pub(super) window_epoch_ms: u64,
    pub(super) cpu: CpuNanos,
    pub(super) wire: WireDelta,
    pub(super) listen_drops: u64,
    pub(super) burst: BurstSamples,
    pub(super) memory: MemoryPerConnection,
    pub(super) memory_absent: BTreeMap<String, String>,
    /// Established sockets in the kernel when the window closed, the fewer of the two ends.
    pub(super) kernel_held: u64,
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
    pub(super) sampler: Sampler,
    /// TCP sockets of the host before the run.
    pub(super) baseline: u64,
}

/// The two processes of a trial.
struct Halves {
    server: Half,
    load: Half,
    port: u16,
}

impl Halves {
    fn pids(&self) -> (u32, u32) {
        (self.server.pid(), self.load.pid())
    }
}

/// Runs one trial.
pub(super) fn run(stage: &mut Stage<'_>, spec: TrialSpec) -> Result<Trial, ExperimentError> {
    wait_for_drain(stage)?;
    wait_for_memory()?;
    stage.sampler.next_trial();
    let mut halves = start(stage, &spec)?;
    let (server_pid, load_pid) = halves.pids();
    let memory_before = MemorySnapshot::take(server_pid, load_pid)?;
    let wire_before = WireSnapshot::take(INTERFACE)?;
    let begun = MonotonicClock.now();
    halves.server.go(Phase::Open)?;
    halves.load.go(Phase::Open)?;
    ramp(stage, &spec, &mut halves)?;
    let ramp = MonotonicClock.now() - begun;
    hold(stage, &spec, &mut halves, "settle", stage.plan.settle)?;
    let memory_after = MemorySnapshot::take(server_pid, load_pid)?;
    let established = halves.load.report()?.totals.open;
    let (memory, memory_absent) = per_connection(&memory_before, &memory_after, established);

    halves.server.go(Phase::Window)?;
    halves.load.go(Phase::Window)?;
    let window_epoch_ms = wall_epoch_ms();
    let bursts = BurstSampler::start()?;
    let (cpu_opened, wire_opened) = (
        CpuSnapshot::take(server_pid, load_pid)?,
        WireSnapshot::take(INTERFACE)?,
    );
    hold(stage, &spec, &mut halves, "steady", spec.steady)?;
    let (cpu_closed, wire_closed) = (
        CpuSnapshot::take(server_pid, load_pid)?,
        WireSnapshot::take(INTERFACE)?,
    );
    let burst = bursts.stop()?;
    let load = halves.load.go(Phase::Closed)?;
    let server = halves.server.go(Phase::Closed)?;
    let audited = count_established(halves.port)?;

    halves.load.go(Phase::Quiet)?;
    halves.server.go(Phase::Quiet)?;
    let (server_final, load_final) = in_flight_arrived(&mut halves)?;
    end(stage, &spec, halves)?;
    Ok(Trial {
        ramp,
        window: cpu_closed.at() - cpu_opened.at(),
        window_epoch_ms,
        cpu: cpu_opened.until(&cpu_closed)?,
        wire: wire_opened.until(&wire_closed),
        listen_drops: wire_before.until(&wire_closed).listen_drops,
        burst,
        memory,
        memory_absent,
        kernel_held: audited.server_side.min(audited.client_side),
        server,
        load,
        server_final,
        load_final,
        spec,
    })
}

fn wait_for_drain(stage: &Stage<'_>) -> Result<(), ExperimentError> {
    let cancelled = || stage.observer.interrupted().is_some();
    if wait_until_sockets_drained(stage.baseline, 64, DRAIN_TIMEOUT, &cancelled) {
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
        waited: DRAIN_TIMEOUT,
    })
}

/// The kernel frees closed sockets behind an RCU grace period and a worker; memory that comes back during the ramp
/// would be taken off what the new connections cost. Waits until free memory stands still, half a second at most.
fn wait_for_memory() -> Result<(), ExperimentError> {
    const STILL_BYTES: u64 = 2 << 20;
    let mut last = SystemMemory::read()?.free_anywhere();
    let mut still = 0;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(50));
        let free = SystemMemory::read()?.free_anywhere();
        still = if free.abs_diff(last) < STILL_BYTES {
            still + 1
        } else {
            0
        };
        if still == 2 {
            break;
        }
        last = free;
    }
    Ok(())
}

fn start(stage: &Stage<'_>, spec: &TrialSpec) -> Result<Halves, ExperimentError> {
    let (plan, options) = (stage.plan, &stage.plan.options);
    let budget = &options.budget;
    let keepalive = Keepalive::new(
        budget.keepalive_idle_s,
        budget.keepalive_interval_s,
        budget.keepalive_count,
    )
    .map_err(|error| ExperimentError::Host(error.to_string()))?;
    let probing = spec.arm == Arm::Keepalive;
    let (port, _) = choose_port(plan.host.ephemeral)
        .map_err(|error| ExperimentError::Host(error.to_string()))?;
    let mut server = Half::spawn(stage.executable, "server")?;
    let mut load = Half::spawn(stage.executable, "load")?;
    let answer = server.ask(&Order::Serve(Box::new(ServerConfig {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        loopback: true,
        connections: spec.connections,
        cores: options.server_cores.clone(),
        engine: spec.engine,
        driver: options.driver,
        nofile: plan.host.nofile,
        somaxconn: plan.host.somaxconn,
        settings: plan.settings(spec.arm, spec.arm.server_role(), spec.connections),
        keepalive: (probing && options.keepalive_side.server()).then_some(keepalive),
        congestion: Some(options.congestion.clone()),
    })))?;
    let Word::Ready {
        address: Some(address),
        ..
    } = answer
    else {
        return Err(ExperimentError::Half {
            role: "server",
            message: format!("it answered {answer:?} instead of its address"),
        });
    };
    load.ask(&Order::Load(Box::new(LoadConfig {
        targets: loopback_targets(spec.connections, address.port(), plan.host.ephemeral),
        connections: spec.connections,
        ramp_rate: Some(spec.ramp_rate),
        in_flight: IN_FLIGHT.min(u64::from(plan.backlog)),
        cores: options.load_cores.clone(),
        engine: spec.engine,
        driver: options.driver,
        nofile: plan.host.nofile,
        settings: plan.settings(spec.arm, spec.arm.load_role(), spec.connections),
        keepalive: (probing && options.keepalive_side.client()).then_some(keepalive),
        congestion: Some(options.congestion.clone()),
        abort: true,
    })))?;
    Ok(Halves {
        server,
        load,
        port: address.port(),
    })
}

/// Waits until every connect has been answered.
fn ramp(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
) -> Result<(), ExperimentError> {
    let mut last_change = (MonotonicClock.now(), 0);
    let mut next_row = last_change.0;
    loop {
        let load = halves.load.report()?;
        let now = MonotonicClock.now();
        if load.totals.connects >= spec.connections && load.totals.connecting == 0 {
            return Ok(());
        }
        if load.totals.established != last_change.1 {
            last_change = (now, load.totals.established);
        } else if now - last_change.0 > STUCK_AFTER {
            return Err(ExperimentError::Stuck {
                established: load.totals.established,
                requested: spec.connections,
                reason: super::checks::connect_failures(&load.totals),
            });
        }
        if now >= next_row {
            next_row = now + Nanos::from_secs(1);
            let server = halves.server.report()?;
            observe(stage, spec, halves, "ramp", (&server, &load))?;
        }
        check_interrupt(stage)?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lets `span` pass, with a row at each second.
fn hold(
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
        if step == second {
            let (server, load) = (halves.server.report()?, halves.load.report()?);
            observe(stage, spec, halves, phase, (&server, &load))?;
        }
    }
}

fn observe(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &Halves,
    phase: &'static str,
    (server, load): (&Snapshot, &Snapshot),
) -> Result<(), ExperimentError> {
    let before = stage.sampler.heartbeats();
    let place = (spec.round, spec.name.as_str(), phase);
    let row = stage.sampler.sample(place, halves.pids(), server, load)?;
    let heartbeats = row.heartbeats.saturating_sub(before);
    let probes = row.probes;
    let per_trial = stage.plan.trial_span(spec.connections, spec.ramp_rate);
    let trials_left = u32::try_from(spec.place.1 - spec.place.0).unwrap_or(u32::MAX);
    stage.observer.progress(&Progress {
        trial: spec.place.0,
        trials: spec.place.1,
        arm: spec.name.clone(),
        round: spec.round + 1,
        phase,
        connections: load.totals.open,
        connections_requested: spec.connections,
        events_per_second: heartbeats.max(probes),
        remaining: per_trial * trials_left,
    });
    Ok(())
}

fn check_interrupt(stage: &Stage<'_>) -> Result<(), ExperimentError> {
    match stage.observer.interrupted() {
        Some(signal) => Err(ExperimentError::Interrupted(signal)),
        None => Ok(()),
    }
}

/// Both halves once every heartbeat sent has been received, refused or lost with its connection.
fn in_flight_arrived(halves: &mut Halves) -> Result<(Snapshot, Snapshot), ExperimentError> {
    let begun = MonotonicClock.now();
    loop {
        let (server, load) = (settled(&mut halves.server)?, settled(&mut halves.load)?);
        let waited = MonotonicClock.now() - begun;
        if super::checks::balanced(&server.totals, &load.totals) || waited > IN_FLIGHT_TIMEOUT {
            return Ok((server, load));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A snapshot of now: published ones are up to a fifth of a second old.
fn settled(half: &mut Half) -> Result<Snapshot, ExperimentError> {
    let asked = MonotonicClock.now();
    loop {
        let snapshot = half.report()?;
        if snapshot.at >= asked {
            return Ok(snapshot);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn end(stage: &mut Stage<'_>, spec: &TrialSpec, mut halves: Halves) -> Result<(), ExperimentError> {
    let (server, load) = (halves.server.report()?, halves.load.report()?);
    observe(stage, spec, &halves, "drain", (&server, &load))?;
    halves.load.go(Phase::Ending)?;
    halves.load.finish();
    halves.server.finish();
    Ok(())
}
