//! What a command needs of this host, proved before it starts: rings, descriptors, a port, a
//! congestion control.
//!
//! Does not parse arguments. Changes nothing but this process's soft limit on open files. Whatever
//! is missing is a [`Failure::Host`] with its remedy.

use super::Failure;
use crate::bank::EngineKind;
use crate::experiment::doctor::{Facts, Question, examine};
use crate::measure::headroom::reserve;
use crate::os::limits::{ephemeral_ports, raise_nofile, somaxconn, sysctl};
use crate::os::memory::SystemMemory;
use crate::ring::self_test;
use crate::socket::listener::{ListenOptions, ListenerGroup};
use crate::units::HumanCount;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// What the kernel's own default is (`net.ipv4.ip_local_port_range`), where the sysctl cannot be
/// read.
const EPHEMERAL_DEFAULT: (u16, u16) = (32_768, 60_999);
/// Kernel memory of one end of an idle connection: two ends measured 8.07 kB (TCP socket, inode,
/// file, dentry).
const END_BYTES: u64 = 4_040;
/// Congestion control of loopback experiments unless told otherwise: without pacing timers, which
/// would cost CPU that belongs to no mechanism.
const PREFERRED: &str = "cubic";

/// Raises the limit on open files, proves that the engine does what is needed, and returns the limit.
///
/// # Errors
/// [`Failure::Host`].
pub fn prepare(engine: EngineKind) -> Result<u64, Failure> {
    let (soft, _) = raise_nofile().map_err(|error| Failure::Host(error.to_string()))?;
    prove(&[engine])?;
    Ok(soft)
}

/// Proves that this kernel has what `engines` need; returns the features found, by name.
///
/// # Errors
/// [`Failure::Host`].
pub fn prove(engines: &[EngineKind]) -> Result<BTreeMap<String, String>, Failure> {
    if engines
        .iter()
        .all(|engine| !engine.has_direct_descriptors())
    {
        return Ok(BTreeMap::new());
    }
    self_test().map_err(|error| {
        Failure::Host(format!(
            "{error}. Without it, --engine epoll works, with an open file for each connection"
        ))
    })
}

/// Refuses what would not fit into memory, since the kernel would then kill some process, and not
/// of necessity ours. `both_ends` says that this machine holds the server's ends too.
///
/// # Errors
/// [`Failure::Host`] with the number that would fit.
pub fn memory_for(connections: u64, both_ends: bool) -> Result<(), Failure> {
    match SystemMemory::read() {
        Ok(memory) => {
            let usable = memory.usable().saturating_sub(reserve(memory.total));
            memory_within(connections, both_ends, usable)
        }
        // A host that does not say cannot be judged.
        Err(_) => Ok(()),
    }
}

fn memory_within(connections: u64, both_ends: bool, usable: u64) -> Result<(), Failure> {
    let each = if both_ends { 2 * END_BYTES } else { END_BYTES };
    if connections.saturating_mul(each) <= usable {
        return Ok(());
    }
    Err(Failure::Host(format!(
        "{} connections need about {} MiB of kernel memory and {} MiB are usable: ask for at \
         most {}{}",
        HumanCount(connections),
        HumanCount(connections.saturating_mul(each) >> 20),
        HumanCount(usable >> 20),
        HumanCount(usable / each),
        if both_ends {
            ", or put the server on another host"
        } else {
            ""
        },
    )))
}

/// Findings that a plan of connections deals with by itself: it bends to them, refuses, or foresees the burst.
pub const PLANNED: [&str; 4] = [
    "memory",
    "cgroup memory",
    "RLIMIT_NOFILE",
    "netdev_max_backlog",
];

/// What the doctor has to say before a command starts, a line for each finding that matters, but for those in `said`.
#[must_use]
pub fn forewarnings(question: &Question, congestion: Option<String>, said: &[&str]) -> Vec<String> {
    // What a run cannot do without it has read itself, and complained of.
    Facts::read(congestion).map_or_else(
        |_| Vec::new(),
        |facts| examine(&facts, question).forewarnings(said),
    )
}

/// First and last port of outgoing connections.
#[must_use]
pub fn ephemeral() -> (u16, u16) {
    ephemeral_ports().unwrap_or(EPHEMERAL_DEFAULT)
}

