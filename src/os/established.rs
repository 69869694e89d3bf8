//! Live TCP connections as the kernel sees them, counted through `sock_diag`.
//!
//! Does not list them or look inside. Works without root and for other users' sockets of the same
//! network namespace. The dump is not a snapshot: it walks the hash table bucket by bucket, so
//! sockets that open or close meanwhile may be seen or not. One dump holds some 100 bytes per
//! socket and no allocation is made per socket. Sources: `sock_diag(7)`, `net/ipv4/inet_diag.c`,
//! `include/uapi/linux/inet_diag.h`.

use super::OsError;
use super::diag::{Dump, DumpError};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::StateFlags;

const FAMILIES: [u8; 2] = [AF_INET, AF_INET6];

/// Sockets of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Established {
    /// Those whose own port it is: the server's ends.
    pub server_side: u64,
    /// Those whose peer's port it is: the clients' ends, when they are on this machine.
    pub client_side: u64,
}

/// Counts the established sockets of `port`, IPv4 and IPv6.
///
/// # Errors
/// [`OsError::Refused`] when `sock_diag` is not to be had (not built in, or refused by a seccomp
/// filter) and [`OsError::Malformed`] when its answer does not read.
pub fn count_established(port: u16) -> Result<Established, OsError> {
    count(port, &StateFlags::ESTABLISHED)
}

/// Counts the sockets of `port` in every state but `LISTEN` and `TIME_WAIT`: what a connection that is over has left
/// behind, when it is none of those established.
///
/// # Errors
/// As [`count_established`].
pub fn count_connections(port: u16) -> Result<Established, OsError> {
    count(
        port,
        &(StateFlags::all() - StateFlags::LISTEN - StateFlags::TIME_WAIT),
    )
}

/// Counts the sockets of `port` in `TIME_WAIT`, which no process owns: they are at the end that closed first.
///
/// # Errors
/// As [`count_established`].
pub fn count_time_wait(port: u16) -> Result<Established, OsError> {
    count(port, &StateFlags::TIME_WAIT)
}

fn count(port: u16, states: &StateFlags) -> Result<Established, OsError> {
    let (mut found, mut dump) = (Established::default(), Dump::open()?);
    for family in FAMILIES {
        dump.each(family, states, &mut |socket| {
            tally(socket, port, &mut found)
        })?;
    }
    Ok(found)
}

/// The handshakes of a port that are under way, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Handshakes {
    dump: Dump,
    port: u16,
}

impl Handshakes {
    /// Watches over the listeners of `port`.
    ///
    /// # Errors
    /// As [`count_established`].
    pub fn open(port: u16) -> Result<Self, OsError> {
        let dump = Dump::open()?;
        Ok(Self { dump, port })
    }

    /// Connections that wait in the listeners' accept queues. Costs some microseconds: listeners have a table of their
    /// own.
    ///
    /// # Errors
    /// As [`count_established`].
    pub fn accept_waiting(&mut self) -> Result<u64, OsError> {
        let (port, mut waiting) = (self.port, 0);
        for family in FAMILIES {
            self.dump.each(family, &StateFlags::LISTEN, &mut |socket| {
                // idiag_rqueue of a listener is sk_ack_backlog (tcp_diag_get_info, net/ipv4/tcp_diag.c).
                let queued = socket.get(56..).and_then(<[u8]>::first_chunk::<4>);
                if ports(socket)?.0 == port {
                    waiting += queued.map_or(0, |raw| u64::from(u32::from_ne_bytes(*raw)));
                }
                Ok(())
            })?;
        }
        Ok(waiting)
    }

    /// Sockets in `SYN_RECV`. Walks the table of all the machine's sockets: tens of milliseconds when it holds millions.
    ///
    /// # Errors
    /// As [`count_established`].
    pub fn syn_received(&mut self) -> Result<u64, OsError> {
        let (port, mut count) = (self.port, 0);
        for family in FAMILIES {
            self.dump
                .each(family, &StateFlags::SYN_RECV, &mut |socket| {
                    count += u64::from(ports(socket)?.0 == port);
                    Ok(())
                })?;
        }
        Ok(count)
    }
}

