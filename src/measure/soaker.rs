//! The soaker: a second opinion on CPU time that no clock tick has a say in.
//!
//! Does not know who took the time. One thread per core, of the idle scheduling class (`SCHED_IDLE`, sched(7)), reads
//! the clock over and over; wherever two readings lie further apart than `GAP`, something else had the core: a
//! thread of any other class, an interrupt, a soft interrupt, the hypervisor. The sum of these gaps is what the core
//! was *taken* for. After netperf's "looper" and cyclesoak.
//!
//! What it misses: interruptions shorter than `GAP`; and it changes what it measures, because a core that soaks is
//! never idle: nobody pays for waking it, nor for what the caches lost while it slept. It therefore runs after the
//! measured window and never within.

use super::MeasureError;
use crate::clock::{Clock as _, MonotonicClock};
use crate::os::cores::{pin_current_thread, soak_with_current_thread};
use crate::units::Nanos;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Two readings of the clock further apart than this were not one loop: a loop takes some 50 ns, the shortest
/// interrupt several times this.
const GAP: Nanos = Nanos(500);

/// What the soaker saw on all its cores together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Soaked {
    /// Time it watched, one core after the other added up.
    pub watched: Nanos,
    /// Time of these it could not get.
    pub taken: Nanos,
}

impl Soaked {
    fn add(&mut self, gap: Nanos) {
        self.watched += gap;
        if gap > GAP {
            self.taken += gap;
        }
    }

    /// What was taken, per second of one clock, of `cores` cores: 0 to `cores` × 10⁹.
    #[must_use]
    pub fn taken_per_second(&self, cores: usize) -> u64 {
        let all = u128::from(self.taken.0) * 1_000_000_000 * cores as u128;
        u64::try_from(all / u128::from(self.watched.0.max(1))).unwrap_or(u64::MAX)
    }
}

/// The running threads. They end when stopped or dropped.
#[derive(Debug)]
pub struct Soaker {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Soaked, MeasureError>>>,
}

impl Soaker {
    /// Starts a thread on each of `cores`.
    ///
    /// # Errors
    /// [`MeasureError::Thread`] when one could not be had.
    pub fn start(cores: &[usize]) -> Result<Self, MeasureError> {
        let mut soaker = Self {
            stopping: Arc::new(AtomicBool::new(false)),
            threads: Vec::with_capacity(cores.len()),
        };
        for &core in cores {
            let told = Arc::clone(&soaker.stopping);
            // A core that is busy from the first moment must not look idle because the thread never got to it.
            let begun = MonotonicClock.now();
            let thread = std::thread::Builder::new()
                .name(format!("soaker-{core}"))
                .spawn(move || soak(core, begun, &told))
                .map_err(|source| MeasureError::Thread { source })?;
            soaker.threads.push(thread);
        }
        Ok(soaker)
    }

    /// Ends the threads and adds up what they saw.
    ///
    /// # Errors
    /// [`MeasureError::Soaker`] when one could not be tied to its core or made idle-class,
    /// [`MeasureError::ThreadDied`].
    pub fn stop(mut self) -> Result<Soaked, MeasureError> {
        self.stopping.store(true, Ordering::Release);
        let mut sum = Soaked::default();
        for thread in self.threads.drain(..) {
            let soaked = thread.join().map_err(|_| MeasureError::ThreadDied)??;
            sum.watched += soaked.watched;
            sum.taken += soaked.taken;
        }
        Ok(sum)
    }
}

impl Drop for Soaker {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // a soaker dropped unread has nobody to tell of its failure
            let _ = thread.join();
        }
    }
}

fn soak(core: usize, begun: Nanos, stopping: &AtomicBool) -> Result<Soaked, MeasureError> {
    if !pin_current_thread(core) || !soak_with_current_thread() {
        return Err(MeasureError::Soaker { core });
    }
    let mut soaked = Soaked::default();
    let mut last = begun;
    loop {
        let ends = stopping.load(Ordering::Acquire);
        let now = MonotonicClock.now();
        soaked.add(now - last);
        last = now;
        if ends {
            return Ok(soaked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::cores::usable_cores;
    use crate::os::cpu::thread_cpu;

    #[test]
    fn only_gaps_longer_than_a_loop_are_taken() {
        let mut soaked = Soaked::default();
        for gap in [40, GAP.0, GAP.0 + 1, 10_000] {
            soaked.add(Nanos(gap));
        }
        assert_eq!(soaked.watched, Nanos(40 + 2 * GAP.0 + 1 + 10_000));
        assert_eq!(soaked.taken, Nanos(GAP.0 + 1 + 10_000));
        let half = Soaked {
            watched: Nanos::from_secs(4),
            taken: Nanos::from_secs(1),
        };
        assert_eq!(half.taken_per_second(2), 500_000_000);
        assert_eq!(Soaked::default().taken_per_second(2), 0);
    }

    /// Whatever else runs: the soaker cannot have had the time that another thread on its core had.
    #[test]
    fn a_busy_thread_takes_its_time_from_the_soaker() {
        let core = usable_cores()[0];
        let (told, hears) = std::sync::mpsc::channel();
        let worker = std::thread::spawn(move || {
            assert!(pin_current_thread(core));
            // It starts after the soaker and ends before it does, so all it ran lies within.
            hears.recv().unwrap();
            let before = thread_cpu().unwrap();
            while thread_cpu().unwrap() - before < Nanos::from_millis(30) {}
            thread_cpu().unwrap() - before
        });
        let running = Soaker::start(&[core]).unwrap();
        told.send(()).unwrap();
        let ran = worker.join().unwrap();
        let soaked = running.stop().unwrap();
        // A millisecond is given away for gaps at either end and for what the worker's clock misses.
        assert!(
            soaked.taken + Nanos::from_millis(1) >= ran,
            "{soaked:?} with {ran:?} run"
        );
        assert!(soaked.watched >= soaked.taken);
        assert!(Soaker::start(&[100_000]).unwrap().stop().is_err());
    }
}
