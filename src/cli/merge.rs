//! `ringbeat merge`: one result of the folders that the hosts of a run have left.
//!
//! Does not measure and does not change the folders it reads. What does not fit is refused; what is doubtful is in the
//! result, which then ends with code 1.

use super::flags::OutputFlags;
use super::{Failure, output};
use crate::clock::wall_rfc3339;
use crate::merge::{Coverage, Part, merge};
use crate::record::Record;
use crate::report::{self, FolderError, ResultFolder, load_verified};
use clap::Args;
use std::path::{Path, PathBuf};

const MORE: &str = "\
Give the folders of all load generators and of the server, in any order. Each is first held against its checksums \
(SHA256SUMS). Results of merge may be merged again, so a part can be joined while the rest is still being copied.

Refused are folders of different runs, settings or builds, a host given twice, and windows that were certainly not open \
at once. What all hosts together do not hold (asked = established = held, counts of both ends) makes the result invalid; \
a host unlike the others is named.";

/// Join what the hosts of one run have left into one result
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
pub(super) struct MergeArgs {
    /// The folders of the hosts, or of earlier merges
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Folder for the result; never overwritten, `.2` is next [default: ringbeat-out/merge-DATE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Join what is there although shards are missing; the result says which and is marked partial
    #[arg(long)]
    partial: bool,
    /// A name for the result, kept in the record [default: the hosts' own, where they share one]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    #[command(flatten)]
    output: OutputFlags,
}

pub(super) fn run(args: &MergeArgs) -> Result<(), Failure> {
    if let Some(file) = args.dirs.iter().find(|dir| !dir.is_dir()) {
        return Err(Failure::Usage(format!(
            "{} is no folder; give the folders that `ringbeat load --out` and `ringbeat serve --out` left",
            file.display()
        )));
    }
    let out = args.out.clone().unwrap_or_else(|| {
        let now = wall_rfc3339();
        let date = now.get(..10).unwrap_or("undated");
        PathBuf::from("ringbeat-out").join(format!("merge-{date}"))
    });
    let record = joined(args)?;
    let folder = ResultFolder::reserve(&out).map_err(|error| failed(&error))?;
    let written = folder.write(&record);
    output::result(&text(args, &record)?)?;
    let kept = written.map_err(|error| failed(&error))?;
    if !args.output.quiet {
        output::note(&kept_in(&kept));
    }
    verdict(&record)
}

fn joined(args: &MergeArgs) -> Result<Record, Failure> {
    let mut records = Vec::new();
    for dir in &args.dirs {
        let record = load_verified(dir).map_err(|error| failed(&error))?;
        records.push((dir.display().to_string(), record));
    }
    let parts: Vec<Part<'_>> = records
        .iter()
        .map(|(name, record)| Part { name, record })
        .collect();
    let coverage = if args.partial {
        Coverage::Partial
    } else {
        Coverage::Whole
    };
    let mut record = merge(&parts, coverage).map_err(|error| Failure::Run(error.to_string()))?;
    record.command = std::env::args().collect::<Vec<_>>().join(" ");
    if args.label.is_some() {
        record.label.clone_from(&args.label);
    }
    Ok(record)
}

fn failed(error: &FolderError) -> Failure {
    match error {
        FolderError::Io { .. } | FolderError::NoName(_) | FolderError::Taken(_) => {
            Failure::Host(error.to_string())
        }
        _ => Failure::Run(error.to_string()),
    }
}

fn text(args: &MergeArgs, record: &Record) -> Result<String, Failure> {
    if !args.output.json {
        return Ok(report::table(record, output::width()));
    }
    serde_json::to_string_pretty(record).map_err(|error| {
        Failure::Run(format!(
            "the record does not serialise ({error}); this is a defect, please report it"
        ))
    })
}

fn kept_in(kept: &Path) -> String {
    format!(
        "results in {}; open {}",
        kept.display(),
        kept.join("report.html").display()
    )
}

fn verdict(record: &Record) -> Result<(), Failure> {
    if record.valid {
        return Ok(());
    }
    let why: Vec<&str> = record
        .warnings
        .iter()
        .filter(|warning| warning.invalidates)
        .map(|warning| warning.message.as_str())
        .collect();
    Err(Failure::Run(format!(
        "merged, but the run did not hold its checks, so its numbers are not to be quoted: {}; the report says at each what \
         to do",
        why.join("; ")
    )))
}
