//! One frame: its bytes and back. The layout is tabulated in the [parent module](super).
//!
//! Does not know streams. Nothing allocates.

use crate::units::Nanos;

/// Bytes of a frame, of any kind.
pub const FRAME_BYTES: usize = 16;

/// First byte of a frame: a continuation byte of UTF-8, and not ASCII, so no text begins with it.
const MAGIC: u8 = 0xB7;
/// The only version there is.
const VERSION: u8 = 1;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// "I am alive."
    Heartbeat = 1,
    /// "I have heard you": sequence and instant are those of the heartbeat.
    Ack = 2,
    /// What the connection is there for: a sign of life that owes no answer.
    Data = 3,
}

/// A heartbeat, its ack, or data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Which of them.
    pub kind: Kind,
    /// Number of the heartbeat on its connection; wraps. Data: its place among the frames sent with it.
    pub sequence: u32,
    /// When the heartbeat, or the data, was sent, by the monotonic clock of whoever sent it.
    pub sent_at: Nanos,
}

impl Frame {
    /// The frame's only encoding.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_BYTES] {
        let [s0, s1, s2, s3] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.sent_at.0.to_be_bytes();
        let kind = self.kind as u8;
        [
            MAGIC, VERSION, kind, 0, s0, s1, s2, s3, t0, t1, t2, t3, t4, t5, t6, t7,
        ]
    }

    /// The frame that encodes to exactly `bytes`.
    ///
    /// # Errors
    /// The first field, in the order of the layout, that no frame of ours has:
    /// [`DecodeError::Magic`], [`DecodeError::Version`], [`DecodeError::Kind`],
    /// [`DecodeError::Reserved`].
    pub fn decode(bytes: &[u8; FRAME_BYTES]) -> Result<Self, DecodeError> {
        let [magic, version, kind, reserved, body @ ..] = *bytes;
        let [s0, s1, s2, s3, sent_at @ ..] = body;
        if magic != MAGIC {
            return Err(DecodeError::Magic { seen: magic });
        }
        if version != VERSION {
            return Err(DecodeError::Version { seen: version });
        }
        let kind = match kind {
            1 => Kind::Heartbeat,
            2 => Kind::Ack,
            3 => Kind::Data,
            seen => return Err(DecodeError::Kind { seen }),
        };
        if reserved != 0 {
            return Err(DecodeError::Reserved { seen: reserved });
        }
        Ok(Self {
            kind,
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            sent_at: Nanos(u64::from_be_bytes(sent_at)),
        })
    }
}

/// Why 16 bytes are not a frame. The peer speaks something else; retrying cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first byte is another protocol's, or the stream lost its place.
    #[error("frame begins with {seen:#04x}, not {MAGIC:#04x}")]
    Magic {
        /// The byte in its place.
        seen: u8,
    },
    /// A version this build does not speak.
    #[error("frame has version {seen}, only {VERSION} is spoken here")]
    Version {
        /// The version seen.
        seen: u8,
    },
    /// Neither heartbeat nor ack nor data.
    #[error("frame has kind {seen}, not 1 (heartbeat), 2 (ack) or 3 (data)")]
    Kind {
        /// The kind seen.
        seen: u8,
    },
    /// The reserved byte is in use.
    #[error("frame has {seen} in its reserved byte, not 0")]
    Reserved {
        /// The byte in its place.
        seen: u8,
    },
}

impl DecodeError {
    /// A stable word for records and scripts.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Magic { .. } => "bad-magic",
            Self::Version { .. } => "unsupported-version",
            Self::Kind { .. } => "unknown-kind",
            Self::Reserved { .. } => "reserved-not-zero",
        }
    }
}
