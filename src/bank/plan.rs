//! How many rings a core thread needs, and how large each may be: arithmetic on the limit on open files.
//!
//! Pure. What the host allows decides each size, and nothing is tuned by hand:
//!
//! * **Tables.** A ring's table of direct descriptors is capped by the soft `RLIMIT_NOFILE` (`io_sqe_files_register` in
//!   the kernel's `io_uring/rsrc.c`) and by 2^20. A host with a low limit therefore needs several rings per core, and
//!   a roomy one needs one: 2.5 million connections under a limit of 20,000 are "2 core threads × 79 rings × 17,8xx".
//! * **Rings.** Every ring costs a descriptor of its own and 0.2 MB, so the fewest that hold the connections are
//!   made, all alike. Rings of one core are walked by one thread, once a tick.
//! * **Accept gates.** A connection that finds the table full is accepted and dropped by the kernel, so a ring stops
//!   accepting at `connections_per_ring`, below its table by twice the listener's backlog: one backlog that an armed
//!   accept may take before it is seen to be full, and one more until its cancellation has reached the kernel. Rings
//!   that accept take an eighth more than their share, for the kernel spreads connections by the core a SYN is
//!   handled on, and the spread is uneven. A listener is accepted from by one ring at a time ([`crate::server`]).
//! * **Backlog.** A sixteenth of the table, 1,024 at most, and `net.core.somaxconn`: twice of it is lost to every
//!   table. The load generator keeps as many connects in flight per core at most.
//! * **Ticks.** The tick is the user's: it trades CPU for latency (`ringbeat scale --tick-sweep` draws the curve), and
//!   must be long enough for one walk over all rings, which an idle ring takes no system call of.
//! * **User tables** are reserved for `connections_per_ring` at the start and become resident as they fill.

use super::{Driver, EngineKind};
use std::fmt;

/// Descriptors a process needs besides its rings: standard streams, listeners, `/proc` files.
const OTHER_DESCRIPTORS: u64 = 64;
/// A table the kernel would refuse whatever the limit (`IORING_MAX_FIXED_FILES`).
const LARGEST_TABLE: u64 = 1 << 20;
/// The longest queue of connections a listener keeps for us.
const LARGEST_BACKLOG: u64 = 1024;

/// Connections a core thread begins to end per turn. Their operations lie in user space until the kernel has taken
/// them; two thousand keep it busy for several milliseconds.
pub const CLOSES_PER_TURN: usize = 2_048;

/// The rings of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPlan {
    /// Core threads.
    pub cores: u32,
    /// Rings each of them owns.
    pub rings_per_core: u32,
    /// Connections one ring takes.
    pub connections_per_ring: u32,
    /// Slots of one ring's table: more than its connections, because a multishot accept may take a whole
    /// backlog before it is told to stop.
    pub slots: u32,
    /// Backlog of each listener.
    pub backlog: u32,
}

/// Why no plan exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The limit on open files leaves no room.
    #[error(
        "the limit on open files ({nofile}) is too low for {connections} connections: every ring's table \
         may hold at most that many sockets and every ring costs one descriptor, which allows {most}; \
         raise it with `ulimit -n 1048576` (hard limit: /etc/security/limits.conf, or LimitNOFILE= in \
         a systemd unit) or ask for fewer"
    )]
    OpenFiles {
        /// Soft limit found.
        nofile: u64,
        /// Connections asked for.
        connections: u64,
        /// Connections this limit allows.
        most: u64,
    },
    /// The engine takes an open file per connection.
    #[error(
        "the epoll engine takes one open file per connection and the limit on open files ({nofile}) allows {most}, \
         not {connections}; raise it with `ulimit -n`, ask for fewer, or use --engine uring, whose direct \
         descriptors take none"
    )]
    Descriptors {
        /// Soft limit found.
        nofile: u64,
        /// Connections asked for.
        connections: u64,
        /// Connections this limit allows.
        most: u64,
    },
}

impl RingPlan {
    /// A plan for what `engine` can do: as [`RingPlan::new`] with direct descriptors; otherwise one ring per core,
    /// and every connection an open file of the process.
    ///
    /// # Errors
    /// [`PlanError`] with the most that would fit.
    pub fn for_engine(
        engine: EngineKind,
        connections: u64,
        cores: u32,
        nofile: u64,
        somaxconn: u64,
        accepts: bool,
    ) -> Result<Self, PlanError> {
        if engine.has_direct_descriptors() {
            return Self::new(connections, cores, nofile, somaxconn, accepts);
        }
        let most = nofile.saturating_sub(OTHER_DESCRIPTORS);
        if connections > most {
            return Err(PlanError::Descriptors {
                nofile,
                connections,
                most,
            });
        }
        // A table is only memory here, so one ring per core has room for all.
        let roomy = u64::from(u32::MAX);
        Self::new(connections, cores, roomy, somaxconn, accepts)
    }

