//! Where the lab's tests run: one at a time, in a folder of their own, with what the host lets them have.
//!
//! Asserts nothing.

use super::child::skipped;
use ringbeat::os::namespace::Network;
use ringbeat::record::{CellRecord, Record};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The right to run now; `None`, with a visible skip, where this host lets nobody make namespaces or rings.
pub(crate) fn turn() -> Option<MutexGuard<'static, ()>> {
    if let Err(error) = ringbeat::ring::self_test() {
        skipped(&error.to_string());
        return None;
    }
    if let Err(error) = Network::new() {
        skipped(&error.to_string());
        return None;
    }
    Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) fn record_in(folder: &Path) -> Record {
    ringbeat::report::load(folder).expect("a folder holds its record")
}

pub(crate) fn cell<'a>(
    record: &'a Record,
    fault: &str,
    mechanism: &str,
    seat: &str,
) -> &'a CellRecord {
    record
        .cells
        .iter()
        .find(|cell| {
            (
                cell.fault.as_str(),
                cell.mechanism.as_str(),
                cell.seat.as_str(),
            ) == (fault, mechanism, seat)
        })
        .unwrap_or_else(|| panic!("no cell for {fault}, {mechanism}, {seat}"))
}

/// The namespaces that any process is in.
pub(crate) fn networks() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir("/proc")
        .expect("/proc is mounted")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("ns/net")).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The halves that are running, whoever started them.
pub(crate) fn halves() -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("/proc is mounted");
    all.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let dead = stat.rsplit(')').next()?.trim_start().starts_with('Z');
        (line.contains("ringbeat") && line.contains("--controlled") && !dead).then_some(pid)
    })
    .collect()
}
