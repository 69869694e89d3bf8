//! `ringbeat advise` end to end: the built binary, what it answers and refuses, and its snippets compiled, run and read
//! back where the machine has the tool.
//!
//! Opens one loopback socket per snippet and asserts no times.

#[cfg(test)]
#[path = "advise/answers.rs"]
mod answers;
#[cfg(test)]
#[path = "advise/ask.rs"]
mod ask;
#[cfg(test)]
#[path = "advise/fleet.rs"]
mod fleet;
#[cfg(test)]
#[path = "advise/snippets.rs"]
mod snippets;
