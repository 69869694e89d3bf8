//! Where tests of laboratories run: one at a time, with what the host lets them have, and what they leave behind.
//!
//! Asserts nothing but that nothing is left.

use super::child::skipped;
use nix::unistd::geteuid;
use ringbeat::os::namespace::Network;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// Waits for the end of all processes and namespaces that were not there before.
pub(crate) fn nothing_is_left(before: &[String]) {
    let begun = Instant::now();
    loop {
        let left: Vec<String> = networks()
            .into_iter()
            .filter(|one| !before.contains(one))
            .collect();
        let running = halves();
        if left.is_empty() && running.is_empty() {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{left:?} {running:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The binary where `tool` is there and cannot be run; `None`, with a visible skip, where the host does not let the test
/// make it so.
pub(crate) fn without(tool: &str, arguments: &str) -> Option<Command> {
    let hide = format!(
        r#"for folder in /sbin /usr/sbin /bin /usr/bin; do
            if [ -e "$folder/{tool}" ]; then mount --bind /dev/null "$(readlink -f "$folder/{tool}")" || exit 99; fi
        done; "#
    );
    let hidden = |script: &str| {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "sh",
            "-c",
            &format!("{hide}{script}"),
            env!("CARGO_BIN_EXE_ringbeat"),
        ]);
        command
    };
    let possible = hidden("true").output();
    if !possible.is_ok_and(|probe| probe.status.success()) {
        skipped("no mount namespace to be had, so no tool can be hidden");
        return None;
    }
    let mut command = hidden(r#"exec "$0" "$@""#);
    command.args(arguments.split_whitespace());
    Some(command)
}

/// Runs `command` on a thread whose children may make no namespace.
pub(crate) fn without_namespaces(mut command: Command) -> std::process::Output {
    let refused = [libc::SYS_unshare]
        .into_iter()
        .map(|call| (call, vec![]))
        .collect::<BTreeMap<_, _>>();
    let filter = SeccompFilter::new(
        refused,
        SeccompAction::Allow,
        SeccompAction::Errno(1), // EPERM
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    std::thread::spawn(move || {
        apply_filter(&program).unwrap();
        command.output().unwrap()
    })
    .join()
    .unwrap()
}

/// The binary where everybody may run it.
pub(crate) fn public_copy(place: &Path) -> PathBuf {
    let open =
        |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(place, 0o777);
    let copy = place.join("ringbeat");
    std::fs::copy(env!("CARGO_BIN_EXE_ringbeat"), &copy).unwrap();
    open(&copy, 0o755);
    copy
}

/// `program` as the user nobody, or as this test's where that is no root.
pub(crate) fn as_nobody(program: impl AsRef<OsStr>, place: &Path) -> Command {
    let program = program.as_ref();
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(place);
    command
}

/// Whether this host lets users without rights make user and network namespaces.
pub(crate) fn users_may_make_namespaces(place: &Path) -> bool {
    let probe = as_nobody("unshare", place)
        .args(["--user", "--map-root-user", "--net", "true"])
        .output();
    probe.is_ok_and(|probe| probe.status.success())
}
