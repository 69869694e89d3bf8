//! A life cycle's order of moments, diagrams, sentences, tables, page and files against its record.

use super::*;
use crate::record::{CallRecord, SegmentRecord, StateChange};
use crate::report::html::fetches_nothing;
use crate::report::rows::{CostTable, Row};
use crate::report::{html, markdown_table, table as rendered};
use proptest::prelude::*;

fn named(name: &str) -> ScenarioRecord {
    let mut all = fixture::scenarios().into_iter();
    all.find(|scenario| scenario.name == name).unwrap()
}

fn drawn(name: &str, width: usize) -> String {
    diagram::diagram(&named(name), fixture::ONE_WAY_NS, width)
}

#[test]
fn a_set_up_reads_as_it_went() {
    let text = drawn("set-up", 80);
    for line in [
        "      ms  client          │         10.0 ms one way          │ server",
        "    0.00  CLOSED          │                                  │▸LISTEN",
        "    0.05  connect()       │                                  │ LISTEN",
        "    0.10  CLOSED          │──SYN seq=0──────────────────────▶│ LISTEN",
        "    0.40 ▸SYN-SENT        │                                  │ LISTEN",
        "   10.20  SYN-SENT        │◀────────────SYN+ACK seq=0 ack=1──│ LISTEN",
        "   20.40  connect() = 0   │                                  │ SYN-RECEIVED",
        "          ESTABLISHED     │                                  │ connection",
    ] {
        assert!(text.lines().any(|drawn| drawn == line), "{line}\n{text}");
    }
    assert!(!text.contains('⋮') && !text.contains('✗'), "{text}");
}

#[test]
fn what_is_lost_late_and_silent_shows() {
    // One look at both ends is one line.
    let close = drawn("close-by-client", 80);
    let first = "    0.00 ▸ESTABLISHED     │                                  │▸ESTABLISHED";
    assert_eq!(close.lines().nth(1), Some(first), "{close}");
    let lost = drawn("syn-lost", 80);
    assert!(
        lost.lines()
            .any(|line| line.contains("──SYN seq=0") && line.contains('✗') && !line.contains('▶')),
        "{lost}"
    );
    assert!(lost.contains("⋮ 1.01 s of silence ⋮"), "{lost}");
    assert!(lost.contains("──SYN seq=0 again──"), "{lost}");
    assert!(lost.contains("(lost on the wire)"), "{lost}");
    let late = drawn("time-wait", 80);
    assert!(
        late.contains("┄┄──") && late.contains("◀───PSH+ACK seq=1 arrives┄┄"),
        "{late}"
    );
    assert!(late.contains("second connection"), "{late}");
    assert!(late.contains("⋮ 60.0 s of silence ⋮"), "{late}");
    let both = drawn("simultaneous-close", 80);
    // Both FINs are on their way when the other leaves: each takes a line at either end.
    assert_eq!(both.matches("FIN+ACK seq=1 arrives").count(), 2, "{both}");
    let unfinished = drawn("last-ack-lost", 80);
    assert!(unfinished.contains("watched until here"), "{unfinished}");
}

