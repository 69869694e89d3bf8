//! What differs between two machines and two sets of settings, key by key as the records hold them.
//!
//! Does not weigh the differences; those of kernel, processor, memory and program come first.

use super::{cells, lifecycles, storms};
use crate::record::{Environment, Record};
use crate::report::format::bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A key whose values differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) one: String,
    pub(super) other: String,
}

/// What stands for one side's value where only the other has it.
pub(super) const NOT_THERE: &str = "not there";

/// What is told first.
const FIRST: [&str; 8] = [
    "kernel",
    "kernel hz",
    "cpu model",
    "cpu count",
    "memory bytes",
    "ringbeat version",
    "ringbeat commit",
    "ringbeat dirty",
];

pub(super) fn environment(one: &Environment, other: &Environment) -> Vec<Change> {
    let mut changes = between(one, other);
    let place = |change: &Change| FIRST.iter().position(|key| *key == change.key);
    changes.sort_by_key(|change| place(change).unwrap_or(FIRST.len()));
    changes
}

/// Those of the general settings, then those of the kind of run.
pub(super) fn config(one: &Record, other: &Record) -> Vec<Change> {
    let mut changes = between(&one.config, &other.config);
    // Follows from seed and rounds.
    changes.retain(|change| change.key != "order");
    changes.extend(between(&own(one), &own(other)));
    changes
}

/// What was set that the general settings do not hold.
fn own(record: &Record) -> Value {
    let mut own = Map::new();
    own.extend(
        record
            .detection
            .as_ref()
            .map(cells::settings)
            .unwrap_or_default(),
    );
    own.extend(
        record
            .storm
            .as_ref()
            .map(storms::settings)
            .unwrap_or_default(),
    );
    own.extend(
        record
            .lifecycle
            .as_ref()
            .map(lifecycles::settings)
            .unwrap_or_default(),
    );
    Value::Object(own)
}

fn between(one: &impl Serialize, other: &impl Serialize) -> Vec<Change> {
    let (one, other) = (leaves(one), leaves(other));
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let said = |side: &BTreeMap<String, String>, key: &String| {
        side.get(key)
            .cloned()
            .unwrap_or_else(|| NOT_THERE.to_owned())
    };
    let change = |key: &String| Change {
        key: key.clone(),
        one: said(&one, key),
        other: said(&other, key),
    };
    let changes = keys.into_iter().map(change);
    changes
        .filter(|change| change.one != change.other)
        .collect()
}

fn leaves(whole: &impl Serialize) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // What a record holds has serialised before.
    gather(
        "",
        &serde_json::to_value(whole).unwrap_or_default(),
        &mut found,
    );
    found
}

/// Every value under its path, words apart: `sysctls: net.core.netdev_max_backlog`.
fn gather(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(parts) => {
            for (key, part) in parts {
                let path = if path.is_empty() {
                    key.replace('_', " ")
                } else {
                    format!("{path}: {key}")
                };
                gather(&path, part, found);
            }
        }
        Value::String(text) => drop(found.insert(path.to_owned(), text.clone())),
        Value::Null => drop(found.insert(path.to_owned(), "not known".to_owned())),
        Value::Number(size) if path.ends_with("bytes") && size.is_u64() => {
            let size = size.as_u64().unwrap_or_default();
            drop(found.insert(path.to_owned(), format!("{size} ({})", bytes(size))));
        }
        other => drop(found.insert(path.to_owned(), other.to_string())),
    }
}

/// What differs between two machines: what it is, and what it is on the one and on the other.
pub(in crate::report) fn machines(
    one: &Environment,
    other: &Environment,
) -> Vec<(String, String, String)> {
    let changes = environment(one, other).into_iter();
    changes
        .map(|change| (change.key, change.one, change.other))
        .collect()
}
