//! What a person sees while something runs: a few lines that change on a terminal, plain lines elsewhere, nothing when
//! quiet.
//!
//! Does not know what runs and reads no clock. Draws on standard error only. On a terminal the lines are cleared away
//! at the end, whichever it is; warnings and notes stay above them.

use super::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::io;
use std::time::Duration;

/// Between two plain lines about the same thing.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Columns of a terminal that does not say.
const USUAL_WIDTH: u16 = 80;
/// Columns of the bar.
const BAR: usize = 20;

/// How things stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// What runs.
    pub(super) title: String,
    /// A plain line is due when this changes.
    pub(super) key: String,
    /// Figures, one line on a terminal each.
    pub(super) facts: Vec<String>,
    /// Since the begin.
    pub(super) elapsed: Duration,
    /// As planned, where there is a plan.
    pub(super) remaining: Option<Duration>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct View {
    outlet: Outlet,
    warnings: u64,
    last_warning: String,
    /// Key and time of the last plain line.
    said: Option<(String, Duration)>,
}

#[derive(Debug)]
enum Outlet {
    Terminal(ProgressBar),
    Plain,
    Quiet,
}

impl View {
    pub(super) fn new(quiet: bool) -> Self {
        let outlet = if quiet {
            Outlet::Quiet
        } else {
            let bar = ProgressBar::new_spinner();
            // Hidden is what is no terminal, or a dumb one, on which nothing can be drawn over.
            if bar.is_hidden() {
                Outlet::Plain
            } else {
                // The template is a constant; without it the default does.
                let style = ProgressStyle::with_template("{msg}");
                Outlet::Terminal(
                    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())),
                )
            }
        };
        Self {
            outlet,
            warnings: 0,
            last_warning: String::new(),
            said: None,
        }
    }

    /// Whether anybody looks.
    pub(super) const fn is_quiet(&self) -> bool {
        matches!(self.outlet, Outlet::Quiet)
    }

    /// Shows `scene` instead of the one before.
    pub(super) fn show(&mut self, scene: &Scene) {
        match &self.outlet {
            Outlet::Quiet => {}
            Outlet::Terminal(bar) => bar.set_message(self.lines(scene, width()).join("\n")),
            Outlet::Plain => {
                if self.is_due(scene) {
                    self.said = Some((scene.key.clone(), scene.elapsed));
                    output::note(&plain(scene));
                }
            }
        }
    }

    /// Says something that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.outlet {
            Outlet::Quiet => {}
            Outlet::Terminal(bar) => bar.suspend(|| output::note(text)),
            Outlet::Plain => output::note(text),
        }
    }

    /// Says a warning, which stays, and counts it.
    pub(super) fn warn(&mut self, text: &str) {
        self.warnings += 1;
        text.clone_into(&mut self.last_warning);
        self.say(&format!("warning: {text}"));
    }

    /// Clears the lines away. What comes later comes as plain lines.
    pub(super) fn clear(&mut self) {
        if let Outlet::Terminal(bar) = &self.outlet {
            bar.finish_and_clear();
            self.outlet = Outlet::Plain;
        }
    }

    fn is_due(&self, scene: &Scene) -> bool {
        self.said.as_ref().is_none_or(|(key, at)| {
            *key != scene.key || scene.elapsed.saturating_sub(*at) >= PLAIN_EVERY
        })
    }

    /// The lines of a terminal so wide, none longer than it.
    fn lines(&self, scene: &Scene, width: u16) -> Vec<String> {
        let mut lines = vec![match scene.remaining {
            Some(remaining) => format!("{} {}", bar(scene.elapsed, remaining), scene.title),
            None => scene.title.clone(),
        }];
        lines.extend(scene.facts.iter().cloned());
        lines.push(clock(scene));
        if self.warnings > 0 {
            lines.push(format!(
                "{} so far, the last: {}",
                if self.warnings == 1 {
                    "1 warning".to_owned()
                } else {
                    format!("{} warnings", self.warnings)
                },
                self.last_warning
            ));
        }
        // The last column stays free: some terminals begin a new line as soon as it is filled.
        let most = usize::from(width.max(2)) - 1;
        lines.into_iter().map(|line| cut(line, most)).collect()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.clear();
    }
}

fn width() -> u16 {
    terminal_size::terminal_size_of(io::stderr()).map_or(USUAL_WIDTH, |(width, _)| width.0)
}

/// `line`, or as much of it as fits.
fn cut(line: String, most: usize) -> String {
    if line.chars().count() <= most {
        return line;
    }
    let mut short: String = line.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn bar(elapsed: Duration, remaining: Duration) -> String {
    let all = (elapsed + remaining).as_millis().max(1);
    let done = elapsed.as_millis() * BAR as u128 / all;
    let done = usize::try_from(done).unwrap_or(BAR).min(BAR);
    format!("{}{}", "█".repeat(done), "░".repeat(BAR - done))
}

/// `1m 2s gone, about 30s left`.
fn clock(scene: &Scene) -> String {
    let whole = |span: Duration| humantime::format_duration(Duration::from_secs(span.as_secs()));
    let gone = whole(scene.elapsed);
    match scene.remaining {
        Some(left) => format!("{gone} gone, about {} left", whole(left)),
        None => format!("{gone} gone"),
    }
}

fn plain(scene: &Scene) -> String {
    let mut parts = scene.facts.clone();
    parts.push(clock(scene));
    format!("{}: {}", scene.title, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(key: &str, at: u64) -> Scene {
        Scene {
            title: "[2/9] heartbeat, round 1, steady".to_owned(),
            key: key.to_owned(),
            facts: vec!["10,000 connections".to_owned(), "cpu 43 %".to_owned()],
            elapsed: Duration::from_secs(at),
            remaining: Some(Duration::from_secs(30)),
        }
    }

    #[test]
    fn lines_fit_the_terminal_and_warnings_are_counted() {
        let mut view = View::new(true);
        let lines = view.lines(&scene("", 10), 80);
        assert_eq!(
            lines,
            [
                "█████░░░░░░░░░░░░░░░ [2/9] heartbeat, round 1, steady",
                "10,000 connections",
                "cpu 43 %",
                "10s gone, about 30s left"
            ]
        );
        view.warn("the first");
        view.warn("a second one, which is rather long");
        let lines = view.lines(&scene("", 10), 30);
        assert!(lines.iter().all(|line| line.chars().count() < 30));
        assert_eq!(lines[4], "2 warnings so far, the last:…");
        assert!(view.lines(&scene("", 10), 0).iter().all(|line| line == "…"));
    }

    #[test]
    fn a_plain_line_is_due_when_something_begins_and_every_ten_seconds() {
        let mut view = View::new(true);
        assert!(view.is_due(&scene("ramp", 0)));
        view.said = Some(("ramp".to_owned(), Duration::ZERO));
        assert!(!view.is_due(&scene("ramp", 9)));
        assert!(view.is_due(&scene("ramp", 10)) && view.is_due(&scene("settle", 1)));
        assert_eq!(
            plain(&scene("", 62)),
            "[2/9] heartbeat, round 1, steady: 10,000 connections, cpu 43 %, 1m 2s gone, about 30s left"
        );
    }

    #[test]
    fn a_bar_is_full_at_the_end_and_never_longer() {
        let seconds = Duration::from_secs;
        assert_eq!(bar(seconds(0), seconds(0)), "░".repeat(BAR));
        assert_eq!(bar(seconds(9), seconds(0)), "█".repeat(BAR));
    }
}
