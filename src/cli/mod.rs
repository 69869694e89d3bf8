//! The command line: arguments become checked values here, and the only text a person sees leaves
//! here.
//!
//! Does not measure and decides nothing about connections. Standard output carries the result and
//! nothing else; settings, progress, warnings and errors go to standard error. A failure ends as
//! one [`Failure`], printed in one place; only `main` turns it into the process's exit code.

#![forbid(unsafe_code)]

mod advise;
mod audit;
mod bundle;
pub mod choices;
mod compare;
mod cost;
mod detect;
mod doctor;
mod driven;
pub mod flags;
mod fleet;
mod fleet_plan;
mod half;
mod holding;
pub mod host;
mod laboratory;
mod lifecycle;
mod load;
mod merge;
mod metrics;
mod opening;
pub mod output;
pub mod parse;
mod place;
mod progress;
mod reconnect;
mod report;
mod route;
mod scale;
mod serve;
mod session;
mod shell;
pub mod signals;
mod status;
mod storm;
mod view;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes: 0 good, 1 the run did not hold its checks, 2 usage, 3 this host cannot do it (the \
remedy is printed), 130 and 143 interrupted (the report is printed all the same).";

/// How values are written, for those who have not read the manual.
const VALUES: &str = "\
Values: TIME is a number with a unit (8ms, 9s, 2m, 1h), SIZE too (200MiB, 20GiB), N connections may be written 10k or \
1.5M, a LIST is separated by commas. `ringbeat --help` lists the exit codes.";

/// Heartbeats in the application or keepalive in the kernel, measured.
#[derive(Debug, Parser)]
#[command(name = "ringbeat", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Doctor(doctor::DoctorArgs),
    Compare(Box<compare::CompareArgs>),
    Scale(Box<scale::ScaleArgs>),
    Detect(Box<detect::DetectArgs>),
    Lifecycle(Box<lifecycle::LifecycleArgs>),
    Storm(Box<storm::StormArgs>),
    Advise(Box<advise::AdviseArgs>),
    Serve(Box<serve::ServeArgs>),
    Load(Box<load::LoadArgs>),
    Report(report::ReportArgs),
    Merge(merge::MergeArgs),
    // Hidden, so that the short help stays a screen; the README tells of them.
    #[command(hide = true)]
    Completions(shell::CompletionsArgs),
    #[command(hide = true)]
    Man(shell::ManArgs),
}

fn dispatch(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Doctor(args) => doctor::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Scale(args) => scale::run(args),
        Command::Detect(args) => detect::run(args),
        Command::Lifecycle(args) => lifecycle::run(args),
        Command::Storm(args) => storm::run(args),
        Command::Advise(args) => advise::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Load(args) => load::run(args),
        Command::Report(args) => report::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Completions(args) => shell::completions(args, Cli::command()),
        Command::Man(args) => shell::man(args, Cli::command()),
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
mod help_tests;

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn absurd_arguments_are_usage_errors_that_say_why() {
        let load = ["load", "--target", "127.0.0.1:7000"];
        for (arguments, why) in [
            (&["--connections", "0"][..], "at least 1"),
            (&["--connections", "-5"], "not a count"),
            (&["--connections", "11M"], "at most"),
            (&["--tick", "0ms"], "1ms to 1s"),
            (&["--tick", "2s"], "1ms to 1s"),
            (&["--tick", "-8ms"], "not a duration"),
            (&["--for", "0s"], "more than zero"),
            (&["--misses", "0"], "2 to 100"),
            (&["--misses", "-1"], "2 to 100"),
            (&["--detect-within", "0s"], "more than zero"),
            (&["--interval", "0s", "--timeout", "3s"], "more than zero"),
            (&["--interval", "3s"], "--timeout"),
            (
                &["--preset", "strict", "--misses", "3"],
                "cannot be used with",
            ),
            (
                &["--preset", "strict", "--timeout", "3s"],
                "cannot be used with",
            ),
            (
                &[
                    "--detect-within",
                    "9s",
                    "--interval",
                    "3s",
                    "--timeout",
                    "9s",
                ],
                "cannot be used with",
            ),
            (&["--arm", "ping"], "heartbeat-oneway"),
            (&["--phases", "random"], "staggered"),
            (&["--timers", "heap"], "sweep"),
            (&["--sweep-period", "0s"], "more than zero"),
            (&["--keepalive-side", "left"], "server"),
            (&["--load-cores", "100000"], "usable here"),
            (&["--load-cores", ""], "not a core"),
            (&["--ramp-rate", "0"], "at least 1"),
            (&["--reconnect", "--backoff", "10s..1s"], "is above the cap"),
            (&["--reconnect", "--backoff", "1s"], "BASE..CAP"),
            (&["--no-jitter"], "--reconnect"),
            (&["--backoff", "1s..2s"], "--reconnect"),
        ] {
            let all = std::iter::once("ringbeat")
                .chain(load)
                .chain(arguments.iter().copied());
            let error = Cli::try_parse_from(all).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(why), "{arguments:?}: {error}");
        }
    }
}
