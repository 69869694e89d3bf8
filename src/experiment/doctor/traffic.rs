//! The checks of what passes: packets, their queues and tables, the opening and closing of connections.
//!
//! Pure. They bound nothing; the arithmetic and its source stand at each check.

use super::conduct::finding;
use super::facts::Facts;
use super::finding::{Change, Finding};
use super::{Question, Side, Timing};
use crate::experiment::HostFacts;
use crate::load::IN_FLIGHT;
use crate::measure::keepalive::predict_burst_after_ramp;
use crate::units::HumanCount;

/// Ticks that a frame lies at either end, 8 ms each.
const IN_FLIGHT_MS: u64 = 16;
/// Sockets in one bucket of the kernel's hash table that are worth a word.
const LONG_CHAIN: u64 = 6;
/// The largest table a network namespace may have (`tcp_child_ehash_entries_max`, `net/ipv4/sysctl_net_ipv4.c`).
const LARGEST_HASH: u64 = 1 << 24;

/// `net.core.somaxconn` caps every accept queue (`__sys_listen_socket`, `net/socket.c`), and the load generator has no
/// more connects unanswered on a core than its queue holds.
pub(super) fn somaxconn(facts: &Facts, question: &Question, _: u64) -> Finding {
    let name = "somaxconn";
    let needed = HumanCount(IN_FLIGHT).to_string();
    if question.side == Side::Load {
        return finding(
            name,
            "not used".to_owned(),
            needed,
            "it is the server's host that matters",
        );
    }
    let Some(most) = facts.somaxconn else {
        return Finding::unknown(name, needed);
    };
    let short = most < IN_FLIGHT;
    let why = if short {
        format!(
            "net.core.somaxconn keeps accept queues at {most}, and a core has no more connects unanswered: they open the \
             more slowly"
        )
    } else {
        "a core has as many connects unanswered as an accept queue holds".to_owned()
    };
    let raise = Change::Sysctl {
        name: "net.core.somaxconn",
        value: 4_096,
    };
    finding(name, HumanCount(most).to_string(), needed, why).warns(short, vec![raise])
}

/// Keepalive's bursts against the input queue of a CPU, for the timing that fires the largest. Packets of a network card
/// do not pass through that queue (`netif_receive_skb` under NAPI), those of loopback and veth do (`netif_rx`).
pub(super) fn backlog(facts: &Facts, question: &Question, n: u64) -> Finding {
    let host = HostFacts {
        backlog: facts.backlog.unwrap_or(facts.host.backlog),
        ..facts.host.clone()
    };
    let probing = question
        .timings
        .iter()
        .filter(|timing| timing.keepalive_ends > 0);
    let largest = probing.max_by_key(|timing| burst_of(&host, question.server_cores, n, timing));
    let name = "netdev_max_backlog";
    match largest {
        None => finding(
            name,
            HumanCount(host.backlog).to_string(),
            "0".to_owned(),
            "no keepalive, no bursts",
        ),
        Some(_) if question.side != Side::Both => {
            let why = "packets of a network card do not wait in this queue, those of loopback and veth do";
            finding(
                name,
                HumanCount(host.backlog).to_string(),
                "0".to_owned(),
                why,
            )
        }
        Some(timing) if facts.backlog.is_none() => Finding::unknown(
            name,
            HumanCount(burst_of(&host, question.server_cores, n, timing)).to_string(),
        ),
        Some(timing) => burst(&host, question.server_cores, n, timing),
    }
}

fn burst_of(host: &HostFacts, cores: u32, n: u64, timing: &Timing) -> u64 {
    let sockets = n.saturating_mul(timing.keepalive_ends);
    predict_burst_after_ramp(
        sockets,
        timing.keepalive_idle_s,
        timing.ramp,
        host.hz,
        cores,
    )
}

/// What keepalive's bursts do to the input queues at `connections` probed as `timing` says, on `cores`.
pub(in crate::experiment) fn burst(
    host: &HostFacts,
    cores: u32,
    connections: u64,
    timing: &Timing,
) -> Finding {
    let burst = burst_of(host, cores, connections, timing);
    let found = HumanCount(host.backlog).to_string();
    let needed = HumanCount(burst).to_string();
    let name = "netdev_max_backlog";
    if burst <= host.backlog {
        let why = "packets that keepalive fires at once per CPU; all find room";
        return finding(name, found, needed, why);
    }
    let why = format!(
        "at {} connections keepalive will fire about {needed} probes at once per CPU (kernel timer wheel at HZ {}, idle \
         {} s), more than net.core.netdev_max_backlog = {} takes: expect dropped probes and healthy connections closed",
        HumanCount(connections),
        host.hz,
        timing.keepalive_idle_s,
        host.backlog
    );
    // The prediction is for an even spread; a drop-free rung is planned to seven tenths likewise.
    let value = (burst * 10).div_ceil(7).next_multiple_of(1_000);
    let raise = Change::Sysctl {
        name: "net.core.netdev_max_backlog",
        value,
    };
    finding(name, found, needed, why).warns(true, vec![raise])
}

