//! Fleets that real engines start: `scripts/fleet-mpi` and `scripts/fleet-parallel` with the built binary, each host a
//! network namespace of this machine.
//!
//! Needs root and the engines, and says SKIPPED without. Asserts counts and that nothing is left; no times.

#[cfg(test)]
#[path = "cli/child.rs"]
#[expect(dead_code, reason = "other test targets use the rest of it")]
mod child;
#[cfg(test)]
#[path = "fleet/engines.rs"]
mod engines;
#[cfg(test)]
#[path = "fleet/place.rs"]
mod place;
