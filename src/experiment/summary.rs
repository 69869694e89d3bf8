//! The rounds of one arm become its figures: costs net of the control of the same round, with intervals.
//!
//! Pure. CPU is counted in the CPU window, events in the halves' counting window (they open with the next tick);
//! each round's events are scaled from the one to the other before anything is divided.

mod meters;
mod rounds;
mod slices;
mod wire;

use super::ExperimentError;
use super::plan::CostPlan;
use super::trial::Trial;
use crate::arm::Arm;
use crate::measure::statistics::paired_bootstrap;
use crate::record::{ArmRecord, CpuNanos, Estimate, MemoryPerConnection, RoundRecord};
use crate::units::Nanos;
use meters::{DIED, cycles, outlived, soaked};
use rounds::{histograms, in_window, mean_cpu, round_record};
pub(super) use slices::burst_slices;
use wire::{all_probes, burst, probes_beside, wire_record};

/// What `/proc/stat`'s idle column may be off by in one window, per CPU (10 ms at either end, twice over).
const METER_RESOLUTION_NS: f64 = 20e6;
const HOUR_NS: f64 = 3.6e12;
/// The control's rounds, which every other arm's are paired with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controls<'a> {
    pub(super) trials: &'a [Trial],
    pub(super) cpus: u32,
    /// By how much the machine changed its speed meanwhile, in thousandths; 0 where nobody looked.
    pub(super) drift_milli: u64,
}

impl<'a> Controls<'a> {
    /// Where nobody looked whether the machine changed its speed.
    pub(super) const fn new(trials: &'a [Trial], cpus: u32) -> Self {
        Self {
            trials,
            cpus,
            drift_milli: 0,
        }
    }

    fn of(&self, trial: &Trial) -> Option<&'a Trial> {
        let (control, round) = (&trial.spec.control, trial.spec.round);
        self.trials
            .iter()
            .find(|other| other.spec.name == *control && other.spec.round == round)
    }

    /// The interval of a cost, as wide as the machine's own change of speed makes it. Rounds share a drift that is slower
    /// than they are, so their scatter does not show it; what makes the reference dearer makes every arm dearer.
    fn widened(&self, figure: Estimate) -> Estimate {
        let half = whole(float(figure.median.unsigned_abs() * self.drift_milli) / 2000.0);
        let half = half.cast_signed();
        Estimate {
            low: figure.low - half,
            high: figure.high + half,
            ..figure
        }
    }

    /// A difference of CPU time in one window that is no more than noise: what the meter cannot tell, or what
    /// the control itself varied by, whichever is larger.
    fn noise_floor_ns(&self, control: &str) -> f64 {
        let rates: Vec<f64> = self
            .trials
            .iter()
            .filter(|trial| trial.spec.name == control)
            .map(|trial| float(trial.cpu.busy))
            .collect();
        let highest = rates.iter().copied().fold(0.0, f64::max);
        let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        (METER_RESOLUTION_NS * f64::from(self.cpus)).max(highest - lowest)
    }

    /// The soaker's likewise, in a window of this length: it has no resolution to speak of.
    fn soaker_floor_ns(&self, control: &str, window: Nanos) -> f64 {
        let own = self
            .trials
            .iter()
            .filter(|trial| trial.spec.name == control);
        let taken: Vec<u64> = own
            .filter_map(|trial| Some(trial.stretch.as_ref()?.record(window, 0, 0).taken_ns))
            .collect();
        float(taken.iter().max().unwrap_or(&0) - taken.iter().min().unwrap_or(&0))
    }
}

/// One round in numbers that can be divided.
struct Round<'a> {
    trial: &'a Trial,
    control: &'a Trial,
    /// Events, scaled to the CPU window; `None` for the control.
    events: Option<f64>,
    attempted: f64,
    packets: f64,
    bytes: f64,
}

