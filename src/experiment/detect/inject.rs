//! How each fault and stress is made, and when it was.
//!
//! Does not watch what follows. A fault is one step where that is possible; the instants before and after the step are
//! kept, and the earlier one is what detection is counted from.

use super::fault::{Fault, Seat, Stress, Trouble};
use super::laboratory::{Filter, Laboratory};
use super::pair::Pair;
use crate::bank::{Disturbance, Phase};
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::ExperimentError;
use crate::units::Nanos;
use nix::sys::signal::Signal;
use std::time::Duration;

/// Data frames that fill the window of a host of the laboratory several times over: its receive buffers hold 4 kB, half of
/// which is window (`tcp_adv_win_scale`), and a frame is 16 B.
const FILLING: u32 = 384;

/// One turn of a process that gets only a share of the time.
const SLICE: Duration = Duration::from_millis(200);

/// The step that made the fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Instants {
    pub(super) before: Nanos,
    pub(super) after: Nanos,
}

fn timed(step: impl FnOnce() -> Result<(), ExperimentError>) -> Result<Instants, ExperimentError> {
    let before = MonotonicClock.now();
    step()?;
    let after = MonotonicClock.now();
    Ok(Instants { before, after })
}

/// Makes the trouble for all pairs and says when, pair by pair. `pause` lets time pass, or fails when the run is to end.
pub(super) fn inject(
    lab: &mut Laboratory,
    pairs: &mut [Pair],
    trouble: Trouble,
    reboot: Duration,
    pause: &dyn Fn(Duration) -> Result<(), ExperimentError>,
) -> Result<Vec<Instants>, ExperimentError> {
    match trouble {
        Trouble::Fault { fault, victim } => {
            inject_fault(lab, pairs, fault, victim, &|| pause(reboot))
        }
        Trouble::Stress(stress) => {
            let at = timed(|| begin(lab, pairs, stress))?;
            last(pairs, stress, pause)?;
            end(lab, pairs, stress)?;
            Ok(vec![at; pairs.len()])
        }
    }
}

fn inject_fault(
    lab: &mut Laboratory,
    pairs: &mut [Pair],
    fault: Fault,
    victim: Seat,
    away: &dyn Fn() -> Result<(), ExperimentError>,
) -> Result<Vec<Instants>, ExperimentError> {
    let count = pairs.len();
    let one_by_one =
        |pairs: &mut [Pair], step: &dyn Fn(&mut Pair) -> Result<(), ExperimentError>| {
            pairs
                .iter_mut()
                .map(|pair| timed(|| step(pair)))
                .collect::<Result<Vec<_>, _>>()
        };
    match fault {
        // Whether with a FIN or a RST, the victim was told at its start.
        Fault::ProcessExit | Fault::Reset => {
            one_by_one(pairs, &|pair| pair.half(victim).go(Phase::Ending).map(drop))
        }
        Fault::ProcessKilled => one_by_one(pairs, &|pair| {
            pair.signal(victim, Signal::SIGKILL);
            Ok(())
        }),
        Fault::ApplicationHung => one_by_one(pairs, &|pair| {
            pair.signal(victim, Signal::SIGSTOP);
            Ok(())
        }),
        Fault::ZeroWindow => one_by_one(pairs, &|pair| {
            pair.disturb(victim, Disturbance::Deaf)?;
            pair.disturb(victim.other(), Disturbance::Speak { frames: FILLING })
        }),
        Fault::PowerCut => all_at_once(count, || lab.drop(Filter::Everything)),
        Fault::OneWayLossToServer => all_at_once(count, || lab.drop(Filter::From(Seat::Client))),
        Fault::OneWayLossToClient => all_at_once(count, || lab.drop(Filter::From(Seat::Server))),
        Fault::FirewallEviction => all_at_once(count, || lab.forget_connections()),
        Fault::CablePulled => all_at_once(count, || lab.pull_cable(victim)),
        Fault::BlackHoleWithDataInFlight => all_at_once(count, || {
            lab.drop(Filter::Everything)?;
            for pair in pairs {
                for seat in Seat::ALL {
                    pair.disturb(seat, Disturbance::Speak { frames: 1 })?;
                }
            }
            Ok(())
        }),
        Fault::HostReboot => {
            lab.prepare_reboot()?;
            let instants = all_at_once(count, || lab.lose_host(victim))?;
            away()?;
            lab.host_returns(victim)?;
            Ok(instants)
        }
    }
}

fn all_at_once(
    count: usize,
    step: impl FnOnce() -> Result<(), ExperimentError>,
) -> Result<Vec<Instants>, ExperimentError> {
    Ok(vec![timed(step)?; count])
}

fn begin(lab: &Laboratory, pairs: &mut [Pair], stress: Stress) -> Result<(), ExperimentError> {
    match stress {
        Stress::Outage(_) => lab.drop(Filter::Everything),
        Stress::RandomLoss { percent, .. } => lab.drop(Filter::Share(percent)),
        Stress::ServerPaused(_) => {
            signal_all(pairs, Seat::Server, Signal::SIGSTOP);
            Ok(())
        }
        Stress::CpuStarvation { .. } => Ok(()),
    }
}

fn last(
    pairs: &mut [Pair],
    stress: Stress,
    pause: &dyn Fn(Duration) -> Result<(), ExperimentError>,
) -> Result<(), ExperimentError> {
    let Stress::CpuStarvation {
        of,
        percent,
        lasting,
    } = stress
    else {
        return pause(stress.lasting());
    };
    let works = SLICE * percent / 100;
    let end = MonotonicClock.now() + Nanos::from(lasting);
    while MonotonicClock.now() < end {
        signal_all(pairs, of, Signal::SIGSTOP);
        pause(SLICE.saturating_sub(works))?;
        signal_all(pairs, of, Signal::SIGCONT);
        pause(works)?;
    }
    Ok(())
}

fn end(lab: &Laboratory, pairs: &mut [Pair], stress: Stress) -> Result<(), ExperimentError> {
    match stress {
        Stress::Outage(_) | Stress::RandomLoss { .. } => lab.heal(),
        Stress::ServerPaused(_) => {
            signal_all(pairs, Seat::Server, Signal::SIGCONT);
            Ok(())
        }
        Stress::CpuStarvation { .. } => Ok(()),
    }
}

fn signal_all(pairs: &mut [Pair], seat: Seat, signal: Signal) {
    for pair in pairs {
        pair.signal(seat, signal);
    }
}
