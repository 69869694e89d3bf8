//! Memory foreseen: watches usable memory while connections open, and says when no more may be opened.
//!
//! Pure but for [`usable`]. Units: bytes. The kernel cannot be asked how many sockets fit: `MemAvailable` still said
//! 6.7 GB when the OOM killer struck at 2.93 million connections, since inodes and dentries of live sockets count as
//! reclaimable and are not. So the bytes per connection are measured in the run itself, from what became less usable
//! ([`SystemMemory::usable`]) since its first connection, and three rules stop the ramp:
//!
//! 1. once [`LEARN_AFTER`] connections are open: as many are open as fit, counted from the measured bytes each;
//! 2. at any time: with another step as large as the largest so far, less than the [`reserve`] would be usable;
//! 3. likewise for a limit of the user's own on what the run takes.
//!
//! The reserve stays free for what comes after the ramp: heartbeats in flight, the kernel's bookkeeping of the end.

use crate::os::OsError;
use crate::os::memory::SystemMemory;
use crate::units::{HumanBytes, HumanCount};
use std::fmt;

/// Connections after which the bytes each takes are known.
pub const LEARN_AFTER: u64 = 10_000;
/// The least that is kept back.
const LEAST_RESERVE_BYTES: u64 = 256 << 20;

/// The least memory a connection can take, one end of it: `tcp_sock`, socket inode, file and dentry, as slab objects
/// on 64-bit Linux 6.18 (2368 + 832 + 192 + 192 bytes). Should memory of others come free during a ramp, a connection
/// still takes no less.
pub const LEAST_END_BYTES: u64 = 3_584;

/// What is never planned for, of `total` bytes of memory: one hundredth, and 256 MiB at least. That is three looks at
/// the fastest ramp measured (100 ms each, 100,000 connections a second, 8.6 kB each).
#[must_use]
pub const fn reserve(total: u64) -> u64 {
    let share = total / 100;
    if share > LEAST_RESERVE_BYTES {
        share
    } else {
        LEAST_RESERVE_BYTES
    }
}

/// Memory that may still be taken, and the machine's total.
///
/// # Errors
/// [`OsError`] when `/proc/meminfo` cannot be read.
pub fn usable() -> Result<(u64, u64), OsError> {
    let memory = SystemMemory::read()?;
    Ok((memory.usable(), memory.total))
}

/// Which bound ended a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The host's memory.
    Memory,
    /// The user's own limit.
    Limit,
}

/// What is known at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foresight {
    /// Too few connections to tell.
    Learning,
    /// So many fit, those that are open included.
    Fits(u64),
    /// Open no more.
    Stop(Stop),
}

/// Why a ramp must stop, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What bounds it.
    pub bound: Bound,
    /// Connections open at the last look.
    pub connections: u64,
    /// Memory each has taken, both ends where both are here.
    pub bytes_per_connection: u64,
    /// What was still usable.
    pub usable: u64,
    /// What is kept back.
    pub reserve: u64,
    /// The user's limit, if there is one.
    pub limit: Option<u64>,
}

/// How far the ramp came, which limit bounds it, what would fit.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = HumanCount(self.connections);
        write!(
            f,
            "{open} are open and took {} B each on this host; ",
            HumanCount(self.bytes_per_connection)
        )?;
        match (self.bound, self.limit) {
            (Bound::Limit, Some(limit)) => write!(
                f,
                "--memory-limit {} allows no more: raise it, or ask for at most {open}",
                HumanBytes(limit)
            ),
            _ => write!(
                f,
                "{} of memory are still usable and {} are kept back, lest the kernel's OOM killer wake: free \
                 memory, or ask for at most {open}",
                HumanBytes(self.usable),
                HumanBytes(self.reserve)
            ),
        }
    }
}

/// Watches one ramp.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    usable_at_start: u64,
    reserve: u64,
    limit: Option<u64>,
    least_each: u64,
    last_usable: u64,
    largest_step: u64,
    bytes_per_connection: Option<u64>,
}

