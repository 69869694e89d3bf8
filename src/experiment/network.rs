//! The path between the halves: this machine's loopback, two network namespaces joined by a veth pair, or a network with
//! the load generators on other hosts.
//!
//! Does not measure. On loopback a packet that meets a full backlog is lost and the sender not told; a veth reports the
//! loss to the sender, as a container's or a virtual machine's link does. The namespaces have no names and end with
//! the halves, and each takes the settings that bear on a run from the host's own. veth(4), ip-route(8).

use super::ExperimentError;
use super::process::Half;
use super::tools::ip;
use crate::load::loopback_targets;
use crate::measure::wire::Place;
use crate::os::established::{Established, count_established};
use crate::os::namespace::{in_network_of, in_new_network};
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::str::FromStr;

/// The name of the interface, in either namespace.
const INTERFACE: &str = "veth0";
/// A net of the two ends alone.
const SERVER: &str = "10.201.0.1";
const LOAD: &str = "10.201.0.2";
/// All of these addresses are the server's.
const TARGETS: &str = "10.202.0.0/16";
const FIRST_TARGET: Ipv4Addr = Ipv4Addr::new(10, 202, 0, 1);

/// What the namespaces take over from the host.
const SYSCTLS: [&str; 10] = [
    "net/core/somaxconn",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_max_tw_buckets",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_sack",
    "net/ipv4/tcp_syncookies",
    "net/ipv4/tcp_timestamps",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_wmem",
];

/// What lies between the halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkPath {
    /// The host's loopback: needs nothing.
    #[default]
    Loopback,
    /// Two namespaces and a veth pair: needs root and `ip`.
    Veth,
    /// Load generators on other hosts; of what is asked here, the part that is this host's.
    Fleet,
}

impl NetworkPath {
    /// All that one host has, the default first.
    pub const ALL: [Self; 2] = [Self::Loopback, Self::Veth];

    /// The name on the command line and in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Veth => "veth",
            Self::Fleet => "fleet",
        }
    }

    /// How many ends of a connection are on this host.
    pub(super) const fn ends_here(self) -> u64 {
        match self {
            Self::Loopback | Self::Veth => 2,
            Self::Fleet => 1,
        }
    }

    /// Starts both halves where they belong, and joins them.
    pub(super) fn spawn(self, executable: &Path) -> Result<(Half, Half), ExperimentError> {
        if self != Self::Veth {
            return Ok((
                Half::spawn(executable, "server")?,
                Half::spawn(executable, "load")?,
            ));
        }
        let apart = |role| {
            in_new_network(|| Half::spawn(executable, role))
                .map_err(|error| ExperimentError::Host(format!("--path veth: {error}")))?
        };
        let (server, load) = (apart("server")?, apart("load")?);
        join(server.pid(), load.pid())?;
        Ok((server, load))
    }

    /// Where to connect to for `connections` at `port`.
    pub(super) fn targets(
        self,
        connections: u64,
        port: u16,
        ephemeral: (u16, u16),
    ) -> Vec<SocketAddrV4> {
        let targets = loopback_targets(connections, port, ephemeral);
        match self {
            Self::Loopback | Self::Fleet => targets,
            Self::Veth => (u32::from(FIRST_TARGET)..)
                .zip(targets)
                .map(|(address, _)| SocketAddrV4::new(Ipv4Addr::from(address), port))
                .collect(),
        }
    }

    /// Where the packets between processes `pids`, server and load, are counted.
    pub(super) fn place(self, pids: (u32, u32)) -> Place<'static> {
        match self {
            Self::Loopback | Self::Fleet => Place::Here { interface: "lo" },
            Self::Veth => Place::Between {
                pids,
                interface: INTERFACE,
            },
        }
    }

    /// The processes whose namespaces hold the probing sockets; none is the host's own.
    pub(super) fn namespaces(self, pids: (u32, u32)) -> Vec<u32> {
        match self {
            Self::Loopback | Self::Fleet => Vec::new(),
            Self::Veth => vec![pids.0, pids.1],
        }
    }

    /// The established sockets of `port`, at either end.
    pub(super) fn audit(self, pids: (u32, u32), port: u16) -> Result<Established, ExperimentError> {
        if self != Self::Veth {
            return Ok(count_established(port)?);
        }
        let server = in_network_of(pids.0, || count_established(port))??;
        let load = in_network_of(pids.1, || count_established(port))??;
        Ok(Established {
            server_side: server.server_side,
            client_side: load.client_side,
        })
    }
}

impl fmt::Display for NetworkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NetworkPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|path| path.name() == text)
            .ok_or_else(|| format!("`{text}` is no path: choose loopback or veth"))
    }
}

/// Lays the link between the namespaces of the two processes.
fn join(server: u32, load: u32) -> Result<(), ExperimentError> {
    let settings: Vec<(String, String)> = SYSCTLS
        .iter()
        .map(|name| format!("/proc/sys/{name}"))
        .filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?)))
        .collect();
    let load_pid = load.to_string();
    in_network_of(server, || {
        // From inside: in a user namespace nobody may make an interface from the host's own network.
        let pair = ["link", "add", INTERFACE, "type", "veth"];
        let peer = ["peer", "name", INTERFACE, "netns", &load_pid];
        ip(&[&pair[..], &peer].concat())?;
        take_over(&settings);
        forget_orphans();
        up(SERVER)?;
        ip(&["route", "add", "local", TARGETS, "dev", "lo"])
    })??;
    in_network_of(load, || {
        take_over(&settings);
        forget_orphans();
        up(LOAD)?;
        ip(&["route", "add", TARGETS, "via", SERVER])
    })??;
    Ok(())
}

fn up(address: &str) -> Result<(), ExperimentError> {
    ip(&["link", "set", "lo", "up"])?;
    ip(&["address", "add", &format!("{address}/30"), "dev", INTERFACE])?;
    ip(&["link", "set", INTERFACE, "up"])
}

/// A setting that this kernel keeps for all namespaces together is the host's already.
fn take_over(settings: &[(String, String)]) {
    for (path, value) in settings {
        let _ = fs::write(path, value);
    }
}

/// Sockets whose process has ended, and whose RST or FIN was lost, would be kept and sent again for minutes, in a
/// namespace that nobody is left in.
fn forget_orphans() {
    let _ = fs::write("/proc/sys/net/ipv4/tcp_orphan_retries", "1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_a_name_and_targets_of_its_own() {
        for path in NetworkPath::ALL {
            assert_eq!(path.name().parse(), Ok(path));
        }
        assert!("wifi".parse::<NetworkPath>().is_err());
        let ephemeral = (32_768, 60_999);
        let there = NetworkPath::Veth.targets(1_000_000, 7001, ephemeral);
        let here = NetworkPath::Loopback.targets(1_000_000, 7001, ephemeral);
        assert_eq!(there.len(), here.len());
        assert_eq!(there[0].to_string(), "10.202.0.1:7001");
        assert!(here[0].ip().is_loopback());
    }
}
