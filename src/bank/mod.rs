//! A bank: what one pinned core thread drives. Its rings, their shards, one tick.
//!
//! Does not know where connections come from; a [`Director`] does (the server's accepts, the load generator's
//! connects). The thread sleeps to the next tick, then walks its lanes once: submit, reap, let the shard
//! answer, submit the answers; then the wheels are turned. Nobody waits inside the kernel, so an idle lane
//! costs nothing and a busy one is batched by the tick. That one tick for many rings is what makes several
//! rings per core affordable; the price is that a frame waits for the next tick.
//!
//! Ticks lie on multiples of the tick length of the monotonic clock plus an offset, so that two processes on one
//! machine stand in a known relation: the server's offset is half a tick, the middle of what chance would give.

mod board;
mod disturbance;
mod driver;
mod engine;
mod lane;
mod plan;
mod turnover;

pub use board::{Board, Phase, Snapshot};
pub use disturbance::Disturbance;
pub use driver::Driver;
pub use engine::{EngineConfig, EngineKind};
pub use lane::{Drive, Lane};
pub use plan::{CLOSES_PER_TURN, PlanError, RingPlan};
pub use turnover::{Rotation, Turnover};

use crate::clock::{Clock, MonotonicClock};
use crate::record::HistogramError;
use crate::ring::{RingError, SocketOption};
use crate::shard::{Counters, Instruments, Settings, Shard};
use crate::units::Nanos;
use disturbance::Disturbances;
use engine::Engine;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between looks while connections are being opened or accepted.
const BUSY_TICK: Nanos = Nanos::from_millis(1);
/// How often a thread shows its counters.
const PUBLISH_EVERY: Nanos = Nanos::from_millis(200);

/// How soon a thread that sleeps on its events looks for a change of phase or a disturbance.
const LONGEST_WAIT: Nanos = Nanos::from_millis(100);

/// The same while connections come and go, so that the end of a ramp is seen soon.
const PUBLISH_BUSY: Nanos = Nanos::from_millis(40);

/// Whether the bank may sleep a whole tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Until the next tick.
    Tick,
    /// Connections are coming or going: look again within a millisecond.
    Busy,
}

