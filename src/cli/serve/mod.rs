//! `ringbeat serve`: the server by hand.
//!
//! Does not open connections. Listens on loopback alone unless told an address.

mod hold;

use super::bundle::{self, Bundle, BundleFlags};
use super::flags::{ServerCoresFlag, cores_or_all};
use super::fleet::{self, CLOSE_TOGETHER, Guest, MeetingFlags, Party};
use super::half::{Effective, HalfFlags, conclude, controlled, counted};
use super::opening::Pressure;
use super::session::{Session, Wait};
use super::signals::Signals;
use super::status::Status;
use super::{Failure, host, metrics, output};
use crate::arm::Budget;
use crate::bank::{Phase, Snapshot};
use crate::fleet::Seat;
use crate::measure::memory::MemorySnapshot;
use crate::os::network::TcpCounters;
use crate::record::Config;
use crate::server::{Server, ServerConfig, ServerError};
use crate::socket::SocketError;
use crate::socket::port::choose_port;
use crate::units::HumanCount;
use crate::wheel::TimersKind;
use clap::Args;
use hold::{Part, hold, wait_for_loads};
use std::net::{Ipv4Addr, SocketAddr};

/// Ports tried before giving up: between choosing and binding somebody else may take one.
const PORT_TRIES: u32 = 8;

/// Hold the connections that arrive: the server's half, by hand
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
pub(super) struct ServeArgs {
    /// Where to listen [default: all of 127.0.0.0/8, at a free port]
    ///
    /// Port 0 chooses a free port outside of the range of outgoing connections.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    cores: ServerCoresFlag,
    #[command(flatten)]
    half: HalfFlags,
    /// How many load generators begin together with this server, 1 to 4096
    #[arg(long, value_name = "N", value_parser = fleet::shards, help_heading = "Several hosts")]
    shards: Option<u32>,
    #[command(flatten)]
    meeting: MeetingFlags,
    #[command(flatten)]
    bundle: BundleFlags,
}

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    if args.half.controlled {
        return controlled();
    }
    let budget = args.half.budget.budget(&[args.half.arm])?;
    let timers = args.half.engine.timers()?;
    let signals = Signals::register()?;
    let nofile = host::prepare(args.half.engine.kernel.engine)?;
    let mut config = configure(args, &budget, timers, nofile)?;
    let congestion = config.congestion.clone();
    let common = bundle::config(
        &args.half,
        &budget,
        (timers, congestion.as_deref()),
        path(args),
    );
    let bundle = args.bundle.reserve(None)?;
    let mut party = meet(args, &common, &signals)?;
    config.settings.phase_origin = party.origin();
    let served = serve(
        args,
        &budget,
        &signals,
        (config, common, bundle),
        &mut party,
    );
    if let Err(failure) = &served {
        // Whoever has heard the reason already keeps that one.
        party.fail(&failure.message());
    }
    served
}

/// Starts, serves, ends, reports and keeps.
fn serve(
    args: &ServeArgs,
    budget: &Budget,
    signals: &Signals,
    (mut config, common, bundle): (ServerConfig, Config, Option<Bundle>),
    party: &mut Party,
) -> Result<(), Failure> {
    let exporter = metrics::start(&args.half, "server")?;
    let server = start(args.listen, &mut config)?;
    let memory = MemorySnapshot::take_of_server(std::process::id());
    announce(args, budget, &config, &server);
    let quiet = args.half.output.quiet;
    let status = Status::new(quiet, budget.interval);
    let mut session = Session::new(&server.crew, signals, status, exporter.as_ref());
    let counters = TcpCounters::read().ok();
    session.go(Phase::Open)?;
    let held = hold(args, server.address, &mut session, party)?;
    let opening = Pressure::since(counters);
    let grown = MemorySnapshot::take_of_server(std::process::id());
    let (before, mut last) = session.drain_after(args.half.engine.kernel.tick, |session| {
        wait_for_loads(session, party)
    })?;
    if held.measured.is_none() {
        last.window = None;
    }
    conclude(args.half.output, &report(&before, &last), &last)?;
    if let Some(bundle) = bundle {
        let part = Part {
            args,
            common,
            cores: &config.cores,
            rings: server.plan.to_string(),
            memory: (memory, grown),
            opening,
            party,
        };
        part.keep(bundle, &held, (&before, &last))?;
    }
    match (&held.stopped, held.ended) {
        (Some(error), _) => Err(fleet::failure(error)),
        (None, Wait::Signal(signal)) => Err(Failure::Interrupted(signal)),
        (None, Wait::Reached | Wait::Elapsed) => Ok(()),
    }
}

