//! How long the windows of several hosts were open at once, whatever their clocks are wrong by.
//!
//! Pure arithmetic. A window stands on the clock of the rendezvous as its host's reading plus the offset, right to the
//! offset's error either way when it opened. Its length was taken by the host's own clock, which drifts against that of the
//! rendezvous, so its end is right to as much more as the two drift apart in that time ([`CLOCK_DRIFT_PPM`]). All bounds
//! follow from these.

use crate::record::{CLOCK_DRIFT_PPM, FleetHost, FleetWindow};

/// A window on the clock of the rendezvous, nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    opened: i128,
    closed: i128,
    /// What `opened` is right to, either way.
    error: i128,
    /// What the length is right to, either way.
    drift: i128,
}

impl Stretch {
    const fn earliest_opened(&self) -> i128 {
        self.opened - self.error
    }

    const fn latest_opened(&self) -> i128 {
        self.opened + self.error
    }

    const fn earliest_closed(&self) -> i128 {
        self.closed - self.error - self.drift
    }

    const fn latest_closed(&self) -> i128 {
        self.closed + self.error + self.drift
    }

    const fn shortest(&self) -> i128 {
        self.closed - self.opened - self.drift
    }
}

/// What can be said of several windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// They were open at once for at least `at_least_ns`; `longest_ns` is the longest of them.
    AtLeast { at_least_ns: u64, longest_ns: u64 },
    /// Two were certainly not open at once: the first, by its place, had closed `apart_ns` before the second opened,
    /// whatever the clocks are wrong by.
    Apart {
        earlier: usize,
        later: usize,
        apart_ns: u64,
    },
    /// These, by their places, measured no window.
    Missing(Vec<usize>),
    /// The clocks of these were never compared with the others'.
    NotCompared(Vec<usize>),
}

/// Whether the window's host is the one whose clock the others were compared with.
fn is_own(window: &FleetWindow) -> bool {
    window.clock.compared_with == "own"
}

fn placed(window: &FleetWindow) -> Option<Stretch> {
    let (offset, error) = match (window.clock.offset_ns, window.clock.error_ns) {
        (Some(offset), Some(error)) => (offset, error),
        _ if is_own(window) => (0, 0),
        // An offset without a bound says nothing.
        _ => return None,
    };
    let opened = i128::from(window.opened_epoch_ns) + i128::from(offset);
    Some(Stretch {
        opened,
        closed: opened + i128::from(window.length_ns),
        error: i128::from(error),
        drift: if is_own(window) {
            0
        } else {
            drift(window.length_ns)
        },
    })
}

/// What another clock's `length_ns` may differ by from this one's.
fn drift(length_ns: u64) -> i128 {
    let drift = u128::from(length_ns) * u128::from(CLOCK_DRIFT_PPM);
    drift.div_ceil(1_000_000).cast_signed()
}

/// The overlap of the windows of `hosts`. A single host's is its window.
pub(super) fn overlap(hosts: &[&FleetHost]) -> Overlap {
    let without = |host: &FleetHost| host.window.is_none();
    let missing = places(hosts, without);
    let windows: Vec<&FleetWindow> = hosts
        .iter()
        .filter_map(|host| host.window.as_ref())
        .collect();
    let longest_ns = windows.iter().map(|window| window.length_ns).max();
    if let (true, [_], Some(length)) = (missing.is_empty(), windows.as_slice(), longest_ns) {
        return Overlap::AtLeast {
            at_least_ns: length,
            longest_ns: length,
        };
    }
    // Two hosts that each are their own reference have no common clock.
    let references = windows.iter().filter(|window| is_own(window)).count();
    let unplaced = |host: &FleetHost| {
        let window = host.window.as_ref();
        window.is_some_and(|window| placed(window).is_none() || (references > 1 && is_own(window)))
    };
    let apart = hosts.iter().enumerate().filter_map(|(place, host)| {
        let window = host.window.as_ref()?;
        Some((place, placed(window).filter(|_| !unplaced(host))?))
    });
    let known: Vec<(usize, Stretch)> = apart.collect();
    if let Some(apart) = certainly_apart(&known) {
        return apart;
    }
    if !missing.is_empty() {
        return Overlap::Missing(missing);
    }
    let not_compared = places(hosts, unplaced);
    if !not_compared.is_empty() {
        return Overlap::NotCompared(not_compared);
    }
    Overlap::AtLeast {
        at_least_ns: u64::try_from(at_least(&known).max(0)).unwrap_or(u64::MAX),
        longest_ns: longest_ns.unwrap_or(0),
    }
}

