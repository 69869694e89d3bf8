//! Whether a host that has the token fits the run; if not, why, with the values of both sides.
//!
//! Pure. Does not know who is there already; that is the roster's.

use super::message::Hello;
use super::{FleetError, PROTOCOL, Seat};
use crate::load::Shard;
use std::collections::BTreeMap;

/// The longest name of a host or a run, characters.
const LONGEST_NAME: usize = 64;

/// What the captain is and wants.
#[derive(Clone, Debug)]
pub(super) struct House {
    pub(super) build: String,
    pub(super) host: String,
    pub(super) seat: Seat,
    pub(super) shards: u32,
    pub(super) terms: BTreeMap<String, String>,
}

/// Whether a name can be shown and stored.
///
/// # Errors
/// [`FleetError::Settings`].
pub(super) fn name(what: &str, text: &str) -> Result<(), FleetError> {
    if text.trim().is_empty() || text.chars().count() > LONGEST_NAME {
        return Err(FleetError::Settings(format!(
            "a {what}'s name has 1 to {LONGEST_NAME} characters"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(FleetError::Settings(format!(
            "a {what}'s name holds no control characters"
        )));
    }
    Ok(())
}

/// Whether a host can be what it says among so many shards.
///
/// # Errors
/// [`FleetError::Settings`].
pub(super) fn place(seat: Seat, shards: u32) -> Result<(), FleetError> {
    let index = match seat {
        Seat::Shard(index) => index,
        Seat::Server => 0,
    };
    Shard::new(index, shards)
        .map(drop)
        .map_err(FleetError::Settings)
}

/// Why a hello of another version is not read further.
pub(super) fn version(host_version: u64, house: &House) -> Result<(), String> {
    if host_version == u64::from(PROTOCOL) {
        return Ok(());
    }
    Err(format!(
        "it speaks version {host_version} of the rendezvous, {} speaks {PROTOCOL}: use the same build on all hosts",
        house.host
    ))
}

/// Whether `hello` fits; its token has been proved.
///
/// # Errors
/// Why not.
pub(super) fn examine(hello: &Hello, house: &House) -> Result<(), String> {
    name("host", &hello.host).map_err(|error| error.to_string())?;
    let (there, here) = (&hello.host, &house.host);
    if hello.build != house.build {
        return Err(format!(
            "{there} runs ringbeat {}, {here} runs {}: use the same build on all hosts",
            hello.build, house.build
        ));
    }
    if hello.shards != house.shards {
        return Err(format!(
            "{there} was told of {} shards, {here} of {}: give all hosts the same count",
            hello.shards, house.shards
        ));
    }
    place(hello.seat, hello.shards).map_err(|error| error.to_string())?;
    match difference(&hello.terms, &house.terms) {
        None => Ok(()),
        Some((setting, theirs, ours)) => Err(format!(
            "`{setting}` is {theirs} on {there} and {ours} on {here}: give all hosts the same"
        )),
    }
}

/// The first setting that differs, and both values.
fn difference(
    theirs: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
) -> Option<(String, String, String)> {
    let value = |of: &BTreeMap<String, String>, name: &String| {
        of.get(name)
            .map_or_else(|| "not set".to_owned(), Clone::clone)
    };
    let name = ours
        .keys()
        .chain(theirs.keys())
        .find(|name| ours.get(*name) != theirs.get(*name))?;
    Some((name.clone(), value(theirs, name), value(ours, name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::token::Bytes32;

    fn terms(interval: &str) -> BTreeMap<String, String> {
        let pairs = [("arm", "heartbeat"), ("interval", interval)];
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn house() -> House {
        House {
            build: "1.0 (commit a)".to_owned(),
            host: "alpha".to_owned(),
            seat: Seat::Server,
            shards: 4,
            terms: terms("30s"),
        }
    }

    fn hello() -> Hello {
        Hello {
            protocol: PROTOCOL,
            build: house().build,
            host: "beta".to_owned(),
            seat: Seat::Shard(3),
            shards: 4,
            terms: terms("30s"),
            nonce: Bytes32::random(),
        }
    }

    /// That a hello changed so is refused, naming `parts`.
    fn refused(change: impl FnOnce(&mut Hello), parts: &[&str]) {
        let mut hello = hello();
        assert_eq!(examine(&hello, &house()), Ok(()));
        change(&mut hello);
        let why = examine(&hello, &house()).unwrap_err();
        assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    }

    #[test]
    fn what_does_not_fit_is_named_with_both_values() {
        refused(
            |hello| hello.build = "1.0 (commit b)".to_owned(),
            &["commit a", "commit b"],
        );
        refused(|hello| hello.shards = 8, &["8 shards", "of 4"]);
        refused(|hello| hello.seat = Seat::Shard(4), &["shard 4", "0 to 3"]);
        refused(
            |hello| hello.terms = terms("10s"),
            &["`interval` is 10s on beta and 30s on alpha"],
        );
        refused(
            |hello| {
                hello.terms.insert("tick".to_owned(), "8ms".to_owned());
            },
            &["`tick` is 8ms on beta and not set on alpha"],
        );
        refused(
            |hello| hello.host = "a\u{1b}b".to_owned(),
            &["host", "control"],
        );
        refused(|hello| hello.host = String::new(), &["host", "64"]);
        let why = version(2, &house()).unwrap_err();
        assert!(
            why.contains("version 2") && why.contains("speaks 1"),
            "{why}"
        );
    }
}
