//! What became of the cells, storms and scenes of two runs, and where it was not the same.
//!
//! Does not weigh: an outcome is the same or it is not, and no interval tells how often chance alone would change it.

use super::changes::{Change, NOT_THERE};
use crate::report::format::count;

/// Changes that the answer tells one by one before the rest is counted.
const TOLD: usize = 3;

/// One kind of thing that both runs have.
#[derive(Clone, Debug)]
struct Tally {
    /// One of them, and several.
    what: [&'static str; 2],
    both: usize,
    changed: usize,
    only_one: usize,
}

impl Tally {
    fn of(&self, number: usize) -> String {
        let word = self.what[usize::from(number != 1)];
        format!("{} {word}", whole(number))
    }

    /// `2 of 9 claims`.
    fn share(&self) -> String {
        format!("{} of {}", whole(self.changed), self.of(self.both))
    }
}

fn whole(number: usize) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX))
}

/// All of it, the most important kind first.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    tallies: Vec<Tally>,
    /// What came out otherwise, in the tallies' order.
    pub(super) changed: Vec<Change>,
    /// What only one run has.
    pub(super) lone: Vec<Change>,
}

impl Outcomes {
    /// What is noted from here on is one of these.
    pub(super) fn begin(&mut self, what: [&'static str; 2]) {
        self.tallies.push(Tally {
            what,
            both: 0,
            changed: 0,
            only_one: 0,
        });
    }

    fn tally(&mut self, note: impl FnOnce(&mut Tally)) {
        if let Some(tally) = self.tallies.last_mut() {
            note(tally);
        }
    }

    /// Notes what both have, and what became of it in either.
    pub(super) fn both(&mut self, key: &str, [one, other]: [String; 2], same: bool) {
        self.tally(|tally| {
            tally.both += 1;
            tally.changed += usize::from(!same);
        });
        if !same {
            let key = key.to_owned();
            self.changed.push(Change { key, one, other });
        }
    }

    /// Notes what only one has, `number` of them under one key. `first` says which, `said` what it has, and `why` why
    /// the other has not, where that is known.
    pub(super) fn only(
        &mut self,
        first: bool,
        (key, number): (&str, usize),
        said: &str,
        why: Option<&String>,
    ) {
        self.tally(|tally| tally.only_one += number);
        let missing = why.map_or_else(|| NOT_THERE.to_owned(), |why| format!("{NOT_THERE}: {why}"));
        let (one, other) = if first {
            (said.to_owned(), missing)
        } else {
            (missing, said.to_owned())
        };
        let key = key.to_owned();
        self.lone.push(Change { key, one, other });
    }

    /// In sentences with a space after the last; empty for a kind of run without outcomes.
    pub(super) fn answer(&self) -> String {
        let Some((first, rest)) = self.tallies.split_first() else {
            return String::new();
        };
        let others = rest.iter().filter(|tally| tally.changed > 0);
        let others: Vec<String> = others.map(Tally::share).collect();
        let others = others.join(", ");
        let said = match (first.both, first.changed) {
            (0, _) => format!("No {} is in both", first.what[0]),
            (_, 0) => format!("None of {} came out otherwise", first.of(first.both)),
            _ => format!("{} came out otherwise: {}", first.share(), self.told(first)),
        };
        let others = match first.changed {
            _ if others.is_empty() => others,
            0 => format!("; but {others} did"),
            _ => format!("; so did {others}"),
        };
        let lone = self.tallies.iter().filter(|tally| tally.only_one > 0);
        let lone: Vec<String> = lone.map(|tally| tally.of(tally.only_one)).collect();
        let lone = if lone.is_empty() {
            String::new()
        } else {
            format!("; only one of them has {}", lone.join(", "))
        };
        format!("{said}{others}{lone}. ")
    }

    /// The first kind's changes.
    fn told(&self, first: &Tally) -> String {
        let changes = self.changed.iter().take(first.changed.min(TOLD));
        let told = changes.map(|c| format!("{}: A {}, B {}", c.key, c.one, c.other));
        let told = told.collect::<Vec<_>>().join("; ");
        match first.changed.saturating_sub(TOLD) {
            0 => told,
            more => format!("{told}; and {} more", whole(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(one: &str, other: &str) -> [String; 2] {
        [one.to_owned(), other.to_owned()]
    }

    #[test]
    fn the_first_kind_is_told_one_by_one_and_the_others_are_counted() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.answer(), "");
        outcomes.begin(["cell", "cells"]);
        assert_eq!(outcomes.answer(), "No cell is in both. ");
        outcomes.both("a", texts("x", "x"), true);
        assert_eq!(outcomes.answer(), "None of 1 cell came out otherwise. ");
        outcomes.both("b", texts("x", "y"), false);
        outcomes.begin(["rule", "rules"]);
        outcomes.both("c", texts("x", "z"), false);
        let why = "no nft".to_owned();
        outcomes.only(false, ("d", 1), "held", Some(&why));
        assert_eq!(
            outcomes.answer(),
            "1 of 2 cells came out otherwise: b: A x, B y; so did 1 of 1 rule; only one of them has 1 rule. "
        );
        assert_eq!(outcomes.lone[0].one, "not there: no nft");
    }

    #[test]
    fn many_changes_are_cut_short_and_a_calm_first_kind_hides_no_other() {
        let mut outcomes = Outcomes::default();
        outcomes.begin(["cell", "cells"]);
        for key in ["a", "b", "c", "d"] {
            outcomes.both(key, texts("x", "y"), false);
        }
        assert!(outcomes.answer().ends_with("c: A x, B y; and 1 more. "));
        let mut calm = Outcomes::default();
        calm.begin(["cell", "cells"]);
        calm.both("a", texts("x", "x"), true);
        calm.begin(["rule", "rules"]);
        calm.both("b", texts("x", "y"), false);
        let said = "None of 1 cell came out otherwise; but 1 of 1 rule did. ";
        assert_eq!(calm.answer(), said);
    }
}
