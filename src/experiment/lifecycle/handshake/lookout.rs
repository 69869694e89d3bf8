//! Who looks on while connections are opened: the SYN and accept queues, the counters of what they refuse.
//!
//! Does not open anything. The accept queues and the counters cost some hundred microseconds a look. Sockets in `SYN_RECV`
//! can only be counted by a walk over all sockets of the machine, 40 ms when it holds 400,000. So each walk is followed by
//! a hundred times its length without one, a long one is the last, and the record tells how many there were and how long
//! they took.

use super::timeline::folded;
use crate::bank::Snapshot;
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::ExperimentError;
use crate::experiment::ramp::Watcher;
use crate::measure::wire::{Place, WireSnapshot};
use crate::os::established::Handshakes;
use crate::record::{HandshakeSlice, OpeningPressure};
use crate::units::Nanos;

/// Length of a row of the time line.
const SLICE: Nanos = Nanos::from_millis(100);
/// A walk is followed by so many times its length without one.
const WALK_SHARE: u64 = 100;
/// After a longer walk there is none while connections are opened: the next one would be several times as long, and more
/// than a second among a million connections.
const LONGEST_WALK: Nanos = Nanos::from_millis(10);

/// What was seen. See the [module](self).
#[derive(Debug)]
pub(super) struct Lookout<'a> {
    place: Place<'a>,
    queues: Handshakes,
    begun: Nanos,
    first: WireSnapshot,
    last: WireSnapshot,
    next_slice: Nanos,
    walks: Walks,
    /// Established at the last row's end.
    established: u64,
    row: HandshakeSlice,
    rows: Vec<HandshakeSlice>,
    pub(super) syn_received_max: u64,
    pub(super) accept_waiting_max: u64,
}

/// When to walk.
#[derive(Clone, Copy, Debug, Default)]
struct Walks {
    next: Nanos,
    count: u64,
    took: Nanos,
    last: Nanos,
}

impl Walks {
    fn is_due(&self, now: Nanos) -> bool {
        now >= self.next && self.last <= LONGEST_WALK
    }

    fn walked(&mut self, begun: Nanos, ended: Nanos) {
        let took = ended - begun;
        self.count += 1;
        self.took += took;
        self.last = took;
        self.next = ended + Nanos(took.0.saturating_mul(WALK_SHARE));
    }
}

impl<'a> Lookout<'a> {
    /// Begins now. `queues` was opened where the server is.
    pub(super) fn begin(place: Place<'a>, queues: Handshakes) -> Result<Self, ExperimentError> {
        let first = WireSnapshot::take(place)?;
        let begun = MonotonicClock.now();
        Ok(Self {
            place,
            queues,
            begun,
            last: first.clone(),
            first,
            next_slice: begun + SLICE,
            walks: Walks::default(),
            established: 0,
            row: HandshakeSlice::default(),
            rows: Vec::new(),
            syn_received_max: 0,
            accept_waiting_max: 0,
        })
    }

    fn walk(&mut self) -> Result<u64, ExperimentError> {
        let begun = MonotonicClock.now();
        let count = self.queues.syn_received()?;
        self.walks.walked(begun, MonotonicClock.now());
        self.syn_received_max = self.syn_received_max.max(count);
        Ok(count)
    }

    fn close_row(&mut self, now: Nanos, established: u64) -> Result<(), ExperimentError> {
        let wire = WireSnapshot::take(self.place)?;
        let pressure = self.last.until(&wire).opening;
        self.rows.push(HandshakeSlice {
            elapsed_ms: (now - self.begun).0 / 1_000_000,
            connects: established.saturating_sub(self.established),
            listen_drops: pressure.listen_drops,
            syn_retransmits: pressure.syn_retransmits,
            ..self.row
        });
        // Until the next walk the last one stands.
        self.row.accept_waiting = 0;
        self.established = established;
        self.last = wire;
        self.next_slice = now + SLICE;
        Ok(())
    }

    /// Everything met with so far.
    pub(super) fn pressure(&mut self) -> Result<OpeningPressure, ExperimentError> {
        Ok(self.first.until(&WireSnapshot::take(self.place)?).opening)
    }

    /// Ends the time line.
    pub(super) fn finish(&mut self, established: u64) -> Result<(), ExperimentError> {
        self.close_row(MonotonicClock.now(), established)
    }

    /// The time line; how often sockets in `SYN_RECV` were counted, and how long that took in all.
    pub(super) fn into_rows(self) -> (Vec<HandshakeSlice>, u64, Nanos) {
        (folded(self.rows), self.walks.count, self.walks.took)
    }
}

impl Watcher for Lookout<'_> {
    fn look(&mut self, load: &Snapshot) -> Result<(), ExperimentError> {
        let waiting = self.queues.accept_waiting()?;
        self.accept_waiting_max = self.accept_waiting_max.max(waiting);
        self.row.accept_waiting = self.row.accept_waiting.max(waiting);
        let now = MonotonicClock.now();
        if self.walks.is_due(now) {
            self.row.syn_received = self.walk()?;
        }
        if now >= self.next_slice {
            self.close_row(now, load.totals.established)?;
        }
        Ok(())
    }

    /// A client that was answered with a SYN cookie, and whose ACK met a full accept queue, is in no queue: nobody will
    /// send anything any more.
    fn pending(&mut self) -> Result<bool, ExperimentError> {
        self.row.syn_received = self.walk()?;
        Ok(self.row.syn_received > 0 || self.queues.accept_waiting()? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_take_a_hundredth_of_the_time() {
        let mut walks = Walks::default();
        let mut now = Nanos::from_secs(5);
        let begun = now;
        for took_ms in [1, 4, 2, 10] {
            assert!(walks.is_due(now));
            let ended = now + Nanos::from_millis(took_ms);
            walks.walked(now, ended);
            assert!(!walks.is_due(ended + Nanos::from_millis(100 * took_ms - 1)));
            now = ended + Nanos::from_millis(100 * took_ms);
        }
        assert_eq!((walks.count, walks.took), (4, Nanos::from_millis(17)));
        assert!(walks.took.0 * 100 <= (now - begun).0);
        walks.walked(now, now + Nanos::from_millis(11));
        assert!(
            !walks.is_due(now + Nanos::from_secs(60)),
            "a long one is the last"
        );
    }
}
