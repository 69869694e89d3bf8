//! What criterion measured: one figure per structure, group, population and order, and their tables.
//!
//! Does not measure. Figures are medians in nanoseconds of whatever the group counts.

use super::population::{Order, RELAXED, STRICT};
use crate::timers::subject::{Role, Timers};
use ringbeat::units::HumanCount;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// What a group is about and where in the table a figure of it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: &'static str,
    pub(crate) population: u32,
    pub(crate) order: Order,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Timer,
    Tick,
    /// Something that expired and was armed again.
    Entry,
    Heartbeat,
}

impl Unit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Tick => "tick",
            Self::Entry => "entry",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// How many there are in one of criterion's iterations.
    fn per_iteration(self, place: Place) -> f64 {
        let population = f64::from(place.population);
        match self {
            Self::Timer => population,
            Self::Tick => 1.0,
            Self::Entry => population / f64::from(STRICT.timeout),
            Self::Heartbeat => {
                let relaxed = place.group.ends_with("relaxed");
                let preset = if relaxed { RELAXED } else { STRICT };
                population / f64::from(preset.interval)
            }
        }
    }
}

/// One of criterion's figures.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) structure: &'static str,
    pub(crate) role: Role,
    pub(crate) precision: u32,
    pub(crate) place: Place,
    pub(crate) unit: Unit,
    pub(crate) median_ns: f64,
}

impl Figure {
    /// Reads what criterion wrote into `folder` since `begun`; `None` when a filter kept it from
    /// measuring.
    pub(crate) fn read<T: Timers>(
        place: Place,
        unit: Unit,
        folder: &Path,
        begun: SystemTime,
    ) -> Option<Self> {
        let file = folder.join("new/estimates.json");
        let written = fs::metadata(&file).and_then(|metadata| metadata.modified());
        if written.ok()? < begun {
            return None;
        }
        let estimates: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let iteration_ns = estimates["median"]["point_estimate"].as_f64()?;
        Some(Self {
            structure: T::NAME,
            role: T::ROLE,
            precision: T::PRECISION,
            place,
            unit,
            median_ns: iteration_ns / unit.per_iteration(place),
        })
    }
}

/// A table per group: a row per structure, a column per population and order.
pub(crate) fn tables(figures: &[Figure]) -> String {
    let mut text = String::new();
    let mut done = Vec::new();
    for Figure { place, unit, .. } in figures {
        if done.contains(&place.group) {
            continue;
        }
        done.push(place.group);
        let own: Vec<&Figure> = figures
            .iter()
            .filter(|figure| figure.place.group == place.group)
            .collect();
        table(&mut text, place.group, *unit, &own);
    }
    text
}

fn table(text: &mut String, group: &str, unit: Unit, figures: &[&Figure]) {
    let mut columns: Vec<Place> = Vec::new();
    let mut rows = Vec::new();
    for figure in figures {
        if !columns.contains(&figure.place) {
            columns.push(figure.place);
        }
        if !rows.contains(&figure.structure) {
            rows.push(figure.structure);
        }
    }
    let _ = writeln!(text, "\n### {group}, ns per {}\n", unit.name());
    text.push_str("| structure |");
    for place in &columns {
        let population = HumanCount(u64::from(place.population));
        let _ = write!(text, " {population} {} |", place.order.name());
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(columns.len()));
    for row in rows {
        let _ = write!(text, "\n| {row} |");
        for column in &columns {
            let figure = figures
                .iter()
                .find(|figure| figure.structure == row && figure.place == *column);
            match figure {
                Some(figure) => {
                    let _ = write!(text, " {} |", brief(figure.median_ns));
                }
                None => text.push_str(" – |"),
            }
        }
    }
    text.push('\n');
}

/// Nanoseconds with as many decimals as say something.
pub(crate) fn brief(ns: f64) -> String {
    let decimals = match ns {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{ns:.decimals$}")
}
