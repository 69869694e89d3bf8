//! Whether records belong together. The first reason against it names both, with what each has and what to do.
//!
//! Pure. Nothing is repaired: what does not fit is refused, and what is only suspicious is for the
//! [audit](mod@super::audit).

use super::overlap::{Overlap, overlap};
use super::{Coverage, Part, load_name, missing_of, server_name, together};
use crate::record::{
    FleetHost, FleetRecord, FleetTotals, HistogramError, HistogramRecord, Kind, LoadHost, Record,
};
use crate::units::HumanNanos;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Settings that all hosts of a run have alike, by their keys in the record's configuration.
pub(super) const ALIKE: [&str; 18] = [
    "arms",
    "detect_within_ms",
    "misses",
    "heartbeat_interval_ms",
    "idle_timeout_ms",
    "answer_timeout_ms",
    "keepalive_idle_s",
    "keepalive_interval_s",
    "keepalive_count",
    "keepalive_side",
    "keepalive_spread_s",
    "steady_ms",
    "soak_ms",
    "rounds",
    "tick_us",
    "phases",
    "timers",
    "sweep_period_ms",
];

const SAME_RUN: &str = "give the folders of one run";
const SAME_SETTINGS: &str = "run all hosts with the same settings, and measure again";
const SAME_BUILD: &str = "put the same build on all hosts, and measure again";
const WRITTEN_BY: &str =
    "give folders that `ringbeat load --out`, `ringbeat serve --out` or `ringbeat merge` wrote";

/// Why records were not joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There was nothing to join.
    #[error("there is no record to merge; {WRITTEN_BY}")]
    Nothing,
    /// A record of something else.
    #[error("{name} is of the kind `{kind}`, not the record of a host of a fleet; {WRITTEN_BY}")]
    Kind {
        /// The record.
        name: String,
        /// What it is.
        kind: String,
    },
    /// Two records do not agree.
    #[error("{what} differs: {sides}; {remedy}")]
    Differs {
        /// What they do not agree on.
        what: String,
        /// Both records, and what each has.
        sides: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The same record twice.
    #[error("{one} and {other} are the same record, that of {who}; give each folder once")]
    Twice {
        /// One.
        one: String,
        /// The other.
        other: String,
        /// Whose it is.
        who: String,
    },
    /// Two records of one role.
    #[error(
        "both {one} and {other} hold {who}, and they are not the same; a run has one of it, so find out which is of this run and give that"
    )]
    Both {
        /// One.
        one: String,
        /// The other.
        other: String,
        /// What both hold.
        who: String,
    },
    /// A load generator beyond the last.
    #[error("{name} holds shard {shard}, but the run has {shards}, numbered from 0; {SAME_RUN}")]
    NoSuchShard {
        /// The record.
        name: String,
        /// The shard.
        shard: u32,
        /// How many there are.
        shards: u32,
    },
    /// Not all load generators are there.
    #[error(
        "of {shards} shards, {missing} not among the folders given; give them too, or pass --partial for a result that is \
         marked as a part"
    )]
    Missing {
        /// Those missing, as words: `shard 3 is`.
        missing: String,
        /// How many there are.
        shards: u32,
    },
    /// Two windows that were not open at once.
    #[error(
        "{earlier} had closed its window {apart} before {later} opened its own, whatever the clocks are wrong by, so they did \
         not measure one thing; {SAME_RUN}, or start the hosts together and measure again"
    )]
    Apart {
        /// Who closed.
        earlier: String,
        /// Who opened.
        later: String,
        /// How long before.
        apart: HumanNanos,
    },
    /// A sum that is not the sum of the rows.
    #[error(
        "{name} says {key} = {said} for all its hosts together, but its rows add up to {summed}: it was changed after it was \
         written, so take the folder as the host left it"
    )]
    Sum {
        /// The record.
        name: String,
        /// Which sum.
        key: String,
        /// What it says.
        said: String,
        /// What the rows come to.
        summed: String,
    },
    /// A histogram whose figures are not those of its counts.
    #[error(
        "in {name} the figures beside the histogram `{histogram}` of {who} are not those of its counts: it was changed after \
         it was written, so take the folder as the host left it"
    )]
    Figures {
        /// The record.
        name: String,
        /// Whose.
        who: String,
        /// Which.
        histogram: String,
    },
    /// A histogram that does not open, or has another shape.
    #[error(
        "a histogram of {name} cannot be added: {source}; take the folder as the host left it, and {SAME_BUILD}"
    )]
    Histogram {
        /// The record.
        name: String,
        /// Why.
        source: HistogramError,
    },
}

