//! Keepalive's bursts: how bunched probes were, and how bunched they will be.
//!
//! Does not send or count probes of one connection. Units: probes, 10 ms slices, kernel ticks
//! (jiffies). Segments with data are read beside the probes, from the same text at the same moment, so that
//! what an application sends can be held against them.
//!
//! Why there are bursts: the kernel's timer wheel (kernel/time/timer.c) has levels of 64 slots,
//! each level 8 times coarser than the one before, and rounds a timer up to its level's granule. At
//! HZ 250 a timer 3 s (750 ticks) away has a granule of 64 ticks, 256 ms, and one 30 s away of 512
//! ticks, 2.05 s: all keepalive timers that fall into one granule fire in one tick. Every probe of
//! that tick enters the CPU's input queue before the first is taken out, since timers run before
//! network receive in `__do_softirq` (`TIMER_SOFTIRQ` < `NET_RX_SOFTIRQ`).

use super::MeasureError;
use crate::clock::{Clock as _, MonotonicClock};
use crate::os::counters::counters;
use crate::os::network::{NETSTAT, SOFTNET, of_process, softnet_drops};
use crate::os::{OsError, Rereader};
use crate::units::Nanos;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Length of a slice.
const SLICE: Nanos = Nanos::from_millis(10);
/// Slices that fit without growing the list: a minute.
const SLICES_AT_FIRST: usize = 6_000;

/// What was sent between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// When the first reading was taken, monotonic.
    pub begins: Nanos,
    /// From there to the second, where the next slice begins.
    pub length: Nanos,
    /// Probes attempted (`TcpExt TCPKeepAlive`).
    pub probes: u64,
    /// Segments with data that were sent for the first time (`TcpExt TCPOrigDataSent`). An idle connection's
    /// frames are a segment each; whatever else runs in the namespace is within.
    pub data_segments: u64,
}

/// How bunched probes were in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BurstSamples {
    /// The slices sampled, without a gap.
    pub slices: Vec<Slice>,
    /// Probes attempted in all of them.
    pub probes: u64,
    /// Probes in the busiest slice.
    pub probes_max: u64,
    /// Probes in the 99th percentile of slices, idle ones included.
    pub probes_p99: u64,
    /// Packets the input queues dropped in the worst slice.
    pub backlog_drops_max: u64,
    /// The longest slice: when it is much over 10 ms the sampler was starved, mostly by the burst
    /// itself, and `probes_max` is that longer slice's.
    pub longest_slice: Nanos,
}

/// A thread that reads the probe and drop counters every 10 ms. Costs some 0.1 ms per slice, so it
/// must run in every arm of a comparison or in none. Ends when stopped or dropped.
#[derive(Debug)]
pub struct BurstSampler {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<BurstSamples, OsError>>>,
}

impl BurstSampler {
    /// Starts sampling the network namespaces of the processes `pids`, each once; without any, the calling one's.
    ///
    /// # Errors
    /// [`MeasureError::Os`] when a counter is not to be had, [`MeasureError::Thread`].
    pub fn start(pids: &[u32]) -> Result<Self, MeasureError> {
        let mut counters = Counters::open(pids)?;
        let first = counters.read()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name("burst-sampler".to_owned())
            .spawn(move || sample(&mut counters, first, &told))
            .map_err(|source| MeasureError::Thread { source })?;
        Ok(Self {
            stopping,
            thread: Some(thread),
        })
    }

    /// Ends the window, waits for the thread (a slice at most) and gives what it saw. The last reading is taken after
    /// this call began.
    ///
    /// # Errors
    /// [`MeasureError::Os`] when a counter became unreadable, [`MeasureError::ThreadDied`].
    pub fn stop(mut self) -> Result<BurstSamples, MeasureError> {
        self.stopping.store(true, Ordering::Release);
        let thread = self.thread.take().ok_or(MeasureError::ThreadDied)?;
        let samples = thread.join().map_err(|_| MeasureError::ThreadDied)?;
        Ok(samples?)
    }
}

impl Drop for BurstSampler {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // a sampler dropped unread has nobody to tell of its failure
            let _ = thread.join();
        }
    }
}

/// The counters, their files kept open.
struct Counters {
    netstat: Vec<Rereader>,
    softnet: Rereader,
}

