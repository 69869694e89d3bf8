//! How a client's ports run out, and what helps: one client connects to one server, ends, and connects again, until no
//! port is left and past that, once for each way of ending.
//!
//! Does not use the halves: what is measured is the kernel's, so plain sockets do. Nothing leaves the two network
//! namespaces made for each way. Sources: RFC 9293, section 3.6.1 (`TIME-WAIT`); RFC 6191 (its reuse with timestamps);
//! RFC 1337; ip-sysctl (`ip_local_port_range`, `tcp_tw_reuse`, `tcp_tw_reuse_delay`); `__inet_hash_connect`
//! (`net/ipv4/inet_hashtables.c`), `tcp_twsk_unique` (`net/ipv4/tcp_ipv4.c`), `TCP_TIMEWAIT_LEN` (`include/net/tcp.h`).

mod hosts;
#[cfg(test)]
mod tests;

use super::super::ExperimentError;
use crate::clock::{Clock as _, MonotonicClock};
use crate::os::OsError;
use crate::record::PortRecord;
use crate::units::{HumanCount, Nanos};
use hosts::Hosts;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a connection is remembered by the end that closed first (`TCP_TIMEWAIT_LEN`). Linux has no setting for it.
const TIME_WAIT: Duration = Duration::from_mins(1);
/// Client addresses of `more-addresses`.
const ADDRESSES: u8 = 4;
/// Between two failed connects: what asks at once again only heats the processor.
const PAUSE: Duration = Duration::from_millis(5);
/// How often the one who waits looks for a signal.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A way of ending connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ClientCloses,
    TwReuse,
    MoreAddresses,
    ServerCloses,
    ClientResets,
}

impl Way {
    /// In the order told: the trouble, then what helps.
    pub(super) const ALL: [Self; 5] = [
        Self::ClientCloses,
        Self::TwReuse,
        Self::MoreAddresses,
        Self::ServerCloses,
        Self::ClientResets,
    ];

    /// As the record names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ClientCloses => "client-closes",
            Self::TwReuse => "tcp-tw-reuse",
            Self::MoreAddresses => "more-addresses",
            Self::ServerCloses => "server-closes",
            Self::ClientResets => "client-resets",
        }
    }

    const fn addresses(self) -> u8 {
        match self {
            Self::MoreAddresses => ADDRESSES,
            _ => 1,
        }
    }

    /// Whether it is known beforehand that ports run out, so that they are waited for.
    const fn exhausts(self) -> bool {
        matches!(self, Self::ClientCloses | Self::MoreAddresses)
    }

    /// What is done and why, for somebody who has never met it.
    const fn explanation(self) -> &'static str {
        match self {
            Self::ClientCloses => {
                "The client connects, ends the connection with its FIN first, and connects again. The end that sends \
                 the first FIN keeps the connection in TIME_WAIT for 60 seconds, so that late segments of it disturb \
                 no new one; so long its port cannot be used towards this server. When every port rests, connect() \
                 fails with EADDRNOTAVAIL until the first minute is over, although nothing is open."
            }
            Self::TwReuse => {
                "As client-closes, with net.ipv4.tcp_tw_reuse=1 at the client: a new connection may take a port whose \
                 connection has rested in TIME_WAIT for net.ipv4.tcp_tw_reuse_delay (a second by default) instead of \
                 60. It is safe because both ends send TCP timestamps, by which late segments of the old connection \
                 are known. The default, 2, does this on loopback alone."
            }
            Self::MoreAddresses => {
                "As client-closes, from four addresses in turn. Every address has all ports for itself, so they last \
                 four times as long; more server addresses or ports would do the same, since a port is only taken \
                 towards one address and port. The client binds to an address with IP_BIND_ADDRESS_NO_PORT: a plain \
                 bind() chooses the port before the destination is known and so takes it for all destinations."
            }
            Self::ServerCloses => {
                "The server sends its FIN first, so TIME_WAIT is at the server and the client's port is free at once. \
                 When the client comes back from the same port, its SYN meets the connection in TIME_WAIT; the server \
                 accepts it as a new one, since its timestamp and sequence number are newer. The server's sockets in \
                 TIME_WAIT take memory but no port: all of them share its listening port. There are at most as many as \
                 the client has ports; half as many here, since connect() looks among every other port first."
            }
            Self::ClientResets => {
                "The client ends with a RST (SO_LINGER with a time of 0, then close()). No end keeps anything, so no \
                 port rests. The price: whatever was on its way is thrown away, the server is told ECONNRESET instead \
                 of an end, and nothing guards the next connection from this port against late segments of this one."
            }
        }
    }
}

/// How many ports and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// An even number, for connect(2) leaves out one port of a range that holds an odd number of them (it tries those
    /// of one parity first, `__inet_hash_connect`).
    pub(super) ports: u16,
    pub(super) watch: Duration,
    /// Of [`Way::TwReuse`], which shows itself only after the delay.
    pub(super) watch_reuse: Duration,
}

impl Size {
    const FULL: Self = Self {
        ports: 2_000,
        watch: Duration::from_millis(2_400),
        watch_reuse: Duration::from_millis(3_400),
    };
    const QUICK: Self = Self {
        ports: 500,
        watch: Duration::from_millis(600),
        watch_reuse: Duration::from_millis(1_700),
    };

    const fn watch(self, way: Way) -> Duration {
        match way {
            Way::TwReuse => self.watch_reuse,
            _ => self.watch,
        }
    }
}

/// About how long all ways take.
pub(super) const fn span(quick: bool) -> Duration {
    if quick {
        Duration::from_secs(5)
    } else {
        Duration::from_secs(14)
    }
}

