//! Two results side by side: what differs between the machines and settings, then figure by figure which differences are
//! more than noise.
//!
//! Does not measure, and does not say why two runs differ. Intervals are the records' own, over their rounds and widened
//! by the drift they saw; what the machine's speed may explain, by the fixed piece of work both runs timed, is not called a
//! difference. Two runs differ by more than that: another hour, another placement; two runs are two samples of it.

mod changes;
mod figures;
mod page;
mod rows;
mod text;

use super::plot::{self, Plot, PlotError};
use crate::record::{Kind, Record};
use changes::Change;
pub(super) use changes::machines;
use figures::Verdict;
use rows::Group;

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
    /// Nothing in them tells a difference from noise.
    #[error(
        "results of `{0}` keep no rounds, so nothing would tell a difference from noise; two of `compare` or two of \
         `scale` can be compared, these only read one beside the other with `ringbeat report DIR`"
    )]
    NoRounds(&'static str),
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
    /// What to know before a figure is quoted.
    doubts: Vec<String>,
    groups: Vec<Group>,
    plots: Vec<Plot>,
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Cost => "compare",
        Kind::Scale => "scale",
        Kind::Detection => "detect",
        Kind::Storm => "storm",
        Kind::Lifecycle => "lifecycle",
        Kind::Fleet => "merge",
    }
}

impl Difference {
    /// Compares `other` with `one`.
    ///
    /// # Errors
    /// [`AgainstError`] when the kinds differ or keep no rounds, or a histogram does not open.
    pub fn between(one: Side<'_>, other: Side<'_>) -> Result<Self, AgainstError> {
        let kinds = [one.record.kind, other.record.kind];
        if kinds[0] != kinds[1] {
            return Err(AgainstError::Kinds(word(kinds[0]), word(kinds[1])));
        }
        if !matches!(kinds[0], Kind::Cost | Kind::Scale) {
            return Err(AgainstError::NoRounds(word(kinds[0])));
        }
        let (a, b) = (one.record, other.record);
        Ok(Self {
            names: [one.name.to_owned(), other.name.to_owned()],
            started: [a.started_at.clone(), b.started_at.clone()],
            environment: changes::environment(&a.environment, &b.environment),
            config: changes::config(&a.config, &b.config),
            doubts: doubts(a, b),
            groups: rows::groups(a, b).map_err(PlotError::from)?,
            plots: plot::overlaid(&a.arms, &b.arms)?,
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

    /// The answer in one sentence.
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
            0 => "none differs by more than noise".to_owned(),
            1 => "one differs by more than noise".to_owned(),
            more => format!("{more} differ by more than noise"),
        };
        let chance = match self.resolved() {
            0 => String::new(),
            _ => format!(", where chance alone may make {}", self.chance()),
        };
        let all = self.compared();
        format!("{environment}, {config}; of {all} figures {figures}{chance}.")
    }
}

const METHOD: &str = "B ÷ A, in brackets its 95 % interval. CPU figures bring their intervals from the records: over \
    rounds, widened by the drift each run saw. Latencies and packets: geometric mean over rounds, Student's interval of \
    the logarithms, latencies widened by half the drift at either end. The ratio's interval follows from both sides' \
    (variance estimates recovery, in logarithms). A difference in time is resolved when one is left both as measured and \
    after the machine's speed is taken out, by the fixed piece of work that both runs timed. Two runs are two \
    hours of one machine: what a third would show they do not say.";

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
mod tests;
