//! The wire between two hosts: carries every frame after a fixed delay, loses or keeps those it is told to, and
//! remembers all of them with the times of sending and arrival.
//!
//! Does not know what a scenario is about. One thread in the wire's namespace moves frames between two packet sockets;
//! times are the monotonic clock's, read when a frame is taken from one side and when it has been handed to the other.
//! A frame is as late as that thread, on a busy machine a millisecond or two.

use super::hosts::{Hosts, wire_link};
use super::segment::{Segment, complete_checksum};
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::{ExperimentError, Seat};
use crate::os::packet::PacketSocket;
use crate::units::Nanos;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest a thread sleeps before it looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The longest frame of an Ethernet without jumbo frames, with room to spare.
const FRAME_BYTES: usize = 2048;

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives.
    Carry,
    /// It never arrives.
    Lose,
    /// It arrives, and a copy of it is kept, to arrive once more when the wire is told to.
    CarryAndKeep,
}

/// A decision over each segment, in the order sent.
type Rule = Box<dyn FnMut(Seat, &Segment) -> Fate + Send>;

/// One frame that was put on the wire.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) from: Seat,
    pub(super) sent: Nanos,
    pub(super) arrived: Option<Nanos>,
    /// An old copy that the wire itself let go.
    pub(super) old_copy: bool,
    pub(super) frame: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    rule: Option<Rule>,
    log: Vec<Carried>,
    kept: Vec<Carried>,
    /// Copies to be let go.
    released: Vec<Carried>,
    broke: Option<String>,
    /// The most by which a frame arrived later than it should have.
    latest: Nanos,
}

/// A wire that carries frames until it is dropped.
pub(super) struct Wire {
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    /// Lays it between `hosts`; a frame takes `delay` either way.
    pub(super) fn lay(hosts: &Hosts, delay: Nanos) -> Result<Self, ExperimentError> {
        let ends = hosts.wire.run(|| {
            let open = |seat| PacketSocket::open(wire_link(seat));
            Ok::<_, ExperimentError>([open(Seat::Client)?, open(Seat::Server)?])
        })??;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let carrier = Carrier {
            ends,
            delay,
            shared: Arc::clone(&shared),
            under_way: VecDeque::new(),
        };
        let wanted = Arc::clone(&stop);
        let thread = std::thread::spawn(move || carrier.work(&wanted));
        Ok(Self {
            shared,
            stop,
            thread: Some(thread),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts every later segment to `rule`.
    pub(super) fn rule(&self, rule: impl FnMut(Seat, &Segment) -> Fate + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    /// Lets the copies that were kept arrive now.
    pub(super) fn release(&self) {
        let mut shared = self.lock();
        let kept = std::mem::take(&mut shared.kept);
        shared.released.extend(kept);
    }

    /// All frames so far, in the order sent.
    ///
    /// # Errors
    /// When the wire could not go on.
    pub(super) fn carried(&self) -> Result<Vec<Carried>, ExperimentError> {
        let shared = self.lock();
        match &shared.broke {
            Some(why) => Err(ExperimentError::Host(why.clone())),
            None => Ok(shared.log.clone()),
        }
    }

    /// The most by which a frame arrived later than it should have.
    pub(super) fn latest(&self) -> Nanos {
        self.lock().latest
    }

    /// When the last frame was put on the wire or arrived.
    pub(super) fn last_moved(&self) -> Option<Nanos> {
        let shared = self.lock();
        let moved = |carried: &Carried| carried.arrived.unwrap_or(carried.sent).max(carried.sent);
        shared.log.iter().map(moved).max()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A frame that will arrive: its place in the log, where it goes to, when.
struct UnderWay {
    place: usize,
    due: Nanos,
}

struct Carrier {
    /// The client's end, the server's.
    ends: [PacketSocket; 2],
    delay: Nanos,
    shared: Arc<Mutex<Shared>>,
    /// Soonest first, since all take equally long.
    under_way: VecDeque<UnderWay>,
}

impl Carrier {
    fn work(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.turn() {
                let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.broke = Some(format!(
                    "the wire between the two hosts broke: {error}; run it again, and look at `dmesg` if it stays so"
                ));
                return;
            }
        }
    }

    fn end(&self, seat: Seat) -> &PacketSocket {
        match seat {
            Seat::Client => &self.ends[0],
            Seat::Server => &self.ends[1],
        }
    }

    fn turn(&mut self) -> std::io::Result<()> {
        let now = MonotonicClock.now();
        let next = self.under_way.front().map(|frame| frame.due - now);
        let wait = next.map_or(LOOK_EVERY, |due| due.as_duration().min(LOOK_EVERY));
        {
            let [client, server] = &self.ends;
            let mut ends = [
                PollFd::new(client.as_fd(), PollFlags::POLLIN),
                PollFd::new(server.as_fd(), PollFlags::POLLIN),
            ];
            match ppoll(&mut ends, Some(TimeSpec::from_duration(wait)), None) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        for seat in [Seat::Client, Seat::Server] {
            self.take(seat)?;
        }
        self.let_go();
        self.deliver()
    }

    /// Takes what `from` has sent.
    fn take(&mut self, from: Seat) -> std::io::Result<()> {
        let mut buffer = [0; FRAME_BYTES];
        loop {
            let Some(frame) = self.end(from).receive(&mut buffer)? else {
                return Ok(());
            };
            let mut frame = frame.to_vec();
            let sent = MonotonicClock.now();
            // Whatever is no TCP has no business between the two.
            let Some(segment) = Segment::parse(&frame) else {
                continue;
            };
            complete_checksum(&mut frame);
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let fate = match &mut shared.rule {
                Some(rule) => rule(from, &segment),
                None => Fate::Carry,
            };
            let carried = Carried {
                from,
                sent,
                arrived: None,
                old_copy: false,
                frame,
            };
            if fate == Fate::CarryAndKeep {
                shared.kept.push(Carried {
                    old_copy: true,
                    ..carried.clone()
                });
            }
            if fate != Fate::Lose {
                self.under_way.push_back(UnderWay {
                    place: shared.log.len(),
                    due: sent + self.delay,
                });
            }
            shared.log.push(carried);
        }
    }

    /// Puts released copies on the wire; they take as long as any.
    fn let_go(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for mut copy in std::mem::take(&mut shared.released) {
            copy.sent = MonotonicClock.now();
            self.under_way.push_back(UnderWay {
                place: shared.log.len(),
                due: copy.sent + self.delay,
            });
            shared.log.push(copy);
        }
    }

    fn deliver(&mut self) -> std::io::Result<()> {
        let now = MonotonicClock.now();
        while let Some(frame) = self.under_way.front().filter(|frame| frame.due <= now) {
            let (place, due) = (frame.place, frame.due);
            self.under_way.pop_front();
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(carried) = shared.log.get_mut(place) else {
                continue;
            };
            let end = match carried.from.other() {
                Seat::Client => &self.ends[0],
                Seat::Server => &self.ends[1],
            };
            // Before it is handed over: what it causes at the other end comes after it.
            let now = MonotonicClock.now();
            carried.arrived = Some(now);
            end.send(&carried.frame)?;
            shared.latest = shared.latest.max(now - due);
        }
        Ok(())
    }
}
