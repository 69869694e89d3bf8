//! Many connections opened at once, as fast as they are answered, with an eye on the SYN and accept queues.
//!
//! Does not print. Memory is guarded as in every ramp; what is open when something ends the run early is in the record,
//! with the reason. All connections are ended by a RST each, so nothing waits afterwards.

mod lookout;
mod timeline;

use super::shape::{LifecycleShape, spec};
use crate::bank::Phase;
use crate::experiment::capacity::HostFacts;
use crate::experiment::checks::{connect_failures, errno_name};
use crate::experiment::cost::cut_short;
use crate::experiment::doubt::Doubt;
use crate::experiment::lifecycle::stage::on_stage;
use crate::experiment::plan::CostPlan;
use crate::experiment::ramp::climb_watched;
use crate::experiment::trial::{self, Halves, Stage, TrialSpec};
use crate::experiment::{ExperimentError, NetworkPath, Observer};
use crate::measure::cpu::CpuSnapshot;
use crate::os::established::Handshakes;
use crate::os::namespace::in_network_of;
use crate::record::{HandshakeRecord, HistogramRecord, Warning, decode};
use crate::shard::Counters;
use lookout::Lookout;
use std::path::Path;
use std::time::Duration;

/// Connections of a run that names no number, and of a quick one.
const CONNECTIONS: (u64, u64) = (1_000_000, 5_000);
/// Connects in flight per core that overflow an accept queue made short on purpose.
const PRESSING: u64 = 1_024;

/// An opening with nothing left to decide.
#[derive(Clone, Debug)]
pub(super) struct HandshakePlan {
    cost: CostPlan,
    accept_queue: u64,
    /// The queue was made short on purpose: what comes of it is the result.
    short: bool,
}

impl HandshakePlan {
    /// For `connections`, or the usual number cut to what the host holds, with accept queues of `accept_queue`, or the
    /// usual ones, and no more connects in flight than fit. A queue that is asked for gets more than it holds.
    ///
    /// # Errors
    /// A sentence with the remedy, when the host cannot hold it.
    pub(super) fn new(
        shape: &LifecycleShape,
        connections: Option<u64>,
        accept_queue: Option<u64>,
        quick: bool,
        mut host: HostFacts,
    ) -> Result<Self, String> {
        let usual = if quick { CONNECTIONS.1 } else { CONNECTIONS.0 };
        if let Some(most) = accept_queue {
            host.somaxconn = host.somaxconn.min(most);
        }
        let in_flight = accept_queue.map(|_| PRESSING);
        let path = PATH;
        let cost = shape.plan((connections, usual), path, in_flight, host)?;
        let accept_queue_length = cost.accept_queue().map_err(|error| error.to_string())?;
        Ok(Self {
            short: accept_queue.is_some(),
            accept_queue: accept_queue_length,
            cost,
        })
    }

    /// About how long it will take, by 25,000 connections opened and 100,000 ended a second.
    pub(super) fn span(&self) -> Duration {
        Duration::from_secs(3) + Duration::from_micros(self.cost.connections.saturating_mul(50))
    }
}

/// Between the two halves. Two namespaces, because their counters have no other traffic in them and the host's sysctls are
/// left alone; and it costs nothing: 200,000 connections were open after 3.8 s over a veth pair and after 4.4 s over
/// loopback (two cores, Linux 6.18).
const PATH: NetworkPath = NetworkPath::Veth;

