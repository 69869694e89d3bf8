//! Memory per connection, by owner.
//!
//! Does not know what a connection is: it divides growth between two snapshots by a count. Units:
//! bytes. The kernel's figures are both ends' when both are on this machine.
//!
//! - user: growth of each process's private pages.
//! - kernel sockets: growth of the slab caches in [`SOCKET_CACHES`]; needs root. Pieces in
//!   `kmalloc-*` (socket options, BPF, congestion control's own) are not told apart from others'
//!   and fall into the remainder.
//! - kernel `io_uring`: growth of `io_kiocb`, one per armed request; file nodes are `kmalloc-*` and
//!   fall into the remainder.
//! - total: how much `MemFree` and the per-CPU free lists shrank together. It has the page cache and every other process in it, so it
//!   is worth something only for many connections; the remainder is what it leaves over the rest,
//!   and may be negative.

use super::MeasureError;
use crate::os::OsError;
use crate::os::memory::{Resident, SystemMemory, resident_bytes, slabs};
use crate::record::MemoryPerConnection;
use std::collections::BTreeMap;

/// The slab caches a TCP connection takes its structures from. One that is missing on a kernel is
/// merged into another.
pub const SOCKET_CACHES: [&str; 9] = [
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "filp",
    "dentry",
    "request_sock_TCP",
    "request_sock_TCPv6",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
];

/// The cache of `io_uring`'s requests.
const RING_CACHE: &str = "io_kiocb";

/// Memory at one moment.
#[derive(Clone, Debug)]
pub struct MemorySnapshot {
    server: Result<Resident, String>,
    /// `None` where the load generators meter themselves, on this host or on others.
    load: Option<Result<Resident, String>>,
    system: SystemMemory,
    slabs: Result<BTreeMap<String, u64>, String>,
}

impl MemorySnapshot {
    /// Reads everything that can be read; what cannot is kept as its reason. There is no `load_pid` where the load
    /// generator is on other hosts.
    ///
    /// # Errors
    /// [`MeasureError::Os`] without `/proc/meminfo`.
    pub fn take(server_pid: u32, load_pid: impl Into<Option<u32>>) -> Result<Self, MeasureError> {
        Self::of(server_pid, load_pid.into())
    }

    /// The same where the load generators are processes that meter themselves, on this host or on others.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_of_server(server_pid: u32) -> Result<Self, MeasureError> {
        Self::of(server_pid, None)
    }

    fn of(server_pid: u32, load_pid: Option<u32>) -> Result<Self, MeasureError> {
        let reason = |error: OsError| error.to_string();
        Ok(Self {
            server: resident_bytes(server_pid).map_err(reason),
            load: load_pid.map(|pid| resident_bytes(pid).map_err(reason)),
            slabs: slabs().map_err(reason),
            system: SystemMemory::read()?,
        })
    }

    /// Free memory then.
    #[must_use]
    pub const fn system(&self) -> SystemMemory {
        self.system
    }
}

