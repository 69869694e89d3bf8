//! TCP keepalive's three numbers, and the user timeout that overrides one of them, set on a socket
//! and read back.
//!
//! Does not decide them. Units: whole seconds, as the kernel's; milliseconds for the user timeout.
//! Ranges: `tcp(7)`; `MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL` and `MAX_TCP_KEEPCNT` of
//! include/net/tcp.h. A connection accepted from a listener inherits all of it, timer included.

use super::{SocketError, refused, verify};
use serde::{Deserialize, Serialize};
use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;

/// Largest idle and interval the kernel takes, seconds.
pub const HIGHEST_SECONDS: u32 = 32_767;
/// Largest count the kernel takes.
pub const HIGHEST_COUNT: u32 = 127;

/// When the kernel probes a silent connection, and when it gives it up: after `idle_s` +
/// `interval_s` × `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// `TCP_KEEPIDLE`: silence before the first probe.
    pub idle_s: u32,
    /// `TCP_KEEPINTVL`: between probes that stay unanswered.
    pub interval_s: u32,
    /// `TCP_KEEPCNT`: unanswered probes before the verdict.
    pub count: u32,
}

impl Keepalive {
    /// Three numbers within the kernel's ranges.
    ///
    /// # Errors
    /// [`SocketError::KeepaliveRange`] for one outside.
    pub fn new(idle_s: u32, interval_s: u32, count: u32) -> Result<Self, SocketError> {
        let keepalive = Self {
            idle_s,
            interval_s,
            count,
        };
        keepalive.check()?;
        Ok(keepalive)
    }

    fn check(self) -> Result<(), SocketError> {
        for (what, value, highest) in [
            ("idle", self.idle_s, HIGHEST_SECONDS),
            ("interval", self.interval_s, HIGHEST_SECONDS),
            ("count", self.count, HIGHEST_COUNT),
        ] {
            if !(1..=highest).contains(&value) {
                return Err(SocketError::KeepaliveRange {
                    what,
                    value,
                    highest,
                });
            }
        }
        Ok(())
    }

    /// Turns keepalive on with these numbers and reads them back. Takes anything with a socket in
    /// it (`SockRef::from(&stream)`).
    ///
    /// # Errors
    /// [`SocketError::KeepaliveRange`], [`SocketError::Refused`], and [`SocketError::ReadBack`]
    /// when the socket then has other numbers.
    pub fn apply(self, socket: &SockRef<'_>) -> Result<(), SocketError> {
        self.check()?;
        let options = TcpKeepalive::new()
            .with_time(Duration::from_secs(u64::from(self.idle_s)))
            .with_interval(Duration::from_secs(u64::from(self.interval_s)))
            .with_retries(self.count);
        socket.set_tcp_keepalive(&options).map_err(refused(
            "setting TCP keepalive",
            "is it a TCP socket that is still open?",
        ))?;
        verify("TCP keepalive", &Some(self), &Self::read(socket)?)
    }

    /// The numbers a socket has; `None` when keepalive is off.
    ///
    /// # Errors
    /// [`SocketError::Refused`] when it is no TCP socket.
    pub fn read(socket: &SockRef<'_>) -> Result<Option<Self>, SocketError> {
        let failed = || refused("reading TCP keepalive", "is it a TCP socket?");
        if !socket.keepalive().map_err(failed())? {
            return Ok(None);
        }
        let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        Ok(Some(Self {
            idle_s: seconds(socket.tcp_keepalive_time().map_err(failed())?),
            interval_s: seconds(socket.tcp_keepalive_interval().map_err(failed())?),
            count: socket.tcp_keepalive_retries().map_err(failed())?,
        }))
    }
}

/// Sets `TCP_USER_TIMEOUT` and reads it back. With keepalive on, it takes the count's place, and is
/// looked at only when a probe is due (`tcp(7)`; `tcp_keepalive_timer`, `net/ipv4/tcp_timer.c`).
///
/// # Errors
/// [`SocketError::Refused`], and [`SocketError::ReadBack`] when the socket then has another.
pub fn set_user_timeout(socket: &SockRef<'_>, millis: u32) -> Result<(), SocketError> {
    let failed = || refused("TCP_USER_TIMEOUT", "is it a TCP socket that is still open?");
    let timeout = Some(Duration::from_millis(millis.into()));
    socket.set_tcp_user_timeout(timeout).map_err(failed())?;
    let found = socket.tcp_user_timeout().map_err(failed())?;
    verify("TCP_USER_TIMEOUT", &timeout, &found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    #[test]
    fn the_user_timeout_reads_back() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let socket = SockRef::from(&socket);
        set_user_timeout(&socket, 8_500).unwrap();
        let found = socket.tcp_user_timeout().unwrap();
        assert_eq!(found, Some(Duration::from_millis(8_500)));
        // The kernel's number is a signed integer.
        assert!(set_user_timeout(&socket, u32::MAX).is_err());
    }

    #[test]
    fn the_kernels_ranges_are_ours() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let socket = SockRef::from(&socket);
        assert_eq!(Keepalive::read(&socket).unwrap(), None);
        for (idle, interval, count) in [(1, 1, 1), (HIGHEST_SECONDS, HIGHEST_SECONDS, 127)] {
            let keepalive = Keepalive::new(idle, interval, count).unwrap();
            keepalive.apply(&socket).unwrap();
            assert_eq!(Keepalive::read(&socket).unwrap(), Some(keepalive));
        }
        for (idle, interval, count) in [(0, 1, 1), (1, 32_768, 1), (1, 1, 0), (1, 1, 128)] {
            let error = Keepalive::new(idle, interval, count).unwrap_err();
            assert!(
                matches!(error, SocketError::KeepaliveRange { .. }),
                "{error}"
            );
        }
        let beyond = Duration::from_secs(u64::from(HIGHEST_SECONDS) + 1);
        let options = TcpKeepalive::new().with_time(beyond);
        assert!(socket.set_tcp_keepalive(&options).is_err());
    }
}
