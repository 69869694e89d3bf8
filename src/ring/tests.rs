//! The facts about the kernel that the design rests on, shown on a real ring and real sockets.

use super::*;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

/// Says past the harness's capture that something was not tested here.
fn skipped(why: &RingError) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// A ring, or a visible skip where the host refuses io_uring.
fn ring(slots: u32) -> Option<Ring> {
    sized(RingSize::new(slots))
}

fn sized(size: RingSize) -> Option<Ring> {
    match Ring::new(size, &[SocketOption::nodelay()]) {
        Ok(ring) => Some(ring),
        Err(error) => {
            skipped(&error);
            None
        }
    }
}

type Seen = (Token, Result<u32, i32>, bool, Vec<u8>);

/// Submits everything and collects completions until the ring has nothing to do.
fn run(ring: &mut Ring, operations: &[Operation]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for operation in operations {
        while !ring.push(operation) {
            settle(ring, &mut seen);
        }
    }
    settle(ring, &mut seen);
    seen
}

fn settle(ring: &mut Ring, seen: &mut Vec<Seen>) {
    while ring.has_work() {
        ring.enter().unwrap();
        ring.reap(|c| seen.push((c.token, c.result, c.more, c.data.to_vec())))
            .unwrap();
    }
}

fn listener() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        unreachable!()
    };
    (listener, address)
}

fn token(kind: TokenKind, index: u32) -> Token {
    Token::new(kind, index, 1)
}

fn accept(listener: &TcpListener) -> Operation {
    Operation::Accept {
        listener: listener.as_raw_fd(),
        token: token(TokenKind::Accept, 0),
    }
}

#[test]
fn the_features_are_there_or_named() {
    match self_test() {
        Ok(features) => assert!(features.contains_key("engine")),
        Err(error) => skipped(&error),
    }
}

#[test]
fn hundreds_of_connections_without_a_descriptor_each() {
    const COUNT: u32 = 400;
    let Some(mut server) = ring(COUNT) else {
        return;
    };
    let (listener, address) = listener();
    run(&mut server, &[accept(&listener)]);
    let mut peers: Vec<TcpStream> = Vec::new();
    let mut slots: Vec<u32> = Vec::new();
    while slots.len() < COUNT as usize {
        // The accept backlog of a std listener is 128, so accepting keeps pace with connecting.
        if peers.len() < COUNT as usize {
            peers.push(TcpStream::connect(address).unwrap());
        }
        for (token, result, more, _) in run(&mut server, &[]) {
            assert_eq!(token.kind, TokenKind::Accept);
            assert!(more, "accept stays armed");
            slots.push(result.unwrap());
        }
    }
    let watches: Vec<_> = slots
        .iter()
        .map(|&slot| Operation::Watch {
            slot,
            token: token(TokenKind::Watch, slot),
        })
        .collect();
    assert!(run(&mut server, &watches).is_empty(), "nothing to read yet");
    for (number, peer) in (0_u8..).zip(peers.iter_mut().take(200)) {
        peer.write_all(&[number; 16]).unwrap();
    }
    let mut ready = Vec::new();
    while ready.len() < 200 {
        ready.extend(run(&mut server, &[]));
    }
    let receives: Vec<_> = ready
        .iter()
        .map(|(t, ..)| Operation::Receive {
            slot: t.index,
            token: token(TokenKind::Receive, t.index),
        })
        .collect();
    let frames = run(&mut server, &receives);
    assert_eq!(frames.len(), 200, "inline receives finish inside the enter");
    assert!(
        frames
            .iter()
            .all(|(_, result, _, data)| *result == Ok(16) && data.len() == 16)
    );
    let sends: Vec<_> = frames
        .iter()
        .map(|(t, _, _, data)| Operation::Send {
            slot: t.index,
            bytes: data.as_slice().try_into().unwrap(),
            token: token(TokenKind::Send, t.index),
        })
        .collect();
    assert!(
        run(&mut server, &sends).is_empty(),
        "successful sends are silent"
    );
    for (number, peer) in (0_u8..).zip(peers.iter_mut().take(200)) {
        let mut echoed = [0; 16];
        peer.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, [number; 16]);
    }
    assert_eq!(server.counters().overflows, 0);
    assert_eq!(server.counters().unknown_tokens, 0);
}

