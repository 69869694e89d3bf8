//! The JSON Schema of `record.json`, kept beside the types it is made from in `src/record`, and the promise that older records open.
//!
//! Tests only. To write the schema anew after a change of the types:
//! `RINGBEAT_WRITE_SCHEMA=1 cargo test --lib schema`.

use crate::record::{Record, SCHEMA_VERSION};
use std::path::{Path, PathBuf};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/record/record.schema.json")
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let schema = schemars::schema_for!(Record);
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("RINGBEAT_WRITE_SCHEMA").is_some() {
        std::fs::write(committed(), &text).unwrap();
    }
    let kept = std::fs::read_to_string(committed()).unwrap();
    assert!(
        kept == text,
        "src/record/record.schema.json is not that of the types: run `RINGBEAT_WRITE_SCHEMA=1 cargo test --lib schema` \
         and commit it"
    );
}

/// Every record under `results/`, of whichever version, is read.
#[test]
fn kept_records_open() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("results")];
    let mut opened = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "record.json") {
                let text = std::fs::read_to_string(&path).unwrap();
                let record: Record = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(record.schema_version <= SCHEMA_VERSION);
                opened += 1;
            }
        }
    }
    assert!(opened > 0, "no record was found under results/");
}
