//! The fault lab: how long each mechanism takes to notice, and when it cries wolf.
//!
//! Does not print. Every trial has a laboratory of its own, three network namespaces that end with it, and several run
//! at once: what is measured is time, not cost.
//!
//! | file | subject |
//! |---|---|
//! | `fault` | what can go wrong, and what can only be hard |
//! | `contestant` | a mechanism with its numbers |
//! | `model` | what must follow, by the settings and the kernel's rules |
//! | `plan` | which trials, with whom |
//! | `laboratory` | three hosts in namespaces |
//! | `pair` | a contestant's two halves in them |
//! | `inject` | how a fault is made |
//! | `stall` | how late this machine was |
//! | `standing` | where the lab stands, for those who watch |
//! | `trial` | one laboratory, one trouble, what each end did |
//! | `cells` | what was seen, held against the model |
//! | `debate` | the kernel's rules, firewalls, thresholds |
//! | `claims` | what is said, and what was found |

mod cells;
mod claims;
mod contestant;
mod debate;
mod fault;
mod inject;
mod laboratory;
mod model;
mod pair;
mod plan;
mod stall;
mod standing;
mod trial;

pub use fault::{Fault, Seat, Stress, Trouble};
pub use plan::{DEFAULT_CONNECTIONS, DetectOptions, DetectPlan, QUICK_CONNECTIONS};

use super::cost::{cut_short, empty};
use super::doctor::{Question, Side, Timing};
use super::doubt::Doubt;
use super::{ExperimentError, Observer};
use crate::clock::{Clock as _, MonotonicClock, wall_rfc3339};
use crate::environment;
use crate::os::limits::keepalive_defaults;
use crate::os::namespace::Network;
use crate::record::{CellRecord, Config, DetectionRecord, Kind, MechanismSettings, Record};
use crate::units::Nanos;
use claims::Evidence;
use contestant::Contestant;
use debate::Done;
use laboratory::Laboratory;
use plan::{ALLOWANCE, TrialKind, TrialPlan};
use stall::StallWatch;
use standing::Standing;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use trial::{Common, Outcome};

impl DetectPlan {
    /// What to ask the doctor before the start: the most that runs at once, every half on a core of its own.
    #[must_use]
    pub fn question(&self) -> Question {
        let options = &self.options;
        let crowds = self
            .trials
            .iter()
            .map(|trial| trial.contestants.len() as u64);
        let runs = crowds.max().unwrap_or(1).max(1) * options.parallel as u64;
        let (budget, arms) = (&options.budget, &options.arms);
        Question {
            connections: Some(runs * options.connections),
            side: Side::Both,
            engine: options.engine.kind,
            server_cores: 1,
            load_cores: 1,
            pairs: 1,
            runs,
            timings: vec![Timing {
                name: "as asked".to_owned(),
                interval: budget.interval,
                heartbeats: arms.iter().any(|arm| arm.has_heartbeats()),
                keepalive_idle_s: budget.keepalive_idle_s,
                // Trials are not in step, and one mechanism's probes in one of them are no burst.
                keepalive_ends: 0,
                ramp: budget.interval,
            }],
        }
    }
}

/// Runs the plan with `executable`'s halves and returns what was measured, also when it was cut short. `laboratory` says
/// how this process came by its right to make namespaces.
///
/// # Errors
/// Only what goes wrong before the first trial: no namespaces to be had, the host's figures cannot be read.
pub fn run_detect(
    plan: &DetectPlan,
    executable: &Path,
    ring_features: BTreeMap<String, String>,
    laboratory: &str,
    observer: &mut dyn Observer,
) -> Result<(Record, Option<ExperimentError>), ExperimentError> {
    let mut environment = environment::capture()?;
    environment.ring_features = ring_features;
    let started_at = wall_rfc3339();
    let begun = MonotonicClock.now();
    let left_out = left_out(plan)?;
    for (name, reason) in &left_out {
        observer.note(&format!("{name} is left out: {reason}"));
    }
    let trials: Vec<&TrialPlan> = plan
        .trials
        .iter()
        .filter(|trial| !left_out.contains_key(&name(trial)))
        .collect();
    let stalls = StallWatch::start();
    let interrupted = AtomicI32::new(0);
    let options = &plan.options;
    let common = Common {
        executable,
        cores: options.cores.clone(),
        engine: options.engine,
        tick: options.tick,
        congestion: options.congestion.clone(),
        host: plan.host.clone(),
        stalls: &stalls,
        interrupted: &interrupted,
    };
    let misses = |trial: &TrialPlan, outcome: &Outcome| misses(plan, trial, outcome);
    let (done, ended) = all(&common, &trials, options.parallel, (observer, &misses));
    let mut record = Record {
        partial: ended.is_some(),
        started_at,
        ..empty(
            Kind::Detection,
            (&plan.options.command, plan.options.label.as_ref()),
            plan.config(),
            environment,
        )
    };
    summarise(plan, &mut record, &done)?;
    if let Some(detection) = &mut record.detection {
        laboratory.clone_into(&mut detection.laboratory);
        detection.left_out = left_out;
        detection.longest_stall_ns = stalls.longest_since(begun).0;
    }
    if let Some(error) = &ended {
        record.warnings.insert(0, cut_short(error));
    }
    record.valid = !record.partial && record.warnings.iter().all(|warning| !warning.invalidates);
    record.duration_ms = (MonotonicClock.now() - begun).0 / 1_000_000;
    Ok((record, ended))
}

