//! The result folder: reserved before a run, written whole or not at all, never over another.
//!
//! Does not render: every text comes from the exporters. It and its reading half are the one place of this
//! module tree that touches the disk. A hidden folder beside the target takes the files; when all are on the disk it
//! gets its final name in one step. A host's part of a fleet carries the checksums of its files, since it is copied from
//! host to host before it is merged.

use super::format::file_name as safe;
use super::hlog::{Interval, interval_log};
use super::{detection, fleet, hgrm, hlog, html, lifecycle, plots, samples_csv, storm, sums};
use crate::record::{ArmRecord, HistogramRecord, Kind, Record, SCHEMA_VERSION, ScaleAxis};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

mod read;

use read::read_sums;
pub use read::{load, load_verified};

const RECORD: &str = "record.json";
/// Names tried before giving up: `out`, `out.2`, … `out.9999`.
const SUFFIXES: u32 = 9_999;

/// Why a result could not be kept, or read back.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("could not {what} {}: {source}; {}", path.display(), remedy(what, source))]
    Io {
        /// What was tried: `write`, `create`, ….
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path given has no name a folder could bear.
    #[error("`{}` names no folder; give --out a path that ends in a name", .0.display())]
    NoName(PathBuf),
    /// All names are taken.
    #[error("{} and its numbered successors all exist; choose another --out", .0.display())]
    Taken(PathBuf),
    /// The record's text is not a record.
    #[error("{} is no ringbeat record: {reason}; give the folder a run has left", path.display())]
    NotARecord {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// The record has a shape this program does not know.
    #[error(
        "{} has schema version {found}, this program reads {SCHEMA_VERSION}; \
         use the version of ringbeat that wrote it, or a newer one", path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// The version it states.
        found: u64,
    },
    /// The folder has no checksums, so whether it is whole cannot be told.
    #[error(
        "{} has no {}, so whether it is whole cannot be told; give folders that `ringbeat load --out`, `ringbeat serve \
         --out` or `ringbeat merge` wrote, copied with all their files", .0.display(), sums::NAME
    )]
    NoSums(PathBuf),
    /// Its checksums cannot be read.
    #[error("{} is no list of checksums: {reason}; copy the folder again from its host", path.display())]
    Sums {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// A file is gone.
    #[error("{} is missing: the folder was not copied whole; copy it again from its host", .0.display())]
    Lost(PathBuf),
    /// A file is not what was written.
    #[error(
        "{} is not what was written there: its checksum is not the one in {}, so it was cut short or changed; copy the \
         folder again from its host", .0.display(), sums::NAME
    )]
    Changed(PathBuf),
    /// An exporter refused, which means the record holds what no run writes.
    #[error(
        "could not render {what}: {reason}; the record is damaged: take another copy of it, or measure again"
    )]
    Render {
        /// Which file.
        what: String,
        /// Why.
        reason: String,
    },
}

/// What a person can do about `error`.
fn remedy(what: &str, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied if what == "read" => "give a folder this user may read",
        io::ErrorKind::NotADirectory if what == "read" => "give the folder a run has left",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space there, or give --out a place on another disk"
        }
        io::ErrorKind::PermissionDenied => {
            "give --out a folder this user may write to, or render a copy that is the user's own"
        }
        io::ErrorKind::ReadOnlyFilesystem => "give --out a place that is not read-only",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "something is there already, or a part of that path is a file; give --out another path"
        }
        io::ErrorKind::NotFound => "check that the path is spelled right",
        _ if what == "read" => "try again, and look at `dmesg` if it stays so",
        _ => "try another place with --out",
    }
}

/// Adds what was tried on which path.
fn during<T>(what: &'static str, path: &Path, result: io::Result<T>) -> Result<T, FolderError> {
    result.map_err(|source| FolderError::Io {
        what,
        path: path.to_owned(),
        source,
    })
}

/// A place kept for a result. Dropped before [`write`](Self::write) succeeds, it leaves nothing
/// behind.
#[derive(Debug)]
pub struct ResultFolder {
    parent: PathBuf,
    name: OsString,
    temporary: PathBuf,
    finished: bool,
}

