//! CPU time: of each CPU from `/proc/stat`, of a process from its own clock.
//!
//! Does not subtract or attribute; see `measure::cpu`. Units: [`Nanos`] since boot.
//!
//! What the columns are worth, by the kernel's source:
//!
//! - `idle` and `iowait` are exact under `NO_HZ`: `get_idle_time` (fs/proc/stat.c) takes them from
//!   `get_cpu_idle_time_us` (kernel/time/tick-sched.c), which is stopped on entry to every
//!   interrupt (`tick_nohz_irq_enter`), so that interrupt work on an idle CPU does not count as
//!   idle.
//! - the other columns are sampled by the tick unless the kernel accounts interrupt time
//!   (`CONFIG_IRQ_TIME_ACCOUNTING`) or context switches (`CONFIG_VIRT_CPU_ACCOUNTING_GEN`): work
//!   that runs in step with the tick is over- or undercounted
//!   (Documentation/admin-guide/cpu-load.rst).
//! - every column is printed in `USER_HZ` (10 ms), cut off, so a difference of two readings is
//!   right to ±10 ms per column and CPU.
//! - a process clock is exact (`CPUCLOCK_SCHED`, kernel/time/posix-cpu-timers.c), but charges
//!   interrupts to whoever they interrupted.
//! - a hypervisor's stolen time appears in `steal` only if the guest is told; else it looks busy.

use super::{OsError, number, read_text};
use crate::units::Nanos;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::io;
use std::time::Duration;

const STAT: &str = "/proc/stat";

/// One CPU's time since boot by account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// `user` + `nice`; guests are within.
    pub user: Nanos,
    /// `system`.
    pub system: Nanos,
    /// `irq`.
    pub irq: Nanos,
    /// `softirq`.
    pub softirq: Nanos,
    /// `idle` + `iowait`.
    pub idle: Nanos,
    /// `steal`.
    pub steal: Nanos,
}

/// All online CPUs at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCpu {
    /// One entry per online CPU, ascending.
    pub per_cpu: Vec<CpuTimes>,
    /// When it was read, `CLOCK_MONOTONIC`.
    pub at: Nanos,
}

impl SystemCpu {
    /// Reads `/proc/stat`.
    ///
    /// # Errors
    /// [`OsError`] when it is unreadable or in another form.
    pub fn read() -> Result<Self, OsError> {
        let ticks_per_second = user_hz()?;
        let text = read_text(STAT)?;
        let at = ClockId::CLOCK_MONOTONIC
            .now()
            .map_err(|errno| OsError::Refused {
                call: "clock_gettime(CLOCK_MONOTONIC)",
                source: errno.into(),
                advice: "every Linux has this clock; is a seccomp filter in the way?",
            })?;
        Ok(Self {
            per_cpu: parse_stat(&text, ticks_per_second)?,
            at: Nanos::from(Duration::from(at)),
        })
    }

    /// What all CPUs together spent from here until `later`, and what they could have spent; `None` when CPUs came or
    /// went meanwhile.
    #[must_use]
    pub fn spent_until(&self, later: &Self) -> Option<(Nanos, Nanos)> {
        if self.per_cpu.len() != later.per_cpu.len() {
            return None;
        }
        let window = later.at - self.at;
        let capacity = Nanos(window.0.saturating_mul(self.per_cpu.len() as u64));
        let idle = later.total().idle - self.total().idle;
        Some((capacity - idle, capacity))
    }

    /// The CPUs added up.
    #[must_use]
    pub fn total(&self) -> CpuTimes {
        let mut total = CpuTimes::default();
        for cpu in &self.per_cpu {
            total.user += cpu.user;
            total.system += cpu.system;
            total.irq += cpu.irq;
            total.softirq += cpu.softirq;
            total.idle += cpu.idle;
            total.steal += cpu.steal;
        }
        total
    }
}

/// The ticks per second that `/proc` prints times in.
fn user_hz() -> Result<u64, OsError> {
    sysconf(SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u64::try_from(ticks).ok())
        .filter(|ticks| *ticks > 0)
        .ok_or_else(|| OsError::missing("sysconf", "_SC_CLK_TCK"))
}

/// The per-CPU lines of `/proc/stat`.
///
/// # Errors
/// [`OsError::Missing`] without any such line, [`OsError::Malformed`] when a column is no number.
pub fn parse_stat(text: &str, ticks_per_second: u64) -> Result<Vec<CpuTimes>, OsError> {
    let tick_ns = 1_000_000_000 / ticks_per_second.max(1);
    let mut per_cpu = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("cpu") else {
            continue;
        };
        if !rest.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        let mut columns = [Nanos::ZERO; 8];
        let mut words = rest.split_ascii_whitespace().skip(1);
        for column in &mut columns {
            let word = words
                .next()
                .ok_or_else(|| OsError::malformed(STAT, "eight times", line))?;
            *column = Nanos(number(STAT, "a time", word)?.saturating_mul(tick_ns));
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal] = columns;
        per_cpu.push(CpuTimes {
            user: user + nice,
            system,
            irq,
            softirq,
            idle: idle + iowait,
            steal,
        });
    }
    if per_cpu.is_empty() {
        return Err(OsError::missing(STAT, "cpu0"));
    }
    Ok(per_cpu)
}

