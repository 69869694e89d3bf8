//! Where a fleet of these tests leaves its folders, and what it must not leave.
//!
//! Asserts nothing but that nothing is left.

use super::child::{Ended, Running, skipped};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A folder for one fleet, which runs alone while it has it.
pub(crate) struct Place {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    /// `None`, with a visible skip, where this host has no root, no io_uring or not all of `tools`.
    pub(crate) fn take(tools: &[&str]) -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = ringbeat::ring::self_test() {
            skipped(&error.to_string());
            return None;
        }
        if !geteuid().is_root() {
            skipped("network namespaces with names need root");
            return None;
        }
        let there = |tool: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
        };
        let common = ["ip", "python3"];
        if let Some(tool) = common.iter().chain(tools).find(|tool| !there(tool)) {
            skipped(&format!("there is no {tool}, so no fleet"));
            return None;
        }
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            _alone: alone,
        })
    }

    /// Where the fleet's folders go.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("result")
    }

    /// A script of the fleet with the built binary, four hosts and `connections` in all, and the prefix of its
    /// namespaces.
    pub(crate) fn fleet(&self, script: &str, connections: u32, window: &str) -> Fleet<'_> {
        let scratch = self.folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let script = format!("{}/scripts/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(script);
        command
            .args(["--binary", env!("CARGO_BIN_EXE_ringbeat"), "--hosts", "4"])
            .args(["--connections", &connections.to_string(), "--for", window])
            .arg("--out")
            .arg(self.out())
            .args("-- --interval 1s --timeout 8s".split(' '))
            .env("TMPDIR", &scratch);
        let mut running = Running::start(command);
        let said = running.line("fleet: hosts are the network namespaces ");
        let prefix = said.split("-0 ").next().unwrap().to_owned();
        Fleet {
            running: Some(running),
            left: Left {
                prefix,
                scratch,
                out: self.out(),
            },
            _place: self,
        }
    }
}

/// A fleet that runs. A test that fails lets its script clean up.
pub(crate) struct Fleet<'a> {
    running: Option<Running>,
    pub(crate) left: Left,
    _place: &'a Place,
}

impl Fleet<'_> {
    /// The script.
    pub(crate) fn script(&mut self) -> &mut Running {
        self.running.as_mut().expect("it has not ended")
    }

    /// Waits for the end of the script.
    pub(crate) fn wait(&mut self) -> Ended {
        self.running.take().expect("it has not ended").wait()
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.signal(Signal::SIGTERM);
            running.wait();
        }
    }
}

/// What could be left of a fleet.
pub(crate) struct Left {
    prefix: String,
    scratch: PathBuf,
    out: PathBuf,
}

impl Left {
    /// Namespaces, temporary files, the secret and processes of the fleet that are there still.
    pub(crate) fn behind(&self) -> Vec<String> {
        let mut found = names(Path::new("/run/netns"));
        found.retain(|name| name.starts_with(&self.prefix));
        found.extend(names(&self.scratch));
        found.extend(self.out.join("token").exists().then(|| "token".to_owned()));
        let out = self.out.to_string_lossy().into_owned();
        for process in names(Path::new("/proc")) {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            if line.contains(&out) {
                found.push(line.replace('\0', " "));
            }
        }
        found
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}
