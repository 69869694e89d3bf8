//! Live TCP connections as the kernel sees them, counted through `sock_diag`.
//!
//! Does not list them or look inside. Works without root and for other users' sockets of the same
//! network namespace. The dump is not a snapshot: it walks the hash table bucket by bucket, so
//! sockets that open or close meanwhile may be seen or not. One dump holds some 100 bytes per
//! socket and no allocation is made per socket. Sources: `sock_diag(7)`, `net/ipv4/inet_diag.c`,
//! `include/uapi/linux/inet_diag.h`.

use super::OsError;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Established sockets of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Established {
    /// Those whose own port it is: the server's ends.
    pub server_side: u64,
    /// Those whose peer's port it is: the clients' ends, when they are on this machine.
    pub client_side: u64,
}

/// How far the kernel's answer has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    More,
    Done,
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

/// Counts the sockets of `port` in `TIME_WAIT`: whoever holds them sent the first FIN.
///
/// # Errors
/// As [`count_established`].
pub fn count_time_wait(port: u16) -> Result<Established, OsError> {
    count(port, &StateFlags::TIME_WAIT)
}

fn count(port: u16, states: &StateFlags) -> Result<Established, OsError> {
    let mut found = Established::default();
    Dump::open()?.each(states, |_, own, peer| {
        found.server_side += u64::from(own == port);
        found.client_side += u64::from(peer == port);
    })?;
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
        self.dump.each(&StateFlags::LISTEN, |payload, own, _| {
            // idiag_rqueue of a listener is sk_ack_backlog (tcp_diag_get_info, net/ipv4/tcp_diag.c).
            let queued = payload.get(56..).and_then(<[u8]>::first_chunk::<4>);
            if own == port {
                waiting += queued.map_or(0, |raw| u64::from(u32::from_ne_bytes(*raw)));
            }
        })?;
        Ok(waiting)
    }

    /// Sockets in `SYN_RECV`. Walks the table of all the machine's sockets: tens of milliseconds when it holds millions.
    ///
    /// # Errors
    /// As [`count_established`].
    pub fn syn_received(&mut self) -> Result<u64, OsError> {
        let (port, mut count) = (self.port, 0);
        self.dump.each(&StateFlags::SYN_RECV, |_, own, _| {
            count += u64::from(own == port);
        })?;
        Ok(count)
    }
}

/// A socket that asks for dumps, and where the answers are put.
#[derive(Debug)]
struct Dump {
    netlink: OwnedFd,
    buffer: Vec<u8>,
}

impl Dump {
    fn open() -> Result<Self, OsError> {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )
        .map_err(|errno| told(DumpError::from(errno)))?;
        Ok(Self {
            netlink,
            buffer: vec![0; 64 << 10],
        })
    }

    /// Calls `visit` with every socket in `states`, IPv4 and IPv6: what the kernel says of it, its own port, its peer's.
    fn each(
        &mut self,
        states: &StateFlags,
        mut visit: impl FnMut(&[u8], u16, u16),
    ) -> Result<(), OsError> {
        for family in [AF_INET, AF_INET6] {
            dump(&self.netlink, family, states, &mut self.buffer, &mut visit).map_err(told)?;
        }
        Ok(())
    }
}

fn told(failure: DumpError) -> OsError {
    match failure {
        DumpError::Io(source) => OsError::Refused {
            call: "sock_diag",
            source,
            advice: "the kernel needs CONFIG_INET_DIAG and the sandbox must allow \
                     AF_NETLINK sockets; `ss -t` fails likewise",
        },
        DumpError::Answer(text) => OsError::malformed("sock_diag", "an inet_diag_msg", text),
    }
}

enum DumpError {
    Io(io::Error),
    Answer(&'static str),
}

impl From<nix::errno::Errno> for DumpError {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Io(errno.into())
    }
}

fn dump(
    netlink: &OwnedFd,
    family: u8,
    states: &StateFlags,
    buffer: &mut [u8],
    visit: &mut impl FnMut(&[u8], u16, u16),
) -> Result<(), DumpError> {
    send(
        netlink.as_raw_fd(),
        &request(family, states.clone()),
        MsgFlags::empty(),
    )?;
    loop {
        match recv(netlink.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => {
                let datagram = buffer
                    .get(..length)
                    .ok_or(DumpError::Answer("a datagram longer than the buffer"))?;
                if tally(datagram, visit)? == Progress::Done {
                    return Ok(());
                }
            }
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The request for all sockets of `family` in `states`, no extensions.
fn request(family: u8, states: StateFlags) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let inet = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id: if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(inet).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Visits the sockets in one datagram of the answer.
fn tally(
    mut datagram: &[u8],
    visit: &mut impl FnMut(&[u8], u16, u16),
) -> Result<Progress, DumpError> {
    while !datagram.is_empty() {
        let message = NetlinkBuffer::new_checked(datagram)
            .map_err(|_| DumpError::Answer("a cut netlink message"))?;
        let payload = message.payload();
        match message.message_type() {
            NLMSG_DONE => return Ok(Progress::Done),
            NLMSG_ERROR => {
                let code = payload
                    .first_chunk::<4>()
                    .map_or(0, |raw| i32::from_ne_bytes(*raw));
                return Err(DumpError::Io(io::Error::from_raw_os_error(-code)));
            }
            _ => {
                // inet_diag_msg: family, state, timer, retransmits, both ports in network order
                let Some([_, _, _, _, s0, s1, d0, d1]) = payload.first_chunk::<8>() else {
                    return Err(DumpError::Answer("a cut socket header"));
                };
                let ports = [[*s0, *s1], [*d0, *d1]].map(u16::from_be_bytes);
                visit(payload, ports[0], ports[1]);
            }
        }
        let padded = (message.length() as usize).next_multiple_of(4);
        datagram = datagram.get(padded..).unwrap_or_default();
    }
    Ok(Progress::More)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

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

    #[test]
    fn every_socket_is_visited_until_the_end_mark() {
        let mut found = Vec::new();
        let mut visit = |_: &[u8], own, peer| found.push((own, peer));
        let mut bytes = [
            socket_message(7000, 40000),
            socket_message(40000, 7000),
            socket_message(1, 2),
        ]
        .concat();
        assert!(matches!(tally(&bytes, &mut visit), Ok(Progress::More)));
        bytes.extend(control_message(NLMSG_DONE, 0));
        assert!(matches!(tally(&bytes, &mut visit), Ok(Progress::Done)));
        assert_eq!(found, [(7000, 40000), (40000, 7000), (1, 2)].repeat(2));
    }

    #[test]
    fn refusals_and_cut_answers_are_errors() {
        let mut nobody = |_: &[u8], _, _| panic!("there is no socket in it");
        let refused = control_message(NLMSG_ERROR, -2);
        assert!(
            matches!(tally(&refused, &mut nobody), Err(DumpError::Io(error))
            if error.raw_os_error() == Some(2))
        );
        let cut = &socket_message(1, 2)[..40];
        assert!(matches!(tally(cut, &mut nobody), Err(DumpError::Answer(_))));
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
            // The clients' ends were dropped first, one after the other with the servers'.
            let held = count_time_wait(address.port()).unwrap();
            assert_eq!(held.server_side, 0, "{address}: {held:?}");
            assert!(held.client_side >= 300, "{address}: {held:?}");
        }
    }
}
