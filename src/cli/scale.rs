//! `ringbeat scale`: a ladder of connection counts, from its flags to the table and the folder.
//!
//! Does not measure: [`crate::experiment`] does.

use super::cost::CostFlags;
use super::flags::RampFlag;
use super::place::forewarn;
use super::signals::Signals;
use super::{Failure, choices, host, parse};
use crate::arm::{Arm, Budget};
use crate::experiment::{
    CostOptions, HostFacts, RampRate, ScaleError, ScaleOptions, ScalePlan, Want, run_scale,
};
use crate::report;
use crate::units::Nanos;
use clap::Args;
use std::time::Duration;

/// Ticks of a sweep that names none.
const TICKS: &str = "1ms,2ms,4ms,8ms,16ms,32ms";
/// The detection budget of a climb that names none: one heartbeat in 30 s, which two cores keep up at millions.
const BUDGET: (Duration, u32) = (Duration::from_mins(2), 4);

/// What this plan says of the host besides [`host::PLANNED`].
const SAID: &str = "tcp_ehash_entries";

/// A ladder of connection counts up to what the machine holds.
///
/// Starts a server and a load generator, opens more and more connections between them over loopback, and measures at
/// every rung what each arm costs net of the control, memory per connection, RTT and connect rate. Ramps stop before
/// memory ends. Beside it stands the floor: the same exchange with nothing but its system calls.
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
pub(super) struct ScaleArgs {
    /// Connections of each rung; `max` is what the machine holds
    /// [default: 10k,30k,100k,300k,1M,max; 1k,3k,10k with --quick; 100k for a tick sweep]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse::rung)]
    ladder: Vec<Want>,
    /// End the ladder at this many connections, 1 to 10M
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    up_to: Option<u64>,
    /// Mechanisms (arms) in the order reported; `none`, the control, is always run, and every cost is net of it
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = choices::arm(),
          default_values_t = Arm::COMPARED)]
    arms: Vec<Arm>,
    /// A small ladder with the strict detection budget; some minutes
    #[arg(long)]
    quick: bool,
    /// Compare lengths of the tick, 1ms to 1s each, at one rung instead of climbing [ticks when none are given: 1ms to 32ms, doubling]
    #[arg(long, value_name = "LIST", num_args = 0..=1, default_missing_value = TICKS,
          value_delimiter = ',', value_parser = parse::tick)]
    tick_sweep: Option<Vec<Nanos>>,
    /// Hold the top rung with heartbeats for this long, in one window more, and audit it [default: no such window]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true,
          conflicts_with = "tick_sweep")]
    hold: Option<Duration>,
    /// Pairs of sockets at which the floor is measured; `max` is what the limit on open files allows, `none` leaves
    /// it out
    #[arg(long, value_name = "LIST", value_parser = parse::floor, default_value = "1k,max")]
    floor: parse::FloorSizes,
    /// Measure the floor and nothing else
    #[arg(long)]
    only_floor: bool,
    /// The measured window of each arm and rung [default: one interval, two when it is short]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true)]
    steady: Option<Duration>,
    /// Wait between the last connection and the window [default: one interval for arms with heartbeats, which leaves
    /// out each connection's first exchange; 500ms for the others]
    #[arg(long, value_name = "TIME", value_parser = parse::pause, allow_hyphen_values = true)]
    settle: Option<Duration>,
    /// Rounds at each rung, each with every arm once, 1 to 100
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse::rounds, allow_hyphen_values = true)]
    rounds: u32,
    #[command(flatten)]
    ramp: RampFlag,
    #[command(flatten)]
    cost: CostFlags,
}

pub(super) fn run(args: &ScaleArgs) -> Result<(), Failure> {
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let config = plan.config().map_err(Failure::Host)?;
    let run = &args.cost.run;
    let place = run.prepare("scale", &[args.cost.engine.kernel.engine])?;
    if !args.only_floor {
        run.note(&report::effective_config(&config));
        for line in plan.preview() {
            run.note(&line);
        }
        let congestion = Some(config.congestion_control);
        let said = [&host::PLANNED[..], &[SAID]].concat();
        let question = plan.question();
        forewarn(plan.forewarnings(), question.as_ref(), congestion, &said);
    }
    place.measure(&signals, |place, watcher| {
        run_scale(
            &plan,
            &place.executable,
            place.ring_features.clone(),
            watcher,
        )
    })
}

fn plan(args: &ScaleArgs) -> Result<ScalePlan, Failure> {
    let usual = if args.quick { Budget::STRICT } else { BUDGET };
    let budget = args.cost.budget.budget_or(&args.arms, usual)?;
    let options = args.cost.options(&args.arms, budget)?;
    let cost = CostOptions {
        steady: args.steady,
        settle: args.settle,
        rounds: Some(args.rounds),
        ramp: args
            .ramp
            .ramp_rate
            .map_or(RampRate::Free, RampRate::PerSecond),
        ..options
    };
    let ticks = args.tick_sweep.iter().flatten();
    let options = ScaleOptions {
        cost,
        ladder: args.ladder.clone(),
        up_to: args.up_to,
        quick: args.quick,
        ticks: ticks.map(|tick| tick.as_duration()).collect(),
        hold: args.hold,
        floor: args.floor.0.clone(),
        only_floor: args.only_floor,
    };
    let facts = HostFacts::read().map_err(|error| Failure::Host(error.to_string()))?;
    ScalePlan::new(options, facts).map_err(|error| match error {
        ScaleError::Usage(text) => Failure::Usage(text),
        ScaleError::Host(text) => Failure::Host(text),
    })
}
