//! What the kernel lets this process do beyond its limits: capabilities, seccomp, the first user namespace.
//!
//! Does not ask for more. Sources: `/proc/self/status` (`proc_pid_status(5)`), `/proc/self/uid_map`
//! (`user_namespaces(7)`), `capabilities(7)`. What the kernel tests with `capable()` counts in the first user namespace
//! alone: root of a container's own user namespace has it in its mask and is refused all the same.

use super::{OsError, read_text};

const STATUS: &str = "/proc/self/status";
/// `CAP_IPC_LOCK` in include/uapi/linux/capability.h.
const IPC_LOCK: u32 = 14;
/// `CAP_SYS_ADMIN` in the same file.
const SYS_ADMIN: u32 = 21;
/// The map of the first user namespace: every number is itself.
const EVERYBODY: [u64; 3] = [0, 0, 4_294_967_295];

/// What this process is exempt from, and under which filter it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// `CAP_SYS_ADMIN` of the first user namespace: `fs.file-max` does not bind.
    pub system_administrator: bool,
    /// `CAP_IPC_LOCK` of it: `RLIMIT_MEMLOCK` does not bind.
    pub locks_memory: bool,
    /// A seccomp filter is on (`seccomp(2)`, mode 2).
    pub filtered: bool,
}

impl Privileges {
    /// Those of the calling process.
    ///
    /// # Errors
    /// [`OsError`] when `/proc` does not tell.
    pub fn read() -> Result<Self, OsError> {
        let first = read_text("/proc/self/uid_map").is_ok_and(|map| is_first_namespace(&map));
        parse_status(&read_text(STATUS)?, first)
    }
}

fn is_first_namespace(uid_map: &str) -> bool {
    let numbers: Vec<u64> = uid_map
        .split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    numbers == EVERYBODY
}

/// The text of `/proc/self/status`; `first` says that capabilities count for the whole machine.
///
/// # Errors
/// [`OsError::Missing`] or [`OsError::Malformed`] without a mask of capabilities.
pub fn parse_status(text: &str, first: bool) -> Result<Privileges, OsError> {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    };
    let mask = field("CapEff").ok_or_else(|| OsError::missing(STATUS, "CapEff"))?;
    let mask = u64::from_str_radix(mask, 16)
        .map_err(|_| OsError::malformed(STATUS, "a mask in hexadecimal", mask))?;
    let has = |capability: u32| first && mask >> capability & 1 == 1;
    Ok(Privileges {
        system_administrator: has(SYS_ADMIN),
        locks_memory: has(IPC_LOCK),
        filtered: field("Seccomp") == Some("2"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS_SAMPLE: &str = "Name:\tx\nCapEff:\t0000000000204000\nSeccomp:\t2\n";

    #[test]
    fn capabilities_count_in_the_first_user_namespace_alone() {
        let all = parse_status(STATUS_SAMPLE, true).unwrap();
        assert!(all.system_administrator && all.locks_memory && all.filtered);
        let inside = parse_status(STATUS_SAMPLE, false).unwrap();
        assert!(!inside.system_administrator && !inside.locks_memory && inside.filtered);
        let plain = parse_status("CapEff:\t0000000000004000\nSeccomp:\t0\n", true).unwrap();
        assert_eq!(
            plain,
            Privileges {
                locks_memory: true,
                ..Privileges::default()
            }
        );
        assert!(parse_status("Seccomp:\t0\n", true).is_err());
        assert!(parse_status("CapEff:\tall\n", true).is_err());
        assert!(is_first_namespace("         0          0 4294967295\n"));
        assert!(!is_first_namespace("         0       1000          1\n"));
        assert!(Privileges::read().is_ok());
    }
}
