//! A listening port that is free, and stays so.
//!
//! Does not reserve it: between choosing and binding somebody else may take it, so callers try
//! again on [`SocketError::PortBusy`]. A port inside `net.ipv4.ip_local_port_range` may at any time
//! be given to an outgoing connection, so ports outside are tried first. Source: `ip(7)`.

use super::{SocketError, refused};
use rand::RngExt as _;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Ports tried outside of the ephemeral range before one inside is taken.
const TRIES: u32 = 64;

/// A free TCP port, outside of the `ephemeral` range (first and last) where possible, and whether
/// it had to be inside. Chosen at random, so that two runs at once seldom meet.
///
/// # Errors
/// [`SocketError::Refused`] when even the kernel has none to give.
pub fn choose_port(ephemeral: (u16, u16)) -> Result<(u16, bool), SocketError> {
    let (low, high) = ephemeral;
    let below = u32::from(low).saturating_sub(1024);
    let above = u32::from(u16::MAX - high);
    let mut random = rand::rng();
    for _ in 0..TRIES {
        if below + above == 0 {
            break;
        }
        let drawn = random.random_range(0..below + above);
        let port = if drawn < below {
            1024 + drawn
        } else {
            u32::from(high) + 1 + (drawn - below)
        };
        let Ok(port) = u16::try_from(port) else { break };
        if probe(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), false).is_ok() {
            return Ok((port, false));
        }
    }
    probe(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), false)
        .map(|port| (port, true))
        .map_err(refused(
            "finding a free port",
            "too many sockets are open: see `ss -s`",
        ))
}

/// Binds `address` for a moment without `SO_REUSEPORT`, so that a listener of anybody shows as
/// `EADDRINUSE` instead of being shared, and returns the port. `SO_REUSEADDR` passes over remains
/// in `TIME_WAIT`.
pub(super) fn probe(address: SocketAddr, loopback_device: bool) -> io::Result<u16> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if loopback_device {
        socket.bind_device(Some(b"lo"))?;
    }
    socket.bind(&address.into())?;
    let bound = socket.local_addr()?.as_socket();
    Ok(bound.map_or_else(|| address.port(), |bound| bound.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_outside_is_preferred_and_one_inside_is_owned_up_to() {
        let (port, inside) = choose_port((32_768, 60_999)).unwrap();
        assert!(!inside && !(32_768..=60_999).contains(&port), "{port}");
        let (_, inside) = choose_port((1, u16::MAX)).unwrap();
        assert!(inside);
    }

    #[test]
    fn a_listener_shows_in_the_probe() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let busy = probe(everywhere, true).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    }
}
