//! What must hold for every question, and that the published figures are those of `results/`.

use super::timing::Timing;
use super::*;
use crate::arm::Arm;
use crate::record::Record;
use crate::units::Nanos;
use proptest::prelude::*;
use serde::Serialize;
use std::path::Path;

/// The results that a program carries: what `compare` costs, the ladder above it, keepalive where nothing was dropped,
/// and the fault lab.
const PUBLISHED: [&str; 6] = [
    "results/2026-11-25-overlap/run-3",
    "results/2026-11-23-scale/ladder",
    "results/2026-11-23-scale/million",
    "results/2026-11-23-scale/hold",
    "results/2026-11-24-keepalive-kills/loopback-backlog",
    "results/2026-11-25-detect",
];

fn kept(folder: &str) -> Record {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join("record.json");
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_published_figures_are_those_of_the_results() {
    let mut made = Figures::default();
    for folder in PUBLISHED {
        let one = Figures::local(folder, &kept(folder));
        assert_ne!(one, Figures::default(), "{folder} holds nothing to publish");
        made.costs.extend(one.costs);
        if !one.noticed.faults.is_empty() {
            made.noticed = one.noticed;
        }
    }
    let Noticed {
        faults, stresses, ..
    } = &made.noticed;
    let head = json(&Noticed {
        faults: Vec::new(),
        stresses: Vec::new(),
        ..made.noticed.clone()
    });
    let head = head
        .replace(
            "\"faults\":[]",
            &format!("\"faults\":[\n{}\n]", lines(faults)),
        )
        .replace(
            "\"stresses\":[]",
            &format!("\"stresses\":[\n{}\n]", lines(stresses)),
        );
    let costs = lines(&made.costs);
    let text = format!("{{\"costs\":[\n{costs}\n],\n\"noticed\":{head}}}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/advise/published.json");
    if std::env::var_os("RINGBEAT_WRITE_PUBLISHED").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == text,
        "src/advise/published.json is not that of {PUBLISHED:?}: run `RINGBEAT_WRITE_PUBLISHED=1 cargo test --lib \
         published` and commit it"
    );
    assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), made);
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// One a line, so that a change can be read.
fn lines(values: &[impl Serialize]) -> String {
    let lines: Vec<_> = values.iter().map(json).collect();
    lines.join(",\n")
}

const EXAMPLE: Question = Question {
    connections: 500_000,
    detect_within: Duration::from_secs(30),
    misses: None,
    survive_outage: None,
    middlebox_idle: Some(Duration::from_secs(350)),
    link: Link::Mobile,
    noticed_by: KeepaliveSide::Both,
    side: KeepaliveSide::Both,
    app_changes: true,
    hung_matters: true,
};

fn ask(question: &Question) -> Result<Advice, AdviceError> {
    let published = Figures::published();
    advise(
        question,
        &Basis {
            local: None,
            published: &published,
        },
    )
}

fn codes(advice: &Advice) -> Vec<&'static str> {
    advice.warnings.iter().map(|one| one.code).collect()
}