/// The longest accept queue a listener gets.
#[must_use]
pub fn accept_queue() -> u64 {
    u64::from(somaxconn().unwrap_or(128))
}

/// Why a listening port may be taken from under the server, and what to do; `None` for one that is
/// safe.
#[must_use]
pub fn port_warning(port: u16) -> Option<String> {
    let reserved = sysctl("net.ipv4.ip_local_reserved_ports").unwrap_or_default();
    port_warning_in(port, ephemeral(), &reserved)
}

fn port_warning_in(port: u16, (low, high): (u16, u16), reserved: &str) -> Option<String> {
    let is_reserved = reserved.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = (first.trim().parse::<u16>(), last.trim().parse::<u16>());
        matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&port))
    });
    let inside = (low..=high).contains(&port) && !is_reserved;
    inside.then(|| {
        format!(
            "port {port} lies inside net.ipv4.ip_local_port_range ({low} to {high}): an outgoing \
             connection may take it, and the next start then fails with EADDRINUSE; choose one \
             outside, or reserve it with `sudo sysctl -w net.ipv4.ip_local_reserved_ports={port}`"
        )
    })
}

/// The congestion control to set on every socket: the one asked for, tried on a throw-away socket;
/// or cubic where it can be had, and the system's default otherwise.
///
/// # Errors
/// [`Failure::Host`] when the one asked for cannot be had.
pub fn congestion(asked: Option<&str>) -> Result<Option<String>, Failure> {
    if let Some(name) = asked {
        try_congestion(name).map_err(Failure::Host)?;
        return Ok(Some(name.to_owned()));
    }
    let available = sysctl("net.ipv4.tcp_available_congestion_control").unwrap_or_default();
    let preferred =
        available.split(' ').any(|name| name == PREFERRED) && try_congestion(PREFERRED).is_ok();
    if preferred {
        return Ok(Some(PREFERRED.to_owned()));
    }
    Ok(sysctl("net.ipv4.tcp_congestion_control"))
}

/// Sets and reads back on a socket that lives for a moment: an unprivileged user may not have every
/// name listed.
fn try_congestion(name: &str) -> Result<(), String> {
    ListenerGroup::bind(&ListenOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        loopback_device: false,
        cores: &[0],
        backlog: 1,
        congestion: Some(name),
        keepalive: None,
        user_timeout_ms: None,
        nodelay: true,
    })
    .map(drop)
    .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_that_the_kernel_may_give_away_warns() {
        let range = (32_768, 60_999);
        assert_eq!(port_warning_in(7_000, range, ""), None);
        assert_eq!(port_warning_in(61_000, range, ""), None);
        assert_eq!(port_warning_in(40_000, range, "8080,39999-40001"), None);
        assert_eq!(port_warning_in(40_000, range, "40000"), None);
        let warning = port_warning_in(40_000, range, "8080,50000-50010").unwrap();
        assert!(
            warning.contains("ip_local_reserved_ports=40000"),
            "{warning}"
        );
        assert!(port_warning_in(32_768, range, "").is_some());
        assert!(port_warning_in(60_999, range, "").is_some());
    }

    #[test]
    fn what_would_not_fit_into_memory_is_refused_with_what_would() {
        let gib = 1 << 30;
        assert_eq!(memory_within(100_000, true, gib), Ok(()));
        assert_eq!(memory_within(200_000, false, gib), Ok(()));
        let Err(Failure::Host(message)) = memory_within(200_000, true, gib) else {
            panic!("1.6 GB of sockets were let into 1 GiB");
        };
        assert!(message.contains("at most 132,"), "{message}");
        assert!(message.contains("another host"), "{message}");
    }

    #[test]
    fn a_congestion_control_is_one_the_kernel_took() {
        let found = congestion(None).unwrap().unwrap();
        assert_eq!(congestion(Some(&found)), Ok(Some(found)));
        let Err(Failure::Host(message)) = congestion(Some("no-such-thing")) else {
            panic!("a name nobody has was taken");
        };
        assert!(
            message.contains("tcp_allowed_congestion_control"),
            "{message}"
        );
    }
}
