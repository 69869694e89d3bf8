//! The sections of the page that say how the figures came about: what each CPU meter read, what became of the packets
//! and the probes.
//!
//! Does not judge; warnings stand elsewhere.

use super::fact;
use crate::record::{ArmRecord, Estimate, NoiseRecord, Record};
use crate::report::format;
use maud::{Markup, html};
use std::collections::BTreeSet;

/// The meters side by side, arm by arm, with their floors; nothing for a record that has but one.
pub(super) fn meters(record: &Record) -> Markup {
    let second = |arm: &&ArmRecord| arm.soaker_cpu_ns_per_event.is_some();
    let measured: Vec<&ArmRecord> = record.arms.iter().filter(second).collect();
    let cycles = measured.iter().any(|arm| arm.cycles_per_event.is_some());
    let shown = |figure: Option<Estimate>| {
        figure
            .as_ref()
            .map_or_else(|| "–".to_owned(), format::estimate)
    };
    html! {
        @if let Some(noise) = &record.noise {
            section {
                h2 { "The same cost by independent meters" }
                @if !measured.is_empty() {
                    div.scroll { table {
                        thead { tr {
                            th scope="col" { "CPU per event" }
                            th scope="col" { "/proc/stat" }
                            th scope="col" { "soaker" }
                            @if cycles { th scope="col" { "cycles" } }
                        } }
                        tbody { @for arm in &measured { tr {
                            th scope="row" { (arm.name) }
                            td { (shown(arm.cpu_ns_per_event)) }
                            td { (shown(arm.soaker_cpu_ns_per_event)) }
                            @if cycles { td { (cycles_of(arm)) } }
                        } } }
                    } }
                }
                p { "The first is window × CPUs − idle; the second is the time that an idle-class thread on each core "
                    "could not get, in a stretch after the window in which no core sleeps. Both are net of the control." }
                (floors(noise))
            }
        }
    }
}

fn cycles_of(arm: &ArmRecord) -> String {
    arm.cycles_per_event.map_or_else(
        || "–".to_owned(),
        |cycles| format::count(cycles.median.max(0).unsigned_abs()),
    )
}

fn floors(noise: &NoiseRecord) -> Markup {
    let per_second = |ns: u64| format!("{:.1} ms a second", format::float_u(ns) / 1e6);
    let soaker = noise.soaker_floor_ns_per_s.map_or_else(
        || {
            noise
                .soaker_absent
                .clone()
                .unwrap_or_else(|| "none".to_owned())
        },
        per_second,
    );
    html! {
        details {
            summary { "What the meters show while nothing happens" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "idle phase" }
                    th scope="col" { "/proc/stat busy" }
                    th scope="col" { "soaker missed" }
                    th scope="col" { "steal reported" }
                    th scope="col" { "an exchange costs" }
                } }
                tbody { @for phase in &noise.idle { tr {
                    th scope="row" { (phase.when) " the rounds, at " (format::millis(phase.elapsed_ms)) }
                    td { (per_second(phase.stat_busy_ns_per_s)) }
                    td { (phase.soaker_taken_ns_per_s.map_or_else(|| "–".to_owned(), per_second)) }
                    td { (per_second(phase.steal_ns_per_s)) }
                    td { (phase.reference_ns.map_or_else(|| "–".to_owned(), |ns| {
                        format::nanos(i64::try_from(ns).unwrap_or(i64::MAX))
                    })) }
                } } }
            } }
            div.scroll { table { tbody {
                (fact("floor of /proc/stat", &per_second(noise.stat_floor_ns_per_s)))
                (fact("floor of the soaker", &soaker))
                @if let Some(drift) = noise.drift_milli {
                    (fact("speed of the machine changed by", &format!("{:.1} %", format::float_u(drift) / 10.0)))
                }
                @if let Some(reason) = &noise.cycles_absent { (fact("cycles", reason)) }
            } } }
        }
    }
}

