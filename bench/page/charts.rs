//! Charts answer: they are there, they say values under pointer and keys, zoom and come back, and hand out their data.
//!
//! What a chart must say comes from the record, by another way than the page's.

use super::browser::Browser;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringbeat::record::{BurstSlices, Record, SliceRow};

const ARROW_RIGHT: &str = "\u{E014}";
const END: &str = "\u{E010}";
const HOME: &str = "\u{E011}";
const ESCAPE: &str = "\u{E00C}";
const COMPARE: &str = "2026-11-22-2core-24gib";

/// Where a chart's drawing lies in the window: left, top, width, height.
fn drawing(browser: &Browser, chart: &str) -> [f64; 4] {
    let script = format!(
        "const over = document.querySelector('#{chart} .u-over');
         over.scrollIntoView({{block: 'center', behavior: 'instant'}});
         const box = over.getBoundingClientRect();
         return [box.left, box.top, box.width, box.height];"
    );
    let sides = browser.asks(&script);
    [0, 1, 2, 3].map(|side| sides[side].as_f64().unwrap())
}

/// A page's charts, the pictures that stay still, and how long the page is.
#[test]
fn every_kind_of_result_draws_its_charts_and_asks_for_nothing() {
    let Some(browser) = Browser::open() else {
        return;
    };
    // The record, charts that answer, pictures.
    let kept = [
        (COMPARE, 5, 7),
        ("2026-11-23-scale/ladder", 9, 9),
        ("2026-11-25-detect", 1, 3),
        ("2026-11-25-storm/usual", 4, 4),
    ];
    for (name, live, pictures) in kept {
        let record = browser.shows(name);
        let counted = browser.number("return document.querySelectorAll('figure').length");
        let drawn = "return [...document.querySelectorAll('figure.drawn')].filter(figure => \
                     [...figure.querySelectorAll('canvas')].every(canvas => canvas.width > 300 && \
                     new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size > 8) \
                     && figure.querySelector('canvas')).length";
        assert_eq!((browser.number(drawn), counted), (live, pictures), "{name}");
        assert_eq!(browser.log("browser"), Vec::<String>::new(), "{name}");
        assert_eq!(
            browser.number("return performance.getEntriesByType('resource').length"),
            0
        );
        let asked = browser.requests();
        assert!(
            asked.len() == 1 && asked[0].contains("\"url\":\"file:///"),
            "{name}: {asked:?}"
        );
        let length = ringbeat::report::html(&record).unwrap().len();
        assert!(length < 2_000_000, "{name}: {length} bytes");
    }
}

#[test]
fn pointer_and_keys_say_the_values_of_the_record() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let record = browser.shows(COMPARE);
    let [left, top, width, height] = drawing(&browser, "chart-rtt");
    browser.points((left + width * 0.4, top + height / 2.0), None);
    let tip = "const tip = document.querySelector('#chart-rtt .tip'); return tip.hidden ? '' : tip.innerText";
    let said = browser.text(tip);
    assert!(
        said.contains("heartbeat ") && said.contains("heartbeat-push ") && said.contains(" ms"),
        "{said}"
    );
    browser.asks("document.querySelector('#chart-rtt .live').focus()");
    browser.presses(END);
    // The last point of the longest run is its largest value.
    let live = "return document.querySelector('#chart-rtt .said').textContent";
    let said = browser.text(live);
    let arm = |name: &str| record.arms.iter().find(|arm| arm.name == name).unwrap();
    let slowest = ["heartbeat", "heartbeat-push"].map(|name| arm(name).histograms["rtt"].max);
    let shown = slowest.map(|ns| format!("{:.1} ms", f64::from(u32::try_from(ns).unwrap()) / 1e6));
    assert!(
        shown.iter().any(|value| said.contains(value)),
        "{said}, wanted one of {shown:?}"
    );
    browser.presses(ARROW_RIGHT);
    assert!(
        browser.text(live).starts_with("At 99.99"),
        "{}",
        browser.text(live)
    );
    // A line taken away is not spoken of.
    browser.asks("document.querySelector('#chart-rtt .legend button').click()");
    browser.presses(END);
    let said = browser.text(live);
    assert!(
        !said.contains("heartbeat ") && said.contains("heartbeat-push "),
        "{said}"
    );
    let pressed =
        "return document.querySelector('#chart-rtt .legend button').getAttribute('aria-pressed')";
    assert_eq!(browser.text(pressed), "false");
}

#[test]
fn dragging_zooms_and_button_and_escape_show_all_again() {
    let Some(browser) = Browser::open() else {
        return;
    };
    browser.shows(COMPARE);
    let [left, top, width, height] = drawing(&browser, "chart-timeline");
    let reset = "return document.querySelector('#chart-timeline .reset').disabled";
    let live = "return document.querySelector('#chart-timeline .said').textContent";
    assert_eq!(browser.asks(reset), true);
    for back in ["button", "escape"] {
        browser.points(
            (left + width * 0.25, top + height / 2.0),
            Some(left + width * 0.5),
        );
        assert_eq!(browser.asks(reset), false, "{back}");
        let said = browser.text(live);
        assert!(
            said.starts_with("Zoomed from ") && said.ends_with(" s."),
            "{said}"
        );
        if back == "button" {
            browser.asks("document.querySelector('#chart-timeline .reset').click()");
        } else {
            browser.asks("document.querySelector('#chart-timeline .live').focus()");
            browser.presses(ESCAPE);
        }
        assert_eq!(browser.asks(reset), true, "{back}");
        assert_eq!(browser.text(live), "The whole chart is shown.");
    }
    assert_eq!(browser.log("browser"), Vec::<String>::new());
}

