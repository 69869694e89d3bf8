//! A plan, and a check of the model, as text of 80 columns.
//!
//! Decides nothing: every figure is one of [`FleetPlan`] or [`Check`].

use super::check::{Check, CheckRow};
use super::model::{Bounds, FRAMING_BYTES, HostShare, Limit, SHORTEST_PACKET_BYTES};
use super::plan::{FleetPlan, Formula, MechanismPlan, Reconnect};
use crate::advise::words::{about, float, paragraph, row, spaced, span, whole};
use crate::units::{HumanBytes, HumanCount, Nanos};
use std::fmt::Write as _;

/// `0.51 [0.42, 0.63]`, or the figure alone where there is no interval.
fn ranged(bounds: Bounds, said: impl Fn(f64) -> String) -> String {
    let [low, median, high] = [bounds.low, bounds.median, bounds.high].map(said);
    if low == high {
        return median;
    }
    format!("{median} [{low}, {high}]")
}

fn bytes(value: f64) -> String {
    HumanBytes(whole(value)).to_string()
}

/// With at most one decimal: `4.1 s`, `2 h 3 min`.
fn seconds(value: f64) -> String {
    match value {
        value if value >= 5_400.0 => format!("{} h", about(value / 3_600.0)),
        value if value >= 90.0 => format!("{} min", about(value / 60.0)),
        value => format!("{} s", about(value)),
    }
}

fn percent(share: f64) -> String {
    format!("{} %", about(share * 100.0))
}

fn millis(ms: u64) -> String {
    span(Nanos::from_millis(ms))
}

/// The parts of the text by their headings.
pub(in crate::advise) fn sections(plan: &FleetPlan) -> [(&'static str, String); 3] {
    [
        ("Fleet", fleet(plan)),
        ("Fleet by mechanism and interval", table(plan)),
        ("How the fleet was computed", computed(plan)),
    ]
}

fn tightest(limits: &[Limit]) -> &'static str {
    limits.first().map_or("", |limit| limit.what)
}

fn host_row(share: &HostShare, nic_bits_per_second: u64) -> String {
    let nic = share.ethernet_bits_per_second / float(nic_bits_per_second);
    format!(
        "{} connections, {} events/s, {} packets/s, {} cores, {}, {} of the network card",
        HumanCount(share.connections),
        about(share.events_per_second),
        about(share.packets_per_second),
        ranged(share.cpu_cores, about),
        ranged(share.memory_bytes, bytes),
        percent(nic)
    )
}

fn fleet(plan: &FleetPlan) -> String {
    let chosen = &plan.chosen;
    let hosts = chosen.hosts;
    let nic = plan.host.nic_bits_per_second;
    let (each, left) = match plan.sites {
        1 => (
            "one more than needed, since hosts fail".to_owned(),
            "a host is",
        ),
        sites => (
            format!("{} in each of {sites} sites", HumanCount(hosts.per_site)),
            "a site is",
        ),
    };
    let mut text = row("shown because", &plan.because);
    text += &row(
        "hosts",
        &format!(
            "{}: {each}; the {} that are left when {left} lost hold all",
            HumanCount(hosts.total),
            HumanCount(hosts.left)
        ),
    );
    text += &row(
        "a host holds",
        &format!(
            "{} connections, bounded by its {}",
            HumanCount(whole(chosen.connections_per_host.low)),
            tightest(&chosen.limits)
        ),
    );
    text += &row(
        "in all",
        &format!(
            "{} events/s, {} packets/s, {}B/s at IP level, {} cores for them, {} of memory",
            about(chosen.load.events_per_second),
            about(chosen.load.packets_per_second),
            spaced(chosen.load.wire_bytes_per_second),
            ranged(chosen.load.cpu_cores, about),
            ranged(chosen.load.memory_bytes, bytes)
        ),
    );
    text += &row("a host, all up", &host_row(&chosen.load.host, nic));
    text += &row(
        &format!(
            "a host, {} lost",
            if plan.sites == 1 { "one" } else { "a site" }
        ),
        &host_row(&chosen.host_after_loss, nic),
    );
    text += &plan
        .reconnect
        .as_ref()
        .map_or_else(no_rate, |reconnect| comeback(plan, reconnect));
    text += &tracking(plan);
    text + &test(plan)
}

fn no_rate() -> String {
    row(
        "reconnects",
        "no record tells how many connections a host accepts per second: give --reconnect-rate, or run `ringbeat storm`",
    )
}