/// Decides where connections come from and how they end.
pub trait Director: Send {
    /// Called once per tick, after every lane has been driven and its wheels turned.
    fn direct(
        &mut self,
        phase: Phase,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace;
}

/// What a bank needs to start.
#[derive(Clone, Debug)]
pub struct BankConfig {
    /// Core to pin to.
    pub core: usize,
    /// This bank's number and how many there are, for the spread of phases.
    pub seat: (u32, u32),
    /// Rings, slots and connections.
    pub plan: RingPlan,
    /// What carries the operations.
    pub engine: EngineConfig,
    /// What the thread sleeps on.
    pub driver: Driver,
    /// What the shards do.
    pub settings: Settings,
    /// Options that `connect` sets.
    pub options: Vec<SocketOption>,
    /// Offset of the ticks, less than one tick.
    pub tick_offset: Nanos,
}

/// Why a core thread stopped.
#[derive(Debug, thiserror::Error)]
enum BankError {
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Histogram(#[from] HistogramError),
}

/// The core threads of one process.
#[derive(Debug)]
pub struct Crew {
    board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Starts one pinned thread per bank and waits until all have their rings.
    ///
    /// # Errors
    /// The first thread's failure, as its text.
    pub fn start<D: Director + 'static>(banks: Vec<(BankConfig, D)>) -> Result<Self, String> {
        let board = Arc::new(Board::new(banks.len()));
        let mut threads = Vec::new();
        for (seat, (config, director)) in banks.into_iter().enumerate() {
            let shared = Arc::clone(&board);
            let thread = std::thread::Builder::new()
                .name(format!("core-{}", config.core))
                .spawn(move || {
                    if let Err(error) = run(&config, director, &shared, seat) {
                        shared.fail(seat, error.to_string());
                    }
                })
                .map_err(|error| {
                    format!(
                        "a core thread could not be started ({error}): is the limit of processes reached (`ulimit -u`, or \
                         TasksMax= of a systemd unit)?"
                    )
                })?;
            threads.push(thread);
        }
        let crew = Self { board, threads };
        while !crew.board.all_ready() {
            if let Some(message) = crew.board.failure() {
                crew.board.ask(Phase::Exit);
                return Err(message);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(crew)
    }

    /// Takes all threads to `phase`, waiting until each has done what it asks.
    ///
    /// # Errors
    /// A thread's failure, as its text.
    pub fn go(&self, phase: Phase) -> Result<(), String> {
        self.board.ask(phase);
        self.wait_until(|board| board.all_in(phase))
    }

    /// Has all threads suffer `disturbance`, waiting until each has carried it out.
    ///
    /// # Errors
    /// A thread's failure, as its text.
    pub fn disturb(&self, disturbance: Disturbance) -> Result<(), String> {
        let number = self.board.disturb(disturbance);
        self.wait_until(|board| board.all_disturbed(number))
    }

    fn wait_until(&self, there: impl Fn(&Board) -> bool) -> Result<(), String> {
        while !there(&self.board) {
            if let Some(message) = self.board.failure() {
                return Err(message);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// All threads' snapshots together.
    ///
    /// # Errors
    /// A thread's failure, or a histogram that does not merge, as its text.
    pub fn snapshot(&self) -> Result<Snapshot, String> {
        if let Some(message) = self.board.failure() {
            return Err(message);
        }
        self.board.snapshot().map_err(|error| error.to_string())
    }

    /// Ends the threads and waits for them.
    pub fn join(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.board.ask(Phase::Exit);
        for thread in self.threads.drain(..) {
            // A panicked thread has already printed its message.
            let _ = thread.join();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.end();
    }
}

/// One core thread, from its first ring to its last.
fn run(
    config: &BankConfig,
    mut director: impl Director,
    board: &Board,
    seat: usize,
) -> Result<(), BankError> {
    // Where the mask forbids the core, the thread still works; it only floats.
    let _ = crate::os::cores::pin_current_thread(config.core);
    let clock = MonotonicClock;
    let mut bank = Bank::new(config, clock.now())?;
    board.publish(seat, bank.snapshot(clock.now()));
    board.set_ready(seat);
    let mut phase = Phase::Hold;
    let mut last_pace = Pace::Tick;
    loop {
        let asked = board.phase();
        if asked != phase {
            bank.enter_phase(phase, asked, clock.now())?;
            phase = asked;
        }
        bank.disturbances.take(board);
        let mut drained = bank.tick(clock)?;
        let mut pace = director.direct(phase, &mut bank.lanes, &mut bank.instruments, clock);
        if bank.disturb(clock) {
            pace = Pace::Busy;
        }
        if pace == Pace::Busy || phase >= Phase::Ending {
            drained = bank.drive(clock)?;
        }
        bank.disturbances.settle(drained);
        let now = clock.now();
        let due = if pace == Pace::Busy {
            PUBLISH_BUSY
        } else {
            PUBLISH_EVERY
        };
        // When the coming and going is over, what came of it is shown at once.
        let over = std::mem::replace(&mut last_pace, pace) == Pace::Busy && pace == Pace::Tick;
        let disturbed = bank.disturbances.done();
        let news = over || phase != bank.acknowledged || disturbed != bank.disturbed;
        if news || now - bank.published_at >= due {
            board.publish(seat, bank.snapshot(now));
            bank.published_at = now;
            board.acknowledge_disturbances(seat, disturbed);
            bank.disturbed = disturbed;
            if bank.may_acknowledge(phase, pace) {
                board.acknowledge(seat, phase);
                bank.acknowledged = phase;
            }
        }
        if phase == Phase::Exit {
            return Ok(());
        }
        if drained {
            match config.driver {
                Driver::Tick => clock.sleep_until(next_tick(config, now, pace)),
                Driver::ThreadPerRing => bank.wait(pace, clock)?,
            }
        }
    }
}

/// The next instant to wake at.
fn next_tick(config: &BankConfig, now: Nanos, pace: Pace) -> Nanos {
    let tick = match pace {
        Pace::Tick => config.settings.tick,
        Pace::Busy => BUSY_TICK.min(config.settings.tick),
    };
    grid(config.tick_offset, tick, now) + tick
}

/// The last instant not after `now` that is a multiple of `tick` plus `offset`.
fn grid(offset: Nanos, tick: Nanos, now: Nanos) -> Nanos {
    let length = tick.0.max(1);
    let offset = offset.0 % length;
    Nanos((now - Nanos(offset)).0 / length * length + offset)
}

/// The lanes of one core and what they have measured.
#[derive(Debug)]
struct Bank {
    lanes: Vec<Lane>,
    tick: Nanos,
    instruments: Instruments,
    acknowledged: Phase,
    disturbances: Disturbances,
    /// Disturbances acknowledged.
    disturbed: usize,
    published_at: Nanos,
    window_opened: Option<(Nanos, Counters)>,
    window_closed: Option<(Nanos, Counters, BTreeMap<String, String>)>,
}

impl Bank {
    fn new(config: &BankConfig, now: Nanos) -> Result<Self, RingError> {
        let plan = &config.plan;
        let (seat, seats) = config.seat;
        // Wheel ticks begin where the thread wakes; out of step, everything would fire up to a tick late.
        let origin = grid(config.tick_offset, config.settings.tick, now);
        let rings = plan.rings_per_core;
        let lanes = (0..rings)
            .map(|ring| {
                let first = seat * rings + ring;
                let ordinals = (first, seats * rings);
                let reads = Engine::reads(config.engine.kind);
                let capacity = plan.connections_per_ring;
                let shard = Shard::new(config.settings, reads, capacity, ordinals, origin);
                let engine = Engine::new(config.engine, plan.slots, &config.options)?;
                Ok(Lane::new(shard, engine))
            })
            .collect::<Result<_, RingError>>()?;
        Ok(Self {
            lanes,
            tick: config.settings.tick,
            instruments: Instruments::default(),
            acknowledged: Phase::Hold,
            disturbances: Disturbances::default(),
            disturbed: 0,
            published_at: now,
            window_opened: None,
            window_closed: None,
        })
    }

    /// Completions of every lane, then its wheels, then what the wheels asked for. A lane gets one tick's time at
    /// most, so that under overload the lanes share the core. One that has not seen all its completions judges
    /// nobody (their heartbeats may be among the unseen), and one whose operations pile up sends nothing new.
    ///
    /// Returns whether every lane was left with nothing to do.
    fn tick(&mut self, clock: MonotonicClock) -> Result<bool, RingError> {
        for lane in &mut self.lanes {
            match lane.drive(&clock, &mut self.instruments, self.tick)? {
                Drive::Drained(seen) => {
                    lane.with(&clock, &mut self.instruments, |shard, cx| {
                        shard.on_tick(seen, cx);
                    });
                }
                Drive::Behind => lane.with(&clock, &mut self.instruments, Shard::on_late_tick),
                Drive::Congested => {}
            }
        }
        self.drive(clock)
    }

    /// Sleeps in the kernel until the one lane has an event or a deadline.
    fn wait(&mut self, pace: Pace, clock: MonotonicClock) -> Result<(), RingError> {
        let now = clock.now();
        let longest = match pace {
            Pace::Tick => LONGEST_WAIT,
            Pace::Busy => BUSY_TICK,
        };
        for lane in &mut self.lanes {
            let deadline = lane.shard.next_deadline(now).unwrap_or(now + longest);
            lane.wait((deadline - now).min(longest).as_duration())?;
        }
        Ok(())
    }

    fn drive(&mut self, clock: MonotonicClock) -> Result<bool, RingError> {
        let mut drained = true;
        for lane in &mut self.lanes {
            let got = lane.drive(&clock, &mut self.instruments, self.tick)?;
            drained &= matches!(got, Drive::Drained(_));
        }
        Ok(drained)
    }

    /// A portion of the disturbance under way; whether there was one.
    fn disturb(&mut self, clock: MonotonicClock) -> bool {
        self.disturbances
            .turn(&mut self.lanes, &mut self.instruments, clock)
    }

    fn enter_phase(&mut self, from: Phase, to: Phase, now: Nanos) -> Result<(), BankError> {
        if from < Phase::Window && to >= Phase::Window {
            self.window_opened = Some((now, self.totals()));
            self.instruments.recording = true;
        }
        if from < Phase::Closed && to >= Phase::Closed {
            self.instruments.recording = false;
            let (opened_at, opened) = self.window_opened.clone().unwrap_or_default();
            let counted = self.totals().since(&opened);
            self.window_closed = Some((now - opened_at, counted, self.instruments.encoded()?));
        }
        if from < Phase::Quiet && to >= Phase::Quiet {
            for lane in &mut self.lanes {
                lane.shard.quiet();
            }
        }
        Ok(())
    }

    /// Whether the phase's work is done: `Ending` lasts until every connection is gone.
    fn may_acknowledge(&self, phase: Phase, pace: Pace) -> bool {
        phase != Phase::Ending
            || (pace == Pace::Tick && self.lanes.iter().all(|lane| lane.shard.occupied() == 0))
    }

    fn totals(&self) -> Counters {
        let mut sum = Counters::default();
        for lane in &self.lanes {
            sum.add(lane.shard.counters());
            let ring = lane.ring_counters();
            sum.completion_overflows += ring.overflows;
            sum.enters += ring.enters;
        }
        sum
    }

    fn snapshot(&self, now: Nanos) -> Snapshot {
        let totals = self.totals();
        let (window_ns, window, histograms) = match (&self.window_closed, &self.window_opened) {
            (Some((span, window, histograms)), _) => {
                (*span, Some(window.clone()), histograms.clone())
            }
            (None, Some((opened_at, opened))) => (
                now - *opened_at,
                Some(totals.since(opened)),
                BTreeMap::new(),
            ),
            (None, None) => (Nanos::ZERO, None, BTreeMap::new()),
        };
        let shards = || self.lanes.iter().map(|lane| &lane.shard);
        let mut endings: Vec<_> = shards().flat_map(Shard::endings).copied().collect();
        endings.sort_by_key(|ending| ending.at_ns);
        Snapshot {
            at: now,
            totals,
            window,
            window_ns,
            histograms,
            ladders: self.instruments.ladders.clone(),
            opened_in: None,
            reconnects: self.window_closed.as_ref().map(|_| {
                let instruments = &self.instruments;
                let begun = instruments.reconnects_begun.clone();
                (begun, instruments.reconnects_established.clone())
            }),
            table_bytes: shards().map(Shard::memory_bytes).sum(),
            occupied: shards().map(|shard| shard.occupied() as u64).sum(),
            timers_armed: shards().map(|shard| shard.timers_armed() as u64).sum(),
            endings,
        }
    }
}
