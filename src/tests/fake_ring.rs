//! A model of the kernel behind two rings: a listener, sockets, direct tables, and everything out of order.
//!
//! Does not know shards or heartbeats. Time is handed in. All disorder is drawn from one seed; what it may be
//! is set by [`Disorder`]. The model checks its user: an operation on a slot that another life of a connection
//! owns, a close beside an armed watch, or a slot opened twice is a panic.
//!
//! Order, as on Linux: operations run in the order they were pushed; what one socket's operations return keeps
//! its order; between sockets, and between a socket's operations and its watch, any order is possible.

mod operations;

use super::dice::Dice;
use super::socket::{Life, Segment, Socket};
use crate::ring::{Completion, Operation, Token, TokenKind};
use crate::units::Nanos;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The server's ring.
pub(super) const SERVER: usize = 0;
/// The load generator's ring.
pub(super) const LOAD: usize = 1;

/// Deferred completions one enter posts at most (`IO_LOCAL_TW_DEFAULT_MAX`).
const POSTED_PER_ENTER: usize = 20;

/// How often what goes wrong, in thousandths of the occasions, and how slow the network is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Disorder {
    /// A watch or an accept ends although its result is good.
    pub(super) lost_more: usize,
    /// A watch that ought to tell of an event is cancelled instead.
    pub(super) cancelled: usize,
    /// A stream finds no receive buffer.
    pub(super) starved: usize,
    /// Readiness is told twice.
    pub(super) duplicate: usize,
    /// The last completion of a cancelled watch, and an echo of it, come much later.
    pub(super) late: usize,
    /// A receive returns less than there is.
    pub(super) short_receive: usize,
    /// An enter takes only part of the queue.
    pub(super) short_submit: usize,
    /// The send buffer is full.
    pub(super) blocked: usize,
    /// The kernel takes only part of a frame.
    pub(super) short_send: usize,
    /// Nobody listens.
    pub(super) refused: usize,
    /// A source address is not this host's.
    pub(super) unbindable: usize,
    /// Strangers have filled the backlog since the last enter.
    pub(super) crowd: usize,
    /// A frame travels in two segments.
    pub(super) split: usize,
    /// The longest time a segment is under way.
    pub(super) delay: Nanos,
}

impl Disorder {
    /// Everything a healthy connection may meet.
    pub(super) const HEAVY: Self = Self {
        lost_more: 150,
        cancelled: 50,
        starved: 50,
        duplicate: 150,
        late: 400,
        short_receive: 300,
        short_submit: 500,
        blocked: 0,
        short_send: 0,
        refused: 0,
        unbindable: 0,
        crowd: 0,
        split: 300,
        delay: Nanos::from_millis(40),
    };
}

#[derive(Debug)]
enum Event {
    Syn(usize),
    Arrival(usize, Segment),
}

/// A completion that has been posted; `key` names what it must keep its order with.
#[derive(Debug)]
struct Posted {
    key: (usize, bool),
    token: Token,
    result: Result<u32, i32>,
    more: bool,
    nonempty: bool,
    data: Vec<u8>,
}

/// One ring.
#[derive(Debug, Default)]
struct Side {
    queue: VecDeque<Operation>,
    table: Vec<Option<usize>>,
    free: Vec<u32>,
    accept: Option<Token>,
    /// Watches by token, and those that have been woken.
    watches: HashMap<Token, usize>,
    woken: Vec<usize>,
    posted: Vec<Posted>,
    /// Completions that are held back until the next tick.
    late: Vec<Posted>,
    sends: usize,
    blocked: usize,
}

/// The kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) disorder: Disorder,
    pub(super) dice: Dice,
    pub(super) sockets: Vec<Socket>,
    sides: [Side; 2],
    backlog: VecDeque<usize>,
    backlog_limit: usize,
    network: BTreeMap<(Nanos, usize), Event>,
    events: usize,
    pub(super) now: Nanos,
    /// Connections the server's full table dropped.
    pub(super) dropped: usize,
}

impl Kernel {
    pub(super) fn new(
        seed: u64,
        disorder: Disorder,
        slots: [usize; 2],
        backlog_limit: usize,
    ) -> Self {
        let side = |slots: usize| Side {
            table: vec![None; slots],
            free: (0..u32::try_from(slots).unwrap()).rev().collect(),
            ..Side::default()
        };
        Self {
            disorder,
            dice: Dice::new(seed),
            sockets: Vec::new(),
            sides: slots.map(side),
            backlog: VecDeque::new(),
            backlog_limit,
            network: BTreeMap::new(),
            events: 0,
            now: Nanos::ZERO,
            dropped: 0,
        }
    }

