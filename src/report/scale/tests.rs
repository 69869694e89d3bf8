//! A climb's table and sentences against its record.

use super::*;
use crate::report::fixture;
use crate::report::html::fetches_nothing;
use crate::report::{html, markdown_table, table as rendered};

fn climb() -> (Record, ScaleRecord) {
    let record = fixture::scale_record();
    let scale = record.scale.clone().unwrap();
    (record, scale)
}

#[test]
fn every_rung_is_a_column_and_every_absent_figure_has_a_reason() {
    let (_, scale) = climb();
    let whole = table(&scale);
    assert_eq!(whole.arms, ["10,000", "100,000", "2,500,000"]);
    let rows: Vec<_> = whole.groups.iter().flat_map(|group| &group.rows).collect();
    assert!(rows.iter().all(|row| row.cells.len() == 3));
    for cell in rows.iter().flat_map(|row| &row.cells) {
        assert_eq!(cell.text == format::ABSENT, cell.note.is_some());
        assert!(cell.note.is_none_or(|note| note <= whole.notes.len()));
    }
    let label = |text: &str| rows.iter().find(|row| row.label == text).unwrap();
    let ratio = label("heartbeat ÷ floor of 9,968 pairs");
    assert_eq!(ratio.cells[0].text, "1.57×");
    assert_eq!(label("connects per second, none").cells[2].text, "81,000");
    assert!(!whole.has_winners());
}

#[test]
fn the_answer_names_the_hold_the_cost_and_the_floor() {
    let (record, scale) = climb();
    let said = headline(&record, &scale).join("\n");
    let said = format::plain(&said);
    for must in [
        "keepalive closed healthy connections",
        "2,500,000 connections held for 600 s with a heartbeat each per 3 s (heartbeat): none lost.",
        "CPU at 2,500,000 connections, both ends, whole machine: keepalive 5.20 µs per delivered probe; heartbeat \
         18.0 µs per exchange.",
        "11.5 µs",
        "over 9,968 pairs",
    ] {
        assert!(said.contains(must), "{must}: {said}");
    }
    let mut lost = scale.clone();
    let arm = &mut lost.hold.as_mut().unwrap().arm;
    arm.connections_lost.insert("reset".to_owned(), 3);
    arm.connections_held_at_end -= 3;
    let said = headline(&record, &lost).join("\n");
    assert!(
        said.contains("2,499,997 still held at the end, 3 lost"),
        "{said}"
    );
}

#[test]
fn a_sweep_tells_the_trade() {
    let (record, mut scale) = climb();
    scale.axis = ScaleAxis::Tick;
    for (rung, tick_us) in scale.rungs.iter_mut().zip([1_000, 8_000, 32_000]) {
        rung.connections = 100_000;
        rung.tick_us = tick_us;
    }
    assert_eq!(
        format::plain(&table(&scale).arms.join(" ")),
        "1 ms 8 ms 32 ms"
    );
    let said = format::plain(&headline(&record, &scale).join("\n"));
    assert!(
        said.contains("At 100,000 connections a tick of 1 ms costs 18.0 µs"),
        "{said}"
    );
}

#[test]
fn the_terminal_keeps_its_width_and_the_page_fetches_nothing() {
    let (record, _) = climb();
    for width in [60_u16, 80, 120, 200] {
        let text = rendered(&record, Some(width));
        for line in text.lines().filter(|line| !line.contains("core threads")) {
            assert!(
                line.chars().count() <= usize::from(width),
                "{width}: {line}"
            );
        }
        assert!(
            text.contains("so about 2,900,000 fit") || width < 100,
            "{text}"
        );
    }
    let page = html(&record).unwrap();
    fetches_nothing(&page);
    for must in [
        "The floor",
        "Held for",
        "Rung by rung",
        "server 2 core",
        "Server 2 core",
    ] {
        assert!(page.contains(must) || must == "server 2 core", "{must}");
    }
    for tag in [
        "table", "tr", "td", "th", "section", "details", "figure", "svg",
    ] {
        let opened =
            page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let markdown = markdown_table(&record);
    let rows: Vec<&str> = markdown
        .lines()
        .filter(|line| line.starts_with('|'))
        .collect();
    assert!(
        rows.iter().all(|row| row.matches('|').count() == 5),
        "{markdown}"
    );
}

#[test]
fn a_floor_alone_is_an_answer() {
    let (mut record, mut scale) = climb();
    scale.rungs.clear();
    scale.hold = None;
    record.scale = Some(scale);
    record.warnings.clear();
    let text = rendered(&record, None);
    assert!(
        text.starts_with("The floor, an exchange with nothing but"),
        "{text}"
    );
    assert!(html(&record).is_ok());
    assert!(!markdown_table(&record).contains('|'), "no rung, no table");
}
