//! The model against the numbers that people know, and against itself.

use super::*;
use crate::arm::Budget;
use crate::experiment::detect::contestant::Contestant;
use proptest::prelude::*;
use std::time::Duration;

const TICK: Nanos = Nanos::from_millis(8);

fn timing(arm: Arm, budget: Budget) -> Timing {
    Contestant::usual(arm, budget).timing(TICK, 250, Nanos::from_secs(1))
}

fn strict(arm: Arm) -> Timing {
    let (within, misses) = Budget::STRICT;
    timing(arm, Budget::derive(within, misses).unwrap())
}

fn seconds(model: &Model) -> Option<(f64, f64)> {
    let span = model.span?;
    let round = |nanos: Nanos| (nanos.as_secs_f64() * 10.0).round() / 10.0;
    Some((round(span.earliest), round(span.latest)))
}

#[test]
fn the_strict_budget_promises_six_to_nine_seconds() {
    let cut = |arm, seat| seconds(&strict(arm).model(Fault::PowerCut, seat));
    for seat in Seat::ALL {
        assert_eq!(cut(Arm::None, seat), None);
        assert_eq!(cut(Arm::Keepalive, seat), Some((5.7, 9.4)));
        assert_eq!(cut(Arm::KeepaliveUserTimeout, seat), Some((5.7, 9.4)));
        assert_eq!(cut(Arm::Heartbeat, seat), Some((6.0, 9.0)));
        assert_eq!(cut(Arm::HeartbeatPush, seat), Some((6.0, 9.0)));
    }
    assert_eq!(cut(Arm::HeartbeatOneway, Seat::Server), Some((6.0, 9.0)));
    assert_eq!(
        cut(Arm::HeartbeatOneway, Seat::Client),
        None,
        "it expects nothing"
    );
}

#[test]
fn a_user_timeout_acts_at_the_first_probe_timer_after_it() {
    let kernel = |timeout| Timing {
        keepalive: Some(Keepalive {
            idle_s: 5,
            interval_s: 3,
            count: 3,
        }),
        user_timeout: timeout,
        ..strict(Arm::Keepalive)
    };
    let latest = |timeout| {
        let model = kernel(timeout).model(Fault::PowerCut, Seat::Server);
        model.span.unwrap().latest.as_secs_f64()
    };
    // 5 + 3 × 3 without; 5 + 3 for six seconds; 5 + 3 × 5 for eighteen, whatever the count.
    assert!(
        (14.0..15.1).contains(&latest(None)),
        "each of four timers late by up to 256 ms"
    );
    assert!((8.0..8.6).contains(&latest(Some(Nanos::from_secs(6)))));
    assert!((20.0..21.6).contains(&latest(Some(Nanos::from_secs(18)))));
}

#[test]
fn what_the_kernel_answers_for_keepalive_cannot_see() {
    for seat in Seat::ALL {
        for arm in [Arm::Keepalive, Arm::KeepaliveUserTimeout, Arm::None] {
            assert_eq!(
                strict(arm).model(Fault::ApplicationHung, seat).span,
                None,
                "{arm}"
            );
        }
        for arm in [Arm::Keepalive, Arm::None] {
            assert_eq!(
                strict(arm).model(Fault::ZeroWindow, seat).span,
                None,
                "{arm}"
            );
            let in_flight = strict(arm).model(Fault::BlackHoleWithDataInFlight, seat);
            assert_eq!(in_flight.span, None, "{arm}");
        }
        let user = strict(Arm::KeepaliveUserTimeout);
        assert!(user.model(Fault::ZeroWindow, seat).span.is_some());
        assert!(
            user.model(Fault::BlackHoleWithDataInFlight, seat)
                .span
                .is_some()
        );
        assert!(
            strict(Arm::Heartbeat)
                .model(Fault::ApplicationHung, seat)
                .span
                .is_some()
        );
    }
    let both = strict(Arm::Both).model(Fault::ApplicationHung, Seat::Server);
    assert_eq!(seconds(&both), Some((6.0, 9.0)), "its keepalive is no help");
}

#[test]
fn whoever_gives_up_first_tells_the_other_where_it_can() {
    // The client hears nothing; the server learns of the client's verdict by its RST.
    let push = strict(Arm::Heartbeat).model(Fault::OneWayLossToClient, Seat::Server);
    assert!(push.rule.contains("RST"), "{push:?}");
    assert_eq!(seconds(&push), Some((6.0, 9.0)));
    // The client that expects nothing is told of the server's.
    let told = strict(Arm::HeartbeatOneway).model(Fault::OneWayLossToServer, Seat::Client);
    assert_eq!(seconds(&told), Some((6.0, 9.0)));
    let deaf = strict(Arm::HeartbeatOneway).model(Fault::OneWayLossToClient, Seat::Client);
    assert_eq!(deaf.span, None, "the server's RST does not arrive");
}

#[test]
fn a_reboot_is_told_by_the_next_thing_sent() {
    let at = |arm, seat| seconds(&strict(arm).model(Fault::HostReboot, seat));
    assert_eq!(at(Arm::None, Seat::Server), None);
    let (earliest, latest) = at(Arm::Keepalive, Seat::Server).unwrap();
    assert!(earliest < 0.1 && (4.0..4.5).contains(&latest));
    assert!(at(Arm::Heartbeat, Seat::Client).unwrap().1 < 4.2);
    assert!(
        (8.9..9.1).contains(&at(Arm::Heartbeat, Seat::Server).unwrap().1),
        "it only listens"
    );
}

#[test]
fn only_a_silence_as_long_as_a_verdict_may_bring_one() {
    let outage = |seconds| Stress::Outage(Duration::from_secs(seconds));
    let paused = |seconds| Stress::ServerPaused(Duration::from_secs(seconds));
    for arm in Arm::ALL {
        for seat in Seat::ALL {
            let timing = strict(arm);
            assert!(!timing.may_suspect(outage(1), seat), "{arm}");
            assert!(!timing.may_suspect(paused(4), seat), "{arm}");
            let decides = timing.silence(seat).span.is_some();
            assert_eq!(
                timing.may_suspect(outage(5), seat),
                decides,
                "{arm}: retransmission doubles the silence"
            );
            assert_eq!(timing.may_suspect(paused(7), seat), decides, "{arm}");
        }
    }
}

proptest! {
    /// No fault that silences the peer is found later than the budget says, but for the coarseness of the kernel's
    /// timers and of ours; and no span is inside out.
    #[test]
    fn nobody_promises_more_than_the_budget(within_s in 3_u64..300, misses in 2_u32..6) {
        let Ok(budget) = Budget::derive(Duration::from_secs(within_s), misses) else { return Ok(()) };
        if budget.suits(&Arm::ALL).is_err() {
            return Ok(());
        }
        for arm in Arm::ALL {
            let timing = timing(arm, budget);
            for seat in Seat::ALL {
                for fault in Fault::ALL {
                    if let Some(span) = timing.model(fault, seat).span {
                        prop_assert!(span.earliest <= span.latest, "{arm} {fault} {seat}: {span:?}");
                    }
                }
                if let Some(span) = timing.model(Fault::PowerCut, seat).span {
                    // Every timer of keepalive is late by at most an eighth of what is left to it.
                    let coarse = Nanos(budget.detect_within.0 / 6) + TICK + TICK;
                    prop_assert!(span.latest <= budget.detect_within + coarse, "{arm} {seat}: {span:?}");
                }
            }
        }
    }
}
