//! The library's record, and the hosts' records its own tests use.

pub(crate) use ringbeat::record::*;

#[path = "../../../src/record/fixture.rs"]
pub(crate) mod fixture;
