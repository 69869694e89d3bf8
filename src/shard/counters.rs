//! What a shard has counted since it began: every event once, every lost connection by its cause.
//!
//! Does not measure time. Counts never go down; a window's figures are the difference of two snapshots.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a connection ended. The text is what the record shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseCause {
    /// The peer sent its FIN; everything it had sent was read and answered first.
    PeerClosed,
    /// The peer sent a RST.
    Reset,
    /// The kernel's keepalive gave up (`ETIMEDOUT` on a socket with keepalive).
    KeepaliveTimeout,
    /// The kernel gave up retransmitting (`ETIMEDOUT` without keepalive).
    RetransmissionTimeout,
    /// The kernel gave up on a peer that the network calls unreachable (`EHOSTUNREACH` and its like): the verdict of
    /// keepalive or of retransmission, under another name.
    Unreachable,
    /// No heartbeat came before the deadline.
    HeartbeatTimeout,
    /// No ack came before the answer timer expired.
    AnswerTimeout,
    /// The peer sent something that is not our protocol.
    ProtocolError,
    /// The kernel took only part of a frame, so the stream cannot go on.
    ShortSend,
    /// Any other error of the socket.
    SocketError,
    /// We ended it: the run was over.
    Drained,
    /// We ended it to open it anew.
    Churned,
}

impl CloseCause {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::PeerClosed,
        Self::Reset,
        Self::KeepaliveTimeout,
        Self::RetransmissionTimeout,
        Self::Unreachable,
        Self::HeartbeatTimeout,
        Self::AnswerTimeout,
        Self::ProtocolError,
        Self::ShortSend,
        Self::SocketError,
        Self::Drained,
        Self::Churned,
    ];

    /// Whether this end gave up a peer that had said nothing of an end.
    #[must_use]
    pub const fn is_verdict(self) -> bool {
        matches!(self, Self::HeartbeatTimeout | Self::AnswerTimeout)
    }

    /// Whether this end began the end: with a FIN, unless it gave the peer up or was asked to abort.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::HeartbeatTimeout
                | Self::AnswerTimeout
                | Self::ProtocolError
                | Self::ShortSend
                | Self::Drained
                | Self::Churned
        )
    }

    /// The cause as the record names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer-closed",
            Self::Reset => "reset",
            Self::KeepaliveTimeout => "keepalive-timeout",
            Self::RetransmissionTimeout => "retransmission-timeout",
            Self::Unreachable => "unreachable",
            Self::HeartbeatTimeout => "heartbeat-timeout",
            Self::AnswerTimeout => "answer-timeout",
            Self::ProtocolError => "protocol-error",
            Self::ShortSend => "short-send",
            Self::SocketError => "socket-error",
            Self::Drained => "drained",
            Self::Churned => "churned",
        }
    }
}

/// Counts of one shard, or of many added together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections open now.
    pub open: u64,
    /// Connects submitted and not yet answered.
    pub connecting: u64,
    /// Connects begun.
    pub connects: u64,
    /// Connections established, either way round.
    pub established: u64,
    /// Of the connects begun, those of connections that had been established before.
    #[serde(default)]
    pub reconnects: u64,
    /// Of these, the ones that succeeded.
    #[serde(default)]
    pub reconnects_established: u64,
    /// Heartbeats handed to the kernel.
    pub heartbeats_sent: u64,
    /// Heartbeats read.
    pub heartbeats_received: u64,
    /// Acks handed to the kernel.
    pub acks_sent: u64,
    /// Acks read.
    pub acks_received: u64,
    /// Data frames handed to the kernel.
    #[serde(default)]
    pub data_sent: u64,
    /// Data frames read.
    #[serde(default)]
    pub data_received: u64,
    /// Heartbeats not sent because their turn came more than one interval late.
    pub heartbeats_skipped: u64,
    /// Heartbeats whose answer timer expired.
    pub heartbeats_timed_out: u64,
    /// Frames the kernel refused because the send buffer was full.
    pub sends_blocked: u64,
    /// Completions for a life of a connection that had ended.
    pub stale_completions: u64,
    /// Watches and streams that ended and were armed again.
    pub watches_rearmed: u64,
    /// Streams that ended because no receive buffer was free; armed again, nothing is lost.
    pub buffers_exhausted: u64,
    /// Accepts that found the table full, so the kernel dropped the connection.
    pub table_full: u64,
    /// Failed connects by errno.
    pub connects_failed: BTreeMap<i32, u64>,
    /// Of these, the reconnects.
    #[serde(default)]
    pub reconnects_failed: BTreeMap<i32, u64>,
    /// Ended connections by [`CloseCause::name`].
    pub closed: BTreeMap<String, u64>,
    /// Of these, the ones we ended with a FIN. Where the peer's bytes were still unread the kernel sends a RST in its
    /// place (RFC 2525, section 2.17), as it may after a protocol error.
    #[serde(default)]
    pub ended_with_fin: u64,
    /// The ones we ended with a RST: peers given up, and all when asked to abort.
    #[serde(default)]
    pub ended_with_rst: u64,
    /// Connections whose peer had sent its FIN and was still answered. Not seen by reads that tell of a FIN only when
    /// everything before it has been handed over ([`Reads::Stream`](super::Reads::Stream)).
    #[serde(default)]
    pub half_closed: u64,
    /// Connections that the peer or the kernel ended while a heartbeat of ours had no ack: nobody knows whether it
    /// arrived.
    #[serde(default)]
    pub ended_unanswered: u64,
    /// Protocol errors by reason.
    pub protocol_errors: BTreeMap<String, u64>,
    /// Times a ring's completion queue overflowed.
    pub completion_overflows: u64,
    /// Calls of `io_uring_enter`, or of `epoll_wait`.
    pub enters: u64,
}

