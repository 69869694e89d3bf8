//! What timers must promise, each promise a property with a number, and both structures against it.
//!
//! Asserts no time and no speed: cost is checked by counting ticks processed and entries visited.
//! Times are nanoseconds and go through a [`TickClock`](crate::units::TickClock), because whole ticks
//! would hide roundings; after every operation the structure is checked. A case that ever fails is
//! kept in `tests/regressions.txt` and run first from then on.
//!
//! | number | promise | where |
//! |--------|---------|-------|
//! | 1 | nothing expires early | `expiry` |
//! | 2 | what is due expires in the first turn that reaches its tick | `expiry` |
//! | 3 | exactly once, whatever the step | `expiry` |
//! | 4 | a refresh hides the old deadline, up to the turn itself | `expiry` |
//! | 5 | what is cancelled never expires, expired or not | `ownership` |
//! | 6 | a reused index keeps nothing of its predecessor | `ownership` |
//! | 7 | a deadline that moves earlier is kept | `ownership` |
//! | 8 | the next deadline is none too late, and sleeping until it makes progress | `progress` |
//! | 9 | the structure is sound after every operation | `boundaries` |
//! | 10 | level boundaries and cascades are like any other tick | `boundaries` |
//! | 11 | passed and far deadlines are kept, after any uptime | `boundaries` |
//! | 12 | a clock that goes backwards changes nothing | `progress` |
//! | 13 | slices of a budget are one turn | `progress` |
//! | 14 | what has just expired may be armed for now, and the turn ends | `progress` |
//! | 15 | a jump costs what it meets and not what it passes | `progress` |
//! | 16 | the wrap of the tick is like any other tick | `boundaries` |
//! | 17 | a stalled loop kills nobody whose heartbeat waits | `src/tests/simulation.rs` |
//! | 18 | memory is bounded, and steady use allocates nothing | `ownership`, `bench/allocations.rs` |
//! | 19 | all may be cancelled or dropped in the middle of a turn | `ownership` |
//! | 20 | wheel, sweep and sorted list agree | `expiry` |

mod bags;
mod boundaries;
mod expiry;
mod operations;
mod oracle;
mod ownership;
mod progress;
mod sweep;
mod wheel;

use proptest::test_runner::{Config, FileFailurePersistence};

/// Where failed cases are kept, inside the source tree and not beside it.
const REGRESSIONS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/wheel/tests/regressions.txt"
);

fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        ..Config::default()
    }
}
