//! The rendezvous: load generators on several hosts, and the server, come together and act at one instant.
//!
//! Does not start anybody: an engine (Kubernetes, Slurm, `mpirun`, `pssh`) does. Does not open a connection under test
//! and does not know what is measured. One host, the **captain**, serves the rendezvous; every other is a **member**.
//!
//! | file | subject |
//! |---|---|
//! | [`captain`] | the host that serves: gathers, releases, aborts |
//! | [`member`] | a host that joins: arrives, is released, fails |
//! | [`engine_env`] | which shard this process is, by the variables of the engine that started it |
//! | [`token`] | the shared secret and its proof |
//! | `door` | who may come in, and how much of our time the others get |
//! | `hall` | what the captain's threads share |
//! | `join` | from an address to an admitted connection |
//! | `admission` | whether a host that has the token fits the run |
//! | `roster` | who is there, where they have arrived, and what ended the run |
//! | [`clock`] | how far two hosts' clocks are apart, and how well that is known |
//! | `message` | what is said |
//! | `frame` | how it is put on the wire, and how much of it is read |
//! | `link` | one connection, whose silence the kernel notices |
//! | `board` | a state that threads wait upon |
//!
//! # Protocol, version 1
//!
//! A frame is a length, 4 bytes big-endian, and as many bytes of JSON. TCP; nothing is encrypted.
//!
//! | from | message | when |
//! |---|---|---|
//! | member | `hello` | first: version, build, host, seat, number of shards, settings, nonce |
//! | captain | `challenge` | a nonce |
//! | member | `proof` | HMAC-SHA256 by the token over `member`, both nonces and the bytes of the hello |
//! | captain | `welcome` | the same over `captain`; the run's name, and the instant that phases count from |
//! | captain | `refused` | instead of the two before: why; then the connection ends. The same in every version |
//! | member | `ping` | eight after joining and before each arrival, one after the other |
//! | captain | `pong` | the captain's time |
//! | member | `arrived` | at a stage |
//! | captain | `release` | all are there: the instant, by the captain's clock, one second ahead |
//! | member | `failed` | it cannot go on, and why |
//! | captain | `abort` | the run has ended, and why |
//! | captain | `order` | of a run that the captain drives: what a half is told over its pipe |
//! | member | `word` | the answer |
//! | captain | `dismiss` | a driven run has ended well |
//!
//! The token keeps strangers and hosts of other runs out. It is no protection against somebody who can alter what is on
//! the wire: messages after the welcome carry no proof.
//!
//! # Limits and times
//!
//! * A frame has at most 4 KiB before admission and 1 MiB after it; a longer one is refused before it is read.
//! * A connection has 5 s to be admitted. At most 64 wait for it: the next one takes the place of the eldest, so neither
//!   a port scan nor a silent peer can keep a member out, who needs two round trips. One that was closed tries again.
//! * Once all have come nobody listens any more: who comes then finds the port closed.
//! * A host's name and a run's have at most 64 characters.
//! * A host that ends is noticed at once, by its connection's end; one that falls silent after 4 s, by the kernel's
//!   keepalive. All others are then told. While a window is open no process sends anything.
//! * A host that is there and does not arrive is named when the captain's patience ends. Members wait 10 s longer than
//!   that, so that a captain that hangs does not hang them.
//! * Who waits looks for a signal 20 times a second.

#![forbid(unsafe_code)]

mod admission;
mod board;
pub mod captain;
pub mod clock;
mod door;
pub mod engine_env;
mod error;
mod frame;
mod hall;
mod join;
mod link;
pub mod member;
mod message;
mod roster;
#[cfg(test)]
mod tests;
pub mod token;

pub use captain::{Captain, CaptainConfig};
pub use error::{Blame, FleetError};
pub use member::{Member, MemberConfig};
pub use token::Token;

use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The protocol's version; hosts of another are refused.
pub const PROTOCOL: u32 = 1;

/// How long after the last arrival all are released. Longer than a round trip around the earth and one segment that is
/// sent again.
pub const RELEASE_AHEAD: Duration = Duration::from_secs(1);

/// What a member waits longer than the captain, who is to give the reason.
pub const MEMBERS_MARGIN: Duration = Duration::from_secs(10);

/// A signal that came, looked for while something is waited for.
pub type Interrupted<'a> = &'a mut dyn FnMut() -> Option<i32>;

/// Where all hosts wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// All are there; connections may be opened.
    Gathered,
    /// Own connections are open; the window may open.
    Opened,
    /// The own window has closed; connections may be ended.
    Closed,
    /// Own connections are ended. After this nobody is missed.
    Ended,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gathered => "gathered",
            Self::Opened => "connections opened",
            Self::Closed => "window closed",
            Self::Ended => "connections ended",
        })
    }
}

/// What a host is in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seat {
    /// The load generator of this number, from 0.
    Shard(u32),
    /// The server.
    Server,
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(index) => write!(f, "shard {index}"),
            Self::Server => f.write_str("the server"),
        }
    }
}

/// All have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The instant at which all go on, by this host's monotonic clock.
    pub at: Nanos,
    /// `at` is the captain's instant to so much either way.
    pub error: Nanos,
    /// How long after its instant the release came; zero when it came in time.
    pub late: Nanos,
}

/// What runs here: version and commit, as [`CaptainConfig`] and [`MemberConfig`] want it.
#[must_use]
pub fn build() -> String {
    let commit = option_env!("RINGBEAT_COMMIT").unwrap_or("unknown");
    let changed = match option_env!("RINGBEAT_DIRTY") {
        Some("true") => ", changed",
        _ => "",
    };
    format!("{} (commit {commit}{changed})", env!("CARGO_PKG_VERSION"))
}
