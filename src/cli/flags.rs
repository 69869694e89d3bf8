//! Groups of flags that several subcommands share, and the checked values they become.
//!
//! Does not read or change the host; [`super::host`] does. Each group is a clap `Args` to
//! `flatten`. The doc comment of a field is its help text.

use super::choices::{self, Structure};
use super::{Failure, parse};
use crate::arm::{Arm, Budget, BudgetError, KeepaliveSide};
use crate::bank::{Driver, EngineConfig, EngineKind};
use crate::os::cores::usable_cores;
use crate::shard::{Phases, Role, Settings};
use crate::socket::keepalive::Keepalive;
use crate::units::Nanos;
use crate::wheel::TimersKind;
use clap::{Args, ValueEnum};
use parse::CoreList;
use std::time::Duration;

/// Time of a sweep's pass unless told otherwise.
const SWEEP_PERIOD: Duration = Duration::from_millis(100);

/// The detection budget: a preset, or a time and misses, or an interval and a timeout.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Detection")]
pub struct BudgetFlags {
    /// Find a dead peer within this after its last sign of life
    /// [default: 9s; scale: 2m, or 9s with --quick; detect: 4s with --quick]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true,
          conflicts_with_all = ["interval", "timeout", "preset"])]
    pub detect_within: Option<Duration>,
    /// Intervals of silence that make the verdict, 2 to 100
    /// [default: 3; scale: 4, or 3 with --quick; detect: 2 with --quick]
    #[arg(long, value_name = "N", value_parser = parse::misses, allow_hyphen_values = true,
          conflicts_with_all = ["interval", "timeout", "preset"])]
    pub misses: Option<u32>,
    /// Gap between two heartbeats of one connection, given outright
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true,
          requires = "timeout", conflicts_with = "preset")]
    pub interval: Option<Duration>,
    /// Silence that makes the verdict, given outright; at least two intervals
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true,
          requires = "interval", conflicts_with = "preset")]
    pub timeout: Option<Duration>,
    /// A named budget instead; `strict` is what most commands take by default
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Keepalive's own numbers, IDLE/INTERVAL/COUNT in whole seconds (20s/5s/3), instead of those the budget gives; the
    /// heartbeats keep the budget's
    #[arg(long, value_name = "NUMBERS", value_parser = parse::keepalive, allow_hyphen_values = true)]
    pub keepalive: Option<Keepalive>,
}

/// A named budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Verdict 6 to 9 s after a fault
    Strict,
    /// Verdict 30 to 40 s after a fault
    Relaxed,
}

impl BudgetFlags {
    /// The timing of `arms`.
    ///
    /// # Errors
    /// [`Failure::Usage`] when one of them, or the kernel, cannot keep such a budget.
    pub fn budget(&self, arms: &[Arm]) -> Result<Budget, Failure> {
        self.budget_or(arms, Budget::STRICT)
    }

    /// As [`budget`](Self::budget), with `(within, misses)` where nothing is said.
    ///
    /// # Errors
    /// Likewise.
    pub fn budget_or(&self, arms: &[Arm], usual: (Duration, u32)) -> Result<Budget, Failure> {
        let usage = |error: BudgetError| Failure::Usage(error.to_string());
        let mut budget = self.timing(usual).map_err(usage)?;
        match self.keepalive {
            Some(keepalive) => {
                budget.keepalive_idle_s = keepalive.idle_s;
                budget.keepalive_interval_s = keepalive.interval_s;
                budget.keepalive_count = keepalive.count;
            }
            None => budget.suits(arms).map_err(usage)?,
        }
        Ok(budget)
    }

    fn timing(&self, (within, misses): (Duration, u32)) -> Result<Budget, BudgetError> {
        if let (Some(interval), Some(timeout)) = (self.interval, self.timeout) {
            return Budget::from_interval(interval, timeout);
        }
        let (within, misses) = match self.preset {
            Some(Preset::Relaxed) => Budget::RELAXED,
            Some(Preset::Strict) => Budget::STRICT,
            None => (within, misses),
        };
        Budget::derive(
            self.detect_within.unwrap_or(within),
            self.misses.unwrap_or(misses),
        )
    }
}

