//! Network counters: an interface's, TCP's, the per-CPU input queues', the sockets' own.
//!
//! Does not subtract two readings; see `measure::wire`. All counters run since boot (or since the
//! network namespace was made) and are those of the calling thread's namespace, except
//! `softnet_stat`, which is the whole machine's. Sources: net/core/net-procfs.c, net/ipv4/proc.c,
//! drivers/net/loopback.c, drivers/net/veth.c.
//!
//! Whether an interface's byte counter has the 14-byte Ethernet header in it depends on the driver,
//! see [`LinkHeader`]. A packet here is what the stack hands to the driver: with segmentation
//! offload one packet may be several on the wire, which heartbeats and probes are too small for.

use super::counters::counter;
use super::{OsError, number, read_text};
use procfs::FromRead;
use procfs::net::InterfaceDeviceStatus;

/// Where `TcpExt` stands.
pub const NETSTAT: &str = "/proc/net/netstat";
const SNMP: &str = "/proc/net/snmp";
const DEV: &str = "/proc/net/dev";
/// Where the input queues' counters stand.
pub const SOFTNET: &str = "/proc/net/softnet_stat";
const SOCKSTAT: &str = "/proc/net/sockstat";

/// What an interface's byte counter counts in front of each IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkHeader {
    /// Nothing. Loopback: `loopback_xmit` takes the length after `eth_type_trans` has pulled the
    /// header. Measured on Linux 6.18: 100 bytes of payload and the pure ACK of it counted as 152 +
    /// 52.
    None,
    /// The Ethernet header, 14 bytes. `veth_xmit` takes the length before; measured: a pure ACK
    /// counts as 66.
    Ethernet,
}

impl LinkHeader {
    /// The header of an interface by the kernel's hardware type (`/sys/class/net/NAME/type`, values
    /// of `if_arp.h`): 1 is Ethernet, which veth and bridges are too; 772 is loopback; tunnels have
    /// none.
    #[must_use]
    pub const fn of_hardware_type(hardware_type: u32) -> Self {
        match hardware_type {
            1 => Self::Ethernet,
            _ => Self::None,
        }
    }

    /// Bytes at IP level when the interface counted `bytes` in `packets`.
    #[must_use]
    pub const fn ip_bytes(self, bytes: u64, packets: u64) -> u64 {
        match self {
            Self::None => bytes,
            Self::Ethernet => bytes.saturating_sub(14 * packets),
        }
    }
}

/// One interface's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets received.
    pub received_packets: u64,
    /// Bytes received, as the driver counts them.
    pub received_bytes: u64,
    /// Packets dropped on receipt; the backlog's drops are not among them but in
    /// [`SoftnetCpu::dropped`].
    pub received_drops: u64,
    /// Packets sent; on loopback the same packets as received.
    pub sent_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// What the byte counters have in front of each IP packet.
    pub header: LinkHeader,
}

impl InterfaceCounters {
    /// Reads the counters of `interface`, an Ethernet, in the network namespace of process `pid`.
    ///
    /// # Errors
    /// [`OsError::Missing`] when there is no such interface, [`OsError::Unreadable`] when the process is gone.
    pub fn read_ethernet_of(pid: u32, interface: &str) -> Result<Self, OsError> {
        let text = read_text(&of_process(DEV, pid))?;
        parse_interface(&text, interface, LinkHeader::Ethernet)
    }

    /// Reads the counters of `interface`, an Ethernet, in the network namespace of the calling thread: `/proc/net` is that
    /// of the process's first thread (proc(5)), wherever this one went.
    ///
    /// # Errors
    /// [`OsError::Missing`] when there is no such interface.
    pub fn read_ethernet_here(interface: &str) -> Result<Self, OsError> {
        let text = read_text(&of_thread(DEV))?;
        parse_interface(&text, interface, LinkHeader::Ethernet)
    }

    /// Reads the counters of `interface`.
    ///
    /// # Errors
    /// [`OsError::Missing`] when there is no such interface.
    pub fn read(interface: &str) -> Result<Self, OsError> {
        let type_path = format!("/sys/class/net/{interface}/type");
        let hardware_type = match read_text(&type_path) {
            Ok(text) => number(&type_path, "a hardware type", text.trim())?,
            // /sys may be another namespace's; loopback is the one interface known by its name
            Err(_) if interface == "lo" => 772,
            Err(error) => return Err(error),
        };
        let header = LinkHeader::of_hardware_type(u32::try_from(hardware_type).unwrap_or(0));
        parse_interface(&read_text(DEV)?, interface, header)
    }
}

