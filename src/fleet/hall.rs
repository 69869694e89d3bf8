//! What the captain's threads share: the roster, the captain's own side, and the one way in which a run ends early.
//!
//! Does not wait for anybody; see `captain`.

use super::admission::House;
use super::board::Board;
use super::clock::SteadyClock;
use super::door::Door;
use super::frame::AFTER_ADMISSION;
use super::link::{Link, obituary};
use super::message::{FromCaptain, FromMember, for_people};
use super::roster::Roster;
use super::{FleetError, Seat, Token};
use crate::clock::{Clock as _, MonotonicClock};
use std::sync::Arc;

/// Tells `links`. Whoever cannot be told is noticed by the thread that listens to him.
pub(super) fn tell(links: &[Arc<Link>], message: &FromCaptain) {
    for link in links {
        let _ = link.send(message, AFTER_ADMISSION);
    }
}

#[derive(Debug)]
pub(super) struct Hall {
    pub(super) house: House,
    pub(super) token: Token,
    pub(super) run: String,
    pub(super) clock: SteadyClock,
    /// What the phases of all hosts count from, by that clock.
    pub(super) origin_epoch_ns: u64,
    pub(super) board: Board<Roster>,
    pub(super) door: Board<Door>,
}

impl Hall {
    /// Ends the run and tells all. What ended it first remains the reason; that is returned.
    pub(super) fn end(&self, error: FleetError) -> FleetError {
        let (first, links) = self.board.change(|roster| {
            if let Some(first) = &roster.trouble {
                return (first.clone(), Vec::new());
            }
            roster.trouble = Some(error.clone());
            (error, roster.links())
        });
        tell(&links, &FromCaptain::Abort(first.to_string()));
        first
    }

    /// Listens to a member until it is gone.
    pub(super) fn listen_to(&self, seat: Seat, link: &Link) {
        // Whoever came in while the run ended has not been told.
        let trouble = self.board.look(|roster| roster.trouble.clone());
        if let Some(trouble) = trouble {
            let _ = link.send(&FromCaptain::Abort(trouble.to_string()), AFTER_ADMISSION);
        }
        let how = loop {
            match link.receive() {
                Ok(Some(message)) => self.heard(seat, link, message),
                end => break obituary(&end),
            }
        };
        let missed = self.board.look(|roster| {
            let missed = !roster.finished && !roster.closing && roster.trouble.is_none();
            missed.then(|| roster.whom(seat))
        });
        if let Some(who) = missed {
            self.end(FleetError::Gone { who, how });
        }
        link.end();
        self.board.change(|roster| roster.readers -= 1);
    }

    fn heard(&self, seat: Seat, link: &Link, message: FromMember) {
        match message {
            FromMember::Ping(number) => {
                let epoch_ns = self.clock.at(MonotonicClock.now());
                let _ = link.send(&FromCaptain::Pong { number, epoch_ns }, AFTER_ADMISSION);
            }
            FromMember::Arrived(stage) => self.note(seat, |party| party.arrived = Some(stage)),
            FromMember::Word(word) => self.note(seat, |party| party.word = Some(*word)),
            FromMember::Failed(why) => {
                let who = self.board.look(|roster| roster.whom(seat));
                let why = for_people(&why);
                self.end(FleetError::Said { who, why });
            }
            FromMember::Hello(_) | FromMember::Proof(_) => {
                let who = self.board.look(|roster| roster.whom(seat));
                let what = "introduced itself twice".to_owned();
                self.end(FleetError::Disorder { who, what });
            }
        }
    }

    fn note(&self, seat: Seat, note: impl FnOnce(&mut super::roster::Party)) {
        self.board.change(|roster| {
            if let Some(party) = roster.parties.get_mut(&seat) {
                note(party);
            }
        });
    }
}
