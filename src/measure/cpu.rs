//! CPU time in a window, by account.
//!
//! Does not divide by events or subtract the control. Units: nanoseconds. `busy` is window × CPUs −
//! idle: idle time is exact (see [`crate::os::cpu`]) and so is the window, hence everything that
//! ran is in it, also the interrupts that no process is charged for. The tick-sampled split need
//! not add up to it. Good to ±20 ms per CPU and window.

use super::MeasureError;
use crate::os::cpu::{SystemCpu, ksoftirqd_pids, process_cpu, summed_cpu};
use crate::os::network::{SoftnetCpu, softnet};
use crate::os::threads::{ThreadTimes, threads};
use crate::record::{CoreCpu, CpuNanos, ThreadCpu};
use crate::units::Nanos;

/// All CPU accounts at one moment.
#[derive(Clone, Debug)]
pub struct CpuSnapshot {
    system: SystemCpu,
    server: Nanos,
    /// `None` when the load generator is on other hosts.
    load: Option<Nanos>,
    ksoftirqd: Option<Nanos>,
    /// By role; none where the kernel keeps no `schedstat`.
    threads: Vec<(&'static str, ThreadTimes)>,
    softnet: Vec<SoftnetCpu>,
}

impl CpuSnapshot {
    /// Reads every account; without a `load_pid`, where the load generator is on other hosts, that of the server and of
    /// this machine.
    ///
    /// # Errors
    /// [`MeasureError::Process`] when one of the processes is gone, [`MeasureError::Os`] without
    /// `/proc/stat`.
    pub fn take(server_pid: u32, load_pid: impl Into<Option<u32>>) -> Result<Self, MeasureError> {
        let load_pid = load_pid.into();
        let process = |role, pid| {
            process_cpu(pid).map_err(|source| MeasureError::Process { role, pid, source })
        };
        let own = |role, pid| {
            let all = threads(pid).unwrap_or_default().into_iter();
            all.map(move |thread| (role, thread))
        };
        Ok(Self {
            threads: own("server", server_pid)
                .chain(load_pid.into_iter().flat_map(|pid| own("load", pid)))
                .collect(),
            softnet: softnet()?,
            ksoftirqd: summed_cpu(&ksoftirqd_pids()),
            server: process("server", server_pid)?,
            load: load_pid.map(|pid| process("load", pid)).transpose()?,
            system: SystemCpu::read()?,
        })
    }

    /// When it was taken, `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn at(&self) -> Nanos {
        self.system.at
    }

    /// What all CPUs together could have spent from here until `later`.
    #[must_use]
    pub fn capacity_until(&self, later: &Self) -> Nanos {
        let window = later.system.at - self.system.at;
        Nanos(window.0.saturating_mul(self.system.per_cpu.len() as u64))
    }

    /// What was spent from here until `later`.
    ///
    /// # Errors
    /// [`MeasureError::CpusChanged`].
    pub fn until(&self, later: &Self) -> Result<CpuNanos, MeasureError> {
        let (cpus, after) = (self.system.per_cpu.len(), later.system.per_cpu.len());
        if cpus != after {
            return Err(MeasureError::CpusChanged {
                before: cpus,
                after,
            });
        }
        let (first, last) = (self.system.total(), later.system.total());
        let capacity = self.capacity_until(later);
        let ksoftirqd = self.ksoftirqd.zip(later.ksoftirqd);
        Ok(CpuNanos {
            busy: (capacity - (last.idle - first.idle)).0,
            user: (last.user - first.user).0,
            system: (last.system - first.system).0,
            softirq: (last.softirq - first.softirq).0,
            irq: (last.irq - first.irq).0,
            steal: (last.steal - first.steal).0,
            ksoftirqd: ksoftirqd.map(|(first, last)| (last - first).0),
            server_process: (later.server - self.server).0,
            load_process: self
                .load
                .zip(later.load)
                .map(|(first, last)| (last - first).0),
        })
    }

    /// The same from here until `later`, core by core. A core that came or went makes the list shorter.
    #[must_use]
    pub fn cores_until(&self, later: &Self) -> Vec<CoreCpu> {
        let window = later.system.at - self.system.at;
        let cores = self.system.per_cpu.iter().zip(&later.system.per_cpu);
        let queues = self.softnet.iter().zip(&later.softnet);
        // The kernel's counter has 32 bits.
        let mut drops = queues
            .map(|(first, last)| last.dropped.wrapping_sub(first.dropped) & u64::from(u32::MAX));
        (0..)
            .zip(cores)
            .map(|(core, (first, last))| CoreCpu {
                core,
                busy_ns: (window - (last.idle - first.idle)).0,
                user_ns: (last.user - first.user).0,
                system_ns: (last.system - first.system).0,
                irq_ns: (last.irq - first.irq).0,
                softirq_ns: (last.softirq - first.softirq).0,
                steal_ns: (last.steal - first.steal).0,
                backlog_drops: drops.next().unwrap_or(0),
            })
            .collect()
    }