/// The path of a `/proc/net` file in the network namespace of process `pid`.
#[must_use]
pub fn of_process(path: &str, pid: u32) -> String {
    path.replace("/proc/net/", &format!("/proc/{pid}/net/"))
}

/// The path of a `/proc/net` file in the network namespace of the calling thread.
fn of_thread(path: &str) -> String {
    path.replace("/proc/net/", "/proc/thread-self/net/")
}

/// The line of `interface` in `/proc/net/dev`.
///
/// # Errors
/// [`OsError::Missing`] without such a line, [`OsError::Malformed`] for another form.
pub fn parse_interface(
    text: &str,
    interface: &str,
    header: LinkHeader,
) -> Result<InterfaceCounters, OsError> {
    let all = InterfaceDeviceStatus::from_read(text.as_bytes())
        .map_err(|_| OsError::malformed(DEV, "16 counters per interface", text))?;
    let found = all
        .0
        .get(interface)
        .ok_or_else(|| OsError::missing(DEV, interface))?;
    Ok(InterfaceCounters {
        received_packets: found.recv_packets,
        received_bytes: found.recv_bytes,
        received_drops: found.recv_drop,
        sent_packets: found.sent_packets,
        sent_bytes: found.sent_bytes,
        header,
    })
}

/// The TCP counters this project uses, each by the kernel's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounters {
    /// `TCPKeepAlive`: probes attempted; counted before the packet is built, so dropped ones are
    /// within.
    pub keepalive_probes: u64,
    /// `ListenDrops`: connections refused by a listener for any reason.
    pub listen_drops: u64,
    /// `ListenOverflows`: those refused because the accept queue was full.
    pub listen_overflows: u64,
    /// `TCPReqQFullDrop`: SYNs refused because the SYN queue (`tcp_max_syn_backlog`) was full.
    pub syn_queue_drops: u64,
    /// `TCPReqQFullDoCookies`: SYNs answered with a cookie instead, for the same reason.
    pub syn_cookies: u64,
    /// `TCPSynRetrans`: SYNs and SYN-ACKs sent again.
    pub syn_retransmits: u64,
    /// `TCPTimeouts`: retransmission timers that fired.
    pub timeouts: u64,
    /// `TCPAbortOnTimeout`: connections the kernel gave up on; keepalive's verdicts are among them.
    pub aborted_on_timeout: u64,
    /// `RetransSegs`: segments sent again.
    pub retransmitted: u64,
    /// `InSegs`: segments received.
    pub received: u64,
    /// `OutRsts`: RSTs sent; `OutSegs` has them too.
    pub resets_sent: u64,
    /// `EstabResets`: connections that went from established to closed without a FIN, for a RST received or by a verdict
    /// of this end's kernel.
    pub established_resets: u64,
    /// `DelayedACKs`: ACKs that left alone because nothing went along with them for 40 ms and more.
    pub delayed_acks: u64,
    /// `OutSegs`: segments sent, keepalive probes and pure ACKs among them, whether or not a queue below dropped them;
    /// segments sent again are not (`__tcp_transmit_skb`, `net/ipv4/tcp_output.c`).
    pub sent: u64,
    /// `CurrEstab`: sockets established or in close-wait, now; both ends of a loopback connection
    /// count.
    pub established: u64,
}

impl TcpCounters {
    /// Reads `/proc/net/netstat` and `/proc/net/snmp`.
    ///
    /// # Errors
    /// [`OsError`] when one is unreadable or lacks a counter.
    pub fn read() -> Result<Self, OsError> {
        parse_tcp(&read_text(NETSTAT)?, &read_text(SNMP)?)
    }

    /// Reads them in the network namespace of the calling thread: `/proc/net` is that of the process's first thread
    /// (proc(5)), wherever this one went.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_here() -> Result<Self, OsError> {
        let text = |path| read_text(&of_thread(path));
        parse_tcp(&text(NETSTAT)?, &text(SNMP)?)
    }

    /// Reads them in the network namespace of process `pid`.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the process is gone.
    pub fn read_of(pid: u32) -> Result<Self, OsError> {
        let text = |path| read_text(&of_process(path, pid));
        parse_tcp(&text(NETSTAT)?, &text(SNMP)?)
    }

    /// Both namespaces' counters added up.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            keepalive_probes: self.keepalive_probes + other.keepalive_probes,
            listen_drops: self.listen_drops + other.listen_drops,
            listen_overflows: self.listen_overflows + other.listen_overflows,
            syn_queue_drops: self.syn_queue_drops + other.syn_queue_drops,
            syn_cookies: self.syn_cookies + other.syn_cookies,
            syn_retransmits: self.syn_retransmits + other.syn_retransmits,
            timeouts: self.timeouts + other.timeouts,
            aborted_on_timeout: self.aborted_on_timeout + other.aborted_on_timeout,
            retransmitted: self.retransmitted + other.retransmitted,
            received: self.received + other.received,
            resets_sent: self.resets_sent + other.resets_sent,
            established_resets: self.established_resets + other.established_resets,
            delayed_acks: self.delayed_acks + other.delayed_acks,
            sent: self.sent + other.sent,
            established: self.established + other.established,
        }
    }
}

