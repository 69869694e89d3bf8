//! Whole fleets over loopback, each host a thread: what they have in common, and how they come together.
//!
//! Waits for events, never for a time to pass; the patience given is so long that no slow machine exhausts it, unless
//! its end is what is tested.

mod deaths;
mod interrupts;
mod refused;
mod strangers;

use super::*;
use crate::bank::{Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::control::{Order, Word};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

/// Longer than any test takes.
const AGES: Duration = Duration::from_mins(5);
/// For tests of what happens when patience ends.
const BRIEFLY: Duration = Duration::from_millis(200);

fn never() -> Option<i32> {
    None
}

fn token() -> Token {
    Token::new("a token for the tests").unwrap()
}

fn terms() -> BTreeMap<String, String> {
    let pairs = [("arm", "heartbeat"), ("interval", "30s")];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The server as captain of `shards` load generators.
fn captain_config(shards: u32) -> CaptainConfig {
    CaptainConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        token: token(),
        seat: Seat::Server,
        server: true,
        shards,
        terms: terms(),
        build: build(),
        host: "captain-host".to_owned(),
        run: Some("a-run".to_owned()),
        gather_within: AGES,
    }
}

fn captain(shards: u32) -> Captain {
    Captain::listen(captain_config(shards)).unwrap()
}

fn member_config(address: SocketAddr, index: u32, shards: u32) -> MemberConfig {
    MemberConfig {
        address: address.to_string(),
        token: token(),
        seat: Seat::Shard(index),
        shards,
        terms: terms(),
        build: build(),
        host: format!("host-{index}"),
        gather_within: AGES,
    }
}

fn member(captain: &Captain, index: u32, shards: u32) -> Member {
    Member::join(member_config(captain.address(), index, shards), &mut never).unwrap()
}

/// A captain and all its members, gathered.
fn fleet(shards: u32) -> (Captain, Vec<Member>) {
    let captain = captain(shards);
    let members = (0..shards)
        .map(|index| member(&captain, index, shards))
        .collect();
    captain.gather(&mut never).unwrap();
    (captain, members)
}

/// Every member's outcome of arriving at `stage`, with nobody released.
fn arrivals(members: Vec<Member>, stage: Stage) -> Vec<thread::JoinHandle<FleetError>> {
    members
        .into_iter()
        .map(|mut member| {
            thread::spawn(move || member.arrive(stage, AGES, &mut never).unwrap_err())
        })
        .collect()
}

/// That all were told `parts`.
fn all_told(threads: Vec<thread::JoinHandle<FleetError>>, parts: &[&str]) {
    for thread in threads {
        let error = thread.join().unwrap();
        assert_eq!(error.blame(), Blame::Run);
        said(&error, parts);
    }
}

fn said(error: &FleetError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

const STAGES: [Stage; 4] = [Stage::Gathered, Stage::Opened, Stage::Closed, Stage::Ended];

#[test]
fn five_hosts_and_the_server_act_at_one_instant() {
    const SHARDS: u32 = 5;
    let joining = MonotonicClock.now();
    let captain = captain(SHARDS);
    let address = captain.address();
    let members: Vec<_> = (0..SHARDS)
        .map(|index| {
            thread::spawn(move || {
                let config = member_config(address, index, SHARDS);
                let mut member = Member::join(config, &mut never).unwrap();
                assert_eq!(
                    (member.run_name(), member.captain()),
                    ("a-run", "captain-host")
                );
                let origin = member.origin();
                let released = STAGES.map(|stage| member.arrive(stage, AGES, &mut never).unwrap());
                assert_eq!(
                    member.origin(),
                    origin,
                    "it does not move with later comparisons"
                );
                (released, member.clock(), origin)
            })
        })
        .collect();
    captain.gather(&mut never).unwrap();
    let ours = STAGES.map(|stage| captain.barrier(stage, AGES, &mut never).unwrap());
    let own = captain.clock();
    for thread in members {
        let (theirs, clock, origin) = thread.join().unwrap();
        // The same instant to all, right to half a round trip on joining, of which there have been others since.
        let apart = origin.0.abs_diff(captain.origin().0);
        assert!(apart <= (ours[0].at - joining).0, "{apart} ns apart");
        for (ours, theirs) in ours.iter().zip(theirs) {
            // All threads have the same monotonic clock, so the instants may differ by the error alone.
            let apart = ours.at.0.abs_diff(theirs.at.0);
            assert!(apart <= theirs.error.0, "{apart} ns apart, {theirs:?}");
        }
        // And the same wall clock: both see the captain's steady one at the same distance.
        assert_eq!(clock.compared_with, "rendezvous");
        assert!(clock.round_trips > 1);
        let apart = clock.offset_ns.unwrap().abs_diff(own.offset_ns.unwrap());
        let slewed = 1_000_000;
        assert!(
            apart <= clock.error_ns.unwrap() + own.error_ns.unwrap() + slewed,
            "{clock:?} {own:?}"
        );
    }
    assert_eq!(captain.check(), Ok(()), "nobody is missed after the end");
}

#[test]
fn shard_0_may_be_captain_and_the_server_a_member() {
    let captain = Captain::listen(CaptainConfig {
        seat: Seat::Shard(0),
        run: None,
        ..captain_config(2)
    })
    .unwrap();
    assert!(captain.run_name().len() > 19, "{}", captain.run_name());
    let mut server = Member::join(
        MemberConfig {
            seat: Seat::Server,
            ..member_config(captain.address(), 0, 2)
        },
        &mut never,
    )
    .unwrap();
    let mut other = member(&captain, 1, 2);
    captain.gather(&mut never).unwrap();
    thread::scope(|scope| {
        for member in [&mut server, &mut other] {
            scope.spawn(move || member.arrive(Stage::Opened, AGES, &mut never).unwrap());
        }
        captain.barrier(Stage::Opened, AGES, &mut never).unwrap();
    });
    assert_eq!(server.run_name(), captain.run_name());
}

#[test]
fn a_member_may_be_there_before_its_captain() {
    let early = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = early.local_addr().unwrap();
    let thread =
        thread::spawn(move || Member::join(member_config(address, 0, 1), &mut never).unwrap());
    // Its first attempt meets somebody who hangs up; then nobody; then the captain.
    drop(early.accept().unwrap());
    drop(early);
    let captain = Captain::listen(CaptainConfig {
        listen: address,
        ..captain_config(1)
    })
    .unwrap();
    captain.gather(&mut never).unwrap();
    assert_eq!(thread.join().unwrap().run_name(), "a-run");
}

#[test]
fn the_captain_may_drive_the_members_by_orders() {
    let (captain, members) = fleet(3);
    let threads: Vec<_> = members
        .into_iter()
        .enumerate()
        .map(|(index, mut member)| {
            thread::spawn(move || {
                let mut obeyed = 0;
                while let Some(order) = member.next_order(AGES, &mut never).unwrap() {
                    assert!(matches!(order, Order::Go(Phase::Window) | Order::Report));
                    let snapshot = Snapshot {
                        at: Nanos(index as u64),
                        ..Snapshot::default()
                    };
                    member.answer(Word::Snapshot(Box::new(snapshot))).unwrap();
                    obeyed += 1;
                }
                member.arrive(Stage::Ended, AGES, &mut never).unwrap();
                obeyed
            })
        })
        .collect();
    for order in [Order::Go(Phase::Window), Order::Report] {
        let orders = (0..3).map(|shard| (shard, order.clone())).collect();
        let words = captain.order(&orders, AGES, &mut never).unwrap();
        for shard in 0..3 {
            let Word::Snapshot(snapshot) = &words[&shard] else {
                panic!("{words:?}");
            };
            assert_eq!(snapshot.at, Nanos(shard.into()));
        }
    }
    captain.dismiss();
    captain.barrier(Stage::Ended, AGES, &mut never).unwrap();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 2);
    }
}

#[test]
fn an_order_that_nobody_answers_ends_the_run() {
    let (captain, members) = fleet(2);
    let orders = [(1, Order::Report)].into();
    let error = captain.order(&orders, BRIEFLY, &mut never).unwrap_err();
    said(&error, &["shard 1 (host host-1) has not answered", "200ms"]);
    all_told(arrivals(members, Stage::Opened), &["shard 1 (host host-1)"]);
    let nobody = [(7, Order::Report)].into();
    let error = captain.order(&nobody, AGES, &mut never).unwrap_err();
    said(&error, &["no shard 7"]);
}
