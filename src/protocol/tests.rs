//! The protocol's properties: one encoding per frame, no panic on any bytes, no difference however
//! a stream is cut.

use super::*;
use crate::units::Nanos;
use proptest::prelude::*;

fn frame() -> impl Strategy<Value = Frame> {
    let kind = prop_oneof![Just(Kind::Heartbeat), Just(Kind::Ack), Just(Kind::Data)];
    (kind, any::<u32>(), any::<u64>()).prop_map(|(kind, sequence, sent_at)| Frame {
        kind,
        sequence,
        sent_at: Nanos(sent_at),
    })
}

/// Feeds `bytes` in pieces that end at `cuts`; returns the frames and the first error.
fn feed(bytes: &[u8], cuts: &[usize]) -> (Vec<Frame>, Option<DecodeError>, Partial) {
    let mut frames = Vec::new();
    let mut partial = Partial::default();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut from = 0;
    for to in cuts {
        let fed = decode_stream(&mut partial, &bytes[from..to], |frame| frames.push(frame));
        if let Err(error) = fed {
            assert!(partial.is_empty(), "nothing is kept after an error");
            return (frames, Some(error), partial);
        }
        from = to;
    }
    (frames, None, partial)
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(frame in frame()) {
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn a_frame_has_one_encoding_and_anything_else_is_an_error(
        header in prop_oneof![
            any::<[u8; 4]>(),
            (0xB6..0xB9_u8, 0..3_u8, 0..5_u8, 0..2_u8).prop_map(<[u8; 4]>::from),
        ],
        body in any::<[u8; 12]>(),
    ) {
        let mut bytes = [0; FRAME_BYTES];
        bytes[..4].copy_from_slice(&header);
        bytes[4..].copy_from_slice(&body);
        let well_formed = matches!(header, [0xB7, 1, 1..=3, 0]);
        match Frame::decode(&bytes) {
            Ok(frame) => {
                prop_assert!(well_formed);
                prop_assert_eq!(frame.encode(), bytes);
            }
            Err(_) => prop_assert!(!well_formed),
        }
    }

    #[test]
    fn a_stream_yields_the_same_frames_however_it_is_cut(
        frames in prop::collection::vec(frame(), 0..20),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
        missing in 0..FRAME_BYTES,
    ) {
        let mut bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        bytes.truncate(bytes.len().saturating_sub(missing));
        let whole = bytes.len() / FRAME_BYTES;
        let (seen, error, partial) = feed(&bytes, &cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(&seen, &frames[..whole]);
        prop_assert_eq!(partial.is_empty(), bytes.len().is_multiple_of(FRAME_BYTES));
    }

    #[test]
    fn any_bytes_end_the_same_way_however_they_are_cut(
        good in prop::collection::vec(frame(), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..80),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut bytes: Vec<u8> = good.iter().flat_map(Frame::encode).collect();
        bytes.extend(noise);
        prop_assert_eq!(feed(&bytes, &cuts), feed(&bytes, &[]));
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let frame = Frame {
        kind: Kind::Ack,
        sequence: 0x0102_0304,
        sent_at: Nanos(0x1112_1314_1516_1718),
    };
    let bytes = [
        0xB7, 1, 2, 0, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
    ];
    assert_eq!(frame.encode(), bytes);
    assert_eq!(size_of::<Partial>(), 16);
}

#[test]
fn every_error_says_what_was_seen() {
    let frame = Frame {
        kind: Kind::Heartbeat,
        sequence: 0,
        sent_at: Nanos::ZERO,
    };
    let cases = [
        (0, 0x47, "bad-magic", "frame begins with 0x47, not 0xb7"),
        (
            1,
            2,
            "unsupported-version",
            "frame has version 2, only 1 is spoken here",
        ),
        (
            2,
            9,
            "unknown-kind",
            "frame has kind 9, not 1 (heartbeat), 2 (ack) or 3 (data)",
        ),
        (
            3,
            1,
            "reserved-not-zero",
            "frame has 1 in its reserved byte, not 0",
        ),
    ];
    for (offset, byte, reason, text) in cases {
        let mut bytes = frame.encode();
        bytes[offset] = byte;
        let error = Frame::decode(&bytes).unwrap_err();
        assert_eq!(error.reason(), reason);
        assert_eq!(error.to_string(), text);
    }
}
