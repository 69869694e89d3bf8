//! What went over the path's interface in a window, and what was dropped or sent again.
//!
//! Does not know whose packets they were: everything else on the interface is in the figures, which
//! is why costs are taken net of the control arm. Units: packets and bytes at IP level (20 + 20 +
//! 12 bytes of headers on a TCP segment with timestamps). On loopback a packet is counted once,
//! where it is received; on any other interface sent and received packets add up, so that one end
//! of the path sees each packet once. See [`crate::os::network`].

use super::MeasureError;
use crate::os::network::{InterfaceCounters, TcpCounters, softnet};
use crate::record::OpeningPressure;

/// Where the counters are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// At an interface of this process's network namespace.
    Here {
        /// Its name.
        interface: &'a str,
    },
    /// Between two processes with a namespace each, joined by a pair of Ethernet interfaces: packets at the first
    /// one's end, TCP's counters of both.
    Between {
        /// The two processes.
        pids: (u32, u32),
        /// The interface of the first.
        interface: &'a str,
    },
}

/// The counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSnapshot {
    packets: u64,
    ip_bytes: u64,
    tcp: TcpCounters,
    /// Per CPU, 32 bits wide in the kernel.
    backlog_drops: Vec<u64>,
}

/// What two snapshots differ by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireDelta {
    /// Packets over the interface.
    pub packets: u64,
    /// Their bytes, IP headers included.
    pub ip_bytes: u64,
    /// Packets the CPUs' input queues dropped, the whole machine's.
    pub softnet_drops: u64,
    /// Segments TCP received.
    pub segments_received: u64,
    /// Segments TCP sent, probes and pure ACKs among them, delivered or not; none that was sent again.
    pub segments_sent: u64,
    /// RSTs among those sent.
    pub resets_sent: u64,
    /// RSTs among those received, by the connections they ended.
    pub resets_received: u64,
    /// ACKs that left alone because nothing went along with them.
    pub delayed_acks: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Connections refused by listeners: `ListenDrops` or `ListenOverflows`, whichever grew more.
    pub listen_drops: u64,
    /// What the opening of connections met with.
    pub opening: OpeningPressure,
    /// Keepalive probes the kernel set out to send, delivered or not.
    pub probes_attempted: u64,
    /// Connections the kernel gave up on, by keepalive or by retransmission.
    pub aborted_on_timeout: u64,
}

impl WireSnapshot {
    /// Reads the counters at `place`.
    ///
    /// # Errors
    /// [`MeasureError::Os`].
    pub fn take(place: Place<'_>) -> Result<Self, MeasureError> {
        let (counters, tcp) = match place {
            Place::Here { interface } => {
                (InterfaceCounters::read(interface)?, TcpCounters::read()?)
            }
            Place::Between { pids, interface } => (
                InterfaceCounters::read_ethernet_of(pids.0, interface)?,
                TcpCounters::read_of(pids.0)?.plus(TcpCounters::read_of(pids.1)?),
            ),
        };
        let (packets, bytes) = if place == (Place::Here { interface: "lo" }) {
            (counters.received_packets, counters.received_bytes)
        } else {
            (
                counters.received_packets + counters.sent_packets,
                counters.received_bytes + counters.sent_bytes,
            )
        };
        Ok(Self {
            packets,
            ip_bytes: counters.header.ip_bytes(bytes, packets),
            tcp,
            backlog_drops: softnet()?.iter().map(|cpu| cpu.dropped).collect(),
        })
    }

