//! The dump of TCP sockets that `sock_diag` gives: asked for, received, cut into one message per socket.
//!
//! Does not know what is looked for in them. The network namespace is that of the thread that opened it. Works without root and for other users' sockets of the same network
//! namespace. The dump is not a snapshot: it walks the hash table bucket by bucket, so sockets that open or close
//! meanwhile may be seen or not. Sources: `sock_diag(7)`, `net/ipv4/inet_diag.c`, `include/uapi/linux/inet_diag.h`.

use super::OsError;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Room for one datagram of the answer; the kernel fills at most 32 KiB.
const BUFFER_BYTES: usize = 64 << 10;

/// How far the kernel's answer has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
}

/// Why a dump did not come to its end.
#[derive(Debug)]
pub(super) enum DumpError {
    Io(io::Error),
    Answer(&'static str),
}

impl From<nix::errno::Errno> for DumpError {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl From<DumpError> for OsError {
    fn from(failure: DumpError) -> Self {
        match failure {
            DumpError::Io(source) => Self::Refused {
                call: "sock_diag",
                source,
                advice: "the kernel needs CONFIG_INET_DIAG and the sandbox must allow \
                         AF_NETLINK sockets; `ss -t` fails likewise",
            },
            DumpError::Answer(text) => Self::malformed("sock_diag", "an inet_diag_msg", text),
        }
    }
}

/// A socket that asks for dumps, and where the answers are put.
#[derive(Debug)]
pub(super) struct Dump {
    netlink: OwnedFd,
    buffer: Vec<u8>,
}

impl Dump {
    pub(super) fn open() -> Result<Self, OsError> {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )
        .map_err(|errno| OsError::from(DumpError::from(errno)))?;
        Ok(Self {
            netlink,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Shows every socket of `family` in `states` to `visit`, as the bytes of its `inet_diag_msg`.
    pub(super) fn each(
        &mut self,
        family: u8,
        states: &StateFlags,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), DumpError>,
    ) -> Result<(), OsError> {
        Ok(self.dump(family, states, visit)?)
    }

    fn dump(
        &mut self,
        family: u8,
        states: &StateFlags,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), DumpError>,
    ) -> Result<(), DumpError> {
        let netlink = self.netlink.as_raw_fd();
        send(netlink, &request(family, states.clone()), MsgFlags::empty())?;
        loop {
            match recv(netlink, &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => {
                    let datagram = self
                        .buffer
                        .get(..length)
                        .ok_or(DumpError::Answer("a datagram longer than the buffer"))?;
                    if messages(datagram, visit)? == Progress::Done {
                        return Ok(());
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
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

/// Shows the sockets in one datagram of the answer.
pub(super) fn messages(
    mut datagram: &[u8],
    visit: &mut dyn FnMut(&[u8]) -> Result<(), DumpError>,
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
            _ => visit(payload)?,
        }
        let padded = (message.length() as usize).next_multiple_of(4);
        datagram = datagram.get(padded..).unwrap_or_default();
    }
    Ok(Progress::More)
}