/// Growth from `before` to `after` per connection, and for every figure that is absent the reason,
/// by its key (`memory_bytes_per_connection.kernel_sockets`).
#[must_use]
pub fn per_connection(
    before: &MemorySnapshot,
    after: &MemorySnapshot,
    connections: u64,
) -> (MemoryPerConnection, BTreeMap<String, String>) {
    let server = resident_growth(&before.server, &after.server);
    let load = match (&before.load, &after.load) {
        (Some(before), Some(after)) => Some(resident_growth(before, after)),
        _ => None,
    };
    let sockets = slab_growth(before, after, &SOCKET_CACHES);
    let ring = slab_growth(before, after, &[RING_CACHE]);
    let total = Ok(difference(
        before.system.free_anywhere(),
        after.system.free_anywhere(),
    ));
    let remainder = total.clone().and_then(|total: i64| {
        let parts = [&server, &sockets, &ring].into_iter().chain(&load);
        let known: i64 = parts
            .cloned()
            .sum::<Result<i64, String>>()
            .map_err(|_| "a part of the sum is absent, so nothing remains of it".to_owned())?;
        Ok(total - known)
    });

    let mut absent = BTreeMap::new();
    let mut keep = |key: &str, figure: Result<i64, String>| {
        let divided = figure.and_then(|bytes| divide(bytes, connections));
        divided
            .map_err(|reason| absent.insert(format!("memory_bytes_per_connection.{key}"), reason))
            .ok()
    };
    let remainder = keep("remainder", remainder);
    let mut grown = |key: &str, figure: Result<i64, String>| {
        let positive = figure.and_then(|bytes| match bytes {
            0.. => Ok(bytes),
            _ => Err(format!(
                "it shrank by {} bytes in all: too few connections to tell from other changes",
                bytes.unsigned_abs()
            )),
        });
        keep(key, positive).map(i64::unsigned_abs)
    };
    let memory = MemoryPerConnection {
        server_user: grown("server_user", server),
        load_user: grown(
            "load_user",
            load.unwrap_or_else(|| {
                Err("it is the load generators' own, which meter themselves".to_owned())
            }),
        ),
        kernel_sockets: grown("kernel_sockets", sockets),
        kernel_io_uring: grown("kernel_io_uring", ring),
        remainder,
        total: grown("total", total),
    };
    (memory, absent)
}

/// Growth of each slab cache per connection, in bytes, largest first by name; caches that grew or shrank by less than a
/// byte each are left out, and all are where `/proc/slabinfo` is not readable. Everything on the machine that takes
/// from a cache is in it.
#[must_use]
pub fn caches_per_connection(
    before: &MemorySnapshot,
    after: &MemorySnapshot,
    connections: u64,
) -> BTreeMap<String, i64> {
    let (Ok(first), Ok(last)) = (&before.slabs, &after.slabs) else {
        return BTreeMap::new();
    };
    last.iter()
        .filter_map(|(cache, bytes)| {
            let grown = difference(*bytes, first.get(cache).copied().unwrap_or(0));
            let each = divide(grown, connections).ok().filter(|each| *each != 0)?;
            Some((cache.clone(), each))
        })
        .collect()
}

/// `minuend − subtrahend`; sizes of memory are far below 2^63.
fn difference(minuend: u64, subtrahend: u64) -> i64 {
    minuend.wrapping_sub(subtrahend).cast_signed()
}

fn divide(bytes: i64, connections: u64) -> Result<i64, String> {
    match i64::try_from(connections) {
        Ok(count @ 1..) => Ok(bytes / count),
        _ => Err("there were no connections to divide by".to_owned()),
    }
}

fn resident_growth(
    before: &Result<Resident, String>,
    after: &Result<Resident, String>,
) -> Result<i64, String> {
    let (before, after) = (before.as_ref()?, after.as_ref()?);
    if before.source != after.source {
        return Err("smaps_rollup was readable only at one end of the window".to_owned());
    }
    Ok(difference(after.bytes, before.bytes))
}

