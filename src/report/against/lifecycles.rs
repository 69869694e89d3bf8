//! Two life cycles: the scenes and their rules by name, then what beginnings and ends cost.
//!
//! Does not judge. Set-ups and tear-downs have the records' intervals over rounds; everything else is one figure a run.

use super::figures::Figure;
use super::outcomes::Outcomes;
use super::rows::{Both, Group, Of, Sheet};
use crate::record::{
    HandshakeRecord, LifecycleCheck, LifecycleRecord, PortRecord, Record, ScenarioRecord,
    SustainedRecord, TimeWaitRecord, TurnoverRecord,
};
use crate::report::format::{count, float_u};
use crate::report::lifecycle::costs::{HANDSHAKES, PORTS, TIME_WAIT, TURNOVERS, turnover_names};
use crate::report::lifecycle::{
    handshake_names, histograms, lasted, numbered, outcome, port_names, stems,
};
use crate::report::plot::Overlaid;
use serde_json::{Map, Value, json};

/// What the scenes and the costs were set to.
pub(super) fn settings(lifecycle: &LifecycleRecord) -> Map<String, Value> {
    let turnovers = turnover_names(&lifecycle.turnovers).into_iter();
    let turnovers = turnovers.zip(&lifecycle.turnovers).map(|(name, t)| {
        let said = format!("{} connections, {} rounds", count(t.connections), t.rounds);
        (name, json!(said))
    });
    let ports = port_names(&lifecycle.ports).into_iter();
    let ports = ports.zip(&lifecycle.ports).map(|(name, p)| {
        let said = format!("{} ports × {} addresses", count(p.ports), p.addresses);
        (name, json!(said))
    });
    let ramps = handshake_names(&lifecycle.handshakes).into_iter();
    let ramps = ramps.zip(&lifecycle.handshakes).map(|(name, ramp)| {
        let said = format!(
            "{} listeners with accept queues of {}, {} connects unanswered at once",
            ramp.listeners,
            count(ramp.accept_queue),
            count(ramp.in_flight)
        );
        (name, json!(said))
    });
    let all = [
        ("laboratory", json!(lifecycle.laboratory)),
        ("one_way_delay_ns", json!(lifecycle.one_way_delay_ns)),
        (
            "states_looked_at_every_ns",
            json!(lifecycle.states_looked_at_every_ns),
        ),
        ("set-ups and tear-downs", Value::Object(turnovers.collect())),
        ("ports", Value::Object(ports.collect())),
        ("many at once", Value::Object(ramps.collect())),
    ];
    all.map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// Which scenes and rules held, which ways lasted, and what it all cost.
pub(super) fn compare(both: Both, a: &Record, b: &Record) -> (Outcomes, Vec<Group>) {
    let nothing = LifecycleRecord::default();
    let [one, other] = [a, b].map(|record| record.lifecycle.as_ref().unwrap_or(&nothing));
    let mut outcomes = Outcomes::default();
    scenes(&mut outcomes, one, other);
    let mut groups = Vec::new();
    let names = [one, other].map(|l| turnover_names(&l.turnovers));
    let entries = [one, other].map(|l| l.turnovers.as_slice());
    outcomes.begin(["way of ending", "ways of ending"]);
    for (name, sides) in paired(&mut outcomes, "ending by ", &names, entries) {
        groups.extend(turnover(both, sides).under(format!("{TURNOVERS}: {name}")));
    }
    if let (Some(one), Some(other)) = (&one.time_wait, &other.time_wait) {
        groups.extend(time_wait(both, [one, other]).under(TIME_WAIT.to_owned()));
    }
    let names = [one, other].map(|l| port_names(&l.ports));
    let entries = [one, other].map(|l| l.ports.as_slice());
    outcomes.begin(["way out of the ports", "ways out of the ports"]);
    for (name, sides) in paired(&mut outcomes, "ports by ", &names, entries) {
        let [before, after] = sides.map(|port| port.connects_before_failure.is_some());
        outcomes.both(
            &format!("ports by {name}"),
            sides.map(lasted),
            before == after,
        );
        groups.extend(ports(both, sides).under(format!("{PORTS}: {name}")));
    }
    let names = [one, other].map(|l| handshake_names(&l.handshakes));
    let entries = [one, other].map(|l| l.handshakes.as_slice());
    outcomes.begin(["ramp", "ramps"]);
    for (name, sides) in paired(&mut outcomes, "ramp of ", &names, entries) {
        let whole = sides.map(|ramp| ramp.established >= ramp.connections_asked);
        let key = format!("ramp of {name}");
        outcomes.both(&key, sides.map(established), whole[0] == whole[1]);
        groups.extend(handshake(both, sides).under(format!("{HANDSHAKES}: {name}")));
    }
    (outcomes, groups)
}

/// What both have under one name; what only one has is noted.
fn paired<'a, T>(
    outcomes: &mut Outcomes,
    prefix: &str,
    names: &[Vec<String>; 2],
    entries: [&'a [T]; 2],
) -> Vec<(String, [&'a T; 2])> {
    let mut pairs = Vec::new();
    for (name, one) in names[0].iter().zip(entries[0]) {
        match names[1].iter().position(|other| other == name) {
            Some(place) => pairs.push((name.clone(), [one, &entries[1][place]])),
            None => outcomes.only(true, (&format!("{prefix}{name}"), 1), "measured", None),
        }
    }
    for name in names[1].iter().filter(|name| !names[0].contains(name)) {
        outcomes.only(false, (&format!("{prefix}{name}"), 1), "measured", None);
    }
    pairs
}

fn scenes(outcomes: &mut Outcomes, one: &LifecycleRecord, other: &LifecycleRecord) {
    outcomes.begin(["scene", "scenes"]);
    let names = [one, other].map(stems);
    let entries = [one, other].map(|l| l.scenarios.as_slice());
    let pairs = paired(outcomes, "scene ", &names, entries);
    for (name, sides) in &pairs {
        let same = sides[0].held == sides[1].held;
        outcomes.both(&format!("scene {name}"), sides.map(played), same);
    }
    outcomes.begin(["rule", "rules"]);
    for (name, sides) in &pairs {
        let names = sides.map(|scene| {
            let rules = scene.checks.iter();
            numbered(rules.map(|check| check.rule.clone()), '#')
        });
        let entries = sides.map(|scene| scene.checks.as_slice());
        let prefix = format!("{name}: ");
        for (rule, checks) in paired(outcomes, &prefix, &names, entries) {
            let same = checks[0].held == checks[1].held;
            outcomes.both(&format!("{prefix}{rule}"), checks.map(seen), same);
        }
    }
}

/// `held: 6 of 6 rules`, and why it is not to be relied on, where it is not.
fn played(scene: &ScenarioRecord) -> String {
    let doubt = scene.disturbance.as_ref();
    let doubt = doubt.map_or_else(String::new, |why| format!("; not to be relied on: {why}"));
    outcome(scene) + &doubt
}

fn seen(check: &LifecycleCheck) -> String {
    let word = if check.held { "held" } else { "NOT held" };
    format!("{word}: {}", check.seen)
}

fn established(ramp: &HandshakeRecord) -> String {
    let (some, all) = (count(ramp.established), count(ramp.connections_asked));
    format!("{some} of {all} established")
}

fn turnover(both: Both, sides: [&TurnoverRecord; 2]) -> Sheet<'_, TurnoverRecord> {
    let mut sheet = Sheet::new(both, sides);
    let packets = Of::Packets;
    sheet.add("connects a second", Of::Rate, |t| {
        Some(Figure::recorded(&t.connects_per_second))
    });
    sheet.add("CPU per set-up", Of::Time, |t| {
        Some(Figure::recorded(&t.cpu_ns_per_connect))
    });
    sheet.add("packets per set-up", packets, |t| {
        Some(Figure::alone(t.packets_per_connect))
    });
    sheet.connect(|t| t.histograms.get("connect"));
    sheet.add("closes a second", Of::Rate, |t| {
        Some(Figure::recorded(&t.closes_per_second))
    });
    sheet.add("CPU per tear-down", Of::Time, |t| {
        Some(Figure::recorded(&t.cpu_ns_per_close))
    });
    sheet.add("packets per tear-down", packets, |t| {
        Some(Figure::alone(t.packets_per_close))
    });
    sheet.count("left in TIME_WAIT at the client", |t| t.time_wait_client);
    sheet.count("left in TIME_WAIT at the server", |t| t.time_wait_server);
    sheet.causes("ended otherwise", |t| &t.unexpected);
    if let [Some(one), Some(other)] = sides.map(|t| t.sustained.as_ref()) {
        sheet.rows.extend(sustained(both, [one, other]).rows);
    }
    sheet
}

fn sustained(both: Both, sides: [&SustainedRecord; 2]) -> Sheet<'_, SustainedRecord> {
    let mut sheet = Sheet::new(both, sides);
    sheet.add("connects a second, sustained", Of::Rate, |s| {
        Some(Figure::alone(s.connects_per_second))
    });
    sheet.add("closes a second, sustained", Of::Rate, |s| {
        Some(Figure::alone(s.closes_per_second))
    });
    let turnover = "CPU per connect and close, all the machine spent";
    sheet.lone(turnover, Of::Time, |s| Some(s.cpu_ns_per_turnover));
    sheet.add("machine busy", Of::Share, |s| {
        Some(Figure::alone(f64::from(s.busy_milli) / 1e3))
    });
    sheet.lone("connect p99, sustained", Of::Time, |s| {
        let times = s.histograms.get("connect").filter(|times| times.count > 0);
        times.map(|times| times.p99)
    });
    sheet.count("connects failed", |s| s.failures.values().sum());
    sheet.count("in TIME_WAIT at its end", |s| s.time_wait);
    sheet
}

