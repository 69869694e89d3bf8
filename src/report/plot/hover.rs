//! What a pointer is told over a bar, a cell, a dot or an arrow: an SVG `<title>`, which browsers show beside it.
//!
//! Does not draw: what it lays over the picture cannot be seen and lies above everything, so that a figure written on a
//! bar does not hide the bar. A title is for who points; for all others the page's tables hold the same figures.

use super::canvas::Area;
use maud::html;

/// How wide a spot a line has for a pointer that is near it.
const NEAR: i32 = 12;

/// Spots of a picture and what is told over each.
#[derive(Debug, Default)]
pub(super) struct Hover {
    spots: String,
}

impl Hover {
    /// Over the rectangle between two corners of `area`.
    pub(super) fn over(&mut self, area: &Area<'_>, corners: [(i32, i32); 2], said: &str) {
        let (left, top) = area.get_base_pixel();
        self.at(corners.map(|(x, y)| (x + left, y + top)), said);
    }

    /// Over the rectangle between two corners in the picture's own units.
    pub(super) fn at(&mut self, [one, other]: [(i32, i32); 2], said: &str) {
        let (x, y) = (one.0.min(other.0), one.1.min(other.1));
        // What is drawn at all can be pointed at.
        let wide = one.0.abs_diff(other.0).max(1);
        let tall = one.1.abs_diff(other.1).max(1);
        let spot = html! {
            rect x=(x) y=(y) width=(wide) height=(tall) fill="none" pointer-events="all" {
                title { (said) }
            }
        };
        self.add(&spot.into_string());
    }

    /// Along a line between two points of `area`.
    pub(super) fn along(&mut self, area: &Area<'_>, from: (i32, i32), to: (i32, i32), said: &str) {
        let (left, top) = area.get_base_pixel();
        let spot = html! {
            line x1=(from.0 + left) y1=(from.1 + top) x2=(to.0 + left) y2=(to.1 + top)
                stroke-width=(NEAR) pointer-events="stroke" {
                title { (said) }
            }
        };
        self.add(&spot.into_string());
    }

    fn add(&mut self, spot: &str) {
        self.spots.push_str(spot);
        self.spots.push('\n');
    }

    /// `svg` with the spots above everything else.
    pub(super) fn laid_over(&self, svg: &str) -> String {
        match svg.rsplit_once("</svg>") {
            Some((picture, after)) => format!("{picture}{}</svg>{after}", self.spots),
            None => svg.to_owned(),
        }
    }
}

/// What is told over the spots of `svg`, in order, as people read it.
#[cfg(test)]
pub(super) fn told(svg: &str) -> Vec<String> {
    let titles = svg.split("<title>").skip(1);
    let titles = titles.filter_map(|after| after.split_once("</title>"));
    titles
        .map(|(said, _)| {
            let said = said.replace("&lt;", "<").replace("&gt;", ">");
            said.replace("&quot;", "\"")
                .replace("&amp;", "&")
                .replace('\u{a0}', " ")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_lie_last_and_what_they_say_cannot_break_out() {
        let mut hover = Hover::default();
        hover.at([(30, 9), (10, 9)], "a <b> & \"c\"");
        let svg = hover.laid_over("<svg><rect/>\n</svg>\n");
        assert_eq!(
            svg,
            "<svg><rect/>\n<rect x=\"10\" y=\"9\" width=\"20\" height=\"1\" fill=\"none\" pointer-events=\"all\">\
             <title>a &lt;b&gt; &amp; &quot;c&quot;</title></rect>\n</svg>\n"
        );
        assert_eq!(told(&svg), ["a <b> & \"c\""]);
        assert_eq!(Hover::default().laid_over("<svg></svg>"), "<svg></svg>");
    }
}
