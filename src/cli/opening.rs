//! The opening of connections by hand, watched: memory, the accept and SYN queues, how long it took.
//!
//! Does not open them. What an experiment does in its own ramp, `ringbeat load` does here.

use super::Failure;
use crate::load::Opening;
use crate::measure::headroom::{Foresight, Guard, Stop, reserve, usable};
use crate::os::network::TcpCounters;
use crate::record::OpeningPressure;
use crate::shard::Counters;
use crate::units::{HumanCount, HumanNanos};
use std::fmt;

/// A ramp that stops before memory runs out.
#[derive(Debug)]
pub(super) struct WatchedRamp<'a> {
    opening: &'a Opening,
    guard: Guard,
    established: u64,
    pub(super) counters_before: Option<TcpCounters>,
    pub(super) pressure: Option<Pressure>,
    pub(super) stopped: Option<Stop>,
}

impl<'a> WatchedRamp<'a> {
    /// `ends` of each connection, 1 or 2, are on this host.
    pub(super) fn new(
        limit: Option<u64>,
        ends: u64,
        opening: &'a Opening,
    ) -> Result<Self, Failure> {
        let (usable, total) = usable().map_err(|error| Failure::Host(error.to_string()))?;
        Ok(Self {
            opening,
            guard: Guard::new(usable, reserve(total), limit, ends),
            established: 0,
            counters_before: TcpCounters::read().ok(),
            pressure: None,
            stopped: None,
        })
    }

    /// Whether every connect has had its answer; looks at memory on the way, and stops the ramp for want of it.
    pub(super) fn is_over(&mut self, asked: u64, totals: &Counters) -> bool {
        self.established = totals.established - totals.reconnects_established;
        if let (None, Ok((usable, _))) = (self.stopped, usable())
            && let Foresight::Stop(stop) = self.guard.look(totals.open, usable)
            && totals.connects - totals.reconnects < asked
        {
            self.stopped = Some(stop);
            self.opening.stop();
        }
        // What was lost meanwhile and is opened anew belongs to no ramp.
        let first = totals.connects - totals.reconnects;
        let all = first == asked || self.stopped.is_some();
        let answered = totals.connecting == 0 || totals.reconnects > 0;
        all && answered && self.opening.took().is_some()
    }

    /// `1.23 s, 81,301 connections per second`, once the ramp is over.
    pub(super) fn took(&self) -> Option<String> {
        let took = self.opening.took().filter(|took| took.0 > 0)?;
        let rate = u128::from(self.established) * 1_000_000_000 / u128::from(took.0);
        Some(format!(
            "{}, {} connections per second",
            HumanNanos(took.0),
            HumanCount(u64::try_from(rate).unwrap_or(u64::MAX))
        ))
    }
}

/// What the queues of this host met with while connections were opened; never all zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pressure(TcpCounters);

impl Pressure {
    /// What has happened since `before`, if anything has.
    pub(super) fn since(before: Option<TcpCounters>) -> Option<Self> {
        let (before, now) = (before?, TcpCounters::read().ok()?);
        let grew = |figure: fn(&TcpCounters) -> u64| figure(&now).saturating_sub(figure(&before));
        let met = TcpCounters {
            listen_overflows: grew(|at| at.listen_overflows),
            listen_drops: grew(|at| at.listen_drops),
            syn_queue_drops: grew(|at| at.syn_queue_drops),
            syn_cookies: grew(|at| at.syn_cookies),
            syn_retransmits: grew(|at| at.syn_retransmits),
            ..TcpCounters::default()
        };
        (met != TcpCounters::default()).then_some(Self(met))
    }
}

impl Pressure {
    /// The counts, as a record has them.
    pub(super) const fn record(&self) -> OpeningPressure {
        OpeningPressure {
            listen_overflows: self.0.listen_overflows,
            listen_drops: self.0.listen_drops,
            syn_queue_drops: self.0.syn_queue_drops,
            syn_cookies: self.0.syn_cookies,
            syn_retransmits: self.0.syn_retransmits,
        }
    }
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = [
            (self.0.listen_overflows, "accept queue overflows"),
            (self.0.listen_drops, "drops by a listener"),
            (self.0.syn_queue_drops, "SYNs dropped by a full SYN queue"),
            (self.0.syn_cookies, "SYN cookies"),
            (self.0.syn_retransmits, "SYNs sent again"),
        ];
        let mut first = true;
        for (count, what) in figures.into_iter().filter(|(count, _)| *count > 0) {
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{} {what}", HumanCount(count))?;
        }
        write!(
            f,
            " on this host; fewer connects at once (--in-flight) or a second (--ramp-rate) help"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_said_by_its_counters_and_silence_is_none() {
        let met = Pressure(TcpCounters {
            listen_overflows: 1_200,
            syn_retransmits: 3,
            ..TcpCounters::default()
        });
        let text = met.to_string();
        assert!(
            text.starts_with("1,200 accept queue overflows, 3 SYNs sent again on"),
            "{text}"
        );
        assert!(Pressure::since(None).is_none());
    }
}
