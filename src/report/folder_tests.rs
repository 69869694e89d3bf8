//! Tests of the result folder. Does not test what the files say; each exporter does that.

use super::*;
use crate::report::fixture;

fn names(dir: &Path) -> Vec<String> {
    let entry = |e: io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(entry).collect();
    names.sort();
    names
}

#[test]
fn a_result_is_whole_and_a_second_one_gets_the_next_name() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("missing/parent/run");
    let record = fixture::record();
    let first = ResultFolder::reserve(&out).unwrap().write(&record).unwrap();
    let second = ResultFolder::reserve(&out).unwrap().write(&record).unwrap();
    assert_eq!(first, out);
    assert_eq!(second, home.path().join("missing/parent/run.2"));
    assert_eq!(names(first.parent().unwrap()), ["run", "run.2"]);
    let files = names(&first);
    for must in [
        "record.json",
        "report.html",
        "samples.csv",
        "rtt.svg",
        "timeline.svg",
        "heartbeat.rtt.hgrm",
        "heartbeat.rtt.hlog",
        "keepalive.connect.hgrm",
        "heartbeat@2000.rtt.hgrm",
    ] {
        assert!(files.contains(&must.to_owned()), "{must} in {files:?}");
    }
    assert_eq!(files, names(&second));
}

#[test]
fn who_reads_is_not_told_where_to_write() {
    for kind in [
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::NotADirectory,
        io::ErrorKind::Other,
    ] {
        assert!(!remedy("read", &kind.into()).contains("--out"), "{kind}");
        assert!(remedy("write", &kind.into()).contains("--out"), "{kind}");
    }
}

#[test]
fn what_is_written_loads_and_renders_again() {
    let home = tempfile::tempdir().unwrap();
    let record = fixture::record();
    let dir = ResultFolder::reserve(&home.path().join("run"))
        .unwrap()
        .write(&record)
        .unwrap();
    let read = load(&dir).unwrap();
    let json = |record: &Record| serde_json::to_value(record).unwrap();
    assert_eq!(json(&read), json(&record));
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    fs::write(dir.join("report.html"), "old").unwrap();
    fs::remove_file(dir.join("rtt.svg")).unwrap();
    let before = fs::read(dir.join(RECORD)).unwrap();
    rewrite_rendered(&dir, &read).unwrap();
    assert_eq!(fs::read_to_string(dir.join("report.html")).unwrap(), page);
    assert!(dir.join("rtt.svg").exists());
    assert_eq!(fs::read(dir.join(RECORD)).unwrap(), before);
    assert!(!names(&dir).iter().any(|name| name.starts_with('.')));
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let folder = ResultFolder::reserve(&home.path().join("run")).unwrap();
    assert_eq!(names(home.path()).len(), 1);
    drop(folder);
    assert!(names(home.path()).is_empty());
}

#[test]
fn a_record_that_cannot_be_rendered_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut record = fixture::record();
    let stored = record.arms[2].histograms.get_mut("rtt").unwrap();
    stored.v2_deflate_base64 = "garbage".to_owned();
    let failed = ResultFolder::reserve(&home.path().join("run"))
        .unwrap()
        .write(&record);
    let text = failed.unwrap_err().to_string();
    assert!(
        text.contains("heartbeat.rtt.hgrm") && text.contains("damaged"),
        "{text}"
    );
    assert!(names(home.path()).is_empty());
}

#[test]
fn a_place_that_cannot_hold_a_result_is_known_at_once() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let text = ResultFolder::reserve(&file.join("run"))
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("is a file; give --out another path"),
        "{text}"
    );
    assert!(matches!(
        ResultFolder::reserve(Path::new("/")),
        Err(FolderError::NoName(_))
    ));
    // /proc refuses new folders to root too.
    let text = ResultFolder::reserve(Path::new("/proc/ringbeat/run"))
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("could not create /proc/ringbeat: "),
        "{text}"
    );
}

