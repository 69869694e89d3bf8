//! A scene: two hosts, a wire, a watch on the sockets, and the calls that the programs at both ends make.
//!
//! Does not judge what comes of them. All sockets belong to the thread that plays; a call that blocks does so for some
//! seconds at most. What happened before the [mark](Scene::mark) is on the wire's capture but not in the story.

use super::hosts::{Hosts, address};
use super::watch::{Observed, Watch};
use super::wire::{Carried, Wire};
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::{ExperimentError, Seat};
use crate::os::network::TcpCounters;
use crate::os::sockets::TcpState;
use crate::units::Nanos;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// How long the wire takes: as far as a few thousand kilometres of fibre.
pub(super) const DELAY: Nanos = Nanos::from_millis(20);
/// The server's port.
pub(super) const SERVER_PORT: u16 = 7000;
/// The client's port of the connection the story is about.
pub(super) const CLIENT_PORT: u16 = 40_001;
/// The longest a call may block.
const PATIENCE: Duration = Duration::from_secs(15);

/// A call, or what it returned.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) at: Nanos,
    pub(super) end: Seat,
    pub(super) text: String,
}

/// Where a scenario is played.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    hosts: Arc<Hosts>,
    pub(super) wire: Wire,
    watch: Watch,
    interrupted: &'a AtomicI32,
    calls: Vec<Call>,
    marked: Nanos,
    facts: BTreeMap<String, u64>,
    /// Sockets that are to outlive the story.
    kept: Vec<Socket>,
    /// It will not be played again, however this goes.
    last_take: bool,
    /// The most by which a call that does not wait, or the end of a rest, came later than it should have.
    player_late: Cell<Nanos>,
    /// Lateness as it was judged before a long wait, in which a busy machine spoils nothing any more.
    judged: Cell<Option<[Nanos; 3]>>,
}

/// Everything that a scene left.
#[derive(Debug)]
pub(super) struct Footage {
    pub(super) carried: Vec<Carried>,
    pub(super) observed: Observed,
    pub(super) calls: Vec<Call>,
    pub(super) marked: Nanos,
    pub(super) ended: Nanos,
    pub(super) facts: BTreeMap<String, u64>,
    /// Why the machine was too busy for what was seen to be relied on.
    pub(super) disturbance: Option<String>,
}

/// A state, or the order of two, may have been missed when the wire, the watch or the player was late by half of the
/// delay.
fn disturbance([wire, watch, player]: [Nanos; 3]) -> Option<String> {
    let most = Nanos(DELAY.0 / 2);
    let millis = |late: Nanos| late.0 / 1_000_000;
    (wire.max(watch).max(player) > most).then(|| {
        format!(
            "the machine was busy: the wire was late by up to {} ms, a look at the sockets by {} ms, a call by {} ms",
            millis(wire),
            millis(watch),
            millis(player)
        )
    })
}

fn broken(what: &str, error: &io::Error) -> ExperimentError {
    ExperimentError::Host(format!(
        "a scenario could not go on: {what}: {error}; run it again, and look at `dmesg` if it stays so"
    ))
}

/// An error as its name in errno(3).
fn errno(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{:?}", Errno::from_raw(number)),
        None => format!("{:?}", error.kind()),
    }
}

impl<'a> Scene<'a> {
    /// Sets it up; the story begins now unless it is [marked](Self::mark) later.
    pub(super) fn set(
        interrupted: &'a AtomicI32,
        last_take: bool,
    ) -> Result<Self, ExperimentError> {
        let hosts = Arc::new(Hosts::build()?);
        let wire = Wire::lay(&hosts, DELAY)?;
        let watch = Watch::start(&hosts, SERVER_PORT);
        Ok(Self {
            hosts,
            wire,
            watch,
            interrupted,
            calls: Vec::new(),
            marked: MonotonicClock.now(),
            facts: BTreeMap::new(),
            kept: Vec::new(),
            last_take,
            player_late: Cell::new(Nanos::ZERO),
            judged: Cell::new(None),
        })
    }

    /// The story begins here. Whatever was under way has arrived by then.
    pub(super) fn mark(&mut self) -> Result<(), ExperimentError> {
        self.settle()?;
        self.marked = MonotonicClock.now();
        self.player_late.set(Nanos::ZERO);
        Ok(())
    }

    /// Holds on to these: closing them is not part of the story.
    pub(super) fn keep(&mut self, sockets: impl IntoIterator<Item = Socket>) {
        self.kept.extend(sockets);
    }

