//! Network namespaces without names: a thread that makes one, or enters that of a process.
//!
//! Does not set up what is in them. A namespace that nobody named ends with the last process in it, so nothing has to
//! be cleaned up, however that process ended. Both calls need `CAP_SYS_ADMIN`. Sources: namespaces(7), unshare(2),
//! setns(2).

use super::OsError;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;

const ADVICE: &str = "making network namespaces needs root (CAP_SYS_ADMIN)";

/// Runs `work` on a thread that has a network namespace of its own, with nothing in it but a loopback that is down.
/// A child process started by `work` stays in it.
///
/// # Errors
/// [`OsError::Refused`] when the system refuses.
pub fn in_new_network<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, OsError> {
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| OsError::Refused {
            call: "unshare(CLONE_NEWNET)",
            source: errno.into(),
            advice: ADVICE,
        })?;
        Ok(work())
    })
}

/// Runs `work` on a thread in the network namespace of process `pid`.
///
/// # Errors
/// [`OsError::Unreadable`] when the process is gone, [`OsError::Refused`] when the system refuses.
pub fn in_network_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> Result<T, OsError> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).map_err(|error| OsError::unreadable(&path, error))?;
    on_a_thread(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| OsError::Refused {
            call: "setns(CLONE_NEWNET)",
            source: errno.into(),
            advice: ADVICE,
        })?;
        Ok(work())
    })
}

/// A thread of its own, since both calls change the thread that makes them for good.
fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T, OsError> + Send) -> Result<T, OsError> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces() -> usize {
        std::fs::read_to_string("/proc/thread-self/net/dev")
            .unwrap()
            .lines()
            .count()
    }

    #[test]
    fn a_new_network_has_a_loopback_alone_and_the_caller_keeps_its_own() {
        let before = interfaces();
        match in_new_network(interfaces) {
            Ok(lines) => assert_eq!(lines, 3, "two lines of headings and lo"),
            Err(error) => eprintln!("SKIPPED: {error}"),
        }
        assert_eq!(interfaces(), before);
        if let Ok(same) = in_network_of(std::process::id(), interfaces) {
            assert_eq!(same, before);
        }
        assert!(in_network_of(u32::MAX, || ()).is_err());
    }
}
