//! The floor: what an exchange costs with nothing but the system calls themselves.
//!
//! One pinned thread goes through P connected pairs of loopback sockets: `write`, `read` at the other end, `write`
//! back, `read`. No event loop, no timer, no table, no second thread; both ends' TCP work runs inside its calls. What
//! it costs beside the same with few pairs is the cache misses of sockets that lay idle. Pairs are gone through in a
//! scattered order, as staggered heartbeats are; frames have the size of heartbeats; congestion control is the run's.
//!
//! Does not touch the halves, and must run while they do not. Pairs take two descriptors each, so the limit on open
//! files bounds them. Units: nanoseconds of the thread's CPU time ([`thread_cpu`]) per exchange.

use super::ExperimentError;
use crate::clock::{Clock as _, MonotonicClock};
use crate::os::OsError;
use crate::os::cores::pin_current_thread;
use crate::os::cpu::thread_cpu;
use crate::protocol::FRAME_BYTES;
use crate::record::{Estimate, FloorRecord};
use crate::units::Nanos;
use socket2::SockRef;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::str::FromStr;
use std::time::Duration;

/// How long one size is measured, whole passes.
const SPAN: Nanos = Nanos::from_secs(2);
/// The pairs of the reference, and how long it is measured: long enough for a per cent, short enough to be repeated.
const REFERENCE_PAIRS: u64 = 2_000;
const REFERENCE_SPAN: Nanos = Nanos::from_millis(250);
/// Passes at least, after one that is thrown away.
const LEAST_PASSES: usize = 5;
/// Exchanges a slice has at least: a pass over few pairs would be too short to time.
const LEAST_EXCHANGES: usize = 2_000;
/// Descriptors left to the rest of the process.
const OTHER_DESCRIPTORS: u64 = 64;
/// A peer on loopback that has not answered after this never will.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many pairs to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloorSize {
    /// So many, or fewer where descriptors end.
    Pairs(u64),
    /// As many as the limit on open files allows.
    Max,
}

impl FloorSize {
    /// The pairs a process with this soft limit on open files can hold.
    pub(super) fn pairs(self, nofile: u64) -> u64 {
        let most = (nofile.saturating_sub(OTHER_DESCRIPTORS) / 2).max(1);
        match self {
            Self::Pairs(pairs) => pairs.min(most),
            Self::Max => most,
        }
    }
}

impl FromStr for FloorSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "max" {
            return Ok(Self::Max);
        }
        match crate::units::parse_count(text)? {
            0 => Err("at least 1 pair is needed: write 1k, max or none".to_owned()),
            pairs => Ok(Self::Pairs(pairs)),
        }
    }
}

