//! A sustained stretch of one ending: connections come as others go, as fast as the machine goes.
//!
//! Does not pace. A number of connections is held, the end that is to end them ends whatever is beyond, and the client
//! opens anew at once what is gone, with so many connects in flight as its ramp had.

use super::plan::{Ending, TurnoverPlan};
use super::trial::{Meters, apart, open};
use crate::bank::{Phase, Snapshot};
use crate::clock::{Clock as _, MonotonicClock};
use crate::experiment::ExperimentError;
use crate::experiment::checks::errno_name;
use crate::experiment::summary::{float, whole};
use crate::experiment::trial::{self, Halves, Stage, TrialSpec, check_interrupt};
use crate::experiment::watch::observe;
use crate::load::{Backoff, Jitter};
use crate::os::established::count_time_wait;
use crate::os::limits::sysctl;
use crate::os::namespace::in_network_of;
use crate::record::{HistogramRecord, SustainedRecord, decode};
use crate::shard::{CloseCause, Counters};
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::time::Duration;

/// The coming and going before it is measured.
const WARM_UP: Duration = Duration::from_millis(200);
/// Between two looks at how many are held.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What it measured, and what is needed to judge it.
#[derive(Debug)]
pub(super) struct Sustained {
    pub(super) ending: Ending,
    pub(super) record: SustainedRecord,
    /// `net.ipv4.tcp_max_tw_buckets` of the end that ends them.
    pub(super) most_time_wait: Option<u64>,
}

/// Runs it.
pub(super) fn run(
    stage: &mut Stage<'_>,
    plan: &TurnoverPlan,
    spec: &TrialSpec,
    ending: Ending,
) -> Result<Sustained, ExperimentError> {
    trial::wait_for_drain(stage)?;
    stage.sampler.next_trial();
    let mut halves = start(stage, plan, spec, ending)?;
    let pids = halves.both()?;
    open(stage, spec, &mut halves)?;
    halves.load.go(Phase::Window)?;
    if ending.by_server() {
        halves.server.go(Phase::Window)?;
    }
    trial::hold(stage, spec, &mut halves, "churn", WARM_UP)?;
    let (server_before, load_before) = (halves.server.settle()?, halves.load.settle()?);
    let before = Meters::read(pids)?;
    let held = hold(stage, spec, &mut halves, plan.sustained)?;
    let stretch = before.until(&Meters::read(pids)?)?;
    let (server, load) = (halves.server.settle()?, halves.load.settle()?);
    let time_wait = apart(&halves, count_time_wait)?;
    let closed = halves.load.go(Phase::Closed)?;
    halves.server.go(Phase::Closed)?;
    let ender = if ending.by_server() { pids.0 } else { pids.1 };
    let most = in_network_of(ender, || sysctl("net.ipv4.tcp_max_tw_buckets"))?;
    trial::end(stage, spec, halves)?;

    let rates = Rates::between(ending, (&server_before, &server), (&load_before, &load));
    let spent = float(stretch.cpu.busy) / stretch.span.as_secs_f64();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let capacity = stretch.span.0.saturating_mul(cpus).max(1);
    let mut histograms = BTreeMap::new();
    if let Some(text) = closed.histograms.get("reconnect") {
        let record = HistogramRecord::of(&decode(text)?)?;
        histograms.insert("connect".to_owned(), record);
    }
    let failures = rates.counted.reconnects_failed.iter();
    let record = SustainedRecord {
        window_ns: rates.window.0,
        held,
        connects: rates.connects,
        closes: rates.closes,
        connects_per_second: rates.connects_per_second,
        closes_per_second: rates.closes_per_second,
        cpu_ns_per_turnover: whole(spent / rates.connects_per_second.max(1.0)),
        busy_milli: u32::try_from(stretch.cpu.busy.saturating_mul(1_000) / capacity)
            .unwrap_or(u32::MAX),
        failures: failures
            .map(|(errno, count)| (errno_name(*errno), *count))
            .collect(),
        time_wait: time_wait.0 + time_wait.1,
        histograms,
    };
    Ok(Sustained {
        ending,
        record,
        most_time_wait: most.and_then(|text| text.parse().ok()),
    })
}

