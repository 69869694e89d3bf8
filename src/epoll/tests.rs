//! The reference engine on real sockets: the same promises as the ring's.

use super::*;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

type Seen = (Token, Result<u32, i32>, bool, Vec<u8>);

fn token(kind: TokenKind, index: u32) -> Token {
    Token::new(kind, index, 1)
}

/// Runs `operations` and collects completions until there are at least `least`.
fn run(engine: &mut Epoll, operations: &[Operation], least: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    for operation in operations {
        engine.push(operation);
    }
    engine.ask_again();
    while engine.has_work() || seen.len() < least {
        engine
            .look(Duration::from_millis(u64::from(seen.len() < least)))
            .unwrap();
        engine.reap(|c| seen.push((c.token, c.result, c.more, c.data.to_vec())));
        if seen.len() < least {
            engine.ask_again();
        }
    }
    seen
}

fn listener() -> (Socket, SocketAddrV4) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        unreachable!()
    };
    (listener.into(), address)
}

fn accept(listener: &Socket) -> Operation {
    Operation::Accept {
        listener: listener.as_raw_fd(),
        token: token(TokenKind::Accept, 0),
    }
}

/// An engine that has accepted one connection on slot `.1`, and the peer.
fn accepted(slots: u32) -> (Epoll, u32, TcpStream) {
    let mut engine = Epoll::new(slots, &[]).unwrap();
    let (listener, address) = listener();
    engine.adopt(&listener).unwrap();
    engine.adopt(&listener).unwrap();
    let peer = TcpStream::connect(address).unwrap();
    let seen = run(&mut engine, &[accept(&listener)], 1);
    assert!(seen[0].2, "the accept stays armed");
    let slot = seen[0].1.unwrap();
    (engine, slot, peer)
}

fn watch(slot: u32) -> Operation {
    Operation::Watch {
        slot,
        token: token(TokenKind::Watch, slot),
    }
}

fn receive(slot: u32) -> Operation {
    Operation::Receive {
        slot,
        token: token(TokenKind::Receive, slot),
    }
}

#[test]
fn a_watch_tells_each_arrival_and_the_end() {
    let (mut engine, slot, mut peer) = accepted(4);
    assert!(run(&mut engine, &[watch(slot)], 0).is_empty(), "idle");
    for round in 0..3_u8 {
        peer.write_all(&[round; 16]).unwrap();
        let seen = run(&mut engine, &[], 1);
        assert_eq!((seen[0].0.kind, seen[0].2), (TokenKind::Watch, true));
        let seen = run(&mut engine, &[receive(slot)], 1);
        assert_eq!(
            (seen[0].1, seen[0].3.as_slice()),
            (Ok(16), &[round; 16][..])
        );
        let seen = run(&mut engine, &[receive(slot)], 1);
        assert_eq!(seen[0].1, Err(libc::EAGAIN));
    }
    let bytes = *b"sixteen letters!";
    let sent = run(
        &mut engine,
        &[Operation::Send {
            slot,
            bytes,
            token: token(TokenKind::Send, slot),
        }],
        0,
    );
    assert!(sent.is_empty(), "successful sends are silent");
    let mut echoed = [0; 16];
    peer.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, bytes);
    drop(peer);
    let seen = run(&mut engine, &[], 1);
    let ended = u32::from(libc::POLLRDHUP.cast_unsigned());
    assert_ne!(seen[0].1.unwrap() & ended, 0);
    assert_eq!(run(&mut engine, &[receive(slot)], 1)[0].1, Ok(0));
}

#[test]
fn an_engine_connects_by_itself_and_says_who_refused() {
    let mut engine = Epoll::new(2, &[SocketOption::nodelay()]).unwrap();
    let (listener, address) = listener();
    let dial = |slot, address| {
        [
            Operation::Open {
                slot,
                token: token(TokenKind::Open, slot),
            },
            Operation::SetOption {
                slot,
                option: 0,
                token: token(TokenKind::Option, slot),
            },
            Operation::Connect {
                slot,
                address,
                token: token(TokenKind::Connect, slot),
            },
        ]
    };
    let seen = run(&mut engine, &dial(1, address), 1);
    assert_eq!((seen[0].0.kind, seen[0].1), (TokenKind::Connect, Ok(0)));
    let (mut peer, _) = TcpListener::from(listener).accept().unwrap();
    let end = [
        Operation::Abort {
            slot: 1,
            token: token(TokenKind::Abort, 1),
        },
        Operation::Cancel {
            target: token(TokenKind::Watch, 1),
        },
        Operation::Close {
            slot: 1,
            token: token(TokenKind::Close, 1),
        },
    ];
    assert!(run(&mut engine, &end, 0).is_empty());
    let reset = peer.read(&mut [0; 1]).unwrap_err();
    assert_eq!(reset.raw_os_error(), Some(libc::ECONNRESET));
    // The listener went with the peer's accept above, so its port refuses.
    let seen = run(&mut engine, &dial(0, address), 1);
    assert_eq!(seen[0].1, Err(libc::ECONNREFUSED));
}

#[test]
fn a_full_table_leaves_connections_in_the_backlog() {
    let mut engine = Epoll::new(1, &[]).unwrap();
    let (listener, address) = listener();
    engine.adopt(&listener).unwrap();
    let _peers = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    let seen = run(&mut engine, &[accept(&listener)], 1);
    assert_eq!(seen.len(), 1);
    assert!(run(&mut engine, &[], 0).is_empty(), "no slot, no accept");
    let close = Operation::Close {
        slot: 0,
        token: token(TokenKind::Close, 0),
    };
    assert_eq!(
        run(&mut engine, &[close], 1)[0].1,
        Ok(0),
        "the slot is free again"
    );
    let seen = run(
        &mut engine,
        &[Operation::Cancel {
            target: token(TokenKind::Accept, 0),
        }],
        1,
    );
    assert_eq!((seen[0].1, seen[0].2), (Err(libc::ECANCELED), false));
}

#[test]
fn a_slot_that_is_empty_is_an_error_and_no_panic() {
    let mut engine = Epoll::new(1, &[]).unwrap();
    for operation in [receive(0), receive(9), watch(0), accept(&listener().0)] {
        assert_eq!(run(&mut engine, &[operation], 1)[0].1, Err(libc::EBADF));
    }
    let stream = Operation::Stream {
        slot: 0,
        token: token(TokenKind::Stream, 0),
    };
    assert_eq!(run(&mut engine, &[stream], 1)[0].1, Err(libc::EOPNOTSUPP));
}
