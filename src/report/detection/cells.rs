//! A fault lab's cells as rows: what they are called in files, and `cells.csv`, every figure with its unit in its name.
//!
//! Does not aggregate. A figure that is `null` in the record is an empty field.

use crate::record::CellRecord;
use crate::report::csv::field;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const HEADER: &str = "fault,parameter,mechanism,seat,stress,injected,detected,missed,false_suspicions,signs_of_life,\
                      false_suspicions_per_million,watched_ns,model_earliest_ns,model_bound_ns,within_bound,\
                      out_of_bound,detection_count,detection_min_ns,detection_p50_ns,detection_p90_ns,\
                      detection_p99_ns,detection_p999_ns,detection_max_ns,left_sockets,left_table,left_timers,causes,\
                      model\n";

/// What each cell's files are called: `power-cut.keepalive.server`, with the size of a stress after an `@`; `safe` makes
/// a name one that a file can bear. A second of the same name is numbered.
pub(in crate::report) fn stems(
    cells: &[CellRecord],
    safe: impl Fn(&str) -> String,
) -> Vec<(String, &CellRecord)> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut stems = Vec::new();
    for cell in cells {
        let size = if cell.parameter.is_empty() {
            String::new()
        } else {
            format!("@{}", safe(&cell.parameter))
        };
        let name = format!(
            "{}{size}.{}.{}",
            safe(&cell.fault),
            safe(&cell.mechanism),
            safe(&cell.seat)
        );
        let mut stem = name.clone();
        let mut number = 2;
        while !taken.insert(stem.clone()) {
            stem = format!("{name}#{number}");
            number += 1;
        }
        stems.push((stem, cell));
    }
    stems
}

/// The cells as comma-separated values with a header line.
pub(in crate::report) fn cells_csv(cells: &[CellRecord]) -> String {
    let mut text = String::from(HEADER);
    for cell in cells {
        writeln!(text, "{}", fields(cell).join(",")).unwrap_or_default();
    }
    text
}

fn fields(cell: &CellRecord) -> Vec<String> {
    let figure = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let rate = cell.false_suspicions_per_million;
    let times = &cell.histogram;
    // Without values a percentile is no figure.
    let time = |value: u64| figure((times.count > 0).then_some(value));
    vec![
        field(&cell.fault),
        field(&cell.parameter),
        field(&cell.mechanism),
        field(&cell.seat),
        cell.stress.to_string(),
        cell.injected.to_string(),
        cell.detected.to_string(),
        cell.missed.to_string(),
        cell.false_suspicions.to_string(),
        cell.signs_of_life.to_string(),
        rate.map_or_else(String::new, |rate| rate.to_string()),
        cell.watched_ns.to_string(),
        figure(cell.model_earliest_ns),
        figure(cell.model_bound_ns),
        cell.within_bound.to_string(),
        field(&cell.out_of_bound),
        times.count.to_string(),
        time(times.min),
        time(times.p50),
        time(times.p90),
        time(times.p99),
        time(times.p999),
        time(times.max),
        cell.left_behind.sockets.to_string(),
        cell.left_behind.table.to_string(),
        cell.left_behind.timers.to_string(),
        field(&causes(&cell.causes)),
        field(&cell.model),
    ]
}

fn causes(causes: &BTreeMap<String, u64>) -> String {
    let each = causes
        .iter()
        .map(|(cause, count)| format!("{cause}={count}"));
    each.collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::detection::fixture;

    #[test]
    fn every_cell_is_a_row_with_the_headers_columns() {
        let record = fixture::record();
        let text = cells_csv(&record.cells);
        let columns = HEADER.split(',').count();
        assert_eq!(text.lines().count(), record.cells.len() + 1);
        for line in text.lines().filter(|line| !line.contains('"')) {
            assert_eq!(line.split(',').count(), columns, "{line}");
        }
        assert!(
            text.contains("\nzero-window,,keepalive,server,false,200,0,200,"),
            "{text}"
        );
        assert!(text.contains("\"late, by 1.2 s\""), "quoted: {text}");
    }

    #[test]
    fn names_of_files_are_safe_and_differ() {
        let cell = |fault: &str| CellRecord {
            fault: fault.to_owned(),
            mechanism: "keepalive".to_owned(),
            seat: "server".to_owned(),
            parameter: "20 %".to_owned(),
            ..CellRecord::default()
        };
        let cells = [cell("random-loss"), cell("random-loss"), cell("../x")];
        let safe = |name: &str| name.replace(['.', '/', ' ', '%'], "_");
        let names: Vec<String> = stems(&cells, safe)
            .into_iter()
            .map(|(stem, _)| stem)
            .collect();
        let expected = [
            "random-loss@20__.keepalive.server",
            "random-loss@20__.keepalive.server#2",
            "___x@20__.keepalive.server",
        ];
        assert_eq!(names, expected);
    }
}
