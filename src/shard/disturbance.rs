//! What a shard does on demand and out of its turn: read nothing any more, send data, drop everyone.
//!
//! Does not decide when. Each is a pass over the connections of the moment in portions of the caller's choice, because
//! the operations it asks for wait in user space.

use super::connection::Walk;
use super::{CloseCause, Context, Reads, Shard};
use crate::protocol::{Frame, Kind};
use crate::ring::{Operation, TokenKind};

impl Shard {
    /// Begins a pass over the established connections of this moment.
    #[must_use]
    pub fn walk(&self) -> Walk {
        self.table.walk()
    }

    /// From now on nothing is read and so nobody judged, as if whoever reads hung: what arrives stays in the sockets.
    /// Heartbeats of its own still leave on their schedule. Takes the armed reads of at most `limit` connections back
    /// and returns how many; fewer than `limit` end the pass.
    ///
    /// What a stream had handed over before its end is still taken in; a watch takes nothing.
    pub fn deafen(&mut self, walk: &mut Walk, limit: usize, cx: &mut Context<'_>) -> usize {
        if !std::mem::replace(&mut self.deaf, true) {
            cx.operations
                .retain(|asked| !matches!(asked, Operation::Receive { .. }));
        }
        self.each(walk, limit, |shard, index| {
            if let Some(target) = shard.table.token(index, shard.reads_kind()) {
                cx.operations.push_back(Operation::Cancel { target });
            }
        })
    }

    /// Sends `frames` data frames on each of at most `limit` connections; returns as [`deafen`](Self::deafen).
    pub fn speak(
        &mut self,
        walk: &mut Walk,
        frames: u32,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> usize {
        self.each(walk, limit, |shard, index| {
            for sequence in 0..frames {
                let data = Frame {
                    kind: Kind::Data,
                    sequence,
                    sent_at: cx.now,
                };
                shard.counters.data_sent += 1;
                shard.send(index, &data, cx);
            }
        })
    }

    /// Ends at most `limit` connections, with a RST each when `abort` and a FIN each otherwise; returns as
    /// [`deafen`](Self::deafen). Those that come while the pass goes on are left alone.
    pub fn drop_some(
        &mut self,
        walk: &mut Walk,
        abort: bool,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> usize {
        self.each(walk, limit, |shard, index| {
            shard.end(index, CloseCause::Drained, abort, cx);
        })
    }

    fn each(
        &mut self,
        walk: &mut Walk,
        limit: usize,
        mut visit: impl FnMut(&mut Self, u32),
    ) -> usize {
        let mut visited = 0;
        while visited < limit
            && let Some(index) = self.table.step(walk)
        {
            visit(self, index);
            visited += 1;
        }
        visited
    }

    /// What a connection's armed read is called.
    pub(super) fn reads_kind(&self) -> TokenKind {
        match self.reads {
            Reads::Watch => TokenKind::Watch,
            Reads::Stream => TokenKind::Stream,
        }
    }
}
