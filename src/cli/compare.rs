//! `ringbeat compare`: the main job, from its flags to the table and the folder.
//!
//! Does not measure: [`crate::experiment`] does. Everything that can be refused is refused before the first
//! connection, the output folder included. What was measured before an interruption is kept, marked partial.

use super::flags::{
    BudgetFlags, EngineFlags, LoadCoresFlag, OutputFlags, RampBounds, SeedFlag, ServerCoresFlag,
    cores_or_all,
};
use super::place::PlaceFlags;
use super::progress::Watcher;
use super::signals::Signals;
use super::{Failure, host, output, parse};
use crate::arm::Arm;
use crate::bank::{EngineConfig, EngineKind};
use crate::experiment::{CostOptions, CostPlan, HostFacts, NetworkPath, RampRate, run_cost};
use crate::report;
use clap::Args;
use std::time::Duration;

/// What each mechanism costs at one detection budget.
///
/// Starts a server and a load generator, holds idle connections between them over loopback, and runs the arms in
/// interleaved rounds with fresh sockets. Needs no root and no set-up.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Connections [default: 100k, or what the memory holds; 10k with --quick]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// Arms in the order reported; `none` is always run, an arm named twice is run twice
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse::arm(),
          default_values_t = Arm::COMPARED)]
    arms: Vec<Arm>,
    /// The same at 10,000 connections and in one round, under 45 seconds
    #[arg(long)]
    quick: bool,
    /// The measured window of each arm and round; a fifth of it more is the soaker's [default: 4/3 of an interval]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true)]
    steady: Option<Duration>,
    /// Wait between the last connection and the window: one interval or more leaves out each connection's first
    /// exchange, which TCP acknowledges at once and so with one packet more [default: 500ms; 300ms with --quick]
    #[arg(long, value_name = "TIME", value_parser = parse::pause, allow_hyphen_values = true)]
    settle: Option<Duration>,
    /// Rounds, each with every arm once [default: 3; 1 with --quick]
    #[arg(long, value_name = "N", value_parser = parse::rounds, allow_hyphen_values = true)]
    rounds: Option<u32>,
    /// Connections opened per second (5k, 5k/s) [default: all within one heartbeat interval]
    #[arg(long, value_name = "N/s", value_parser = parse::rate, allow_hyphen_values = true)]
    ramp_rate: Option<u64>,
    /// What lies between server and load: this machine's loopback, or two network namespaces and a veth pair, which
    /// tells a sender of a full backlog as a container's network does (root)
    #[arg(long, value_name = "PATH", default_value = "loopback", value_parser = parse::path())]
    path: NetworkPath,
    /// Leave out the smaller population at which keepalive's bursts fit the backlog
    #[arg(long)]
    no_rung: bool,
    #[command(flatten)]
    bounds: RampBounds,
    #[command(flatten)]
    budget: BudgetFlags,
    #[command(flatten)]
    engine: EngineFlags,
    /// Engines to run every arm on, interleaved; each has a control of its own
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse::engine(), conflicts_with = "engine",
          help_heading = "Engine")]
    engines: Option<Vec<EngineKind>>,
    #[command(flatten)]
    server_cores: ServerCoresFlag,
    #[command(flatten)]
    load_cores: LoadCoresFlag,
    #[command(flatten)]
    seed: SeedFlag,
    #[command(flatten)]
    place: PlaceFlags,
    #[command(flatten)]
    output: OutputFlags,
}

pub(super) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let place = args.place.prepare("compare", &plan.engines())?;
    if !args.output.quiet {
        output::note(&report::effective_config(&plan.config()));
    }
    let congestion = Some(plan.config().congestion_control);
    let found = host::forewarnings(&plan.question(), congestion, &host::PLANNED);
    for forewarning in plan.forewarnings().into_iter().chain(found) {
        output::warn(&forewarning);
    }
    let mut watcher = Watcher::new(&signals, args.output.quiet);
    let measured = run_cost(
        &plan,
        &place.executable,
        place.ring_features.clone(),
        &mut watcher,
    );
    watcher.finish();
    let (record, ended) = measured.map_err(|error| Failure::Host(error.to_string()))?;
    place.finish(args.output, record, ended)
}

fn plan(args: &CompareArgs) -> Result<CostPlan, Failure> {
    let budget = args.budget.budget(&args.arms)?;
    let timers = args.engine.timers()?;
    let congestion = host::congestion(args.engine.congestion.as_deref())?;
    let facts = HostFacts::read().map_err(|error| Failure::Host(error.to_string()))?;
    let engine = args.engine.config();
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
        arms: args.arms.clone(),
        engines,
        driver: args.engine.driver,
        budget,
        steady: args.steady,
        settle: args.settle,
        rounds: args.rounds,
        ramp: args
            .ramp_rate
            .map_or(RampRate::OverInterval, RampRate::PerSecond),
        in_flight: args.bounds.in_flight,
        memory_limit: args.bounds.memory_limit,
        tick: args.engine.tick.as_duration(),
        phases: args.engine.phases,
        timers,
        server_cores: cores_or_all(args.server_cores.server_cores.as_ref()),
        load_cores: cores_or_all(args.load_cores.load_cores.as_ref()),
        congestion: congestion.unwrap_or_default(),
        keepalive_side: args.engine.keepalive_side,
        keepalive_spread_s: args.engine.keepalive_spread.unwrap_or(0),
        path: args.path,
        no_rung: args.no_rung,
        seed: args.seed.seed.unwrap_or_else(rand::random),
        label: args.place.label.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    CostPlan::new(options, facts).map_err(Failure::Host)
}
