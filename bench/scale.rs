//! `ringbeat scale` end to end: the built binary climbs, sweeps, holds, and stops where it must.
//!
//! Asserts counts and files, never a time or a speed. One run at a time: they read the loopback interface's counters
//! and the machine's free memory, and another run's would be in them.

#[cfg(test)]
#[path = "scale/climb.rs"]
mod climb;
#[cfg(test)]
#[path = "scale/place.rs"]
mod place;
#[cfg(test)]
#[path = "scale/trouble.rs"]
mod trouble;
