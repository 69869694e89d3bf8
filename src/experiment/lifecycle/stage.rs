//! The stage that every cost of a life cycle is measured on.
//!
//! Does not measure. The rows a stage samples are not kept: these costs have time lines of their own, or none.

use crate::experiment::plan::CostPlan;
use crate::experiment::sampler::Sampler;
use crate::experiment::trial::Stage;
use crate::experiment::watch::Watch;
use crate::experiment::{ExperimentError, Observer};
use crate::os::network::SocketStats;
use std::path::Path;

/// Runs `work` on a stage of the plan's own.
pub(super) fn on_stage<T>(
    plan: &CostPlan,
    executable: &Path,
    observer: &mut dyn Observer,
    work: impl FnOnce(&mut Stage<'_>) -> Result<T, ExperimentError>,
) -> Result<T, ExperimentError> {
    let (mut sampler, mut watch) = (Sampler::new(), Watch::default());
    let mut stage = Stage {
        begun: sampler.begun(),
        plan,
        executable,
        observer,
        sampler: &mut sampler,
        watch: &mut watch,
        baseline: SocketStats::read()?.tcp_allocated,
        fleet: None,
    };
    work(&mut stage)
}
