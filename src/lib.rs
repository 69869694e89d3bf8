//! ringbeat: heartbeats in the application or keepalive in the kernel, measured.
//!
//! Anyone who keeps many long-lived TCP connections open must decide who notices a dead peer: the application
//! with heartbeats, or the kernel with keepalive. This crate holds the connections, runs the mechanisms side by
//! side at one detection budget, and writes down what each costs. The binary `ringbeat` is its front.
//!
//! # The machine
//!
//! ```text
//!   experiment (one process)  orders and snapshots, one JSON object a line, over pipes
//!      │                                                      │
//!      ▼ serve --controlled                                   ▼ load --controlled
//!  ┌── server process ─────────────────┐               ┌── load process ───────────────────┐
//!  │ core thread 0        core thread 1│               │ core thread 0        core thread 1│
//!  │ ┌── bank ───┐        ┌── bank ───┐│               │ ┌── bank ───┐        ┌── bank ───┐│
//!  │ │listener   │        │listener   ││               │ │ramp       │        │ramp       ││
//!  │ │ring+shard │        │ring+shard ││◀── loopback ──│ │ring+shard │        │ring+shard ││
//!  │ │ring+shard │        │ring+shard ││      TCP      │ │ring+shard │        │ring+shard ││
//!  │ │  …        │        │  …        ││               │ │  …        │        │  …        ││
//!  │ └───────────┘        └───────────┘│               │ └───────────┘        └───────────┘│
//!  └───────────────────────────────────┘               └───────────────────────────────────┘
//! ```
//!
//! A **shard** is sans-I/O: completions and the present go in, operations come out; inside it are the connection
//! table, a failure detector over a timing wheel or a flat sweep, and, on the sending side, a second wheel that is
//! the heartbeat schedule. A **bank** is what one pinned core thread drives: its rings, their shards, one tick.
//! Direct descriptors keep the sockets out of the process's descriptor table; a ring's table is capped by the
//! soft limit on open files, which is why a core may need several rings.
//!
//! Five experiments order the halves about: `compare` (what each mechanism costs), `scale` (how far a machine goes),
//! `detect` (who notices which fault, and when; the halves then sit on hosts of a laboratory, network namespaces with a
//! router between them), `storm` (everybody dropped at once) and `lifecycle` (how connections begin and end; most of it
//! between plain sockets and over a wire in user space, without the halves). The first four ask the `doctor` beforehand
//! what of the host stands against them. Besides, the halves can be run by hand on hosts of their own: several load
//! generators are shards of one population and meet at a rendezvous (`fleet`), each host leaves a record of its part, and
//! `merge` joins these. `advise` measures nothing: it makes settings of a question, and their cost of
//! what the others left. Nor does `merge`: it joins what `load` and `serve` left on the hosts of one run.
//!
//! # Layers
//!
//! A module imports from lower lines only; `src/tests/layers.rs` enforces it.
//!
//! ```text
//!  main
//!  cli
//!  experiment     advise (pure)     report (reads a record, nothing else)
//!  fleet (several hosts)     merge (pure)
//!  half  control
//!  server  load  environment  exporter
//!  bank  arm
//!  shard
//!  detector  measure
//!  wheel  protocol  record   |   clock  ring  epoll  socket  os
//!  units
//!        pure                |   touches the machine
//! ```
//!
//! `unsafe` lives in [`ring`] alone. Time is handed in to everything pure, never fetched.
//!
//! # What the numbers cannot show
//!
//! * Both ends share one machine and its loopback. The cost is that of the TCP stack and the scheduler, without
//!   a network card, its interrupts or its offloads; a cost per event is for both ends together.
//! * Frames wait for the tick of the other side. Half a tick each way is the mean; RTT is about one tick, by
//!   choice: a shorter tick buys latency with CPU.
//! * CPU accounting is sampled on many kernels; the cost therefore rests on idle time, which is exact, and is
//!   called *not resolved* where it does not stand out of the noise.
//! * Keepalive's probes are counted by the kernel as attempted, not as delivered; what was delivered is told from
//!   the interface's counters.

pub mod advise;
pub mod arm;
pub mod bank;
pub mod cli;
pub mod clock;
pub mod control;
pub mod detector;
pub mod environment;
pub mod epoll;
pub mod experiment;
pub mod exporter;
pub mod fleet;
pub mod half;
pub mod load;
pub mod measure;
pub mod merge;
pub mod os;
pub mod protocol;
pub mod record;
pub mod report;
pub mod ring;
pub mod server;
pub mod shard;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod units;
pub mod wheel;
