//! Network namespaces without names: a thread that makes one, or enters that of a process or of a [`Network`].
//!
//! Does not set up what is in them. A namespace that nobody named ends with the last process in it and the last
//! descriptor of it, so nothing has to be cleaned up, however those ended. The calls need `CAP_SYS_ADMIN`, which a user
//! namespace of one's own gives where the kernel allows one. Sources: namespaces(7), `user_namespaces(7)`, unshare(2),
//! setns(2).

use super::OsError;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;

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
    enter(&open(&format!("/proc/{pid}/ns/net"))?, work)
}

/// A network namespace that lasts as long as this value, or as a process in it.
#[derive(Debug)]
pub struct Network(File);

impl Network {
    /// A new one, with nothing in it but a loopback that is down.
    ///
    /// # Errors
    /// [`OsError::Refused`] when the system refuses.
    pub fn new() -> Result<Self, OsError> {
        in_new_network(|| open("/proc/thread-self/ns/net").map(Self))?
    }

    /// Runs `work` on a thread in it. A child process started by `work` stays in it.
    ///
    /// # Errors
    /// [`OsError::Refused`] when the system refuses.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, OsError> {
        enter(&self.0, work)
    }

    /// By what another program names it while this value lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Makes this process root of a user namespace of its own, in which it may make network namespaces. Nothing outside
/// of it changes, and it ends with the process and its children.
///
/// # Errors
/// [`OsError::Refused`] when the system refuses, also when the process has a second thread.
pub fn become_root_of_own_namespace() -> Result<(), OsError> {
    let refused = |call| {
        move |source: io::Error| OsError::Refused {
            call,
            source,
            advice: "run it as root, or let users make user namespaces (sysctl user.max_user_namespaces, \
                     kernel.apparmor_restrict_unprivileged_userns, kernel.unprivileged_userns_clone)",
        }
    };
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|errno| refused("unshare(CLONE_NEWUSER)")(errno.into()))?;
    // Without this a group map is refused to those who are not root (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny").map_err(refused("write /proc/self/setgroups"))?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))
        .map_err(refused("write /proc/self/uid_map"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
        .map_err(refused("write /proc/self/gid_map"))
}

fn open(path: &str) -> Result<File, OsError> {
    File::open(path).map_err(|error| OsError::unreadable(path, error))
}

fn enter<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> Result<T, OsError> {
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
        fs::read_to_string("/proc/thread-self/net/dev")
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

    #[test]
    fn a_network_lasts_while_it_is_held() {
        match Network::new() {
            Ok(network) => {
                assert_eq!(network.run(interfaces).unwrap(), 3);
                assert!(std::path::Path::new(&network.path()).exists());
            }
            Err(error) => eprintln!("SKIPPED: {error}"),
        }
    }
}
