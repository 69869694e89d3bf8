//! A fault lab's sentences, tables, page and files against its record.

use super::*;
use crate::record::{CellRecord, Record};
use crate::report::html::fetches_nothing;
use crate::report::{html, markdown_table, table as rendered};

fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[test]
fn rows_and_columns_stand_in_the_order_they_are_told_in() {
    let record = fixture::record();
    let matrices = Matrix::all(&record.cells);
    let seats: Vec<&str> = matrices.iter().map(|matrix| matrix.seat).collect();
    assert_eq!(seats, ["server", "client"]);
    let matrix = &matrices[0];
    let names: Vec<&str> = matrix.faults.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "process exit",
            "process killed",
            "reset",
            "power cut",
            "cable pulled",
            "one-way loss to server",
            "one-way loss to client",
            "host reboot",
            "application hung",
            "zero window",
            "black hole with data in flight",
        ]
    );
    let plain = |row: &matrix::Line<'_>| format::plain(&row.name);
    let names: Vec<String> = matrix.stress.iter().map(plain).collect();
    assert_eq!(
        names,
        [
            "outage, 4 s",
            "outage, 12 s",
            "random loss, 20 %",
            "server paused, 4 s"
        ]
    );
    assert_eq!(matrix.mechanisms[1], "keepalive");
    assert!(matrix.faults.iter().all(|row| row.cells.len() == 7));
}

#[test]
fn cells_show_time_cross_dash_and_mark() {
    let record = fixture::record();
    let whole = Matrix::all(&record.cells)[0].table();
    let row = |label: &str| {
        let mut rows = whole.groups.iter().flat_map(|group| &group.rows);
        rows.find(|row| plain(&row.label) == label).unwrap()
    };
    let shown = |label: &str, column: usize| plain(&row(label).cells[column].text);
    assert_eq!(shown("power cut", 0), "✕");
    assert!(shown("power cut", 1).starts_with("9."));
    assert_eq!(shown("cable pulled", 1), "10.3 s (198/200) !");
    let note = row("cable pulled").cells[1].note.unwrap();
    assert_eq!(whole.notes[note - 1], "late, by 1.2 s");
    assert_eq!(shown("one-way loss to client", 5), "–");
    let note = row("host reboot").cells[3].note.unwrap();
    assert!(whole.notes[note - 1].starts_with("3/200 suspected while the peer lived"));
    assert_eq!(shown("random loss, 20 %", 1), "17/200 (4,250/M)");
    assert_eq!(shown("outage, 4 s", 0), "0/200 (–)");
    assert_eq!(shown("outage, 4 s", 3), "0/200 (0/M)");
}

#[test]
fn the_answer_rests_on_the_cells() {
    let said = format::plain(&headline(&fixture::record()).join("\n"));
    for must in [
        "1 of 210 cells lie outside their bound: cable pulled under keepalive at the server: late, by 1.2 s.",
        "After a power cut the server knew soonest with heartbeat (p99 8.9",
        "latest with keepalive",
        "; never with none.",
        "After a power cut the client knew soonest",
        "; never with none, heartbeat-oneway.",
        "Seen from server and client alike, keepalive never noticed application hung, zero window, black hole with data \
         in flight (heartbeat knew them all, p99 8.9",
        "Without a fault healthy connections were closed: outage, 12 s: keepalive, keepalive-user-timeout, heartbeat, \
         heartbeat-oneway, heartbeat-push, both 200 of 200 each; random loss, 20 %: keepalive 17 of 200.",
    ] {
        assert!(said.contains(must), "{must}: {said}");
    }
    assert!(!said.contains("heartbeat never noticed"), "{said}");
    let mut record = fixture::record();
    record
        .cells
        .retain(|cell| cell.seat == "client" || cell.fault != "zero-window");
    let said = format::plain(&headline(&record).join("\n"));
    assert!(
        said.contains(
            "keepalive never noticed, seen from the server application hung, black hole with"
        ),
        "{said}"
    );
}

#[test]
fn missing_cells_are_not_spoken_of() {
    let mut record = fixture::record();
    record
        .cells
        .retain(|cell| cell.fault == "power-cut" && cell.mechanism == "none");
    record.cells.retain(|cell| cell.seat == "client");
    let said = headline(&record);
    assert_eq!(said, ["After a power cut the client never knew with none."]);
    record.cells[0].stress = true;
    record.cells[0].fault = "outage".to_owned();
    let said = headline(&record);
    assert_eq!(
        said,
        ["Without a fault no mechanism closed a healthy connection (1 cell of stress)."]
    );
    assert_eq!(
        headline(&fixture::empty_record()),
        ["No cell was measured."]
    );
}