/// The texts of `/proc/net/netstat` and `/proc/net/snmp`.
///
/// # Errors
/// As [`counter`].
pub fn parse_tcp(netstat: &str, snmp: &str) -> Result<TcpCounters, OsError> {
    let extended = |name| counter(NETSTAT, netstat, "TcpExt", name);
    let basic = |name| counter(SNMP, snmp, "Tcp", name);
    Ok(TcpCounters {
        keepalive_probes: extended("TCPKeepAlive")?,
        listen_drops: extended("ListenDrops")?,
        listen_overflows: extended("ListenOverflows")?,
        syn_queue_drops: extended("TCPReqQFullDrop")?,
        syn_cookies: extended("TCPReqQFullDoCookies")?,
        syn_retransmits: extended("TCPSynRetrans")?,
        timeouts: extended("TCPTimeouts")?,
        aborted_on_timeout: extended("TCPAbortOnTimeout")?,
        retransmitted: basic("RetransSegs")?,
        received: basic("InSegs")?,
        delayed_acks: extended("DelayedACKs")?,
        sent: basic("OutSegs")?,
        resets_sent: basic("OutRsts")?,
        established_resets: basic("EstabResets")?,
        established: basic("CurrEstab")?,
    })
}

/// One CPU's input queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftnetCpu {
    /// Packets taken from the queue.
    pub processed: u64,
    /// Packets dropped because it held `net.core.netdev_max_backlog` already.
    pub dropped: u64,
    /// Times the work was put off with packets left.
    pub time_squeeze: u64,
}

/// Reads `/proc/net/softnet_stat`.
///
/// # Errors
/// [`OsError`] when it is unreadable or in another form.
pub fn softnet() -> Result<Vec<SoftnetCpu>, OsError> {
    parse_softnet(&read_text(SOFTNET)?)
}

/// The text of `/proc/net/softnet_stat`: one line per online CPU, hexadecimal columns of 32 bits,
/// which wrap.
///
/// # Errors
/// [`OsError::Malformed`] for another form.
pub fn parse_softnet(text: &str) -> Result<Vec<SoftnetCpu>, OsError> {
    text.lines().map(softnet_line).collect()
}

/// Drops of all CPUs in the text of `/proc/net/softnet_stat`. Allocates nothing.
///
/// # Errors
/// As [`parse_softnet`].
pub fn softnet_drops(text: &str) -> Result<u64, OsError> {
    text.lines()
        .map(|line| softnet_line(line).map(|cpu| cpu.dropped))
        .sum()
}

fn softnet_line(line: &str) -> Result<SoftnetCpu, OsError> {
    let mut columns = line.split_ascii_whitespace();
    let mut next = || {
        columns
            .next()
            .and_then(|word| u64::from_str_radix(word, 16).ok())
            .ok_or_else(|| OsError::malformed(SOFTNET, "three hexadecimal columns", line))
    };
    Ok(SoftnetCpu {
        processed: next()?,
        dropped: next()?,
        time_squeeze: next()?,
    })
}

/// The TCP line of `/proc/net/sockstat`. Sockets of IPv6 count in `orphans`, `time_wait` and
/// `tcp_allocated`, but not in `in_use`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketStats {
    /// Hashed IPv4 sockets: listening, connecting, connected.
    pub in_use: u64,
    /// Closed by their process, not yet by TCP.
    pub orphans: u64,
    /// In `TIME_WAIT`.
    pub time_wait: u64,
    /// All that have memory.
    pub tcp_allocated: u64,
    /// Pages of buffers, not of the structures themselves.
    pub buffer_pages: u64,
}

impl SocketStats {
    /// Reads `/proc/net/sockstat`.
    ///
    /// # Errors
    /// [`OsError`] when it is unreadable or in another form.
    pub fn read() -> Result<Self, OsError> {
        parse_sockstat(&read_text(SOCKSTAT)?)
    }

    /// Reads it in the network namespace of process `pid`; `orphans`, `tcp_allocated` and `buffer_pages` are the whole
    /// machine's all the same (`sockstat_seq_show`, net/ipv4/proc.c).
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the process is gone.
    pub fn read_of(pid: u32) -> Result<Self, OsError> {
        parse_sockstat(&read_text(&of_process(SOCKSTAT, pid))?)
    }
}

