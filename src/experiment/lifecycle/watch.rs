//! The states that the sockets of one connection go through at both ends, looked at again and again.
//!
//! Does not interpret them. A state that lasts for less than the gap between two looks may be missed; the wire's delay is
//! twenty times that gap, so what waits for a segment is seen.

use super::hosts::Hosts;
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::{ExperimentError, Seat};
use crate::os::OsError;
use crate::os::sockets::{SocketSeen, Sockets, TcpState};
use crate::units::Nanos;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Between two looks while anything goes on.
pub(super) const LOOK_EVERY: Nanos = Nanos::from_millis(1);
/// Between two looks when nothing has changed for [`CALM_AFTER`].
const LOOK_SELDOM: Nanos = Nanos::from_millis(20);
/// As above.
const CALM_AFTER: Nanos = Nanos::from_millis(1500);

/// A socket in a state it was not in before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at: Nanos,
    pub(super) end: Seat,
    /// The client's port.
    pub(super) client_port: u16,
    pub(super) state: TcpState,
}

/// What was left of `TIME_WAIT` at a look: told when it begins and whenever it is more than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeWaitLeft {
    pub(super) at: Nanos,
    pub(super) end: Seat,
    pub(super) client_port: u16,
    pub(super) left_ms: u32,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    pub(super) changes: Vec<Change>,
    pub(super) time_wait: Vec<TimeWaitLeft>,
    /// The most by which a look came later than it should have, while anything went on.
    pub(super) longest_gap: Nanos,
    broke: Option<String>,
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    observed: Arc<Mutex<Observed>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look at the sockets of `port` on both hosts.
    pub(super) fn start(hosts: &Arc<Hosts>, port: u16) -> Self {
        let observed = Arc::new(Mutex::new(Observed::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = Seat::ALL.map(|seat| {
            let (hosts, observed, stop) =
                (Arc::clone(hosts), Arc::clone(&observed), Arc::clone(&stop));
            std::thread::spawn(move || {
                let looked = hosts
                    .host(seat)
                    .run(|| look(seat, port, &observed, &stop))
                    .and_then(|looked| looked);
                if let Err(error) = looked {
                    let mut observed = observed.lock().unwrap_or_else(PoisonError::into_inner);
                    observed.broke = Some(error.to_string());
                }
            })
        });
        Self {
            observed,
            stop,
            threads: threads.into(),
        }
    }

    /// What was seen so far.
    ///
    /// # Errors
    /// When the sockets could not be looked at.
    pub(super) fn observed(&self) -> Result<Observed, ExperimentError> {
        let observed = self
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match observed.broke {
            Some(why) => Err(ExperimentError::Host(why)),
            None => Ok(observed),
        }
    }

    /// The state a connection's socket was last seen in at `end`; `None` when there never was one.
    pub(super) fn state(
        &self,
        end: Seat,
        client_port: u16,
    ) -> Result<Option<TcpState>, ExperimentError> {
        let observed = self.observed()?;
        let of_it = |change: &&Change| (change.end, change.client_port) == (end, client_port);
        Ok(observed
            .changes
            .iter()
            .rev()
            .find(of_it)
            .map(|change| change.state))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The client's port of a socket at `end`.
const fn client_port(end: Seat, socket: &SocketSeen) -> u16 {
    match end {
        Seat::Client => socket.own_port,
        Seat::Server => socket.peer_port,
    }
}

fn look(
    end: Seat,
    port: u16,
    observed: &Mutex<Observed>,
    stop: &AtomicBool,
) -> Result<(), OsError> {
    let mut known: HashMap<u16, SocketSeen> = HashMap::new();
    let mut sockets = Sockets::of(port)?;
    let mut changed = MonotonicClock.now();
    let mut due = changed;
    while !stop.load(Ordering::Relaxed) {
        let begun = MonotonicClock.now();
        let seen = sockets.look()?;
        // After the look: a state stands behind what caused it.
        let at = MonotonicClock.now();
        let now: HashMap<u16, SocketSeen> = seen
            .into_iter()
            .map(|socket| (client_port(end, &socket), socket))
            .collect();
        if note(end, at, &known, &now, observed) {
            changed = at;
        }
        known = now;
        let calm = at - changed > CALM_AFTER;
        if !calm && at - due > LOOK_EVERY {
            let mut observed = observed.lock().unwrap_or_else(PoisonError::into_inner);
            observed.longest_gap = observed.longest_gap.max(at - due);
        }
        let gap = if calm { LOOK_SELDOM } else { LOOK_EVERY };
        due = begun + gap;
        MonotonicClock.sleep_until(due);
    }
    Ok(())
}

/// Notes what is new; the listener goes by port 0. Returns whether anything was.
fn note(
    end: Seat,
    at: Nanos,
    known: &HashMap<u16, SocketSeen>,
    now: &HashMap<u16, SocketSeen>,
    observed: &Mutex<Observed>,
) -> bool {
    let change = |client_port, state| Change {
        at,
        end,
        client_port,
        state,
    };
    let new = now.iter().filter_map(|(&port, socket)| {
        let before = known.get(&port).map(|before| before.state);
        (before != Some(socket.state)).then(|| change(port, socket.state))
    });
    let gone = known
        .keys()
        .filter(|port| !now.contains_key(port))
        .map(|&port| change(port, TcpState::Closed));
    let changes: Vec<Change> = new.chain(gone).collect();
    let waiting = now
        .iter()
        .filter(|(_, socket)| socket.state == TcpState::TimeWait);
    let longer: Vec<TimeWaitLeft> = waiting
        .filter(|(port, socket)| {
            let before = known.get(port).filter(|b| b.state == TcpState::TimeWait);
            before.is_none_or(|before| socket.timer_ms > before.timer_ms)
        })
        .map(|(&client_port, socket)| TimeWaitLeft {
            at,
            end,
            client_port,
            left_ms: socket.timer_ms,
        })
        .collect();
    let any = !changes.is_empty() || !longer.is_empty();
    if any {
        let mut observed = observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.changes.extend(changes);
        observed.time_wait.extend(longer);
    }
    any
}
