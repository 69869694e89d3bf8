//! The checks of the rings: whether there may be any, how many it takes, and what each of them is charged to.
//!
//! Pure. As the other bounds; the arithmetic and its source stand at each check.

use super::bounds::{bound, unknown};
use super::facts::{Facts, Rings};
use super::finding::{Change, Finding};
use super::{Question, Side, plural};
use crate::bank::{EngineKind, RingPlan};
use crate::units::{HumanBytes, HumanCount};

/// More connections than any host holds; what allows so many bounds nothing.
const CEILING: u64 = 1 << 32;
/// Descriptors of a process besides its connections, see [`RingPlan`].
const OTHER_DESCRIPTORS: u64 = 64;
/// Bytes of one ring's queues as charged to `RLIMIT_MEMLOCK`: 8,192 completions of 16 B with their head (33 pages) and 512
/// submissions of 64 B (8 pages). Found with `prlimit --memlock` on Linux 6.18: a server of two rings, whose
/// self test makes a third, starts with 123 pages and not with 120.
const RING_BYTES: u64 = 41 << 12;
/// What a ring that streams has besides: 1,024 buffers' entries of 16 B.
const STREAM_BYTES: u64 = 16 << 10;
/// Rings of the self tests, whose memory comes back a moment after they are closed.
const RINGS_IN_PASSING: u64 = 2;
/// Mappings of one ring: one for each queue, counted in `/proc/PID/maps` of a server with 66 of them, and as many more for
/// its larger tables.
const MAPS_PER_RING: u64 = 4;
/// Mappings of a process besides: its text, stacks and heaps.
const OTHER_MAPS: u64 = 1_024;

/// The largest number that `fits`, which every smaller one does too; `None` when all do.
fn largest(fits: impl Fn(u64) -> bool) -> Option<u64> {
    if fits(CEILING) {
        return None;
    }
    let (mut good, mut bad) = (0, CEILING);
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}

/// io_uring with direct descriptors, multishot polls and socket options, each tried ([`crate::ring::self_test`]).
pub(super) fn io_uring(facts: &Facts, question: &Question, n: u64) -> Finding {
    let name = "io_uring";
    let needed = "Linux 6.7, no filter";
    let finding = |found: &str, most| bound(name, found.to_owned(), needed.to_owned(), most);
    if !question.engine.has_direct_descriptors() {
        return finding("not used", None).because("--engine epoll does without");
    }
    let (finding, why, mut remedies) = match &facts.rings {
        Rings::Work { binds: true, .. } => {
            return finding("all there", None).because("every feature was tried on a small ring");
        }
        Rings::Work { .. } => {
            return finding("there, but no bind", None)
                .because("a connection cannot be bound to a source address before Linux 6.11: --source-addresses needs it");
        }
        Rings::Refused {
            disabled: Some(1 | 2),
        } => (
            finding("disabled", Some(0)),
            "the sysctl kernel.io_uring_disabled refuses it".to_owned(),
            vec![Change::Sysctl {
                name: "kernel.io_uring_disabled",
                value: 0,
            }],
        ),
        Rings::Refused { .. } => (
            finding("refused", Some(0)),
            "a seccomp profile refuses it, as container runtimes do by default".to_owned(),
            vec![Change::AllowInFilter],
        ),
        Rings::Lacks { feature, needed } if facts.privileges.filtered && facts.kernel >= (6, 7) => {
            (
                finding("hidden", Some(0)),
                format!(
                    "this kernel is new enough for {feature} (Linux {needed}), so a seccomp profile or a sandbox hides it"
                ),
                vec![Change::AllowInFilter],
            )
        }
        Rings::Lacks { feature, needed } => (
            finding("too old", Some(0)),
            format!("this kernel lacks {feature}"),
            vec![Change::Kernel(needed)],
        ),
        Rings::Fail { why } => (finding("fails", Some(0)), why.clone(), Vec::new()),
    };
    if remedies.is_empty() {
        // Not one ring could be made: locked memory is the usual reason.
        remedies.push(Change::LockedMemory(64 << 20));
    }
    remedies.push(Change::Epoll);
    finding.because(why).lifted_by(n, remedies)
}

/// The rings of each half here, of one run.
fn plans(facts: &Facts, question: &Question, n: u64, nofile: u64) -> Option<Vec<RingPlan>> {
    let somaxconn = facts.host.somaxconn;
    let n = n.div_ceil(question.runs.max(1));
    let server = || {
        RingPlan::for_engine(
            question.engine,
            n,
            question.server_cores,
            nofile,
            somaxconn,
            true,
        )
    };
    let load = || RingPlan::for_engine(question.engine, n, question.load_cores, nofile, 1, false);
    let all = match question.side {
        Side::Both => vec![server(), load()],
        Side::Server => vec![server()],
        Side::Load => vec![load()],
    };
    all.into_iter().collect::<Result<_, _>>().ok()
}