    /// As [`crate::ring::Ring::push`].
    pub(super) fn push(&mut self, side: usize, operation: Operation) -> bool {
        let room = self.sides[side].queue.len() < 512;
        if room {
            self.sides[side].queue.push_back(operation);
        }
        room
    }

    /// As [`crate::ring::Ring::has_work`].
    pub(super) fn has_work(&self, side: usize) -> bool {
        let ring = &self.sides[side];
        let accepts = side == SERVER && ring.accept.is_some() && !self.backlog.is_empty();
        !ring.queue.is_empty() || !ring.woken.is_empty() || !ring.posted.is_empty() || accepts
    }

    /// As [`crate::ring::Ring::enter`]: runs what is queued, or a part, then posts what is ready.
    pub(super) fn enter(&mut self, side: usize) {
        if side == SERVER {
            self.crowd();
        }
        let mut count = self.sides[side].queue.len();
        if count > 1 && self.dice.chance(self.disorder.short_submit) {
            count = 1 + self.dice.below(count);
        }
        for _ in 0..count {
            if let Some(operation) = self.sides[side].queue.pop_front() {
                self.run(side, operation);
            }
        }
        self.accept(side);
        for _ in 0..POSTED_PER_ENTER {
            let woken = self.sides[side].woken.len();
            if woken == 0 {
                break;
            }
            let socket = self.dice.below(woken);
            let socket = self.sides[side].woken.swap_remove(socket);
            self.tell(socket);
        }
    }

