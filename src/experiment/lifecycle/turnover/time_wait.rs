//! What a socket in `TIME_WAIT` takes of the kernel's memory, against an established one.
//!
//! Does not wait for its end. By the objects of the slab caches: read before a population is opened, when it is
//! established, and when the client has ended all of it. Nobody's `TIME_WAIT` but the client's is there then, and no
//! bind bucket but those it holds: the server's sockets shared the listener's.

use super::plan::{Ending, TurnoverPlan};
use super::trial::{apart, end_all, in_use, open, wait_until_gone};
use crate::experiment::lifecycle::shape::spec;
use crate::experiment::lifecycle::stage::on_stage;
use crate::experiment::trial::{self, Stage};
use crate::experiment::{ExperimentError, Observer};
use crate::measure::memory::SOCKET_CACHES;
use crate::os::OsError;
use crate::os::established::count_time_wait;
use crate::os::limits::sysctl;
use crate::os::memory::{SlabObjects, merged_with, slab_objects};
use crate::os::namespace::in_network_of;
use crate::record::TimeWaitRecord;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What a socket in `TIME_WAIT` keeps: itself, and the port it is bound to (`tcp_time_wait` and `inet_twsk_hashdance`).
const WAITING_CACHES: [&str; 3] = ["tw_sock_TCP", "tcp_bind_bucket", "tcp_bind2_bucket"];
/// Files and inodes are freed behind an RCU grace period, some after a worker has come to it.
const FREED_WITHIN: Duration = Duration::from_millis(250);

type Slabs = Result<BTreeMap<String, SlabObjects>, OsError>;

/// Opens a population with `executable`'s halves, has the client end it, and counts what is left. All but the lifetime.
///
/// # Errors
/// What kept it from being measured at all; a figure that only root may have is `null`, with the reason.
pub(in crate::experiment::lifecycle) fn time_wait_memory(
    plan: &TurnoverPlan,
    executable: &Path,
    observer: &mut dyn Observer,
) -> Result<TimeWaitRecord, ExperimentError> {
    on_stage(&plan.cost, executable, observer, |stage| {
        measure(stage, plan)
    })
}

fn measure(stage: &mut Stage<'_>, plan: &TurnoverPlan) -> Result<TimeWaitRecord, ExperimentError> {
    trial::wait_for_drain(stage)?;
    stage.sampler.next_trial();
    let spec = spec(
        &plan.cost,
        ("time-wait", "memory"),
        (0, (0, 1)),
        2 * FREED_WITHIN,
    );
    let mut halves = trial::start(stage, &spec, |_, _| {})?;
    let pids = halves.both()?;
    let listening = in_use(pids)?;
    trial::hold(stage, &spec, &mut halves, "settle", FREED_WITHIN)?;
    let before = slab_objects();
    open(stage, &spec, &mut halves)?;
    trial::hold(stage, &spec, &mut halves, "steady", FREED_WITHIN)?;
    let established = halves.load.report()?.totals.open;
    let held = slab_objects();
    end_all(&mut halves, Ending::ClientFin)?;
    wait_until_gone(stage, &halves, listening)?;
    trial::hold(stage, &spec, &mut halves, "drain", FREED_WITHIN)?;
    let waiting = apart(&halves, count_time_wait)?;
    let after = slab_objects();
    let most = in_network_of(pids.1, || sysctl("net.ipv4.tcp_max_tw_buckets"))?;
    trial::end(stage, &spec, halves)?;

    let mut record = TimeWaitRecord {
        measured_with: waiting.1,
        most: most.and_then(|text| text.parse().ok()),
        ..TimeWaitRecord::default()
    };
    let mut absent = |key: &str, why: String| {
        record.absent.insert(key.to_owned(), why);
    };
    absent("lifetime_ns", "it was not waited for".to_owned());
    if record.most.is_none() {
        let why = "net.ipv4.tcp_max_tw_buckets is not to be read here".to_owned();
        absent("most", why);
    }
    match grown(&WAITING_CACHES, (&before, &after), waiting.1) {
        Ok(caches) => {
            record.bytes_per_socket = Some(caches.values().sum());
            record.caches = caches;
        }
        Err(why) => absent("bytes_per_socket", why),
    }
    // Both ends of every connection are sockets of this machine.
    match grown(&SOCKET_CACHES, (&before, &held), 2 * established) {
        Ok(caches) => record.bytes_per_established_socket = Some(caches.values().sum()),
        Err(why) => absent("bytes_per_established_socket", why),
    }
    Ok(record)
}

