//! Reasons to doubt a run on several hosts: connections that are not there, counts that do not meet, hosts unlike the others.
//!
//! Pure. Looks at the rows alone, so that it finds the same however they were brought together. A host is *far off* when its
//! figure is more than three times the median of the load generators and by more than a floor above it, the same floor for
//! all: robust against the bad host itself, and silent where all are small. With fewer than three hosts nobody is.

mod counts;

use super::fit::shards_in_words;
use super::overlap::{Overlap, overlap};
use super::{hosts, load_name, missing, server_name};
use crate::record::{Config, FleetHost, FleetRecord, LoadHost, Warning};
use crate::units::{HumanCount, HumanNanos};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Every code an audit uses: a merge drops those its parts carry, and looks anew.
pub(super) const CODES: [&str; 14] = [
    "clocks-not-compared",
    "heartbeats-astray",
    "host-drops",
    "host-lagged",
    "host-rtt-far-off",
    "host-slow-ramp",
    "host-stopped",
    "hosts-not-held",
    "server-counts-differ",
    "server-missing",
    SHARDS_MISSING,
    "source-address-shared",
    "window-missing",
    "windows-apart",
];

/// Of a record that lacks hosts.
pub(super) const SHARDS_MISSING: &str = "shards-missing";
/// Names told before the rest is a number.
const TOLD: usize = 8;
/// How many times the median is far off.
const FAR: u64 = 3;
const MIN_HOSTS: usize = 3;
/// A ramp that is slower by less than this is not worth a word.
const RAMP_FLOOR_NS: u64 = 1_000_000_000;

/// Everything doubtful about the hosts of `fleet`, which ran with `config`.
#[must_use]
pub fn audit(fleet: &FleetRecord, config: &Config) -> Vec<Warning> {
    let found = [
        not_held(fleet),
        stopped(fleet),
        windows(fleet),
        counts::of_connections(fleet),
        counts::of_heartbeats(fleet, config),
        lagged(fleet, config),
        rtt(fleet, config),
        slow_ramp(fleet),
        drops(fleet),
        shared_addresses(fleet),
    ];
    found.into_iter().flatten().collect()
}

fn warning(code: &str, invalidates: bool, message: String, advice: &str) -> Warning {
    Warning {
        code: code.to_owned(),
        message,
        advice: advice.to_owned(),
        invalidates,
    }
}

