//! How long the windows of several hosts were open at once, whatever their clocks are wrong by.
//!
//! Pure arithmetic. A window stands on the clock of the rendezvous as its host's reading plus the offset, right to the
//! offset's error either way; its length is the host's own and exact. All bounds follow from that, none is a guess.

use crate::record::{FleetHost, FleetWindow};

/// A window on the clock of the rendezvous, nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    opened: i128,
    closed: i128,
    error: i128,
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
    })
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
        .min_by_key(|(_, stretch)| stretch.closed + stretch.error)?;
    let later = known
        .iter()
        .max_by_key(|(_, stretch)| stretch.opened - stretch.error)?;
    let gap = (later.1.opened - later.1.error) - (earlier.1.closed + earlier.1.error);
    (gap >= 0 && earlier.0 != later.0).then(|| Overlap::Apart {
        earlier: earlier.0,
        later: later.0,
        apart_ns: u64::try_from(gap).unwrap_or(u64::MAX),
    })
}

/// The smallest of `closed − error` less the largest of `opened + error` over pairs of different hosts, and no more than the
/// shortest window: a host's own error moves both its ends alike.
fn at_least(known: &[(usize, Stretch)]) -> i128 {
    let shortest = known
        .iter()
        .map(|(_, stretch)| stretch.closed - stretch.opened)
        .min();
    let mut ends: Vec<(i128, usize)> = known
        .iter()
        .map(|(place, stretch)| (stretch.closed - stretch.error, *place))
        .collect();
    let mut starts: Vec<(i128, usize)> = known
        .iter()
        .map(|(place, stretch)| (stretch.opened + stretch.error, *place))
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
            at_least_ns: 100 - 10 - 7,
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
        let meets = [host(1_000, 100, Some(0), 5), host(1_108, 100, Some(0), 4)];
        assert!(matches!(
            of(&meets),
            Overlap::AtLeast { at_least_ns: 0, .. }
        ));
        let apart = [host(1_110, 100, Some(0), 4), host(1_000, 100, Some(0), 5)];
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

    proptest! {
        /// Whatever the clocks are really wrong by, within their bounds, the windows are open together for so long.
        #[test]
        fn the_bound_holds_for_every_error_within_it(
            drawn in prop::collection::vec((0_u64..500, 400_u64..900, 0_u64..60, -1.0_f64..=1.0), 1..6)
        ) {
            let hosts: Vec<FleetHost> = drawn
                .iter()
                .map(|(opened, length, error, _)| host(10_000 + opened, *length, Some(0), *error))
                .collect();
            let real = drawn.iter().map(|(opened, length, error, part)| {
                #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "below 60")]
                let off = (*error as f64 * part) as i64;
                let opened = i64::try_from(10_000 + opened).unwrap() + off;
                (opened, opened + i64::try_from(*length).unwrap())
            });
            let real: Vec<(i64, i64)> = real.collect();
            let truly = real.iter().map(|window| window.1).min().unwrap()
                - real.iter().map(|window| window.0).max().unwrap();
            match of(&hosts) {
                Overlap::AtLeast { at_least_ns, .. } => {
                    prop_assert!(i64::try_from(at_least_ns).unwrap() <= truly.max(0));
                }
                Overlap::Apart { .. } => prop_assert!(truly <= 0),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
