//! How spans, rates and counts are said in advice, and how prose is set in columns.
//!
//! Does not choose what is said.

use crate::units::Nanos;

/// Widest line of the text.
pub(super) const COLUMNS: usize = 80;

/// A span as people say it, no longer than it is exact to a millisecond: `7.5 s`, `350 s`, `333 ms`.
pub(super) fn span(nanos: Nanos) -> String {
    let ms = nanos.0 / 1_000_000;
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    let (seconds, rest) = (ms / 1_000, ms % 1_000);
    if rest == 0 {
        return format!("{seconds} s");
    }
    let decimals = format!("{rest:03}");
    format!("{seconds}.{} s", decimals.trim_end_matches('0'))
}

/// A count that may be fractional or very large.
#[expect(clippy::cast_precision_loss, reason = "for ratios and display")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// A non-negative float, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and what is rounded here is a rate or a size"
)]
pub(super) fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

/// Three significant digits with k, M or G: `66.7k`.
pub(super) fn about(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 999.5e6 => (value / 1e9, "G"),
        value if value >= 999.5e3 => (value / 1e6, "M"),
        value if value >= 9_999.5 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let decimals = match scaled {
        scaled if scaled < 9.995 => 2,
        scaled if scaled < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{scaled:.decimals$}");
    let short = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{short}{unit}")
}

/// `text` broken into lines of [`COLUMNS`] at most, the first after `first`, the others after as many spaces as it is
/// wide. A word that is wider than a line stays whole.
pub(super) fn paragraph(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.chars().count());
    let mut lines = vec![first.to_owned()];
    let mut begun = false;
    for word in text.split_whitespace() {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if begun && line + 1 + word.chars().count() > COLUMNS {
            lines.push(indent.clone());
            begun = false;
        }
        if let Some(line) = lines.last_mut() {
            if begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = true;
        }
    }
    lines.join("\n") + "\n"
}

/// `12.5 M`, for a unit to follow.
pub(super) fn spaced(value: f64) -> String {
    let said = about(value);
    let number = said.trim_end_matches(['k', 'M', 'G']);
    format!("{number} {}", &said[number.len()..])
}

/// A named line of the text, with its value beside it.
pub(super) fn row(name: &str, value: &str) -> String {
    paragraph(&format!("  {name:<24}"), value)
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_rates_are_short() {
        assert_eq!(span(Nanos::from_millis(7_500)), "7.5 s");
        assert_eq!(span(Nanos(3_333_333_333)), "3.333 s");
        assert_eq!(span(Nanos::from_secs(350)), "350 s");
        assert_eq!(span(Nanos::from_millis(333)), "333 ms");
        assert_eq!(about(66_666.0), "66.7k");
        assert_eq!(about(1_500_000.0), "1.5M");
        assert_eq!(about(120.0), "120");
        assert_eq!(about(9_999.0), "9999");
        assert_eq!(about(0.37), "0.37");
        assert_eq!(about(200.0e9), "200G");
    }

    #[test]
    fn prose_keeps_to_the_columns() {
        let words = "lorem ipsum ".repeat(40);
        let set = paragraph("* ", &words);
        assert!(
            set.lines().all(|line| line.chars().count() <= COLUMNS),
            "{set}"
        );
        assert!(
            set.lines()
                .skip(1)
                .all(|line| line.starts_with("  lorem") || line.starts_with("  ipsum"))
        );
        assert_eq!(set.split_whitespace().count(), 81);
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
