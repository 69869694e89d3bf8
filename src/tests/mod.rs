//! Tests of more than one module: two shards joined by a model of the kernel.
//!
//! No test here measures time: the simulation's clock is a number.

mod dice;
mod fake_ring;
mod simulation;
mod socket;
mod world;
