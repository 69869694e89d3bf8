//! Experiments: start the two halves, take them through phases, measure, and write down what happened.
//!
//! Does not print, plot or parse arguments. An experiment owns its processes: they end with it, however it
//! ends. What was measured before an interruption or a failure is kept in a record marked partial.
//!
//! | file | subject |
//! |---|---|
//! | `plan` | options and the host become one effective configuration |
//! | `capacity` | how many connections the host holds, and which limit says so |
//! | `doctor` | the limits of the host, each with what lifts it |
//! | `process` | one half as a child process |
//! | `halves` | both, wherever the load generator runs |
//! | `load_side` | the load generator, here or on several hosts |
//! | `driven` | the load generators of `compare --fleet` |
//! | `load_host` | the other end of that: orders to a process, answers back |
//! | `trial` | one arm, once: ramp, settle, window, audit, end |
//! | `ramp` | the first of these, with an eye on memory |
//! | `network` | loopback, or two namespaces and a link |
//! | `meters` | the CPU meters around a window, their noise floors |
//! | `sampler` | one row a second |
//! | `watch` | what is shown of a trial while it goes |
//! | `alarm` | the doubts that show meanwhile |
//! | `cost` | all trials of a comparison in their order, the record from them |
//! | `scale` | a ladder of comparisons, the hold at its top, the record from them |
//! | `storm` | everybody dropped at once, or some of them all the time; the record from it |
//! | `fleet` | one host of connections held by hand |
//! | `floor` | an exchange with nothing but its system calls |
//! | `lifecycle` | how connections begin and end, and what that costs |
//! | `tools` | ip(8), nft(8), sysctls of a namespace |
//! | `summary` | the rounds of an arm become its figures |
//! | `compare` | the arms become rows with a winner |
//! | `detect` | the fault lab |
//! | `lifecycle` | how connections begin and end, and what that takes |
//! | `checks` | what must hold |
//! | `doubt` | the typed warnings that come of it |

#![forbid(unsafe_code)]

mod alarm;
mod capacity;
mod checks;
mod compare;
mod cost;
mod detect;
pub mod doctor;
mod doubt;
mod driven;
pub mod fleet;
mod floor;
mod halves;
mod lifecycle;
mod load_host;
mod load_side;
mod meters;
mod network;
mod plan;
mod process;
mod ramp;
mod sampler;
mod scale;
mod storm;
mod summary;
mod tools;
mod trial;
mod watch;

pub use alarm::{Alarms, Signs};
pub use capacity::{CapacityError, HostFacts};
pub use cost::run_cost;
pub use detect::{
    DEFAULT_CONNECTIONS as DETECT_CONNECTIONS, DetectOptions, DetectPlan, Fault,
    QUICK_CONNECTIONS as DETECT_QUICK_CONNECTIONS, Seat, Stress, Trouble, run_detect,
};
pub use driven::{DrivenFleet, DrivenPlan};
pub use floor::FloorSize;
pub use lifecycle::{
    LifecycleOptions, LifecyclePlan, LifecycleShape, TurnoverPlan, run_lifecycle, scenarios,
    turnovers,
};
pub use load_host::obey_captain;
pub use network::NetworkPath;
pub use plan::{CostOptions, CostPlan, DEFAULT_CONNECTIONS, QUICK_CONNECTIONS, RampRate};

pub use scale::{ScaleError, ScaleOptions, ScalePlan, Want, run_scale};
pub use storm::{StormOptions, StormPlan, Way, run_storm};

use crate::measure::MeasureError;
use crate::measure::headroom::Stop;
use crate::units::{HumanCount, Nanos};
use std::time::Duration;

/// Where a run stands, for a progress line.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Trial, from 0.
    pub trial: usize,
    /// Trials in all, as far as known.
    pub trials: usize,
    /// The arm that runs.
    pub arm: String,
    /// The round or the rung, in words.
    pub part: String,
    /// `ramp`, `settle`, `steady`, `recovery`, `churn` or `drain`.
    pub phase: &'static str,
    /// Connections the load side holds.
    pub connections: u64,
    /// Connections it is to hold.
    pub connections_requested: u64,
    /// Heartbeats, or probes, of the last second.
    pub events_per_second: u64,
    /// 99th percentile of the round trips since the last report, where any heartbeat was acked.
    pub rtt_p99: Option<Nanos>,
    /// CPU time since the last report.
    pub cpu: Option<CpuShares>,
    /// Since the run began.
    pub elapsed: Duration,
    /// Time left, as planned.
    pub remaining: Duration,
}

/// CPU time in percent of all that the machine's cores had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuShares {
    /// Everything that ran, interrupts and other programs among it.
    pub machine: u64,
    /// The server and the load generator, where it is one process each.
    pub halves: Option<(u64, u64)>,
}

/// Who watches a run.
pub trait Observer {
    /// Called several times a second outside of windows and once a second inside.
    fn progress(&mut self, progress: &Progress);
    /// A sentence worth a line of its own.
    fn note(&mut self, text: &str);
    /// A reason to doubt what is measured has arisen; each is told once in a trial.
    fn warn(&mut self, text: &str);
    /// The signal that asks the run to end, if one has come.
    fn interrupted(&self) -> Option<i32>;
}

/// Why a run, or a trial of it, ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The host cannot do it.
    #[error("{0}")]
    Host(String),
    /// One of the halves cannot go on, or is gone.
    #[error("the {role} process failed: {message}")]
    Half {
        /// `server` or `load`.
        role: &'static str,
        /// What it said, or how it ended.
        message: String,
    },
    /// A load generator on another host cannot go on, or is gone.
    #[error(transparent)]
    Fleet(#[from] crate::fleet::FleetError),
    /// A meter gave no figure.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// A figure of the kernel was not to be had.
    #[error(transparent)]
    Os(#[from] crate::os::OsError),
    /// A histogram did not merge.
    #[error(transparent)]
    Histogram(#[from] crate::record::HistogramError),
    /// The sockets of an earlier trial did not go away.
    #[error(
        "{left} TCP sockets of the trial before are still there after {waited:?}; wait a minute and \
         start again, or ask for fewer connections"
    )]
    NotDrained {
        /// Sockets over the baseline.
        left: u64,
        /// How long.
        waited: Duration,
    },
    /// The ramp came to a halt.
    #[error("the ramp stopped at {established} of {requested} connections: {reason}")]
    Stuck {
        /// Established so far.
        established: u64,
        /// Asked for.
        requested: u64,
        /// What is known about it.
        reason: String,
    },
    /// Memory would have run out.
    #[error("{0}")]
    Memory(StoppedAtMemory),
    /// Memory got scarce while connections were held.
    #[error(
        "memory ran short while {connections} connections were held: {usable_mib} MiB were still usable; the run \
         ended itself before the kernel's OOM killer would. Stop what else takes memory, or ask for fewer"
    )]
    InNeed {
        /// Connections that were held.
        connections: u64,
        /// What was left.
        usable_mib: u64,
    },
    /// A signal came.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
}

/// A ramp that was stopped.
#[derive(Clone, Debug)]
pub struct StoppedAtMemory {
    /// What was being opened.
    pub arm: String,
    /// Connections asked for.
    pub asked: u64,
    /// The figures.
    pub stop: Stop,
}

impl std::fmt::Display for StoppedAtMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { arm, asked, stop } = self;
        write!(
            f,
            "stopped at memory: arm {arm} was to open {} connections, {stop}",
            HumanCount(*asked)
        )
    }
}
