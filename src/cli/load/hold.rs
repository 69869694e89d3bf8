//! The hold of `ringbeat load`: from the first connect to the closed window, and what is kept of it.
//!
//! Does not start the load generator or end its connections.

use super::LoadArgs;
use crate::bank::{Phase, Snapshot};
use crate::cli::Failure;
use crate::cli::audit::Audit;
use crate::cli::bundle::{self, Bundle, Circumstances, Row};
use crate::cli::fleet::Party;
use crate::cli::holding::{WindowPlan, Windowed, come_to, reason, window};
use crate::cli::opening::{Pressure, WatchedRamp};
use crate::cli::session::{Session, Wait};
use crate::experiment::fleet::{Held, load_row};
use crate::fleet::Stage;
use crate::load::{Load, LoadConfig};
use crate::os::route::{Way, way_from, way_to};
use crate::record::Config;
use crate::shard::Counters;
use crate::units::HumanCount;
use std::net::SocketAddrV4;

/// How a hold went.
#[derive(Debug)]
pub(super) struct Holding {
    /// Every connect had its answer.
    pub(super) opened: bool,
    pub(super) windowed: Windowed,
}

/// Opens all, settles, and holds until the time is over, a signal comes or nothing is left to hold.
pub(super) fn hold(
    args: &LoadArgs,
    config: &LoadConfig,
    session: &mut Session<'_>,
    ramp: &mut WatchedRamp<'_>,
    party: &mut Party,
) -> Result<Holding, Failure> {
    let asked = config.connections;
    let early = |windowed| {
        Ok(Holding {
            opened: false,
            windowed,
        })
    };
    if let Err(missed) = come_to(Stage::Gathered, session, party)? {
        return early(missed);
    }
    session.go(Phase::Open)?;
    let opened = session.wait("opening", None, |totals| {
        ramp.is_over(asked, totals) || party.check().is_err()
    })?;
    ramp.pressure = Pressure::since(ramp.counters_before);
    if let Some(met) = &ramp.pressure {
        session.say(&format!("warning: while opening, {met}"));
    }
    if let Err(error) = party.check() {
        return early(Windowed::missed(opened, Some(error)));
    }
    if let Some(stop) = ramp.stopped {
        let why = format!("it stopped opening for want of memory: {stop}");
        return early(Windowed::given_up(opened, why, party));
    }
    if opened != Wait::Reached {
        let why = reason(opened, "opening its connections");
        return early(Windowed::given_up(opened, why, party));
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
    let settled = session.wait("settling", Some(args.settle), |totals| {
        forlorn(totals) || party.check().is_err()
    })?;
    let missed = match (party.check(), settled) {
        (Err(error), _) => Some(Windowed::missed(settled, Some(error))),
        (Ok(()), Wait::Elapsed) => None,
        _ => Some(Windowed::given_up(
            settled,
            reason(settled, "settling"),
            party,
        )),
    };
    if let Some(windowed) = missed {
        return Ok(Holding {
            opened: true,
            windowed,
        });
    }
    let plan = WindowPlan {
        length: args.half.duration,
        way: way(config),
        ports: config.targets.iter().map(SocketAddrV4::port).collect(),
        end: |found| found.client_side,
    };
    let windowed = window(plan, session, party, "holding", forlorn)?;
    if windowed.stopped.is_none() && windowed.ended != Wait::Elapsed {
        party.fail(&reason(windowed.ended, "its window was open"));
    }
    Ok(Holding {
        opened: true,
        windowed,
    })
}

/// Where the packets of the run leave this host.
fn way(config: &LoadConfig) -> Result<Way, String> {
    let found = match (config.sources.first(), config.targets.first()) {
        (Some(source), _) => way_from(*source),
        (None, Some(target)) => way_to(*target),
        (None, None) => return Err("there is no target".to_owned()),
    };
    found.map_err(|error| error.to_string())
}

/// The kernel's count, unless sockets of other load generators are in it.
fn own(kernel: Result<u64, String>, config: &LoadConfig, before: &Snapshot) -> Result<u64, String> {
    let count = kernel?;
    if config.shard.is_one_of_several() && count > before.totals.open {
        return Err(format!(
            "the kernel has {} sockets of that port, of other load generators on this host too",
            HumanCount(count)
        ));
    }
    Ok(count)
}

/// This host's part of a run, for its record.
pub(super) struct Part<'a> {
    pub(super) args: &'a LoadArgs,
    pub(super) common: Config,
    pub(super) config: &'a LoadConfig,
    pub(super) load: &'a Load,
    pub(super) ramp: &'a WatchedRamp<'a>,
    pub(super) party: &'a Party,
}

impl Part<'_> {
    pub(super) fn keep(
        self,
        bundle: Bundle,
        held: &Holding,
        (before, last): (&Snapshot, &Snapshot),
    ) -> Result<(), Failure> {
        let (args, config, windowed) = (self.args, self.config, &held.windowed);
        let before = windowed.closed.as_ref().unwrap_or(before);
        let stopped = windowed.cut_short(args.half.duration.is_some());
        let rings = (config.cores.as_slice(), self.load.plan.to_string());
        let spec = bundle.spec(&args.half, rings, stopped.clone())?;
        let source = || way(config).map(|way| way.source.to_string());
        let sources = match config.sources.as_slice() {
            [] => source().into_iter().collect(),
            named => named.iter().map(ToString::to_string).collect(),
        };
        let pressure = self.ramp.pressure.as_ref();
        let row = load_row(
            &spec,
            config.shard.index(),
            (config.connections, sources),
            self.load.opening.took(),
            &Held {
                before,
                last,
                kernel: own(windowed.kernel.clone(), config, before),
                window: windowed.measured.as_ref(),
                clock: windowed.clock.clone(),
                opening: pressure.map_or_else(Default::default, Pressure::record),
            },
        )
        .map_err(|error| Failure::Run(error.to_string()))?;
        let shards = config.shard.of();
        let run = self.party.run_name(args.bundle.run.as_deref());
        let fleet = bundle::fleet(&self.common, shards, run);
        let about = Circumstances {
            fleet,
            config: self.common,
            stopped,
        };
        bundle.write(Row::Load(Box::new(row)), about)
    }
}
