//! `.hgrm`: a histogram as the percentile distribution text that HdrHistogram's tools plot.
//!
//! Does not merge or compute histograms. Values are **microseconds with three decimals**, so the
//! nanoseconds of the record survive to the digit; a leading comment says so, and every known
//! viewer skips `#` lines. The layout is that of Java's `outputPercentileDistribution`: five ticks
//! per half distance, and no fourth column in the row of 100 %, which is what makes viewers leave
//! it out instead of failing on an infinity.

use super::format::float_u;
use hdrhistogram::Histogram;
use std::fmt::Write as _;

/// Ticks per halving of the distance to 100 %.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
const NS_PER_US: f64 = 1_000.0;

/// The percentile distribution of `histogram` (nanoseconds); `title` goes into the leading comment.
#[must_use]
pub fn hgrm(histogram: &Histogram<u64>, title: &str) -> String {
    let title: String = title.chars().filter(|c| !c.is_control()).collect();
    let mut text = format!("#[{title}; values in microseconds]\n");
    text.push_str("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut total = 0;
    let mut finished = false;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        if finished {
            // The library may yield 100 % twice (HdrHistogram_rust#66).
            break;
        }
        let quantile = step.quantile_iterated_to();
        let value = float_u(step.value_iterated_to()) / NS_PER_US;
        let head = format!("{value:12.3} {quantile:2.12} {total:10}");
        finished = quantile >= 1.0;
        let line = if finished {
            writeln!(text, "{head}")
        } else {
            writeln!(text, "{head} {:14.2}", 1.0 / (1.0 - quantile))
        };
        line.unwrap_or_default();
    }
    text.push_str(&footer(histogram));
    text
}

fn footer(histogram: &Histogram<u64>) -> String {
    let mean = histogram.mean() / NS_PER_US;
    let deviation = histogram.stdev() / NS_PER_US;
    let max = float_u(histogram.max()) / NS_PER_US;
    let count = histogram.len();
    let buckets = histogram.buckets();
    // Java: the smallest power of two that tells twice ten to the digits apart.
    let sub_buckets = (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two();
    format!(
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n\
         #[Max     = {max:12.3}, Total count    = {count:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::new_histogram;
    use proptest::prelude::*;

    /// Value in µs, quantile, total count, fourth column.
    fn rows(text: &str) -> Vec<(f64, f64, u64, Option<f64>)> {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .skip(1)
            .map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                assert!(fields.len() == 3 || fields.len() == 4, "{line}");
                let fourth = fields.get(3).map(|f| f.parse().unwrap());
                (
                    fields[0].parse().unwrap(),
                    fields[1].parse().unwrap(),
                    fields[2].parse().unwrap(),
                    fourth,
                )
            })
            .collect()
    }

    proptest! {
        #[test]
        fn rows_are_the_histograms_own_percentiles(
            values in prop::collection::vec(1_u64..10_000_000_000, 1..300)
        ) {
            let mut histogram = new_histogram();
            for value in &values {
                histogram.saturating_record(*value);
            }
            let steps: Vec<_> = histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE).collect();
            let rows = rows(&hgrm(&histogram, "test"));
            prop_assert!(rows.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1));
            prop_assert!(rows.windows(2).all(|w| w[0].2 <= w[1].2));
            for (row, step) in rows.iter().zip(&steps) {
                // The library's iterator and its look-up may differ in the last bit of quantile ×
                // count.
                let quantile = step.quantile_iterated_to();
                let agrees = [quantile, quantile - 1e-9, quantile + 1e-9].into_iter().any(|q| {
                    // At zero the look-up answers with the low end of the bucket, rows hold the
                    // high one.
                    let value = histogram.value_at_quantile(q.clamp(0.0, 1.0));
                    let expected = float_u(histogram.highest_equivalent(value)) / NS_PER_US;
                    (row.0 - expected).abs() < 1e-3
                });
                prop_assert!(agrees, "{:?} at {}", row, quantile);
                prop_assert_eq!(row.2, histogram.count_between(0, step.value_iterated_to()));
            }
            let (last, before) = rows.split_last().unwrap();
            prop_assert!(before.iter().all(|row| row.3.is_some()));
            prop_assert!(before.iter().all(|row| row.1 < 1.0));
            prop_assert_eq!((last.1, last.2, last.3), (1.0, histogram.len(), None));
        }
    }

    #[test]
    fn the_layout_is_javas() {
        let mut histogram = new_histogram();
        histogram.record_n(1_000, 99).unwrap();
        histogram.record(2_000_000).unwrap();
        let text = hgrm(&histogram, "heartbeat rtt");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "#[heartbeat rtt; values in microseconds]");
        assert_eq!(
            lines[1],
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        assert_eq!(lines[2], "");
        assert_eq!(
            lines[3],
            "       1.000 0.000000000000         99           1.00"
        );
        assert!(text.contains("\n#[Mean    = "));
        assert!(text.contains("Total count    =          100]"));
        assert!(text.ends_with("SubBuckets     =         2048]\n"));
    }

    #[test]
    fn an_empty_histogram_has_no_rows() {
        assert!(rows(&hgrm(&new_histogram(), "empty")).is_empty());
    }
}
