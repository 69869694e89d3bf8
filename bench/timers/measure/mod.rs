//! What is measured, and how it is told.
//!
//! Does not decide that structures are right; the script has done so before. Times are wall times
//! of one busy thread. The clock of the timers is simulated.

mod charts;
pub(crate) mod crossover;
mod cycle;
mod figures;
pub(crate) mod groups;
mod missing;
pub(crate) mod page;
mod population;
pub(crate) mod ticks;
mod verdicts;