impl fmt::Display for FloorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pairs(pairs) => write!(f, "{pairs}"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// Measures `pairs` on `core`. Takes some seconds, and is not to be interrupted.
pub(super) fn measure(
    pairs: u64,
    core: usize,
    congestion: &str,
) -> Result<FloorRecord, ExperimentError> {
    measure_for(SPAN, pairs, core, congestion)
}

/// What a fixed piece of work costs just now: nanoseconds per exchange over some two thousand pairs, fewer where
/// descriptors end. It does what every arm does, in the kernel and with cold caches, and nothing of ours, so what it
/// varies by is the machine's.
pub(super) fn reference(
    nofile: u64,
    core: usize,
    congestion: &str,
) -> Result<u64, ExperimentError> {
    // Leaves half of the descriptors alone.
    let pairs = FloorSize::Pairs(REFERENCE_PAIRS).pairs(nofile / 2);
    let measured = measure_for(REFERENCE_SPAN, pairs, core, congestion)?;
    Ok(measured.cpu_ns_per_exchange.median.max(0).unsigned_abs())
}

fn measure_for(
    span: Nanos,
    pairs: u64,
    core: usize,
    congestion: &str,
) -> Result<FloorRecord, ExperimentError> {
    std::thread::scope(|scope| {
        // A thread of its own, so that the pinning ends with it.
        let thread = scope.spawn(move || {
            // Where the mask forbids the core the thread floats, and costs a little more.
            let _ = pin_current_thread(core);
            exchange_all(span, pairs, congestion)
        });
        thread.join().unwrap_or_else(|_| {
            let died = io::Error::other(
                "the measuring thread ended by a panic, which is a defect: please report it",
            );
            Err(failed(died))
        })
    })
}

fn failed(source: io::Error) -> ExperimentError {
    ExperimentError::Os(OsError::Refused {
        call: "measuring the floor",
        source,
        advice: "leave it out with --floor none, or ask for fewer pairs",
    })
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn exchange(&mut self, frame: &mut [u8; FRAME_BYTES]) -> io::Result<()> {
        self.client.write_all(frame)?;
        self.server.read_exact(frame)?;
        self.server.write_all(frame)?;
        self.client.read_exact(frame)
    }
}

fn open(count: u64, congestion: &str) -> Result<Vec<Pair>, ExperimentError> {
    let set_up = |stream: &TcpStream| {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_congestion(congestion.as_bytes())?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        // Ended with a reset, a pair leaves no TIME_WAIT to the trial after.
        socket.set_linger(Some(Duration::ZERO))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        let client = TcpStream::connect(address).map_err(failed)?;
        let (server, _) = listener.accept().map_err(failed)?;
        set_up(&client)
            .and_then(|()| set_up(&server))
            .map_err(failed)?;
        pairs.push(Pair { client, server });
    }
    Ok(pairs)
}

fn exchange_all(span: Nanos, count: u64, congestion: &str) -> Result<FloorRecord, ExperimentError> {
    let mut pairs = open(count, congestion)?;
    let stride = scattering_stride(pairs.len());
    let per_slice = pairs.len().max(LEAST_EXCHANGES);
    let mut frame = [0xB7; FRAME_BYTES];
    let mut place = 0;
    let mut slice = || -> io::Result<Nanos> {
        let begun = thread_cpu()?;
        for _ in 0..per_slice {
            pairs[place].exchange(&mut frame)?;
            place = (place + stride) % pairs.len();
        }
        Ok(thread_cpu()? - begun)
    };
    // The first pass meets sockets that have never spoken: their ACKs are not delayed yet.
    slice().map_err(failed)?;
    let begun = MonotonicClock.now();
    let mut costs = Vec::new();
    while costs.len() < LEAST_PASSES || MonotonicClock.now() - begun < span {
        let spent = slice().map_err(failed)?;
        costs.push(spent.0 / per_slice as u64);
    }
    Ok(FloorRecord {
        pairs: count,
        exchanges: (costs.len() * per_slice) as u64,
        cpu_ns_per_exchange: spread(costs),
    })
}

/// A step that visits every one of `count` places before the first again, neighbours far apart: the golden section,
/// made coprime.
fn scattering_stride(count: usize) -> usize {
    let coprime = |stride: usize| {
        let (mut a, mut b) = (stride, count);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    let golden = count.saturating_mul(618) / 1000;
    (golden.max(1)..=count)
        .find(|stride| coprime(*stride))
        .unwrap_or(1)
}

/// Median and the middle 95 of 100 of the slices.
fn spread(mut costs: Vec<u64>) -> Estimate {
    costs.sort_unstable();
    let at = |per_mille: usize| {
        let place = (costs.len().saturating_sub(1) * per_mille + 500) / 1000;
        let cost = costs.get(place).copied().unwrap_or(0);
        i64::try_from(cost).unwrap_or(i64::MAX)
    };
    Estimate {
        median: at(500),
        low: at(25),
        high: at(975),
        resolved: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_visited_before_the_first_again() {
        for count in [1_usize, 2, 3, 10, 1_000, 9_968] {
            let stride = scattering_stride(count);
            let mut seen = vec![false; count];
            let mut place = 0;
            for _ in 0..count {
                assert!(
                    !std::mem::replace(&mut seen[place], true),
                    "{count}: {place}"
                );
                place = (place + stride) % count;
            }
            assert_eq!(place, 0, "{count}");
        }
    }

    #[test]
    fn sizes_are_words_or_counts_and_descriptors_bound_them() {
        assert_eq!("max".parse(), Ok(FloorSize::Max));
        assert_eq!("1k".parse(), Ok(FloorSize::Pairs(1_000)));
        assert!("0".parse::<FloorSize>().is_err() && "all".parse::<FloorSize>().is_err());
        assert_eq!(FloorSize::Max.pairs(20_000), 9_968);
        assert_eq!(FloorSize::Pairs(20_000).pairs(1_024), 480);
        assert_eq!(FloorSize::Pairs(10).pairs(1_024), 10);
        assert_eq!(FloorSize::Max.pairs(0), 1);
    }

    #[test]
    fn exchanges_are_made_and_cost_something() {
        let congestion = crate::os::limits::sysctl("net.ipv4.tcp_congestion_control").unwrap();
        let core = crate::os::cores::usable_cores()[0];
        let found = measure(20, core, &congestion).unwrap();
        assert_eq!(found.pairs, 20);
        assert!(found.exchanges >= (LEAST_PASSES * LEAST_EXCHANGES) as u64);
        let cost = found.cpu_ns_per_exchange;
        assert!(
            0 < cost.low && cost.low <= cost.median && cost.median <= cost.high,
            "{cost:?}"
        );
    }

    #[test]
    fn the_middle_of_the_slices_is_what_counts() {
        let figure = spread(vec![9, 1, 5, 5, 5, 5, 5, 5, 5, 100]);
        assert_eq!((figure.median, figure.low, figure.high), (5, 1, 100));
        assert_eq!(spread(Vec::new()).median, 0);
    }
}
