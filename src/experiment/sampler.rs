//! One row a second: what the run did, for `samples.csv` and the time lines.
//!
//! Does not decide anything. Reads `/proc` once a second in every arm alike, so its own cost is in the control
//! too.

use super::{CpuShares, ExperimentError};
use crate::bank::Snapshot;
use crate::clock::{Clock as _, MonotonicClock};
use crate::measure::cpu::CpuSnapshot;
use crate::measure::wire::{Place, WireDelta, WireSnapshot};
use crate::record::{CpuNanos, OpeningPressure, Sample};
use crate::shard::Ladders;
use crate::units::Nanos;

/// Collects the rows of all trials.
#[derive(Debug)]
pub(super) struct Sampler {
    begun: Nanos,
    rows: Vec<Sample>,
    last: Option<Seen>,
}

/// What the next row is the difference to.
#[derive(Debug)]
struct Seen {
    cpu: CpuSnapshot,
    wire: WireSnapshot,
    ladders: Ladders,
    elapsed_ms: u64,
    heartbeats: u64,
}

/// What has come since the row before, for those who watch. A trial's first row has nothing before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Heartbeats, or probes.
    pub(super) events_per_second: u64,
    pub(super) rtt_p99: Option<Nanos>,
    pub(super) schedule_lag_p99: Option<Nanos>,
    pub(super) cpu: Option<CpuShares>,
    pub(super) backlog_drops: u64,
    pub(super) opening: OpeningPressure,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self {
            begun: MonotonicClock.now(),
            rows: Vec::new(),
            last: None,
        }
    }

    /// When the first row could have been.
    pub(super) const fn begun(&self) -> Nanos {
        self.begun
    }

    /// Forgets the processes of the trial before.
    pub(super) fn next_trial(&mut self) {
        self.last = None;
    }

    /// Adds a row. `place` names round, arm and phase; `pids` are the halves, with their newest snapshots, and
    /// `at` is where their packets are counted.
    pub(super) fn sample(
        &mut self,
        place: (u32, &str, &str),
        pids: (u32, Option<u32>),
        at: Place<'_>,
        (server, load): (&Snapshot, &Snapshot),
    ) -> Result<Look, ExperimentError> {
        let cpu = CpuSnapshot::take(pids.0, pids.1)?;
        let wire = WireSnapshot::take(at)?;
        let (round, arm, phase) = place;
        let mut row = Sample {
            elapsed_ms: (MonotonicClock.now() - self.begun).0 / 1_000_000,
            round,
            arm: arm.to_owned(),
            phase: phase.to_owned(),
            connections: load.totals.open,
            heartbeats: load.totals.heartbeats_sent + server.totals.heartbeats_sent,
            acks: load.totals.acks_received + server.totals.acks_received,
            ..Sample::default()
        };
        let mut ladders = server.ladders.clone();
        ladders.add(&load.ladders);
        let mut look = Look::default();
        if let Some(before) = &self.last {
            let spent = before.cpu.until(&cpu)?;
            let moved = before.wire.until(&wire);
            look = before.look(&row, &spent, before.cpu.capacity_until(&cpu), &moved);
            look.rtt_p99 = ladders.rtt.since(&before.ladders.rtt).quantile(990);
            let lag = ladders.schedule_lag.since(&before.ladders.schedule_lag);
            look.schedule_lag_p99 = lag.quantile(990);
            row.cpu_busy_ns = spent.busy;
            row.server_cpu_ns = spent.server_process;
            row.load_cpu_ns = spent.load_process;
            row.packets = moved.packets;
            row.backlog_drops = moved.softnet_drops;
            row.probes = moved.probes_attempted;
        }
        self.last = Some(Seen {
            cpu,
            wire,
            ladders,
            elapsed_ms: row.elapsed_ms,
            heartbeats: row.heartbeats,
        });
        self.rows.push(row);
        Ok(look)
    }

    pub(super) fn into_rows(self) -> Vec<Sample> {
        self.rows
    }
}

impl Seen {
    /// The part of a look that comes from `row`, what was `spent` of the CPUs' `capacity`, and what `moved`.
    fn look(&self, row: &Sample, spent: &CpuNanos, capacity: Nanos, moved: &WireDelta) -> Look {
        // Rows lie a second apart but for pauses.
        let span_ms = row.elapsed_ms.saturating_sub(self.elapsed_ms).max(1);
        let beats = row.heartbeats.saturating_sub(self.heartbeats);
        let events = beats.max(moved.probes_attempted);
        let percent = |nanos: u64| nanos.saturating_mul(100) / capacity.0.max(1);
        Look {
            events_per_second: events * 1_000 / span_ms,
            cpu: Some(CpuShares {
                machine: percent(spent.busy),
                halves: spent
                    .load_process
                    .map(|load| (percent(spent.server_process), percent(load))),
            }),
            backlog_drops: moved.softnet_drops,
            opening: moved.opening,
            ..Look::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_per_second_and_in_percent_of_the_machine() {
        let mut sampler = Sampler::new();
        let pid = std::process::id();
        let place = (0, "heartbeat", "steady");
        let at = Place::Here { interface: "lo" };
        let mut server = Snapshot::default();
        let first = sampler.sample(place, (pid, Some(pid)), at, (&server, &server));
        let first = first.unwrap();
        assert!(first.cpu.is_none() && first.events_per_second == 0);
        server.totals.heartbeats_sent = 1_000;
        server.ladders.rtt.record(Nanos::from_millis(8), 1_000);
        std::thread::sleep(std::time::Duration::from_millis(100));
        let load = Snapshot::default();
        let look = sampler.sample(place, (pid, Some(pid)), at, (&server, &load));
        let look = look.unwrap();
        assert!((100..=10_000).contains(&look.events_per_second), "{look:?}");
        let p99 = look.rtt_p99.unwrap();
        assert!(
            (7_000_000..=9_000_000).contains(&p99.0) && look.schedule_lag_p99.is_none(),
            "{look:?}"
        );
        let shares = look.cpu.unwrap();
        assert!(shares.machine <= 101 && shares.halves.is_some(), "{look:?}");
        sampler.next_trial();
        let again = sampler.sample(place, (pid, Some(pid)), at, (&server, &load));
        assert!(again.unwrap().rtt_p99.is_none(), "another trial's values");
        assert_eq!(sampler.into_rows().len(), 3);
    }
}
