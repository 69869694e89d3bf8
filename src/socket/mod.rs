//! TCP sockets set up the way the experiments need them: options set and then read back, listeners
//! in one group per port with a core each, and a port that nothing else wants.
//!
//! | file | subject |
//! |---|---|
//! | [`keepalive`] | TCP keepalive's three numbers |
//! | [`listener`] | one listener per core, steered by the core that received the SYN |
//! | [`port`] | a free listening port |
//!
//! Does not accept, connect or transfer anything: that is the ring's. Needs no privilege but for
//! ports below 1024. Sources: `socket(7)`, `tcp(7)`, `ip(7)`.

pub mod keepalive;
pub mod listener;
pub mod port;

use std::io;
use std::net::SocketAddr;

/// Why a socket could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody has the port.
    #[error(
        "port {port} is taken ({source}): see by whom with `ss -tanp 'sport = :{port}'`, or choose \
         another port; an outgoing connection may hold one inside net.ipv4.ip_local_port_range"
    )]
    PortBusy {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// A privileged port.
    #[error(
        "port {port} may not be bound by this user ({source}): choose one from 1024 up, or allow it with \
         `sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port}`"
    )]
    Permission {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The address belongs to another machine, or to none.
    #[error(
        "{address} is no address of this machine: see them with `ip addr`, or use 0.0.0.0 for all"
    )]
    AddressNotLocal {
        /// The address.
        address: SocketAddr,
    },
    /// The kernel lacks the congestion control or keeps it from this user.
    #[error(
        "congestion control `{name}` cannot be had ({source}): this kernel has `{available}`; \
         another one may need `modprobe tcp_{name}` or net.ipv4.tcp_allowed_congestion_control"
    )]
    Congestion {
        /// What was asked for.
        name: String,
        /// What there is.
        available: String,
        /// What the system said.
        source: io::Error,
    },
    /// No descriptor left.
    #[error(
        "no descriptor is left for a socket ({source}): raise the limit with `ulimit -n` before starting, or end what \
         holds the machine's (`sysctl fs.file-nr`)"
    )]
    TooManyFiles {
        /// What the system said.
        source: io::Error,
    },
    /// A keepalive number outside of the kernel's range.
    #[error("keepalive {what} of {value} is outside of what the kernel takes: use 1 to {highest}")]
    KeepaliveRange {
        /// `idle`, `interval` or `count`.
        what: &'static str,
        /// What was asked for.
        value: u32,
        /// The largest allowed.
        highest: u32,
    },
    /// The kernel took an option and has another value.
    #[error(
        "{option} was set to {asked} and reads back as {found}: this kernel or a BPF program \
         overrides it, so results would be mislabelled; take that program off, or ask for {found}"
    )]
    ReadBack {
        /// The option.
        option: &'static str,
        /// What was set.
        asked: String,
        /// What it is.
        found: String,
    },
    /// No core was named to listen on.
    #[error("no core was named for the listeners: name at least one")]
    NoCores,
    /// Any other failure of a call.
    #[error("{call} failed ({source}): {advice}")]
    Refused {
        /// The call or option.
        call: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
}

/// Turns a failed call into a [`SocketError::Refused`].
fn refused(call: &'static str, advice: &'static str) -> impl FnOnce(io::Error) -> SocketError {
    move |source| SocketError::Refused {
        call,
        source,
        advice,
    }
}

/// Compares what an option reads as with what was set.
fn verify<T: PartialEq + std::fmt::Debug>(
    option: &'static str,
    asked: &T,
    found: &T,
) -> Result<(), SocketError> {
    if asked == found {
        return Ok(());
    }
    Err(SocketError::ReadBack {
        option,
        asked: format!("{asked:?}"),
        found: format!("{found:?}"),
    })
}
