//! One limit of the host held against a number of connections: found, needed, verdict, why, and what lifts it.
//!
//! Pure. The commands are for a person to run; nothing here is ever run.

use crate::units::{HumanBytes, HumanCount};
use std::path::{Path, PathBuf};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The limit, as it is called on the host; stable, scripts may look for it.
    pub name: &'static str,
    /// What the host has.
    pub found: String,
    /// What the connections need.
    pub needed: String,
    /// What it means.
    pub verdict: Verdict,
    /// The reason, in a sentence without its full stop.
    pub why: String,
    /// What lifts it, the best first; the first alone is enough for the connections it was judged at.
    pub remedies: Vec<Change>,
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It bounds nothing and disturbs nothing.
    Fine,
    /// So many connections and no more.
    Limits(u64),
    /// They are held, and something is worse than it has to be.
    Warns,
    /// The host does not tell.
    Unknown,
}

impl Verdict {
    /// A word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Limits(_) => "limits",
            Self::Warns => "warns",
            Self::Unknown => "unknown",
        }
    }

    /// The most connections, where it is a bound.
    #[must_use]
    pub const fn most(self) -> Option<u64> {
        match self {
            Self::Limits(most) => Some(most),
            Self::Fine | Self::Warns | Self::Unknown => None,
        }
    }
}

impl Finding {
    /// Whether something should be done before `connections` are opened.
    #[must_use]
    pub fn matters_at(&self, connections: u64) -> bool {
        match self.verdict {
            Verdict::Limits(most) => most < connections,
            Verdict::Warns => true,
            Verdict::Fine | Verdict::Unknown => false,
        }
    }

    /// The finding and its best remedy, for one line of warning.
    #[must_use]
    pub fn sentence(&self) -> String {
        let remedy = self.remedies.first().map(Change::commands);
        match remedy.as_deref() {
            None | Some([]) => self.why.clone(),
            Some([one, ..]) if one.contains('`') => format!("{}; remedy: {one}", self.why),
            Some([one, ..]) => format!("{}; remedy: `{one}`", self.why),
        }
    }
}

/// A change that lifts a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A kernel setting.
    Sysctl {
        /// Dotted name.
        name: &'static str,
        /// Its new value.
        value: u64,
    },
    /// `net.ipv4.ip_local_port_range`.
    Ports(u16, u16),
    /// `RLIMIT_NOFILE`, soft and hard.
    OpenFiles {
        /// Its new value.
        limit: u64,
        /// It is above `fs.nr_open`, which must be raised first.
        beyond: bool,
    },
    /// `RLIMIT_MEMLOCK`, bytes.
    LockedMemory(u64),
    /// A control group's limit, written to its file.
    Group {
        /// `memory.max`, `pids.max` or what version 1 calls them.
        file: PathBuf,
        /// Bytes, or tasks.
        value: u64,
    },
    /// Give clean page cache back.
    DropCaches,
    /// So many bytes of memory more.
    MoreMemory(u64),
    /// So many connections at most.
    Fewer(u64),
    /// The other end on another machine.
    OtherHost,
    /// A seccomp profile that lets `io_uring` through.
    AllowInFilter,
    /// A kernel at least as new.
    Kernel(&'static str),
    /// The engine without `io_uring`.
    Epoll,
    /// The engine without open files.
    Uring,
    /// A gap between heartbeats, seconds.
    IntervalSeconds(u64),
    /// Source addresses times targets of the load generator.
    Pairs(u64),
    /// `net.ipv4.tcp_mem` with this many pages at most and nine tenths of them before pressure.
    TcpMem(u64),
    /// Buckets of the socket hash.
    HashBuckets(u64),
    /// No swap.
    SwapOff,
    /// The clock the kernel reads.
    Clocksource(String),
    /// Congestion control without pacing timers.
    Cubic,
    /// Whoever else is busy ends first.
    StopOthers,
}