/// What a trial needs that may be missing goes by the trouble's name.
fn name(trial: &TrialPlan) -> String {
    match trial.trouble {
        Some(trouble) => trouble.name().to_owned(),
        None if trial.kind == TrialKind::Firewall => "firewall".to_owned(),
        None => String::new(),
    }
}

/// The trials this host cannot make, with the reason. A host that can make no laboratory at all is an error.
fn left_out(plan: &DetectPlan) -> Result<BTreeMap<String, String>, ExperimentError> {
    let lab = Laboratory::build(false)?;
    let (filter, track) = (lab.can_filter(), Laboratory::can_track());
    let mut left_out = BTreeMap::new();
    for trial in &plan.trials {
        let tracks =
            trial.kind == TrialKind::Firewall || trial.trouble.is_some_and(Trouble::needs_tracking);
        let filters = trial.trouble.is_some_and(Trouble::needs_filter);
        let reason = match (&filter, &track) {
            (Err(reason), _) if filters || tracks => reason,
            (_, Err(reason)) if tracks => reason,
            _ => continue,
        };
        left_out.insert(name(trial), reason.clone());
    }
    Ok(left_out)
}

/// Runs all trials, several at once, and stops at the first that cannot go on. `misses` judges each that is over.
fn all(
    common: &Common<'_>,
    trials: &[&TrialPlan],
    parallel: usize,
    (observer, misses): (&mut dyn Observer, &Judge<'_>),
) -> (Vec<Done>, Option<ExperimentError>) {
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    let (mut done, mut ended) = (Vec::new(), None);
    let mut standing = Standing::new(trials, parallel);
    std::thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, trials.len().max(1)) {
            let sender = sender.clone();
            let next = &next;
            scope.spawn(move || work(common, trials, next, &sender));
        }
        drop(sender);
        loop {
            if let Some(signal) = observer.interrupted() {
                common.interrupted.store(signal, Ordering::Relaxed);
            }
            match results.recv_timeout(Duration::from_millis(100)) {
                Ok((place, Ok(outcome))) => {
                    for (doubt, place) in misses(trials[place], &outcome) {
                        observer.warn(&format!("{place}: {doubt}"));
                    }
                    done.push((place, outcome));
                    standing.ended(place);
                    observer.progress(&standing.now(next.load(Ordering::Relaxed)));
                }
                Ok((_, Err(error))) => {
                    // The others end too; what they had is not whole.
                    next.store(trials.len(), Ordering::Relaxed);
                    let signal = match error {
                        ExperimentError::Interrupted(signal) => signal,
                        _ => libc::SIGTERM,
                    };
                    let _ = common.interrupted.compare_exchange(
                        0,
                        signal,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                    ended.get_or_insert(error);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if standing.is_old() {
                        observer.progress(&standing.now(next.load(Ordering::Relaxed)));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    done.sort_by_key(|(place, _)| *place);
    let done = done
        .into_iter()
        .map(|(place, outcome)| (trials[place].clone(), outcome))
        .collect();
    (done, ended)
}

/// A cell that lies outside of its bound, and where it is.
type Miss = (Doubt, String);

/// What a trial that is over comes to.
type Judge<'a> = dyn Fn(&TrialPlan, &Outcome) -> Vec<Miss> + 'a;

fn miss(cell: &CellRecord) -> Option<Miss> {
    let doubt = Doubt::OutOfBound {
        why: cell.out_of_bound.clone(),
    };
    let name = format!("{} {}", cell.fault, cell.parameter);
    let place = format!("{}, {}, {}", name.trim(), cell.mechanism, cell.seat);
    (!cell.within_bound).then_some((doubt, place))
}

/// The cells of one trial that lie outside of their bounds. One that cannot be made is told at the end.
fn misses(plan: &DetectPlan, trial: &TrialPlan, outcome: &Outcome) -> Vec<Miss> {
    if trial.kind != TrialKind::Cells {
        return Vec::new();
    }
    let views = outcome.views.iter();
    views
        .filter_map(|view| miss(&cells::cell(plan, trial, outcome, view).ok()?))
        .collect()
}

/// A trial by its place, and what came of it.
type Report = (usize, Result<Outcome, ExperimentError>);

fn work(common: &Common<'_>, trials: &[&TrialPlan], next: &AtomicUsize, results: &Sender<Report>) {
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(trial) = trials.get(place) else {
            return;
        };
        let outcome = trial::run(common, trial);
        let failed = outcome.is_err();
        if results.send((place, outcome)).is_err() || failed {
            return;
        }
    }
}

/// Everything the record says besides how the run came about.
fn summarise(plan: &DetectPlan, record: &mut Record, done: &[Done]) -> Result<(), ExperimentError> {
    let mut cells: Vec<CellRecord> = Vec::new();
    for (trial, outcome) in done
        .iter()
        .filter(|(trial, _)| trial.kind == TrialKind::Cells)
    {
        for view in &outcome.views {
            cells.push(cells::cell(plan, trial, outcome, view)?);
        }
    }
    cells.sort_by_key(|cell| place(plan, cell));
    let defaults = Network::new()?.run(keepalive_defaults)?;
    let debated = plan.options.debate;
    let oracles = if debated {
        debate::oracles(plan, done, defaults)
    } else {
        Vec::new()
    };
    let thresholds = debate::thresholds(done);
    let firewall = debate::heard_through_firewall(done);
    let traffic = debate::traffic(done);
    let evidence = Evidence {
        plan,
        cells: &cells,
        oracles: &oracles,
        thresholds: &thresholds,
        firewall: &firewall,
        traffic: &traffic,
    };
    let claims = if debated {
        evidence.claims()
    } else {
        Vec::new()
    };
    let out_of_bound = cells.iter().filter_map(miss);
    record
        .warnings
        .extend(out_of_bound.map(|(doubt, place)| doubt.warning(&place)));
    for oracle in oracles.iter().filter(|oracle| !oracle.held) {
        let doubt = Doubt::RuleBroken {
            expected: oracle.expected.clone(),
            seen: oracle.seen.clone(),
        };
        record.warnings.push(doubt.warning(&oracle.name));
    }
    let settings = plan.options.arms.iter().map(|&arm| MechanismSettings {
        mechanism: arm.name().to_owned(),
        settings: Contestant::usual(arm, plan.options.budget).in_words(),
    });
    record.detection = Some(DetectionRecord {
        connections_per_trial: plan.options.connections,
        allowance_ns: ALLOWANCE.0,
        settings: settings.collect(),
        oracles,
        claims,
        thresholds,
        ..DetectionRecord::default()
    });
    record.cells = cells;
    Ok(())
}

/// Where a cell stands: faults in their order, then stresses; mechanisms as asked for; the server's seat first.
fn place(plan: &DetectPlan, cell: &CellRecord) -> (usize, String, String, usize, String) {
    let faults = Fault::ALL
        .iter()
        .position(|fault| fault.name() == cell.fault);
    let arms = plan
        .options
        .arms
        .iter()
        .position(|arm| arm.name() == cell.mechanism);
    (
        faults.unwrap_or(usize::MAX),
        cell.fault.clone(),
        cell.parameter.clone(),
        arms.unwrap_or(usize::MAX),
        // `server` before `client`
        if cell.seat == Seat::Server.name() {
            String::new()
        } else {
            cell.seat.clone()
        },
    )
}

impl DetectPlan {
    /// The effective configuration, as the record keeps it.
    #[must_use]
    pub fn config(&self) -> Config {
        let (options, budget) = (&self.options, &self.options.budget);
        let millis = |span: Nanos| span.0 / 1_000_000;
        Config {
            connections_asked: options.connections,
            connections: options.connections,
            connections_limited_by: None,
            arms: options.arms.iter().map(ToString::to_string).collect(),
            engines: vec![options.engine.kind.to_string()],
            driver: crate::bank::Driver::Tick.to_string(),
            detect_within_ms: millis(budget.detect_within),
            misses: budget.misses,
            heartbeat_interval_ms: millis(budget.interval),
            idle_timeout_ms: millis(budget.idle_timeout),
            answer_timeout_ms: millis(budget.answer_timeout),
            keepalive_idle_s: budget.keepalive_idle_s,
            keepalive_interval_s: budget.keepalive_interval_s,
            keepalive_count: budget.keepalive_count,
            keepalive_side: "both".to_owned(),
            keepalive_spread_s: 0,
            path: "three namespaces".to_owned(),
            steady_ms: 0,
            soak_ms: 0,
            settle_ms: 0,
            rounds: 1,
            ramp_rate_per_second: None,
            in_flight_per_core: None,
            memory_limit_bytes: None,
            tick_us: options.tick.0 / 1000,
            phases: "staggered".to_owned(),
            timers: "wheel".to_owned(),
            sweep_period_ms: None,
            server_cores: options.cores.clone(),
            load_cores: options.cores.clone(),
            ring_plan: "one thread and one ring a half".to_owned(),
            congestion_control: options.congestion.clone(),
            seed: options.seed,
            order: Vec::new(),
        }
    }
}
