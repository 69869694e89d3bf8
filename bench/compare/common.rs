//! What the tests of the built `compare` share: the binary, its surroundings, its record.
//!
//! Asserts nothing of a result.

use ringbeat::record::{ArmRecord, Record, SliceRow};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One run at a time: they read the loopback interface's counters, and another run's packets would be in them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(super) fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn ringbeat() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ringbeat"))
}

/// The binary in a network namespace of its own, where no other traffic is in the interface's counters; as it is
/// where the host does not let the test make one.
pub(super) fn ringbeat_apart() -> Command {
    let apart = |script: &str| {
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "--map-root-user",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_ringbeat"),
        ]);
        command
    };
    let possible = apart("ip link set lo up")
        .output()
        .is_ok_and(|probe| probe.status.success());
    if possible {
        apart(r#"ip link set lo up && exec "$0" "$@""#)
    } else {
        skipped(
            "no network namespace to be had; other traffic on loopback would be in the counters",
        );
        ringbeat()
    }
}

/// Says past the harness's capture that something was not tested here.
pub(super) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A visible skip where the host refuses io_uring to begin with.
pub(super) fn host_can() -> bool {
    match ringbeat::ring::self_test() {
        Ok(_) => true,
        Err(error) => {
            skipped(&error.to_string());
            false
        }
    }
}

pub(super) fn code(output: &Output) -> Option<i32> {
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.code()
}

pub(super) fn record_in(folder: &Path) -> Record {
    ringbeat::report::load(folder).expect("a folder holds its record")
}

/// The slices of an arm's only round hold what the kernel counted in its window and no more: each lies between two
/// readings, the sampler began before the window and ended after it. Returns the sum of what `count` says of them.
pub(super) fn slices_add_up(
    arm: &ArmRecord,
    count: fn(&SliceRow) -> u64,
    in_window: Option<u64>,
) -> u64 {
    let slices = arm.slices.as_ref().expect("slices were kept");
    assert_eq!((slices.round, slices.from_us), (0, 0));
    assert!(
        slices.window_opened_us < slices.window_closing_us
            && slices.window_closing_us <= slices.to_us,
        "{slices:?}"
    );
    let mut end = 0;
    for row in &slices.rows {
        assert!(row.begin_us >= end && row.length_us > 0, "{row:?}");
        assert!(row.probes + row.segments > 0, "{row:?}");
        end = row.end_us();
    }
    assert!(end <= slices.to_us);
    let all: u64 = slices.rows.iter().map(count).sum();
    let inner = |row: &&SliceRow| {
        row.begin_us >= slices.window_opened_us && row.end_us() <= slices.window_closing_us
    };
    let inner: u64 = slices.rows.iter().filter(inner).map(count).sum();
    if let Some(counted) = in_window {
        assert!(
            inner <= counted && counted <= all,
            "{inner} within, {counted} counted, {all} around"
        );
    }
    all
}

pub(super) fn arm<'a>(record: &'a Record, name: &str) -> &'a ArmRecord {
    record
        .arms
        .iter()
        .find(|arm| arm.name == name)
        .expect("every arm was run")
}
