//! What the figures say: the goals, the wheel beside the best rival, and where something is cheaper.
//!
//! Does not round in anybody's favour: a goal is held or missed by the figure itself.

use super::crossover::{Point, STRUCTURES};
use super::figures::{Figure, Place, brief};
use super::population::Order;
use super::ticks::Life;
use crate::timers::own::Wheel;
use crate::timers::subject::{Role, Timers};
use ringbeat::units::{HumanCount, HumanNanos};
use std::fmt::Write as _;

/// The populations the goals speak of.
const JUDGED: [u32; 2] = [100_000, 1_000_000];

/// The most nanoseconds an operation may take, shuffled, at each of the [`JUDGED`] populations.
const OPERATIONS_NS: [(&str, [f64; 2]); 4] = [
    ("touch", [2.0, 5.0]),
    ("arm", [12.0, 25.0]),
    ("cancel", [10.0, 22.0]),
    ("tick-empty", [4.0, 4.0]),
];
const VISITS_NS: [f64; 2] = [12.0, 40.0];
const TICK_P999_NS: u64 = 100_000;
const MIX_TIMES: f64 = 3.0;

/// A table of the goals: what was asked, what was measured, whether it was held.
pub(crate) fn goals(figures: &[Figure], lives: &[Life]) -> String {
    let mut text = String::from("| goal | asked | measured | |\n|---|--:|--:|---|\n");
    let mut line = |goal: String, asked: String, measured: Option<(String, bool)>| {
        let (measured, verdict) = match measured {
            Some((measured, true)) => (measured, "held"),
            Some((measured, false)) => (measured, "**missed**"),
            None => ("–".to_owned(), "not measured"),
        };
        let _ = writeln!(text, "| {goal} | {asked} | {measured} | {verdict} |");
    };
    for (number, population) in JUDGED.into_iter().enumerate() {
        let people = HumanCount(u64::from(population));
        for (group, limits) in OPERATIONS_NS {
            let place = shuffled(group, population);
            let ours = ours(figures, place).map(|figure| figure.median_ns);
            let measured = ours.map(|ns| (format!("{} ns", brief(ns)), ns <= limits[number]));
            line(
                format!("{group}, {people}"),
                format!("{} ns", limits[number]),
                measured,
            );
        }
        let strict = own_lives(lives, population).find(|life| life.preset.name == "strict");
        let visit = strict.and_then(|life| life.visit_ns);
        line(
            format!("visit and re-arm, per entry, {people}"),
            format!("{} ns", VISITS_NS[number]),
            visit.map(|ns| (format!("{} ns", brief(ns)), ns <= VISITS_NS[number])),
        );
    }
    for life in own_lives(lives, JUDGED[1]) {
        let p999 = life.ticks.value_at_quantile(0.999);
        line(
            format!("tick p99.9, 1,000,000, {}", life.preset.name),
            HumanNanos(TICK_P999_NS).to_string(),
            Some((HumanNanos(p999).to_string(), p999 <= TICK_P999_NS)),
        );
    }
    for population in JUDGED {
        for group in ["heartbeat-strict", "heartbeat-relaxed"] {
            let place = shuffled(group, population);
            let times = ours(figures, place).zip(best(figures, place, Role::Rival));
            let measured = times.map(|(ours, rival)| {
                let times = rival.median_ns / ours.median_ns;
                let told = format!("{times:.2} × ({})", rival.structure);
                (told, times >= MIX_TIMES)
            });
            let people = HumanCount(u64::from(population));
            line(
                format!("{group}, {people}, against the best rival"),
                format!("{MIX_TIMES} ×"),
                measured,
            );
        }
    }
    let memory = lives.iter().filter(|life| life.role == Role::Ours);
    let beyond = memory
        .map(|life| life.bytes - 16 * i64::from(life.population))
        .max();
    line(
        "memory beyond 16 B per timer, the worst population".to_owned(),
        "65,536 B".to_owned(),
        beyond.map(|bytes| (format!("{bytes} B"), bytes <= 64 * 1024)),
    );
    text
}

/// A table of the wheel beside the best rival and the best of the other structures.
pub(crate) fn rivals(figures: &[Figure]) -> String {
    let mut text = String::from(
        "| group | timers | order | ringbeat wheel | best rival | | cheapest of the others, if it is cheaper |\n\
         |---|--:|---|--:|--:|--:|---|\n",
    );
    let ours = figures.iter().filter(|figure| figure.role == Role::Ours);
    for own in ours {
        let Some(rival) = best(figures, own.place, Role::Rival) else {
            continue;
        };
        let others = [Role::Baseline, Role::Lent];
        let cheaper = others
            .into_iter()
            .filter_map(|role| best(figures, own.place, role))
            .min_by(|one, other| one.median_ns.total_cmp(&other.median_ns))
            .filter(|other| other.median_ns < own.median_ns);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} ns | {} ns, {} | {}{:.2} × | {} |",
            own.place.group,
            HumanCount(u64::from(own.place.population)),
            own.place.order.name(),
            brief(own.median_ns),
            brief(rival.median_ns),
            rival.structure,
            if rival.median_ns < own.median_ns {
                "**slower:** "
            } else {
                ""
            },
            rival.median_ns / own.median_ns,
            cheaper.map_or_else(String::new, |other| {
                let late = if other.precision > 1 {
                    ", but late"
                } else {
                    ""
                };
                format!("{} ns, {}{late}", brief(other.median_ns), other.structure)
            }),
        );
    }
    text
}

/// Where something is cheaper than the wheel, a line per precision and structure.
pub(crate) fn cheaper(points: &[Point]) -> String {
    let mut text = String::new();
    for at_precision in points.chunk_by(|one, other| one.precision_ms == other.precision_ms) {
        for (number, name) in STRUCTURES.into_iter().enumerate().skip(1) {
            let populations: Vec<String> = at_precision
                .iter()
                .filter(|point| point.costs[number] < point.costs[0])
                .map(|point| {
                    let [wheel, other] = [point.costs[0], point.costs[number]].map(HumanNanos);
                    let people = HumanCount(u64::from(point.population));
                    format!("{people} timers ({other} against {wheel})")
                })
                .collect();
            if !populations.is_empty() {
                let _ = writeln!(
                    text,
                    "- {} ms: {name} at {}",
                    at_precision[0].precision_ms,
                    populations.join(", "),
                );
            }
        }
    }
    if text.is_empty() {
        let _ = writeln!(text, "Nowhere: the {} is the cheapest.", Wheel::NAME);
    }
    text
}

fn shuffled(group: &'static str, population: u32) -> Place {
    Place {
        group,
        population,
        order: Order::Shuffled,
    }
}

fn ours(figures: &[Figure], place: Place) -> Option<&Figure> {
    best(figures, place, Role::Ours)
}

/// The cheapest structure of a role.
fn best(figures: &[Figure], place: Place, role: Role) -> Option<&Figure> {
    figures
        .iter()
        .filter(|figure| figure.place == place && figure.role == role)
        .min_by(|one, other| one.median_ns.total_cmp(&other.median_ns))
}

fn own_lives(lives: &[Life], population: u32) -> impl Iterator<Item = &Life> {
    let own = move |life: &&Life| life.role == Role::Ours && life.population == population;
    lives.iter().filter(own)
}