fn start(
    stage: &Stage<'_>,
    plan: &TurnoverPlan,
    spec: &TrialSpec,
    ending: Ending,
) -> Result<Halves, ExperimentError> {
    let keep = spec.connections - plan.missing();
    let options = &plan.cost.options;
    trial::start_both(
        stage,
        spec,
        |server| server.turnover_above = ending.by_server().then_some(keep),
        |load, port| {
            load.turnover_above = (!ending.by_server()).then_some(keep);
            load.abort = ending.with_reset();
            load.reconnect = Some(Backoff {
                base_ms: 0,
                cap_ms: 0,
                jitter: Jitter::None,
                seed: options.seed,
            });
            load.targets = options
                .path
                .targets(plan.ports(), port, plan.cost.host.ephemeral);
        },
    )
}

/// Lets the stretch pass. Returns the connections held on the average.
fn hold(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
    span: Duration,
) -> Result<u64, ExperimentError> {
    let begun = MonotonicClock.now();
    let (end, mut next_row) = (begun + span.into(), begun + Nanos::from_secs(1));
    let (mut sum, mut looks) = (0, 0);
    while MonotonicClock.now() < end {
        check_interrupt(stage)?;
        let load = halves.load.report()?;
        sum += load.totals.open;
        looks += 1;
        let now = MonotonicClock.now();
        if now >= next_row {
            next_row = now + Nanos::from_secs(1);
            let server = halves.server.report()?;
            observe(stage, spec, halves, "churn", (&server, &load))?;
        }
        MonotonicClock.sleep_until(end.min(now + LOOK_EVERY.into()));
    }
    Ok(sum / looks.max(1))
}

/// What came and went between two looks at both halves.
#[derive(Debug)]
struct Rates {
    window: Nanos,
    connects: u64,
    closes: u64,
    connects_per_second: f64,
    closes_per_second: f64,
    /// By the client.
    counted: Counters,
}

impl Rates {
    fn between(
        ending: Ending,
        server: (&Snapshot, &Snapshot),
        load: (&Snapshot, &Snapshot),
    ) -> Self {
        let counted = load.1.totals.since(&load.0.totals);
        let window = load.1.at - load.0.at;
        let (closes, over) = if ending.by_server() {
            let counted = server.1.totals.since(&server.0.totals);
            (
                counted.closed_by(CloseCause::Churned),
                server.1.at - server.0.at,
            )
        } else {
            (counted.closed_by(CloseCause::Churned), window)
        };
        let rate = |count: u64, span: Nanos| {
            let seconds = span.as_secs_f64();
            if seconds > 0.0 {
                float(count) / seconds
            } else {
                0.0
            }
        };
        Self {
            window,
            connects: counted.reconnects_established,
            closes,
            connects_per_second: rate(counted.reconnects_established, window),
            closes_per_second: rate(closes, over),
            counted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at_ms: u64, churned: u64, established: u64) -> Snapshot {
        let mut snapshot = Snapshot {
            at: Nanos::from_millis(at_ms),
            ..Snapshot::default()
        };
        snapshot.totals.reconnects_established = established;
        let name = CloseCause::Churned.name().to_owned();
        snapshot.totals.closed.insert(name, churned);
        snapshot
    }

    #[test]
    fn whoever_ends_counts_the_ends_and_the_client_counts_the_begins() {
        let server = (snapshot(1_000, 0, 0), snapshot(5_000, 8_000, 0));
        let load = (snapshot(1_100, 100, 50), snapshot(3_100, 3_100, 2_050));
        let of = |ending| Rates::between(ending, (&server.0, &server.1), (&load.0, &load.1));
        let by_server = of(Ending::ServerFin);
        assert_eq!((by_server.connects, by_server.closes), (2_000, 8_000));
        assert!((by_server.connects_per_second - 1_000.0).abs() < 1e-9);
        assert!((by_server.closes_per_second - 2_000.0).abs() < 1e-9);
        let by_client = of(Ending::ClientRst);
        assert_eq!(
            (by_client.closes, by_client.window),
            (3_000, Nanos::from_secs(2))
        );
        assert!((by_client.closes_per_second - 1_500.0).abs() < 1e-9);
    }
}
