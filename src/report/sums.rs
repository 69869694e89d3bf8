//! `SHA256SUMS`: the checksum of every other file of a folder, as sha256sum(1) writes and `sha256sum -c` reads them.
//!
//! Does not touch the disk; the [folder](super::ResultFolder) does. A sum tells a file that was cut short or changed from one
//! that is as it was written. It proves nothing against somebody who writes the sums anew.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The file's name.
pub(super) const NAME: &str = "SHA256SUMS";
/// Hexadecimal digits of a sum.
const DIGITS: usize = 64;

/// The checksum of `bytes` in lower-case hexadecimal digits.
pub(super) fn sum(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(DIGITS);
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// The file's text, one line per file in the order of their names.
pub(super) fn text(sums: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, sum) in sums {
        writeln!(text, "{sum}  {name}").unwrap_or_default();
    }
    text
}

/// Reads the text back: sums by file name.
///
/// # Errors
/// What is wrong, in words, with the number of the line.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut sums = BTreeMap::new();
    for (place, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {} {what}", place + 1);
        let (sum, name) = line
            .split_once(' ')
            .ok_or_else(|| wrong("is no sum and name"))?;
        if sum.len() != DIGITS || !sum.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong("does not begin with a SHA-256 sum"));
        }
        // A second space for text, an asterisk for binary; the sum is the same.
        let name = name
            .strip_prefix([' ', '*'])
            .ok_or_else(|| wrong("has no name two places after its sum"))?;
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(wrong("names no file of this folder"));
        }
        if sums
            .insert(name.to_owned(), sum.to_ascii_lowercase())
            .is_some()
        {
            return Err(wrong("names a file a second time"));
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standard() {
        // FIPS 180-4's examples for "abc" and for nothing.
        assert_eq!(
            sum(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            sum(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn what_is_written_reads_back_in_both_of_the_tools_forms() {
        let sums = BTreeMap::from([
            ("a b.txt".to_owned(), sum(b"1")),
            ("record.json".to_owned(), sum(b"2")),
        ]);
        assert_eq!(parse(&text(&sums)), Ok(sums.clone()));
        let binary = text(&sums).replace("  ", " *").to_uppercase();
        let read = parse(
            &binary
                .replace("A B.TXT", "a b.txt")
                .replace("RECORD.JSON", "record.json"),
        );
        assert_eq!(read, Ok(sums));
    }

    #[test]
    fn foreign_text_is_refused_with_its_line() {
        let good = sum(b"");
        for (text, why) in [
            ("nothing".to_owned(), "line 1 is no sum"),
            (format!("{good}  a\n12  b"), "line 2 does not begin"),
            (format!("{good} a"), "line 1 has no name"),
            (format!("{good}  ../record.json"), "no file of this folder"),
            (format!("{good}  .."), "no file of this folder"),
            (format!("{good}  a\n{good}  a"), "a second time"),
        ] {
            let said = parse(&text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
