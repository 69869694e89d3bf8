//! `ringbeat report`: renders a kept record again.
//!
//! Does not measure and never touches `record.json`.

use super::{Failure, output};
use crate::record::Record;
use crate::report::{FolderError, load, markdown_table, rewrite_rendered, table};
use clap::Args;
use std::path::PathBuf;

/// Render a record again: every file beside it, and the table
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The folder a run has left
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print the record instead of the table
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table in Markdown
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let record = load(&args.dir).map_err(|error| Failure::Usage(error.to_string()))?;
    // The table is worth having even where the folder cannot be written.
    output::result(&text(args, &record, output::width())?)?;
    rewrite_rendered(&args.dir, &record).map_err(|error| match error {
        FolderError::Io { .. } => Failure::Host(error.to_string()),
        _ => Failure::Run(error.to_string()),
    })
}

fn text(args: &ReportArgs, record: &Record, width: Option<u16>) -> Result<String, Failure> {
    if args.json {
        serde_json::to_string_pretty(record).map_err(|error| {
            Failure::Run(format!(
                "the record did not serialise ({error}); this is a defect, please report it"
            ))
        })
    } else if args.markdown {
        Ok(markdown_table(record))
    } else {
        Ok(table(record, width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ResultFolder, fixture};

    #[test]
    fn a_kept_record_reads_back_in_three_forms() {
        let kept = tempfile::tempdir().unwrap();
        let place = ResultFolder::reserve(&kept.path().join("run")).unwrap();
        let dir = place.write(&fixture::record()).unwrap();
        let record = load(&dir).unwrap();
        let said = |json, markdown| {
            let dir = dir.clone();
            text(
                &ReportArgs {
                    dir,
                    json,
                    markdown,
                },
                &record,
                Some(80),
            )
            .unwrap()
        };
        let value: Record = serde_json::from_str(&said(true, false)).unwrap();
        assert_eq!(value.arms.len(), record.arms.len());
        assert_eq!(said(false, true), markdown_table(&record));
        assert_eq!(said(false, false), table(&record, Some(80)));
    }
}