    /// As [`crate::ring::Ring::reap`], in an order drawn from the seed.
    pub(super) fn reap(&mut self, side: usize, mut each: impl FnMut(Completion<'_>)) {
        let posted = std::mem::take(&mut self.sides[side].posted);
        let mut order: Vec<_> = posted.iter().map(|posted| posted.key).collect();
        self.dice.shuffle(&mut order);
        let mut chains: HashMap<_, VecDeque<Posted>> = HashMap::new();
        for posted in posted {
            chains.entry(posted.key).or_default().push_back(posted);
        }
        for key in order {
            let next = chains.get_mut(&key).and_then(VecDeque::pop_front).unwrap();
            each(Completion {
                token: next.token,
                result: next.result,
                more: next.more,
                nonempty: next.nonempty,
                data: &next.data,
            });
        }
    }

    /// Lets time pass: what is under way arrives, and late completions come out.
    pub(super) fn advance(&mut self, now: Nanos) {
        self.now = now;
        while let Some(first) = self.network.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), event) = first.remove_entry();
            match event {
                Event::Syn(client) => self.on_syn(client, at),
                Event::Arrival(to, segment) => self.on_arrival(to, segment, at),
            }
        }
        for side in &mut self.sides {
            side.posted.append(&mut side.late);
        }
        self.crowd();
    }

    /// Puts `segment` on its way to the socket `to`.
    pub(super) fn deliver(&mut self, to: usize, segment: Segment) {
        let sent = self.now + self.dice.span(self.disorder.delay);
        let at = sent.max(self.sockets[to].arrives_after);
        self.sockets[to].arrives_after = at;
        self.schedule(at, Event::Arrival(to, segment));
    }

    /// Strangers may come and connect until the backlog is full, one above its limit as on Linux (`sk_acceptq_is_full`).
    fn crowd(&mut self) {
        if !self.dice.chance(self.disorder.crowd) {
            return;
        }
        while self.backlog.len() <= self.backlog_limit {
            let mut stranger = Socket::new(LOAD, None, Life::Established);
            stranger.peer = Some(self.sockets.len() + 1);
            self.sockets.push(stranger);
            let mut accepted = Socket::new(SERVER, None, Life::Established);
            accepted.peer = Some(self.sockets.len() - 1);
            self.backlog.push_back(self.sockets.len());
            self.sockets.push(accepted);
        }
    }

    /// Sockets in the table of `side`.
    pub(super) fn held(&self, side: usize) -> usize {
        self.sides[side].table.iter().flatten().count()
    }

    /// Watches armed on the ring of `side`.
    pub(super) fn watches(&self, side: usize) -> usize {
        self.sides[side].watches.len()
    }

    /// Sends asked of the ring of `side`, and how many of them a full buffer refused.
    pub(super) fn sends(&self, side: usize) -> (usize, usize) {
        (self.sides[side].sends, self.sides[side].blocked)
    }

    /// The sockets of `side` that hold a slot, or ever held one.
    pub(super) fn owned(&self, side: usize) -> impl Iterator<Item = (usize, &Socket)> {
        let all = self.sockets.iter().enumerate();
        all.filter(move |(_, socket)| socket.side == side && socket.owner.is_some())
    }

    fn schedule(&mut self, at: Nanos, event: Event) {
        self.events += 1;
        self.network.insert((at, self.events), event);
    }

    fn on_syn(&mut self, client: usize, at: Nanos) {
        if self.sockets[client].life != Life::Connecting {
            return;
        }
        if self.backlog.len() > self.backlog_limit {
            self.schedule(at + Nanos::from_secs(1), Event::Syn(client));
            return;
        }
        if self.dice.chance(self.disorder.refused) {
            return self.refuse(client);
        }
        let server = self.sockets.len();
        let mut accepted = Socket::new(SERVER, None, Life::Established);
        accepted.peer = Some(client);
        self.sockets.push(accepted);
        self.backlog.push_back(server);
        let socket = &mut self.sockets[client];
        socket.peer = Some(server);
        socket.life = Life::Established;
        if let Some(token) = socket.connect.take() {
            let side = socket.side;
            self.post(side, (client, true), token, Ok(0));
        }
    }

    fn refuse(&mut self, client: usize) {
        let socket = &mut self.sockets[client];
        socket.life = Life::Closed;
        if let Some(token) = socket.connect.take() {
            let side = socket.side;
            self.post(side, (client, true), token, Err(libc::ECONNREFUSED));
        }
    }

    fn on_arrival(&mut self, to: usize, segment: Segment, at: Nanos) {
        let socket = &mut self.sockets[to];
        let unwanted = socket.life == Life::Closed && matches!(segment, Segment::Bytes(_));
        if unwanted && let Some(peer) = socket.peer {
            self.deliver(peer, Segment::Error(libc::ECONNRESET));
        } else if socket.take_in(segment, at) {
            self.wake(to);
        }
    }

    fn wake(&mut self, socket: usize) {
        let woken = &mut self.sockets[socket];
        if woken.watch.is_some() && !woken.woken {
            woken.woken = true;
            self.sides[woken.side].woken.push(socket);
        }
    }

    /// The watch of a woken socket tells what it sees, or is lost.
    fn tell(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        let Some(token) = socket.watch.filter(|_| socket.woken) else {
            return;
        };
        socket.woken = false;
        if token.kind == TokenKind::Stream {
            return self.flow(number, token);
        }
        let (side, events) = (socket.side, socket.events());
        let cancelled = self.dice.chance(self.disorder.cancelled);
        let more = !cancelled && !self.dice.chance(self.disorder.lost_more);
        let result = if cancelled {
            Err(libc::ECANCELED)
        } else {
            Ok(events)
        };
        if more && self.dice.chance(self.disorder.duplicate) {
            self.post_more((side, number), token, Ok(events), true);
        }
        if !more {
            self.sockets[number].watch = None;
            self.sides[side].watches.remove(&token);
        }
        self.post_more((side, number), token, result, more);
    }

    fn accept(&mut self, side: usize) {
        while let Some(token) = self.sides[side].accept
            && let Some(socket) = self.backlog.pop_front()
        {
            let ring = &mut self.sides[side];
            let accepting = (side, usize::MAX);
            let Some(slot) = take_slot(&mut ring.free, &mut self.dice) else {
                ring.accept = None;
                self.dropped += 1;
                self.hang_up(socket);
                self.post_more(accepting, token, Err(libc::ENFILE), false);
                return;
            };
            ring.table[slot as usize] = Some(socket);
            self.sockets[socket].slot = Some(slot);
            let more = !self.dice.chance(self.disorder.lost_more);
            if !more {
                self.sides[side].accept = None;
            }
            self.post_more(accepting, token, Ok(slot), more);
        }
    }

    fn post(&mut self, side: usize, key: (usize, bool), token: Token, result: Result<u32, i32>) {
        self.sides[side]
            .posted
            .push(Posted::new(key, token, result));
    }

    /// Posts for a multishot operation of `(side, socket)`.
    fn post_more(
        &mut self,
        (side, number): (usize, usize),
        token: Token,
        result: Result<u32, i32>,
        more: bool,
    ) {
        let mut posted = Posted::new((number, false), token, result);
        posted.more = more;
        self.sides[side].posted.push(posted);
    }
}

impl Posted {
    fn new(key: (usize, bool), token: Token, result: Result<u32, i32>) -> Self {
        Self {
            key,
            token,
            result,
            more: false,
            nonempty: false,
            data: Vec::new(),
        }
    }
}

/// The slot freed last, or any other: the kernel promises neither.
fn take_slot(free: &mut Vec<u32>, dice: &mut Dice) -> Option<u32> {
    if free.is_empty() {
        return None;
    }
    if dice.chance(500) {
        return free.pop();
    }
    let place = dice.below(free.len());
    Some(free.swap_remove(place))
}
