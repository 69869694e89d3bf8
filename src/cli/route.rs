//! Where connections go to and come from: the addresses of the load generator's flags, and whether they have ports
//! enough.
//!
//! Asks the resolver for names and nobody for anything else. A connection is told from others by source address, source port, destination address and port; the source
//! port comes from `net.ipv4.ip_local_port_range` (`ip(7)`).

use crate::load::loopback_targets;
use crate::units::HumanCount;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs as _};

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Targets {
    /// These, in turn.
    Listed(Vec<Target>),
    /// As many loopback addresses as are needed, at this port.
    Loopback(u16),
}

/// A host, by its address or its name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
}

impl Targets {
    /// The addresses that `connections` take; a name's are all that the resolver has for it now.
    ///
    /// # Errors
    /// A sentence about the name that has none.
    pub(super) fn addresses(
        &self,
        connections: u64,
        ephemeral: (u16, u16),
    ) -> Result<Vec<SocketAddrV4>, String> {
        match self {
            Self::Listed(listed) => {
                let each: Result<Vec<_>, _> = listed.iter().map(Target::addresses).collect();
                each.map(|all| all.concat())
            }
            Self::Loopback(port) => Ok(loopback_targets(connections, *port, ephemeral)),
        }
    }
}

impl Target {
    fn addresses(&self) -> Result<Vec<SocketAddrV4>, String> {
        let found = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| {
                format!("{self} cannot be found ({error}): is the name spelled right, and does `getent hosts` know it?")
            })?;
        let mut fourth: Vec<_> = found
            .filter_map(|address| match address {
                SocketAddr::V4(address) => Some(address),
                SocketAddr::V6(_) => None,
            })
            .collect();
        fourth.sort_unstable();
        fourth.dedup();
        if fourth.is_empty() {
            return Err(format!(
                "{self} has no IPv4 address: connections are opened over IPv4"
            ));
        }
        Ok(fourth)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// `10.0.0.1:7000,10.0.0.2:7000`, or `loopback:7000`.
pub(super) fn targets(text: &str) -> Result<Targets, String> {
    if let Some(port) = text.strip_prefix("loopback:") {
        return match port.parse() {
            Ok(0) | Err(_) => Err(format!("`{port}` is not a port: 1 to 65535")),
            Ok(port) => Ok(Targets::Loopback(port)),
        };
    }
    let listed: Result<Vec<_>, _> = text.split(',').map(target).collect();
    listed.map(Targets::Listed)
}

fn target(text: &str) -> Result<Target, String> {
    let wrong = || {
        format!(
            "`{text}` is not an IPv4 address or a host's name with a port, such as 10.0.0.1:7000 or \
             server-0.example:7000 (loopback:PORT stands alone)"
        )
    };
    let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let letters = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '.';
    let numeric = host
        .chars()
        .all(|char| char.is_ascii_digit() || char == '.');
    if host.is_empty()
        || host == "loopback"
        || !host.chars().all(letters)
        || (numeric && host.parse::<Ipv4Addr>().is_err())
    {
        return Err(wrong());
    }
    if port == 0 {
        return Err(format!("`{text}` needs a port from 1 to 65535"));
    }
    Ok(Target {
        host: host.to_owned(),
        port,
    })
}

/// `10.0.0.9`: an address that connections may come from.
pub(super) fn source(text: &str) -> Result<Ipv4Addr, String> {
    let address: Ipv4Addr = text
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is not an IPv4 address, such as 10.0.0.9"))?;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(format!(
            "no connection can come from {address}: give an address of this host, see `ip -4 address`"
        ));
    }
    Ok(address)
}

/// What to say beforehand when the addresses have fewer ports than connections are asked for.
pub(super) fn shortage(
    connections: u64,
    targets: usize,
    sources: usize,
    ephemeral: (u16, u16),
) -> Option<String> {
    let range = u64::from(ephemeral.1.saturating_sub(ephemeral.0)) + 1;
    let pairs = targets.max(1) as u64 * sources.max(1) as u64;
    let most = range.saturating_mul(pairs);
    (connections > most).then(|| {
        let more = connections.div_ceil(range).div_ceil(targets.max(1) as u64);
        format!(
            "{} connections from {} source address{} to {} target{} need more ports than there are ({} at most, by \
             net.ipv4.ip_local_port_range): expect EADDRNOTAVAIL; name {more} --source-addresses in all, or more \
             --targets",
            HumanCount(connections),
            sources.max(1),
            if sources > 1 { "es" } else { "" },
            targets,
            if targets == 1 { "" } else { "s" },
            HumanCount(most)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_listed_or_multiplied() {
        assert_eq!(targets("loopback:7000"), Ok(Targets::Loopback(7000)));
        let Ok(Targets::Listed(two)) = targets("10.0.0.1:7000, 10.0.0.2:7001") else {
            panic!("two targets were refused");
        };
        assert_eq!(two.len(), 2);
        let both = targets("10.0.0.1:7000,localhost:7001").unwrap();
        let found = both.addresses(9, (1, 2)).unwrap();
        let expected = ["10.0.0.1:7000", "127.0.0.1:7001"];
        assert_eq!(found, expected.map(|text| text.parse().unwrap()));
        // RFC 6761, section 6.4: no such name is ever found.
        let nowhere = targets("nobody.invalid:7000").unwrap();
        let said = nowhere.addresses(9, (1, 2)).unwrap_err();
        assert!(
            said.contains("nobody.invalid:7000 cannot be found"),
            "{said}"
        );
        for (bad, why) in [
            ("loopback:0", "not a port"),
            ("loopback:70000", "not a port"),
            ("10.0.0.1", "with a port"),
            ("10.0.0.1:0", "needs a port"),
            ("10.0.0:7000", "IPv4"),
            ("a b:7000", "IPv4"),
            ("[::1]:7000", "IPv4"),
            ("10.0.0.1:7000,", "IPv4"),
            ("10.0.0.1:7000,loopback:7000", "stands alone"),
        ] {
            let error = targets(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn sources_are_addresses_of_a_host() {
        assert_eq!(source(" 10.0.0.9"), Ok(Ipv4Addr::new(10, 0, 0, 9)));
        for bad in ["", "10.0.0", "10.0.0.9:80", "0.0.0.0", "224.0.0.1"] {
            assert!(source(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_shortage_of_ports_is_foreseen_with_what_would_do() {
        let range = (32_768, 60_999);
        assert_eq!(shortage(28_232, 1, 0, range), None);
        assert_eq!(shortage(56_464, 1, 2, range), None);
        assert_eq!(shortage(56_464, 2, 1, range), None);
        let said = shortage(100_000, 1, 0, range).unwrap();
        assert!(
            said.contains("28,232 at most") && said.contains("name 4 --source"),
            "{said}"
        );
        assert!(shortage(100_000, 2, 1, range).unwrap().contains("name 2"));
    }
}
