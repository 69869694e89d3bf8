//! ringbeat: heartbeats in the application or keepalive in the kernel, measured.

pub mod detector;
pub mod protocol;
pub mod clock;
pub mod environment;
pub mod measure;
pub mod os;
pub mod record;
pub mod ring;
pub mod socket;
pub mod report;
pub mod units;
pub mod wheel;
