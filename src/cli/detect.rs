//! `ringbeat detect`: the fault lab, from its flags to the matrix and the folder.
//!
//! Does not measure: [`crate::experiment`] does.

use super::flags::BudgetFlags;
use super::place::{RunFlags, command_line, forewarn};
use super::signals::Signals;
use super::{Failure, choices, host, laboratory, parse};
use crate::arm::{Arm, Budget};
use crate::bank::{EngineConfig, EngineKind};
use crate::experiment::{
    DETECT_CONNECTIONS, DETECT_QUICK_CONNECTIONS, DetectOptions, DetectPlan, Fault, HostFacts,
    run_detect,
};
use crate::os::cores::usable_cores;
use crate::units::Nanos;
use clap::Args;
use std::time::Duration;

/// The detection budget of `--quick`: keepalive counts whole seconds and must be able to probe between two heartbeats, so
/// two intervals of two.
const QUICK_BUDGET: (Duration, u32) = (Duration::from_secs(4), 2);

/// Fault lab: how soon each mechanism notices, and when it suspects the living.
///
/// Makes a laboratory of three network namespaces for every trial, opens connections through it under every mechanism at
/// one detection budget, breaks something, and times every verdict at either end; every cell is held against the
/// bound that the settings and the kernel's rules give. No packet leaves the namespaces, and they end with the run.
/// Needs root, or a kernel that lets users make user namespaces; `nft` for the faults between the hosts.
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct DetectArgs {
    /// Mechanisms (arms) in the order reported
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::arm(),
          default_values_t = Arm::ALL)]
    arms: Vec<Arm>,
    /// Faults to make
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::fault(),
          default_values_t = Fault::ALL)]
    faults: Vec<Fault>,
    /// Make no faults; the stresses stay
    #[arg(long, conflicts_with = "faults")]
    no_faults: bool,
    /// Make no stresses (outage, loss, starvation, pause), in which all peers live
    #[arg(long)]
    no_stress: bool,
    /// Leave out the trials of the kernel's rules, of common claims and of other detection thresholds
    #[arg(long)]
    no_debate: bool,
    /// Connections of each mechanism in each trial, 1 to 5000 [default: 200; 60 with --quick]
    #[arg(long, value_name = "N", value_parser = parse::lab_connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// A verdict within 4 s and fewer connections; under 90 seconds
    #[arg(long)]
    quick: bool,
    /// Trials at once, each with a laboratory of its own, 1 to 64 [default: 4; 8 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: Option<u16>,
    #[command(flatten)]
    budget: BudgetFlags,
    /// How the kernel is spoken to
    #[arg(long, default_value = "uring", value_parser = choices::engine(), help_heading = "Engine")]
    engine: EngineKind,
    /// How often a core thread looks at its rings, 1ms to 1s
    #[arg(long, value_name = "TIME", default_value = "8ms", value_parser = parse::tick,
          allow_hyphen_values = true, help_heading = "Engine")]
    tick: Nanos,
    #[command(flatten)]
    run: RunFlags,
}

pub(super) fn run(args: &DetectArgs) -> Result<(), Failure> {
    let laboratory = laboratory::enter()?;
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let place = args.run.prepare("detect", &[args.engine])?;
    forewarn(
        Vec::new(),
        Some(&plan.question()),
        host::congestion(None)?,
        &[],
    );
    args.run.note(&format!("about {} s", plan.span().as_secs()));
    place.measure(&signals, |place, watcher| {
        let features = place.ring_features.clone();
        run_detect(&plan, &place.executable, features, laboratory, watcher)
    })
}

fn plan(args: &DetectArgs) -> Result<DetectPlan, Failure> {
    let usual = if args.quick {
        QUICK_BUDGET
    } else {
        Budget::STRICT
    };
    let facts = HostFacts::read().map_err(|error| Failure::Host(error.to_string()))?;
    let connections = if args.quick {
        DETECT_QUICK_CONNECTIONS
    } else {
        DETECT_CONNECTIONS
    };
    let options = DetectOptions {
        arms: args.arms.clone(),
        faults: if args.no_faults {
            Vec::new()
        } else {
            args.faults.clone()
        },
        stress: !args.no_stress,
        debate: !args.no_debate,
        connections: args.connections.unwrap_or(connections),
        budget: args.budget.budget_or(&args.arms, usual)?,
        quick: args.quick,
        parallel: args
            .parallel
            .unwrap_or(if args.quick { 8 } else { 4 })
            .into(),
        engine: EngineConfig {
            kind: args.engine,
            ..EngineConfig::default()
        },
        tick: args.tick,
        congestion: host::congestion(None)?.unwrap_or_default(),
        cores: usable_cores(),
        seed: args.run.seed(),
        label: args.run.label(),
        command: command_line(),
    };
    Ok(DetectPlan::new(options, facts))
}
