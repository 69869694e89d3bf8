//! A life cycle's page: every diagram is there and tells what it shows, on a screen, on a phone, on paper. And what the
//! pictures of all pages say to a pointer: arrows, states, bars, cells.
//!
//! Kept records, rendered anew; what the pictures must say comes from them.

use super::browser::Browser;
use super::looks::{GAPS, legible, widest};
use serde_json::json;

const KEPT: &str = "2026-11-26-lifecycle";
const SCENARIOS: usize = 20;

/// What a pointer is told in the middle of each spot of the diagram `chart` that `spots` selects.
fn told(browser: &Browser, chart: &str, spots: &str) -> Vec<String> {
    let script = format!(
        "const picture = document.querySelector('{chart} svg');
         return [...picture.querySelectorAll('{spots}')].filter(spot => spot.querySelector('title')).map(spot => {{
            spot.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = spot.getBoundingClientRect();
            const hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
            const title = hit && hit.querySelector('title');
            return title ? title.textContent : ''; }});"
    );
    let told = browser.asks(&script);
    let told = told.as_array().unwrap().iter();
    told.map(|said| said.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_life_cycles_page_shows_every_diagram_everywhere() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let record = browser.shows(KEPT);
    let scenarios = &record.lifecycle.as_ref().unwrap().scenarios;
    assert_eq!(scenarios.len(), SCENARIOS);
    assert_eq!(browser.log("browser"), Vec::<String>::new());
    let asked = browser.requests();
    assert!(
        asked.len() == 1 && asked[0].contains("\"url\":\"file:///"),
        "{asked:?}"
    );
    let described = browser.asks(
        "return [...document.querySelectorAll('section.scenario')].map(section => {
            const svg = section.querySelector('figure svg');
            return [section.querySelector('h2').textContent, svg.getAttribute('aria-label'),
                section.querySelector('figcaption').textContent, section.querySelector('h2 ~ p:not(.quiet)').textContent,
                svg.getBoundingClientRect().height, svg.querySelectorAll('line > title').length]; });",
    );
    let described = described.as_array().unwrap();
    assert_eq!(described.len(), SCENARIOS);
    for (scenario, shown) in scenarios.iter().zip(described) {
        let said = |place: usize| shown[place].as_str().unwrap();
        assert_eq!(said(0), scenario.title);
        for text in [said(1), said(2)] {
            assert!(text.starts_with(&scenario.title), "{text}");
            assert!(text.contains("The client's states: "), "{text}");
        }
        assert_eq!(said(3), scenario.explanation);
        assert!(shown[4].as_f64().unwrap() > 100.0, "{}", scenario.name);
        // A segment that is long on its way is two arrows.
        let arrows = shown[5].as_u64().unwrap();
        assert!(arrows >= scenario.segments.len() as u64, "{shown}");
    }
    let first = &scenarios[0];
    let chart = format!("#chart-lifecycle-{}", first.name);
    let arrows = told(&browser, &chart, "line");
    for segment in &first.segments {
        let begins = format!("{} sends {}, ", segment.from, segment.flags);
        assert!(
            arrows.iter().any(|said| said.starts_with(&begins)),
            "{begins}: {arrows:?}"
        );
    }
    let states = told(&browser, &chart, "rect");
    for change in first
        .states
        .iter()
        .filter(|change| change.state != "CLOSED")
    {
        let begins = format!("{}: {} from ", change.end, change.state);
        assert!(
            states.iter().any(|said| said.starts_with(&begins)),
            "{begins}: {states:?}"
        );
    }
    assert_eq!(browser.asks(GAPS), json!([]));
    legible(&browser, KEPT);
    browser.sized(360, 740);
    let wide = widest(&browser);
    assert!(wide <= 360, "{wide}");
    browser.devtools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
    let printed = "return [...document.querySelectorAll('section.scenario figure svg')].filter(svg => \
                   svg.checkVisibility() && svg.getBoundingClientRect().height > 50).length";
    assert_eq!(browser.number(printed), SCENARIOS as u64);
}

#[test]
fn bars_and_cells_answer_a_pointer() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let record = browser.shows("2026-11-22-2core-24gib");
    let bars = told(&browser, "#chart-memory", "rect");
    for arm in &record.arms {
        let begins = format!("{}, kernel sockets: ", arm.name);
        let said = bars.iter().find(|said| said.starts_with(&begins));
        let said = said.unwrap_or_else(|| panic!("{begins}: {bars:?}"));
        assert!(said.ends_with(" per connection"), "{said}");
    }
    let costs = told(&browser, "#chart-cpu-per-event", "rect");
    let costed = record
        .arms
        .iter()
        .filter(|arm| arm.cpu_ns_per_event.is_some());
    assert_eq!(costs.len(), costed.count());
    assert!(
        costs.iter().all(|said| said.contains(": CPU per event ")),
        "{costs:?}"
    );
    let record = browser.shows("2026-11-25-detect");
    let cells = told(&browser, "#chart-detection-matrix-server", "rect");
    let measured = record
        .cells
        .iter()
        .filter(|cell| !cell.stress && cell.seat == "server");
    assert!(cells.len() >= measured.count(), "{cells:?}");
    assert!(cells.iter().all(|said| said.contains(": n")), "{cells:?}");
}
