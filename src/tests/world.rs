//! Two shards joined by the fake kernel, driven in virtual time the way a bank drives its lanes.
//!
//! Does not assert what a test is about, only what must hold at every tick: slots, watches and counters.

use super::dice::Dice;
use super::fake_ring::{Disorder, Kernel, LOAD, SERVER};
use super::socket::Socket;
use crate::arm::Arm;
use crate::ring::Operation;
use crate::shard::{
    Accepting, CloseCause, Context, Counters, Instruments, Phases, Reads, Role, Settings, Shard,
};
use crate::units::Nanos;
use crate::wheel::TimersKind;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

pub(super) const TICK: Nanos = Nanos::from_millis(20);
pub(super) const INTERVAL: Nanos = Nanos::from_secs(3);
pub(super) const IDLE_TIMEOUT: Nanos = Nanos::from_secs(9);
pub(super) const ANSWER_TIMEOUT: Nanos = Nanos::from_secs(6);

/// Where every other connection comes from.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7000);

/// What a bank has for one ring.
#[derive(Debug)]
struct Half {
    role: Role,
    shard: Shard,
    operations: VecDeque<Operation>,
    instruments: Instruments,
    stalled_until: Nanos,
    /// Reads nothing any more, so that no watch is armed.
    deaf: bool,
}

impl Half {
    /// After every call: places and timers are those of the living, and no more.
    fn keeps_nothing_of_the_dead(&self) {
        let counters = self.shard.counters();
        let places = counters.open + counters.connecting;
        assert_eq!(self.shard.occupied() as u64, places, "places");
        let (open, armed) = (counters.open, self.shard.timers_armed() as u64);
        let expected = match self.role {
            Role::Idle => 0..=0,
            Role::Responder { .. } | Role::Sender { acked: false } => open..=open,
            // One for the heartbeat to come, and one for the ack that is owed.
            Role::Sender { acked: true } => open..=2 * open,
        };
        assert!(expected.contains(&armed), "{armed} timers for {open}");
    }
}

/// How to make a [`World`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Making {
    pub(super) seed: u64,
    pub(super) arm: Arm,
    pub(super) disorder: Disorder,
    pub(super) slots: usize,
    pub(super) capacity: u32,
    pub(super) keepalive: bool,
    pub(super) reads: Reads,
    pub(super) timers: TimersKind,
    pub(super) answer_timeout: Nanos,
}

impl Making {
    pub(super) fn new(seed: u64, arm: Arm, disorder: Disorder) -> Self {
        Self {
            seed,
            arm,
            disorder,
            slots: 400,
            capacity: 4096,
            keepalive: false,
            reads: Reads::Watch,
            timers: TimersKind::Wheel,
            answer_timeout: ANSWER_TIMEOUT,
        }
    }

    pub(super) fn world(self) -> World {
        self.world_with_backlog(128)
    }

