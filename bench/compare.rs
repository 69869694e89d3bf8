//! `ringbeat compare` end to end: the built binary, real sockets, its folder read back.
//!
//! Asserts counts and files, never a time or a speed.

#[cfg(test)]
#[path = "compare/common.rs"]
mod common;
#[cfg(test)]
#[path = "compare/driven.rs"]
mod driven;
#[cfg(test)]
#[path = "compare/engines.rs"]
mod engines;
#[cfg(test)]
#[path = "compare/meters.rs"]
mod meters;
#[cfg(test)]
#[path = "compare/runs.rs"]
mod runs;