/// Meets the load generators, if it is to.
fn meet(args: &ServeArgs, common: &Config, signals: &Signals) -> Result<Party, Failure> {
    let meeting = &args.meeting;
    if meeting.is_given() && args.shards.is_none() {
        return Err(Failure::Usage(
            "a server that begins together with others must know how many: give --shards N, the number of load generators"
                .to_owned(),
        ));
    }
    if !meeting.is_given() && args.bundle.out.is_some() {
        return Err(Failure::Usage(
            "a server cannot tell when the window of its load generators opens, and has nothing to record without: give \
             --rendezvous, or --start-at and --for"
                .to_owned(),
        ));
    }
    if meeting.is_given() && args.half.duration.is_none() {
        return Err(Failure::Usage(CLOSE_TOGETHER.to_owned()));
    }
    let guest = Guest {
        seat: Seat::Server,
        shards: args.shards.unwrap_or(1),
        host: args.bundle.host(),
        run: args.bundle.run.clone(),
        config: common,
    };
    let party = Party::join(meeting, true, guest, &mut || signals.caught())?;
    if let Some(address) = party.address() {
        output::note(&format!("rendezvous on {address}"));
    }
    Ok(party)
}

/// What lies between this host and the others, as far as the server can tell.
fn path(args: &ServeArgs) -> &'static str {
    let loopback = args.listen.is_none_or(|listen| listen.ip().is_loopback());
    if loopback { "loopback" } else { "network" }
}

fn configure(
    args: &ServeArgs,
    budget: &Budget,
    timers: TimersKind,
    nofile: u64,
) -> Result<ServerConfig, Failure> {
    let half = &args.half;
    let keepalive = half.engine.server_keepalive(half.arm, budget);
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(ServerConfig {
        address: args.listen.unwrap_or(anywhere),
        loopback: args.listen.is_none(),
        connections: half.connections.connections,
        cores: cores_or_all(args.cores.server_cores.as_ref()),
        engine: half.engine.kernel.config(),
        driver: half.engine.kernel.driver,
        nofile,
        somaxconn: host::accept_queue(),
        settings: half.settings(half.arm.server_role(), budget, timers, keepalive.is_some()),
        keepalive,
        user_timeout_ms: half.engine.server_user_timeout(half.arm, budget),
        keepalive_spread_s: half.engine.keepalive_spread.unwrap_or(0),
        congestion: host::congestion(half.engine.kernel.congestion.as_deref())?,
        abort: false,
        turnover_above: None,
    })
}

/// Starts at the port asked for, or at one that is free.
fn start(listen: Option<SocketAddr>, config: &mut ServerConfig) -> Result<Server, Failure> {
    let fixed = listen.is_some_and(|address| address.port() != 0);
    let mut tries = if fixed { 1 } else { PORT_TRIES };
    loop {
        if !fixed {
            let (port, _) =
                choose_port(host::ephemeral()).map_err(|error| Failure::Host(error.to_string()))?;
            config.address.set_port(port);
        }
        tries -= 1;
        match Server::start(config) {
            Ok(server) => return Ok(server),
            Err(ServerError::Socket(SocketError::PortBusy { .. })) if tries > 0 => {}
            Err(error) => return Err(Failure::Host(error.to_string())),
        }
    }
}

/// Says what is in force before the first connection is accepted. The line with the address is for
/// scripts and comes even when quiet.
fn announce(args: &ServeArgs, budget: &Budget, config: &ServerConfig, server: &Server) {
    let port = server.address.port();
    if !args.half.output.quiet {
        let effective = Effective {
            flags: &args.half,
            budget,
            plan: server.plan,
            cores: &config.cores,
            nofile: config.nofile,
            congestion: config.congestion.as_deref(),
            keepalive: config.keepalive,
            user_timeout_ms: config.user_timeout_ms,
            timers: config.settings.timers,
        };
        let mut rows = effective.rows();
        let address = if config.loopback {
            format!(
                "127.0.0.0/8, port {port}: connect with `ringbeat load --target loopback:{port}`"
            )
        } else {
            server.address.to_string()
        };
        rows.push(("address", address));
        output::note(&output::aligned(&rows));
    }
    if let Some(warning) = host::port_warning(port) {
        output::warn(&warning);
    }
    let shown = if config.loopback {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    } else {
        server.address
    };
    output::note(&format!("listening on {shown}"));
}

fn report(before: &Snapshot, last: &Snapshot) -> String {
    let connections = format!(
        "accepted {}, open at the end {}",
        HumanCount(last.totals.established),
        HumanCount(before.totals.open)
    );
    let mut rows = vec![("connections", connections)];
    rows.extend(counted(&last.totals));
    output::aligned(&rows)
}
