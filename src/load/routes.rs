//! Where connections go and where they come from.
//!
//! Pure. A TCP connection is told from others by source address and port, destination address and port, so each pair
//! of addresses has the ephemeral ports (`net.ipv4.ip_local_port_range`) once. On loopback all of 127.0.0.0/8 is one
//! host and destinations cost nothing; on a network the user names them.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Loopback addresses to connect to so that `connections` fit the ephemeral ports: at most half of the range
/// per address, because the kernel's search for a free port slows down sharply in the second half.
#[must_use]
pub fn loopback_targets(connections: u64, port: u16, ephemeral: (u16, u16)) -> Vec<SocketAddrV4> {
    let range = u64::from(ephemeral.1.saturating_sub(ephemeral.0)) + 1;
    let per_address = (range / 2).max(1);
    let count = connections.div_ceil(per_address).clamp(1, 1 << 16);
    let base = u32::from(Ipv4Addr::LOCALHOST);
    (0..u32::try_from(count).unwrap_or(1))
        .map(|number| SocketAddrV4::new(Ipv4Addr::from(base + number), port))
        .collect()
}

/// The pairs of addresses, in the order of their use.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    targets: Vec<SocketAddrV4>,
    sources: Vec<Ipv4Addr>,
    /// Where the turn begins.
    first: usize,
}

impl Routes {
    /// Turns begin at target `first`: load generators that begin at different ones do not all knock at the same door.
    pub(super) fn new(targets: &[SocketAddrV4], sources: &[Ipv4Addr], first: u32) -> Self {
        Self {
            targets: targets.to_vec(),
            sources: sources.to_vec(),
            first: first as usize,
        }
    }

    /// Where the connection that has the number `local` here goes, and where it comes from. Targets take turns fastest,
    /// so that a source address has been to each of them before the next one is used.
    pub(super) fn of(&self, local: u32) -> (SocketAddrV4, Option<Ipv4Addr>) {
        let (place, targets) = (local as usize + self.first, self.targets.len());
        let source = match self.sources.len() {
            0 => None,
            sources => Some(self.sources[place / targets % sources]),
        };
        (self.targets[place % targets], source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_goes_to_every_target_before_the_next_one() {
        let targets = [7001, 7002, 7003].map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let sources = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let routes = Routes::new(&targets, &sources, 0);
        let mut each: Vec<_> = (0..6).map(|ordinal| routes.of(ordinal)).collect();
        assert_eq!(each[0].1, each[2].1);
        assert_ne!(each[2].1, each[3].1);
        each.sort();
        each.dedup();
        assert_eq!(each.len(), 6, "each pair once");
        assert_eq!(routes.of(6), routes.of(0));
        assert_eq!(Routes::new(&targets, &[], 0).of(4), (targets[1], None));
        assert_eq!(Routes::new(&targets, &[], 2).of(4), (targets[0], None));
    }

    #[test]
    fn targets_multiply_with_the_connections_and_stay_on_loopback() {
        let ephemeral = (32_768, 60_999);
        assert_eq!(loopback_targets(10_000, 7000, ephemeral).len(), 1);
        let targets = loopback_targets(2_500_000, 7000, ephemeral);
        assert_eq!(targets.len(), 178);
        assert!(
            targets
                .iter()
                .all(|target| target.ip().is_loopback() && target.port() == 7000)
        );
        assert_eq!(targets[177].ip(), &Ipv4Addr::new(127, 0, 0, 178));
        assert!(
            loopback_targets(1 << 40, 7000, (1, 1))
                .iter()
                .all(|t| t.ip().is_loopback())
        );
    }
}