    /// One thread's part of the plan, and how many threads there are per core.
    #[must_use]
    pub fn per_thread(&self, driver: Driver) -> (Self, u32) {
        match driver {
            Driver::Tick => (*self, 1),
            Driver::ThreadPerRing => {
                let part = Self {
                    rings_per_core: 1,
                    ..*self
                };
                (part, self.rings_per_core)
            }
        }
    }

    /// A plan for `connections` spread evenly over `cores` threads under a soft limit of `nofile`. `accepts` says
    /// whether the rings take connections from a listener whose backlog the kernel caps at `somaxconn`.
    ///
    /// # Errors
    /// [`PlanError`] with the most that would fit.
    pub fn new(
        connections: u64,
        cores: u32,
        nofile: u64,
        somaxconn: u64,
        accepts: bool,
    ) -> Result<Self, PlanError> {
        let cores = u64::from(cores.max(1));
        let table = nofile.min(LARGEST_TABLE);
        let backlog = (table / 16).clamp(1, LARGEST_BACKLOG).min(somaxconn.max(1));
        // Until its cancellation is seen, an armed accept can run once more over a full backlog.
        let margin = if accepts { 2 * backlog } else { 0 };
        let largest = table.saturating_sub(margin);
        let most_rings = nofile.saturating_sub(OTHER_DESCRIPTORS) / cores;
        let per_core = connections.max(1).div_ceil(cores);
        // The kernel spreads by the core a SYN arrives on; leave room for an uneven spread.
        let wanted = if accepts {
            per_core + per_core / 8 + 64
        } else {
            per_core
        };
        let rings = if largest == 0 {
            u64::MAX
        } else {
            wanted.div_ceil(largest)
        };
        if rings > most_rings || largest < 16 {
            let most = most_rings.saturating_mul(largest).saturating_mul(cores) / 5 * 4;
            return Err(PlanError::OpenFiles {
                nofile,
                connections,
                most,
            });
        }
        let connections_per_ring = wanted.div_ceil(rings);
        let fit = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Self {
            cores: fit(cores),
            rings_per_core: fit(rings),
            connections_per_ring: fit(connections_per_ring),
            slots: fit(connections_per_ring + margin),
            backlog: fit(backlog),
        })
    }
}

impl fmt::Display for RingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} core thread{} × {} ring{} × {}",
            self.cores,
            if self.cores == 1 { "" } else { "s" },
            self.rings_per_core,
            if self.rings_per_core == 1 { "" } else { "s" },
            crate::units::HumanCount(u64::from(self.connections_per_ring))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_low_limit_means_several_rings_and_a_high_one_means_one() {
        let low = RingPlan::new(1_000_000, 2, 20_000, 4096, false).unwrap();
        assert_eq!((low.rings_per_core, low.slots), (25, 20_000));
        let high = RingPlan::new(1_000_000, 2, 1 << 20, 4096, true).unwrap();
        assert_eq!(high.rings_per_core, 1);
        assert_eq!(low.to_string(), "2 core threads × 25 rings × 20,000");
    }

    #[test]
    fn a_limit_that_leaves_no_room_says_what_would_fit() {
        let error = RingPlan::new(1_000_000, 2, 256, 4096, true).unwrap_err();
        let PlanError::OpenFiles { most, .. } = error else {
            panic!("{error}");
        };
        assert!(error.to_string().contains("ulimit -n"));
        assert!(RingPlan::new(most, 2, 256, 4096, true).is_ok(), "{most}");
    }

    proptest! {
        #[test]
        fn every_plan_holds_what_was_asked_within_the_limit(
            connections in 1_u64..3_000_000, cores in 1_u32..65, nofile in 1_u64..2_000_000,
            somaxconn in 1_u64..70_000, accepts: bool
        ) {
            if let Ok(plan) = RingPlan::new(connections, cores, nofile, somaxconn, accepts) {
                let held = u64::from(plan.cores) * u64::from(plan.rings_per_core)
                    * u64::from(plan.connections_per_ring);
                prop_assert!(held >= connections);
                prop_assert!(u64::from(plan.slots) <= nofile);
                prop_assert!(u64::from(plan.cores * plan.rings_per_core) < nofile);
                prop_assert!(u64::from(plan.backlog) <= somaxconn);
                if accepts {
                    prop_assert!(plan.slots >= plan.connections_per_ring + 2 * plan.backlog);
                }
            }
        }
    }
}
