//! What can be asked of a ring and what comes back, as plain data.
//!
//! Does not submit anything. A shard speaks only these types, so the same shard runs on the real ring and on the
//! fake one of the tests. Nothing here holds a pointer: bytes travel by value or as a borrowed slice.

use super::token::Token;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::RawFd;

/// Bytes one send carries.
pub const SEND_BYTES: usize = 16;
/// Most bytes one receive returns.
pub const RECEIVE_BYTES: usize = 64;

/// One request to the kernel. All of them finish inside the submitting call or hold no memory of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Accept until cancelled, each connection into a free slot of the ring's table.
    Accept {
        /// The listening socket.
        listener: RawFd,
        /// Comes back with each connection.
        token: Token,
    },
    /// Create a TCP socket in `slot`. Silent on success.
    Open {
        /// Free slot of the table.
        slot: u32,
        /// Comes back on failure.
        token: Token,
    },
    /// Set one of the options the ring was built with. Silent on success.
    SetOption {
        /// The socket.
        slot: u32,
        /// Index into the options given to [`Ring::new`](super::Ring::new).
        option: u32,
        /// Comes back on failure.
        token: Token,
    },
    /// Give the socket in `slot` its source address; the port is left to the connect. Needs
    /// [`SocketOption::bind_address_no_port`](super::SocketOption::bind_address_no_port), or the kernel takes a port
    /// here that no other connection from that address can have. Silent on success.
    Bind {
        /// The socket.
        slot: u32,
        /// An address of this host.
        source: Ipv4Addr,
        /// Comes back on failure.
        token: Token,
    },
    /// Connect the socket in `slot`.
    Connect {
        /// The socket.
        slot: u32,
        /// Where to.
        address: SocketAddrV4,
        /// Comes back once.
        token: Token,
    },
    /// Tell each arrival of data, the peer's FIN and errors, until cancelled. Edge-triggered.
    Watch {
        /// The socket.
        slot: u32,
        /// Comes back with each event.
        token: Token,
    },
    /// Hand over each arrival with its bytes, then the peer's FIN as an empty one, until cancelled. Needs a ring with
    /// receive buffers; when none is free it ends with `ENOBUFS` and the bytes stay in the socket.
    Stream {
        /// The socket.
        slot: u32,
        /// Comes back with each arrival.
        token: Token,
    },
    /// Receive what is there, at most [`RECEIVE_BYTES`], without waiting.
    Receive {
        /// The socket.
        slot: u32,
        /// Comes back once.
        token: Token,
    },
    /// Send one frame without waiting. Silent on success.
    Send {
        /// The socket.
        slot: u32,
        /// The frame.
        bytes: [u8; SEND_BYTES],
        /// Comes back on failure and on a short send.
        token: Token,
    },
    /// Cancel the operation submitted with `target`. Silent on success.
    Cancel {
        /// The operation to cancel.
        target: Token,
    },
    /// Disconnect at once: the peer gets a reset, the socket stays in its slot. Silent on success.
    Abort {
        /// The socket.
        slot: u32,
        /// Comes back on failure.
        token: Token,
    },
    /// Take the socket out of its slot; its last holder closes it. Silent on success.
    Close {
        /// The socket.
        slot: u32,
        /// Comes back on failure.
        token: Token,
    },
}

/// The kernel's answer to one [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion<'a> {
    /// The operation's token.
    pub token: Token,
    /// Slot, byte count or poll mask; or the positive errno.
    pub result: Result<u32, i32>,
    /// A multishot operation stays armed (`IORING_CQE_F_MORE`).
    pub more: bool,
    /// The socket holds more than this receive returned (`IORING_CQE_F_SOCK_NONEMPTY`).
    pub nonempty: bool,
    /// What a receive or a stream returned; empty for all others.
    pub data: &'a [u8],
}
