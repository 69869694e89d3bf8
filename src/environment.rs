//! The machine a run happens on, captured for the record.
//!
//! Does not judge the host and holds nothing that names it: no host or user name, no address, no
//! serial number. Does not change anything; raise the descriptor limit first to have it recorded as
//! raised. `ring_features` stay empty here: the ring's owner fills them in. Sizes are bytes.
//! Sources: `uname(2)`, `/proc/cpuinfo`, `/proc/sys`, `/sys/devices/system/clocksource`,
//! `/sys/devices/system/cpu/vulnerabilities`.

use crate::os::OsError;
use crate::os::cpu::SystemCpu;
use crate::os::limits::{kernel_hz, nofile, sees_slabs, sysctl};
use crate::os::memory::SystemMemory;
use crate::record::Environment;
use nix::sys::utsname::{UtsName, uname};
use std::collections::BTreeMap;

/// The sysctls that bear on connections, their memory and their packets.
const SYSCTLS: [&str; 24] = [
    "kernel.io_uring_disabled",
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
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_wmem",
    "net.netfilter.nf_conntrack_max",
];

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
        kernel: named(name.as_ref().map(UtsName::release)),
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
