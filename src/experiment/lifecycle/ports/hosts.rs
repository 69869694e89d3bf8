//! The two hosts whose ports are spent, each a network namespace, and what either does with one connection.
//!
//! Does not count. The namespaces have no names and end with this value, the sockets in `TIME_WAIT` too. veth(4),
//! ip-link(8), socket(7) for `SO_LINGER`, ip(7) for `IP_BIND_ADDRESS_NO_PORT`.

use super::{Way, client_address};
use crate::experiment::ExperimentError;
use crate::experiment::tools::{ip, set};
use crate::os::OsError;
use crate::os::established::count_time_wait;
use crate::os::namespace::Network;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where the server listens: outside of the client's range, though that would not matter on another host.
pub(super) const PORT: u16 = 7000;
/// Lowest port of the client's range.
const LOWEST: u16 = 40_000;
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 3, 200);
const LINK: &str = "eth0";
/// The queue of connections that wait for accept(2).
const BACKLOG: i32 = 1024;
/// For anything of one connection; nothing takes so long unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the server waits for a connection before it looks whether the run is over.
const TURN: Duration = Duration::from_millis(50);
/// A segment that is still in a queue has arrived after this.
const SETTLE: Duration = Duration::from_millis(20);

/// Client and server, joined.
#[derive(Debug)]
pub(super) struct Hosts {
    pub(super) client: Network,
    pub(super) server: Network,
    /// How long `TIME_WAIT` is respected with `tcp_tw_reuse`.
    pub(super) reuse_delay: Duration,
}

impl Hosts {
    /// Makes the hosts. The client has `ports` ports for outgoing connections.
    pub(super) fn build(way: Way, ports: u16) -> Result<Self, ExperimentError> {
        let (client, server) = (Network::new()?, Network::new()?);
        let path = server.path();
        let reuse_delay = client.run(|| {
            #[rustfmt::skip]
            ip(&["link", "add", LINK, "type", "veth", "peer", "name", LINK, "netns", &path])?;
            for turn in 0..way.addresses() {
                settle_in(client_address(turn))?;
            }
            let highest = LOWEST + (ports - 1);
            set(
                "net/ipv4/ip_local_port_range",
                &format!("{LOWEST} {highest}"),
            )?;
            // On a machine with several processors a late ACK of the client can come after its FIN. The server, which is
            // done by then, answers it with a RST, and that would end the client's TIME_WAIT there and then (seen with
            // one connection in some thousands; RFC 1337 calls it an assassination and says not to heed it).
            set("net/ipv4/tcp_rfc1337", "1")?;
            if way == Way::TwReuse {
                set("net/ipv4/tcp_tw_reuse", "1")?;
            }
            Ok::<_, ExperimentError>(reuse_delay())
        })??;
        server.run(|| {
            settle_in(SERVER)?;
            set("net/core/somaxconn", &BACKLOG.to_string())
        })??;
        Ok(Self {
            client,
            server,
            reuse_delay,
        })
    }

    /// The server's listener.
    pub(super) fn listen(&self) -> Result<Socket, ExperimentError> {
        let listening = self.server.run(|| {
            let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            listener.bind(&SocketAddrV4::new(SERVER, PORT).into())?;
            listener.listen(BACKLOG)?;
            // Of a listener it bounds accept(2), socket(7).
            listener.set_read_timeout(Some(TURN))?;
            Ok::<_, io::Error>(listener)
        })?;
        listening.map_err(|error| {
            ExperimentError::Host(format!(
                "could not listen in a network namespace of this run's own: {error}"
            ))
        })
    }

    /// Sockets in `TIME_WAIT` at the client and at the server, once what is under way has arrived.
    pub(super) fn time_wait(&self) -> Result<(u64, u64), OsError> {
        std::thread::sleep(SETTLE);
        let client = self.client.run(|| count_time_wait(PORT))??;
        let server = self.server.run(|| count_time_wait(PORT))??;
        Ok((client.client_side, server.server_side))
    }
}

/// Gives this host an address more.
fn settle_in(address: Ipv4Addr) -> Result<(), ExperimentError> {
    ip(&["address", "add", &format!("{address}/24"), "dev", LINK])?;
    ip(&["link", "set", LINK, "up"])
}

/// `net.ipv4.tcp_tw_reuse_delay`, milliseconds; a second, counted in whole seconds, before there was the setting.
fn reuse_delay() -> Duration {
    let text = fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse_delay").unwrap_or_default();
    Duration::from_millis(text.trim().parse().unwrap_or(1_000))
}

/// Accepts one connection after another, says a byte, and waits for the client's end, or ends first when `closes`.
pub(super) fn serve(listener: &Socket, closes: bool, over: &AtomicBool) -> io::Result<()> {
    while !over.load(Ordering::Relaxed) {
        let mut connection = match listener.accept() {
            Ok((connection, _)) => connection,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted => continue,
                _ => return Err(error),
            },
        };
        // How this one ends is the client's to count.
        let _ = greet(&mut connection, closes);
    }
    Ok(())
}

fn greet(connection: &mut Socket, closes: bool) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"!")?;
    if !closes {
        connection.read_exact(&mut [0])?;
    }
    Ok(())
}

/// One connection from the client's address number `turn`, from its SYN to its end.
pub(super) fn connect_and_end(way: Way, turn: u8) -> io::Result<()> {
    let mut socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if way == Way::MoreAddresses {
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddrV4::new(client_address(turn), 0).into())?;
    }
    socket.connect_timeout(&SocketAddrV4::new(SERVER, PORT).into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.read_exact(&mut [0])?;
    match way {
        // Waiting for the other FIN keeps both ends in step, and no queue fills.
        Way::ClientCloses | Way::TwReuse | Way::MoreAddresses => {
            socket.shutdown(Shutdown::Write)?;
            expect_end(&mut socket)
        }
        Way::ServerCloses => expect_end(&mut socket),
        Way::ClientResets => socket.set_linger(Some(Duration::ZERO)),
    }
}

fn expect_end(socket: &mut Socket) -> io::Result<()> {
    // It goes on after an interruption, which read(2) on a socket with a time limit does not (signal(7)).
    match socket.read_exact(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(io::ErrorKind::InvalidData.into()),
    }
}
