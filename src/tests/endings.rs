//! How connections end in the simulation: nothing of them is left, and the log tells each once.
//!
//! Does not measure. A failure names its seed.

use super::fake_ring::{Disorder, LOAD, SERVER};
use super::simulation::{HEARTBEATS, READS, TIMERS, count, each_seed, open, roles};
use super::socket::Segment;
use super::world::{IDLE_TIMEOUT, Making, World};
use crate::arm::Arm;
use crate::protocol::{Frame, Kind};
use crate::ring::Operation;
use crate::shard::CloseCause;
use crate::units::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// Socket, place in the table and timers go in the very call that gives the verdict.
#[test]
fn a_verdict_leaves_neither_place_nor_timer_behind() {
    each_seed(1200..1212, |seed| {
        for arm in HEARTBEATS {
            let (sender, receiver) = roles(arm);
            let timers = TIMERS[count(seed) % TIMERS.len()];
            let making = Making::new(seed, arm, Disorder::HEAVY);
            let mut world = Making { timers, ..making }.world();
            world.establish(60);
            world.run_for(Nanos::from_secs(4));
            for socket in open(&world, sender) {
                world.kernel.sockets[socket].silenced = true;
            }
            world.run_for(Nanos::from_secs(1));
            world.now += IDLE_TIMEOUT;
            world.with(receiver, |shard, cx| {
                assert!(shard.timers_armed() >= 60 && shard.occupied() == 60);
                cx.operations.clear();
                shard.on_tick(cx.now, cx);
                assert_eq!((shard.timers_armed(), shard.occupied()), (0, 0), "{arm}");
                let closes = cx.operations.iter();
                let closes = closes.filter(|asked| matches!(asked, Operation::Close { .. }));
                assert_eq!(closes.count(), 60, "{arm}");
                assert_eq!(shard.endings().len(), 60);
                let counted = shard.counters();
                assert_eq!((counted.ended_with_rst, counted.ended_with_fin), (60, 0));
            });
        }
    });
}

/// A sender that is not answered gives back the schedule's entry beside the answer timer's.
#[test]
fn an_unanswered_sender_leaves_nothing_behind_either() {
    each_seed(1220..1226, |seed| {
        let mut world = Making::new(seed, Arm::Heartbeat, Disorder::HEAVY).world();
        world.establish(60);
        world.run_for(Nanos::from_secs(4));
        for socket in open(&world, SERVER) {
            world.kernel.sockets[socket].silenced = true;
        }
        // An interval, so that each has sent a heartbeat which nobody answers.
        world.run_for(Nanos::from_secs(4));
        world.now += IDLE_TIMEOUT;
        world.with(LOAD, |shard, cx| {
            assert_eq!((shard.timers_armed(), shard.occupied()), (120, 60));
            shard.on_tick(cx.now, cx);
            assert_eq!((shard.timers_armed(), shard.occupied()), (0, 0));
            let told = shard.endings().iter();
            assert!(told.clone().all(|ending| ending.at_ns == cx.now));
            assert!(
                told.clone()
                    .all(|ending| ending.cause == CloseCause::AnswerTimeout)
            );
            assert_eq!(told.count(), 60);
        });
    });
}

/// Every cause that the log can hold, as often as the counters say.
#[test]
fn the_log_of_endings_is_the_counters_told_one_by_one() {
    each_seed(1230..1236, |seed| {
        let making = Making::new(seed, Arm::Heartbeat, Disorder::HEAVY);
        let reads = READS[count(seed) % READS.len()];
        let mut world = Making { reads, ..making }.world();
        world.establish(140);
        let begun = world.now;
        let ends = [
            Segment::Error(libc::ECONNRESET),
            Segment::Error(libc::ETIMEDOUT),
            Segment::Error(libc::ENETUNREACH),
            Segment::Error(libc::EBADMSG),
            Segment::Bytes(vec![b'G'; 40]),
            Segment::Fin,
        ];
        for (number, socket) in open(&world, SERVER).into_iter().enumerate() {
            if let Some(segment) = ends.get(number % 7) {
                world.kernel.deliver(socket, segment.clone());
            } else {
                let peer = world.kernel.sockets[socket].peer.unwrap();
                world.kernel.sockets[peer].silenced = true;
            }
        }
        world.run_for(Nanos::from_secs(14));
        world.with(SERVER, |shard, cx| _ = shard.close_some(5, true, cx));
        world.run_for(Nanos::from_secs(1));
        assert!(logged(&world, SERVER, begun) >= 6);
        assert!(logged(&world, LOAD, begun) >= 2);
    });
}

