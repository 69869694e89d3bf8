//! What a frame says as a TCP segment.
//!
//! Pure; Ethernet and IPv4 alone, which is all the scenarios' wire carries. Sources: RFC 9293, section 3.1; RFC 791.

use etherparse::{NetSlice, SlicedPacket, TcpSlice, TransportSlice};

/// Length of an Ethernet header without tags.
const ETHERNET_BYTES: usize = 14;
/// Where a TCP header has its checksum.
const CHECKSUM_AT: usize = 16;

/// The flags the scenarios care for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are five bits of the header, each with a name of its own"
)]
pub(super) struct Flags {
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) psh: bool,
    pub(super) ack: bool,
}

impl Flags {
    /// As people write them: `SYN+ACK`.
    pub(super) fn name(self) -> String {
        let all = [
            (self.syn, "SYN"),
            (self.fin, "FIN"),
            (self.rst, "RST"),
            (self.psh, "PSH"),
            (self.ack, "ACK"),
        ];
        let set = all.iter().filter(|(set, _)| *set).map(|(_, name)| *name);
        set.collect::<Vec<_>>().join("+")
    }
}

/// One TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) source_port: u16,
    pub(super) target_port: u16,
    pub(super) flags: Flags,
    pub(super) sequence: u32,
    /// Of no meaning without the ACK flag.
    pub(super) acknowledgement: u32,
    /// Payload.
    pub(super) bytes: u32,
}

impl Segment {
    /// The segment in a frame; `None` for anything else.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        with_tcp(frame, |tcp, _| Self {
            source_port: tcp.source_port(),
            target_port: tcp.destination_port(),
            flags: Flags {
                syn: tcp.syn(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                psh: tcp.psh(),
                ack: tcp.ack(),
            },
            sequence: tcp.sequence_number(),
            acknowledgement: tcp.acknowledgment_number(),
            bytes: u32::try_from(tcp.payload().len()).unwrap_or(u32::MAX),
        })
    }

    /// What it takes of the sequence space: SYN and FIN count as one octet each (RFC 9293, section 3.4).
    pub(super) const fn span(&self) -> u32 {
        self.bytes + self.flags.syn as u32 + self.flags.fin as u32
    }
}

fn with_tcp<T>(frame: &[u8], read: impl Fn(&TcpSlice<'_>, &NetSlice<'_>) -> T) -> Option<T> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    match (&packet.transport, &packet.net) {
        (Some(TransportSlice::Tcp(tcp)), Some(net)) => Some(read(tcp, net)),
        _ => None,
    }
}

/// Completes a checksum that the sending kernel left to a network card: between two namespaces there is none, and the
/// receiver would drop the frame. Frames without a TCP segment stay as they are.
pub(super) fn complete_checksum(frame: &mut [u8]) {
    let sum = with_tcp(frame, |tcp, net| {
        let NetSlice::Ipv4(ip) = net else {
            return None;
        };
        let header = ip.header();
        let sum = tcp.calc_checksum_ipv4(header.source(), header.destination());
        let at = ETHERNET_BYTES + usize::from(header.ihl()) * 4 + CHECKSUM_AT;
        sum.ok().map(|sum| (at, sum))
    });
    if let Some(Some((at, sum))) = sum
        && let Some(place) = frame.get_mut(at..at + 2)
    {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([198, 18, 0, 1], [198, 18, 0, 2], 64)
            .tcp(40_001, 7000, 1_000, 64_000)
            .fin()
            .psh()
            .ack(77);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    #[test]
    fn a_segment_is_read_with_its_place_in_the_sequence() {
        let segment = Segment::parse(&frame(b"hello")).unwrap();
        assert_eq!((segment.source_port, segment.target_port), (40_001, 7000));
        assert_eq!((segment.sequence, segment.acknowledgement), (1_000, 77));
        assert_eq!(segment.flags.name(), "FIN+PSH+ACK");
        assert_eq!((segment.bytes, segment.span()), (5, 6));
    }

    #[test]
    fn a_checksum_left_open_becomes_the_right_one() {
        let right = frame(b"hello");
        let mut open = right.clone();
        open[14 + 20 + 16] ^= 0x5a;
        assert_ne!(open, right);
        complete_checksum(&mut open);
        assert_eq!(open, right);
    }

    #[test]
    fn what_is_no_segment_is_none_and_stays_as_it_is() {
        let mut request = vec![0xff; 42];
        request[12..14].copy_from_slice(&[0x08, 0x06]);
        let before = request.clone();
        assert_eq!(Segment::parse(&request), None);
        complete_checksum(&mut request);
        assert_eq!(request, before);
        for length in 0..frame(b"hello").len() {
            let mut cut = frame(b"hello");
            cut.truncate(length);
            complete_checksum(&mut cut);
            let _ = Segment::parse(&cut);
        }
    }
}
