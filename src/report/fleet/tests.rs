//! A fleet's sentences, tables and page against its record.

use super::*;
use crate::record::MemoryPerConnection;
use crate::record::fixture::{load, server};
use crate::report::html::fetches_nothing;
use crate::report::{html, markdown_table, plots, table as rendered};

fn fleet_of(record: &mut Record) -> &mut FleetRecord {
    record.fleet.as_mut().unwrap()
}

fn said(record: &Record) -> String {
    format::plain(&headline(record).join("\n"))
}

#[test]
fn the_answer_tells_connections_tail_cost_and_overlap() {
    let mut record = fixture::record();
    let text = said(&record);
    for must in [
        "10,000 connections over 4 load generators (heartbeat): 10,000 established, 9,960 held to the end of the window.",
        "Round trip over all of them: p50 ",
        "of 200,000 exchanges.",
        "busy for 105 µs per heartbeat received, gross: what it does when idle is in that.",
        "All 5 windows of 60.0 s were open at once but for 1.86 ms at most, the clocks' errors counted in.",
    ] {
        assert!(text.contains(must), "{must}: {text}");
    }
    let fleet = fleet_of(&mut record);
    fleet.together.connections_held_at_end = 10_000;
    fleet.together.reconnects_established = 40;
    let text = said(&record);
    assert!(
        text.contains("all established, but 40 lost on the way and 40 opened anew."),
        "{text}"
    );
    let table = rendered(&record, Some(120));
    assert!(table.contains("reconnected"), "{table}");
    let fleet = fleet_of(&mut record);
    fleet.together.connections_lost.clear();
    fleet.together.overlap_ns = None;
    fleet.shards = 9;
    let text = said(&record);
    assert!(
        text.contains("over 4 of 9 load generators (heartbeat): all established and all held"),
        "{text}"
    );
    assert!(
        text.contains("cannot be told; the warnings say why"),
        "{text}"
    );
}

#[test]
fn one_hosts_record_speaks_of_that_host_alone() {
    let text = said(&load(2));
    assert!(
        text.starts_with("2,500 connections over shard 2 of 4 (heartbeat): all established"),
        "{text}"
    );
    assert!(
        !text.contains("at once") && !text.contains("server"),
        "{text}"
    );
    let text = said(&server());
    assert!(
        text.starts_with("The server's own record: 10,000 connections accepted, 10,000 held"),
        "{text}"
    );
    for (record, columns) in [(load(2), 1), (server(), 1)] {
        let fleet = record.fleet.as_ref().unwrap();
        assert_eq!(table::sums(fleet).arms.len(), columns);
        let page = html(&record).unwrap();
        assert!(!page.contains("What differs between the machines"));
        fetches_nothing(&page);
        assert!(!rendered(&record, Some(80)).contains("NaN"));
    }
    let mut alone = load(0);
    fleet_of(&mut alone).shards = 1;
    assert!(said(&alone).contains("over one load generator"));
}

#[test]
fn every_host_has_a_row_and_every_absent_figure_a_reason() {
    let mut record = fixture::record();
    let fleet = fleet_of(&mut record);
    fleet.loads[1].host.cpu_ns = None;
    let absent = &mut fleet.loads[1].host.absent;
    absent.insert("cpu_ns".to_owned(), "/proc/stat is hidden there".to_owned());
    let clock = &mut fleet.loads[3].host.window.as_mut().unwrap().clock;
    (clock.offset_ns, clock.error_ns) = (None, None);
    let all: Vec<&LoadHost> = fleet.loads.iter().collect();
    let whole = table::hosts(fleet, &all);
    let rows: Vec<_> = whole.groups.iter().flat_map(|group| &group.rows).collect();
    let labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(
        labels,
        ["0 node-0", "1 node-1", "2 node-2", "3 node-3", "hub"]
    );
    for cell in rows.iter().flat_map(|row| &row.cells) {
        assert_eq!(cell.text == format::ABSENT, cell.note.is_some());
    }
    assert!(rows.iter().all(|row| row.cells.len() == whole.arms.len()));
    let cells = |row: usize| -> Vec<String> {
        let cells = rows[row].cells.iter();
        cells.map(|cell| format::plain(&cell.text)).collect()
    };
    assert_eq!(cells(0)[9..], ["8.8 %", "0", "+0 ns ± 180 µs"]);
    assert_eq!(cells(2)[2..5], ["2,460", "40", "3.96 s"]);
    assert_eq!(cells(2)[10..], ["1,204", "+1.00 ms ± 180 µs"]);
    assert_eq!(cells(4)[..5], ["", "10,000", "10,000", "0", ""]);
    assert_eq!(
        whole.notes,
        [
            "/proc/stat is hidden there",
            "its clock was never compared with the others'"
        ]
    );
}

