//! What an experiment has a shard suffer, in the simulation: deafness, data out of turn, the end of every connection.
//!
//! Does not measure. A failure names its seed.

use super::fake_ring::{Disorder, LOAD, SERVER};
use super::simulation::{HEARTBEATS, READS, count, each_seed, open, roles};
use super::socket::Segment;
use super::world::{ANSWER_TIMEOUT, IDLE_TIMEOUT, INTERVAL, Making, World};
use crate::arm::Arm;
use crate::protocol::{Frame, Kind};
use crate::shard::CloseCause;
use crate::units::Nanos;

/// Connections of a portion: few, so that a pass has several.
const PORTION: usize = 17;

/// Bytes that the sockets of `side` have handed to it.
fn read(world: &World, side: usize) -> usize {
    let owned = world.kernel.owned(side);
    owned.map(|(_, socket)| socket.read).sum()
}

#[test]
fn the_deaf_read_nothing_judge_nobody_and_go_on_sending() {
    each_seed(1400..1408, |seed| {
        for arm in HEARTBEATS {
            for deaf in [SERVER, LOAD] {
                let reads = READS[count(seed) % READS.len()];
                let making = Making::new(seed, arm, Disorder::HEAVY);
                let mut world = Making { reads, ..making }.world();
                world.establish(80);
                world.run_for(Nanos::from_secs(4));
                world.deafen(deaf, PORTION);
                let (read_before, sent_before) =
                    (read(&world, deaf), world.counters(deaf).heartbeats_sent);
                world.run_for(Nanos::from_secs(20));
                assert_eq!(read(&world, deaf), read_before, "{arm}: something was read");
                let counters = world.counters(deaf);
                let sent = counters.heartbeats_sent - sent_before;
                let judged = [CloseCause::HeartbeatTimeout, CloseCause::AnswerTimeout];
                let judged = judged.map(|cause| counters.closed_by(cause));
                assert_eq!((counters.open, judged), (80, [0, 0]), "{arm}");
                let (sender, receiver) = roles(arm);
                let heard = world.counters(receiver).heartbeats_received;
                if deaf == sender {
                    assert!(sent >= 80 * 6, "{arm}: {sent} heartbeats");
                    assert!(heard >= 80 * 6, "{arm}: {heard} heartbeats");
                } else if arm != Arm::HeartbeatOneway {
                    // Who waits for acks gives the deaf up, and the deaf do not even notice.
                    assert_eq!(world.closed_by(sender, CloseCause::AnswerTimeout), 80);
                }
            }
        }
    });
}

#[test]
fn who_comes_to_the_deaf_is_not_read_either() {
    each_seed(1410..1414, |seed| {
        let mut world = Making::new(seed, Arm::HeartbeatOneway, Disorder::HEAVY).world();
        world.establish(20);
        world.deafen(SERVER, PORTION);
        let before = read(&world, SERVER);
        world.connect(30);
        world.run_for(Nanos::from_secs(12));
        assert_eq!(world.counters(SERVER).open, 50);
        assert_eq!(read(&world, SERVER), before);
    });
}

#[test]
fn every_frame_spoken_is_counted_at_the_other_end_and_owes_nothing() {
    each_seed(1420..1426, |seed| {
        for (arm, speaker) in [
            (Arm::None, SERVER),
            (Arm::None, LOAD),
            (Arm::Heartbeat, SERVER),
            (Arm::Heartbeat, LOAD),
            (Arm::HeartbeatPush, SERVER),
            (Arm::HeartbeatPush, LOAD),
            (Arm::HeartbeatOneway, LOAD),
        ] {
            let reads = READS[count(seed) % READS.len()];
            let making = Making::new(seed, arm, Disorder::HEAVY);
            let mut world = Making { reads, ..making }.world();
            world.establish(60);
            world.run_for(Nanos::from_secs(2));
            let frames = 1 + u32::try_from(world.dice.below(9)).unwrap();
            world.speak(speaker, frames, PORTION);
            world.run_for(Nanos::from_secs(10));
            world.drain();
            let listener = SERVER + LOAD - speaker;
            let expected = 60 * u64::from(frames);
            assert_eq!(world.counters(speaker).data_sent, expected, "{arm}");
            assert_eq!(world.counters(listener).data_received, expected, "{arm}");
            assert_eq!(world.counters(listener).data_sent, 0);
            let (ours, theirs) = (world.counters(speaker), world.counters(listener));
            assert_eq!((ours.open, theirs.open), (60, 60), "{arm}");
            let beats = |one: &crate::shard::Counters, other: &crate::shard::Counters| {
                (one.heartbeats_sent, one.acks_received)
                    == (other.heartbeats_received, other.acks_sent)
            };
            assert!(beats(ours, theirs) && beats(theirs, ours), "{arm}");
        }
    });
}

