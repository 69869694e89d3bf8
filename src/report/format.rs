//! How single figures are shown: spans, bytes, counts, intervals, ratios.
//!
//! Does not decide which figures are shown. Spans come in as nanoseconds, sizes as bytes.

use crate::record::Estimate;
use crate::units::{HumanCount, HumanNanos};

/// What stands where a figure is absent.
pub(super) const ABSENT: &str = "–";

/// Keeps a figure and its unit on one line; text meant for a terminal turns it back with [`plain`].
const NO_BREAK: char = '\u{a0}';

/// `text` with ordinary spaces, so that it can be searched and copied.
pub(super) fn plain(text: &str) -> String {
    text.replace(NO_BREAK, " ")
}

/// A span that may be negative: `−1.2 µs`.
pub(super) fn nanos(value: i64) -> String {
    let sign = if value < 0 { "−" } else { "" };
    let span = HumanNanos(value.unsigned_abs()).to_string();
    format!("{sign}{}", span.replace(' ', "\u{a0}"))
}

/// A span: `1.2 µs`.
pub(super) fn span(value: u64) -> String {
    nanos(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A figure with its interval, `18.0 µs [17.2, 19.1]`, or that it is not resolved. The interval's
/// unit is left out where it is the figure's.
pub(super) fn estimate(figure: &Estimate) -> String {
    let [median, low, high] = [figure.median, figure.low, figure.high].map(nanos);
    let split = |text: &str| {
        let (number, unit) = text.split_once(NO_BREAK).unwrap_or((text, ""));
        (number.to_owned(), unit.to_owned())
    };
    let ((low_number, low_unit), (high_number, high_unit)) = (split(&low), split(&high));
    let (_, unit) = split(&median);
    if !figure.resolved && figure.low == figure.high {
        return "not resolved".to_owned();
    }
    if !figure.resolved {
        return if low_unit == high_unit {
            format!("not resolved [{low_number},{NO_BREAK}{high}]")
        } else {
            format!("not resolved [{low},{NO_BREAK}{high}]")
        };
    }
    if figure.low == figure.high {
        return median;
    }
    if low_unit == unit && high_unit == unit {
        return format!("{median} [{low_number},{NO_BREAK}{high_number}]");
    }
    format!("{median} [{low},{NO_BREAK}{high}]")
}

/// A ratio in thousandths with its interval: `3.4× [3.1, 3.8]`.
pub(super) fn ratio(milli: &Estimate) -> String {
    let show = |value: i64| {
        let ratio = float(value) / 1000.0;
        let decimals = if ratio < 2.0 { 2 } else { 1 };
        format!("{ratio:.decimals$}")
    };
    let median = show(milli.median);
    if milli.low == milli.high {
        return format!("{median}×");
    }
    format!(
        "{median}× [{},{NO_BREAK}{}]",
        show(milli.low),
        show(milli.high)
    )
}

/// A size: `850 B`, `7.8 kB`, `1.2 GB`; powers of 1000.
pub(super) fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value}{NO_BREAK}B"),
        1_000..1_000_000 => format!("{:.1}{NO_BREAK}kB", float_u(value) / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}{NO_BREAK}MB", float_u(value) / 1e6),
        _ => format!("{:.1}{NO_BREAK}GB", float_u(value) / 1e9),
    }
}

/// A count with thousands separated.
pub(super) fn count(value: u64) -> String {
    HumanCount(value).to_string()
}

/// A count that is an estimate: three digits of it.
pub(super) fn about(value: u64) -> String {
    let mut step = 1;
    while value / step >= 1_000 {
        step *= 10;
    }
    count(value / step * step)
}

/// A count short enough for an axis: `0`, `250`, `10k`, `1.5M`.
pub(super) fn compact(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        magnitude if magnitude >= 1e6 => (value / 1e6, "M"),
        magnitude if magnitude >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    format!("{trimmed}{suffix}")
}

