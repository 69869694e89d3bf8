//! Who is there, where they have arrived, and what ended the run.
//!
//! Does no I/O; it keeps the links and does not use them.

use super::link::Link;
use super::{FleetError, Seat, Stage};
use crate::control::Word;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many are named one by one.
const MOST_NAMED: usize = 8;
/// How many of those that were sent away are remembered.
const MOST_REFUSALS: usize = 4;

/// A host that has been admitted.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) host: String,
    pub(super) link: Arc<Link>,
    /// It has been told.
    pub(super) welcomed: bool,
    pub(super) arrived: Option<Stage>,
    pub(super) word: Option<Word>,
}

#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Who is to come, besides the captain.
    pub(super) expected: BTreeSet<Seat>,
    pub(super) shards: u32,
    pub(super) parties: BTreeMap<Seat, Party>,
    /// What ended the run: the first thing, as what follows is its consequence.
    pub(super) trouble: Option<FleetError>,
    /// All are done; nobody is missed any more.
    pub(super) finished: bool,
    /// The captain leaves.
    pub(super) closing: bool,
    /// Threads that listen to a party.
    pub(super) readers: usize,
    refusals: Vec<String>,
}

impl Roster {
    pub(super) fn new(own: Seat, server: bool, shards: u32) -> Self {
        let mut expected: BTreeSet<Seat> = (0..shards).map(Seat::Shard).collect();
        if server {
            expected.insert(Seat::Server);
        }
        expected.remove(&own);
        Self {
            expected,
            shards,
            ..Self::default()
        }
    }

    /// Gives a host its seat.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn seat(&mut self, seat: Seat, host: &str, link: &Arc<Link>) -> Result<(), String> {
        if let Some(trouble) = &self.trouble {
            return Err(format!("the run has ended already: {trouble}"));
        }
        if self.finished || self.closing {
            return Err("the run is over already".to_owned());
        }
        if let Some(party) = self.parties.get(&seat) {
            return Err(format!(
                "{seat} is {} already, and {host} says that it is too: give each host its own number",
                party.host
            ));
        }
        if !self.expected.contains(&seat) {
            return Err(format!(
                "the host of the rendezvous is {seat} itself, or none takes part, and {host} says that it is: give \
                 each host its own place"
            ));
        }
        let party = Party {
            host: host.to_owned(),
            link: Arc::clone(link),
            welcomed: false,
            arrived: None,
            word: None,
        };
        self.parties.insert(seat, party);
        Ok(())
    }

    /// Remembers that somebody was sent away, for the case that he is missed.
    pub(super) fn refused(&mut self, why: &str) {
        if self.refusals.len() < MOST_REFUSALS && !self.refusals.iter().any(|known| known == why) {
            self.refusals.push(why.to_owned());
        }
    }

    /// `; sent away: …`, or nothing.
    pub(super) fn refusals(&self) -> String {
        match self.refusals.as_slice() {
            [] => String::new(),
            some => format!("; sent away meanwhile: {}", some.join("; ")),
        }
    }

    /// Who has not come yet.
    pub(super) fn missing(&self) -> Vec<Seat> {
        let there = |seat: &Seat| self.parties.get(seat).is_some_and(|party| party.welcomed);
        self.expected
            .iter()
            .filter(|seat| !there(seat))
            .copied()
            .collect()
    }

    /// Who is not at `stage`.
    pub(super) fn late(&self, stage: Stage) -> Vec<Seat> {
        let arrived = |seat: &Seat| {
            let party = self.parties.get(seat);
            party.is_some_and(|party| party.arrived == Some(stage))
        };
        self.expected
            .iter()
            .filter(|seat| !arrived(seat))
            .copied()
            .collect()
    }

    /// What keeps all from going on at `stage`, when waiting does not help.
    pub(super) fn hopeless(&self, stage: Stage) -> Option<FleetError> {
        if self.trouble.is_some() {
            return self.trouble.clone();
        }
        let elsewhere = self.parties.iter().find_map(|(seat, party)| {
            let other = party.arrived.filter(|arrived| *arrived != stage)?;
            Some((seat, other))
        });
        elsewhere.map(|(seat, other)| FleetError::Disorder {
            who: self.whom(*seat),
            what: format!("has come to the stage `{other}`, and the others wait at `{stage}`"),
        })
    }

    /// All welcomed parties' links.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        let welcomed = self.parties.values().filter(|party| party.welcomed);
        welcomed.map(|party| Arc::clone(&party.link)).collect()
    }

    /// `shard 2 (host beta)`.
    pub(super) fn whom(&self, seat: Seat) -> String {
        match self.parties.get(&seat) {
            Some(party) => format!("{seat} (host {})", party.host),
            None => format!("{seat} (never came)"),
        }
    }

    /// `shard 2 (host beta) and shard 3 (host gamma) have`.
    pub(super) fn whom_all(&self, seats: &[Seat]) -> String {
        let names: Vec<String> = seats.iter().map(|seat| self.whom(*seat)).collect();
        format!("{} {}", listed(&names), have(seats.len()))
    }
}