#[test]
fn a_ring_connects_by_itself_and_close_needs_the_cancel() {
    let Some(mut client) = ring(4) else { return };
    let (listener, address) = listener();
    let connect = Operation::Connect {
        slot: 2,
        address,
        token: token(TokenKind::Connect, 2),
    };
    let mut seen = run(
        &mut client,
        &[
            Operation::Open {
                slot: 2,
                token: token(TokenKind::Open, 2),
            },
            Operation::SetOption {
                slot: 2,
                option: 0,
                token: token(TokenKind::Option, 2),
            },
            connect,
        ],
    );
    while seen.is_empty() {
        seen = run(&mut client, &[]);
    }
    assert_eq!((seen[0].0.kind, seen[0].1), (TokenKind::Connect, Ok(0)));
    let (mut peer, _) = listener.accept().unwrap();
    let watch = token(TokenKind::Watch, 2);
    let seen = run(
        &mut client,
        &[
            Operation::Watch {
                slot: 2,
                token: watch,
            },
            Operation::Cancel { target: watch },
            Operation::Close {
                slot: 2,
                token: token(TokenKind::Close, 2),
            },
        ],
    );
    assert_eq!(
        seen.len(),
        1,
        "cancel and close are silent, the watch says it was cancelled"
    );
    assert_eq!(seen[0].1, Err(libc::ECANCELED));
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "the peer sees the FIN");
}

#[test]
fn an_abort_resets_the_peer() {
    let Some(mut client) = ring(1) else { return };
    let (listener, address) = listener();
    let mut seen = run(
        &mut client,
        &[
            Operation::Open {
                slot: 0,
                token: token(TokenKind::Open, 0),
            },
            Operation::Connect {
                slot: 0,
                address,
                token: token(TokenKind::Connect, 0),
            },
        ],
    );
    while seen.is_empty() {
        seen = run(&mut client, &[]);
    }
    let (mut peer, _) = listener.accept().unwrap();
    let seen = run(
        &mut client,
        &[Operation::Abort {
            slot: 0,
            token: token(TokenKind::Abort, 0),
        }],
    );
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(
        peer.read(&mut [0; 1]).unwrap_err().raw_os_error(),
        Some(libc::ECONNRESET)
    );
}

#[test]
fn a_full_table_drops_the_connection_and_ends_the_accept() {
    let Some(mut server) = ring(2) else { return };
    let (listener, address) = listener();
    run(&mut server, &[accept(&listener)]);
    let mut peers: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(run(&mut server, &[]));
    }
    assert_eq!(seen.iter().filter(|s| s.1.is_ok()).count(), 2);
    let (_, refused, more, _) = &seen[2];
    assert_eq!((*refused, *more), (Err(libc::ENFILE), false), "fact F7");
    let end = peers[2].read(&mut [0; 1]);
    assert!(matches!(end, Ok(0) | Err(_)), "accepted, then closed");
}

#[test]
fn a_receive_of_an_idle_socket_says_so_at_once() {
    let Some(mut server) = ring(1) else { return };
    let (listener, address) = listener();
    run(&mut server, &[accept(&listener)]);
    let _peer = TcpStream::connect(address).unwrap();
    while run(&mut server, &[]).is_empty() {}
    let seen = run(
        &mut server,
        &[Operation::Receive {
            slot: 0,
            token: token(TokenKind::Receive, 0),
        }],
    );
    assert_eq!(seen[0].1, Err(libc::EAGAIN));
}

/// A streaming server with `buffers`, one accepted connection on slot 0, and its peer.
fn streaming(buffers: u16) -> Option<(Ring, TcpStream)> {
    let mut server = sized(RingSize {
        buffers,
        ..RingSize::new(1)
    })?;
    let (listener, address) = listener();
    run(&mut server, &[accept(&listener)]);
    let peer = TcpStream::connect(address).unwrap();
    while run(&mut server, &[]).is_empty() {}
    Some((server, peer))
}

fn stream() -> Operation {
    Operation::Stream {
        slot: 0,
        token: token(TokenKind::Stream, 0),
    }
}

/// Runs the ring until it has told of `count` completions.
fn until(ring: &mut Ring, count: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(run(ring, &[]));
    }
    seen
}

#[test]
fn a_stream_hands_over_every_arrival_and_then_the_fin() {
    let Some((mut server, mut peer)) = streaming(4) else {
        return;
    };
    assert!(run(&mut server, &[stream()]).is_empty(), "idle");
    for round in 0..20_u8 {
        peer.write_all(&[round; 16]).unwrap();
        let seen = until(&mut server, 1);
        assert_eq!((seen[0].1, seen[0].2), (Ok(16), true), "it stays armed");
        assert_eq!(seen[0].3, [round; 16], "buffers come round again");
    }
    drop(peer);
    let seen = until(&mut server, 1);
    assert_eq!((seen[0].1, seen[0].2), (Ok(0), false));
}

