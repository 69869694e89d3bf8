//! One storm, or one churn: fresh processes and sockets, a ramp, and then the trouble, measured.
//!
//! Does not judge. The order of a storm is: wait for the sockets of the run before to be gone; start both halves; ramp;
//! settle; read the meters; have the server drop everybody; wait until all are back at both ends, or until the wait is
//! given up; read the meters; audit the sockets; end everything with resets. What an interruption cuts short is measured
//! up to there.

use super::plan::{PlannedRun, StormPlan};
use crate::bank::{Disturbance, Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::control::{Order, Word};
use crate::experiment::process::unexpected;
use crate::experiment::trial::{self, Halves, Stage, TrialSpec, check_interrupt};
use crate::experiment::watch::{self, observe};
use crate::experiment::{ExperimentError, StoppedAtMemory, ramp};
use crate::measure::cpu::CpuSnapshot;
use crate::measure::wire::{WireDelta, WireSnapshot};
use crate::os::memory::SystemMemory;
use crate::record::CpuNanos;
use crate::shard::Counters;
use crate::units::Nanos;
use std::time::Duration;

/// Between two looks at the halves.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The longest to wait for the server's view of the last connections of a churn: its SYN-ACKs go out again after one,
/// three and seven seconds (`tcp_synack_retries` in `ip-sysctl`).
const CATCH_UP: Duration = Duration::from_secs(8);

/// Everything one run measured.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) run: PlannedRun,
    pub(super) spec: TrialSpec,
    /// The drop, or the begin of the churn.
    pub(super) begun: Nanos,
    /// When the meters were read.
    pub(super) ended: Nanos,
    /// How much later than the client the server had everybody; `None` when somebody was missing at the end.
    pub(super) server_after: Option<Nanos>,
    pub(super) cpu: CpuNanos,
    pub(super) wire: WireDelta,
    /// Established sockets in the kernel at the end, the fewer of the two ends.
    pub(super) kernel_held: u64,
    /// The halves before the trouble, and after it.
    pub(super) server_before: Snapshot,
    pub(super) load_before: Snapshot,
    pub(super) server: Snapshot,
    pub(super) load: Snapshot,
}

/// How a wait for everybody ended.
enum Waited {
    /// All are back; the server had them so much later than the clients.
    Whole(Nanos),
    /// Time was up.
    GivenUp,
    /// Something ended the run.
    Cut(ExperimentError),
}

/// Runs number `run` of the plan. What was measured is returned beside the error that cut it short, unless a half is
/// gone.
pub(super) fn run(
    stage: &mut Stage<'_>,
    plan: &StormPlan,
    run: usize,
) -> Result<(Measured, Option<ExperimentError>), ExperimentError> {
    trial::wait_for_drain(stage)?;
    stage.next_trial();
    let spec = plan.spec(run);
    let mut halves = start(stage, plan, run, &spec)?;
    halves.server.go(Phase::Open)?;
    halves.load.go(Phase::Open)?;
    let ramp = ramp::climb(stage, &spec, &mut halves)?;
    if let Some(stop) = ramp.stopped {
        trial::end(stage, &spec, halves)?;
        return Err(ExperimentError::Memory(StoppedAtMemory {
            arm: spec.name,
            asked: spec.connections,
            stop,
        }));
    }
    trial::hold(stage, &spec, &mut halves, "settle", spec.settle)?;
    let (measured, cut) = trouble(stage, plan, (run, spec), &mut halves)?;
    halves.load.go(Phase::Quiet)?;
    trial::end(stage, &measured.spec, halves)?;
    Ok((measured, cut))
}

fn start(
    stage: &Stage<'_>,
    plan: &StormPlan,
    run: usize,
    spec: &TrialSpec,
) -> Result<Halves, ExperimentError> {
    let options = &plan.options;
    let ephemeral = plan.cost.host.ephemeral;
    trial::start(stage, spec, |load, port| {
        load.reconnect = Some(plan.backoff(plan.runs[run].way));
        load.reconnects_in_flight = Some(plan.reconnects_in_flight());
        load.churn_per_second = options.churn_per_second;
        load.targets = options.cost.path.targets(plan.ports(), port, ephemeral);
        // What a churn ends, it ends as asked; a storm's clients end nothing before the end of the run.
        load.abort = !plan.churns() || options.abort;
    })
}

