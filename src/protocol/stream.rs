//! Frames out of a byte stream, however TCP split or merged them.
//!
//! Does not own a buffer: whole frames are decoded where the kernel put them, and only the
//! beginning of a frame that has not arrived whole is kept, 15 bytes at most, in the connection's
//! [`Partial`]. Nothing allocates.

use super::codec::{DecodeError, FRAME_BYTES, Frame};

/// The beginning of a frame whose rest has not arrived. 16 bytes, one per connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    bytes: [u8; FRAME_BYTES - 1],
    length: u8,
}

impl Partial {
    /// Whether the stream stands between two frames.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn kept(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Keeps `bytes`, fewer than a frame's, after what is kept already; together they are fewer
    /// too.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the copy has checked that it is below 16"
    )]
    fn keep(&mut self, bytes: &[u8]) {
        let from = usize::from(self.length);
        let to = from + bytes.len();
        self.bytes[from..to].copy_from_slice(bytes);
        self.length = to as u8;
    }

    /// Completes the kept bytes from the front of `bytes`. Returns the frame's bytes, once there
    /// are enough, and what is left of `bytes`.
    fn complete<'a>(&mut self, bytes: &'a [u8]) -> (Option<[u8; FRAME_BYTES]>, &'a [u8]) {
        let kept = self.kept();
        let Some((front, rest)) = bytes.split_at_checked(FRAME_BYTES - kept.len()) else {
            self.keep(bytes);
            return (None, &[]);
        };
        let mut whole = [0; FRAME_BYTES];
        let (first, second) = whole.split_at_mut(kept.len());
        first.copy_from_slice(kept);
        second.copy_from_slice(front);
        *self = Self::default();
        (Some(whole), rest)
    }
}

/// Decodes the next `bytes` of a stream, which may begin and end anywhere, and hands every frame
/// that is now whole to `each`, in order. `partial` is the stream's own and starts as the default.
/// O(bytes); when they are whole frames, nothing is copied.
///
/// # Errors
/// The first [`DecodeError`]. The frames before it have been handed over; what follows cannot be
/// told apart from noise and is dropped, `partial` is empty, and the connection is to be closed.
pub fn decode_stream(
    partial: &mut Partial,
    bytes: &[u8],
    mut each: impl FnMut(Frame),
) -> Result<(), DecodeError> {
    let mut bytes = bytes;
    if !partial.is_empty() {
        let (whole, rest) = partial.complete(bytes);
        if let Some(whole) = whole {
            each(Frame::decode(&whole)?);
        }
        bytes = rest;
    }
    let (frames, rest) = bytes.as_chunks::<FRAME_BYTES>();
    for frame in frames {
        each(Frame::decode(frame)?);
    }
    if !rest.is_empty() {
        partial.keep(rest);
    }
    Ok(())
}