fn comeback(plan: &FleetPlan, reconnect: &Reconnect) -> String {
    let lost = if plan.sites == 1 {
        "the site is lost and comes back: all"
    } else {
        "a site is lost:"
    };
    let mut text = row(
        "reconnects",
        &format!(
            "{lost} {} connections come to {} hosts, {} to each; at {} a second and host all are back after {}, counted \
             from when they know; a site that falls silent is found within {}",
            HumanCount(reconnect.connections_lost),
            HumanCount(reconnect.hosts),
            HumanCount(reconnect.arrivals_per_host),
            ranged(reconnect.connects_per_second_per_host, about),
            ranged(reconnect.seconds, seconds),
            millis(reconnect.detect_within_ms)
        ),
    );
    text += &row(
        "",
        &format!(
            "with backoff: full jitter whose first ceiling is {} or more; the last is back soon after it. Shorter, or \
             none: an accept queue holds {} (net.core.somaxconn), SYNs beyond it are dropped and sent again after 1, 3 \
             and 7 s",
            seconds(reconnect.spread_over_at_least_s),
            HumanCount(reconnect.accept_queue)
        ),
    );
    text
}

fn tracking(plan: &FleetPlan) -> String {
    let conntrack = &plan.conntrack;
    row(
        "conntrack",
        &format!(
            "{} entries on a host that tracks, {} ({} B each); {} where all pass one place; net.netfilter.\
             nf_conntrack_max is 262,144 at most unless set. Entries of a lost site stay for \
             nf_conntrack_tcp_timeout_established, 5 days unless set",
            HumanCount(conntrack.entries_per_host),
            ranged(conntrack.bytes_per_host, bytes),
            ranged(conntrack.bytes_per_entry, about),
            HumanCount(conntrack.entries_in_all)
        ),
    )
}

fn test(plan: &FleetPlan) -> String {
    let test = &plan.test;
    row(
        "to test it",
        &format!(
            "{} load hosts like the server's (`ringbeat load --shard i/{}`), {} connections each, bounded by {}; {} \
             source addresses each towards one address and port ({} ports per pair), fewer towards more",
            HumanCount(test.hosts),
            test.hosts,
            HumanCount(test.host.connections),
            tightest(&test.limits),
            HumanCount(test.addresses_per_host),
            HumanCount(test.ports_per_address)
        ),
    )
}

fn table(plan: &FleetPlan) -> String {
    let mut text = format!(
        "  {:<23}{:>9}{:>10}{:>10}{:>7} {:<8}{:>9}\n",
        "mechanism", "interval", "events/s", "packets/s", "hosts", "bound by", "NIC"
    );
    let chosen = std::iter::once(&plan.chosen);
    for one in chosen.chain(&plan.intervals).chain(&plan.others) {
        text += &line(one);
    }
    if !plan.untold.is_empty() {
        text += &paragraph(
            "  ",
            &format!("no record tells of: {}", plan.untold.join(", ")),
        );
    }
    text + &paragraph(
        "  ",
        "NIC: of one host's card, the busier way, when a site is lost. Another interval is another detection time, in the \
         same proportion.",
    )
}

fn line(plan: &MechanismPlan) -> String {
    format!(
        "  {:<23}{:>9}{:>10}{:>10}{:>7} {:<8}{:>9}\n",
        plan.mechanism,
        millis(plan.interval_ms),
        about(plan.load.events_per_second),
        about(plan.load.packets_per_second),
        plan.hosts.total,
        tightest(&plan.limits),
        percent(plan.nic_share_after_loss)
    )
}

fn computed(plan: &FleetPlan) -> String {
    let mut text = String::new();
    for one in &plan.computed {
        text += &row(one.name, &one.formula);
    }
    text += "  from\n";
    for input in &plan.inputs {
        let said = format!("{}: {} ({})", input.name, input.said, input.source);
        text += &paragraph("  - ", &said);
    }
    text += "  what it cannot show\n";
    for what in &plan.cannot_show {
        text += &paragraph("  - ", what);
    }
    text
}

