//! The window of a hold by hand, alone or together with other hosts, with this host's meters around it.
//!
//! Does not open or end connections. All hosts open it at the instant of their release and keep it open for the same time,
//! each by its own clock; nobody ends a connection before all have closed theirs.

use super::Failure;
use super::fleet::Party;
use super::session::{Session, Wait};
use super::signals;
use crate::bank::{Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::fleet::{MeasuredWindow, OpenWindow};
use crate::fleet::{FleetError, Stage};
use crate::os::established::{Established, count_established};
use crate::os::route::Way;
use crate::record::FleetClock;
use crate::shard::Counters;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a window is to be.
#[derive(Clone, Debug)]
pub(super) struct WindowPlan {
    /// How long; `None` is until interrupted.
    pub(super) length: Option<Duration>,
    /// Where packets are counted.
    pub(super) way: Result<Way, String>,
    /// Ports whose sockets are the run's.
    pub(super) ports: BTreeSet<u16>,
    /// Which end of them is here.
    pub(super) end: fn(Established) -> u64,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Windowed {
    pub(super) ended: Wait,
    pub(super) measured: Option<MeasuredWindow>,
    /// How this host's clock stood to the others' when it opened.
    pub(super) clock: FleetClock,
    /// Established sockets of the kernel when it had closed.
    pub(super) kernel: Result<u64, String>,
    /// What another host, or the meeting with it, ended.
    pub(super) stopped: Option<FleetError>,
    /// What ended it here.
    pub(super) own: Option<String>,
    /// All counts when it had closed, before others were waited for.
    pub(super) closed: Option<Snapshot>,
}

impl Windowed {
    /// Not come to.
    pub(super) fn missed(ended: Wait, stopped: Option<FleetError>) -> Self {
        Self {
            ended,
            measured: None,
            clock: FleetClock::default(),
            kernel: Err("it did not come to a window".to_owned()),
            stopped,
            own: None,
            closed: None,
        }
    }

    /// Not come to, for a reason of this host's own, of which the others are told.
    pub(super) fn given_up(ended: Wait, why: String, party: &Party) -> Self {
        party.fail(&why);
        Self {
            own: Some(why),
            ..Self::missed(ended, None)
        }
    }
}

/// Why this host ends a wait before its time: `doing` says what it waited for.
pub(super) fn reason(ended: Wait, doing: &str) -> String {
    match ended {
        Wait::Signal(signal) => format!("it was ended by {} while {doing}", signals::name(signal)),
        Wait::Reached | Wait::Elapsed => format!("it had no connection left while {doing}"),
    }
}

impl Windowed {
    /// Why the part is not whole; `None` when it is. A hold that was to last until interrupted is whole when it was.
    pub(super) fn cut_short(&self, had_an_end: bool) -> Option<String> {
        if let Some(error) = &self.stopped {
            return Some(error.to_string());
        }
        if let Some(why) = &self.own {
            return Some(why.clone());
        }
        match (self.ended, &self.measured) {
            (Wait::Signal(signal), None) => Some(format!(
                "ended by {} before the window",
                signals::name(signal)
            )),
            (Wait::Signal(signal), Some(_)) if had_an_end => {
                Some(format!("ended by {}", signals::name(signal)))
            }
            (Wait::Reached, _) => Some("there was nothing left to hold".to_owned()),
            (Wait::Elapsed, None) => Some("it did not come to a window".to_owned()),
            _ => None,
        }
    }
}

/// Arrives at `stage`, and waits for the instant at which all go on.
pub(super) fn come_to(
    stage: Stage,
    session: &mut Session<'_>,
    party: &mut Party,
) -> Result<Result<(), Windowed>, Failure> {
    if party.meets() {
        session.say(&format!("waiting for the other hosts: {stage}"));
    }
    let at = match party.arrive(stage, &mut || session.signal()) {
        Ok(at) => at,
        Err(error) => {
            let ended = error.signal().map_or(Wait::Reached, Wait::Signal);
            return Ok(Err(Windowed::missed(ended, Some(error))));
        }
    };
    let left = (at - MonotonicClock.now()).as_duration();
    let waited = session.wait("waiting for the instant", Some(left), |_| {
        party.check().is_err()
    })?;
    Ok(match (waited, party.check()) {
        (Wait::Signal(_), _) => Err(Windowed::missed(waited, None)),
        (_, Err(error)) => Err(Windowed::missed(waited, Some(error))),
        _ => Ok(()),
    })
}

/// Opens the window with all the others, holds it, and closes it. `forlorn` says that there is nothing left to hold.
pub(super) fn window(
    plan: WindowPlan,
    session: &mut Session<'_>,
    party: &mut Party,
    doing: &str,
    forlorn: impl Fn(&Counters) -> bool,
) -> Result<Windowed, Failure> {
    if let Err(missed) = come_to(Stage::Opened, session, party)? {
        return Ok(missed);
    }
    session.go(Phase::Window)?;
    let open = OpenWindow::open(plan.way);
    // Now, as its error grows with the time since the clocks were compared.
    let clock = party.clock();
    let ended = session.wait(doing, plan.length, |totals| {
        forlorn(totals) || party.check().is_err()
    })?;
    let measured = Some(open.close());
    session.go(Phase::Closed)?;
    let closed = Some(session.snapshot()?);
    let kernel = plan.ports.iter().try_fold(0, |sum, port| {
        let found = count_established(*port).map_err(|error| error.to_string())?;
        Ok(sum + (plan.end)(found))
    });
    let stopped = party.check().err();
    let mut windowed = Windowed {
        ended,
        measured,
        clock,
        kernel,
        stopped,
        own: None,
        closed,
    };
    if windowed.stopped.is_none()
        && matches!(ended, Wait::Elapsed)
        && let Err(missed) = come_to(Stage::Closed, session, party)?
    {
        windowed.ended = missed.ended;
        windowed.stopped = missed.stopped;
    }
    Ok(windowed)
}

/// Waits until all have ended their connections; what goes wrong then has nothing left to spoil.
pub(super) fn leave(session: &Session<'_>, party: &mut Party) {
    if party.meets() && party.check().is_ok() {
        let _ = party.arrive(Stage::Ended, &mut || session.signal());
    }
}
