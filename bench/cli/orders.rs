//! The hidden mode in which an experiment gives the orders.

use super::child::ringbeat;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ringbeat::arm::Arm;
use ringbeat::bank::{Driver, EngineConfig, Phase};
use ringbeat::control::{Order, Word, receive, send};
use ringbeat::server::ServerConfig;
use ringbeat::shard::{Phases, Settings};
use ringbeat::units::Nanos;
use ringbeat::wheel::TimersKind;
use std::io::BufReader;
use std::process::Stdio;

fn config() -> ServerConfig {
    ServerConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        loopback: false,
        connections: 10,
        cores: ringbeat::os::cores::usable_cores()[..1].to_vec(),
        engine: EngineConfig::default(),
        driver: Driver::Tick,
        nofile: ringbeat::os::limits::nofile().unwrap().1,
        somaxconn: 128,
        settings: Settings {
            role: Arm::Heartbeat.server_role(),
            interval: Nanos::from_secs(3),
            idle_timeout: Nanos::from_secs(9),
            answer_timeout: Nanos::from_secs(6),
            tick: Nanos::from_millis(8),
            phases: Phases::Staggered,
            timers: TimersKind::Wheel,
            keepalive: false,
            option_variants: 0,
            log_endings: false,
        },
        keepalive: None,
        user_timeout_ms: None,
        keepalive_spread_s: 0,
        congestion: None,
    }
}

// A panic drops `orders`, which ends the child.
#[test]
fn a_controlled_half_ignores_ctrl_c_and_ends_with_its_orders() {
    let mut child = ringbeat("serve --controlled")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = child.stdin.take().unwrap();
    let mut words = BufReader::new(child.stdout.take().unwrap());
    send(&mut orders, &Order::Serve(Box::new(config()))).unwrap();
    let ready: Option<Word> = receive(&mut words).unwrap();
    assert!(matches!(ready, Some(Word::Ready { .. })), "{ready:?}");
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    send(&mut orders, &Order::Go(Phase::Open)).unwrap();
    let open: Option<Word> = receive(&mut words).unwrap();
    assert!(matches!(open, Some(Word::Snapshot(_))), "{open:?}");
    drop(orders);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
