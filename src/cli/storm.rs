//! `ringbeat storm`: reconnect storms and churn, from its flags to the table and the folder.
//!
//! Does not measure: [`crate::experiment`] does.

use super::cost::CostFlags;
use super::flags::RampFlag;
use super::parse::Delays;
use super::place::forewarn;
use super::signals::Signals;
use super::{Failure, choices, host, output, parse};
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
#[command(after_help = super::VALUES)]
pub(super) struct StormArgs {
    /// Connections to drop, 1 to 10M [default: 20k, or what the memory holds]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// The longest wait before the first attempt is BASE; it doubles after each, up to CAP; whole milliseconds
    #[arg(long, value_name = "BASE..CAP", default_value = "100ms..5s", value_parser = parse::backoff,
          allow_hyphen_values = true)]
    backoff: Delays,
    /// Ways of backing off, each in a run of its own
    /// [default: all; with --churn full-jitter, which only a failed connect meets]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::way())]
    ways: Vec<Way>,
    /// Mechanisms (arms) on the connections, each with every way
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::arm(),
          default_values_t = [Arm::Heartbeat])]
    arms: Vec<Arm>,
    /// Instead of a storm end so many connections per second, written 1k or 1k/s, in turn, and open them anew at once
    #[arg(long, value_name = "N/s", value_parser = parse::rate, allow_hyphen_values = true)]
    churn: Option<u64>,
    /// For --churn: the measured window [default: 20s]
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
    /// Reconnects unanswered at once, per core thread of the load generator [default: all, since clients do not know of each other]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    reconnects_in_flight: Option<u64>,
    /// Wait between the last connection and the drop [default: 500ms]
    #[arg(long, value_name = "TIME", value_parser = parse::pause, allow_hyphen_values = true)]
    settle: Option<Duration>,
    /// What lies between server and load generator
    #[arg(long, value_name = "PATH", default_value = "loopback", value_parser = choices::path())]
    path: NetworkPath,
    #[command(flatten)]
    ramp: RampFlag,
    #[command(flatten)]
    cost: CostFlags,
}

pub(super) fn run(args: &StormArgs) -> Result<(), Failure> {
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let run = &args.cost.run;
    let place = run.prepare("storm", &[args.cost.engine.kernel.engine])?;
    let config = plan.config();
    run.note(&report::effective_config(&config));
    run.note(&output::aligned(&plan.preview()));
    let congestion = Some(config.congestion_control);
    forewarn(
        plan.forewarnings(),
        Some(&plan.question()),
        congestion,
        &host::PLANNED,
    );
    place.measure(&signals, |place, watcher| {
        run_storm(
            &plan,
            &place.executable,
            place.ring_features.clone(),
            watcher,
        )
    })
}

fn plan(args: &StormArgs) -> Result<StormPlan, Failure> {
    let budget = args.cost.budget.budget(&args.arms)?;
    let options = args.cost.options(&args.arms, budget)?;
    let cost = CostOptions {
        connections: args.connections,
        steady: Some(args.steady.unwrap_or(STEADY)),
        settle: args.settle,
        rounds: Some(1),
        ramp: args
            .ramp
            .ramp_rate
            .map_or(RampRate::Free, RampRate::PerSecond),
        path: args.path,
        no_rung: true,
        ..options
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
