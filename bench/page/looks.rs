//! The page on a phone, in the dark, on paper, to a screen reader.
//!
//! Does not compare pictures.

use super::browser::Browser;
use serde_json::json;

const PAGES: [&str; 4] = [
    "2026-11-22-2core-24gib",
    "2026-11-23-scale/ladder",
    "2026-11-25-detect",
    "2026-11-25-storm/usual",
];

/// The least contrast of text with what lies behind it (WCAG 2.2, 1.4.3), over all elements that hold text of their own.
const CONTRAST: &str = "
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => { const l = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        return 0.2126 * l(r) + 0.7152 * l(g) + 0.0722 * l(b); };
    const behind = element => { for (let at = element; at; at = at.parentElement) {
        const colour = numbers(getComputedStyle(at).backgroundColor);
        if (colour.length === 3 || colour[3] > 0.99) return colour; } return [255, 255, 255]; };
    let least = [99, ''];
    for (const element of document.querySelectorAll('body :not(svg, svg *, script, style)')) {
        if (!element.checkVisibility({visibilityProperty: true})) continue;
        if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
        const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < least[0]) least = [ratio, element.outerHTML.slice(0, 120)];
    }
    return least;";

#[test]
fn text_is_legible_in_light_and_dark() {
    let Some(browser) = Browser::open() else {
        return;
    };
    for page in PAGES {
        browser.shows(page);
        legible(&browser, page);
    }
}

/// Text of the page that is open stands out in both schemes.
pub(super) fn legible(browser: &Browser, page: &str) {
    let mut papers = Vec::new();
    for scheme in ["light", "dark"] {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.devtools("Emulation.setEmulatedMedia", &media);
        let least = browser.asks(CONTRAST);
        assert!(
            least[0].as_f64().unwrap() >= 4.5,
            "{page}, {scheme}: {least}"
        );
        papers.push(browser.text("return getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(papers[0], papers[1]);
}

#[test]
fn nothing_makes_a_phone_scroll_sideways() {
    let Some(browser) = Browser::open() else {
        return;
    };
    for page in PAGES {
        browser.shows(page);
        browser.sized(360, 740);
        let wide = widest(&browser);
        assert!(wide <= 360, "{page}: {wide}");
    }
}

/// How wide the page that is open is with everything unfolded, once its charts have taken to the window's width: they
/// learn of it with the next frame.
pub(super) fn widest(browser: &Browser) -> u64 {
    browser.asks("document.querySelectorAll('details').forEach(details => details.open = true)");
    browser.number(
        "const wide = () => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth);
         return new Promise(said => requestAnimationFrame(() => requestAnimationFrame(() => said(wide()))));",
    )
}

#[test]
fn what_is_folded_is_open_on_paper_and_the_still_pictures_are_there() {
    let Some(browser) = Browser::open() else {
        return;
    };
    for page in PAGES {
        browser.shows(page);
        printed_whole(&browser, page);
    }
}

/// The page that is open is printed with all that is folded, and with pictures that stay still.
fn printed_whole(browser: &Browser, page: &str) {
    browser.devtools("Emulation.setEmulatedMedia", &json!({"media": ""}));
    let seen = "return [...document.querySelectorAll('details > :not(summary)')].filter(part => \
                part.getBoundingClientRect().height > 8 && part.checkVisibility({contentVisibilityAuto: true})).length";
    let stills = "return [...document.querySelectorAll('figure svg')].filter(svg => svg.checkVisibility()).length";
    assert_eq!(browser.number(seen), 0, "{page}: folded on the screen");
    browser.devtools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
    let all = browser.number("return document.querySelectorAll('details > :not(summary)').length");
    assert!(all > 1, "{page}");
    assert_eq!(browser.number(seen), all, "{page}");
    assert_eq!(
        browser.number(stills),
        browser.number("return document.querySelectorAll('figure').length"),
        "{page}"
    );
    assert_eq!(browser.number("return [...document.querySelectorAll('.live')].filter(live => live.checkVisibility()).length"), 0);
}

/// What would leave a reader who cannot see, or who has no mouse, without something.
pub(super) const GAPS: &str = "
    const gaps = [];
    const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
    if (new Set(ids).size !== ids.length) gaps.push('an id is there twice');
    for (const link of document.querySelectorAll('a[href^=\"#\"]'))
        if (!document.getElementById(link.getAttribute('href').slice(1))) gaps.push('a link leads nowhere: ' + link.outerHTML);
    for (const attribute of ['aria-describedby', 'aria-labelledby'])
        for (const element of document.querySelectorAll(`[${attribute}]`))
            if (!document.getElementById(element.getAttribute(attribute))) gaps.push(`${attribute} leads nowhere`);
    for (const picture of document.querySelectorAll('svg, img, [role=img], [role=application]'))
        if (!(picture.getAttribute('aria-label') || picture.getAttribute('alt'))) gaps.push('a picture has no name');
    for (const button of document.querySelectorAll('button, a'))
        if (!(button.textContent.trim() || button.getAttribute('aria-label'))) gaps.push('a button has no name');
    for (const head of document.querySelectorAll('table th'))
        if (!head.getAttribute('scope')) gaps.push('a heading of a table has no scope: ' + head.outerHTML);
    let level = 0;
    for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
        const now = Number(heading.tagName[1]);
        if (now > level + 1) gaps.push('a level of headings is left out at ' + heading.textContent);
        level = now;
    }
    if (document.querySelectorAll('h1').length !== 1) gaps.push('not one first heading');
    if (document.querySelectorAll('main').length !== 1) gaps.push('not one main part');
    if (!document.documentElement.lang || !document.title) gaps.push('no language or title');
    for (const box of document.querySelectorAll('.scroll'))
        if (box.checkVisibility() && box.scrollWidth > box.clientWidth + 1 && box.tabIndex < 0)
            gaps.push('a box that scrolls cannot be reached by keys');
    return gaps;";

#[test]
fn everything_has_a_name_and_can_be_reached_by_keys() {
    let Some(browser) = Browser::open() else {
        return;
    };
    for page in PAGES {
        browser.shows(page);
        browser.sized(360, 740);
        assert_eq!(browser.asks(GAPS), json!([]), "{page}");
        let first = "document.activeElement.blur(); return document.querySelector('a, button, [tabindex]').className";
        assert_eq!(browser.text(first), "skip", "{page}");
    }
}
