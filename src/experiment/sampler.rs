//! One row a second: what the run did, for `samples.csv` and the time lines.
//!
//! Does not decide anything. Reads `/proc` once a second in every arm alike, so its own cost is in the control
//! too.

use super::ExperimentError;
use crate::bank::Snapshot;
use crate::clock::{Clock as _, MonotonicClock};
use crate::measure::cpu::CpuSnapshot;
use crate::measure::wire::{Place, WireSnapshot};
use crate::record::Sample;
use crate::units::Nanos;

/// Collects the rows of all trials.
#[derive(Debug)]
pub(super) struct Sampler {
    begun: Nanos,
    rows: Vec<Sample>,
    last: Option<(CpuSnapshot, WireSnapshot)>,
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
        pids: (u32, u32),
        at: Place<'_>,
        (server, load): (&Snapshot, &Snapshot),
    ) -> Result<&Sample, ExperimentError> {
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
        if let Some((cpu_before, wire_before)) = &self.last {
            let spent = cpu_before.until(&cpu)?;
            let moved = wire_before.until(&wire);
            row.cpu_busy_ns = spent.busy;
            row.server_cpu_ns = spent.server_process;
            row.load_cpu_ns = spent.load_process;
            row.packets = moved.packets;
            row.backlog_drops = moved.softnet_drops;
            row.probes = moved.probes_attempted;
        }
        self.last = Some((cpu, wire));
        self.rows.push(row);
        Ok(&self.rows[self.rows.len() - 1])
    }

    /// When the newest row was taken and the heartbeats until then, if it is of this trial.
    pub(super) fn newest(&self) -> Option<(u64, u64)> {
        self.last.as_ref()?;
        let row = self.rows.last()?;
        Some((row.elapsed_ms, row.heartbeats))
    }

    pub(super) fn into_rows(self) -> Vec<Sample> {
        self.rows
    }
}
