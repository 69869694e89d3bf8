//! Shards against the fake kernel: what must hold whatever the order, the losses and the stalls.
//!
//! Does not measure. A failure names its seed; the same seed replays it.

use super::fake_ring::{Disorder, Kernel, LOAD, SERVER};
use super::socket::{Segment, Socket};
use super::world::{ANSWER_TIMEOUT, IDLE_TIMEOUT, INTERVAL, Making, TICK, World};
use crate::arm::Arm;
use crate::shard::{CloseCause, Reads};
use crate::units::Nanos;
use crate::wheel::TimersKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(super) const HEARTBEATS: [Arm; 3] = [Arm::Heartbeat, Arm::HeartbeatOneway, Arm::HeartbeatPush];
const TWO_TICKS: Nanos = Nanos(2 * TICK.0);
pub(super) const READS: [Reads; 2] = [Reads::Watch, Reads::Stream];
pub(super) const TIMERS: [TimersKind; 2] = [TimersKind::Wheel, TimersKind::Sweep { period: 12 }];

/// Runs `test` with each seed and says which one failed.
pub(super) fn each_seed(seeds: std::ops::Range<u64>, test: impl Fn(u64)) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("failed with seed {seed}");
            resume_unwind(panic);
        }
    }
}

/// The side that sends heartbeats in `arm`, and the one that receives them.
pub(super) fn roles(arm: Arm) -> (usize, usize) {
    if arm == Arm::HeartbeatPush {
        (SERVER, LOAD)
    } else {
        (LOAD, SERVER)
    }
}

