//! The checks that bound a number of connections: what each allows, and what lifts it for a number that is asked.
//!
//! Pure. Each is handed the host's facts, the question and the number to judge at; its bound does not depend on that
//! number, what is needed and what lifts it do. The arithmetic and its source stand at each check.

use super::facts::{Facts, Tracking};
use super::finding::{Change, Finding, Verdict};
use super::rings::{io_uring, locked_memory, map_count, open_files};
use super::{Question, Side, plural};
use crate::load::loopback_targets;
use crate::os::cgroup::GroupLimit;
use crate::os::memory::SystemMemory;
use crate::units::{HumanBytes, HumanCount};

/// One check.
pub(super) type Check = fn(&Facts, &Question, u64) -> Finding;

/// All of them; where two bound alike, the earlier is the first limit.
pub(super) const BOUNDS: [Check; 10] = [
    io_uring,
    memory,
    group_memory,
    open_files,
    locked_memory,
    file_max,
    ports,
    tracking,
    map_count,
    group_tasks,
];
/// Page cache that it pays to give back.
const WORTH_DROPPING: u64 = 256 << 20;
/// Files of both halves, their rings and listeners, and of who else starts meanwhile.
const OTHER_FILES: u64 = 1_024;
/// Tasks of both halves besides their core threads, and of the experiment.
const OTHER_TASKS: u64 = 16;

pub(super) fn bound(
    name: &'static str,
    found: String,
    needed: String,
    most: Option<u64>,
) -> Finding {
    Finding {
        name,
        found,
        needed,
        verdict: most.map_or(Verdict::Fine, Verdict::Limits),
        why: String::new(),
        remedies: Vec::new(),
    }
}

impl Finding {
    pub(super) fn because(self, why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            ..self
        }
    }

    /// What lifts it, where it stands against `connections`; to ask for fewer is always last.
    pub(super) fn lifted_by(self, connections: u64, mut remedies: Vec<Change>) -> Self {
        if !self.matters_at(connections) {
            return self;
        }
        remedies.extend(self.verdict.most().map(Change::Fewer));
        Self { remedies, ..self }
    }
}

/// Measured bytes per connection against what sockets may take: free pages and half of the clean page cache, not
/// `MemAvailable`, which counts inodes and dentries of live sockets ([`SystemMemory::usable`]).
fn memory(facts: &Facts, question: &Question, n: u64) -> Finding {
    let alone = SystemMemory {
        cgroup_room: None,
        ..facts.memory
    };
    let (usable, reserve) = (alone.usable(), facts.host.reserve_bytes);
    let most = usable.saturating_sub(reserve) / question.bytes_each();
    let needed = question.bytes(n) + reserve;
    let lacking = needed.saturating_sub(usable);
    let held = facts.memory.clean_cache - facts.memory.clean_cache / 2;
    // A hundredth of what is added is kept back, see `reserve`.
    let more = Change::MoreMemory(lacking + lacking / 99 + (1 << 20));
    let mut remedies = if lacking <= held {
        vec![Change::DropCaches]
    } else {
        vec![more]
    };
    if lacking > held && held > WORTH_DROPPING {
        remedies.push(Change::DropCaches);
    }
    if question.side == Side::Both {
        remedies.push(Change::OtherHost);
    }
    bound(
        "memory",
        format!("{} usable", HumanBytes(usable)),
        HumanBytes(needed).to_string(),
        Some(most),
    )
    .because(format!(
        "a connection takes {} B ({}), {} are kept back, and half of the page cache counts as free",
        HumanCount(question.bytes_each()),
        match question.side {
            Side::Both => "both ends",
            Side::Server | Side::Load => "one end",
        },
        HumanBytes(reserve)
    ))
    .lifted_by(n, remedies)
}

/// The same against the tightest memory cgroup: sockets are charged to the group that makes them.
fn group_memory(facts: &Facts, question: &Question, n: u64) -> Finding {
    let reserve = facts.host.reserve_bytes;
    let needed = question.bytes(n) + reserve;
    let text = HumanBytes(needed).to_string();
    let Some(GroupLimit { file, limit, room }) = &facts.group_memory else {
        return bound("cgroup memory", "no limit".to_owned(), text, None)
            .because("no control group bounds memory here");
    };
    let most = room.saturating_sub(reserve) / question.bytes_each();
    let raise = Change::Group {
        file: file.clone(),
        value: limit + needed.saturating_sub(*room),
    };
    bound(
        "cgroup memory",
        format!("{} left of {}", HumanBytes(*room), HumanBytes(*limit)),
        text,
        Some(most),
    )
    .because("sockets are charged to the control group of the process that makes them")
    .lifted_by(n, vec![raise])
}