fn places(hosts: &[&FleetHost], those: impl Fn(&FleetHost) -> bool) -> Vec<usize> {
    let numbered = hosts.iter().enumerate();
    numbered
        .filter(|(_, host)| those(host))
        .map(|(place, _)| place)
        .collect()
}

/// The pair that is furthest apart, if even the clocks' errors do not let it meet.
fn certainly_apart(known: &[(usize, Stretch)]) -> Option<Overlap> {
    let earlier = known
        .iter()
        .min_by_key(|(_, stretch)| stretch.latest_closed())?;
    let later = known
        .iter()
        .max_by_key(|(_, stretch)| stretch.earliest_opened())?;
    let gap = later.1.earliest_opened() - earlier.1.latest_closed();
    (gap >= 0 && earlier.0 != later.0).then(|| Overlap::Apart {
        earlier: earlier.0,
        later: later.0,
        apart_ns: u64::try_from(gap).unwrap_or(u64::MAX),
    })
}

/// The earliest that one may have closed less the latest that another may have opened, over pairs of different hosts, and no
/// more than the shortest window: a host's own error moves both its ends alike.
fn at_least(known: &[(usize, Stretch)]) -> i128 {
    let shortest = known.iter().map(|(_, stretch)| stretch.shortest()).min();
    let mut ends: Vec<(i128, usize)> = known
        .iter()
        .map(|(place, stretch)| (stretch.earliest_closed(), *place))
        .collect();
    let mut starts: Vec<(i128, usize)> = known
        .iter()
        .map(|(place, stretch)| (stretch.latest_opened(), *place))
        .collect();
    ends.sort_unstable();
    starts.sort_unstable_by(|a, b| b.cmp(a));
    let pairs = ends.iter().take(2).flat_map(|end| {
        let others = starts.iter().take(2).filter(|start| start.1 != end.1);
        others.map(|start| end.0 - start.0)
    });
    pairs.chain(shortest).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FleetClock;
    use proptest::prelude::*;

    fn host(opened: u64, length: u64, offset: Option<i64>, error: u64) -> FleetHost {
        FleetHost {
            window: Some(FleetWindow {
                opened_epoch_ns: opened,
                length_ns: length,
                clock: FleetClock {
                    compared_with: "rendezvous".to_owned(),
                    offset_ns: offset,
                    error_ns: offset.map(|_| error),
                    round_trips: 8,
                },
            }),
            ..FleetHost::default()
        }
    }

    fn of(hosts: &[FleetHost]) -> Overlap {
        overlap(&hosts.iter().collect::<Vec<_>>())
    }

    #[test]
    fn errors_go_against_the_overlap() {
        let hosts = [host(1_000, 100, Some(0), 3), host(990, 100, Some(20), 4)];
        let expected = Overlap::AtLeast {
            at_least_ns: 100 - 10 - 7 - 1,
            longest_ns: 100,
        };
        assert_eq!(of(&hosts), expected);
        assert_eq!(
            of(&hosts[..1]),
            Overlap::AtLeast {
                at_least_ns: 100,
                longest_ns: 100
            }
        );
    }

    #[test]
    fn windows_are_apart_only_when_no_error_can_bring_them_together() {
        let meets = [host(1_000, 100, Some(0), 5), host(1_109, 100, Some(0), 4)];
        assert!(matches!(
            of(&meets),
            Overlap::AtLeast { at_least_ns: 0, .. }
        ));
        let apart = [host(1_111, 100, Some(0), 4), host(1_000, 100, Some(0), 5)];
        let expected = Overlap::Apart {
            earlier: 1,
            later: 0,
            apart_ns: 1,
        };
        assert_eq!(of(&apart), expected);
    }

    #[test]
    fn without_a_bound_or_with_two_references_nothing_is_told() {
        let mut hosts = [host(1_000, 100, Some(0), 5), host(1_000, 100, None, 0)];
        assert_eq!(of(&hosts), Overlap::NotCompared(vec![1]));
        for host in &mut hosts {
            let clock = &mut host.window.as_mut().unwrap().clock;
            clock.compared_with = "own".to_owned();
        }
        assert_eq!(of(&hosts), Overlap::NotCompared(vec![0, 1]));
        hosts[0].window = None;
        assert_eq!(of(&hosts), Overlap::Missing(vec![0]));
    }

    #[test]
    fn the_end_is_less_certain_than_the_beginning_but_for_the_clock_that_the_others_follow() {
        const HOUR: u64 = 3_600_000_000_000;
        let mut hosts = [
            host(1_000, HOUR, Some(0), 7),
            host(1_000, 2 * HOUR, Some(0), 7),
        ];
        let length = |hosts: &[FleetHost]| match of(hosts) {
            Overlap::AtLeast { at_least_ns, .. } => at_least_ns,
            other => panic!("{other:?}"),
        };
        let drift = HOUR / 1_000_000 * CLOCK_DRIFT_PPM;
        assert_eq!(length(&hosts), HOUR - drift - 14);
        let clock = &mut hosts[0].window.as_mut().unwrap().clock;
        (clock.compared_with, clock.error_ns) = ("own".to_owned(), Some(0));
        assert_eq!(length(&hosts), HOUR - 7);
    }

    /// A window as it was: opened and closed by the clock of the rendezvous, femtoseconds.
    fn truly(opened_ns: u64, off_ns: i64, length_ns: u64, ppm: i64) -> (i128, i128) {
        let opened = (i128::from(opened_ns) + i128::from(off_ns)) * 1_000_000;
        let length = i128::from(length_ns) * (1_000_000 + i128::from(ppm));
        (opened, opened + length)
    }

    const MS: u64 = 1_000_000;
    const DRIFT: i64 = CLOCK_DRIFT_PPM.cast_signed();

    proptest! {
        /// Whatever the clocks are really wrong by when the windows open, and drift by while they are open, within the bounds:
        /// the overlap is never less than said, and windows that met are never said to be apart.
        #[test]
        fn the_bound_holds_for_every_error_and_every_drift(
            drawn in prop::collection::vec(
                (0..4_000 * MS, 1..9_000 * MS, 0..MS, prop_oneof![Just(-1.0), Just(1.0), -1.0_f64..=1.0],
                 prop_oneof![Just(-DRIFT), Just(DRIFT), -DRIFT..=DRIFT]),
                2..6,
            ),
            with_captain: bool,
        ) {
            let mut hosts = Vec::new();
            let mut real = Vec::new();
            for (place, (opened, length, error, part, ppm)) in drawn.into_iter().enumerate() {
                let mut host = host(opened, length, Some(0), error);
                #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "below a million")]
                let mut wrong = ((error as f64 * part) as i64, ppm);
                if with_captain && place == 0 {
                    let clock = &mut host.window.as_mut().unwrap().clock;
                    (clock.compared_with, clock.error_ns) = ("own".to_owned(), Some(0));
                    wrong = (0, 0);
                }
                hosts.push(host);
                real.push(truly(opened, wrong.0, length, wrong.1));
            }
            let overlapped = real.iter().map(|window| window.1).min().unwrap()
                - real.iter().map(|window| window.0).max().unwrap();
            match of(&hosts) {
                Overlap::AtLeast { at_least_ns, .. } => {
                    prop_assert!(i128::from(at_least_ns) * 1_000_000 <= overlapped.max(0));
                }
                Overlap::Apart { apart_ns, .. } => {
                    prop_assert!(overlapped <= -i128::from(apart_ns) * 1_000_000);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
