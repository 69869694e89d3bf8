//! The reference engine: the shard's operations by epoll and plain system calls, one descriptor per connection.
//!
//! Does not decide anything and never sleeps unless told to. As good as epoll gets for this work: edge-triggered, one
//! `epoll_wait` for a whole batch, receives and sends inline, no system call to re-arm. Sources: `epoll(7)`,
//! `connect(2)`, `socket(7)`.
//!
//! Operations run in the order they were pushed, when [`Epoll::reap`] is called, so that a close never overtakes a
//! receive. A listener is told level-triggered and drained a few connections at a time; with every slot taken its
//! connections wait in the backlog, where io_uring's accept would drop them.

#![forbid(unsafe_code)]

use crate::ring::{Completion, Operation, RECEIVE_BYTES, SocketOption, Token, TokenKind};
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Events one `epoll_wait` returns at most.
const EVENTS: usize = 512;
/// Connections accepted from one listener before others have their turn.
const ACCEPTS: usize = 64;
/// Marks the event of a listener; slots are 32 bits.
const LISTENER: u64 = 1 << 63;

/// What an event of a socket is for.
#[derive(Clone, Copy, Debug)]
enum Interest {
    Nothing,
    Connect(Token),
    Watch(Token),
}

/// A socket in a slot.
#[derive(Debug)]
struct Entry {
    socket: Socket,
    interest: Interest,
    /// The slot came off our free list; whoever opens sockets keeps count of slots itself.
    accepted: bool,
}

/// A listener made known by [`Epoll::adopt`], and the accept that is armed on it.
#[derive(Debug)]
struct Listener {
    /// As the accept names it.
    named: RawFd,
    socket: Socket,
    accept: Option<Token>,
}

/// An epoll instance with a table of sockets.
#[derive(Debug)]
pub struct Epoll {
    set: nix::sys::epoll::Epoll,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    options: Box<[SocketOption]>,
    listener: Option<Listener>,
    operations: VecDeque<Operation>,
    events: Box<[EpollEvent]>,
    ready: usize,
    ask: bool,
    looks: u64,
}

impl Epoll {
    /// An instance with room for `slots` sockets; `options` are what [`Operation::SetOption`] can name.
    ///
    /// # Errors
    /// Of `epoll_create1(2)`.
    pub fn new(slots: u32, options: &[SocketOption]) -> io::Result<Self> {
        Ok(Self {
            set: nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            slots: (0..slots).map(|_| None).collect(),
            free: (0..slots).rev().collect(),
            options: options.into(),
            listener: None,
            operations: VecDeque::new(),
            events: vec![EpollEvent::empty(); EVENTS].into_boxed_slice(),
            ready: 0,
            ask: true,
            looks: 0,
        })
    }

    /// Makes `listener` the one that accepts may name, once.
    ///
    /// # Errors
    /// Of `dup(2)` and `fcntl(2)`.
    pub fn adopt(&mut self, listener: &Socket) -> io::Result<()> {
        let named = listener.as_raw_fd();
        if self
            .listener
            .as_ref()
            .is_none_or(|known| known.named != named)
        {
            let socket = listener.try_clone()?;
            // A connection that is reset before it is accepted would leave the accept waiting for the next one.
            socket.set_nonblocking(true)?;
            self.listener = Some(Listener {
                named,
                socket,
                accept: None,
            });
        }
        Ok(())
    }

    /// Queues an operation; it runs in [`reap`](Self::reap).
    pub fn push(&mut self, operation: &Operation) {
        self.operations.push_back(*operation);
    }

    /// The next [`has_work`](Self::has_work) holds until the kernel has been asked.
    pub fn ask_again(&mut self) {
        self.ask = true;
    }

