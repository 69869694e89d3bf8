//! What a person sees in a terminal: the settings before a run, the answer and one table after it.
//!
//! Does not print, and knows no colour: text is returned. No line exceeds the width it is given; a
//! table too wide first loses its winners (sentences below it say the same), then continues in
//! blocks of fewer arms.

use super::answer;
use super::format;
use super::grid::{cells, draw, footnotes, header, markdown_line, wrap};
use super::rows::{CostTable, Row, TOTAL_BOTH_ENDS, TOTAL_THIS_END};
use super::{detection, fleet, lifecycle, scale, shards, storm};
use crate::record::{Config, Kind, Record, Warning};
use crate::units::HumanBytes;
use std::fmt::Write as _;

/// Paragraph width where the terminal's is unknown.
const PARAGRAPH: usize = 100;
/// The end of a run for a person: answer, table, winners, warnings, verdict. `width` is the
/// terminal's; without one the table is as wide as it needs to be.
#[must_use]
pub fn table(record: &Record, width: Option<u16>) -> String {
    let paragraph = width.map_or(PARAGRAPH, |w| usize::from(w).min(PARAGRAPH));
    match (record.kind, &record.scale) {
        (_, Some(scale)) => return scale::text(record, scale, width, paragraph),
        (Kind::Detection, _) => return detection::text(record, width, paragraph),
        (Kind::Storm, _) => return storm::text(record, width, paragraph),
        (Kind::Lifecycle, _) => return lifecycle::text(record, width, paragraph),
        (Kind::Fleet, _) => return fleet::text(record, width, paragraph),
        _ => {}
    }
    let mut text = String::new();
    for sentence in answer::headline(record) {
        text.push_str(&wrap(&sentence, paragraph, ""));
    }
    text.push('\n');
    let whole = CostTable::new(&record.arms, &record.comparisons);
    text.push_str(&draw(&whole, width));
    text.push_str(&footnotes(&whole, paragraph));
    for hosts in shards::tables(&record.arms) {
        write!(text, "\n{}", draw(&hosts, width)).unwrap_or_default();
    }
    text.push_str(&winners(record, paragraph));
    if let Some(rung) = &record.drop_free_rung {
        let title = format!(
            "Where nothing is dropped, {} connections ({}):",
            format::count(rung.connections),
            rung.reason
        );
        let small = CostTable::cost_only(&rung.arms, &rung.comparisons);
        let body = format!("{}{}", draw(&small, width), footnotes(&small, paragraph));
        write!(text, "\n{}{body}", wrap(&title, paragraph, "")).unwrap_or_default();
    }
    text.push_str(&warnings(&record.warnings, paragraph));
    write!(text, "\n{}", wrap(&answer::verdict(record), paragraph, "")).unwrap_or_default();
    format::plain(&text)
}

/// The effective configuration, one aligned `key  value` per line, defaults included.
#[must_use]
pub fn effective_config(config: &Config) -> String {
    let settings = settings(config);
    let widest = settings.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value) in settings {
        writeln!(text, "{key:widest$}  {value}").unwrap_or_default();
    }
    format::plain(&text)
}

/// Rows a README has room for; the whole table stands in the report.
const BRIEF: [&str; 12] = [
    "CPU per event",
    "CPU per connection-hour",
    "packets per event (model)",
    "wire bytes per connection-hour",
    TOTAL_BOTH_ENDS,
    TOTAL_THIS_END,
    "RTT p50",
    "RTT p99",
    "RTT p99.9",
    "RTT max",
    "asked for",
    "established",
];

/// The answer and the rows that matter most, in Markdown: one small table for a README. Where a figure is absent
/// the whole table says why.
#[must_use]
pub fn markdown_table(record: &Record) -> String {
    match (record.kind, &record.scale) {
        (_, Some(scale)) => return scale::markdown(record, scale),
        (Kind::Detection, _) => return detection::markdown(record),
        (Kind::Storm, _) => return storm::markdown(record),
        (Kind::Lifecycle, _) => return lifecycle::markdown(record),
        (Kind::Fleet, _) => return fleet::markdown(record),
        _ => {}
    }
    let whole = CostTable::new(&record.arms, &record.comparisons);
    let mut text = format!("{}\n\n", answer::headline(record).join(" "));
    let mut line = |cells: Vec<String>| text.push_str(&markdown_line(&cells));
    line(header(&whole.arms, true));
    line(vec!["---".to_owned(); whole.arms.len() + 2]);
    let rows = whole.groups.iter().flat_map(|group| &group.rows);
    let kept = |row: &&Row| {
        BRIEF.contains(&row.label.as_str())
            || row.label.starts_with("held")
            || row.label.starts_with("lost")
    };
    for row in rows.filter(kept) {
        let absent = |cell: String| {
            if cell.starts_with('–') {
                "–".to_owned()
            } else {
                cell
            }
        };
        let mut kept: Vec<String> = cells(row, 0..whole.arms.len(), true)
            .into_iter()
            .map(absent)
            .collect();
        if [TOTAL_BOTH_ENDS, TOTAL_THIS_END].contains(&row.label.as_str()) {
            // Its group's title is not in this table.
            kept[0] = format!("memory per connection, {}", row.label);
        }
        line(kept);
    }
    format::plain(&text)
}

