//! The command line: arguments become checked values here, and the only text a person sees leaves
//! here.
//!
//! Does not measure and decides nothing about connections. Standard output carries the result and
//! nothing else; settings, progress, warnings and errors go to standard error. A failure ends as
//! one [`Failure`], printed in one place; only `main` turns it into the process's exit code.

#![forbid(unsafe_code)]

pub mod flags;
mod half;
pub mod host;
pub mod output;
pub mod parse;
mod report;
mod serve;
mod session;
pub mod signals;
// Another subcommand: its module here, its line in `Command`, its line in `dispatch`.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes: 0 good, 1 the run did not hold its checks, 2 usage, 3 this host cannot do it (the \
remedy is printed), 130 and 143 interrupted (the report is printed all the same).";

/// Heartbeats in the application or keepalive in the kernel, measured.
#[derive(Debug, Parser)]
#[command(name = "ringbeat", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Report(report::ReportArgs),
}

fn dispatch(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Report(args) => report::run(args),
    }
}

/// Why a command did not end well. The text says what, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The run did not hold its checks, or broke.
    Run(String),
    /// The arguments make no sense together.
    Usage(String),
    /// This host cannot do it.
    Host(String),
    /// A signal ended it; what there was to report has been reported.
    Interrupted(i32),
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Usage(_) => 2,
            Self::Host(_) => 3,
            // What a shell reports for a process that a signal ended.
            Self::Interrupted(signal) => {
                128_u8.saturating_add(u8::try_from(*signal).unwrap_or(u8::MAX))
            }
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Run(message) | Self::Usage(message) | Self::Host(message) => message.clone(),
            Self::Interrupted(signal) => format!("ended by {}", signals::name(*signal)),
        }
    }
}

/// Reads the arguments, does what they say, prints what went wrong.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that has gone away is no reason to fail: `ringbeat --help | head -1`.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&format!("ringbeat: {}", failure.message()));
            ExitCode::from(failure.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound_and_short_help_fits_a_screen() {
        Cli::command().debug_assert();
        let help = Cli::command().render_help().to_string();
        assert!(help.lines().count() < 25, "{help}");
    }

    #[test]
    fn failures_have_the_codes_that_scripts_rely_on() {
        let text = || "because".to_owned();
        assert_eq!(Failure::Run(text()).code(), 1);
        assert_eq!(Failure::Usage(text()).code(), 2);
        assert_eq!(Failure::Host(text()).code(), 3);
        assert_eq!(Failure::Interrupted(libc::SIGINT).code(), 130);
        assert_eq!(Failure::Interrupted(libc::SIGTERM).code(), 143);
        assert!(
            Failure::Interrupted(libc::SIGTERM)
                .message()
                .contains("SIGTERM")
        );
    }
}
