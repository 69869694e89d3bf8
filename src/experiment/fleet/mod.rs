//! Connections held by hand: what one host of them measures, and the record it leaves.
//!
//! Does not start anything and does not know of the other hosts. `serve` and `load` run the connections; here the meters
//! around the window become the host's row of a [`FleetRecord`]. Each host reads its own meters alone: the server's CPU
//! and memory are never divided among load generators.

mod meters;
mod rows;

pub use meters::{MeasuredWindow, OpenWindow};
pub use rows::{Held, HostSpec, load_row, server_row};

use super::cost::empty;
use crate::record::{Config, Environment, FleetRecord, Kind, Record, Warning};

/// What a host's record says beside its row.
#[derive(Clone, Debug)]
pub struct Said {
    /// The command line.
    pub command: String,
    /// The run's label.
    pub label: Option<String>,
    /// The settings that all hosts share.
    pub config: Config,
    /// This host.
    pub environment: Environment,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// How long it took in all.
    pub duration_ms: u64,
    /// Reasons to doubt it.
    pub warnings: Vec<Warning>,
    /// Why it is not whole.
    pub stopped: Option<String>,
}

impl Said {
    /// The record of one host, `fleet` with its row in it. Probes that under these settings may be others' are left out.
    #[must_use]
    pub fn record(self, mut fleet: FleetRecord) -> Record {
        rows::only_own_probes(&mut fleet, &self.config);
        let partial = self.stopped.is_some();
        Record {
            fleet: Some(fleet),
            partial,
            valid: !partial && self.warnings.iter().all(|warning| !warning.invalidates),
            warnings: self.warnings,
            started_at: self.started_at,
            duration_ms: self.duration_ms,
            ..empty(
                Kind::Fleet,
                (&self.command, self.label.as_ref()),
                self.config,
                self.environment,
            )
        }
    }
}