impl ResultFolder {
    /// Makes a hidden folder beside `out` at once, so that a place nobody may write to is known
    /// before the run and not after it. Missing parents are created.
    ///
    /// # Errors
    /// [`FolderError::NoName`] when `out` ends in no name; [`FolderError::Io`] when the place is
    /// not writable.
    pub fn reserve(out: &Path) -> Result<Self, FolderError> {
        let name = out
            .file_name()
            .ok_or_else(|| FolderError::NoName(out.to_owned()))?;
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        during("create", parent, fs::create_dir_all(parent))?;
        for attempt in 1..=SUFFIXES {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".unfinished.{attempt}"));
            let temporary = parent.join(hidden);
            match fs::create_dir(&temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => {
                    during("create", &temporary, result)?;
                    return Ok(Self {
                        parent: parent.to_owned(),
                        name: name.to_owned(),
                        temporary,
                        finished: false,
                    });
                }
            }
        }
        Err(FolderError::Taken(out.to_owned()))
    }

    /// Writes everything, waits until it is on the disk, and gives the folder its name: the one
    /// asked for, or with `.2`, `.3`, … when that is taken. Returns the path.
    ///
    /// # Errors
    /// [`FolderError::Io`] when the disk refuses, [`FolderError::Render`] when the record holds a
    /// damaged histogram, [`FolderError::Taken`] when thousands of names are taken. Nothing is left
    /// behind then.
    pub fn write(mut self, record: &Record) -> Result<PathBuf, FolderError> {
        let json = serde_json::to_vec_pretty(record).map_err(|error| FolderError::Render {
            what: RECORD.to_owned(),
            reason: error.to_string(),
        })?;
        let mut files = vec![(RECORD.to_owned(), json)];
        files.extend(rendered(record)?);
        if record.kind == Kind::Fleet {
            let summed = files
                .iter()
                .map(|(name, content)| (name.clone(), sums::sum(content)));
            let text = sums::text(&summed.collect());
            files.push((sums::NAME.to_owned(), text.into_bytes()));
        }
        for (name, content) in files {
            put(&self.temporary.join(name), &content)?;
        }
        sync_folder(&self.temporary)?;
        let path = self.publish()?;
        self.finished = true;
        sync_folder(&self.parent)?;
        Ok(path)
    }

    /// Renames the temporary folder to the first free name.
    fn publish(&self) -> Result<PathBuf, FolderError> {
        for number in 1..=SUFFIXES {
            let mut name = self.name.clone();
            if number > 1 {
                name.push(format!(".{number}"));
            }
            let path = self.parent.join(name);
            match rename_to_free(&self.temporary, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return during("name", &path, Err(error)),
            }
        }
        Err(FolderError::Taken(self.parent.join(&self.name)))
    }
}

impl Drop for ResultFolder {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody is left to tell; a hidden folder that stays is harmless.
            fs::remove_dir_all(&self.temporary).unwrap_or_default();
        }
    }
}

/// Renames a folder without ever replacing anything.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            // Some file systems lack the flag. Making the folder claims the name, and a rename
            // replaces an empty folder but never one that holds anything.
            fs::create_dir(to)?;
            fs::rename(from, to)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Writes a page of its own to `path`, whole, where nothing is yet.
///
/// # Errors
/// [`FolderError::Io`] when something is there already or the disk refuses.
pub fn write_page(path: &Path, page: &str) -> Result<(), FolderError> {
    let mut file = during("create", path, File::create_new(path))?;
    during("write", path, file.write_all(page.as_bytes()))?;
    during("write", path, file.sync_all())
}

/// Writes one file and waits until it is on the disk.
fn put(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let mut file = during("create", path, File::create(path))?;
    during("write", path, file.write_all(bytes))?;
    during("write", path, file.sync_all())
}

fn sync_folder(path: &Path) -> Result<(), FolderError> {
    let folder = during("open", path, File::open(path))?;
    match folder.sync_all() {
        // Some file systems have no such call for folders; their files are synced already.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => during("write", path, result),
    }
}

/// Every file but the record itself: name and content.
fn rendered(record: &Record) -> Result<Vec<(String, Vec<u8>)>, FolderError> {
    let texts = texts(record)?.into_iter();
    let mut files: Vec<_> = texts
        .map(|(name, text)| (name, text.into_bytes()))
        .collect();
    if let Some(lifecycle) = &record.lifecycle {
        let beside = lifecycle::files(lifecycle);
        files.extend(beside.map_err(|(name, error)| damaged(&name, &error))?);
    }
    Ok(files)
}

/// Those of them that are text.
fn texts(record: &Record) -> Result<Vec<(String, String)>, FolderError> {
    let mut files = vec![("samples.csv".to_owned(), samples_csv(&record.samples))];
    for arm in &record.arms {
        files.extend(histograms(arm, &safe(&arm.name))?);
    }
    if let Some(rung) = &record.drop_free_rung {
        for arm in &rung.arms {
            files.extend(histograms(
                arm,
                &format!("{}@{}", safe(&arm.name), rung.connections),
            )?);
        }
    }
    for rung in record.scale.iter().flat_map(|scale| &scale.rungs) {
        let place = match record.scale.as_ref().map(|scale| scale.axis) {
            Some(ScaleAxis::Tick) => format!("{}-tick{}us", rung.connections, rung.tick_us),
            _ => rung.connections.to_string(),
        };
        for arm in &rung.arms {
            files.extend(histograms(arm, &format!("{}@{place}", safe(&arm.name)))?);
        }
    }
    if let Some(hold) = record.scale.as_ref().and_then(|scale| scale.hold.as_ref()) {
        let stem = format!("{}@hold", safe(&hold.arm.name));
        files.extend(histograms(&hold.arm, &stem)?);
    }
    files.extend(of_the_run(record)?);
    let plots = plots(record).map_err(|error| damaged("charts", &error))?;
    files.push(("report.html".to_owned(), html::page(record, &plots)));
    files.extend(
        plots
            .into_iter()
            .map(|plot| (format!("{}.svg", plot.name), plot.svg)),
    );
    Ok(files)
}

