//! One scenario as moments in the order they came: what both diagrams, the terminal's and the SVG, are drawn from.
//!
//! Does not draw. Time is an order here and no scale: of a gap only its length is kept, and only where it is long.

use crate::record::{CallRecord, ScenarioRecord, SegmentRecord, StateChange};

/// A gap shorter than this is no silence, however fast the wire.
const SILENCE_NS: u64 = 100_000_000;
/// Nor is one that a segment on its way explains: one way there, one back, and a little.
const SILENCE_ONE_WAYS: u64 = 3;

/// What stands for a state before anybody looked.
pub(in crate::report) const UNSEEN: &str = "–";

/// Which host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum End {
    /// The one that connects.
    Client,
    /// The one that listens.
    Server,
}

impl End {
    /// As records name it.
    pub(in crate::report) fn of(name: &str) -> Self {
        if name == "server" {
            Self::Server
        } else {
            Self::Client
        }
    }

    /// The one across the wire.
    pub(in crate::report) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a moment is of.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) enum Happening<'a> {
    /// The segment at this place of the record left its sender.
    Sent(usize),
    /// It came to the other end.
    Arrived(usize),
    /// A socket was first seen in a state.
    State(&'a StateChange),
    /// A program called, or was told something.
    Call(&'a CallRecord),
    /// Nothing for this long.
    Silence(u64),
    /// What follows belongs to another connection.
    Connection,
    /// The watch was over.
    Over,
}

/// One moment.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Moment<'a> {
    /// Since the scenario's begin; of a silence, its end.
    pub(in crate::report) at_ns: u64,
    /// Whose states stand at the sides.
    pub(in crate::report) connection: u32,
    pub(in crate::report) happening: Happening<'a>,
}

/// All of them, in order.
#[derive(Debug)]
pub(in crate::report) struct Sequence<'a> {
    pub(in crate::report) moments: Vec<Moment<'a>>,
    scenario: &'a ScenarioRecord,
}

impl<'a> Sequence<'a> {
    /// The moments of `scenario` on a wire that takes `one_way_ns` from end to end.
    pub(in crate::report) fn new(scenario: &'a ScenarioRecord, one_way_ns: u64) -> Self {
        let mut moments = in_order(scenario);
        give_calls_their_connection(&mut moments);
        let silence = SILENCE_NS.max(one_way_ns.saturating_mul(SILENCE_ONE_WAYS));
        let last = moments.last().copied();
        if let Some(last) = last.filter(|last| scenario.watched_ns > last.at_ns + silence) {
            moments.push(Moment {
                at_ns: scenario.watched_ns,
                happening: Happening::Over,
                ..last
            });
        }
        Self {
            moments: with_breaks(&moments, silence),
            scenario,
        }
    }

    /// The segment at `place` of the record.
    pub(in crate::report) fn segment(&self, place: usize) -> &'a SegmentRecord {
        &self.scenario.segments[place]
    }

    /// The state `end` was in once the moment at `place` had come; [`UNSEEN`] where nobody had looked yet.
    pub(in crate::report) fn state(&self, end: End, place: usize) -> &'a str {
        let connection = self.moments[place].connection;
        let changes = |moment: &Moment<'a>| match moment.happening {
            Happening::State(change) if End::of(&change.end) == end => {
                (change.connection == connection).then_some(change)
            }
            _ => None,
        };
        // Both ends were looked at at once, and the other one's change is told next.
        let place = place + usize::from(self.together(place + 1));
        let until = self.moments[..=place].iter().rev().find_map(changes);
        let Some(change) = until else {
            // A connection that is over may be waited for when the next one begins.
            let others = |moment: &Moment<'a>| match moment.happening {
                Happening::State(change) if End::of(&change.end) == end => {
                    (change.connection < connection).then_some(change)
                }
                _ => None,
            };
            let before = self.moments[..=place].iter().rev().find_map(others);
            if let Some(waiting) = before.filter(|change| change.state == "TIME-WAIT") {
                return &waiting.state;
            }
            return match self.moments.iter().find_map(changes) {
                // What else can have been before: a socket is new when it sends a SYN, and listens when it gets one.
                Some(first) if first.state == "SYN-SENT" => "CLOSED",
                Some(first) if first.state == "SYN-RECEIVED" => "LISTEN",
                _ => UNSEEN,
            };
        };
        &change.state
    }

    /// Whether the moment at `place` and the one before are of one look at both ends: they share a line.
    pub(in crate::report) fn together(&self, place: usize) -> bool {
        let look = |place: usize| {
            let moment = self.moments.get(place)?;
            match moment.happening {
                Happening::State(change) => {
                    Some((moment.at_ns, moment.connection, End::of(&change.end)))
                }
                _ => None,
            }
        };
        let pair = |place: usize| {
            let before = place.checked_sub(1).and_then(look);
            let both = before.zip(look(place));
            both.is_some_and(|(one, other)| {
                (one.0, one.1) == (other.0, other.1) && one.2 != other.2
            })
        };
        // Of several at one instant every second closes a pair.
        let pairs = (0..=place).rev().take_while(|place| pair(*place)).count();
        pairs % 2 == 1
    }

    /// Whether the moment at `place`, or the one it shares its line with, changes the state of `end`.
    pub(in crate::report) fn changes(&self, end: End, place: usize) -> bool {
        let of = |place: usize| matches!(self.moments[place].happening, Happening::State(change) if End::of(&change.end) == end);
        of(place) || (self.together(place + 1) && of(place + 1))
    }

    /// The place of the moment at which the segment arrived; `None` when it was lost.
    pub(in crate::report) fn arrival(&self, segment: usize) -> Option<usize> {
        let arrived = |moment: &Moment<'_>| matches!(moment.happening, Happening::Arrived(of) if of == segment);
        self.moments.iter().position(arrived)
    }

    /// Whether something between sending and arrival of the segment answers `splits`.
    pub(in crate::report) fn parted(
        &self,
        segment: usize,
        splits: impl Fn(Happening<'_>) -> bool,
    ) -> bool {
        let sent =
            |moment: &Moment<'_>| matches!(moment.happening, Happening::Sent(of) if of == segment);
        let from = self.moments.iter().position(sent);
        let Some((from, to)) = from.zip(self.arrival(segment)) else {
            return false;
        };
        let between = &self.moments[from + 1..to];
        between.iter().any(|moment| splits(moment.happening))
    }
}

