//! Where these tests run: a network namespace of their own where the host lets them make one.

use super::child::{Ended, Running, skipped};
use ringbeat::record::{Kind, Record, StormRecord};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A folder for one test, which runs alone while it has it.
pub(crate) struct Place {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    /// `None`, with a visible skip, where the host refuses io_uring to begin with.
    pub(crate) fn take() -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = ringbeat::ring::self_test() {
            skipped(&error.to_string());
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        Some(Self {
            folder,
            _alone: alone,
        })
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("result")
    }

    /// `ringbeat storm` with these arguments, separated by spaces, over one-second heartbeats.
    pub(crate) fn storm(&self, arguments: &str) -> Running {
        let mut command = apart().unwrap_or_else(|| {
            skipped("no network namespace to be had; other traffic on loopback is in the counters");
            Command::new(env!("CARGO_BIN_EXE_ringbeat"))
        });
        let common = "storm --alongside --interval 1s --timeout 8s --settle 200ms --seed 7";
        command
            .args(common.split_whitespace())
            .args(arguments.split_whitespace())
            .arg("--out")
            .arg(self.out());
        Running::start(command)
    }

    /// The same, to its end.
    pub(crate) fn storms(&self, arguments: &str) -> Ended {
        self.storm(arguments).wait()
    }

    /// The record of the run and its storms.
    pub(crate) fn record(&self) -> (Record, StormRecord) {
        let record = ringbeat::report::load(&self.out()).expect("a folder holds its record");
        assert_eq!((record.kind, record.arms.len()), (Kind::Storm, 0));
        let storm = record.storm.clone().expect("the record of a storm");
        (record, storm)
    }
}

/// The binary in a network namespace of its own, loopback up; `None` where that cannot be.
fn apart() -> Option<Command> {
    let enter = |script: &str| {
        let mut command = Command::new("unshare");
        let binary = env!("CARGO_BIN_EXE_ringbeat");
        command.args(["--net", "--map-root-user", "sh", "-c", script, binary]);
        command
    };
    let possible = enter("ip link set lo up")
        .output()
        .is_ok_and(|probe| probe.status.success());
    possible.then(|| enter(r#"ip link set lo up && exec "$0" "$@""#))
}
