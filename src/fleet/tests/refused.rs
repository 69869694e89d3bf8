//! Who does not fit is told why, and the others do not notice.

use super::*;
use crate::fleet::frame::{self, BEFORE_ADMISSION};
use crate::fleet::message::{FromCaptain, FromMember, Hello};
use crate::fleet::token::Bytes32;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

fn join_error(config: MemberConfig) -> FleetError {
    Member::join(config, &mut never).unwrap_err()
}

/// That `config` is refused with `parts`, and the fleet gathers all the same.
fn refused(change: impl FnOnce(&mut MemberConfig), parts: &[&str]) {
    let captain = captain(2);
    let first = member(&captain, 0, 2);
    let mut config = member_config(captain.address(), 1, 2);
    change(&mut config);
    let error = join_error(config);
    assert_eq!(error.blame(), Blame::Usage);
    said(&error, parts);
    let second = member(&captain, 1, 2);
    captain.gather(&mut never).unwrap();
    for member in [&first, &second] {
        assert_eq!(member.check(), Ok(()));
    }
}

#[test]
fn another_token() {
    let other = Token::new("another token for the tests").unwrap();
    refused(
        |config| config.token = other,
        &["host-1 has not the token of captain-host"],
    );
}

#[test]
fn another_build() {
    refused(
        |config| config.build = "9.9.9 (commit feed)".to_owned(),
        &[
            "host-1 runs ringbeat 9.9.9 (commit feed)",
            "captain-host runs",
            &build(),
        ],
    );
}

#[test]
fn another_count_of_shards() {
    refused(
        |config| config.shards = 3,
        &["host-1 was told of 3 shards", "captain-host of 2"],
    );
}

#[test]
fn an_index_that_is_taken() {
    refused(
        |config| config.seat = Seat::Shard(0),
        &["shard 0 is host-0 already", "host-1 says that it is too"],
    );
}

#[test]
fn a_place_that_the_captain_has_itself() {
    refused(
        |config| config.seat = Seat::Server,
        &["the server itself", "host-1"],
    );
}

#[test]
fn other_settings() {
    refused(
        |config| {
            config.terms.insert("interval".to_owned(), "10s".to_owned());
        },
        &["`interval` is 10s on host-1 and 30s on captain-host"],
    );
}

#[test]
fn another_version_of_the_protocol() {
    let captain = captain(1);
    let mut stream = TcpStream::connect(captain.address()).unwrap();
    let hello = FromMember::Hello(Hello {
        protocol: PROTOCOL + 1,
        build: build(),
        host: "host-0".to_owned(),
        seat: Seat::Shard(0),
        shards: 1,
        terms: terms(),
        nonce: Bytes32::random(),
    });
    stream
        .write_all(&frame::encode(&hello, BEFORE_ADMISSION).unwrap())
        .unwrap();
    let answer = frame::read(&mut stream, BEFORE_ADMISSION).unwrap().unwrap();
    let FromCaptain::Refused(why) = frame::decode(&answer).unwrap() else {
        panic!("{}", String::from_utf8_lossy(&answer));
    };
    assert!(
        why.contains("version 2") && why.contains("captain-host speaks 1"),
        "{why}"
    );
    assert!(
        frame::read(&mut stream, BEFORE_ADMISSION)
            .unwrap()
            .is_none(),
        "closed"
    );
}

#[test]
fn who_is_missing_is_named_with_who_was_sent_away() {
    let captain = Captain::listen(CaptainConfig {
        gather_within: BRIEFLY,
        ..captain_config(8)
    })
    .unwrap();
    let there = [0, 1, 2, 4, 6, 7].map(|index| member(&captain, index, 8));
    let mut other = member_config(captain.address(), 3, 8);
    other.build = "9.9.9".to_owned();
    join_error(other);
    let error = captain.gather(&mut never).unwrap_err();
    let parts = ["shards 3 and 5 of 8 have not come within 200ms"];
    said(&error, &parts);
    said(&error, &["sent away meanwhile: host-3 runs ringbeat 9.9.9"]);
    all_told(arrivals(there.into(), Stage::Gathered), &parts);

    // Who is late is told as long as the captain is there, and then finds nobody.
    let late = |within| MemberConfig {
        gather_within: within,
        ..member_config(captain.address(), 5, 8)
    };
    let error = join_error(late(AGES));
    said(&error, &["the run has ended already", "shards 3 and 5"]);
    let late = late(BRIEFLY);
    drop(captain);
    let error = join_error(late);
    assert_eq!(error.blame(), Blame::Run);
    said(&error, &["no rendezvous at 127.0.0.1:", "within 200ms"]);
}

#[test]
fn a_captain_without_the_token_is_not_believed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let impostor = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let answers = [
            FromCaptain::Challenge(Bytes32::random()),
            FromCaptain::Welcome {
                proof: Bytes32::random(),
                run: "a-run".to_owned(),
                host: "impostor".to_owned(),
                origin_epoch_ns: 0,
            },
        ];
        for answer in answers {
            frame::read(&mut stream, BEFORE_ADMISSION).unwrap().unwrap();
            let answer = frame::encode(&answer, BEFORE_ADMISSION).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    let error = join_error(member_config(address, 0, 1));
    assert_eq!(error.blame(), Blame::Usage);
    said(&error, &["has not this host's token", &address.to_string()]);
    impostor.join().unwrap();
}

#[test]
fn something_else_behind_the_address_is_named() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\0\0\0\x02{}"] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let other = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            frame::read(&mut stream, BEFORE_ADMISSION).unwrap().unwrap();
            stream.write_all(answer).unwrap();
        });
        let error = join_error(member_config(address, 0, 1));
        said(&error, &["is no rendezvous", &address.to_string()]);
        other.join().unwrap();
    }
}

#[test]
fn what_cannot_be_is_said_before_anybody_is_asked() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let mut config = member_config(address, 4, 4);
    said(&join_error(config.clone()), &["no shard 4 of 4"]);
    config.seat = Seat::Shard(0);
    config.host = "a\nb".to_owned();
    said(&join_error(config.clone()), &["host's name"]);
    config.host = "host".to_owned();
    config.address = "nowhere".to_owned();
    said(&join_error(config), &["`nowhere`", "HOST:PORT"]);

    let wrong = Captain::listen(CaptainConfig {
        shards: 0,
        ..captain_config(1)
    });
    assert_eq!(wrong.unwrap_err().blame(), Blame::Usage);
    let captain = captain(1);
    let busy = Captain::listen(CaptainConfig {
        listen: captain.address(),
        ..captain_config(1)
    });
    let error = busy.unwrap_err();
    assert_eq!(error.blame(), Blame::Host);
    said(&error, &["cannot listen on 127.0.0.1", "ss -ltnp"]);
    let mut config = member_config(captain.address(), 0, 1);
    config.terms.insert("list".to_owned(), "x".repeat(5_000));
    said(&join_error(config), &["too many for the rendezvous"]);
}
