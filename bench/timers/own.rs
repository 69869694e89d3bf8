//! The crate's two structures: the wheel, refreshed lazily, its slots bags of chunks; and the sweep,
//! which looks at every deadline in turn, a share each tick.
//!
//! Does not limit a turn by a budget, since no rival has one that means the same.

use super::subject::{Role, Timers, Unsupported};
use ringbeat::units::Tick;
use ringbeat::wheel;

/// Ticks of 8 ms that just fit into 100 ms.
pub(crate) const TENTH_OF_A_SECOND: u32 = 12;

/// The wheel, and how many entries its turns have visited.
pub(crate) struct Wheel(wheel::Wheel, u64);

/// The sweep that comes round in `PERIOD` ticks, and how many timers it has expired.
pub(crate) struct Sweep<const PERIOD: u32>(wheel::Sweep, u64);

/// What both do in the same words.
macro_rules! operations {
    () => {
        fn arm(&mut self, index: u32, now: u32, timeout: u32) {
            self.0.arm(index, Tick(now + timeout));
        }

        fn touch(&mut self, index: u32, now: u32, timeout: u32) {
            self.0.refresh(index, Tick(now + timeout));
        }

        fn cancel(&mut self, index: u32) {
            self.0.cancel(index);
        }

        fn reschedule(&mut self, index: u32, now: u32, timeout: u32) -> Result<(), Unsupported> {
            self.0.arm(index, Tick(now + timeout));
            Ok(())
        }

        fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
            let turn = self.0.turn_to(Tick(now), usize::MAX, expired);
            self.1 += turn.visited as u64;
            turn.expired
        }

        fn visited(&self) -> u64 {
            self.1
        }
    };
}

impl Timers for Wheel {
    const NAME: &'static str = "ringbeat wheel";
    const ROLE: Role = Role::Ours;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self(wheel::Wheel::with_capacity(capacity, Tick(0)), 0)
    }

    operations!();
}

impl<const PERIOD: u32> Timers for Sweep<PERIOD> {
    const NAME: &'static str = match PERIOD {
        1 => "sweep, 8 ms",
        TENTH_OF_A_SECOND => "sweep, 96 ms",
        _ => "sweep",
    };
    const ROLE: Role = Role::Baseline;
    const PRECISION: u32 = PERIOD;

    fn new(capacity: u32, _classes: &[u32]) -> Self {
        Self(wheel::Sweep::with_capacity(capacity, PERIOD, Tick(0)), 0)
    }

    operations!();
}
