//! The CPU meters around a window, and how far each can be trusted on this machine.
//!
//! Does not divide by events or subtract the control. `/proc/stat` and the cycle counters are read at the window's ends;
//! the soaker, which would keep every core busy, has a stretch after the window to itself, in which the load goes on
//! as before. Idle phases before, between and after the rounds tell what each meter shows when nothing happens.

use super::trial::{Stage, check_interrupt, wait_for_drain};
use super::{ExperimentError, floor};
use crate::clock::{Clock as _, MonotonicClock};
use crate::measure::cpu::CpuSnapshot;
use crate::measure::cycles::CycleCounters;
use crate::measure::soaker::{Soaked, Soaker};
use crate::measure::wire::{Place, WireSnapshot};
use crate::os::cores::usable_cores;
use crate::os::limits::accounts_interrupt_time;
use crate::record::{CpuNanos, IdlePhase, MeterRecord, NoiseRecord, SoakRecord};
use crate::units::Nanos;
use std::time::Duration;

/// Length of an idle phase for `/proc/stat`, whose clock is coarse, and for the soaker, whose is not.
const IDLE_STAT: Duration = Duration::from_secs(1);
const IDLE_SOAK: Duration = Duration::from_millis(400);
/// `/proc/stat`'s idle column is right to 10 ms at either end of a window, per core.
const STAT_RESOLUTION_NS: u64 = 20_000_000;
/// Where cores are few an idle phase can look quieter than it is: the soaker is not trusted below this part of a core.
const SOAKER_RESOLUTION_PER_MILLE: u64 = 5;

/// The first and the third meter, running.
pub(super) struct OpenMeters {
    opened: CpuSnapshot,
    cycles: Option<CycleCounters>,
}

/// What they read.
pub(super) struct ClosedMeters {
    pub(super) window: Nanos,
    pub(super) cpu: CpuNanos,
    pub(super) record: MeterRecord,
}

impl OpenMeters {
    pub(super) fn open(pids: (u32, Option<u32>)) -> Result<Self, ExperimentError> {
        Ok(Self {
            cycles: CycleCounters::start(&usable_cores()).ok(),
            opened: CpuSnapshot::take(pids.0, pids.1)?,
        })
    }

    pub(super) fn close(
        mut self,
        pids: (u32, Option<u32>),
    ) -> Result<ClosedMeters, ExperimentError> {
        let closed = CpuSnapshot::take(pids.0, pids.1)?;
        let cycles = self.cycles.as_mut();
        Ok(ClosedMeters {
            window: closed.at() - self.opened.at(),
            cpu: self.opened.until(&closed)?,
            record: MeterRecord {
                cores: self.opened.cores_until(&closed),
                threads: self.opened.threads_until(&closed),
                soaker: None,
                cycles: cycles.and_then(|counters| counters.read().ok()),
            },
        })
    }
}

/// A stretch of the soaker: what it saw, how long it took, and the probes attempted meanwhile.
#[derive(Debug)]
pub(super) struct Stretch {
    soaked: Soaked,
    length: Nanos,
    probes: u64,
}

impl Stretch {
    /// Runs the soaker while `wait` lets the time pass. `None` where it cannot run.
    pub(super) fn run(
        place: Place<'_>,
        wait: impl FnOnce() -> Result<(), ExperimentError>,
    ) -> Result<Option<Self>, ExperimentError> {
        let before = WireSnapshot::take(place)?;
        let begun = MonotonicClock.now();
        let running = Soaker::start(&usable_cores())?;
        let waited = wait();
        let soaked = running.stop();
        let length = MonotonicClock.now() - begun;
        waited?;
        let probes = before.until(&WireSnapshot::take(place)?).probes_attempted;
        Ok(soaked.ok().map(|soaked| Self {
            soaked,
            length,
            probes,
        }))
    }

    /// The stretch in the length of `window`, of which `events` and `probes` are the window's own.
    pub(super) fn record(&self, window: Nanos, events: u64, probes: u64) -> SoakRecord {
        let scaled = |count: u64, from: Nanos| {
            let all = u128::from(count) * u128::from(window.0);
            u64::try_from(all / u128::from(from.0.max(1))).unwrap_or(u64::MAX)
        };
        let cores = usable_cores().len().max(1) as u64;
        let events = if probes == 0 {
            events
        } else {
            // The probes' share of events is the window's.
            let all = u128::from(scaled(self.probes, self.length)) * u128::from(events);
            u64::try_from(all / u128::from(probes)).unwrap_or(u64::MAX)
        };
        SoakRecord {
            stretch_ns: self.length.0,
            taken_ns: scaled(self.soaked.taken.0 * cores, self.soaked.watched),
            events,
        }
    }
}