pub(super) fn hash(facts: &Facts, question: &Question, n: u64) -> Finding {
    let buckets = facts.host.hash_buckets.filter(|buckets| *buckets > 0);
    let sockets = n.saturating_mul(question.ends());
    match buckets {
        Some(buckets) => crowding(buckets, sockets, n),
        None => Finding::unknown(
            "tcp_ehash_entries",
            HumanCount(sockets / LONG_CHAIN).to_string(),
        ),
    }
}

/// What the kernel's hash table of sockets costs when its chains are long: every packet walks one.
pub(in crate::experiment) fn crowding(buckets: u64, sockets: u64, connections: u64) -> Finding {
    let chain = sockets / buckets;
    let name = "tcp_ehash_entries";
    let found = HumanCount(buckets).to_string();
    let needed = HumanCount(sockets / LONG_CHAIN).to_string();
    if chain < LONG_CHAIN {
        let why =
            "buckets of the table that finds the socket of every packet; its chains are short";
        return finding(name, found, needed, why);
    }
    let larger = sockets.next_power_of_two().min(LARGEST_HASH);
    let why = format!(
        "the kernel finds the socket of a packet in a hash table of {found} buckets (net.ipv4.tcp_ehash_entries): at {} \
         connections some {chain} sockets share one, and every packet walks past them",
        HumanCount(connections)
    );
    finding(name, found, needed, why).warns(true, vec![Change::HashBuckets(larger)])
}

/// `net.ipv4.tcp_mem`, in pages: only queued bytes count (`sk_mem_charge`), one page at least for each socket that has
/// some; a frame under way lies in the sender's queue until it is acknowledged, and in the receiver's until it is read.
pub(super) fn tcp_mem(facts: &Facts, question: &Question, n: u64) -> Finding {
    let beating = question.timings.iter().filter(|timing| timing.heartbeats);
    let shortest = beating.map(|timing| timing.interval).min();
    let in_flight = shortest.map_or(0, |interval| {
        n.saturating_mul(question.ends())
            .saturating_mul(IN_FLIGHT_MS)
            / (interval.0 / 1_000_000).max(1)
    });
    let needed = format!("{} pages", HumanCount(in_flight));
    let Some([_, pressure, most]) = facts.tcp_mem_pages else {
        return Finding::unknown("tcp_mem", needed);
    };
    let scarce = in_flight > pressure;
    let why = if scarce {
        format!(
            "some {} pages of frames are under way at once, and net.ipv4.tcp_mem is under pressure from {}",
            HumanCount(in_flight),
            HumanCount(pressure)
        )
    } else {
        format!(
            "idle sockets take none; peers that stop reading take a page at each end, and matter from {} of them",
            HumanCount(pressure / question.ends())
        )
    };
    let raise = Change::TcpMem(in_flight.saturating_mul(2).max(most));
    finding(
        "tcp_mem",
        format!("{} pages", HumanCount(pressure)),
        needed,
        why,
    )
    .warns(scarce, vec![raise])
}

/// `net.ipv4.tcp_max_orphans` (`tcp_check_oom`, `net/ipv4/tcp.c`): sockets that were closed and are not done. It ends
/// connections with a RST that are being closed, and none that is held.
pub(super) fn orphans(facts: &Facts, _: &Question, n: u64) -> Finding {
    let needed = "0".to_owned();
    let Some(most) = facts.orphans else {
        return Finding::unknown("tcp_max_orphans", needed);
    };
    let why = if n > most {
        "bears on closing alone: what is closed beyond it at once is reset"
    } else {
        "bears on closing alone"
    };
    finding("tcp_max_orphans", HumanCount(most).to_string(), needed, why)
}

/// `net.ipv4.tcp_max_tw_buckets` (`inet_twsk_alloc`): beyond it a closed socket skips `TIME_WAIT`.
pub(super) fn time_wait(facts: &Facts, _: &Question, _: u64) -> Finding {
    let needed = "0".to_owned();
    let Some(most) = facts.time_wait else {
        return Finding::unknown("tcp_max_tw_buckets", needed);
    };
    let why = "bears on closing alone: beyond it a closed socket skips TIME_WAIT, which frees its port the sooner";
    finding(
        "tcp_max_tw_buckets",
        HumanCount(most).to_string(),
        needed,
        why,
    )
}
