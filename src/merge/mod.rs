//! Joins the records of several hosts of one run into one record of the same shape, or says why they do not fit.
//!
//! Pure: reads records, touches no file, reads no clock. Counts are added, histograms are added, nothing is averaged; a row
//! per host is kept, so that a bad host stays visible. What comes out depends on the set of hosts alone: records may be
//! joined in any order and in any grouping, and a part of the hosts is as good an input as one.
//!
//! Instants of different hosts are of different clocks. The one thing computed across them is how long all windows were
//! open at once, and each clock's error bound goes against it ([`together`]).
//!
//! What all hosts must have alike: kind and shape of the record, run, arm, number of load generators, connections of all,
//! the program's version and commit, and the settings that say what is measured. What is each host's own and need not agree:
//! cores, rings, engine and driver (the rows have them), congestion control and ramp. Not
//! kept: the samples of each second, whose clock is one host's own; they stay in the hosts' folders.

#![forbid(unsafe_code)]

mod audit;
mod fit;
mod overlap;
mod sum;

pub use audit::audit;
pub use fit::MergeError;
pub use sum::together;

use crate::record::{Config, FleetHost, FleetRecord, Kind, LoadHost, Record, ServerHost, Warning};
use std::collections::BTreeSet;

/// One record to be joined.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What it is called in a refusal, mostly its folder.
    pub name: &'a str,
    /// What it holds.
    pub record: &'a Record,
}

/// Whether a load generator may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All must be there.
    Whole,
    /// Some may be missing; the result says which and is marked partial.
    Partial,
}

