//! Two results side by side for a terminal and in Markdown.
//!
//! Does not colour anything. No line of the terminal's exceeds its width.

use super::{Change, Difference};
use crate::report::format::plain;
use crate::report::grid::{markdown_line, sentences, wrap};
use std::fmt::Write as _;

/// Width where there is no terminal to ask.
const USUAL: usize = 100;
const FIGURES: [&str; 5] = ["figure", "A", "B", "B ÷ A", "difference"];

impl Difference {
    /// For a terminal that many characters wide.
    #[must_use]
    pub fn table(&self, width: Option<u16>) -> String {
        let width = width.map_or(USUAL, usize::from);
        let mut out = wrap(&self.headline(), width, "  ");
        for (place, letter) in ["A", "B"].into_iter().enumerate() {
            let line = format!(
                "{letter}: {}, of {}",
                self.names[place], self.started[place]
            );
            out += &wrap(&line, width, "   ");
        }
        out.push('\n');
        for (title, changes) in self.changes() {
            write!(
                out,
                "{title}\n{}\n",
                sentences(&["what", "A", "B"], &cells(changes), width)
            )
            .unwrap_or_default();
        }
        for doubt in &self.doubts {
            out += &wrap(&format!("! {doubt}"), width, "  ");
        }
        for group in &self.groups {
            let rows: Vec<Vec<String>> = group.rows.iter().map(super::rows::Row::cells).collect();
            write!(
                out,
                "\n{}\n{}",
                group.title,
                sentences(&FIGURES, &rows, width)
            )
            .unwrap_or_default();
        }
        out.push('\n');
        plain(&(out + &wrap(self.method, width, "")))
    }

    /// In Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = format!("{}\n\n", self.headline());
        for (place, letter) in ["A", "B"].into_iter().enumerate() {
            writeln!(
                out,
                "- {letter}: `{}`, of {}",
                self.names[place], self.started[place]
            )
            .unwrap_or_default();
        }
        for doubt in &self.doubts {
            writeln!(out, "- **{doubt}**").unwrap_or_default();
        }
        let mut table = |title: &str, head: &[&str], rows: &[Vec<String>]| {
            let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
            write!(out, "\n**{title}**\n\n{}", markdown_line(&head)).unwrap_or_default();
            out += &markdown_line(&vec!["---".to_owned(); head.len()]);
            out.extend(rows.iter().map(|row| markdown_line(row)));
        };
        for (title, changes) in self.changes() {
            table(title, &["what", "A", "B"], &cells(changes));
        }
        for group in &self.groups {
            let rows: Vec<Vec<String>> = group.rows.iter().map(super::rows::Row::cells).collect();
            table(&group.title, &FIGURES, &rows);
        }
        plain(&format!("{out}\n{}\n", self.method))
    }

    /// The kinds of change that there are: the machines', the settings', then what became of it all.
    pub(super) fn changes(&self) -> Vec<(&'static str, &[Change])> {
        let all: [(&str, &[Change]); 4] = [
            ("What differs between the machines", &self.environment),
            ("What differs between the settings", &self.config),
            ("What came out otherwise", &self.outcomes.changed),
            ("What only one of them has", &self.outcomes.lone),
        ];
        all.into_iter()
            .filter(|(_, changes)| !changes.is_empty())
            .collect()
    }
}

fn cells(changes: &[Change]) -> Vec<Vec<String>> {
    let row = |change: &Change| vec![change.key.clone(), change.one.clone(), change.other.clone()];
    changes.iter().map(row).collect()
}
