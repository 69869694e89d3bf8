//! A strict reader of the OpenMetrics text format, written from the specification and not from our writer:
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.

use std::collections::{BTreeMap, BTreeSet};

/// Every sample by its name and labels, as written. Panics, with the line, on whatever the format forbids.
pub(crate) fn parse(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("no `# EOF` at the end");
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind, mut seen) = (String::new(), String::new(), BTreeSet::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (word, rest) = rest.split_once(' ').expect(line);
            let (name, value) = rest.split_once(' ').expect(line);
            if name != family {
                assert!(families.insert(name.to_owned()), "interleaved: {line}");
                (family, kind, seen) = (name.to_owned(), String::new(), BTreeSet::new());
            }
            assert!(seen.insert(word.to_owned()), "twice: {line}");
            match word {
                "HELP" => assert!(!value.is_empty(), "{line}"),
                "TYPE" => value.clone_into(&mut kind),
                "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                _ => panic!("neither HELP nor TYPE nor UNIT: {line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().expect(line);
        assert!(value >= 0.0, "none of ours is negative: {line}");
        let suffix = bare(name).strip_prefix(family.as_str()).expect(line);
        let allowed: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => panic!("of no type: {line}"),
        };
        assert!(allowed.contains(&suffix), "{line} of a {kind}");
        let before = samples.insert(name.to_owned(), value);
        assert!(before.is_none(), "twice: {line}");
    }
    histograms(body, &samples);
    samples
}

/// A sample's name without its labels, which must be well formed.
fn bare(sample: &str) -> &str {
    let Some((name, labels)) = sample.split_once('{') else {
        return sample;
    };
    let mut rest = labels.strip_suffix('}').expect(sample);
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").expect(sample);
        let is_word = label
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        assert!(is_word && !label.is_empty(), "{sample}");
        let mut escaped = false;
        let end = value.find(|letter: char| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        rest = &value[end.expect(sample) + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    name
}

/// Buckets rise, in the order written, up to `+Inf`, which is the count.
fn histograms(body: &str, samples: &BTreeMap<String, f64>) {
    let mut last: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for line in body.lines() {
        let Some((name, rest)) = line.split_once("_bucket{le=\"") else {
            continue;
        };
        let (bound, count) = rest.split_once("\"} ").expect(line);
        let (bound, count): (f64, f64) = (bound.parse().expect(line), count.parse().expect(line));
        if let Some((lower, below)) = last.insert(name, (bound, count)) {
            assert!(bound > lower && count >= below, "{line}");
        }
    }
    assert!(!last.is_empty(), "no histogram");
    for (name, (bound, count)) in last {
        assert!(bound.is_infinite(), "{name} has no +Inf");
        let all = samples[&format!("{name}_count")];
        assert!((all - count).abs() < 0.5, "{name}: {count} of {all}");
    }
}

#[test]
fn the_reader_refuses_what_the_format_forbids() {
    let good = "# HELP a_seconds x.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                a_seconds_bucket{le=\"0.1\"} 1\na_seconds_bucket{le=\"+Inf\"} 2\na_seconds_count 2\n\
                # TYPE b counter\nb_total{why=\"a \\\"b\\\\\",x=\"y\"} 3\n# EOF\n";
    assert_eq!(parse(good).len(), 4);
    for (from, to) in [
        ("# EOF\n", ""),
        ("# EOF\n", "# EOF\n\n"),
        ("b_total", "b"),
        ("le=\"+Inf\"} 2", "le=\"+Inf\"} 3"),
        ("le=\"0.1\"} 1", "le=\"0.1\"} 5"),
        ("\"+Inf\"", "\"7\""),
        ("# UNIT a_seconds seconds", "# UNIT a_seconds bytes"),
        ("# TYPE b counter", "# TYPE b tally"),
        ("x=\"y\"", "x=\"y"),
        ("b_total", "c_total"),
        (
            "# TYPE b counter",
            "# TYPE b counter\n# TYPE a_seconds gauge",
        ),
        ("} 3\n", "} 3\nb_total{why=\"a \\\"b\\\\\",x=\"y\"} 3\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good);
        let read = std::panic::catch_unwind(|| parse(&bad));
        assert!(read.is_err(), "{bad}");
    }
}
