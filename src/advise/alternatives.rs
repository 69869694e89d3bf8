//! Every other mechanism, with the reason it was not chosen and what it would cost.
//!
//! Reasons come in one order: ruled out by what may be changed; blind to what the chosen one sees; dearer; else what
//! tells the two apart.

use super::choice::{heartbeats_possible, no_heartbeats};
use super::cost::cost;
use super::notice::worse;
use super::timing::Timing;
use super::words::{about, list};
use super::{Basis, Question};
use crate::arm::{Arm, KeepaliveSide};
use crate::units::Nanos;
use serde::Serialize;

/// A mechanism that was not chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// The arm.
    pub mechanism: &'static str,
    /// Why not.
    pub reason: String,
    /// Its packets at this scale, where they are known.
    pub packets_per_second: Option<f64>,
    /// Its CPU likewise, both ends.
    pub cpu_milli_cores: Option<i64>,
    /// Connections that its cost was measured at, which may be others than the chosen one's.
    pub measured_connections: Option<u64>,
}

/// The interval of signs of life of `arm`, and how many ends of a connection give one.
pub(super) fn rate(timing: &Timing, arm: Arm, by: KeepaliveSide) -> (Nanos, u64) {
    let ends = if arm.has_heartbeats() { 1 } else { by.ends() };
    (timing.interval(arm), ends)
}

/// All but `chosen`.
pub(super) fn alternatives(
    question: &Question,
    chosen: Arm,
    basis: &Basis<'_>,
) -> Vec<Alternative> {
    let price = |arm: Arm| {
        let timing = Timing::of(question, arm).ok()?;
        let rate = rate(&timing, arm, question.noticed_by);
        cost(basis, arm, question.connections, rate)
    };
    let mine = price(chosen);
    let by = question.noticed_by;
    let others = Arm::ALL.into_iter().filter(|arm| *arm != chosen);
    others
        .map(|arm| {
            let price = (arm != Arm::None).then(|| price(arm)).flatten();
            let ruled_out = arm.has_heartbeats() && !heartbeats_possible(question);
            let unseen = worse(basis.noticed(), chosen, arm, by);
            let reason = if ruled_out {
                no_heartbeats(question).to_owned()
            } else if arm == Arm::None {
                "sends nothing, so it notices nothing but a FIN or a RST".to_owned()
            } else if unseen.is_empty() {
                let packets = price.as_ref().zip(mine.as_ref());
                let packets =
                    packets.map(|(its, my)| (its.packets_per_second, my.packets_per_second));
                difference(chosen, arm, packets)
            } else {
                let instead = worse(basis.noticed(), arm, chosen, by);
                let instead = match instead.as_slice() {
                    [] => String::new(),
                    seen => format!("; it would notice {}", list(seen)),
                };
                format!("does not notice {}{instead}", list(&unseen))
            };
            Alternative {
                mechanism: arm.name(),
                reason,
                packets_per_second: price.as_ref().map(|cost| cost.packets_per_second),
                cpu_milli_cores: price.as_ref().map(|cost| cost.cpu_milli_cores.median),
                measured_connections: price.map(|cost| cost.measured_connections),
            }
        })
        .collect()
}

/// What tells two apart that notice the same.
fn difference(chosen: Arm, other: Arm, packets: Option<(f64, f64)>) -> String {
    if other == Arm::Both {
        return "notices nothing the chosen one does not, and probes come on top of the heartbeats"
            .to_owned();
    }
    if chosen.has_heartbeats() && other == Arm::HeartbeatPush {
        return "the server would keep the schedule of all connections, and its clients could not let a sleeping \
                radio choose the moment; otherwise alike"
            .to_owned();
    }
    match packets {
        Some((its, mine)) if its > mine * 1.02 => format!(
            "sends {} packets a second where the chosen one sends {}, and notices no more of what must be noticed",
            about(its),
            about(mine)
        ),
        _ => "notices no more of what must be noticed".to_owned(),
    }
}
