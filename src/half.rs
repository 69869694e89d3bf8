//! One half of an experiment, the server or the load generator, as a process of its own that takes orders.
//!
//! Does not decide when anything happens: the experiment does, through [`crate::control`]. Two processes because
//! the cost and the memory of each side are to be read apart.

#![forbid(unsafe_code)]

use crate::bank::Crew;
use crate::clock::{Clock as _, MonotonicClock};
use crate::control::{Order, Word, receive, send};
use crate::load::{Load, LoadError, Opening};
use crate::os::established::count_established;
use crate::server::{Server, ServerError};
use std::io::{self, BufRead, Write};
use std::time::Duration;

/// Between two looks for a fresh snapshot, which comes a few times a second.
const SETTLE_LOOK: Duration = Duration::from_millis(10);

/// What has been started.
struct Started {
    crew: Crew,
    /// Of the load generator alone.
    opening: Option<Opening>,
}

/// Takes orders until `orders` ends, answering on `words`.
///
/// # Errors
/// When the channel breaks. A half that cannot do what it is told says so with [`Word::Failed`] instead.
pub fn run(orders: &mut impl BufRead, words: &mut impl Write) -> io::Result<()> {
    let mut started = None;
    while let Some(order) = receive(orders)? {
        let word = obey(order, &mut started);
        send(words, &word)?;
        if matches!(word, Word::Failed { .. }) {
            break;
        }
    }
    Ok(())
}

fn obey(order: Order, started: &mut Option<Started>) -> Word {
    match order {
        Order::Serve(config) => match Server::start(&config) {
            Ok(server) => {
                *started = Some(Started {
                    crew: server.crew,
                    opening: None,
                });
                Word::Ready {
                    address: Some(server.address),
                    plan: server.plan.to_string(),
                }
            }
            Err(error) => failed(&error, !matches!(error, ServerError::Core(_))),
        },
        Order::Load(config) => match Load::start(&config) {
            Ok(load) => {
                *started = Some(Started {
                    crew: load.crew,
                    opening: Some(load.opening),
                });
                Word::Ready {
                    address: None,
                    plan: load.plan.to_string(),
                }
            }
            Err(error) => failed(&error, !matches!(error, LoadError::Core(_))),
        },
        Order::Go(phase) => report(started.as_ref(), |crew| crew.go(phase)),
        Order::Disturb(disturbance) => report(started.as_ref(), |crew| crew.disturb(disturbance)),
        Order::StopOpening => {
            if let Some(opening) = started.as_ref().and_then(|half| half.opening.as_ref()) {
                opening.stop();
            }
            report(started.as_ref(), |_| Ok(()))
        }
        Order::Report => report(started.as_ref(), |_| Ok(())),
        Order::Settle => report(started.as_ref(), settle),
        Order::Audit { port } => match count_established(port) {
            Ok(found) => Word::Audited {
                established: found.client_side,
            },
            Err(error) => failed(&error, true),
        },
    }
}

/// Does what was ordered, then says how things stand.
fn report(started: Option<&Started>, ordered: impl FnOnce(&Crew) -> Result<(), String>) -> Word {
    let Some(half) = started else {
        return Word::Failed {
            message: "an order came before the start; this is a defect, please report it"
                .to_owned(),
            host: false,
        };
    };
    match ordered(&half.crew).and_then(|()| half.crew.snapshot()) {
        Ok(mut snapshot) => {
            snapshot.opened_in = half.opening.as_ref().and_then(Opening::took);
            Word::Snapshot(Box::new(snapshot))
        }
        Err(message) => Word::Failed {
            message,
            host: false,
        },
    }
}

/// Waits until every core thread has shown itself after now.
fn settle(crew: &Crew) -> Result<(), String> {
    let asked = MonotonicClock.now();
    while crew.snapshot()?.at < asked {
        std::thread::sleep(SETTLE_LOOK);
    }
    Ok(())
}

fn failed(error: &dyn std::error::Error, host: bool) -> Word {
    Word::Failed {
        message: error.to_string(),
        host,
    }
}
