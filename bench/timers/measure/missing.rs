//! What is not in the tables, and why.

use crate::timers::subject::{Timers, cannot_reschedule};
use crate::timers::{Visitor, visit_all};

/// Crates that were considered, and why they are not run.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "keyed_priority_queue",
        "the same structure as priority-queue, which is the maintained one",
    ),
    (
        "bitwheel",
        "64 slots of fixed capacity: a population with equal timeouts overflows into its BTreeMap",
    ),
    (
        "kestrel-timer",
        "its wheel allocates a task per timer and is made to be driven by Tokio",
    ),
    (
        "intrusive-collections, radix-heap",
        "no keyed timers; they would be structures of ours",
    ),
];

/// The cases a structure cannot run and the crates that are not run, a line each.
pub(crate) fn list() -> String {
    struct Missing(Vec<String>);
    impl Visitor for Missing {
        fn visit<T: Timers>(&mut self) {
            if let Some(reason) = cannot_reschedule::<T>() {
                self.0
                    .push(format!("- {}: no reschedule, {reason}\n", T::NAME));
            }
        }
    }
    let mut missing = Missing(Vec::new());
    visit_all(&mut missing);
    let crates = NOT_RUN
        .iter()
        .map(|(name, reason)| format!("- {name}: {reason}\n"));
    missing.0.into_iter().chain(crates).collect()
}
