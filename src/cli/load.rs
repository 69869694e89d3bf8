//! `ringbeat load`: the load generator by hand.
//!
//! Does not listen. Opens, settles, holds with histograms recording, drains, and then says whether
//! every connection asked for was there until the end.

use super::audit::Audit;
use super::flags::{LoadCoresFlag, RampFlag, cores_or_all};
use super::half::{Effective, HalfFlags, conclude, controlled, counted};
use super::session::{Session, Wait};
use super::signals::Signals;
use super::{Failure, host, output, parse};
use crate::arm::{Arm, Budget};
use crate::bank::{Phase, Snapshot};
use crate::load::{IN_FLIGHT, Load, LoadConfig, loopback_targets};
use crate::record::decode;
use crate::units::{HumanCount, HumanNanos};
use crate::wheel::TimersKind;
use clap::Args;
use hdrhistogram::Histogram;
use std::net::SocketAddrV4;
use std::time::Duration;

/// Open connections to a server and hold them: the load generator's half, by hand
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// Where to connect to: one or more addresses, used in turn, or loopback:PORT
    ///
    /// loopback:PORT stands for as many of 127.0.0.0/8 as the connections need ports; the server
    /// must listen on all of them, as `ringbeat serve` does without --listen.
    #[arg(long, value_name = "ADDR:PORT,...", value_parser = targets,
          required_unless_present = "controlled")]
    target: Option<Targets>,
    #[command(flatten)]
    ramp: RampFlag,
    /// Pause between the last connect and the first recorded heartbeat
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse::pause,
          allow_hyphen_values = true)]
    settle: Duration,
    /// End connections with a reset (RST), which leaves nothing behind in `TIME_WAIT`
    #[arg(long)]
    abort: bool,
    #[command(flatten)]
    cores: LoadCoresFlag,
    #[command(flatten)]
    half: HalfFlags,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Targets {
    /// These, in turn.
    Listed(Vec<SocketAddrV4>),
    /// As many loopback addresses as are needed, at this port.
    Loopback(u16),
}

fn targets(text: &str) -> Result<Targets, String> {
    if let Some(port) = text.strip_prefix("loopback:") {
        return match port.parse() {
            Ok(0) | Err(_) => Err(format!("`{port}` is not a port: 1 to 65535")),
            Ok(port) => Ok(Targets::Loopback(port)),
        };
    }
    let listed: Result<Vec<_>, _> = text.split(',').map(target).collect();
    listed.map(Targets::Listed)
}

fn target(text: &str) -> Result<SocketAddrV4, String> {
    let address: SocketAddrV4 = text.trim().parse().map_err(|_| {
        format!(
            "`{text}` is not an IPv4 address with a port, such as 10.0.0.1:7000 (loopback:PORT \
             stands alone)"
        )
    })?;
    if address.port() == 0 {
        return Err(format!("`{text}` needs a port from 1 to 65535"));
    }
    Ok(address)
}

pub(super) fn run(args: &LoadArgs) -> Result<(), Failure> {
    if args.half.controlled {
        return controlled();
    }
    let budget = args.half.budget.budget(&[args.half.arm])?;
    let timers = args.half.engine.timers()?;
    let signals = Signals::register()?;
    let nofile = host::prepare(args.half.engine.engine)?;
    let config = configure(args, &budget, timers, nofile)?;
    let both_ends = config
        .targets
        .iter()
        .all(|target| target.ip().is_loopback());
    host::memory_for(config.connections, both_ends)?;
    let load = Load::start(&config).map_err(|error| Failure::Host(error.to_string()))?;
    announce(args, &budget, &config, &load);
    let mut session = Session::new(&load.crew, &signals, args.half.output.quiet);
    let (opened, ended) = hold(args, &mut session)?;
    let (before, last) = session.drain(args.half.engine.tick)?;
    let audit = Audit::of(config.connections, &before.totals);
    conclude(
        args.half.output,
        &report(args.half.arm, &audit, &last),
        &last,
    )?;
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
    let targets = match &args.target {
        Some(Targets::Listed(listed)) => listed.clone(),
        Some(Targets::Loopback(port)) => loopback_targets(connections, *port, host::ephemeral()),
        None => return Err(Failure::Usage("--target is needed".to_owned())),
    };
    Ok(LoadConfig {
        targets,
        connections,
        ramp_rate: args.ramp.ramp_rate,
        in_flight: IN_FLIGHT.min(host::accept_queue()),
        cores: cores_or_all(args.cores.load_cores.as_ref()),
        engine: half.engine.config(),
        driver: half.engine.driver,
        nofile,
        settings: half.settings(half.arm.load_role(), budget, timers, keepalive.is_some()),
        keepalive,
        congestion: host::congestion(half.engine.congestion.as_deref())?,
        abort: args.abort,
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
    let rate = config.ramp_rate.map_or_else(
        || "as fast as connections are accepted".to_owned(),
        |rate| format!("{}/s", HumanCount(rate)),
    );
    rows.push(("ramp", rate));
    rows.push(("close", if config.abort { "RST" } else { "FIN" }.to_owned()));
    output::note(&output::aligned(&rows));
}

/// Opens all, settles, and holds until the time is over, a signal comes or nothing is left to hold.
/// Also says whether every connect had its answer.
fn hold(args: &LoadArgs, session: &mut Session<'_>) -> Result<(bool, Wait), Failure> {
    let asked = args.half.connections.connections;
    session.go(Phase::Open)?;
    let opened = session.wait("opening", None, |totals| {
        totals.connects == asked && totals.connecting == 0
    })?;
    if opened != Wait::Reached {
        return Ok((false, opened));
    }
    let audit = Audit::of(asked, &session.snapshot()?.totals);
    if let Some(failures) = audit.failures() {
        session.say(&format!("warning: connects failed: {failures}"));
    }
    if !args.half.output.quiet {
        session.say(&audit.opened());
    }
    let settled = session.wait("settling", Some(args.settle), |totals| totals.open == 0)?;
    if settled != Wait::Elapsed {
        return Ok((true, settled));
    }
    session.go(Phase::Window)?;
    let held = session.wait("holding", args.half.duration, |totals| totals.open == 0)?;
    session.go(Phase::Closed)?;
    Ok((true, held))
}

fn report(arm: Arm, audit: &Audit, last: &Snapshot) -> String {
    let mut rows = vec![("connections", audit.line())];
    rows.extend(audit.failures().map(|failure| ("connects failed", failure)));
    rows.extend(counted(&last.totals));
    rows.extend(latencies(arm, last));
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
    fn targets_are_listed_or_multiplied() {
        assert_eq!(targets("loopback:7000"), Ok(Targets::Loopback(7000)));
        let Ok(Targets::Listed(two)) = targets("10.0.0.1:7000, 10.0.0.2:7001") else {
            panic!("two targets were refused");
        };
        assert_eq!(two.len(), 2);
        for (bad, why) in [
            ("loopback:0", "not a port"),
            ("loopback:70000", "not a port"),
            ("10.0.0.1", "with a port"),
            ("10.0.0.1:0", "needs a port"),
            ("[::1]:7000", "IPv4"),
            ("10.0.0.1:7000,", "IPv4"),
            ("10.0.0.1:7000,loopback:7000", "stands alone"),
        ] {
            let error = targets(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn quantiles_are_named_as_people_name_them() {
        let mut histogram = crate::record::new_histogram();
        histogram.saturating_record(1_000_000);
        let text = quantiles(&histogram, &[0.5, 0.99, 0.999]);
        assert_eq!(text, "p50 1.00 ms, p99 1.00 ms, p99.9 1.00 ms");
    }
}
