//! Sequence diagrams: nothing lies on anything else, every segment is drawn once, arrows go down and the right way.

use super::place::{Box4, crosses};
use super::*;
use crate::report::lifecycle::fixture;
use crate::report::plot::hover::told;
use proptest::prelude::*;

/// Whether two boxes share a point.
fn overlap(one: Box4, other: Box4) -> bool {
    one.0 < other.2 && other.0 < one.2 && one.1 < other.3 && other.1 < one.3
}

/// Texts that lie on one another, on an arrow or outside of the picture.
fn clashes(placed: &Placed<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let right = i32::try_from(WIDTH).unwrap();
    for (place, words) in placed.words.iter().enumerate() {
        let bounds = words.bounds();
        if bounds.0 < 0 || bounds.2 > right || bounds.1 < 0 || bounds.3 > placed.height {
            found.push(format!("{words:?} is outside"));
        }
        for other in &placed.words[place + 1..] {
            if overlap(bounds, other.bounds()) {
                found.push(format!("{words:?} on {other:?}"));
            }
        }
        for arrow in &placed.arrows {
            if crosses(arrow, bounds) {
                found.push(format!("{arrow:?} through {words:?}"));
            }
        }
    }
    found
}

fn assert_arrows(scenario: &ScenarioRecord, placed: &Placed<'_>) {
    for (place, segment) in scenario.segments.iter().enumerate() {
        let own = || placed.arrows.iter().filter(|arrow| arrow.segment == place);
        let departures = own().filter(|arrow| !arrow.resumed).count();
        assert_eq!(departures, 1, "segment {place}");
        let heads = own().filter(|arrow| arrow.tip == Tip::Arrived).count();
        assert_eq!(
            heads,
            usize::from(segment.arrived_ns.is_some()),
            "segment {place}"
        );
        for arrow in own() {
            let rightwards = segment.from == "client";
            assert_eq!(arrow.to.0 > arrow.from.0, rightwards, "{arrow:?}");
            assert!(arrow.to.1 > arrow.from.1, "time goes down: {arrow:?}");
            let ends = [arrow.from.0, arrow.to.0];
            assert!(ends.iter().all(|x| (LEFT..=RIGHT).contains(x)), "{arrow:?}");
        }
    }
}

#[test]
fn the_fixtures_diagrams_lie_clear_of_themselves() {
    for scenario in fixture::scenarios() {
        let sequence = Sequence::new(&scenario, fixture::ONE_WAY_NS);
        let placed = place(&sequence);
        let found = clashes(&placed);
        assert!(found.is_empty(), "{}: {found:#?}", scenario.name);
        assert_arrows(&scenario, &placed);
        for bar in &placed.bars {
            assert!(bar.bottom > bar.top, "{}: {bar:?}", scenario.name);
        }
    }
}

#[test]
fn every_arrow_and_every_stretch_of_a_state_says_what_it_is() {
    let ms = |ns: u64| format!("at {} ms", instant(ns));
    for scenario in fixture::scenarios() {
        let sequence = Sequence::new(&scenario, fixture::ONE_WAY_NS);
        let placed = place(&sequence);
        let plot = diagram(&scenario, &sequence, "one").unwrap();
        let told = told(&plot.svg);
        let (bars, arrows) = told.split_at(placed.bars.len());
        assert_eq!(arrows.len(), placed.arrows.len(), "{}", scenario.name);
        for (bar, told) in placed.bars.iter().zip(bars) {
            let begins = format!("{}: {} from ", bar.end, bar.state);
            assert!(told.starts_with(&begins), "{told}, not {begins}");
            assert_eq!(bar.end == "client", bar.left < LEFT, "{told}");
        }
        // Each state that was seen is among them, from when it was seen.
        for change in scenario
            .states
            .iter()
            .filter(|change| change.state != "CLOSED")
        {
            let said = format!(
                "{}: {} from {} ms on",
                change.end,
                change.state,
                instant(change.at_ns)
            );
            assert!(
                bars.contains(&said),
                "{}: {said} in {bars:#?}",
                scenario.name
            );
        }
        for (arrow, told) in placed.arrows.iter().zip(arrows) {
            let segment = &scenario.segments[arrow.segment];
            let begins = format!(
                "{} sends {}, sequence {}",
                segment.from, segment.flags, segment.sequence
            );
            assert!(told.starts_with(&begins), "{told}, not {begins}");
            assert!(
                told.contains(&format!("sent {}", ms(segment.sent_ns))),
                "{told}"
            );
            let arrived = segment
                .arrived_ns
                .map_or_else(|| "lost".to_owned(), |at| format!("arrived {}", ms(at)));
            assert!(told.contains(&arrived), "{told}");
        }
    }
}

