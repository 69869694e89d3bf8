//! The audit of a load: asked, established, held, and why not.
//!
//! Pure. Reasons come with what to do about them.

use crate::shard::{CloseCause, Counters};
use crate::units::HumanCount;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddrV4;

/// The connections of one load, counted before any was ended on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audit {
    asked: u64,
    established: u64,
    held: u64,
    lost: BTreeMap<String, u64>,
    /// Connects that had no answer yet.
    unanswered: u64,
    /// First connects that failed.
    failed: BTreeMap<i32, u64>,
    /// What was lost was to come back, and so many did.
    returned: Option<u64>,
}

impl Audit {
    pub(super) fn of(asked: u64, totals: &Counters) -> Self {
        let mut lost = totals.closed.clone();
        lost.remove(CloseCause::Drained.name());
        let mut failed = totals.connects_failed.clone();
        for (errno, again) in &totals.reconnects_failed {
            if let Some(count) = failed.get_mut(errno) {
                *count -= again;
            }
        }
        failed.retain(|_, count| *count > 0);
        Self {
            asked,
            established: totals.established - totals.reconnects_established,
            held: totals.open,
            lost,
            unanswered: totals.connecting,
            failed,
            returned: None,
        }
    }

    /// The same where lost connections were opened anew: what came back is no complaint.
    pub(super) fn returning(self, totals: &Counters) -> Self {
        Self {
            returned: Some(totals.reconnects_established),
            ..self
        }
    }

    /// `asked 300, established 300, held 300, lost 0`.
    pub(super) fn line(&self) -> String {
        let lost: u64 = self.lost.values().sum();
        let mut text = format!(
            "asked {}, established {}, held {}, lost {}",
            HumanCount(self.asked),
            HumanCount(self.established),
            HumanCount(self.held),
            HumanCount(lost)
        );
        if lost > 0 {
            let causes: Vec<_> = self
                .lost
                .iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            write!(text, " ({})", causes.join(", ")).unwrap_or_default();
        }
        if self.unanswered > 0 {
            write!(text, ", unanswered {}", HumanCount(self.unanswered)).unwrap_or_default();
        }
        if let Some(returned) = self.returned {
            write!(text, ", came back {}", HumanCount(returned)).unwrap_or_default();
        }
        text
    }

    /// `opened 300 of 300 connections`, for when every connect has had its answer.
    pub(super) fn opened(&self) -> String {
        let (established, asked) = (HumanCount(self.established), HumanCount(self.asked));
        format!("opened {established} of {asked} connections")
    }

