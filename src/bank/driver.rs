//! How the threads of a process wait: one per core for its tick, or one per ring for its events.
//!
//! Pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Who drives a ring, and what it sleeps on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// One thread per core walks its rings once per tick and sleeps to the next tick.
    #[default]
    Tick,
    /// One thread per ring, pinned to its core, sleeps in the kernel until the ring has an event or its wheel a
    /// deadline. With an engine of one ring per core this is the plain event loop.
    ThreadPerRing,
}

impl Driver {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Tick, Self::ThreadPerRing];

    /// The name as typed and recorded.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::ThreadPerRing => "thread-per-ring",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Driver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|driver| driver.name() == text)
            .ok_or_else(|| format!("no driver is called `{text}`: tick or thread-per-ring"))
    }
}
