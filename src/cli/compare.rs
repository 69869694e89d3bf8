//! `ringbeat compare`: the main job, from its flags to the table and the folder.
//!
//! Does not measure: [`crate::experiment`] does. Everything that can be refused is refused before the first
//! connection, the output folder included. What was measured before an interruption is kept, marked partial.

use super::cost::CostFlags;
use super::driven;
use super::fleet_plan::FleetPlan;
use super::place::forewarn;
use super::signals::Signals;
use super::{Failure, choices, host, parse};
use crate::arm::Arm;
use crate::bank::{EngineConfig, EngineKind};
use crate::experiment::{CostOptions, CostPlan, HostFacts, NetworkPath, RampRate, run_cost};
use crate::report;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// What each mechanism costs at one detection budget.
///
/// Starts a server and a load generator, holds idle connections between them over loopback, and runs the arms in
/// interleaved rounds with fresh sockets. Needs no root and no set-up.
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
pub(super) struct CompareArgs {
    /// Connections to hold, 1 to 10M [default: 100k, or what the memory holds; 10k with --quick]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// Mechanisms (arms) in the order reported; `none`, the control, is always run, an arm named twice is run twice
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::arm(),
          default_values_t = Arm::COMPARED)]
    arms: Vec<Arm>,
    /// The same at 10,000 connections and in one round, under 45 seconds
    #[arg(long)]
    quick: bool,
    /// The measured window of each arm and round; the soaker, a second CPU meter, takes a fifth of it more
    /// [default: 4/3 of an interval]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true)]
    steady: Option<Duration>,
    /// Wait between the last connection and the window: one interval or more leaves out each connection's first
    /// exchange, which TCP acknowledges at once and so with one packet more [default: 500ms; 300ms with --quick]
    #[arg(long, value_name = "TIME", value_parser = parse::pause, allow_hyphen_values = true)]
    settle: Option<Duration>,
    /// Rounds, each with every arm once, 1 to 100 [default: 3; 1 with --quick]
    #[arg(long, value_name = "N", value_parser = parse::rounds, allow_hyphen_values = true)]
    rounds: Option<u32>,
    /// Connections opened per second, written 5k or 5k/s [default: all within one heartbeat interval]
    #[arg(long, value_name = "N/s", value_parser = parse::rate, allow_hyphen_values = true)]
    ramp_rate: Option<u64>,
    /// What lies between server and load generator
    #[arg(long, value_name = "PATH", default_value = "loopback", value_parser = choices::path())]
    path: NetworkPath,
    /// Load from other hosts: meet those that run `ringbeat load --driven`, by this plan (TOML), and drive them. Costs are
    /// this host's alone then
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["path", "load_cores"])]
    fleet: Option<PathBuf>,
    /// Do not measure again at the smaller number of connections whose keepalive bursts the kernel's backlog holds
    #[arg(long)]
    no_rung: bool,
    #[command(flatten)]
    cost: CostFlags,
    /// Engines to run every arm on, interleaved, each with a control of its own [default: the one of --engine]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::engine(), conflicts_with = "engine",
          help_heading = "Engine")]
    engines: Option<Vec<EngineKind>>,
}

pub(super) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let signals = Signals::register()?;
    let hosts = args.fleet.as_deref().map(FleetPlan::read).transpose()?;
    let plan = plan(args)?;
    let run = &args.cost.run;
    let place = run.prepare("compare", &plan.engines())?;
    let config = plan.config();
    run.note(&report::effective_config(&config));
    let congestion = Some(config.congestion_control);
    forewarn(
        plan.forewarnings(),
        Some(&plan.question()),
        congestion,
        &host::PLANNED,
    );
    let fleet = hosts
        .map(|hosts| driven::gather(hosts, &signals, run))
        .transpose()?;
    place.measure(&signals, |place, watcher| {
        run_cost(
            &plan,
            &place.executable,
            fleet.as_ref(),
            place.ring_features.clone(),
            watcher,
        )
    })
}

fn plan(args: &CompareArgs) -> Result<CostPlan, Failure> {
    let budget = args.cost.budget.budget(&args.arms)?;
    let options = args.cost.options(&args.arms, budget)?;
    let probing = args.arms.iter().any(|arm| arm.has_keepalive());
    if args.fleet.is_some() && probing && options.keepalive_side.client() {
        return Err(Failure::Usage(
            "probes are counted where they are sent, and with --fleet only this host's are: --keepalive-side is server \
             then, or --arms has none with keepalive"
                .to_owned(),
        ));
    }
    let engine = args.cost.engine.kernel.config();
    let engines = match &args.engines {
        None => vec![engine],
        Some(kinds) => kinds
            .iter()
            .map(|&kind| EngineConfig { kind, ..engine })
            .collect(),
    };
    let options = CostOptions {
        connections: args.connections,
        quick: args.quick,
        engines,
        steady: args.steady,
        settle: args.settle,
        rounds: args.rounds,
        ramp: args
            .ramp_rate
            .map_or(RampRate::OverInterval, RampRate::PerSecond),
        path: match args.fleet {
            Some(_) => NetworkPath::Fleet,
            None => args.path,
        },
        no_rung: args.no_rung,
        load_cores: match args.fleet {
            Some(_) => Vec::new(),
            None => options.load_cores,
        },
        ..options
    };
    let facts = HostFacts::read().map_err(|error| Failure::Host(error.to_string()))?;
    CostPlan::new(options, facts).map_err(Failure::Host)
}
