//! What was seen of one connection, as a reader has it: segments with relative numbers, states, calls; and the checks
//! that hold a rule against them.
//!
//! Pure: made of a scene's footage, or by a test.

use super::scene::{CLIENT_PORT, Footage, SERVER_PORT};
use super::segment::Segment;
use crate::experiment::Seat;
use crate::os::sockets::TcpState;
use crate::record::{CallRecord, LifecycleCheck, SegmentRecord, StateChange};
use crate::units::Nanos;
use std::collections::BTreeMap;

/// One connection's story, or that of several one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) segments: Vec<SegmentRecord>,
    pub(super) states: Vec<StateChange>,
    pub(super) calls: Vec<CallRecord>,
    /// When, at which end, how many milliseconds of `TIME_WAIT` were left: at its begin and whenever it began anew.
    pub(super) time_wait: Vec<(u64, String, u32)>,
    pub(super) facts: BTreeMap<String, u64>,
    pub(super) watched_ns: u64,
}

/// The fact that tells how far beyond the old numbers the server's new ones begin.
pub(super) const NUMBER_STEP: &str = "number-step";

/// Where the two sequences begin.
#[derive(Clone, Copy, Debug, Default)]
struct Origins {
    client: Option<u32>,
    server: Option<u32>,
}

impl Origins {
    fn of(&mut self, end: Seat) -> &mut Option<u32> {
        match end {
            Seat::Client => &mut self.client,
            Seat::Server => &mut self.server,
        }
    }
}

impl Seen {
    /// The story of a scene.
    pub(super) fn of(footage: &Footage) -> Self {
        let since = |at: Nanos| (at - footage.marked).0;
        let told = footage.calls.iter().filter(|c| c.at >= footage.marked);
        let time_wait = footage.observed.time_wait.iter();
        Self {
            segments: segments(footage),
            states: states(footage),
            calls: told
                .map(|call| CallRecord {
                    at_ns: since(call.at),
                    end: call.end.name().to_owned(),
                    call: call.text.clone(),
                })
                .collect(),
            time_wait: time_wait
                .filter(|left| left.client_port == CLIENT_PORT && left.at >= footage.marked)
                .map(|left| (since(left.at), left.end.name().to_owned(), left.left_ms))
                .collect(),
            facts: facts(footage),
            watched_ns: since(footage.ended),
        }
    }

    /// The first segment from `end` with these flags.
    pub(super) fn first(&self, end: &str, flags: &str) -> Option<&SegmentRecord> {
        let found = |segment: &&SegmentRecord| segment.from == end && segment.flags == flags;
        self.segments.iter().find(found)
    }