#[test]
fn narrow_diagrams_lose_detail_and_no_line_is_too_long() {
    for scenario in fixture::scenarios() {
        for width in [20, 40, 55, 60, 72, 80, 96, 140] {
            let text = diagram::diagram(&scenario, fixture::ONE_WAY_NS, width);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
    let narrow = drawn("close-by-client", 60);
    assert!(
        narrow.contains("──PSH+ACK 1400 B──│") && narrow.contains("──FIN+ACK seq=1401──│"),
        "{narrow}"
    );
}

#[test]
fn every_moment_knows_both_states() {
    let scenario = named("close-by-client");
    let sequence = Sequence::new(&scenario, fixture::ONE_WAY_NS);
    let at = |ns: u64| {
        let place = sequence
            .moments
            .iter()
            .rposition(|moment| moment.at_ns <= ns)
            .unwrap();
        (
            sequence.state(End::Client, place),
            sequence.state(End::Server, place),
        )
    };
    assert_eq!(at(0), ("ESTABLISHED", "ESTABLISHED"));
    assert_eq!(at(10_300_000), ("FIN-WAIT-1", "ESTABLISHED"));
    assert_eq!(at(30_000_000), ("FIN-WAIT-2", "CLOSE-WAIT"));
    assert_eq!(at(45_000_000), ("FIN-WAIT-2", "LAST-ACK"));
    assert_eq!(at(69_000_000), ("TIME-WAIT", "CLOSED"));
    let again = named("time-wait");
    let sequence = Sequence::new(&again, fixture::ONE_WAY_NS);
    let second = sequence
        .moments
        .iter()
        .position(|moment| moment.connection == 1)
        .unwrap();
    // The first connection's socket is CLOSED by then, and the second one's is not there yet.
    assert!(matches!(
        sequence.moments[second].happening,
        Happening::Connection
    ));
    assert_eq!(sequence.state(End::Client, second), "CLOSED");
    assert_eq!(sequence.state(End::Server, second), "LISTEN");
    let call = sequence.moments[second + 1].happening;
    assert!(matches!(call, Happening::Call(call) if call.call.starts_with("connect")));
}

#[test]
fn the_answer_says_what_held_and_what_it_costs() {
    let said = format::plain(&headline(&fixture::record()).join("\n"));
    for must in [
        "5 of 6 ways a connection begins or ends, captured from the wire, went by TCP's rules (7 checked); NOT so: \
         last-ack-lost.",
        "A set-up costs 31.0 µs of CPU and 3.0 packets, about 52,000 a second; a tear-down by way of ending: client-fin \
         24.0 µs of CPU and 3.0 packets;",
        "TIME-WAIT lasts 60.1 s; it falls to the end that closes first.",
        "How long the ports lasted: client-closes 1,000 connections in 10.0 s, out of ports after 1,000; more-addresses \
         4,000 in 10.0 s, out of ports after 4,000; client-resets 50,000 in 10.0 s, never out.",
        "Opened at once: 19,997 of 20,000 established in 2.00 s with accept queues of 128, 1,204 overflows of them and \
         1,500 SYNs or SYN-ACKs sent again;",
    ] {
        assert!(said.contains(must), "{must}: {said}");
    }
}

#[test]
fn ports_given_back_and_other_failures_are_told_apart() {
    let mut port = fixture::record().lifecycle.unwrap().ports.swap_remove(0);
    assert_eq!(lasted(&port), "out of ports after 1,000");
    port.connects = 7_816;
    assert_eq!(lasted(&port), "out of ports after 1,000 but given back");
    port.failures = [("ETIMEDOUT".to_owned(), 1)].into();
    assert_eq!(
        lasted(&port),
        "first failure after 1,000, 6,816 opened after it"
    );
}

#[test]
fn what_time_wait_takes_is_told_for_either_end() {
    let mut record = fixture::record();
    let waiting = |record: &mut Record, caches: &[(&str, u64)]| {
        let waiting = record.lifecycle.as_mut().unwrap().time_wait.as_mut();
        let waiting = waiting.unwrap();
        waiting.bytes_per_socket = Some(417);
        let caches = caches
            .iter()
            .map(|(name, size)| ((*name).to_owned(), *size));
        waiting.caches = caches.collect();
        format::plain(&headline(record).join("\n"))
    };
    let both = [
        ("tcp_bind_bucket + tcp_bind2_bucket", 162),
        ("tw_sock_TCP", 255),
    ];
    let said = waiting(&mut record, &both);
    let must = "takes 255 B of kernel memory, and 162 B more at a client for its port, where an established socket takes \
                4.0 kB (both ends' mean, with file, inode and dentry); it falls";
    assert!(said.contains(must), "{said}");
    for caches in [&[][..], &[("tw_sock_TCP + tcp_bind_bucket", 417)]] {
        let said = waiting(&mut record, caches);
        let must = "takes 417 B of kernel memory at a client, where";
        assert!(said.contains(must), "{said}");
    }
    let tables = costs::tables(record.lifecycle.as_ref().unwrap());
    let row = named_row(
        &tables[1].1,
        "enough for so many closes a second, sustained",
    );
    assert_eq!(row.cells[0].text, "2,184");
}

fn named_row<'a>(table: &'a CostTable, label: &str) -> &'a Row {
    let mut rows = table.groups.iter().flat_map(|group| &group.rows);
    rows.find(|row| row.label == label).unwrap()
}

