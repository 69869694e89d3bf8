//! What captain and members say to each other; the table is in the [module above](super).
//!
//! Does not check anything but the form. Every text that came from another host is to go through [`for_people`] before
//! it is shown.

use super::token::Bytes32;
use super::{Seat, Stage};
use crate::control::{Order, Word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest text of another host that is shown, characters.
const LONGEST_SHOWN: usize = 2_000;

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) build: String,
    pub(super) host: String,
    pub(super) seat: Seat,
    /// How many load generators it takes part among.
    pub(super) shards: u32,
    /// What all hosts must agree upon.
    pub(super) terms: BTreeMap<String, String>,
    pub(super) nonce: Bytes32,
}

/// From a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FromMember {
    Hello(Hello),
    Proof(Bytes32),
    Ping(u64),
    Arrived(Stage),
    Failed(String),
    Word(Box<Word>),
}

/// From the captain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FromCaptain {
    Challenge(Bytes32),
    Welcome {
        proof: Bytes32,
        /// The run's name.
        run: String,
        /// The captain's host.
        host: String,
        /// What the phases of all hosts count from, by the captain's clock, nanoseconds since 1970.
        origin_epoch_ns: u64,
    },
    Refused(String),
    Pong {
        number: u64,
        /// The captain's clock, nanoseconds since 1970.
        epoch_ns: u64,
    },
    Release {
        stage: Stage,
        /// When, by the captain's clock, nanoseconds since 1970.
        epoch_ns: u64,
    },
    Abort(String),
    Order(Box<Order>),
    Dismiss,
}

/// The version that a hello names, even one whose other fields are not ours.
pub(super) fn version_of(hello: &[u8]) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_slice(hello).ok()?;
    value.get("hello")?.get("protocol")?.as_u64()
}

/// A text of another host without what could upset a terminal, and not without end.
pub(super) fn for_people(text: &str) -> String {
    text.chars()
        .take(LONGEST_SHOWN)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_off_a_hello_that_is_otherwise_unknown() {
        assert_eq!(
            version_of(br#"{"hello":{"protocol":7,"colour":"red"}}"#),
            Some(7)
        );
        assert_eq!(version_of(br#"{"hello":{}}"#), None);
        assert_eq!(version_of(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn a_text_of_another_host_cannot_steer_the_terminal() {
        assert_eq!(for_people("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(for_people(&"x".repeat(5_000)).len(), LONGEST_SHOWN);
    }
}