/// The formulas with the numbers of the advised mechanism.
pub(super) fn formulas(plan: &FleetPlan) -> Vec<Formula> {
    let chosen = &plan.chosen;
    let figures = &chosen.figures;
    let formula = |name, formula| Formula { name, formula };
    let packet = figures.wire_bytes_per_event / figures.packets_per_event;
    let mut all = vec![
        formula(
            "events/s",
            format!(
                "{} connections × {} ÷ {} = {}",
                HumanCount(plan.connections),
                chosen.ends,
                millis(chosen.interval_ms),
                about(chosen.load.events_per_second)
            ),
        ),
        formula(
            "packets/s",
            format!(
                "events/s × {:.2} packets per event, both ways = {}",
                figures.packets_per_event,
                about(chosen.load.packets_per_second)
            ),
        ),
        formula(
            "network card",
            format!(
                "packets/s × {:.2} (the busier way) × (max({packet:.1} B of an IP packet, {SHORTEST_PACKET_BYTES}) + \
                 {FRAMING_BYTES} B of preamble, header, checksum and gap; a frame is 64 B at least) × 8",
                figures.busier_share
            ),
        ),
        formula(
            "cores",
            format!(
                "events/s × {} µs of the server's end: its process and half of what no process was charged with (for \
                 keepalive half of both ends'); the upper end takes all of that, and is more than the server needs",
                ranged(figures.server_cpu_ns_per_event.times(1e-3), about)
            ),
        ),
        formula(
            "memory",
            format!(
                "{} B per connection: the server's process and half of the kernel's, which was measured with both ends \
                 on one machine; idle sockets",
                ranged(figures.server_bytes_per_connection, about)
            ),
        ),
    ];
    all.extend(of_hosts(plan));
    all
}

/// Those of the hosts.
fn of_hosts(plan: &FleetPlan) -> Vec<Formula> {
    let (chosen, hosts) = (&plan.chosen, plan.chosen.hosts);
    let free = 100 - plan.host.headroom_percent.min(100);
    let formula = |name, formula| Formula { name, formula };
    let mut all = Vec::new();
    for limit in &chosen.limits {
        all.push(formula(
            "a host holds",
            format!(
                "by {}: {}{}",
                limit.what,
                ranged(limit.connections, about),
                match limit.what {
                    "given" => String::new(),
                    _ => format!(", with {free} % of it used"),
                }
            ),
        ));
    }
    all.push(formula(
        "hosts",
        format!(
            "{} ÷ {} = {} (by the median {}, at best {}); {}",
            HumanCount(plan.connections),
            HumanCount(whole(chosen.connections_per_host.low)),
            hosts.needed,
            hosts.needed_median,
            hosts.needed_low,
            match plan.sites {
                1 => "and one more".to_owned(),
                sites => format!(
                    "÷ ({sites} − 1) sites that are left = {} a site",
                    hosts.per_site
                ),
            }
        ),
    ));
    all.push(formula(
        "descriptors, rings",
        "no bound here: io_uring's direct descriptors are spread over rings; a server with ordinary descriptors needs \
         RLIMIT_NOFILE and fs.nr_open above its connections. Clients of many addresses do not run out of ports"
            .to_owned(),
    ));
    all.push(formula(
        "conntrack",
        "an entry is 256 to 320 B of nf_conntrack in /proc/slabinfo, 128 B more with NAT, accounting or events, and 8 B \
         of a hash bucket for each direction"
            .to_owned(),
    ));
    all
}

/// A check, one row a figure.
#[must_use]
pub fn check_text(check: &Check) -> String {
    let mut text = String::new();
    for doubt in &check.doubts {
        text += &paragraph("", &format!("WARNING: {doubt}"));
    }
    text += &paragraph(
        "",
        &format!(
            "{}: {} connections from {} load hosts, {} every {}; the model's figures are {}",
            check.run,
            HumanCount(check.connections),
            check.load_hosts,
            check.mechanism,
            millis(check.interval_ms),
            check.figures
        ),
    );
    let _ = writeln!(
        text,
        "\n  {:<30}{:>26}{:>11}{:>8}",
        "", "predicted", "measured", "ratio"
    );
    for row in &check.rows {
        text += &check_line(row);
    }
    for (what, why) in &check.absent {
        text += &paragraph("  - ", &format!("{what}: {why}"));
    }
    text + "\n"
        + &paragraph(
            "",
            "Ratio: measured ÷ predicted; * outside the predicted interval, where there is one. The prediction of CPU is \
             net of holding idle connections, the measurement is not.",
        )
}

fn check_line(row: &CheckRow) -> String {
    let outside = if row.predicted.is_range() && !row.within {
        "*"
    } else {
        ""
    };
    format!(
        "  {:<30}{:>26}{:>11}{:>8}\n",
        format!("{}, {}", row.what, row.unit),
        ranged(row.predicted, about),
        about(row.measured),
        format!("{:.2}{outside}", row.ratio)
    )
}
