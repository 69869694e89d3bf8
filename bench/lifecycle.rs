//! The built binary's two halves driven through the ways in which TCP connections begin and end, by plain sockets at
//! the other end: what each says and hears, and that each way is counted by itself.
//!
//! Beside it the command as a whole, and its costs. Asserts counts; of times only the second after which a SYN is sent again.

#[cfg(test)]
#[path = "cli/child.rs"]
mod child;
#[cfg(test)]
#[path = "lifecycle/costs.rs"]
mod costs;
#[cfg(test)]
#[path = "cli/frames.rs"]
mod frames;
#[cfg(test)]
#[path = "cli/lab.rs"]
mod lab;
#[cfg(test)]
#[path = "lifecycle/load.rs"]
mod load;
#[cfg(test)]
#[path = "lifecycle/losses.rs"]
mod losses;
#[cfg(test)]
#[path = "lifecycle/server.rs"]
mod server;
#[cfg(test)]
#[path = "lifecycle/whole.rs"]
mod whole;

#[cfg(test)]
mod common {
    use super::child::skipped;
    use serde_json::Value;
    use socket2::SockRef;
    use std::io::Read as _;
    use std::net::{Shutdown, TcpStream};

    /// Whether this host lets the tests use `engine`; says so when not.
    pub(crate) fn host_can(engine: &str) -> bool {
        match ringbeat::ring::self_test() {
            Err(error) if engine != "epoll" => {
                skipped(&error.to_string());
                false
            }
            _ => true,
        }
    }

    /// A counter of a half's JSON.
    pub(crate) fn count(json: &Value, name: &str) -> u64 {
        json["totals"][name].as_u64().unwrap()
    }

    /// Asserts that the peer has nothing more to say and says so, with its FIN.
    pub(crate) fn expect_end(stream: &mut TcpStream) {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    }

    /// Waits until something of the peer's lies unread.
    pub(crate) fn expect_unread(stream: &TcpStream) {
        // A wait with a time limit does not go on after an interruption (signal(7)).
        while let Err(error) = stream.peek(&mut [0]) {
            assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{error}");
        }
    }

    /// Writes `bytes` and the FIN in one segment, so that no look at the socket comes between them.
    pub(crate) fn say_and_half_close(stream: &TcpStream, bytes: &[u8]) {
        let sent = SockRef::from(stream).send_with_flags(bytes, libc::MSG_MORE);
        assert_eq!(sent.unwrap(), bytes.len());
        stream.shutdown(Shutdown::Write).unwrap();
    }
}