    /// What was counted from here until `later`.
    #[must_use]
    pub fn until(&self, later: &Self) -> WireDelta {
        let grew = |figure: fn(&Self) -> u64| figure(later).saturating_sub(figure(self));
        let drops = self.backlog_drops.iter().zip(&later.backlog_drops);
        WireDelta {
            packets: grew(|at| at.packets),
            ip_bytes: grew(|at| at.ip_bytes),
            softnet_drops: drops.map(|(first, last)| wrapped(*first, *last)).sum(),
            retransmitted: grew(|at| at.tcp.retransmitted),
            segments_received: grew(|at| at.tcp.received),
            segments_sent: grew(|at| at.tcp.sent),
            resets_sent: grew(|at| at.tcp.resets_sent),
            // What the own kernel gave up counts as a reset connection too.
            resets_received: grew(|at| at.tcp.established_resets)
                .saturating_sub(grew(|at| at.tcp.aborted_on_timeout)),
            delayed_acks: grew(|at| at.tcp.delayed_acks),
            listen_drops: grew(|at| at.tcp.listen_drops).max(grew(|at| at.tcp.listen_overflows)),
            opening: OpeningPressure {
                listen_overflows: grew(|at| at.tcp.listen_overflows),
                listen_drops: grew(|at| at.tcp.listen_drops),
                syn_queue_drops: grew(|at| at.tcp.syn_queue_drops),
                syn_cookies: grew(|at| at.tcp.syn_cookies),
                syn_retransmits: grew(|at| at.tcp.syn_retransmits),
            },
            probes_attempted: grew(|at| at.tcp.keepalive_probes),
            aborted_on_timeout: grew(|at| at.tcp.aborted_on_timeout),
        }
    }
}

impl WireDelta {
    /// Probes that arrived: on idle connections all that is sent is a probe, the ACK that answers one, or the RST that
    /// ends a connection given up; and the peer's kernel answers every probe it sees (RFC 9293, section 3.10.7.4: an
    /// unacceptable segment is answered with an ACK).
    #[must_use]
    pub const fn probes_answered(&self) -> u64 {
        self.segments_sent
            .saturating_sub(self.probes_attempted)
            .saturating_sub(self.resets_sent)
    }

    /// ACKs of probes that came back: all else that idle connections receive is a probe or a RST.
    #[must_use]
    pub const fn probe_acks_back(&self) -> u64 {
        self.segments_received
            .saturating_sub(self.probes_answered())
            .saturating_sub(self.resets_received)
    }
}

/// How far a counter of 32 bits moved.
fn wrapped(first: u64, last: u64) -> u64 {
    last.wrapping_sub(first) & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_taken_counter_by_counter() {
        let first = WireSnapshot {
            packets: 10,
            ip_bytes: 520,
            tcp: TcpCounters::default(),
            backlog_drops: vec![0xffff_fffe, 7],
        };
        let later = WireSnapshot {
            packets: 12,
            ip_bytes: 624,
            tcp: TcpCounters {
                keepalive_probes: 1,
                listen_drops: 3,
                listen_overflows: 2,
                syn_retransmits: 4,
                ..TcpCounters::default()
            },
            backlog_drops: vec![1, 9],
        };
        let delta = first.until(&later);
        assert_eq!((delta.packets, delta.ip_bytes), (2, 104));
        assert_eq!((delta.listen_drops, delta.probes_attempted), (3, 1));
        let opening = delta.opening;
        assert_eq!((opening.listen_overflows, opening.listen_drops), (2, 3));
        assert_eq!((opening.syn_retransmits, opening.syn_cookies), (4, 0));
        assert_eq!(delta.softnet_drops, 3 + 2, "the first counter wrapped");
    }

    #[test]
    fn probes_their_acks_and_resets_are_told_apart() {
        // Ten probes of which six arrive; five of the ACKs come back; two connections are given up, one RST arrives.
        let delta = WireDelta {
            probes_attempted: 10,
            segments_sent: 10 + 6 + 2,
            resets_sent: 2,
            segments_received: 6 + 5 + 1,
            resets_received: 1,
            ..WireDelta::default()
        };
        assert_eq!((delta.probes_answered(), delta.probe_acks_back()), (6, 5));
    }

    #[test]
    fn an_exchange_over_loopback_shows() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let lo = Place::Here { interface: "lo" };
        let first = WireSnapshot::take(lo).unwrap();
        client.write_all(&[7; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        let delta = first.until(&WireSnapshot::take(lo).unwrap());
        assert!(delta.packets >= 1 && delta.ip_bytes >= 1040, "{delta:?}");
        let nowhere = Place::Here {
            interface: "no-such-device",
        };
        assert!(WireSnapshot::take(nowhere).is_err());
        let gone = Place::Between {
            pids: (u32::MAX, u32::MAX),
            interface: "lo",
        };
        assert!(WireSnapshot::take(gone).is_err());
    }
}
