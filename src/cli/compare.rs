//! `ringbeat compare`: the main job, from its flags to the table and the folder.
//!
//! Does not measure: [`crate::experiment`] does. Everything that can be refused is refused before the first
//! connection, the output folder included. What was measured before an interruption is kept, marked partial.

use super::flags::{
    BudgetFlags, EngineFlags, LoadCoresFlag, OutputFlags, RampBounds, SeedFlag, ServerCoresFlag,
    cores_or_all,
};
use super::progress::Watcher;
use super::signals::Signals;
use super::{Failure, host, output, parse};
use crate::arm::Arm;
use crate::clock::wall_rfc3339;
use crate::experiment::{CostOptions, CostPlan, ExperimentError, HostFacts, RampRate, run_cost};
use crate::os::lock::HostLock;
use crate::record::Record;
use crate::report::{self, ResultFolder};
use crate::ring::self_test;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// The name every measuring run of this host competes for.
const LOCK: &str = "ringbeat-measures";
/// Where results go unless told otherwise.
const DEFAULT_OUT: &str = "ringbeat-out";

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
          default_values_t = Arm::ALL)]
    arms: Vec<Arm>,
    /// The same at 10,000 connections and in one round, under 45 seconds
    #[arg(long)]
    quick: bool,
    /// The measured window of each arm and round [default: two intervals]
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
    /// Folder for the results; never overwritten, `.2` is next [default: ringbeat-out/compare-DATE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A name for the run, kept in the record
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Run although another ringbeat measures on this host; both results suffer
    #[arg(long)]
    alongside: bool,
    #[command(flatten)]
    output: OutputFlags,
}

pub(super) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let signals = Signals::register()?;
    let plan = plan(args)?;
    let ring_features = self_test().map_err(|error| Failure::Host(error.to_string()))?;
    let lock = HostLock::acquire(LOCK).map_err(|error| Failure::Host(error.to_string()))?;
    if lock.is_none() && !args.alongside {
        return Err(Failure::Host(
            "another ringbeat measures on this host, and two at once would measure each other: wait \
             for it to end, or pass --alongside"
                .to_owned(),
        ));
    }
    let folder =
        ResultFolder::reserve(&out(args)).map_err(|error| Failure::Host(error.to_string()))?;
    if !args.output.quiet {
        output::note(&report::effective_config(&plan.config()));
    }
    for forewarning in plan.forewarnings() {
        output::warn(&forewarning);
    }
    let executable = std::env::current_exe().map_err(|error| {
        Failure::Host(format!(
            "this program's own file cannot be found ({error}): is /proc mounted?"
        ))
    })?;
    let mut watcher = Watcher::new(&signals, args.output.quiet);
    let (mut record, ended) = run_cost(&plan, &executable, ring_features, &mut watcher)
        .map_err(|error| Failure::Host(error.to_string()))?;
    watcher.finish();
    if lock.is_none() {
        record.warnings.push(alongside());
    }
    finish(args, folder, &record, ended)
}

/// Writes the folder, prints the result, and says how it ended.
fn finish(
    args: &CompareArgs,
    folder: ResultFolder,
    record: &Record,
    ended: Option<ExperimentError>,
) -> Result<(), Failure> {
    let text = if args.output.json {
        serde_json::to_string_pretty(record)
            .map_err(|error| Failure::Run(format!("the record does not serialise: {error}")))?
    } else {
        report::table(record, output::width())
    };
    let written = folder.write(record);
    output::result(&text)?;
    let kept = written.map_err(|error| Failure::Run(error.to_string()))?;
    output::note(&format!(
        "results in {}; open {}",
        kept.display(),
        kept.join("report.html").display()
    ));
    match ended {
        Some(ExperimentError::Interrupted(signal)) => Err(Failure::Interrupted(signal)),
        Some(error @ (ExperimentError::Host(_) | ExperimentError::NotDrained { .. })) => {
            Err(Failure::Host(error.to_string()))
        }
        Some(error) => Err(Failure::Run(format!(
            "{error}; what was measured is kept, marked partial"
        ))),
        None if record.valid => Ok(()),
        None => {
            let why: Vec<&str> = record
                .warnings
                .iter()
                .filter(|warning| warning.invalidates)
                .map(|warning| warning.message.as_str())
                .collect();
            Err(Failure::Run(format!(
                "the run did not hold its checks: {}",
                why.join("; ")
            )))
        }
    }
}

fn plan(args: &CompareArgs) -> Result<CostPlan, Failure> {
    let budget = args.budget.budget()?;
    let timers = args.engine.timers()?;
    let congestion = host::congestion(args.engine.congestion.as_deref())?;
    let facts = HostFacts::read().map_err(|error| Failure::Host(error.to_string()))?;
    let options = CostOptions {
        connections: args.connections,
        quick: args.quick,
        arms: args.arms.clone(),
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
        seed: args.seed.seed.unwrap_or_else(rand::random),
        label: args.label.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    CostPlan::new(options, facts).map_err(Failure::Host)
}

fn out(args: &CompareArgs) -> PathBuf {
    args.out.clone().unwrap_or_else(|| {
        let now = wall_rfc3339();
        let date = now.get(..10).unwrap_or("undated");
        PathBuf::from(DEFAULT_OUT).join(format!("compare-{date}"))
    })
}

fn alongside() -> crate::record::Warning {
    crate::record::Warning {
        code: "alongside".to_owned(),
        message: "another ringbeat measured on this host at the same time".to_owned(),
        advice: "run one at a time before quoting any cost".to_owned(),
        invalidates: false,
    }
}
