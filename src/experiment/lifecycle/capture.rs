//! The frames of a scene as a capture file that other programs open.
//!
//! Pure. Classic pcap with nanoseconds, link type Ethernet, times of sending on the wall clock. A frame that the wire
//! lost is in it: it was sent.

use super::wire::Carried;
use crate::experiment::ExperimentError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use std::borrow::Cow;
use std::time::Duration;

/// The whole file in base64. `epoch` is the wall clock's distance from the monotonic one.
pub(super) fn pcap_base64(carried: &[Carried], epoch: Duration) -> Result<String, ExperimentError> {
    let broken = |error: pcap_file::PcapError| {
        ExperimentError::Host(format!("a capture could not be put together: {error}"))
    };
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        endianness: Endianness::Little,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).map_err(broken)?;
    for frame in carried {
        let packet = PcapPacket {
            timestamp: epoch + frame.sent.as_duration(),
            orig_len: u32::try_from(frame.frame.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&frame.frame),
        };
        writer.write_packet(&packet).map_err(broken)?;
    }
    Ok(STANDARD.encode(writer.into_writer()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Seat;
    use crate::units::Nanos;
    use pcap_file::pcap::PcapReader;

    #[test]
    fn a_reader_finds_every_frame_with_its_time() {
        let frame = |sent, bytes: &[u8]| Carried {
            from: Seat::Client,
            sent: Nanos(sent),
            arrived: None,
            old_copy: false,
            frame: bytes.to_vec(),
        };
        let frames = [frame(5, &[1; 60]), frame(1_000_000_007, &[2; 1514])];
        let text = pcap_base64(&frames, Duration::from_secs(1_700_000_000)).unwrap();
        let bytes = STANDARD.decode(text).unwrap();
        let mut reader = PcapReader::new(bytes.as_slice()).unwrap();
        let mut found = Vec::new();
        while let Some(packet) = reader.next_packet() {
            let packet = packet.unwrap();
            found.push((packet.timestamp, packet.data.into_owned()));
        }
        let times: Vec<_> = found.iter().map(|(time, _)| time.as_nanos()).collect();
        assert_eq!(
            times,
            [1_700_000_000_000_000_005, 1_700_000_001_000_000_007]
        );
        assert_eq!(found[1].1, frames[1].frame);
    }
}
