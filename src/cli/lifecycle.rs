//! `ringbeat lifecycle`: how connections begin and end, from its flags to the diagrams and the folder.
//!
//! Does not measure: [`crate::experiment`] does.

use super::flags::{BothCoresFlags, KernelFlags};
use super::place::{RunFlags, command_line};
use super::signals::Signals;
use super::{Failure, choices, host, laboratory, parse};
use crate::experiment::{
    HostFacts, LifecycleOptions, LifecyclePlan, LifecycleShape, run_lifecycle,
};
use clap::Args;

/// How connections begin and end: captured, drawn, checked, and what it costs.
///
/// Plays set-up and tear-down, half-close, resets, lost segments, full queues and TIME-WAIT between two hosts, which are
/// network namespaces with a wire between them; captures every segment, watches the sockets' states at both ends, draws
/// what happened and holds it against RFC 9293. Then it measures what set-ups and tear-downs cost, what TIME-WAIT takes,
/// how ports run out, and many connections opened at once. Needs root, or a kernel that lets users make user namespaces,
/// and iproute2. Under three minutes.
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
pub(super) struct LifecycleArgs {
    /// Scenarios to play [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::scenario())]
    scenarios: Vec<String>,
    /// Do not wait for the end of TIME-WAIT, and measure costs with few connections; under half a minute
    #[arg(long)]
    quick: bool,
    /// Play the scenarios and measure no costs
    #[arg(long)]
    no_costs: bool,
    /// Connections opened and ended in each round of the costs, 1 to 10M [default: 20k; 2k with --quick]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// Connections of the ramp that watches the accept and SYN queues, 1 to 10M [default: 1M, or what the host holds; 5k with --quick]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    handshake: Option<u64>,
    #[command(flatten)]
    kernel: KernelFlags,
    #[command(flatten)]
    cores: BothCoresFlags,
    #[command(flatten)]
    run: RunFlags,
}

pub(super) fn run(args: &LifecycleArgs) -> Result<(), Failure> {
    let laboratory = laboratory::enter()?;
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let place = args.run.prepare("lifecycle", &[args.kernel.engine])?;
    args.run.note(&format!("about {} s", plan.span().as_secs()));
    place.measure(&signals, |place, watcher| {
        let features = place.ring_features.clone();
        run_lifecycle(&plan, &place.executable, features, laboratory, watcher)
    })
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
            engine: args.kernel.config(),
            driver: args.kernel.driver,
            tick: args.kernel.tick.as_duration(),
            server_cores: args.cores.server(),
            load_cores: args.cores.load(),
            congestion: host::congestion(args.kernel.congestion.as_deref())?.unwrap_or_default(),
            memory_limit: None,
            seed: args.run.seed(),
        },
        label: args.run.label(),
        command: command_line(),
    };
    LifecyclePlan::new(options, &facts).map_err(Failure::Host)
}
