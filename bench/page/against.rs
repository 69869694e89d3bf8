//! `ringbeat report A B`, the built binary: the table, the page, and what it refuses.
//!
//! Figures come from kept results; no test here measures.

use super::browser::Browser;
use std::fs;
use std::process::{Command, Output};

const RUNS: [&str; 2] = [
    "results/2026-11-25-overlap/run-1",
    "results/2026-11-25-overlap/run-2",
];

fn report(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbeat"));
    command.arg("report").args(arguments);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn two_results_stand_side_by_side_on_terminal_and_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.html");
    let out = file.to_str().unwrap();
    let made = report(&[RUNS[0], RUNS[1], "--out", out]);
    let text = said(&made);
    assert_eq!(made.status.code(), Some(0), "{text}");
    assert!(
        text.contains("The machines differ in one thing, the settings differ in one"),
        "{text}"
    );
    let order = ["memory free bytes", "CPU per event", "B ÷ A, in brackets"]
        .map(|what| text.find(what).unwrap());
    assert!(order.is_sorted(), "{text}");
    // A page once written is not written over.
    let page = fs::read_to_string(&file).unwrap();
    let again = report(&[RUNS[0], RUNS[0], "--out", out]);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
    if let Some(browser) = Browser::open() {
        browser.shows_page(&page);
        assert_eq!(browser.log("browser"), Vec::<String>::new());
        assert_eq!(
            browser.number("return document.querySelectorAll('figure.drawn').length"),
            4
        );
        let first =
            browser.text("return document.querySelector('#chart-rtt .legend button').textContent");
        assert_eq!(first, "A: heartbeat");
        browser.sized(360, 740);
        assert!(browser.number("return document.documentElement.scrollWidth") <= 360);
    }
}

#[test]
fn a_result_against_itself_shows_nothing_and_other_kinds_are_refused() {
    let same = report(&[RUNS[0], RUNS[0], "--markdown"]);
    let text = said(&same);
    assert_eq!(same.status.code(), Some(0), "{text}");
    assert!(text.contains("none differs by more than noise"), "{text}");
    assert!(
        text.contains("| CPU per event |") && !text.contains("What differs"),
        "{text}"
    );
    for (other, why) in [
        ("results/2026-11-25-storm/usual", "no figure in common"),
        ("results/nowhere", "nowhere"),
    ] {
        let refused = report(&[RUNS[0], other]);
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        assert!(text.contains(why) && refused.stdout.is_empty(), "{text}");
    }
    let detections = report(&["results/2026-11-25-detect", "results/2026-11-25-detect"]);
    assert_eq!(detections.status.code(), Some(2));
    assert!(said(&detections).contains("two of `compare` or two of `scale`"));
}
