//! `ringbeat detect` end to end: the built binary, real namespaces, real faults, its folder read back.
//!
//! Asserts what was noticed and that bounds were kept, never a speed. One run at a time: several laboratories under two
//! tests at once would keep each other's processes from their cores.

#[cfg(test)]
#[path = "cli/child.rs"]
#[expect(dead_code, reason = "other test targets use the rest of it")]
mod child;
#[cfg(test)]
#[path = "cli/lab.rs"]
mod lab;
#[cfg(test)]
#[path = "detect/matrix.rs"]
mod matrix;
#[cfg(test)]
#[path = "detect/place.rs"]
mod place;
#[cfg(test)]
#[path = "detect/trouble.rs"]
mod trouble;
