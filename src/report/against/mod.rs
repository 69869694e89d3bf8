//! Two results side by side: what differs between the machines and settings, then figure by figure which differences are
//! more than noise.
//!
//! Does not measure, and does not say why two runs differ. What became of a cell, a storm or a scene is told before any
//! figure, and is no matter of intervals. Intervals are the records' own, over their rounds and widened
//! by the drift they saw; what the machine's speed may explain, by the fixed piece of work both runs timed, is not called a
//! difference. Two runs differ by more than that: another hour, another placement; two runs are two samples of it.

mod arms;
mod cells;
mod changes;
mod figures;
mod lifecycles;
mod outcomes;
mod page;
mod rows;
mod storms;
mod text;
mod words;

use super::plot::{self, Overlaid, Plot, PlotError};
use crate::record::{Kind, Record};
use changes::Change;
pub(super) use changes::machines;
use figures::Verdict;
use outcomes::Outcomes;
use rows::{Both, Group};

/// One of the two results.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it is called, mostly its folder.
    pub name: &'a str,
    /// What it holds.
    pub record: &'a Record,
}

/// Why two results cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum AgainstError {
    /// They answer different questions.
    #[error(
        "one result is of `{0}`, the other of `{1}`, which have no figure in common; give two of one kind"
    )]
    Kinds(&'static str, &'static str),
    /// Connections held by hand were measured once.
    #[error(
        "results of `serve`, `load` and `merge` are of one window each and have no control, so nothing tells noise from \
         difference between two of them; `ringbeat compare --fleet` measures in rounds what can be compared"
    )]
    OneWindow,
    /// A stored histogram does not open.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// What differs between two results.
#[derive(Debug)]
pub struct Difference {
    names: [String; 2],
    started: [String; 2],
    environment: Vec<Change>,
    config: Vec<Change>,
    outcomes: Outcomes,
    /// What to know before a figure is quoted.
    doubts: Vec<String>,
    groups: Vec<Group>,
    plots: Vec<Plot>,
    /// Why what has no interval has none.
    alone: &'static str,
    method: &'static str,
}

fn word(record: &Record) -> &'static str {
    match record.kind {
        Kind::Cost => "compare",
        Kind::Scale => "scale",
        Kind::Detection => "detect",
        // In a churn there is no drop to count from.
        Kind::Storm
            if record
                .storm
                .as_ref()
                .is_some_and(|storm| storm.mode == "churn") =>
        {
            "storm --churn"
        }
        Kind::Storm => "storm",
        Kind::Lifecycle => "lifecycle",
        Kind::Fleet => "merge",
    }
}

impl Difference {
    /// Compares `other` with `one`.
    ///
    /// # Errors
    /// [`AgainstError`] when the kinds differ, or a histogram does not open.
    pub fn between(one: Side<'_>, other: Side<'_>) -> Result<Self, AgainstError> {
        let (a, b) = (one.record, other.record);
        let kinds = [word(a), word(b)];
        if kinds[0] != kinds[1] {
            return Err(AgainstError::Kinds(kinds[0], kinds[1]));
        }
        let both = Both::of(a, b);
        let (outcomes, groups) = match a.kind {
            Kind::Detection => cells::compare(both, a, b),
            Kind::Storm => storms::compare(both, a, b),
            Kind::Lifecycle => lifecycles::compare(both, a, b),
            Kind::Fleet => return Err(AgainstError::OneWindow),
            Kind::Cost | Kind::Scale => {
                let groups = arms::groups(both, a, b).map_err(PlotError::from)?;
                (Outcomes::default(), groups)
            }
        };
        Ok(Self {
            names: [one.name.to_owned(), other.name.to_owned()],
            started: [a.started_at.clone(), b.started_at.clone()],
            environment: changes::environment(&a.environment, &b.environment),
            config: changes::config(a, b),
            outcomes,
            doubts: doubts(a, b),
            groups,
            plots: plot::overlaid(a.kind, &overlaid(a, b))?,
            alone: words::alone(a.kind),
            method: words::method(a.kind),
        })
    }

    /// How many figures differ by more than noise.
    #[must_use]
    pub fn resolved(&self) -> usize {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        rows.filter(|row| row.resolved()).count()
    }

    /// How many were compared.
    fn compared(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len()).sum()
    }

    /// How many of them chance alone may resolve: of a hundred intervals of 95 %, five miss.
    fn chance(&self) -> usize {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        let judged =
            rows.filter(|row| row.resolved() || row.judged.verdict == Verdict::NotResolved);
        judged.count().div_ceil(20)
    }

    /// How many are not the same.
    fn differing(&self) -> usize {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        rows.filter(|row| row.judged.verdict != Verdict::Same)
            .count()
    }

    /// The answer: what came out otherwise, then how many figures differ.
    fn headline(&self) -> String {
        let environment = match self.environment.len() {
            0 => "The machines are the same by what the records hold".to_owned(),
            1 => "The machines differ in one thing".to_owned(),
            more => format!("The machines differ in {more} things"),
        };
        let config = match self.config.len() {
            0 => "the settings are the same".to_owned(),
            1 => "the settings differ in one".to_owned(),
            more => format!("the settings differ in {more}"),
        };
        let figures = match self.resolved() {
            0 if self.chance() == 0 && self.differing() > 0 => {
                let (count, verb) = match self.differing() {
                    1 => ("one".to_owned(), "differs"),
                    more => (more.to_string(), "differ"),
                };
                format!("{count} {verb}, not resolved: {}", self.alone)
            }
            0 => "none differs by more than noise".to_owned(),
            1 => "one differs by more than noise".to_owned(),
            more => format!("{more} differ by more than noise"),
        };
        let chance = match self.resolved() {
            0 => String::new(),
            _ => format!(", where chance alone may make {}", self.chance()),
        };
        let outcomes = self.outcomes.answer();
        let figures = match self.compared() {
            0 => "no figure is in both".to_owned(),
            all => format!("of {all} figures {figures}{chance}"),
        };
        format!("{outcomes}{environment}, {config}; {figures}.")
    }
}

/// The latencies of what both have, for charts.
fn overlaid<'a>(a: &'a Record, b: &'a Record) -> Vec<Overlaid<'a>> {
    match a.kind {
        Kind::Storm => storms::overlaid(a, b),
        Kind::Lifecycle => lifecycles::overlaid(a, b),
        _ => arms::overlaid(a, b),
    }
}

/// Whether to believe either.
fn doubts(a: &Record, b: &Record) -> Vec<String> {
    let mut doubts = Vec::new();
    for (name, record) in [("A", a), ("B", b)] {
        if !record.valid {
            doubts.push(format!("{name} is not valid: its own checks did not hold"));
        }
        if record.partial {
            doubts.push(format!("{name} was cut short"));
        }
        for warning in &record.warnings {
            doubts.push(format!("{name}, {}: {}", warning.code, warning.message));
        }
    }
    match rows::speed(a, b) {
        Some(speed) => doubts.extend(((speed - 1.0).abs() >= 0.02).then(|| {
            format!("the same fixed piece of work took {speed:.2} times as long in B as in A: the machine's speed differed")
        })),
        None => doubts.push(
            "not both runs timed a fixed piece of work, so the machine's speed in one and the other is not known"
                .to_owned(),
        ),
    }
    doubts
}

#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod tests;
