//! Who dies, fails or does not come along is named to all the others.

use super::*;
use crate::fleet::frame::{self, BEFORE_ADMISSION};
use crate::fleet::join;
use crate::fleet::message::FromMember;
use socket2::SockRef;
use std::io::Write as _;

/// Takes the member of `index` out.
fn take(members: &mut Vec<Member>, index: usize) -> Member {
    members.remove(index)
}

#[test]
fn a_member_that_dies_while_others_are_awaited() {
    let captain = captain(3);
    let members = vec![member(&captain, 0, 3)];
    drop(member(&captain, 1, 3));
    let error = captain.gather(&mut never).unwrap_err();
    assert_eq!(error.blame(), Blame::Run);
    let parts = ["shard 1 (host host-1) is gone", "ended"];
    said(&error, &parts);
    all_told(arrivals(members, Stage::Gathered), &parts);
}

#[test]
fn a_member_that_dies_before_a_barrier() {
    let (captain, mut members) = fleet(4);
    let dying = take(&mut members, 2);
    let waiting = arrivals(members, Stage::Opened);
    drop(dying);
    let error = captain
        .barrier(Stage::Opened, AGES, &mut never)
        .unwrap_err();
    said(&error, &["shard 2 (host host-2) is gone"]);
    all_told(waiting, &["captain-host", "shard 2 (host host-2) is gone"]);
    assert_eq!(captain.check(), Err(error.clone()));
    let later = captain.barrier(Stage::Closed, AGES, &mut never);
    assert_eq!(later, Err(error), "the first reason remains");
}

/// A host that says what it is told to, and nothing by itself.
fn puppet(captain: &Captain, index: u32, shards: u32) -> join::Joined {
    join::join(
        member_config(captain.address(), index, shards),
        "",
        &mut never,
    )
    .unwrap()
}

fn arrives(puppet: &join::Joined, stage: Stage) {
    let arrived = FromMember::Arrived(stage);
    puppet.link.send(&arrived, BEFORE_ADMISSION).unwrap();
}

#[test]
fn a_member_that_dies_at_a_barrier_while_it_waits() {
    let captain = captain(3);
    let dying = puppet(&captain, 0, 3);
    let members: Vec<_> = [1, 2].map(|index| member(&captain, index, 3)).into();
    captain.gather(&mut never).unwrap();
    arrives(&dying, Stage::Opened);
    drop(dying);
    // The two others are still opening; the captain waits for them.
    let error = captain
        .barrier(Stage::Opened, AGES, &mut never)
        .unwrap_err();
    said(&error, &["shard 0 (host host-0) is gone"]);
    all_told(
        arrivals(members, Stage::Opened),
        &["shard 0 (host host-0) is gone"],
    );
}

#[test]
fn a_member_that_is_killed_after_a_barrier() {
    let captain = captain(3);
    let dying = puppet(&captain, 1, 3);
    let mut members = [0, 2].map(|index| member(&captain, index, 3));
    captain.gather(&mut never).unwrap();
    arrives(&dying, Stage::Opened);
    thread::scope(|scope| {
        for member in &mut members {
            scope.spawn(move || member.arrive(Stage::Opened, AGES, &mut never).unwrap());
        }
        captain.barrier(Stage::Opened, AGES, &mut never).unwrap();
    });
    let socket = SockRef::from(dying.link.stream());
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    // The windows are open: nobody waits for anything, and all learn of it.
    drop(dying);
    let waiting = arrivals(members.into(), Stage::Closed);
    let error = captain
        .barrier(Stage::Closed, AGES, &mut never)
        .unwrap_err();
    let parts = ["shard 1 (host host-1) is gone: its process was killed"];
    said(&error, &parts);
    all_told(waiting, &parts);
}

#[test]
fn a_member_that_fails_says_why_to_all() {
    let (captain, mut members) = fleet(3);
    let failing = take(&mut members, 1);
    let waiting = arrivals(members, Stage::Opened);
    failing.fail("no port is left for a connection");
    let parts = ["shard 1 (host host-1): no port is left for a connection"];
    let error = captain
        .barrier(Stage::Opened, AGES, &mut never)
        .unwrap_err();
    said(&error, &parts);
    all_told(waiting, &parts);
    said(&failing.check().unwrap_err(), &["no port is left"]);
}

#[test]
fn a_captain_that_dies_or_aborts() {
    let (captain, members) = fleet(3);
    let waiting = arrivals(members, Stage::Opened);
    drop(captain);
    all_told(waiting, &["the rendezvous on captain-host is gone"]);

    let (captain, members) = fleet(3);
    let waiting = arrivals(members, Stage::Opened);
    captain.abort("the server ran out of memory");
    all_told(
        waiting,
        &["the rendezvous on captain-host ended the run: the server ran out of memory"],
    );
    said(&captain.check().unwrap_err(), &["ran out of memory"]);
}

#[test]
fn an_abort_is_heard_by_who_does_not_wait_even_when_the_captain_leaves_at_once() {
    let (captain, members) = fleet(2);
    captain.abort("enough");
    drop(captain);
    for member in members {
        let heard = loop {
            if let Err(error) = member.check() {
                break error;
            }
            thread::yield_now();
        };
        said(&heard, &["captain-host ended the run: enough"]);
    }
}

#[test]
fn who_does_not_arrive_is_named_to_all_itself_included() {
    let (captain, mut members) = fleet(3);
    let late = take(&mut members, 2);
    let waiting = arrivals(members, Stage::Opened);
    let error = captain
        .barrier(Stage::Opened, BRIEFLY, &mut never)
        .unwrap_err();
    said(
        &error,
        &["shard 2 (host host-2)", "`connections opened` within 200ms"],
    );
    all_told(waiting, &["shard 2 (host host-2)"]);
    all_told(
        arrivals(vec![late], Stage::Opened),
        &["shard 2 (host host-2)"],
    );
}

#[test]
fn a_captain_that_hangs_does_not_hang_its_members() {
    let (captain, mut members) = fleet(2);
    let mut waiting = take(&mut members, 0);
    waiting.margin = Duration::ZERO;
    let error = waiting
        .arrive(Stage::Opened, BRIEFLY, &mut never)
        .unwrap_err();
    assert!(matches!(error, FleetError::CaptainSilent { .. }), "{error}");
    said(
        &error,
        &["the rendezvous on captain-host has said nothing for 200ms"],
    );
    // It was there after all, and hears of it.
    let error = captain
        .barrier(Stage::Opened, AGES, &mut never)
        .unwrap_err();
    said(
        &error,
        &["shard 0 (host host-0): the rendezvous on captain-host has said nothing"],
    );
}

#[test]
fn hosts_at_different_stages_do_not_wait_for_ever() {
    let (captain, members) = fleet(2);
    let waiting = arrivals(members, Stage::Closed);
    let error = captain
        .barrier(Stage::Opened, AGES, &mut never)
        .unwrap_err();
    said(
        &error,
        &["`window closed`", "`connections opened`", "(host host-"],
    );
    all_told(waiting, &["`window closed`"]);
}

#[test]
fn who_introduces_itself_twice_is_out_of_order() {
    let captain = captain(1);
    let bad = puppet(&captain, 0, 1);
    captain.gather(&mut never).unwrap();
    let again = FromMember::Proof(token::Bytes32::random());
    let frame = frame::encode(&again, BEFORE_ADMISSION).unwrap();
    let mut stream = bad.link.stream();
    stream.write_all(&frame).unwrap();
    let error = captain
        .barrier(Stage::Opened, AGES, &mut never)
        .unwrap_err();
    said(&error, &["shard 0 (host host-0) introduced itself twice"]);
}
