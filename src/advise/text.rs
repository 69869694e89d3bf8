//! A piece of advice as text of 80 columns: the answer, the settings, the cost, what is not noticed, why, what else.
//!
//! Decides nothing; every figure is one of [`Advice`].

use super::answer::{Advice, KernelRole, KernelSettings, Settings};
use super::cost::Cost;
use super::fleet;
use super::link::LinkFigure;
use super::words::{about, float, paragraph, row, spaced, span};
use crate::record::Estimate;
use crate::units::{HumanBytes, HumanCount, HumanNanos, Nanos};
use std::fmt::Write as _;

/// The whole text; it ends with the names that `--for` takes, or with what was asked of them.
#[must_use]
pub fn text(advice: &Advice) -> String {
    let mut text = paragraph("", &advice.answer);
    let plan = advice.fleet.as_ref();
    let [hosts, table, computed] =
        plan.map_or_else(|| [const { ("", String::new()) }; 3], fleet::sections);
    for (heading, body) in [
        ("Settings", settings(&advice.settings)),
        (
            "Cost",
            advice
                .cost
                .as_ref()
                .map_or_else(no_cost, |figures| cost(advice, figures)),
        ),
        hosts,
        table,
        ("Not noticed", blind(advice)),
        ("Suspected wrongly", suspected(advice)),
        ("Why", bullets(&advice.why)),
        ("Alternatives", alternatives(advice)),
        ("Beware", warnings(advice)),
        ("Assumed", assumed(advice)),
        computed,
    ] {
        if !body.is_empty() {
            let _ = write!(text, "\n{heading}\n{body}");
        }
    }
    if advice.snippets.is_empty() {
        let names: Vec<_> = super::Snippet::ALL.iter().map(|one| one.name()).collect();
        text.push('\n');
        text.push_str(&paragraph(
            "",
            &format!(
                "As code and configuration: --for {}, or all.",
                names.join(",")
            ),
        ));
    }
    for (name, snippet) in &advice.snippets {
        let _ = write!(text, "\n==== {name}\n{snippet}");
    }
    text
}

fn millis(ms: u64) -> String {
    span(Nanos::from_millis(ms))
}

fn settings(settings: &Settings) -> String {
    let mut text = String::new();
    if let Some(heartbeat) = settings.heartbeat {
        text += &row(
            "heartbeat interval",
            &format!(
                "{}, sent by the {}{}",
                millis(heartbeat.interval_ms),
                heartbeat.sender,
                if heartbeat.acked {
                    ", acked by the server"
                } else {
                    ""
                }
            ),
        );
        if let Some(answer) = heartbeat.answer_timeout_ms {
            text += &row(
                "answer timeout",
                &format!("{}: the client gives up after it", millis(answer)),
            );
        }
        text += &row(
            "idle timeout",
            &format!(
                "{}: the server gives up after such a silence",
                millis(heartbeat.idle_timeout_ms)
            ),
        );
    }
    if let Some(keepalive) = &settings.keepalive {
        text += &kernel(keepalive);
    }
    text + &row(
        "survives an outage of",
        &format!(
            "{} for certain; longer ones may end living connections",
            millis(settings.survives_outage_ms)
        ),
    )
}

fn kernel(keepalive: &KernelSettings) -> String {
    let mut text = String::new();
    if keepalive.role == KernelRole::WithoutHeartbeats {
        text += &paragraph(
            "  ",
            "the same from the kernel for connections without heartbeats (before log-in, to databases); leave it off \
             where heartbeats flow: it would probe besides and notice nothing more:",
        );
    }
    text += &row("TCP_KEEPIDLE", &format!("{} s", keepalive.idle_s));
    text += &row("TCP_KEEPINTVL", &format!("{} s", keepalive.interval_s));
    text += &row("TCP_KEEPCNT", &keepalive.count.to_string());
    text += &row(
        "TCP_USER_TIMEOUT",
        &format!(
            "{} ms, just under {} + {} × {} = {} s",
            keepalive.user_timeout_ms,
            keepalive.idle_s,
            keepalive.interval_s,
            keepalive.count,
            keepalive.sum_s
        ),
    );
    text + &row(
        "",
        &format!(
            "(the kernel rounds its timers up: by {} in all at most, at HZ 250)",
            millis(keepalive.rounding_ms)
        ),
    )
}

fn no_cost() -> String {
    paragraph(
        "  ",
        "no record tells: run `ringbeat compare --arms` with this mechanism",
    )
}

