//! A load generator's host in a run that another host drives: it passes orders to a process of its own, and answers back.
//!
//! Decides nothing of the run. Every trial has a fresh process, started when the captain orders a load generator and ended
//! with its connections; whatever ends the run ends the process.

use super::ExperimentError;
use super::process::Half;
use crate::bank::Phase;
use crate::control::{Order, Word};
use crate::fleet::{Interrupted, Member};
use crate::load::LoadConfig;
use std::path::Path;
use std::time::Duration;

/// The longest between two orders: sockets of a trial before may take minutes to vanish on the server's host. A captain
/// that is gone is noticed within seconds whatever this is.
const BETWEEN_ORDERS: Duration = Duration::from_mins(30);

/// Obeys the captain until it dismisses all. `prepare` completes what a load generator is told with what is this host's
/// own, or says why it cannot be.
///
/// # Errors
/// [`ExperimentError::Fleet`] when the run ended elsewhere or by a signal; otherwise what happened here, which the captain
/// has been told.
pub fn obey_captain(
    member: &Member,
    executable: &Path,
    prepare: &mut dyn FnMut(&mut LoadConfig) -> Result<(), String>,
    interrupted: Interrupted<'_>,
) -> Result<(), ExperimentError> {
    let mut half = None;
    while let Some(order) = member.next_order(BETWEEN_ORDERS, interrupted)? {
        match obey(order, executable, &mut half, prepare) {
            Ok(word) => member.answer(word)?,
            Err(error) => {
                member.fail(&error.to_string());
                return Err(error);
            }
        }
    }
    Ok(())
}

fn obey(
    order: Order,
    executable: &Path,
    half: &mut Option<Half>,
    prepare: &mut dyn FnMut(&mut LoadConfig) -> Result<(), String>,
) -> Result<Word, ExperimentError> {
    let failed = |message: &str| ExperimentError::Half {
        role: "load",
        message: message.to_owned(),
    };
    if let Order::Load(mut config) = order {
        prepare(&mut config).map_err(ExperimentError::Host)?;
        // A trial that was cut short has left its process.
        *half = None;
        let started = half.insert(Half::spawn(executable, "load")?);
        return started.ask(&Order::Load(config));
    }
    if matches!(order, Order::Serve(_)) {
        return Err(failed("it was told to be the server: `serve` is for that"));
    }
    let running = half
        .as_mut()
        .ok_or_else(|| failed("an order came before it was started"))?;
    let word = running.ask(&order)?;
    if matches!(order, Order::Go(Phase::Ending | Phase::Exit))
        && let Some(half) = half.take()
    {
        half.finish();
    }
    Ok(word)
}