impl Guard {
    /// A guard for a ramp that begins with `usable` bytes, keeps `reserve` of them back and takes no more than
    /// `limit`; `ends` of each connection, 1 or 2, are on this host.
    #[must_use]
    pub const fn new(usable: u64, reserve: u64, limit: Option<u64>, ends: u64) -> Self {
        Self {
            usable_at_start: usable,
            reserve,
            limit,
            least_each: ends * LEAST_END_BYTES,
            last_usable: usable,
            largest_step: 0,
            bytes_per_connection: None,
        }
    }

    /// Measured bytes per connection, once [`LEARN_AFTER`] were open.
    #[must_use]
    pub const fn bytes_per_connection(&self) -> Option<u64> {
        self.bytes_per_connection
    }

    /// Takes the present: `connections` open, `usable` bytes left.
    pub fn look(&mut self, connections: u64, usable: u64) -> Foresight {
        let shrunk = self.usable_at_start.saturating_sub(usable);
        let taken = shrunk.max(connections * self.least_each);
        let grown = self.last_usable.saturating_sub(usable);
        self.largest_step = self.largest_step.max(grown);
        self.last_usable = usable;
        let (room, bound) = self.room(taken, usable);
        let each = taken.div_ceil(connections.max(1));
        let stop = Foresight::Stop(Stop {
            bound,
            connections,
            bytes_per_connection: each,
            usable,
            reserve: self.reserve,
            limit: self.limit,
        });
        if room < self.largest_step.max(self.least_each) {
            return stop;
        }
        if connections < LEARN_AFTER {
            return Foresight::Learning;
        }
        self.bytes_per_connection = Some(each);
        match room / each.max(1) {
            0 => stop,
            more => Foresight::Fits(connections + more),
        }
    }

    /// What may still be taken, and which bound says so.
    fn room(&self, taken: u64, usable: u64) -> (u64, Bound) {
        let memory = usable.saturating_sub(self.reserve);
        match self.limit.map(|limit| limit.saturating_sub(taken)) {
            Some(limit) if limit < memory => (limit, Bound::Limit),
            _ => (memory, Bound::Memory),
        }
    }