/// The first few of `names`, and how many more there are.
pub(super) fn some_of(names: &[String]) -> String {
    let told = names.iter().take(TOLD).cloned().collect::<Vec<_>>();
    match names.len().saturating_sub(TOLD) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

fn said(names: &[String], say: impl Fn(String) -> Warning) -> Option<Warning> {
    (!names.is_empty()).then(|| say(some_of(names)))
}

/// Asked for, established, held: the same number on every host, and none lost on the way: a connection that came back was
/// not held.
fn not_held(fleet: &FleetRecord) -> Option<Warning> {
    let loads = fleet.loads.iter().filter_map(|load| {
        let numbers = [
            load.connections_asked,
            load.connections_established,
            load.connections_held_at_end,
        ];
        let kernel = load.kernel_held.filter(|held| *held < numbers[2]);
        let lost = load.connections_lost.values().any(|count| *count > 0);
        let same = numbers[0] == numbers[1] && numbers[1] == numbers[2];
        let whole = same && !lost && kernel.is_none();
        (!whole).then(|| short(load, numbers, kernel))
    });
    let server = fleet.server.as_ref().and_then(|server| {
        let held = server.connections_held_at_end;
        let kernel = server.kernel_held.filter(|kernel| *kernel < held)?;
        Some(format!(
            "{} held {}, its kernel holds {}",
            server_name(server),
            HumanCount(held),
            HumanCount(kernel)
        ))
    });
    let names: Vec<String> = loads.chain(server).collect();
    said(&names, |names| {
        warning(
            "hosts-not-held",
            true,
            format!("not all connections were there to the end: {names}"),
            "look at the causes: what failed to open needs ports, an accept queue or memory (`ringbeat doctor`), what was \
             lost needs its cause removed; then measure again",
        )
    })
}

fn short(load: &LoadHost, [asked, established, held]: [u64; 3], kernel: Option<u64>) -> String {
    let mut text = format!(
        "{} asked for {}, established {}, held {}",
        load_name(load),
        HumanCount(asked),
        HumanCount(established),
        HumanCount(held)
    );
    if load.reconnects_established > 0 {
        let back = HumanCount(load.reconnects_established);
        write!(text, " after {back} reconnects").unwrap_or_default();
    }
    if let Some(kernel) = kernel {
        write!(text, ", its kernel holds {}", HumanCount(kernel)).unwrap_or_default();
    }
    let causes = load.connections_lost.iter().chain(&load.connects_failed);
    let causes: Vec<String> = causes
        .filter(|(_, count)| **count > 0)
        .map(|(cause, count)| format!("{cause} × {}", HumanCount(*count)))
        .collect();
    if !causes.is_empty() {
        write!(text, " ({})", causes.join(", ")).unwrap_or_default();
    }
    text
}

fn stopped(fleet: &FleetRecord) -> Option<Warning> {
    let names = hosts(fleet).filter_map(|(name, host)| {
        let why = host.stopped.as_ref()?;
        Some(format!("{name}: {why}"))
    });
    said(&names.collect::<Vec<_>>(), |names| {
        warning(
            "host-stopped",
            true,
            format!("a part was cut short ({names})"),
            "remove the cause and measure again; what was measured until then is kept",
        )
    })
}

/// Hosts of which there is no record. A host's own record knows of no other; a merge does.
pub(super) fn coverage(fleet: &FleetRecord) -> impl Iterator<Item = Warning> {
    [absent_shards(fleet), absent_server(fleet)]
        .into_iter()
        .flatten()
}

fn absent_shards(fleet: &FleetRecord) -> Option<Warning> {
    let missing = missing(fleet);
    (!missing.is_empty()).then(|| {
        warning(
            SHARDS_MISSING,
            false,
            format!(
                "of {} shards, {} not in this record: every sum is of a part",
                fleet.shards,
                shards_in_words(&missing)
            ),
            "merge this with the folders that are missing",
        )
    })
}

fn absent_server(fleet: &FleetRecord) -> Option<Warning> {
    fleet.server.is_none().then(|| {
        warning(
            "server-missing",
            false,
            "the server's own record is not among them: its CPU, memory and counts are not known"
                .to_owned(),
            "let `ringbeat serve --out` keep it, and merge its folder too",
        )
    })
}

/// Clocks that were never compared: those at `places`.
fn unplaced(all: &[(String, &FleetHost)], places: &[usize]) -> Warning {
    if let Some((earlier, later)) = apart_by_word(all) {
        return warning(
            "windows-apart",
            true,
            format!(
                "{earlier} had closed its window before {later} opened its own, by their own clocks, which were never \
                 compared and are taken at their word"
            ),
            "start the hosts through a rendezvous, which compares their clocks, or set the clocks and give all the same \
             --start-at; then measure again",
        );
    }
    let names: Vec<String> = places.iter().map(|place| all[*place].0.clone()).collect();
    warning(
        "clocks-not-compared",
        false,
        format!(
            "whether all windows were open at once cannot be told: no offset with a bound is known of the clock of {}",
            some_of(&names)
        ),
        "start the hosts through a rendezvous, which compares their clocks",
    )
}

/// Two hosts, by name, of which the first had closed its window when the second opened its own, if every clock is
/// right that was not compared.
fn apart_by_word<'a>(all: &'a [(String, &FleetHost)]) -> Option<(&'a str, &'a str)> {
    let placed = all.iter().filter_map(|(name, host)| {
        let window = host.window.as_ref()?;
        let offset = i128::from(window.clock.offset_ns.unwrap_or(0));
        let opened = i128::from(window.opened_epoch_ns) + offset;
        Some((name.as_str(), opened, opened + i128::from(window.length_ns)))
    });
    let placed: Vec<(&str, i128, i128)> = placed.collect();
    let earlier = placed.iter().min_by_key(|(_, _, closed)| *closed)?;
    let later = placed.iter().max_by_key(|(_, opened, _)| *opened)?;
    (earlier.2 <= later.1 && earlier.0 != later.0).then_some((earlier.0, later.0))
}

