//! ringbeat: heartbeats in the application or keepalive in the kernel, measured.

pub mod arm;
pub mod bank;
pub mod clock;
pub mod control;
pub mod detector;
pub mod environment;
pub mod experiment;
pub mod half;
pub mod load;
pub mod measure;
pub mod os;
pub mod protocol;
pub mod record;
pub mod report;
pub mod ring;
pub mod server;
pub mod shard;
pub mod socket;
pub mod units;
pub mod wheel;
