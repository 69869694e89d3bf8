//! Arguments that are one of a few names, and what each name means, in a line of help.
//!
//! Does not parse what a user makes up, such as a number; [`super::parse`] does.

use crate::advise::Link;
use crate::arm::{Arm, KeepaliveSide};
use crate::bank::{Driver, EngineKind};
use crate::experiment::doctor::Side;
use crate::experiment::{Fault, NetworkPath, Way, scenarios};
use crate::shard::Phases;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// One of `all`, each given as value, name and meaning.
fn one_of<T, const N: usize>(
    all: [(T, &'static str, String); N],
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let shown = all
        .iter()
        .map(|(_, name, meaning)| PossibleValue::new(*name).help(meaning.clone()));
    let shown: Vec<_> = shown.collect();
    let values = all.map(|(value, name, _)| (name, value));
    PossibleValuesParser::new(shown).try_map(move |typed| {
        let found = values.iter().find(|(name, _)| *name == typed);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("`{typed}` is not among them"))
    })
}

/// What an arm does, without its name.
#[must_use]
pub const fn arm_meaning(arm: Arm) -> &'static str {
    match arm {
        Arm::None => "nobody sends, nobody decides",
        Arm::Keepalive => "the kernel probes and decides",
        Arm::KeepaliveUserTimeout => "the kernel probes, and decides by TCP_USER_TIMEOUT",
        Arm::Heartbeat => "the client sends, the server acks",
        Arm::HeartbeatOneway => "the client sends, no acks",
        Arm::HeartbeatPush => "the server sends, the client acks",
        Arm::Both => "the client sends, the server acks, the kernel probes too",
    }
}

/// An arm by its name.
#[must_use]
pub fn arm() -> impl TypedValueParser<Value = Arm> {
    one_of(Arm::ALL.map(|arm| (arm, arm.name(), arm_meaning(arm).to_owned())))
}

/// A fault of the lab by its name.
#[must_use]
pub fn fault() -> impl TypedValueParser<Value = Fault> {
    let meaning = |fault| match fault {
        Fault::ProcessExit => "the peer's process ends in order: FIN",
        Fault::ProcessKilled => "SIGKILL; the kernel closes what the process had",
        Fault::Reset => "the peer aborts: RST",
        Fault::PowerCut => "nothing passes any more, either way, and nobody says so",
        Fault::CablePulled => {
            "the link to the peer is down; the router knows, and its ICMP says so"
        }
        Fault::OneWayLossToServer => "what the client sends is lost",
        Fault::OneWayLossToClient => "what the server sends is lost",
        Fault::HostReboot => {
            "the peer's host is away for a moment and comes back without its connections"
        }
        Fault::FirewallEviction => {
            "a firewall on the way forgets the connection and drops what it does not know"
        }
        Fault::ApplicationHung => "the peer's process is stopped; its kernel goes on acknowledging",
        Fault::ZeroWindow => "the peer reads no more, and what it is sent fills its buffers",
        Fault::BlackHoleWithDataInFlight => "as a power cut, with data sent at that moment",
    };
    one_of(Fault::ALL.map(|fault| (fault, fault.name(), meaning(fault).to_owned())))
}

/// A scenario's name.
#[must_use]
pub fn scenario() -> impl TypedValueParser<Value = String> {
    let shown = scenarios().into_iter();
    let shown: Vec<_> = shown
        .map(|(name, title)| PossibleValue::new(name).help(title))
        .collect();
    PossibleValuesParser::new(shown)
}

/// A way of backing off by its name.
#[must_use]
pub fn way() -> impl TypedValueParser<Value = Way> {
    let meaning = |way| match way {
        Way::FullJitter => "a wait drawn between zero and the longest",
        Way::NoJitter => "the longest wait, so that all come at the same instants",
        Way::Immediate => "no wait",
    };
    one_of(Way::ALL.map(|way| (way, way.name(), meaning(way).to_owned())))
}

