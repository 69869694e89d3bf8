//! Which trials a run of the lab makes, in which order, with which contestants.
//!
//! Pure. Everything that can be refused before a namespace is made is refused here.

use super::contestant::Contestant;
use super::fault::{Fault, Seat, Stress, Trouble};
use crate::arm::{Arm, Budget};
use crate::bank::EngineConfig;
use crate::experiment::HostFacts;
use crate::socket::keepalive::Keepalive;
use crate::units::Nanos;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;

/// Connections of each contestant of a trial, unless told otherwise.
pub const DEFAULT_CONNECTIONS: u64 = 200;
/// The same for `--quick`.
pub const QUICK_CONNECTIONS: u64 = 60;
/// What an ordinary host needs beside what the model says: to schedule, to tear sockets down, to read a burst of verdicts.
pub(super) const ALLOWANCE: Nanos = Nanos::from_millis(300);
/// How much longer than the detection budget those are watched who should never notice, in halves.
const NEVER_HALVES: u32 = 3;
/// How long a host is away that reboots.
const REBOOT: Duration = Duration::from_secs(1);

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct DetectOptions {
    /// Mechanisms, in the order reported.
    pub arms: Vec<Arm>,
    /// Faults; none of them leaves the stresses alone.
    pub faults: Vec<Fault>,
    /// Whether the stresses are made too.
    pub stress: bool,
    /// Whether the kernel's rules, the claims and the thresholds are tried too.
    pub debate: bool,
    /// Connections of each mechanism in each trial.
    pub connections: u64,
    /// The detection budget of every mechanism.
    pub budget: Budget,
    /// Everything smaller and shorter.
    pub quick: bool,
    /// Trials at once.
    pub parallel: usize,
    /// What carries the operations.
    pub engine: EngineConfig,
    /// Length of a tick.
    pub tick: Nanos,
    /// Congestion control of both ends.
    pub congestion: String,
    /// Cores of the halves, in turn.
    pub cores: Vec<usize>,
    /// Of the order of trials and of what lies before each trouble.
    pub seed: u64,
    /// A name for the run.
    pub label: Option<String>,
    /// The command line as typed.
    pub command: String,
}

/// What a trial is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrialKind {
    /// Cells of the matrix.
    Cells,
    /// A rule of the kernel.
    Oracle,
    /// Who keeps a firewall's entry alive.
    Firewall,
    /// What a mechanism puts on the wire while nothing is wrong.
    Traffic,
    /// Detection time and false suspicions over the threshold.
    Threshold,
}

/// One trial.
#[derive(Clone, Debug)]
pub(super) struct TrialPlan {
    pub(super) kind: TrialKind,
    /// Nothing for a trial that only waits.
    pub(super) trouble: Option<Trouble>,
    pub(super) contestants: Vec<Contestant>,
    pub(super) connections: u64,
    /// Over how long connections are opened: phases of the kernel's timers are spread by it.
    pub(super) ramp: Duration,
    /// From the last connection to the trouble; a part of it is chance.
    pub(super) settle: Duration,
    /// How long a host is away that reboots.
    pub(super) reboot: Duration,
    /// From the trouble's end.
    pub(super) watch: Duration,
    /// Whether everybody noticing ends it.
    pub(super) may_end_early: bool,
    /// The router is a firewall that forgets after so long.
    pub(super) firewall_s: Option<u32>,
}

impl TrialPlan {
    /// Who is watched.
    pub(super) fn seats(&self) -> Vec<Seat> {
        self.trouble
            .map_or_else(|| Seat::ALL.to_vec(), Trouble::seats)
    }

    /// Connections per second.
    pub(super) fn ramp_rate(&self) -> Option<u64> {
        let millis = u64::try_from(self.ramp.as_millis()).unwrap_or(u64::MAX);
        (millis > 0).then(|| (self.connections * 1000 / millis).max(1))
    }

    /// How long it takes, as planned.
    pub(super) fn span(&self) -> Duration {
        let trouble = match self.trouble {
            Some(Trouble::Stress(stress)) => stress.lasting(),
            _ => Duration::ZERO,
        };
        // The processes and the namespaces come and go within a second.
        self.ramp + self.settle + trouble + self.watch + Duration::from_secs(1)
    }