/// Refuses `parts`, which are in order, for the first thing that does not fit.
pub(super) fn check(parts: &[Part<'_>], coverage: Coverage) -> Result<(), MergeError> {
    let mut fleets = Vec::new();
    for part in parts {
        fleets.push((*part, fleet(part)?));
    }
    let Some((first, others)) = fleets.split_first() else {
        return Err(MergeError::Nothing);
    };
    for other in others {
        of_one_run(first, other)?;
        alike(&first.0, &other.0)?;
    }
    once_each(&fleets)?;
    one_build(&fleets)?;
    for (part, fleet) in &fleets {
        sound(part.name, fleet)?;
    }
    covered(&fleets, coverage)?;
    open_at_once(&fleets)
}

type Given<'a> = (Part<'a>, &'a FleetRecord);

fn fleet<'a>(part: &Part<'a>) -> Result<&'a FleetRecord, MergeError> {
    let record = part.record;
    match &record.fleet {
        Some(fleet) if record.kind == Kind::Fleet => Ok(fleet),
        _ => Err(MergeError::Kind {
            name: part.name.to_owned(),
            kind: value(&record.kind),
        }),
    }
}

/// `value` as a word.
fn value(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value).unwrap_or_default() {
        Value::String(text) => text,
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

fn differ(
    what: &str,
    one: &(&str, String),
    other: &(&str, String),
    remedy: &'static str,
) -> Result<(), MergeError> {
    if one.1 == other.1 {
        return Ok(());
    }
    Err(MergeError::Differs {
        what: what.to_owned(),
        sides: format!("{} has {}, {} has {}", one.0, one.1, other.0, other.1),
        remedy,
    })
}

fn of_one_run(one: &Given<'_>, other: &Given<'_>) -> Result<(), MergeError> {
    type Pick = fn(&Record, &FleetRecord) -> String;
    let picks: [(&str, Pick, &'static str); 5] = [
        (
            "the record's schema version",
            |record, _| value(&record.schema_version),
            SAME_BUILD,
        ),
        ("the run", |_, fleet| fleet.run.clone(), SAME_RUN),
        (
            "the number of shards",
            |_, fleet| value(&fleet.shards),
            SAME_RUN,
        ),
        (
            "the number of connections of all",
            |_, fleet| value(&fleet.connections_asked),
            SAME_SETTINGS,
        ),
        ("the arm", |_, fleet| fleet.arm.clone(), SAME_SETTINGS),
    ];
    for (what, pick, remedy) in picks {
        let said = |given: &Given<'_>| pick(given.0.record, given.1);
        differ(
            what,
            &(one.0.name, said(one)),
            &(other.0.name, said(other)),
            remedy,
        )?;
    }
    Ok(())
}

fn alike(one: &Part<'_>, other: &Part<'_>) -> Result<(), MergeError> {
    let keys = |part: &Part<'_>| serde_json::to_value(&part.record.config).unwrap_or_default();
    let (of_one, of_other) = (keys(one), keys(other));
    for key in ALIKE {
        differ(
            &format!("the setting {key}"),
            &(one.name, value(&of_one.get(key))),
            &(other.name, value(&of_other.get(key))),
            SAME_SETTINGS,
        )?;
    }
    Ok(())
}

/// No load generator and no server twice.
fn once_each(fleets: &[Given<'_>]) -> Result<(), MergeError> {
    let mut loads: BTreeMap<u32, (&str, &LoadHost)> = BTreeMap::new();
    let mut server = None;
    for (part, fleet) in fleets {
        for load in &fleet.loads {
            if load.shard >= fleet.shards {
                return Err(MergeError::NoSuchShard {
                    name: part.name.to_owned(),
                    shard: load.shard,
                    shards: fleet.shards,
                });
            }
            if let Some((name, known)) = loads.insert(load.shard, (part.name, load)) {
                return Err(twice(name, part.name, load_name(load), known == load));
            }
        }
        if let Some(own) = &fleet.server
            && let Some((name, known)) = server.replace((part.name, own))
        {
            return Err(twice(name, part.name, server_name(own), known == own));
        }
    }
    Ok(())
}

fn twice(one: &str, other: &str, who: String, same: bool) -> MergeError {
    let (one, other) = (one.to_owned(), other.to_owned());
    if same {
        MergeError::Twice { one, other, who }
    } else {
        MergeError::Both { one, other, who }
    }
}

/// What a host was built from.
fn build(host: &FleetHost) -> String {
    let environment = &host.environment;
    let commit = environment.ringbeat_commit.as_deref();
    let dirty = environment.ringbeat_dirty == Some(true);
    format!(
        "{} ({}{})",
        environment.ringbeat_version,
        commit.unwrap_or("unknown commit"),
        if dirty { ", with changes" } else { "" }
    )
}

fn one_build(fleets: &[Given<'_>]) -> Result<(), MergeError> {
    let all: Vec<(String, &FleetHost)> = named(fleets);
    let Some((first, others)) = all.split_first() else {
        return Ok(());
    };
    for other in others {
        differ(
            "the build of ringbeat",
            &(&first.0, build(first.1)),
            &(&other.0, build(other.1)),
            SAME_BUILD,
        )?;
    }
    Ok(())
}

/// Every host with its folder: `shard 2 on node-2 (folder)`; the load generators in order, then the server.
fn named<'a>(fleets: &[Given<'a>]) -> Vec<(String, &'a FleetHost)> {
    let mut loads = Vec::new();
    let mut servers = Vec::new();
    for (part, fleet) in fleets {
        for load in &fleet.loads {
            let name = format!("{} ({})", load_name(load), part.name);
            loads.push((load.shard, name, &load.host));
        }
        if let Some(server) = &fleet.server {
            let name = format!("{} ({})", server_name(server), part.name);
            servers.push((u32::MAX, name, &server.host));
        }
    }
    loads.sort_by_key(|load| load.0);
    let all = loads.into_iter().chain(servers);
    all.map(|(_, name, host)| (name, host)).collect()
}

/// A record's histograms are what their counts say, and its sums are those of its rows.
fn sound(name: &str, fleet: &FleetRecord) -> Result<(), MergeError> {
    let loads = fleet
        .loads
        .iter()
        .map(|load| (load_name(load), &load.histograms));
    let server = fleet.server.iter();
    let all = loads.chain(server.map(|server| (server_name(server), &server.histograms)));
    for (who, histograms) in all {
        for (histogram, stored) in histograms {
            if !figures_fit(stored).map_err(|source| opens(name, source))? {
                return Err(MergeError::Figures {
                    name: name.to_owned(),
                    who,
                    histogram: histogram.clone(),
                });
            }
        }
    }
    let summed = together(&fleet.loads, fleet.server.as_ref());
    let summed = summed.map_err(|source| opens(name, source))?;
    sums_fit(name, &fleet.together, &summed)
}

fn sums_fit(name: &str, said: &FleetTotals, summed: &FleetTotals) -> Result<(), MergeError> {
    let keys = |totals: &FleetTotals| match serde_json::to_value(totals) {
        Ok(Value::Object(keys)) => keys,
        _ => serde_json::Map::new(),
    };
    let (said_keys, summed_keys) = (keys(said), keys(summed));
    for (key, value) in &summed_keys {
        // One histogram has several stored forms, and the overlap is no sum.
        if !["histograms", "overlap_ns"].contains(&key.as_str())
            && said_keys.get(key) != Some(value)
        {
            return Err(MergeError::Sum {
                name: name.to_owned(),
                key: key.clone(),
                said: said_keys
                    .get(key)
                    .map_or_else(String::new, Value::to_string),
                summed: value.to_string(),
            });
        }
    }
    let names: BTreeSet<&String> = summed
        .histograms
        .keys()
        .chain(said.histograms.keys())
        .collect();
    for key in names {
        let told = |totals: &FleetTotals| {
            let one = totals.histograms.get(key);
            one.map_or_else(|| "none".to_owned(), |one| format!("{:?}", figures(one)))
        };
        if told(summed) != told(said) {
            return Err(MergeError::Sum {
                name: name.to_owned(),
                key: format!("histogram {key}"),
                said: told(said),
                summed: told(summed),
            });
        }
    }
    Ok(())
}

fn opens(name: &str, source: HistogramError) -> MergeError {
    MergeError::Histogram {
        name: name.to_owned(),
        source,
    }
}

/// Whether the figures people quote are those of the counts.
fn figures_fit(stored: &HistogramRecord) -> Result<bool, HistogramError> {
    let counted = HistogramRecord::of(&stored.histogram()?)?;
    Ok(figures(&counted) == figures(stored))
}

fn figures(of: &HistogramRecord) -> [u64; 7] {
    [of.count, of.min, of.p50, of.p90, of.p99, of.p999, of.max]
}

fn covered(fleets: &[Given<'_>], coverage: Coverage) -> Result<(), MergeError> {
    let Some((_, first)) = fleets.first() else {
        return Err(MergeError::Nothing);
    };
    let loads = fleets.iter().flat_map(|(_, fleet)| &fleet.loads);
    let missing = missing_of(first.shards, loads);
    if missing.is_empty() || coverage == Coverage::Partial {
        return Ok(());
    }
    Err(MergeError::Missing {
        missing: shards_in_words(&missing),
        shards: first.shards,
    })
}

/// `shard 3 is`, `shards 1, 3 are`.
pub(super) fn shards_in_words(shards: &[u32]) -> String {
    let numbers: Vec<String> = shards.iter().map(ToString::to_string).collect();
    if shards.len() == 1 {
        format!("shard {} is", numbers[0])
    } else {
        format!("shards {} are", super::audit::some_of(&numbers))
    }
}

fn open_at_once(fleets: &[Given<'_>]) -> Result<(), MergeError> {
    let all = named(fleets);
    let only: Vec<&FleetHost> = all.iter().map(|(_, host)| *host).collect();
    match overlap(&only) {
        Overlap::Apart {
            earlier,
            later,
            apart_ns,
        } => Err(MergeError::Apart {
            earlier: all[earlier].0.clone(),
            later: all[later].0.clone(),
            apart: HumanNanos(apart_ns),
        }),
        _ => Ok(()),
    }
}
