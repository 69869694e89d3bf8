//! Waiting until closed sockets are really gone.
//!
//! Does not close anything. A ring that is torn down closes its sockets later, from a kernel
//! worker, so the next arm must wait for them or it would share the machine with their ends. Looks
//! at `TCP: alloc` of `/proc/net/sockstat` (net/ipv4/proc.c, `sockstat_seq_show`): every TCP socket
//! that has memory, orphans included, `TIME_WAIT` excluded.

use super::network::SocketStats;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// Waits until no more than `tolerance` TCP sockets over `baseline` are allocated. False when
/// `timeout` passed, `cancelled` said so, or the figure cannot be read.
pub fn wait_until_sockets_drained(
    baseline: u64,
    tolerance: u64,
    timeout: Duration,
    cancelled: &dyn Fn() -> bool,
) -> bool {
    let begun = Instant::now();
    loop {
        match SocketStats::read() {
            Ok(stats) if stats.tcp_allocated <= baseline.saturating_add(tolerance) => return true,
            Err(_) => return false,
            Ok(_) if cancelled() || begun.elapsed() >= timeout => return false,
            Ok(_) => std::thread::sleep(POLL.min(timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_reached_baseline_returns_at_once_and_an_unreachable_one_times_out() {
        let never = || false;
        assert!(wait_until_sockets_drained(
            u64::MAX,
            0,
            Duration::ZERO,
            &never
        ));
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!wait_until_sockets_drained(
            0,
            0,
            Duration::from_millis(1),
            &never
        ));
        let hour = Duration::from_hours(1);
        assert!(!wait_until_sockets_drained(0, 0, hour, &|| true));
        drop(held);
    }
}