#[test]
fn the_verdict_counts_cells_and_rules() {
    let mut record = fixture::record();
    let text = verdict(&record);
    assert!(
        text.starts_with("INVALID (cell-outside-its-bound)"),
        "{text}"
    );
    assert!(text.contains("209 of 210 cells within their bounds, 1 of 2 kernel rules held"));
    record.valid = true;
    let text = verdict(&record);
    assert!(
        text.starts_with("Valid: every check held; 209 of 210"),
        "{text}"
    );
}

#[test]
fn no_line_exceeds_the_width_and_every_figure_is_shown() {
    let record = fixture::record();
    for width in [40_u16, 60, 80, 100, 140, 200] {
        let text = rendered(&record, Some(width));
        for line in text.lines() {
            assert!(
                line.chars().count() <= usize::from(width),
                "{width}: {line}"
            );
        }
        assert_eq!(text.matches('✕').count(), crosses(&record) + 1, "{width}");
    }
    let text = plain(&rendered(&record, None));
    let lab = record.detection.as_ref().unwrap();
    for must in [
        "10.3 s (198/200) !",
        "INVALID",
        "Left out on this host",
        "does not hold",
        "see the curve",
    ] {
        assert!(text.contains(must), "{must}: {text}");
    }
    for oracle in &lab.oracles {
        assert!(text.contains(&oracle.name[..20]), "{}", oracle.name);
    }
}

fn crosses(record: &Record) -> usize {
    let faults = record
        .cells
        .iter()
        .filter(|cell| !cell.stress && cell.injected > 0);
    faults
        .filter(|cell| cell.detected == 0 && cell.missed > 0)
        .count()
}

#[test]
fn the_page_holds_every_cell_and_fetches_nothing() {
    let record = fixture::record();
    let page = html(&record).unwrap();
    fetches_nothing(&page);
    assert_eq!(page.matches("<svg ").count(), 3);
    assert_eq!(page.matches("<svg role=\"img\" aria-label=").count(), 3);
    let rows = page.matches("<th scope=\"row\">").count();
    assert!(rows >= record.cells.len(), "{rows}");
    for must in [
        "keepalive &lt;badly set&gt; kills",
        "nft is not installed &lt;here&gt;",
        "&lt;net/ipv4/tcp_timer.c&gt;",
        "cable pulled: 13 of 14 within their bounds",
        "no: late, by 1.2 s",
        "1 sockets",
        "met the stress",
        "user namespace",
        "idle 3 s, interval 2 s, count 3",
        "keepalive-silent-with-data-in-flight",
    ] {
        assert!(page.contains(must), "{must}");
    }
    assert!(page.find("cell-outside-its-bound").unwrap() < page.find("<svg ").unwrap());
    assert!(
        !page.contains("CPU per event"),
        "another experiment's method"
    );
    for tag in [
        "table", "tr", "td", "th", "section", "figure", "svg", "text", "details", "ul", "li",
    ] {
        let opened =
            page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn markdown_rows_have_one_shape_per_table() {
    let text = markdown_table(&fixture::record());
    let bars = |line: &str| line.matches('|').count();
    let rows: Vec<usize> = text
        .lines()
        .filter(|l| l.starts_with('|'))
        .map(bars)
        .collect();
    assert!(rows.iter().all(|bars| [9, 4].contains(bars)), "{text}");
    assert!(
        text.contains("Seen from the client") && text.contains("| does not hold |"),
        "{text}"
    );
}

#[test]
fn a_record_without_cells_still_renders() {
    let record = fixture::empty_record();
    assert!(rendered(&record, Some(80)).starts_with("No cell was measured."));
    let page = html(&record).unwrap();
    assert!(page.contains("who notices a dead peer") || page.contains("fixture"));
    assert!(!page.contains("<svg "));
    assert!(!markdown_table(&record).contains('|'));
    let mut partial = fixture::record();
    partial.cells = vec![CellRecord::default()];
    partial.detection = Some(DetectionRecord::default());
    for width in [None, Some(40)] {
        assert!(rendered(&partial, width).contains("Seen from the"));
    }
    assert!(html(&partial).is_ok());
}
