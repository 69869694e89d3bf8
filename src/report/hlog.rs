//! `.hlog`: an interval log with one line per round, for `HistogramLogProcessor` and its kin.
//!
//! Does not merge rounds: each line is one window's histogram as it was measured. Timestamps are
//! absolute seconds since the epoch with a `StartTime` and no `BaseTime`, the one form all readers
//! agree on. Histogram values are nanoseconds; the readable maximum in each line is milliseconds,
//! as the Java writer has it.

use crate::record::{ArmRecord, HistogramError, decode};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::time::{Duration, UNIX_EPOCH};

/// The line Java's writer puts before the first interval; the Rust writer leaves it out.
const LEGEND: &str =
    r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;
const NS_PER_MS: f64 = 1e6;

/// Why an interval log could not be written.
#[derive(Debug, thiserror::Error)]
pub enum HlogError {
    /// A stored histogram did not open.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// The name holds a comma or white space, which the format has no way to write.
    #[error("histogram name `{0}` cannot be a tag: it holds a comma or white space")]
    Tag(String),
    /// The library refused.
    #[error("interval log could not be written: {0}")]
    Write(String),
}

/// The interval log of the histogram called `name`: one line per round that has it, tagged with the
/// name. `None` when no round has it.
///
/// # Errors
/// [`HlogError`] for a histogram that does not open or a name that cannot be a tag.
pub fn hlog(arm: &ArmRecord, name: &str) -> Result<Option<String>, HlogError> {
    let rounds: Vec<_> = arm
        .rounds_detail
        .iter()
        .filter_map(|round| Some((round, round.histograms.get(name)?)))
        .collect();
    if rounds.is_empty() {
        return Ok(None);
    }
    let intervals = rounds.into_iter().map(|(round, encoded)| Interval {
        started_epoch_ms: round.window_started_epoch_ms,
        length_ns: round.window_ns,
        encoded,
    });
    interval_log(&arm.name, name, &intervals.collect::<Vec<_>>()).map(Some)
}

/// One line of a log: when its values were recorded, and the stored histogram of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval<'a> {
    pub(super) started_epoch_ms: u64,
    pub(super) length_ns: u64,
    pub(super) encoded: &'a str,
}

/// The log of `intervals`, tagged with `name`; `owner` is whose values they are, for the leading comment.
pub(super) fn interval_log(
    owner: &str,
    name: &str,
    intervals: &[Interval<'_>],
) -> Result<String, HlogError> {
    let tag = Tag::new(name).ok_or_else(|| HlogError::Tag(name.to_owned()))?;
    let first = intervals.iter().map(|each| each.started_epoch_ms).min();
    let start = UNIX_EPOCH + Duration::from_millis(first.unwrap_or(0));
    let owner: String = owner.chars().filter(|c| !c.is_control()).collect();
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let failed = |error: &dyn std::fmt::Display| HlogError::Write(error.to_string());
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!("[{owner} {name}; values in nanoseconds]"))
        .with_start_time(start)
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(&mut log, &mut serializer)
        .map_err(|error| failed(&error))?;
    for each in intervals {
        let length = Duration::from_nanos(each.length_ns);
        let began = Duration::from_millis(each.started_epoch_ms);
        writer
            .write_histogram(&decode(each.encoded)?, began, length, Some(tag))
            .map_err(|error| failed(&error))?;
    }
    let text = String::from_utf8(log).map_err(|error| failed(&error))?;
    Ok(with_legend(&text))
}

/// Puts the legend after the header's comments.
fn with_legend(text: &str) -> String {
    let header: usize = text
        .split_inclusive('\n')
        .take_while(|line| line.starts_with('#'))
        .map(str::len)
        .sum();
    let (comments, intervals) = text.split_at(header);
    format!("{comments}{LEGEND}\n{intervals}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::encode;
    use crate::report::fixture;
    use base64::Engine as _;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn what_is_written_reads_back() {
        let record = fixture::record();
        let arm = record.arms.iter().find(|a| a.name == "heartbeat").unwrap();
        let text = hlog(arm, "rtt").unwrap().unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#[Histogram log format version 1.3]"));
        assert!(text.contains("#[StartTime: 1767225"));
        assert!(text.contains(&format!("\n{LEGEND}\nTag=rtt,1767225")));
        let mut read = 0;
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            let LogEntry::Interval(interval) = entry.unwrap() else {
                continue;
            };
            let round = &arm.rounds_detail[read];
            assert_eq!(interval.tag().unwrap().as_str(), "rtt");
            assert_eq!(interval.duration(), Duration::from_nanos(round.window_ns));
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(interval.encoded_histogram())
                .unwrap();
            let back: hdrhistogram::Histogram<u64> = Deserializer::new()
                .deserialize(&mut bytes.as_slice())
                .unwrap();
            assert_eq!(encode(&back).unwrap(), round.histograms["rtt"]);
            read += 1;
        }
        assert_eq!(read, arm.rounds_detail.len());
    }

    #[test]
    fn a_histogram_nobody_measured_has_no_log() {
        assert!(hlog(&fixture::record().arms[0], "rtt").unwrap().is_none());
    }
}
