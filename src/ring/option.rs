//! Socket options in the form `IORING_OP_URING_CMD` wants them: level, name and a value that stays put; other
//! engines set the same with system calls.
//!
//! An engine is built with a list of these and `Operation::SetOption` names one by index.
//! Sockets a listener accepts inherit theirs; these are for sockets a ring opens itself. Source: tcp(7), and
//! `io_uring/cmd_net.c` (since Linux 6.7).

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Socket, TcpKeepalive};
use std::io;
use std::time::Duration;

/// Longest value: a congestion control name (`TCP_CA_NAME_MAX`).
const VALUE_BYTES: usize = 16;

/// One option with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOption {
    pub(super) level: i32,
    pub(super) name: i32,
    pub(super) value: [u8; VALUE_BYTES],
    pub(super) length: u32,
}

impl SocketOption {
    fn integer(level: i32, name: i32, value: u32) -> Self {
        let mut bytes = [0; VALUE_BYTES];
        bytes[..4].copy_from_slice(&value.to_ne_bytes());
        Self {
            level,
            name,
            value: bytes,
            length: 4,
        }
    }

    /// `TCP_CONGESTION`; `None` when the name is longer than the kernel's 15 bytes.
    #[must_use]
    pub fn congestion(name: &str) -> Option<Self> {
        let mut value = [0; VALUE_BYTES];
        if name.is_empty() || name.len() >= VALUE_BYTES {
            return None;
        }
        value[..name.len()].copy_from_slice(name.as_bytes());
        let length = u32::try_from(name.len()).ok()?;
        Some(Self {
            level: libc::IPPROTO_TCP,
            name: libc::TCP_CONGESTION,
            value,
            length,
        })
    }

    /// `TCP_NODELAY` on.
    #[must_use]
    pub fn nodelay() -> Self {
        Self::integer(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
    }

    /// `TCP_USER_TIMEOUT`, milliseconds.
    #[must_use]
    pub fn user_timeout(millis: u32) -> Self {
        Self::integer(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, millis)
    }

    /// Sets it on a socket with a descriptor of its own, by plain system calls.
    ///
    /// # Errors
    /// Of `setsockopt(2)`.
    pub fn set_on(&self, socket: &Socket) -> io::Result<()> {
        let [a, b, c, d, ..] = self.value;
        let integer = u32::from_ne_bytes([a, b, c, d]);
        let seconds = Duration::from_secs(u64::from(integer));
        match (self.level, self.name) {
            (libc::IPPROTO_TCP, libc::TCP_NODELAY) => socket.set_tcp_nodelay(integer != 0),
            (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => {
                socket.set_tcp_congestion(&self.value[..self.length as usize])
            }
            (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => socket.set_keepalive(integer != 0),
            (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => {
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(seconds))
            }
            (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => {
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_interval(seconds))
            }
            (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => {
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_retries(integer))
            }
            (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => {
                socket.set_tcp_user_timeout(Some(Duration::from_millis(integer.into())))
            }
            (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT) => {
                setsockopt(socket, IpBindAddressNoPort, &(integer != 0)).map_err(Into::into)
            }
            _ => Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT)),
        }
    }

    /// `IP_BIND_ADDRESS_NO_PORT` on (ip(7), since Linux 4.2): a bind to an address leaves the port to the connect,
    /// so that one port serves as many connections as there are destinations.
    #[must_use]
    pub fn bind_address_no_port() -> Self {
        Self::integer(libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
    }

    /// `TCP_KEEPIDLE` from `idle_s` to `idle_s` + `spread_s`, a second apart because the kernel counts whole ones:
    /// variants of which each connection gets one. None without a spread.
    #[must_use]
    pub fn spread_idle(idle_s: u32, spread_s: u32) -> Vec<Self> {
        if spread_s == 0 {
            return Vec::new();
        }
        (idle_s..=idle_s.saturating_add(spread_s))
            .map(|idle_s| Self::integer(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle_s))
            .collect()
    }

    /// The four options that switch kernel keepalive on: seconds, seconds, probes.
    #[must_use]
    pub fn keepalive(idle_s: u32, interval_s: u32, count: u32) -> [Self; 4] {
        [
            Self::integer(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle_s),
            Self::integer(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, interval_s),
            Self::integer(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, count),
            Self::integer(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_every_second_from_first_to_last() {
        assert_eq!(SocketOption::spread_idle(20, 0), []);
        let spread = SocketOption::spread_idle(20, 5);
        assert_eq!(spread.len(), 6);
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = Socket::from(listener);
        spread[5].set_on(&socket).unwrap();
        let read_back = socket.tcp_keepalive_time().unwrap();
        assert_eq!(read_back, Duration::from_secs(25));
        SocketOption::user_timeout(8_500).set_on(&socket).unwrap();
        let read_back = socket.tcp_user_timeout().unwrap();
        assert_eq!(read_back, Some(Duration::from_millis(8_500)));
    }

    #[test]
    fn a_congestion_name_must_fit_the_kernels_buffer() {
        assert_eq!(
            SocketOption::congestion("cubic").map(|option| option.length),
            Some(5)
        );
        assert_eq!(SocketOption::congestion(""), None);
        assert_eq!(SocketOption::congestion("a-name-of-sixteen"), None);
    }
}