fn time_wait(both: Both, sides: [&TimeWaitRecord; 2]) -> Sheet<'_, TimeWaitRecord> {
    let mut sheet = Sheet::new(both, sides);
    sheet.lone("lasts", Of::Time, |t| t.lifetime_ns);
    let socket = "kernel memory of one socket in TIME_WAIT, at the client";
    sheet.lone(socket, Of::Bytes, |t| t.bytes_per_socket);
    for cache in sides[0].caches.keys() {
        sheet.lone(&format!("of it in {cache}"), Of::Bytes, |t| {
            t.caches.get(cache).copied()
        });
    }
    let whole = "kernel memory of one established socket, mean of both ends";
    sheet.lone(whole, Of::Bytes, |t| t.bytes_per_established_socket);
    sheet
}

fn ports(both: Both, sides: [&PortRecord; 2]) -> Sheet<'_, PortRecord> {
    let mut sheet = Sheet::new(both, sides);
    sheet.lone("tried for", Of::Time, |p| Some(p.watched_ns));
    sheet.count("connections opened and ended", |p| p.connects);
    sheet.lone("before the first that failed", Of::Count, |p| {
        p.connects_before_failure
    });
    sheet.lone("first failure after", Of::Time, |p| p.first_failure_ns);
    sheet.causes("failed", |p| &p.failures);
    sheet.count("in TIME_WAIT at the client at the end", |p| {
        p.time_wait_client
    });
    sheet.count("in TIME_WAIT at the server at the end", |p| {
        p.time_wait_server
    });
    sheet.add("can be sustained, connections a second", Of::Rate, |p| {
        p.ceiling_per_second.map(Figure::alone)
    });
    sheet
}

