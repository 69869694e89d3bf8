//! Meters: snapshots taken at both ends of a window, and what their difference means.
//!
//! | meter | what | from | misses |
//! |---|---|---|---|
//! | [`cpu`] | all CPUs busy | `/proc/stat` idle | 10 ms per CPU; hidden steal |
//! | [`cpu`] | user, system, interrupts | `/proc/stat` | work in step with the tick |
//! | [`cpu`] | processes, ksoftirqd | process clocks | who caused an interrupt |
//! | [`cpu`] | threads: run, wait for a CPU | `schedstat` | interrupts they are charged with |
//! | [`soaker`] | what an idle-class thread could not get | its own clock | gaps below 0.5 µs; the price of waking |
//! | [`cycles`] | cycles not halted | perf counters | a frequency that changes; most virtual machines |
//! | [`memory`] | processes | `smaps_rollup` | shared pages |
//! | [`memory`] | sockets, `io_uring` | `/proc/slabinfo` | merged caches, `kmalloc` pieces |
//! | [`memory`] | total | `MemFree` | nothing, not even strangers |
//! | [`headroom`] | connections that still fit | usable memory, watched | a sudden burst of somebody else's |
//! | [`wire`] | packets, IP bytes | `/proc/net/dev` | whose they were; drops before the driver |
//! | [`wire`] | backlog drops | `softnet_stat` | whose they were: it is machine-wide |
//! | [`wire`] | probes, retransmissions | `TcpExt`, `Tcp` | whether a probe was delivered |
//! | [`keepalive`] | probes per 10 ms | `TcpExt`, sampled | its own CPU, so run it in every arm |
//! | [`statistics`] | intervals | rounds in pairs | width, when rounds are few |
//!
//! Does not decide what counts as an event or an arm. A figure that cannot be had is an error or a
//! `None` with its reason, never zero. Imports `os`, `record`, `units` and the clock.

pub mod cpu;
pub mod cycles;
pub mod headroom;
pub mod keepalive;
pub mod memory;
pub mod soaker;
pub mod statistics;
pub mod wire;

use crate::os::OsError;
use std::io;

/// Why a meter gave no figure.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The kernel's figures were not to be had.
    #[error(transparent)]
    Os(#[from] OsError),
    /// A process could not be read.
    #[error(
        "the CPU time of the {role} process {pid} cannot be read ({source}): is it still running?"
    )]
    Process {
        /// `server` or `load`.
        role: &'static str,
        /// Its number.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// CPUs came or went.
    #[error(
        "{before} CPUs were online when the window began and {after} when it ended, so idle time \
         cannot be subtracted: keep CPUs online and measure again"
    )]
    CpusChanged {
        /// At its beginning.
        before: usize,
        /// At its end.
        after: usize,
    },
    /// Rounds that do not pair.
    #[error(
        "{arm} rounds of an arm and {other} to compare them with do not pair: give one of each per \
         round, at least one, with divisors that are not zero"
    )]
    Unpaired {
        /// Rounds of the arm.
        arm: usize,
        /// Rounds, or divisors, on the other side.
        other: usize,
    },
    /// A sampling thread could not be had.
    #[error(
        "the sampling thread could not be started ({source}): is the limit of processes reached?"
    )]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// A soaking thread could not take its place.
    #[error(
        "the soaker could not be tied to core {core} in the idle scheduling class: does the sandbox refuse \
         sched_setscheduler(2) or sched_setaffinity(2)?"
    )]
    Soaker {
        /// Its core.
        core: usize,
    },
    /// A sampling thread died.
    #[error("the sampling thread ended by a panic: this is a defect, please report it")]
    ThreadDied,
}
