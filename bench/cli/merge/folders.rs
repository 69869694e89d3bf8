//! Folders joined, and folders refused, each with its exit code and its remedy.

use super::child::{Ended, ringbeat, run, skipped};
use super::record::fixture::{EACH, SHARDS, WINDOW, bundles, load, server};
use super::record::{Kind, Record};
use ringbeat::report::{ResultFolder, load as open, load_verified};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The five hosts' folders of one run, and where they lie.
struct Fleet {
    home: TempDir,
    dirs: Vec<PathBuf>,
}

impl Fleet {
    fn new(change: impl FnOnce(&mut Vec<Record>)) -> Self {
        let mut records = bundles();
        change(&mut records);
        let home = tempfile::tempdir().unwrap();
        let keep = |(place, record): (usize, &Record)| {
            let place = ResultFolder::reserve(&home.path().join(format!("host-{place}")));
            place.unwrap().write(record).unwrap()
        };
        let dirs = records.iter().enumerate().map(keep).collect();
        Self { home, dirs }
    }

    fn out(&self) -> PathBuf {
        self.home.path().join("whole")
    }

    fn merge(&self, dirs: &[PathBuf], flags: &str) -> Ended {
        let mut words = vec!["merge".to_owned()];
        words.extend(dirs.iter().map(|dir| dir.display().to_string()));
        words.push(format!("--out {} {flags}", self.out().display()));
        run(&words.join(" "))
    }

    fn all(&self, flags: &str) -> Ended {
        self.merge(&self.dirs, flags)
    }

    /// Merges all and expects no result, code 1 and these words.
    fn refused(&self, words: &[&str]) {
        let ended = self.all("");
        ended.refused_with(1, words);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
        let left = fs::read_dir(self.home.path()).unwrap();
        assert_eq!(left.count(), self.dirs.len(), "nothing is left behind");
    }
}

#[test]
fn a_whole_fleet_gives_one_good_result_of_all_hosts() {
    let fleet = Fleet::new(|_| {});
    let ended = fleet.all("--label nightly");
    assert_eq!(ended.code(), 0, "{ended:#?}");
    assert!(
        ended
            .stdout
            .contains("10,000 connections over 4 load generators"),
        "{ended:#?}"
    );
    assert!(ended.stderr.contains("results in"), "{ended:#?}");
    let record = load_verified(&fleet.out()).unwrap();
    let rows = record.fleet.as_ref().unwrap();
    let sums = &rows.together;
    let all = EACH * u64::from(SHARDS);
    assert_eq!(
        (
            sums.connections_asked,
            sums.connections_established,
            sums.connections_held_at_end
        ),
        (all, all, all)
    );
    assert_eq!((rows.loads.len(), record.kind), (4, Kind::Fleet));
    assert_eq!(record.label.as_deref(), Some("nightly"));
    assert!(record.command.contains("merge") && record.command.contains("host-3"));
    for name in [
        "report.html",
        "all.rtt.hlog",
        "shard-3.rtt.hgrm",
        "server.lateness.hlog",
        "rtt.svg",
    ] {
        assert!(fleet.out().join(name).is_file(), "{name}");
    }
}

#[test]
fn parts_join_in_any_order_and_json_and_quiet_are_kept() {
    let fleet = Fleet::new(|_| {});
    let one = fleet.merge(
        &[fleet.dirs[4].clone(), fleet.dirs[2].clone()],
        "--partial --quiet --json",
    );
    assert_eq!((one.code(), one.stderr.as_str()), (0, ""), "{one:#?}");
    let record = one.json();
    assert_eq!(
        (&record["partial"], &record["valid"]),
        (&true.into(), &true.into())
    );
    let codes: Vec<&str> = record["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|warning| warning["code"].as_str())
        .collect();
    assert!(codes.contains(&"shards-missing"), "{codes:?}");
    let rest = [3, 1, 0].map(|place| fleet.dirs[place].clone());
    let whole: Vec<PathBuf> = [fleet.out()].into_iter().chain(rest).collect();
    let ended = fleet.merge(&whole, "--quiet");
    assert_eq!(ended.code(), 0, "{ended:#?}");
    let again = open(&fleet.home.path().join("whole.2")).unwrap();
    let at_once = Fleet::new(|_| {});
    assert_eq!(at_once.all("--quiet").code(), 0);
    let value = |mut record: Record| {
        record.command.clear();
        serde_json::to_value(record).unwrap()
    };
    assert_eq!(value(again), value(open(&at_once.out()).unwrap()));
}

#[test]
fn a_merged_folder_is_rendered_again_and_verified_by_the_systems_tool() {
    let fleet = Fleet::new(|_| {});
    assert_eq!(fleet.all("--quiet").code(), 0);
    let shown = run(&format!("report {} --markdown", fleet.out().display()));
    assert_eq!(shown.code(), 0, "{shown:#?}");
    assert!(shown.stdout.contains("| 2 node-2 |"), "{shown:#?}");
    let twice = run(&format!("report {0} {0}", fleet.out().display()));
    twice.refused_with(2, &["merge"]);
    let check = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(fleet.out())
        .output();
    match check {
        Ok(done) => assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        ),
        Err(error) => skipped(&format!("this system has no sha256sum: {error}")),
    }
}