    /// What is tried, for people.
    pub(super) fn title(&self) -> String {
        match self.trouble {
            Some(trouble) => {
                let parameter = trouble.parameter();
                let at = match trouble {
                    Trouble::Fault { fault, victim } if !fault.is_between() => {
                        format!(" of the {victim}")
                    }
                    _ => String::new(),
                };
                format!("{}{at} {parameter}", trouble.name())
                    .trim()
                    .to_owned()
            }
            None if self.kind == TrialKind::Firewall => "an idle firewall".to_owned(),
            None => "calm".to_owned(),
        }
    }
}

/// A run with nothing left to decide.
#[derive(Clone, Debug)]
pub struct DetectPlan {
    pub(super) options: DetectOptions,
    pub(super) host: HostFacts,
    pub(super) trials: Vec<TrialPlan>,
    /// Of the kernel's rules: the scale of their numbers, seconds.
    pub(super) oracle: Keepalive,
    /// What the firewall of the idle trial remembers.
    pub(super) firewall_s: u32,
}

impl DetectPlan {
    /// Fills in every default.
    #[must_use]
    pub fn new(options: DetectOptions, host: HostFacts) -> Self {
        let interval_s =
            u32::try_from(options.budget.interval.0.div_ceil(1_000_000_000)).unwrap_or(1);
        let oracle = if options.quick { (2, 1, 2) } else { (5, 3, 3) };
        let mut plan = Self {
            host,
            trials: Vec::new(),
            oracle: Keepalive {
                idle_s: oracle.0,
                interval_s: oracle.1,
                count: oracle.2,
            },
            firewall_s: interval_s + 2,
            options,
        };
        plan.trials = plan.all_trials();
        plan
    }

    fn all_trials(&self) -> Vec<TrialPlan> {
        let mut trials = Vec::new();
        if self.options.debate {
            trials.extend(self.thresholds());
            trials.extend(self.oracles());
        }
        for &fault in &self.options.faults {
            trials.extend(self.fault_trials(fault));
        }
        if self.options.stress {
            for stress in self.stresses() {
                trials.extend(self.stress_trials(stress));
            }
        }
        let mut random = StdRng::seed_from_u64(self.options.seed);
        trials.shuffle(&mut random);
        // The longest first, so that no worker is left with one at the end; among equals chance decides.
        trials.sort_by_key(|trial| std::cmp::Reverse(trial.span().as_secs()));
        for trial in &mut trials {
            trial.settle = trial.settle.mul_f64(random.random_range(1.0..1.5));
        }
        trials
    }

    /// A trial of these contestants, with nothing special about it.
    fn trial(&self, kind: TrialKind, contestants: Vec<Contestant>) -> TrialPlan {
        let pauses = contestants.iter().map(Contestant::longest_pause);
        let pause = pauses.max().unwrap_or(Nanos::ZERO).as_duration();
        TrialPlan {
            kind,
            trouble: None,
            contestants,
            connections: self.options.connections,
            ramp: pause.max(Duration::from_millis(500)),
            settle: pause + Duration::from_millis(300),
            reboot: REBOOT,
            watch: Duration::ZERO,
            may_end_early: false,
            firewall_s: None,
        }
    }

    fn usual(&self, arms: &[Arm]) -> Vec<Contestant> {
        let budget = self.options.budget;
        arms.iter()
            .map(|&arm| Contestant::usual(arm, budget))
            .collect()
    }

    fn fault_trials(&self, fault: Fault) -> Vec<TrialPlan> {
        let victims: &[Seat] = if fault.is_between() {
            &[Seat::Client]
        } else {
            &Seat::ALL
        };
        let with = |&victim| {
            let trouble = Trouble::Fault { fault, victim };
            let mut trial = self.trial(TrialKind::Cells, self.usual(&self.options.arms));
            trial.trouble = Some(trouble);
            self.watched(trial)
        };
        victims.iter().map(with).collect()
    }

    /// As long as the slowest verdict of the model, and where there is to be none, half as long again as the budget.
    fn watched(&self, mut trial: TrialPlan) -> TrialPlan {
        let mut longest = Nanos::ZERO;
        let mut never = false;
        if let Some(Trouble::Fault { fault, .. }) = trial.trouble {
            for contestant in &trial.contestants {
                let timing =
                    contestant.timing(self.options.tick, self.host.hz, trial.reboot.into());
                for seat in trial.seats() {
                    if let Some(span) = timing.model(fault, seat).span {
                        longest = longest.max(span.latest);
                    } else {
                        never = true;
                        let budget = contestant.budget.detect_within.0;
                        longest = longest.max(Nanos(budget * u64::from(NEVER_HALVES) / 2));
                    }
                }
            }
        }
        trial.watch = (longest + ALLOWANCE + ALLOWANCE).as_duration();
        trial.may_end_early = !never;
        trial
    }