#[test]
fn few_looks_at_syn_recv_are_no_figure_where_cookies_were_sent() {
    let mut lifecycle = fixture::record().lifecycle.unwrap();
    // One with cookies looked at often enough, one not, one looked at as seldom without cookies.
    lifecycle.handshakes.push(lifecycle.handshakes[0].clone());
    for (place, looks, cookies) in [(0, 20, 3_939), (1, 5, 3_939), (2, 5, 0)] {
        let ramp = &mut lifecycle.handshakes[place];
        ramp.syn_received_looks = looks;
        ramp.pressure.syn_cookies = cookies;
    }
    let tables = costs::tables(&lifecycle);
    let table = &tables[3].1;
    let seen = named_row(table, "seen in SYN_RECV, at most");
    let texts = |row: &Row| {
        row.cells
            .iter()
            .map(|cell| cell.text.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(seen), ["311", format::ABSENT, "311"]);
    assert_eq!(
        table.notes[seen.cells[1].note.unwrap() - 1],
        "its queue was full: 3,939 cookies were sent, and it was looked at only 5 times"
    );
    assert_eq!(texts(named_row(table, "looks at it")), ["20", "5", "5"]);
}

#[test]
fn the_terminal_keeps_its_width_and_shows_every_verdict() {
    let record = fixture::record();
    for width in [40_u16, 60, 80, 120] {
        let text = rendered(&record, Some(width));
        for line in text.lines() {
            assert!(
                line.chars().count() <= usize::from(width),
                "{width}: {line}"
            );
        }
    }
    let text = rendered(&record, Some(100));
    for must in [
        "▸ The last ACK is lost (last-ack-lost)",
        "NOT held: 1 of 2 rules",
        "✗ The second FIN is sent again. (RFC 9293, section 3.5; the system's, not the standard's) It was",
        "held: 1 of 1 rules",
        "20000#2: fewer than asked for: the host holds no <more>.",
    ] {
        assert!(text.contains(must), "{must}: {text}");
    }
}

#[test]
fn every_absent_figure_has_a_reason() {
    let lifecycle = fixture::record().lifecycle.unwrap();
    let tables = costs::tables(&lifecycle);
    assert_eq!(tables.len(), 4);
    for (title, table) in &tables {
        for row in table.groups.iter().flat_map(|group| &group.rows) {
            assert_eq!(row.cells.len(), table.arms.len(), "{title}");
            for cell in &row.cells {
                assert_eq!(
                    cell.text == format::ABSENT,
                    cell.note.is_some(),
                    "{title}: {}",
                    row.label
                );
            }
        }
    }
    assert!(
        tables[1]
            .1
            .notes
            .contains(&"only root may read the slab caches".to_owned())
    );
    assert_eq!(tables[3].1.arms, ["20000", "20000#2"]);
}

#[test]
fn the_page_has_every_scenario_and_fetches_nothing() {
    let record = fixture::record();
    let page = html(&record).unwrap();
    fetches_nothing(&page);
    for forbidden in ["<for>", "<not>", "<more>", "<by"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    for scenario in fixture::scenarios() {
        assert!(
            page.contains(&format!("<h2>{}</h2>", scenario.title)),
            "{}",
            scenario.name
        );
        assert!(
            page.contains(&format!("href=\"{}.pcap\"", scenario.name)),
            "{}",
            scenario.name
        );
        assert!(
            page.contains(&format!("id=\"{}\"", scenario.name)),
            "{}",
            scenario.name
        );
    }
    for (state, ..) in words::STATES {
        assert!(
            page.contains(&format!("<th class=\"brief\" scope=\"row\">{state}</th>")),
            "{state}"
        );
    }
    assert!(page.contains(
        "<li><strong>20000#2</strong>: fewer than asked for: the host holds no &lt;more&gt;</li>"
    ));
    assert!(!page.contains("was ended early"));
    let mut early = record.clone();
    early.lifecycle.as_mut().unwrap().handshakes[0].stopped = Some("no memory".to_owned());
    let early = html(&early).unwrap();
    assert!(early.contains("<strong>20000</strong> was ended early: no memory"));
    assert_eq!(early.matches("was ended early").count(), 1);
    // A diagram each, two charts of connect latency, the ports, and two ramps over time.
    assert_eq!(page.matches("<svg ").count(), 6 + 5);
    assert_eq!(page.matches("<svg role=\"img\" aria-label=").count(), 6 + 5);
    for tag in [
        "table", "tr", "td", "th", "section", "figure", "svg", "details", "tbody",
    ] {
        let opened =
            page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let markdown = markdown_table(&record);
    assert!(
        markdown.contains("| `last-ack-lost` | The last ACK is lost | NOT held: 1 of 2 rules"),
        "{markdown}"
    );
}

#[test]
fn partial_records_render_what_they_have() {
    let mut record = fixture::record();
    let whole = record.lifecycle.take();
    for lifecycle in [None, Some(LifecycleRecord::default())] {
        record.lifecycle = lifecycle;
        assert!(
            rendered(&record, Some(60)).starts_with("No connection's begin or end was watched.")
        );
        assert!(!html(&record).unwrap().contains("<svg "));
        assert!(!markdown_table(&record).contains('|'));
    }
    let scenarios = LifecycleRecord {
        scenarios: whole.as_ref().unwrap().scenarios.clone(),
        ..LifecycleRecord::default()
    };
    record.lifecycle = Some(scenarios);
    assert!(!html(&record).unwrap().contains(costs::TURNOVERS));
    let mut costs_only = whole.unwrap();
    costs_only.scenarios.clear();
    costs_only
        .handshakes
        .iter_mut()
        .for_each(|ramp| ramp.timeline.clear());
    record.lifecycle = Some(costs_only);
    let page = html(&record).unwrap();
    assert!(page.contains(costs::HANDSHAKES) && !page.contains("The eleven states"));
    let bare = ScenarioRecord::default();
    assert!(diagram::diagram(&bare, 0, 80).contains("client"));
}

#[test]
fn spreadsheets_have_a_row_a_segment_and_a_state() {
    let lifecycle = fixture::record().lifecycle.unwrap();
    let files = files(&lifecycle).unwrap();
    let text = |name: &str| {
        let (_, content) = files.iter().find(|(file, _)| file == name).unwrap();
        String::from_utf8(content.clone()).unwrap()
    };
    let segments = text("segments.csv");
    let sent: usize = lifecycle
        .scenarios
        .iter()
        .map(|scenario| scenario.segments.len())
        .sum();
    assert_eq!(segments.lines().count(), sent + 1);
    assert!(
        segments.lines().all(|line| line.split(',').count() == 11),
        "{segments}"
    );
    assert!(
        segments.contains("\nsyn-lost,100000,,client,SYN,0,,0,false,0,lost on the wire\n"),
        "{segments}"
    );
    let states = text("states.csv");
    assert!(
        states.contains("\ntime-wait,60300300000,client,SYN-SENT,1\n"),
        "{states}"
    );
    for stem in stems(&lifecycle) {
        let name = format!("{stem}.pcap");
        let (_, content) = files.iter().find(|(file, _)| *file == name).unwrap();
        assert_eq!(content[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{name}");
    }
    let mut twice = lifecycle.clone();
    twice.scenarios[1].name = "set-up".to_owned();
    twice.scenarios[2].name = "../set#up".to_owned();
    assert_eq!(stems(&twice)[..3], ["set-up", "set-up-2", "___set_up"]);
    twice.scenarios[1].pcap_base64 = "no base64!".to_owned();
    assert_eq!(super::files(&twice).unwrap_err().0, "set-up-2.pcap");
}

fn any_moments() -> impl Strategy<Value = ScenarioRecord> {
    let segment = (
        0_u64..3_000,
        prop::option::weighted(0.8, 0_u64..500),
        any::<bool>(),
        0_u32..2,
    );
    let change = (0_u64..3_000, any::<bool>(), 0_u32..2, 0_usize..3);
    let segments = prop::collection::vec(segment, 0..20);
    (segments, prop::collection::vec(change, 0..12)).prop_map(|(segments, changes)| {
        let end = |server: bool| if server { "server" } else { "client" }.to_owned();
        let segments =
            segments
                .into_iter()
                .enumerate()
                .map(|(number, (sent, took, server, connection))| SegmentRecord {
                    sent_ns: sent * 1_000_000,
                    arrived_ns: took.map(|took| (sent + took) * 1_000_000),
                    from: end(server),
                    flags: "ACK".to_owned(),
                    sequence: u32::try_from(number).unwrap() + 1_000,
                    connection,
                    ..SegmentRecord::default()
                });
        let names = ["ESTABLISHED", "TIME-WAIT", "SYN-RECEIVED"];
        let states = changes
            .iter()
            .map(|(at, server, connection, state)| StateChange {
                at_ns: at * 1_000_000,
                end: end(*server),
                state: names[*state].to_owned(),
                connection: *connection,
            });
        let calls = changes.iter().map(|(at, server, ..)| CallRecord {
            at_ns: at * 1_000_000,
            end: end(*server),
            call: "connect() = ECONNREFUSED, and more words than fit".to_owned(),
        });
        ScenarioRecord {
            segments: segments.collect(),
            states: states.collect(),
            calls: calls.collect(),
            watched_ns: 5_000_000_000,
            ..ScenarioRecord::default()
        }
    })
}

proptest! {
    /// Time never runs back, nothing is left out or told twice, and what arrives has left before.
    #[test]
    fn moments_keep_their_order(scenario in any_moments()) {
        let sequence = Sequence::new(&scenario, 10_000_000);
        let moments = &sequence.moments;
        prop_assert!(moments.windows(2).all(|pair| pair[0].at_ns <= pair[1].at_ns));
        let count = |is: &dyn Fn(Happening<'_>) -> bool| moments.iter().filter(|moment| is(moment.happening)).count();
        prop_assert_eq!(count(&|h| matches!(h, Happening::State(_))), scenario.states.len());
        prop_assert_eq!(count(&|h| matches!(h, Happening::Call(_))), scenario.calls.len());
        for (number, segment) in scenario.segments.iter().enumerate() {
            let sent = |h: Happening<'_>| matches!(h, Happening::Sent(of) if of == number);
            prop_assert_eq!(count(&sent), 1);
            let sent = moments.iter().position(|moment| sent(moment.happening)).unwrap();
            let arrival = sequence.arrival(number);
            prop_assert_eq!(arrival.is_some(), segment.arrived_ns.is_some());
            prop_assert!(arrival.is_none_or(|arrival| arrival > sent));
        }
        for (place, moment) in moments.iter().enumerate() {
            for end in [End::Client, End::Server] {
                let own = |change: &&StateChange| End::of(&change.end) == end && change.connection == moment.connection;
                let last = scenario.states.iter().filter(own).filter(|change| change.at_ns <= moment.at_ns);
                let newest = last.map(|change| change.at_ns).max();
                // Of changes at one instant any may be the last; of an earlier one none may.
                let candidates: Vec<&str> = scenario.states.iter().filter(own)
                    .filter(|change| newest.is_some_and(|newest| change.at_ns == newest))
                    .map(|change| change.state.as_str()).collect();
                let now = moments[place..].iter().take_while(|later| later.at_ns == moment.at_ns).count() + place - 1;
                if newest.is_some() && moments[now].connection == moment.connection {
                    prop_assert!(candidates.contains(&sequence.state(end, now)));
                }
            }
        }
    }

    /// Every segment has one head or one cross, pointing the way it went, and no line is too long.
    #[test]
    fn any_diagram_draws_every_segment_once(scenario in any_moments(), width in 56_usize..110) {
        let text = diagram::diagram(&scenario, 10_000_000, width);
        for line in text.lines() {
            prop_assert!(line.chars().count() <= width, "{}", line);
        }
        let arrived = |from: &str| scenario.segments.iter()
            .filter(|segment| segment.from == from && segment.arrived_ns.is_some()).count();
        prop_assert_eq!(text.matches('▶').count(), arrived("client"));
        prop_assert_eq!(text.matches('◀').count(), arrived("server"));
        let lost = scenario.segments.iter().filter(|segment| segment.arrived_ns.is_none()).count();
        prop_assert_eq!(text.matches('✗').count(), lost);
    }
}
