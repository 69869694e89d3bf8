//! The rules against real stories, and against the same stories told wrongly: every rule holds, and every rule can
//! be broken.

use super::super::play::shoot;
use super::super::seen::Seen;
use super::{Scenario, TIME_WAIT, TIME_WAIT_UNWAITED, all};
use crate::os::namespace::Network;
use crate::record::{SegmentRecord, StateChange};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Told wrongly, in every way that changes one thing.
fn lies(story: &Seen) -> Vec<Seen> {
    let mut told = Vec::new();
    let mut lie = |change: &dyn Fn(&mut Seen)| {
        let mut lie = story.clone();
        change(&mut lie);
        told.push(lie);
    };
    for at in 0..story.segments.len() {
        lie(&|seen| drop(seen.segments.remove(at)));
        lie(&|seen| seen.segments[at].arrived_ns = None);
        lie(&|seen| seen.segments[at].arrived_ns = Some(0));
        lie(&|seen| seen.segments[at].sequence += 1);
        lie(&|seen| seen.segments[at].connection += 1);
        lie(&|seen| {
            seen.segments[at].acknowledgement =
                seen.segments[at].acknowledgement.map(|ack| ack + 1);
        });
        lie(&|seen| seen.segments[at].sent_ns += 3_000_000_000);
        lie(&|seen| seen.segments[at].sent_ns = 0);
        lie(&|seen| "PSH+ACK".clone_into(&mut seen.segments[at].flags));
        lie(&|seen| "FIN+ACK".clone_into(&mut seen.segments[at].flags));
    }
    for end in ["client", "server"] {
        lie(&|seen| seen.states.retain(|change| change.end != end));
        lie(&|seen| seen.calls.retain(|call| call.end != end));
        for state in ["TIME-WAIT", "LAST-ACK"] {
            lie(&|seen| {
                seen.states.push(StateChange {
                    at_ns: u64::MAX,
                    end: end.to_owned(),
                    state: state.to_owned(),
                    connection: 0,
                });
            });
        }
    }
    for at in 0..story.states.len() {
        lie(&|seen| drop(seen.states.remove(at)));
        lie(&|seen| seen.states[at].at_ns = 0);
        lie(&|seen| seen.states[at].at_ns += 100_000_000_000);
    }
    lie(&|seen| seen.facts.clear());
    lie(&|seen| seen.time_wait.clear());
    told
}

/// What no lie about `scenario` breaks.
fn unbreakable(scenario: &Scenario, story: &Seen) -> BTreeSet<String> {
    let rules = |story: &Seen| (scenario.rules)(story);
    let mut left: BTreeSet<String> = rules(story).into_iter().map(|check| check.rule).collect();
    for lie in lies(story) {
        for broken in rules(&lie).into_iter().filter(|check| !check.held) {
            left.remove(&broken.rule);
        }
    }
    left
}

#[test]
fn every_scenario_holds_and_every_rule_can_be_broken() {
    if let Err(error) = Network::new() {
        eprintln!("SKIPPED: {error}");
        return;
    }
    let mut scenarios = all();
    scenarios.push(&TIME_WAIT_UNWAITED);
    // As many at once as a run plays; a machine too busy to watch a few is let pass, one that sees nothing is not.
    let disturbed = AtomicUsize::new(0);
    for some in scenarios.chunks(4) {
        std::thread::scope(|scope| {
            for scenario in some {
                scope.spawn(|| {
                    if !holds_and_can_be_broken(scenario) {
                        disturbed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    }
    let disturbed = disturbed.into_inner();
    assert!(
        4 * disturbed <= scenarios.len(),
        "{disturbed} were disturbed"
    );
}

/// Plays it and asserts both; `false`, with a visible skip, when the machine was too busy to watch.
fn holds_and_can_be_broken(scenario: &Scenario) -> bool {
    let (footage, _) = shoot(scenario, &AtomicI32::new(0)).unwrap();
    let story = Seen::of(&footage);
    if let Some(disturbance) = &footage.disturbance {
        eprintln!("SKIPPED {}: {disturbance}", scenario.name);
        return false;
    }
    for check in (scenario.rules)(&story) {
        let (rule, seen) = (&check.rule, &check.seen);
        assert!(check.held, "{}: {rule}: {seen}: {story:#?}", scenario.name);
    }
    let left = unbreakable(scenario, &story);
    assert!(left.is_empty(), "{}: {left:?}", scenario.name);
    for text in [scenario.title, scenario.source, scenario.explanation] {
        assert!(!text.contains("  "), "{}: {text}", scenario.name);
    }
    true
}

#[test]
fn the_minute_is_held_against_the_clock() {
    let state = |at_ns, end: &str, state: &str| StateChange {
        at_ns,
        end: end.to_owned(),
        state: state.to_owned(),
        connection: 0,
    };
    let lasting = |nanos: u64| Seen {
        states: vec![
            state(0, "client", "ESTABLISHED"),
            state(40_000_000, "client", "TIME-WAIT"),
            state(40_000_000 + nanos, "client", "CLOSED"),
        ],
        time_wait: vec![(40_000_000, "client".to_owned(), 60_000)],
        segments: vec![SegmentRecord {
            sent_ns: 20_000_000,
            ..SegmentRecord::default()
        }],
        ..Seen::default()
    };
    let held = |seen: &Seen| (TIME_WAIT.rules)(seen).iter().all(|check| check.held);
    assert!(held(&lasting(60_100_000_000)));
    for other in [240_000_000_000, 30_000_000_000, 57_000_000_000] {
        assert!(!held(&lasting(other)), "{other}");
    }
    let mut talking = lasting(60_100_000_000);
    talking.segments.push(SegmentRecord {
        sent_ns: 30_000_000_000,
        ..SegmentRecord::default()
    });
    assert!(!held(&talking));
    let mut silent = lasting(60_100_000_000);
    silent.segments.clear();
    assert!(
        !held(&silent),
        "it cannot have come to that without a segment"
    );
    let mut endless = lasting(60_000_000_000);
    endless.states.pop();
    assert!(!held(&endless));
}

#[test]
fn names_are_words_for_files_and_stand_once() {
    let mut names: Vec<&str> = all().iter().map(|scenario| scenario.name).collect();
    names.push(TIME_WAIT.name);
    assert_eq!(TIME_WAIT.name, TIME_WAIT_UNWAITED.name);
    let different: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(different.len(), names.len());
    for name in names {
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{name}"
        );
    }
}