    /// Whether so little is left that even holding what is open is no longer safe: half of the reserve is gone.
    #[must_use]
    pub const fn is_in_need(&self, usable: u64) -> bool {
        usable < self.reserve / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn ten_thousand_connections_tell_what_fits() {
        let mut guard = Guard::new(1_000 * MIB, 100 * MIB, None, 2);
        assert_eq!(guard.look(5_000, 960 * MIB), Foresight::Learning);
        assert_eq!(guard.bytes_per_connection(), None);
        let foresight = guard.look(10_000, 920 * MIB);
        assert_eq!(guard.bytes_per_connection(), Some(8_389));
        assert_eq!(foresight, Foresight::Fits(10_000 + 820 * MIB / 8_389));
    }

    #[test]
    fn a_ramp_that_outruns_the_learning_is_stopped_all_the_same() {
        let mut guard = Guard::new(200 * MIB, 100 * MIB, None, 2);
        assert_eq!(guard.look(2_000, 160 * MIB), Foresight::Learning);
        let Foresight::Stop(stop) = guard.look(4_000, 120 * MIB) else {
            panic!("another step would go below the reserve");
        };
        assert_eq!((stop.bound, stop.connections), (Bound::Memory, 4_000));
        assert!(!guard.is_in_need(60 * MIB) && guard.is_in_need(49 * MIB));
    }

    #[test]
    fn a_limit_of_the_users_own_is_named_as_such() {
        let mut guard = Guard::new(10_000 * MIB, 256 * MIB, Some(200 * MIB), 2);
        assert_eq!(guard.look(8_000, 9_936 * MIB), Foresight::Learning);
        assert_eq!(
            guard.look(16_000, 9_872 * MIB),
            Foresight::Fits(16_000 + 72 * MIB / 8_389)
        );
        let Foresight::Stop(stop) = guard.look(24_000, 9_808 * MIB) else {
            panic!("8 MiB of 200 are left and a step takes 64");
        };
        assert_eq!((stop.bound, stop.limit), (Bound::Limit, Some(200 * MIB)));
        assert_eq!(stop.bytes_per_connection, 8_389);
        let said = stop.to_string();
        assert!(
            said.starts_with("24,000 are open and took 8,389 B each"),
            "{said}"
        );
        assert!(said.contains("--memory-limit 200 MiB"), "{said}");
        let host = Stop {
            bound: Bound::Memory,
            ..stop
        }
        .to_string();
        assert!(host.contains("256 MiB are kept back"), "{host}");
    }

    #[test]
    fn memory_that_others_free_promises_nothing() {
        let mut guard = Guard::new(1_000 * MIB, 256 * MIB, Some(200 * MIB), 2);
        let foresight = guard.look(20_000, 2_000 * MIB);
        let each = 2 * LEAST_END_BYTES;
        assert_eq!(guard.bytes_per_connection(), Some(each));
        assert_eq!(
            foresight,
            Foresight::Fits(20_000 + (200 * MIB - 20_000 * each) / each)
        );
        let stop = guard.look(30_000, 3_000 * MIB);
        assert!(matches!(stop, Foresight::Stop(stop) if stop.bound == Bound::Limit));
    }

    #[test]
    fn the_reserve_is_small_but_real() {
        assert_eq!(reserve(4 << 30), 256 * MIB);
        assert_eq!(reserve(100 << 30), 1 << 30);
    }

    proptest! {
        /// However large the machine, the connections and the steps: what is usable never falls below the reserve
        /// while the guard is obeyed and no step is larger than those seen before, except the first.
        #[test]
        fn obeyed_it_keeps_the_reserve(
            usable_mib in 300_u64..32_768, each in 4_000_u64..20_000, wanted in 1_000_u64..5_000_000,
            per_look in 100_u64..20_000, limit_mib in prop::option::of(1_u64..20_000),
            jitter in prop::collection::vec(0_u64..=100, 64)
        ) {
            let start = usable_mib * MIB;
            let reserve = reserve(start);
            let limit = limit_mib.map(|mib| mib * MIB);
            let mut guard = Guard::new(start, reserve, limit, 1);
            let (mut open, mut looks, mut stopped) = (0_u64, 0, None);
            let first_step = per_look * each;
            while open < wanted {
                let share = if looks == 0 { 100 } else { jitter[looks % jitter.len()] };
                open += (per_look * share).div_ceil(100).min(wanted - open).max(1);
                looks += 1;
                let usable = start.saturating_sub(open * each);
                if let Foresight::Stop(stop) = guard.look(open, usable) {
                    stopped = Some(stop);
                    break;
                }
                // A large machine is not walked to its end by single steps.
                if looks > 20_000 {
                    break;
                }
            }
            let taken = open * each;
            let left = start.saturating_sub(taken);
            prop_assert!(left >= reserve.saturating_sub(first_step), "{left} of {reserve}");
            prop_assert!(limit.is_none_or(|limit| taken <= limit.max(first_step)), "{taken} of {limit:?}");
            if let Some(stop) = stopped {
                // It stops for want of room only: not a whole step, or not one connection more, would have fitted.
                let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(taken))
                    .min(left.saturating_sub(reserve));
                prop_assert!(room < first_step.max(each + 1), "{room} {stop:?}");
            }
        }

        /// A foresight is never smaller than what is open and never promises what the memory does not hold.
        #[test]
        fn what_fits_is_neither_too_much_nor_less_than_there_is(
            usable_mib in 512_u64..65_536, each in 1_000_u64..20_000, open in LEARN_AFTER..1_000_000
        ) {
            let start = usable_mib * MIB;
            let reserve = reserve(start);
            prop_assume!(open * each < start);
            let mut guard = Guard::new(start, reserve, None, 0);
            if let Foresight::Fits(most) = guard.look(open, start - open * each) {
                prop_assert!(most > open);
                prop_assert!(most * each + reserve <= start);
            }
        }
    }
}
