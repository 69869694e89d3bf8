//! Memory the kernel reads and writes while it runs one batch of submissions.
//!
//! Does not submit. Every place is used by at most one submission at a time; places are handed out in order and
//! all come back together once the kernel has consumed the batch. Allocated once, at start.
//!
//! Why this is sound: a place is only ever named by an operation that finishes inside `io_uring_enter` (inline
//! receive and send with `MSG_DONTWAIT`) or whose memory the kernel copies while it takes the submission (the
//! address of a connect). So between two enters the kernel holds none of these pointers, and between the
//! enters is the only time this code reads them. The cells are `UnsafeCell` because the kernel writes to them
//! behind a shared reference.

use super::operation::{RECEIVE_BYTES, SEND_BYTES};
use super::token::Token;
use std::cell::UnsafeCell;
use std::net::SocketAddrV4;

/// Scratch for one batch.
pub(super) struct Arena {
    received: Box<[UnsafeCell<[u8; RECEIVE_BYTES]>]>,
    sent: Box<[UnsafeCell<[u8; SEND_BYTES]>]>,
    addresses: Box<[UnsafeCell<libc::sockaddr_in>]>,
    /// Which receive uses each place; taken when its completion is read.
    receives: Box<[Option<Token>]>,
    used: usize,
    receiving: usize,
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena")
            .field("places", &self.receives.len())
            .field("used", &self.used)
            .field("receiving", &self.receiving)
            .finish_non_exhaustive()
    }
}

impl Arena {
    /// Room for `places` operations that need memory.
    pub(super) fn new(places: usize) -> Self {
        let empty = libc::sockaddr_in {
            sin_family: 0,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: 0 },
            sin_zero: [0; 8],
        };
        Self {
            received: (0..places)
                .map(|_| UnsafeCell::new([0; RECEIVE_BYTES]))
                .collect(),
            sent: (0..places)
                .map(|_| UnsafeCell::new([0; SEND_BYTES]))
                .collect(),
            addresses: (0..places).map(|_| UnsafeCell::new(empty)).collect(),
            receives: vec![None; places].into_boxed_slice(),
            used: 0,
            receiving: 0,
        }
    }

    /// Whether no place is left in this batch.
    pub(super) fn is_full(&self) -> bool {
        self.used == self.receives.len()
    }

    /// Receives the kernel has not completed yet.
    pub(super) fn receiving(&self) -> usize {
        self.receiving
    }

    /// A place to receive into, and the number that stands for `token` until it completes.
    pub(super) fn receive(&mut self, token: Token) -> (u32, *mut u8) {
        let place = self.take();
        self.receives[place] = Some(token);
        self.receiving += 1;
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        (number, self.received[place].get().cast())
    }

    /// A copy of `bytes` that stays put.
    pub(super) fn send(&mut self, bytes: [u8; SEND_BYTES]) -> *const u8 {
        let place = self.take();
        *self.sent[place].get_mut() = bytes;
        self.sent[place].get().cast_const().cast()
    }

    /// `address` as the kernel reads it, or the family `AF_UNSPEC` for `None`.
    pub(super) fn address(&mut self, address: Option<SocketAddrV4>) -> *const libc::sockaddr {
        let place = self.take();
        let stored = self.addresses[place].get_mut();
        match address {
            Some(address) => {
                stored.sin_family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(2);
                stored.sin_port = address.port().to_be();
                stored.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            }
            None => stored.sin_family = 0,
        }
        self.addresses[place].get().cast_const().cast()
    }

    /// Ends the receive that uses `place`: whose it was, and the bytes it may have filled.
    /// `None` for a place no receive uses.
    pub(super) fn finish_receive(&mut self, place: u32) -> Option<(Token, &[u8; RECEIVE_BYTES])> {
        let token = self.receives.get_mut(place as usize)?.take()?;
        self.receiving -= 1;
        // SAFETY: the completion of this receive has been read, and the kernel posts it after its last write
        // to the place; no later submission names the place before `release`, which takes `&mut self` and so
        // ends this borrow. Otherwise the kernel would write under a live shared reference: torn frames.
        let bytes = unsafe { &*self.received[place as usize].get() };
        Some((token, bytes))
    }

    /// Takes all places back. The caller has seen that the kernel consumed every submission of the batch.
    /// Keeps them while a receive is still out.
    pub(super) fn release(&mut self) {
        if self.receiving == 0 {
            self.used = 0;
        }
    }

    fn take(&mut self) -> usize {
        let place = self.used;
        self.used += 1;
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::TokenKind;
    use super::*;

    #[test]
    fn places_come_back_only_when_no_receive_is_out() {
        let mut arena = Arena::new(2);
        let token = Token::new(TokenKind::Receive, 7, 1);
        let (place, _) = arena.receive(token);
        let _ = arena.send([1; SEND_BYTES]);
        assert!(arena.is_full());
        arena.release();
        assert!(arena.is_full(), "a receive is still out");
        assert_eq!(
            arena.finish_receive(place).map(|(token, _)| token),
            Some(token)
        );
        assert!(arena.finish_receive(place).is_none(), "a receive ends once");
        assert!(arena.finish_receive(99).is_none());
        arena.release();
        assert!(!arena.is_full());
    }
}