/// `RLIMIT_NOFILE`. Direct descriptors take none, but a ring's table may have no more slots than the soft limit
/// (`io_sqe_files_register`, `io_uring/rsrc.c`), which ringbeat raises to the hard one; several rings lift that, each
/// with a descriptor of its own. Both halves are processes with limits of their own.
pub(super) fn open_files(facts: &Facts, question: &Question, n: u64) -> Finding {
    let nofile = facts.host.nofile;
    let found = if facts.nofile_hard == nofile {
        HumanCount(nofile).to_string()
    } else {
        format!(
            "{} (hard {})",
            HumanCount(nofile),
            HumanCount(facts.nofile_hard)
        )
    };
    let (direct, most) = if question.engine.has_direct_descriptors() {
        (
            true,
            largest(|n| plans(facts, question, n, nofile).is_some()),
        )
    } else {
        (
            false,
            Some(
                nofile
                    .saturating_sub(OTHER_DESCRIPTORS)
                    .saturating_mul(question.runs),
            ),
        )
    };
    let enough = |limit: &u64| plans(facts, question, n, *limit).is_some();
    let doubled = (10..=32).map(|power| 1_u64 << power);
    let limit = doubled.filter(|limit| *limit > nofile).find(enough);
    let needed = match plans(facts, question, n, nofile) {
        Some(plans) if direct => plans.first().map_or_else(String::new, |plan| {
            let rings = u64::from(plan.rings_per_core);
            format!("{} ring{} a core", rings, plural(rings))
        }),
        _ if direct => {
            limit.map_or_else(|| "more".to_owned(), |limit| HumanCount(limit).to_string())
        }
        _ => HumanCount(n.saturating_add(OTHER_DESCRIPTORS)).to_string(),
    };
    let mut remedies: Vec<Change> = limit
        .map(|limit| Change::OpenFiles {
            limit,
            beyond: facts.nr_open.is_some_and(|most| limit > most),
        })
        .into_iter()
        .collect();
    if !direct {
        remedies.extend((question.engine == EngineKind::Epoll).then_some(Change::Uring));
    }
    let why = if direct {
        "it caps the table of one ring, so a core gets several; connections take no descriptor"
    } else {
        "with --engine epoll every connection is an open file"
    };
    bound("RLIMIT_NOFILE", found, needed, most)
        .because(why)
        .lifted_by(n, remedies)
}

/// Bytes charged for the rings of `plans`.
fn ring_bytes(question: &Question, plans: &[RingPlan]) -> u64 {
    let rings: u64 = plans
        .iter()
        .map(|plan| u64::from(plan.cores) * u64::from(plan.rings_per_core))
        .sum();
    let streams = question.engine == EngineKind::UringRecv;
    let each = RING_BYTES + if streams { STREAM_BYTES } else { 0 };
    let rings = rings
        .saturating_mul(question.runs)
        .saturating_add(RINGS_IN_PASSING);
    rings.saturating_mul(each)
}

/// `RLIMIT_MEMLOCK`, per user. Since Linux 6.14 a ring's queues are charged to it (`io_create_region`, `io_uring/memmap.c`)
/// unless the process has `CAP_IPC_LOCK`; both halves are the same user's.
pub(super) fn locked_memory(facts: &Facts, question: &Question, n: u64) -> Finding {
    let name = "RLIMIT_MEMLOCK";
    let nofile = facts.host.nofile;
    let need = |n| plans(facts, question, n, nofile).map(|plans| ring_bytes(question, &plans));
    let needed = need(n).map_or_else(
        || "unknown".to_owned(),
        |bytes| HumanBytes(bytes).to_string(),
    );
    let free = |found: String, why: &str| bound(name, found, needed.clone(), None).because(why);
    let limit = match facts.locked_memory_bytes {
        _ if !question.engine.has_direct_descriptors() => {
            return free("not used".to_owned(), "--engine epoll has no rings");
        }
        None => return free("no limit".to_owned(), "rings may lock what they need"),
        Some(limit) if facts.privileges.locks_memory => {
            return free(
                format!("{}, exempt", HumanBytes(limit)),
                "CAP_IPC_LOCK exempts this user",
            );
        }
        Some(limit) if facts.kernel < (6, 14) => {
            return free(
                HumanBytes(limit).to_string(),
                "rings are charged to it since Linux 6.14",
            );
        }
        Some(limit) => limit,
    };
    // Beyond what the limit on open files allows there are no rings to count.
    let all = largest(|n| plans(facts, question, n, nofile).is_some()).unwrap_or(CEILING);
    let fits = |n: u64| need(n.min(all)).is_some_and(|bytes| bytes <= limit);
    let raised = need(n).map(|bytes| Change::LockedMemory(bytes.next_multiple_of(1 << 20)));
    let fewer_rings = (nofile < 1 << 20).then_some(Change::OpenFiles {
        limit: 1 << 20,
        beyond: facts.nr_open.is_some_and(|most| most < 1 << 20),
    });
    bound(name, HumanBytes(limit).to_string(), needed, largest(fits))
        .because("every ring's queues are charged to the user's locked memory (since Linux 6.14)")
        .lifted_by(n, raised.into_iter().chain(fewer_rings).collect())
}

/// `vm.max_map_count` (Documentation/admin-guide/sysctl/vm.rst): every ring is some mappings of its process.
pub(super) fn map_count(facts: &Facts, question: &Question, n: u64) -> Finding {
    let name = "vm.max_map_count";
    let nofile = facts.host.nofile;
    let need = |n| {
        let plans = plans(facts, question, n, nofile)?;
        let rings = plans
            .iter()
            .map(|plan| u64::from(plan.cores) * u64::from(plan.rings_per_core));
        Some(rings.max().unwrap_or(0) * MAPS_PER_RING + OTHER_MAPS)
    };
    let needed = need(n).map_or_else(|| "unknown".to_owned(), |maps| HumanCount(maps).to_string());
    let Some(most) = facts.map_count else {
        return unknown(name, needed);
    };
    let all = largest(|n| plans(facts, question, n, nofile).is_some()).unwrap_or(CEILING);
    let fits = |n: u64| need(n.min(all)).is_some_and(|maps| maps <= most);
    let raised = need(n).map(|value| Change::Sysctl { name, value });
    bound(name, HumanCount(most).to_string(), needed, largest(fits))
        .because("every ring is some mappings of its process")
        .lifted_by(n, raised.into_iter().collect())
}