    /// The stresses, sized by the budget.
    fn stresses(&self) -> Vec<Stress> {
        let budget = self.options.budget.detect_within.as_duration();
        let outage = |part: f64| Stress::Outage(round(budget.mul_f64(part)));
        let lasting = round(budget * 2);
        let mut all = vec![
            outage(0.2),
            outage(0.6),
            Stress::RandomLoss {
                percent: 20,
                lasting,
            },
            Stress::CpuStarvation {
                of: Seat::Server,
                percent: 10,
                lasting,
            },
            Stress::CpuStarvation {
                of: Seat::Client,
                percent: 10,
                lasting,
            },
            Stress::ServerPaused(round(budget.mul_f64(0.4))),
        ];
        if !self.options.quick {
            all.insert(2, outage(1.2));
            all.push(Stress::ServerPaused(round(budget.mul_f64(1.2))));
        }
        all
    }

    /// One trial for every mechanism whose probes are to be told from another's: the kernel counts them by host.
    fn stress_trials(&self, stress: Stress) -> Vec<TrialPlan> {
        let mut groups: Vec<Vec<Arm>> = vec![Vec::new()];
        for &arm in &self.options.arms {
            let taken = groups[0].iter().any(|other| other.has_keepalive());
            if arm.has_keepalive() && taken {
                groups.push(vec![arm]);
            } else {
                groups[0].push(arm);
            }
        }
        groups
            .iter()
            .filter(|arms| !arms.is_empty())
            .map(|arms| {
                let mut trial = self.trial(TrialKind::Cells, self.usual(arms));
                trial.trouble = Some(Trouble::Stress(stress));
                // What was lost is sent again after at most as long as it lasted, and its verdict may follow.
                let budget = self.options.budget.detect_within.as_duration();
                trial.watch = stress.lasting().min(budget) + budget / 2;
                trial
            })
            .collect()
    }

    /// Detection of a power cut and false suspicions in outages, for one threshold beside the other.
    fn thresholds(&self) -> Vec<TrialPlan> {
        let seconds: (&[u64], &[u64]) = if self.options.quick {
            (&[2, 3, 6], &[1, 3])
        } else {
            (&[3, 6, 9, 15, 30, 40], &[2, 5, 10])
        };
        let contestants: Vec<Contestant> = seconds
            .0
            .iter()
            .filter_map(|&within| threshold(within))
            .collect();
        let slowest = seconds.0.iter().max().copied().unwrap_or(0);
        let mut trials = Vec::new();
        let mut cut = self.trial(TrialKind::Threshold, contestants.clone());
        cut.trouble = Some(Trouble::Fault {
            fault: Fault::PowerCut,
            victim: Seat::Client,
        });
        cut.watch = Duration::from_secs(slowest + 1);
        cut.may_end_early = true;
        trials.push(cut);
        for &outage in seconds.1 {
            let mut trial = self.trial(TrialKind::Threshold, contestants.clone());
            trial.trouble = Some(Trouble::Stress(Stress::Outage(Duration::from_secs(outage))));
            trial.watch = Duration::from_secs(2 * outage + 3);
            trials.push(trial);
        }
        trials
    }

    fn oracles(&self) -> Vec<TrialPlan> {
        let keepalive = self.oracle;
        let budget = self.options.budget;
        let promise_s = keepalive.idle_s + keepalive.interval_s * keepalive.count;
        let promise = Duration::from_secs(promise_s.into());
        // Between the first probe and the second timer.
        let early = Duration::from_secs((keepalive.idle_s + 1).into());
        let kernel =
            |name: &str, keepalive, timeout| Contestant::kernel(name, budget, keepalive, timeout);
        let mut black_hole = self.trial(
            TrialKind::Oracle,
            vec![
                kernel("keepalive", Some(keepalive), None),
                kernel("keepalive-and-user-timeout", Some(keepalive), Some(early)),
                kernel("user-timeout-alone", None, Some(early)),
            ],
        );
        black_hole.trouble = Some(Trouble::Fault {
            fault: Fault::PowerCut,
            victim: Seat::Client,
        });
        // All at once and at once: the silence begins with the connection.
        black_hole.ramp = Duration::ZERO;
        black_hole.settle = Duration::ZERO;
        black_hole.watch = promise + Duration::from_secs(3);
        let mut in_flight = self.trial(
            TrialKind::Oracle,
            vec![kernel(
                "keepalive-with-data-in-flight",
                Some(keepalive),
                None,
            )],
        );
        in_flight.trouble = Some(Trouble::Fault {
            fault: Fault::BlackHoleWithDataInFlight,
            victim: Seat::Client,
        });
        in_flight.ramp = Duration::ZERO;
        in_flight.settle = Duration::ZERO;
        in_flight.watch = promise + Duration::from_secs(5);
        let mut trials = vec![black_hole, in_flight];
        trials.extend(self.suppression());
        trials.push(self.firewall());
        trials.extend(self.traffic());
        trials
    }

