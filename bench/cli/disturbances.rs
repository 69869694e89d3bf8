//! What an experiment has the two halves suffer, and that a stop of the process costs nobody his connection: real
//! sockets, every engine, hundreds of connections.

use super::controlled::{CONNECTIONS, Half, load, loading, pair, server};
use nix::sys::signal::Signal;
use ringbeat::arm::Arm;
use ringbeat::bank::{Disturbance, Driver, EngineKind, Phase, Snapshot};
use ringbeat::control::Order;
use ringbeat::shard::CloseCause;
use ringbeat::units::Nanos;
use std::time::Duration;

/// Longer than [`SHORT`], in which a peer may be silent.
const STOP: Duration = Duration::from_secs(5);
const SHORT: Nanos = Nanos::from_secs(3);

fn endings(snapshot: &Snapshot, causes: &[CloseCause]) -> usize {
    let told = snapshot.endings.iter();
    told.filter(|ending| causes.contains(&ending.cause)).count()
}

fn everyone() -> usize {
    usize::try_from(CONNECTIONS).unwrap()
}

/// Runs `test` with every engine side by side: most of their time they wait.
fn on_every_engine(test: impl Fn(EngineKind) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        for kind in EngineKind::ALL {
            scope.spawn(move || test(kind));
        }
    });
}

#[test]
fn a_drop_of_everyone_leaves_nothing_and_the_server_goes_on() {
    on_every_engine(|kind| {
        for abort in [false, true] {
            let arm = Arm::Heartbeat;
            let (mut serving, mut first, address) = pair(&server(arm, kind), &load(arm, kind));
            let held = first.until(|seen| seen.timers_armed >= CONNECTIONS);
            assert_eq!((held.occupied, held.endings.len()), (CONNECTIONS, 0));
            let dropped = serving.snapshot(&Order::Disturb(Disturbance::DropAll { abort }));
            let counters = &dropped.totals;
            assert_eq!(
                counters.closed_by(CloseCause::Drained),
                CONNECTIONS,
                "{kind}"
            );
            let left = (dropped.occupied, dropped.timers_armed, counters.open);
            assert_eq!(left, (0, 0, 0), "{kind}");
            assert_eq!(dropped.endings, [], "what we end ourselves is no ending");

            let lost = first.until(|seen| seen.totals.open == 0);
            assert_eq!((lost.occupied, lost.timers_armed), (0, 0), "{kind}");
            assert_eq!(lost.endings.len(), everyone(), "{kind}");
            assert!(lost.endings.is_sorted_by_key(|ending| ending.at_ns));
            let reset = endings(&lost, &[CloseCause::Reset]);
            let closed = endings(&lost, &[CloseCause::PeerClosed]);
            assert_eq!(reset + closed, everyone(), "{:?}", lost.totals.closed);
            assert!(if abort { closed == 0 } else { closed > reset }, "{kind}");

            let mut second = loading(&load(arm, kind), address);
            assert_eq!(second.snapshot(&Order::Report).totals.open, CONNECTIONS);
        }
    });
}

#[test]
fn every_frame_spoken_arrives() {
    let kinds = EngineKind::ALL.map(|kind| (kind, Driver::Tick));
    for (kind, driver) in kinds
        .into_iter()
        .chain([(EngineKind::Uring, Driver::ThreadPerRing)])
    {
        let arm = Arm::Heartbeat;
        let mut config = server(arm, kind);
        config.driver = driver;
        let (mut serving, mut loading, _) = pair(&config, &load(arm, kind));
        let spoken = serving.snapshot(&Order::Disturb(Disturbance::Speak { frames: 5 }));
        assert_eq!(spoken.totals.data_sent, 5 * CONNECTIONS, "{kind}");
        assert_eq!(spoken.totals.sends_blocked, 0, "{kind}");
        let heard = loading.until(|seen| seen.totals.data_received == 5 * CONNECTIONS);
        assert_eq!(heard.totals.open, CONNECTIONS);
        loading.snapshot(&Order::Disturb(Disturbance::Speak { frames: 1 }));
        serving.until(|seen| seen.totals.data_received == CONNECTIONS);
    }
}