fn handshake(both: Both, sides: [&HandshakeRecord; 2]) -> Sheet<'_, HandshakeRecord> {
    let mut sheet = Sheet::new(both, sides);
    sheet.count("established at both ends", |h| h.established);
    sheet.count("established as far as the clients know", |h| {
        h.established_for_clients.max(h.established)
    });
    sheet.lone("took", Of::Time, |h| Some(h.took_ns));
    sheet.add("established a second", Of::Rate, |h| {
        let rate = float_u(h.established) / float_u(h.took_ns) * 1e9;
        (h.took_ns > 0).then(|| Figure::alone(rate))
    });
    sheet.lone("CPU per connection", Of::Time, |h| {
        let each = h.cpu_ns.busy.checked_div(h.established);
        each.filter(|_| h.cpu_ns.busy > 0)
    });
    sheet.causes("failed", |h| &h.failures);
    sheet.connect(|h| h.histograms.get("connect"));
    sheet.count("waiting in accept queues, at most", |h| {
        h.accept_waiting_max
    });
    sheet.count("accept queue overflows", |h| h.pressure.listen_overflows);
    sheet.count("refused by a listener, any reason", |h| {
        h.pressure.listen_drops
    });
    sheet.count("SYN queue full, dropped", |h| h.pressure.syn_queue_drops);
    sheet.count("SYN queue full, answered with a cookie", |h| {
        h.pressure.syn_cookies
    });
    sheet.count("SYNs and SYN-ACKs sent again", |h| {
        h.pressure.syn_retransmits
    });
    sheet
}

/// The connect latencies that both have.
pub(super) fn overlaid<'a>(a: &'a Record, b: &'a Record) -> Vec<Overlaid<'a>> {
    let (Some(one), Some(other)) = (&a.lifecycle, &b.lifecycle) else {
        return Vec::new();
    };
    let others = histograms(other);
    let pair = |(name, own)| {
        let (_, same) = others.iter().find(|(other, _)| *other == name)?;
        Some(Overlaid {
            name,
            histograms: [own, *same],
        })
    };
    histograms(one).into_iter().filter_map(pair).collect()
}
