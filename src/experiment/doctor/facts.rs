//! What the doctor knows of its host, read once.
//!
//! Does not judge. Changes nothing but this process's soft limit on open files, as every command of ringbeat does; opens
//! one connection over loopback, to see whether the kernel tracks it, and one small ring, to see what it can do. Units
//! stand in the names.

use crate::environment;
use crate::experiment::HostFacts;
use crate::os::OsError;
use crate::os::cgroup::{self, GroupLimit};
use crate::os::conntrack;
use crate::os::cores::usable_cores;
use crate::os::cpu::SystemCpu;
use crate::os::limits::{
    accounts_interrupt_time, files_of_the_machine, locked_memory, netdev_max_backlog, nofile,
    somaxconn, sysctl,
};
use crate::os::memory::{SystemMemory, swap};
use crate::os::privilege::Privileges;
use crate::record::Environment;
use crate::ring::{RingError, self_test, self_test_bind};
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// How long the cores are watched for others that are busy: twenty of the kernel's own units of account.
const WATCH: Duration = Duration::from_millis(200);
const CLOCKSOURCES: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";

/// The host, as far as it bears on connections.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What every run needs to know; its `usable_bytes` is the lesser of what the two below allow.
    pub host: HostFacts,
    /// The machine's memory.
    pub memory: SystemMemory,
    /// The tightest control group's limit on memory.
    pub group_memory: Option<GroupLimit>,
    /// The tightest control group's limit on tasks.
    pub group_tasks: Option<GroupLimit>,
    /// Swap in use and in all.
    pub swap_bytes: Option<(u64, u64)>,
    /// Hard `RLIMIT_NOFILE`.
    pub nofile_hard: u64,
    /// `fs.nr_open`, beyond which no `RLIMIT_NOFILE` goes.
    pub nr_open: Option<u64>,
    /// Open files of the machine, and `fs.file-max`.
    pub files: Option<(u64, u64)>,
    /// Soft `RLIMIT_MEMLOCK`; `None` is no limit.
    pub locked_memory_bytes: Option<u64>,
    /// What this process is exempt from.
    pub privileges: Privileges,
    /// `vm.max_map_count`.
    pub map_count: Option<u64>,
    /// `net.core.netdev_max_backlog`; `None` in a network namespace, where it is the host's and hidden.
    pub backlog: Option<u64>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// Ports of the range that are set aside (`net.ipv4.ip_local_reserved_ports`).
    pub reserved_ports: u64,
    /// Connection tracking.
    pub tracking: Tracking,
    /// `net.ipv4.tcp_mem` in pages: low, pressure, high.
    pub tcp_mem_pages: Option<[u64; 3]>,
    /// `net.ipv4.tcp_max_orphans`.
    pub orphans: Option<u64>,
    /// `net.ipv4.tcp_max_tw_buckets`.
    pub time_wait: Option<u64>,
    /// Cores this process may run on.
    pub cores: u32,
    /// What its control group lets it have of them, thousandths of a core.
    pub group_core_millis: Option<u64>,
    /// What others use of them, thousandths of a core.
    pub busy_core_millis: u64,
    /// What rings can do here.
    pub rings: Rings,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
    /// The system's congestion control.
    pub congestion: Option<String>,
    /// What ringbeat sets on its sockets.
    pub congestion_used: Option<String>,
    /// What the kernel reads the time from.
    pub clocksource: String,
    /// What it could read it from.
    pub clocksources: Vec<String>,
    /// Whether interrupt time is measured instead of sampled.
    pub exact_interrupt_time: Option<bool>,
}

/// What the kernel's connection tracking does with a connection of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// It is not loaded.
    Absent,
    /// It is loaded and leaves our connections alone.
    Idle {
        /// `net.netfilter.nf_conntrack_max`.
        most: u64,
    },
    /// It takes an entry for each.
    On {
        /// Entries there are.
        tracked: u64,
        /// `net.netfilter.nf_conntrack_max`.
        most: u64,
    },
}

/// What was found when the rings were tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rings {
    /// All is there.
    Work {
        /// By name.
        features: BTreeMap<String, String>,
        /// Whether a direct descriptor can be bound to a source address (Linux 6.11).
        binds: bool,
    },
    /// A policy refuses them.
    Refused {
        /// `kernel.io_uring_disabled`, where the kernel has it.
        disabled: Option<u64>,
    },
    /// The kernel is too old, or pretends to have none.
    Lacks {
        /// What is missing.
        feature: String,
        /// The kernel that has it.
        needed: &'static str,
    },
    /// Not even one could be made.
    Fail {
        /// In the ring's words.
        why: String,
    },
}