    /// Whether something is queued, ready, or may be.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.ask || self.ready > 0 || !self.operations.is_empty()
    }

    /// Calls of `epoll_wait` so far.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Asks the kernel what is ready, waiting `longest` when nothing is queued; whole milliseconds, rounded up.
    ///
    /// # Errors
    /// Of `epoll_wait(2)`, an interruption excepted.
    pub fn look(&mut self, longest: Duration) -> io::Result<()> {
        // What was found is told first: an edge is told only once.
        if self.ready > 0 || (!self.operations.is_empty() && !self.ask) {
            return Ok(());
        }
        let longest = if self.operations.is_empty() {
            longest
        } else {
            Duration::ZERO
        };
        let millis = u16::try_from(longest.as_nanos().div_ceil(1_000_000)).unwrap_or(u16::MAX);
        self.looks += 1;
        self.ready = match self.set.wait(&mut self.events, EpollTimeout::from(millis)) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        // A full batch may not have been all.
        self.ask = self.ready == self.events.len();
        Ok(())
    }

    /// Tells what was ready, then runs what was queued; each result goes to `each`.
    pub fn reap(&mut self, mut each: impl FnMut(Completion<'_>)) {
        for place in 0..std::mem::take(&mut self.ready) {
            let event = self.events[place];
            if event.data() & LISTENER != 0 {
                self.accept(&mut each);
            } else {
                self.tell(event, &mut each);
            }
        }
        while let Some(operation) = self.operations.pop_front() {
            self.run(operation, &mut each);
        }
    }

    fn accept(&mut self, each: &mut impl FnMut(Completion<'_>)) {
        let Some(listener) = &self.listener else {
            return;
        };
        let Some(token) = listener.accept else { return };
        for _ in 0..ACCEPTS {
            let Some(slot) = self.free.pop() else { return };
            match listener.socket.accept() {
                Ok((socket, _)) => {
                    self.slots[slot as usize] = Some(Entry {
                        socket,
                        interest: Interest::Nothing,
                        accepted: true,
                    });
                    each(done(token, Ok(slot), true));
                }
                Err(error) => {
                    self.free.push(slot);
                    if error.kind() != io::ErrorKind::WouldBlock {
                        each(done(token, Err(errno(&error)), true));
                    }
                    return;
                }
            }
        }
        self.ask = true;
    }

    fn tell(&mut self, event: EpollEvent, each: &mut impl FnMut(Completion<'_>)) {
        let slot = usize::try_from(event.data()).unwrap_or(usize::MAX);
        let Some(Some(entry)) = self.slots.get_mut(slot) else {
            return;
        };
        match entry.interest {
            Interest::Nothing => {}
            Interest::Connect(token) => {
                entry.interest = Interest::Nothing;
                let result = match entry.socket.take_error() {
                    Ok(None) => Ok(0),
                    Ok(Some(error)) | Err(error) => Err(errno(&error)),
                };
                each(done(token, result, false));
            }
            Interest::Watch(token) => {
                // The bits of EPOLLIN, EPOLLRDHUP, EPOLLHUP and EPOLLERR are those of poll(2).
                let events = event.events().bits().cast_unsigned();
                each(done(token, Ok(events), true));
            }
        }
    }

    fn run(&mut self, operation: Operation, each: &mut impl FnMut(Completion<'_>)) {
        let mut bytes = [0; RECEIVE_BYTES];
        match operation {
            Operation::Receive { slot, token } => {
                let received = self.socket(slot).and_then(|socket| {
                    Ok(recv(
                        socket.as_raw_fd(),
                        &mut bytes,
                        MsgFlags::MSG_DONTWAIT,
                    )?)
                });
                let mut completion = done(token, Ok(0), false);
                match received {
                    Ok(length) => {
                        completion.result = Ok(u32::try_from(length).unwrap_or(0));
                        completion.data = &bytes[..length];
                    }
                    Err(error) => completion.result = Err(errno(&error)),
                }
                each(completion);
            }
            Operation::Send { slot, bytes, token } => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                let sent = self
                    .socket(slot)
                    .and_then(|socket| Ok(send(socket.as_raw_fd(), &bytes, flags)?));
                match sent {
                    Ok(length) if length == bytes.len() => {}
                    Ok(length) => {
                        let length = u32::try_from(length).unwrap_or(0);
                        each(done(token, Ok(length), false));
                    }
                    Err(error) => each(done(token, Err(errno(&error)), false)),
                }
            }
            Operation::Cancel { target } => self.cancel(target, each),
            Operation::Connect {
                slot,
                address,
                token,
            } => {
                let begun = self.connect(slot, address, token);
                if let Some(result) = begun.transpose() {
                    each(done(token, result.map_err(|error| errno(&error)), false));
                }
            }
            other => {
                if let Err((token, error)) = self.run_silent(other) {
                    each(done(token, Err(errno(&error)), false));
                }
            }
        }
    }

    /// Runs an operation that tells only of failure.
    fn run_silent(&mut self, operation: Operation) -> Result<(), (Token, io::Error)> {
        match operation {
            Operation::Open { slot, token } => self.open(slot).map_err(|error| (token, error)),
            Operation::SetOption {
                slot,
                option,
                token,
            } => self
                .socket(slot)
                .and_then(|socket| self.options[option as usize].set_on(socket))
                .map_err(|error| (token, error)),
            Operation::Bind {
                slot,
                source,
                token,
            } => self
                .socket(slot)
                .and_then(|socket| socket.bind(&SocketAddrV4::new(source, 0).into()))
                .map_err(|error| (token, error)),
            Operation::Watch { slot, token } => {
                let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
                self.interest(slot, Interest::Watch(token), events)
                    .map_err(|error| (token, error))
            }
            Operation::Accept { listener, token } => {
                self.arm(listener, token).map_err(|error| (token, error))
            }
            // The reset itself goes out with the close that follows.
            Operation::Abort { slot, token } => self
                .socket(slot)
                .and_then(|socket| socket.set_linger(Some(Duration::ZERO)))
                .map_err(|error| (token, error)),
            Operation::Close { slot, .. } => {
                let closed = self.slots[slot as usize].take();
                if closed.is_some_and(|entry| entry.accepted) {
                    self.free.push(slot);
                }
                Ok(())
            }
            // A stream is io_uring's own; the others are run where they are told apart.
            Operation::Stream { token, .. }
            | Operation::Receive { token, .. }
            | Operation::Send { token, .. }
            | Operation::Connect { token, .. }
            | Operation::Cancel { target: token } => {
                Err((token, io::Error::from_raw_os_error(libc::EOPNOTSUPP)))
            }
        }
    }

    fn socket(&self, slot: u32) -> io::Result<&Socket> {
        match self.slots.get(slot as usize) {
            Some(Some(entry)) => Ok(&entry.socket),
            _ => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    fn open(&mut self, slot: u32) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
        self.slots[slot as usize] = Some(Entry {
            socket,
            interest: Interest::Nothing,
            accepted: false,
        });
        Ok(())
    }

    /// Begins a connect: a result at once, or `None` and an event later.
    fn connect(
        &mut self,
        slot: u32,
        address: SocketAddrV4,
        token: Token,
    ) -> io::Result<Option<u32>> {
        match self.socket(slot)?.connect(&address.into()) {
            Ok(()) => Ok(Some(0)),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                self.interest(slot, Interest::Connect(token), EpollFlags::EPOLLOUT)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn interest(&mut self, slot: u32, interest: Interest, events: EpollFlags) -> io::Result<()> {
        let Some(Some(entry)) = self.slots.get_mut(slot as usize) else {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        };
        entry.interest = interest;
        let mut event = EpollEvent::new(events | EpollFlags::EPOLLET, u64::from(slot));
        match self.set.add(&entry.socket, event) {
            Err(nix::errno::Errno::EEXIST) => self.set.modify(&entry.socket, &mut event)?,
            result => result?,
        }
        self.ask = true;
        Ok(())
    }

    fn arm(&mut self, named: RawFd, token: Token) -> io::Result<()> {
        let Some(listener) = self.listener.as_mut().filter(|known| known.named == named) else {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        };
        listener.accept = Some(token);
        self.set.add(
            &listener.socket,
            EpollEvent::new(EpollFlags::EPOLLIN, LISTENER),
        )?;
        self.ask = true;
        Ok(())
    }

    fn cancel(&mut self, target: Token, each: &mut impl FnMut(Completion<'_>)) {
        match (target.kind, &mut self.listener) {
            (TokenKind::Accept, Some(listener)) if listener.accept == Some(target) => {
                listener.accept = None;
                // Known to be registered: it was armed.
                let _ = self.set.delete(&listener.socket);
                each(done(target, Err(libc::ECANCELED), false));
            }
            // The close that follows takes the socket out of the epoll set, and its life is over for the shard.
            _ => {}
        }
    }
}

fn done<'a>(token: Token, result: Result<u32, i32>, more: bool) -> Completion<'a> {
    Completion {
        token,
        result,
        more,
        nonempty: false,
        data: &[],
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests;