    /// Ends the scene. The sockets that were kept are closed only after the last look.
    pub(super) fn cut(self) -> Result<Footage, ExperimentError> {
        let ended = MonotonicClock.now();
        let carried = self.wire.carried()?;
        let until = |at: Nanos| at <= ended;
        let mut observed = self.watch.observed()?;
        observed.changes.retain(|change| until(change.at));
        let late = self
            .judged
            .get()
            .unwrap_or_else(|| self.lateness(&observed));
        Ok(Footage {
            carried: carried.into_iter().filter(|c| until(c.sent)).collect(),
            observed,
            calls: self.calls,
            marked: self.marked,
            ended,
            facts: self.facts,
            disturbance: disturbance(late),
        })
    }

    fn call(&mut self, end: Seat, text: impl Into<String>) {
        self.calls.push(Call {
            at: MonotonicClock.now(),
            end,
            text: text.into(),
        });
    }

    /// A figure that is neither segment, state nor call.
    pub(super) fn fact(&mut self, name: &str, value: u64) {
        self.facts.insert(name.to_owned(), value);
    }

    /// Lets `span` pass.
    pub(super) fn rest(&self, span: Nanos) -> Result<(), ExperimentError> {
        let until = MonotonicClock.now() + span;
        loop {
            match self.interrupted.load(Ordering::Relaxed) {
                0 => {}
                signal => return Err(ExperimentError::Interrupted(signal)),
            }
            let now = MonotonicClock.now();
            let left = until - now;
            if left == Nanos::ZERO {
                self.was_late(now - until);
                return Ok(());
            }
            std::thread::sleep(left.as_duration().min(Duration::from_millis(50)));
        }
    }

    /// By how much the wire, the watch and the player were late at most.
    fn lateness(&self, observed: &Observed) -> [Nanos; 3] {
        [
            self.wire.latest(),
            observed.longest_gap,
            self.player_late.get(),
        ]
    }

    fn was_late(&self, by: Nanos) {
        self.player_late.set(self.player_late.get().max(by));
    }

    /// Whether what was seen so far can be relied on, or is the last that will be.
    pub(super) fn worth_watching(&self) -> Result<bool, ExperimentError> {
        let late = self.lateness(&self.watch.observed()?);
        let worth = self.last_take || disturbance(late).is_none();
        if worth {
            self.judged.set(Some(late));
        }
        Ok(worth)
    }

    /// Waits until the wire has been still for three times its delay: longer than an acknowledgement is put off (40 ms,
    /// `TCP_DELACK_MIN`) and anything takes to arrive.
    pub(super) fn settle(&self) -> Result<(), ExperimentError> {
        let still = Nanos(3 * DELAY.0);
        let begun = MonotonicClock.now();
        loop {
            let moved = self.wire.last_moved().unwrap_or(begun).max(begun);
            let left = moved + still - MonotonicClock.now();
            if left == Nanos::ZERO {
                return Ok(());
            }
            self.rest(left)?;
        }
    }

    /// Waits until the client's or the server's socket of the story is gone, or `patience` is over.
    pub(super) fn wait_gone(&self, end: Seat, patience: Nanos) -> Result<bool, ExperimentError> {
        let until = MonotonicClock.now() + patience;
        loop {
            let state = self.watch.state(end, CLIENT_PORT)?;
            if matches!(state, None | Some(TcpState::Closed)) {
                return Ok(true);
            }
            if MonotonicClock.now() >= until {
                return Ok(false);
            }
            self.rest(Nanos::from_millis(50))?;
        }
    }

    /// What the kernel of one host has counted.
    pub(super) fn counters(&self, end: Seat) -> Result<TcpCounters, ExperimentError> {
        Ok(self.hosts.host(end).run(TcpCounters::read_here)??)
    }

