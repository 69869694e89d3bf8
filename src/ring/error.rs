//! What can go wrong with a ring, with the likely cause and the command that mends it.

use std::io;
use std::net::Ipv4Addr;

/// A ring could not be set up, or stopped working.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// `io_uring_setup` was refused by policy.
    #[error(
        "io_uring is refused on this host ({source}). Either the sysctl kernel.io_uring_disabled is \
         not 0 (look: `sysctl kernel.io_uring_disabled`; allow: `sudo sysctl -w \
         kernel.io_uring_disabled=0`), or a seccomp profile forbids it, as container runtimes do by \
         default (allow io_uring_setup, io_uring_enter and io_uring_register in the profile)"
    )]
    Refused {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The system call does not exist, or a filter pretends so.
    #[error(
        "this kernel has no io_uring ({source}): Linux {needed} or newer is needed, and sandboxes \
         such as gVisor or an old seccomp profile hide it"
    )]
    Missing {
        /// The kernel's answer.
        source: io::Error,
        /// The oldest kernel that would do.
        needed: &'static str,
    },
    /// A feature we rely on is not there.
    #[error(
        "this kernel's io_uring lacks {feature}, which needs Linux {needed}; upgrade the kernel"
    )]
    Feature {
        /// The missing feature in the kernel's words.
        feature: &'static str,
        /// The kernel that brought it.
        needed: &'static str,
    },
    /// The fixed-file table was refused.
    #[error(
        "a table of {slots} direct descriptors was refused ({source}): its size may not exceed the \
         soft limit on open files; raise it with `ulimit -n {slots}` (hard limit: \
         /etc/security/limits.conf, or LimitNOFILE= in a systemd unit)"
    )]
    Table {
        /// The kernel's answer.
        source: io::Error,
        /// Slots asked for.
        slots: u32,
    },
    /// Not enough memory or descriptors for one more ring.
    #[error(
        "a ring could not be created ({source}): memory, open files or locked memory (`ulimit -l`, which every \
         ring of an ordinary user is charged to since Linux 6.14) is short; `ringbeat doctor` says which and how to raise it; \
         or ask for fewer connections"
    )]
    Resources {
        /// The kernel's answer.
        source: io::Error,
    },
    /// An address that no connection can come from.
    #[error(
        "{address} cannot be a source address ({source}): is it one of this host's? See `ip -4 address`"
    )]
    Source {
        /// The address.
        address: Ipv4Addr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// `io_uring_enter` failed in a way that does not pass.
    #[error(
        "io_uring_enter failed: {source}; this is a defect of ringbeat or of the kernel, please report it"
    )]
    Enter {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel still held receive buffers after every submission was consumed.
    #[error(
        "the kernel kept {count} receives that must finish inline; this is a defect, please report it"
    )]
    Stuck {
        /// How many.
        count: usize,
    },
}

/// The oldest kernel whose io_uring has all we use (`SOCKET_URING_OP_SETSOCKOPT`).
pub const OLDEST_KERNEL: &str = "6.7";

impl RingError {
    /// Sorts the answer of `io_uring_setup`.
    pub(super) fn from_setup(source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Refused { source },
            Some(libc::ENOSYS) => Self::Missing {
                source,
                needed: OLDEST_KERNEL,
            },
            Some(libc::EINVAL) => Self::Feature {
                feature: "IORING_SETUP_DEFER_TASKRUN",
                needed: "6.1",
            },
            _ => Self::Resources { source },
        }
    }
}

/// Whether a failed `io_uring_enter` means "go on": an interrupted, timed-out or momentarily overcommitted call.
/// Unsubmitted entries stay queued and are counted again by the next call.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_its_cause_and_remedy() {
        let refused = RingError::from_setup(io::Error::from_raw_os_error(libc::EPERM)).to_string();
        assert!(refused.contains("kernel.io_uring_disabled") && refused.contains("seccomp"));
        let missing = RingError::from_setup(io::Error::from_raw_os_error(libc::ENOSYS)).to_string();
        assert!(missing.contains(OLDEST_KERNEL));
        let old = RingError::from_setup(io::Error::from_raw_os_error(libc::EINVAL)).to_string();
        assert!(old.contains("DEFER_TASKRUN") && old.contains("6.1"));
        let poor = RingError::from_setup(io::Error::from_raw_os_error(libc::ENOMEM)).to_string();
        assert!(poor.contains("memory") && poor.contains("ulimit -l"));
    }

    #[test]
    fn only_passing_conditions_are_retried() {
        for errno in [libc::EINTR, libc::ETIME, libc::EAGAIN, libc::EBUSY] {
            assert!(is_transient(&io::Error::from_raw_os_error(errno)));
        }
        for errno in [libc::EBADR, libc::EEXIST, libc::EINVAL, libc::ENOMEM] {
            assert!(!is_transient(&io::Error::from_raw_os_error(errno)));
        }
    }
}
