//! Raw Ethernet frames of one interface, as a cable would carry them.
//!
//! Does not look into them. Needs `CAP_NET_RAW` in the network namespace. A frame sent through such a socket is not
//! received by it. Sources: packet(7), `net/packet/af_packet.c`.

use super::OsError;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

/// An open end of an interface; calls do not block.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens the interface of this name in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`OsError::Missing`] without such an interface, [`OsError::Refused`] when the system refuses.
    pub fn open(interface: &str) -> Result<Self, OsError> {
        let refused = |call| {
            move |errno: Errno| OsError::Refused {
                call,
                source: errno.into(),
                advice: "capturing needs root of the network namespace (CAP_NET_RAW) and a kernel \
                         with CONFIG_PACKET",
            }
        };
        let opened = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::EthAll,
        )
        .map_err(refused("socket(AF_PACKET)"))?;
        let mut all = getifaddrs().map_err(refused("getifaddrs"))?;
        // The address names the interface and no protocol, which leaves the socket the one it was made with.
        let address = all.find_map(|found| {
            let address = found.address?;
            let link = address.as_link_addr().copied();
            link.filter(|_| found.interface_name == interface)
        });
        let address = address.ok_or_else(|| OsError::missing("getifaddrs(3)", interface))?;
        bind(opened.as_raw_fd(), &address).map_err(refused("bind(AF_PACKET)"))?;
        Ok(Self(opened))
    }

    /// Takes the next frame that has come, into `buffer`; a longer one is cut.
    ///
    /// # Errors
    /// Of recv(2); nothing there is `None`.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        loop {
            match recv(self.0.as_raw_fd(), buffer, MsgFlags::empty()) {
                Ok(length) => return Ok(buffer.get(..length)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Hands a frame to the interface.
    ///
    /// # Errors
    /// Of send(2); `EMSGSIZE` for one longer than the interface carries.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
