//! How `ringbeat load` brings lost connections back, and what it says of that in the end.
//!
//! Does not connect. What comes back is no loss; the [audit](super::audit) asks whether all were there at the end.

use super::flags::SeedFlag;
use super::parse::{self, Delays};
use crate::bank::Snapshot;
use crate::load::{Backoff, Jitter};
use crate::units::{HumanCount, Nanos};
use clap::Args;
use std::io;

/// Flags of reconnection.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reconnection")]
pub(super) struct ReconnectFlags {
    /// Open connections anew that were lost, with capped exponential backoff and full jitter
    #[arg(long)]
    pub(super) reconnect: bool,
    /// The longest wait before the first attempt is BASE; it doubles after each, up to CAP; whole milliseconds
    #[arg(long, value_name = "BASE..CAP", default_value = "100ms..10s", value_parser = parse::backoff,
          allow_hyphen_values = true, requires = "reconnect")]
    backoff: Delays,
    /// Wait the longest each time, instead of a time drawn between zero and it
    #[arg(long, requires = "reconnect")]
    no_jitter: bool,
    #[command(flatten)]
    seed: SeedFlag,
}

impl ReconnectFlags {
    /// The backoff asked for, if any.
    pub(super) fn backoff(&self) -> Option<Backoff> {
        self.reconnect.then(|| Backoff {
            base_ms: self.backoff.base_ms,
            cap_ms: self.backoff.cap_ms,
            jitter: if self.no_jitter {
                Jitter::None
            } else {
                Jitter::Full
            },
            seed: self.seed.seed.unwrap_or_else(rand::random),
        })
    }
}

/// `100 ms doubling to 10000 ms, full jitter, seed 7`.
pub(super) fn describe(backoff: &Backoff) -> String {
    let jitter = match backoff.jitter {
        Jitter::Full => "full jitter",
        Jitter::None => "no jitter",
    };
    format!(
        "{} ms doubling to {} ms, {jitter}, seed {}",
        backoff.base_ms, backoff.cap_ms, backoff.seed
    )
}

/// `begun 7, succeeded 5, failed 2 (Connection refused 2), at most 5 in 100 ms`.
pub(super) fn line(last: &Snapshot) -> String {
    let totals = &last.totals;
    let failed: u64 = totals.reconnects_failed.values().sum();
    let reasons: Vec<_> = totals
        .reconnects_failed
        .iter()
        .map(|(errno, count)| {
            let error = io::Error::from_raw_os_error(*errno);
            format!("{error} {}", HumanCount(*count))
        })
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    };
    let most = last.reconnects.as_ref().map_or(0, |(begun, _)| {
        // The series keeps ten minutes.
        begun.most_in(Nanos::from_millis(100))
    });
    format!(
        "begun {}, succeeded {}, failed {}{reasons}, at most {} in 100 ms",
        HumanCount(totals.reconnects),
        HumanCount(totals.reconnects_established),
        HumanCount(failed),
        HumanCount(most)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_with_their_failures() {
        let mut last = Snapshot::default();
        last.totals.reconnects = 1_007;
        last.totals.reconnects_established = 1_005;
        last.totals.reconnects_failed.insert(libc::ECONNREFUSED, 2);
        let (begun, _) = last.reconnects.get_or_insert_default();
        begun.count(Nanos::from_millis(5));
        begun.count(Nanos::from_millis(95));
        begun.count(Nanos::from_millis(250));
        assert_eq!(
            line(&last),
            "begun 1,007, succeeded 1,005, failed 2 (Connection refused (os error 111) 2), at most 2 in 100 ms"
        );
        let backoff = Backoff {
            base_ms: 100,
            cap_ms: 10_000,
            jitter: Jitter::Full,
            seed: 7,
        };
        assert_eq!(
            describe(&backoff),
            "100 ms doubling to 10000 ms, full jitter, seed 7"
        );
    }
}
