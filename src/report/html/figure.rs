//! A chart on the page: the still picture, its data for the script, its text, its download.
//!
//! Does not draw.

use crate::report::plot::Plot;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};

/// The chart of that name, if there is one.
pub(in crate::report) fn figure(plots: &[Plot], name: &str) -> Markup {
    html! { @if let Some(plot) = plots.iter().find(|plot| plot.name == name) { (drawing(plot)) } }
}

pub(in crate::report) fn drawing(plot: &Plot) -> Markup {
    framed(plot, false)
}

/// A picture that is less wide than the others: stretched to the page it would be too large.
pub(in crate::report) fn narrow_drawing(plot: &Plot) -> Markup {
    framed(plot, true)
}

fn framed(plot: &Plot, narrow: bool) -> Markup {
    // Inside HTML an SVG needs no name space, and the page stays free of addresses.
    let inline = plot
        .svg
        .replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    html! {
        figure.narrow[narrow] id={ "chart-" (plot.name) } {
            div.scroll.still role="group" aria-label=(plot.title) { (PreEscaped(inline)) }
            @if let Some(live) = &plot.live { script type="application/json" { (PreEscaped(live)) } }
            figcaption { (plot.alternative)
                @if !plot.csv.is_empty() {
                    " " a download={ (plot.name) ".csv" } href=(address(&plot.csv))
                        aria-label={ "Data of “" (plot.title) "” (CSV)" } { "data (CSV)" }
                }
            }
        }
    }
}

/// The text as an address that holds it.
fn address(csv: &str) -> String {
    format!(
        "data:text/csv;charset=utf-8;base64,{}",
        STANDARD.encode(csv)
    )
}
