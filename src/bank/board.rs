//! The board between a process's main thread and its core threads: the phase and disturbances go one way, snapshots
//! the other.
//!
//! Does not measure. A core thread looks at two atomics per tick, and takes a lock only when it publishes, a few times
//! a second and at each change of phase, and when there is a new disturbance.

use super::Disturbance;
use crate::shard::{Counters, EndingRecord, Ladders, Series};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a process's core threads are doing. Phases only ever advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Rings exist, nothing is opened or accepted.
    Hold = 0,
    /// Connections are opened and accepted, heartbeats flow, nothing is recorded.
    Open = 1,
    /// As `Open`, and histograms record.
    Window = 2,
    /// The window is over; heartbeats still flow.
    Closed = 3,
    /// No heartbeat is begun and nobody judged; what is in flight arrives.
    Quiet = 4,
    /// Every connection is ended.
    Ending = 5,
    /// The threads return.
    Exit = 6,
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Hold,
        Self::Open,
        Self::Window,
        Self::Closed,
        Self::Quiet,
        Self::Ending,
        Self::Exit,
    ];

    fn from_number(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or(Self::Exit)
    }
}

/// What one core thread, or all of them together, have to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken, monotonic; of several threads, when the first of them was: nothing in it is older.
    pub at: Nanos,
    /// Since the start.
    pub totals: Counters,
    /// In the window, once it has been closed; while it is open, so far.
    pub window: Option<Counters>,
    /// How long the window has been open, or was; the longest of the threads.
    pub window_ns: Nanos,
    /// Histograms of the window by name, stored form; set when the window closes.
    pub histograms: BTreeMap<String, String>,
    /// Latencies by rough steps, since the start.
    #[serde(default)]
    pub ladders: Ladders,
    /// From the first connect to the answer to the last; set by the load generator when its ramp is over.
    #[serde(default)]
    pub opened_in: Option<Nanos>,
    /// Reconnects begun, and those that succeeded, over time; set when the window closes.
    #[serde(default)]
    pub reconnects: Option<(Series, Series)>,
    /// Bytes of the user-space tables, as the parts themselves count them.
    pub table_bytes: u64,
    /// Places in the connection tables that are in use, by connections established or connecting.
    #[serde(default)]
    pub occupied: u64,
    /// Timers armed: deadlines that are watched, and heartbeats that are scheduled.
    #[serde(default)]
    pub timers_armed: u64,
    /// Connections that ended, where [`Settings::log_endings`](crate::shard::Settings::log_endings) asks for them,
    /// earliest first.
    #[serde(default)]
    pub endings: Vec<EndingRecord>,
}

impl Snapshot {
    /// Adds another thread's snapshot. Histograms merge by adding counts.
    ///
    /// # Errors
    /// [`crate::record::HistogramError`] if a stored histogram does not open.
    pub fn add(&mut self, other: &Self) -> Result<(), crate::record::HistogramError> {
        self.at = self.at.min(other.at);
        self.window_ns = self.window_ns.max(other.window_ns);
        self.totals.add(&other.totals);
        self.ladders.add(&other.ladders);
        self.opened_in = self.opened_in.max(other.opened_in);
        self.table_bytes += other.table_bytes;
        if let Some((begun, established)) = &other.reconnects {
            let mine = self.reconnects.get_or_insert_default();
            mine.0.add(begun);
            mine.1.add(established);
        }
        self.occupied += other.occupied;
        self.timers_armed += other.timers_armed;
        self.endings.extend_from_slice(&other.endings);
        self.endings.sort_by_key(|ending| ending.at_ns);
        if let Some(window) = &other.window {
            self.window.get_or_insert_default().add(window);
        }
        for (name, text) in &other.histograms {
            let merged = match self.histograms.get(name) {
                None => text.clone(),
                Some(mine) => crate::record::merge(mine, text)?,
            };
            self.histograms.insert(name.clone(), merged);
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Seat {
    ready: AtomicBool,
    acknowledged: AtomicU8,
    /// Disturbances carried out.
    disturbed: AtomicUsize,
    snapshot: Mutex<Snapshot>,
    failure: Mutex<Option<String>>,
}

/// The phase and disturbances one way, snapshots the other.
#[derive(Debug)]
pub struct Board {
    phase: AtomicU8,
    /// How many disturbances there are.
    disturbed: AtomicUsize,
    disturbances: Mutex<Vec<Disturbance>>,
    seats: Vec<Seat>,
}

impl Board {
    /// A board for `seats` core threads, all in [`Phase::Hold`].
    #[must_use]
    pub fn new(seats: usize) -> Self {
        Self {
            phase: AtomicU8::new(0),
            disturbed: AtomicUsize::new(0),
            disturbances: Mutex::default(),
            seats: (0..seats).map(|_| Seat::default()).collect(),
        }
    }

    /// The phase the main thread wants.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::Acquire))
    }

    /// Asks the core threads to go to `phase`. Going back is ignored.
    pub fn ask(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Release);
    }

    /// A core thread says that its rings stand.
    pub fn set_ready(&self, seat: usize) {
        self.seats[seat].ready.store(true, Ordering::Release);
    }

    /// Whether every core thread has its rings.
    #[must_use]
    pub fn all_ready(&self) -> bool {
        self.seats
            .iter()
            .all(|seat| seat.ready.load(Ordering::Acquire))
    }

    /// A core thread says that it has done what `phase` asks.
    pub fn acknowledge(&self, seat: usize, phase: Phase) {
        self.seats[seat]
            .acknowledged
            .store(phase as u8, Ordering::Release);
    }

    /// Whether every core thread is at least in `phase`.
    #[must_use]
    pub fn all_in(&self, phase: Phase) -> bool {
        self.seats
            .iter()
            .all(|seat| seat.acknowledged.load(Ordering::Acquire) >= phase as u8)
    }

    /// Asks the core threads for a disturbance; returns its number.
    pub fn disturb(&self, disturbance: Disturbance) -> usize {
        let mut queue = self
            .disturbances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        queue.push(disturbance);
        self.disturbed.store(queue.len(), Ordering::Release);
        queue.len()
    }

    /// How many disturbances have been asked for.
    #[must_use]
    pub fn disturbances(&self) -> usize {
        self.disturbed.load(Ordering::Acquire)
    }

    /// All but the first `taken` of them, in order.
    #[must_use]
    pub fn disturbances_from(&self, taken: usize) -> Vec<Disturbance> {
        let queue = self.disturbances.lock();
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        queue.iter().skip(taken).copied().collect()
    }

    /// A core thread says that it has carried out the first `count` disturbances.
    pub fn acknowledge_disturbances(&self, seat: usize, count: usize) {
        self.seats[seat].disturbed.store(count, Ordering::Release);
    }

    /// Whether every core thread has carried out the first `count` disturbances.
    #[must_use]
    pub fn all_disturbed(&self, count: usize) -> bool {
        self.seats
            .iter()
            .all(|seat| seat.disturbed.load(Ordering::Acquire) >= count)
    }

    /// A core thread shows what it has.
    pub fn publish(&self, seat: usize, snapshot: Snapshot) {
        *self.seats[seat]
            .snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// A core thread cannot go on.
    pub fn fail(&self, seat: usize, message: String) {
        *self.seats[seat]
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// The first failure, if any.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.seats.iter().find_map(|seat| {
            seat.failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        })
    }