impl<'a> Round<'a> {
    fn new(trial: &'a Trial, control: &'a Trial) -> Self {
        let share = float(trial.window.0) / float(control.window.0);
        let packets = float(trial.wire.packets) - float(control.wire.packets) * share;
        let bytes = float(trial.wire.ip_bytes) - float(control.wire.ip_bytes) * share;
        let attempted = float(trial.wire.probes_attempted);
        let counted = |count: u64, window: u64| {
            (window > 0).then(|| float(count) * float(trial.window.0) / float(window))
        };
        let (server, load) = (&trial.server, &trial.load);
        let events = match trial.spec.arm {
            Arm::None => None,
            Arm::Keepalive | Arm::KeepaliveUserTimeout => Some(delivered(trial, control)),
            Arm::Heartbeat | Arm::Both => {
                counted(in_window(load, |c| c.acks_received), load.window_ns.0)
            }
            Arm::HeartbeatOneway => counted(
                in_window(server, |c| c.heartbeats_received),
                server.window_ns.0,
            ),
            Arm::HeartbeatPush => {
                counted(in_window(server, |c| c.acks_received), server.window_ns.0)
            }
        };
        Self {
            trial,
            control,
            events,
            attempted,
            packets,
            bytes,
        }
    }
}

fn busy(round: &Round<'_>) -> f64 {
    float(round.trial.cpu.busy)
}

/// The control's CPU time, brought to this window's length.
fn control_busy(round: &Round<'_>) -> f64 {
    float(round.control.cpu.busy) * float(round.trial.window.0) / float(round.control.window.0)
}

fn connection_hours(round: &Round<'_>) -> f64 {
    float(round.trial.spec.connections) * float(round.trial.window.0) / HOUR_NS
}

/// Probes that arrived. Without drops that is every attempt; with drops those that were answered.
fn delivered(trial: &Trial, control: &Trial) -> f64 {
    let attempted = float(trial.wire.probes_attempted);
    // The ACKs of the other ends are not in this host's counters when those are on other hosts.
    if trial.wire.softnet_drops == 0 || !trial.hosts.is_empty() {
        return attempted;
    }
    let share = float(trial.window.0) / float(control.window.0);
    let answered =
        float(trial.wire.probes_answered()) - float(control.wire.probes_answered()) * share;
    attempted.min(answered.max(0.0))
}

/// The figures of the arm called `name`.
pub(super) fn arm_record(
    plan: &CostPlan,
    name: &str,
    trials: &[Trial],
    controls: Controls<'_>,
) -> Result<Option<ArmRecord>, ExperimentError> {
    let own: Vec<&Trial> = trials
        .iter()
        .filter(|trial| trial.spec.name == name)
        .collect();
    let rounds: Vec<Round<'_>> = own
        .iter()
        .filter_map(|trial| Some(Round::new(trial, controls.of(trial)?)))
        .collect();
    let Some(first) = rounds.first() else {
        return Ok(None);
    };
    let arm = first.trial.spec.arm;
    let mut record = ArmRecord {
        name: name.to_owned(),
        engine: first.trial.spec.engine.kind.to_string(),
        control: first.trial.spec.control.clone(),
        rounds: u32::try_from(rounds.len()).unwrap_or(u32::MAX),
        connections_requested: first.trial.spec.connections,
        cpu_ns: mean_cpu(&rounds),
        packets_per_event_model: arm.packets_per_event(),
        rounds_detail: rounds.iter().map(round_record).collect::<Result<_, _>>()?,
        ..ArmRecord::default()
    };
    counts(&mut record);
    costs(&mut record, plan, &rounds, controls);
    wire(&mut record, &rounds);
    memory(&mut record, &rounds);
    let due: u64 = record
        .rounds_detail
        .iter()
        .map(|round| round.heartbeats_scheduled)
        .sum();
    let sent: u64 = record
        .rounds_detail
        .iter()
        .map(|round| round.heartbeats_sent)
        .sum();
    record.rate_ratio_milli = (due > 0).then(|| sent * 1000 / due);
    let rates = record.rounds_detail.iter();
    let mut rates: Vec<f64> = rates
        .filter_map(|round| round.opening.connects_per_second)
        .collect();
    rates.sort_by(f64::total_cmp);
    record.connects_per_second = rates.get(rates.len() / 2).copied();
    if arm.has_keepalive() {
        record.burst = Some(burst(plan, &rounds));
    }
    if arm.counts_probes() && first.trial.hosts.is_empty() {
        record.probes = Some(all_probes(&record.rounds_detail));
    }
    record.histograms = histograms(&record.rounds_detail)?;
    absences(&mut record, arm);
    if !first.trial.hosts.is_empty() {
        elsewhere(&mut record);
    }
    if arm != Arm::None && !outlived(&rounds) {
        let reason = DIED.to_owned();
        let key = "soaker_cpu_ns_per_event".to_owned();
        record.absent.insert(key, reason);
    }
    Ok(Some(record))
}

