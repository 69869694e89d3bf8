//! `samples.csv`: one row a second, with the unit of every column in its name.
//!
//! Does not aggregate. `heartbeats` and `acks` count from the start of the arm's run; all else is
//! per second. A column is empty where the figure is not to be had.

use crate::record::Sample;
use std::fmt::Write as _;

const HEADER: &str = "elapsed_ms,round,arm,phase,connections,heartbeats,acks,probes_per_second,\
                      cpu_busy_ns,server_cpu_ns,load_cpu_ns,packets_per_second,\
                      backlog_drops_per_second\n";

/// The samples as comma-separated values with a header line.
#[must_use]
pub fn samples_csv(samples: &[Sample]) -> String {
    let mut text = String::from(HEADER);
    for s in samples {
        writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{},{},{}",
            s.elapsed_ms,
            s.round,
            field(&s.arm),
            field(&s.phase),
            s.connections,
            s.heartbeats,
            s.acks,
            s.probes,
            s.cpu_busy_ns,
            s.server_cpu_ns,
            s.load_cpu_ns.map_or_else(String::new, |ns| ns.to_string()),
            s.packets,
            s.backlog_drops
        )
        .unwrap_or_default();
    }
    text
}

/// Quotes a field when the format asks for it (RFC 4180, section 2, rules 5 to 7).
pub(super) fn field(value: &str) -> String {
    if value.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_row_has_the_headers_columns() {
        let record = fixture::record();
        let text = samples_csv(&record.samples);
        let columns = HEADER.split(',').count();
        assert_eq!(text.lines().count(), record.samples.len() + 1);
        assert!(text.lines().all(|line| line.split(',').count() == columns));
    }

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
