//! The hidden mode in which an experiment gives the orders.

use super::controlled::{Half, server};
use nix::sys::signal::Signal;
use ringbeat::arm::Arm;
use ringbeat::bank::{EngineKind, Phase};
use ringbeat::control::{Order, Word};

// A panic drops the half, which ends the child.
#[test]
fn a_controlled_half_ignores_ctrl_c_and_ends_with_its_orders() {
    let mut half = Half::start("serve");
    let config = server(Arm::Heartbeat, EngineKind::Uring);
    let ready = half.ask(&Order::Serve(Box::new(config)));
    assert!(matches!(ready, Word::Ready { .. }), "{ready:?}");
    half.signal(Signal::SIGINT);
    half.go(Phase::Open);
    assert_eq!(half.finish(), Some(0));
}

#[test]
fn an_order_before_the_start_is_refused() {
    let mut half = Half::start("load");
    let answer = half.ask(&Order::Report);
    assert!(matches!(answer, Word::Failed { .. }), "{answer:?}");
}