/// Every setting by the word people know it by.
pub(super) fn settings(config: &Config) -> Vec<(&'static str, String)> {
    let connections = match &config.connections_limited_by {
        Some(reason) => format!(
            "{} of {} asked for ({reason})",
            format::count(config.connections),
            format::count(config.connections_asked)
        ),
        None => format::count(config.connections),
    };
    let ramp = config.ramp_rate_per_second.map_or_else(
        || "as fast as the in-flight cap lets them".to_owned(),
        |rate| format!("{} connections per second", format::count(rate)),
    );
    let ramp = match config.in_flight_per_core {
        Some(most) => format!(
            "{ramp}, {} connects in flight per core",
            format::count(most)
        ),
        None => ramp,
    };
    let memory = config.memory_limit_bytes.map_or_else(
        || "what the host has, less a reserve".to_owned(),
        |limit| HumanBytes(limit).to_string(),
    );
    let keepalive = format!(
        "idle {} s, interval {} s, count {}, on the {} side",
        config.keepalive_idle_s,
        config.keepalive_interval_s,
        config.keepalive_count,
        config.keepalive_side
    );
    let timers = match config.sweep_period_ms {
        Some(period) => format!("{}, a pass every {}", config.timers, format::millis(period)),
        None => config.timers.clone(),
    };
    vec![
        ("connections", connections),
        ("arms", config.arms.join(", ")),
        ("detect within", format::millis(config.detect_within_ms)),
        ("misses allowed", config.misses.to_string()),
        (
            "heartbeat interval",
            format::millis(config.heartbeat_interval_ms),
        ),
        ("idle timeout", format::millis(config.idle_timeout_ms)),
        ("answer timeout", format::millis(config.answer_timeout_ms)),
        ("keepalive", keepalive),
        ("steady window", format::millis(config.steady_ms)),
        ("settle", format::millis(config.settle_ms)),
        ("rounds", config.rounds.to_string()),
        ("ramp", ramp),
        ("memory limit", memory),
        (
            "tick",
            format!("{:.1} ms", format::float_u(config.tick_us) / 1e3),
        ),
        ("phases", config.phases.clone()),
        ("timers", timers),
        ("server cores", cores(&config.server_cores)),
        (
            "load cores",
            if config.path == "fleet" {
                "on other hosts".to_owned()
            } else {
                cores(&config.load_cores)
            },
        ),
        ("rings", config.ring_plan.clone()),
        ("congestion control", config.congestion_control.clone()),
        ("seed", config.seed.to_string()),
    ]
}

fn cores(list: &[usize]) -> String {
    let numbers: Vec<String> = list.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

fn winners(record: &Record, width: usize) -> String {
    let said: String = record
        .comparisons
        .iter()
        .filter(|comparison| !comparison.sentence.is_empty())
        .map(|comparison| wrap(&format!("• {}", comparison.sentence), width, "  "))
        .collect();
    if said.is_empty() {
        said
    } else {
        format!("\n{said}")
    }
}

pub(super) fn warnings(warnings: &[Warning], width: usize) -> String {
    let mut text = String::new();
    for warning in warnings {
        let weight = if warning.invalidates {
            "invalid"
        } else {
            "warning"
        };
        let what = format!("{weight} [{}]: {}", warning.code, warning.message);
        write!(text, "\n{}", wrap(&what, width, "  ")).unwrap_or_default();
        text.push_str(&wrap(&format!("  → {}", warning.advice), width, "    "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn no_line_exceeds_the_width_and_nothing_is_lost() {
        let record = fixture::record();
        for width in [40_u16, 60, 80, 100, 140, 200] {
            let text = table(&record, Some(width));
            for line in text.lines() {
                assert!(
                    line.chars().count() <= usize::from(width),
                    "{width}: {line}"
                );
            }
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for arm in &record.arms {
                assert!(words.contains(&arm.name), "{width}: {}", arm.name);
            }
            for must in [
                "84,012",
                "18.0 µs",
                "[backlog-drops]",
                "Valid:",
                "2,000 connections",
            ] {
                assert!(words.contains(must), "{width}: {must}");
            }
        }
    }

    #[test]
    fn harm_stands_before_the_table() {
        let text = table(&fixture::record(), None);
        assert!(text.starts_with("keepalive closed healthy connections"));
        assert!(text.contains("none (control)"));
        assert!(text.contains("gross"));
        assert!(text.contains("¹ nothing is sent in the control"));
        assert!(text.contains("• CPU per event: heartbeat-oneway does best"));
    }

    #[test]
    fn a_record_without_arms_still_renders() {
        let mut record = fixture::calm_record();
        record.arms.clear();
        assert!(table(&record, None).contains("there is no cost to state"));
    }

    #[test]
    fn markdown_rows_have_one_shape() {
        let text = markdown_table(&fixture::record());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(
            rows.iter().all(|row| row.matches('|').count() == 7),
            "{text}"
        );
        for brief in BRIEF.into_iter().filter(|row| *row != TOTAL_THIS_END) {
            assert!(text.contains(&format!("{brief} |")), "{brief}: {text}");
        }
        assert!(!text.contains('¹'), "{text}");
        assert!(text.contains("| memory per connection, total"), "{text}");
    }

    #[test]
    fn settings_are_aligned_and_say_why_connections_are_fewer() {
        let text = effective_config(&fixture::record().config);
        assert!(text.contains("100,000 of 200,000 asked for (free memory"));
        let column = text.lines().next().unwrap().find("100,000").unwrap();
        assert!(text.lines().all(|line| line.as_bytes()[column - 1] == b' '));
    }

    #[test]
    fn the_timers_are_named_and_older_records_had_the_wheel() {
        let config = fixture::record().config;
        let text = effective_config(&config);
        assert!(text.contains("sweep, a pass every 96"), "{text}");
        let mut older = serde_json::to_value(config).unwrap();
        let keys = older.as_object_mut().unwrap();
        assert!(keys.remove("timers").is_some() && keys.remove("sweep_period_ms").is_some());
        let older: Config = serde_json::from_value(older).unwrap();
        assert_eq!(
            (older.timers.as_str(), older.sweep_period_ms),
            ("wheel", None)
        );
    }
}