#[test]
fn the_servers_absent_figures_say_why() {
    let mut record = fixture::record();
    let fleet = fleet_of(&mut record);
    fleet.arm = "none".to_owned();
    let server = fleet.server.as_mut().unwrap();
    (server.heartbeats_received, server.acks_sent) = (0, 0);
    let mut expected = vec!["the mechanism `none` sends nothing, so there is no event".to_owned()];
    server.memory_bytes_per_connection = MemoryPerConnection::default();
    for key in ["server_user", "kernel_sockets", "kernel_io_uring", "total"] {
        let reason = format!("{key} was hidden");
        let key = format!("memory_bytes_per_connection.{key}");
        server.host.absent.insert(key, reason.clone());
        expected.push(reason);
    }
    let notes = table::sums(record.fleet.as_ref().unwrap()).notes;
    assert_eq!(notes, expected);
    let fleet = fleet_of(&mut record);
    fleet.arm = "heartbeat".to_owned();
    let notes = table::sums(record.fleet.as_ref().unwrap()).notes;
    assert_eq!(notes[0], "the server counted no event in its window");
}

#[test]
fn probes_that_cannot_be_told_say_why() {
    let mut record = fixture::record();
    let labels = |record: &Record| {
        let table = table::sums(record.fleet.as_ref().unwrap());
        let rows = table.groups.into_iter().flat_map(|group| group.rows);
        let rows = rows.filter(|row| row.label == "probes attempted");
        let cells: Vec<String> = rows
            .flat_map(|row| row.cells)
            .map(|cell| cell.text)
            .collect();
        (cells, table.notes)
    };
    assert!(labels(&record).0.is_empty());
    let fleet = fleet_of(&mut record);
    fleet.arm = "keepalive".to_owned();
    fleet.server.as_mut().unwrap().probes_attempted = Some(70);
    let absent = &mut fleet.loads[0].host.absent;
    absent.insert("probes_attempted".to_owned(), "not its own".to_owned());
    let (cells, notes) = labels(&record);
    assert_eq!(cells, [format::ABSENT, "70"]);
    assert!(notes.contains(&"not its own".to_owned()), "{notes:?}");
}

#[test]
fn the_terminal_keeps_its_width_and_tells_warnings_and_verdict() {
    for record in [fixture::record(), load(1), server()] {
        for width in [40_u16, 60, 80, 120] {
            let text = rendered(&record, Some(width));
            for line in text.lines() {
                assert!(
                    line.chars().count() <= usize::from(width),
                    "{width}: {line}"
                );
            }
        }
    }
    let text = rendered(&fixture::record(), Some(120));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for must in [
        "2 node-2",
        "1,204",
        "[host-rtt-far-off]",
        "INVALID (hosts-not-held)",
        "lost: answer-timeout",
    ] {
        assert!(text.contains(must), "{must}: {text}");
    }
    let mut many = fixture::record();
    let fleet = fleet_of(&mut many);
    let more = (4..40).map(|shard| LoadHost {
        shard,
        ..fleet.loads[0].clone()
    });
    let more: Vec<_> = more.collect();
    fleet.loads.extend(more);
    let text = rendered(&many, None);
    assert!(
        text.contains("2 node-2") && text.contains("Of 40 load generators these are the 24"),
        "{text}"
    );
    assert!(plots(&many).unwrap()[0].alternative.contains("2 node-2"));
}

#[test]
fn the_page_shows_every_host_curve_and_difference() {
    let record = fixture::record();
    let page = html(&record).unwrap();
    fetches_nothing(&page);
    assert!(page.find("hosts-not-held").unwrap() < page.find("<table").unwrap());
    for must in [
        "6.12.9",
        "4 load generators",
        "Host by host",
        "10.0.0.12",
        "not a real machine",
    ] {
        assert!(page.contains(must), "{must}");
    }
    assert_eq!(page.matches("<svg role=\"img\" aria-label=").count(), 5);
    for tag in [
        "table", "tr", "td", "th", "section", "figure", "svg", "details",
    ] {
        let opened =
            page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let charts = plots(&record).unwrap();
    let names: Vec<&str> = charts.iter().map(|plot| plot.name.as_str()).collect();
    assert_eq!(
        names,
        ["rtt", "response", "lateness", "schedule-lag", "connect"]
    );
    for host in ["all", "0 node-0", "2 node-2", "3 node-3"] {
        assert!(charts[0].alternative.contains(host), "{host}");
    }
    let markdown = markdown_table(&record);
    let mut rows = markdown.lines().filter(|line| line.starts_with('|'));
    assert!(
        rows.all(|row| [4, 14].contains(&row.matches('|').count())),
        "{markdown}"
    );
}

#[test]
fn a_record_without_hosts_still_renders() {
    let mut record = fixture::record();
    for fleet in [None, Some(FleetRecord::default())] {
        record.fleet = fleet;
        assert!(rendered(&record, Some(60)).starts_with("No host was measured."));
        assert!(!html(&record).unwrap().contains("<svg "));
        assert!(!markdown_table(&record).contains('|'));
    }
}