/// Everything the record tells, sorted. At one instant a segment arrives before a program is told, that before the state
/// is seen, and that before an answer leaves.
fn in_order<'a>(scenario: &'a ScenarioRecord) -> Vec<Moment<'a>> {
    let mut ranked: Vec<(u64, u8, Moment<'a>)> = Vec::new();
    let mut add = |at_ns: u64, rank: u8, connection: u32, happening: Happening<'a>| {
        ranked.push((
            at_ns,
            rank,
            Moment {
                at_ns,
                connection,
                happening,
            },
        ));
    };
    for (place, segment) in scenario.segments.iter().enumerate() {
        add(
            segment.sent_ns,
            3,
            segment.connection,
            Happening::Sent(place),
        );
        if let Some(arrived) = segment.arrived_ns {
            let at = arrived.max(segment.sent_ns);
            let rank = if at == segment.sent_ns { 4 } else { 0 };
            add(at, rank, segment.connection, Happening::Arrived(place));
        }
    }
    for call in &scenario.calls {
        add(call.at_ns, 1, 0, Happening::Call(call));
    }
    for change in &scenario.states {
        add(change.at_ns, 2, change.connection, Happening::State(change));
    }
    ranked.sort_by_key(|(at_ns, rank, _)| (*at_ns, *rank));
    ranked.into_iter().map(|(_, _, moment)| moment).collect()
}

/// The record does not say which connection a call was for: that of what its end does next, else of what was before.
fn give_calls_their_connection(moments: &mut [Moment<'_>]) {
    let mut before = 0;
    for place in 0..moments.len() {
        let Happening::Call(call) = moments[place].happening else {
            before = moments[place].connection;
            continue;
        };
        let next = moments[place + 1..]
            .iter()
            .find(|later| match later.happening {
                Happening::State(change) => change.end == call.end,
                _ => false,
            });
        moments[place].connection = next.map_or(before, |later| later.connection);
        before = moments[place].connection;
    }
}

/// Puts the silences in, and the changes from one connection to another.
fn with_breaks<'a>(moments: &[Moment<'a>], silence_ns: u64) -> Vec<Moment<'a>> {
    let mut all: Vec<Moment<'a>> = Vec::new();
    let several = moments.iter().any(|moment| moment.connection > 0);
    let mut before: Option<Moment<'a>> = None;
    for moment in moments {
        let gap = before.map_or(0, |before| moment.at_ns - before.at_ns);
        if gap > silence_ns {
            let connection = before.map_or(0, |before| before.connection);
            all.push(Moment {
                connection,
                happening: Happening::Silence(gap),
                ..*moment
            });
        }
        let other = before.is_none_or(|before| before.connection != moment.connection);
        if several && other {
            all.push(Moment {
                happening: Happening::Connection,
                ..*moment
            });
        }
        all.push(*moment);
        before = Some(*moment);
    }
    all
}

/// What an arrow says, from everything to the flags alone; the first that fits is for drawing.
pub(in crate::report) fn labels(segment: &SegmentRecord) -> [String; 5] {
    let flags = &segment.flags;
    let acknowledges = segment
        .acknowledgement
        .map_or_else(String::new, |number| format!(" ack={number}"));
    let bytes = match segment.bytes {
        0 => String::new(),
        bytes => format!(" {bytes} B"),
    };
    let again = if segment.again { " again" } else { "" };
    let sequence = segment.sequence;
    [
        format!("{flags} seq={sequence}{acknowledges}{bytes}{again}"),
        format!("{flags} seq={sequence}{bytes}{again}"),
        format!("{flags}{bytes}{again}"),
        format!("{flags}{again}"),
        flags.clone(),
    ]
}

/// `first connection`, `second connection`, … from 0.
pub(in crate::report) fn ordinal(connection: u32) -> String {
    let words = ["first", "second", "third", "fourth", "fifth"];
    let place = usize::try_from(connection).unwrap_or(usize::MAX);
    words.get(place).map_or_else(
        || format!("connection {}", u64::from(connection) + 1),
        |word| format!("{word} connection"),
    )
}