/// The drop or the churn, between two readings of the meters.
fn trouble(
    stage: &mut Stage<'_>,
    plan: &StormPlan,
    (run, spec): (usize, TrialSpec),
    halves: &mut Halves,
) -> Result<(Measured, Option<ExperimentError>), ExperimentError> {
    let pids = halves.both()?;
    let path = plan.options.cost.path;
    let place = path.place(pids);
    let churns = plan.churns();
    // The server stays in its opening phase, in which it looks for connections every millisecond while any come.
    if !churns {
        halves.load.go(Phase::Window)?;
    }
    let server_before = halves.server.settle()?;
    let load_before = halves.load.settle()?;
    let wire_before = WireSnapshot::take(place)?;
    let cpu_before = CpuSnapshot::take(pids.0, pids.1)?;
    observe(
        stage,
        &spec,
        halves,
        "settle",
        (&server_before, &load_before),
    )?;
    let before = (&server_before.totals, &load_before.totals);
    let begun = MonotonicClock.now();
    let (waited, wire, cpu) = if churns {
        halves.load.go(Phase::Window)?;
        let held = trial::hold(stage, &spec, halves, "churn", spec.steady).err();
        let meters = (
            WireSnapshot::take(place)?,
            CpuSnapshot::take(pids.0, pids.1)?,
        );
        halves.load.go(Phase::Closed)?;
        let waited = match held {
            Some(error) => Waited::Cut(error),
            None => wait_for_all(stage, &spec, halves, before, (0, CATCH_UP))?,
        };
        (waited, meters.0, meters.1)
    } else {
        drop_all(halves, plan.options.abort)?;
        let waits = (load_before.totals.open, plan.options.give_up);
        let waited = wait_for_all(stage, &spec, halves, before, waits)?;
        let meters = (
            WireSnapshot::take(place)?,
            CpuSnapshot::take(pids.0, pids.1)?,
        );
        halves.load.go(Phase::Closed)?;
        (waited, meters.0, meters.1)
    };
    let (server, load) = (halves.server.settle()?, halves.load.settle()?);
    let phase = if churns { "churn" } else { "recovery" };
    observe(stage, &spec, halves, phase, (&server, &load))?;
    let audited = path.audit(pids, halves.port)?;
    let measured = Measured {
        run: plan.runs[run],
        spec,
        begun,
        ended: cpu.at(),
        server_after: match waited {
            Waited::Whole(after) => Some(after),
            _ => None,
        },
        cpu: cpu_before.until(&cpu)?,
        wire: wire_before.until(&wire),
        kernel_held: audited.server_side.min(audited.client_side),
        server_before,
        load_before,
        server,
        load,
    };
    let cut = match waited {
        Waited::Cut(error) => Some(error),
        _ => None,
    };
    Ok((measured, cut))
}

fn drop_all(halves: &mut Halves, abort: bool) -> Result<(), ExperimentError> {
    match halves
        .server
        .ask(&Order::Disturb(Disturbance::DropAll { abort }))?
    {
        Word::Snapshot(_) => Ok(()),
        _ => Err(unexpected("server", "a snapshot")),
    }
}

/// Waits until the clients have lost `lost` connections more than `before`, server and load, and both ends hold as many
/// as were asked for. Both halves show their counts at once when the coming and going is over.
fn wait_for_all(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
    before: (&Counters, &Counters),
    (lost, give_up): (u64, Duration),
) -> Result<Waited, ExperimentError> {
    let begun = MonotonicClock.now();
    let mut next_row = begun + Nanos::from_secs(1);
    let mut clients_whole = None;
    loop {
        let load = halves.load.report()?;
        let now = MonotonicClock.now();
        let counted = load.totals.since(before.1);
        let whole = counted.lost() >= lost
            && load.totals.open >= spec.connections
            && load.totals.connecting == 0;
        if whole {
            let since = *clients_whole.get_or_insert(now);
            let server = halves.server.report()?.totals;
            let taken = server.since(before.0).established;
            if taken >= counted.reconnects_established && server.open >= spec.connections {
                // Nothing, when the server had them already at the first look.
                return Ok(Waited::Whole(now - since));
            }
        } else {
            clients_whole = None;
        }
        if now - begun >= give_up.into() {
            return Ok(Waited::GivenUp);
        }
        if let Err(error) = check_interrupt(stage).and_then(|()| enough_memory(stage, spec, &load))
        {
            return Ok(Waited::Cut(error));
        }
        if now >= next_row {
            next_row = now + Nanos::from_secs(1);
            let server = halves.server.report()?;
            observe(stage, spec, halves, "recovery", (&server, &load))?;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn enough_memory(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    load: &Snapshot,
) -> Result<(), ExperimentError> {
    let usable = SystemMemory::read()?.usable();
    if usable < stage.plan.host.reserve_bytes / 2 {
        return Err(ExperimentError::InNeed {
            connections: load.totals.open,
            usable_mib: usable >> 20,
        });
    }
    watch::memory(stage, spec, usable);
    Ok(())
}
