//! One trial: a laboratory of its own, all its contestants in it, one trouble, and what each end then did.
//!
//! Does not judge; `cells` does. Everything is timed by one clock, the machine's monotonic one, which all namespaces
//! share.

use super::fault::{Fault, Seat, Trouble};
use super::inject::{Instants, inject};
use super::laboratory::Laboratory;
use super::pair::{Pair, PairPlan};
use super::plan::{TrialKind, TrialPlan};
use super::stall::StallWatch;
use crate::bank::{Disturbance, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::{ExperimentError, HostFacts};
use crate::os::network::TcpCounters;
use crate::shard::CloseCause;
use crate::units::Nanos;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// How often the ends are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest opening may take beyond its ramp.
const OPENING: Duration = Duration::from_secs(20);

/// What all trials of a run share.
pub(super) struct Common<'a> {
    pub(super) executable: &'a Path,
    pub(super) cores: Vec<usize>,
    pub(super) engine: crate::bank::EngineConfig,
    pub(super) tick: Nanos,
    pub(super) congestion: String,
    pub(super) host: HostFacts,
    pub(super) stalls: &'a StallWatch,
    /// The signal that ends the run; 0 while there is none.
    pub(super) interrupted: &'a AtomicI32,
}

impl Common<'_> {
    /// Lets time pass.
    pub(super) fn pause(&self, span: Duration) -> Result<(), ExperimentError> {
        let end = MonotonicClock.now() + Nanos::from(span);
        loop {
            match self.interrupted.load(Ordering::Relaxed) {
                0 => {}
                signal => return Err(ExperimentError::Interrupted(signal)),
            }
            let now = MonotonicClock.now();
            if now >= end {
                return Ok(());
            }
            let nap = Nanos::from(LOOK_EVERY / 2);
            MonotonicClock.sleep_until(end.min(now + nap));
        }
    }
}

/// A connection that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) at: Nanos,
    pub(super) cause: CloseCause,
}

/// What one end of one contestant showed.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Which of the trial's contestants.
    pub(super) contestant: usize,
    pub(super) seat: Seat,
    pub(super) instants: Instants,
    /// Open when the trouble came.
    pub(super) open_before: u64,
    pub(super) open_after: u64,
    pub(super) endings: Vec<Ending>,
    pub(super) occupied: u64,
    pub(super) timers_armed: u64,
    /// Sockets in the kernel.
    pub(super) sockets: u64,
    /// Heartbeats of both ends from the opening on.
    pub(super) heartbeats: u64,
    /// Data frames read here.
    pub(super) data_received: u64,
}

/// A trial's end.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) views: Vec<View>,
    /// From the trouble to the last look.
    pub(super) watched: Nanos,
    /// The longest that the lab's own watch did not run meanwhile.
    pub(super) stall: Nanos,
    /// Keepalive probes of both hosts, from the opening on.
    pub(super) probes: u64,
    /// When the first connection was asked for.
    pub(super) opened: Nanos,
    /// Packets on the client's link while it was watched.
    pub(super) packets: u64,
}

/// Runs one trial.
pub(super) fn run(common: &Common<'_>, plan: &TrialPlan) -> Result<Outcome, ExperimentError> {
    let tracks = plan.trouble.is_some_and(Trouble::needs_tracking) || plan.firewall_s.is_some();
    let mut lab = Laboratory::build(tracks)?;
    if let Some(seconds) = plan.firewall_s {
        lab.remember_for(seconds)?;
    }
    let mut pairs = start(common, plan, &lab)?;
    let probes_before = probes(&lab)?;
    let opened = MonotonicClock.now();
    open(common, plan, &mut pairs)?;
    common.pause(plan.settle)?;
    let before = look(&mut pairs, plan)?;
    let packets_before = lab.packets()?;
    let begun = MonotonicClock.now();
    let instants = match plan.trouble {
        Some(trouble) => inject(&mut lab, &mut pairs, trouble, plan.reboot, &|span| {
            common.pause(span)
        })?,
        None => vec![
            Instants {
                before: begun,
                after: begun
            };
            pairs.len()
        ],
    };
    watch(common, plan, &mut pairs)?;
    if plan.kind == TrialKind::Firewall {
        // Whoever's connection the firewall still knows hears this.
        for pair in &mut pairs {
            pair.disturb(Seat::Server, Disturbance::Speak { frames: 1 })?;
        }
        common.pause(Duration::from_secs(1))?;
    }
    let after = look(&mut pairs, plan)?;
    let watched = MonotonicClock.now() - begun;
    let packets = lab.packets()?.saturating_sub(packets_before);
    Ok(Outcome {
        views: views(&lab, &pairs, &instants, (&before, &after))?,
        watched,
        stall: common.stalls.longest_since(begun),
        probes: probes(&lab)?.saturating_sub(probes_before),
        opened,
        packets,
    })
}