/// Packets against the model, arm by arm.
pub(super) fn wire(arms: &[ArmRecord]) -> Markup {
    let signed = |value: i64| {
        let sign = if value < 0 { "−" } else { "" };
        format!("{sign}{}", format::count(value.unsigned_abs()))
    };
    let measured: Vec<_> = arms
        .iter()
        .filter_map(|arm| Some((arm, arm.wire?)))
        .collect();
    html! {
        @if !measured.is_empty() {
            section {
                h2 { "On the wire, beside the model" }
                div.scroll { table {
                    thead { tr {
                        @for title in ["", "packets", "model", "more", "sent again", "RSTs", "late ACKs", "model", "bytes", "model"] {
                            th scope="col" { (title) }
                        }
                    } }
                    tbody { @for (arm, wire) in &measured { tr {
                        th scope="row" { (arm.name) }
                        @for figure in [
                            wire.packets, wire.packets_model, wire.packets - wire.packets_model, wire.retransmitted,
                            wire.resets, wire.delayed_acks, wire.delayed_acks_model, wire.bytes, wire.bytes_model,
                        ] { td { (signed(figure)) } }
                    } } }
                } }
                p { "All windows together, net of the control. What is more than the model is a segment sent again, the "
                    "RST of a connection given up, or the first exchange of a connection, whose frames the kernel acknowledges at once instead of with "
                    "the answer: its ACK is then a packet more and no late one." }
            }
        }
    }
}

/// The slab caches behind the memory figures.
pub(super) fn caches(arms: &[ArmRecord]) -> Markup {
    let names: BTreeSet<&String> = arms
        .iter()
        .flat_map(|arm| arm.memory_bytes_by_cache.keys())
        .collect();
    html! {
        @if !names.is_empty() {
            details {
                summary { "Kernel memory by slab cache, bytes per connection" }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "cache" }
                        @for arm in arms { th scope="col" { (arm.name) } }
                    } }
                    tbody {
                        @for name in names { tr {
                            th scope="row" { (name) }
                            @for arm in arms {
                                td { (arm.memory_bytes_by_cache.get(name).copied().unwrap_or(0)) }
                            }
                        } }
                        tr {
                            th scope="row" { "free memory moved by, at rest" }
                            @for arm in arms {
                                td { (arm.memory_uncertainty_bytes.map_or_else(|| "–".to_owned(), format::count)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// What became of keepalive's probes.
pub(super) fn probes(arm: &ArmRecord) -> Markup {
    html! {
        @if let Some(probes) = &arm.probes {
            div.scroll { table {
                caption { "Probes of " (arm.name) ", all windows" }
                tbody {
                    (fact("attempted by the kernel", &format::count(probes.attempted)))
                    (fact("reached the wire", &format::count(probes.on_the_wire)))
                    (fact("delivered and answered", &format::count(probes.delivered)))
                    (fact("ACKs that came back", &format::count(probes.acks_back)))
                    @for (core, drops) in probes.backlog_drops_per_core.iter().enumerate() {
                        (fact(&format!("dropped at the backlog of core {core}"), &format::count(*drops)))
                    }
                    (fact("healthy connections closed", &format::count(probes.killed)))
                    @if let Some(granule) = arm.burst.and_then(|burst| burst.granule_ms) {
                        (fact("timers that fire in one go lie within", &format::millis(granule)))
                    }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{IdlePhase, ProbeRecord, WireRecord};
    use crate::report::fixture;

    #[test]
    fn both_meters_and_their_floors_are_shown_and_an_old_record_has_no_section() {
        let mut record = fixture::calm_record();
        assert_eq!(meters(&record).into_string(), "");
        let figure = Estimate {
            median: 4_321,
            low: 4_000,
            high: 4_500,
            resolved: true,
        };
        record.arms[1].soaker_cpu_ns_per_event = Some(figure);
        record.noise = Some(NoiseRecord {
            idle: vec![IdlePhase {
                when: "before".to_owned(),
                stat_busy_ns_per_s: 12_000_000,
                ..IdlePhase::default()
            }],
            stat_floor_ns_per_s: 8_000_000,
            cycles_absent: Some("no <counters> here".to_owned()),
            ..NoiseRecord::default()
        });
        let page = meters(&record).into_string();
        assert!(
            page.contains("4.32") && page.contains("12.0 ms a second"),
            "{page}"
        );
        assert!(page.contains("no &lt;counters&gt; here"), "escaped");
    }

    #[test]
    fn the_wire_and_the_probes_are_told_in_numbers() {
        let arm = ArmRecord {
            name: "keepalive".to_owned(),
            wire: Some(WireRecord {
                packets: 1_990,
                packets_model: 2_000,
                ..WireRecord::default()
            }),
            probes: Some(ProbeRecord {
                attempted: 1_000,
                backlog_drops_per_core: vec![7, 8],
                killed: 3,
                ..ProbeRecord::default()
            }),
            ..ArmRecord::default()
        };
        let page = wire(std::slice::from_ref(&arm)).into_string();
        assert!(page.contains("−10"), "{page}");
        assert!(page.contains("RSTs"), "{page}");
        let page = probes(&arm).into_string();
        assert!(page.contains("core 1") && page.contains("closed"), "{page}");
        assert_eq!(wire(&[ArmRecord::default()]).into_string(), "");
    }
}
