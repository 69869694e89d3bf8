//! The answer to the question it was made for, where its figures come from, and what is refused.

use super::ask::{ask, ask_in, json};
use std::fs;
use std::path::Path;

const EXAMPLE: &str = "--connections 500k --detect-within 30s --middlebox-idle 350s --link mobile";

#[test]
fn the_question_is_answered_in_80_columns() {
    let answer = ask(EXAMPLE);
    assert_eq!(
        (answer.code, answer.stderr.as_str()),
        (Some(0), ""),
        "{answer:?}"
    );
    let text = &answer.stdout;
    assert!(text.starts_with("heartbeat: "), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in [
        "500,000 connections",
        "7.5 s, sent by the client",
        "TCP_USER_TIMEOUT",
        "just under 7 + 5 × 4 = 27 s",
        "published with this program: results/",
        "extrapolated",
        "zero-window by the server",
        "keepalive-user-timeout",
        "--for c,rust,go",
    ] {
        // words are set in lines, so compare without the breaks
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(part), "`{part}` is not in {text}");
    }
}

#[test]
fn json_has_the_same_figures_and_what_was_asked_for() {
    let advice = json(&format!("{EXAMPLE} --for c,nginx"));
    assert_eq!(advice["mechanism"], "heartbeat");
    assert_eq!(advice["asked"]["connections"], 500_000);
    assert_eq!(advice["settings"]["heartbeat"]["interval_ms"], 7_500);
    assert_eq!(advice["settings"]["keepalive"]["user_timeout_ms"], 26_500);
    let cost = &advice["cost"];
    let rate = cost["events_per_second"].as_f64().unwrap();
    let packets = cost["packets_per_second"].as_f64().unwrap();
    assert!((rate - 500_000.0 / 7.5).abs() < 1.0 && packets > 2.0 * rate);
    let named: Vec<_> = advice["snippets"].as_object().unwrap().keys().collect();
    assert_eq!(named, ["c", "nginx"]);
    assert!(advice["alternatives"].as_array().unwrap().len() == 6);
    let all = json(&format!("{EXAMPLE} --for all"));
    assert_eq!(all["snippets"].as_object().unwrap().len(), 13);
}

/// A kept result's record, alone in a folder called `name` below `top`.
fn put(top: &Path, name: &str, kept: &str) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("results")
        .join(kept);
    let folder = top.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(kept.join("record.json"), folder.join("record.json")).unwrap();
}

#[test]
fn the_newest_record_at_hand_is_taken_and_named() {
    let top = tempfile::tempdir().unwrap();
    put(
        top.path(),
        "ringbeat-out/compare-new",
        "2026-11-25-overlap/run-1",
    );
    put(top.path(), "results/old", "2026-11-22-2core-24gib");
    fs::create_dir_all(top.path().join("broken")).unwrap();
    fs::write(top.path().join("broken/record.json"), "{").unwrap();
    let arguments = "--connections 100k --detect-within 9s --link datacenter";
    let answer = ask_in(top.path(), arguments);
    let flat = answer
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        flat.contains("measured here: ringbeat-out/compare-new,"),
        "{flat}"
    );
    assert!(!flat.contains("extrapolated"), "{flat}");
    let older = ask_in(top.path(), &format!("{arguments} --record results/old"));
    assert!(older.stdout.contains("results/old"), "{older:?}");
    let published = ask_in(top.path(), &format!("{arguments} --published"));
    assert!(
        published.stdout.contains("published with this program"),
        "{published:?}"
    );
    let none = ask_in(top.path(), &format!("{arguments} --record broken"));
    assert_eq!(none.code, Some(2), "{none:?}");
}

#[test]
fn contradictions_are_told_and_impossible_questions_refused() {
    let rigid = ask("--connections 10k --detect-within 30s --no-app-changes");
    assert_eq!(rigid.code, Some(0), "{rigid:?}");
    assert!(
        rigid.stdout.starts_with("keepalive-user-timeout: "),
        "{rigid:?}"
    );
    assert!(
        rigid.stdout.contains("hung-application-unseen"),
        "{rigid:?}"
    );
    for (arguments, remedy) in [
        ("--connections 10k --detect-within 2d", "9h"),
        ("--connections 10k --detect-within 0s", "more than zero"),
        ("--connections 0 --detect-within 9s", "at least 1"),
        ("--connections 10k", "--detect-within"),
        (
            "--connections 10k --detect-within 9s --link pigeon",
            "mobile",
        ),
        (
            "--connections 10k --detect-within 9s --side server --noticed-by client",
            "--side both",
        ),
        (
            "--connections 10k --detect-within 1s --no-app-changes",
            "whole seconds",
        ),
        (
            "--connections 10k --detect-within 1s --for c",
            "--detect-within 3s",
        ),
        ("--connections 10k --detect-within 9s --for cobol", "python"),
    ] {
        let refused = ask(arguments);
        assert_eq!(refused.code, Some(2), "{arguments}: {refused:?}");
        assert!(refused.stderr.contains(remedy), "{arguments}: {refused:?}");
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
}
