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

mod capture;
mod hosts;
mod play;
mod ports;
mod scenarios;
mod scene;
mod seen;
mod segment;
mod watch;
mod wire;