    /// All threads' snapshots together.
    ///
    /// # Errors
    /// As [`Snapshot::add`].
    pub fn snapshot(&self) -> Result<Snapshot, crate::record::HistogramError> {
        let mut sum: Option<Snapshot> = None;
        for seat in &self.seats {
            let shown = seat.snapshot.lock();
            let shown = shown.unwrap_or_else(PoisonError::into_inner);
            match &mut sum {
                None => sum = Some(shown.clone()),
                Some(sum) => sum.add(&shown)?,
            }
        }
        Ok(sum.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::CloseCause;

    #[test]
    fn all_threads_together_are_as_old_as_the_oldest() {
        let board = Board::new(2);
        for (seat, at) in [(0, Nanos(20)), (1, Nanos(10))] {
            let shown = Snapshot {
                at,
                ..Snapshot::default()
            };
            board.publish(seat, shown);
        }
        assert_eq!(board.snapshot().unwrap().at, Nanos(10));
        assert_eq!(Board::new(0).snapshot().unwrap(), Snapshot::default());
    }

    #[test]
    fn endings_of_all_threads_come_in_the_order_of_their_verdicts() {
        let of = |numbers: [u32; 2]| Snapshot {
            occupied: 4,
            timers_armed: 5,
            endings: numbers
                .map(|ordinal| EndingRecord {
                    at_ns: Nanos(u64::from(ordinal) * 10),
                    ordinal,
                    cause: CloseCause::Reset,
                })
                .to_vec(),
            ..Snapshot::default()
        };
        let mut sum = of([1, 4]);
        sum.add(&of([2, 3])).unwrap();
        assert_eq!((sum.occupied, sum.timers_armed), (8, 10));
        let order: Vec<u32> = sum.endings.iter().map(|ending| ending.ordinal).collect();
        assert_eq!(order, [1, 2, 3, 4]);
        let text = serde_json::to_string(&sum).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), sum);
        assert!(
            text.contains(r#"{"at_ns":10,"ordinal":1,"cause":"reset"}"#),
            "{text}"
        );
    }

    #[test]
    fn phases_only_advance_and_disturbances_queue_until_every_seat_is_there() {
        let board = Board::new(2);
        board.ask(Phase::Window);
        board.ask(Phase::Open);
        assert_eq!(board.phase(), Phase::Window);
        board.acknowledge(0, Phase::Window);
        assert!(!board.all_in(Phase::Window));
        board.acknowledge(1, Phase::Window);
        assert!(board.all_in(Phase::Window) && !board.all_in(Phase::Closed));
        let number = board.disturb(Disturbance::DropAll { abort: true });
        assert_eq!((number, board.disturb(Disturbance::Deaf)), (1, 2));
        assert_eq!(board.disturbances_from(1), [Disturbance::Deaf]);
        board.acknowledge_disturbances(0, 2);
        board.acknowledge_disturbances(1, 1);
        assert!(board.all_disturbed(1) && !board.all_disturbed(2));
        board.fail(1, "gone".to_owned());
        assert_eq!(board.failure().as_deref(), Some("gone"));
    }
}
