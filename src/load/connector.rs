//! What a core thread of the load generator does between two turns of its rings: opens its share of the connections,
//! and opens those anew that are gone.
//!
//! Does not wait for anything. Within [the ramp](super::ramp) and [the recovery](super::recovery) it asks how many may
//! be opened, and finds rings with room for them.

use super::LoadConfig;
use super::opening::Opening;
use super::ramp::Ramp;
use super::recovery::Recovery;
use super::routes::Routes;
use super::share::Shard;
use crate::bank::{CLOSES_PER_TURN, Director, Lane, Pace, Phase, RingPlan, Rotation, Turnover};
use crate::clock::{Clock as _, MonotonicClock};
use crate::shard::{Instruments, Told};
use crate::units::Nanos;

/// Connections a thread opens anew per turn and ring. More would only wait in user space, with their connect times
/// running: a turn is a millisecond, and a connect costs some twenty microseconds.
const REOPENS_PER_TURN: usize = 256;
/// How long before a connection is due the thread begins to look every millisecond: one that sleeps on its ring's
/// events would otherwise sleep past it.
const LOOK_AHEAD: Nanos = Nanos::from_millis(100);

/// Opens one core's share.
#[derive(Debug)]
pub(super) struct Connector {
    ramp: Ramp,
    routes: Routes,
    options: u32,
    capacity: usize,
    /// The lane that had room last: lanes fill in turn.
    filling: usize,
    opening: Opening,
    /// Whether the end of the ramp has been told.
    told: bool,
    /// This thread's place among the threads: ordinals are dealt out in turn.
    seat: (u32, u32),
    /// This process's place among the load generators, likewise.
    shard: Shard,
    abort: bool,
    again: Option<Again>,
}

/// What brings connections back.
#[derive(Debug)]
struct Again {
    recovery: Recovery,
    /// Connections ended and opened anew while the window is open.
    churn: Option<Ramp>,
    churning: Rotation,
    turnover: Option<Turnover>,
    news: Vec<Told>,
}

impl Connector {
    pub(super) fn new(
        config: &LoadConfig,
        plan: &RingPlan,
        options: usize,
        seat: (u32, u32),
        opening: &Opening,
    ) -> Self {
        let (place, threads) = (u64::from(seat.0), u64::from(seat.1));
        let total = config.connections / threads + u64::from(place < config.connections % threads);
        // The server's accept queue is per core, whatever shares it.
        let threads_per_core = (threads / (config.cores.len() as u64).max(1)).max(1);
        let in_flight = (config.in_flight / threads_per_core).max(1);
        let anew = config.reconnects_in_flight;
        let anew = anew.map_or(in_flight, |most| (most / threads_per_core).max(1));
        // No two threads of all load generators draw the same delays.
        let draws = config
            .shard
            .index()
            .wrapping_mul(seat.1)
            .wrapping_add(seat.0);
        let churn = config.churn_per_second.map(|rate| share(rate, threads));
        let wanted =
            config.reconnect.is_some() || churn.is_some() || config.turnover_above.is_some();
        Self {
            ramp: Ramp::new(
                total,
                config.ramp_rate.map(|rate| share(rate, threads)),
                in_flight,
            ),
            routes: Routes::new(&config.targets, &config.sources, config.shard.index()),
            options: u32::try_from(options).unwrap_or(0),
            capacity: plan.connections_per_ring as usize,
            filling: 0,
            opening: opening.clone(),
            told: false,
            seat,
            shard: config.shard,
            abort: config.abort,
            again: wanted.then(|| Again {
                recovery: Recovery::new(config.reconnect, draws, anew),
                churn: churn.map(|rate| Ramp::new(u64::MAX, Some(rate), u64::MAX)),
                churning: Rotation::default(),
                turnover: config
                    .turnover_above
                    .map(|keep| Turnover::new(keep, seat, config.abort)),
                news: Vec::new(),
            }),
        }
    }

