//! The doctor: what this host can hold, which limit bites first, and the command that lifts it.
//!
//! Does not print, measure or set anything. [`Facts`] are read once; [`examine`] is pure, and so are its checks.
//!
//! | file | subject |
//! |---|---|
//! | `facts` | what the host says of itself |
//! | `finding` | found, needed, verdict, why, remedy |
//! | `bounds` | the checks that bound a number of connections |
//! | `rings` | those of them that are about rings |
//! | `conduct` | the checks that bound none |
//! | `traffic` | those of them that are about packets |
//!
//! # How good its forecast is
//!
//! Memory is what bites on a host whose limits are in order, and the doctor reckons with 9,200 B for both ends, a tenth
//! more than was measured (results/2026-11-23-scale: 8.4 kB at 1 and at 2.5 million connections). On that host of 24 GiB,
//! with 24.5 GB free, it foresees 2.6 million; 2.5 million were held for ten minutes, and at 2.93 million the OOM
//! killer struck. A ramp measures its own connections and goes as far as they allow.

mod bounds;
mod conduct;
mod facts;
mod finding;
mod rings;
mod traffic;

pub use facts::{Facts, Rings, Tracking};
pub use finding::{Change, Finding, Verdict};

pub(super) use traffic::{burst, crowding};

use super::capacity::BYTES_PER_CONNECTION;
use crate::arm::{Budget, BudgetError};
use crate::bank::EngineKind;
use crate::units::Nanos;
use bounds::BOUNDS;
use conduct::CONDUCT;
use std::fmt;

/// Which ends of the connections this host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Both, over loopback.
    Both,
    /// The server's.
    Server,
    /// The load generator's.
    Load,
}

impl Side {
    /// The name as typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Server => "server",
            Self::Load => "load",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "with both ends here",
            Self::Server => "with the server's ends here",
            Self::Load => "with the load generator's ends here",
        })
    }
}

/// How connections are watched over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For people.
    pub name: String,
    /// Gap between two heartbeats of one connection.
    pub interval: Nanos,
    /// Whether there are any.
    pub heartbeats: bool,
    /// `TCP_KEEPIDLE`, seconds.
    pub keepalive_idle_s: u32,
    /// Ends whose sockets carry keepalive.
    pub keepalive_ends: u64,
    /// Over how long the connections are opened, which bunches keepalive's timers.
    pub ramp: Nanos,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// So many connections; `None` asks how many.
    pub connections: Option<u64>,
    /// Which ends are here.
    pub side: Side,
    /// What carries them.
    pub engine: EngineKind,
    /// Core threads of the server.
    pub server_cores: u32,
    /// Core threads of the load generator.
    pub load_cores: u32,
    /// Source addresses times targets, for [`Side::Load`].
    pub pairs: u64,
    /// Servers that run at once, each with its load generator and its share of the connections.
    pub runs: u64,
    /// How they are watched over, one or more ways.
    pub timings: Vec<Timing>,
}

impl Question {
    /// Under both named budgets, on all of `cores`.
    ///
    /// # Errors
    /// [`BudgetError`] when a preset cannot be kept, which would be a defect.
    pub fn under_presets(
        connections: Option<u64>,
        side: Side,
        cores: u32,
    ) -> Result<Self, BudgetError> {
        let preset = |name, (within, misses)| {
            Budget::derive(within, misses)
                .map(|budget| Timing::new(name, budget.interval, budget.keepalive_idle_s))
        };
        Ok(Self {
            connections,
            side,
            engine: EngineKind::default(),
            server_cores: cores,
            load_cores: cores,
            pairs: 1,
            runs: 1,
            timings: vec![
                preset("strict", Budget::STRICT)?,
                preset("relaxed", Budget::RELAXED)?,
            ],
        })
    }

    /// Ends of each connection on this host.
    #[must_use]
    pub const fn ends(&self) -> u64 {
        match self.side {
            Side::Both => 2,
            Side::Server | Side::Load => 1,
        }
    }

    const fn bytes_each(&self) -> u64 {
        BYTES_PER_CONNECTION * self.ends() / 2
    }

