//! Limits and settings of this host: descriptors, sysctls, the kernel's tick rate.
//!
//! Does not change anything but the soft descriptor limit of this process. Sources: `getrlimit(2)`,
//! `/proc/sys` (Documentation/admin-guide/sysctl), `/proc/config.gz` or `/boot/config-RELEASE`. A
//! setting that cannot be read is `None`: inside a container many `net.core` ones do not exist.

use super::OsError;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use procfs::ConfigSetting;
use std::collections::HashMap;

/// The kernel's defaults for TCP keepalive, in seconds and probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveDefaults {
    /// `net.ipv4.tcp_keepalive_time`.
    pub idle_s: u32,
    /// `net.ipv4.tcp_keepalive_intvl`.
    pub interval_s: u32,
    /// `net.ipv4.tcp_keepalive_probes`.
    pub count: u32,
}

/// Soft and hard `RLIMIT_NOFILE`.
///
/// # Errors
/// [`OsError::Refused`].
pub fn nofile() -> Result<(u64, u64), OsError> {
    getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| OsError::Refused {
        call: "getrlimit(RLIMIT_NOFILE)",
        source: errno.into(),
        advice: "is a seccomp filter in the way?",
    })
}

/// Raises the soft `RLIMIT_NOFILE` to the hard one, which needs no privilege, and returns both as
/// they are then. The `io_uring` fixed-file table is capped by the soft limit too.
///
/// # Errors
/// [`OsError::Refused`].
pub fn raise_nofile() -> Result<(u64, u64), OsError> {
    let (soft, hard) = nofile()?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|errno| OsError::Refused {
            call: "setrlimit(RLIMIT_NOFILE)",
            source: errno.into(),
            advice: "raise the limit before starting with `ulimit -n`",
        })?;
    }
    nofile()
}

/// Soft `RLIMIT_MEMLOCK` in bytes; `None` is no limit.
///
/// # Errors
/// [`OsError::Refused`].
pub fn locked_memory() -> Result<Option<u64>, OsError> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(|errno| OsError::Refused {
        call: "getrlimit(RLIMIT_MEMLOCK)",
        source: errno.into(),
        advice: "is a seccomp filter in the way?",
    })?;
    Ok((soft != RLIM_INFINITY).then_some(soft))
}

/// Open files of the whole machine: those there are (`fs.file-nr`) and those there may be (`fs.file-max`).
#[must_use]
pub fn files_of_the_machine() -> Option<(u64, u64)> {
    parse_file_nr(&sysctl("fs.file-nr")?)
}

fn parse_file_nr(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split(' ');
    let (open, _, most) = (words.next()?, words.next()?, words.next()?);
    Some((open.parse().ok()?, most.parse().ok()?))
}

