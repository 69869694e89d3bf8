//! What every structure under measurement can do.
//!
//! Does not count time: each operation is told the present. Units: ticks of 8 ms unless a caller
//! says otherwise, never near the end of `u32`. A timer belongs to an index below the capacity.

use std::fmt;

/// Why a structure cannot do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported(pub(crate) &'static str);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a structure is to the crate's wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The wheel itself.
    Ours,
    /// What the wheel might have been, or what would do without one.
    Baseline,
    /// Another crate's, or the standard library's.
    Rival,
    /// A rival's structure refreshed lazily, which it does not offer.
    Lent,
}

/// One deadline per index. The caller keeps `now` from going backwards.
pub(crate) trait Timers {
    /// As it stands in tables.
    const NAME: &'static str;
    const ROLE: Role;
    /// It notices an expiration less than this many ticks late.
    const PRECISION: u32 = 1;
    /// Whether [`Timers::clock_to`] does something, and so must be kept out of what is timed.
    const READS_CLOCK: bool = false;

    /// Nothing armed, memory for the indices below `capacity` where that can be reserved. `classes`
    /// are the timeouts that [`Timers::arm`] and [`Timers::touch`] will be called with.
    fn new(capacity: u32, classes: &[u32]) -> Self;

    /// Lets an index that is not armed expire at `now + timeout`.
    fn arm(&mut self, index: u32, now: u32, timeout: u32);

    /// A heartbeat: lets an armed index expire at `now + timeout`, which is not earlier than before.
    fn touch(&mut self, index: u32, now: u32, timeout: u32);

    /// Forgets an armed index.
    fn cancel(&mut self, index: u32);

    /// Lets an armed index expire at `now + timeout`, earlier or later than before, for any timeout.
    ///
    /// # Errors
    /// If the structure has no way to do that.
    fn reschedule(&mut self, _index: u32, _now: u32, _timeout: u32) -> Result<(), Unsupported> {
        Err(Unsupported("it has no such operation"))
    }

    /// Tells a structure that reads a clock of its own what that clock shows. Never timed: setting
    /// a simulated clock is the simulation's cost.
    fn clock_to(&mut self, _now: u32) {}

    /// Appends to `expired` what has expired at `now` or before. Returns how many those are.
    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize;

    /// How many entries the turns have looked at so far, 0 where nobody counts.
    fn visited(&self) -> u64 {
        0
    }
}

/// Why `T` cannot be asked to reschedule, `None` when it can.
pub(crate) fn cannot_reschedule<T: Timers>() -> Option<Unsupported> {
    let mut timers = T::new(1, &[2]);
    timers.arm(0, 0, 2);
    timers.reschedule(0, 0, 1).err()
}
