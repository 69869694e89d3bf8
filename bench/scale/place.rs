//! Where these tests run: a network namespace of their own where the host lets them make one.

use ringbeat::record::{Record, ScaleRecord};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
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

    /// Where the run's results go.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("result")
    }

    /// `ringbeat scale` with these arguments, separated by spaces, in one-second heartbeats. `sysctls` are set first
    /// where there is a namespace for them.
    pub(crate) fn scale(&self, arguments: &str, sysctls: &str) -> Command {
        let mut command = apart(sysctls).unwrap_or_else(|| {
            skipped("no network namespace to be had; other traffic on loopback is in the counters");
            Command::new(env!("CARGO_BIN_EXE_ringbeat"))
        });
        command
            .args([
                "scale",
                "--alongside",
                "--interval",
                "1s",
                "--timeout",
                "8s",
                "--seed=7",
            ])
            .args(arguments.split_whitespace())
            .arg("--out")
            .arg(self.out());
        command
    }

    /// The record of the run and its climb.
    pub(crate) fn record(&self) -> (Record, ScaleRecord) {
        let record = ringbeat::report::load(&self.out()).expect("a folder holds its record");
        let scale = record.scale.clone().expect("the record of a climb");
        (record, scale)
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        Path::new(&self.out()).join(file).is_file()
    }
}

/// The binary in a network namespace of its own, loopback up, `sysctls` (shell) done; `None` where that cannot be.
pub(crate) fn apart(sysctls: &str) -> Option<Command> {
    let prepared = format!("ip link set lo up {sysctls}");
    let enter = |script: &str| {
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
    let possible = enter(&prepared)
        .output()
        .is_ok_and(|probe| probe.status.success());
    possible.then(|| enter(&format!(r#"{prepared} && exec "$0" "$@""#)))
}

/// The exit code; what was said goes to the test's output.
pub(crate) fn code(output: &Output) -> Option<i32> {
    println!("{}", said(output));
    output.status.code()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Says past the harness's capture that something was not tested here.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