#[test]
fn a_stream_without_a_buffer_ends_and_the_bytes_wait() {
    let Some((mut server, mut peer)) = streaming(1) else {
        return;
    };
    run(&mut server, &[stream()]);
    peer.write_all(&[7; 3 * RECEIVE_BYTES]).unwrap();
    let mut bytes = 0;
    let mut starved = 0;
    while bytes < 3 * RECEIVE_BYTES {
        for (_, result, more, data) in until(&mut server, 1) {
            bytes += data.len();
            if result == Err(libc::ENOBUFS) {
                assert!(!more);
                starved += 1;
                assert!(server.push(&stream()));
            }
        }
    }
    assert!(starved > 0, "one buffer cannot hold three");
    assert_eq!(bytes, 3 * RECEIVE_BYTES);
}

#[test]
fn a_wait_ends_with_an_event_or_with_its_time() {
    let Some((mut server, mut peer)) = streaming(4) else {
        return;
    };
    run(&mut server, &[stream()]);
    server.wait(Duration::from_millis(1)).unwrap();
    assert!(run(&mut server, &[]).is_empty(), "nothing came");
    peer.write_all(&[1; 16]).unwrap();
    server.wait(Duration::from_mins(1)).unwrap();
    assert_eq!(until(&mut server, 1)[0].1, Ok(16));
}

#[test]
fn a_completion_queue_that_is_too_small_loses_nothing() {
    let Some(mut server) = sized(RingSize {
        completions: 2,
        ..RingSize::new(64)
    }) else {
        return;
    };
    let (listener, address) = listener();
    run(&mut server, &[accept(&listener)]);
    let peers: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut taken = 0;
    while taken < peers.len() {
        for (_, result, more, _) in run(&mut server, &[]) {
            taken += usize::from(result.is_ok());
            if !more {
                assert!(server.push(&accept(&listener)));
            }
        }
    }
    assert!(server.counters().overflows > 0, "{:?}", server.counters());
}

#[test]
fn a_table_above_the_limit_on_open_files_is_refused_with_the_remedy() {
    let Some(_ring) = ring(1) else { return };
    let error =
        Ring::new(RingSize::new(1 << 21), &[]).expect_err("the kernel's own ceiling is 2^20");
    assert!(error.to_string().contains("ulimit -n"), "{error}");
}

#[test]
fn connections_come_from_the_address_they_are_bound_to_and_share_its_ports() {
    let options = [SocketOption::bind_address_no_port()];
    let Ok(mut client) = Ring::new(RingSize::new(4), &options) else {
        return;
    };
    let source = Ipv4Addr::new(127, 0, 0, 9);
    if let Err(error) = self_test_bind(&[source]) {
        skipped(&error);
        return;
    }
    let (listener, address) = listener();
    let steps = |slot: u32| {
        let token = |kind| token(kind, slot);
        [
            Operation::Open {
                slot,
                token: token(TokenKind::Open),
            },
            Operation::SetOption {
                slot,
                option: 0,
                token: token(TokenKind::Option),
            },
            Operation::Bind {
                slot,
                source,
                token: token(TokenKind::Bind),
            },
            Operation::Connect {
                slot,
                address,
                token: token(TokenKind::Connect),
            },
        ]
    };
    for slot in 0..4 {
        let mut seen = run(&mut client, &steps(slot));
        while seen.is_empty() {
            seen = run(&mut client, &[]);
        }
        assert_eq!((seen[0].0.kind, seen[0].1), (TokenKind::Connect, Ok(0)));
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), source);
    }
}

/// A listener whose queue is full does not answer, and without the option the connect would take two minutes.
#[test]
fn a_user_timeout_bounds_what_the_ring_connects() {
    let Ok(mut client) = Ring::new(RingSize::new(1), &[SocketOption::user_timeout(500)]) else {
        return;
    };
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket_ipv4().unwrap();
    let _queued = TcpStream::connect(address).unwrap();
    let slot = 0;
    let mut seen = run(
        &mut client,
        &[
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
        ],
    );
    let begun = std::time::Instant::now();
    while seen.is_empty() && begun.elapsed() < Duration::from_mins(1) {
        client.wait(Duration::from_millis(100)).unwrap();
        seen = run(&mut client, &[]);
    }
    assert_eq!(
        (seen[0].0.kind, seen[0].1),
        (TokenKind::Connect, Err(libc::ETIMEDOUT))
    );
}

#[test]
fn a_source_address_of_another_host_is_refused_by_name() {
    let Some(_ring) = ring(1) else { return };
    // TEST-NET-1 (RFC 5737) is nobody's.
    match self_test_bind(&[Ipv4Addr::new(192, 0, 2, 1)]) {
        Err(RingError::Feature { .. }) => skipped(&RingError::Feature {
            feature: "IORING_OP_BIND",
            needed: "6.11",
        }),
        Err(error) => assert!(error.to_string().contains("192.0.2.1"), "{error}"),
        Ok(()) => panic!("an address of no host was taken"),
    }
}
