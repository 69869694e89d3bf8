//! Which mechanism, and why that one.
//!
//! Decides from what must be noticed, by whom, and what may be changed; what the mechanisms notice is the fault
//! lab's ([`super::notice`]), what they cost the comparisons' ([`super::cost`]).

use super::{Question, Warning};
use crate::arm::{Arm, BudgetError, KeepaliveSide};
use std::time::Duration;

/// Why there is no advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdviceError {
    /// More than a day.
    #[error(
        "a detection time of {0:?} is longer than a day, and nobody waits that long for a verdict: give \
         --detect-within at most 9h (keepalive's options end at 32767 s), or reap by idle time instead"
    )]
    TooLong(Duration),
    /// The timing cannot be kept.
    #[error("{0}")]
    Budget(#[from] BudgetError),
    /// Nobody could be answered in time.
    #[error(
        "within {within:?} no answer can be awaited on a link with a round trip of {round_trip:?} ({link}): give \
         --detect-within at least {least:?}, or another --link"
    )]
    TooShort {
        /// Asked for.
        within: Duration,
        /// The link's.
        round_trip: Duration,
        /// Its name.
        link: &'static str,
        /// What would do.
        least: Duration,
    },
    /// The end that must notice cannot be set up.
    #[error(
        "{by} must notice (--noticed-by), but only {side} can be set up (--side): keepalive is set where it notices, \
         and heartbeats need both ends; give --side both, or --noticed-by {side}"
    )]
    OutOfReach {
        /// Who must notice.
        by: &'static str,
        /// What can be set up.
        side: &'static str,
    },
    /// Whole seconds leave no room for a verdict.
    #[error(
        "keepalive counts whole seconds (tcp(7)) and needs two probes for a verdict that one lost packet does not make, \
         so {0:?} is too short: give --detect-within at least 3s, or let both ends speak heartbeats"
    )]
    TooCoarse(Duration),
    /// A middlebox that forgets at once.
    #[error(
        "no NAT, firewall or load balancer is known to forget after {0:?}, and keepalive, which counts whole seconds \
         and must probe twice within that, could not keep it awake: give --middlebox-idle at least 2s"
    )]
    Forgetful(Duration),
    /// A host of a fleet that is too small for anything.
    #[error(
        "one host holds not a single connection: by its {what}, {headroom} % of which are kept free (--headroom), there \
         is no room; give a larger host (--host-memory, --host-cores, --nic), or a longer --detect-within"
    )]
    HostTooSmall {
        /// The tightest bound.
        what: &'static str,
        /// Kept free, percent.
        headroom: u64,
    },
}

/// The mechanism, with its reasons.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) arm: Arm,
    pub(super) why: Vec<String>,
    pub(super) warnings: Vec<Warning>,
}

/// Whether both ends' applications may speak heartbeats.
pub(super) fn heartbeats_possible(question: &Question) -> bool {
    question.app_changes && question.side == KeepaliveSide::Both
}

/// Why they may not, in words.
pub(super) fn no_heartbeats(question: &Question) -> &'static str {
    if question.app_changes {
        "heartbeats need both ends, and --side says that only one can be set up"
    } else {
        "heartbeats need applications that can be changed, and --no-app-changes says that they cannot"
    }
}

/// Chooses.
///
/// # Errors
/// [`AdviceError::OutOfReach`].
pub(super) fn choose(question: &Question) -> Result<Choice, AdviceError> {
    if heartbeats_possible(question) && question.hung_matters {
        return Ok(heartbeats(question));
    }
    let reached = |needed: bool, reach: bool| !needed || reach;
    let (by, side) = (question.noticed_by, question.side);
    if !reached(by.server(), side.server()) || !reached(by.client(), side.client()) {
        return Err(AdviceError::OutOfReach {
            by: by.name(),
            side: side.name(),
        });
    }
    Ok(keepalive(question))
}

fn heartbeats(question: &Question) -> Choice {
    let mut why = vec![
        "an application that hangs must be noticed, and only the application can tell: the kernel of a hung peer goes \
         on answering probes (RFC 9293, 3.8.4)"
            .to_owned(),
        "heartbeats are data, so they are retransmitted when they are lost; a probe that is lost is lost, and counts \
         towards the verdict"
            .to_owned(),
    ];
    let arm = if question.noticed_by == KeepaliveSide::Server {
        why.push(
            "only the server must notice, so no ack is needed: two packets a heartbeat instead of three"
                .to_owned(),
        );
        Arm::HeartbeatOneway
    } else {
        why.push(
            "the client sends and the server acks: both ends learn of the other's death, and the client, whose radio \
             or process may sleep, keeps the schedule"
                .to_owned(),
        );
        Arm::Heartbeat
    };
    Choice {
        arm,
        why,
        warnings: Vec::new(),
    }
}

fn keepalive(question: &Question) -> Choice {
    let mut warnings = Vec::new();
    let mut why = Vec::new();
    if question.hung_matters {
        warnings.push(Warning {
            code: "hung-application-unseen",
            message: format!(
                "an application that hangs must be noticed, which only heartbeats do; but {}. The latter wins: \
                 keepalive it is, and a hung application stays unnoticed",
                no_heartbeats(question)
            ),
            advice: "watch for hangs by other means (a health check, a request's own deadline), or let both ends \
                     speak heartbeats"
                .to_owned(),
        });
        why.push(no_heartbeats(question).to_owned());
    } else {
        why.push(
            "a hung application need not be noticed, and keepalive notices all else that heartbeats do, for less CPU and \
             with no change to either application; each end that must notice sends probes of its own"
                .to_owned(),
        );
    }
    why.push(
        "TCP_USER_TIMEOUT beside it costs no packet and bounds what keepalive leaves open: data that stays \
         unacknowledged, and a peer that stops reading"
            .to_owned(),
    );
    Choice {
        arm: Arm::KeepaliveUserTimeout,
        why,
        warnings,
    }
}
