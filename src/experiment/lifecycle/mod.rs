//! The life cycle of TCP connections: what their beginning and their end cost.
//!
//! Does not print. Runs one part after the other, each on fresh processes in network namespaces of the run's own.

mod handshake;
mod shape;
mod turnover;

pub use handshake::{HandshakePlan, handshake};
pub use shape::LifecycleShape;
pub use turnover::{TurnoverPlan, time_wait_memory, turnovers};
