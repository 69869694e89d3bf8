//! One half of an experiment, the server or the load generator, as a process of its own that takes orders.
//!
//! Does not decide when anything happens: the experiment does, through [`crate::control`]. Two processes because
//! the cost and the memory of each side are to be read apart.

#![forbid(unsafe_code)]

use crate::bank::{Crew, Phase};
use crate::control::{Order, Word, receive, send};
use crate::load::{Load, LoadError};
use crate::server::{Server, ServerError};
use std::io::{self, BufRead, Write};

/// Takes orders until `orders` ends, answering on `words`.
///
/// # Errors
/// When the channel breaks. A half that cannot do what it is told says so with [`Word::Failed`] instead.
pub fn run(orders: &mut impl BufRead, words: &mut impl Write) -> io::Result<()> {
    let mut crew = None;
    while let Some(order) = receive(orders)? {
        let word = obey(order, &mut crew);
        send(words, &word)?;
        if matches!(word, Word::Failed { .. }) {
            break;
        }
    }
    Ok(())
}

fn obey(order: Order, crew: &mut Option<Crew>) -> Word {
    match order {
        Order::Serve(config) => match Server::start(&config) {
            Ok(server) => {
                *crew = Some(server.crew);
                Word::Ready {
                    address: Some(server.address),
                    plan: server.plan.to_string(),
                }
            }
            Err(error) => failed(&error, !matches!(error, ServerError::Core(_))),
        },
        Order::Load(config) => match Load::start(&config) {
            Ok(load) => {
                *crew = Some(load.crew);
                Word::Ready {
                    address: None,
                    plan: load.plan.to_string(),
                }
            }
            Err(error) => failed(&error, !matches!(error, LoadError::Core(_))),
        },
        Order::Go(phase) => report(crew.as_ref(), Some(phase)),
        Order::Report => report(crew.as_ref(), None),
    }
}

fn report(crew: Option<&Crew>, phase: Option<Phase>) -> Word {
    let Some(crew) = crew else {
        return Word::Failed {
            message: "a phase before the start".to_owned(),
            host: false,
        };
    };
    let moved = phase.map_or(Ok(()), |phase| crew.go(phase));
    match moved.and_then(|()| crew.snapshot()) {
        Ok(snapshot) => Word::Snapshot(Box::new(snapshot)),
        Err(message) => Word::Failed {
            message,
            host: false,
        },
    }
}

fn failed(error: &dyn std::error::Error, host: bool) -> Word {
    Word::Failed {
        message: error.to_string(),
        host,
    }
}
