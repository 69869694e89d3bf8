//! The sequence diagram of a scenario as text: time downwards, a state at either side of every line, arrows between.
//!
//! Does not print, and knows no colour. No line exceeds the width it is given: a narrow one costs first an arrow's
//! numbers, then the times.

use super::sequence::{End, Happening, Sequence, labels, ordinal};
use crate::record::ScenarioRecord;
use crate::report::format::{self, float_u};
use crate::report::grid::wrap;

/// Wider than this the arrows only grow.
const WIDEST: usize = 96;
/// Below it there is no room for times.
const TIMED: usize = 56;
const TIME: usize = 8;

/// How many characters each column has; a line down either side of the arrows comes on top.
struct Columns {
    time: usize,
    side: usize,
    middle: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        let width = width.min(WIDEST);
        let time = if width < TIMED { 0 } else { TIME + 1 };
        let side = match width {
            80.. => 17,
            _ => 13,
        };
        Self {
            time,
            side,
            middle: width.saturating_sub(time + 2 * side + 3).max(6),
        }
    }
}

/// The diagram of `scenario`, `width` characters wide at most.
pub(super) fn diagram(scenario: &ScenarioRecord, one_way_ns: u64, width: usize) -> String {
    let sequence = Sequence::new(scenario, one_way_ns);
    let mut drawing = Drawing {
        columns: Columns::of(width),
        sequence: &sequence,
        lines: Vec::new(),
    };
    drawing.head(one_way_ns);
    for place in 0..sequence.moments.len() {
        drawing.moment(place);
    }
    let cut = |line: &String| -> String {
        let line: String = line.chars().take(width).collect();
        format!("{}\n", line.trim_end())
    };
    drawing.lines.iter().map(cut).collect()
}

struct Drawing<'a> {
    columns: Columns,
    sequence: &'a Sequence<'a>,
    lines: Vec<String>,
}

