//! The two halves as an experiment starts them: orders down their standard input, words back.

use super::child::ringbeat;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ringbeat::arm::Arm;
use ringbeat::bank::{Driver, EngineConfig, EngineKind, Phase, Snapshot};
use ringbeat::control::{Order, Word, receive, send};
use ringbeat::load::{LoadConfig, Shard};
use ringbeat::os::cores::usable_cores;
use ringbeat::server::ServerConfig;
use ringbeat::shard::{Phases, Role, Settings};
use ringbeat::units::Nanos;
use ringbeat::wheel::TimersKind;
use std::io::BufReader;
use std::net::{SocketAddr, SocketAddrV4};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// Long enough for any machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Connections of a pair.
pub(crate) const CONNECTIONS: u64 = 300;

/// A half that takes orders; killed when dropped.
pub(crate) struct Half {
    child: Child,
    /// Taken when it is to end.
    orders: Option<ChildStdin>,
    words: BufReader<ChildStdout>,
}

impl Half {
    /// `serve` or `load`.
    pub(crate) fn start(role: &str) -> Self {
        let mut child = ringbeat(&format!("{role} --controlled"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let words = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            orders,
            words,
        }
    }

    pub(crate) fn ask(&mut self, order: &Order) -> Word {
        send(self.orders.as_mut().unwrap(), order).unwrap();
        receive(&mut self.words).unwrap().expect("the half is gone")
    }

    /// The snapshot that answers `order`.
    pub(crate) fn snapshot(&mut self, order: &Order) -> Snapshot {
        match self.ask(order) {
            Word::Snapshot(snapshot) => *snapshot,
            other => panic!("{order:?} was answered with {other:?}"),
        }
    }

    pub(crate) fn go(&mut self, phase: Phase) -> Snapshot {
        self.snapshot(&Order::Go(phase))
    }

    /// Asks for reports until one is as `wanted`.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let begun = Instant::now();
        loop {
            let snapshot = self.snapshot(&Order::Report);
            if wanted(&snapshot) {
                return snapshot;
            }
            assert!(begun.elapsed() < PATIENCE, "{snapshot:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Ends its orders and returns its exit code.
    pub(crate) fn finish(&mut self) -> Option<i32> {
        self.orders = None;
        self.child.wait().unwrap().code()
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the shards of a half with this `role` do: heartbeats every half second, and time enough on a busy machine.
fn settings(role: Role) -> Settings {
    Settings {
        role,
        interval: Nanos::from_millis(500),
        idle_timeout: Nanos::from_secs(60),
        answer_timeout: Nanos::from_secs(60),
        tick: Nanos::from_millis(8),
        phases: Phases::Staggered,
        timers: TimersKind::Wheel,
        keepalive: false,
        option_variants: 0,
        log_endings: true,
        phase_origin: Nanos::ZERO,
    }
}

fn engine(kind: EngineKind) -> EngineConfig {
    EngineConfig {
        kind,
        ..EngineConfig::default()
    }
}

fn nofile() -> u64 {
    ringbeat::os::limits::nofile().unwrap().1
}

/// A server for `arm` on a port of the kernel's choice.
pub(crate) fn server(arm: Arm, kind: EngineKind) -> ServerConfig {
    ServerConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        loopback: false,
        connections: CONNECTIONS,
        cores: usable_cores()[..1].to_vec(),
        engine: engine(kind),
        driver: Driver::Tick,
        nofile: nofile(),
        somaxconn: 512,
        settings: settings(arm.server_role()),
        keepalive: None,
        user_timeout_ms: None,
        keepalive_spread_s: 0,
        congestion: None,
        abort: false,
        turnover_above: None,
    }
}

/// A load generator for `arm`; where to connect to is filled in by [`pair`].
pub(crate) fn load(arm: Arm, kind: EngineKind) -> LoadConfig {
    LoadConfig {
        targets: Vec::new(),
        shard: Shard::default(),
        sources: Vec::new(),
        connections: CONNECTIONS,
        ramp_rate: None,
        in_flight: 128,
        cores: usable_cores()[..1].to_vec(),
        engine: engine(kind),
        driver: Driver::Tick,
        nofile: nofile(),
        settings: settings(arm.load_role()),
        keepalive: None,
        user_timeout_ms: None,
        keepalive_spread_s: 0,
        congestion: None,
        abort: true,
        reconnect: None,
        reconnects_in_flight: None,
        churn_per_second: None,
        turnover_above: None,
    }
}

/// A server that is ready for connections, and its address.
pub(crate) fn serving(config: &ServerConfig) -> (Half, SocketAddrV4) {
    let mut half = Half::start("serve");
    let ready = half.ask(&Order::Serve(Box::new(config.clone())));
    let Word::Ready {
        address: Some(SocketAddr::V4(address)),
        ..
    } = ready
    else {
        panic!("{ready:?}");
    };
    half.go(Phase::Open);
    (half, address)
}

/// A load generator that has opened all its connections to `address`.
pub(crate) fn loading(config: &LoadConfig, address: SocketAddrV4) -> Half {
    let mut half = Half::start("load");
    let config = LoadConfig {
        targets: vec![address],
        ..config.clone()
    };
    let ready = half.ask(&Order::Load(Box::new(config)));
    assert!(matches!(ready, Word::Ready { .. }), "{ready:?}");
    half.go(Phase::Open);
    half.until(|seen| seen.totals.open == CONNECTIONS);
    half
}

/// Both halves with all connections open at both ends.
pub(crate) fn pair(server: &ServerConfig, load: &LoadConfig) -> (Half, Half, SocketAddrV4) {
    let (mut serving, address) = serving(server);
    let loading = loading(load, address);
    serving.until(|seen| seen.totals.open == CONNECTIONS);
    (serving, loading, address)
}
