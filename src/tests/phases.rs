//! Several hosts beat as one: each heartbeat is due when it is in the big run of one host, whatever the hosts' clocks show.
//!
//! Does not connect to anybody. Each host has booted at another instant, has a crystal of its own, and has compared its clock
//! with that of the rendezvous over a network with delays.

use crate::fleet::clock::{Comparison, RoundTrip};
use crate::load::Shard;
use crate::record::CLOCK_DRIFT_PPM;
use crate::shard::{Phases, Role, Settings};
use crate::units::Nanos;
use crate::wheel::TimersKind;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
/// The clock of the rendezvous when the earliest host may have booted, nanoseconds since 1970.
const EPOCH: u64 = 1_700_000_000 * SECOND;
const DRIFT: i64 = CLOCK_DRIFT_PPM.cast_signed();

fn settings(phases: Phases, phase_origin: Nanos) -> Settings {
    Settings {
        role: Role::Sender { acked: true },
        interval: Nanos::from_secs(3),
        idle_timeout: Nanos::from_secs(9),
        answer_timeout: Nanos::from_secs(6),
        tick: Nanos::from_millis(8),
        phases,
        timers: TimersKind::Wheel,
        keepalive: false,
        option_variants: 0,
        log_endings: false,
        phase_origin,
    }
}

/// A host.
#[derive(Clone, Debug)]
struct Host {
    /// When it booted, by the clock of the rendezvous.
    booted: u64,
    /// How much faster that clock runs than its own.
    ppm: i64,
    /// Of the comparison's round trips, there and back.
    delays: Vec<(u64, u64)>,
}

impl Host {
    /// The clock of the rendezvous when this host's monotonic one shows `own`.
    fn truth(&self, own: u64) -> u64 {
        let passed = i128::from(own) * (1_000_000 + i128::from(self.ppm)) / 1_000_000;
        self.booted + u64::try_from(passed).unwrap()
    }

    /// The comparison that it makes from `own` on, and its monotonic clock when that is done.
    fn compare(&self, own: u64) -> (Comparison, u64) {
        let mut now = own;
        let trips = self.delays.iter().map(|(there, back)| {
            let sent = Nanos(now);
            let theirs = self.truth(now + there);
            now += there + back;
            RoundTrip {
                sent,
                received: Nanos(now),
                theirs,
            }
        });
        let trips: Vec<RoundTrip> = trips.collect();
        (Comparison::of(&trips).unwrap(), now)
    }
}

fn hosts() -> impl Strategy<Value = Vec<Host>> {
    let delay = || 0..100_000_000_u64;
    let host = (
        EPOCH..EPOCH + 5_000_000 * SECOND,
        -DRIFT..=DRIFT,
        prop::collection::vec((delay(), delay()), 1..9),
    );
    let host = host.prop_map(|(booted, ppm, delays)| Host {
        booted,
        ppm,
        delays,
    });
    prop::collection::vec(host, 1..9)
}

proptest! {
    #[test]
    fn shards_are_one_population_whatever_their_clocks_show(
        connections in 1_u32..100,
        hosts in hosts(),
        up in SECOND..1_000 * SECOND,
        origin in EPOCH + 5_000_001 * SECOND..EPOCH + 5_003_000 * SECOND,
        later in 0..100 * SECOND,
    ) {
        let of = u32::try_from(hosts.len()).unwrap();
        for phases in [Phases::Staggered, Phases::InOrder { of: connections }, Phases::Aligned] {
            let big_run = settings(phases, Nanos(origin));
            for (index, host) in (0..of).zip(&hosts) {
                // All join within the same minutes, however long they have been up.
                let joins = EPOCH + 5_000_000 * SECOND + up - host.booted;
                let (comparison, joined) = host.compare(joins);
                let own = settings(phases, comparison.own_at(origin));
                let shard = Shard::new(index, of).unwrap();
                for local in 0..u32::try_from(shard.share(connections.into())).unwrap() {
                    let ordinal = shard.ordinal(local);
                    let due = own.first_due(ordinal, Nanos(joined + later));
                    let truly = host.truth(due.0);
                    // The big run's heartbeat of that connection which is nearest.
                    let interval = big_run.interval.0;
                    let after = big_run.first_due(ordinal, Nanos(truly)).0 - truly;
                    let apart = after.min(interval - after);
                    // One for the rounding of the truth.
                    prop_assert!(apart <= comparison.error_at(due).0 + 1, "{apart} ns apart: {host:?}");
                }
            }
        }
    }
}

#[test]
fn without_an_origin_each_host_counts_from_its_boot() {
    let (now, booted) = (EPOCH, [SECOND, 2 * SECOND]);
    let due = booted.map(|booted| {
        let alone = settings(Phases::Aligned, Nanos::ZERO);
        alone.first_due(0, Nanos(now - booted)).0 + booted
    });
    assert_ne!(due[0] % (3 * SECOND), due[1] % (3 * SECOND));
}
