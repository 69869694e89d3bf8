//! What each operation does to the sockets of the fake kernel.
//!
//! Does not post in any order; the [kernel](super) shuffles what is posted here.

use super::super::socket::{Life, Segment, Socket};
use super::{Event, Kernel, Posted};
use crate::ring::{Operation, Token, TokenKind};

impl Kernel {
    pub(super) fn run(&mut self, side: usize, operation: Operation) {
        match operation {
            Operation::Accept { token, .. } => {
                assert!(
                    self.sides[side].accept.is_none(),
                    "two accepts on one listener"
                );
                self.sides[side].accept = Some(token);
            }
            Operation::Open { slot, .. } => {
                let ring = &mut self.sides[side];
                assert!(
                    ring.table[slot as usize].is_none(),
                    "slot {slot} opened twice"
                );
                ring.table[slot as usize] = Some(self.sockets.len());
                self.sockets
                    .push(Socket::new(side, Some(slot), Life::Fresh));
            }
            Operation::Cancel { target } => self.cancel(side, target),
            Operation::SetOption { slot, token, .. }
            | Operation::Bind { slot, token, .. }
            | Operation::Connect { slot, token, .. }
            | Operation::Watch { slot, token }
            | Operation::Stream { slot, token }
            | Operation::Receive { slot, token }
            | Operation::Send { slot, token, .. }
            | Operation::Abort { slot, token }
            | Operation::Close { slot, token } => {
                let Some(socket) = self.sides[side].table[slot as usize] else {
                    panic!("{operation:?} names an empty slot");
                };
                let owner = self.sockets[socket].owner.get_or_insert(token);
                assert_eq!(
                    (owner.index, owner.generation),
                    (token.index, token.generation),
                    "{operation:?} names the slot of another connection"
                );
                self.run_on(socket, operation, token);
            }
        }
    }

    /// Runs an operation of a socket; its owner has been checked.
    fn run_on(&mut self, number: usize, operation: Operation, token: Token) {
        let side = self.sockets[number].side;
        match operation {
            Operation::Bind { .. } if self.dice.chance(self.disorder.unbindable) => {
                self.post(side, (number, true), token, Err(libc::EADDRNOTAVAIL));
            }
            Operation::Connect { .. } => {
                self.sockets[number].life = Life::Connecting;
                self.sockets[number].connect = Some(token);
                let at = self.now + self.dice.span(self.disorder.delay);
                self.schedule(at, Event::Syn(number));
            }
            Operation::Watch { .. } | Operation::Stream { .. } => {
                let socket = &mut self.sockets[number];
                assert!(socket.watch.is_none(), "two reads armed on one socket");
                socket.watch = Some(token);
                socket.woken = false;
                self.sides[side].watches.insert(token, number);
                if self.sockets[number].is_readable() {
                    self.wake(number);
                }
            }
            Operation::Receive { .. } => self.receive(number, token),
            Operation::Send { bytes, .. } => self.send(number, &bytes, token),
            Operation::Abort { .. } => {
                let socket = &self.sockets[number];
                if let Some(peer) = socket.peer.filter(|_| !socket.silenced) {
                    self.deliver(peer, Segment::Error(libc::ECONNRESET));
                }
                self.sockets[number].dead = true;
                self.wake(number);
            }
            Operation::Close { slot, .. } => {
                assert!(
                    self.sockets[number].watch.is_none(),
                    "closed beside its watch"
                );
                self.sides[side].table[slot as usize] = None;
                self.sides[side].free.push(slot);
                self.hang_up(number);
            }
            _ => {}
        }
    }

    /// A woken stream hands over what there is, or ends without: cancelled, or for want of a buffer.
    pub(super) fn flow(&mut self, number: usize, token: Token) {
        let ended = if self.dice.chance(self.disorder.cancelled) {
            Some(libc::ECANCELED)
        } else if self.dice.chance(self.disorder.starved) {
            Some(libc::ENOBUFS)
        } else {
            None
        };
        let short = self.dice.chance(self.disorder.short_receive);
        let socket = &mut self.sockets[number];
        let side = socket.side;
        let received = match ended {
            Some(errno) => Err(errno),
            None => socket.receive(self.now, short, &mut self.dice),
        };
        if received == Err(libc::EAGAIN) {
            return;
        }
        let mut posted = Posted::new((number, false), token, Ok(0));
        match received {
            Ok((bytes, _)) => {
                posted.result = Ok(u32::try_from(bytes.len()).unwrap());
                posted.more = !bytes.is_empty() && !self.dice.chance(self.disorder.lost_more);
                posted.data = bytes;
            }
            Err(errno) => posted.result = Err(errno),
        }
        if !posted.more {
            self.sockets[number].watch = None;
            self.sides[side].watches.remove(&token);
        } else if self.sockets[number].is_readable() {
            self.wake(number);
        }
        self.sides[side].posted.push(posted);
    }

