//! What the kernel tells about itself: one file per subject, each a pure parser with a thin reader
//! above.
//!
//! | file | subject | from |
//! |---|---|---|
//! | [`cgroup`] | what a container may still take | `/sys/fs/cgroup` |
//! | [`conntrack`] | tracked connections: forgotten, counted | netlink, `/proc/sys/net/netfilter` |
//! | [`cores`] | which cores may be used, pinning | `sched_getaffinity(2)` |
//! | [`counters`] | tables of counters | the text of a file |
//! | [`cpu`] | CPU time of the system and of processes | `/proc/stat`, process clocks |
//! | [`established`] | live TCP connections by port | `sock_diag(7)` |
//! | [`limits`] | descriptors, sysctls, tick rate | `getrlimit(2)`, `/proc/sys`, kernel config |
//! | [`memory`] | free, resident, slab caches | `/proc/meminfo`, `smaps_rollup`, `slabinfo` |
//! | [`namespace`] | threads in other network namespaces | `unshare(2)`, `setns(2)` |
//! | [`network`] | interface, TCP and backlog counters | `/proc/net` |
//! | [`packet`] | frames of an interface | packet(7) |
//! | [`route`] | the way to a peer: interface and address | the routing table, `getifaddrs(3)` |
//! | [`sockets`] | TCP connections of a port and their states | `sock_diag(7)` |
//! | [`privilege`] | capabilities, seccomp | `/proc/self/status` |
//! | [`threads`] | run and wait time of threads | `schedstat` |
//! | [`wait`] | waiting for closed sockets to be gone | `/proc/net/sockstat` |
//!
//! Does not judge, subtract or keep anything: that is `measure`'s. A figure that cannot be read is
//! an [`OsError`] with a reason, never zero. `/proc/net` is that of the calling thread's network
//! namespace.

pub mod cgroup;
pub mod conntrack;
pub mod cores;
pub mod counters;
pub mod cpu;
mod diag;
pub mod established;
pub mod limits;
pub mod lock;
pub mod memory;
pub mod namespace;
pub mod network;
pub mod packet;
pub mod privilege;
pub mod route;
pub mod sockets;
pub mod threads;
pub mod wait;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Why the kernel's figures could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OsError {
    /// The file did not open or read.
    #[error("could not read {path} ({source}): {advice}")]
    Unreadable {
        /// What was to be read.
        path: String,
        /// What the system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The file lacks an entry.
    #[error("{path} has no `{what}`: see what this kernel has with `cat {path}`")]
    Missing {
        /// Where it was looked for.
        path: String,
        /// What was looked for.
        what: String,
    },
    /// The file holds something else than expected.
    #[error(
        "{path} holds `{text}` where {what} should stand, since this kernel writes it in another \
         form: please report it with the output of `uname -r`"
    )]
    Malformed {
        /// Where it stands.
        path: String,
        /// What was expected.
        what: &'static str,
        /// What was found.
        text: String,
    },
    /// A system call failed.
    #[error("{call} failed ({source}): {advice}")]
    Refused {
        /// The call.
        call: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
}

impl OsError {
    fn unreadable(path: &str, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::PermissionDenied => "run as root to have this figure",
            io::ErrorKind::NotFound => {
                "it may be gone or not built into this kernel; is it mounted?"
            }
            _ => "try again, and look at `dmesg` if it stays so",
        };
        Self::Unreadable {
            path: path.to_owned(),
            source,
            advice,
        }
    }

    fn missing(path: &str, what: impl Into<String>) -> Self {
        Self::Missing {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    fn malformed(path: &str, what: &'static str, text: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            what,
            text: text.into(),
        }
    }
}

/// The whole of a small text file.
fn read_text(path: &str) -> Result<String, OsError> {
    std::fs::read_to_string(path).map_err(|error| OsError::unreadable(path, error))
}

/// A number in decimal, or the complaint that it is none.
fn number(path: &str, what: &'static str, text: &str) -> Result<u64, OsError> {
    text.parse()
        .map_err(|_| OsError::malformed(path, what, text))
}

/// A file that stays open and is read from its start again and again, for samplers: no path lookup
/// and no allocation once the buffer has grown to the file's size.
#[derive(Debug)]
pub struct Rereader {
    path: String,
    file: File,
    buffer: Vec<u8>,
}

impl Rereader {
    /// Opens `path`. The network namespace of a `/proc/net` file is fixed at this moment.
    ///
    /// # Errors
    /// [`OsError::Unreadable`].
    pub fn open(path: impl Into<String>) -> Result<Self, OsError> {
        let path = path.into();
        let file = File::open(&path).map_err(|error| OsError::unreadable(&path, error))?;
        Ok(Self {
            path,
            file,
            buffer: vec![0; 16 << 10],
        })
    }

    /// The file as it is now.
    ///
    /// # Errors
    /// [`OsError::Unreadable`], or [`OsError::Malformed`] when it is no text.
    pub fn read(&mut self) -> Result<&str, OsError> {
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                self.buffer.resize(2 * length, 0);
            }
            let got = self
                .file
                .read_at(&mut self.buffer[length..], length as u64)
                .map_err(|error| OsError::unreadable(&self.path, error))?;
            if got == 0 {
                break;
            }
            length += got;
        }
        std::str::from_utf8(&self.buffer[..length])
            .map_err(|_| OsError::malformed(&self.path, "text", "bytes that are no UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_and_again_whole() {
        let mut reader = Rereader::open("/proc/net/netstat").unwrap();
        let first = reader.read().unwrap().lines().count();
        assert!(first >= 2);
        assert_eq!(reader.read().unwrap().lines().count(), first);
    }

    #[test]
    fn errors_say_what_why_and_what_to_do() {
        let gone = read_text("/proc/no-such-file").unwrap_err().to_string();
        assert!(
            gone.contains("/proc/no-such-file") && gone.contains("mounted"),
            "{gone}"
        );
        let denied = OsError::unreadable("/x", io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(denied.to_string().contains("run as root"));
        let odd = number("/x", "a count", "ten").unwrap_err().to_string();
        assert!(odd.contains("`ten`") && odd.contains("a count"), "{odd}");
    }
}
