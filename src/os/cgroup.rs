//! The memory that control groups still let this process take: containers end here, long before the machine does.
//!
//! Does not change a group. Sockets, their files and the rings' requests are charged to the group that makes them
//! (`SLAB_ACCOUNT`, Documentation/admin-guide/cgroup-v2.rst, "kernel memory"), so a limit bounds connections just as
//! the machine's memory does. Both versions are read: `memory.max` of version 2, `memory.limit_in_bytes` of version
//! 1; a limit may stand at any group on the way up. Units: bytes.

use std::fs;
use std::path::{Path, PathBuf};

/// Where both versions are mounted by convention.
const ROOT: &str = "/sys/fs/cgroup";
/// Version 1 writes "no limit" as the largest multiple of a page (`PAGE_COUNTER_MAX`); anything near is none.
const NO_LIMIT: u64 = 1 << 62;

/// The files of one version: limit, usage, statistics, and the key of the reclaimable cache.
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
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    room_below(Path::new(ROOT), &text)
}

fn room_below(root: &Path, membership: &str) -> Option<u64> {
    groups(root, membership)
        .into_iter()
        .flat_map(|(top, group, files)| {
            let above = group.ancestors().take_while(|at| at.starts_with(&top));
            let rooms: Vec<u64> = above.filter_map(|at| room_in(at, &files)).collect();
            rooms
        })
        .min()
}

/// The memory groups this process is in: mount, folder, and which files to read there.
fn groups(root: &Path, membership: &str) -> Vec<(PathBuf, PathBuf, Files)> {
    let mut found = Vec::new();
    for line in membership.lines() {
        // hierarchy number, controllers, path
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            found.push((root.to_owned(), root.join(path), V2));
        } else if controllers.split(',').any(|name| name == "memory") {
            let top = root.join("memory");
            found.push((top.clone(), top.join(path), V1));
        }
    }
    found
}

/// What is left in one group: its limit less what is charged, not counting half of the idle page cache.
fn room_in(group: &Path, files: &Files) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    // Version 2 writes `max` for no limit, which is no number.
    let limit: u64 = read(files.limit)?.trim().parse().ok()?;
    if limit >= NO_LIMIT {
        return None;
    }
    let used: u64 = read(files.usage)?.trim().parse().ok()?;
    let cache = read("memory.stat")
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(files.cache))?;
            line.trim().parse::<u64>().ok()
        })
        .unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache / 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn this_process_can_ask() {
        // With or without a limit, asking harms nobody and never exceeds one.
        assert!(room().is_none_or(|bytes| bytes < NO_LIMIT));
    }
}
