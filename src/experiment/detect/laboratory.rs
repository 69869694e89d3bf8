//! The laboratory: a client's host, a router and a server's host, each a network namespace, joined by veth pairs.
//!
//! Does not measure and starts no half. The namespaces have no names: when this value is dropped, or its process is
//! killed, they end with all that is in them, links and rules included, so there is nothing to be cleaned up. No packet
//! leaves them. veth(4), ip-link(8), ip-route(8), nft(8).

use crate::experiment::ExperimentError;
use crate::experiment::detect::fault::Seat;
use crate::experiment::tools::{ip, nft, set};
use crate::os::conntrack;
use crate::os::namespace::Network;
use crate::os::network::InterfaceCounters;
use std::net::Ipv4Addr;

/// The one interface of either host.
const HOST_LINK: &str = "eth0";
/// The table and chain of the router's rules.
const CHAIN: [&str; 3] = ["inet", "lab", "forward"];

/// Addresses are of the benchmarking range (RFC 2544), which no network routes.
const fn address(seat: Seat) -> Ipv4Addr {
    match seat {
        Seat::Client => Ipv4Addr::new(198, 18, 1, 2),
        Seat::Server => Ipv4Addr::new(198, 18, 2, 2),
    }
}

const fn gateway(seat: Seat) -> Ipv4Addr {
    match seat {
        Seat::Client => Ipv4Addr::new(198, 18, 1, 1),
        Seat::Server => Ipv4Addr::new(198, 18, 2, 1),
    }
}

/// The router's link to a host.
const fn router_link(seat: Seat) -> &'static str {
    match seat {
        Seat::Client => "client0",
        Seat::Server => "server0",
    }
}

/// What the router lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Nothing, either way.
    Everything,
    /// Nothing that comes from this end.
    From(Seat),
    /// So many packets of a hundred are dropped.
    Share(u32),
}

/// Three hosts, joined.
#[derive(Debug)]
pub(super) struct Laboratory {
    client: Network,
    server: Network,
    router: Network,
    /// What a host that reboots comes back as.
    reborn: Option<Network>,
}

impl Laboratory {
    /// Makes the hosts and joins them. With `tracking` the router is a firewall that drops what it does not know.
    pub(super) fn build(tracking: bool) -> Result<Self, ExperimentError> {
        let lab = Self {
            client: Network::new()?,
            server: Network::new()?,
            router: Network::new()?,
            reborn: None,
        };
        lab.router.run(|| {
            set("net/ipv4/ip_forward", "1")?;
            for seat in Seat::ALL {
                let host = lab.host(seat).path();
                #[rustfmt::skip]
                ip(&["link", "add", router_link(seat), "type", "veth", "peer", "name", HOST_LINK, "netns", &host])?;
                let own = format!("{}/24", gateway(seat));
                ip(&["address", "add", &own, "dev", router_link(seat)])?;
                ip(&["link", "set", router_link(seat), "up"])?;
            }
            Ok::<(), ExperimentError>(())
        })??;
        for seat in Seat::ALL {
            lab.host(seat).run(|| settle_in(seat))??;
        }
        if tracking {
            lab.router.run(track)??;
        }
        Ok(lab)
    }

    /// The namespace of one end.
    pub(super) const fn host(&self, seat: Seat) -> &Network {
        match seat {
            Seat::Client => &self.client,
            Seat::Server => &self.server,
        }
    }

    /// Where the server is.
    pub(super) const fn server_address() -> Ipv4Addr {
        address(Seat::Server)
    }

    /// Whether packet filter rules can be made here, or why not.
    pub(super) fn can_filter(&self) -> Result<(), String> {
        self.drop(Filter::Share(0))
            .and_then(|()| self.heal())
            .map_err(|error| error.to_string())
    }

    /// Whether connections can be tracked here, or why not.
    pub(super) fn can_track() -> Result<(), String> {
        let tried = Self::build(true).and_then(|lab| lab.forget_connections());
        tried.map_err(|error| error.to_string())
    }

    /// Drops what `filter` names, from now on.
    pub(super) fn drop(&self, filter: Filter) -> Result<(), ExperimentError> {
        let rule = match filter {
            Filter::Everything => "drop".to_owned(),
            Filter::From(seat) => format!("iifname {} drop", router_link(seat)),
            Filter::Share(percent) => format!("numgen random mod 100 < {percent} drop"),
        };
        let [family, table, chain] = CHAIN;
        let rules = format!(
            "table {family} {table} {{ chain {chain} {{ type filter hook forward priority 0; policy accept; }}; }}\n\
             insert rule {family} {table} {chain} {rule}\n"
        );
        self.router.run(|| nft(&rules))?
    }

    /// Lets everything pass again.
    pub(super) fn heal(&self) -> Result<(), ExperimentError> {
        let [family, table, chain] = CHAIN;
        self.router
            .run(|| nft(&format!("flush chain {family} {table} {chain}\n")))?
    }

    /// The firewall's table is empty from now on.
    pub(super) fn forget_connections(&self) -> Result<(), ExperimentError> {
        Ok(self.router.run(conntrack::forget_all)??)
    }

    /// The firewall forgets connections idle for so long, from their next packet on.
    pub(super) fn remember_for(&self, seconds: u32) -> Result<(), ExperimentError> {
        Ok(self.router.run(|| conntrack::remember_for(seconds))??)
    }