impl Drawing<'_> {
    fn head(&mut self, one_way_ns: u64) {
        let wire = match one_way_ns {
            0 => String::new(),
            delay => format!("{} one way", format::plain(&format::span(delay))),
        };
        let wire = if wire.chars().count() > self.columns.middle {
            String::new()
        } else {
            wire
        };
        let middle = centred(&wire, self.columns.middle);
        self.line("ms", " client", &middle, " server");
    }

    fn line(&mut self, time: &str, left: &str, middle: &str, right: &str) {
        let (time_wide, side) = (self.columns.time.saturating_sub(1), self.columns.side);
        let wide = self.columns.middle;
        let time = if self.columns.time == 0 {
            String::new()
        } else {
            format!("{time:>time_wide$} ")
        };
        self.lines
            .push(format!("{time}{left:side$}│{middle:wide$}│{right}"));
    }

    /// A line with the states at its sides.
    fn between(&mut self, place: usize, time: &str, middle: &str) {
        let [left, right] = [End::Client, End::Server].map(|end| self.state(end, place));
        self.line(time, &left, middle, &right);
    }

    /// The state's name, marked where it is new.
    fn state(&self, end: End, place: usize) -> String {
        let new = self.sequence.changes(end, place);
        let mark = if new { '▸' } else { ' ' };
        format!("{mark}{}", self.sequence.state(end, place))
    }

    fn moment(&mut self, place: usize) {
        let moment = self.sequence.moments[place];
        let time = instant(moment.at_ns);
        let wide = self.columns.middle;
        match moment.happening {
            Happening::Sent(segment) => self.sent(place, segment, &time),
            Happening::Arrived(segment) => {
                if self.parted(segment) {
                    let late = self.arrived(segment);
                    self.between(place, &time, &late);
                }
            }
            // Told already with the one before.
            Happening::State(_) if self.sequence.together(place) => {}
            Happening::State(_) => self.between(place, &time, ""),
            Happening::Call(call) => self.call(place, End::of(&call.end), &call.call, &time),
            Happening::Silence(length) => {
                let said = format!("⋮ {} of silence ⋮", format::plain(&format::span(length)));
                let short = format!("⋮ {} ⋮", format::plain(&format::span(length)));
                let said = if said.chars().count() > wide {
                    short
                } else {
                    said
                };
                let middle = centred(&said, wide);
                self.between(place, "⋮", &middle);
            }
            Happening::Connection => {
                let middle = centred(&ordinal(moment.connection), wide);
                self.line("", " ", &middle, " ");
            }
            Happening::Over => self.between(place, &time, &centred("watched until here", wide)),
        }
    }

    /// Whether other segments left or arrived while this one was on its way: then it takes a line at either end.
    fn parted(&self, segment: usize) -> bool {
        self.sequence.parted(segment, |between| {
            matches!(
                between,
                Happening::Sent(_) | Happening::Arrived(_) | Happening::Silence(_)
            )
        })
    }

    fn sent(&mut self, place: usize, segment: usize, time: &str) {
        let told = self.sequence.segment(segment);
        let tail = if told.arrived_ns.is_none() {
            "✗"
        } else if self.parted(segment) {
            "┄┄"
        } else {
            ""
        };
        let wide = self.columns.middle;
        let room = wide.saturating_sub(if tail.is_empty() { 4 } else { 5 });
        let all = labels(told);
        let fits = all.iter().find(|label| label.chars().count() <= room);
        let label = fits.unwrap_or(&all[all.len() - 1]);
        let length = label.chars().count();
        let whole = tail.is_empty();
        let dashes = if whole {
            wide.saturating_sub(length + 3)
        } else {
            (wide * 2 / 3).saturating_sub(length + 3).max(2)
        };
        let shaft = "─".repeat(dashes);
        let (head, rest) = match (End::of(&told.from), whole) {
            (End::Client, true) => (format!("──{label}{shaft}▶"), ""),
            (End::Server, true) => (format!("◀{shaft}{label}──"), ""),
            (End::Client, false) => (format!("──{label}{shaft}{tail}"), ""),
            (End::Server, false) => (format!("{tail}{shaft}{label}──"), "right"),
        };
        let middle = if rest.is_empty() {
            head
        } else {
            format!("{head:>wide$}")
        };
        let middle: String = middle.chars().take(wide).collect();
        self.between(place, time, &middle);
        if !told.note.is_empty() {
            let said = format!("({})", told.note);
            for line in wrap(&said, wide.saturating_sub(1), "").lines() {
                let middle = match End::of(&told.from) {
                    End::Client => format!(" {line}"),
                    End::Server => format!("{:>wide$}", format!("{line} ")),
                };
                let middle: String = middle.chars().take(wide).collect();
                self.between(place, "", &middle);
            }
        }
    }

    /// The second half of an arrow whose first half stands further up.
    fn arrived(&self, segment: usize) -> String {
        let told = self.sequence.segment(segment);
        let wide = self.columns.middle;
        let mut label = format!("{} seq={} arrives", told.flags, told.sequence);
        if label.chars().count() + 6 > wide {
            label.clone_from(&told.flags);
        }
        let line = match End::of(&told.from) {
            End::Client => format!("{:>wide$}", format!("┄┄{label}───▶")),
            End::Server => format!("◀───{label}┄┄"),
        };
        match End::of(&told.from) {
            // What does not fit is cut at the far end, never at the head.
            End::Client => line
                .chars()
                .skip(line.chars().count().saturating_sub(wide))
                .collect(),
            End::Server => line.chars().take(wide).collect(),
        }
    }

    /// The call in its end's column, in as many lines as it takes; the other end's state beside it.
    fn call(&mut self, place: usize, end: End, call: &str, time: &str) {
        let room = self.columns.side.saturating_sub(1);
        let text = wrap(call, room, "");
        for (number, part) in text.lines().enumerate() {
            let time = if number == 0 { time } else { "" };
            let other = self.state(end.other(), place);
            let part: String = part.chars().take(room).collect();
            match end {
                End::Client => self.line(time, &format!(" {part}"), "", &other),
                End::Server => self.line(time, &other, "", &format!(" {part}")),
            }
        }
    }
}

fn centred(text: &str, width: usize) -> String {
    let text: String = text.chars().take(width).collect();
    format!("{text:^width$}")
}

/// An instant in milliseconds, as many decimals as the column has room for.
pub(in crate::report) fn instant(ns: u64) -> String {
    let ms = float_u(ns) / 1e6;
    let decimals = if ns < 1_000_000_000 { 2 } else { 1 };
    format!("{ms:.decimals$}")
}