    const fn bytes(&self, connections: u64) -> u64 {
        connections.saturating_mul(self.bytes_each())
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was asked.
    pub question: Question,
    /// One per check: those that bound first.
    pub findings: Vec<Finding>,
    /// The number of connections they are judged at: what was asked for, or else what the host holds.
    pub judged_at: u64,
    /// Place of the tightest bound among the findings.
    first: usize,
    /// The tightest bound.
    holds: u64,
}

/// Judges the host. Without a number of connections it is judged at what it holds, and its first limit at what the second
/// one allows.
#[must_use]
pub fn examine(facts: &Facts, question: &Question) -> Diagnosis {
    let at = |n: u64| -> Vec<Finding> {
        let checks = BOUNDS.iter().chain(&CONDUCT);
        checks.map(|check| check(facts, question, n)).collect()
    };
    // A bound does not depend on the number it is judged at.
    let bounds = at(1);
    let most = |place: usize| bounds[place].verdict.most().unwrap_or(u64::MAX);
    let first = (0..BOUNDS.len())
        .min_by_key(|place| most(*place))
        .unwrap_or(0);
    let holds = most(first);
    let others = (0..BOUNDS.len()).filter(|place| *place != first);
    let second = others.map(most).min().unwrap_or(u64::MAX);
    // What memory alone bounds is asked twice as many.
    let goal = second
        .min(holds.saturating_mul(2).max(1_000))
        .max(holds.saturating_add(1));
    let judged_at = question
        .connections
        .unwrap_or(if holds == 0 { second } else { holds });
    let mut findings = at(judged_at);
    if question.connections.is_none() && holds > 0 {
        findings[first] = BOUNDS[first](facts, question, goal);
        let remedies = &mut findings[first].remedies;
        remedies.retain(|change| !matches!(change, Change::Fewer(_)));
    }
    Diagnosis {
        question: question.clone(),
        findings,
        judged_at,
        first,
        holds,
    }
}

impl Diagnosis {
    /// The most connections this host holds.
    #[must_use]
    pub const fn holds(&self) -> u64 {
        self.holds
    }

    /// The limit that bites first.
    #[must_use]
    pub fn first_limit(&self) -> &Finding {
        &self.findings[self.first]
    }

    /// Whether it holds what was asked for; `None` when nothing was.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.question.connections.map(|asked| asked <= self.holds)
    }

    /// What should be done, the tightest bound first.
    #[must_use]
    pub fn to_do(&self) -> Vec<&Finding> {
        let first = self.question.connections.is_none().then_some(self.first);
        let places = self.findings.iter().enumerate();
        let due = places
            .filter(|(place, finding)| finding.matters_at(self.judged_at) || Some(*place) == first);
        let mut due: Vec<&Finding> = due.map(|(_, finding)| finding).collect();
        due.sort_by_key(|finding| finding.verdict.most().unwrap_or(u64::MAX));
        due
    }

    /// What needs no doing.
    #[must_use]
    pub fn fine(&self) -> Vec<&Finding> {
        let due = self.to_do();
        let rest = self
            .findings
            .iter()
            .filter(|finding| !due.iter().any(|other| other.name == finding.name));
        rest.collect()
    }

    /// The answer in a sentence.
    #[must_use]
    pub fn answer(&self) -> String {
        let (holds, side, limit) = (
            about(self.holds),
            self.question.side,
            self.first_limit().name,
        );
        match self.question.connections {
            None if self.holds == 0 => {
                format!("This host holds no connection {side}: {limit} stands against it.")
            }
            None => {
                format!("This host holds about {holds} connections {side}; {limit} bites first.")
            }
            Some(asked) if asked <= self.holds => {
                format!(
                    "{} connections {side}: yes; {limit} would bite first, at about {holds}.",
                    about(asked)
                )
            }
            Some(asked) if self.holds == 0 => format!(
                "{} connections {side}: no; {limit} allows none.",
                about(asked)
            ),
            Some(asked) => format!(
                "{} connections {side}: no; {limit} bites first, at about {holds}.",
                about(asked)
            ),
        }
    }

    /// What a command says before it starts, none of `said` again: each in a line.
    #[must_use]
    pub fn forewarnings(&self, said: &[&str]) -> Vec<String> {
        let due = self.to_do().into_iter();
        let unsaid = due.filter(|finding| !said.contains(&finding.name));
        unsaid.map(|finding| self.line(finding)).collect()
    }

    /// Why what was asked for cannot be held, and what to do about it; `None` where it can, or nothing was.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        (self.is_met() == Some(false)).then(|| self.line(self.first_limit()))
    }

    fn line(&self, finding: &Finding) -> String {
        let Some(most) = finding.verdict.most() else {
            return finding.sentence();
        };
        let allows = if most == 0 {
            "no connection".to_owned()
        } else {
            format!("about {} connections", about(most))
        };
        format!(
            "{} allows {allows} here and {} are asked for: {}",
            finding.name,
            about(self.judged_at),
            finding.sentence()
        )
    }
}

/// A count to three figures, rounded down: `2.61 M`, `283 k`, `950`.
#[must_use]
pub fn about(count: u64) -> String {
    let hundredths = |unit: u64| (count / unit, count % unit * 100 / unit);
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{} k", count / 1_000),
        _ => match hundredths(1_000_000) {
            (millions, 0) => format!("{millions} M"),
            (millions @ 0..100, rest) => format!("{millions}.{rest:02} M"),
            (millions, _) => format!("{millions} M"),
        },
    }
}

/// The ending of a noun after `count`.
const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests;
