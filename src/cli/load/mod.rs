//! `ringbeat load`: the load generator by hand.
//!
//! Does not listen. Opens, settles, holds with histograms recording, drains, and then says whether
//! every connection asked for was there until the end.

mod hold;
mod shown;

use super::audit::Audit;
use super::bundle::{self, Bundle, BundleFlags};
use super::driven;
use super::flags::{LoadCoresFlag, RampBounds, RampFlag, cores_or_all};
use super::fleet::{self, CLOSE_TOGETHER, Guest, Numbered, Party, ShardFlags};
use super::half::{HalfFlags, conclude, controlled};
use super::holding::leave;
use super::opening::WatchedRamp;
use super::reconnect::ReconnectFlags;
use super::route::{Targets, shortage, source, targets};
use super::session::{Session, Wait};
use super::signals::Signals;
use super::status::Status;
use super::{Failure, host, metrics, output, parse};
use crate::arm::Budget;
use crate::experiment::NetworkPath;
use crate::fleet::Seat;
use crate::load::{IN_FLIGHT, Load, LoadConfig, Shard};
use crate::record::Config;
use crate::units::HumanCount;
use crate::wheel::TimersKind;
use clap::Args;
use hold::{Holding, Part, hold};
use shown::{announce, report};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Open connections to a server and hold them: the load generator's half, by hand
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
pub(super) struct LoadArgs {
    /// Where to connect to: one or more addresses, used in turn, or loopback:PORT
    ///
    /// loopback:PORT stands for as many of 127.0.0.0/8 as the connections need ports; the server
    /// must listen on all of them, as `ringbeat serve` does without --listen.
    #[arg(long, visible_alias = "targets", value_name = "ADDR:PORT,...", value_parser = targets,
          required_unless_present_any = ["controlled", "driven"])]
    target: Option<Targets>,
    /// Addresses of this host that connections come from, each with a range of ports of its own
    /// [default: the kernel chooses one]
    #[arg(long, value_name = "ADDR,...", value_parser = source, value_delimiter = ',')]
    source_addresses: Vec<Ipv4Addr>,
    #[command(flatten)]
    ramp: RampFlag,
    #[command(flatten)]
    bounds: RampBounds,
    /// Wait between the last connection and the first recorded heartbeat
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse::pause,
          allow_hyphen_values = true)]
    settle: Duration,
    /// End connections with a RST instead of a FIN, which leaves nothing behind in TIME-WAIT
    #[arg(long)]
    abort: bool,
    #[command(flatten)]
    cores: LoadCoresFlag,
    #[command(flatten)]
    half: HalfFlags,
    #[command(flatten)]
    reconnect: ReconnectFlags,
    #[command(flatten)]
    fleet: ShardFlags,
    #[command(flatten)]
    bundle: BundleFlags,
    /// Do what `ringbeat compare --fleet` orders, which listens at --rendezvous: connections, arms and times come from there
    #[arg(long, help_heading = "Several hosts", requires = "rendezvous", conflicts_with_all = ORDERED)]
    driven: bool,
}

/// What a driven load generator is told instead.
const ORDERED: [&str; 36] = [
    "open_within",
    "target",
    "source_addresses",
    "ramp_rate",
    "in_flight",
    "memory_limit",
    "settle",
    "abort",
    "connections",
    "arm",
    "duration",
    "detect_within",
    "misses",
    "interval",
    "timeout",
    "preset",
    "keepalive",
    "engine",
    "driver",
    "completion_entries",
    "receive_buffers",
    "tick",
    "congestion",
    "phases",
    "timers",
    "sweep_period",
    "keepalive_side",
    "keepalive_spread",
    "json",
    "metrics",
    "reconnect",
    "rendezvous_on",
    "start_at",
    "out",
    "run",
    "label",
];