/// A sysctl by its dotted name, tabs made spaces; `None` when it does not exist or is not ours to
/// read.
#[must_use]
pub fn sysctl(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

fn sysctl_number(name: &str) -> Option<u32> {
    sysctl(name)?.parse().ok()
}

/// The first and last port the kernel gives to outgoing connections
/// (`net.ipv4.ip_local_port_range`).
#[must_use]
pub fn ephemeral_ports() -> Option<(u16, u16)> {
    parse_port_range(&sysctl("net.ipv4.ip_local_port_range")?)
}

fn parse_port_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once(' ')?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

/// `net.core.somaxconn`: the longest accept queue a listener may ask for.
#[must_use]
pub fn somaxconn() -> Option<u32> {
    sysctl_number("net.core.somaxconn")
}

/// Buckets of the hash table that finds the socket of every packet (`net.ipv4.tcp_ehash_entries`, Linux 6.1); a
/// namespace that shares the first one's table shows it with a minus sign.
#[must_use]
pub fn established_hash_buckets() -> Option<u64> {
    let shown: i64 = sysctl("net.ipv4.tcp_ehash_entries")?.parse().ok()?;
    Some(shown.unsigned_abs())
}

/// `net.core.netdev_max_backlog`: packets one CPU's input queue holds before it drops.
#[must_use]
pub fn netdev_max_backlog() -> Option<u32> {
    sysctl_number("net.core.netdev_max_backlog")
}

/// What a socket gets that turns keepalive on and sets no times.
#[must_use]
pub fn keepalive_defaults() -> Option<KeepaliveDefaults> {
    Some(KeepaliveDefaults {
        idle_s: sysctl_number("net.ipv4.tcp_keepalive_time")?,
        interval_s: sysctl_number("net.ipv4.tcp_keepalive_intvl")?,
        count: sysctl_number("net.ipv4.tcp_keepalive_probes")?,
    })
}

/// Ticks per second (`CONFIG_HZ`); `None` when the kernel's configuration is not to be had. A
/// container sees the host's `/proc/config.gz` but not its `/boot`.
#[must_use]
pub fn kernel_hz() -> Option<u32> {
    hz_of(&procfs::kernel_config().ok()?)
}

/// Whether the kernel measures interrupt time instead of sampling it with its tick (`CONFIG_IRQ_TIME_ACCOUNTING`, or
/// accounting at every switch, `CONFIG_VIRT_CPU_ACCOUNTING_GEN` or `_NATIVE`); `None` where it does not show its
/// configuration.
#[must_use]
pub fn accounts_interrupt_time() -> Option<bool> {
    const EXACT: [&str; 3] = [
        "CONFIG_IRQ_TIME_ACCOUNTING",
        "CONFIG_VIRT_CPU_ACCOUNTING_GEN",
        "CONFIG_VIRT_CPU_ACCOUNTING_NATIVE",
    ];
    let config = procfs::kernel_config().ok()?;
    Some(EXACT.iter().any(|name| config.contains_key(*name)))
}

/// The kernel's configuration, the options among `names` that are set: `y`, `m` or their value. Empty where the kernel
/// does not show it.
#[must_use]
pub fn kernel_options(names: &[&str]) -> Vec<(String, String)> {
    let Ok(config) = procfs::kernel_config() else {
        return Vec::new();
    };
    names
        .iter()
        .map(|name| {
            let value = match config.get(*name) {
                Some(ConfigSetting::Yes) => "y".to_owned(),
                Some(ConfigSetting::Module) => "m".to_owned(),
                Some(ConfigSetting::Value(text)) => text.clone(),
                None => "n".to_owned(),
            };
            ((*name).to_owned(), value)
        })
        .collect()
}

fn hz_of(config: &HashMap<String, ConfigSetting>) -> Option<u32> {
    match config.get("CONFIG_HZ")? {
        ConfigSetting::Value(text) => text.parse().ok(),
        ConfigSetting::Yes | ConfigSetting::Module => None,
    }
}

/// Whether the calling process may read what only root may (`/proc/slabinfo`).
#[must_use]
pub fn sees_slabs() -> bool {
    std::fs::File::open("/proc/slabinfo").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::{FromRead, KernelConfig};

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let (soft, hard) = raise_nofile().unwrap();
        assert_eq!(soft, hard);
        assert_eq!(nofile().unwrap(), (soft, hard));
    }

    #[test]
    fn sysctls_are_read_by_name_and_absent_ones_are_none() {
        let (low, high) = ephemeral_ports().unwrap();
        assert!(low < high);
        assert_eq!(sysctl("net.ipv4.no_such_setting"), None);
        assert!(established_hash_buckets().is_none_or(u64::is_power_of_two));
        assert!(somaxconn().is_some_and(|limit| limit > 0));
        assert!(keepalive_defaults().is_some_and(|defaults| defaults.count > 0));
        assert_eq!(parse_port_range("32768 60999"), Some((32768, 60999)));
        assert_eq!(parse_port_range("32768"), None);
        assert_eq!(parse_port_range("32768 99999"), None);
        assert_eq!(parse_file_nr("916 0 2466170"), Some((916, 2_466_170)));
        assert_eq!(parse_file_nr("916 0"), None);
        assert!(files_of_the_machine().is_some_and(|(open, most)| 0 < open && open < most));
        assert!(locked_memory().is_ok());
    }

    #[test]
    fn the_tick_rate_is_the_value_and_not_the_choice() {
        let text = "# CONFIG_HZ_100 is not set\nCONFIG_HZ_250=y\nCONFIG_HZ=250\n";
        let config = KernelConfig::from_read(text.as_bytes()).unwrap();
        assert_eq!(hz_of(&config.0), Some(250));
        let none = KernelConfig::from_read("CONFIG_HZ_250=y\n".as_bytes()).unwrap();
        assert_eq!(hz_of(&none.0), None);
        if let Some(hz) = kernel_hz() {
            assert!((24..=10_000).contains(&hz));
        }
    }
}
