//! The doctor's answer as text: the sentence, what to do with its commands, a table of what is fine.
//!
//! Pure. No line but a command exceeds the width; a command is never broken, so that it can be pasted.

use crate::experiment::doctor::{Diagnosis, Finding, Verdict, about};
use comfy_table::{ContentArrangement, Table, presets};
use std::fmt::Write as _;

/// Columns where standard output is no terminal, and the most that are used of a wide one.
const USUAL: u16 = 80;
const MOST: u16 = 110;
/// Before the commands.
const INDENT: &str = "    ";

/// The whole text, `width` columns wide.
pub(super) fn draw(diagnosis: &Diagnosis, width: Option<u16>) -> String {
    let width = width.unwrap_or(USUAL).clamp(40, MOST);
    let mut text = wrap(&diagnosis.answer(), usize::from(width), "");
    let due = diagnosis.to_do();
    for finding in &due {
        text.push('\n');
        text.push_str(&todo(diagnosis, finding, usize::from(width)));
    }
    let fine = diagnosis.fine();
    let at = about(diagnosis.judged_at);
    writeln!(text, "\nFine at {at} connections:").unwrap_or_default();
    text.push_str(&table(&fine, width));
    text
}

/// One finding that asks for something, with its commands.
fn todo(diagnosis: &Diagnosis, finding: &Finding, width: usize) -> String {
    let Finding {
        name,
        found,
        needed,
        why,
        ..
    } = finding;
    let most = finding.verdict.most();
    let asked = diagnosis.question.connections.is_some();
    let bounds = most.map_or_else(String::new, |most| format!(", good for {}", about(most)));
    let head = match most {
        // The first limit, judged at what the second one allows.
        Some(_) if !asked => format!("To hold more, {name}: found {found}, needed {needed} then"),
        _ => format!("{name}: found {found}{bounds}, needed {needed}"),
    };
    let mut text = wrap(&head, width, "  ");
    text.push_str(&wrap(&format!("  {why}"), width, "  "));
    for change in &finding.remedies {
        for command in change.commands() {
            writeln!(text, "{INDENT}{command}").unwrap_or_default();
        }
    }
    text
}

fn table(findings: &[&Finding], width: u16) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(["limit", "found", "needed", "good for"]);
    for finding in findings {
        let good_for = match finding.verdict {
            Verdict::Limits(most) => about(most),
            Verdict::Unknown => "unknown".to_owned(),
            Verdict::Fine | Verdict::Warns => "any number".to_owned(),
        };
        let row = [finding.name, &finding.found, &finding.needed, &good_for];
        table.add_row(row);
    }
    format!("{table}\n")
}

/// Breaks at spaces; later lines begin with `indent`, the first with the spaces it has.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    let lead = text.len() - text.trim_start().len();
    let (mut wrapped, mut line) = (String::new(), text[..lead].to_owned());
    let mut empty = true;
    for word in words(text) {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            writeln!(wrapped, "{line}").unwrap_or_default();
            indent.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(&word);
        empty = false;
    }
    writeln!(wrapped, "{line}").unwrap_or_default();
    wrapped
}

/// The words of a text; a figure and its `M`, `k` or unit are one.
fn words(text: &str) -> Vec<String> {
    const UNITS: [&str; 7] = ["M", "k", "B", "s", "KiB", "MiB", "GiB"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let unit = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        match words.last_mut() {
            Some(last)
                if UNITS.contains(&unit) && last.ends_with(|end: char| end.is_ascii_digit()) =>
            {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::doctor::{Change, Facts, Question, Side, examine};

    #[test]
    fn lines_fit_and_commands_are_whole() {
        let facts = Facts::read(None).unwrap();
        for connections in [None, Some(1_000), Some(10_000_000)] {
            let question = Question::under_presets(connections, Side::Both, 2).unwrap();
            let diagnosis = examine(&facts, &question);
            let text = draw(&diagnosis, None);
            assert!(
                text.starts_with(diagnosis.answer().split(' ').next().unwrap()),
                "{text}"
            );
            for line in text.lines() {
                let command = line.starts_with(INDENT);
                assert!(command || line.chars().count() <= 80, "{line}");
            }
            for finding in diagnosis.to_do() {
                let best = finding
                    .remedies
                    .first()
                    .map(Change::commands)
                    .unwrap_or_default();
                assert!(
                    best.iter().all(|command| text.contains(command)),
                    "{best:?}"
                );
            }
            for finding in diagnosis.fine() {
                assert!(
                    text.contains(finding.name.split(' ').next().unwrap()),
                    "{}",
                    finding.name
                );
            }
        }
    }

    #[test]
    fn wrapping_keeps_the_first_indent_and_gives_the_second() {
        assert_eq!(wrap("  one two three", 9, " "), "  one two\n three\n");
        assert_eq!(wrap("", 9, ""), "\n");
        assert_eq!(wrap("at about 1.43 M.", 13, ""), "at about\n1.43 M.\n");
    }
}
