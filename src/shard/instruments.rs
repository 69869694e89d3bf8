//! The histograms one core thread fills while its window is open.
//!
//! Does not read a clock. One set per core thread, not per connection or per ring, so that memory does not grow
//! with the population. Merged by adding counts (see [`crate::record`]). `connect`, `reconnect`, `recovery` and the
//! [ladders](Ladders) are filled at all times, the others only while recording.

use super::ladder::Ladders;
use super::series::Series;
use crate::record::{HistogramError, encode, new_histogram};
use crate::units::Nanos;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Latency histograms, all in nanoseconds.
#[derive(Debug)]
pub struct Instruments {
    /// Whether the window is open.
    pub recording: bool,
    rtt: Histogram<u64>,
    response: Histogram<u64>,
    lateness: Histogram<u64>,
    schedule_lag: Histogram<u64>,
    connect: Histogram<u64>,
    reconnect: Histogram<u64>,
    recovery: Histogram<u64>,
    /// What is shown while all goes on.
    pub ladders: Ladders,
    /// Reconnects begun, over time.
    pub reconnects_begun: Series,
    /// Reconnects that succeeded, over time.
    pub reconnects_established: Series,
}

impl Default for Instruments {
    fn default() -> Self {
        Self {
            recording: false,
            rtt: new_histogram(),
            response: new_histogram(),
            lateness: new_histogram(),
            schedule_lag: new_histogram(),
            connect: new_histogram(),
            reconnect: new_histogram(),
            recovery: new_histogram(),
            ladders: Ladders::default(),
            reconnects_begun: Series::default(),
            reconnects_established: Series::default(),
        }
    }
}

impl Instruments {
    /// A heartbeat came back: `rtt` since it was handed to the kernel, `response` since it was due.
    pub fn answered(&mut self, rtt: Nanos, response: Nanos) {
        self.ladders.rtt.record(rtt, 1);
        self.ladders.response.record(response, 1);
        if self.recording {
            self.rtt.saturating_record(rtt.0);
            self.response.saturating_record(response.0);
        }
    }

    /// `count` wheel entries were looked at `late` after their tick began.
    pub fn turned(&mut self, late: Nanos, count: u64) {
        self.ladders.lateness.record(late, count);
        if self.recording {
            // The value lies in range after clamping, so this cannot fail; saturating_record_n does not exist.
            let value = late.0.min(self.lateness.high());
            let _ = self.lateness.record_n(value, count);
        }
    }

    /// A heartbeat left `lag` after it was due.
    pub fn sent(&mut self, lag: Nanos) {
        self.ladders.schedule_lag.record(lag, 1);
        if self.recording {
            self.schedule_lag.saturating_record(lag.0);
        }
    }

    /// A first connect took `span`.
    pub fn connected(&mut self, span: Nanos) {
        self.ladders.connect.record(span, 1);
        self.connect.saturating_record(span.0);
    }

    /// A lost connection is opened anew.
    pub fn reconnecting(&mut self, now: Nanos) {
        self.reconnects_begun.count(now);
    }

    /// The connect of a lost connection took `span`.
    pub fn reconnected(&mut self, span: Nanos, now: Nanos) {
        self.ladders.connect.record(span, 1);
        self.reconnect.saturating_record(span.0);
        self.reconnects_established.count(now);
    }

    /// A connection was back `span` after it was lost.
    pub fn recovered(&mut self, span: Nanos) {
        self.recovery.saturating_record(span.0);
    }

    /// The stored form of every histogram that holds a value, by the record's names.
    ///
    /// # Errors
    /// As [`encode`].
    pub fn encoded(&self) -> Result<BTreeMap<String, String>, HistogramError> {
        [
            ("rtt", &self.rtt),
            ("response", &self.response),
            ("lateness", &self.lateness),
            ("schedule_lag", &self.schedule_lag),
            ("connect", &self.connect),
            ("reconnect", &self.reconnect),
            ("recovery", &self.recovery),
        ]
        .into_iter()
        .filter(|(_, histogram)| !histogram.is_empty())
        .map(|(name, histogram)| Ok((name.to_owned(), encode(histogram)?)))
        .collect()
    }
}
