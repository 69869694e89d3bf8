//! Two hosts and what lies between them: three network namespaces, one for either end and one for the wire.
//!
//! Carries nothing: frames that a host sends come out at the wire's end of its link, and whoever holds the wire decides.
//! The namespaces have no names and end with this value or its process. Neighbours and hardware addresses are fixed, so
//! that nothing but IP is ever sent. veth(4), ip-link(8), ip-neighbour(8).

use crate::experiment::tools::{ip, set};
use crate::experiment::{ExperimentError, Seat};
use crate::os::namespace::Network;
use std::net::Ipv4Addr;

/// A host's one interface.
const HOST_LINK: &str = "eth0";

/// The namespaces, joined by two links.
#[derive(Debug)]
pub(super) struct Hosts {
    client: Network,
    server: Network,
    /// Where both links come out.
    pub(super) wire: Network,
}

/// Of the benchmarking range (RFC 2544), which no network routes.
pub(super) const fn address(seat: Seat) -> Ipv4Addr {
    match seat {
        Seat::Client => Ipv4Addr::new(198, 18, 0, 1),
        Seat::Server => Ipv4Addr::new(198, 18, 0, 2),
    }
}

const fn hardware(seat: Seat) -> &'static str {
    match seat {
        Seat::Client => "02:00:00:00:00:01",
        Seat::Server => "02:00:00:00:00:02",
    }
}

/// The wire's end of a host's link.
pub(super) const fn wire_link(seat: Seat) -> &'static str {
    match seat {
        Seat::Client => "client0",
        Seat::Server => "server0",
    }
}

impl Hosts {
    /// Makes and joins them.
    pub(super) fn build() -> Result<Self, ExperimentError> {
        let above = Network::new()?;
        let hosts = above.run(|| {
            // Namespaces made in this one get a socket table of their own, and a small one: to look at the sockets then
            // takes microseconds. Kernels before 6.1 have no such setting; there a look takes milliseconds.
            let _ = set("net/ipv4/tcp_child_ehash_entries", "64");
            let (client, server, wire) = (Network::new()?, Network::new()?, Network::new()?);
            Ok::<Self, ExperimentError>(Self {
                client,
                server,
                wire,
            })
        })??;
        hosts.wire.run(|| {
            for seat in Seat::ALL {
                let host = hosts.host(seat).path();
                let (link, hardware) = (wire_link(seat), hardware(seat));
                #[rustfmt::skip]
                ip(&["link", "add", link, "type", "veth",
                    "peer", "name", HOST_LINK, "address", hardware, "netns", &host])?;
                // The kernel's own IPv6 would talk on the wire.
                let _ = set(&format!("net/ipv6/conf/{link}/disable_ipv6"), "1");
                ip(&["link", "set", link, "up"])?;
            }
            Ok::<(), ExperimentError>(())
        })??;
        for seat in Seat::ALL {
            hosts.host(seat).run(|| settle_in(seat))??;
        }
        Ok(hosts)
    }

    /// The namespace of one end.
    pub(super) const fn host(&self, seat: Seat) -> &Network {
        match seat {
            Seat::Client => &self.client,
            Seat::Server => &self.server,
        }
    }
}

/// An address, a neighbour that need not be asked for, and segments no longer than the wire's frames.
fn settle_in(seat: Seat) -> Result<(), ExperimentError> {
    let other = seat.other();
    let _ = set(&format!("net/ipv6/conf/{HOST_LINK}/disable_ipv6"), "1");
    let own = format!("{}/24", address(seat));
    ip(&["address", "add", &own, "dev", HOST_LINK])?;
    ip(&["link", "set", HOST_LINK, "gso_max_segs", "1"])?;
    ip(&["link", "set", HOST_LINK, "up"])?;
    let (neighbour, hardware) = (address(other).to_string(), hardware(other));
    #[rustfmt::skip]
    let known = ip(&["neighbour", "replace", &neighbour,
        "lladdr", hardware, "dev", HOST_LINK, "nud", "permanent"]);
    known
}