/// Tries every way, each in namespaces of its own: some 14 s, or 5 s when `quick`. `interrupted` gives the signal that
/// asks the run to end.
///
/// # Errors
/// [`ExperimentError::Host`] and [`ExperimentError::Os`] when the host allows no namespaces or lacks ip(8),
/// [`ExperimentError::Interrupted`] when a signal came.
pub(super) fn ports(
    quick: bool,
    interrupted: &dyn Fn() -> Option<i32>,
) -> Result<Vec<PortRecord>, ExperimentError> {
    let size = if quick { Size::QUICK } else { Size::FULL };
    Way::ALL
        .into_iter()
        .map(|way| one_way(way, size, interrupted))
        .collect()
}

/// Tries one way.
pub(super) fn one_way(
    way: Way,
    size: Size,
    interrupted: &dyn Fn() -> Option<i32>,
) -> Result<PortRecord, ExperimentError> {
    let hosts = Hosts::build(way, size.ports)?;
    let over = AtomicBool::new(false);
    let listener = hosts.listen()?;
    let tally = std::thread::scope(|scope| {
        let accepting = scope.spawn(|| hosts::serve(&listener, way == Way::ServerCloses, &over));
        let connecting = scope.spawn(|| hosts.client.run(|| spend(way, size, &over)));
        let mut signal = None;
        while !connecting.is_finished() {
            std::thread::sleep(LOOK_EVERY);
            signal = signal.or_else(interrupted);
            if signal.is_some() {
                over.store(true, Ordering::Relaxed);
            }
        }
        let tally = connecting.join();
        over.store(true, Ordering::Relaxed);
        let served = accepting.join();
        match (tally, served, signal) {
            (Err(panic), _, _) | (_, Err(panic), _) => std::panic::resume_unwind(panic),
            (_, _, Some(signal)) => Err(ExperimentError::Interrupted(signal)),
            (Ok(tally), Ok(served), None) => {
                served.map_err(|error| {
                    ExperimentError::Host(format!(
                        "the server of {} could not accept: {error}",
                        way.name()
                    ))
                })?;
                Ok(tally?)
            }
        }
    })?;
    Ok(record(way, size, &hosts, tally)?)
}

/// What the client met with.
#[derive(Debug, Default)]
struct Tally {
    watched: Nanos,
    connects: u64,
    tries: u64,
    first_failure: Option<(u64, Nanos)>,
    failures: BTreeMap<String, u64>,
}

/// Connects and ends until the time is over, or longer until ports ran out where they must.
fn spend(way: Way, size: Size, over: &AtomicBool) -> Tally {
    let begun = MonotonicClock.now();
    let watch = Nanos::from(size.watch(way));
    let longest = Nanos(watch.0 * 4);
    let mut tally = Tally::default();
    loop {
        tally.watched = MonotonicClock.now() - begun;
        let waits = way.exhausts() && tally.first_failure.is_none() && tally.watched < longest;
        if over.load(Ordering::Relaxed) || (tally.watched >= watch && !waits) {
            return tally;
        }
        let turn = u8::try_from(tally.tries % u64::from(way.addresses())).unwrap_or(0);
        tally.tries += 1;
        match hosts::connect_and_end(way, turn) {
            Ok(()) => tally.connects += 1,
            Err(error) => {
                *tally.failures.entry(name(&error)).or_default() += 1;
                let at = MonotonicClock.now() - begun;
                tally.first_failure.get_or_insert((tally.connects, at));
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// `EADDRNOTAVAIL` and so on.
fn name(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::UnknownErrno) | None => error.kind().to_string(),
        Some(known) => format!("{known:?}"),
    }
}

fn record(way: Way, size: Size, hosts: &Hosts, tally: Tally) -> Result<PortRecord, OsError> {
    let (at_client, at_server) = hosts.time_wait()?;
    let (ceiling_per_second, ceiling_because) = ceiling(way, size.ports, hosts.reuse_delay);
    Ok(PortRecord {
        way: way.name().to_owned(),
        explanation: way.explanation().to_owned(),
        ports: size.ports.into(),
        addresses: way.addresses().into(),
        watched_ns: tally.watched.0,
        connects: tally.connects,
        connects_before_failure: tally.first_failure.map(|(connects, _)| connects),
        first_failure_ns: tally.first_failure.map(|(_, at)| at.0),
        failures: tally.failures,
        time_wait_client: at_client,
        time_wait_server: at_server,
        reuse_delay_ns: (way == Way::TwReuse).then_some(Nanos::from(hosts.reuse_delay).0),
        ceiling_per_second,
        ceiling_because,
    })
}

/// What a way can sustain, connections a second, and why.
fn ceiling(way: Way, ports: u16, reuse_delay: Duration) -> (Option<f64>, String) {
    let (rest, what) = match way {
        Way::ClientCloses | Way::MoreAddresses => (TIME_WAIT, "in TIME_WAIT"),
        Way::TwReuse => (reuse_delay, "before it may be used again"),
        Way::ServerCloses => {
            let because =
                "a port is free again as soon as its connection has ended: no ceiling but the work";
            return (None, because.to_owned());
        }
        Way::ClientResets => {
            let because = "no end keeps a connection that was reset: no ceiling but the work";
            return (None, because.to_owned());
        }
    };
    let all = u32::from(ports) * u32::from(way.addresses());
    let per_second = f64::from(all) / rest.as_secs_f64();
    let addresses = match way.addresses() {
        1 => String::new(),
        several => format!(" × {several} addresses"),
    };
    let because = format!(
        "{} ports{addresses}, each {} s {what}",
        HumanCount(ports.into()),
        rest.as_secs_f64()
    );
    (Some(per_second), because)
}

/// The client's addresses, one after another.
const fn client_address(turn: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 3, 1 + turn)
}