    pub(super) fn world_with_backlog(self, backlog: usize) -> World {
        World::new(self, backlog)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct World {
    pub(super) kernel: Kernel,
    halves: [Half; 2],
    pub(super) dice: Dice,
    pub(super) now: Nanos,
    opened: u32,
}

impl World {
    fn new(making: Making, backlog: usize) -> Self {
        let mut dice = Dice::new(making.seed ^ 0x5EED);
        let start = Nanos::from_secs(1000);
        let [server, load] = [making.arm.server_role(), making.arm.load_role()].map(|role| {
            let settings = Settings {
                role,
                interval: INTERVAL,
                idle_timeout: IDLE_TIMEOUT,
                answer_timeout: making.answer_timeout,
                tick: TICK,
                phases: Phases::Staggered,
                timers: making.timers,
                keepalive: making.keepalive,
                option_variants: 0,
                log_endings: true,
                phase_origin: Nanos::ZERO,
            };
            // The wheels' ticks need not begin when the bank's do.
            let origin = start - dice.span(TICK);
            Half {
                role,
                shard: Shard::new(settings, making.reads, making.capacity, (0, 1), origin),
                operations: VecDeque::new(),
                instruments: Instruments::default(),
                stalled_until: Nanos::ZERO,
                deaf: false,
            }
        });
        let slots = [making.slots, 4096];
        Self {
            kernel: Kernel::new(making.seed, making.disorder, slots, backlog),
            halves: [server, load],
            dice,
            now: start,
            opened: 0,
        }
    }

    pub(super) fn counters(&self, side: usize) -> &Counters {
        self.halves[side].shard.counters()
    }

    pub(super) fn closed_by(&self, side: usize, cause: CloseCause) -> u64 {
        self.counters(side).closed_by(cause)
    }

    pub(super) fn shard(&self, side: usize) -> &Shard {
        &self.halves[side].shard
    }

    /// Calls `with` on a shard, as a director does between ticks.
    pub(super) fn with(&mut self, side: usize, with: impl FnOnce(&mut Shard, &mut Context<'_>)) {
        let half = &mut self.halves[side];
        let mut context = Context {
            now: self.now,
            operations: &mut half.operations,
            instruments: &mut half.instruments,
        };
        with(&mut half.shard, &mut context);
    }

    pub(super) fn connect(&mut self, count: u32) {
        for _ in 0..count {
            let ordinal = self.opened;
            self.opened += 1;
            let source = (ordinal % 2 == 1).then_some(SOURCE);
            self.with(LOAD, |shard, cx| {
                shard.connect(ADDRESS, source, ordinal, 1, cx);
            });
        }
    }

    /// Opens the connection `ordinal` anew.
    pub(super) fn reconnect(&mut self, ordinal: u32) {
        let source = (ordinal % 2 == 1).then_some(SOURCE);
        self.with(LOAD, |shard, cx| {
            shard.reconnect(ADDRESS, source, ordinal, 1, cx);
        });
    }

    /// Opens `count` connections a few at a time and waits until both ends hold them.
    pub(super) fn establish(&mut self, count: u32) {
        for _ in 0..count.div_ceil(50) {
            self.connect((count - self.opened).min(50));
            self.run_for(Nanos::from_millis(100));
        }
        let open = |world: &Self, side| world.counters(side).open == u64::from(count);
        for _ in 0..50 {
            if open(self, SERVER) && open(self, LOAD) {
                return;
            }
            self.run_for(Nanos::from_millis(100));
        }
        panic!(
            "asked {count}, {:?}",
            [SERVER, LOAD].map(|side| self.counters(side).open)
        );
    }

    /// The loop of `side` does not run for `span`.
    pub(super) fn stall(&mut self, side: usize, span: Nanos) {
        self.halves[side].stalled_until = self.now + span;
    }

    /// Makes `side` deaf, `portion` connections at a time as a bank does.
    pub(super) fn deafen(&mut self, side: usize, portion: usize) {
        let mut walk = self.shard(side).walk();
        let mut visited = portion;
        while visited == portion {
            self.with(side, |shard, cx| {
                visited = shard.deafen(&mut walk, portion, cx);
            });
            self.drive(side);
        }
        self.halves[side].deaf = true;
    }

    /// Has `side` send `frames` data frames on each connection, likewise.
    pub(super) fn speak(&mut self, side: usize, frames: u32, portion: usize) {
        let mut walk = self.shard(side).walk();
        let mut visited = portion;
        while visited == portion {
            self.with(side, |shard, cx| {
                visited = shard.speak(&mut walk, frames, portion, cx);
            });
            self.drive(side);
        }
    }

    /// The process of `side` is stopped for `span` between its last look and its verdicts.
    pub(super) fn stop_before_verdicts(&mut self, side: usize, span: Nanos) {
        self.kernel.advance(self.now);
        self.drive(side);
        let seen = self.now;
        self.stall(side, span);
        self.run_for(span);
        self.with(side, |shard, cx| shard.on_tick(seen, cx));
        self.drive(side);
    }

    pub(super) fn run_for(&mut self, span: Nanos) {
        let end = self.now + span;
        while self.now < end {
            self.tick(LOAD);
            self.now += Nanos(TICK.0 / 2);
            self.tick(SERVER);
            self.now += Nanos(TICK.0 - TICK.0 / 2);
        }
    }

    /// Stops the heartbeats and lets what is under way arrive.
    pub(super) fn drain(&mut self) {
        for half in &mut self.halves {
            half.shard.quiet();
        }
        self.run_for(Nanos::from_secs(2));
    }

    /// The socket of `side` at the other end of `socket`.
    pub(super) fn peer(&self, socket: usize) -> &Socket {
        &self.kernel.sockets[self.kernel.sockets[socket].peer.unwrap()]
    }

    /// One tick, in the order of the bank: completions, wheels, what they asked for, the director.
    fn tick(&mut self, side: usize) {
        self.kernel.advance(self.now);
        if self.now < self.halves[side].stalled_until {
            return;
        }
        self.drive(side);
        let seen = self.now;
        self.with(side, |shard, cx| shard.on_tick(seen, cx));
        self.halves[side].keeps_nothing_of_the_dead();
        self.drive(side);
        if side == SERVER && self.halves[side].shard.accepting() == Accepting::Off {
            self.with(side, |shard, cx| shard.start_accept(3, cx));
            self.drive(side);
        }
        self.check(side);
    }

    /// As [`crate::bank::Lane::drive`].
    pub(super) fn drive(&mut self, side: usize) {
        let Self {
            kernel,
            halves,
            now,
            ..
        } = self;
        let half = &mut halves[side];
        for _ in 0..4096 {
            while let Some(operation) = half.operations.front()
                && kernel.push(side, *operation)
            {
                half.operations.pop_front();
            }
            if !kernel.has_work(side) && half.operations.is_empty() {
                return;
            }
            kernel.enter(side);
            kernel.reap(side, |completion| {
                let mut context = Context {
                    now: *now,
                    operations: &mut half.operations,
                    instruments: &mut half.instruments,
                };
                half.shard.on_completion(&completion, &mut context);
                half.keeps_nothing_of_the_dead();
            });
        }
        panic!("the lane of side {side} never comes to rest");
    }

    /// What holds between any two ticks.
    pub(super) fn check(&self, side: usize) {
        let counters = self.counters(side);
        let closed: u64 = counters.closed.values().sum();
        let failed: u64 = counters.connects_failed.values().sum();
        assert_eq!(
            counters.established,
            counters.open + closed,
            "balance of side {side}"
        );
        if side == LOAD {
            let begun = counters.established + counters.connecting + failed;
            assert_eq!(counters.connects, begun, "balance of connects");
        }
        let occupied = self.halves[side].shard.occupied();
        let expected = usize::try_from(counters.open + counters.connecting).unwrap();
        assert_eq!(occupied, expected, "places of side {side}");
        assert_eq!(self.kernel.held(side), occupied, "slots of side {side}");
        let read = if self.halves[side].deaf {
            0
        } else {
            counters.open
        };
        assert_eq!(
            self.kernel.watches(side),
            usize::try_from(read).unwrap(),
            "armed watches of side {side}"
        );
    }
}