/// What lies between the halves.
#[must_use]
pub fn path() -> impl TypedValueParser<Value = NetworkPath> {
    let meaning = |path| match path {
        NetworkPath::Loopback => {
            "this machine's loopback, which drops what a full backlog cannot take in silence"
        }
        NetworkPath::Veth => {
            "two network namespaces and a veth pair, as containers have it, which tells the sender of a drop; needs root"
        }
        NetworkPath::Fleet => "a network to other hosts; --fleet chooses it",
    };
    one_of(NetworkPath::ALL.map(|path| (path, path.name(), meaning(path).to_owned())))
}

/// An end of a connection, or both.
#[must_use]
pub fn end() -> impl TypedValueParser<Value = KeepaliveSide> {
    let meaning = |end| match end {
        KeepaliveSide::Server => "the end that accepts",
        KeepaliveSide::Client => "the end that connects",
        KeepaliveSide::Both => "both ends",
    };
    one_of(KeepaliveSide::ALL.map(|end| (end, end.name(), meaning(end).to_owned())))
}

/// Which ends of the connections are on this host.
#[must_use]
pub fn side() -> impl TypedValueParser<Value = Side> {
    let meaning = |side| match side {
        Side::Both => "both, over loopback",
        Side::Server => "the server's, which takes half the memory and no ports",
        Side::Load => "the load generator's",
    };
    let all = [Side::Both, Side::Server, Side::Load];
    one_of(all.map(|side| (side, side.name(), meaning(side).to_owned())))
}

/// How heartbeats are spread over the interval.
#[must_use]
pub fn phases() -> impl TypedValueParser<Value = Phases> {
    let meaning = |phases| match phases {
        Phases::Staggered => "spread evenly, in no order",
        Phases::InOrder { .. } => "spread evenly, in the order of connecting",
        Phases::Aligned => "all at once, the worst case",
    };
    // Among how many they are in order is known once all flags are.
    let all = [
        Phases::Staggered,
        Phases::InOrder { of: 1 },
        Phases::Aligned,
    ];
    one_of(all.map(|phases| (phases, phases.name(), meaning(phases).to_owned())))
}

/// An engine by its name.
#[must_use]
pub fn engine() -> impl TypedValueParser<Value = EngineKind> {
    let meaning = |engine| match engine {
        EngineKind::Uring => "io_uring with multishot polls; a connection takes no open file",
        EngineKind::UringRecv => {
            "io_uring with multishot receives; a connection takes no open file"
        }
        EngineKind::Epoll => "epoll, the reference; an open file for each connection",
    };
    one_of(EngineKind::ALL.map(|engine| (engine, engine.name(), meaning(engine).to_owned())))
}

/// A driver by its name.
#[must_use]
pub fn driver() -> impl TypedValueParser<Value = Driver> {
    let meaning = |driver| match driver {
        Driver::Tick => "its core's tick; one thread looks at all rings of the core",
        Driver::ThreadPerRing => "the events of one ring; a thread for each ring",
    };
    one_of(Driver::ALL.map(|driver| (driver, driver.name(), meaning(driver).to_owned())))
}

/// Which structure holds the deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// A timing wheel.
    Wheel,
    /// A flat sweep.
    Sweep,
}

/// A structure by its name.
#[must_use]
pub fn timers() -> impl TypedValueParser<Value = Structure> {
    one_of([
        (
            Structure::Wheel,
            "wheel",
            "a timing wheel, exact to the tick".to_owned(),
        ),
        (
            Structure::Sweep,
            "sweep",
            "a flat sweep over all of them, exact to its period".to_owned(),
        ),
    ])
}

/// A kind of network path by its name.
#[must_use]
pub fn link() -> impl TypedValueParser<Value = Link> {
    let meaning = |link: Link| {
        let radio = match link.radio_tail() {
            None => "",
            Some(_) => ", a radio that would sleep",
        };
        format!(
            "round trips of {} ms, outages of {} s{radio}",
            link.round_trip().as_millis(),
            link.outage().as_secs()
        )
    };
    one_of(Link::ALL.map(|link| (link, link.name(), meaning(link))))
}