pub(super) fn run(args: &LoadArgs) -> Result<(), Failure> {
    if let Some(ended) = obeyed(args) {
        return ended;
    }
    let budget = args.half.budget.budget(&[args.half.arm])?;
    let timers = args.half.engine.timers()?;
    let signals = Signals::register()?;
    let numbered = numbered(args)?;
    let shard = numbered.shard;
    let nofile = host::prepare(args.half.engine.kernel.engine)?;
    let congestion = host::congestion(args.half.engine.kernel.congestion.as_deref())?;
    let bundle = args
        .bundle
        .reserve(shard.is_one_of_several().then(|| shard.index()))?;
    let common = common(args, &budget, (timers, congestion.as_deref()), shard);
    let mut party = join(args, shard, &common, &signals)?;
    let about = About {
        args,
        budget,
        numbered,
        common,
        signals: &signals,
    };
    // A name that the other hosts' engine makes up may be found only now.
    let held =
        configure(args, &budget, (timers, congestion), (shard, nofile)).and_then(|mut config| {
            config.settings.phase_origin = party.origin();
            about.hold(&config, bundle, &mut party)
        });
    if let Err(failure) = &held {
        // Whoever has heard the reason already keeps that one.
        party.fail(&failure.message());
    }
    held
}

/// Which load generator this is.
fn numbered(args: &LoadArgs) -> Result<Numbered, Failure> {
    let numbered = args.fleet.shard()?;
    let (connections, shards) = (args.half.connections.connections, numbered.shard.of());
    if connections < u64::from(shards) {
        return Err(Failure::Usage(format!(
            "--connections are those of all {shards} load generators together, and {connections} leave some without any: \
             ask for {shards} or more"
        )));
    }
    Ok(numbered)
}

/// The settings that all hosts share, and those of this load generator that a record keeps.
fn common(
    args: &LoadArgs,
    budget: &Budget,
    (timers, congestion): (TimersKind, Option<&str>),
    shard: Shard,
) -> Config {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Config {
        settle_ms: millis(args.settle),
        ramp_rate_per_second: args.ramp.ramp_rate,
        in_flight_per_core: Some(in_flight(args, shard)),
        memory_limit_bytes: args.bounds.memory_limit,
        ..bundle::config(&args.half, budget, (timers, congestion), "network")
    }
}

/// Connects unanswered at once, per core thread: those of one load generator are shared by several, whose server has no
/// longer accept queues.
fn in_flight(args: &LoadArgs, shard: Shard) -> u64 {
    let asked = args.bounds.in_flight;
    asked.unwrap_or_else(|| (IN_FLIGHT.min(host::accept_queue()) / u64::from(shard.of())).max(1))
}

/// What a hold is about.
struct About<'a> {
    args: &'a LoadArgs,
    budget: Budget,
    numbered: Numbered,
    common: Config,
    signals: &'a Signals,
}

impl About<'_> {
    /// Opens, holds, ends, reports and keeps.
    fn hold(
        self,
        config: &LoadConfig,
        bundle: Option<Bundle>,
        party: &mut Party,
    ) -> Result<(), Failure> {
        let (args, mut common) = (self.args, self.common);
        let both_ends = config
            .targets
            .iter()
            .all(|target| target.ip().is_loopback());
        if both_ends {
            NetworkPath::Loopback.name().clone_into(&mut common.path);
        }
        fits(config, both_ends)?;
        let exporter = metrics::start(&args.half, "load")?;
        let load = Load::start(config).map_err(|error| Failure::Host(error.to_string()))?;
        announce(args, &self.budget, &self.numbered, config, &load);
        let status = Status::new(args.half.output.quiet, self.budget.interval);
        let mut session = Session::new(&load.crew, self.signals, status, exporter.as_ref());
        let ends = 1 + u64::from(both_ends);
        let mut ramp = WatchedRamp::new(args.bounds.memory_limit, ends, &load.opening)?;
        let held = hold(args, config, &mut session, &mut ramp, party)?;
        let (before, last) = session.drain(args.half.engine.kernel.tick)?;
        leave(&session, party);
        let mut audit = Audit::of(config.connections, &before.totals);
        if config.reconnect.is_some() {
            audit = audit.returning(&before.totals);
        }
        let text = report(args, &audit, &ramp, &last);
        conclude(args.half.output, &text, &last)?;
        if let Some(bundle) = bundle {
            let part = Part {
                args,
                common,
                config,
                load: &load,
                ramp: &ramp,
                party,
            };
            part.keep(bundle, &held, (&before, &last))?;
        }
        conclusion(config, &audit, &ramp, &held)
    }
}

