//! What a run of the lab left in its folder.
//!
//! Asserts nothing.

use ringbeat::record::{CellRecord, Record};
use std::path::Path;

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