/// The counters at one moment.
#[derive(Clone, Copy)]
struct Reading {
    at: Nanos,
    probes: u64,
    data_segments: u64,
    drops: u64,
}

impl Counters {
    fn open(pids: &[u32]) -> Result<Self, OsError> {
        let netstat = if pids.is_empty() {
            vec![Rereader::open(NETSTAT)?]
        } else {
            let paths = pids.iter().map(|pid| of_process(NETSTAT, *pid));
            paths.map(Rereader::open).collect::<Result<_, _>>()?
        };
        Ok(Self {
            netstat,
            softnet: Rereader::open(SOFTNET)?,
        })
    }

    fn read(&mut self) -> Result<Reading, OsError> {
        const NAMES: [&str; 2] = ["TCPKeepAlive", "TCPOrigDataSent"];
        let (mut probes, mut data_segments) = (0, 0);
        for netstat in &mut self.netstat {
            let [attempts, sent] = counters(NETSTAT, netstat.read()?, "TcpExt", NAMES)?;
            probes += attempts;
            data_segments += sent;
        }
        let drops = softnet_drops(self.softnet.read()?)?;
        Ok(Reading {
            at: MonotonicClock.now(),
            probes,
            data_segments,
            drops,
        })
    }
}

fn sample(
    counters: &mut Counters,
    first: Reading,
    stopping: &AtomicBool,
) -> Result<BurstSamples, OsError> {
    let mut samples = BurstSamples {
        slices: Vec::with_capacity(SLICES_AT_FIRST),
        ..BurstSamples::default()
    };
    let mut last = first;
    let mut deadline = first.at;
    loop {
        let ends = stopping.load(Ordering::Acquire);
        if !ends {
            // slices that were slept through are left out, not caught up with
            let missed = (last.at - deadline).0 / SLICE.0;
            deadline += Nanos(SLICE.0 * (missed + 1));
            MonotonicClock.sleep_until(deadline);
        }
        // One reading more when it is over: what came since the last one belongs to the window.
        let now = counters.read()?;
        let drops = now.drops.saturating_sub(last.drops);
        samples.backlog_drops_max = samples.backlog_drops_max.max(drops);
        samples.longest_slice = samples.longest_slice.max(now.at - last.at);
        samples.slices.push(Slice {
            begins: last.at,
            length: now.at - last.at,
            probes: now.probes.saturating_sub(last.probes),
            data_segments: now.data_segments.saturating_sub(last.data_segments),
        });
        last = now;
        if ends {
            break;
        }
    }
    let mut probes: Vec<u64> = samples.slices.iter().map(|slice| slice.probes).collect();
    probes.sort_unstable();
    samples.probes = probes.iter().sum();
    samples.probes_max = probes.last().copied().unwrap_or(0);
    samples.probes_p99 = percentile_99(&probes);
    Ok(samples)
}

/// The smallest value that 99 % of `sorted` do not exceed (nearest rank); 0 for none.
fn percentile_99(sorted: &[u64]) -> u64 {
    let rank = (sorted.len() * 99).div_ceil(100);
    rank.checked_sub(1).map_or(0, |index| sorted[index])
}

/// Ticks that a timer `distance` ticks away may be late by the kernel's wheel: 1, 8, 64, …
/// `calc_wheel_index` puts it on level 0 below 63 ticks, on level 1 below 504, and so on by factors
/// of 8; there are 9 levels (8 at HZ 100, which no keepalive time reaches).
#[must_use]
pub fn timer_granule(distance: u64) -> u64 {
    const LAST_LEVEL: u32 = 8;
    let level = (1..=LAST_LEVEL)
        .take_while(|level| distance >= 63 << (3 * (level - 1)))
        .last()
        .unwrap_or(0);
    1 << (3 * level)
}

/// Packets of one keepalive burst on one CPU, for `connections` established evenly over one
/// `idle_s` or longer.
///
/// Counted are the probes: what enters a CPU's input queue before any is taken out and is held
/// against `net.core.netdev_max_backlog`. On loopback the ACKs follow, as many again, while the
/// probes are being processed; the queue was emptied by then, so they do not add to its depth.
/// Timers fire on the CPU that armed them, taken to be an even share on each of `cores`.
#[must_use]
pub fn predict_burst(connections: u64, idle_s: u32, hz: u32, cores: u32) -> u64 {
    predict_burst_after_ramp(
        connections,
        idle_s,
        Nanos::from_secs(u64::from(idle_s)),
        hz,
        cores,
    )
}