    /// All segments from `end` with these flags.
    pub(super) fn all<'a>(
        &'a self,
        end: &'a str,
        flags: &'a str,
    ) -> impl Iterator<Item = &'a SegmentRecord> {
        self.segments
            .iter()
            .filter(move |segment| segment.from == end && segment.flags == flags)
    }

    /// All segments in order, in words.
    pub(super) fn listing(&self) -> String {
        let told = self.segments.iter().map(|segment| {
            let lost = if segment.arrived_ns.is_none() {
                " (lost)"
            } else {
                ""
            };
            format!("{} {}{lost}", segment.from, segment.flags)
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() {
            "no segment".to_owned()
        } else {
            told.join(", ")
        }
    }

    /// The states one end went through, in order.
    pub(super) fn states_of(&self, end: &str) -> Vec<&str> {
        let of_it = self.states.iter().filter(|change| change.end == end);
        of_it.map(|change| change.state.as_str()).collect()
    }

    /// When `end` was first seen in `state`.
    pub(super) fn since(&self, end: &str, state: &str) -> Option<u64> {
        let found = |change: &&StateChange| change.end == end && change.state == state;
        self.states.iter().find(found).map(|change| change.at_ns)
    }

    /// Whether the program at `end` made, or was told, exactly this.
    pub(super) fn called(&self, end: &str, call: &str) -> bool {
        let found = |told: &CallRecord| told.end == end && told.call == call;
        self.calls.iter().any(found)
    }

    /// Exactly these segments, in this order.
    pub(super) fn order(
        &self,
        rule: &str,
        source: &str,
        expected: &[(&str, &str)],
    ) -> LifecycleCheck {
        let seen: Vec<(&str, &str)> = self
            .segments
            .iter()
            .map(|segment| (segment.from.as_str(), segment.flags.as_str()))
            .collect();
        check(rule, source, seen == expected, self.listing())
    }

    /// One end goes through exactly these states, in this order.
    pub(super) fn passes(&self, source: &str, end: &str, expected: &[&str]) -> LifecycleCheck {
        let seen = self.states_of(end);
        check(
            &format!("the {end} goes through {}", expected.join(", ")),
            source,
            seen == expected,
            seen.join(", "),
        )
    }

    /// The program at `end` is told this.
    pub(super) fn told(&self, source: &str, end: &str, call: &str) -> LifecycleCheck {
        let of_it = self.calls.iter().filter(|told| told.end == end);
        let calls: Vec<&str> = of_it.map(|told| told.call.as_str()).collect();
        check(
            &format!("the {end}'s program is told: {call}"),
            source,
            self.called(end, call),
            calls.join(", "),
        )
    }

    /// `answer` acknowledges all of `asked`.
    pub(super) fn acknowledges(
        rule: &str,
        source: &str,
        asked: Option<&SegmentRecord>,
        answer: Option<&SegmentRecord>,
    ) -> LifecycleCheck {
        let (Some(asked), Some(answer)) = (asked, answer) else {
            return check(rule, source, false, "no such segments".to_owned());
        };
        let due = end_of(asked);
        let given = answer.acknowledgement;
        let said = given.map_or_else(|| "nothing".to_owned(), |ack| ack.to_string());
        check(
            rule,
            source,
            given == Some(due),
            format!(
                "{} {} ends before {due}; {} {} acknowledges {said}",
                asked.from, asked.flags, answer.from, answer.flags
            ),
        )
    }
}

/// The sequence number behind a segment's last: SYN and FIN count as one each.
pub(super) fn end_of(segment: &SegmentRecord) -> u32 {
    let counts = |flag: &str| u32::from(segment.flags.split('+').any(|set| set == flag));
    segment
        .sequence
        .wrapping_add(segment.bytes + counts("SYN") + counts("FIN"))
}

/// A rule, and what was seen of it.
pub(super) fn check(rule: &str, source: &str, held: bool, seen: String) -> LifecycleCheck {
    LifecycleCheck {
        rule: rule.to_owned(),
        source: source.to_owned(),
        seen,
        held,
        of_the_system: false,
    }
}

/// The same for a rule that is the operating system's own.
pub(super) fn of_the_system(check: LifecycleCheck) -> LifecycleCheck {
    LifecycleCheck {
        of_the_system: true,
        ..check
    }
}

/// The segments of the story's connection, numbered from each end's first.
fn segments(footage: &Footage) -> Vec<SegmentRecord> {
    let (mut told, mut origins, mut connection) = (Vec::new(), Origins::default(), 0);
    let mut sent: Vec<(u32, Seat, Segment)> = Vec::new();
    let mut begins: Vec<u32> = Vec::new();
    for carried in &footage.carried {
        let Some(segment) = Segment::parse(&carried.frame) else {
            continue;
        };
        let ports = [segment.source_port, segment.target_port];
        if !ports.contains(&CLIENT_PORT) || !ports.contains(&SERVER_PORT) {
            continue;
        }
        let (from, flags) = (carried.from, segment.flags);
        if from == Seat::Client && flags.syn && !begins.contains(&segment.sequence) {
            if !begins.is_empty() {
                connection += 1;
                origins = Origins::default();
            }
            begins.push(segment.sequence);
        }
        if flags.syn {
            origins.of(from).get_or_insert(segment.sequence);
        }
        // Whoever never sent a SYN has no numbers of its own.
        let own = origins.of(from).unwrap_or(0);
        let others = origins.of(from.other()).unwrap_or(0);
        let sequence = segment.sequence.wrapping_sub(own);
        let alike = |(number, end, before): &(u32, Seat, Segment)| {
            (*number, *end) == (connection, from)
                && before.sequence == segment.sequence
                && (before.flags, before.bytes) == (segment.flags, segment.bytes)
                && segment.span() > 0
        };
        let again = sent.iter().any(alike);
        sent.push((connection, from, segment));
        if carried.sent < footage.marked {
            continue;
        }
        let note = match (carried.old_copy, carried.arrived) {
            (true, _) => "an old copy, delivered late",
            (_, None) => "lost on the wire",
            _ => "",
        };
        told.push(SegmentRecord {
            sent_ns: (carried.sent - footage.marked).0,
            arrived_ns: carried.arrived.map(|at| (at - footage.marked).0),
            from: from.name().to_owned(),
            flags: flags.name(),
            sequence,
            acknowledgement: flags
                .ack
                .then(|| segment.acknowledgement.wrapping_sub(others)),
            bytes: segment.bytes,
            again,
            connection,
            note: note.to_owned(),
        });
    }
    told
}

/// What the scene told, and by how much the server's first number of a second connection lies beyond the last it had used
/// in the first.
fn facts(footage: &Footage) -> BTreeMap<String, u64> {
    let mut facts = footage.facts.clone();
    let (mut begun, mut used): (Option<u32>, Option<u32>) = (None, None);
    for carried in &footage.carried {
        let Some(segment) = Segment::parse(&carried.frame) else {
            continue;
        };
        let ports = (segment.source_port, segment.target_port);
        if ports != (SERVER_PORT, CLIENT_PORT) {
            continue;
        }
        let end = segment.sequence.wrapping_add(segment.span());
        match (segment.flags.syn, begun, used) {
            (true, Some(first), Some(last)) if first != segment.sequence => {
                let step = segment.sequence.wrapping_sub(last);
                facts.insert(NUMBER_STEP.to_owned(), u64::from(step));
                return facts;
            }
            (true, None, _) => begun = Some(segment.sequence),
            _ => {}
        }
        // Numbers wrap: the one that is less than half the space ahead is the later one.
        let later = used.is_none_or(|last| end.wrapping_sub(last) < 1 << 31);
        if later {
            used = Some(end);
        }
    }
    facts
}

/// The states of the story's connection: where it stood at the mark, then every change.
fn states(footage: &Footage) -> Vec<StateChange> {
    let mut told: Vec<StateChange> = Vec::new();
    for end in [Seat::Client, Seat::Server] {
        let before = |change: &&super::watch::Change| {
            change.end == end && change.at < footage.marked && change.client_port == CLIENT_PORT
        };
        let all = footage.observed.changes.iter();
        let listens = all.clone().any(|change| {
            change.end == end && change.client_port == 0 && change.state == TcpState::Listen
        });
        let standing = match all.clone().rev().find(before) {
            Some(change) => change.state,
            None if listens => TcpState::Listen,
            None => TcpState::Closed,
        };
        let mut connection = 0;
        let (mut last, mut had) = (
            standing,
            !matches!(standing, TcpState::Closed | TcpState::Listen),
        );
        told.push(change(0, end, standing, connection));
        let later = all.filter(|change| {
            change.end == end && change.at >= footage.marked && change.client_port == CLIENT_PORT
        });
        for seen in later {
            let opens = matches!(seen.state, TcpState::SynSent | TcpState::SynReceived);
            if opens && had && matches!(last, TcpState::TimeWait | TcpState::Closed) {
                connection += 1;
            }
            had = true;
            last = seen.state;
            told.push(change(
                (seen.at - footage.marked).0,
                end,
                seen.state,
                connection,
            ));
        }
    }
    told.sort_by_key(|change| change.at_ns);
    told
}

fn change(at_ns: u64, end: Seat, state: TcpState, connection: u32) -> StateChange {
    StateChange {
        at_ns,
        end: end.name().to_owned(),
        state: state.name().to_owned(),
        connection,
    }
}
