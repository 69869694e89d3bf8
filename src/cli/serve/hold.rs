//! The hold of `ringbeat serve` together with its load generators, and what is kept of it.
//!
//! Does not start the server or end its connections.

use super::ServeArgs;
use crate::bank::Snapshot;
use crate::cli::Failure;
use crate::cli::bundle::{self, Bundle, Circumstances, Row};
use crate::cli::fleet::Party;
use crate::cli::holding::{WindowPlan, Windowed, come_to, leave, reason, window};
use crate::cli::opening::Pressure;
use crate::cli::session::{Session, Wait};
use crate::experiment::fleet::{Held, server_row};
use crate::fleet::Stage;
use crate::measure::MeasureError;
use crate::measure::memory::{MemorySnapshot, per_connection};
use crate::os::route::{Way, way_from};
use crate::record::{Config, MemoryPerConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The longest that load generators which do not meet the server are waited for, when all windows have closed.
const LOADS_END: Duration = Duration::from_secs(10);

/// Serves until the time is over or a signal comes; with others, until all windows have closed.
pub(super) fn hold(
    args: &ServeArgs,
    address: SocketAddr,
    session: &mut Session<'_>,
    party: &mut Party,
) -> Result<Windowed, Failure> {
    if matches!(party, Party::Alone) {
        let ended = session.wait("serving", args.half.duration, |_| false)?;
        return Ok(Windowed::missed(ended, None));
    }
    if let Err(missed) = come_to(Stage::Gathered, session, party)? {
        return Ok(missed);
    }
    let plan = WindowPlan {
        length: args.half.duration,
        way: way(args.listen),
        ports: BTreeSet::from([address.port()]),
        end: |found| found.server_side,
    };
    let windowed = window(plan, session, party, "serving", |_| false)?;
    if windowed.stopped.is_none() && windowed.ended != Wait::Elapsed {
        party.fail(&reason(windowed.ended, "the window was open"));
    }
    Ok(windowed)
}

/// Load generators end their connections themselves: where they meet they say when, otherwise it is looked for.
pub(super) fn wait_for_loads(session: &mut Session<'_>, party: &mut Party) -> Result<(), Failure> {
    if matches!(party, Party::StartAt(_)) {
        session.wait(
            "waiting for the load generators to end",
            Some(LOADS_END),
            |totals| totals.open == 0,
        )?;
    }
    leave(session, party);
    Ok(())
}

/// Where packets are counted: at the interface that has the address.
fn way(listen: Option<SocketAddr>) -> Result<Way, String> {
    match listen.map(|listen| listen.ip()) {
        None => way_from(Ipv4Addr::LOCALHOST).map_err(|error| error.to_string()),
        Some(IpAddr::V4(address)) if !address.is_unspecified() => {
            way_from(address).map_err(|error| error.to_string())
        }
        Some(_) => Err(
            "the server listens at every address, so no one interface has its packets: give --listen an IPv4 address"
                .to_owned(),
        ),
    }
}

/// This host's part of a run, for its record.
pub(super) struct Part<'a> {
    pub(super) args: &'a ServeArgs,
    pub(super) common: Config,
    pub(super) cores: &'a [usize],
    pub(super) rings: String,
    /// Before the first connection, and with all of them.
    pub(super) memory: (
        Result<MemorySnapshot, MeasureError>,
        Result<MemorySnapshot, MeasureError>,
    ),
    pub(super) opening: Option<Pressure>,
    pub(super) party: &'a Party,
}

impl Part<'_> {
    pub(super) fn keep(
        self,
        bundle: Bundle,
        held: &Windowed,
        (before, last): (&Snapshot, &Snapshot),
    ) -> Result<(), Failure> {
        let stopped = held.cut_short(self.args.half.duration.is_some());
        let before = held.closed.as_ref().unwrap_or(before);
        let spec = bundle.spec(&self.args.half, (self.cores, self.rings), stopped.clone())?;
        let memory = match self.memory {
            (Ok(empty), Ok(grown)) => per_connection(&empty, &grown, before.totals.open),
            (Err(error), _) | (_, Err(error)) => unread(&error.to_string()),
        };
        let opening = self.opening.as_ref();
        let figures = Held {
            before,
            last,
            kernel: held.kernel.clone(),
            window: held.measured.as_ref(),
            clock: held.clock.clone(),
            opening: opening.map_or_else(Default::default, Pressure::record),
        };
        let row =
            server_row(&spec, memory, &figures).map_err(|error| Failure::Run(error.to_string()))?;
        let shards = self.args.shards.unwrap_or(1);
        let run = self.party.run_name(self.args.bundle.run.as_deref());
        let about = Circumstances {
            fleet: bundle::fleet(&self.common, shards, run),
            config: self.common,
            stopped,
        };
        bundle.write(Row::Server(Box::new(row)), about)
    }
}

/// No figure of memory, and why.
fn unread(reason: &str) -> (MemoryPerConnection, BTreeMap<String, String>) {
    let key = "memory_bytes_per_connection".to_owned();
    let absent = BTreeMap::from([(key, reason.to_owned())]);
    (MemoryPerConnection::default(), absent)
}