    fn receive(&mut self, number: usize, token: Token) {
        let short = self.dice.chance(self.disorder.short_receive);
        let socket = &mut self.sockets[number];
        let side = socket.side;
        let received = socket.receive(self.now, short, &mut self.dice);
        let mut posted = Posted::new((number, true), token, Ok(0));
        match received {
            Ok((bytes, nonempty)) => {
                posted.result = Ok(u32::try_from(bytes.len()).unwrap());
                posted.nonempty = nonempty;
                posted.data = bytes;
            }
            Err(errno) => posted.result = Err(errno),
        }
        self.sides[side].posted.push(posted);
    }

    fn send(&mut self, number: usize, bytes: &[u8], token: Token) {
        let full = self.dice.chance(self.disorder.blocked);
        let socket = &mut self.sockets[number];
        let side = socket.side;
        self.sides[side].sends += 1;
        let refused = match socket.error.take() {
            Some(errno) => Some(errno),
            None if socket.dead || socket.life != Life::Established => Some(libc::EPIPE),
            None if full || socket.blocked => Some(libc::EAGAIN),
            None => None,
        };
        if let Some(errno) = refused {
            self.sides[side].blocked += usize::from(errno == libc::EAGAIN);
            self.post(side, (number, true), token, Err(errno));
            return;
        }
        let short = self.dice.chance(self.disorder.short_send);
        let bytes = if short { &bytes[..5] } else { bytes };
        socket.written += bytes.len();
        socket.outstanding.push_back(self.now);
        if short {
            self.post(side, (number, true), token, Ok(5));
        }
        let socket = &self.sockets[number];
        let peer = socket.peer.filter(|_| !socket.silenced);
        let Some(peer) = peer else { return };
        let cut = if self.dice.chance(self.disorder.split) {
            1 + self.dice.below(bytes.len() - 1)
        } else {
            bytes.len()
        };
        let (front, rest) = bytes.split_at(cut);
        self.deliver(peer, Segment::Bytes(front.to_vec()));
        if !rest.is_empty() {
            self.deliver(peer, Segment::Bytes(rest.to_vec()));
        }
    }

    fn cancel(&mut self, side: usize, target: Token) {
        if target.kind == TokenKind::Accept && self.sides[side].accept == Some(target) {
            // An accept that has been woken and not run yet sees that it is cancelled first.
            self.sides[side].accept = None;
            self.post_more((side, usize::MAX), target, Err(libc::ECANCELED), false);
        } else if let Some(number) = self.sides[side].watches.remove(&target) {
            let watch = target.kind == TokenKind::Watch;
            if watch && self.sockets[number].woken && self.dice.chance(500) {
                let events = self.sockets[number].events();
                self.post_more((side, number), target, Ok(events), true);
            }
            let socket = &mut self.sockets[number];
            socket.watch = None;
            if std::mem::take(&mut socket.woken) {
                self.sides[side].woken.retain(|woken| *woken != number);
            }
            let last = Posted::new((number, false), target, Err(libc::ECANCELED));
            if watch && self.dice.chance(self.disorder.late) {
                let events = u32::from(libc::POLLIN.cast_unsigned());
                let mut echo = Posted::new((number, false), target, Ok(events));
                echo.more = true;
                self.sides[side].late.extend([echo, last]);
            } else {
                self.sides[side].posted.push(last);
            }
        } else {
            let found = self.sockets.iter_mut().position(|socket| {
                socket.side == side && socket.connect.take_if(|token| *token == target).is_some()
            });
            let (token, errno) = match found {
                Some(_) => (target, libc::ECANCELED),
                None => (target.with_kind(TokenKind::Cancel), libc::ENOENT),
            };
            self.post(side, (usize::MAX, false), token, Err(errno));
        }
    }

    /// Ends a socket: with a FIN, or with a RST when bytes were left unread.
    pub(super) fn hang_up(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        let unread = !socket.incoming.is_empty();
        let silent = socket.dead || socket.silenced;
        socket.life = Life::Closed;
        socket.slot = None;
        socket.closed_at = Some(self.now);
        let last = if unread {
            Segment::Error(libc::ECONNRESET)
        } else {
            Segment::Fin
        };
        if let Some(peer) = socket.peer.filter(|_| !silent) {
            self.deliver(peer, last);
        }
    }
}
