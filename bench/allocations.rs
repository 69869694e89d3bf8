//! That steady use of the timers allocates nothing: property 18 of `src/wheel/tests.rs`.
//!
//! A target of its own because the counter replaces the allocator of the whole program. It counts this
//! thread's allocations alone, so tests may run side by side.

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use ringbeat::detector::Detector;
    use ringbeat::units::{Nanos, Tick, TickClock};
    use ringbeat::wheel::{Timers, TimersKind};

    const KINDS: [TimersKind; 2] = [TimersKind::Wheel, TimersKind::Sweep { period: 12 }];
    const CAPACITY: u32 = 2_000;

    /// Ten populations opened, refreshed, closed, cancelled, expired and inherited.
    fn churn(timers: &mut Timers, expired: &mut Vec<u32>) {
        for round in 0..10_u32 {
            let begin = Tick(round * 900);
            for index in 0..CAPACITY {
                timers.arm(index, begin.after(100 + index * 7 % 20_000));
            }
            for step in 0..900 {
                let index = step * 11 % CAPACITY;
                if let Some(deadline) = timers.deadline(index) {
                    timers.refresh(index, deadline.after(300));
                }
                timers.cancel(index * 5 % CAPACITY);
                expired.clear();
                timers.turn_to(begin.after(step), 64, expired, |_, _| ());
            }
            assert!(timers.len() <= CAPACITY as usize);
        }
    }

    #[test]
    fn p18_steady_churn_allocates_nothing() {
        for kind in KINDS {
            let mut timers = Timers::with_capacity(kind, CAPACITY, Tick(0));
            let mut expired = Vec::with_capacity(64);
            let reserved = timers.memory_bytes();
            let info = measure(|| churn(&mut timers, &mut expired));
            assert_eq!((info.count_total, info.bytes_total), (0, 0), "{kind:?}");
            assert_eq!(timers.memory_bytes(), reserved, "{kind:?}");
        }
    }

    #[test]
    fn p18_what_is_reserved_is_what_is_said() {
        for capacity in [0, 1_000, 10_000, 100_000, 1_000_000] {
            for (kind, each) in [(KINDS[0], 16), (KINDS[1], 4)] {
                let mut timers = None;
                let info =
                    measure(|| timers = Some(Timers::with_capacity(kind, capacity, Tick(0))));
                let timers = timers.unwrap();
                let bytes = usize::try_from(info.bytes_current).unwrap() + size_of::<Timers>();
                let promised = each * capacity as usize + 64 * 1024;
                assert!(bytes <= promised, "{kind:?} for {capacity}: {bytes} B");
                assert_eq!(timers.memory_bytes(), bytes);
            }
        }
    }

    /// However the deadlines are spread: over as many slots as there are, one index each, two, and
    /// more, and then moved to other slots.
    #[test]
    fn p18_no_spread_of_deadlines_allocates() {
        for capacity in [1_000_u32, 10_000, 100_000, 1_000_000] {
            let mut timers = Timers::with_capacity(KINDS[0], capacity, Tick(0));
            let mut expired = Vec::with_capacity(capacity as usize);
            let reserved = timers.memory_bytes();
            let info = measure(|| {
                let mut now = Tick(0);
                for each in [1, 2, 4, 8, 32, 900] {
                    for index in 0..capacity {
                        timers.arm(index, now.after(8_190 - index / each % 4_000));
                    }
                    for index in 0..capacity {
                        timers.arm(index, now.after(index / each % 4_000));
                    }
                    now = now.after(8_191);
                    expired.clear();
                    timers.turn_to(now, usize::MAX, &mut expired, |_, _| ());
                    assert_eq!(expired.len(), capacity as usize);
                }
            });
            assert_eq!(info.count_total, 0, "{capacity}");
            assert_eq!(timers.memory_bytes(), reserved);
        }
    }

    #[test]
    fn p18_a_detector_in_steady_use_allocates_nothing() {
        for kind in KINDS {
            let tick = Nanos::from_millis(8);
            let clock = TickClock::new(Nanos::ZERO, tick);
            let mut detector =
                Detector::new(kind, CAPACITY, clock, Nanos::from_secs(9), Nanos::ZERO);
            let mut verdicts = Vec::with_capacity(64);
            let info = measure(|| {
                let mut now = Nanos::ZERO;
                for _ in 0..4 {
                    (0..CAPACITY).for_each(|index| detector.watch(index, now));
                    for step in 0..1_500 {
                        now += tick;
                        (0..CAPACITY / 4)
                            .for_each(|index| detector.heard(index * 3 + step % 3, now));
                        detector.forget(step * 7 % CAPACITY);
                        verdicts.clear();
                        detector.turn_to(now, 64, &mut verdicts, |_, _| ());
                    }
                }
            });
            assert_eq!(info.count_total, 0, "{kind:?}");
        }
    }
}
