//! `ringbeat report`: renders a kept record again, or two of them side by side.
//!
//! Does not measure and never touches `record.json`.

use super::{Failure, output};
use crate::record::Record;
use crate::report::{
    Difference, FolderError, Side, load, markdown_table, rewrite_rendered, table, write_page,
};
use clap::Args;
use std::path::{Path, PathBuf};

/// Render a record again, every file and the table; or say what differs between two
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The folder a run has left
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Another one, to be compared with the first; both folders stay as they are
    #[arg(value_name = "OTHER")]
    other: Option<PathBuf>,
    /// Print the record instead of the table
    #[arg(long, conflicts_with_all = ["markdown", "other"])]
    json: bool,
    /// Print the table in Markdown
    #[arg(long)]
    markdown: bool,
    /// Write the comparison as a page too, to a file that is not there yet
    #[arg(long, value_name = "FILE.html", requires = "other")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let record = open(&args.dir)?;
    if let Some(other) = &args.other {
        return compare(args, &record, other);
    }
    // The table is worth having even where the folder cannot be written.
    output::result(&text(args, &record, output::width())?)?;
    rewrite_rendered(&args.dir, &record).map_err(|error| failed(&error))
}

fn open(dir: &Path) -> Result<Record, Failure> {
    load(dir).map_err(|error| Failure::Usage(error.to_string()))
}

fn failed(error: &FolderError) -> Failure {
    match error {
        FolderError::Io { .. } => Failure::Host(error.to_string()),
        _ => Failure::Run(error.to_string()),
    }
}

fn compare(args: &ReportArgs, one: &Record, dir: &Path) -> Result<(), Failure> {
    let other = open(dir)?;
    let names = [&*args.dir.to_string_lossy(), &*dir.to_string_lossy()];
    let side = |name, record| Side { name, record };
    let difference = Difference::between(side(names[0], one), side(names[1], &other))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    output::result(&if args.markdown {
        difference.markdown()
    } else {
        difference.table(output::width())
    })?;
    match &args.out {
        Some(path) => write_page(path, &difference.page()).map_err(|error| failed(&error)),
        None => Ok(()),
    }
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
            let args = ReportArgs {
                dir: dir.clone(),
                other: None,
                json,
                markdown,
                out: None,
            };
            text(&args, &record, Some(80)).unwrap()
        };
        let value: Record = serde_json::from_str(&said(true, false)).unwrap();
        assert_eq!(value.arms.len(), record.arms.len());
        assert_eq!(said(false, true), markdown_table(&record));
        assert_eq!(said(false, false), table(&record, Some(80)));
    }
}
