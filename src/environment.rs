//! The machine a run happens on, captured for the record.
//!
//! Does not judge the host and holds nothing that names it: no host or user name, no address, no
//! serial number. Does not change anything; raise the descriptor limit first to have it recorded as
//! raised. `ring_features` stay empty here: the ring's owner fills them in. Sizes are bytes.
//! Sources: `uname(2)`, `/proc/cpuinfo`, `/proc/sys`, `/sys/devices/system/clocksource`,
//! `/sys/devices/system/cpu/vulnerabilities`.

use crate::os::OsError;
use crate::os::cpu::SystemCpu;
use crate::os::limits::{kernel_hz, kernel_options, nofile, sees_slabs, sysctl};
use crate::os::memory::SystemMemory;
use crate::record::Environment;
use nix::sys::utsname::{UtsName, uname};
use std::collections::BTreeMap;

/// The sysctls that bear on connections, their memory and their packets.
const SYSCTLS: [&str; 26] = [
    "kernel.io_uring_disabled",
    "kernel.perf_event_paranoid",
    "net.core.default_qdisc",
    "net.core.netdev_budget",
    "net.core.netdev_max_backlog",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_available_congestion_control",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_ehash_entries",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_wmem",
    "net.netfilter.nf_conntrack_max",
];

/// The options of the kernel that bear on what is measured and on how well it can be.
const KERNEL_OPTIONS: [&str; 14] = [
    "CONFIG_HZ",
    "CONFIG_HIGH_RES_TIMERS",
    "CONFIG_IO_URING",
    "CONFIG_IRQ_TIME_ACCOUNTING",
    "CONFIG_NO_HZ_FULL",
    "CONFIG_NO_HZ_IDLE",
    "CONFIG_NF_CONNTRACK",
    "CONFIG_PARAVIRT_TIME_ACCOUNTING",
    "CONFIG_PREEMPT_LAZY",
    "CONFIG_PREEMPT_NONE",
    "CONFIG_PREEMPT_VOLUNTARY",
    "CONFIG_RPS",
    "CONFIG_TICK_CPU_ACCOUNTING",
    "CONFIG_VIRT_CPU_ACCOUNTING_GEN",
];

const GOVERNOR: &str = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
const SMT: &str = "/sys/devices/system/cpu/smt/active";
const HUGEPAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const NODES: &str = "/sys/devices/system/node/online";
const CLOCKSOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";

/// Captures the machine. Texts that cannot be had are `unknown`; unreadable sysctls are left out.
///
/// # Errors
/// [`OsError`] when a figure cannot be read that a record may not do without: CPUs, memory, limits.
pub fn capture() -> Result<Environment, OsError> {
    let memory = SystemMemory::read()?;
    let (nofile_soft, nofile_hard) = nofile()?;
    let cpu_count = SystemCpu::read()?.per_cpu.len();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = uname().ok();
    let named = |text: Option<&std::ffi::OsStr>| {
        text.and_then(|text| text.to_str())
            .unwrap_or("unknown")
            .to_owned()
    };
    Ok(Environment {
        ringbeat_version: env!("CARGO_PKG_VERSION").to_owned(),
        ringbeat_commit: option_env!("RINGBEAT_COMMIT").map(str::to_owned),
        ringbeat_dirty: option_env!("RINGBEAT_DIRTY").and_then(|dirty| dirty.parse().ok()),
        kernel: named(name.as_ref().map(UtsName::release)),
        kernel_config: kernel_options(&KERNEL_OPTIONS).into_iter().collect(),
        architecture: named(name.as_ref().map(UtsName::machine)),
        cpu_model: cpu_model(&cpuinfo),
        cpu_count: u32::try_from(cpu_count).unwrap_or(u32::MAX),
        kernel_hz: kernel_hz(),
        memory_bytes: memory.total,
        memory_free_bytes: memory.free,
        virtualised: virtualised(&cpuinfo)
            || std::fs::exists("/sys/hypervisor/type").is_ok_and(|is| is),
        clocksource: std::fs::read_to_string(CLOCKSOURCE)
            .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned()),
        governor: first_line(GOVERNOR),
        smt: first_line(SMT).map(|active| active == "1"),
        numa_nodes: numa_nodes(),
        transparent_hugepages: first_line(HUGEPAGES).as_deref().and_then(chosen),
        nofile_soft,
        nofile_hard,
        root: sees_slabs(),
        sysctls: SYSCTLS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), sysctl(name)?)))
            .collect(),
        mitigations: mitigations(),
        ring_features: BTreeMap::new(),
    })
}

fn first_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}

/// The word in brackets: `always [madvise] never`.
fn chosen(choices: &str) -> Option<String> {
    let (_, rest) = choices.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// The nodes online, from a list like `0-3,6`.
fn numa_nodes() -> Option<u32> {
    nodes_in(&first_line(NODES)?)
}

fn nodes_in(list: &str) -> Option<u32> {
    list.split(',')
        .map(|part| match part.split_once('-') {
            None => part.parse::<u32>().ok().map(|_| 1),
            Some((from, to)) => {
                let (from, to) = (from.parse::<u32>().ok()?, to.parse::<u32>().ok()?);
                Some(to.checked_sub(from)? + 1)
            }
        })
        .sum()
}

/// The first `model name`; ARM's `/proc/cpuinfo` has none.
fn cpu_model(cpuinfo: &str) -> String {
    field(cpuinfo, "model name").unwrap_or("unknown").to_owned()
}

/// Whether the CPU says that it is a hypervisor's guest; x86 alone has the flag.
fn virtualised(cpuinfo: &str) -> bool {
    field(cpuinfo, "flags").is_some_and(|flags| {
        flags
            .split_ascii_whitespace()
            .any(|flag| flag == "hypervisor")
    })
}

/// The value of the first line `name : value`.
fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(key, _)| key.trim_end() == name)
        .map(|(_, value)| value.trim())
}

fn mitigations() -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir(VULNERABILITIES) else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let text = std::fs::read_to_string(entry.path()).ok()?;
            Some((name, text.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
flags\t\t: fpu vme hypervisor lahf_lm

processor\t: 1
model name\t: another
";

    #[test]
    fn lists_and_choices_are_read() {
        assert_eq!(nodes_in("0"), Some(1));
        assert_eq!(nodes_in("0-3,6"), Some(5));
        assert_eq!(nodes_in("x"), None);
        assert_eq!(chosen("always [madvise] never").as_deref(), Some("madvise"));
        assert_eq!(chosen("always"), None);
    }

    #[test]
    fn the_cpu_is_described_by_its_first_entry() {
        assert_eq!(cpu_model(CPUINFO), "AMD EPYC");
        assert!(virtualised(CPUINFO));
        assert!(!virtualised("flags\t: fpu hypervisorless\n"));
        assert_eq!(cpu_model("CPU part\t: 0xd0c\n"), "unknown");
    }

    #[test]
    fn this_machine_is_captured_without_its_name() {
        let captured = capture().unwrap();
        assert!(captured.cpu_count > 0 && captured.memory_bytes > captured.memory_free_bytes);
        assert!(
            captured
                .kernel
                .starts_with(|first: char| first.is_ascii_digit())
        );
        assert!(captured.sysctls.contains_key("net.ipv4.tcp_keepalive_time"));
        let host = uname().unwrap().nodename().to_str().unwrap().to_owned();
        let text = serde_json::to_string(&captured).unwrap();
        assert!(
            host.len() < 6 || !text.contains(&host),
            "the record must not name the host"
        );
    }
}