#[test]
fn data_that_a_full_buffer_refused_is_counted_as_blocked() {
    each_seed(1430..1434, |seed| {
        let disorder = Disorder {
            blocked: 200,
            ..Disorder::HEAVY
        };
        let mut world = Making::new(seed, Arm::None, disorder).world();
        world.establish(60);
        world.speak(LOAD, 10, PORTION);
        world.run_for(Nanos::from_secs(2));
        let (sent, received) = (world.counters(LOAD), world.counters(SERVER));
        assert!(sent.sends_blocked > 50);
        assert_eq!(sent.data_sent, 600);
        assert_eq!(received.data_received, 600 - sent.sends_blocked);
    });
}

/// Data is a sign of life for who expects heartbeats, and no answer for who expects acks.
#[test]
fn data_keeps_a_responder_from_its_verdict_and_a_sender_not() {
    each_seed(1440..1446, |seed| {
        let mut world = Making::new(seed, Arm::HeartbeatOneway, Disorder::HEAVY).world();
        world.establish(40);
        world.with(LOAD, |shard, _| shard.quiet());
        for _ in 0..5 {
            world.run_for(Nanos::from_secs(6));
            world.speak(LOAD, 1, PORTION);
        }
        assert_eq!(world.counters(SERVER).open, 40);
        world.run_for(IDLE_TIMEOUT + Nanos::from_secs(1));
        assert_eq!(world.closed_by(SERVER, CloseCause::HeartbeatTimeout), 40);

        let mut world = Making::new(seed, Arm::Heartbeat, Disorder::HEAVY).world();
        world.establish(40);
        for socket in open(&world, SERVER) {
            world.kernel.sockets[socket].silenced = true;
        }
        let data = Frame {
            kind: Kind::Data,
            sequence: 0,
            sent_at: Nanos::ZERO,
        };
        let until = world.now + INTERVAL + ANSWER_TIMEOUT + Nanos::from_secs(1);
        while world.now < until {
            for socket in open(&world, LOAD) {
                let segment = Segment::Bytes(data.encode().to_vec());
                world.kernel.deliver(socket, segment);
            }
            world.run_for(Nanos::from_secs(1));
        }
        assert_eq!(world.closed_by(LOAD, CloseCause::AnswerTimeout), 40);
    });
}

#[test]
fn everyone_is_dropped_and_who_comes_meanwhile_stays() {
    each_seed(1450..1458, |seed| {
        let (side, abort) = ([SERVER, LOAD][count(seed) % 2], seed % 4 < 2);
        let arm = HEARTBEATS[count(seed) % 3];
        let mut world = Making::new(seed, arm, Disorder::HEAVY).world();
        world.establish(100);
        world.run_for(Nanos::from_secs(4));
        let mut walk = world.shard(side).walk();
        let mut dropped = 0;
        loop {
            let mut portion = 0;
            world.with(side, |shard, cx| {
                portion = shard.drop_some(&mut walk, abort, PORTION, cx);
            });
            dropped += portion;
            world.connect(5);
            world.run_for(Nanos::from_millis(200));
            if portion < PORTION {
                break;
            }
        }
        world.run_for(Nanos::from_secs(4));
        let other = SERVER + LOAD - side;
        assert_eq!(dropped, 100);
        assert_eq!(world.closed_by(side, CloseCause::Drained), 100);
        assert_eq!(world.shard(side).endings(), []);
        let came = world.counters(LOAD).connects - 100;
        assert_eq!((world.counters(side).open, came), (30, 30));
        assert_eq!(world.counters(other).open, 30);
        // A FIN that meets unread bytes becomes a RST, as on Linux.
        let told = [CloseCause::Reset, CloseCause::PeerClosed];
        let [reset, closed] = told.map(|cause| world.closed_by(other, cause));
        assert_eq!(reset + closed, 100);
        assert!(if abort { closed == 0 } else { closed > 50 });
        assert_eq!(world.shard(other).endings().len(), 100);
        assert_eq!(world.kernel.held(SERVER), world.kernel.held(LOAD));
    });
}