    fn open(
        &mut self,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace {
        let connecting = connecting(lanes);
        let again = self.again.as_ref();
        let reconnecting = again.map_or(0, |again| again.recovery.connecting());
        if self.opening.is_stopped() {
            self.ramp.stop();
        }
        let first = self.ramp.begun();
        let now = clock.now();
        let count = self.ramp.begin(now, connecting);
        if first == 0 && count > 0 {
            self.opening.begin(now);
        }
        for number in first..first + count {
            let Some(lane) = lane_with_room(&mut self.filling, self.capacity, lanes) else {
                break;
            };
            let (seat, seats) = self.seat;
            let local = u32::try_from(number)
                .unwrap_or(u32::MAX)
                .wrapping_mul(seats)
                .wrapping_add(seat);
            let (target, source) = self.routes.of(local);
            let ordinal = self.shard.ordinal(local);
            let options = self.options;
            lanes[lane].with(&clock, instruments, |shard, cx| {
                shard.connect(target, source, ordinal, options, cx);
            });
        }
        if !self.ramp.is_over() || connecting > reconnecting || count > 0 {
            return Pace::Busy;
        }
        if !std::mem::replace(&mut self.told, true) {
            self.opening.end(now);
        }
        Pace::Tick
    }

    /// Learns what has become of connections, and opens those anew whose time has come.
    fn reopen(
        &mut self,
        phase: Phase,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace {
        let Some(again) = &mut self.again else {
            return Pace::Tick;
        };
        if phase == Phase::Window && self.told {
            again.churn(lanes, instruments, clock, self.abort);
            if let Some(turnover) = &mut again.turnover {
                turnover.turn(lanes, instruments, clock);
            }
        }
        for lane in lanes.iter_mut() {
            lane.shard.follow();
            lane.shard.fetch(&mut again.news);
        }
        for told in again.news.drain(..) {
            if let Some(gone) = again.recovery.learn(told) {
                instruments.recovered(gone);
            }
        }
        let now = clock.now();
        for _ in 0..REOPENS_PER_TURN * lanes.len() {
            let Some(lane) = lane_with_room(&mut self.filling, self.capacity, lanes)
                .filter(|lane| lanes[*lane].queued() <= REOPENS_PER_TURN)
            else {
                break;
            };
            let Some(ordinal) = again.recovery.begin(now) else {
                break;
            };
            let (target, source) = self.routes.of(self.shard.local(ordinal));
            let options = self.options;
            lanes[lane].with(&clock, instruments, |shard, cx| {
                shard.reconnect(target, source, ordinal, options, cx);
            });
        }
        let next = again.recovery.next_due();
        let due = next.is_some_and(|due| due < now + LOOK_AHEAD);
        if due || again.recovery.connecting() > 0 {
            Pace::Busy
        } else {
            Pace::Tick
        }
    }
}

impl Again {
    /// Ends as many connections as the rate asks for.
    fn churn(
        &mut self,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
        abort: bool,
    ) {
        if let Some(churn) = &mut self.churn {
            let count = churn.begin(clock.now(), 0);
            self.churning.end(count, abort, lanes, instruments, clock);
        }
    }
}

/// One thread's share of a rate.
#[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
fn share(rate: u64, threads: u64) -> f64 {
    rate as f64 / threads as f64
}

/// Connects that are unanswered, first ones and others.
fn connecting(lanes: &[Lane]) -> u64 {
    let counts = lanes.iter().map(|lane| lane.shard.counters().connecting);
    counts.sum()
}

fn lane_with_room(filling: &mut usize, capacity: usize, lanes: &[Lane]) -> Option<usize> {
    let count = lanes.len();
    let found = (0..count)
        .map(|step| (*filling + step) % count)
        .find(|lane| lanes[*lane].shard.occupied() < capacity)?;
    *filling = found;
    Some(found)
}

impl Director for Connector {
    fn direct(
        &mut self,
        phase: Phase,
        lanes: &mut [Lane],
        instruments: &mut Instruments,
        clock: MonotonicClock,
    ) -> Pace {
        match phase {
            Phase::Hold => Pace::Busy,
            Phase::Open | Phase::Window | Phase::Closed => {
                let anew = self.reopen(phase, lanes, instruments, clock);
                let first = self.open(lanes, instruments, clock);
                if anew == Pace::Busy { anew } else { first }
            }
            Phase::Quiet => Pace::Tick,
            Phase::Ending | Phase::Exit => {
                let mut left = CLOSES_PER_TURN;
                for lane in lanes {
                    left -= lane.with(&clock, instruments, |shard, cx| {
                        shard.close_some(left, self.abort, cx)
                    });
                }
                if left == 0 { Pace::Busy } else { Pace::Tick }
            }
        }
    }
}