#[test]
fn what_is_lost_ends_in_a_cross_and_what_is_late_in_two_halves() {
    let all = fixture::scenarios();
    let named = |name: &str| all.iter().find(|scenario| scenario.name == name).unwrap();
    let lost = named("syn-lost");
    let sequence = Sequence::new(lost, fixture::ONE_WAY_NS);
    let placed = place(&sequence);
    assert_eq!(placed.arrows[0].tip, Tip::Lost);
    assert!((LEFT + 50..RIGHT - 50).contains(&placed.arrows[0].to.0));
    let said = |text: &str| placed.words.iter().any(|words| words.text == text);
    assert!(
        said("lost") && said("SYN seq=0 again") && said("1.01 s of silence"),
        "{:?}",
        placed.words
    );
    assert_eq!(placed.breaks.len(), 1);
    let late = named("time-wait");
    let sequence = Sequence::new(late, fixture::ONE_WAY_NS);
    let placed = place(&sequence);
    let halves: Vec<_> = placed
        .arrows
        .iter()
        .filter(|arrow| arrow.segment == 0)
        .collect();
    assert_eq!(halves.len(), 2);
    assert_eq!((halves[0].tip, halves[1].tip), (Tip::Late, Tip::Arrived));
    assert!(halves[1].resumed && halves[1].to.1 > halves[0].to.1);
    // The silence cuts the bars: TIME-WAIT has one above and one below.
    let waits = placed.bars.iter().filter(|bar| bar.state == "TIME-WAIT");
    assert_eq!(waits.count(), 2);
}

#[test]
fn a_picture_says_in_words_what_it_shows() {
    let lifecycle = fixture::record().lifecycle.unwrap();
    let plots = sequences(&lifecycle).unwrap();
    assert_eq!(plots.len(), lifecycle.scenarios.len());
    assert_eq!(plots[0].name, "lifecycle-set-up");
    assert_eq!(
        plots[0].alternative,
        "Three segments set a connection up, time downwards: client sends SYN; server sends SYN+ACK; client sends ACK. The \
         client's states: SYN-SENT, ESTABLISHED. The server's: LISTEN, SYN-RECEIVED, ESTABLISHED."
    );
    assert!(
        plots[3]
            .alternative
            .contains("client sends SYN, lost; client sends SYN again;")
    );
    assert!(plots[1].svg.contains("PSH+ACK seq=1 ack=2 1400 B"));
}

/// Segments of both ends in any order, some lost, some slow, with states and calls between.
fn any_scenario() -> impl Strategy<Value = ScenarioRecord> {
    let segment = (
        0_u64..400,
        prop::option::weighted(0.85, 1_u64..60),
        any::<bool>(),
        0_usize..4,
    );
    let change = (0_u64..400, any::<bool>(), 0_usize..4);
    let segments = prop::collection::vec(segment, 0..12);
    (segments, prop::collection::vec(change, 0..8)).prop_map(|(segments, changes)| {
        let end = |server: bool| if server { "server" } else { "client" }.to_owned();
        let flags = ["SYN", "SYN+ACK", "PSH+ACK", "RST"];
        let states = ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "TIME-WAIT"];
        let mut scenario = ScenarioRecord::default();
        for (sent, took, server, flag) in segments {
            scenario.segments.push(SegmentRecord {
                sent_ns: sent * 1_000_000,
                arrived_ns: took.map(|took| (sent + took) * 1_000_000),
                from: end(server),
                flags: flags[flag].to_owned(),
                sequence: 1,
                acknowledgement: Some(1),
                bytes: 10,
                ..Default::default()
            });
        }
        for (at, server, state) in changes {
            scenario.states.push(crate::record::StateChange {
                at_ns: at * 1_000_000,
                end: end(server),
                state: states[state].to_owned(),
                connection: 0,
            });
            scenario.calls.push(crate::record::CallRecord {
                at_ns: at * 1_000_000,
                end: end(server),
                call: "connect() = ECONNREFUSED".to_owned(),
            });
        }
        scenario
    })
}

proptest! {
    // Each case lays a picture out many times.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is sent: no text on another, every segment drawn once, the right way, downwards.
    #[test]
    fn any_diagram_draws_every_segment_once_and_no_text_on_another(scenario in any_scenario()) {
        let sequence = Sequence::new(&scenario, 10_000_000);
        let placed = place(&sequence);
        assert_arrows(&scenario, &placed);
        for (number, words) in placed.words.iter().enumerate() {
            for other in &placed.words[number + 1..] {
                prop_assert!(!overlap(words.bounds(), other.bounds()), "{:?} on {:?}", words, other);
            }
        }
        let heights: Vec<i32> = placed.arrows.iter().map(|arrow| arrow.to.1).collect();
        prop_assert!(heights.iter().all(|y| *y < placed.height));
    }
}
