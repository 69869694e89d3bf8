//! How many connections this host holds, foreseen from its memory, so that the kernel's OOM killer never has
//! to say it.
//!
//! Before the first connection only an estimate of their bytes is known; a ramp measures its own and is watched by
//! [`Guard`](crate::measure::headroom::Guard), whose word counts.
//!
//! Pure but for [`HostFacts::read`]. Descriptors are not a bound here: direct descriptors take none, and the ring
//! plan deals with the size of the tables.

use crate::measure::headroom::{LEAST_END_BYTES, reserve};
use crate::os::OsError;
use crate::os::limits;
use crate::os::memory::SystemMemory;
use crate::units::HumanCount;

/// Kernel and user memory of one loopback connection, both ends: 7.8 kB of sockets, files and inodes, 2 × 256 B
/// of armed requests, the tables of both halves, and a margin of a tenth. Measured on Linux 6.18; a run prints
/// what it finds.
pub(super) const BYTES_PER_CONNECTION: u64 = 9_200;

/// What a run needs to know about its host before it starts.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// Memory that sockets may take, see [`SystemMemory::usable`].
    pub usable_bytes: u64,
    /// The part of it that is never planned for.
    pub reserve_bytes: u64,
    /// Soft limit on open files.
    pub nofile: u64,
    /// `net.core.somaxconn`.
    pub somaxconn: u64,
    /// `net.ipv4.ip_local_port_range`.
    pub ephemeral: (u16, u16),
    /// `net.core.netdev_max_backlog`.
    pub backlog: u64,
    /// Buckets of the kernel's hash table of established sockets.
    pub hash_buckets: Option<u64>,
    /// Kernel ticks per second; 250 where the kernel does not tell.
    pub hz: u32,
}

impl HostFacts {
    /// Reads them, raising the soft limit on open files to the hard one on the way.
    ///
    /// # Errors
    /// [`OsError`] with its reason.
    pub fn read() -> Result<Self, OsError> {
        let memory = SystemMemory::read()?;
        let (nofile, _) = limits::raise_nofile()?;
        Ok(Self {
            usable_bytes: memory.usable(),
            reserve_bytes: reserve(memory.total),
            nofile,
            somaxconn: limits::somaxconn().map_or(4096, u64::from),
            ephemeral: limits::ephemeral_ports().unwrap_or((32_768, 60_999)),
            backlog: limits::netdev_max_backlog().map_or(1000, u64::from),
            hash_buckets: limits::established_hash_buckets(),
            hz: limits::kernel_hz().unwrap_or(250),
        })
    }

    /// The most connections that fit the memory, as estimated.
    #[must_use]
    pub fn most_connections(&self) -> u64 {
        self.fitting(BYTES_PER_CONNECTION)
    }

    /// The connections of `bytes_each` that fit beside the reserve.
    pub(super) fn fitting(&self, bytes_each: u64) -> u64 {
        self.usable_bytes.saturating_sub(self.reserve_bytes) / bytes_each.max(1)
    }

    /// Whether so many might fit, however little each takes; what might is for the ramp to find out.
    pub(super) fn might_fit(&self, connections: u64) -> bool {
        connections <= self.fitting(2 * LEAST_END_BYTES)
    }
}

/// The host does not hold what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapacityError {
    /// Memory.
    #[error(
        "{} connections need about {} MiB of memory ({} on this machine, {} B \
         each) and {} MiB are usable: at most {} fit; free memory, or ask for --connections {}",
        HumanCount(*asked), needed_mib, if *ends == 2 { "both ends" } else { "one end" }, bytes_each(*ends), usable_mib, HumanCount(*most), most
    )]
    Memory {
        /// Connections asked for.
        asked: u64,
        /// What they would take.
        needed_mib: u64,
        /// What there is.
        usable_mib: u64,
        /// What fits.
        most: u64,
        /// Ends of each on this machine.
        ends: u64,
    },
}

/// What a connection takes of this machine, with one or both ends on it.
const fn bytes_each(ends: u64) -> u64 {
    BYTES_PER_CONNECTION * ends / 2
}

/// Connections to use: what was asked for, or the default cut to what fits, with the sentence that says so.
pub(super) fn fit(
    asked: Option<u64>,
    default: u64,
    ends: u64,
    host: &HostFacts,
) -> Result<(u64, Option<String>), CapacityError> {
    let most = host.fitting(bytes_each(ends));
    let wanted = asked.unwrap_or(default);
    if wanted <= most {
        return Ok((wanted, None));
    }
    let error = CapacityError::Memory {
        asked: wanted,
        needed_mib: (wanted * bytes_each(ends) + host.reserve_bytes) >> 20,
        usable_mib: host.usable_bytes >> 20,
        most,
        ends,
    };
    // A default is the tool's own wish and bends; a number that was typed does not.
    if asked.is_none() && most >= 1 {
        Ok((most, Some(error.to_string())))
    } else {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: u64 = 256 << 20;

    fn host(usable_bytes: u64) -> HostFacts {
        HostFacts {
            usable_bytes,
            reserve_bytes: RESERVE,
            nofile: 20_000,
            somaxconn: 4096,
            ephemeral: (32_768, 60_999),
            backlog: 1000,
            hash_buckets: Some(262_144),
            hz: 250,
        }
    }

    #[test]
    fn the_default_bends_to_the_memory_and_a_typed_number_does_not() {
        let small = host(RESERVE + 5_000 * BYTES_PER_CONNECTION);
        let (connections, why) = fit(None, 100_000, 2, &small).unwrap();
        assert_eq!(connections, 5_000);
        assert!(why.unwrap().contains("at most 5,000 fit"));
        let error = fit(Some(100_000), 100_000, 2, &small)
            .unwrap_err()
            .to_string();
        assert!(error.contains("--connections 5000"), "{error}");
        assert_eq!(fit(Some(5_000), 100_000, 2, &small), Ok((5_000, None)));
        assert!(fit(None, 100_000, 2, &host(0)).is_err(), "nothing fits");
        assert_eq!(fit(Some(10_000), 100_000, 1, &small), Ok((10_000, None)));
        assert!(small.might_fit(6_000) && !small.might_fit(7_000));
    }
}
