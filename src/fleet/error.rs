//! Why hosts did not come together, or not to the end: in words for people.
//!
//! Does not decide what becomes of the process; [`FleetError::blame`] says who is at fault.

use super::Stage;
use std::net::SocketAddr;
use std::time::Duration;

/// Who is at fault; for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// This run, or another host: code 1.
    Run,
    /// The arguments, here or there: code 2.
    Usage,
    /// This host: code 3.
    Host,
}

fn show(span: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(span)
}

/// Why a rendezvous ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The engine's variables do not make a shard.
    #[error("{0}; or say it with --shard i/n")]
    Environment(String),
    /// A token that is none.
    #[error("{0}")]
    Token(String),
    /// Settings that cannot be those of a host.
    #[error("{0}")]
    Settings(String),
    /// The rendezvous cannot listen.
    #[error(
        "the rendezvous cannot listen on {address} ({reason}): choose an address of this host and a free port, see \
         `ss -ltnp 'sport = :{}'`", address.port()
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// A thread or a socket option is not to be had.
    #[error("{what} failed on this host ({reason}): is a limit of processes or files reached?")]
    System {
        /// The call.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// Nobody there.
    #[error(
        "no rendezvous at {address} within {}, at last: {last}; is it running, is the port right, does a firewall \
         let it through? It stops listening once all its hosts have come: is this one too many, or too late?",
        show(*within)
    )]
    NoAnswer {
        /// Where.
        address: String,
        /// How long it was tried.
        within: Duration,
        /// How the last attempt ended.
        last: String,
    },
    /// Something else listens there.
    #[error("{address} is no rendezvous ({why}): check address and port")]
    Stranger {
        /// Where.
        address: String,
        /// What it did.
        why: String,
    },
    /// The captain does not have the token.
    #[error(
        "whoever answers at {address} has not this host's token: check the address, and the token on both hosts"
    )]
    Unproven {
        /// Where.
        address: String,
    },
    /// The captain will not have this host.
    #[error("the rendezvous at {address} refused this host: {why}")]
    Refused {
        /// Where.
        address: String,
        /// What it said.
        why: String,
    },
    /// Not all have come.
    #[error(
        "{who} not come within {}{refused}; look at what their engine says of them, or raise --gather-within",
        show(*within)
    )]
    Missing {
        /// Who, with the verb.
        who: String,
        /// How long they were waited for.
        within: Duration,
        /// Who was sent away meanwhile, and why; empty when nobody was.
        refused: String,
    },
    /// Some are there and have not arrived.
    #[error("{who} not come to the stage `{stage}` within {}: see what keeps that host", show(*within))]
    Late {
        /// Who, with the verb.
        who: String,
        /// Where the others wait.
        stage: Stage,
        /// How long they were waited for.
        within: Duration,
    },
    /// Some do not answer an order.
    #[error("{who} not answered an order within {}: see what keeps that host", show(*within))]
    Unanswered {
        /// Who, with the verb.
        who: String,
        /// How long they were waited for.
        within: Duration,
    },
    /// A member has ended or fallen silent.
    #[error("{who} is gone: {how}; see what that host says last")]
    Gone {
        /// Seat and host.
        who: String,
        /// What its connection showed.
        how: String,
    },
    /// A member cannot go on.
    #[error("{who}: {why}")]
    Said {
        /// Seat and host.
        who: String,
        /// What it said.
        why: String,
    },
    /// Somebody does what is not due.
    #[error("{who} {what}: do all hosts run the same command?")]
    Disorder {
        /// Seat and host.
        who: String,
        /// What.
        what: String,
    },
    /// The captain has ended the run.
    #[error("the rendezvous on {host} ended the run: {why}")]
    Aborted {
        /// The captain's host.
        host: String,
        /// What it said.
        why: String,
    },
    /// The captain has ended or fallen silent.
    #[error("the rendezvous on {host} is gone: {how}; see what that host says last")]
    CaptainGone {
        /// The captain's host.
        host: String,
        /// What its connection showed.
        how: String,
    },
    /// The captain is there and does not answer.
    #[error("the rendezvous on {host} has said nothing for {}: it hangs, see what keeps that host", show(*within))]
    CaptainSilent {
        /// The captain's host.
        host: String,
        /// How long.
        within: Duration,
    },
    /// The caller has ended the run.
    #[error("{0}")]
    Ended(String),
    /// A signal.
    #[error("{who} was interrupted by signal {signal}")]
    Interrupted {
        /// Which host.
        who: String,
        /// Which signal.
        signal: i32,
    },
}

impl FleetError {
    /// Who is at fault.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Listen { .. } | Self::System { .. } => Blame::Host,
            Self::Environment(_)
            | Self::Token(_)
            | Self::Settings(_)
            | Self::Stranger { .. }
            | Self::Unproven { .. }
            | Self::Refused { .. } => Blame::Usage,
            _ => Blame::Run,
        }
    }

    /// The signal that ended it, when one did on this host.
    #[must_use]
    pub const fn signal(&self) -> Option<i32> {
        match self {
            Self::Interrupted { signal, .. } => Some(*signal),
            _ => None,
        }
    }
}