/// As [`predict_burst`], for connections established evenly within `ramp`: a ramp shorter than the
/// idle time leaves them bunched for good, since each timer is armed again when it fires. Once
/// bunched is always bunched: a granule's timers share every later one too.
#[must_use]
pub fn predict_burst_after_ramp(
    connections: u64,
    idle_s: u32,
    ramp: Nanos,
    hz: u32,
    cores: u32,
) -> u64 {
    let hz = u128::from(hz.max(1));
    let ticks = u64::from(idle_s).saturating_mul(u64::from(u32::try_from(hz).unwrap_or(u32::MAX)));
    let granule_ns = u128::from(timer_granule(ticks)) * 1_000_000_000 / hz;
    let idle = Nanos::from_secs(u64::from(idle_s));
    let spread_ns = u128::from(ramp.min(idle).0).max(1);
    let fired = (u128::from(connections) * granule_ns)
        .div_ceil(spread_ns)
        .min(u128::from(connections));
    u64::try_from(fired.div_ceil(u128::from(cores.max(1)))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{SockRef, TcpKeepalive};
    use std::io::Write as _;
    use std::time::Duration;

    #[test]
    fn granules_are_those_of_the_kernels_wheel() {
        for (ticks, granule) in [
            (0, 1),
            (62, 1),
            (63, 8),
            (503, 8),
            (504, 64),
            (750, 64),
            (4_031, 64),
            (4_032, 512),
            (7_500, 512),
            (32_256, 4_096),
            (u64::MAX, 1 << 24),
        ] {
            assert_eq!(timer_granule(ticks), granule, "{ticks} ticks");
        }
    }

    #[test]
    fn bursts_are_a_granules_share_of_the_connections() {
        // 256 ms of 3 s, on two CPUs
        assert_eq!(predict_burst(100_000, 3, 250, 2), 4_267);
        // 2.048 s of 30 s
        assert_eq!(predict_burst(1_000_000, 30, 250, 1), 68_267);
        // 64 ticks at HZ 1000 are 64 ms, and 3 s is still below 4032 ticks
        assert_eq!(predict_burst(100_000, 3, 1000, 1), 2_134);
        // a ramp of one second: a quarter of all in one granule
        let ramp = Nanos::from_secs(1);
        assert_eq!(predict_burst_after_ramp(100_000, 3, ramp, 250, 1), 25_600);
        assert_eq!(predict_burst_after_ramp(100, 3, Nanos::ZERO, 250, 1), 100);
        assert_eq!(predict_burst(0, 3, 250, 2), 0);
    }

    #[test]
    fn the_percentile_is_a_value_that_was_seen() {
        assert_eq!(percentile_99(&[]), 0);
        assert_eq!(percentile_99(&[7]), 7);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile_99(&hundred), 99);
    }

    #[test]
    fn a_probe_falls_into_a_slice_and_the_thread_ends() {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let held = listener.accept().unwrap();
        let running = BurstSampler::start(&[]).unwrap();
        let second = Duration::from_secs(1);
        let options = TcpKeepalive::new().with_time(second).with_interval(second);
        SockRef::from(&client).set_tcp_keepalive(&options).unwrap();
        std::thread::sleep(Duration::from_millis(1_400));
        (&client).write_all(b"data").unwrap();
        let asked = MonotonicClock.now();
        let samples = running.stop().unwrap();
        assert!(
            samples.probes >= 1 && samples.probes_max >= 1,
            "{samples:?}"
        );
        let slices = &samples.slices;
        assert!(
            slices.len() >= 2 && samples.longest_slice >= SLICE,
            "{samples:?}"
        );
        assert!(slices.iter().any(|slice| slice.data_segments > 0));
        for pair in slices.windows(2) {
            assert_eq!(pair[0].begins + pair[0].length, pair[1].begins);
        }
        let last = slices[slices.len() - 1];
        assert!(last.begins + last.length >= asked, "the window's end is in");
        drop(BurstSampler::start(&[std::process::id()]).unwrap());
        drop(held);
    }
}
