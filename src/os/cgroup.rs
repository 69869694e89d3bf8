//! What control groups still let this process take: containers end here, long before the machine does.
//!
//! Does not change a group. Memory, tasks (`pids.max`) and time on the cores (`cpu.max`, `cpu.cfs_quota_us`). Sockets, their files and the rings' requests are charged to the group that makes them
//! (`SLAB_ACCOUNT`, Documentation/admin-guide/cgroup-v2.rst, "kernel memory"), so a limit bounds connections just as
//! the machine's memory does. Both versions are read: `memory.max` of version 2, `memory.limit_in_bytes` of version
//! 1; a limit may stand at any group on the way up. Units: bytes.

use std::fs;
use std::path::{Path, PathBuf};

/// Where both versions are mounted by convention.
const ROOT: &str = "/sys/fs/cgroup";
/// Version 1 writes "no limit" as the largest multiple of a page (`PAGE_COUNTER_MAX`); anything near is none.
const NO_LIMIT: u64 = 1 << 62;

/// What is bounded, as version 1 names its controller.
#[derive(Clone, Copy)]
enum Resource {
    Memory,
    Tasks,
    Cores,
}

impl Resource {
    /// The controllers of version 1 that have it.
    const fn controller(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Tasks => "pids",
            Self::Cores => "cpu",
        }
    }
}

/// The tightest of the limits around this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLimit {
    /// The file that holds it, to write a larger one to.
    pub file: PathBuf,
    /// The limit: bytes, or tasks.
    pub limit: u64,
    /// What may still be taken.
    pub room: u64,
}

/// The files of one version: limit, usage, and the key of the reclaimable cache.
#[derive(Clone, Copy)]
struct Files {
    limit: &'static str,
    usage: &'static str,
    cache: &'static str,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};
const V2: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    cache: "inactive_file",
};

/// Bytes this process may still take before the tightest group around it is full; `None` when no limit is set, or
/// none can be seen from here.
#[must_use]
pub fn room() -> Option<u64> {
    memory().map(|tightest| tightest.room)
}

/// The tightest limit on memory.
#[must_use]
pub fn memory() -> Option<GroupLimit> {
    memory_below(Path::new(ROOT), &membership()?)
}

/// The tightest limit on processes and threads.
#[must_use]
pub fn tasks() -> Option<GroupLimit> {
    tasks_below(Path::new(ROOT), &membership()?)
}

/// Thousandths of a core that the tightest group lets its processes have.
#[must_use]
pub fn core_millis() -> Option<u64> {
    core_millis_below(Path::new(ROOT), &membership()?)
}

fn membership() -> Option<String> {
    fs::read_to_string("/proc/self/cgroup").ok()
}

fn memory_below(root: &Path, membership: &str) -> Option<GroupLimit> {
    let groups = groups(root, membership, Resource::Memory).into_iter();
    let limits = groups.filter_map(|(group, version_2)| {
        let files = if version_2 { V2 } else { V1 };
        let (limit, left) = room_in(&group, &files)?;
        Some(GroupLimit {
            file: group.join(files.limit),
            limit,
            room: left,
        })
    });
    limits.min_by_key(|tightest| tightest.room)
}

fn tasks_below(root: &Path, membership: &str) -> Option<GroupLimit> {
    let groups = groups(root, membership, Resource::Tasks).into_iter();
    let limits = groups.filter_map(|(group, _)| {
        let file = group.join("pids.max");
        let limit = number_in(&file)?;
        let used = number_in(&group.join("pids.current"))?;
        Some(GroupLimit {
            file,
            limit,
            room: limit.saturating_sub(used),
        })
    });
    limits.min_by_key(|tightest| tightest.room)
}

fn core_millis_below(root: &Path, membership: &str) -> Option<u64> {
    let groups = groups(root, membership, Resource::Cores).into_iter();
    let quotas = groups.filter_map(|(group, version_2)| {
        let (quota, period) = if version_2 {
            let text = fs::read_to_string(group.join("cpu.max")).ok()?;
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?)
        } else {
            // Version 1 writes "no limit" as -1, which is no such number.
            let quota = number_in(&group.join("cpu.cfs_quota_us"))?;
            (quota, number_in(&group.join("cpu.cfs_period_us"))?)
        };
        quota.saturating_mul(1000).checked_div(period)
    });
    quotas.min()
}

