//! `ringbeat report A B`, the built binary: the table, the page, and what it refuses.
//!
//! Figures come from kept results; no test here measures.

use super::browser::Browser;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use tempfile::TempDir;

const RUNS: [&str; 2] = [
    "results/2026-11-25-overlap/run-1",
    "results/2026-11-25-overlap/run-2",
];

const LAB: &str = "results/2026-11-25-detect";
const STORMS: [&str; 2] = [
    "results/2026-11-25-storm/usual",
    "results/2026-11-25-storm/short-queue",
];
const LIFE: &str = "results/2026-11-26-lifecycle";

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
    let mixed = report(&[LAB, LIFE]);
    assert_eq!(mixed.status.code(), Some(2));
    let text = said(&mixed);
    assert!(
        text.contains("of `detect`, the other of `lifecycle`"),
        "{text}"
    );
    let churn = report(&[STORMS[0], "results/2026-11-25-storm/churn"]);
    assert_eq!(churn.status.code(), Some(2));
    assert!(said(&churn).contains("of `storm`, the other of `storm --churn`"));
}

/// A kept record with something changed, in a folder of its own.
fn changed(kept: &str, change: impl Fn(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text =
        fs::read_to_string(format!("{}/{kept}/record.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    change(&mut record);
    fs::write(folder.path().join("record.json"), record.to_string()).unwrap();
    folder
}

/// What of a comparison is seen: the answer on the terminal, and on its page how many charts are drawn and which rows
/// are set off.
struct Seen {
    answer: &'static str,
    charts: u64,
    strong: &'static str,
}

fn shown(one: &str, other: &str, seen: &Seen) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.html");
    let made = report(&[one, other, "--out", file.to_str().unwrap()]);
    let text = said(&made);
    assert_eq!(made.status.code(), Some(0), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.starts_with(seen.answer), "{text}");
    let page = fs::read_to_string(&file).unwrap();
    if let Some(browser) = Browser::open() {
        browser.shows_page(&page);
        assert_eq!(browser.log("browser"), Vec::<String>::new());
        let charts = browser.number("return document.querySelectorAll('figure.drawn').length");
        assert_eq!(charts, seen.charts);
        let strong = "return [...document.querySelectorAll('td.winner strong')].map(cell => \
                      cell.closest('tr').querySelector('th').textContent).join('; ')";
        assert_eq!(browser.text(strong), seen.strong);
        browser.sized(360, 740);
        assert!(browser.number("return document.documentElement.scrollWidth") <= 360);
    }
}

#[test]
fn two_fault_labs_say_first_which_cell_came_out_otherwise() {
    let other = changed(LAB, |record| {
        let cells = record["cells"].as_array_mut().unwrap();
        let wanted = |cell: &&mut Value| {
            cell["fault"] == "power-cut"
                && cell["mechanism"] == "heartbeat"
                && cell["seat"] == "server"
        };
        let cell = cells.iter_mut().find(wanted).unwrap();
        (cell["missed"], cell["detected"], cell["within_bound"]) =
            (200.into(), 0.into(), false.into());
        cell["histogram"]["count"] = 0.into();
    });
    let seen = Seen {
        answer: "1 of 280 cells came out otherwise: power cut, seen from the server, heartbeat: A all 200 noticed, B never \
                 noticed, outside its bound.",
        charts: 0,
        strong: "heartbeat, bound 9.02\u{a0}s + 300\u{a0}ms",
    };
    shown(LAB, other.path().to_str().unwrap(), &seen);
}

#[test]
fn two_storms_of_one_run_each_resolve_nothing() {
    let seen = Seen {
        answer: "None of 3 ways of backing off came out otherwise.",
        charts: 2,
        strong: "",
    };
    shown(STORMS[0], STORMS[1], &seen);
}

#[test]
fn two_life_cycles_say_which_scene_held_no_more_and_which_cost_is_resolved() {
    let other = changed(LIFE, |record| {
        let life = &mut record["lifecycle"];
        life["scenarios"][0]["held"] = false.into();
        for key in ["median", "low", "high"] {
            let figure = &mut life["turnovers"][0]["cpu_ns_per_close"][key];
            *figure = (figure.as_i64().unwrap() * 3).into();
        }
    });
    let seen = Seen {
        answer: "1 of 20 scenes came out otherwise: scene set-up: A held: 6 of 6 rules, B NOT held: 6 of 6 rules.",
        charts: 2,
        strong: "CPU per tear-down",
    };
    shown(LIFE, other.path().to_str().unwrap(), &seen);
}
