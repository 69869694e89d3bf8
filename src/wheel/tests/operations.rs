//! Random instants near everything that other wheels have stumbled over, and random operations.

use super::oracle::World;
use crate::units::Nanos;
use crate::wheel::TimersKind;
use proptest::prelude::*;

/// Ticks of one circle of level 0, of level 1, and of the whole wheel.
pub(super) const FINE: u64 = 1 << 13;
pub(super) const MIDDLE: u64 = 1 << 19;
pub(super) const FAR: u64 = 1 << 25;
/// The lap of the 32-bit tick.
pub(super) const LAP: u64 = 1 << 32;

/// A span in ticks, and where in the last tick it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) ticks: u64,
    pub(super) end: End,
}

/// Where in its tick an instant lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// A nanosecond before the tick begins.
    Before,
    /// As the tick begins.
    Begin,
    /// A nanosecond after.
    After,
    /// As far into a tick as the present is, and this fraction of 2^32 of a tick more.
    Into(u32),
}

impl Span {
    /// The span counted from `from`, or back from it, but never before the clock's origin: no clock
    /// shows that, and a tick cannot say it.
    pub(super) fn from(self, world: &World, from: Nanos, back: bool) -> Nanos {
        let tick = world.clock.tick().0;
        let span = self.ticks * tick;
        let begun = world.at(world.floor(from)).0;
        let there = |from: u64| {
            if back {
                from.saturating_sub(span)
            } else {
                from + span
            }
        };
        let instant = Nanos(match self.end {
            End::Before => there(begun).saturating_sub(1),
            End::Begin => there(begun),
            End::After => there(begun) + 1,
            End::Into(fraction) => there(from.0) + part_of(tick, fraction),
        });
        instant.max(world.at(0))
    }

    /// The bare length in nanoseconds.
    pub(super) fn nanos(self, world: &World) -> u64 {
        let tick = world.clock.tick().0;
        let part = match self.end {
            End::Before | End::Begin => 0,
            End::After => 1,
            End::Into(fraction) => part_of(tick, fraction),
        };
        self.ticks * tick + part
    }
}

fn part_of(tick: u64, fraction: u32) -> u64 {
    let part = (u128::from(fraction) * u128::from(tick)) >> 32;
    u64::try_from(part).unwrap_or(0)
}

/// Nothing, a tick, and everything near a boundary of the geometry, to ten times the whole range.
pub(super) fn ticks() -> impl Strategy<Value = u64> {
    let near = |boundary: u64| boundary - 3..boundary + 4;
    prop_oneof![
        2 => Just(0),
        3 => 1..4_u64,
        4 => 4..FINE,
        3 => near(FINE),
        2 => near(2 * FINE),
        2 => FINE..MIDDLE,
        2 => near(MIDDLE),
        1 => MIDDLE..FAR,
        1 => near(FAR),
        1 => near(FAR + FINE),
        1 => FAR..10 * FAR,
        1 => near(10 * FAR),
    ]
}

pub(super) fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Before),
        Just(End::Begin),
        Just(End::After),
        any::<u32>().prop_map(End::Into),
    ]
}

pub(super) fn span() -> impl Strategy<Value = Span> {
    (ticks(), end()).prop_map(|(ticks, end)| Span { ticks, end })
}

/// A span of less than two circles of level 0.
pub(super) fn short() -> impl Strategy<Value = Span> {
    let ticks = prop_oneof![0..40_u64, 0..2 * FINE];
    (ticks, end()).prop_map(|(ticks, end)| Span { ticks, end })
}

/// Lengths of a tick in nanoseconds: a power of two, the default, and an odd one.
pub(super) fn tick() -> impl Strategy<Value = u64> {
    prop_oneof![Just(8_388_608), Just(8_000_000), Just(1_000_003)]
}

/// Where the cursor starts: near 0, near every power of two a level or a sign could care about, near
/// the wrap of the tick and a whole range before it.
pub(super) fn start() -> impl Strategy<Value = u64> {
    let base = prop_oneof![
        2 => Just(3_u64),
        6 => (10..32_u32).prop_map(|power| 1 << power),
        3 => Just(LAP),
        1 => Just(LAP - FAR),
        1 => Just(LAP - FINE),
    ];
    (base, 0..6_u64).prop_map(|(base, offset)| base + offset - 3)
}

pub(super) fn kind() -> impl Strategy<Value = TimersKind> {
    let period = prop_oneof![1..4_u32, 4..40_u32, Just(8192), Just(100_000)];
    prop_oneof![
        2 => Just(TimersKind::Wheel),
        1 => period.prop_map(|period| TimersKind::Sweep { period }),
    ]
}

/// A world of any kind, tick and start.
pub(super) fn world() -> impl Strategy<Value = (TimersKind, u64, u64, u64)> {
    (kind(), tick(), start(), any::<u64>())
}

/// Makes what [`world`] drew.
pub(super) fn make((kind, tick, start, into): (TimersKind, u64, u64, u64)) -> World {
    World::new(kind, tick, start, into)
}

/// What an owner can do.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// Arm, also what is armed, for earlier or later, or for the past.
    Arm { index: u32, delay: Span, past: bool },
    /// A heartbeat.
    Refresh { index: u32, extra: Span },
    /// A close.
    Cancel { index: u32 },
    /// Turn by `step`, or back; `budget` entries once, or in slices until nothing is pending.
    Turn {
        step: Span,
        back: bool,
        budget: usize,
        whole: bool,
    },
    /// Take what expired, and arm it again.
    ArmExpired { delay: Span, past: bool },
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let index = || prop_oneof![9 => 0..16_u32, 1 => 40..44_u32, 1 => 60..200_u32];
    let past = || prop_oneof![6 => Just(false), 1 => Just(true)];
    let budget = prop_oneof![0..4_usize, Just(usize::MAX)];
    prop_oneof![
        6 => (index(), span(), past())
            .prop_map(|(index, delay, past)| Operation::Arm { index, delay, past }),
        4 => (index(), span()).prop_map(|(index, extra)| Operation::Refresh { index, extra }),
        3 => index().prop_map(|index| Operation::Cancel { index }),
        5 => (span(), past(), budget, any::<bool>())
            .prop_map(|(step, back, budget, whole)| Operation::Turn { step, back, budget, whole }),
        2 => (span(), past()).prop_map(|(delay, past)| Operation::ArmExpired { delay, past }),
    ]
}

/// Does it, and checks the structure.
pub(super) fn apply(world: &mut World, operation: &Operation) {
    match *operation {
        Operation::Arm { index, delay, past } => {
            world.arm(index, delay.from(world, world.now, past));
        }
        Operation::Refresh { index, extra } => world.refresh(index, extra.nanos(world)),
        Operation::Cancel { index } => world.cancel(index),
        Operation::Turn {
            step,
            back,
            budget,
            whole,
        } => {
            let now = step.from(world, world.now, back);
            // What waits must stay within 2^31 ticks, so a long step leaves nothing waiting.
            if whole || step.ticks > MIDDLE {
                world.finish(now, budget);
            } else {
                world.turn(now, budget);
            }
        }
        Operation::ArmExpired { delay, past } => {
            for index in world.take_expired() {
                world.arm(index, delay.from(world, world.now, past));
            }
        }
    }
    world.check();
}
