//! Two results side by side on one page of its own.
//!
//! Does not need anything else: style, script and charts lie within, as on a result's own page.

use super::Difference;
use crate::report::html::{drawing, shell};
use maud::{Markup, html};

impl Difference {
    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let head = html! {
            p.answer { (self.headline()) }
            @for (letter, (name, started)) in ["A", "B"].iter().zip(self.names.iter().zip(&self.started)) {
                p.quiet { (letter) ": " code { (name) } ", of " (started) }
            }
        };
        shell("two results side by side", &head, &self.body(), &self.plots)
    }

    fn body(&self) -> Markup {
        html! {
            @if !self.doubts.is_empty() {
                section.warnings {
                    h2 { "Before you quote a difference" }
                    ul { @for doubt in &self.doubts { li { (doubt) } } }
                }
            }
            @for (title, changes) in self.changes() {
                section {
                    h2 { (title) }
                    div.scroll { table {
                        thead { tr { th scope="col" { "what" } th.left scope="col" { "A" } th.left scope="col" { "B" } } }
                        tbody { @for change in changes {
                            tr { th scope="row" { (change.key) } td.fact { (change.one) } td.fact { (change.other) } }
                        } }
                    } }
                }
            }
            section {
                h2 { "Figure by figure" }
                (self.figures())
            }
            @if !self.plots.is_empty() {
                section {
                    h2 { "Percentile by percentile" }
                    @for plot in &self.plots { (drawing(plot)) }
                }
            }
            details { summary { "Method" } p { (self.method) } }
        }
    }

    fn figures(&self) -> Markup {
        html! {
            div.scroll { table {
                thead { tr {
                    @for title in ["figure", "A", "B", "B ÷ A"] { th scope="col" { (title) } }
                    th.left scope="col" { "difference" }
                } }
                @for group in &self.groups {
                    tbody {
                        tr.group { th colspan="5" scope="rowgroup" { (group.title) } }
                        @for row in &group.rows {
                            tr {
                                th scope="row" { (row.label) }
                                td { (row.one) } td { (row.other) } td { (row.ratio()) }
                                td.winner { @if row.told() { strong { (row.verdict()) } } @else { (row.verdict()) } }
                            }
                        }
                    }
                }
            } }
        }
    }
}