    /// Failed connects in words, without remedies; `None` when there are none.
    pub(super) fn failures(&self) -> Option<String> {
        let parts: Vec<_> = self
            .failed
            .iter()
            .map(|(errno, count)| {
                format!(
                    "{} × {}",
                    HumanCount(*count),
                    io::Error::from_raw_os_error(*errno)
                )
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// What did not hold, why, and what to do; `None` when all did.
    pub(super) fn complaint(&self, targets: &[SocketAddrV4]) -> Option<String> {
        let mut sentences = Vec::new();
        if self.established < self.asked {
            sentences.push(format!(
                "{} of {} connections were established",
                HumanCount(self.established),
                HumanCount(self.asked)
            ));
        }
        if self.unanswered > 0 && self.established < self.asked {
            sentences.push(format!(
                "{} connects were not answered yet: is the accept queue of {} full (`nstat -az TcpExtListenDrops` \
                 there), or a firewall in between? The kernel sends a SYN again after 1, 3, 7 … s",
                HumanCount(self.unanswered),
                shown(targets)
            ));
        }
        for (errno, count) in &self.failed {
            sentences.push(format!(
                "{} × {}",
                HumanCount(*count),
                connect_failure(*errno, targets)
            ));
        }
        if let Some(returned) = self.returned {
            let missing = self.established.saturating_sub(self.held);
            if missing > 0 {
                sentences.push(format!(
                    "{} connections were not back at the end, {} had come back: is the server there again?",
                    HumanCount(missing),
                    HumanCount(returned)
                ));
            }
            return (!sentences.is_empty()).then(|| sentences.join("; "));
        }
        for (cause, count) in &self.lost {
            let count = HumanCount(*count);
            sentences.push(format!("{count} lost by {cause}: {}", loss(cause)));
        }
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }
}

fn shown(targets: &[SocketAddrV4]) -> String {
    match targets {
        [one] => one.to_string(),
        [first, .., last] => format!("{first} to {last}"),
        [] => String::new(),
    }
}

/// Why a connect failed, and what to do.
fn connect_failure(errno: i32, targets: &[SocketAddrV4]) -> String {
    let target = shown(targets);
    match errno {
        libc::EADDRNOTAVAIL => format!(
            "no local port was left (EADDRNOTAVAIL): net.ipv4.ip_local_port_range bounds the \
             connections from one address to one address and port, here {target}; give more --target \
             addresses (loopback:PORT does so by itself) or more --source-addresses, or widen the range with \
             `sudo sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`; ports of connections that this host ended \
             first rest for a minute (`ss -tan state time-wait`), which --abort spares and \
             net.ipv4.tcp_tw_reuse=1 shortens to a second"
        ),
        libc::ECONNREFUSED => format!(
            "nobody listens at {target} (ECONNREFUSED): start `ringbeat serve` there, or check \
             the address and port"
        ),
        libc::ECONNRESET => format!(
            "{target} answered and took it back (ECONNRESET): is its accept queue full with \
             net.ipv4.tcp_abort_on_overflow=1, or does a box in between reset connections?"
        ),
        libc::EMFILE => "the process has no descriptor left (EMFILE): raise the limit with \
                         `ulimit -n`"
            .to_owned(),
        libc::ENFILE => "a table of descriptors is full (ENFILE): see `sysctl fs.file-nr`, raise \
                         fs.file-max, or ask for fewer"
            .to_owned(),
        libc::EBADF => "a socket could not be made (EBADF): out of memory, or the system's file \
                        table is full (see `sysctl fs.file-nr`)"
            .to_owned(),
        libc::ETIMEDOUT => format!(
            "{target} did not answer (ETIMEDOUT): is a firewall in between, or its accept queue \
             full (`nstat -az TcpExtListenDrops`)? A lower --ramp-rate helps against the latter"
        ),
        libc::ENETUNREACH | libc::EHOSTUNREACH => {
            format!(
                "there is no way to {target} ({}): see `ip route get`",
                os(errno)
            )
        }
        libc::EACCES | libc::EPERM => format!(
            "a local firewall rule forbids it ({}): see `nft list ruleset`",
            os(errno)
        ),
        libc::ENOMEM | libc::ENOBUFS => format!(
            "the kernel had no memory for a socket ({}): see `sysctl net.ipv4.tcp_mem`",
            os(errno)
        ),
        _ => os(errno),
    }
}

fn os(errno: i32) -> String {
    io::Error::from_raw_os_error(errno).to_string()
}

/// What a cause of loss means on this side.
fn loss(cause: &str) -> &'static str {
    match cause {
        "peer-closed" => "the server ended them; its own report says why",
        "reset" => "the server, or a box in between, reset them; is the server still there?",
        "answer-timeout" => {
            "acks did not come in time; is the server overloaded, or does it run another --arm?"
        }
        "heartbeat-timeout" => {
            "the server's heartbeats did not come in time; does it run --arm heartbeat-push?"
        }
        "keepalive-timeout" => {
            "keepalive gave them up; see drops in `/proc/net/softnet_stat`, and raise \
             net.core.netdev_max_backlog"
        }
        "retransmission-timeout" => {
            "nobody acknowledged what was sent; is the server, or the way to it, gone without a word?"
        }
        "unreachable" => {
            "the network has no way to the server any more; see `ip route get` and `ip neigh`"
        }
        "protocol-error" => "the other side speaks another protocol, or runs another --arm",
        _ => "see the counts above",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> [SocketAddrV4; 1] {
        [SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 7000)]
    }

    #[test]
    fn a_whole_population_has_nothing_to_complain_about() {
        let mut totals = Counters {
            open: 300,
            established: 300,
            ..Counters::default()
        };
        totals.closed(CloseCause::Drained);
        let audit = Audit::of(300, &totals);
        assert_eq!(audit.line(), "asked 300, established 300, held 300, lost 0");
        assert_eq!((audit.failures(), audit.complaint(&target())), (None, None));
    }

    #[test]
    fn a_lost_connection_is_named_by_cause() {
        let mut totals = Counters {
            open: 299,
            established: 300,
            ..Counters::default()
        };
        totals.closed(CloseCause::Reset);
        let audit = Audit::of(300, &totals);
        assert!(audit.line().ends_with("held 299, lost 1 (reset 1)"));
        let complaint = audit.complaint(&target()).unwrap();
        assert!(complaint.starts_with("1 lost by reset"), "{complaint}");
    }

    #[test]
    fn what_came_back_is_no_complaint_and_what_did_not_is() {
        let mut totals = Counters {
            open: 300,
            established: 500,
            reconnects: 207,
            reconnects_established: 200,
            ..Counters::default()
        };
        totals.closed.insert("peer-closed".to_owned(), 200);
        totals.connects_failed.insert(libc::ECONNREFUSED, 7);
        totals.reconnects_failed.insert(libc::ECONNREFUSED, 7);
        let audit = Audit::of(300, &totals).returning(&totals);
        assert_eq!(
            audit.line(),
            "asked 300, established 300, held 300, lost 200 (peer-closed 200), came back 200"
        );
        assert_eq!((audit.failures(), audit.complaint(&target())), (None, None));
        totals.open = 290;
        let short = Audit::of(300, &totals).returning(&totals);
        let complaint = short.complaint(&target()).unwrap();
        assert!(
            complaint.starts_with("10 connections were not back"),
            "{complaint}"
        );
    }

    #[test]
    fn connects_without_an_answer_are_told() {
        let totals = Counters {
            open: 1,
            established: 1,
            connecting: 4,
            ..Counters::default()
        };
        let audit = Audit::of(5, &totals);
        assert!(audit.line().ends_with("lost 0, unanswered 4"));
        let complaint = audit.complaint(&target()).unwrap();
        let words = "4 connects were not answered yet: is the accept queue of 127.0.0.1:7000 full";
        assert!(complaint.contains(words), "{complaint}");
    }

    #[test]
    fn failed_connects_come_with_a_remedy() {
        for (errno, words) in [
            (libc::EADDRNOTAVAIL, "net.ipv4.ip_local_port_range"),
            (libc::EADDRNOTAVAIL, "more --target addresses"),
            (libc::EADDRNOTAVAIL, "tcp_tw_reuse=1"),
            (libc::ECONNRESET, "tcp_abort_on_overflow"),
            (libc::ECONNREFUSED, "nobody listens at 127.0.0.1:7000"),
            (libc::EMFILE, "ulimit -n"),
            (libc::ENFILE, "fs.file-max"),
            (libc::ETIMEDOUT, "--ramp-rate"),
            (libc::EHOSTUNREACH, "ip route get"),
        ] {
            let mut totals = Counters::default();
            totals.connects_failed.insert(errno, 5);
            let audit = Audit::of(5, &totals);
            let complaint = audit.complaint(&target()).unwrap();
            assert!(
                complaint.contains("0 of 5") && complaint.contains(words),
                "{complaint}"
            );
            assert!(
                audit
                    .failures()
                    .is_some_and(|text| text.starts_with("5 × "))
            );
        }
    }
}
