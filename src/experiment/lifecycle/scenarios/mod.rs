//! The scenarios: for each what it shows, how it is played, and the rules that hold for it.
//!
//! The rules are pure: they take what was seen and say whether it was so. Sections are those of RFC 9293 unless another
//! source is named; rules of Linux say so.

mod closing;
mod opening;
mod resets;
#[cfg(test)]
mod tests;
mod waiting;

use super::scene::Scene;
use super::seen::Seen;
use crate::experiment::ExperimentError;
use crate::record::LifecycleCheck;

/// The section on setting up.
const SET_UP: &str = "RFC 9293, section 3.5";
/// The section on sequence numbers.
const NUMBERS: &str = "RFC 9293, section 3.4";
/// The section on closing.
const CLOSING: &str = "RFC 9293, section 3.6";
/// The section on half-closed connections, which also has the rules of `TIME-WAIT`.
const HALF_CLOSED: &str = "RFC 9293, section 3.6.1";
/// The section on resets.
const RESETS: &str = "RFC 9293, section 3.5.2";
/// What to do with a segment in each state.
const ARRIVES: &str = "RFC 9293, section 3.10.7.4";

/// One scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    /// A stable word.
    pub(super) name: &'static str,
    /// A heading.
    pub(super) title: &'static str,
    /// Where the rule stands.
    pub(super) source: &'static str,
    /// What happens and why, for somebody who sees it for the first time.
    pub(super) explanation: &'static str,
    /// Plays it.
    pub(super) play: fn(&mut Scene<'_>) -> Result<(), ExperimentError>,
    /// Holds the rules against it.
    pub(super) rules: fn(&Seen) -> Vec<LifecycleCheck>,
}

/// All of them in the order told; the one that waits for the end of `TIME-WAIT` stands apart.
pub(super) fn all() -> Vec<&'static Scenario> {
    let parts = [opening::ALL, closing::ALL, resets::ALL, waiting::ALL];
    parts.concat()
}

/// The one that takes a minute, and how it goes without the wait.
pub(super) use waiting::{TIME_WAIT, TIME_WAIT_UNWAITED};

/// A figure in milliseconds, as a check says it.
fn millis(nanos: u64) -> String {
    format!("{} ms", nanos / 1_000_000)
}