    /// Packets between the client's host and the router so far, either way.
    pub(super) fn packets(&self) -> Result<u64, ExperimentError> {
        let link = router_link(Seat::Client);
        let read = || InterfaceCounters::read_ethernet_here(link);
        let counted = self.router.run(read)??;
        Ok(counted.received_packets + counted.sent_packets)
    }

    /// The router's link to one end is down from now on.
    pub(super) fn pull_cable(&self, seat: Seat) -> Result<(), ExperimentError> {
        self.router
            .run(|| ip(&["link", "set", router_link(seat), "down"]))?
    }

    /// Takes one end off the net and makes what it will come back as: the same address, and none of its connections.
    pub(super) fn lose_host(&mut self, seat: Seat) -> Result<(), ExperimentError> {
        let reborn = match self.reborn.take() {
            Some(prepared) => prepared,
            None => Network::new()?,
        };
        let path = reborn.path();
        self.host(seat)
            .run(|| ip(&["link", "set", HOST_LINK, "netns", &path]))??;
        self.reborn = Some(reborn);
        Ok(())
    }

    /// Prepares a reboot, so that the fault itself is one step.
    pub(super) fn prepare_reboot(&mut self) -> Result<(), ExperimentError> {
        self.reborn = Some(Network::new()?);
        Ok(())
    }

    /// The host that was lost is back.
    pub(super) fn host_returns(&self, seat: Seat) -> Result<(), ExperimentError> {
        match &self.reborn {
            Some(reborn) => reborn.run(|| settle_in(seat))?,
            None => Ok(()),
        }
    }
}

/// What a host is set to: an address, a way out, small receive buffers so that a peer that does not read is soon full.
fn settle_in(seat: Seat) -> Result<(), ExperimentError> {
    ip(&["link", "set", "lo", "up"])?;
    let own = format!("{}/24", address(seat));
    ip(&["address", "add", &own, "dev", HOST_LINK])?;
    ip(&["link", "set", HOST_LINK, "up"])?;
    ip(&["route", "add", "default", "via", &gateway(seat).to_string()])?;
    set("net/ipv4/tcp_rmem", "4096 4096 8192")?;
    // Sockets whose process has ended and whose FIN is lost would be kept for minutes.
    set("net/ipv4/tcp_orphan_retries", "1")
}

/// The rules of a firewall that lets in what it knows and what begins with a SYN.
fn track() -> Result<(), ExperimentError> {
    let [family, table, chain] = CHAIN;
    nft(&format!(
        "table {family} {table} {{ chain {chain} {{ type filter hook forward priority 0; policy drop; \
         ct state established accept; ct state new tcp flags & (fin|syn|rst|ack) == syn accept; }}; }}\n"
    ))?;
    // A day, the usual being five; what counts is that connections are not taken up in mid-stream.
    Ok(conntrack::remember_for(86_400)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    fn lab(tracking: bool) -> Option<Laboratory> {
        match Laboratory::build(tracking) {
            Ok(lab) => Some(lab),
            Err(error) => {
                eprintln!("SKIPPED: {error}");
                None
            }
        }
    }

    /// A connected pair: the client's end, the server's.
    fn pair(lab: &Laboratory) -> (TcpStream, TcpStream) {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7100));
        let listener = lab
            .host(Seat::Server)
            .run(|| TcpListener::bind(any).unwrap())
            .unwrap();
        let there = SocketAddr::from((Laboratory::server_address(), 7100));
        let client = lab
            .host(Seat::Client)
            .run(|| TcpStream::connect_timeout(&there, Duration::from_secs(5)).unwrap())
            .unwrap();
        let (server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
        }
        (client, server)
    }

    fn passes(from: &mut TcpStream, to: &mut TcpStream) -> bool {
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).is_ok()
    }

    #[test]
    fn hosts_reach_each_other_until_they_are_kept_from_it() {
        let Some(lab) = lab(false) else { return };
        let (mut client, mut server) = pair(&lab);
        assert!(passes(&mut client, &mut server) && passes(&mut server, &mut client));
        if let Err(reason) = lab.can_filter() {
            eprintln!("SKIPPED: {reason}");
            return;
        }
        lab.drop(Filter::From(Seat::Client)).unwrap();
        assert!(!passes(&mut client, &mut server));
        assert!(passes(&mut server, &mut client), "the other way is open");
        lab.heal().unwrap();
        // What was lost is sent again.
        server
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        assert!(server.read_exact(&mut [0]).is_ok());
        server
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        lab.drop(Filter::Everything).unwrap();
        assert!(!passes(&mut server, &mut client));
    }

    #[test]
    fn a_host_that_reboots_answers_with_a_reset() {
        let Some(mut lab) = lab(false) else { return };
        let (mut client, server) = pair(&lab);
        lab.lose_host(Seat::Server).unwrap();
        lab.host_returns(Seat::Server).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client.write_all(b"x").unwrap();
        let error = client.read_exact(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        drop(server);
    }

    #[test]
    fn a_firewall_that_forgot_drops_in_silence() {
        if let Err(reason) = Laboratory::can_track() {
            eprintln!("SKIPPED: {reason}");
            return;
        }
        let Some(lab) = lab(true) else { return };
        let (mut client, mut server) = pair(&lab);
        assert!(passes(&mut client, &mut server));
        assert!(lab.router.run(conntrack::tracked).unwrap() >= Some(1));
        lab.forget_connections().unwrap();
        assert!(!passes(&mut client, &mut server) && !passes(&mut server, &mut client));
    }
}