#[test]
fn the_example_is_answered_with_heartbeats_that_survive_what_a_phone_meets() {
    let advice = ask(&EXAMPLE).unwrap();
    assert_eq!(advice.mechanism, "heartbeat");
    let heartbeat = advice.settings.heartbeat.unwrap();
    assert_eq!(
        (heartbeat.interval_ms, heartbeat.idle_timeout_ms),
        (7_500, 30_000)
    );
    assert_eq!(heartbeat.answer_timeout_ms, Some(22_500));
    assert_eq!(advice.settings.survives_outage_ms, 10_500);
    let kernel = advice.settings.keepalive.unwrap();
    assert_eq!(kernel.role, KernelRole::WithoutHeartbeats);
    assert_eq!((kernel.idle_s, kernel.interval_s, kernel.count), (7, 5, 4));
    assert_eq!((kernel.sum_s, kernel.user_timeout_ms), (27, 26_500));
    let cost = advice.cost.as_ref().unwrap();
    assert!(cost.published && cost.extrapolated);
    assert_eq!(cost.measured_connections, 1_000_000);
    // 500,000 every 7.5 s
    assert!((cost.events_per_second - 66_666.67).abs() < 0.1);
    let by_hand = cost.cpu_ns_per_event.median * 66_667 / 1_000_000;
    assert!((cost.cpu_milli_cores.median - by_hand).abs() <= 1);
    assert!(codes(&advice).contains(&"radio-kept-awake"));
    let others: Vec<_> = advice
        .alternatives
        .iter()
        .map(|one| one.mechanism)
        .collect();
    assert_eq!(others.len(), Arm::ALL.len() - 1);
    let keepalive = advice
        .alternatives
        .iter()
        .find(|one| one.mechanism == "keepalive-user-timeout")
        .unwrap();
    assert!(
        keepalive
            .reason
            .contains("application-hung (server, client)")
    );
}

