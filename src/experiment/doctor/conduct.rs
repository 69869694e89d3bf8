//! The checks that bound nothing: connections are held, and something is slower, dearer or more deadly than need be.
//!
//! Pure. The arithmetic and its source stand at each check.

use super::bounds::Check;
use super::facts::Facts;
use super::finding::{Change, Finding, Verdict};
use super::traffic::{backlog, hash, orphans, somaxconn, tcp_mem, time_wait};
use super::{Question, Timing};
use crate::units::{HumanBytes, HumanCount, Nanos};

/// All of them.
pub(super) const CONDUCT: [Check; 12] = [
    somaxconn,
    cpu,
    other_load,
    backlog,
    hash,
    tcp_mem,
    orphans,
    time_wait,
    congestion,
    clocksource,
    accounting,
    swap,
];

/// CPU of one exchange, both ends, at a million connections (results/2026-11-23-scale: 22.1 µs; 17.7 at 100,000 and
/// 27.4 at 2.5 million, whose sockets are further from the cache).
const EXCHANGE_NS: u64 = 22_000;
/// The share of the cores that others may have before costs are no longer ours, in percent.
const OTHERS_PERCENT: u64 = 10;
/// Swap in use that is worth a word.
const SWAPPED: u64 = 64 << 20;
/// Clocks that are read without a system call.
const FAST_CLOCKS: [&str; 6] = [
    "tsc",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
    "arch_sys_counter",
    "riscv_clocksource",
    "timebase",
];

pub(super) fn finding(
    name: &'static str,
    found: String,
    needed: String,
    why: impl Into<String>,
) -> Finding {
    Finding {
        name,
        found,
        needed,
        verdict: Verdict::Fine,
        why: why.into(),
        remedies: Vec::new(),
    }
}

impl Finding {
    /// A warning, when `is` so.
    pub(super) fn warns(self, is: bool, remedies: Vec<Change>) -> Self {
        if is {
            Self {
                verdict: Verdict::Warns,
                remedies,
                ..self
            }
        } else {
            self
        }
    }

    pub(super) fn unknown(name: &'static str, needed: String) -> Self {
        let why = "the host does not show it here";
        Self {
            verdict: Verdict::Unknown,
            ..finding(name, "unknown".to_owned(), needed, why)
        }
    }
}

/// Heartbeats a second times what one costs, against the cores less others' load.
fn cpu(facts: &Facts, question: &Question, n: u64) -> Finding {
    let quota = facts.group_core_millis.unwrap_or(u64::MAX);
    let have = (u64::from(facts.cores) * 1_000).min(quota);
    // Who is busy now will not be for ever.
    let free = have
        .saturating_sub(facts.busy_core_millis)
        .max(have / 10)
        .max(1);
    let exchange_ns = EXCHANGE_NS * question.ends() / 2;
    let need = |timing: &Timing| {
        let per_second = u128::from(n) * 1_000_000_000 / u128::from(timing.interval.0.max(1));
        u64::try_from(per_second * u128::from(exchange_ns) / 1_000_000).unwrap_or(u64::MAX)
    };
    let beating = || question.timings.iter().filter(|timing| timing.heartbeats);
    let needed: Vec<String> = beating()
        .map(|timing| format!("{} {}", cores(need(timing)), timing.name))
        .collect();
    let found = format!("{} of {} free", cores(free), cores(have));
    let excess: Vec<&Timing> = beating().filter(|timing| need(timing) > free).collect();
    let seconds = (u128::from(n) * u128::from(exchange_ns) / 1_000_000).div_ceil(u128::from(free));
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).max(1);
    let why = match excess.as_slice() {
        [] => format!(
            "an exchange is reckoned at {} µs of CPU",
            exchange_ns / 1_000
        ),
        [first, ..] => format!(
            "a heartbeat per {} s for each of {} connections takes {} cores, and {} are free: heartbeats will be late",
            first.interval.as_secs_f64(),
            HumanCount(n),
            cores(need(first)),
            cores(free)
        ),
    };
    let needed = if needed.is_empty() {
        "little".to_owned()
    } else {
        needed.join(", ")
    };
    finding("CPU", found, needed, why)
        .warns(!excess.is_empty(), vec![Change::IntervalSeconds(seconds)])
}