/// Our FIN, our RST, the peer's FIN and the peer's RST, each by itself, and the same at both ends.
#[test]
fn who_ended_and_how_is_told_apart_at_both_ends() {
    each_seed(1240..1246, |seed| {
        let making = Making::new(seed, Arm::Heartbeat, Disorder::HEAVY);
        let reads = READS[count(seed) % READS.len()];
        let mut world = Making { reads, ..making }.world();
        world.establish(90);
        // Nothing is under way, or a FIN would become a RST for the bytes that lie unread.
        world.drain();
        world.with(LOAD, |shard, cx| {
            assert_eq!(shard.close_some(20, true, cx), 20);
            assert_eq!(shard.close_some(30, false, cx), 30);
        });
        world.run_for(Nanos::from_secs(1));
        world.with(SERVER, |shard, cx| _ = shard.close_some(40, false, cx));
        world.run_for(Nanos::from_secs(1));
        let by = |side, cause| world.closed_by(side, cause);
        let of = |side| {
            let counted = world.counters(side);
            (counted.ended_with_fin, counted.ended_with_rst)
        };
        assert_eq!((of(LOAD), of(SERVER)), ((30, 20), (40, 0)));
        assert_eq!(by(LOAD, CloseCause::Drained), 50);
        assert_eq!(by(LOAD, CloseCause::PeerClosed), 40);
        assert_eq!(by(SERVER, CloseCause::Reset), 20);
        assert_eq!(by(SERVER, CloseCause::PeerClosed), 30);
        assert_eq!(by(SERVER, CloseCause::Drained), 40);
        for side in [LOAD, SERVER] {
            let counted = world.counters(side);
            assert_eq!((counted.half_closed, counted.ended_unanswered), (0, 0));
        }
    });
}

/// Peers that have sent their FIN and still get their acks are counted once each; those owed nothing are not.
#[test]
fn a_half_closed_peer_is_counted_once_and_only_when_it_is_answered() {
    each_seed(1250..1256, |seed| {
        for (arm, half_closed) in [(Arm::Heartbeat, 20), (Arm::HeartbeatOneway, 0)] {
            let mut world = Making::new(seed, arm, Disorder::default()).world();
            world.establish(50);
            world.drain();
            let beat = Frame {
                kind: Kind::Heartbeat,
                sequence: 7,
                sent_at: Nanos(7),
            };
            for (number, socket) in open(&world, SERVER).into_iter().enumerate() {
                match number % 5 {
                    0 | 1 => {
                        let bytes = beat.encode().repeat(1 + number);
                        world.kernel.deliver(socket, Segment::Bytes(bytes));
                        world.kernel.deliver(socket, Segment::Fin);
                    }
                    2 | 3 => world.kernel.deliver(socket, Segment::Fin),
                    // Nobody hears the answer to what came before a reset.
                    _ => {
                        let bytes = beat.encode().to_vec();
                        world.kernel.deliver(socket, Segment::Bytes(bytes));
                        let reset = Segment::Error(libc::ECONNRESET);
                        world.kernel.deliver(socket, reset);
                    }
                }
            }
            world.run_for(Nanos::from_millis(300));
            let counted = world.counters(SERVER);
            assert_eq!(counted.half_closed, half_closed, "{arm}: {counted:?}");
            assert_eq!(counted.closed_by(CloseCause::PeerClosed), 40);
            assert_eq!(counted.closed_by(CloseCause::Reset), 10);
        }
    });
}

/// A sender whose connection goes while a heartbeat has no ack cannot know whether it arrived, and says so.
#[test]
fn an_end_with_a_heartbeat_unanswered_is_told_apart() {
    each_seed(1260..1266, |seed| {
        for silenced in [true, false] {
            let mut world = Making::new(seed, Arm::Heartbeat, Disorder::HEAVY).world();
            world.establish(40);
            world.run_for(Nanos::from_secs(4));
            for socket in open(&world, SERVER) {
                world.kernel.sockets[socket].silenced = silenced;
            }
            // An interval, so that each has sent another heartbeat.
            world.run_for(Nanos::from_secs(3));
            world.drain();
            for (number, socket) in open(&world, LOAD).into_iter().enumerate() {
                let end = match number % 2 {
                    0 => Segment::Error(libc::ECONNRESET),
                    _ => Segment::Fin,
                };
                world.kernel.deliver(socket, end);
            }
            world.run_for(Nanos::from_secs(1));
            let counted = world.counters(LOAD);
            assert_eq!(counted.closed_by(CloseCause::Reset), 20);
            assert_eq!(counted.closed_by(CloseCause::PeerClosed), 20);
            let unanswered = if silenced { 40 } else { 0 };
            assert_eq!(counted.ended_unanswered, unanswered);
            assert_eq!((counted.ended_with_fin, counted.ended_with_rst), (0, 0));
        }
    });
}

/// Holds the log of `side` against its counters; returns how many causes there were.
fn logged(world: &World, side: usize, begun: Nanos) -> usize {
    let told = world.shard(side).endings();
    let mut counted = world.counters(side).closed.clone();
    counted.remove(CloseCause::Drained.name());
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    for ending in told {
        *causes.entry(ending.cause.name().to_owned()).or_default() += 1;
    }
    assert_eq!(causes, counted);
    assert!(told.is_sorted_by_key(|ending| ending.at_ns));
    let within = |at| at >= begun && at <= world.now;
    assert!(told.iter().all(|ending| within(ending.at_ns)));
    let ordinals: BTreeSet<u32> = told.iter().map(|ending| ending.ordinal).collect();
    assert_eq!(ordinals.len(), told.len(), "an ending was told twice");
    causes.len()
}