#[test]
fn the_text_keeps_to_its_columns_and_says_the_answer_first() {
    for link in Link::ALL {
        for (app_changes, hung_matters) in [(true, true), (true, false), (false, true)] {
            let question = Question {
                link,
                app_changes,
                hung_matters,
                middlebox_idle: Some(Duration::from_secs(12)),
                survive_outage: Some(Duration::from_mins(1)),
                ..EXAMPLE
            };
            let mut advice = ask(&question).unwrap();
            advice.snippets.insert("c", "int x;\n".to_owned());
            let text = text(&advice);
            assert!(text.starts_with(&advice.mechanism[..9]), "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
            for heading in [
                "Settings",
                "Cost",
                "Not noticed",
                "Why",
                "Alternatives",
                "Beware",
            ] {
                assert!(
                    text.contains(&format!("\n{heading}\n")),
                    "{heading}: {text}"
                );
            }
        }
    }
}

#[test]
fn contradictions_name_both_sides_and_the_winner() {
    let rigid = ask(&Question {
        app_changes: false,
        ..EXAMPLE
    })
    .unwrap();
    assert_eq!(rigid.mechanism, "keepalive-user-timeout");
    assert_eq!(codes(&rigid)[0], "hung-application-unseen");
    assert!(rigid.warnings[0].message.contains("--no-app-changes"));
    assert!(rigid.warnings[0].message.contains("wins"));
    assert!(
        rigid
            .not_noticed
            .iter()
            .any(|one| one.fault == "application-hung" && one.matters)
    );
    let outage = ask(&Question {
        survive_outage: Some(Duration::from_secs(25)),
        ..EXAMPLE
    })
    .unwrap();
    let told = outage
        .warnings
        .iter()
        .find(|one| one.code == "outage-longer-than-patience")
        .unwrap();
    assert!(told.message.contains("--detect-within wins"), "{told:?}");
    // What it says to do instead does it.
    let seconds = told.advice.split("--detect-within ").nth(1).unwrap();
    let seconds: u64 = seconds.split('s').next().unwrap().parse().unwrap();
    let longer = ask(&Question {
        survive_outage: Some(Duration::from_secs(25)),
        detect_within: Duration::from_secs(seconds),
        ..EXAMPLE
    })
    .unwrap();
    assert!(!codes(&longer).contains(&"outage-longer-than-patience"));
}

#[test]
fn what_cannot_be_says_what_to_do() {
    let refused = |question: Question| ask(&question).unwrap_err().to_string();
    let long = refused(Question {
        detect_within: Duration::from_hours(25),
        ..EXAMPLE
    });
    assert!(
        long.contains("longer than a day") && long.contains("9h"),
        "{long}"
    );
    let far = refused(Question {
        side: KeepaliveSide::Server,
        noticed_by: KeepaliveSide::Client,
        ..EXAMPLE
    });
    assert!(far.contains("--side both"), "{far}");
    let short = refused(Question {
        detect_within: Duration::from_millis(700),
        link: Link::Satellite,
        ..EXAMPLE
    });
    assert!(short.contains("round trip"), "{short}");
    let kernel = Question {
        app_changes: false,
        ..EXAMPLE
    };
    let coarse = refused(Question {
        detect_within: Duration::from_secs(2),
        link: Link::Datacenter,
        ..kernel
    });
    assert!(coarse.contains("whole seconds"), "{coarse}");
    let coarse = refused(Question {
        detect_within: Duration::from_secs(2),
        misses: Some(2),
        ..kernel
    });
    assert!(coarse.contains("at least 3s"), "{coarse}");
    let forgetful = refused(Question {
        middlebox_idle: Some(Duration::from_secs(1)),
        ..kernel
    });
    assert!(forgetful.contains("--middlebox-idle"), "{forgetful}");
}

#[test]
fn who_must_notice_decides_about_the_ack() {
    let server = Question {
        noticed_by: KeepaliveSide::Server,
        ..EXAMPLE
    };
    assert_eq!(ask(&server).unwrap().mechanism, "heartbeat-oneway");
    let passing = Question {
        hung_matters: false,
        ..server
    };
    let advice = ask(&passing).unwrap();
    assert_eq!(advice.mechanism, "keepalive-user-timeout");
    let cost = advice.cost.as_ref().unwrap();
    // One end probes, and the user timeout costs no packet: the figures are keepalive's.
    assert_eq!(cost.measured_arm, "keepalive");
    let idle_s = advice.settings.keepalive.unwrap().idle_s;
    assert!((cost.events_per_second - 500_000.0 / f64::from(idle_s)).abs() < 0.1);
    assert!(codes(&advice).contains(&"keepalive-bursts"));
}

#[test]
fn local_figures_come_first_and_the_nearest_rung_of_them() {
    let local = Figures::local("here", &kept("results/2026-11-22-2core-24gib"));
    let published = Figures::published();
    let basis = Basis {
        local: Some(&local),
        published: &published,
    };
    let asked = |connections| {
        let question = Question {
            connections,
            ..EXAMPLE
        };
        advise(&question, &basis).unwrap().cost.unwrap()
    };
    let small = asked(10_000);
    assert_eq!(
        (small.published, small.measured_connections),
        (false, 15_900)
    );
    let far = Question {
        connections: 500_000,
        ..EXAMPLE
    };
    let only_small = Figures {
        costs: local
            .costs
            .iter()
            .filter(|one| one.connections < 20_000)
            .cloned()
            .collect(),
        ..Figures::default()
    };
    let basis_small = Basis {
        local: Some(&only_small),
        published: &published,
    };
    let told = advise(&far, &basis_small).unwrap();
    let far = told
        .warnings
        .iter()
        .find(|one| one.code == "cost-far-extrapolated");
    assert!(
        far.unwrap().message.contains("22.1 µs at 1,000,000"),
        "{far:?}"
    );
    // A record without a fault lab leaves that to the published one.
    assert!(!told.not_noticed.is_empty());
    let exact = asked(100_000);
    assert_eq!(
        (exact.measured_connections, exact.extrapolated),
        (100_000, false)
    );
    // That record has lost keepalive's probes at its main population: only the rung's cost counts.
    let keepalive: Vec<_> = local
        .costs
        .iter()
        .filter(|one| one.arm == "keepalive")
        .collect();
    assert_eq!((keepalive.len(), keepalive[0].connections), (1, 15_900));
}

fn link() -> impl Strategy<Value = Link> {
    (0..Link::ALL.len()).prop_map(|index| Link::ALL[index])
}

fn end() -> impl Strategy<Value = KeepaliveSide> {
    (0..KeepaliveSide::ALL.len()).prop_map(|index| KeepaliveSide::ALL[index])
}

prop_compose! {
    fn question()(
        link in link(), noticed_by in end(),
        connections in 1_u64..10_000_000, detect_ms in 3_000_u64..32_000_000,
        middlebox_s in proptest::option::of(2_u64..4_000), outage_s in proptest::option::of(0_u64..600),
        misses in proptest::option::of(2_u32..20), app_changes: bool, hung_matters: bool,
    ) -> Question {
        Question {
            connections,
            detect_within: Duration::from_millis(detect_ms),
            misses,
            survive_outage: outage_s.map(Duration::from_secs),
            middlebox_idle: middlebox_s.map(Duration::from_secs),
            link,
            noticed_by,
            side: KeepaliveSide::Both,
            app_changes,
            hung_matters,
        }
    }
}

proptest! {
    #[test]
    fn the_settings_keep_their_promise(question in question()) {
        let Ok(advice) = ask(&question) else { return Ok(()); };
        let settings = &advice.settings;
        let within_ms = u64::try_from(question.detect_within.as_millis()).unwrap();
        prop_assert!(settings.detects_within_ms <= within_ms);
        if let Some(kernel) = settings.keepalive {
            prop_assert_eq!(kernel.idle_s + kernel.interval_s * kernel.count, kernel.sum_s);
            prop_assert!(u64::from(kernel.sum_s) * 1_000 <= within_ms);
            let last_ms = u64::from(kernel.sum_s - kernel.interval_s) * 1_000;
            prop_assert!(kernel.user_timeout_ms > last_ms);
            prop_assert!(kernel.user_timeout_ms < u64::from(kernel.sum_s) * 1_000);
            prop_assert!((1..=32_767).contains(&kernel.idle_s) && (2..=127).contains(&kernel.count));
        }
        if let Some(heartbeat) = settings.heartbeat {
            let budget_ms = heartbeat.idle_timeout_ms;
            prop_assert!(budget_ms <= within_ms);
            if let Some(answer_ms) = heartbeat.answer_timeout_ms {
                prop_assert!(heartbeat.interval_ms + answer_ms <= budget_ms);
            }
        }
        if let Some(idle) = question.middlebox_idle {
            let half_ms = u64::try_from(idle.as_millis()).unwrap() / 2;
            prop_assert!(settings.heartbeat.is_none_or(|one| one.interval_ms <= half_ms));
            prop_assert!(settings.keepalive.is_none_or(|one| u64::from(one.idle_s) * 1_000 <= half_ms));
        }
        // The outage is survived, or said not to be.
        let survived = settings.survives_outage_ms >= advice.asked.survive_outage_ms;
        prop_assert_eq!(!survived, codes(&advice).contains(&"outage-longer-than-patience"));
    }

    #[test]
    fn more_time_never_costs_more_packets(question in question(), more_ms in 0_u64..10_000_000) {
        let longer = Question {
            detect_within: question.detect_within + Duration::from_millis(more_ms),
            ..question
        };
        let (Ok(short), Ok(long)) = (ask(&question), ask(&longer)) else { return Ok(()); };
        prop_assert_eq!(short.mechanism, long.mechanism);
        let packets = |advice: &Advice| advice.cost.as_ref().unwrap().packets_per_second;
        prop_assert!(packets(&long) <= packets(&short) * 1.000_001);
    }

    #[test]
    fn the_time_an_outage_needs_is_enough(outage_s in 1_u64..600, kernel: bool, misses in 3_u32..5) {
        let outage = Duration::from_secs(outage_s);
        let arm = if kernel { Arm::KeepaliveUserTimeout } else { Arm::Heartbeat };
        let question = Question {
            detect_within: timing::shortest_for(outage, arm, misses),
            misses: Some(misses),
            middlebox_idle: None,
            ..EXAMPLE
        };
        let timing = Timing::of(&question, arm).unwrap();
        prop_assert!(timing.survives(arm) >= outage, "{timing:?}");
        prop_assert!(timing.detects_within(arm) <= Nanos::from(question.detect_within));
    }
}
