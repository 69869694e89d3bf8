//! One round of one ending: as many set-ups as are answered, an idle stretch, all tear-downs, each between two readings
//! of the meters.
//!
//! Does not judge. Sockets are counted in the namespaces of the two halves, each end by itself.

use super::plan::{Ending, TurnoverPlan};
use crate::bank::{Disturbance, Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::control::Order;
use crate::experiment::network::NetworkPath;
use crate::experiment::trial::{self, Halves, Stage, TrialSpec, check_interrupt};
use crate::experiment::watch::observe;
use crate::experiment::{ExperimentError, StoppedAtMemory, ramp};
use crate::measure::cpu::CpuSnapshot;
use crate::measure::wire::{WireDelta, WireSnapshot};
use crate::os::established::{Established, count_connections, count_time_wait};
use crate::os::namespace::in_network_of;
use crate::os::network::SocketStats;
use crate::record::CpuNanos;
use crate::units::Nanos;
use std::time::Duration;

/// Between the last set-up and the idle stretch: what the set-ups left to do is done.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at the sockets that are left.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The longest to wait for sockets to be gone: several retransmissions of a FIN.
const GONE_WITHIN: Nanos = Nanos::from_secs(10);

/// A stretch of time, and what the meters counted in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    pub(super) span: Nanos,
    pub(super) cpu: CpuNanos,
    pub(super) wire: WireDelta,
}

/// The meters, read.
pub(super) struct Meters {
    cpu: CpuSnapshot,
    wire: WireSnapshot,
}

impl Meters {
    pub(super) fn read(pids: (u32, u32)) -> Result<Self, ExperimentError> {
        Ok(Self {
            wire: WireSnapshot::take(NetworkPath::Veth.place(pids))?,
            cpu: CpuSnapshot::take(pids.0, pids.1)?,
        })
    }

    pub(super) fn until(&self, later: &Self) -> Result<Stretch, ExperimentError> {
        Ok(Stretch {
            span: later.cpu.at() - self.cpu.at(),
            cpu: self.cpu.until(&later.cpu)?,
            wire: self.wire.until(&later.wire),
        })
    }
}

/// Everything one round measured.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) ending: Ending,
    pub(super) asked: u64,
    /// Established at both ends.
    pub(super) established: u64,
    pub(super) opening: Stretch,
    /// From the first connect to the answer to the last.
    pub(super) opened_in: Nanos,
    pub(super) idle: Stretch,
    pub(super) closing: Stretch,
    /// From the order to the last socket's end.
    pub(super) closed_in: Nanos,
    /// Sockets that were there when the wait was given up.
    pub(super) left: u64,
    /// In `TIME_WAIT`: at the server, at the client.
    pub(super) time_wait: (u64, u64),
    /// Both halves before the end and after it.
    pub(super) server: (Snapshot, Snapshot),
    pub(super) load: (Snapshot, Snapshot),
    /// The connect times, stored form.
    pub(super) connect: Option<String>,
}

