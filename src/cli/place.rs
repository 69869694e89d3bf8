//! What every measuring command has around its measurement: the host's lock, the folder, the end.
//!
//! Does not measure. Everything that can be refused is refused before the first connection, the output folder
//! included; what was measured before an interruption is kept, marked partial.

use super::flags::{OutputFlags, SeedFlag};
use super::progress::Watcher;
use super::signals::Signals;
use super::{Failure, host, output};
use crate::bank::EngineKind;
use crate::clock::wall_rfc3339;
use crate::experiment::ExperimentError;
use crate::experiment::doctor::Question;
use crate::os::lock::HostLock;
use crate::record::{Record, Warning};
use crate::report::{self, ResultFolder};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The name every measuring run of this host competes for.
const LOCK: &str = "ringbeat-measures";
/// Where results go unless told otherwise.
const DEFAULT_OUT: &str = "ringbeat-out";
/// Checks that did not hold, of which the last line names so many; the report has all.
const CAUSES: usize = 3;

/// Flags of every measuring command: what is drawn, where the results go and beside whom, what is said where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(super) struct RunFlags {
    #[command(flatten)]
    seed: SeedFlag,
    /// Folder for the results; one that is there is left alone and NAME.2 is made [default: ringbeat-out/COMMAND-DATE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A name for the run, kept in its record
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Run although another ringbeat measures on this host; both results suffer
    #[arg(long)]
    alongside: bool,
    #[command(flatten)]
    output: OutputFlags,
}

impl RunFlags {
    /// The seed asked for, or else one drawn, another at each call.
    pub(super) fn seed(&self) -> u64 {
        self.seed.seed.unwrap_or_else(rand::random)
    }

    /// The run's name.
    pub(super) fn label(&self) -> Option<String> {
        self.label.clone()
    }

    /// Says what a quiet run keeps to itself.
    pub(super) fn note(&self, text: &str) {
        if !self.output.quiet {
            output::note(text);
        }
    }

    /// Proves the rings, takes the lock and reserves the folder for `command`.
    pub(super) fn prepare(&self, command: &str, engines: &[EngineKind]) -> Result<Place, Failure> {
        let ring_features = host::prove(engines)?;
        let lock = HostLock::acquire(LOCK).map_err(|error| Failure::Host(error.to_string()))?;
        if lock.is_none() && !self.alongside {
            return Err(Failure::Host(
                "another ringbeat measures on this host, and two at once would measure each other: wait \
                 for it to end, or pass --alongside"
                    .to_owned(),
            ));
        }
        let out = self.out.clone().unwrap_or_else(|| {
            let now = wall_rfc3339();
            let date = now.get(..10).unwrap_or("undated");
            PathBuf::from(DEFAULT_OUT).join(format!("{command}-{date}"))
        });
        let folder =
            ResultFolder::reserve(&out).map_err(|error| Failure::Host(error.to_string()))?;
        let executable = std::env::current_exe().map_err(|error| {
            Failure::Host(format!(
                "this program's own file cannot be found ({error}): is /proc mounted?"
            ))
        })?;
        Ok(Place {
            executable,
            ring_features,
            lock,
            folder,
            output: self.output,
        })
    }
}

/// The command line as typed.
pub(super) fn command_line() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

/// Says before a run what its plan foresees, and then what the doctor finds for `question`, but for what is in `said`.
pub(super) fn forewarn(
    foreseen: Vec<String>,
    question: Option<&Question>,
    congestion: Option<String>,
    said: &[&str],
) {
    let found = question.map(|question| host::forewarnings(question, congestion, said));
    for forewarning in foreseen.into_iter().chain(found.unwrap_or_default()) {
        output::warn(&forewarning);
    }
}

/// A run's place on this host, held until its end.
#[derive(Debug)]
pub(super) struct Place {
    /// This program, for the halves.
    pub(super) executable: PathBuf,
    /// What the rings can do here.
    pub(super) ring_features: BTreeMap<String, String>,
    lock: Option<HostLock>,
    folder: ResultFolder,
    output: OutputFlags,
}

impl Place {
    /// Runs `experiment` with its progress shown, and keeps what it measured.
    pub(super) fn measure(
        self,
        signals: &Signals,
        experiment: impl FnOnce(
            &Self,
            &mut Watcher<'_>,
        ) -> Result<(Record, Option<ExperimentError>), ExperimentError>,
    ) -> Result<(), Failure> {
        let mut watcher = Watcher::new(signals, self.output.quiet);
        let measured = experiment(&self, &mut watcher);
        watcher.finish();
        let (record, ended) = measured.map_err(|error| Failure::Host(error.to_string()))?;
        self.finish(record, ended)
    }

    /// Writes the folder, prints the result, and says how it ended.
    fn finish(self, mut record: Record, ended: Option<ExperimentError>) -> Result<(), Failure> {
        if self.lock.is_none() {
            record.warnings.push(alongside());
        }
        let text = if self.output.json {
            serde_json::to_string_pretty(&record).map_err(|error| {
                Failure::Run(format!(
                    "the record does not serialise ({error}); this is a defect, please report it"
                ))
            })?
        } else {
            report::table(&record, output::width())
        };
        let written = self.folder.write(&record);
        output::result(&text)?;
        let kept = written.map_err(|error| Failure::Run(error.to_string()))?;
        output::note(&format!(
            "results in {}; open {}",
            kept.display(),
            kept.join("report.html").display()
        ));
        match ended {
            Some(error) => Err(failure(&error)),
            None => verdict(&record),
        }
    }
}

/// How a run that was cut short ends.
fn failure(error: &ExperimentError) -> Failure {
    match error {
        ExperimentError::Interrupted(signal) => Failure::Interrupted(*signal),
        ExperimentError::Host(_)
        | ExperimentError::Memory(_)
        | ExperimentError::InNeed { .. }
        | ExperimentError::NotDrained { .. } => Failure::Host(error.to_string()),
        _ => Failure::Run(format!(
            "{error}; what was measured until then is kept, marked partial: not to be quoted, so measure again"
        )),
    }
}

/// How a whole run ends.
fn verdict(record: &Record) -> Result<(), Failure> {
    if !record.valid {
        let mut why: Vec<&str> = record
            .warnings
            .iter()
            .filter(|warning| warning.invalidates)
            .map(|warning| warning.message.as_str())
            .collect();
        let more = why.len().saturating_sub(CAUSES);
        why.truncate(CAUSES);
        let more = match more {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        return Err(Failure::Run(format!(
            "the run did not hold its checks, so its numbers are not to be quoted: {}{more}. The report says at each what to \
             do",
            why.join("; ")
        )));
    }
    let missing = record.scale.as_ref().and_then(|scale| scale.not_reached);
    missing.map_or(Ok(()), |asked| {
        let stops = record.warnings.iter();
        let why = stops
            .rev()
            .find(|warning| warning.code == "stopped-at-memory")
            .map_or("by the estimate they do not fit into memory", |warning| {
                warning.message.as_str()
            });
        Err(Failure::Host(format!(
            "the ladder ended below {} connections: {why}; the rungs that were measured are kept. For more, free memory, or ask `ringbeat doctor` what else \
             bites",
            crate::units::HumanCount(asked)
        )))
    })
}

fn alongside() -> Warning {
    Warning {
        code: "alongside".to_owned(),
        message: "another ringbeat measured on this host at the same time".to_owned(),
        advice: "run one at a time before quoting any cost".to_owned(),
        invalidates: false,
    }
}
