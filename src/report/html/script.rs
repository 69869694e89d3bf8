//! The page's own script: uPlot, whole, with its licence, and what ties it to the charts; allowed by its hash alone.
//!
//! Does not let any other script run, nor this one reach the network: the policy names nothing else.

use crate::report::plot::Plot;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

/// uPlot 1.6.32, as its authors publish it.
const LIBRARY: &str = include_str!("../script/uPlot.iife.min.js");
const LICENCE: &str = include_str!("../script/LICENSE.uPlot");
const CHARTS: &str = include_str!("../script/charts.js");
/// What the library wants of a style sheet.
pub(super) const STYLE: &str = include_str!("../script/uPlot.min.css");
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; script-src ";

/// What the page may do (Content Security Policy Level 3): show its own style, run the script of this hash, and nothing else.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(source()));
    format!("{POLICY}'sha256-{hash}'")
}

fn source() -> String {
    format!("/*\n{LICENCE}\n*/\n{LIBRARY}\n{CHARTS}")
}

/// The script, where there is a chart that it draws.
pub(super) fn element(plots: &[Plot]) -> Markup {
    html! { @if plots.iter().any(|plot| plot.live.is_some()) { script { (PreEscaped(source())) } } }
}

/// How the charts are used; the script shows it.
pub(super) fn help() -> Markup {
    html! {
        p #chart-help .quiet hidden {
            "Charts: point at a line for its values, drag to zoom, double-click to see all again; the names above a "
            "chart take its lines away. With the keyboard: arrow keys, Page Up and Down, Home and End move the cursor, "
            "+ zooms, Escape shows all again."
        }
    }
}

/// Asserts that what is not the page's script names no place to fetch from; the script is the policy's matter, and its
/// library names its home in its first line.
#[cfg(test)]
pub(in crate::report) fn fetches_nothing(page: &str) {
    let before = page
        .rsplit_once("<script>")
        .map_or(page, |(before, _)| before);
    for forbidden in [
        "http://", "https://", " src=", "@import", "url(", "<script>",
    ] {
        assert!(!before.contains(forbidden), "{forbidden}");
    }
    for address in before.split(" href=\"").skip(1) {
        let address = address.split('"').next().unwrap();
        // A file beside the page is no fetch: it is opened when asked for.
        assert!(
            !address.contains(':') || address.starts_with("data:text/csv"),
            "{address}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_this_script_and_nothing_else() {
        let policy = policy();
        assert!(policy.starts_with("default-src 'none'; "));
        let scripts = policy.split("script-src ").nth(1).unwrap();
        assert!(scripts.starts_with("'sha256-") && scripts.ends_with("='"));
        assert_eq!(scripts.split(' ').count(), 1);
        // What would end the element early, or need more than the policy allows.
        for forbidden in [
            "</script",
            "<!--",
            "eval(",
            "new Function",
            "fetch(",
            "import(",
        ] {
            assert!(!source().contains(forbidden), "{forbidden}");
        }
    }
}
