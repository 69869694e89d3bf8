//! What the CPU meters read besides the sum that costs are computed from: core by core, thread by thread, the second
//! and the third meter, and each meter's noise floor.
//!
//! Does not compute any of it. See the [module above](super) for units and the meaning of `null`.

use serde::{Deserialize, Serialize};

/// One core in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CoreCpu {
    /// The core's place among those online.
    pub core: u32,
    /// Window − idle.
    pub busy_ns: u64,
    /// Tick-sampled, in user mode.
    pub user_ns: u64,
    /// Tick-sampled, in the kernel for a process.
    pub system_ns: u64,
    /// Tick-sampled, in hard interrupts.
    pub irq_ns: u64,
    /// Tick-sampled, in soft interrupts.
    pub softirq_ns: u64,
    /// What the hypervisor admits to have taken.
    pub steal_ns: u64,
    /// Packets its input queue dropped.
    pub backlog_drops: u64,
}

/// One thread in one window, by the scheduler's own sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadCpu {
    /// `server` or `load`.
    pub role: String,
    /// Its name.
    pub name: String,
    /// On a CPU.
    pub run_ns: u64,
    /// Ready to run, waiting for a CPU.
    pub waited_ns: u64,
}

/// What the soaker saw in the stretch after a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SoakRecord {
    /// Length of the stretch.
    pub stretch_ns: u64,
    /// Time it could not get, of all cores, scaled to the length of the window.
    pub taken_ns: u64,
    /// Events of the stretch, scaled likewise; for keepalive counted by its probes, else the window's own.
    pub events: u64,
}

/// Everything the CPU meters read in one round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeterRecord {
    /// Core by core.
    pub cores: Vec<CoreCpu>,
    /// Thread by thread.
    pub threads: Vec<ThreadCpu>,
    /// The second meter; `null` where it could not run.
    pub soaker: Option<SoakRecord>,
    /// The third: cycles of all cores in the window; `null` where the host has no counters.
    pub cycles: Option<u64>,
}

/// A stretch with no connection and nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IdlePhase {
    /// `before`, `between` or `after` the rounds.
    pub when: String,
    /// Since the start of the run.
    pub elapsed_ms: u64,
    /// Busy time of all cores by `/proc/stat`, per second.
    pub stat_busy_ns_per_s: u64,
    /// Time the soaker could not get, of all cores, per second.
    pub soaker_taken_ns_per_s: Option<u64>,
    /// Steal that the kernel reports, of all cores, per second.
    pub steal_ns_per_s: u64,
    /// What a fixed piece of work cost just then: CPU of one thread per exchange over loopback pairs. A record without
    /// the key did not look.
    #[serde(default)]
    pub reference_ns: Option<u64>,
}

/// How far each meter can be trusted on this machine, in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NoiseRecord {
    /// The idle phases, in order.
    pub idle: Vec<IdlePhase>,
    /// What `/proc/stat` varies by while nothing happens: the largest idle phase less the smallest, at least its
    /// resolution. CPU nanoseconds per second of all cores together.
    pub stat_floor_ns_per_s: u64,
    /// The soaker likewise.
    pub soaker_floor_ns_per_s: Option<u64>,
    /// By how much the machine changed its speed while it was measured: the dearest reference less the cheapest, in
    /// thousandths of their median. Every cost's interval is widened by half of it at either end. A record without the
    /// key did not look.
    #[serde(default)]
    pub drift_milli: Option<u64>,
    /// Whether user, system and interrupt time are samples of the clock tick.
    pub tick_sampled: Option<bool>,
    /// Why there is no soaker.
    pub soaker_absent: Option<String>,
    /// Why there are no cycles.
    pub cycles_absent: Option<String>,
}