/// A socket's own port and its peer's: `inet_diag_msg` begins with family, state, timer, retransmits and both ports in
/// network order.
fn ports(socket: &[u8]) -> Result<(u16, u16), DumpError> {
    let Some([_, _, _, _, s0, s1, d0, d1]) = socket.first_chunk::<8>() else {
        return Err(DumpError::Answer("a cut socket header"));
    };
    Ok((
        u16::from_be_bytes([*s0, *s1]),
        u16::from_be_bytes([*d0, *d1]),
    ))
}

fn tally(socket: &[u8], port: u16, found: &mut Established) -> Result<(), DumpError> {
    let (own, peer) = ports(socket)?;
    found.server_side += u64::from(own == port);
    found.client_side += u64::from(peer == port);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::diag::{Progress, messages};
    use super::*;
    use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR};
    use std::io::Read as _;
    use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

    fn socket_message(own: u16, peer: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(92_u32.to_ne_bytes()); // 16 of header, 72 + 4 of an attribute
        bytes.extend(20_u16.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([2, 1, 0, 0]);
        bytes.extend(own.to_be_bytes());
        bytes.extend(peer.to_be_bytes());
        bytes.resize(92, 0);
        bytes
    }

    fn control_message(kind: u16, code: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(20_u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(code.to_ne_bytes());
        bytes
    }

    fn count_in(
        datagram: &[u8],
        port: u16,
        found: &mut Established,
    ) -> Result<Progress, DumpError> {
        messages(datagram, &mut |socket| tally(socket, port, found))
    }

    #[test]
    fn ports_are_matched_on_both_sides_until_the_end_mark() {
        let mut found = Established::default();
        let mut bytes = [
            socket_message(7000, 40000),
            socket_message(40000, 7000),
            socket_message(1, 2),
        ]
        .concat();
        assert!(matches!(
            count_in(&bytes, 7000, &mut found),
            Ok(Progress::More)
        ));
        let counted = (found.server_side, found.client_side);
        assert_eq!(counted, (1, 1));
        bytes.extend(control_message(NLMSG_DONE, 0));
        assert!(matches!(
            count_in(&bytes, 7000, &mut found),
            Ok(Progress::Done)
        ));
    }

    #[test]
    fn refusals_and_cut_answers_are_errors() {
        let mut found = Established::default();
        let refused = control_message(NLMSG_ERROR, -2);
        assert!(
            matches!(count_in(&refused, 1, &mut found), Err(DumpError::Io(error))
            if error.raw_os_error() == Some(2))
        );
        let cut = &socket_message(1, 2)[..40];
        assert!(matches!(
            count_in(cut, 1, &mut found),
            Err(DumpError::Answer(_))
        ));
    }

    #[test]
    fn live_connections_are_counted_on_both_sides() {
        for address in [
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        ] {
            let Ok(listener) = TcpListener::bind(address) else {
                eprintln!("skipped: this machine has no {address}");
                continue;
            };
            let address = listener.local_addr().unwrap();
            let pairs: Vec<_> = (0..300)
                .map(|_| {
                    let client = TcpStream::connect(address).unwrap();
                    (client, listener.accept().unwrap().0)
                })
                .collect();
            let found = count_established(address.port()).unwrap();
            let counted = (found.server_side, found.client_side);
            assert_eq!(counted, (300, 300), "{address}");
            let mut handshakes = Handshakes::open(address.port()).unwrap();
            let waiting: Vec<_> = (0..7)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            assert_eq!(handshakes.accept_waiting().unwrap(), 7, "{address}");
            assert_eq!(handshakes.syn_received().unwrap(), 0, "{address}");
            drop(waiting);
            drop(pairs);
        }
    }

    #[test]
    fn time_wait_is_at_the_end_that_closed_first() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            drop(server);
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        let found = count_time_wait(address.port()).unwrap();
        assert_eq!((found.server_side, found.client_side), (0, 20));
    }
}