#[test]
fn what_the_checks_do_not_hold_is_kept_and_is_code_1() {
    let fleet = Fleet::new(|records| {
        let server = records[4].fleet.as_mut().unwrap().server.as_mut().unwrap();
        server.connections_held_at_end -= 1;
    });
    let ended = fleet.all("");
    ended.refused_with(
        1,
        &["merged, but", "held 9,999 at the end", "not to be quoted"],
    );
    assert!(
        ended.stdout.contains("INVALID (server-counts-differ)"),
        "{ended:#?}"
    );
    assert!(!load_verified(&fleet.out()).unwrap().valid);
}

#[test]
fn no_folder_and_no_folders_are_usage_errors() {
    run("merge").refused_with(2, &["DIR"]);
    run("merge /nonexistent/ringbeat").refused_with(2, &["is no folder", "--out"]);
    let fleet = Fleet::new(|_| {});
    fs::write(fleet.home.path().join("file"), "").unwrap();
    let ended = fleet.merge(&[fleet.home.path().join("file")], "");
    ended.refused_with(2, &["is no folder"]);
    let help = run("merge --help");
    assert_eq!(help.code(), 0);
    assert!(help.stdout.contains("SHA256SUMS") && help.stdout.contains("--partial"));
}

/// What is done to the five good records, and the words of the refusal.
type Case = (fn(&mut Vec<Record>), &'static [&'static str]);

fn refused(cases: &[Case]) {
    for (harm, words) in cases {
        Fleet::new(harm).refused(words);
    }
}

#[test]
fn records_of_other_runs_settings_or_builds_are_refused() {
    refused(&[
        (
            |all| all[1].fleet.as_mut().unwrap().run = "other".to_owned(),
            &["the run differs", "fixture", "other"],
        ),
        (
            |all| all[2].fleet.as_mut().unwrap().shards = 8,
            &["number of shards differs", "host-2 has 8"],
        ),
        (
            |all| all[2].config.tick_us = 1_000,
            &["tick_us differs", "8000", "1000"],
        ),
        (
            |all| {
                let host = &mut all[3].fleet.as_mut().unwrap().loads[0].host;
                host.environment.ringbeat_version = "9.9.9".to_owned();
            },
            &["build of ringbeat differs", "9.9.9", "node-3"],
        ),
    ]);
}

#[test]
fn hosts_given_twice_missing_or_apart_are_refused() {
    refused(&[
        (
            |all| all.push(all[0].clone()),
            &["host-0", "host-5", "the same record"],
        ),
        (
            |all| {
                all[1] = load(0);
                all[1].started_at = "2026-01-01T00:00:09Z".to_owned();
                let other = all[1].fleet.as_mut().unwrap();
                other.loads[0].host.started_at = "2026-01-01T00:00:09Z".to_owned();
            },
            &["both", "shard 0 on node-0", "not the same"],
        ),
        (
            |all| {
                let mut other = server();
                let host = &mut other.fleet.as_mut().unwrap().server.as_mut().unwrap().host;
                host.name = "spare".to_owned();
                all.push(other);
            },
            &["both", "the server on spare"],
        ),
        (
            |all| drop(all.remove(3)),
            &["shard 3 is not among", "--partial"],
        ),
        (
            |all| {
                let host = &mut all[3].fleet.as_mut().unwrap().loads[0].host;
                host.window.as_mut().unwrap().opened_epoch_ns += 3 * WINDOW;
            },
            &[
                "had closed its window",
                "node-3",
                "start the hosts together",
            ],
        ),
    ]);
}

#[test]
fn folders_that_are_not_as_they_were_written_are_refused() {
    type Harm = fn(&Path);
    let cases: [(Harm, &[&str]); 5] = [
        (
            |dir| fs::remove_file(dir.join("samples.csv")).unwrap(),
            &["samples.csv is missing", "copy it again"],
        ),
        (
            |dir| fs::remove_file(dir.join("SHA256SUMS")).unwrap(),
            &["has no SHA256SUMS"],
        ),
        (
            |dir| {
                let path = dir.join("record.json");
                let whole = fs::read(&path).unwrap();
                fs::write(&path, &whole[..whole.len() - 100]).unwrap();
            },
            &[
                "record.json is not what was written",
                "cut short or changed",
            ],
        ),
        (
            |dir| {
                let path = dir.join("record.json");
                let text = fs::read_to_string(&path).unwrap();
                let edited = text.replace(
                    "\"connections_held_at_end\": 2500",
                    "\"connections_held_at_end\": 2501",
                );
                assert_ne!(text, edited);
                fs::write(&path, edited).unwrap();
            },
            &["record.json is not what was written"],
        ),
        (
            |dir| fs::write(dir.join("SHA256SUMS"), "rubbish").unwrap(),
            &["is no list of checksums"],
        ),
    ];
    for (harm, words) in cases {
        let fleet = Fleet::new(|_| {});
        harm(&fleet.dirs[1]);
        fleet.refused(&[words, &["host-1"]].concat());
    }
}

/// A record edited by hand whose checksums were written anew still does not add up.
#[test]
fn sums_that_are_not_those_of_the_rows_are_refused() {
    let fleet = Fleet::new(|records| {
        let together = &mut records[0].fleet.as_mut().unwrap().together;
        together.acks_received += 10;
    });
    fleet.refused(&["host-0", "acks_received = 50010", "add up to 50000"]);
}

#[test]
fn a_place_that_cannot_hold_the_result_is_the_hosts_fault() {
    let fleet = Fleet::new(|_| {});
    let mut command = ringbeat("merge");
    command
        .args(&fleet.dirs)
        .args(["--out", "/proc/ringbeat/whole"]);
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(said.contains("could not create /proc/ringbeat"), "{said}");
}
