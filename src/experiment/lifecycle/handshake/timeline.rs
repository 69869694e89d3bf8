//! The time line of a ramp: one row for each stretch between two looks, folded when it gets long.
//!
//! Pure.

use crate::record::HandshakeSlice;

/// The most rows kept: finer than a picture shows.
const MOST: usize = 400;

/// The rows, with neighbours put together until there are [`MOST`] at the most.
pub(super) fn folded(mut slices: Vec<HandshakeSlice>) -> Vec<HandshakeSlice> {
    while slices.len() > MOST {
        slices = slices.chunks(2).map(together).collect();
    }
    slices
}

/// What was counted adds up, of what was seen the most counts, and it ends with the last.
fn together(slices: &[HandshakeSlice]) -> HandshakeSlice {
    slices
        .iter()
        .fold(HandshakeSlice::default(), |sum, slice| HandshakeSlice {
            elapsed_ms: slice.elapsed_ms,
            connects: sum.connects + slice.connects,
            syn_received: sum.syn_received.max(slice.syn_received),
            accept_waiting: sum.accept_waiting.max(slice.accept_waiting),
            listen_drops: sum.listen_drops + slice.listen_drops,
            syn_retransmits: sum.syn_retransmits + slice.syn_retransmits,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn folding_loses_no_count_no_peak_and_no_order(
            rows in prop::collection::vec((0_u64..1000, 0_u64..50, 0_u64..50, 0_u64..9, 0_u64..9), 0..3000)
        ) {
            let slices: Vec<_> = (1..)
                .zip(&rows)
                .map(|(number, (connects, syn, accept, drops, again))| HandshakeSlice {
                    elapsed_ms: number * 100,
                    connects: *connects,
                    syn_received: *syn,
                    accept_waiting: *accept,
                    listen_drops: *drops,
                    syn_retransmits: *again,
                })
                .collect();
            let short = folded(slices.clone());
            prop_assert!(short.len() <= MOST);
            prop_assert!(slices.len() <= MOST || short.len() > MOST / 2 - 1);
            let sum = |of: &[HandshakeSlice], figure: fn(&HandshakeSlice) -> u64| {
                of.iter().map(figure).sum::<u64>()
            };
            let most = |of: &[HandshakeSlice], figure: fn(&HandshakeSlice) -> u64| {
                of.iter().map(figure).max()
            };
            for figure in [
                (|slice| slice.connects) as fn(&HandshakeSlice) -> u64,
                |slice| slice.listen_drops,
                |slice| slice.syn_retransmits,
            ] {
                prop_assert_eq!(sum(&short, figure), sum(&slices, figure));
            }
            for figure in [
                (|slice| slice.syn_received) as fn(&HandshakeSlice) -> u64,
                |slice| slice.accept_waiting,
                |slice| slice.elapsed_ms,
            ] {
                prop_assert_eq!(most(&short, figure), most(&slices, figure));
            }
            prop_assert!(short.windows(2).all(|pair| pair[0].elapsed_ms < pair[1].elapsed_ms));
        }
    }
}