#[test]
fn the_deaf_leave_what_comes_in_their_sockets_and_go_on_sending() {
    on_every_engine(|kind| {
        let arm = Arm::Heartbeat;
        let mut config = load(arm, kind);
        config.settings.answer_timeout = SHORT;
        let (mut serving, mut loading, _) = pair(&server(arm, kind), &config);
        let deaf = loading.snapshot(&Order::Disturb(Disturbance::Deaf));
        serving.snapshot(&Order::Disturb(Disturbance::Speak { frames: 2 }));
        let before = serving.snapshot(&Order::Report).totals.heartbeats_received;
        // Four seconds' heartbeats: longer than the answer timeout without an ack that is read.
        serving.until(|seen| seen.totals.heartbeats_received >= before + 8 * CONNECTIONS);
        let after = loading.snapshot(&Order::Report);
        let read = |seen: &Snapshot| (seen.totals.data_received, seen.totals.acks_received);
        assert_eq!(read(&after), read(&deaf), "{kind}");
        assert_eq!(
            (after.totals.open, after.endings.len()),
            (CONNECTIONS, 0),
            "{kind}"
        );
    });
}

#[test]
fn a_server_ends_its_connections_as_it_is_told() {
    for abort in [false, true] {
        let (arm, kind) = (Arm::None, EngineKind::Uring);
        let mut config = server(arm, kind);
        config.abort = abort;
        let (mut serving, mut loading, _) = pair(&config, &load(arm, kind));
        serving.go(Phase::Ending);
        let lost = loading.until(|seen| seen.totals.open == 0);
        let cause = if abort {
            CloseCause::Reset
        } else {
            CloseCause::PeerClosed
        };
        assert_eq!(lost.totals.closed_by(cause), CONNECTIONS);
        assert_eq!(endings(&lost, &[cause]), everyone());
    }
}

/// Stops `half` for longer than it allows its peers to be silent, lets it go on until it has `seen` so many more signs
/// of life on each connection, and returns what it made of it.
fn stopped(half: &mut Half, more: u64, seen: impl Fn(&Snapshot) -> u64) -> Snapshot {
    let before = seen(&half.snapshot(&Order::Report));
    half.signal(Signal::SIGSTOP);
    std::thread::sleep(STOP);
    half.signal(Signal::SIGCONT);
    half.until(|now| seen(now) >= before + more * CONNECTIONS)
}

fn a_stopped_server_judges_nobody_whose_heartbeats_wait(kind: EngineKind) {
    let arm = Arm::Heartbeat;
    let mut config = server(arm, kind);
    config.settings.idle_timeout = SHORT;
    let (mut serving, mut loading, _) = pair(&config, &load(arm, kind));
    // Ten of them wait; the others come when it has had time to judge.
    let after = stopped(&mut serving, 12, |now| now.totals.heartbeats_received);
    assert_eq!((after.totals.open, after.endings), (CONNECTIONS, vec![]));
    assert_eq!(loading.snapshot(&Order::Report).totals.open, CONNECTIONS);
}

fn a_stopped_sender_judges_nobody_whose_acks_wait(kind: EngineKind) {
    let arm = Arm::Heartbeat;
    let mut config = load(arm, kind);
    config.settings.answer_timeout = SHORT;
    let (mut serving, mut loading, _) = pair(&server(arm, kind), &config);
    let after = stopped(&mut loading, 3, |now| now.totals.acks_received);
    assert_eq!((after.totals.open, after.endings), (CONNECTIONS, vec![]));
    assert!(after.totals.heartbeats_skipped > 0, "it was not stopped");
    assert_eq!(serving.snapshot(&Order::Report).totals.open, CONNECTIONS);
}

#[test]
fn a_stop_of_the_process_costs_nobody_his_connection() {
    std::thread::scope(|scope| {
        scope.spawn(|| on_every_engine(a_stopped_server_judges_nobody_whose_heartbeats_wait));
        scope.spawn(|| on_every_engine(a_stopped_sender_judges_nobody_whose_acks_wait));
    });
}
