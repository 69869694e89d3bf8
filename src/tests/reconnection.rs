//! Connections that are lost and come back, on shards against the fake kernel: whatever the disorder, everybody does, in
//! the place it had.
//!
//! Does not test delays; [the recovery](crate::load::recovery) has tests of its own. A failure names its seed.

use super::fake_ring::{Disorder, LOAD, SERVER};
use super::simulation::{each_seed, open};
use super::socket::Segment;
use super::world::{Making, TICK, World};
use crate::arm::Arm;
use crate::load::recovery::Recovery;
use crate::load::{Backoff, Jitter};
use crate::shard::{CloseCause, Fate, Reads, Told};
use crate::units::Nanos;
use std::collections::BTreeMap;

const POPULATION: u32 = 120;
const BACKOFF: Backoff = Backoff {
    base_ms: 50,
    cap_ms: 800,
    jitter: Jitter::Full,
    seed: 11,
};

/// The load side's director, as far as it brings connections back.
struct Returning {
    recovery: Recovery,
    news: Vec<Told>,
    /// How often each came back, and how often it was told lost or churned.
    returned: BTreeMap<u32, u32>,
    ended: BTreeMap<u32, u32>,
    gone: Vec<Nanos>,
}

impl Returning {
    fn new(backoff: Option<Backoff>) -> Self {
        Self {
            recovery: Recovery::new(backoff, 0, 40),
            news: Vec::new(),
            returned: BTreeMap::new(),
            ended: BTreeMap::new(),
            gone: Vec::new(),
        }
    }

    fn turn(&mut self, world: &mut World) {
        world.with(LOAD, |shard, _| {
            shard.follow();
            shard.fetch(&mut self.news);
        });
        for told in self.news.drain(..) {
            let counted = match told.fate {
                Fate::Lost | Fate::Churned => &mut self.ended,
                Fate::Returned => &mut self.returned,
                Fate::Failed => {
                    self.recovery.learn(told);
                    continue;
                }
            };
            *counted.entry(told.ordinal).or_default() += 1;
            self.gone.extend(self.recovery.learn(told));
        }
        while let Some(ordinal) = self.recovery.begin(world.now) {
            world.reconnect(ordinal);
        }
    }

    /// Runs until everybody is there at both ends.
    fn until_whole(&mut self, world: &mut World) {
        for _ in 0..5_000 {
            self.turn(world);
            world.run_for(TICK);
            let whole = |side| world.counters(side).open == u64::from(POPULATION);
            if whole(LOAD) && whole(SERVER) && self.recovery.next_due().is_none() {
                return self.turn(world);
            }
        }
        panic!(
            "only {:?} are back",
            [SERVER, LOAD].map(|side| world.counters(side).open)
        );
    }
}

/// A world whose network has turned bad once everybody was connected.
fn troubled(seed: u64) -> World {
    let arm = [Arm::None, Arm::Heartbeat, Arm::HeartbeatPush][usize::try_from(seed % 3).unwrap()];
    let reads = if seed.is_multiple_of(2) {
        Reads::Watch
    } else {
        Reads::Stream
    };
    let making = Making {
        reads,
        ..Making::new(seed, arm, Disorder::HEAVY)
    };
    let mut world = making.world();
    world.establish(POPULATION);
    world.with(LOAD, |shard, _| shard.follow());
    world.kernel.disorder.refused = 300;
    world.kernel.disorder.unbindable = 200;
    world
}

/// Every reconnect has succeeded or failed, and the losses are not among the first connects.
fn balanced(world: &World) {
    let load = world.counters(LOAD);
    let failed: u64 = load.reconnects_failed.values().sum();
    assert_eq!(load.reconnects, load.reconnects_established + failed);
    assert_eq!(load.connects, u64::from(POPULATION) + load.reconnects);
    assert!(failed > 0, "the disorder did not bite");
    assert!(load.reconnects_failed.contains_key(&libc::ECONNREFUSED));
}

#[test]
fn everybody_comes_back_from_a_storm_once_and_as_who_it_was() {
    each_seed(0..12, |seed| {
        let mut world = troubled(seed);
        let mut returning = Returning::new(Some(BACKOFF));
        let abort = seed % 4 < 2;
        world.with(SERVER, |shard, cx| _ = shard.close_some(999, abort, cx));
        world.run_for(Nanos(5 * TICK.0));
        returning.until_whole(&mut world);
        balanced(&world);
        let once: BTreeMap<u32, u32> = (0..POPULATION).map(|ordinal| (ordinal, 1)).collect();
        assert_eq!(returning.ended, once);
        assert_eq!(returning.returned, once);
        assert_eq!(returning.gone.len(), once.len(), "each was gone for a time");
        assert_eq!(world.counters(LOAD).lost(), u64::from(POPULATION));
    });
}

#[test]
fn losses_one_by_one_are_made_good_while_heartbeats_flow() {
    each_seed(100..106, |seed| {
        let mut world = troubled(seed);
        let mut returning = Returning::new(Some(BACKOFF));
        for _ in 0..60 {
            let mut sockets = open(&world, LOAD);
            sockets.retain(|socket| world.kernel.sockets[*socket].peer.is_some());
            let socket = sockets[world.dice.below(sockets.len())];
            if world.dice.chance(500) {
                world.kernel.deliver(socket, Segment::Fin);
            } else {
                // A reset between them, which neither tells the other.
                let peer = world.kernel.sockets[socket].peer.unwrap();
                for end in [socket, peer] {
                    let segment = Segment::Error(libc::ECONNRESET);
                    world.kernel.deliver(end, segment);
                }
            }
            world.run_for(Nanos(3 * TICK.0));
            returning.turn(&mut world);
        }
        returning.until_whole(&mut world);
        balanced(&world);
        assert_eq!(returning.ended, returning.returned);
        assert!(returning.ended.values().sum::<u32>() >= 40);
    });
}

#[test]
fn a_churn_takes_everybody_once_before_anybody_twice_and_loses_nobody() {
    each_seed(200..206, |seed| {
        let mut world = troubled(seed);
        let mut returning = Returning::new(Some(BACKOFF));
        for _ in 0..POPULATION / 10 {
            world.with(LOAD, |shard, cx| {
                assert_eq!(shard.churn(10, seed % 2 == 0, cx), 10);
            });
            returning.until_whole(&mut world);
        }
        let once: BTreeMap<u32, u32> = (0..POPULATION).map(|ordinal| (ordinal, 1)).collect();
        assert_eq!((&returning.ended, &returning.returned), (&once, &once));
        assert_eq!(returning.gone, [], "what we end ourselves is not lost");
        let load = world.counters(LOAD);
        assert_eq!(load.closed_by(CloseCause::Churned), u64::from(POPULATION));
        assert_eq!(load.lost(), 0);
        balanced(&world);
    });
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let mut world = Making::new(1, Arm::None, Disorder::default()).world();
    world.establish(20);
    world.with(SERVER, |shard, cx| _ = shard.close_some(999, false, cx));
    world.run_for(Nanos::from_secs(1));
    let mut news = Vec::new();
    world.with(LOAD, |shard, _| shard.fetch(&mut news));
    assert_eq!((world.counters(LOAD).lost(), news.len()), (20, 0));
}
