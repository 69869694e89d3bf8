//! `ringbeat storm`: reconnect storms and churn, from its flags to the table and the folder.
//!
//! Does not measure: [`crate::experiment`] does.

use super::flags::{
    BudgetFlags, EngineFlags, LoadCoresFlag, OutputFlags, RampBounds, RampFlag, SeedFlag,
    ServerCoresFlag, cores_or_all,
};
use super::parse::Delays;
use super::place::PlaceFlags;
use super::progress::Watcher;
use super::signals::Signals;
use super::{Failure, host, output, parse};
use crate::arm::Arm;
use crate::experiment::{
    CostOptions, HostFacts, NetworkPath, RampRate, StormOptions, StormPlan, Way, run_storm,
};
use crate::report;
use clap::Args;
use std::time::Duration;

/// The window of a churn that names none.
const STEADY: Duration = Duration::from_secs(20);

/// What happens when everybody is dropped at once, and how fast all are back.
///
/// Starts a server and a load generator, opens connections between them, and has the server drop all of them at the same
/// instant. The clients come back with capped exponential backoff: with full jitter, without jitter, and at once, each
/// with fresh processes and sockets. Measured are the time until half, 99 % and all are back, attempts, connect
/// latency, SYNs dropped and sent again, and CPU. With --churn there is no storm: a steady part of the connections
/// is ended and opened anew all the time.
#[derive(Debug, Args)]
pub(super) struct StormArgs {
    /// Connections [default: 20k, or what the memory holds]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// The longest wait before the first attempt, doubled after each until it is the second
    #[arg(long, value_name = "BASE..CAP", default_value = "100ms..5s", value_parser = parse::backoff,
          allow_hyphen_values = true)]
    backoff: Delays,
    /// Ways of backing off, each in a run of its own: a wait drawn between zero and the longest, the longest, or none
    /// [default: all; with --churn full-jitter, which only a failed connect meets]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse::way())]
    ways: Vec<Way>,
    /// Mechanisms on the connections, each with every way
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse::arm(),
          default_values_t = [Arm::Heartbeat])]
    arms: Vec<Arm>,
    /// End so many connections a second (1k, 1k/s), in turn, and open them anew at once
    #[arg(long, value_name = "N/s", value_parser = parse::rate, allow_hyphen_values = true)]
    churn: Option<u64>,
    /// The measured window of a churn [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true, requires = "churn")]
    steady: Option<Duration>,
    /// End connections with a RST, as a host that rebooted or a middlebox does, instead of a FIN, which is what clients
    /// see of a server that is restarted, the usual cause of a storm
    #[arg(long)]
    abrupt: bool,
    /// The longest to wait until all are back
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse::duration,
          allow_hyphen_values = true)]
    give_up: Duration,
    /// Let the accept queue of each of the server's listeners hold no more than this [default: 1024, or
    /// net.core.somaxconn if that is less]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    accept_queue: Option<u64>,
    /// Reconnects unanswered at once, per core thread [default: all, since clients do not know of each other]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    reconnects_in_flight: Option<u64>,
    /// Wait between the last connection and the drop [default: 500ms]
    #[arg(long, value_name = "TIME", value_parser = parse::pause, allow_hyphen_values = true)]
    settle: Option<Duration>,
    /// What lies between server and load: this machine's loopback, or two network namespaces and a veth pair (root)
    #[arg(long, value_name = "PATH", default_value = "loopback", value_parser = parse::path())]
    path: NetworkPath,
    #[command(flatten)]
    ramp: RampFlag,
    #[command(flatten)]
    bounds: RampBounds,
    #[command(flatten)]
    budget: BudgetFlags,
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

pub(super) fn run(args: &StormArgs) -> Result<(), Failure> {
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let place = args.place.prepare("storm", &[args.engine.engine])?;
    if !args.output.quiet {
        output::note(&report::effective_config(&plan.config()));
        output::note(&output::aligned(&plan.preview()));
    }
    let congestion = Some(plan.config().congestion_control);
    let found = host::forewarnings(&plan.question(), congestion, &host::PLANNED);
    for forewarning in plan.forewarnings().into_iter().chain(found) {
        output::warn(&forewarning);
    }
    let mut watcher = Watcher::new(&signals, args.output.quiet);
    let measured = run_storm(
        &plan,
        &place.executable,
        place.ring_features.clone(),
        &mut watcher,
    );
    watcher.finish();
    let (record, ended) = measured.map_err(|error| Failure::Host(error.to_string()))?;
    place.finish(args.output, record, ended)
}

fn plan(args: &StormArgs) -> Result<StormPlan, Failure> {
    let cost = CostOptions {
        connections: args.connections,
        quick: false,
        arms: args.arms.clone(),
        engines: vec![args.engine.config()],
        driver: args.engine.driver,
        budget: args.budget.budget(&args.arms)?,
        steady: Some(args.steady.unwrap_or(STEADY)),
        settle: args.settle,
        rounds: Some(1),
        ramp: args
            .ramp
            .ramp_rate
            .map_or(RampRate::Free, RampRate::PerSecond),
        in_flight: args.bounds.in_flight,
        memory_limit: args.bounds.memory_limit,
        tick: args.engine.tick.as_duration(),
        phases: args.engine.phases,
        timers: args.engine.timers()?,
        server_cores: cores_or_all(args.server_cores.server_cores.as_ref()),
        load_cores: cores_or_all(args.load_cores.load_cores.as_ref()),
        congestion: host::congestion(args.engine.congestion.as_deref())?.unwrap_or_default(),
        keepalive_side: args.engine.keepalive_side,
        keepalive_spread_s: args.engine.keepalive_spread.unwrap_or(0),
        path: args.path,
        no_rung: true,
        seed: args.seed.seed.unwrap_or_else(rand::random),
        label: args.place.label.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    let ways = match (args.ways.as_slice(), args.churn) {
        ([], Some(_)) => vec![Way::FullJitter],
        ([], None) => Way::ALL.to_vec(),
        (named, _) => named.to_vec(),
    };
    let options = StormOptions {
        cost,
        base_ms: args.backoff.base_ms,
        cap_ms: args.backoff.cap_ms,
        ways,
        churn_per_second: args.churn,
        abort: args.abrupt,
        give_up: args.give_up,
        accept_queue: args.accept_queue,
        reconnects_in_flight: args.reconnects_in_flight,
    };
    let facts = HostFacts::read().map_err(|error| Failure::Host(error.to_string()))?;
    StormPlan::new(options, facts).map_err(Failure::Host)
}