/// The text of `/proc/net/sockstat`.
///
/// # Errors
/// [`OsError::Missing`] without a figure, [`OsError::Malformed`] when it is no count.
pub fn parse_sockstat(text: &str) -> Result<SocketStats, OsError> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))
        .ok_or_else(|| OsError::missing(SOCKSTAT, "TCP:"))?;
    let figure = |name: &str| {
        let mut words = line.split_ascii_whitespace();
        words
            .find(|word| *word == name)
            .and_then(|_| words.next())
            .ok_or_else(|| OsError::missing(SOCKSTAT, format!("TCP: {name}")))
            .and_then(|text| number(SOCKSTAT, "a count", text))
    };
    Ok(SocketStats {
        in_use: figure("inuse")?,
        orphans: figure("orphan")?,
        time_wait: figure("tw")?,
        tcp_allocated: figure("alloc")?,
        buffer_pages: figure("mem")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV_SAMPLE: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo:    3193      29    0    7    0     0     0     0     3193      29    0    0    0     0 0 0
  eth0:    1400      10    0    0    0     0     0     0      700       5    0    0    0     0 0 0
";
    const SNMP_SAMPLE: &str = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts EstabResets
Tcp: 1 200 120000 -1 80 12 7209 4494 3 0 31 32
";
    const NETSTAT_SAMPLE: &str = "\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts TCPAbortOnTimeout TCPKeepAlive TCPReqQFullDoCookies TCPReqQFullDrop TCPSynRetrans DelayedACKs
TcpExt: 0 4 5 6 7 814 8 9 10 21
IpExt: InNoRoutes InTruncatedPkts
IpExt: 0 0
";

    #[test]
    fn an_interface_is_found_by_name_and_its_header_is_taken_off() {
        let lo = parse_interface(DEV_SAMPLE, "lo", LinkHeader::None).unwrap();
        assert_eq!((lo.received_packets, lo.received_bytes), (29, 3193));
        assert_eq!(lo.received_drops, 7);
        let eth = parse_interface(DEV_SAMPLE, "eth0", LinkHeader::Ethernet).unwrap();
        assert_eq!((eth.sent_packets, eth.sent_bytes), (5, 700));
        let bytes = eth.header.ip_bytes(eth.sent_bytes, eth.sent_packets);
        assert_eq!(bytes, 700 - 70);
        assert_eq!(LinkHeader::None.ip_bytes(204, 2), 204);
        let absent = parse_interface(DEV_SAMPLE, "eth1", LinkHeader::None);
        assert!(absent.unwrap_err().to_string().contains("eth1"));
        let loopback = InterfaceCounters::read("lo").unwrap();
        assert_eq!(loopback.header, LinkHeader::None);
    }

    #[test]
    fn tcp_counters_are_found_by_name() {
        let read = parse_tcp(NETSTAT_SAMPLE, SNMP_SAMPLE).unwrap();
        let expected = TcpCounters {
            keepalive_probes: 814,
            listen_drops: 5,
            listen_overflows: 4,
            syn_queue_drops: 9,
            syn_cookies: 8,
            syn_retransmits: 10,
            timeouts: 6,
            aborted_on_timeout: 7,
            retransmitted: 3,
            received: 7209,
            delayed_acks: 21,
            sent: 4494,
            resets_sent: 31,
            established_resets: 32,
            established: 12,
        };
        assert_eq!(read, expected);
        TcpCounters::read().unwrap();
    }

    #[test]
    fn input_queues_are_hexadecimal() {
        let text = "0000180e 0000001f 00000001 00000000\n00000010 00000001 00000000 00000000\n";
        let cpus = parse_softnet(text).unwrap();
        assert_eq!((cpus[0].processed, cpus[0].dropped), (0x180e, 31));
        assert_eq!(cpus[0].time_squeeze, 1);
        assert_eq!(softnet_drops(text).unwrap(), 32);
        assert!(parse_softnet("zz 0 0\n").is_err());
        assert!(!softnet().unwrap().is_empty());
    }

    #[test]
    fn socket_figures_are_found_by_name() {
        let text =
            "sockets: used 20\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 238\nUDP: inuse 0 mem 0\n";
        let stats = parse_sockstat(text).unwrap();
        assert_eq!((stats.in_use, stats.orphans, stats.time_wait), (1, 2, 3));
        assert_eq!((stats.tcp_allocated, stats.buffer_pages), (4, 238));
        assert!(parse_sockstat("UDP: inuse 0\n").is_err());
        SocketStats::read().unwrap();
    }
}
