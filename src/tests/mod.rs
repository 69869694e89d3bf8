//! Tests of more than one module: shards against a model of the kernel, and the shape of the source tree.
//!
//! No test here measures time: the simulation's clock is a number, and the layer test reads files.

mod dice;
mod disturbances;
mod endings;
mod fake_ring;
mod gate;
mod layers;
mod phases;
mod reconnection;
mod schema;
mod simulation;
mod socket;
mod sources;
mod stops;
mod world;
