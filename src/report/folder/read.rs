//! Reading a result folder back, and holding it against its checksums first.
//!
//! Does not write and does not judge what the record says.

use super::{FolderError, RECORD, during};
use crate::record::{Record, SCHEMA_VERSION};
use crate::report::sums;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Reads the record a run has left in `dir`.
///
/// # Errors
/// [`FolderError::Io`] when there is none to read, [`FolderError::Schema`] when it has another
/// shape, [`FolderError::NotARecord`] for anything else.
pub fn load(dir: &Path) -> Result<Record, FolderError> {
    let path = dir.join(RECORD);
    let bytes = during("read", &path, fs::read(&path))?;
    parse(&path, &bytes)
}

/// Reads the record in `dir` after every file has been held against the folder's checksums. Files that are not in the list
/// are somebody's own and are left alone.
///
/// # Errors
/// [`FolderError::NoSums`], [`FolderError::Sums`], [`FolderError::Lost`] and [`FolderError::Changed`] when the folder is not
/// as it was written, and as [`load`].
pub fn load_verified(dir: &Path) -> Result<Record, FolderError> {
    let list = dir.join(sums::NAME);
    let sums = read_sums(dir)?.ok_or_else(|| FolderError::NoSums(dir.to_owned()))?;
    let mut record = None;
    for (name, sum) in &sums {
        let path = dir.join(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::Lost(path));
            }
            read => during("read", &path, read)?,
        };
        if sums::sum(&bytes) != *sum {
            return Err(FolderError::Changed(path));
        }
        if name == RECORD {
            record = Some(bytes);
        }
    }
    let record = record.ok_or_else(|| FolderError::Sums {
        path: list,
        reason: format!("{RECORD} is not in it"),
    })?;
    parse(&dir.join(RECORD), &record)
}

/// The checksums `dir` keeps; `None` when it keeps none.
pub(super) fn read_sums(dir: &Path) -> Result<Option<BTreeMap<String, String>>, FolderError> {
    let path = dir.join(sums::NAME);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => during("read", &path, read)?,
    };
    let text = String::from_utf8(bytes).map_err(|error| error.to_string());
    let sums = text.and_then(|text| sums::parse(&text));
    sums.map(Some)
        .map_err(|reason| FolderError::Sums { path, reason })
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Record, FolderError> {
    let foreign = |reason: String| FolderError::NotARecord {
        path: path.to_owned(),
        reason,
    };
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| foreign(error.to_string()))?;
    let found = value
        .get("schema_version")
        .and_then(serde_json::Value::as_u64)
        .ok_or_else(|| foreign("it states no schema_version".to_owned()))?;
    if found != u64::from(SCHEMA_VERSION) {
        return Err(FolderError::Schema {
            path: path.to_owned(),
            found,
        });
    }
    serde_json::from_value(value).map_err(|error| foreign(error.to_string()))
}
