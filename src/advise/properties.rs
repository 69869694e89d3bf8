//! What must hold for every question: the promise, the margins, and that patience is never dearer.

use super::tests::{EXAMPLE, ask, codes};
use super::timing::{self, Timing};
use super::*;
use crate::arm::Arm;
use crate::units::Nanos;
use proptest::prelude::*;

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
