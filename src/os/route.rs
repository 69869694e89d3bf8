//! Which way a packet to a peer would leave this host: by which interface, from which address.
//!
//! Does not send anything: a UDP socket that is connected only asks the routing table (udp(7)). For the network namespace
//! of the calling thread.

use super::OsError;
use nix::ifaddrs::getifaddrs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};

/// The way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The address that connections come from unless told otherwise.
    pub source: Ipv4Addr,
    /// The interface that has it.
    pub interface: String,
}

/// The way to `target`.
///
/// # Errors
/// [`OsError::Refused`] without a route, [`OsError::Missing`] when no interface has the address.
pub fn way_to(target: SocketAddrV4) -> Result<Way, OsError> {
    let refused = |source| OsError::Refused {
        call: "connect(2), of a UDP socket to the peer's address,",
        source,
        advice: "see `ip route get` with that address",
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(refused)?;
    socket.connect(target).map_err(refused)?;
    match socket.local_addr().map_err(refused)?.ip() {
        IpAddr::V4(source) => way_from(source),
        IpAddr::V6(_) => Err(refused(io::ErrorKind::Unsupported.into())),
    }
}

/// The way of what comes from `source`, an address of this host.
///
/// # Errors
/// [`OsError::Missing`] when no interface has it.
pub fn way_from(source: Ipv4Addr) -> Result<Way, OsError> {
    // All of 127.0.0.0/8 is loopback's, which names 127.0.0.1 alone.
    if source.is_loopback() {
        let interface = "lo".to_owned();
        return Ok(Way { source, interface });
    }
    let missing = || OsError::missing("`ip address`", source.to_string());
    let all = getifaddrs().map_err(|_| missing())?;
    all.filter(|entry| {
        let address = entry.address.as_ref().and_then(|at| at.as_sockaddr_in());
        address.is_some_and(|at| at.ip() == source)
    })
    .map(|entry| entry.interface_name)
    .next()
    .map(|interface| Way { source, interface })
    .ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_over_loopback() {
        let target = SocketAddrV4::new(Ipv4Addr::new(127, 3, 2, 1), 9);
        let way = way_to(target).unwrap();
        assert_eq!(way.interface, "lo");
        assert!(way.source.is_loopback(), "{way:?}");
    }

    #[test]
    fn an_address_that_nobody_has_is_said() {
        // TEST-NET-1 (RFC 5737, section 3): no host has it.
        let said = way_from(Ipv4Addr::new(192, 0, 2, 77)).unwrap_err();
        assert!(said.to_string().contains("192.0.2.77"), "{said}");
    }
}
