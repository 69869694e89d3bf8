//! The TCP sockets of a port, one by one, with the state each is in: for watching a few of them closely.
//!
//! Does not keep what it saw before. IPv4 alone. A look walks the namespace's whole hash table, which takes milliseconds
//! where the table is the machine's (some 262,144 buckets) and microseconds where a small namespace has one of its own
//! (`tcp_child_ehash_entries`, ip-sysctl). Sources: `sock_diag(7)`, `include/uapi/linux/inet_diag.h`,
//! `include/net/tcp_states.h`.

use super::OsError;
use super::diag::{Dump, DumpError};
use netlink_packet_sock_diag::constants::AF_INET;
use netlink_packet_sock_diag::inet::StateFlags;

/// A connection's states, as RFC 9293, section 3.3.2, writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcpState {
    /// Data may go both ways.
    Established,
    /// A SYN was sent.
    SynSent,
    /// A SYN came and was answered.
    SynReceived,
    /// Closed here; the FIN is not acknowledged yet.
    FinWait1,
    /// Closed here, and the other end knows; it may go on sending.
    FinWait2,
    /// Over; kept so that late segments meet somebody who knows.
    TimeWait,
    /// No socket, or one that is not in use.
    Closed,
    /// The other end closed; this one has not yet.
    CloseWait,
    /// Both closed, the other end first; the FIN is not acknowledged yet.
    LastAck,
    /// Waiting for SYNs.
    Listen,
    /// Both closed at once; the FIN is not acknowledged yet.
    Closing,
}

impl TcpState {
    /// The state's name in the RFC.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
            Self::CloseWait => "CLOSE-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        }
    }

    /// By the kernel's number; `None` for one that is no connection's.
    const fn of_kernel(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // TCP_SYN_RECV, and TCP_NEW_SYN_RECV of a socket that is only a request yet
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }
}

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketSeen {
    /// Its own port.
    pub own_port: u16,
    /// Its peer's; 0 of a listener.
    pub peer_port: u16,
    /// Its state.
    pub state: TcpState,
    /// When its timer expires, from now; 0 without one. Of `TIME_WAIT`, what is left of it.
    pub timer_ms: u32,
    /// Of a listener, the connections that wait to be accepted; otherwise bytes to be read.
    pub receive_queue: u32,
}

/// The sockets of a port, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Sockets {
    dump: Dump,
    port: u16,
}

impl Sockets {
    /// Those one of whose ports is `port`.
    ///
    /// # Errors
    /// [`OsError::Refused`] when `sock_diag` is not to be had.
    pub fn of(port: u16) -> Result<Self, OsError> {
        let dump = Dump::open()?;
        Ok(Self { dump, port })
    }

    /// Looks at them, in whatever state.
    ///
    /// # Errors
    /// [`OsError::Refused`] when the kernel refuses and [`OsError::Malformed`] when its answer does not read.
    pub fn look(&mut self) -> Result<Vec<SocketSeen>, OsError> {
        let (mut found, port) = (Vec::new(), self.port);
        self.dump
            .each(AF_INET, &StateFlags::all(), &mut |message| {
                let seen = parse(message).ok_or(DumpError::Answer("a cut socket header"))?;
                found.extend(
                    seen.filter(|socket| socket.own_port == port || socket.peer_port == port),
                );
                Ok(())
            })?;
        Ok(found)
    }
}

/// `inet_diag_msg`: family, state, timer and retransmits, a byte each; both ports in network order at 4; the addresses,
/// the interface and a cookie; at 52 the timer's expiry, then both queues.
fn parse(message: &[u8]) -> Option<std::option::IntoIter<SocketSeen>> {
    let port = |at: usize| {
        let bytes = message.get(at..at + 2)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    };
    let word = |at: usize| {
        let bytes = message.get(at..at + 4)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    let (own_port, peer_port) = (port(4)?, port(6)?);
    let (timer_ms, receive_queue) = (word(52)?, word(56)?);
    let seen = TcpState::of_kernel(*message.get(1)?).map(|state| SocketSeen {
        own_port,
        peer_port,
        state,
        timer_ms,
        receive_queue,
    });
    Some(seen.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    fn sockets_of(port: u16) -> Result<Vec<SocketSeen>, OsError> {
        Sockets::of(port)?.look()
    }

    fn states(port: u16, of_port: u16) -> Vec<TcpState> {
        let found = sockets_of(port).unwrap();
        let own = found
            .into_iter()
            .filter(|socket| socket.own_port == of_port);
        own.map(|socket| socket.state).collect()
    }

    #[test]
    fn a_connection_is_seen_from_both_ends_until_time_wait() {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(states(port, port), [TcpState::Listen]);
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let own = client.local_addr().unwrap().port();
        let waiting = sockets_of(port).unwrap();
        let listening = waiting
            .iter()
            .find(|socket| socket.state == TcpState::Listen);
        assert_eq!(listening.unwrap().receive_queue, 1);
        assert_eq!(states(port, own), [TcpState::Established]);
        let server = listener.accept().unwrap().0;
        drop(client);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(states(port, own), [TcpState::FinWait2]);
        assert!(states(port, port).contains(&TcpState::CloseWait));
        drop(server);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(states(port, own), [TcpState::TimeWait]);
        let left = sockets_of(port).unwrap();
        let left = left.iter().find(|socket| socket.own_port == own).unwrap();
        assert!((50_000..=60_000).contains(&left.timer_ms), "{left:?}");
    }

    #[test]
    fn cut_messages_and_unknown_states_do_not_pass() {
        assert!(parse(&[2, 1, 0, 0, 0, 1]).is_none());
        let mut message = [0; 72];
        assert!(parse(&message).unwrap().next().is_none(), "state 0 is none");
        message[1] = 12;
        message[4..8].copy_from_slice(&[0x1b, 0x58, 0x9c, 0x40]);
        let seen = parse(&message).unwrap().next().unwrap();
        let expected = (7000, 40_000, TcpState::SynReceived);
        assert_eq!((seen.own_port, seen.peer_port, seen.state), expected);
    }
}
