//! Processes that are stopped for longer than the timeouts, at the worst moment, and then go on.
//!
//! Does not measure. A failure names its seed. That a loop which is stopped while it sleeps kills nobody is told in
//! [`simulation`](super::simulation); here it is stopped between its last look and its verdicts.

use super::fake_ring::{Disorder, LOAD, SERVER};
use super::simulation::{HEARTBEATS, READS, TIMERS, count, each_seed, roles};
use super::world::{IDLE_TIMEOUT, INTERVAL, Making};
use crate::arm::Arm;
use crate::units::Nanos;

#[test]
fn heartbeats_that_came_between_the_look_and_the_verdicts_count() {
    each_seed(1300..1312, |seed| {
        for arm in HEARTBEATS {
            let (_, receiver) = roles(arm);
            let making = Making {
                // The sender is to wait for as long as it takes.
                answer_timeout: Nanos::from_secs(60),
                timers: TIMERS[count(seed) % TIMERS.len()],
                reads: READS[count(seed) / 2 % READS.len()],
                ..Making::new(seed, arm, Disorder::HEAVY)
            };
            let mut world = making.world();
            world.establish(100);
            world.run_for(Nanos::from_secs(5));
            let span = IDLE_TIMEOUT + world.dice.span(Nanos::from_secs(10));
            world.stop_before_verdicts(receiver, span);
            world.run_for(Nanos::from_secs(20));
            for side in [SERVER, LOAD] {
                assert_eq!(world.counters(side).open, 100, "{arm}");
            }
        }
    });
}

/// Acks come within 30 ms, so at the stop some are under way whatever the phase.
#[test]
fn acks_that_came_between_the_look_and_the_verdicts_count() {
    each_seed(1320..1328, |seed| {
        for arm in [Arm::Heartbeat, Arm::HeartbeatPush] {
            let (sender, _) = roles(arm);
            let disorder = Disorder {
                delay: Nanos::from_millis(15),
                ..Disorder::default()
            };
            let making = Making {
                answer_timeout: INTERVAL,
                ..Making::new(seed, arm, disorder)
            };
            let mut world = making.world();
            world.establish(300);
            world.run_for(Nanos::from_secs(5));
            world.stop_before_verdicts(sender, INTERVAL + Nanos::from_secs(2));
            world.run_for(Nanos::from_secs(20));
            for side in [SERVER, LOAD] {
                assert_eq!(world.counters(side).open, 300, "{arm}");
            }
        }
    });
}
