//! Where everything of a sequence diagram stands, in the picture's units: rows as far apart as their texts and arrows
//! need, so that no text meets another or an arrow.
//!
//! Does not draw. Text is taken to be a little wider than [`text_width`] guesses: some fonts are.

use super::super::canvas::text_width;
use crate::report::format;
use crate::report::grid::wrap;
use crate::report::lifecycle::{End, Happening, Sequence, UNSEEN, instant, labels, ordinal};

/// The picture's width: small, so that a narrow screen shows much of it at a legible size.
pub(super) const WIDTH: u32 = 756;
/// Where the times end.
const TIMES: i32 = 56;
/// A bar's width, and where the client's begins and the server's ends.
pub(super) const BAR: i32 = 92;
const CLIENT: i32 = 162;
const SERVER: i32 = 650;
/// Where arrows begin and end.
pub(super) const LEFT: i32 = CLIENT + BAR;
pub(super) const RIGHT: i32 = SERVER - BAR;
const LINE: i32 = 16;
/// Characters of a call before it takes a new line.
const CALL: usize = 12;
/// Characters of a remark above an arrow.
const REMARK: usize = 30;
/// Widest label of an arrow.
const LABEL: i32 = 240;
/// From an arrow's begin up to its label's middle.
const ABOVE: i32 = 11;
/// How much a row gives way at a time, and how often at most.
const STEP: i32 = 4;
const STEPS: usize = 400;

/// Which point of a text its place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// What a text is for; it decides its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Plain,
    State,
}

/// One line of text; its place is the middle of its height.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) at: (i32, i32),
    pub(super) anchor: Anchor,
    pub(super) text: String,
    pub(super) of: Use,
}

fn wide(text: &str) -> i32 {
    text_width(text) * 11 / 10
}

/// Left, top, right, bottom.
pub(super) type Box4 = (i32, i32, i32, i32);

impl Words {
    fn plain(at: (i32, i32), anchor: Anchor, text: impl Into<String>) -> Self {
        let text = text.into();
        let of = Use::Plain;
        Self {
            at,
            anchor,
            text,
            of,
        }
    }

    /// The room it takes.
    pub(super) fn bounds(&self) -> Box4 {
        let wide = wide(&self.text);
        let left = match self.anchor {
            Anchor::Left => self.at.0,
            Anchor::Middle => self.at.0 - wide / 2,
            Anchor::Right => self.at.0 - wide,
        };
        (left, self.at.1 - 7, left + wide, self.at.1 + 7)
    }
}

/// How an arrow ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tip {
    Arrived,
    Lost,
    /// On its way still; its second half stands further down.
    Late,
}

/// One arrow, or a half of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrow {
    pub(super) segment: usize,
    pub(super) from: (i32, i32),
    pub(super) to: (i32, i32),
    pub(super) tip: Tip,
    /// The second half of one: its begin is no departure.
    pub(super) resumed: bool,
}

/// A stretch of one state at one end.
#[derive(Clone, Debug)]
pub(super) struct Bar<'a> {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
    pub(super) end: &'static str,
    pub(super) state: &'a str,
    /// Since when, nanoseconds since the scenario's begin.
    pub(super) since_ns: u64,
}

/// Everything, in its place.
#[derive(Debug, Default)]
pub(super) struct Placed<'a> {
    pub(super) words: Vec<Words>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) bars: Vec<Bar<'a>>,
    /// The middles of silences.
    pub(super) breaks: Vec<i32>,
    pub(super) height: i32,
}

/// Lays `sequence` out, rows moved apart until no label meets an arrow.
pub(super) fn place<'a>(sequence: &Sequence<'a>) -> Placed<'a> {
    let mut extra = vec![0; sequence.moments.len() + 1];
    let mut rows = Rows::new(sequence, &extra);
    for _ in 0..STEPS {
        let Some(widened) = rows.too_close() else {
            break;
        };
        extra[widened.min(sequence.moments.len())] += STEP;
        rows = Rows::new(sequence, &extra);
    }
    rows.finish()
}

/// The moments' heights and what hangs on them.
struct Rows<'s, 'a> {
    sequence: &'s Sequence<'a>,
    heights: Vec<i32>,
    /// The moment each label belongs to, and the end it stands at.
    labels: Vec<(usize, End, Words)>,
    arrows: Vec<Arrow>,
}

/// Whether the arrow is cut in two: a silence lies between its ends.
fn parted(sequence: &Sequence<'_>, segment: usize) -> bool {
    sequence.parted(segment, |between| matches!(between, Happening::Silence(_)))
}

/// The remark above an arrow; of a lost one its cross says it.
fn remark(sequence: &Sequence<'_>, segment: usize) -> Vec<String> {
    let told = sequence.segment(segment);
    if told.note.is_empty() || told.arrived_ns.is_none() {
        return Vec::new();
    }
    let note = format!("({})", told.note);
    wrap(&note, REMARK, "").lines().map(str::to_owned).collect()
}

