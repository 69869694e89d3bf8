//! The built binary from end to end: what it prints, what it exits with, what it refuses.
//!
//! Does not measure and asserts no times. Every process is killed when its test ends, whatever
//! happens; ports are chosen by the server or by the kernel, so tests run side by side.

#[cfg(test)]
#[path = "cli/child.rs"]
mod child;
#[cfg(test)]
#[path = "cli/controlled.rs"]
mod controlled;
#[cfg(test)]
#[path = "cli/disturbances.rs"]
mod disturbances;
#[cfg(test)]
#[path = "cli/doctor.rs"]
mod doctor;
#[cfg(test)]
#[path = "cli/fleet.rs"]
mod fleet;
#[cfg(test)]
#[path = "cli/frames.rs"]
mod frames;
#[cfg(test)]
#[path = "cli/halves.rs"]
mod halves;
#[cfg(test)]
#[path = "cli/merge/folders.rs"]
mod merge;
#[cfg(test)]
#[path = "cli/metrics.rs"]
mod metrics;
#[cfg(test)]
#[path = "cli/openmetrics.rs"]
mod openmetrics;
#[cfg(test)]
#[path = "cli/orders.rs"]
mod orders;
#[cfg(test)]
#[path = "cli/peers.rs"]
mod peers;
#[cfg(test)]
#[path = "cli/ports.rs"]
mod ports;
#[cfg(test)]
#[path = "cli/merge/record.rs"]
mod record;
#[cfg(test)]
#[path = "cli/refusals.rs"]
mod refusals;
#[cfg(test)]
#[path = "cli/shell.rs"]
mod shell;
#[cfg(test)]
#[path = "cli/view.rs"]
mod view;
