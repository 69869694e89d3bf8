//! `ringbeat lifecycle`: how connections begin and end, from its flags to the diagrams and the folder.
//!
//! Does not measure: [`crate::experiment`] does.

use super::flags::{
    EngineFlags, LoadCoresFlag, OutputFlags, SeedFlag, ServerCoresFlag, cores_or_all,
};
use super::place::PlaceFlags;
use super::progress::Watcher;
use super::signals::Signals;
use super::{Failure, host, laboratory, output, parse};
use crate::experiment::{
    HostFacts, LifecycleOptions, LifecyclePlan, LifecycleShape, run_lifecycle, scenario_names,
};
use clap::Args;
use clap::builder::PossibleValuesParser;

/// How connections begin and end: captured, drawn, checked, and what it costs.
///
/// Plays set-up and tear-down, half-close, resets, lost segments, full queues and TIME-WAIT between two hosts, which are
/// network namespaces with a wire between them; captures every segment, watches the sockets' states at both ends, draws
/// what happened and holds it against RFC 9293. Then it measures what set-ups and tear-downs cost, what TIME-WAIT takes,
/// how ports run out, and many connections opened at once. Needs root, or a kernel that lets users make user namespaces,
/// and iproute2. Under three minutes.
#[derive(Debug, Args)]
pub(super) struct LifecycleArgs {
    /// Scenarios to play [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = PossibleValuesParser::new(scenario_names()))]
    scenarios: Vec<String>,
    /// Do not wait for the end of TIME-WAIT, and measure costs with few connections, under half a minute
    #[arg(long)]
    quick: bool,
    /// Play the scenarios and measure no costs
    #[arg(long)]
    no_costs: bool,
    /// Connections opened and ended in each round of the costs [default: 20k; 2k with --quick]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// Connections of the ramp that watches the queues [default: 1M, or what the host holds; 5k with --quick]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    handshake: Option<u64>,
    #[command(flatten)]
    engine: EngineFlags,
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

pub(super) fn run(args: &LifecycleArgs) -> Result<(), Failure> {
    let laboratory = laboratory::enter()?;
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let place = args.place.prepare("lifecycle", &[args.engine.engine])?;
    let mut watcher = Watcher::new(&signals, args.output.quiet);
    if !args.output.quiet {
        output::note(&format!("about {} s", plan.span().as_secs()));
    }
    let measured = run_lifecycle(
        &plan,
        &place.executable,
        place.ring_features.clone(),
        laboratory,
        &mut watcher,
    );
    watcher.finish();
    let (record, ended) = measured.map_err(|error| Failure::Host(error.to_string()))?;
    place.finish(args.output, record, ended)
}

fn plan(args: &LifecycleArgs) -> Result<LifecyclePlan, Failure> {
    let facts = HostFacts::read().map_err(|error| Failure::Host(error.to_string()))?;
    let options = LifecycleOptions {
        quick: args.quick,
        scenarios: args.scenarios.clone(),
        costs: !args.no_costs,
        connections: args.connections,
        handshake: args.handshake,
        shape: LifecycleShape {
            engine: args.engine.config(),
            driver: args.engine.driver,
            tick: args.engine.tick.as_duration(),
            server_cores: cores_or_all(args.server_cores.server_cores.as_ref()),
            load_cores: cores_or_all(args.load_cores.load_cores.as_ref()),
            congestion: host::congestion(args.engine.congestion.as_deref())?.unwrap_or_default(),
            memory_limit: None,
            seed: args.seed.seed.unwrap_or_else(rand::random),
        },
        label: args.place.label.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    LifecyclePlan::new(options, &facts).map_err(Failure::Host)
}
