//! One measurement at a time: a lock that the kernel releases when its holder ends, however it ends.
//!
//! Does not wait. An abstract unix socket (unix(7)) leaves no file behind and is seen by every process of the
//! same network namespace, whoever's it is.

use super::OsError;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Held while it lives.
#[derive(Debug)]
pub struct HostLock {
    _listener: UnixListener,
}

impl HostLock {
    /// Takes the lock called `name`; `None` when somebody has it.
    ///
    /// # Errors
    /// [`OsError::Refused`] when unix sockets are not to be had.
    pub fn acquire(name: &str) -> Result<Option<Self>, OsError> {
        let bound = SocketAddr::from_abstract_name(name.as_bytes())
            .and_then(|address| UnixListener::bind_addr(&address));
        match bound {
            Ok(listener) => Ok(Some(Self {
                _listener: listener,
            })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(source) => Err(OsError::Refused {
                call: "bind of an abstract unix socket",
                source,
                advice: "the sandbox must allow AF_UNIX sockets",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_free_again_afterwards() {
        let name = format!("ringbeat-test-{}", std::process::id());
        let held = HostLock::acquire(&name).unwrap();
        assert!(held.is_some());
        assert!(HostLock::acquire(&name).unwrap().is_none());
        drop(held);
        assert!(HostLock::acquire(&name).unwrap().is_some());
    }
}