fn cost(advice: &Advice, cost: &Cost) -> String {
    let mut text = row(
        "CPU",
        &format!(
            "{} cores, both ends together",
            cores(cost.cpu_milli_cores.median)
        ),
    );
    text += &row(
        "",
        &format!(
            "{} events/s × {}",
            about(cost.events_per_second),
            per_event(&cost.cpu_ns_per_event)
        ),
    );
    // Probes are the kernel's: what the process is charged with then is chance.
    if let (Some(server), Some(_)) = (cost.server_cpu_milli_cores, advice.settings.heartbeat) {
        let of_it = format!("of it the server's process {}", cores(server.median));
        text += &row("", &of_it);
    }
    text += &row(
        "network",
        &format!(
            "{} packets/s, {}/s at IP level, both ways",
            about(cost.packets_per_second),
            bytes(cost.wire_bytes_per_second)
        ),
    );
    text += &row(
        "",
        &format!(
            "{} per connection and hour",
            bytes(float(cost.wire_bytes_per_connection_hour))
        ),
    );
    if let (Some(each), Some(all)) = (cost.memory_bytes_per_connection, cost.memory_bytes) {
        text += &row(
            "memory",
            &format!(
                "{} for all, {} B per connection, both ends, mostly sockets",
                HumanBytes(all),
                HumanCount(each)
            ),
        );
    }
    let kind = if cost.published {
        "published with this program"
    } else {
        "measured here"
    };
    let date = cost.source.started_at.split('T').next().unwrap_or_default();
    let mut from = format!(
        "{kind}: {}, {date}, {}, `{}` at {} connections",
        cost.source.record,
        cost.source.host,
        cost.measured_arm,
        HumanCount(cost.measured_connections)
    );
    if cost.extrapolated {
        let _ = write!(
            from,
            "; for {} it is extrapolated",
            HumanCount(advice.asked.connections)
        );
    }
    text + &row("from", &from)
}

/// With its interval, where more than one round was measured.
fn per_event(figure: &Estimate) -> String {
    if figure.low == figure.high {
        return nanos(figure.median);
    }
    let [median, low, high] = [figure.median, figure.low, figure.high].map(nanos);
    format!("{median} [{low}, {high}]")
}

fn nanos(value: i64) -> String {
    HumanNanos(u64::try_from(value).unwrap_or_default()).to_string()
}

fn cores(milli: i64) -> String {
    match u64::try_from(milli) {
        Ok(milli) if milli > 0 => about(float(milli) / 1e3),
        _ => "under 0.001".to_owned(),
    }
}

/// `12.5 MB`.
fn bytes(value: f64) -> String {
    format!("{}B", spaced(value))
}

fn blind(advice: &Advice) -> String {
    let mut text = String::new();
    for blind in &advice.not_noticed {
        let irrelevant = if blind.matters {
            ""
        } else {
            ", which need not notice"
        };
        text += &paragraph(
            "  - ",
            &format!(
                "{} by the {}{irrelevant} ({} of {} in the fault lab): {}",
                blind.fault, blind.seat, blind.noticed, blind.injected, blind.why
            ),
        );
    }
    text
}

fn suspected(advice: &Advice) -> String {
    if advice.suspected_wrongly.is_empty() {
        return String::new();
    }
    let mut text = paragraph(
        "  ",
        &format!(
            "in the fault lab, at its budget of {} ({}):",
            millis(advice.fault_lab_detect_within_ms),
            advice.fault_lab.record
        ),
    );
    for suspected in &advice.suspected_wrongly {
        text += &paragraph(
            "  - ",
            &format!(
                "{} ({}): {} of {} living peers given up by the {}",
                suspected.stress,
                suspected.parameter,
                suspected.given_up,
                suspected.living,
                suspected.seat
            ),
        );
    }
    for point in &advice.suspected_at_budget {
        text += &paragraph(
            "  - ",
            &format!(
                "at a budget of {}, an outage of {}: {} of {} living peers given up by heartbeat",
                millis(point.detect_within_ms),
                millis(point.outage_ms),
                point.false_suspicions,
                point.connections
            ),
        );
    }
    text
}

fn bullets(items: &[String]) -> String {
    items.iter().map(|item| paragraph("  - ", item)).collect()
}

fn alternatives(advice: &Advice) -> String {
    let rows = advice.alternatives.iter().map(|other| {
        let price = other
            .packets_per_second
            .zip(other.cpu_milli_cores)
            .map(|(packets, milli)| {
                let at = HumanCount(other.measured_connections.unwrap_or_default());
                let packets = about(packets);
                format!(
                    " [{packets} packets/s, {} cores measured at {at}]",
                    cores(milli)
                )
            });
        let reason = format!("{}{}", other.reason, price.unwrap_or_default());
        row(other.mechanism, &reason)
    });
    rows.collect()
}

fn warnings(advice: &Advice) -> String {
    let rows = advice.warnings.iter().map(|warning| {
        let said = format!(
            "{}. What to do: {}. ({})",
            warning.message.trim_end_matches('.'),
            warning.advice,
            warning.code
        );
        paragraph("  - ", &said)
    });
    rows.collect()
}

fn said(figure: &LinkFigure) -> String {
    match figure.unit {
        "ms" => millis(figure.value),
        unit => format!("{} {unit}", HumanCount(figure.value)),
    }
}

fn assumed(advice: &Advice) -> String {
    let figures = advice.asked.link_figures.iter();
    figures
        .map(|figure| {
            paragraph(
                "  - ",
                &format!(
                    "--link {}: {} {} ({})",
                    advice.asked.link,
                    figure.what,
                    said(figure),
                    figure.source
                ),
            )
        })
        .collect()
}