/// How much the caches grew for each of `sockets`, bytes, by the names of what they hold; caches that did not grow are
/// left out.
fn grown(
    names: &[&str],
    (before, after): (&Slabs, &Slabs),
    sockets: u64,
) -> Result<BTreeMap<String, u64>, String> {
    let before = before.as_ref().map_err(ToString::to_string)?;
    let after = after.as_ref().map_err(ToString::to_string)?;
    let shared = names.iter().map(|name| (*name, merged_with(name)));
    growth(shared, (before, after), sockets)
}

fn growth<'a>(
    names: impl Iterator<Item = (&'a str, Vec<String>)>,
    (before, after): (
        &BTreeMap<String, SlabObjects>,
        &BTreeMap<String, SlabObjects>,
    ),
    sockets: u64,
) -> Result<BTreeMap<String, u64>, String> {
    if sockets == 0 {
        return Err("there was no socket to measure it with".to_owned());
    }
    // Caches that are merged are listed once, under one of their names.
    let mut listed: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for (name, aliases) in names {
        let found = aliases
            .iter()
            .find_map(|alias| after.get_key_value(alias.as_str()));
        if let Some((key, _)) = found {
            listed.entry(key).or_default().push(name);
        }
    }
    if listed.is_empty() {
        return Err("its caches are merged into others: boot with slab_nomerge".to_owned());
    }
    let caches = listed.into_iter().filter_map(|(cache, names)| {
        let last = after.get(cache)?;
        let first = before.get(cache).map_or(0, |objects| objects.active);
        let bytes = last.active.saturating_sub(first) * last.bytes;
        let each = (bytes + sockets / 2) / sockets;
        (each > 0).then(|| (names.join(" + "), each))
    });
    Ok(caches.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caches(of: &[(&str, u64, u64)]) -> BTreeMap<String, SlabObjects> {
        of.iter()
            .map(|(name, active, bytes)| {
                let objects = SlabObjects {
                    active: *active,
                    bytes: *bytes,
                };
                ((*name).to_owned(), objects)
            })
            .collect()
    }

    fn alone<'a>(name: &&'a str) -> (&'a str, Vec<String>) {
        (name, vec![(*name).to_owned()])
    }

    #[test]
    fn each_cache_counts_by_what_it_grew() {
        let before = caches(&[("tw_sock_TCP", 100, 256), ("epi", 50, 128), ("other", 0, 8)]);
        let after = caches(&[
            ("tw_sock_TCP", 1_100, 256),
            ("epi", 2_050, 128),
            ("other", 9, 8),
        ]);
        let merged = vec!["epi".to_owned(), "bind".to_owned(), "bind2".to_owned()];
        let names = [
            alone(&"tw_sock_TCP"),
            ("bind", merged.clone()),
            ("bind2", merged),
        ];
        let found = growth(names.into_iter(), (&before, &after), 1_000).unwrap();
        assert_eq!(found["tw_sock_TCP"], 256);
        assert_eq!(found["bind + bind2"], 256, "once, though two are in it");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn without_sockets_or_caches_there_is_a_reason() {
        let slabs = caches(&[("TCP", 1, 2368)]);
        let of = |names: &[&'static str], sockets| {
            growth(names.iter().map(alone), (&slabs, &slabs), sockets)
        };
        assert!(of(&["TCP"], 0).unwrap_err().contains("no socket"));
        assert!(
            of(&["tw_sock_TCP"], 5)
                .unwrap_err()
                .contains("slab_nomerge")
        );
        assert!(of(&["TCP"], 5).unwrap().is_empty(), "it did not grow");
    }

    #[test]
    fn what_may_not_be_read_is_told() {
        let denied = || -> Slabs {
            Err(OsError::Missing {
                path: "/proc/slabinfo".to_owned(),
                what: "x".to_owned(),
            })
        };
        let why = grown(&["TCP"], (&denied(), &denied()), 5).unwrap_err();
        assert!(why.contains("/proc/slabinfo"), "{why}");
    }
}