/// Whether the host has memory for it, which is refused otherwise, and ports, which is said.
fn fits(config: &LoadConfig, both_ends: bool) -> Result<(), Failure> {
    host::memory_for(config.connections, both_ends)?;
    let (targets, sources) = (config.targets.len(), config.sources.len());
    if let Some(said) = shortage(config.connections, targets, sources, host::ephemeral()) {
        output::warn(&said);
    }
    Ok(())
}

/// Where somebody else gives the orders: how that ended.
fn obeyed(args: &LoadArgs) -> Option<Result<(), Failure>> {
    if args.half.controlled {
        return Some(controlled());
    }
    args.driven.then(|| {
        let (host, said) = (args.bundle.host(), args.half.output);
        driven::obey(&args.fleet, &host, &args.cores, said)
    })
}

/// How it ends, for the exit code.
fn conclusion(
    config: &LoadConfig,
    audit: &Audit,
    ramp: &WatchedRamp<'_>,
    held: &Holding,
) -> Result<(), Failure> {
    if let Some(stop) = ramp.stopped {
        let asked = HumanCount(config.connections);
        return Err(Failure::Host(format!(
            "stopped at memory: of {asked} connections {stop}"
        )));
    }
    if let Some(error) = &held.windowed.stopped {
        return Err(fleet::failure(error));
    }
    let complaint = audit.complaint(&config.targets);
    match (held.windowed.ended, complaint) {
        // Whoever interrupts the opening knows that not all are open.
        (Wait::Signal(signal), complaint) if !held.opened || complaint.is_none() => {
            Err(Failure::Interrupted(signal))
        }
        (_, Some(complaint)) => Err(Failure::Run(complaint)),
        _ => Ok(()),
    }
}

/// Meets the other hosts, if there are any.
fn join(
    args: &LoadArgs,
    shard: Shard,
    common: &Config,
    signals: &Signals,
) -> Result<Party, Failure> {
    let meeting = &args.fleet.meeting;
    if meeting.is_given() && args.half.duration.is_none() {
        return Err(Failure::Usage(CLOSE_TOGETHER.to_owned()));
    }
    let connections = args.half.connections.connections;
    let rate = args.ramp.ramp_rate.unwrap_or(u64::MAX).max(1);
    let opening = Duration::from_secs(shard.share(connections) / rate) + args.settle;
    meeting.allows(opening, connections)?;
    let guest = Guest {
        seat: Seat::Shard(shard.index()),
        shards: shard.of(),
        host: args.bundle.host(),
        run: args.bundle.run.clone(),
        config: common,
    };
    Party::join(meeting, args.fleet.serves(shard), guest, &mut || {
        signals.caught()
    })
}

fn configure(
    args: &LoadArgs,
    budget: &Budget,
    (timers, congestion): (TimersKind, Option<String>),
    (shard, nofile): (Shard, u64),
) -> Result<LoadConfig, Failure> {
    let half = &args.half;
    let connections = half.connections.connections;
    let keepalive = half.engine.load_keepalive(half.arm, budget);
    let Some(target) = &args.target else {
        return Err(Failure::Usage("there is no server to connect to: give --target ADDRESS:PORT, or several with --targets"
                .to_owned()));
    };
    let sources = shard.part(&args.source_addresses).map_err(|why| {
        Failure::Usage(format!("--source-addresses are those of all shards: {why}"))
    })?;
    Ok(LoadConfig {
        targets: target
            .addresses(connections, host::ephemeral())
            .map_err(Failure::Host)?,
        sources: sources.to_vec(),
        connections: shard.share(connections),
        shard,
        ramp_rate: args.ramp.ramp_rate,
        in_flight: in_flight(args, shard),
        cores: cores_or_all(args.cores.load_cores.as_ref()),
        engine: half.engine.kernel.config(),
        driver: half.engine.kernel.driver,
        nofile,
        settings: half.settings(half.arm.load_role(), budget, timers, keepalive.is_some()),
        keepalive,
        user_timeout_ms: half.engine.load_user_timeout(half.arm, budget),
        congestion,
        keepalive_spread_s: half.engine.keepalive_spread.unwrap_or(0),
        abort: args.abort,
        reconnect: args.reconnect.backoff(),
        reconnects_in_flight: None,
        churn_per_second: None,
        turnover_above: None,
    })
}