/// CPU time of a process since its start, user and kernel, all threads, exact; also of another
/// user's process and of a kernel thread.
///
/// # Errors
/// What `clock_getcpuclockid(3)` says: `ESRCH` when the process is gone.
pub fn process_cpu(pid: u32) -> io::Result<Nanos> {
    let pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let time = clock_getcpuclockid(Pid::from_raw(pid))?.now()?;
    Ok(Nanos::from(Duration::from(time)))
}

/// CPU time of the calling thread since its start, exact. Interrupts that ran on its back are within, unless the
/// kernel accounts them apart (`CONFIG_IRQ_TIME_ACCOUNTING`).
///
/// # Errors
/// What `clock_gettime(2)` says; every Linux has this clock.
pub fn thread_cpu() -> io::Result<Nanos> {
    let time = ClockId::CLOCK_THREAD_CPUTIME_ID.now()?;
    Ok(Nanos::from(Duration::from(time)))
}

/// The soft-interrupt threads, one per CPU, found by their names. Empty where `/proc` hides them
/// (another PID namespace, `hidepid`).
#[must_use]
pub fn ksoftirqd_pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| is_ksoftirqd(&name))
        })
        .collect();
    pids.sort_unstable();
    pids
}

fn is_ksoftirqd(comm: &str) -> bool {
    comm.trim_end()
        .strip_prefix("ksoftirqd/")
        .is_some_and(|cpu| !cpu.is_empty() && cpu.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Run time of `pids` added up; `None` when there are none or one of them is gone.
#[must_use]
pub fn summed_cpu(pids: &[u32]) -> Option<Nanos> {
    let mut sum = None;
    for pid in pids {
        sum = Some(sum.unwrap_or(Nanos::ZERO) + process_cpu(*pid).ok()?);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
cpu  10584 0 3841 204355 297 0 33 29 0 0
cpu0 5111 1 1798 102542 69 2 4 15 0 0
cpu1 5472 0 2042 101813 227 0 29 13 0 0
intr 1234 0 0
ctxt 99
";

    #[test]
    fn each_cpu_is_read_and_the_sum_line_is_not() {
        let cpus = parse_stat(SAMPLE, 100).unwrap();
        assert_eq!(cpus.len(), 2);
        assert_eq!(
            cpus[0],
            CpuTimes {
                user: Nanos(51_120_000_000),
                system: Nanos(17_980_000_000),
                irq: Nanos(20_000_000),
                softirq: Nanos(40_000_000),
                idle: Nanos(1_026_110_000_000),
                steal: Nanos(150_000_000),
            }
        );
        let system = SystemCpu {
            per_cpu: cpus,
            at: Nanos::ZERO,
        };
        assert_eq!(system.total().steal, Nanos(280_000_000));
    }

    #[test]
    fn another_form_is_refused() {
        assert!(parse_stat("intr 5\n", 100).is_err());
        assert!(parse_stat("cpu0 1 2 3\n", 100).is_err());
        assert!(parse_stat("cpu0 1 2 3 4 5 6 7 x\n", 100).is_err());
    }

    #[test]
    fn this_machine_can_be_read() {
        let first = SystemCpu::read().unwrap();
        let second = SystemCpu::read().unwrap();
        assert_eq!(first.per_cpu.len(), second.per_cpu.len());
        assert!(second.at >= first.at);
    }

    #[test]
    fn process_clocks_work_for_ourselves_and_refuse_the_gone() {
        let before = process_cpu(std::process::id()).unwrap();
        assert!(before > Nanos::ZERO);
        assert!(process_cpu(u32::MAX).is_err());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(process_cpu(pid).is_err());
    }

    #[test]
    fn soft_interrupt_threads_are_told_from_others() {
        assert!(is_ksoftirqd("ksoftirqd/0\n"));
        for other in ["ksoftirqd/", "ksoftirqd/x", "migration/0", "xksoftirqd/1"] {
            assert!(!is_ksoftirqd(other), "{other}");
        }
        let pids = ksoftirqd_pids();
        if pids.is_empty() {
            eprintln!("skipped: no ksoftirqd thread is visible in this PID namespace");
        } else {
            assert!(summed_cpu(&pids).is_some());
        }
        assert_eq!(summed_cpu(&[]), None);
    }
}