fn windows(fleet: &FleetRecord) -> Option<Warning> {
    let all: Vec<(String, &FleetHost)> = hosts(fleet).collect();
    let only: Vec<&FleetHost> = all.iter().map(|(_, host)| *host).collect();
    let named = |places: &[usize]| {
        let names: Vec<String> = places.iter().map(|place| all[*place].0.clone()).collect();
        some_of(&names)
    };
    match overlap(&only) {
        Overlap::AtLeast {
            at_least_ns,
            longest_ns,
        } => (u128::from(at_least_ns) * 10 < u128::from(longest_ns) * 9).then(|| {
            let shown = if at_least_ns == 0 {
                "perhaps not at all".to_owned()
            } else {
                format!("for {} at least", HumanNanos(at_least_ns))
            };
            warning(
                "windows-apart",
                true,
                format!(
                    "all windows were open at once {shown}, of {} each: less than nine tenths",
                    HumanNanos(longest_ns)
                ),
                "start the hosts through a rendezvous, or compare their clocks better, and measure again",
            )
        }),
        Overlap::Apart { earlier, later, .. } => Some(warning(
            "windows-apart",
            true,
            format!(
                "{} had closed its window before {} opened its own",
                all[earlier].0, all[later].0
            ),
            "start the hosts together and measure again",
        )),
        Overlap::Missing(places) => Some(warning(
            "window-missing",
            true,
            format!("no window was measured by {}", named(&places)),
            "see why it stopped, and measure again",
        )),
        Overlap::NotCompared(places) => Some(unplaced(&all, &places)),
    }
}

/// Those of `figures` that are far off, with the median.
fn far_off(mut figures: Vec<(String, u64)>, floor: u64) -> (u64, Vec<(String, u64)>) {
    let mut sorted: Vec<u64> = figures.iter().map(|(_, figure)| *figure).collect();
    sorted.sort_unstable();
    if sorted.len() < MIN_HOSTS {
        return (0, Vec::new());
    }
    // Of an even number the lower middle one: half bad hosts must not hide each other.
    let median = sorted[(sorted.len() - 1) / 2];
    figures.retain(|(_, figure)| {
        *figure > median.saturating_mul(FAR) && figure.saturating_sub(median) > floor
    });
    (median, figures)
}

fn p99s(fleet: &FleetRecord, histogram: &str) -> Vec<(String, u64)> {
    let of = |load: &LoadHost| {
        let stored = load.histograms.get(histogram);
        let stored = stored.filter(|stored| stored.count > 0)?;
        Some((load_name(load), stored.p99))
    };
    fleet.loads.iter().filter_map(of).collect()
}

fn with_span((name, figure): &(String, u64)) -> String {
    format!("{name} {}", HumanNanos(*figure))
}

fn tick_ns(config: &Config) -> u64 {
    config.tick_us.saturating_mul(1_000)
}

fn rtt(fleet: &FleetRecord, config: &Config) -> Option<Warning> {
    let (median, far) = far_off(p99s(fleet, "rtt"), tick_ns(config));
    let names: Vec<String> = far.iter().map(with_span).collect();
    said(&names, |names| {
        warning(
            "host-rtt-far-off",
            false,
            format!(
                "round trips of a host are far off the others': p99 {names}, the hosts' median {}",
                HumanNanos(median)
            ),
            "look at that host's CPU, steal and network before the tail over all hosts is quoted; its own row and curve are \
             in the report",
        )
    })
}

/// Schedules that were not kept: heartbeats half an interval late, fewer than due, or far later than on the other hosts.
fn lagged(fleet: &FleetRecord, config: &Config) -> Option<Warning> {
    let lags = p99s(fleet, "schedule_lag");
    let half_ms = config.heartbeat_interval_ms / 2;
    let late = |lag: u64| lag > half_ms.saturating_mul(1_000_000);
    let (_, far) = far_off(lags.clone(), tick_ns(config));
    let mut broken: Vec<String> = lags
        .iter()
        .filter(|(_, lag)| late(*lag))
        .map(|lag| format!("{} late (p99)", with_span(lag)))
        .collect();
    broken.extend(fewer(fleet, config));
    let invalidates = !broken.is_empty();
    let far = far.iter().filter(|(_, lag)| !late(*lag));
    let names: Vec<String> = broken
        .into_iter()
        .chain(far.map(|lag| format!("{} late (p99), far off the others", with_span(lag))))
        .collect();
    said(&names, |names| {
        warning(
            "host-lagged",
            invalidates,
            format!("a host did not keep its schedule of heartbeats: {names}"),
            "give that host fewer connections or more cores, and nothing else to do; then measure again",
        )
    })
}

