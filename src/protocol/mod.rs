//! The wire protocol: one fixed frame of 16 bytes, for a heartbeat, for its ack, and for data that owes no answer.
//!
//! Does not do I/O or decide anything: bytes in, frames out. Time base: the sender's monotonic
//! clock, carried as nanoseconds and meaningful to the sender alone; the other end echoes it
//! unchanged and never compares it with a clock of its own. Nothing here allocates.
//!
//! | offset | bytes | field    | value                                                       |
//! |--------|-------|----------|-------------------------------------------------------------|
//! | 0      | 1     | magic    | `0xB7`, which no text begins with                           |
//! | 1      | 1     | version  | `1`                                                         |
//! | 2      | 1     | kind     | `1` heartbeat, `2` ack, `3` data                            |
//! | 3      | 1     | reserved | `0`                                                         |
//! | 4      | 4     | sequence | counts heartbeats of a connection, big-endian; ack: echoed; |
//! |        |       |          | data: its place among the frames sent with it               |
//! | 8      | 8     | sent at  | nanoseconds, big-endian; ack: echoed                        |
//!
//! Decoding is strict: each frame has exactly one encoding, anything else is a [`DecodeError`], and
//! the connection it came from is to be closed, because a byte stream cannot be resynchronised. A
//! frame takes less than one TCP segment, but TCP may split and merge frames; [`decode_stream`]
//! puts them together again.
//!
//! ```
//! use ringbeat::protocol::{Frame, Kind, Partial, decode_stream};
//! use ringbeat::units::Nanos;
//!
//! let heartbeat = Frame { kind: Kind::Heartbeat, sequence: 7, sent_at: Nanos(1_000) };
//! let bytes = heartbeat.encode();
//! let (mut partial, mut seen) = (Partial::default(), Vec::new());
//! decode_stream(&mut partial, &bytes[..5], |frame| seen.push(frame))?;
//! decode_stream(&mut partial, &bytes[5..], |frame| seen.push(frame))?;
//! assert_eq!(seen, [heartbeat]);
//! # Ok::<(), ringbeat::protocol::DecodeError>(())
//! ```

#![forbid(unsafe_code)]

mod codec;
mod stream;
#[cfg(test)]
mod tests;

pub use codec::{DecodeError, FRAME_BYTES, Frame, Kind};
pub use stream::{Partial, decode_stream};
