//! SIGINT and SIGTERM as a flag that the main thread looks at.
//!
//! Does not end anything by itself, with one exception: once a signal has been caught, a second one
//! has its default effect and ends the process at once, so that a drain which hangs can be left.

use super::Failure;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// See the [module](self).
#[derive(Debug)]
pub struct Signals {
    caught: Arc<AtomicUsize>,
}

impl Signals {
    /// Catches SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// [`Failure::Host`] when the system refuses the handlers.
    pub fn register() -> Result<Self, Failure> {
        let caught = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or(0);
            // The order matters: the first signal must find `again` still unset.
            flag::register_conditional_default(signal, Arc::clone(&again))
                .and_then(|_| flag::register(signal, Arc::clone(&again)))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&caught), number))
                .map_err(|error| refused(&error))?;
        }
        Ok(Self { caught })
    }

    /// The signal that came, if one did.
    #[must_use]
    pub fn caught(&self) -> Option<i32> {
        match self.caught.load(Ordering::Relaxed) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }
}

/// Lets SIGINT pass without effect. A terminal sends Ctrl-C to every process in the foreground; a
/// half that an experiment started leaves it to the experiment.
///
/// # Errors
/// [`Failure::Host`] when the system refuses the handler.
pub fn ignore_interrupt() -> Result<(), Failure> {
    flag::register(SIGINT, Arc::new(AtomicBool::new(false)))
        .map(drop)
        .map_err(|error| refused(&error))
}

/// `SIGINT` for 2, and so on.
#[must_use]
pub fn name(signal: i32) -> &'static str {
    Signal::try_from(signal).map_or("a signal", Signal::as_str)
}

fn refused(error: &io::Error) -> Failure {
    Failure::Host(format!(
        "signal handlers were refused ({error}): is a seccomp filter in the way?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_caught_once_and_named() {
        let signals = Signals::register().unwrap();
        assert_eq!(signals.caught(), None);
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(signals.caught(), Some(SIGTERM));
        assert_eq!(
            (name(SIGTERM), name(SIGINT), name(-1)),
            ("SIGTERM", "SIGINT", "a signal")
        );
    }
}