/// The groups this process is in that may bound `resource`, each with all above it, and whether it is of version 2.
fn groups(root: &Path, membership: &str, resource: Resource) -> Vec<(PathBuf, bool)> {
    let mut found = Vec::new();
    for line in membership.lines() {
        // hierarchy number, controllers, path
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let version_2 = controllers.is_empty();
        let mut named = controllers.split(',');
        if !version_2 && !named.any(|name| name == resource.controller()) {
            continue;
        }
        let top = if version_2 {
            root.to_owned()
        } else {
            root.join(resource.controller())
        };
        let group = top.join(path.trim_start_matches('/'));
        let above = group.ancestors().take_while(|at| at.starts_with(&top));
        found.extend(above.map(|at| (at.to_owned(), version_2)));
    }
    found
}

/// Version 2 writes `max` for no limit, which is no number.
fn number_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The limit of one group, and what is left in it: less what is charged, not counting half of the idle page cache.
fn room_in(group: &Path, files: &Files) -> Option<(u64, u64)> {
    let limit = number_in(&group.join(files.limit)).filter(|limit| *limit < NO_LIMIT)?;
    let used = number_in(&group.join(files.usage))?;
    let cache = fs::read_to_string(group.join("memory.stat"))
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(files.cache))?;
            line.trim().parse::<u64>().ok()
        })
        .unwrap_or(0);
    let room = limit.saturating_sub(used.saturating_sub(cache / 2));
    Some((limit, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room_below(root: &Path, membership: &str) -> Option<u64> {
        memory_below(root, membership).map(|tightest| tightest.room)
    }

    fn group(at: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(at).unwrap();
        for (name, text) in files {
            fs::write(at.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let inner = root.join("pod/box");
        group(
            &inner,
            &[
                ("memory.max", "1000000\n"),
                ("memory.current", "400000\n"),
                (
                    "memory.stat",
                    "anon 5\ninactive_file 100000\nactive_file 7\n",
                ),
            ],
        );
        let membership = "0::/pod/box\n";
        assert_eq!(room_below(root, membership), Some(650_000));
        let outer = root.join("pod");
        group(
            &outer,
            &[
                ("memory.max", "500000\n"),
                ("memory.current", "400000\n"),
                ("memory.stat", "inactive_file 0\n"),
            ],
        );
        assert_eq!(room_below(root, membership), Some(100_000));
        group(
            &outer,
            &[("memory.max", "max\n"), ("memory.current", "400000\n")],
        );
        assert_eq!(room_below(root, membership), Some(650_000));
    }

    #[test]
    fn version_1_is_read_and_its_no_limit_is_none() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let membership = "9:name=systemd:/x\n4:memory:/box\n0::/\n";
        let limited = |limit: &str| {
            group(
                &root.join("memory/box"),
                &[
                    ("memory.limit_in_bytes", limit),
                    ("memory.usage_in_bytes", "1000"),
                    ("memory.stat", "total_inactive_file 200\n"),
                ],
            );
            room_below(root, membership)
        };
        assert_eq!(limited("5000"), Some(4_100));
        assert_eq!(limited("9223372036854771712"), None);
        assert_eq!(room_below(root, "nonsense\n"), None);
    }

    #[test]
    fn tasks_and_cores_are_bounded_by_the_tightest_group_too() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let tight = [
            ("pids.max", "100\n"),
            ("pids.current", "40\n"),
            ("cpu.max", "150000 100000\n"),
        ];
        group(&root.join("pod/box"), &tight);
        let loose = [
            ("pids.max", "max\n"),
            ("pids.current", "400\n"),
            ("cpu.max", "max 100000\n"),
        ];
        group(&root.join("pod"), &loose);
        let tasks = tasks_below(root, "0::/pod/box\n").unwrap();
        assert_eq!((tasks.limit, tasks.room), (100, 60));
        assert_eq!(tasks.file, root.join("pod/box/pids.max"));
        assert_eq!(core_millis_below(root, "0::/pod/box\n"), Some(1_500));
        assert_eq!(core_millis_below(root, "0::/pod\n"), None);
        let quota = |microseconds| {
            [
                ("cpu.cfs_quota_us", microseconds),
                ("cpu.cfs_period_us", "100000"),
            ]
        };
        group(&root.join("cpu/box"), &quota("50000"));
        assert_eq!(core_millis_below(root, "1:cpu,cpuacct:/box\n"), Some(500));
        group(&root.join("cpu/box"), &quota("-1"));
        assert_eq!(core_millis_below(root, "1:cpu,cpuacct:/box\n"), None);
    }

    #[test]
    fn this_process_can_ask() {
        // With or without a limit, asking harms nobody and never exceeds one.
        assert!(room().is_none_or(|bytes| bytes < NO_LIMIT));
    }
}
