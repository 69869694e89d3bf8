//! `ringbeat storm` and `ringbeat load --reconnect` end to end: the built binary, real sockets, what comes back.
//!
//! Asserts counts and files, never a time or a speed.

#[cfg(test)]
#[path = "cli/child.rs"]
mod child;
#[cfg(test)]
#[path = "storm/hand.rs"]
mod hand;
#[cfg(test)]
#[path = "storm/place.rs"]
mod place;
#[cfg(test)]
#[path = "storm/runs.rs"]
mod runs;
#[cfg(test)]
#[path = "storm/trouble.rs"]
mod trouble;
