//! The control channel between an experiment and its two halves: one JSON object per line, orders on the half's
//! standard input, words on its standard output.
//!
//! Does not carry load and is silent while a window is open, except for one snapshot a second. A half whose
//! standard input ends has lost its experiment and ends itself.

use crate::bank::{Disturbance, Phase, Snapshot};
use crate::load::LoadConfig;
use crate::server::ServerConfig;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;

/// What an experiment tells a half.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Start as the server.
    Serve(Box<ServerConfig>),
    /// Start as the load generator.
    Load(Box<LoadConfig>),
    /// Go to a phase, and answer with [`Word::Snapshot`] when all threads are there.
    Go(Phase),
    /// Suffer a disturbance, and answer with [`Word::Snapshot`] when all threads have carried it out.
    Disturb(Disturbance),
    /// The load generator begins no further connect, and answers with [`Word::Snapshot`].
    StopOpening,
    /// Answer with [`Word::Snapshot`] now; published ones are up to a fifth of a second old.
    Report,
    /// Answer with a [`Word::Snapshot`] of an instant after this order came.
    Settle,
    /// The load generator answers with [`Word::Audited`].
    Audit {
        /// The server's.
        port: u16,
    },
}

/// What a half answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Rings stand, nothing is opened yet.
    Ready {
        /// Where the server listens.
        address: Option<SocketAddr>,
        /// The ring plan, for people.
        plan: String,
    },
    /// The state of all threads.
    Snapshot(Box<Snapshot>),
    /// What the kernel of this half's host has.
    Audited {
        /// Established sockets whose peer's port was asked for.
        established: u64,
    },
    /// The half cannot go on.
    Failed {
        /// What, why, and what to do.
        message: String,
        /// Whether the host is the reason (exit code 3) and not the run.
        host: bool,
    },
}

/// Writes one message as a line.
///
/// # Errors
/// Of the writer; a message of ours always serialises.
pub fn send<M: Serialize>(to: &mut impl Write, message: &M) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads the next message; `None` at the end of the stream.
///
/// # Errors
/// Of the reader, and `InvalidData` for a line that is no message.
pub fn receive<M: for<'a> Deserialize<'a>>(from: &mut impl BufRead) -> io::Result<Option<M>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    serde_json::from_str(&line)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_line_and_a_broken_line_is_an_error() {
        let mut line = Vec::new();
        send(&mut line, &Order::Go(Phase::Window)).unwrap();
        send(&mut line, &Order::Disturb(Disturbance::Speak { frames: 3 })).unwrap();
        send(&mut line, &Word::Snapshot(Box::default())).unwrap();
        let mut reader = line.as_slice();
        assert!(matches!(
            receive(&mut reader),
            Ok(Some(Order::Go(Phase::Window)))
        ));
        assert!(matches!(
            receive(&mut reader),
            Ok(Some(Order::Disturb(Disturbance::Speak { frames: 3 })))
        ));
        assert!(matches!(receive(&mut reader), Ok(Some(Word::Snapshot(_)))));
        assert!(matches!(receive::<Word>(&mut reader), Ok(None)));
        let broken = receive::<Word>(&mut "nonsense\n".as_bytes()).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::InvalidData);
    }
}
