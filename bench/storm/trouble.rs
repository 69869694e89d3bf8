//! Storms that end early or are refused, and how that is told.

use super::child::{Running, run};
use super::place::Place;
use nix::sys::signal::Signal;
use std::process::Command;

#[test]
fn ctrl_c_in_a_storm_leaves_a_partial_record_of_it() {
    let Some(place) = Place::take() else { return };
    // Nobody comes back before the base has passed.
    let mut storm = place.storm("--connections 500 --ways no-jitter --backoff 50s..50s");
    storm.line("[1/1] no-jitter, storm, recovery");
    storm.signal(Signal::SIGINT);
    let ended = storm.wait();
    assert_eq!(ended.code(), 130, "{ended:#?}");
    let (record, storm) = place.record();
    assert!(record.partial && !record.valid);
    assert_eq!(record.warnings[0].code, "interrupted");
    let [cut] = storm.runs.as_slice() else {
        panic!("one run: {storm:?}");
    };
    assert_eq!((cut.dropped, cut.recovered, cut.attempts), (500, 0, 0));
    assert_eq!((cut.half_back_ns, cut.all_back_ns), (None, None));
}

#[test]
fn a_storm_that_is_given_up_does_not_hold_its_checks() {
    let Some(place) = Place::take() else { return };
    let ended =
        place.storms("--connections 500 --ways no-jitter --backoff 50s..50s --give-up 1s --json");
    ended.refused_with(
        1,
        &["did not hold its checks", "0 of 500 connections were held"],
    );
    assert_eq!(ended.json()["warnings"][0]["code"], "not-recovered");
    assert!(!place.record().0.valid);
}

#[test]
fn a_limit_that_is_too_low_is_refused_with_the_remedy() {
    let Some(place) = Place::take() else { return };
    let mut limited = Command::new("sh");
    let script = r#"ulimit -n 80 && exec "$0" "$@""#;
    limited.args(["-c", script, env!("CARGO_BIN_EXE_ringbeat")]);
    limited.args(["storm", "--alongside", "--connections", "20k", "--out"]);
    limited.arg(place.out());
    Running::start(limited)
        .wait()
        .refused_with(3, &["limit on open files", "ulimit -n"]);
    assert!(!place.out().exists());
}

#[test]
fn absurd_flags_are_usage_errors() {
    for flags in [
        "--connections 0",
        "--backoff 5s..100ms",
        "--backoff 0ms..1s",
        "--backoff 100ms",
        "--ways half-jitter",
        "--churn 0",
        "--steady 5s",
        "--give-up 0s",
        "--accept-queue 0",
        "--arms ping",
        "--path wifi",
    ] {
        let ended = run(&format!("storm {flags}"));
        assert_eq!(ended.code(), 2, "{flags}: {ended:#?}");
    }
}