/// Hosts that sent less than 95 of a hundred heartbeats due. Whether a host is to send any is the arm's matter: one that is
/// and sends none has kept nothing.
fn fewer(fleet: &FleetRecord, config: &Config) -> Vec<String> {
    let loads = fleet.loads.iter().map(|load| {
        let sent = (load.connections_held_at_end, load.heartbeats_sent);
        (load_name(load), &load.host, sent)
    });
    let server = fleet.server.iter().map(|server| {
        let sent = (server.connections_held_at_end, server.heartbeats_sent);
        (server_name(server), &server.host, sent)
    });
    let senders: Vec<(String, &FleetHost, (u64, u64))> = match fleet.arm.as_str() {
        "heartbeat" | "heartbeat-oneway" | "both" => loads.collect(),
        "heartbeat-push" => server.collect(),
        _ => Vec::new(),
    };
    let few = senders
        .into_iter()
        .filter_map(|(name, host, (held, sent))| {
            let window = host.window.as_ref()?;
            let due = due(held, window.length_ns, config)?;
            // One at the window's edge is nobody's fault.
            (u128::from(sent.saturating_add(1)) * 100 < due * 95).then(|| {
                format!(
                    "{name} sent {} heartbeats of {} due",
                    HumanCount(sent),
                    HumanCount(u64::try_from(due).unwrap_or(u64::MAX))
                )
            })
        });
    few.collect()
}

/// Heartbeats that `connections` owe in a window: so many intervals as it is long, of which a part of one counts only where
/// heartbeats are spread over the interval.
fn due(connections: u64, window_ns: u64, config: &Config) -> Option<u128> {
    let interval_ns = config.heartbeat_interval_ms.saturating_mul(1_000_000);
    let (connections, window) = (u128::from(connections), u128::from(window_ns));
    let interval = u128::from(interval_ns);
    if interval == 0 {
        return None;
    }
    Some(if config.phases == "aligned" {
        connections * (window / interval)
    } else {
        connections * window / interval
    })
}

fn slow_ramp(fleet: &FleetRecord) -> Option<Warning> {
    let took = |load: &LoadHost| Some((load_name(load), load.opened_in_ns?));
    let ramps = fleet.loads.iter().filter_map(took).collect();
    let (median, far) = far_off(ramps, RAMP_FLOOR_NS);
    let names: Vec<String> = far.iter().map(with_span).collect();
    said(&names, |names| {
        warning(
            "host-slow-ramp",
            false,
            format!(
                "a host opened its connections far slower than the others: {names}, the hosts' median {}",
                HumanNanos(median)
            ),
            "look for SYNs that were sent again on that host, and for what stands between it and the server",
        )
    })
}

fn drops(fleet: &FleetRecord) -> Option<Warning> {
    let names = hosts(fleet).filter_map(|(name, host)| {
        let dropped = host.backlog_drops.filter(|dropped| *dropped > 0)?;
        Some(format!("{name} {}", HumanCount(dropped)))
    });
    said(&names.collect::<Vec<_>>(), |names| {
        warning(
            "host-drops",
            false,
            format!("the kernel's backlog dropped packets in the window: {names}"),
            "raise net.core.netdev_max_backlog there, or spread the load over more cores",
        )
    })
}

/// Every host, and every network namespace, has these for itself (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3).
fn is_loopback(address: &str) -> bool {
    address.starts_with("127.") || address == "::1"
}

/// Source addresses that hosts of different names have in common. Several load generators of one machine may share one, and
/// behind a translator of addresses (NAT) hosts may look alike to themselves; so it is a doubt and no refusal.
fn shared_addresses(fleet: &FleetRecord) -> Option<Warning> {
    let mut owners: BTreeMap<&String, Vec<&LoadHost>> = BTreeMap::new();
    for load in &fleet.loads {
        for address in load.source_addresses.iter().filter(|one| !is_loopback(one)) {
            owners.entry(address).or_default().push(load);
        }
    }
    let shared = owners.iter().filter_map(|(address, loads)| {
        let machines: BTreeSet<&String> = loads.iter().map(|load| &load.host.name).collect();
        let names: Vec<String> = loads.iter().map(|load| load_name(load)).collect();
        (machines.len() > 1).then(|| format!("{address} ({})", some_of(&names)))
    });
    said(&shared.collect::<Vec<_>>(), |shared| {
        warning(
            "source-address-shared",
            false,
            format!("hosts of different names have one source address: {shared}"),
            "where that is no translator of addresses (NAT), give each host its own, so that they do not take ports from one \
             another",
        )
    })
}
