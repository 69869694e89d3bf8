//! Asks the built binary, in a folder of the test's own.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `ringbeat advise` with these arguments, separated by spaces, run in `folder`.
pub(crate) fn ask_in(folder: &Path, arguments: &str) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_ringbeat"))
        .arg("advise")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same in an empty folder.
pub(crate) fn ask(arguments: &str) -> Answer {
    ask_in(tempfile::tempdir().unwrap().path(), arguments)
}

/// The same as JSON.
pub(crate) fn json(arguments: &str) -> Value {
    let answer = ask(&format!("{arguments} --json"));
    assert_eq!(
        (answer.code, answer.stderr.as_str()),
        (Some(0), ""),
        "{answer:?}"
    );
    serde_json::from_str(&answer.stdout).unwrap()
}

/// Says that something was not tested, and why.
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