impl Counters {
    /// One more connection ended by `cause`.
    pub fn closed(&mut self, cause: CloseCause) {
        *self.closed.entry(cause.name().to_owned()).or_default() += 1;
    }

    /// Connections ended by `cause` so far.
    #[must_use]
    pub fn closed_by(&self, cause: CloseCause) -> u64 {
        self.closed.get(cause.name()).copied().unwrap_or(0)
    }

    /// Connections that ended without our having ended them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let ours = [CloseCause::Drained, CloseCause::Churned];
        let all: u64 = self.closed.values().sum();
        all - ours.map(|cause| self.closed_by(cause)).iter().sum::<u64>()
    }

    /// Adds another shard's counts.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine + theirs);
    }

    /// What has happened since `earlier`; the gauges `open` and `connecting` stay as they are now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        difference.combine(earlier, u64::saturating_sub);
        difference.open = self.open;
        difference.connecting = self.connecting;
        difference
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        for (mine, theirs) in [
            (&mut self.open, other.open),
            (&mut self.connecting, other.connecting),
            (&mut self.connects, other.connects),
            (&mut self.established, other.established),
            (&mut self.reconnects, other.reconnects),
            (
                &mut self.reconnects_established,
                other.reconnects_established,
            ),
            (&mut self.heartbeats_sent, other.heartbeats_sent),
            (&mut self.heartbeats_received, other.heartbeats_received),
            (&mut self.acks_sent, other.acks_sent),
            (&mut self.acks_received, other.acks_received),
            (&mut self.data_sent, other.data_sent),
            (&mut self.data_received, other.data_received),
            (&mut self.heartbeats_skipped, other.heartbeats_skipped),
            (&mut self.heartbeats_timed_out, other.heartbeats_timed_out),
            (&mut self.sends_blocked, other.sends_blocked),
            (&mut self.stale_completions, other.stale_completions),
            (&mut self.watches_rearmed, other.watches_rearmed),
            (&mut self.buffers_exhausted, other.buffers_exhausted),
            (&mut self.table_full, other.table_full),
            (&mut self.ended_with_fin, other.ended_with_fin),
            (&mut self.ended_with_rst, other.ended_with_rst),
            (&mut self.half_closed, other.half_closed),
            (&mut self.ended_unanswered, other.ended_unanswered),
            (&mut self.completion_overflows, other.completion_overflows),
            (&mut self.enters, other.enters),
        ] {
            *mine = with(*mine, theirs);
        }
        for (mine, theirs) in [
            (&mut self.connects_failed, &other.connects_failed),
            (&mut self.reconnects_failed, &other.reconnects_failed),
        ] {
            for (errno, count) in theirs {
                let mine = mine.entry(*errno).or_default();
                *mine = with(*mine, *count);
            }
        }
        for (mine, theirs) in [
            (&mut self.closed, &other.closed),
            (&mut self.protocol_errors, &other.protocol_errors),
        ] {
            for (name, count) in theirs {
                let mine = mine.entry(name.clone()).or_default();
                *mine = with(*mine, *count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_travels_by_its_name() {
        for cause in CloseCause::ALL {
            let text = serde_json::to_string(&cause).unwrap();
            assert_eq!(text, format!("\"{}\"", cause.name()));
        }
    }

    #[test]
    fn a_window_is_the_difference_and_gauges_stay() {
        let mut before = Counters {
            open: 5,
            heartbeats_sent: 10,
            ..Counters::default()
        };
        before.closed(CloseCause::Reset);
        let mut after = before.clone();
        after.open = 3;
        after.heartbeats_sent = 25;
        after.closed(CloseCause::Reset);
        after.closed(CloseCause::PeerClosed);
        let window = after.since(&before);
        assert_eq!((window.open, window.heartbeats_sent), (3, 15));
        assert_eq!(window.closed_by(CloseCause::Reset), 1);
        assert_eq!(window.closed_by(CloseCause::PeerClosed), 1);
        after.closed(CloseCause::Churned);
        assert_eq!(after.lost(), 3, "what we end ourselves is not lost");
        let mut sum = before.clone();
        sum.add(&window);
        assert_eq!(sum.heartbeats_sent, after.heartbeats_sent);
    }
}