pub(super) fn count(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

fn delayed(delay_ms: u64) -> Disorder {
    Disorder {
        delay: Nanos::from_millis(delay_ms),
        ..Disorder::default()
    }
}

/// The sockets of `side` that are closed.
fn closed(kernel: &Kernel, side: usize) -> impl Iterator<Item = (&Socket, Nanos)> {
    kernel
        .owned(side)
        .filter_map(|(_, socket)| Some((socket, socket.closed_at?)))
}

/// Numbers of the open sockets of `side`.
pub(super) fn open(world: &World, side: usize) -> Vec<usize> {
    let owned = world.kernel.owned(side);
    owned
        .filter(|(_, socket)| socket.closed_at.is_none())
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn a_healthy_network_loses_nobody_and_no_heartbeat_whatever_the_disorder() {
    each_seed(0..6, |seed| {
        for (arm, reads) in HEARTBEATS
            .into_iter()
            .flat_map(|arm| READS.map(|reads| (arm, reads)))
        {
            let mut world = Making {
                reads,
                ..Making::new(seed, arm, Disorder::HEAVY)
            }
            .world();
            world.establish(200);
            world.run_for(Nanos::from_secs(40));
            world.drain();
            let (sender, receiver) = roles(arm);
            for side in [SERVER, LOAD] {
                assert_eq!(
                    world.counters(side).open,
                    200,
                    "{arm}: {:?}",
                    world.counters(side)
                );
                assert_eq!(world.counters(side).established, 200);
            }
            let (from, to) = (world.counters(sender), world.counters(receiver));
            assert!(from.heartbeats_sent > 200 * 12, "{}", from.heartbeats_sent);
            assert_eq!(to.heartbeats_received, from.heartbeats_sent, "{arm}");
            assert_eq!(from.acks_received, to.acks_sent, "{arm}");
            let acks = if arm == Arm::HeartbeatOneway {
                0
            } else {
                from.heartbeats_sent
            };
            assert_eq!(to.acks_sent, acks);
            assert_eq!(world.kernel.sends(sender).0, count(from.heartbeats_sent));
            assert_eq!(from.heartbeats_skipped + from.heartbeats_timed_out, 0);
            assert!(to.watches_rearmed > 0, "the disorder did not bite");
        }
    });
}

#[test]
fn full_send_buffers_are_counted_and_every_other_heartbeat_arrives() {
    each_seed(100..106, |seed| {
        let disorder = Disorder {
            blocked: 3,
            ..Disorder::HEAVY
        };
        let mut world = Making::new(seed, Arm::HeartbeatOneway, disorder).world();
        world.establish(150);
        world.run_for(Nanos::from_secs(60));
        world.drain();
        let (sent, received) = (world.counters(LOAD), world.counters(SERVER));
        let (_, blocked) = world.kernel.sends(LOAD);
        assert!(blocked > 3);
        assert_eq!(sent.sends_blocked, blocked as u64);
        assert_eq!(
            received.heartbeats_received,
            sent.heartbeats_sent - sent.sends_blocked
        );
        assert_eq!(received.open, 150, "two heartbeats in three are enough");
    });
}

/// Connections come and go while everything else goes wrong; the world checks itself at each tick.
#[test]
fn churn_keeps_slots_watches_and_counters_in_balance() {
    each_seed(200..208, |seed| {
        let arm = HEARTBEATS[count(seed) % 3];
        let disorder = Disorder {
            blocked: 10,
            short_send: 2,
            ..Disorder::HEAVY
        };
        let mut world = Making {
            slots: 90,
            reads: READS[count(seed) / 3 % 2],
            ..Making::new(seed, arm, disorder)
        }
        .world();
        for _ in 0..80 {
            let several = u32::try_from(world.dice.below(12)).unwrap();
            world.connect(several);
            world.run_for(Nanos::from_millis(500));
            for side in [SERVER, LOAD] {
                let sockets = open(&world, side);
                if sockets.len() > 20 {
                    let socket = sockets[world.dice.below(sockets.len())];
                    let segment = match world.dice.below(4) {
                        0 => Segment::Error(libc::ECONNRESET),
                        1 => Segment::Error(libc::ETIMEDOUT),
                        2 => Segment::Bytes(vec![0xB7; 40]),
                        _ => Segment::Fin,
                    };
                    world.kernel.deliver(socket, segment);
                }
            }
        }
        world.drain();
        let lost = world.counters(SERVER).closed.len();
        assert!(lost >= 3, "{:?}", world.counters(SERVER).closed);
        assert!(
            world.counters(SERVER).stale_completions > 0,
            "no late completion"
        );
        assert!(world.counters(SERVER).table_full > 0, "no full table");
        assert_eq!(
            count(world.counters(SERVER).table_full),
            world.kernel.dropped
        );
        both_ends_agree(&world);
        for (side, abort) in [(LOAD, seed % 2 == 0), (SERVER, false)] {
            world.with(side, |shard, cx| _ = shard.close_some(999, abort, cx));
            world.run_for(Nanos::from_secs(2));
        }
        assert_eq!((world.kernel.held(SERVER), world.kernel.held(LOAD)), (0, 0));
    });
}

/// Of connections open at both ends, each end has read what the other has written, and no more.
fn both_ends_agree(world: &World) {
    let mut pairs = 0;
    for (number, socket) in world.kernel.owned(SERVER) {
        let peer = world.peer(number);
        if socket.closed_at.is_none() && peer.closed_at.is_none() && !socket.dead && !peer.dead {
            pairs += 1;
            assert_eq!((socket.read, socket.written), (peer.written, peer.read));
        }
        assert!(
            socket.read <= peer.written + 40,
            "bytes of another connection"
        );
    }
    assert!(pairs > 10, "{pairs}");
}

#[test]
fn a_silenced_peer_is_evicted_after_its_timeout_and_within_two_ticks_or_a_pass() {
    each_seed(300..312, |seed| {
        for arm in HEARTBEATS {
            let (sender, receiver) = roles(arm);
            let timers = TIMERS[count(seed) % TIMERS.len()];
            let late = TWO_TICKS + Nanos(u64::from(timers.slack()) * TICK.0);
            let making = Making::new(seed, arm, Disorder::HEAVY);
            let mut world = Making { timers, ..making }.world();
            world.establish(100);
            world.run_for(Nanos::from_secs(7));
            for socket in open(&world, sender).into_iter().step_by(2) {
                world.kernel.sockets[socket].silenced = true;
                let pause = world.dice.span(Nanos::from_millis(100));
                world.run_for(pause);
            }
            world.run_for(Nanos::from_secs(16));
            assert_eq!(
                world.closed_by(receiver, CloseCause::HeartbeatTimeout),
                50,
                "{arm}"
            );
            assert_eq!(world.counters(receiver).open, 50);
            for (socket, at) in closed(&world.kernel, receiver) {
                assert!(at >= socket.last_arrival + IDLE_TIMEOUT, "early");
                assert!(at < socket.last_read + IDLE_TIMEOUT + late, "late");
                assert!(socket.last_read <= socket.last_arrival + TICK, "read late");
            }
        }
    });
}

#[test]
fn an_unanswered_heartbeat_ends_its_connection_after_the_answer_timeout() {
    each_seed(400..412, |seed| {
        for arm in [Arm::Heartbeat, Arm::HeartbeatPush] {
            let (sender, receiver) = roles(arm);
            let mut world = Making::new(seed, arm, Disorder::HEAVY).world();
            world.establish(100);
            world.run_for(Nanos::from_secs(7));
            for socket in open(&world, receiver).into_iter().step_by(2) {
                world.kernel.sockets[socket].silenced = true;
                let pause = world.dice.span(Nanos::from_millis(100));
                world.run_for(pause);
            }
            world.run_for(Nanos::from_secs(16));
            assert_eq!(
                world.closed_by(sender, CloseCause::AnswerTimeout),
                50,
                "{arm}"
            );
            assert_eq!(world.counters(sender).heartbeats_timed_out, 50);
            assert_eq!(world.counters(sender).open, 50);
            for (socket, at) in closed(&world.kernel, sender) {
                let sent = *socket
                    .outstanding
                    .front()
                    .expect("a heartbeat was unanswered");
                assert!(at >= sent + ANSWER_TIMEOUT, "early");
                let from = sent.max(socket.last_read);
                assert!(at < from + ANSWER_TIMEOUT + TWO_TICKS, "late");
            }
        }
    });
}

/// The stall guard, property 17 of `wheel/tests.rs`: it is the order of the loop that saves the peers.
#[test]
fn p17_a_stalled_loop_kills_no_live_peer() {
    each_seed(500..512, |seed| {
        for arm in HEARTBEATS {
            let (sender, receiver) = roles(arm);
            let long = Making {
                answer_timeout: Nanos::from_secs(60),
                timers: TIMERS[count(seed) % TIMERS.len()],
                ..Making::new(seed, arm, Disorder::HEAVY)
            };
            let mut world = long.world();
            world.establish(150);
            world.run_for(Nanos::from_secs(5));
            let span = IDLE_TIMEOUT + world.dice.span(Nanos::from_secs(10));
            world.stall(receiver, span);
            world.run_for(span + Nanos::from_secs(12));
            assert_eq!(
                world.counters(receiver).open,
                150,
                "{arm}: {:?}",
                world.counters(receiver)
            );
            assert_eq!(world.counters(sender).open, 150);
        }
    });
}

/// A sender that was stalled finds the acks in its sockets before it judges, and skips what it missed.
#[test]
fn a_stalled_sender_kills_no_peer_that_answered() {
    each_seed(600..608, |seed| {
        let making = Making {
            answer_timeout: INTERVAL,
            ..Making::new(seed, Arm::Heartbeat, delayed(15))
        };
        let mut world = making.world();
        world.establish(150);
        world.run_for(Nanos::from_secs(5));
        world.stall(LOAD, INTERVAL + Nanos::from_secs(2));
        world.run_for(Nanos::from_secs(20));
        assert_eq!(
            (world.counters(LOAD).open, world.counters(SERVER).open),
            (150, 150)
        );
        assert!(world.counters(LOAD).heartbeats_skipped > 50);
    });
}

/// Two heartbeats are owed; the first is answered late, the second left late. The ack of the first must not
/// leave the second less than the answer timeout.
#[test]
fn a_heartbeat_that_left_late_has_its_whole_answer_timeout() {
    let at = |world: &mut World, millis: u64| {
        let until = Nanos::from_secs(1000) + Nanos::from_millis(millis);
        world.run_for(until - world.now);
    };
    each_seed(700..720, |seed| {
        let making = Making {
            answer_timeout: INTERVAL,
            ..Making::new(seed, Arm::Heartbeat, delayed(0))
        };
        let mut world = making.world();
        world.establish(1);
        let client = open(&world, LOAD)[0];
        // Heartbeats are due at 2 s, 5 s and 8 s after the start. The second leaves at 6.5 s and its ack comes
        // at 9.2 s; the third leaves at 9 s and is never answered.
        at(&mut world, 4_000);
        world.kernel.sockets[client].arrives_after = world.now + Nanos::from_millis(5_200);
        world.stall(LOAD, Nanos::from_millis(2_500));
        at(&mut world, 7_000);
        let server = world.kernel.sockets[client].peer.unwrap();
        world.kernel.sockets[server].silenced = true;
        world.stall(LOAD, Nanos::from_millis(2_000));
        at(&mut world, 14_000);
        assert_eq!(world.counters(LOAD).acks_received, 2);
        let (socket, verdict) = closed(&world.kernel, LOAD).next().expect("nobody answers");
        let sent = *socket.outstanding.front().unwrap();
        assert_eq!(sent, Nanos::from_secs(1009));
        assert!(
            verdict >= sent + INTERVAL,
            "judged {} ms after it left",
            (verdict - sent).0 / 1_000_000
        );
        assert!(verdict < socket.last_read + INTERVAL + TWO_TICKS, "late");
    });
}

#[test]
fn garbage_ends_its_own_connection_and_no_other() {
    each_seed(800..806, |seed| {
        let mut world = Making::new(seed, Arm::Heartbeat, Disorder::HEAVY).world();
        world.establish(100);
        world.run_for(Nanos::from_secs(4));
        let victims = open(&world, SERVER);
        for socket in victims.iter().step_by(10) {
            let garbage = (0..20 + world.dice.below(60)).map(|_| b'G').collect();
            world.kernel.deliver(*socket, Segment::Bytes(garbage));
        }
        world.run_for(Nanos::from_secs(20));
        let server = world.counters(SERVER);
        assert_eq!(
            server.closed_by(CloseCause::ProtocolError),
            10,
            "{:?}",
            server.closed
        );
        assert_eq!(server.protocol_errors.values().sum::<u64>(), 10);
        assert_eq!((server.open, world.counters(LOAD).open), (90, 90));
        let load = &world.counters(LOAD).closed;
        assert!(
            load.keys()
                .all(|cause| cause == "peer-closed" || cause == "reset"),
            "{load:?}"
        );
    });
}

#[test]
fn heartbeats_before_a_fin_are_answered_and_the_end_is_the_peers() {
    each_seed(900..906, |seed| {
        let mut world = Making::new(seed, Arm::Heartbeat, Disorder::HEAVY).world();
        world.establish(50);
        world.run_for(Nanos::from_millis(500));
        let before = world.counters(SERVER).acks_sent;
        let beats = 1 + world.dice.below(9);
        for socket in open(&world, SERVER) {
            let beat = crate::protocol::Frame {
                kind: crate::protocol::Kind::Heartbeat,
                sequence: 7,
                sent_at: Nanos(7),
            };
            // One segment: nothing lies between the data and the end.
            let bytes = beat.encode().repeat(beats);
            world.kernel.sockets[socket].incoming.extend(&bytes);
            world.kernel.deliver(socket, Segment::Fin);
        }
        world.with(LOAD, |shard, _| shard.quiet());
        world.run_for(Nanos::from_millis(300));
        let server = world.counters(SERVER);
        assert!(
            server.acks_sent - before >= 50 * beats as u64,
            "{}",
            server.acks_sent
        );
        assert_eq!(
            server.closed_by(CloseCause::PeerClosed),
            50,
            "{:?}",
            server.closed
        );
    });
}

#[test]
fn resets_and_time_outs_are_told_apart() {
    for keepalive in [false, true] {
        each_seed(1000..1006, |seed| {
            let making = Making {
                keepalive,
                ..Making::new(seed, Arm::Keepalive, Disorder::HEAVY)
            };
            let mut world = making.world();
            world.establish(60);
            for (number, socket) in open(&world, SERVER).into_iter().enumerate() {
                let errno = [
                    libc::ECONNRESET,
                    libc::ETIMEDOUT,
                    libc::EHOSTUNREACH,
                    libc::ENETUNREACH,
                    libc::EHOSTDOWN,
                    libc::EBADMSG,
                ][number % 6];
                world.kernel.deliver(socket, Segment::Error(errno));
            }
            world.run_for(Nanos::from_secs(2));
            let by = |cause| world.closed_by(SERVER, cause);
            let (kernel, other) = (
                CloseCause::KeepaliveTimeout,
                CloseCause::RetransmissionTimeout,
            );
            let (yes, no) = if keepalive {
                (kernel, other)
            } else {
                (other, kernel)
            };
            assert_eq!(world.counters(SERVER).open, 0);
            assert_eq!((by(CloseCause::Reset), by(yes), by(no)), (10, 10, 0));
            assert_eq!(
                (by(CloseCause::Unreachable), by(CloseCause::SocketError)),
                (30, 10)
            );
        });
    }
}