fn lines(call: &str) -> Vec<String> {
    wrap(call, CALL, "").lines().map(str::to_owned).collect()
}

fn tall(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(0) * LINE
}

/// What a moment needs above and below its own height.
fn room(sequence: &Sequence<'_>, place: usize) -> (i32, i32) {
    match sequence.moments[place].happening {
        Happening::Sent(segment) => {
            let whole =
                sequence.segment(segment).arrived_ns.is_some() && !parted(sequence, segment);
            let below = if whole { 10 } else { 24 };
            (20 + tall(remark(sequence, segment).len()), below)
        }
        Happening::Arrived(segment) if parted(sequence, segment) => (28, 10),
        Happening::Arrived(_) => (18, 10),
        Happening::State(_) | Happening::Over => (11, 11),
        Happening::Call(call) => (10, 10 + tall(lines(&call.call).len().saturating_sub(1))),
        Happening::Silence(_) => (20, 20),
        Happening::Connection => (18, 12),
    }
}

impl<'s, 'a> Rows<'s, 'a> {
    fn new(sequence: &'s Sequence<'a>, extra: &[i32]) -> Self {
        let mut heights = Vec::new();
        // Below the ends' names.
        let mut y = 22;
        for (place, more) in extra.iter().enumerate().take(sequence.moments.len()) {
            let (above, below) = room(sequence, place);
            // What shares a line with the moment before is told there.
            if sequence.together(place) {
                heights.push(y - below);
                continue;
            }
            y += above + 2 + more;
            heights.push(y);
            y += below;
        }
        let mut rows = Self {
            sequence,
            heights,
            labels: Vec::new(),
            arrows: Vec::new(),
        };
        rows.draw_arrows();
        rows
    }

    fn draw_arrows(&mut self) {
        for place in 0..self.heights.len() {
            match self.sequence.moments[place].happening {
                Happening::Sent(segment) => self.sent(place, segment),
                Happening::Arrived(segment) if parted(self.sequence, segment) => {
                    self.resumed(place, segment);
                }
                _ => {}
            }
        }
    }

    fn sent(&mut self, place: usize, segment: usize) {
        let told = self.sequence.segment(segment);
        let y = self.heights[place];
        let end = End::of(&told.from);
        let (start, far) = sides(end);
        let along = |hundredths: i32| start + (far - start) * hundredths / 100;
        let (to, tip) = match self.sequence.arrival(segment) {
            None => ((along(55), y + 14), Tip::Lost),
            Some(_) if parted(self.sequence, segment) => ((along(40), y + 10), Tip::Late),
            Some(arrival) => ((far, self.heights[arrival]), Tip::Arrived),
        };
        let all = labels(told);
        let fits = all.iter().find(|label| wide(label) <= LABEL);
        let mut said = vec![fits.unwrap_or(&all[all.len() - 1]).clone()];
        said.extend(remark(self.sequence, segment));
        for (up, text) in said.iter().rev().enumerate() {
            self.label(place, end, y - ABOVE - tall(up), text);
        }
        if tip == Tip::Lost {
            let beyond = if end == End::Client { 14 } else { -14 };
            let anchor = if end == End::Client {
                Anchor::Left
            } else {
                Anchor::Right
            };
            let words = Words::plain((to.0 + beyond, to.1 + 2), anchor, "lost");
            self.labels.push((place, end, words));
        }
        self.arrows.push(Arrow {
            segment,
            from: (start, y),
            to,
            tip,
            resumed: false,
        });
    }

    fn resumed(&mut self, place: usize, segment: usize) {
        let told = self.sequence.segment(segment);
        let end = End::of(&told.from);
        let y = self.heights[place];
        let (start, far) = sides(end);
        let text = format!("{} seq={} arrives", told.flags, told.sequence);
        self.label(place, end.other(), y - ABOVE - 10, &text);
        self.arrows.push(Arrow {
            segment,
            from: (start + (far - start) * 60 / 100, y - 10),
            to: (far, y),
            tip: Tip::Arrived,
            resumed: true,
        });
    }

    fn label(&mut self, place: usize, end: End, y: i32, text: &str) {
        let words = match end {
            End::Client => Words::plain((LEFT + 8, y), Anchor::Left, text),
            End::Server => Words::plain((RIGHT - 8, y), Anchor::Right, text),
        };
        self.labels.push((place, end, words));
    }

    /// The row that must move down, since an arrow runs through a label: the label's own when the arrow left from the
    /// same side before it, else the next one, with which the arrow's arrival moves.
    fn too_close(&self) -> Option<usize> {
        for (place, end, words) in &self.labels {
            for arrow in &self.arrows {
                let own = matches!(self.sequence.moments[*place].happening,
                    Happening::Sent(of) | Happening::Arrived(of) if of == arrow.segment);
                if own || !crosses(arrow, words.bounds()) {
                    continue;
                }
                let from = End::of(&self.sequence.segment(arrow.segment).from);
                let before = arrow.from.1 <= self.heights[*place];
                return Some(if from == *end && before {
                    *place
                } else {
                    place + 1
                });
            }
        }
        None
    }

