//! What is measured, and how it is told.
//!
//! Does not decide that structures are right; the script has done so before. Times are wall times
//! of one busy thread. The clock of the timers is simulated.

pub(crate) mod crossover;
pub(crate) mod cycle;
pub(crate) mod groups;
pub(crate) mod population;
pub(crate) mod summary;
