//! Cores: which ones this process may run on, pinning a thread to one, and leaving it to everybody else.
//!
//! Does not choose who runs where. The list is that of the affinity mask (`sched_getaffinity(2)`),
//! which is the online cores unless a container or `taskset` allows fewer; numbers are the kernel's
//! and may have gaps.

use core_affinity::CoreId;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// The cores this process may use, ascending; empty when the system would not say.
#[must_use]
pub fn usable_cores() -> Vec<usize> {
    let mut cores: Vec<usize> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter()
        .map(|core| core.id)
        .collect();
    cores.sort_unstable();
    cores
}

/// Bits of a `cpu_set_t` (`sched_setaffinity(2)`).
const CPU_SET_BITS: usize = 1024;

/// Ties the calling thread to `core`; false when the system refused (no such core, or outside the
/// mask).
#[must_use]
pub fn pin_current_thread(core: usize) -> bool {
    core < CPU_SET_BITS && core_affinity::set_for_current(CoreId { id: core })
}

/// Puts the calling thread into the idle scheduling class (`SCHED_IDLE`, sched(7)): it runs when no other thread wants
/// the core. False when the system refused.
#[must_use]
pub fn soak_with_current_thread() -> bool {
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
    )
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned_to_a_usable_core_and_to_no_other() {
        let cores = usable_cores();
        assert!(!cores.is_empty());
        let last = cores[cores.len() - 1];
        let pinned = std::thread::spawn(move || pin_current_thread(last));
        assert!(pinned.join().unwrap());
        let refused =
            std::thread::spawn(|| !pin_current_thread(1_000) && !pin_current_thread(1_024));
        assert!(refused.join().unwrap());
    }
}