fn histograms(arm: &ArmRecord, stem: &str) -> Result<Vec<(String, String)>, FolderError> {
    let mut files = Vec::new();
    for (name, stored) in &arm.histograms {
        let file = format!("{stem}.{}.hgrm", safe(name));
        let histogram = stored.histogram().map_err(|error| damaged(&file, &error))?;
        let text = hgrm(&histogram, &format!("{} {name}", arm.name));
        files.push((file, text));
        let file = format!("{stem}.{}.hlog", safe(name));
        let log = hlog(arm, name).map_err(|error| damaged(&file, &error))?;
        files.extend(log.map(|log| (file, log)));
    }
    Ok(files)
}

/// The files of histograms that belong to no arm: a fault lab's cells, a storm's runs, a life cycle's costs.
fn of_the_run(record: &Record) -> Result<Vec<(String, String)>, FolderError> {
    let mut files = Vec::new();
    if record.kind == Kind::Detection {
        files.push(("cells.csv".to_owned(), detection::cells_csv(&record.cells)));
    }
    for (stem, cell) in detection::stems(&record.cells, safe) {
        files.extend(summed(record, &stem, "detection", &cell.histogram)?);
    }
    let storm = record.storm.iter();
    for (run, name) in storm.flat_map(|storm| storm.runs.iter().zip(storm::run_names(storm))) {
        for (histogram, stored) in &run.histograms {
            let stem = safe(&name);
            files.extend(summed(record, &stem, histogram, stored)?);
        }
    }
    let lifecycle = record.lifecycle.iter().flat_map(lifecycle::histograms);
    for (name, histograms) in lifecycle {
        for (histogram, stored) in histograms {
            files.extend(summed(record, &safe(&name), histogram, stored)?);
        }
    }
    let hosts = record.fleet.iter().flat_map(fleet::histograms);
    for (name, histograms) in hosts {
        for (histogram, stored) in histograms {
            files.extend(summed(record, &safe(&name), histogram, stored)?);
        }
    }
    Ok(files)
}

/// Both files of one histogram, none if it is empty. The record does not say when each value was recorded, so the log
/// has one interval: the whole run.
fn summed(
    record: &Record,
    stem: &str,
    name: &str,
    stored: &HistogramRecord,
) -> Result<Vec<(String, String)>, FolderError> {
    if stored.count == 0 {
        return Ok(Vec::new());
    }
    let table = format!("{stem}.{}.hgrm", safe(name));
    let log = format!("{stem}.{}.hlog", safe(name));
    let histogram = stored
        .histogram()
        .map_err(|error| damaged(&table, &error))?;
    let began = humantime::parse_rfc3339(&record.started_at)
        .ok()
        .and_then(|began| began.duration_since(UNIX_EPOCH).ok());
    let began = began.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
    let interval = Interval {
        started_epoch_ms: began,
        length_ns: record.duration_ms.saturating_mul(1_000_000),
        encoded: &stored.v2_deflate_base64,
    };
    let text = interval_log(stem, name, &[interval]).map_err(|error| damaged(&log, &error))?;
    let percentiles = hgrm(&histogram, &format!("{stem} {name}"));
    Ok(vec![(table, percentiles), (log, text)])
}

fn damaged(what: &str, error: &dyn std::fmt::Display) -> FolderError {
    FolderError::Render {
        what: what.to_owned(),
        reason: error.to_string(),
    }
}

/// Renders `record` into `dir` again, file by file, each replaced in one step; `record.json` stays
/// untouched, and where the folder keeps checksums so does the record's: what somebody changed stays told.
///
/// # Errors
/// As [`ResultFolder::write`], and [`FolderError::Sums`].
pub fn rewrite_rendered(dir: &Path, record: &Record) -> Result<(), FolderError> {
    let mut sums = read_sums(dir)?;
    for (name, content) in rendered(record)? {
        replace(dir, &name, &content)?;
        if let Some(sums) = &mut sums {
            sums.insert(name, sums::sum(&content));
        }
    }
    if let Some(sums) = &sums {
        replace(dir, sums::NAME, sums::text(sums).as_bytes())?;
    }
    sync_folder(dir)
}

/// Puts a file where one may be, in one step.
fn replace(dir: &Path, name: &str, content: &[u8]) -> Result<(), FolderError> {
    let fresh = dir.join(format!(".{name}.unfinished"));
    let path = dir.join(name);
    let written =
        put(&fresh, content).and_then(|()| during("replace", &path, fs::rename(&fresh, &path)));
    if written.is_err() {
        fs::remove_file(&fresh).unwrap_or_default();
    }
    written
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
