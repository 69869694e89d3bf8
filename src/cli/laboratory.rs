//! The right to make network namespaces, taken before anything else.
//!
//! Makes none.

use super::Failure;
use crate::os::namespace::become_root_of_own_namespace;
use nix::unistd::geteuid;

/// Sees to it that this process may make namespaces, and says how it came by that: `root` or `user-namespace`. Called
/// before anything starts a thread: the kernel refuses a user namespace to a process that has two.
pub(super) fn enter() -> Result<&'static str, Failure> {
    if geteuid().is_root() {
        return Ok("root");
    }
    become_root_of_own_namespace().map_err(|error| {
        Failure::Host(format!(
            "the laboratory is made of network namespaces, which need root or a user namespace, and neither is to be had \
             ({error}): run it again with sudo"
        ))
    })?;
    Ok("user-namespace")
}
