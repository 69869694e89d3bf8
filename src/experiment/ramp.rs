//! The ramp of a trial: waits until every connect has been answered, and stops the opening before memory runs out.
//!
//! Does not measure costs. Memory is looked at every hundred milliseconds; why that is often enough stands with
//! [`reserve`](crate::measure::headroom::reserve).

use super::ExperimentError;
use super::trial::{Halves, Stage, TrialSpec, check_interrupt};
use super::watch::observe;
use crate::bank::Snapshot;
use crate::clock::{Clock as _, MonotonicClock};
use crate::control::Order;
use crate::measure::headroom::{Foresight, Guard, Stop, usable};
use crate::units::{HumanCount, Nanos};
use std::time::Duration;

/// Without a single new connection for this long, the ramp is stuck.
const STUCK_AFTER: Nanos = Nanos::from_secs(20);
/// The longest to wait for the server's view of the last connections.
const CATCH_UP: Nanos = Nanos::from_secs(8);
/// Between two looks at the halves.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two looks at memory.
const WATCH_EVERY: Nanos = Nanos::from_millis(100);

/// How the opening went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    /// From the first connect to the answer to the last, by the load generator's clock.
    pub(super) took: Nanos,
    /// Memory per connection, both ends, once enough were open to tell.
    pub(super) bytes_per_connection: Option<u64>,
    /// Why fewer were opened than asked for.
    pub(super) stopped: Option<Stop>,
}

/// Who looks on while connections are opened.
pub(super) trait Watcher {
    /// Called at every look at the load generator, and at the end.
    fn look(&mut self, load: &Snapshot) -> Result<(), ExperimentError>;
    /// Whether a handshake may still be under way, when the load generator has had all its answers.
    fn pending(&mut self) -> Result<bool, ExperimentError>;
}

/// Nobody.
struct Unwatched;

impl Watcher for Unwatched {
    fn look(&mut self, _: &Snapshot) -> Result<(), ExperimentError> {
        Ok(())
    }

    fn pending(&mut self) -> Result<bool, ExperimentError> {
        Ok(true)
    }
}

/// Waits for the end of the ramp.
pub(super) fn climb(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
) -> Result<Ramp, ExperimentError> {
    climb_watched(stage, spec, halves, &mut Unwatched)
}

/// The same, with somebody looking on.
pub(super) fn climb_watched(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
    watcher: &mut dyn Watcher,
) -> Result<Ramp, ExperimentError> {
    let (usable_at_start, _) = usable()?;
    let limit = stage.plan.options.memory_limit;
    let ends = stage.plan.options.path.ends_here();
    let mut guard = Guard::new(usable_at_start, stage.plan.host.reserve_bytes, limit, ends);
    let mut last_change = (MonotonicClock.now(), 0);
    let (mut next_row, mut next_watch) = (last_change.0, last_change.0);
    let (mut stopped, mut told) = (None, false);
    loop {
        let load = halves.load.report()?;
        watcher.look(&load)?;
        let now = MonotonicClock.now();
        if let Some(took) = load.opened_in {
            // The end is known at once, the counts only with the next snapshot.
            let all = halves.load.settle()?;
            let _ = guard.look(all.totals.open, usable()?.0);
            let waited = server_catches_up(stage, halves, &all, watcher)?;
            return Ok(Ramp {
                took: took + waited,
                bytes_per_connection: guard.bytes_per_connection(),
                stopped,
            });
        }
        if stopped.is_none() && now >= next_watch {
            next_watch = now + WATCH_EVERY;
            let (usable, _) = usable()?;
            match guard.look(load.totals.open, usable) {
                Foresight::Learning => {}
                Foresight::Fits(most) if most >= spec.connections || told => {}
                Foresight::Fits(most) => {
                    told = true;
                    stage.observer.note(&format!(
                        "about {} of {} connections will fit into memory, by the {} B each has taken so far",
                        HumanCount(most),
                        HumanCount(spec.connections),
                        HumanCount(guard.bytes_per_connection().unwrap_or(0))
                    ));
                }
                Foresight::Stop(stop) => {
                    stopped = Some(stop);
                    halves.load.show(&Order::StopOpening)?;
                }
            }
        }
        if load.totals.established != last_change.1 {
            last_change = (now, load.totals.established);
        } else if now - last_change.0 > STUCK_AFTER {
            return Err(ExperimentError::Stuck {
                established: load.totals.established,
                requested: spec.connections,
                reason: super::checks::connect_failures(&load.totals),
            });
        }
        if now >= next_row {
            next_row = now + Nanos::from_secs(1);
            let server = halves.server.report()?;
            observe(stage, spec, halves, "ramp", (&server, &load))?;
        }
        check_interrupt(stage)?;
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until the server has as many connections as the load generator, and returns how long that took. A client
/// whose last ACK met a full accept queue believes itself connected; the server sends its SYN-ACK again after one,
/// three and seven seconds (`tcp_synack_retries` in `ip-sysctl`). Whoever is missing after that is the audit's to tell.
fn server_catches_up(
    stage: &Stage<'_>,
    halves: &mut Halves,
    load: &Snapshot,
    watcher: &mut dyn Watcher,
) -> Result<Nanos, ExperimentError> {
    let begun = MonotonicClock.now();
    let mut waited = Nanos::ZERO;
    // What it showed last may be old, but connections are only ever added to it.
    if halves.server.report()?.totals.established >= load.totals.established {
        return Ok(waited);
    }
    watcher.look(load)?;
    while halves.server.settle()?.totals.established < load.totals.established {
        waited = MonotonicClock.now() - begun;
        watcher.look(load)?;
        if waited > CATCH_UP || !watcher.pending()? {
            break;
        }
        check_interrupt(stage)?;
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(waited)
}