/// How both halves speak to the kernel: all that matters where no mechanism runs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Engine")]
pub struct KernelFlags {
    /// How the kernel is spoken to
    #[arg(long, default_value = "uring", value_parser = choices::engine())]
    pub engine: EngineKind,
    /// What a core thread sleeps on
    #[arg(long, default_value = "tick", value_parser = choices::driver())]
    pub driver: Driver,
    /// Entries of each completion queue, 1 to 8192; a small one overflows, which is counted [default: 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub completion_entries: Option<u32>,
    /// Receive buffers of each ring of uring-recv, 1 to 32768; with few, streams pause, which is counted
    /// [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32768))]
    pub receive_buffers: Option<u16>,
    /// How often a core thread looks at its rings, 1ms to 1s
    #[arg(long, value_name = "TIME", default_value = "8ms", value_parser = parse::tick,
          allow_hyphen_values = true)]
    pub tick: Nanos,
    /// TCP congestion control of every socket [default: cubic, or else the system's]
    #[arg(long, value_name = "NAME")]
    pub congestion: Option<String>,
}

impl KernelFlags {
    /// The engine and its sizes.
    #[must_use]
    pub const fn config(&self) -> EngineConfig {
        EngineConfig {
            kind: self.engine,
            completions: self.completion_entries,
            buffers: self.receive_buffers,
        }
    }
}

/// How both halves pass the time and set their sockets up.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineFlags {
    /// How they speak to the kernel.
    #[command(flatten)]
    pub kernel: KernelFlags,
    /// How heartbeats are spread over the interval
    #[arg(long, default_value = "staggered", value_parser = choices::phases())]
    pub phases: Phases,
    /// What holds the deadlines
    #[arg(long, default_value = "wheel", value_parser = choices::timers())]
    pub timers: Structure,
    /// For --timers sweep: the time in which it looks at every deadline once, a tick or more; a verdict is late by up to
    /// as much [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true)]
    pub sweep_period: Option<Duration>,
    /// Whose sockets carry keepalive in the arms that have it
    #[arg(long, value_name = "END", default_value = "server", value_parser = choices::end())]
    pub keepalive_side: KeepaliveSide,
    /// Give each connection's keepalive an idle time of its own, up to this much longer, 1s to 1h in whole seconds: it
    /// thins bursts of probes [default: all alike]
    #[arg(long, value_name = "TIME", value_parser = parse::spread, allow_hyphen_values = true)]
    pub keepalive_spread: Option<u32>,
}

impl EngineFlags {
    /// What holds the deadlines. A period is cut to whole ticks, so that none is exceeded.
    ///
    /// # Errors
    /// [`Failure::Usage`] when a period is given for the wheel, or one shorter than a tick.
    pub fn timers(&self) -> Result<TimersKind, Failure> {
        match (self.timers, self.sweep_period) {
            (Structure::Wheel, None) => Ok(TimersKind::Wheel),
            (Structure::Wheel, Some(_)) => Err(Failure::Usage(
                "--sweep-period is for --timers sweep: the wheel makes no passes".to_owned(),
            )),
            (Structure::Sweep, period) => {
                // A tick longer than the default period makes a pass of its own.
                let tick = self.kernel.tick;
                let default = Nanos::from(SWEEP_PERIOD).max(tick);
                let period = period.map_or(default, Nanos::from);
                if period < tick {
                    return Err(Failure::Usage(format!(
                        "--sweep-period must be at least a tick, {}",
                        humantime::format_duration(tick.as_duration())
                    )));
                }
                let period = u32::try_from(period.0 / tick.0).unwrap_or(u32::MAX);
                Ok(TimersKind::Sweep { period })
            }
        }
    }

    /// What the shards of a half with this `role` are told.
    #[must_use]
    pub fn settings(
        &self,
        role: Role,
        budget: &Budget,
        timers: TimersKind,
        keepalive: bool,
    ) -> Settings {
        Settings {
            role,
            interval: budget.interval,
            idle_timeout: budget.idle_timeout,
            answer_timeout: budget.answer_timeout,
            tick: self.kernel.tick,
            phases: self.phases,
            timers,
            keepalive,
            option_variants: 0,
            log_endings: false,
            phase_origin: Nanos::ZERO,
        }
    }

    /// Keepalive of the server's sockets.
    #[must_use]
    pub fn server_keepalive(&self, arm: Arm, budget: &Budget) -> Option<Keepalive> {
        keepalive(arm, budget, self.keepalive_side.server())
    }