    fn socket(&self, end: Seat, port: u16) -> Result<Socket, ExperimentError> {
        let made = self.hosts.host(end).run(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&SockAddr::from(SocketAddr::from((
                Ipv4Addr::UNSPECIFIED,
                port,
            ))))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        })?;
        made.map_err(|error| broken("socket() and bind()", &error))
    }

    /// The server listens; `backlog` as listen(2) has it.
    pub(super) fn listen(&mut self, backlog: i32) -> Result<Socket, ExperimentError> {
        let socket = self.socket(Seat::Server, SERVER_PORT)?;
        socket
            .listen(backlog)
            .map_err(|error| broken("listen()", &error))?;
        self.call(Seat::Server, format!("listen(backlog {backlog})"));
        Ok(socket)
    }

    /// Begins to connect from `own_port` at `end` to `port` at the other end.
    pub(super) fn connect_from(
        &mut self,
        end: Seat,
        own_port: u16,
        port: u16,
    ) -> Result<Socket, ExperimentError> {
        let begun = MonotonicClock.now();
        let socket = self.socket(end, own_port)?;
        self.was_late(MonotonicClock.now() - begun);
        socket
            .set_nonblocking(true)
            .map_err(|error| broken("O_NONBLOCK", &error))?;
        let told = [CLIENT_PORT, SERVER_PORT].contains(&own_port);
        if told {
            self.call(end, "connect()");
        }
        let target = SockAddr::from(SocketAddr::from((address(end.other()), port)));
        match socket.connect(&target) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(broken("connect()", &error)),
        }
        Ok(socket)
    }

    /// Waits for the answer to a connect.
    pub(super) fn connected(&mut self, end: Seat, socket: &Socket) -> Result<(), ExperimentError> {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut fds, patience).map_err(|errno| broken("poll()", &errno.into()))?;
        let said = match socket.take_error() {
            _ if ready == 0 => "not answered".to_owned(),
            Ok(None) => "0".to_owned(),
            Ok(Some(error)) | Err(error) => errno(&error),
        };
        self.call(end, format!("connect() = {said}"));
        socket
            .set_nonblocking(false)
            .map_err(|error| broken("O_NONBLOCK", &error))
    }

    /// The client connects, and is told.
    pub(super) fn connect(&mut self) -> Result<Socket, ExperimentError> {
        let socket = self.connect_from(Seat::Client, CLIENT_PORT, SERVER_PORT)?;
        self.connected(Seat::Client, &socket)?;
        Ok(socket)
    }

    /// The server takes the next connection.
    pub(super) fn accept(&mut self, listener: &Socket) -> Result<Socket, ExperimentError> {
        let (socket, _) = listener
            .accept()
            .map_err(|error| broken("accept()", &error))?;
        socket
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| broken("SO_RCVTIMEO", &error))?;
        self.call(Seat::Server, "accept()");
        Ok(socket)
    }

    /// A connection, open at both ends, the story not begun: client's socket, server's, listener.
    pub(super) fn established(&mut self) -> Result<(Socket, Socket, Socket), ExperimentError> {
        let listener = self.listen(16)?;
        let client = self.connect()?;
        let server = self.accept(&listener)?;
        self.mark()?;
        Ok((client, server, listener))
    }

    /// Reads once.
    pub(super) fn read(&mut self, end: Seat, mut socket: &Socket) -> io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let result = socket.read(&mut buffer);
        let said = match &result {
            Ok(0) => "0, the end".to_owned(),
            Ok(bytes) => bytes.to_string(),
            Err(error) => errno(error),
        };
        self.call(end, format!("read() = {said}"));
        result
    }

    /// Reads until the end, and returns how much.
    pub(super) fn read_to_end(&mut self, end: Seat, socket: &Socket) -> io::Result<usize> {
        let mut all = 0;
        loop {
            match self.read(end, socket)? {
                0 => return Ok(all),
                bytes => all += bytes,
            }
        }
    }

    /// Sends so many bytes.
    pub(super) fn write(&mut self, end: Seat, mut socket: &Socket, bytes: usize) -> io::Result<()> {
        self.call(end, format!("write({bytes})"));
        let data: Vec<u8> = (b'a'..=b'z').cycle().take(bytes).collect();
        let result = socket.write_all(&data);
        if let Err(error) = &result {
            self.call(end, format!("write() = {}", errno(error)));
        }
        result
    }

    /// The same where it must work.
    pub(super) fn send(
        &mut self,
        end: Seat,
        socket: &Socket,
        bytes: usize,
    ) -> Result<(), ExperimentError> {
        self.write(end, socket, bytes)
            .map_err(|error| broken("write()", &error))
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(super) fn shut(&mut self, end: Seat, socket: &Socket) -> Result<(), ExperimentError> {
        self.call(end, "shutdown(SHUT_WR)");
        socket
            .shutdown(Shutdown::Write)
            .map_err(|error| broken("shutdown()", &error))
    }

    /// Gives the socket back.
    pub(super) fn close(&mut self, end: Seat, socket: Socket) {
        self.call(end, "close()");
        let begun = MonotonicClock.now();
        drop(socket);
        self.was_late(MonotonicClock.now() - begun);
    }

    /// Gives the socket back with `SO_LINGER` set to nothing: an abort.
    pub(super) fn abort(&mut self, end: Seat, socket: Socket) -> Result<(), ExperimentError> {
        socket
            .set_linger(Some(Duration::ZERO))
            .map_err(|error| broken("SO_LINGER", &error))?;
        self.call(end, "close() with SO_LINGER 0");
        drop(socket);
        Ok(())
    }
}