/// `fs.file-max`. A direct descriptor takes no number, but its socket is a `struct file` all the same, counted by
/// `alloc_empty_file` (`fs/file_table.c`), which exempts `CAP_SYS_ADMIN`.
fn file_max(facts: &Facts, question: &Question, n: u64) -> Finding {
    let needed = n.saturating_mul(question.ends()) + OTHER_FILES;
    let text = HumanCount(needed).to_string();
    let Some((open, most)) = facts.files else {
        return unknown("fs.file-max", text);
    };
    let found = format!("{} free", HumanCount(most.saturating_sub(open)));
    if facts.privileges.system_administrator {
        let found = format!("{found}, exempt");
        return bound("fs.file-max", found, text, None).because("CAP_SYS_ADMIN exempts this user");
    }
    let room = most.saturating_sub(open + OTHER_FILES) / question.ends();
    bound("fs.file-max", found, text, Some(room))
        .because("every socket is an open file of the machine, a direct descriptor too")
        .lifted_by(
            n,
            vec![Change::Sysctl {
                name: "fs.file-max",
                value: open + needed,
            }],
        )
}

pub(super) fn unknown(name: &'static str, needed: String) -> Finding {
    Finding {
        verdict: Verdict::Unknown,
        ..bound(name, "unknown".to_owned(), needed, None)
    }
    .because("the host does not show it here")
}

/// Ports: each pair of source address and target has `net.ipv4.ip_local_port_range` once (`ip(7)`). On loopback ringbeat
/// has 65,536 targets in 127.0.0.0/8 to itself and fills half a range on each.
fn ports(facts: &Facts, question: &Question, n: u64) -> Finding {
    let (low, high) = facts.host.ephemeral;
    let range = (u64::from(high.saturating_sub(low)) + 1).saturating_sub(facts.reserved_ports);
    let found = format!("{} a pair", HumanCount(range));
    let pairs_for = |n: u64| n.div_ceil(range.max(1)).max(1);
    match question.side {
        Side::Server => bound("ip_local_port_range", found, "1".to_owned(), None)
            .because("a server's connections share its port"),
        Side::Both => {
            let targets = loopback_targets(n, 1, facts.host.ephemeral).len() as u64;
            let needed = format!("{} target{}", HumanCount(targets), plural(targets));
            bound("ip_local_port_range", found, needed, Some(range << 16))
                .because("over loopback ringbeat connects to as many addresses of 127.0.0.0/8 as it takes")
                .lifted_by(n, vec![Change::Ports(1_024, 65_535)])
        }
        Side::Load => {
            let pairs = pairs_for(n);
            let needed = format!("{} pair{} of addresses", HumanCount(pairs), plural(pairs));
            let most = range.saturating_mul(question.pairs);
            let mut remedies = vec![Change::Pairs(pairs), Change::Ports(1_024, 65_535)];
            // More ports alone do where they do.
            if n <= (65_535 - 1_024) * question.pairs && facts.reserved_ports == 0 {
                remedies.swap(0, 1);
            }
            bound("ip_local_port_range", found, needed, Some(most))
                .because("each pair of source address and target has the range of ports once")
                .lifted_by(n, remedies)
        }
    }
}

/// `net.netfilter.nf_conntrack_max`: one entry for each connection, also over loopback, where a connection passes the
/// same table twice with one tuple (`nf_conntrack_in`); a full table drops the SYN.
fn tracking(facts: &Facts, _: &Question, n: u64) -> Finding {
    let name = "nf_conntrack_max";
    let needed = HumanCount(n).to_string();
    match facts.tracking {
        Tracking::Absent => bound(name, "not loaded".to_owned(), "0".to_owned(), None)
            .because("connections are not tracked"),
        Tracking::Idle { most } => bound(name, HumanCount(most).to_string(), "0".to_owned(), None)
            .because("loaded, but no rule makes it track connections in this network namespace"),
        Tracking::On { tracked, most } => {
            let value = (n + tracked).next_multiple_of(1 << 16);
            let found = format!("{} free", HumanCount(most.saturating_sub(tracked)));
            bound(name, found, needed, Some(most.saturating_sub(tracked)))
                .because(
                    "each connection takes an entry, and a full table drops the SYNs of the rest",
                )
                .lifted_by(
                    n,
                    vec![Change::Sysctl {
                        name: "net.netfilter.nf_conntrack_max",
                        value,
                    }],
                )
        }
    }
}

/// `pids.max` (Documentation/admin-guide/cgroup-v2.rst): core threads, and a few more; io_uring needs no workers, since
/// nothing that is submitted blocks.
fn group_tasks(facts: &Facts, question: &Question, n: u64) -> Finding {
    let name = "cgroup pids";
    let threads = u64::from(question.server_cores) + u64::from(question.load_cores) + OTHER_TASKS;
    let needed = threads.saturating_mul(question.runs) + u64::from(facts.cores);
    let text = HumanCount(needed).to_string();
    let Some(GroupLimit { file, limit, room }) = &facts.group_tasks else {
        return bound(name, "no limit".to_owned(), text, None)
            .because("no control group bounds tasks here");
    };
    let raise = Change::Group {
        file: file.clone(),
        value: limit + needed.saturating_sub(*room),
    };
    bound(
        name,
        format!("{} left", HumanCount(*room)),
        text,
        (needed > *room).then_some(0),
    )
    .because("a thread per core in each half, whatever the connections")
    .lifted_by(n, vec![raise])
}