    /// `TCP_USER_TIMEOUT` of the server's sockets, milliseconds.
    #[must_use]
    pub fn server_user_timeout(&self, arm: Arm, budget: &Budget) -> Option<u32> {
        let timeout = budget.user_timeout_ms(arm);
        timeout.filter(|_| self.keepalive_side.server())
    }

    /// `TCP_USER_TIMEOUT` of the load generator's sockets, milliseconds.
    #[must_use]
    pub fn load_user_timeout(&self, arm: Arm, budget: &Budget) -> Option<u32> {
        let timeout = budget.user_timeout_ms(arm);
        timeout.filter(|_| self.keepalive_side.client())
    }

    /// Keepalive of the load generator's sockets.
    #[must_use]
    pub fn load_keepalive(&self, arm: Arm, budget: &Budget) -> Option<Keepalive> {
        keepalive(arm, budget, self.keepalive_side.client())
    }
}

fn keepalive(arm: Arm, budget: &Budget, here: bool) -> Option<Keepalive> {
    (here && arm.has_keepalive()).then(|| budget.keepalive_for(arm))
}

/// How many connections.
#[derive(Clone, Debug, Args)]
pub struct ConnectionsFlag {
    /// Connections to hold, 1 to 10M
    #[arg(long, value_name = "N", default_value = "10k", value_parser = parse::connections,
          allow_hyphen_values = true)]
    pub connections: u64,
}

/// Where the server's threads run.
#[derive(Clone, Debug, Args)]
pub struct ServerCoresFlag {
    /// Cores of the server, one thread and one listener each (0,1) [default: all usable]
    #[arg(long, value_name = "LIST", value_parser = parse::cores, allow_hyphen_values = true)]
    pub server_cores: Option<CoreList>,
}

/// Where the load generator's threads run.
#[derive(Clone, Debug, Args)]
pub struct LoadCoresFlag {
    /// Cores of the load generator, one thread each (0,1) [default: all usable]
    #[arg(long, value_name = "LIST", value_parser = parse::cores, allow_hyphen_values = true)]
    pub load_cores: Option<CoreList>,
}

/// Where the threads of both halves run.
#[derive(Clone, Debug, Args)]
pub struct BothCoresFlags {
    /// The server's.
    #[command(flatten)]
    pub server_cores: ServerCoresFlag,
    /// The load generator's.
    #[command(flatten)]
    pub load_cores: LoadCoresFlag,
}

impl BothCoresFlags {
    /// The server's cores, never none.
    #[must_use]
    pub fn server(&self) -> Vec<usize> {
        cores_or_all(self.server_cores.server_cores.as_ref())
    }

    /// The load generator's cores, never none.
    #[must_use]
    pub fn load(&self) -> Vec<usize> {
        cores_or_all(self.load_cores.load_cores.as_ref())
    }
}

/// The cores named, or else all that may be used; never empty.
#[must_use]
pub fn cores_or_all(named: Option<&CoreList>) -> Vec<usize> {
    let cores = named.map_or_else(usable_cores, |list| list.0.clone());
    if cores.is_empty() { vec![0] } else { cores }
}

/// How fast connections are opened.
#[derive(Clone, Debug, Args)]
pub struct RampFlag {
    /// Connections opened per second, written 5k or 5k/s [default: as fast as they are accepted]
    #[arg(long, value_name = "N/s", value_parser = parse::rate, allow_hyphen_values = true)]
    pub ramp_rate: Option<u64>,
}

/// What a ramp may not exceed.
#[derive(Clone, Copy, Debug, Args)]
pub struct RampBounds {
    /// Connects unanswered at once, per core thread of the load generator [default: 256, or the accept queue if that is
    /// shorter; several load generators of a run share it]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    pub in_flight: Option<u64>,
    /// Take at most this much memory for connections, kernel included, and open no more then; 1MiB or more
    /// [default: what the host has, less a reserve]
    #[arg(long, value_name = "SIZE", value_parser = parse::size, allow_hyphen_values = true)]
    pub memory_limit: Option<u64>,
}

/// What makes two runs alike.
#[derive(Clone, Debug, Args)]
pub struct SeedFlag {
    /// Seed of everything drawn at random, a whole number [default: drawn, and recorded]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// What is said where.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Print the result as JSON, and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    /// No settings and no progress, only warnings and the result
    #[arg(long)]
    pub quiet: bool,
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