    fn finish(self) -> Placed<'a> {
        let bottom = self.heights.last().copied().unwrap_or(22);
        let below = self
            .heights
            .len()
            .checked_sub(1)
            .map_or(0, |last| room(self.sequence, last).1);
        let mut placed = Placed {
            words: self.labels.into_iter().map(|(_, _, words)| words).collect(),
            arrows: self.arrows,
            height: bottom + below + 16,
            ..Placed::default()
        };
        for (place, y) in self.heights.iter().enumerate() {
            placed.beside(self.sequence, place, *y);
        }
        placed.bars(self.sequence, &self.heights, bottom + below + 6);
        placed
    }
}

/// Where arrows from `end` begin and end.
fn sides(end: End) -> (i32, i32) {
    match end {
        End::Client => (LEFT, RIGHT),
        End::Server => (RIGHT, LEFT),
    }
}

/// Whether the arrow runs through the box, or touches it.
pub(super) fn crosses(arrow: &Arrow, (left, top, right, bottom): Box4) -> bool {
    let ((x0, y0), (x1, y1)) = (arrow.from, arrow.to);
    let points = 128;
    (0..=points).any(|step| {
        let x = x0 + (x1 - x0) * step / points;
        let y = y0 + (y1 - y0) * step / points;
        (left - 1..=right + 1).contains(&x) && (top - 1..=bottom + 1).contains(&y)
    })
}

impl<'a> Placed<'a> {
    /// The time of a moment, and what stands at its height outside of the bars or in the middle.
    fn beside(&mut self, sequence: &Sequence<'a>, place: usize, y: i32) {
        let moment = sequence.moments[place];
        let middle = i32::midpoint(LEFT, RIGHT);
        let mut centred = |text: String| {
            let words = Words::plain((middle, y), Anchor::Middle, text);
            self.words.push(words);
        };
        match moment.happening {
            Happening::Silence(length) => {
                centred(format!(
                    "{} of silence",
                    format::plain(&format::span(length))
                ));
                self.breaks.push(y);
                return;
            }
            Happening::Connection => {
                centred(ordinal(moment.connection));
                return;
            }
            Happening::Over => centred("watched until here".to_owned()),
            Happening::Call(call) => {
                for (down, line) in lines(&call.call).into_iter().enumerate() {
                    let y = y + tall(down);
                    self.words.push(match End::of(&call.end) {
                        End::Client => Words::plain((CLIENT - 6, y), Anchor::Right, line),
                        End::Server => Words::plain((SERVER + 6, y), Anchor::Left, line),
                    });
                }
            }
            Happening::Sent(_) | Happening::Arrived(_) | Happening::State(_) => {}
        }
        if sequence.together(place) {
            return;
        }
        let time = instant(moment.at_ns);
        self.words
            .push(Words::plain((TIMES, y), Anchor::Right, time));
    }

    /// The states of both ends, a bar for each stretch; a silence cuts them.
    fn bars(&mut self, sequence: &Sequence<'a>, heights: &[i32], bottom: i32) {
        self.words
            .push(Words::plain((TIMES, 12), Anchor::Right, "ms"));
        let ends = [
            (End::Client, CLIENT, "client"),
            (End::Server, RIGHT, "server"),
        ];
        for (end, left, name) in ends {
            let centre = left + BAR / 2;
            self.words
                .push(Words::plain((centre, 12), Anchor::Middle, name));
            // Where and when the stretch began, and its state.
            let mut open: Option<(i32, u64, &'a str)> = None;
            for (place, y) in heights.iter().enumerate() {
                let happening = sequence.moments[place].happening;
                let state = sequence.state(end, place);
                let silence = matches!(happening, Happening::Silence(_));
                let anew = matches!(happening, Happening::Connection);
                if !silence && !anew && open.is_some_and(|(_, _, before)| before == state) {
                    continue;
                }
                let cut = if silence { 8 } else { 10 };
                if let Some((top, since_ns, state)) = open {
                    let bottom = y - cut;
                    self.bars.push(Bar {
                        left,
                        top,
                        bottom,
                        end: name,
                        state,
                        since_ns,
                    });
                }
                if silence {
                    open = open.map(|(_, since_ns, state)| (y + cut, since_ns, state));
                    continue;
                }
                if state == UNSEEN {
                    open = None;
                    continue;
                }
                self.words.push(Words {
                    of: Use::State,
                    ..Words::plain((centre, *y), Anchor::Middle, state)
                });
                open = Some((y - cut, sequence.moments[place].at_ns, state));
            }
            let last = open.map(|(top, since_ns, state)| Bar {
                left,
                top,
                bottom,
                end: name,
                state,
                since_ns,
            });
            self.bars.extend(last);
        }
    }
}