/// A span in milliseconds as people say it: `9 s`, `250 ms`.
pub(super) fn millis(value: u64) -> String {
    if value >= 1_000 && value.is_multiple_of(1_000) {
        format!("{}{NO_BREAK}s", value / 1_000)
    } else if value >= 10_000 {
        format!("{:.1}{NO_BREAK}s", float_u(value) / 1e3)
    } else {
        format!("{value}{NO_BREAK}ms")
    }
}

/// A span in microseconds, as ticks are told: `8 ms`, `500 µs`.
pub(super) fn micros(value: u64) -> String {
    if value.is_multiple_of(1_000) {
        millis(value / 1_000)
    } else {
        format!("{value}{NO_BREAK}µs")
    }
}

/// A name from a record as part of a file name: no separators, nothing hidden.
pub(super) fn file_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_#".contains(c) {
            c
        } else {
            '_'
        }
    };
    name.chars().map(plain).collect()
}

/// A footnote mark: `¹²`.
pub(super) fn superscript(number: usize) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let mark = |c: char| c.to_digit(10).map_or(c, |d| digits[d as usize]);
    number.to_string().chars().map(mark).collect()
}

/// `name` in lines of at most `longest` characters where its hyphens allow that.
pub(super) fn hyphenated(name: &str, longest: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in name.split_inclusive('-') {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() <= longest => line.push_str(part),
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

/// A signed integer for arithmetic whose result is only displayed.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(super) fn float(value: i64) -> f64 {
    value as f64
}

/// An unsigned integer for arithmetic whose result is only displayed.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(super) fn float_u(value: u64) -> f64 {
    value as f64
}

/// A position in a list, for coordinates.
#[expect(clippy::cast_precision_loss, reason = "lists are short")]
pub(super) fn float_i(value: usize) -> f64 {
    value as f64
}

/// A non-negative float as a whole number, rounded; negative and not-a-number become zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and only display depends on it"
)]
pub(super) fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_carry_unit_interval_and_doubt() {
        let resolved = Estimate {
            median: 18_000,
            low: 17_200,
            high: 19_100,
            resolved: true,
        };
        assert_eq!(plain(&estimate(&resolved)), "18.0 µs [17.2, 19.1]");
        let noise = Estimate {
            median: -300,
            low: -900,
            high: 400,
            resolved: false,
        };
        assert_eq!(plain(&estimate(&noise)), "not resolved [−900, 400 ns]");
        let single = Estimate {
            low: -300,
            high: -300,
            ..noise
        };
        assert_eq!(plain(&estimate(&single)), "not resolved");
        let wide = Estimate {
            low: 900,
            ..resolved
        };
        assert_eq!(plain(&estimate(&wide)), "18.0 µs [900 ns, 19.1 µs]");
        let lead = Estimate {
            median: 3_400,
            low: 3_100,
            high: 3_800,
            resolved: true,
        };
        assert_eq!(plain(&ratio(&lead)), "3.4× [3.1, 3.8]");
    }

    #[test]
    fn sizes_and_counts_fit_their_place() {
        assert_eq!(plain(&bytes(999)), "999 B");
        assert_eq!(plain(&bytes(7_812)), "7.8 kB");
        assert_eq!(compact(1_500_000.0), "1.5M");
        assert_eq!(compact(20_000.0), "20k");
        assert_eq!(compact(0.0), "0");
        assert_eq!(plain(&millis(9_000)), "9 s");
        assert_eq!(plain(&millis(1_500)), "1500 ms");
        assert_eq!(plain(&micros(8_000)), "8 ms");
        assert_eq!(plain(&micros(500)), "500 µs");
        assert_eq!(
            (about(2_842_769), about(999)),
            ("2,840,000".to_owned(), "999".to_owned())
        );
        assert_eq!(superscript(12), "¹²");
        assert_eq!(whole(-1.0), 0);
        let lines = ["keepalive-", "user-timeout"];
        assert_eq!(hyphenated("keepalive-user-timeout", 12), lines);
        assert_eq!(hyphenated("both", 2), ["both"]);
    }
}