#[test]
fn without_the_kernels_flag_the_name_is_claimed_first() {
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (home.path().join("from"), home.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    let taken = rename_to_free(&from, &to).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn foreign_records_are_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    let put = |text: &str| fs::write(home.path().join(RECORD), text).unwrap();
    let said = || load(home.path()).unwrap_err().to_string();
    assert!(said().contains("could not read"));
    put("{");
    assert!(said().contains("is no ringbeat record"));
    put("{}");
    assert!(said().contains("states no schema_version"));
    put(r#"{"schema_version": 99}"#);
    assert!(said().contains("has schema version 99, this program reads 1"));
    put(r#"{"schema_version": 1}"#);
    assert!(said().contains("missing field"));
}

#[test]
fn names_from_a_record_cannot_leave_the_folder() {
    assert_eq!(safe("../../etc/passwd"), "______etc_passwd");
    assert_eq!(safe("heartbeat#2"), "heartbeat#2");
}

/// Writes a sample to look at, when told where to.
#[test]
fn sample_for_the_eye() {
    let Some(out) = std::env::var_os("RINGBEAT_SAMPLE_OUT") else {
        return;
    };
    let record = fixture::record();
    let dir = ResultFolder::reserve(Path::new(&out))
        .unwrap()
        .write(&record)
        .unwrap();
    for width in [None, Some(140), Some(100), Some(60)] {
        let text = crate::report::table(&record, width);
        let name = format!("table-{}.txt", width.unwrap_or(0));
        fs::write(dir.join(name), text).unwrap();
    }
    fs::write(dir.join("table.md"), crate::report::markdown_table(&record)).unwrap();
    fs::write(
        dir.join("config.txt"),
        crate::report::effective_config(&record.config),
    )
    .unwrap();
}

#[test]
fn a_climb_keeps_every_rung_its_hold_and_its_curves() {
    let home = tempfile::tempdir().unwrap();
    let record = fixture::scale_record();
    let place = ResultFolder::reserve(&home.path().join("run")).unwrap();
    let kept = place.write(&record).unwrap();
    for name in [
        "heartbeat@10000.rtt.hgrm",
        "heartbeat@2500000.rtt.hlog",
        "heartbeat@hold.rtt.hgrm",
        "scale-cpu.svg",
        "scale-memory.svg",
        "scale-rtt.svg",
        "scale-connects.svg",
        "report.html",
        "samples.csv",
    ] {
        assert!(kept.join(name).is_file(), "{name}");
    }
    let read = load(&kept).unwrap();
    assert_eq!(read.scale.unwrap().rungs.len(), 3);
}

#[test]
fn a_record_of_before_there_was_scale_still_opens() {
    let mut older = serde_json::to_value(fixture::record()).unwrap();
    assert!(
        older.get("scale").is_none(),
        "absent where it does not belong"
    );
    for arm in older["arms"].as_array_mut().unwrap() {
        let arm = arm.as_object_mut().unwrap();
        assert!(arm.remove("connects_per_second").is_some());
        for round in arm["rounds_detail"].as_array_mut().unwrap() {
            assert!(round.as_object_mut().unwrap().remove("opening").is_some());
        }
    }
    let config = older["config"].as_object_mut().unwrap();
    for key in ["in_flight_per_core", "memory_limit_bytes"] {
        assert!(config.remove(key).is_some(), "{key}");
    }
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("record.json"), older.to_string()).unwrap();
    let read = load(home.path()).unwrap();
    assert_eq!(read.arms[0].rounds_detail[0].opening.took_ns, None);
    assert!(read.scale.is_none());
}

/// Writes a lab, a storm, a life cycle and a fleet to look at, when told where to.
#[test]
fn lab_and_storm_for_the_eye() {
    type Made = (&'static str, fn() -> Record);
    let Some(out) = std::env::var_os("RINGBEAT_WRITE_FIXTURES") else {
        return;
    };
    let records: [Made; 6] = [
        ("detection", detection::fixture::record),
        ("storm", storm::fixture::record),
        ("lifecycle", lifecycle::fixture::record),
        ("fleet", fleet::fixture::record),
        ("fleet-load", || crate::record::fixture::load(2)),
        ("fleet-server", crate::record::fixture::server),
    ];
    for (name, record) in records {
        let record = record();
        let place = ResultFolder::reserve(&Path::new(&out).join(name)).unwrap();
        let dir = place.write(&record).unwrap();
        for width in [0, 60, 80, 120] {
            let text = crate::report::table(&record, Some(width).filter(|width| *width > 0));
            fs::write(dir.join(format!("table-{width}.txt")), text).unwrap();
        }
        fs::write(dir.join("table.md"), crate::report::markdown_table(&record)).unwrap();
    }
}

#[test]
fn a_lab_keeps_a_histogram_of_every_cell_that_noticed() {
    let home = tempfile::tempdir().unwrap();
    let record = detection::fixture::record();
    let place = ResultFolder::reserve(&home.path().join("run")).unwrap();
    let kept = place.write(&record).unwrap();
    let files = names(&kept);
    let ending = |end: &str| files.iter().filter(|name| name.ends_with(end)).count();
    let noticed = record.cells.iter().filter(|cell| cell.histogram.count > 0);
    let noticed = noticed.count();
    assert!(noticed > 50);
    assert_eq!(ending(".detection.hgrm"), noticed);
    assert_eq!(ending(".detection.hlog"), noticed);
    for must in [
        "power-cut.keepalive.server.detection.hlog",
        "cells.csv",
        "detection-matrix-server.svg",
        "detection-matrix-client.svg",
        "thresholds.svg",
    ] {
        assert!(files.contains(&must.to_owned()), "{must} in {files:?}");
    }
    let log = kept.join("power-cut.keepalive.server.detection.hlog");
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("\nTag=detection,1767225600.000,312.000,"),
        "{log}"
    );
    rewrite_rendered(&kept, &load(&kept).unwrap()).unwrap();
    assert_eq!(names(&kept), files);
}

#[test]
fn a_storm_keeps_both_histograms_of_every_run() {
    let home = tempfile::tempdir().unwrap();
    let place = ResultFolder::reserve(&home.path().join("run")).unwrap();
    let kept = place.write(&storm::fixture::record()).unwrap();
    for backoff in ["full-jitter", "no-jitter", "immediate"] {
        for file in [
            "recovery.hgrm",
            "recovery.hlog",
            "connect.hgrm",
            "connect.hlog",
        ] {
            assert!(
                kept.join(format!("{backoff}.{file}")).is_file(),
                "{backoff} {file}"
            );
        }
    }
    assert!(kept.join("recovery.svg").is_file() && kept.join("connect.svg").is_file());
    let read = load(&kept).unwrap();
    rewrite_rendered(&kept, &read).unwrap();
    assert_eq!(read.storm.unwrap().runs.len(), 3);
}

#[test]
fn a_life_cycle_keeps_its_captures_its_segments_and_all_histograms() {
    let home = tempfile::tempdir().unwrap();
    let mut record = lifecycle::fixture::record();
    let place = ResultFolder::reserve(&home.path().join("run")).unwrap();
    let kept = place.write(&record).unwrap();
    let files = names(&kept);
    for scenario in lifecycle::fixture::scenarios() {
        for must in [
            format!("{}.pcap", scenario.name),
            format!("lifecycle-{}.svg", scenario.name),
        ] {
            assert!(files.contains(&must), "{must} in {files:?}");
        }
    }
    for must in [
        "segments.csv",
        "states.csv",
        "client-fin.connect.hgrm",
        "client-rst-sustained.connect.hlog",
        "handshake-20000.connect.hgrm",
        "handshake-20000#2.connect.hlog",
        "handshake-20000.svg",
        "ports.svg",
    ] {
        assert!(files.contains(&must.to_owned()), "{must} in {files:?}");
    }
    let capture = fs::read(kept.join("set-up.pcap")).unwrap();
    assert_eq!(
        capture[..4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        "the classic format's magic number"
    );
    rewrite_rendered(&kept, &load(&kept).unwrap()).unwrap();
    assert_eq!(names(&kept), files);
    assert_eq!(fs::read(kept.join("set-up.pcap")).unwrap(), capture);
    let scenarios = &mut record.lifecycle.as_mut().unwrap().scenarios;
    scenarios[0].pcap_base64 = "no base64!".to_owned();
    let place = ResultFolder::reserve(&home.path().join("broken")).unwrap();
    let text = place.write(&record).unwrap_err().to_string();
    assert!(
        text.contains("set-up.pcap") && text.contains("damaged"),
        "{text}"
    );
    assert_eq!(names(home.path()), ["run"]);
}

#[test]
fn a_fleet_keeps_all_histograms_of_every_host_and_the_checksums_of_its_files() {
    let home = tempfile::tempdir().unwrap();
    let place = ResultFolder::reserve(&home.path().join("run")).unwrap();
    let kept = place.write(&fleet::fixture::record()).unwrap();
    let files = names(&kept);
    for must in [
        "all.rtt.hgrm",
        "all.connect.hlog",
        "shard-2.rtt.hlog",
        "server.lateness.hgrm",
        "rtt.svg",
        sums::NAME,
    ] {
        assert!(files.contains(&must.to_owned()), "{must} in {files:?}");
    }
    let listed = read_sums(&kept).unwrap().unwrap();
    let others = files.iter().filter(|name| *name != sums::NAME);
    assert!(others.eq(listed.keys()), "every other file is in the list");
    let read = load_verified(&kept).unwrap();
    assert_eq!(read.fleet.unwrap().loads.len(), 4);
    let other = ResultFolder::reserve(&home.path().join("storm")).unwrap();
    let other = other.write(&storm::fixture::record()).unwrap();
    assert!(matches!(load_verified(&other), Err(FolderError::NoSums(_))));
}

/// The format is that of sha256sum(1), by its own reader.
#[test]
fn the_checksums_are_read_by_the_systems_own_tool() {
    let home = tempfile::tempdir().unwrap();
    let place = ResultFolder::reserve(&home.path().join("run")).unwrap();
    let kept = place.write(&crate::record::fixture::server()).unwrap();
    let verify = || {
        let mut tool = std::process::Command::new("sha256sum");
        let tool = tool.args(["--check", "--strict", "--quiet", sums::NAME]);
        tool.current_dir(&kept).output().unwrap().status.success()
    };
    assert!(verify());
    fs::write(kept.join("samples.csv"), "other").unwrap();
    assert!(!verify());
}

#[test]
fn a_bundle_that_is_not_as_it_was_written_is_refused_and_the_file_named() {
    let home = tempfile::tempdir().unwrap();
    let record = crate::record::fixture::load(0);
    let write = |name: &str| {
        let place = ResultFolder::reserve(&home.path().join(name)).unwrap();
        place.write(&record).unwrap()
    };
    let said = |kept: &Path| load_verified(kept).unwrap_err().to_string();
    let lost = write("lost");
    fs::remove_file(lost.join("shard-0.rtt.hlog")).unwrap();
    assert!(said(&lost).contains("shard-0.rtt.hlog is missing"));
    let cut = write("cut");
    let whole = fs::read(cut.join(RECORD)).unwrap();
    fs::write(cut.join(RECORD), &whole[..whole.len() / 2]).unwrap();
    assert!(said(&cut).contains("record.json is not what was written"));
    let edited = write("edited");
    let text = String::from_utf8(whole).unwrap();
    let text = text.replace("\"heartbeats_sent\": 50000", "\"heartbeats_sent\": 50001");
    fs::write(edited.join(RECORD), &text).unwrap();
    assert!(said(&edited).contains("record.json is not what was written"));
    // Rendering it again does not whitewash it.
    rewrite_rendered(&edited, &load(&edited).unwrap()).unwrap();
    assert!(said(&edited).contains("record.json is not what was written"));
    let bare = write("bare");
    fs::remove_file(bare.join(sums::NAME)).unwrap();
    assert!(said(&bare).contains("has no SHA256SUMS"));
    for (text, why) in [
        ("rubbish", "no list of checksums"),
        ("", "record.json is not in it"),
    ] {
        fs::write(bare.join(sums::NAME), text).unwrap();
        assert!(said(&bare).contains(why), "{why}: {}", said(&bare));
    }
    assert!(said(&home.path().join("nowhere")).contains("has no SHA256SUMS"));
}

#[test]
fn rendering_again_keeps_the_checksums_true() {
    let home = tempfile::tempdir().unwrap();
    let place = ResultFolder::reserve(&home.path().join("run")).unwrap();
    let kept = place.write(&fleet::fixture::record()).unwrap();
    fs::write(kept.join("report.html"), "old").unwrap();
    assert!(matches!(load_verified(&kept), Err(FolderError::Changed(_))));
    fs::write(kept.join("notes.txt"), "somebody's own").unwrap();
    rewrite_rendered(&kept, &load(&kept).unwrap()).unwrap();
    load_verified(&kept).unwrap();
}