/// `shards 3 and 5 of 8 have`, `the server has`.
pub(super) fn absentees(seats: &[Seat], shards: u32) -> String {
    let numbers: Vec<String> = seats
        .iter()
        .filter_map(|seat| match seat {
            Seat::Shard(index) => Some(index.to_string()),
            Seat::Server => None,
        })
        .collect();
    let server = seats.contains(&Seat::Server);
    let verb = have(seats.len());
    let plural = if numbers.len() == 1 { "" } else { "s" };
    let shards = format!("shard{plural} {} of {shards}", listed(&numbers));
    match (numbers.is_empty(), server) {
        (true, _) => format!("the server {verb}"),
        (false, true) => format!("{shards} and the server {verb}"),
        (false, false) => format!("{shards} {verb}"),
    }
}

const fn have(count: usize) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

/// `a`, `a and b`, `a, b and c`, `a, b, c and 92 others`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        many if many.len() > MOST_NAMED => {
            let others = many.len() - MOST_NAMED + 1;
            format!("{} and {others} others", many[..MOST_NAMED - 1].join(", "))
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absentees_are_named_as_people_would() {
        let shards =
            |numbers: &[u32]| -> Vec<Seat> { numbers.iter().copied().map(Seat::Shard).collect() };
        assert_eq!(absentees(&shards(&[3, 5]), 8), "shards 3 and 5 of 8 have");
        assert_eq!(absentees(&shards(&[3]), 8), "shard 3 of 8 has");
        assert_eq!(absentees(&[Seat::Server], 8), "the server has");
        let both = [shards(&[1, 2, 3]), vec![Seat::Server]].concat();
        assert_eq!(
            absentees(&both, 4),
            "shards 1, 2 and 3 of 4 and the server have"
        );
        let many: Vec<u32> = (0..100).collect();
        assert_eq!(
            absentees(&shards(&many), 100),
            "shards 0, 1, 2, 3, 4, 5, 6 and 93 others of 100 have"
        );
    }

    #[test]
    fn the_captain_does_not_wait_for_itself() {
        let seats = |own, server| Roster::new(own, server, 2).missing();
        assert_eq!(seats(Seat::Server, true), [Seat::Shard(0), Seat::Shard(1)]);
        assert_eq!(seats(Seat::Shard(0), true), [Seat::Shard(1), Seat::Server]);
        assert_eq!(seats(Seat::Shard(0), false), [Seat::Shard(1)]);
    }

    #[test]
    fn refusals_are_remembered_once_and_not_without_end() {
        let mut roster = Roster::default();
        assert_eq!(roster.refusals(), "");
        for number in [1, 1, 2, 3, 4, 5] {
            roster.refused(&format!("no {number}"));
        }
        assert_eq!(
            roster.refusals(),
            "; sent away meanwhile: no 1; no 2; no 3; no 4"
        );
    }
}
