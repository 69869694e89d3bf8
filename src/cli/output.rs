//! The two streams: results on standard output, everything else on standard error.
//!
//! Does not decide what is said. Nothing here panics when a reader has gone away, which is why the
//! `print!` family is not used.

use super::Failure;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Writes a result, whole, to standard output. A reader that has gone away (`| head`) wanted no
/// more.
///
/// # Errors
/// [`Failure::Run`] when the result could not be kept, for want of space for instance.
pub fn result(text: &str) -> Result<(), Failure> {
    let mut stream = io::stdout().lock();
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| {
            if text.ends_with('\n') {
                Ok(())
            } else {
                stream.write_all(b"\n")
            }
        })
        .and_then(|()| stream.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Run(format!(
            "the result could not be written to standard output ({error}): is the disk full?"
        ))),
        _ => Ok(()),
    }
}

/// Writes one or more lines to standard error. Where even that is closed there is nobody to tell.
pub fn note(text: &str) {
    // In one piece: an engine that collects the words of many hosts puts the host's name before each piece.
    let line = format!("{}\n", text.trim_end_matches('\n'));
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Says on standard error why to be careful.
pub fn warn(text: &str) {
    note(&format!("warning: {text}"));
}

/// Columns of the terminal that standard output is; `None` when it is none.
#[must_use]
pub fn width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0)
}

/// Rows of a name and a value, the values aligned.
#[must_use]
pub fn aligned(rows: &[(&str, String)]) -> String {
    let widest = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        writeln!(text, "{name:widest$}  {value}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_under_each_other() {
        let rows = [
            ("arm", "none".to_owned()),
            ("congestion", "cubic".to_owned()),
        ];
        assert_eq!(aligned(&rows), "arm         none\ncongestion  cubic\n");
    }
}
