//! One socket of the fake kernel: bytes that wait, an error that waits, and what watches it.
//!
//! Does not deliver anything; the [kernel](super::fake_ring) does. Follows Linux where a shard can tell: data
//! before the error, the error once, then the end of the stream.

use super::dice::Dice;
use crate::ring::{RECEIVE_BYTES, Token};
use crate::units::Nanos;
use std::collections::VecDeque;

/// Where a socket is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Fresh,
    Connecting,
    Established,
    /// Closed by its owner, or never given to one.
    Closed,
}

/// What comes over the network.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    Bytes(Vec<u8>),
    Fin,
    /// A RST, or the kernel giving up: the errno.
    Error(i32),
}

/// One end of a connection.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent, as in the kernel"
)]
pub(super) struct Socket {
    /// Which ring's table it belongs to.
    pub(super) side: usize,
    pub(super) slot: Option<u32>,
    pub(super) peer: Option<usize>,
    pub(super) life: Life,
    /// The life of the connection that uses it; every operation on its slot must name the same.
    pub(super) owner: Option<Token>,
    pub(super) incoming: VecDeque<u8>,
    pub(super) fin: bool,
    pub(super) error: Option<i32>,
    /// An error has been: nothing comes or goes any more.
    pub(super) dead: bool,
    pub(super) watch: Option<Token>,
    /// The watch has been woken and has not told yet.
    pub(super) woken: bool,
    pub(super) connect: Option<Token>,
    /// What it sends vanishes, as behind a firewall that forgot the connection.
    pub(super) silenced: bool,
    /// Its send buffer is full.
    pub(super) blocked: bool,
    /// Nothing reaches it before this instant: segments keep their order.
    pub(super) arrives_after: Nanos,
    pub(super) last_arrival: Nanos,
    pub(super) last_read: Nanos,
    pub(super) closed_at: Option<Nanos>,
    /// Bytes taken from its owner, and handed to it.
    pub(super) written: usize,
    pub(super) read: usize,
    /// When each frame that no byte has come back for was sent, oldest first.
    pub(super) outstanding: VecDeque<Nanos>,
}

impl Socket {
    pub(super) fn new(side: usize, slot: Option<u32>, life: Life) -> Self {
        Self {
            side,
            slot,
            peer: None,
            life,
            owner: None,
            incoming: VecDeque::new(),
            fin: false,
            error: None,
            dead: false,
            watch: None,
            woken: false,
            connect: None,
            silenced: false,
            blocked: false,
            arrives_after: Nanos::ZERO,
            last_arrival: Nanos::ZERO,
            last_read: Nanos::ZERO,
            closed_at: None,
            written: 0,
            read: 0,
            outstanding: VecDeque::new(),
        }
    }

    /// Whether a poll would return at once.
    pub(super) fn is_readable(&self) -> bool {
        !self.incoming.is_empty() || self.fin || self.error.is_some() || self.dead
    }

    /// The poll mask.
    pub(super) fn events(&self) -> u32 {
        let mut events = 0;
        if self.is_readable() {
            events |= libc::POLLIN;
        }
        if self.fin || self.dead {
            events |= libc::POLLRDHUP;
        }
        if self.dead {
            events |= libc::POLLHUP | libc::POLLERR;
        }
        u32::from(events.cast_unsigned())
    }

    /// Takes a segment in. Returns whether a watch would be woken.
    pub(super) fn take_in(&mut self, segment: Segment, now: Nanos) -> bool {
        if self.dead || self.life == Life::Closed {
            return false;
        }
        match segment {
            Segment::Bytes(bytes) => {
                self.incoming.extend(bytes);
                self.last_arrival = now;
            }
            Segment::Fin => self.fin = true,
            Segment::Error(errno) => {
                self.error = Some(errno);
                self.dead = true;
            }
        }
        true
    }

    /// `recv` with `MSG_DONTWAIT`: bytes or errno, and whether more is left. `short` gives less than there is.
    pub(super) fn receive(
        &mut self,
        now: Nanos,
        short: bool,
        dice: &mut Dice,
    ) -> Result<(Vec<u8>, bool), i32> {
        if self.incoming.is_empty() {
            return match self.error.take() {
                Some(errno) => Err(errno),
                None if self.fin || self.dead => Ok((Vec::new(), false)),
                None => Err(libc::EAGAIN),
            };
        }
        let most = self.incoming.len().min(RECEIVE_BYTES);
        let length = if short { 1 + dice.below(most) } else { most };
        let bytes: Vec<u8> = self.incoming.drain(..length).collect();
        let frames_before = self.read / 16;
        self.read += length;
        self.last_read = now;
        for _ in frames_before..self.read / 16 {
            self.outstanding.pop_front();
        }
        Ok((bytes, !self.incoming.is_empty()))
    }
}
