//! `ringbeat load`: the load generator by hand.
//!
//! Does not listen. Opens, settles, holds with histograms recording, drains, and then says whether
//! every connection asked for was there until the end.

use super::audit::Audit;
use super::flags::{LoadCoresFlag, RampBounds, RampFlag, cores_or_all};
use super::half::{Effective, HalfFlags, conclude, controlled, counted};
use super::opening::{Pressure, WatchedRamp};
use super::reconnect::{self, ReconnectFlags};
use super::route::{Targets, shortage, source, targets};
use super::session::{Session, Wait};
use super::signals::Signals;
use super::status::Status;
use super::{Failure, host, metrics, output, parse};
use crate::arm::{Arm, Budget};
use crate::bank::{Phase, Snapshot};
use crate::load::{IN_FLIGHT, Load, LoadConfig, Shard};
use crate::record::decode;
use crate::shard::Counters;
use crate::units::{HumanBytes, HumanCount, HumanNanos};
use crate::wheel::TimersKind;
use clap::Args;
use hdrhistogram::Histogram;
use std::net::{Ipv4Addr, SocketAddrV4};
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
          required_unless_present = "controlled")]
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
}

pub(super) fn run(args: &LoadArgs) -> Result<(), Failure> {
    if args.half.controlled {
        return controlled();
    }
    let budget = args.half.budget.budget(&[args.half.arm])?;
    let timers = args.half.engine.timers()?;
    let signals = Signals::register()?;
    let nofile = host::prepare(args.half.engine.kernel.engine)?;
    let config = configure(args, &budget, timers, nofile)?;
    let both_ends = config
        .targets
        .iter()
        .all(|target| target.ip().is_loopback());
    host::memory_for(config.connections, both_ends)?;
    let (targets, sources) = (config.targets.len(), config.sources.len());
    if let Some(said) = shortage(config.connections, targets, sources, host::ephemeral()) {
        output::warn(&said);
    }
    let exporter = metrics::start(&args.half, "load")?;
    let load = Load::start(&config).map_err(|error| Failure::Host(error.to_string()))?;
    announce(args, &budget, &config, &load);
    let status = Status::new(args.half.output.quiet, budget.interval);
    let mut session = Session::new(&load.crew, &signals, status, exporter.as_ref());
    let mut ramp = WatchedRamp::new(
        args.bounds.memory_limit,
        1 + u64::from(both_ends),
        &load.opening,
    )?;
    let (opened, ended) = hold(args, &mut session, &mut ramp)?;
    let (before, last) = session.drain(args.half.engine.kernel.tick)?;
    let mut audit = Audit::of(config.connections, &before.totals);
    if config.reconnect.is_some() {
        audit = audit.returning(&before.totals);
    }
    let text = report(args, &audit, &ramp, &last);
    conclude(args.half.output, &text, &last)?;
    if let Some(stop) = ramp.stopped {
        let asked = HumanCount(config.connections);
        return Err(Failure::Host(format!(
            "stopped at memory: of {asked} connections {stop}"
        )));
    }
    let complaint = audit.complaint(&config.targets);
    match (ended, complaint) {
        // Whoever interrupts the opening knows that not all are open.
        (Wait::Signal(signal), complaint) if !opened || complaint.is_none() => {
            Err(Failure::Interrupted(signal))
        }
        (_, Some(complaint)) => Err(Failure::Run(complaint)),
        _ => Ok(()),
    }
}

fn configure(
    args: &LoadArgs,
    budget: &Budget,
    timers: TimersKind,
    nofile: u64,
) -> Result<LoadConfig, Failure> {
    let half = &args.half;
    let connections = half.connections.connections;
    let keepalive = half.engine.load_keepalive(half.arm, budget);
    let Some(target) = &args.target else {
        return Err(Failure::Usage("there is no server to connect to: give --target ADDRESS:PORT, or several with --targets"
                .to_owned()));
    };
    let in_flight = args.bounds.in_flight;
    Ok(LoadConfig {
        targets: target.addresses(connections, host::ephemeral()),
        shard: Shard::default(),
        sources: args.source_addresses.clone(),
        connections,
        ramp_rate: args.ramp.ramp_rate,
        in_flight: in_flight.unwrap_or_else(|| IN_FLIGHT.min(host::accept_queue())),
        cores: cores_or_all(args.cores.load_cores.as_ref()),
        engine: half.engine.kernel.config(),
        driver: half.engine.kernel.driver,
        nofile,
        settings: half.settings(half.arm.load_role(), budget, timers, keepalive.is_some()),
        keepalive,
        user_timeout_ms: half.engine.load_user_timeout(half.arm, budget),
        congestion: host::congestion(half.engine.kernel.congestion.as_deref())?,
        keepalive_spread_s: half.engine.keepalive_spread.unwrap_or(0),
        abort: args.abort,
        reconnect: args.reconnect.backoff(),
        reconnects_in_flight: None,
        churn_per_second: None,
        turnover_above: None,
    })
}