/// `1.9` cores, from thousandths.
fn cores(millis: u64) -> String {
    let tenths = (millis + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Others on the cores are in every cost, and make heartbeats late.
fn other_load(facts: &Facts, _: &Question, _: u64) -> Finding {
    let share = facts.busy_core_millis / 10 / u64::from(facts.cores.max(1));
    let found = format!("{share} % of the cores");
    let needed = format!("{OTHERS_PERCENT} % at most");
    let why =
        format!("others use {share} % of the cores, and what they do meanwhile is in every cost");
    finding("other load", found, needed, why)
        .warns(share > OTHERS_PERCENT, vec![Change::StopOthers])
}

/// BBR paces with a timer per socket that sends (`tcp_pacing_check`, `net/ipv4/tcp_output.c`), whose cost belongs to no
/// mechanism.
fn congestion(facts: &Facts, _: &Question, _: u64) -> Finding {
    let needed = "no pacing timers".to_owned();
    let (Some(system), Some(used)) = (&facts.congestion, &facts.congestion_used) else {
        return Finding::unknown("congestion control", needed);
    };
    let why = if system == used {
        format!("ringbeat's sockets use the system's, {used}")
    } else {
        format!("ringbeat sets {used} on its own sockets, whatever the system's is")
    };
    let paced = used.starts_with("bbr");
    let why = if paced {
        format!("{why}: it arms a pacing timer for each send, a cost of no mechanism's")
    } else {
        why
    };
    finding("congestion control", system.clone(), needed, why).warns(paced, vec![Change::Cubic])
}

/// A clock that needs a device register or a system call makes every reading of the time dear (vdso(7)).
fn clocksource(facts: &Facts, _: &Question, _: u64) -> Finding {
    let source = &facts.clocksource;
    let needed = "read without a system call".to_owned();
    if source == "unknown" {
        return Finding::unknown("clocksource", needed);
    }
    let slow = !FAST_CLOCKS.contains(&source.as_str());
    let better = FAST_CLOCKS
        .iter()
        .find(|name| facts.clocksources.iter().any(|there| there == *name));
    let why = if slow {
        format!(
            "the kernel reads the time from {source}: every look is a system call, whose cost is in every figure"
        )
    } else {
        "a look at the time costs some tens of nanoseconds".to_owned()
    };
    let remedies = better.map(|name| Change::Clocksource((*name).to_owned()));
    finding("clocksource", source.clone(), needed, why).warns(slow, remedies.into_iter().collect())
}

/// How the kernel counts CPU time of interrupts (`CONFIG_IRQ_TIME_ACCOUNTING`).
fn accounting(facts: &Facts, _: &Question, _: u64) -> Finding {
    let name = "CPU accounting";
    let needed = "idle time".to_owned();
    let hz = facts.host.hz;
    match facts.exact_interrupt_time {
        None => Finding::unknown(name, needed),
        Some(true) => finding(
            name,
            "exact".to_owned(),
            needed,
            "interrupts are measured, not sampled",
        ),
        Some(false) => finding(
            name,
            format!("sampled at HZ {hz}"),
            needed,
            "the split by user, system and softirq is an estimate; costs rest on idle time, which is exact",
        ),
    }
}

/// Sockets are never swapped, other pages are: while they come back, heartbeats are late.
fn swap(facts: &Facts, _: &Question, _: u64) -> Finding {
    let needed = "none in use".to_owned();
    let Some((used, total)) = facts.swap_bytes else {
        return Finding::unknown("swap", needed);
    };
    let found = if total == 0 {
        "none".to_owned()
    } else {
        format!("{} in use", HumanBytes(used))
    };
    let why = format!(
        "{} of swap are in use: sockets are never swapped out, but pages that come back make heartbeats late",
        HumanBytes(used)
    );
    finding("swap", found, needed, why).warns(used >= SWAPPED, vec![Change::SwapOff])
}

impl Timing {
    /// Heartbeats every `interval` and keepalive at one end, the connections opened within one interval.
    #[must_use]
    pub fn new(name: &str, interval: Nanos, keepalive_idle_s: u32) -> Self {
        Self {
            name: name.to_owned(),
            interval,
            heartbeats: true,
            keepalive_idle_s,
            keepalive_ends: 1,
            ramp: interval,
        }
    }
}
