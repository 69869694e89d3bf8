//! One connection between captain and member: whole messages, and a kernel that notices the other's silence.
//!
//! Does not interpret messages. Keepalive probes after 1 s of silence, every second; after [`SILENCE`] without an answer
//! the connection is given up, also one with unacknowledged data (`TCP_USER_TIMEOUT`, `tcp(7)`).

use super::frame::{self, FrameError};
use crate::socket::SocketError;
use crate::socket::keepalive::{Keepalive, set_user_timeout};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::SockRef;
use std::io::{self, ErrorKind, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When a silent host is given up.
pub(super) const SILENCE: Duration = Duration::from_secs(4);
/// Silence before the first probe and between probes, seconds.
const PROBE_S: u32 = 1;
/// Probes that stay unanswered within [`SILENCE`].
const PROBES: u32 = 3;
/// The longest that a message may take to get into the socket's buffer, which is empty as a rule.
const WRITING: Duration = Duration::from_secs(4);
/// What is read of a peer that is being sent away, so that it sees the reason and no reset, bytes.
const REMAINDER: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    writing: Mutex<()>,
}

impl Link {
    pub(super) fn new(stream: TcpStream) -> Result<Self, SocketError> {
        let socket = SockRef::from(&stream);
        Keepalive::new(PROBE_S, PROBE_S, PROBES)?.apply(&socket)?;
        let silence = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
        set_user_timeout(&socket, silence)?;
        let prepared = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_write_timeout(Some(WRITING)));
        prepared.map_err(|source| SocketError::Refused {
            call: "setting up a connection of the rendezvous",
            source,
            advice: "is it still open?",
        })?;
        Ok(Self {
            stream,
            writing: Mutex::new(()),
        })
    }

    /// Sends one message whole. One that cannot be sent ends the connection: half a frame is worth nothing.
    pub(super) fn send(&self, message: &impl Serialize, limit: usize) -> Result<(), FrameError> {
        let frame = frame::encode(message, limit)?;
        self.send_bytes(&frame)
    }

    pub(super) fn send_bytes(&self, frame: &[u8]) -> Result<(), FrameError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = &self.stream;
        stream.write_all(frame).map_err(|error| {
            self.end();
            error.into()
        })
    }

    /// The next message of an admitted peer; `None` when it has ended the connection.
    pub(super) fn receive<M: DeserializeOwned>(&self) -> Result<Option<M>, FrameError> {
        let mut stream = &self.stream;
        let body = frame::read(&mut stream, frame::AFTER_ADMISSION)?;
        body.map(|body| frame::decode(&body)).transpose()
    }

    /// The bytes of the next frame of a peer that is not admitted.
    pub(super) fn receive_until(&self, deadline: Instant) -> Result<Option<Vec<u8>>, FrameError> {
        let mut until = frame::Until {
            stream: &self.stream,
            deadline,
        };
        frame::read(&mut until, frame::BEFORE_ADMISSION)
    }

    /// From now on reads wait for ever; the kernel watches.
    pub(super) fn admitted(&self) -> io::Result<()> {
        self.stream.set_read_timeout(None)
    }

    /// Says that nothing more will be said. What was said before arrives.
    pub(super) fn finish(&self) {
        // A connection that is broken is finished too.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends both directions; whoever reads is woken.
    pub(super) fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Lets a peer read the last message before the connection ends.
    pub(super) fn part(&self, deadline: Instant) {
        self.finish();
        let mut until = frame::Until {
            stream: &self.stream,
            deadline,
        };
        let mut left = REMAINDER;
        let mut scrap = [0; 1 << 10];
        while left > 0 {
            match io::Read::read(&mut until, &mut scrap) {
                Ok(0) | Err(_) => break,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
        self.end();
    }

    #[cfg(test)]
    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// How a connection ended, for people.
pub(super) fn obituary<M>(received: &Result<Option<M>, FrameError>) -> String {
    match received {
        Ok(_) => "its process has ended".to_owned(),
        Err(FrameError::Broken(error)) => match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "its process was killed, or its connection cut".to_owned()
            }
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                format!(
                    "nothing was heard of it for {SILENCE:?}; is the host down, or the network?"
                )
            }
            _ => format!("its connection broke ({error})"),
        },
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_kernel_watches_every_connection() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let link = Link::new(stream).unwrap();
        let socket = SockRef::from(link.stream());
        let keepalive = Keepalive::read(&socket).unwrap().unwrap();
        assert_eq!(keepalive, Keepalive::new(1, 1, 3).unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SILENCE));
    }

    #[test]
    fn every_end_has_its_words() {
        let said = |error: io::Error| obituary::<()>(&Err(error.into()));
        assert!(said(ErrorKind::ConnectionReset.into()).contains("killed"));
        let silent = said(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        assert!(silent.contains("4s"), "{silent}");
        assert!(obituary::<()>(&Ok(None)).contains("ended"));
    }
}
