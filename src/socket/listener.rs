//! One listener per core on one port, and connections steered to the core that received their SYN.
//!
//! Does not accept. All listeners of a group share the port by `SO_REUSEPORT`; a classic BPF
//! program on the group (`SO_ATTACH_REUSEPORT_CBPF`, Linux 4.5) returns which of them gets a
//! connection: the one of the CPU that processes the SYN. On loopback that is the CPU the client
//! connects from, so both ends of a connection live on one core, which saved a quarter of all CPU
//! per heartbeat. The kernel numbers listeners in the order in which they began to listen
//! (`reuseport_add_sock`, `net/core/sock_reuseport.c`); a number out of range falls back to a hash.
//!
//! Options are set before `listen`, since accepted sockets inherit them (`sk_clone_lock`).
//! `SO_REUSEPORT` would silently share the port with a stranger of the same user, so a bind without
//! it is tried first; in the moment between, somebody may still slip in. Sources: `socket(7)`,
//! `tcp(7)`, Documentation/networking/filter.rst.

use super::keepalive::{Keepalive, set_user_timeout};
use super::port::probe;
use super::{SocketError, refused, verify};
use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// What the listeners shall be.
#[derive(Clone, Debug)]
pub struct ListenOptions<'a> {
    /// Where to listen; port 0 lets the kernel choose one. Only its port counts with
    /// `loopback_device`.
    pub address: SocketAddr,
    /// Listen on 0.0.0.0 but on the device `lo` alone: all of 127.0.0.0/8 is reachable and nothing
    /// from outside. Needs no root since Linux 5.7.
    pub loopback_device: bool,
    /// The cores, one listener each, in the order of [`ListenerGroup::listeners`].
    pub cores: &'a [usize],
    /// Length of each accept queue; the kernel cuts it to `net.core.somaxconn`.
    pub backlog: u32,
    /// `TCP_CONGESTION`; `None` leaves the system's default.
    pub congestion: Option<&'a str>,
    /// Keepalive of every accepted connection; `None` leaves it off.
    pub keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT` of every accepted connection, milliseconds; `None` leaves it to the kernel.
    pub user_timeout_ms: Option<u32>,
    /// `TCP_NODELAY` of every accepted connection.
    pub nodelay: bool,
}

/// Listening sockets that share one port, one per core. Closes them when dropped.
#[derive(Debug)]
pub struct ListenerGroup {
    listeners: Vec<Socket>,
    address: SocketAddr,
    steered: bool,
}

impl ListenerGroup {
    /// Binds and listens.
    ///
    /// # Errors
    /// [`SocketError`], each with its remedy; nothing is left open then.
    pub fn bind(options: &ListenOptions<'_>) -> Result<Self, SocketError> {
        if options.cores.is_empty() {
            return Err(SocketError::NoCores);
        }
        let mut address = options.address;
        if options.loopback_device {
            address.set_ip(Ipv4Addr::UNSPECIFIED.into());
        }
        if address.port() != 0 {
            probe(address, options.loopback_device).map_err(|error| bind_error(address, error))?;
        }
        let mut listeners = Vec::with_capacity(options.cores.len());
        for _ in options.cores {
            let listener = bound_socket(address, options)?;
            let local = listener
                .local_addr()
                .ok()
                .and_then(|local| local.as_socket());
            address.set_port(local.map_or_else(|| address.port(), |local| local.port()));
            listeners.push(listener);
        }
        let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
        for listener in &listeners {
            // two sockets may be bound alike without listening; the second `listen` tells
            listener
                .listen(backlog)
                .map_err(|error| bind_error(address, error))?;
        }
        let steered = listeners.len() > 1;
        if steered {
            steer(&listeners[0], options.cores)?;
        }
        Ok(Self {
            listeners,
            address,
            steered,
        })
    }

    /// The listeners, in the order of the cores asked for.
    #[must_use]
    pub fn listeners(&self) -> &[Socket] {
        &self.listeners
    }

    /// The listeners, handed over.
    #[must_use]
    pub fn into_listeners(self) -> Vec<Socket> {
        self.listeners
    }

    /// Where they listen, with the port the kernel chose when 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether connections are steered by core; a single listener needs no steering.
    #[must_use]
    pub const fn steered(&self) -> bool {
        self.steered
    }
}

/// A socket with every option set and read back, bound and not yet listening.
fn bound_socket(address: SocketAddr, options: &ListenOptions<'_>) -> Result<Socket, SocketError> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(creation_error)?;
    socket
        .set_reuse_address(true)
        .and_then(|()| socket.set_reuse_port(true))
        .map_err(refused(
            "setsockopt(SO_REUSEPORT)",
            "Linux 3.9 or newer has it",
        ))?;
    if options.loopback_device {
        socket.bind_device(Some(b"lo")).map_err(refused(
            "setsockopt(SO_BINDTODEVICE, lo)",
            "before Linux 5.7 this needs root; listen on 127.0.0.1 instead",
        ))?;
    }
    if let Some(name) = options.congestion {
        set_congestion(&socket, name)?;
    }
    if let Some(keepalive) = options.keepalive {
        keepalive.apply(&SockRef::from(&socket))?;
    }
    if let Some(millis) = options.user_timeout_ms {
        set_user_timeout(&SockRef::from(&socket), millis)?;
    }
    let nodelay_failed = || refused("TCP_NODELAY", "is it a TCP socket?");
    socket
        .set_tcp_nodelay(options.nodelay)
        .map_err(nodelay_failed())?;
    let found = socket.tcp_nodelay().map_err(nodelay_failed())?;
    verify("TCP_NODELAY", &options.nodelay, &found)?;
    socket
        .bind(&address.into())
        .map_err(|error| bind_error(address, error))?;
    Ok(socket)
}

fn set_congestion(socket: &Socket, name: &str) -> Result<(), SocketError> {
    socket
        .set_tcp_congestion(name.as_bytes())
        .map_err(|source| {
            let available = "/proc/sys/net/ipv4/tcp_available_congestion_control";
            SocketError::Congestion {
                name: name.to_owned(),
                available: std::fs::read_to_string(available)
                    .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned()),
                source,
            }
        })?;
    let found = socket
        .tcp_congestion()
        .map_err(refused("getsockopt(TCP_CONGESTION)", "is it a TCP socket?"))?;
    let found = String::from_utf8_lossy(&found);
    let found = found.trim_end_matches('\0');
    verify("TCP_CONGESTION", &name, &found)
}

fn creation_error(source: io::Error) -> SocketError {
    match source.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => SocketError::TooManyFiles { source },
        _ => refused("socket(2)", "is this address family built into the kernel?")(source),
    }
}

fn bind_error(address: SocketAddr, source: io::Error) -> SocketError {
    let port = address.port();
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => SocketError::PortBusy { port, source },
        Some(libc::EACCES) => SocketError::Permission { port, source },
        Some(libc::EADDRNOTAVAIL) => SocketError::AddressNotLocal { address },
        Some(libc::EMFILE | libc::ENFILE) => SocketError::TooManyFiles { source },
        _ => refused("binding a listener", "check the address with `ip addr`")(source),
    }
}

/// Attaches [`steering_program`] to the group of `listener`.
fn steer(listener: &Socket, cores: &[usize]) -> Result<(), SocketError> {
    let mut program = steering_program(cores);
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_mut_ptr(),
    };
    setsockopt(listener, AttachReusePortCbpf, &program).map_err(|errno| {
        refused(
            "setsockopt(SO_ATTACH_REUSEPORT_CBPF)",
            "Linux 4.5 or newer takes it for up to 2046 cores; use one server core instead",
        )(errno.into())
    })
}

/// The program: the place of the current CPU in `cores`, or its number modulo their count for any
/// other CPU.
fn steering_program(cores: &[usize]) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt,
        jf,
        k,
    };
    let constant = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU).cast_unsigned();
    let mut program = vec![instruction(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        0,
        cpu,
    )];
    for (place, core) in cores.iter().enumerate() {
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        program.push(instruction(equal, 0, 1, constant(*core)));
        program.push(instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            constant(place),
        ));
    }
    let modulo = libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K;
    program.push(instruction(modulo, 0, 0, constant(cores.len().max(1))));
    program.push(instruction(libc::BPF_RET | libc::BPF_A, 0, 0, 0));
    program
}

#[cfg(test)]
mod tests;
