//! Frames: a length, 4 bytes big-endian, and as many bytes of JSON.
//!
//! Does not know what is said, and never reads more than it was allowed. Bytes are untrusted.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes of the length.
const PREFIX: usize = 4;
/// The longest frame before a host is admitted.
pub(super) const BEFORE_ADMISSION: usize = 4 << 10;
/// The longest one after that.
pub(super) const AFTER_ADMISSION: usize = 1 << 20;

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The peer has more to say than it may.
    #[error("it sent a frame of {length} bytes, {limit} are the most")]
    TooLong { length: usize, limit: usize },
    /// The stream ended in the middle.
    #[error("its connection ended in the middle of a frame")]
    CutShort,
    /// The time for it is over.
    #[error("it did not send a frame in time")]
    TooSlow,
    /// The frame is none of ours.
    #[error("it sent what is no message ({0})")]
    Nonsense(String),
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// `message` as a frame.
///
/// # Errors
/// [`FrameError::TooLong`] beyond `limit`.
pub(super) fn encode(message: &impl Serialize, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; PREFIX];
    serde_json::to_writer(&mut frame, message).map_err(io::Error::from)?;
    let length = frame.len() - PREFIX;
    match u32::try_from(length) {
        Ok(prefix) if length <= limit => frame[..PREFIX].copy_from_slice(&prefix.to_be_bytes()),
        _ => return Err(FrameError::TooLong { length, limit }),
    }
    Ok(frame)
}

/// The JSON of a frame that [`encode`] made.
pub(super) fn body(frame: &[u8]) -> &[u8] {
    frame.get(PREFIX..).unwrap_or_default()
}

/// The bytes of the next frame; `None` when the stream ends before it.
///
/// # Errors
/// [`FrameError`]; the stream is then of no further use.
pub(super) fn read(from: &mut impl Read, limit: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let mut prefix = [0; PREFIX];
    match fill(from, &mut prefix)? {
        0 => return Ok(None),
        PREFIX => {}
        _ => return Err(FrameError::CutShort),
    }
    let length = u32::from_be_bytes(prefix);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    let mut body = vec![0; length];
    if fill(from, &mut body)? < length {
        return Err(FrameError::CutShort);
    }
    Ok(Some(body))
}

/// What the bytes of a frame say.
///
/// # Errors
/// [`FrameError::Nonsense`].
pub(super) fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M, FrameError> {
    serde_json::from_slice(body).map_err(|error| FrameError::Nonsense(error.to_string()))
}

/// Reads until `into` is full or the stream ends; how many bytes came.
fn fill(from: &mut impl Read, into: &mut [u8]) -> Result<usize, FrameError> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut
                    if error.raw_os_error() != Some(libc::ETIMEDOUT) =>
                {
                    return Err(FrameError::TooSlow);
                }
                _ => return Err(error.into()),
            },
        }
    }
    Ok(filled)
}

/// A stream that is read until an instant and no longer, however little comes at a time.
#[derive(Debug)]
pub(super) struct Until<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut stream = self.stream;
        stream.read(into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A stream that gives its bytes in pieces.
    struct Pieces<'a> {
        bytes: &'a [u8],
        pieces: Vec<usize>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let piece = self.pieces.pop().unwrap_or(1).max(1);
            let count = piece.min(into.len()).min(self.bytes.len());
            into[..count].copy_from_slice(&self.bytes[..count]);
            self.bytes = &self.bytes[count..];
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn frames_come_whole_however_the_stream_is_split(
            texts in prop::collection::vec(".{0,60}", 0..6),
            pieces in prop::collection::vec(1_usize..40, 0..60),
        ) {
            let bytes: Vec<u8> =
                texts.iter().flat_map(|text| encode(text, BEFORE_ADMISSION).unwrap()).collect();
            let mut stream = Pieces { bytes: &bytes, pieces };
            for text in &texts {
                let body = read(&mut stream, BEFORE_ADMISSION).unwrap().unwrap();
                prop_assert_eq!(&decode::<String>(&body).unwrap(), text);
            }
            prop_assert!(read(&mut stream, BEFORE_ADMISSION).unwrap().is_none());
        }

        #[test]
        fn a_frame_that_is_cut_short_is_an_error(text in ".{0,60}", cut in any::<prop::sample::Index>()) {
            let bytes = encode(&text, BEFORE_ADMISSION).unwrap();
            let kept = 1 + cut.index(bytes.len() - 1);
            let mut stream = &bytes[..kept];
            let error = read(&mut stream, BEFORE_ADMISSION).unwrap_err();
            prop_assert!(matches!(error, FrameError::CutShort), "{}", error);
        }

        #[test]
        fn a_length_beyond_the_limit_is_refused_before_a_byte_of_it_is_read(
            limit in 0_usize..5_000,
            beyond in 1_u32..,
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let length = u32::try_from(limit).unwrap().saturating_add(beyond);
            let bytes = [&length.to_be_bytes()[..], &rest].concat();
            let mut stream = bytes.as_slice();
            let error = read(&mut stream, limit).unwrap_err();
            let refused = matches!(error, FrameError::TooLong { .. });
            prop_assert!(refused, "{}", error);
            prop_assert_eq!(stream, rest.as_slice());
        }

        #[test]
        fn garbage_is_no_message_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut stream = bytes.as_slice();
            if let Ok(Some(body)) = read(&mut stream, BEFORE_ADMISSION) {
                prop_assert!(decode::<super::super::message::FromMember>(&body).is_err());
            }
        }
    }

    #[test]
    fn what_is_too_long_to_read_is_not_sent() {
        let text = "x".repeat(BEFORE_ADMISSION - 2);
        assert!(encode(&text, BEFORE_ADMISSION).is_ok());
        let error = encode(&format!("{text}x"), BEFORE_ADMISSION).unwrap_err();
        assert!(
            matches!(
                error,
                FrameError::TooLong {
                    length: 4_097,
                    limit: 4_096
                }
            ),
            "{error}"
        );
    }
}