/// Runs it.
pub(super) fn run(
    stage: &mut Stage<'_>,
    plan: &TurnoverPlan,
    spec: &TrialSpec,
    ending: Ending,
) -> Result<Turned, ExperimentError> {
    trial::wait_for_drain(stage)?;
    stage.sampler.next_trial();
    let mut halves = trial::start(stage, spec, |_, _| {})?;
    let pids = halves.both()?;
    let listening = in_use(pids)?;
    let before = Meters::read(pids)?;
    let opened_in = open(stage, spec, &mut halves)?;
    let opening = before.until(&Meters::read(pids)?)?;
    trial::hold(stage, spec, &mut halves, "settle", PAUSE)?;

    let before = Meters::read(pids)?;
    idle(stage, pids, plan.idle)?;
    let idle = before.until(&Meters::read(pids)?)?;

    halves.load.go(Phase::Window)?;
    let load_before = halves.load.go(Phase::Closed)?;
    let server_before = halves.server.go(Phase::Window)?;
    observe(
        stage,
        spec,
        &halves,
        "steady",
        (&server_before, &load_before),
    )?;
    let before = Meters::read(pids)?;
    let begun = MonotonicClock.now();
    end_all(&mut halves, ending)?;
    let left = wait_until_gone(stage, &halves, listening)?;
    let closed_in = MonotonicClock.now() - begun;
    let closing = before.until(&Meters::read(pids)?)?;
    let time_wait = apart(&halves, count_time_wait)?;
    // A half shows its newest counts when it has changed its phase.
    let server = (server_before, halves.server.go(Phase::Quiet)?);
    let load = (load_before, halves.load.go(Phase::Quiet)?);
    trial::end(stage, spec, halves)?;
    let (theirs, ours) = (&server.0.totals, &load.0.totals);
    Ok(Turned {
        ending,
        asked: spec.connections,
        established: theirs.established.min(ours.established),
        opening,
        opened_in,
        idle,
        closing,
        closed_in,
        left,
        time_wait,
        connect: load.0.histograms.get("connect").cloned(),
        server,
        load,
    })
}

/// Opens all connections. Returns how long that took.
pub(super) fn open(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
) -> Result<Nanos, ExperimentError> {
    halves.server.go(Phase::Open)?;
    halves.load.go(Phase::Open)?;
    let ramp = ramp::climb(stage, spec, halves)?;
    match ramp.stopped {
        None => Ok(ramp.took),
        Some(stop) => Err(ExperimentError::Memory(StoppedAtMemory {
            arm: spec.name.clone(),
            asked: spec.connections,
            stop,
        })),
    }
}

/// Has the end that is to end the connections do so.
pub(super) fn end_all(halves: &mut Halves, ending: Ending) -> Result<(), ExperimentError> {
    let abort = ending.with_reset();
    let order = Order::Disturb(Disturbance::DropAll { abort });
    if ending.by_server() {
        halves.server.show(&order).map(drop)
    } else {
        halves.load.show(&order).map(drop)
    }
}

/// Lets `span` pass, with the looks that a wait for sockets takes, so that costs are net of these as well.
fn idle(stage: &Stage<'_>, pids: (u32, u32), span: Duration) -> Result<(), ExperimentError> {
    let end = MonotonicClock.now() + span.into();
    while MonotonicClock.now() < end {
        check_interrupt(stage)?;
        in_use(pids)?;
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Waits until no socket of the port is left at either end but the listeners, which are `listening`, and those in
/// `TIME_WAIT`. Returns how many are left when that does not come about.
pub(super) fn wait_until_gone(
    stage: &Stage<'_>,
    halves: &Halves,
    listening: u64,
) -> Result<u64, ExperimentError> {
    let begun = MonotonicClock.now();
    loop {
        check_interrupt(stage)?;
        let late = MonotonicClock.now() - begun > GONE_WITHIN;
        // The dump that knows every state walks all sockets of the machine, so it comes last.
        if late || in_use(halves.both()?)? <= listening {
            let left = apart(halves, count_connections)?;
            if late || left == (0, 0) {
                return Ok(left.0 + left.1);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Sockets of both namespaces, but for those in `TIME_WAIT` and in `FIN_WAIT2` without a process.
pub(super) fn in_use(pids: (u32, u32)) -> Result<u64, ExperimentError> {
    Ok(SocketStats::read_of(pids.0)?.in_use + SocketStats::read_of(pids.1)?.in_use)
}

/// What `count` says of the server's ends in the server's namespace, and of the client's in the client's.
pub(super) fn apart(
    halves: &Halves,
    count: fn(u16) -> Result<Established, crate::os::OsError>,
) -> Result<(u64, u64), ExperimentError> {
    let (server, load) = halves.both()?;
    let port = halves.port;
    let server = in_network_of(server, || count(port))??;
    let load = in_network_of(load, || count(port))??;
    Ok((server.server_side, load.client_side))
}
