//! A signal ends every wait, and the others are told whom it met.

use super::*;

/// A signal that comes when it is looked for the second time.
fn soon() -> impl FnMut() -> Option<i32> {
    let mut looks = 0;
    move || {
        looks += 1;
        (looks > 1).then_some(libc::SIGTERM)
    }
}

fn interrupted<T: fmt::Debug>(result: Result<T, FleetError>, who: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGTERM), "{error}");
    said(&error, &[who, "signal 15"]);
}

#[test]
fn while_the_captain_is_looked_for() {
    // Somebody listens and never accepts.
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let config = member_config(listener.local_addr().unwrap(), 0, 1);
    interrupted(
        Member::join(config.clone(), &mut soon()),
        "shard 0 (host host-0)",
    );
    // Nobody listens.
    drop(listener);
    interrupted(Member::join(config, &mut soon()), "shard 0 (host host-0)");
}

#[test]
fn while_members_are_awaited() {
    let captain = captain(2);
    let members = vec![member(&captain, 0, 2)];
    interrupted(
        captain.gather(&mut soon()),
        "the server (host captain-host)",
    );
    all_told(
        arrivals(members, Stage::Gathered),
        &["the server (host captain-host) was interrupted by signal 15"],
    );
}

#[test]
fn while_the_captain_waits_at_a_barrier_or_for_an_answer() {
    let (captain, members) = fleet(2);
    interrupted(
        captain.barrier(Stage::Opened, AGES, &mut soon()),
        "captain-host",
    );
    all_told(
        arrivals(members, Stage::Opened),
        &["captain-host", "signal 15"],
    );
    let (captain, members) = fleet(2);
    let orders = [(0, Order::Report)].into();
    interrupted(captain.order(&orders, AGES, &mut soon()), "captain-host");
    all_told(
        arrivals(members, Stage::Opened),
        &["captain-host", "signal 15"],
    );
}

#[test]
fn while_a_member_waits_at_a_barrier_or_for_an_order() {
    for order in [false, true] {
        let (captain, mut members) = fleet(2);
        let mut first = members.remove(0);
        let waiting = arrivals(members, Stage::Opened);
        if order {
            interrupted(first.next_order(AGES, &mut soon()), "host-0");
        } else {
            // The comparison of the clocks looks too, so that it may be that which is interrupted.
            interrupted(first.arrive(Stage::Opened, AGES, &mut soon()), "host-0");
        }
        let parts = ["shard 0 (host host-0): interrupted by signal 15"];
        let error = captain
            .barrier(Stage::Opened, AGES, &mut never)
            .unwrap_err();
        assert_eq!(error.signal(), None, "it came to another host");
        said(&error, &parts);
        all_told(waiting, &parts);
    }
}
