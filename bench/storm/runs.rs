//! Storms and churns that go well: who comes back, what is counted, what is kept.

use super::place::Place;
use ringbeat::record::StormRun;

const POPULATION: u64 = 2_000;

/// Dropped = back = held, and attempts, returns and histograms tell the same.
fn whole(run: &StormRun) {
    let counts = [run.connections, run.dropped, run.recovered, run.held_at_end];
    assert_eq!(counts, [POPULATION; 4], "{}", run.backoff);
    let failed: u64 = run.failures.values().sum();
    let again: u64 = run.lost_again.values().sum();
    assert_eq!(run.attempts, POPULATION + failed + again, "{}", run.backoff);
    let attempts: u64 = run.timeline.iter().map(|slice| slice.attempts).sum();
    let returned: u64 = run.timeline.iter().map(|slice| slice.returned).sum();
    assert_eq!((attempts, returned), (run.attempts, POPULATION + again));
    assert!(run.attempts_per_100ms_max > 0 && run.attempts_per_100ms_max <= run.attempts);
    let (half, most, all) = (run.half_back_ns, run.p99_back_ns, run.all_back_ns);
    assert!(half.is_some() && half <= most && most <= all, "{run:?}");
    assert!(all <= Some(run.measured_ns), "{run:?}");
    for name in ["recovery", "connect"] {
        assert_eq!(run.histograms[name].count, POPULATION + again, "{name}");
    }
    assert!(run.cpu_busy_ns > 0 && run.cpu_busy_ns == run.cpu_ns.busy);
}

#[test]
fn a_storm_comes_back_whole_with_every_backoff() {
    let Some(place) = Place::take() else { return };
    let ended = place.storms("--connections 2k --backoff 60ms..1s");
    assert_eq!(ended.code(), 0, "{ended:#?}");
    for words in ["60 ms doubling to 1000 ms", "accept queue", "a FIN"] {
        assert!(ended.stderr.contains(words), "{words}: {ended:#?}");
    }
    let (record, storm) = place.record();
    assert!(record.valid && !record.partial, "{:?}", record.warnings);
    assert_eq!(
        (storm.mode.as_str(), storm.ending.as_str()),
        ("storm", "fin")
    );
    let ways: Vec<&str> = storm.runs.iter().map(|run| run.backoff.as_str()).collect();
    assert_eq!(ways, ["full-jitter", "no-jitter", "immediate"]);
    for run in &storm.runs {
        whole(run);
        assert_eq!(run.arm, "heartbeat");
    }
    // Without jitter nobody is back before the base has passed; a histogram's values have three digits.
    let earliest = storm.runs[1].histograms["recovery"].min;
    assert!(earliest >= 59_900_000, "{earliest}");
    assert_eq!((storm.runs[2].base_ms, storm.runs[2].cap_ms), (0, 0));
    let samples = std::fs::read_to_string(place.out().join("samples.csv")).unwrap();
    for way in ways {
        assert!(samples.contains(way), "{samples}");
    }
}

#[test]
fn a_short_accept_queue_delays_and_loses_nobody() {
    let Some(place) = Place::take() else { return };
    // Clients that speak first: one that met a full queue after a SYN cookie is unknown until it sends something.
    let ended = place.storms("--connections 2k --accept-queue 16 --ways immediate");
    assert_eq!(ended.code(), 0, "{ended:#?}");
    // What arises is said when it arises, once.
    let full: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: ") && line.contains("an accept queue was full"))
        .collect();
    assert_eq!(full.len(), 1, "{ended:#?}");
    let (record, storm) = place.record();
    assert!(record.valid, "{:?}", record.warnings);
    assert_eq!(storm.accept_queue, 16);
    whole(&storm.runs[0]);
}

#[test]
fn resets_bring_every_arm_back_too() {
    let Some(place) = Place::take() else { return };
    let flags = "--connections 2k --abrupt --arms none,heartbeat-push --ways immediate --quiet";
    let ended = place.storms(flags);
    assert_eq!(ended.code(), 0, "{ended:#?}");
    let (record, storm) = place.record();
    assert!(record.valid, "{:?}", record.warnings);
    assert_eq!(storm.ending, "rst");
    let arms: Vec<&str> = storm.runs.iter().map(|run| run.arm.as_str()).collect();
    assert_eq!(arms, ["none", "heartbeat-push"]);
    for run in &storm.runs {
        whole(run);
    }
}

#[test]
fn a_churn_keeps_the_population() {
    let Some(place) = Place::take() else { return };
    let ended = place.storms("--connections 2k --churn 500/s --steady 2s");
    assert_eq!(ended.code(), 0, "{ended:#?}");
    let (record, storm) = place.record();
    assert!(record.valid, "{:?}", record.warnings);
    assert_eq!(
        (storm.mode.as_str(), storm.churn_per_second),
        ("churn", Some(500))
    );
    let [run] = storm.runs.as_slice() else {
        panic!("one run: {storm:?}");
    };
    assert!(run.dropped >= 900, "{run:?}");
    assert_eq!(
        [run.recovered, run.attempts, run.held_at_end],
        [run.dropped, run.dropped, POPULATION]
    );
    assert_eq!(run.histograms["connect"].count, run.dropped);
    assert!(!run.histograms.contains_key("recovery") && run.all_back_ns.is_none());
    assert!(run.lost_again.is_empty(), "{run:?}");
}