/// Joins `parts`. The result's command and label are for the caller to set: of the parts' labels it has the one they share.
///
/// # Errors
/// [`MergeError`] when they do not fit; the same one whatever the order of `parts`.
pub fn merge(parts: &[Part<'_>], coverage: Coverage) -> Result<Record, MergeError> {
    let mut parts = parts.to_vec();
    parts.sort_by_key(|part| (first_shard(part.record), part.name));
    fit::check(&parts, coverage)?;
    let Some((first, _)) = parts.split_first() else {
        return Err(MergeError::Nothing);
    };
    let rows = |part: &Part<'_>| part.record.fleet.clone().map(|fleet| rows(part, fleet));
    let mut fleets = parts.iter().filter_map(rows);
    let mut fleet = fleets.next().ok_or(MergeError::Nothing)?;
    for other in fleets {
        fleet.loads.extend(other.loads);
        fleet.server = fleet.server.or(other.server);
    }
    fleet.loads.sort_by_key(|load| load.shard);
    fleet.together =
        together(&fleet.loads, fleet.server.as_ref()).map_err(|source| MergeError::Histogram {
            name: first.name.to_owned(),
            source,
        })?;
    let configs: Vec<&Config> = parts.iter().map(|part| &part.record.config).collect();
    let config = config(&first.record.config, &configs, &fleet);
    let mut warnings = audit(&fleet, &config);
    warnings.extend(audit::coverage(&fleet));
    warnings.extend(carried(&parts));
    warnings.sort_by(|a, b| {
        let key = |warning: &Warning| (!warning.invalidates, warning.code.clone());
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    warnings.dedup();
    let hosts: Vec<&FleetHost> = hosts(&fleet).map(|(_, host)| host).collect();
    // The server's machine, where it is among them; else that of the first load generator.
    let server = fleet.server.as_ref().map(|server| &server.host);
    let machine = server.or_else(|| hosts.first().copied());
    let partial = hosts.iter().any(|host| host.stopped.is_some());
    let records = || parts.iter().map(|part| part.record);
    let label = &first.record.label;
    let environment = machine.map(|host| host.environment.clone());
    Ok(Record {
        kind: Kind::Fleet,
        valid: !warnings.iter().any(|warning| warning.invalidates),
        partial: partial || !missing(&fleet).is_empty(),
        warnings,
        command: "ringbeat merge".to_owned(),
        label: label
            .clone()
            .filter(|_| records().all(|record| record.label == *label)),
        // Each is by its own host's clock: the earliest of them is a date, nothing to compute with.
        started_at: records()
            .map(|record| record.started_at.clone())
            .min()
            .unwrap_or_default(),
        duration_ms: records()
            .map(|record| record.duration_ms)
            .max()
            .unwrap_or(0),
        config,
        environment: environment.unwrap_or_default(),
        noise: None,
        fleet: Some(fleet),
        samples: Vec::new(),
        ..first.record.clone()
    })
}

/// By what the parts are put in order: the server's come last.
fn first_shard(record: &Record) -> u32 {
    let fleet = record.fleet.as_ref();
    let loads = fleet.into_iter().flat_map(|fleet| &fleet.loads);
    loads.map(|load| load.shard).min().unwrap_or(u32::MAX)
}

/// The hosts of one record. That the record was cut short is its host's matter when it has but one.
fn rows(part: &Part<'_>, mut fleet: FleetRecord) -> FleetRecord {
    let one = fleet.loads.len() + usize::from(fleet.server.is_some()) == 1;
    // A host's record that was merged alone is marked for the others that it lacks.
    let for_others = part
        .record
        .warnings
        .iter()
        .any(|warning| warning.code == audit::SHARDS_MISSING);
    if one && part.record.partial && !for_others {
        let loads = fleet.loads.iter_mut().map(|load| &mut load.host);
        for host in loads.chain(fleet.server.as_mut().map(|server| &mut server.host)) {
            host.stopped
                .get_or_insert_with(|| "its record is marked partial".to_owned());
        }
    }
    fleet
}

/// Every host of `fleet` by what it is called, the load generators first.
fn hosts(fleet: &FleetRecord) -> impl Iterator<Item = (String, &FleetHost)> {
    let loads = fleet.loads.iter().map(|load| (load_name(load), &load.host));
    let server = fleet.server.iter();
    loads.chain(server.map(|server| (server_name(server), &server.host)))
}

/// `shard 2 on node-2`.
fn load_name(load: &LoadHost) -> String {
    format!("shard {} on {}", load.shard, load.host.name)
}

fn server_name(server: &ServerHost) -> String {
    format!("the server on {}", server.host.name)
}

/// The load generators of which `fleet` has no record.
fn missing(fleet: &FleetRecord) -> Vec<u32> {
    missing_of(fleet.shards, fleet.loads.iter())
}

fn missing_of<'a>(shards: u32, loads: impl Iterator<Item = &'a LoadHost>) -> Vec<u32> {
    let there: BTreeSet<u32> = loads.map(|load| load.shard).collect();
    (0..shards).filter(|shard| !there.contains(shard)).collect()
}

/// What the hosts' own records warn of. What a merge finds is not among it: that is found anew.
fn carried(parts: &[Part<'_>]) -> Vec<Warning> {
    let mut kept = Vec::new();
    for part in parts {
        let own: Vec<&Warning> = part.record.warnings.iter().collect();
        let explained = own.iter().any(|warning| warning.invalidates);
        let mut warnings: Vec<Warning> = own
            .into_iter()
            .filter(|warning| !audit::CODES.contains(&warning.code.as_str()))
            .cloned()
            .collect();
        if !part.record.valid && !explained {
            warnings.push(Warning {
                code: "host-not-valid".to_owned(),
                message: "its record is marked as not valid and does not say why".to_owned(),
                advice: "measure again".to_owned(),
                invalidates: true,
            });
        }
        let fleet = part.record.fleet.as_ref();
        let names: Vec<String> = fleet
            .into_iter()
            .flat_map(|fleet| hosts(fleet).map(|(name, _)| name))
            .collect();
        if let [only] = names.as_slice() {
            for warning in &mut warnings {
                if !warning.message.starts_with(&format!("{only}: ")) {
                    warning.message = format!("{only}: {}", warning.message);
                }
            }
        }
        kept.extend(warnings);
    }
    kept
}

/// The settings all hosts share; what is a host's own is left out, or is the list of what the hosts have.
fn config(one: &Config, configs: &[&Config], fleet: &FleetRecord) -> Config {
    let all = |of: fn(&FleetHost) -> &str| -> BTreeSet<String> {
        hosts(fleet).map(|(_, host)| of(host).to_owned()).collect()
    };
    let shared = |of: fn(&Config) -> Option<u64>| {
        of(one).filter(|_| configs.iter().all(|config| of(config) == of(one)))
    };
    let limits = configs
        .iter()
        .filter_map(|config| config.connections_limited_by.as_deref());
    let limits = union(limits, "; ");
    let congestion = configs
        .iter()
        .map(|config| config.congestion_control.as_str());
    Config {
        connections_asked: fleet.connections_asked,
        connections: if fleet.loads.is_empty() {
            fleet.connections_asked
        } else {
            fleet.together.connections_asked
        },
        connections_limited_by: Some(limits).filter(|limits| !limits.is_empty()),
        engines: all(|host| &host.engine).into_iter().collect(),
        driver: all(|host| &host.driver)
            .into_iter()
            .collect::<Vec<_>>()
            .join(", "),
        // A server that listens at every address does not know where its peers are.
        path: if configs.iter().all(|config| config.path == one.path) {
            one.path.clone()
        } else {
            "network".to_owned()
        },
        settle_ms: configs
            .iter()
            .map(|config| config.settle_ms)
            .max()
            .unwrap_or(0),
        ramp_rate_per_second: shared(|config| config.ramp_rate_per_second),
        in_flight_per_core: shared(|config| config.in_flight_per_core),
        memory_limit_bytes: None,
        server_cores: Vec::new(),
        load_cores: Vec::new(),
        ring_plan: String::new(),
        congestion_control: union(congestion, ", "),
        seed: configs.iter().map(|config| config.seed).min().unwrap_or(0),
        order: Vec::new(),
        ..one.clone()
    }
}

/// The words of all `texts`, each once, as one text; what divides them stands between them in both.
fn union<'a>(texts: impl Iterator<Item = &'a str>, between: &str) -> String {
    let words: BTreeSet<&str> = texts.flat_map(|text| text.split(between)).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(between)
}

#[cfg(test)]
mod tests;