#[test]
fn downloads_hold_the_records_figures() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let record = browser.shows(COMPARE);
    let download = |chart: &str| {
        let script =
            format!("return document.querySelector('#{chart} a[download$=\".csv\"]').href");
        let address = browser.text(&script);
        let content = address
            .strip_prefix("data:text/csv;charset=utf-8;base64,")
            .unwrap();
        String::from_utf8(STANDARD.decode(content).unwrap()).unwrap()
    };
    let cost = download("chart-cpu-per-event");
    for arm in &record.arms {
        if let Some(figure) = arm.cpu_ns_per_event {
            let row = format!(
                "{},{},{},{},{}",
                arm.name, figure.median, figure.low, figure.high, figure.resolved
            );
            assert!(cost.lines().any(|line| line == row), "{row}");
        }
    }
    let time = download("chart-timeline");
    let head = "series,since_start_s,connections,cpu_busy_cores,heartbeats_per_second,probes_per_second,\
                backlog_drops_per_second";
    assert_eq!(time.lines().next(), Some(head));
    assert_eq!(time.lines().count(), record.samples.len() + 1);
    let round_trip = download("chart-rtt");
    assert_eq!(round_trip.lines().next(), Some("series,percentile,rtt_ns"));
    for arm in record
        .arms
        .iter()
        .filter(|arm| arm.histograms.contains_key("rtt"))
    {
        let last = round_trip
            .lines()
            .rfind(|line| line.starts_with(&format!("{},", arm.name)));
        let value: u64 = last.unwrap().rsplit(',').next().unwrap().parse().unwrap();
        let histogram = arm.histograms["rtt"].histogram().unwrap();
        assert!(
            histogram.equivalent(value, arm.histograms["rtt"].max),
            "{value}"
        );
    }
}

/// A record of a comparison whose arms have slices, until one is kept that has them.
fn with_slices(browser: &Browser) -> (Record, Vec<SliceRow>) {
    let mut record = browser.shows(COMPARE);
    let row = |place: u64, length_us, probes, segments| SliceRow {
        begin_us: place * 10_000,
        length_us,
        probes,
        segments,
    };
    let bursts: Vec<SliceRow> = (0..10)
        .map(|burst| row(burst * 100 + 40, 12_000, 900 + burst, 0))
        .collect();
    let beats = (0..1_000).map(|place| row(place, 10_000, 0, 30 + place % 7));
    for (name, rows) in [
        ("keepalive", bursts.clone()),
        ("heartbeat", beats.collect()),
    ] {
        let mut arms = record.arms.iter_mut();
        let arm = arms.find(|arm| arm.name == name).unwrap();
        arm.slices = Some(BurstSlices {
            to_us: 10_000_000,
            rows,
            ..BurstSlices::default()
        });
    }
    browser.shows_page(&ringbeat::report::html(&record).unwrap());
    (record, bursts)
}

#[test]
fn bursts_stand_beside_heartbeats_to_one_scale_and_say_their_slices() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (record, bursts) = with_slices(&browser);
    assert_eq!(
        browser.number("return document.querySelectorAll('#chart-bursts canvas').length"),
        2
    );
    let alternative =
        browser.text("return document.querySelector('#chart-bursts figcaption').textContent");
    assert!(
        alternative.contains("keepalive 909 probes at most"),
        "{alternative}"
    );
    // Step by step to the first burst: nothing, then 900 probes from 0.400 s on.
    browser.asks("document.querySelector('#chart-bursts .live').focus()");
    browser.presses(HOME);
    let said = "return document.querySelector('#chart-bursts .said').textContent";
    assert!(
        browser.text(said).starts_with("At 0.000 s: keepalive "),
        "{}",
        browser.text(said)
    );
    let steps: Vec<String> = (0..41)
        .map(|_| {
            browser.presses(ARROW_RIGHT);
            browser.text(said)
        })
        .collect();
    assert!(
        steps[39].starts_with("At 0.400 s: keepalive ") && steps[39].contains(": 900, heartbeat "),
        "{}",
        steps[39]
    );
    assert!(steps[38].contains(": 0, "), "{}", steps[38]);
    // Both panels reach as high: a beat is drawn a thirtieth of a burst high, not as high as one.
    let tops = browser.asks(
        "return [...document.querySelectorAll('#chart-bursts canvas')].map(canvas => {
            const {width, height} = canvas;
            const data = canvas.getContext('2d').getImageData(width / 4, 0, width / 2, height).data;
            for (let y = 0; y < height; y += 1) for (let x = 0; x < Math.floor(width / 2); x += 1) {
                const at = (y * Math.floor(width / 2) + x) * 4;
                if (Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]) > 60
                    && data[at + 3] > 200) return y / height;
            }
            return 1; });",
    );
    let tops = [0, 1].map(|panel: usize| tops[panel].as_f64().unwrap());
    assert!(tops[0] < 0.3 && tops[1] > 0.5, "{tops:?}");
    let csv = browser.text(
        "return atob(document.querySelector('#chart-bursts a[download]').href.split('base64,')[1])",
    );
    let slices = record.arms.iter().filter_map(|arm| arm.slices.as_ref());
    let rows: usize = slices.map(|slices| slices.rows.len()).sum();
    assert_eq!(csv.lines().count(), rows + 1);
    for burst in bursts {
        let row = format!(
            "keepalive,1,probes,{},{},{}",
            burst.begin_us, burst.length_us, burst.probes
        );
        assert!(csv.lines().any(|line| line == row), "{row}");
    }
    assert_eq!(browser.log("browser"), Vec::<String>::new());
}