    /// The same from here until `later`, thread by thread; threads that came or went are left out.
    #[must_use]
    pub fn threads_until(&self, later: &Self) -> Vec<ThreadCpu> {
        let before = |role: &str, tid: u32| {
            let mut all = self.threads.iter();
            all.find(|(at, thread)| *at == role && thread.tid == tid)
        };
        let pairs = later
            .threads
            .iter()
            .filter_map(|(role, last)| Some((role, &before(role, last.tid)?.1, last)));
        pairs
            .map(|(role, first, last)| ThreadCpu {
                role: (*role).to_owned(),
                name: last.name.clone(),
                run_ns: (last.run - first.run).0,
                waited_ns: (last.waited - first.waited).0,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::cpu::CpuTimes;

    fn snapshot(at: u64, idle: u64, user: u64, ksoftirqd: Option<u64>) -> CpuSnapshot {
        let cpu = CpuTimes {
            idle: Nanos(idle),
            user: Nanos(user),
            ..CpuTimes::default()
        };
        CpuSnapshot {
            system: SystemCpu {
                per_cpu: vec![cpu; 2],
                at: Nanos(at),
            },
            server: Nanos(user),
            load: Some(Nanos(2 * user)),
            ksoftirqd: ksoftirqd.map(Nanos),
            threads: vec![(
                "server",
                ThreadTimes {
                    tid: 7,
                    name: "core-0".to_owned(),
                    run: Nanos(user),
                    waited: Nanos(user / 2),
                },
            )],
            softnet: vec![SoftnetCpu::default(); 2],
        }
    }

    #[test]
    fn busy_is_what_was_not_idle() {
        let first = snapshot(1_000, 100, 10, Some(5));
        let cost = first.until(&snapshot(2_000, 800, 40, Some(6))).unwrap();
        assert_eq!(cost.busy, 2 * 1_000 - 2 * 700);
        assert_eq!(
            (cost.user, cost.server_process, cost.load_process),
            (60, 30, Some(60))
        );
        assert_eq!(cost.ksoftirqd, Some(1));
        let hidden = first.until(&snapshot(2_000, 800, 40, None)).unwrap();
        assert_eq!(hidden.ksoftirqd, None);
        let rounding = first.until(&snapshot(1_100, 800, 40, None)).unwrap();
        assert_eq!(
            rounding.busy, 0,
            "an idle machine rounds to no less than nothing"
        );
    }

    #[test]
    fn cores_and_threads_are_told_apart() {
        let (first, mut last) = (
            snapshot(1_000, 100, 10, None),
            snapshot(2_000, 800, 40, None),
        );
        last.system.per_cpu[1].steal = Nanos(9);
        last.softnet[1].dropped = 3;
        let cores = first.cores_until(&last);
        assert_eq!((cores[0].core, cores[1].core), (0, 1));
        assert_eq!((cores[0].busy_ns, cores[0].user_ns), (300, 30));
        assert_eq!((cores[1].steal_ns, cores[1].backlog_drops), (9, 3));
        let threads = first.threads_until(&last);
        assert_eq!(threads.len(), 1);
        assert_eq!((threads[0].run_ns, threads[0].waited_ns), (30, 15));
        last.threads[0].1.tid = 8;
        assert!(
            first.threads_until(&last).is_empty(),
            "a new thread has no beginning"
        );
    }

    #[test]
    fn a_changed_number_of_cpus_gives_no_figure() {
        let first = snapshot(0, 0, 0, None);
        let mut later = first.clone();
        later.system.per_cpu.pop();
        assert!(matches!(
            first.until(&later),
            Err(MeasureError::CpusChanged { .. })
        ));
    }

    #[test]
    fn this_process_can_be_measured() {
        let own = std::process::id();
        let first = CpuSnapshot::take(own, own).unwrap();
        let cost = first.until(&CpuSnapshot::take(own, own).unwrap()).unwrap();
        assert!(cost.load_process.is_some(), "{cost:?}");
        assert!(cost.busy < 3_600_000_000_000, "{cost:?}");
        let alone = CpuSnapshot::take(own, None).unwrap();
        let cost = alone.until(&CpuSnapshot::take(own, None).unwrap()).unwrap();
        assert_eq!(cost.load_process, None, "it is on other hosts");
        let gone = CpuSnapshot::take(u32::MAX, own).unwrap_err().to_string();
        assert!(gone.contains("server process"), "{gone}");
    }
}