fn slab_growth(
    before: &MemorySnapshot,
    after: &MemorySnapshot,
    caches: &[&str],
) -> Result<i64, String> {
    let (before, after) = (before.slabs.as_ref()?, after.slabs.as_ref()?);
    let pairs: Vec<_> = caches
        .iter()
        .filter_map(|cache| before.get(*cache).zip(after.get(*cache)))
        .collect();
    if pairs.is_empty() {
        return Err(format!(
            "/proc/slabinfo lists no {}: this kernel merged it into another cache; boot with \
             slab_nomerge to see it",
            caches.join(", ")
        ));
    }
    let growths = pairs
        .into_iter()
        .map(|(before, after)| difference(*after, *before));
    Ok(growths.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::memory::ResidentSource;

    fn snapshot(user: u64, free: u64, caches: &[(&str, u64)]) -> MemorySnapshot {
        let resident = Resident {
            bytes: user,
            source: ResidentSource::Private,
        };
        let named = |(name, bytes): &(&str, u64)| ((*name).to_owned(), *bytes);
        MemorySnapshot {
            server: Ok(resident),
            load: Some(Ok(resident)),
            system: SystemMemory {
                total: 1 << 30,
                free,
                available: free,
                slab: 0,
                clean_cache: 0,
                per_cpu_lists: None,
                kernel_reserve: None,
                cgroup_room: None,
            },
            slabs: Ok(caches.iter().map(named).collect()),
        }
    }

    #[test]
    fn every_owner_has_its_share_and_the_remainder_may_be_negative() {
        let before = snapshot(
            1_000,
            1_000_000,
            &[("TCP", 100), ("filp", 50), ("io_kiocb", 0)],
        );
        let caches = [("TCP", 40_100), ("filp", 1_050), ("io_kiocb", 2_560)];
        let after = snapshot(2_000, 900_000, &caches);
        let (memory, absent) = per_connection(&before, &after, 10);
        assert_eq!(memory.server_user, Some(100));
        assert_eq!(memory.kernel_sockets, Some(4_100));
        assert_eq!(memory.kernel_io_uring, Some(256));
        assert_eq!(memory.total, Some(10_000));
        assert_eq!(memory.remainder, Some(10_000 - 200 - 4_100 - 256));
        assert!(absent.is_empty());
        let grown = caches_per_connection(&before, &after, 10);
        assert_eq!((grown["TCP"], grown["filp"]), (4_000, 100));
        assert!(caches_per_connection(&before, &before, 10).is_empty());
        let full = snapshot(2_000, 999_000, &caches);
        assert!(per_connection(&before, &full, 10).0.remainder < Some(0));
    }

    #[test]
    fn without_root_the_total_stays_and_the_rest_has_reasons() {
        let mut before = snapshot(1_000, 1_000_000, &[]);
        before.slabs = Err("run as root".to_owned());
        let after = snapshot(900, 900_000, &[("TCP", 1)]);
        let (memory, absent) = per_connection(&before, &after, 10);
        assert_eq!((memory.total, memory.kernel_sockets), (Some(10_000), None));
        assert_eq!((memory.remainder, memory.server_user), (None, None));
        assert_eq!(
            absent["memory_bytes_per_connection.kernel_sockets"],
            "run as root"
        );
        assert!(absent["memory_bytes_per_connection.server_user"].contains("shrank by 100"));
        assert!(absent["memory_bytes_per_connection.remainder"].contains("absent"));
    }

    #[test]
    fn merged_caches_and_no_connections_give_reasons() {
        let before = snapshot(0, 10, &[("TCP", 0)]);
        let (memory, absent) = per_connection(&before, &before, 1);
        assert_eq!(
            (memory.kernel_sockets, memory.kernel_io_uring),
            (Some(0), None)
        );
        assert!(absent["memory_bytes_per_connection.kernel_io_uring"].contains("slab_nomerge"));
        let (memory, absent) = per_connection(&before, &before, 0);
        assert_eq!(memory, MemoryPerConnection::default());
        assert_eq!(absent.len(), 6);
    }

    #[test]
    fn this_process_can_be_measured() {
        let own = std::process::id();
        let first = MemorySnapshot::take(own, own).unwrap();
        assert!(first.system().total > 0);
        let gone = MemorySnapshot::take(u32::MAX, own).unwrap();
        let (memory, absent) = per_connection(&first, &gone, 1);
        assert_eq!(memory.server_user, None);
        let alone = MemorySnapshot::take_of_server(own).unwrap();
        let (_, reasons) = per_connection(&alone, &alone, 1);
        let reason = &reasons["memory_bytes_per_connection.load_user"];
        assert!(reason.contains("meter themselves"), "{reason}");
        assert!(!reason.contains("another host"), "{reason}");
        assert!(absent["memory_bytes_per_connection.server_user"].contains("/proc/"));
    }
}