fn announce(args: &LoadArgs, budget: &Budget, config: &LoadConfig, load: &Load) {
    if args.half.output.quiet {
        return;
    }
    let effective = Effective {
        flags: &args.half,
        budget,
        plan: load.plan,
        cores: &config.cores,
        nofile: config.nofile,
        congestion: config.congestion.as_deref(),
        keepalive: config.keepalive,
        user_timeout_ms: config.user_timeout_ms,
        timers: config.settings.timers,
    };
    let mut rows = effective.rows();
    let last = config
        .targets
        .last()
        .map(SocketAddrV4::to_string)
        .unwrap_or_default();
    rows.push((
        "targets",
        match config.targets.as_slice() {
            [first, _, ..] => format!("{}, {first} to {last}", config.targets.len()),
            _ => last,
        },
    ));
    if !config.sources.is_empty() {
        let listed: Vec<_> = config.sources.iter().map(ToString::to_string).collect();
        rows.push(("sources", listed.join(", ")));
    }
    let rate = config.ramp_rate.map_or_else(
        || "as fast as connections are accepted".to_owned(),
        |rate| format!("{}/s", HumanCount(rate)),
    );
    let in_flight = HumanCount(config.in_flight);
    rows.push((
        "ramp",
        format!("{rate}, {in_flight} connects in flight per core"),
    ));
    if let Some(limit) = args.bounds.memory_limit {
        rows.push(("memory limit", HumanBytes(limit).to_string()));
    }
    if let Some(backoff) = &config.reconnect {
        rows.push(("reconnection", reconnect::describe(backoff)));
    }
    rows.push(("close", if config.abort { "RST" } else { "FIN" }.to_owned()));
    output::note(&output::aligned(&rows));
}

/// Opens all, settles, and holds until the time is over, a signal comes or nothing is left to hold.
/// Also says whether every connect had its answer.
fn hold(
    args: &LoadArgs,
    session: &mut Session<'_>,
    ramp: &mut WatchedRamp<'_>,
) -> Result<(bool, Wait), Failure> {
    let asked = args.half.connections.connections;
    session.go(Phase::Open)?;
    let opened = session.wait("opening", None, |totals| ramp.is_over(asked, totals))?;
    ramp.pressure = Pressure::since(ramp.counters_before);
    if let Some(met) = &ramp.pressure {
        session.say(&format!("warning: while opening, {met}"));
    }
    if opened != Wait::Reached || ramp.stopped.is_some() {
        return Ok((false, opened));
    }
    let audit = Audit::of(asked, &session.snapshot()?.totals);
    if let Some(failures) = audit.failures() {
        session.say(&format!("warning: connects failed: {failures}"));
    }
    if !args.half.output.quiet {
        session.say(&audit.opened());
    }
    // Those that come back are waited for.
    let forlorn = |totals: &Counters| totals.open == 0 && !args.reconnect.reconnect;
    let settled = session.wait("settling", Some(args.settle), forlorn)?;
    if settled != Wait::Elapsed {
        return Ok((true, settled));
    }
    session.go(Phase::Window)?;
    let held = session.wait("holding", args.half.duration, forlorn)?;
    session.go(Phase::Closed)?;
    Ok((true, held))
}

fn report(args: &LoadArgs, audit: &Audit, ramp: &WatchedRamp<'_>, last: &Snapshot) -> String {
    let mut rows = vec![("connections", audit.line())];
    rows.extend(ramp.took().map(|took| ("opened in", took)));
    let met = ramp.pressure.as_ref();
    rows.extend(met.map(|met| ("while opening", met.to_string())));
    rows.extend(audit.failures().map(|failure| ("connects failed", failure)));
    if args.reconnect.reconnect {
        rows.push(("reconnects", reconnect::line(last)));
    }
    rows.extend(counted(&last.totals));
    rows.extend(latencies(args.half.arm, last));
    output::aligned(&rows)
}

fn latencies(arm: Arm, last: &Snapshot) -> Vec<(&'static str, String)> {
    let whole = |histogram: &Histogram<u64>| {
        format!(
            "{}, max {}",
            quantiles(histogram, &[0.5, 0.99, 0.999]),
            HumanNanos(histogram.max())
        )
    };
    let tail = |histogram: &Histogram<u64>| quantiles(histogram, &[0.99]);
    let mut rows = Vec::new();
    for (name, label, show) in [
        (
            "connect",
            "connect",
            &tail as &dyn Fn(&Histogram<u64>) -> String,
        ),
        ("reconnect", "reconnect", &whole),
        ("recovery", "recovery", &whole),
        ("rtt", "rtt", &whole),
        ("response", "response", &tail),
        ("schedule_lag", "schedule lag", &tail),
    ] {
        if let Some(histogram) = last.histograms.get(name).and_then(|text| decode(text).ok()) {
            rows.push((label, show(&histogram)));
        }
    }
    if arm == Arm::HeartbeatPush {
        rows.push((
            "rtt",
            "measured by the server, which sends the heartbeats".to_owned(),
        ));
    }
    rows
}

/// `p50 80 µs, p99 1.20 ms`.
fn quantiles(histogram: &Histogram<u64>, which: &[f64]) -> String {
    let parts: Vec<_> = which
        .iter()
        .map(|quantile| {
            let value = HumanNanos(histogram.value_at_quantile(*quantile));
            format!("p{} {value}", (quantile * 1000.0).round() / 10.0)
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_named_as_people_name_them() {
        let mut histogram = crate::record::new_histogram();
        histogram.saturating_record(1_000_000);
        let text = quantiles(&histogram, &[0.5, 0.99, 0.999]);
        assert_eq!(text, "p50 1.00 ms, p99 1.00 ms, p99.9 1.00 ms");
    }
}