/// Runs the plan with `executable`'s halves and returns what was seen, what is doubtful, and what ended it early if
/// anything did.
pub(super) fn handshake(
    plan: &HandshakePlan,
    executable: &Path,
    observer: &mut dyn Observer,
) -> (HandshakeRecord, Vec<Warning>, Option<ExperimentError>) {
    let options = &plan.cost.options;
    let mut record = HandshakeRecord {
        connections_asked: options.connections.unwrap_or(plan.cost.connections),
        accept_queue: plan.accept_queue,
        listeners: options.server_cores.len() as u64,
        in_flight: plan.cost.in_flight * options.load_cores.len() as u64,
        limited_by: plan.cost.limited_by.clone(),
        ..HandshakeRecord::default()
    };
    let mut warnings = Vec::new();
    let ended = on_stage(&plan.cost, executable, observer, |stage| {
        run(stage, plan, &mut record, &mut warnings)
    })
    .err();
    if let Some(error) = &ended {
        record.stopped = Some(error.to_string());
        warnings.insert(0, cut_short(error));
    }
    (record, warnings, ended)
}

fn run(
    stage: &mut Stage<'_>,
    plan: &HandshakePlan,
    record: &mut HandshakeRecord,
    warnings: &mut Vec<Warning>,
) -> Result<(), ExperimentError> {
    let name = if plan.short {
        "short queue"
    } else {
        "usual queue"
    };
    let spec = spec(&plan.cost, (name, "handshake"), (0, (0, 1)), Duration::ZERO);
    trial::wait_for_drain(stage)?;
    let mut halves = trial::start(stage, &spec, |_, _| {})?;
    let path = plan.cost.options.path;
    let pids = halves.both()?;
    let port = halves.port;
    let queues = in_network_of(pids.0, || Handshakes::open(port))??;
    let mut lookout = Lookout::begin(path.place(pids), queues)?;
    let climbed = open(stage, &spec, &mut halves, &mut lookout, record);
    // What was seen is kept, whatever ended it.
    record.syn_received_max = lookout.syn_received_max;
    record.accept_waiting_max = lookout.accept_waiting_max;
    let pressure = lookout.pressure();
    let (rows, looks, took) = lookout.into_rows();
    record.timeline = rows;
    record.syn_received_looks = looks;
    record.syn_received_looked_ns = took.0;
    let totals = climbed?;
    record.pressure = pressure?;
    if record.established < plan.cost.connections && record.stopped.is_none() && !plan.short {
        let doubt = Doubt::NotEstablished {
            established: record.established,
            asked: plan.cost.connections,
            why: connect_failures(&totals),
        };
        warnings.push(doubt.warning("handshake"));
    }
    trial::end(stage, &spec, halves)
}

/// Opens all, and writes down how it went. Returns what the load generator counted.
fn open(
    stage: &mut Stage<'_>,
    spec: &TrialSpec,
    halves: &mut Halves,
    lookout: &mut Lookout<'_>,
    record: &mut HandshakeRecord,
) -> Result<Counters, ExperimentError> {
    let pids = halves.both()?;
    let before = CpuSnapshot::take(pids.0, pids.1)?;
    halves.server.go(Phase::Open)?;
    halves.load.go(Phase::Open)?;
    let climbed = climb_watched(stage, spec, halves, lookout);
    record.cpu_ns = before.until(&CpuSnapshot::take(pids.0, pids.1)?)?;
    let (server, load) = (halves.server.settle()?, halves.load.settle()?);
    lookout.finish(load.totals.established)?;
    record.established_for_clients = load.totals.established;
    // The server's view has no connection in it whose last ACK was refused.
    record.established = load.totals.established.min(server.totals.established);
    let failures = load.totals.connects_failed.iter();
    record.failures = failures
        .map(|(errno, count)| (errno_name(*errno), *count))
        .collect();
    halves.load.go(Phase::Window)?;
    let closed = halves.load.go(Phase::Closed)?;
    if let Some(text) = closed.histograms.get("connect") {
        let histogram = HistogramRecord::of(&decode(text)?)?;
        record.histograms.insert("connect".to_owned(), histogram);
    }
    let ramp = climbed?;
    record.took_ns = ramp.took.0;
    if let Some(stop) = ramp.stopped {
        record.stopped = Some(stop.to_string());
    }
    Ok(load.totals)
}
