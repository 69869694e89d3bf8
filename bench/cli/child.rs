//! A child process that never outlives its test, and what it printed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Long enough for any machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running `ringbeat`.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stdout: Option<JoinHandle<String>>,
}

/// What a `ringbeat` that has ended left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary with these arguments, separated by spaces.
pub(crate) fn ringbeat(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbeat"));
    command.args(arguments.split_whitespace());
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &str) -> Ended {
    Running::start(ringbeat(arguments)).wait()
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = out.read_to_string(&mut text);
            text
        });
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
            stdout: Some(stdout),
        }
    }

    /// Waits for a line on standard error that begins with `prefix`; returns the rest of it.
    pub(crate) fn line(&mut self, prefix: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("no line begins with `{prefix}`: {:#?}", self.seen);
            });
            self.seen.push(line.clone());
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "{:#?}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        };
        let stdout = self.stdout.take().unwrap().join().unwrap();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        Ended {
            status,
            stdout,
            stderr: self.seen.join("\n"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by a signal: {self:#?}"))
    }

    /// Asserts the exit code and that standard error holds all of `words`.
    pub(crate) fn refused_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code(), code, "{self:#?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "`{word}` is not said: {self:#?}"
            );
        }
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A server on loopback and its port.
pub(crate) fn serve(arguments: &str) -> (Running, u16) {
    let command = ringbeat(&format!("serve --connections 300 {arguments}"));
    let mut server = Running::start(command);
    let address = server.line("listening on ");
    let (_, port) = address.rsplit_once(':').unwrap();
    (server, port.parse().unwrap())
}

/// Says, past the test harness's capture, that something was not tested here.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
