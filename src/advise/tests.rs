//! Answers to questions that were chosen: the example, contradictions, what cannot be, and what a lab has seen.

use super::published::kept;
use super::timing::Timing;
use super::*;
use crate::arm::Arm;

/// The question that the command was made for.
pub(super) const EXAMPLE: Question = Question {
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

pub(super) fn ask(question: &Question) -> Result<Advice, AdviceError> {
    let published = Figures::published();
    advise(
        question,
        &Basis {
            local: None,
            published: &published,
        },
    )
}

pub(super) fn codes(advice: &Advice) -> Vec<&'static str> {
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
    let burst = advice
        .warnings
        .iter()
        .find(|one| one.code == "keepalive-bursts");
    let probes = crate::measure::keepalive::predict_burst(500_000, idle_s, 250, 1);
    let sysctl = format!("netdev_max_backlog={probes};");
    assert!(burst.unwrap().advice.contains(&sysctl), "{burst:?}");
}

/// The bound that advice goes by is one that the fault lab has seen kept.
#[test]
fn outages_that_are_survived_by_the_rules_were_survived_in_the_lab() {
    let lab = Figures::published().noticed;
    let mut held = 0;
    for point in &lab.thresholds {
        let question = Question {
            detect_within: Duration::from_millis(point.detect_within_ms),
            misses: u32::try_from(point.detect_within_ms / point.interval_ms).ok(),
            ..EXAMPLE
        };
        let timing = Timing::of(&question, Arm::Heartbeat).unwrap();
        let survived = timing.survives(Arm::Heartbeat) >= Duration::from_millis(point.outage_ms);
        assert!(!survived || point.false_suspicions == 0, "{point:?}");
        held += u32::from(survived);
    }
    assert!(held >= 5, "{held} points do not tell much");
    let strict = Question {
        detect_within: Duration::from_millis(lab.detect_within_ms),
        ..EXAMPLE
    };
    let timing = Timing::with_misses(&strict, Arm::Keepalive, 3).unwrap();
    let survives = timing.survives(Arm::Keepalive);
    let living = lab.stresses.iter().filter(|cell| cell.fault == "outage");
    for cell in living.filter(|cell| cell.mechanism == "keepalive") {
        let outage = crate::units::parse_duration(&cell.parameter).unwrap();
        assert!(outage > survives, "{cell:?}");
    }
}

#[test]
fn losses_in_a_row_end_connections_and_more_misses_help() {
    let lossy = Question {
        app_changes: false,
        link: Link::Mobile,
        ..EXAMPLE
    };
    let advice = ask(&lossy).unwrap();
    let told = advice
        .warnings
        .iter()
        .find(|one| one.code == "losses-in-a-row");
    let words = &told.unwrap().advice;
    let misses = words.split("--misses ").nth(1).unwrap();
    let misses = misses.split(' ').next().unwrap().parse().unwrap();
    let patient = Question {
        misses: Some(misses),
        ..lossy
    };
    assert!(!codes(&ask(&patient).unwrap()).contains(&"losses-in-a-row"));
    let near = Question {
        link: Link::Datacenter,
        ..lossy
    };
    assert!(!codes(&ask(&near).unwrap()).contains(&"losses-in-a-row"));
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
