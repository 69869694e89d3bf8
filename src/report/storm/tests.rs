//! A storm's sentences, table and page against its record.

use super::*;
use crate::record::StormRecord;
use crate::report::html::fetches_nothing;
use crate::report::{html, markdown_table, table as rendered};

#[test]
fn the_answer_compares_ways_of_backing_off() {
    let mut record = fixture::record();
    let said = format::plain(&headline(&record).join("\n"));
    for must in [
        "10,000 connections were dropped at once; all were back after: full-jitter 2.30 s; no-jitter only 9,900 of \
         10,000 while it was watched; immediate 1.10 s.",
        "full-jitter 10,417 connects, at most 9,100 within 100 ms, 417 failed, 2,048 SYNs dropped by the listeners;",
    ] {
        assert!(said.contains(must), "{must}: {said}");
    }
    let storm = record.storm.as_mut().unwrap();
    storm.mode = "churn".to_owned();
    storm.runs.truncate(1);
    let said = format::plain(&headline(&record).join("\n"));
    assert!(
        said.contains("full-jitter 10,000 of 10,000 back, each after 2.2"),
        "{said}"
    );
}

#[test]
fn every_run_is_a_column_and_every_absent_figure_has_a_reason() {
    let mut storm = fixture::record().storm.unwrap();
    storm.runs.push(storm.runs[0].clone());
    let whole = table(&storm);
    assert_eq!(
        whole.arms,
        ["full-jitter", "no-jitter", "immediate", "full-jitter#2"]
    );
    let rows: Vec<_> = whole.groups.iter().flat_map(|group| &group.rows).collect();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        assert_eq!(cell.text == format::ABSENT, cell.note.is_some());
    }
    let label = |text: &str| rows.iter().find(|row| row.label == text).unwrap();
    assert_eq!(label("all back after").cells[1].text, "–");
    assert_eq!(label("lost again: answer-timeout").cells[0].text, "7");
    assert_eq!(label("accept queue overflows").cells[0].text, "2,001");
    assert_eq!(label("failed: ETIMEDOUT <late>").cells[0].text, "417");
    assert_eq!(
        label("SYNs dropped at the listeners").cells[2].text,
        "2,048"
    );
}

#[test]
fn the_terminal_keeps_its_width_and_the_page_fetches_nothing() {
    let record = fixture::record();
    for width in [40_u16, 60, 80, 120] {
        let text = rendered(&record, Some(width));
        for line in text.lines() {
            assert!(
                line.chars().count() <= usize::from(width),
                "{width}: {line}"
            );
        }
    }
    let page = html(&record).unwrap();
    fetches_nothing(&page);
    assert!(page.contains("ETIMEDOUT &lt;late&gt;") && page.contains("not reached while"));
    assert_eq!(page.matches("<svg ").count(), 3);
    assert_eq!(page.matches("<svg role=\"img\" aria-label=").count(), 3);
    for tag in [
        "table", "tr", "td", "th", "section", "figure", "svg", "details",
    ] {
        let opened =
            page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let markdown = markdown_table(&record);
    let mut rows = markdown.lines().filter(|line| line.starts_with('|'));
    assert!(rows.all(|row| row.matches('|').count() == 5), "{markdown}");
}

#[test]
fn a_storm_that_never_began_still_renders() {
    let mut record = fixture::record();
    for storm in [None, Some(StormRecord::default())] {
        record.storm = storm;
        assert!(rendered(&record, Some(60)).starts_with("No storm was measured."));
        assert!(!html(&record).unwrap().contains("<svg "));
        assert!(!markdown_table(&record).contains('|'));
    }
}

#[test]
fn a_churn_has_no_drop_to_count_from_and_mechanisms_are_named_where_they_differ() {
    let mut storm = fixture::record().storm.unwrap();
    storm.mode = "churn".to_owned();
    storm.runs.truncate(2);
    storm.runs[1] = storm.runs[0].clone();
    storm.runs[1].arm = "keepalive".to_owned();
    let whole = table(&storm);
    assert_eq!(
        whole.arms,
        ["full-jitter@heartbeat", "full-jitter@keepalive"]
    );
    let rows = || whole.groups.iter().flat_map(|group| &group.rows);
    assert!(rows().any(|row| row.label == "closed in the window"));
    assert!(!rows().any(|row| row.label.ends_with("back after")));
    assert!(whole.notes.is_empty(), "{:?}", whole.notes);
}
