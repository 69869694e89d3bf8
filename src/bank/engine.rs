//! What carries a lane's operations to the kernel: an io_uring, or epoll with plain system calls.
//!
//! Does not know connections. The shard, its frames and its ticks are the same on each, so that a difference between
//! two engines is the engine's.

use crate::epoll::Epoll;
use crate::ring::{Completion, Operation, Ring, RingCounters, RingError, RingSize, SocketOption};
use crate::shard::Reads;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

/// Receive buffers of one streaming ring: an enter hands over some twenty arrivals before they are given back.
const BUFFERS: u16 = 1024;

/// How the kernel is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// io_uring: multishot poll, inline receive and send.
    #[default]
    Uring,
    /// io_uring: multishot receive into provided buffers, inline send.
    UringRecv,
    /// epoll, edge-triggered, `recv` and `send`: the reference.
    Epoll,
}

impl EngineKind {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Uring, Self::UringRecv, Self::Epoll];

    /// The name as typed and recorded.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::UringRecv => "uring-recv",
            Self::Epoll => "epoll",
        }
    }

    /// Whether a connection takes no descriptor of the process.
    #[must_use]
    pub const fn has_direct_descriptors(self) -> bool {
        !matches!(self, Self::Epoll)
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("no engine is called `{text}`: uring, uring-recv or epoll"))
    }
}

/// An engine and its sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineConfig {
    /// Which.
    pub kind: EngineKind,
    /// Entries of each completion queue, `None` for the usual 8192. A small one overflows under load: the kernel
    /// keeps what did not fit, ends the multishot operations concerned, and the overflows are counted.
    pub completions: Option<u32>,
    /// Receive buffers of each streaming ring, `None` for the usual 1024. With few, streams end with `ENOBUFS` under
    /// load and are armed again, which is counted.
    pub buffers: Option<u16>,
}

/// One engine of one lane.
#[derive(Debug)]
pub(super) enum Engine {
    Uring(Box<Ring>),
    Epoll(Box<Epoll>),
}

impl Engine {
    /// An engine on the current thread with room for `slots` sockets.
    pub(super) fn new(
        config: EngineConfig,
        slots: u32,
        options: &[SocketOption],
    ) -> Result<Self, RingError> {
        let usual = RingSize::new(slots);
        let size = |buffers| RingSize {
            completions: config.completions.unwrap_or(usual.completions),
            buffers,
            ..usual
        };
        let ring = |size| Ring::new(size, options).map(|ring| Self::Uring(Box::new(ring)));
        match config.kind {
            EngineKind::Uring => ring(size(0)),
            EngineKind::UringRecv => ring(size(config.buffers.unwrap_or(BUFFERS))),
            EngineKind::Epoll => Epoll::new(slots, options)
                .map(|epoll| Self::Epoll(Box::new(epoll)))
                .map_err(|source| RingError::Resources { source }),
        }
    }

    /// How a shard on this kind learns of arrivals.
    pub(super) const fn reads(kind: EngineKind) -> Reads {
        match kind {
            EngineKind::Uring | EngineKind::Epoll => Reads::Watch,
            EngineKind::UringRecv => Reads::Stream,
        }
    }

    /// Whether it knows only of what was ready when it last asked, and receives while it is [reaped](Self::reap). A ring
    /// is told of what comes at any time, and has received before.
    pub(super) const fn must_ask(&self) -> bool {
        matches!(self, Self::Epoll(_))
    }

    /// Makes a listener known that an accept will name.
    pub(super) fn adopt(&mut self, listener: &socket2::Socket) -> io::Result<()> {
        match self {
            Self::Uring(_) => Ok(()),
            Self::Epoll(epoll) => epoll.adopt(listener),
        }
    }

    /// A new round begins: what an engine cannot see without asking is to be asked once more.
    pub(super) fn begin(&mut self) {
        if let Self::Epoll(epoll) = self {
            epoll.ask_again();
        }
    }

    pub(super) fn push(&mut self, operation: &Operation) -> bool {
        match self {
            Self::Uring(ring) => ring.push(operation),
            Self::Epoll(epoll) => {
                epoll.push(operation);
                true
            }
        }
    }

    pub(super) fn has_work(&mut self) -> bool {
        match self {
            Self::Uring(ring) => ring.has_work(),
            Self::Epoll(epoll) => epoll.has_work(),
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), RingError> {
        match self {
            Self::Uring(ring) => ring.enter(),
            Self::Epoll(epoll) => epoll
                .look(Duration::ZERO)
                .map_err(|source| RingError::Enter { source }),
        }
    }

    /// Sleeps in the kernel until something is ready or `longest` has passed.
    pub(super) fn wait(&mut self, longest: Duration) -> Result<(), RingError> {
        match self {
            Self::Uring(ring) => ring.wait(longest),
            Self::Epoll(epoll) => epoll
                .look(longest)
                .map_err(|source| RingError::Enter { source }),
        }
    }

    pub(super) fn reap(&mut self, each: impl FnMut(Completion<'_>)) -> Result<(), RingError> {
        match self {
            Self::Uring(ring) => ring.reap(each).map(|_| ()),
            Self::Epoll(epoll) => {
                epoll.reap(each);
                Ok(())
            }
        }
    }

    pub(super) fn counters(&self) -> RingCounters {
        match self {
            Self::Uring(ring) => ring.counters(),
            Self::Epoll(epoll) => RingCounters {
                enters: epoll.looks(),
                ..RingCounters::default()
            },
        }
    }
}
