//! One half as a child process: started, ordered about, ended.
//!
//! Does not interpret what the half says. The child gets a process group of its own, so that a Ctrl-C on the
//! terminal reaches the experiment alone and the experiment decides what becomes of its halves. Dropping a
//! half kills it.

use super::ExperimentError;
use crate::bank::{Phase, Snapshot};
use crate::control::{Order, Word, receive, send};
use std::io::BufReader;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// The longest a half may take to obey: ending a million connections takes some ten seconds, and a machine may be
/// slower than that.
const PATIENCE: Duration = Duration::from_mins(5);

/// A child process that takes [`Order`]s.
#[derive(Debug)]
pub(super) struct Half {
    role: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    words: Receiver<Word>,
}

impl Half {
    /// Starts `executable serve` or `executable load`; `role` is `server` or `load`.
    pub(super) fn spawn(executable: &Path, role: &'static str) -> Result<Self, ExperimentError> {
        let subcommand = if role == "server" { "serve" } else { "load" };
        let failed = |message: String| ExperimentError::Half { role, message };
        let mut child = Command::new(executable)
            .args([subcommand, "--controlled"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| {
                failed(format!(
                    "it could not be started ({error}): is this program's file gone, or the limit of processes \
                     reached (`ulimit -u`)?"
                ))
            })?;
        let orders = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| {
            failed("it has no output; this is a defect, please report it".to_owned())
        })?;
        let (sender, words) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(output);
            while let Ok(Some(word)) = receive(&mut reader) {
                if sender.send(word).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            role,
            child,
            orders,
            words,
        })
    }

    /// The process's number.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order and waits for the answer.
    pub(super) fn ask(&mut self, order: &Order) -> Result<Word, ExperimentError> {
        let role = self.role;
        let sent = match &mut self.orders {
            Some(orders) => send(orders, order).is_ok(),
            None => false,
        };
        let answer = if sent {
            self.words.recv_timeout(PATIENCE)
        } else {
            Err(RecvTimeoutError::Disconnected)
        };
        match answer {
            Ok(Word::Failed {
                message,
                host: true,
            }) => Err(ExperimentError::Host(message)),
            Ok(Word::Failed {
                message,
                host: false,
            }) => Err(ExperimentError::Half { role, message }),
            Ok(word) => Ok(word),
            Err(RecvTimeoutError::Timeout) => Err(ExperimentError::Half {
                role,
                message: format!(
                    "it has not answered for {PATIENCE:?}: stop what else runs on this machine, or ask for fewer \
                     connections"
                ),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(ExperimentError::Half {
                role,
                message: self.obituary(),
            }),
        }
    }

    /// Takes the half to `phase` and returns what it then shows.
    pub(super) fn go(&mut self, phase: Phase) -> Result<Snapshot, ExperimentError> {
        self.show(&Order::Go(phase))
    }

    /// What the half shows now; at most a fifth of a second old.
    pub(super) fn report(&mut self) -> Result<Snapshot, ExperimentError> {
        self.show(&Order::Report)
    }

    /// What the half shows after now.
    pub(super) fn settle(&mut self) -> Result<Snapshot, ExperimentError> {
        self.show(&Order::Settle)
    }

    /// Gives an order whose answer is what there is to see.
    pub(super) fn show(&mut self, order: &Order) -> Result<Snapshot, ExperimentError> {
        match self.ask(order)? {
            Word::Snapshot(snapshot) => Ok(*snapshot),
            _ => Err(unexpected(self.role, "a snapshot")),
        }
    }

    /// Lets the half end by itself and waits for it.
    pub(super) fn finish(mut self) {
        self.orders = None;
        // It ends with its input; what it returns has been said before.
        let _ = self.child.wait();
    }

    fn obituary(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => match (status.signal(), status.code()) {
                (Some(9), _) => {
                    "it was killed (signal 9): by hand, or by the kernel for want of memory \
                                 (look: `dmesg | grep -i oom`)"
                        .to_owned()
                }
                (Some(signal), _) => {
                    format!("it was ended by signal {signal}: by hand, or see `dmesg`")
                }
                (None, code) => format!(
                    "it ended by itself with code {}: look at what it said last",
                    code.unwrap_or(-1)
                ),
            },
            Err(error) => format!("it is gone, and how cannot be told: {error}"),
        }
    }
}

/// The process of `role` gave another answer than the one `wanted`. Both are of one program, so nobody else is to blame.
pub(super) fn unexpected(role: &'static str, wanted: &str) -> ExperimentError {
    ExperimentError::Half {
        role,
        message: format!(
            "it gave another answer than {wanted}; this is a defect, please report it"
        ),
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // After `finish` both are no-ops on a process that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