impl Change {
    /// The exact command, then what does the same elsewhere. What is no command is a sentence.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Sysctl { name, value } => vec![format!("sudo sysctl -w {name}={value}")],
            Self::Ports(low, high) => vec![format!(
                "sudo sysctl -w net.ipv4.ip_local_port_range='{low} {high}'"
            )],
            Self::OpenFiles { limit, beyond } => {
                let first = if *beyond {
                    format!("sudo sysctl -w fs.nr_open={limit}; ")
                } else {
                    String::new()
                };
                vec![
                    format!("{first}sudo prlimit --pid $$ --nofile={limit}:{limit}"),
                    format!("systemd: LimitNOFILE={limit}; docker: --ulimit nofile={limit}"),
                ]
            }
            Self::LockedMemory(bytes) => vec![
                format!("sudo prlimit --pid $$ --memlock={bytes}:{bytes}"),
                format!("systemd: LimitMEMLOCK={bytes}; docker: --ulimit memlock={bytes}"),
            ],
            Self::Group { file, value } => group(file, *value),
            Self::DropCaches => one("sync; echo 1 | sudo tee /proc/sys/vm/drop_caches"),
            Self::MoreMemory(bytes) => vec![format!(
                "free or add {} (who holds it: `ps -eo rss,comm --sort=-rss | head`)",
                HumanBytes(*bytes)
            )],
            Self::Fewer(0) => Vec::new(),
            Self::Fewer(most) => vec![format!("or ask for --connections {most}")],
            Self::OtherHost => one(
                "or put the ends on two machines: `ringbeat doctor --side server` and `--side load`",
            ),
            Self::AllowInFilter => one(
                "docker: --security-opt seccomp=unconfined (or a profile that \
                 allows io_uring_setup, io_uring_enter, io_uring_register)",
            ),
            Self::Kernel(needed) => vec![format!("boot Linux {needed} or newer (`uname -r`)")],
            Self::Epoll => one("or use --engine epoll, with an open file for each connection"),
            Self::Uring => one("or use --engine uring, whose connections take none"),
            Self::IntervalSeconds(seconds) => {
                vec![format!("--interval {seconds}s --timeout {}s", 3 * seconds)]
            }
            Self::Pairs(pairs) => vec![format!(
                "name addresses: --source-addresses × --target of `ringbeat load`, {} in all",
                HumanCount(*pairs)
            )],
            Self::TcpMem(pages) => vec![format!(
                "sudo sysctl -w net.ipv4.tcp_mem='{} {} {pages}'",
                pages / 2,
                pages / 10 * 9
            )],
            Self::HashBuckets(buckets) => vec![
                format!("sudo sysctl -w net.ipv4.tcp_child_ehash_entries={buckets}"),
                format!(
                    "for network namespaces made after it; for the host boot with thash_entries={buckets}"
                ),
            ],
            Self::SwapOff => one("sudo swapoff -a"),
            Self::Clocksource(name) => vec![format!("echo {name} | sudo tee {CLOCKSOURCE}")],
            Self::Cubic => one("sudo modprobe tcp_cubic; sudo sysctl -w \
                 net.ipv4.tcp_allowed_congestion_control='reno cubic bbr'"),
            Self::StopOthers => one("see who it is with `top` and wait or stop it"),
        }
    }
}

const CLOCKSOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// The write that raises a group's limit, and what the usual owners of groups have for it.
fn group(file: &Path, value: u64) -> Vec<String> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let elsewhere = if name.starts_with("pids") {
        format!("systemd: TasksMax={value}; docker: --pids-limit {value}")
    } else {
        format!("systemd: MemoryMax={value}; docker: --memory {value}")
    };
    vec![
        format!("echo {value} | sudo tee {}", file.display()),
        elsewhere,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        let backlog = Change::Sysctl {
            name: "net.core.netdev_max_backlog",
            value: 30_000,
        };
        assert_eq!(
            backlog.commands(),
            ["sudo sysctl -w net.core.netdev_max_backlog=30000"]
        );
        let group = Change::Group {
            file: "/sys/fs/cgroup/box/memory.max".into(),
            value: 1 << 30,
        };
        assert_eq!(
            group.commands()[0],
            "echo 1073741824 | sudo tee /sys/fs/cgroup/box/memory.max"
        );
        assert!(group.commands()[1].contains("docker: --memory 1073741824"));
        let files = |beyond| {
            Change::OpenFiles {
                limit: 1 << 20,
                beyond,
            }
            .commands()
        };
        assert_eq!(
            files(false)[0],
            "sudo prlimit --pid $$ --nofile=1048576:1048576"
        );
        assert!(files(true)[0].starts_with("sudo sysctl -w fs.nr_open=1048576; "));
        assert!(files(true)[1].contains("LimitNOFILE=1048576"));
        assert!(Change::Fewer(0).commands().is_empty());
    }

    #[test]
    fn a_bound_matters_only_below_what_is_asked() {
        let mut finding = Finding {
            name: "ip_local_port_range",
            found: String::new(),
            needed: String::new(),
            verdict: Verdict::Limits(100),
            why: "there are too few".to_owned(),
            remedies: vec![Change::Ports(1024, 65_535)],
        };
        assert!(!finding.matters_at(100) && finding.matters_at(101));
        assert_eq!(
            finding.sentence(),
            "there are too few; remedy: `sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'`"
        );
        finding.verdict = Verdict::Unknown;
        assert!(!finding.matters_at(u64::MAX));
        finding.remedies.clear();
        assert_eq!(finding.sentence(), finding.why);
    }
}
