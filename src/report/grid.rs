//! Tables and paragraphs as text: laid out for a terminal's width, or in Markdown.
//!
//! Does not choose figures and does not print. No line exceeds the width it is given; a table too wide first loses its
//! winners (sentences below it say the same), then continues in blocks of fewer columns.

use super::format::{self, superscript};
use super::rows::{CostTable, Row};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use std::fmt::Write as _;

/// What a column needs before the table is split: label, arm, winner; then borders and padding of
/// each.
const LABEL: usize = 20;
const ARM: usize = 14;
const WINNER: usize = 18;
const FRAME: usize = 3;

pub(super) fn header(arms: &[String], with_winner: bool) -> Vec<String> {
    let mut titles = vec![String::new()];
    titles.extend(arms.iter().cloned());
    if with_winner {
        titles.push("winner".to_owned());
    }
    titles
}

pub(super) fn cells(row: &Row, arms: std::ops::Range<usize>, with_winner: bool) -> Vec<String> {
    let mut cells = vec![row.label.clone()];
    cells.extend(row.cells[arms].iter().map(super::rows::Cell::marked));
    if with_winner {
        cells.push(row.winner.clone());
    }
    cells
}

/// Draws the table in as many blocks as `width` asks for.
pub(super) fn draw(whole: &CostTable, width: Option<u16>) -> String {
    draw_narrow(whole, width, ARM)
}

/// The same with columns that may become as narrow as `least` before the table is split; where that is less than usual
/// their headings are cut at hyphens.
pub(super) fn draw_narrow(whole: &CostTable, width: Option<u16>, least: usize) -> String {
    let columns = whole.arms.len();
    let winners = whole.has_winners();
    let natural = block(whole, 0..columns, winners, None, least);
    let Some(width) = width else {
        return natural;
    };
    let room = usize::from(width);
    if natural.lines().all(|line| line.chars().count() <= room) {
        return natural;
    }
    let room = room.saturating_sub(LABEL + FRAME + 1);
    let with_winner = winners && room.saturating_sub(WINNER + FRAME) / (least + FRAME) >= columns;
    let per_block = (room / (least + FRAME)).clamp(1, columns.max(1));
    if with_winner || per_block >= columns {
        return block(whole, 0..columns, with_winner, Some(width), least);
    }
    let starts = (0..columns).step_by(per_block);
    let blocks = starts.map(|start| {
        let part = start..columns.min(start + per_block);
        block(whole, part, false, Some(width), least)
    });
    blocks.collect::<Vec<_>>().join("\n")
}

fn block(
    whole: &CostTable,
    arms: std::ops::Range<usize>,
    with_winner: bool,
    width: Option<u16>,
    least: usize,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    let last_arm = arms.len();
    let aligned = |texts: Vec<String>| -> Vec<Cell> {
        let place = |(column, text): (usize, String)| {
            let figure = column > 0 && column <= last_arm;
            let side = if figure {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            };
            Cell::new(text).set_alignment(side)
        };
        texts.into_iter().enumerate().map(place).collect()
    };
    let mut headings = header(&whole.arms[arms.clone()], with_winner);
    if least < ARM {
        for heading in &mut headings {
            *heading = format::hyphenated(heading, least).join("\n");
        }
    }
    table.set_header(aligned(headings));
    for group in &whole.groups {
        table.add_row(vec![Cell::new(format!("▸ {}", group.title))]);
        for row in &group.rows {
            table.add_row(aligned(cells(row, arms.clone(), with_winner)));
        }
    }
    format!("{table}\n")
}

pub(super) fn footnotes(whole: &CostTable, width: usize) -> String {
    let line = |(place, note): (usize, &String)| {
        wrap(&format!("{} {note}", superscript(place + 1)), width, "  ")
    };
    whole.notes.iter().enumerate().map(line).collect()
}

/// The whole of `table` in Markdown, its footnotes below it.
pub(super) fn markdown(table: &CostTable) -> String {
    let mut text = String::new();
    let mut line = |cells: Vec<String>| text.push_str(&markdown_line(&cells));
    line(header(&table.arms, false));
    line(vec!["---".to_owned(); table.arms.len() + 1]);
    for group in &table.groups {
        let mut title = vec![format!("**{}**", group.title)];
        title.resize(table.arms.len() + 1, String::new());
        line(title);
        for row in &group.rows {
            line(cells(row, 0..table.arms.len(), false));
        }
    }
    text.push('\n');
    text.push_str(&footnotes(table, usize::MAX / 2));
    format::plain(&text)
}

/// One row in Markdown.
pub(super) fn markdown_line(cells: &[String]) -> String {
    let safe: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", safe.join(" | "))
}

/// A table of sentences, as wide as `width` at most.
pub(super) fn sentences(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width).unwrap_or(u16::MAX))
        .set_header(header)
        .add_rows(rows);
    format!("{table}\n")
}

/// Breaks `text` at spaces so that no line exceeds `width`; later lines begin with `indent`. A word
/// longer than a line is cut.
pub(super) fn wrap(text: &str, width: usize, indent: &str) -> String {
    let width = width.max(indent.len() + 8);
    let lead: String = text.chars().take_while(|c| *c == ' ').collect();
    let (mut wrapped, mut line, mut used) = (String::new(), lead.clone(), lead.len());
    let mut fresh = true;
    for word in text
        .split_whitespace()
        .flat_map(|word| pieces(word, width - indent.len()))
    {
        let length = word.chars().count();
        if !fresh && used + 1 + length > width {
            writeln!(wrapped, "{line}").unwrap_or_default();
            indent.clone_into(&mut line);
            used = indent.len();
            fresh = true;
        }
        if !fresh {
            line.push(' ');
            used += 1;
        }
        line.push_str(&word);
        used += length;
        fresh = false;
    }
    writeln!(wrapped, "{line}").unwrap_or_default();
    wrapped
}

fn pieces(word: &str, longest: usize) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    characters
        .chunks(longest.max(1))
        .map(|piece| piece.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_cuts_only_words_longer_than_a_line() {
        assert_eq!(wrap("one two three", 9, "  "), "one two\n  three\n");
        assert!(wrap(&"x".repeat(40), 16, "").lines().all(|l| l.len() <= 16));
    }

    #[test]
    fn sentences_keep_their_width_and_markdown_its_bars() {
        let rows = vec![vec!["one".to_owned(), "word ".repeat(40)]; 3];
        for width in [30, 60, 100] {
            let text = sentences(&["first", "second"], &rows, width);
            assert!(text.lines().all(|l| l.chars().count() <= width), "{text}");
            assert_eq!(text.matches("word").count(), 120);
        }
        let line = markdown_line(&["a|b".to_owned(), "c".to_owned()]);
        assert_eq!(line, "| a\\|b | c |\n");
    }
}
