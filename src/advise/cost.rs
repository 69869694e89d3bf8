//! What settings cost at a scale: a measured figure per event, times the rate of events.
//!
//! Measures nothing. The figure is that of the nearest number of connections in the record; where the two differ the
//! result is an extrapolation and says so.

use super::figures::{CostFigure, Figures, Source};
use super::words::{float, whole};
use super::{Basis, Warning};
use crate::arm::Arm;
use crate::record::Estimate;
use crate::units::{HumanCount, HumanNanos, Nanos};
use serde::Serialize;

/// What a mechanism costs, and how that is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// The record the figures per event are from.
    #[serde(flatten)]
    pub source: Source,
    /// Whether it is one this program was built with.
    pub published: bool,
    /// The arm that was measured: the advised one, or one that sends the same.
    pub measured_arm: String,
    /// Connections it was measured at.
    pub measured_connections: u64,
    /// Whether that is another number than was asked for.
    pub extrapolated: bool,
    /// Heartbeats answered, or probes, of all connections.
    pub events_per_second: f64,
    /// As measured.
    pub cpu_ns_per_event: Estimate,
    /// The rate times the line above, in thousandths of a core, both ends.
    pub cpu_milli_cores: Estimate,
    /// Of it the server's process, where the record tells.
    pub server_cpu_milli_cores: Option<Estimate>,
    /// Both directions.
    pub packets_per_second: f64,
    /// Both directions, at IP level.
    pub wire_bytes_per_second: f64,
    /// Both directions, at IP level.
    pub wire_bytes_per_connection_hour: u64,
    /// Kernel, rings and processes, both ends.
    pub memory_bytes_per_connection: Option<u64>,
    /// Of it the server's process.
    pub server_user_bytes_per_connection: Option<u64>,
    /// Of all connections.
    pub memory_bytes: Option<u64>,
}

/// The arms whose events are those of `arm`: itself, or the one that puts the same on the wire.
fn stand_in(arm: Arm) -> [Arm; 2] {
    match arm {
        // the user timeout changes a verdict and no packet
        Arm::KeepaliveUserTimeout => [arm, Arm::Keepalive],
        _ => [arm, arm],
    }
}

/// The figure measured nearest to `connections`; of equally near ones the newest.
pub(super) fn nearest(figures: &Figures, arm: Arm, connections: u64) -> Option<&CostFigure> {
    let distance = |figure: &CostFigure| {
        (float(figure.connections) / float(connections.max(1)))
            .ln()
            .abs()
    };
    stand_in(arm).into_iter().find_map(|arm| {
        let of_arm = figures
            .costs
            .iter()
            .filter(|figure| figure.arm == arm.name());
        of_arm.min_by(|one, other| {
            distance(one)
                .total_cmp(&distance(other))
                .then_with(|| other.source.started_at.cmp(&one.source.started_at))
        })
    })
}

/// The cost of `ends` of each of `connections` having an event every `interval`, from the local figures if they hold the
/// arm, else from the published; `None` when neither does.
pub(super) fn cost(
    basis: &Basis<'_>,
    arm: Arm,
    connections: u64,
    (interval, ends): (Nanos, u64),
) -> Option<Cost> {
    let here = basis
        .local
        .and_then(|figures| nearest(figures, arm, connections));
    let figure = here.or_else(|| nearest(basis.published, arm, connections))?;
    let rate = float(connections * ends) / interval.as_secs_f64();
    // nanoseconds per second are billionths of a core
    let cores = |cost: Estimate| Estimate {
        median: scaled(cost.median, rate / 1e6),
        low: scaled(cost.low, rate / 1e6),
        high: scaled(cost.high, rate / 1e6),
        resolved: cost.resolved,
    };
    let memory = figure.memory_bytes_per_connection;
    let parts = [
        memory.kernel_sockets,
        memory.kernel_io_uring,
        memory.server_user,
        memory.load_user,
    ];
    // The parts are counters; the total is what the machine's free memory shrank by, and carries its noise.
    let named: Option<u64> = parts.into_iter().sum();
    let per_connection = named.or(memory.total);
    let bytes = figure.wire_bytes_per_event * rate;
    Some(Cost {
        source: figure.source.clone(),
        published: here.is_none(),
        measured_arm: figure.arm.clone(),
        measured_connections: figure.connections,
        extrapolated: figure.connections != connections,
        events_per_second: rate,
        cpu_ns_per_event: figure.cpu_ns_per_event,
        cpu_milli_cores: cores(figure.cpu_ns_per_event),
        server_cpu_milli_cores: figure.server_cpu_ns_per_event.map(cores),
        packets_per_second: figure.packets_per_event * rate,
        wire_bytes_per_second: bytes,
        wire_bytes_per_connection_hour: whole(bytes * 3600.0 / float(connections.max(1))),
        memory_bytes_per_connection: per_connection,
        server_user_bytes_per_connection: memory.server_user,
        memory_bytes: per_connection.map(|bytes| bytes.saturating_mul(connections)),
    })
}

/// How many times more or fewer connections than measured are too many to go by.
pub(super) const FAR: f64 = 10.0;
/// The warning that says so.
pub(super) const FAR_OFF: &str = "cost-far-extrapolated";

/// What to say of a cost that was measured at a population quite another than `connections`.
pub(super) fn far_off(
    basis: &Basis<'_>,
    arm: Arm,
    connections: u64,
    cost: &Cost,
) -> Option<Warning> {
    let ratio = float(connections) / float(cost.measured_connections.max(1));
    if (1.0 / FAR..=FAR).contains(&ratio) {
        return None;
    }
    let nearer = nearest(basis.published, arm, connections).filter(|_| !cost.published);
    let nearer = nearer.map_or_else(String::new, |figure| {
        format!(
            "; the published results have {} at {} connections (--published)",
            HumanNanos(u64::try_from(figure.cpu_ns_per_event.median).unwrap_or_default()),
            HumanCount(figure.connections)
        )
    });
    Some(Warning {
        code: FAR_OFF,
        message: format!(
            "the cost per event was measured at {} connections and taken for {}: it grows and shrinks with the \
             population, as idle sockets leave the caches and ticks find less to do{nearer}",
            HumanCount(cost.measured_connections),
            HumanCount(connections)
        ),
        advice: "measure nearer: `ringbeat compare --connections N`, or `ringbeat scale --up-to N`"
            .to_owned(),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a cost per event is far below 2^53 ns, and the product saturates"
)]
fn scaled(value: i64, factor: f64) -> i64 {
    (value as f64 * factor).round() as i64
}