/// The halves of every contestant, with nothing opened yet.
fn start(
    common: &Common<'_>,
    plan: &TrialPlan,
    lab: &Laboratory,
) -> Result<Vec<Pair>, ExperimentError> {
    let pair_plan = PairPlan {
        connections: plan.connections,
        ramp_rate: plan.ramp_rate(),
        cores: common.cores.clone(),
        engine: common.engine,
        tick: common.tick,
        congestion: common.congestion.clone(),
        host: common.host.clone(),
        aborts: match plan.trouble {
            Some(Trouble::Fault {
                fault: Fault::Reset,
                victim,
            }) => Some(victim),
            _ => None,
        },
    };
    let contestants = plan.contestants.iter().enumerate();
    contestants
        .map(|(place, one)| Pair::start(lab, common.executable, one, &pair_plan, place))
        .collect()
}

/// What every end that is watched showed, before and after.
fn views(
    lab: &Laboratory,
    pairs: &[Pair],
    instants: &[Instants],
    (before, after): (&Looks, &Looks),
) -> Result<Vec<View>, ExperimentError> {
    let mut views = Vec::new();
    for (contestant, seat, last) in after {
        let (contestant, seat) = (*contestant, *seat);
        let first = find(before, contestant, seat);
        views.push(View {
            contestant,
            seat,
            instants: instants[contestant],
            open_before: first.map_or(0, |first| first.totals.open),
            open_after: last.totals.open,
            endings: endings(last),
            occupied: last.occupied,
            timers_armed: last.timers_armed,
            sockets: pairs[contestant].sockets(lab, seat)?,
            heartbeats: heartbeats(after, contestant),
            data_received: last.totals.data_received,
        });
    }
    Ok(views)
}

/// Opens all connections of all contestants and waits until they stand.
fn open(common: &Common<'_>, plan: &TrialPlan, pairs: &mut [Pair]) -> Result<(), ExperimentError> {
    for pair in pairs.iter_mut() {
        pair.open()?;
    }
    let end = MonotonicClock.now() + Nanos::from(plan.ramp + OPENING);
    for (pair, contestant) in pairs.iter_mut().zip(&plan.contestants) {
        loop {
            let server = pair.report(Seat::Server)?.totals.established;
            let client = pair.report(Seat::Client)?.totals;
            if server.min(client.established) >= plan.connections {
                break;
            }
            if MonotonicClock.now() > end {
                return Err(ExperimentError::Stuck {
                    established: server.min(client.established),
                    requested: plan.connections,
                    reason: format!(
                        "{} in the lab: {:?}",
                        contestant.name, client.connects_failed
                    ),
                });
            }
            common.pause(LOOK_EVERY / 2)?;
        }
    }
    Ok(())
}

/// Watches until everybody of whom the model expects it has noticed, and at least as long as the plan wants where
/// somebody never should.
fn watch(common: &Common<'_>, plan: &TrialPlan, pairs: &mut [Pair]) -> Result<(), ExperimentError> {
    let end = MonotonicClock.now() + Nanos::from(plan.watch);
    while MonotonicClock.now() < end {
        common.pause(LOOK_EVERY)?;
        if plan.may_end_early {
            let mut open = 0;
            for pair in pairs.iter_mut() {
                for seat in plan.seats() {
                    open += pair.report(seat)?.totals.open;
                }
            }
            if open == 0 {
                break;
            }
        }
    }
    // What the last verdict leaves behind must be gone by now.
    common.pause(common.tick.as_duration() * 2 + Duration::from_millis(250))
}

/// Snapshots by contestant and seat.
type Looks = Vec<(usize, Seat, Snapshot)>;

/// The ends that are watched; the others may be gone, or stopped, or deaf.
fn look(pairs: &mut [Pair], plan: &TrialPlan) -> Result<Looks, ExperimentError> {
    let mut looks = Vec::new();
    for (contestant, pair) in pairs.iter_mut().enumerate() {
        for seat in plan.seats() {
            looks.push((contestant, seat, pair.report(seat)?));
        }
    }
    Ok(looks)
}

fn find(looks: &Looks, contestant: usize, seat: Seat) -> Option<&Snapshot> {
    let found = looks
        .iter()
        .find(|look| (look.0, look.1) == (contestant, seat));
    found.map(|look| &look.2)
}

fn heartbeats(looks: &Looks, contestant: usize) -> u64 {
    let own = looks.iter().filter(|look| look.0 == contestant);
    own.map(|(_, _, snapshot)| snapshot.totals.heartbeats_sent)
        .sum()
}

/// The endings, which are not of our own doing: the log leaves those out.
fn endings(snapshot: &Snapshot) -> Vec<Ending> {
    let all = snapshot.endings.iter();
    all.map(|ending| Ending {
        at: ending.at_ns,
        cause: ending.cause,
    })
    .collect()
}

fn probes(lab: &Laboratory) -> Result<u64, ExperimentError> {
    let mut sum = 0;
    for seat in Seat::ALL {
        sum += lab
            .host(seat)
            .run(TcpCounters::read_here)??
            .keepalive_probes;
    }
    Ok(sum)
}
