//! The life cycle of TCP connections: how they begin and end, and what that takes.
//!
//! Does not print.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "called by the run that is being built")
)]
mod ports;