fn counts(record: &mut ArmRecord) {
    let fewest = |figure: fn(&RoundRecord) -> u64| {
        record.rounds_detail.iter().map(figure).min().unwrap_or(0)
    };
    record.connections_established = fewest(|round| round.connections_established);
    record.connections_held_at_end = fewest(|round| round.connections_held_at_end);
    for round in &record.rounds_detail {
        for (cause, count) in &round.connections_lost {
            *record.connections_lost.entry(cause.clone()).or_default() += count;
        }
        record.drops.softnet_backlog += round.drops.softnet_backlog;
        record.drops.listen += round.drops.listen;
        record.drops.cq_overflow += round.drops.cq_overflow;
        record.drops.receive_buffers += round.drops.receive_buffers;
        record.drops.retransmitted += round.drops.retransmitted;
    }
}

fn costs(record: &mut ArmRecord, plan: &CostPlan, rounds: &[Round<'_>], controls: Controls<'_>) {
    let column = |figure: fn(&Round<'_>) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let (spent, hours) = (column(busy), column(connection_hours));
    let seed = plan.options.seed;
    let floor = controls.noise_floor_ns(&record.control);
    if record.is_control() {
        let nothing = vec![0.0; spent.len()];
        record.cpu_ns_per_connection_hour = paired_bootstrap(&spent, &nothing, &hours, 0.0, seed)
            .ok()
            .map(|figure| controls.widened(figure));
        return;
    }
    let control = column(control_busy);
    let net = |divisor: &[f64]| {
        let figure = paired_bootstrap(&spent, &control, divisor, floor, seed).ok()?;
        // Work that seems to give time back is noise, however loud.
        let resolved = figure.resolved && figure.median > 0;
        Some(controls.widened(Estimate { resolved, ..figure }))
    };
    record.cpu_ns_per_connection_hour = net(&hours);
    let Some(events) = rounds
        .iter()
        .map(|round| round.events)
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    record.events = Some(record.rounds_detail.iter().map(|round| round.events).sum());
    let windows: f64 = rounds.iter().map(|round| float(round.trial.window.0)).sum();
    record.events_per_second = Some(events.iter().sum::<f64>() / windows * 1e9);
    record.cpu_ns_per_event = net(&events);
    record.soaker_cpu_ns_per_event = soaked(record, rounds, controls, seed);
    record.cycles_per_event = cycles(rounds, &events, seed);
    // A process's own clock is exact, so its noise is that of the rounds alone.
    let process = |figure: fn(&CpuNanos) -> Option<u64>| {
        let share = |round: &Round<'_>| {
            let spent = float(figure(&round.control.cpu)?);
            Some(spent * float(round.trial.window.0) / float(round.control.window.0))
        };
        let own = rounds
            .iter()
            .map(|round| figure(&round.trial.cpu).map(float));
        let own: Vec<f64> = own.collect::<Option<_>>()?;
        let control: Vec<f64> = rounds.iter().map(share).collect::<Option<_>>()?;
        paired_bootstrap(&own, &control, &events, 0.0, seed).ok()
    };
    record.server_cpu_ns_per_event = process(|cpu| Some(cpu.server_process));
    record.load_cpu_ns_per_event = process(|cpu| cpu.load_process);
    if rounds[0].trial.spec.arm.counts_probes() {
        let attempted = column(|round| round.attempted);
        record.events_attempted = Some(
            record
                .rounds_detail
                .iter()
                .map(|round| round.probes_attempted)
                .sum(),
        );
        record.cpu_ns_per_attempt = net(&attempted);
    }
}

fn wire(record: &mut ArmRecord, rounds: &[Round<'_>]) {
    let sum = |figure: fn(&Round<'_>) -> f64| rounds.iter().map(figure).sum::<f64>();
    let (packets, bytes) = (sum(|round| round.packets), sum(|round| round.bytes));
    if record.events.is_some() {
        let events = sum(|round| round.events.unwrap_or(0.0));
        if events > 0.0 {
            record.packets_per_event = Some(packets / events);
            record.wire_bytes_per_event = Some(bytes / events);
            let arm = rounds[0].trial.spec.arm;
            let beside = probes_beside(arm, rounds) / events;
            let model = &mut record.packets_per_event_model;
            *model = model.map(|packets| packets + beside * Arm::PACKETS_PER_PROBE);
        }
        record.wire = wire_record(rounds, events);
        let per_hour = bytes / sum(connection_hours);
        record.wire_bytes_per_connection_hour = Some(whole(per_hour));
    }
}

fn memory(record: &mut ArmRecord, rounds: &[Round<'_>]) {
    let all: Vec<MemoryPerConnection> = rounds.iter().map(|round| round.trial.memory).collect();
    record.memory_bytes_per_connection = MemoryPerConnection {
        server_user: median(all.iter().filter_map(|memory| memory.server_user)),
        load_user: median(all.iter().filter_map(|memory| memory.load_user)),
        kernel_sockets: median(all.iter().filter_map(|memory| memory.kernel_sockets)),
        kernel_io_uring: median(all.iter().filter_map(|memory| memory.kernel_io_uring)),
        remainder: median(all.iter().filter_map(|memory| memory.remainder)),
        total: median(all.iter().filter_map(|memory| memory.total)),
    };
    for round in rounds {
        record.absent.extend(round.trial.memory_absent.clone());
        for cache in round.trial.memory_caches.keys() {
            let grown = rounds
                .iter()
                .map(|round| *round.trial.memory_caches.get(cache).unwrap_or(&0));
            let each = median(grown).unwrap_or(0);
            if each != 0 {
                record.memory_bytes_by_cache.insert(cache.clone(), each);
            }
        }
    }
    let unrest = rounds.iter().map(|round| round.trial.memory_unrest);
    record.memory_uncertainty_bytes = unrest.max();
}

fn absences(record: &mut ArmRecord, arm: Arm) {
    let has_lateness = record.histograms.contains_key("lateness");
    let mut say = |key: &str, reason: &str| {
        record.absent.insert(key.to_owned(), reason.to_owned());
    };
    if arm == Arm::None {
        for key in [
            "events",
            "events_per_second",
            "cpu_ns_per_event",
            "soaker_cpu_ns_per_event",
            "server_cpu_ns_per_event",
            "load_cpu_ns_per_event",
            "packets_per_event",
        ] {
            say(key, "the control has no events");
        }
        say(
            "wire_bytes_per_connection_hour",
            "the control sends nothing",
        );
    }
    if !arm.has_heartbeats() {
        let reason = if arm == Arm::None {
            "the control sends nothing"
        } else {
            "the kernel does not tell when a probe left or its ACK came"
        };
        for key in ["rtt", "response", "schedule_lag"] {
            say(key, reason);
        }
        say("lateness", "no timing wheel runs in this arm");
    }
    if arm.has_heartbeats() && !has_lateness {
        say(
            "lateness",
            "no deadline's entry came due in the window: it is shorter than the timeout",
        );
    }
    if arm == Arm::HeartbeatOneway {
        for key in ["rtt", "response"] {
            say(key, "one-way heartbeats are not answered");
        }
    }
}

/// What cannot be known of load generators on other hosts.
fn elsewhere(record: &mut ArmRecord) {
    for (key, reason) in [
        (
            "cpu_ns.load_process",
            "the load generators ran on other hosts",
        ),
        (
            "load_cpu_ns_per_event",
            "the load generators ran on other hosts",
        ),
        (
            "probes",
            "what became of them is told by the counters of both ends, and the other ends were on other hosts",
        ),
    ] {
        let absent = &mut record.absent;
        absent
            .entry(key.to_owned())
            .or_insert_with(|| reason.to_owned());
    }
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of minutes, below 2^53"
)]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, and saturating at the ends as wanted"
)]
pub(super) fn whole(value: f64) -> u64 {
    value.round() as u64
}