    /// One mechanism alone on the wire, for some intervals.
    fn traffic(&self) -> Vec<TrialPlan> {
        [
            Arm::None,
            Arm::Keepalive,
            Arm::HeartbeatOneway,
            Arm::Heartbeat,
        ]
        .iter()
        .map(|&arm| {
            let mut trial = self.trial(TrialKind::Traffic, self.usual(&[arm]));
            trial.watch = self.options.budget.interval.as_duration() * 4;
            trial
        })
        .collect()
    }

    /// Heartbeats below and above the idle time: are there probes?
    fn suppression(&self) -> Vec<TrialPlan> {
        let with = |name: &str, idle_s: u32| {
            let interval = Duration::from_secs(if idle_s > 1 { 1 } else { 3 });
            let budget = Budget::from_interval(interval, interval * 4).ok()?;
            let mut contestant = Contestant::usual(Arm::Both, budget);
            name.clone_into(&mut contestant.name);
            contestant.keepalive = Some(Keepalive {
                idle_s,
                interval_s: 1,
                count: 9,
            });
            let mut trial = self.trial(TrialKind::Oracle, vec![contestant]);
            trial.ramp = Duration::from_millis(500);
            trial.settle = Duration::ZERO;
            trial.watch = Duration::from_secs(u64::from(idle_s) * 2 + 3);
            Some(trial)
        };
        let both = [
            with("heartbeats-below-idle", 3),
            with("heartbeats-above-idle", 1),
        ];
        both.into_iter().flatten().collect()
    }

    /// A firewall that forgets after a while, and who goes on being heard through it.
    fn firewall(&self) -> TrialPlan {
        let budget = self.options.budget;
        let mut contestants = self.usual(&[
            Arm::None,
            Arm::Keepalive,
            Arm::Heartbeat,
            Arm::HeartbeatOneway,
            Arm::HeartbeatPush,
        ]);
        let late = Keepalive {
            idle_s: self.firewall_s * 4,
            interval_s: 2,
            count: 3,
        };
        contestants.push(Contestant::kernel(
            "keepalive-idle-too-long",
            budget,
            Some(late),
            None,
        ));
        let mut trial = self.trial(TrialKind::Firewall, contestants);
        // Opened at once: with the ramp of the slowest idle time the first would be forgotten before the last is there.
        trial.ramp = Duration::from_millis(500);
        trial.settle = Duration::ZERO;
        trial.firewall_s = Some(self.firewall_s);
        trial.watch = Duration::from_secs(u64::from(self.firewall_s) * 2 + 1);
        trial
    }

    /// How long the run takes, as planned.
    #[must_use]
    pub fn span(&self) -> Duration {
        let all: Duration = self.trials.iter().map(TrialPlan::span).sum();
        let longest = self.trials.iter().map(TrialPlan::span).max();
        let workers = u32::try_from(self.options.parallel.max(1)).unwrap_or(1);
        longest.unwrap_or_default().max(all / workers)
    }
}

/// The classic heartbeat with a threshold of so many seconds: three misses, four from half a minute on.
fn threshold(within_s: u64) -> Option<Contestant> {
    let misses = if within_s < 30 { 3 } else { 4 };
    let budget = Budget::derive(Duration::from_secs(within_s), misses).ok()?;
    let mut contestant = Contestant::usual(Arm::Heartbeat, budget);
    contestant.name = format!("threshold-{within_s}s");
    Some(contestant)
}

/// To half a second: a size that reads well.
fn round(span: Duration) -> Duration {
    let halves = (span.as_millis() + 250) / 500;
    Duration::from_millis(u64::try_from(halves.max(1)).unwrap_or(1) * 500)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