impl Facts {
    /// Reads them. `congestion_used` is what ringbeat's sockets are given.
    ///
    /// # Errors
    /// [`OsError`] when a figure is missing that no answer does without: memory, limits, CPUs.
    pub fn read(congestion_used: Option<String>) -> Result<Self, OsError> {
        let (_, nofile_hard) = nofile()?;
        let environment = environment::capture()?;
        let value = |name: &str| environment.sysctls.get(name);
        let number = |name: &str| sysctl(name)?.parse::<u64>().ok();
        let host = HostFacts::read()?;
        let cores = usable_cores();
        Ok(Self {
            memory: SystemMemory::read()?,
            group_memory: cgroup::memory(),
            group_tasks: cgroup::tasks(),
            swap_bytes: swap().ok(),
            nofile_hard,
            nr_open: number("fs.nr_open"),
            files: files_of_the_machine(),
            locked_memory_bytes: locked_memory()?,
            privileges: Privileges::read()?,
            map_count: number("vm.max_map_count"),
            backlog: netdev_max_backlog().map(u64::from),
            somaxconn: somaxconn().map(u64::from),
            reserved_ports: sysctl("net.ipv4.ip_local_reserved_ports")
                .map_or(0, |list| reserved_within(&list, host.ephemeral)),
            tracking: tracking(&environment),
            tcp_mem_pages: value("net.ipv4.tcp_mem").and_then(|text| three(text)),
            orphans: number("net.ipv4.tcp_max_orphans"),
            time_wait: number("net.ipv4.tcp_max_tw_buckets"),
            cores: u32::try_from(cores.len()).unwrap_or(u32::MAX).max(1),
            group_core_millis: cgroup::core_millis(),
            busy_core_millis: busy_core_millis(&cores)?,
            rings: rings(),
            kernel: version(&environment.kernel),
            congestion: value("net.ipv4.tcp_congestion_control").cloned(),
            congestion_used,
            clocksources: std::fs::read_to_string(CLOCKSOURCES)
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            exact_interrupt_time: accounts_interrupt_time(),
            clocksource: environment.clocksource,
            host,
        })
    }
}

/// The ports of `reserved` (`8080,9000-9010`) that lie in the range.
fn reserved_within(reserved: &str, (low, high): (u16, u16)) -> u64 {
    let parts = reserved.split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let from = from.trim().parse::<u16>().ok()?.max(low);
        let to = to.trim().parse::<u16>().ok()?.min(high);
        (from <= to).then(|| u64::from(to - from) + 1)
    });
    parts.sum()
}

/// Three numbers apart by spaces.
fn three(text: &str) -> Option<[u64; 3]> {
    let numbers: Option<Vec<u64>> = text.split(' ').map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// `6.18.44-x` is 6 and 18.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Opens a connection and looks whether anything is tracked. Hooks are per network namespace and there only while a rule
/// asks for them (`nf_ct_netns_get`), so that the module is loaded says nothing.
fn tracking(environment: &Environment) -> Tracking {
    let most = environment.sysctls.get("net.netfilter.nf_conntrack_max");
    let Some(most) = most.and_then(|text| text.parse().ok()) else {
        return Tracking::Absent;
    };
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        let near = TcpStream::connect(listener.local_addr()?)?;
        Ok((listener, near))
    });
    let tracked = conntrack::tracked().unwrap_or(0);
    drop(held);
    match tracked.checked_sub(1) {
        None => Tracking::Idle { most },
        // The one that was opened for this is no one else's.
        Some(tracked) => Tracking::On { tracked, most },
    }
}

/// What others use of `cores` while this process sleeps. `/proc/stat` lists the CPUs that are online; a machine with some
/// of them offline is taken to number them without gaps.
fn busy_core_millis(cores: &[usize]) -> Result<u64, OsError> {
    let before = SystemCpu::read()?;
    std::thread::sleep(WATCH);
    let after = SystemCpu::read()?;
    let busy = |cpu: &SystemCpu| {
        let ours = cores.iter().filter_map(|core| cpu.per_cpu.get(*core));
        let busy = ours.map(|core| core.user + core.system + core.irq + core.softirq + core.steal);
        busy.fold(Nanos::ZERO, |sum, core| sum + core)
    };
    let used = busy(&after) - busy(&before);
    Ok(used.0 * 1000 / (after.at - before.at).0.max(1))
}

fn rings() -> Rings {
    match self_test() {
        Ok(features) => Rings::Work {
            features,
            binds: self_test_bind(&[Ipv4Addr::LOCALHOST]).is_ok(),
        },
        Err(RingError::Refused { .. }) => Rings::Refused {
            disabled: sysctl("kernel.io_uring_disabled").and_then(|text| text.parse().ok()),
        },
        Err(RingError::Missing { needed, .. }) => Rings::Lacks {
            feature: "io_uring".to_owned(),
            needed,
        },
        Err(RingError::Feature { feature, needed }) => Rings::Lacks {
            feature: feature.to_owned(),
            needed,
        },
        Err(error) => Rings::Fail {
            why: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_versions_are_read() {
        assert_eq!(version("6.18.44-fc-v657"), (6, 18));
        assert_eq!(version("weird"), (0, 0));
        assert_eq!(
            three("287901 383868 575802"),
            Some([287_901, 383_868, 575_802])
        );
        assert_eq!(three("1 2"), None);
        let range = (32_768, 60_999);
        assert_eq!(reserved_within("8080,40000,60990-61010", range), 11);
        assert_eq!(reserved_within("", range), 0);
    }

    #[test]
    fn this_host_is_read_whole() {
        let facts = Facts::read(Some("cubic".to_owned())).unwrap();
        assert!(facts.cores > 0 && facts.kernel >= (4, 0));
        assert!(facts.host.nofile == facts.nofile_hard);
        assert!(
            facts
                .tcp_mem_pages
                .is_some_and(|pages| pages[0] <= pages[2])
        );
        assert!(facts.busy_core_millis <= 1_500 * u64::from(facts.cores));
    }
}
