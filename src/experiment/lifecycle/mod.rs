//! The life cycle: how TCP connections begin and end, seen on the wire and in the kernel, held against the rules.
//!
//! Does not print. Every scenario has two hosts and a wire of its own, three network namespaces that end with it.
//!
//! | file | subject |
//! |---|---|
//! | `hosts` | two hosts in namespaces, and a third for the wire |
//! | `wire` | carries, delays, loses and remembers frames |
//! | `segment` | what a frame says |
//! | `watch` | the states of the sockets at both ends |
//! | `scene` | all of these, and the calls that programs make |
//! | `seen` | what came of a scene, and how a rule is held against it |
//! | `scenarios` | what is played, and the rules |
//! | `play` | one scenario, or many |
//! | `capture` | the frames as a file |
//! | `ports` | a client's ports used up, and what helps |
//! | `turnover` | what set-ups and tear-downs cost, and what `TIME_WAIT` takes |
//! | `handshake` | many connections opened at once |
//! | `stage` | what every cost is measured on |
//! | `shape` | how the two processes of the costs are made |
//! | `plan`, `run` | all of it together |

mod capture;
mod handshake;
mod hosts;
mod plan;
mod play;
mod ports;
mod run;
mod scenarios;
mod scene;
mod seen;
mod segment;
mod shape;
mod stage;
mod turnover;
mod watch;
mod wire;

pub use plan::{LifecycleOptions, LifecyclePlan, scenarios};
pub use run::run_lifecycle;
pub use shape::LifecycleShape;
pub use turnover::{TurnoverPlan, turnovers};
