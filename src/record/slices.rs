//! What an arm sent in one window, 10 ms by 10 ms: bursts as they came.
//!
//! Does not choose the round. A slice is what lies between two readings of the kernel's counters, some 10 ms apart and
//! more where the sampler did not get its core in time; every row says how long it was. A burst that fires within one
//! tick of the kernel makes its own slice longer.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Write as _;

/// One round's window in slices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BurstSlices {
    /// The round, from 0: the one that has the fullest slice.
    pub round: u32,
    /// Where the kept slices begin, microseconds since the first reading: 0 unless the window is longer than a minute,
    /// of which the minute around the fullest slice is kept.
    pub from_us: u64,
    /// Where they end.
    pub to_us: u64,
    /// When the window that the round's other figures are of had opened, on the same clock: the sampler begins before
    /// it and ends after it.
    pub window_opened_us: u64,
    /// When that window was about to close.
    pub window_closing_us: u64,
    /// The slices in which something was sent, earliest first. In JSON a text: rows separated by `;`, each `gap length
    /// probes segments`, where `gap` and `length` are microseconds and `gap` runs from the end of the row before, the
    /// first from the first reading. Nothing was sent in a gap.
    #[serde(serialize_with = "write_rows", deserialize_with = "read_rows")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub rows: Vec<SliceRow>,
}

/// One slice in which something was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceRow {
    /// When it began, microseconds since the first reading.
    pub begin_us: u64,
    /// How long it was.
    pub length_us: u64,
    /// Keepalive probes that the kernel attempted (`TcpExt TCPKeepAlive`); 0 in an arm without keepalive.
    pub probes: u64,
    /// Segments with data, sent for the first time (`TcpExt TCPOrigDataSent`): heartbeats and their acks, a segment
    /// each. 0 in an arm without heartbeats. Over loopback other programs' segments are within.
    pub segments: u64,
}

impl SliceRow {
    /// Where it ends.
    #[must_use]
    pub const fn end_us(&self) -> u64 {
        self.begin_us.saturating_add(self.length_us)
    }
}

/// Why the text of rows did not open.
#[derive(Debug, thiserror::Error)]
#[error("row {row} of the slices is `{text}`, not four whole numbers that follow the row before")]
pub struct RowError {
    row: usize,
    text: String,
}

/// The rows as text.
fn rows_text(rows: &[SliceRow]) -> String {
    let mut text = String::new();
    let mut end = 0;
    for row in rows {
        let gap = row.begin_us.saturating_sub(end);
        let separator = if text.is_empty() { "" } else { ";" };
        let (length, probes, segments) = (row.length_us, row.probes, row.segments);
        write!(text, "{separator}{gap} {length} {probes} {segments}").unwrap_or_default();
        end = row.end_us();
    }
    text
}

/// The text as rows.
fn parse_rows(text: &str) -> Result<Vec<SliceRow>, RowError> {
    let mut end = 0_u64;
    let rows = text.split(';').filter(|row| !row.is_empty()).enumerate();
    rows.map(|(place, row)| {
        let wrong = || RowError {
            row: place + 1,
            text: row.to_owned(),
        };
        let figures: Vec<u64> = row
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| wrong())?;
        let [gap, length_us, probes, segments] = figures[..] else {
            return Err(wrong());
        };
        let begin_us = end.checked_add(gap).ok_or_else(wrong)?;
        end = begin_us.checked_add(length_us).ok_or_else(wrong)?;
        Ok(SliceRow {
            begin_us,
            length_us,
            probes,
            segments,
        })
    })
    .collect()
}

fn write_rows<S: Serializer>(rows: &[SliceRow], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rows_text(rows))
}

fn read_rows<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<SliceRow>, D::Error> {
    let text = String::deserialize(from)?;
    parse_rows(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_rows() -> impl Strategy<Value = Vec<SliceRow>> {
        let row = (0..40_000_u64, 1..40_000_u64, 0..50_000_u64, 0..50_000_u64);
        proptest::collection::vec(row, 0..60).prop_map(|rows| {
            let mut end = 0;
            let follow = |(gap, length_us, probes, segments)| {
                let begin_us = end + gap;
                end = begin_us + length_us;
                SliceRow {
                    begin_us,
                    length_us,
                    probes,
                    segments,
                }
            };
            rows.into_iter().map(follow).collect()
        })
    }

    proptest! {
        #[test]
        fn slices_survive_the_record(rows in some_rows(), round in 0..9_u32) {
            let slices = BurstSlices {
                round,
                to_us: rows.last().map_or(0, SliceRow::end_us),
                window_opened_us: 700,
                rows,
                ..BurstSlices::default()
            };
            let text = serde_json::to_string(&slices).unwrap();
            prop_assert_eq!(serde_json::from_str::<BurstSlices>(&text).unwrap(), slices);
        }
    }

    #[test]
    fn rows_read_as_documented_and_damage_is_named() {
        let rows = parse_rows("20000 10063 0 312;0 9990 7 0;300 1 1 1").unwrap();
        let second = SliceRow {
            begin_us: 30_063,
            length_us: 9_990,
            probes: 7,
            segments: 0,
        };
        assert_eq!((rows[1], rows[2].begin_us), (second, 40_353));
        assert!(parse_rows("").unwrap().is_empty());
        for damaged in [
            "1 2 3",
            "1 2 3 4 5",
            "1 2 x 4",
            "1 2 -3 4",
            "18446744073709551615 1 0 0",
        ] {
            let error = parse_rows(&format!("0 1 0 1;{damaged}")).unwrap_err();
            assert!(
                error.to_string().starts_with("row 2 of the slices is `"),
                "{error}"
            );
        }
    }
}