/// A stretch with no connection: each meter in turn.
pub(super) fn idle_phase(
    stage: &mut Stage<'_>,
    when: &'static str,
) -> Result<IdlePhase, ExperimentError> {
    match wait_for_drain(stage) {
        // Sockets that linger are the next trial's trouble; here they do no more than cost a little.
        Ok(()) | Err(ExperimentError::NotDrained { .. }) => {}
        Err(error) => return Err(error),
    }
    let own = std::process::id();
    let own = (own, Some(own));
    let open = OpenMeters::open(own)?;
    rest(stage, IDLE_STAT)?;
    let meters = open.close(own)?;
    let stretch = Stretch::run(Place::Here { interface: "lo" }, || rest(stage, IDLE_SOAK))?;
    let options = &stage.plan.options;
    // Where it cannot be measured the record says null; a run is not ended for it.
    let core = options.load_cores.first().copied().unwrap_or(0);
    let reference_ns = floor::reference(stage.plan.host.nofile, core, &options.congestion).ok();
    let per_second = |ns: u64| {
        let rate = u128::from(ns) * 1_000_000_000 / u128::from(meters.window.0.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    };
    Ok(IdlePhase {
        when: when.to_owned(),
        elapsed_ms: (MonotonicClock.now() - stage.begun).0 / 1_000_000,
        stat_busy_ns_per_s: per_second(meters.cpu.busy),
        soaker_taken_ns_per_s: stretch
            .map(|stretch| stretch.soaked.taken_per_second(usable_cores().len())),
        steal_ns_per_s: per_second(meters.cpu.steal),
        reference_ns,
    })
}

fn rest(stage: &Stage<'_>, span: Duration) -> Result<(), ExperimentError> {
    let end = MonotonicClock.now() + span.into();
    while MonotonicClock.now() < end {
        check_interrupt(stage)?;
        let nap = Duration::from_millis(100);
        MonotonicClock.sleep_until(end.min(MonotonicClock.now() + nap.into()));
    }
    Ok(())
}

/// Each meter's floor from the idle phases. `window` is the shortest that it is to be held against: a resolution of
/// milliseconds weighs less in a longer one.
pub(super) fn noise(idle: Vec<IdlePhase>, cpus: u32, window: Duration) -> NoiseRecord {
    let spread = |figures: Vec<u64>| {
        let highest = figures.iter().max()?;
        Some(highest - figures.iter().min()?)
    };
    let cpus = u64::from(cpus.max(1));
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
    let resolution = STAT_RESOLUTION_NS * cpus * 1000 / window_ms;
    let stat = spread(idle.iter().map(|phase| phase.stat_busy_ns_per_s).collect());
    let taken: Vec<u64> = idle
        .iter()
        .filter_map(|phase| phase.soaker_taken_ns_per_s)
        .collect();
    let references: Vec<u64> = idle.iter().filter_map(|phase| phase.reference_ns).collect();
    let all_soaked = taken.len() == idle.len();
    let soaker = spread(taken).filter(|_| all_soaked);
    NoiseRecord {
        stat_floor_ns_per_s: stat.unwrap_or(0).max(resolution),
        soaker_floor_ns_per_s: soaker
            .map(|floor| floor.max(cpus * SOAKER_RESOLUTION_PER_MILLE * 1_000_000)),
        drift_milli: drift(references),
        tick_sampled: accounts_interrupt_time().map(|exact| !exact),
        soaker_absent: (!all_soaked).then(|| {
            "an idle-class thread could not be tied to every core (sched_setscheduler(2), sched_setaffinity(2))"
                .to_owned()
        }),
        cycles_absent: CycleCounters::start(&usable_cores()).err(),
        idle,
    }
}

/// The dearest less the cheapest, in thousandths of the median; `None` for fewer than two.
fn drift(mut references: Vec<u64>) -> Option<u64> {
    references.sort_unstable();
    let (cheapest, dearest) = (references.first()?, references.last()?);
    let median = references[references.len() / 2].max(1);
    (references.len() > 1).then(|| (dearest - cheapest) * 1000 / median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(stat: u64, soaker: Option<u64>) -> IdlePhase {
        IdlePhase {
            stat_busy_ns_per_s: stat,
            soaker_taken_ns_per_s: soaker,
            ..IdlePhase::default()
        }
    }

    #[test]
    fn a_floor_is_what_idle_phases_differ_by_and_no_less_than_the_resolution() {
        let idle = vec![
            phase(10_000_000, Some(40_000_000)),
            phase(90_000_000, Some(45_000_000)),
        ];
        let noise = noise_of(idle);
        assert_eq!(noise.stat_floor_ns_per_s, 80_000_000);
        assert_eq!(noise.soaker_floor_ns_per_s, Some(10_000_000));
        let quiet = noise_of(vec![phase(5, None), phase(5, Some(1))]);
        assert_eq!(quiet.stat_floor_ns_per_s, 8_000_000);
        assert_eq!(quiet.soaker_floor_ns_per_s, None);
        assert!(quiet.soaker_absent.is_some());
    }

    #[test]
    fn drift_is_what_the_reference_moved_by() {
        assert_eq!(drift(vec![6_200, 6_000, 6_300]), Some(48));
        assert_eq!(drift(vec![6_200]), None, "once says nothing of change");
    }

    fn noise_of(idle: Vec<IdlePhase>) -> NoiseRecord {
        noise(idle, 2, Duration::from_secs(5))
    }

    #[test]
    fn a_stretch_is_brought_to_the_windows_length() {
        let cores = usable_cores().len() as u64;
        let stretch = Stretch {
            soaked: Soaked {
                watched: Nanos::from_secs(cores),
                taken: Nanos(cores * 100_000_000),
            },
            length: Nanos::from_secs(1),
            probes: 50,
        };
        let window = Nanos::from_secs(5);
        let record = stretch.record(window, 1000, 0);
        assert_eq!(
            (record.taken_ns, record.events),
            (cores * 500_000_000, 1000)
        );
        let probed = stretch.record(window, 100, 200);
        assert_eq!(
            probed.events, 125,
            "250 probes of which every other was delivered"
        );
    }
}
