//! Whoever else finds the port: a port scan, silent peers, garbage. A fleet gathers undisturbed meanwhile.

use super::*;
use crate::fleet::frame::{self, AFTER_ADMISSION, BEFORE_ADMISSION, FrameError};
use crate::fleet::join;
use crate::fleet::message::{FromCaptain, FromMember, Hello};
use crate::fleet::token::Bytes32;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// More than may wait for admission at once.
const CROWD: usize = 200;

/// The end of what a peer is sent, however it comes.
fn ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut rest);
}

/// The gathering of four hosts with whatever else goes on, and one barrier.
fn undisturbed(captain: &Captain) {
    let address = captain.address();
    let members: Vec<_> = (0..4)
        .map(|index| {
            thread::spawn(move || {
                let mut member =
                    Member::join(member_config(address, index, 4), &mut never).unwrap();
                member.arrive(Stage::Ended, AGES, &mut never).unwrap();
            })
        })
        .collect();
    captain.gather(&mut never).unwrap();
    captain.barrier(Stage::Ended, AGES, &mut never).unwrap();
    for member in members {
        member.join().unwrap();
    }
}

#[test]
fn a_crowd_of_silent_peers_keeps_nobody_out_and_is_closed() {
    let captain = captain(4);
    let mut crowd: Vec<_> = (0..CROWD)
        .map(|_| TcpStream::connect(captain.address()).unwrap())
        .collect();
    undisturbed(&captain);
    // The first lost their places to others, the last had their five seconds.
    for stream in &mut crowd {
        ended(stream);
    }
}

#[test]
fn garbage_is_refused_or_closed_and_disturbs_nobody() {
    let captain = captain(4);
    let send = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(captain.address()).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let mut oversized = send(&[0xff; 4]);
    let mut browser = send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut nonsense = send(b"\0\0\0\x02{}");
    // As deep as a frame can be; what reads it calls itself.
    let nested = [&4_096_u32.to_be_bytes()[..], &[b'['; BEFORE_ADMISSION]].concat();
    let mut nested = send(&nested);
    let mut halves = send(b"\0\0");
    halves.shutdown(std::net::Shutdown::Write).unwrap();
    undisturbed(&captain);
    for stream in [&mut oversized, &mut browser] {
        let answer = frame::read(stream, BEFORE_ADMISSION).unwrap().unwrap();
        let refused: FromCaptain = frame::decode(&answer).unwrap();
        assert!(
            matches!(&refused, FromCaptain::Refused(why) if why.contains("4096 are the most")),
            "{refused:?}"
        );
        ended(stream);
    }
    for stream in [&mut nonsense, &mut nested, &mut halves] {
        let answer = frame::read(stream, BEFORE_ADMISSION);
        assert!(
            matches!(answer, Ok(None) | Err(FrameError::Broken(_))),
            "{answer:?}"
        );
    }
}

#[test]
fn once_all_are_there_the_port_is_closed() {
    let captain = captain(1);
    let there = member(&captain, 0, 1);
    captain.gather(&mut never).unwrap();
    let refused = TcpStream::connect(captain.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let late = MemberConfig {
        gather_within: BRIEFLY,
        ..member_config(captain.address(), 0, 1)
    };
    let error = Member::join(late, &mut never).unwrap_err();
    said(&error, &["refused", "once all its hosts have come"]);
    assert_eq!((captain.check(), there.check()), (Ok(()), Ok(())));
}

#[test]
fn a_name_without_end_is_refused_before_it_is_remembered() {
    let captain = Captain::listen(CaptainConfig {
        gather_within: BRIEFLY,
        ..captain_config(1)
    })
    .unwrap();
    let mut stream = TcpStream::connect(captain.address()).unwrap();
    let hello = FromMember::Hello(Hello {
        protocol: PROTOCOL,
        build: build(),
        host: "x".repeat(65),
        seat: Seat::Shard(0),
        shards: 1,
        terms: terms(),
        nonce: Bytes32::random(),
    });
    stream
        .write_all(&frame::encode(&hello, BEFORE_ADMISSION).unwrap())
        .unwrap();
    let answer = frame::read(&mut stream, BEFORE_ADMISSION).unwrap().unwrap();
    let refused: FromCaptain = frame::decode(&answer).unwrap();
    let FromCaptain::Refused(why) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("1 to 64 characters"), "{why}");
    let error = captain.gather(&mut never).unwrap_err();
    said(&error, &["1 to 64 characters"]);
    assert!(!error.to_string().contains("xx"), "{error}");
}

#[test]
fn a_member_that_sends_too_much_is_named_and_ends_the_run() {
    for (bytes, why) in [
        (
            (u32::try_from(AFTER_ADMISSION).unwrap() + 1)
                .to_be_bytes()
                .to_vec(),
            "1048577 bytes",
        ),
        (b"\0\0\0\x02{}".to_vec(), "no message"),
        (
            frame::encode(&"hello", BEFORE_ADMISSION).unwrap(),
            "no message",
        ),
    ] {
        let captain = captain(2);
        let good = member(&captain, 0, 2);
        let config = member_config(captain.address(), 1, 2);
        let bad = join::join(config, "shard 1", &mut never).unwrap();
        captain.gather(&mut never).unwrap();
        let mut stream = bad.link.stream();
        stream.write_all(&bytes).unwrap();
        let error = captain
            .barrier(Stage::Opened, AGES, &mut never)
            .unwrap_err();
        said(&error, &["shard 1 (host host-1) is gone", why]);
        all_told(
            arrivals(vec![good], Stage::Opened),
            &["shard 1 (host host-1)", why],
        );
    }
}
