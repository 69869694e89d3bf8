//! The climb's table: one column per rung, the figures of all arms below each other.
//!
//! Does not lay anything out. An absent figure becomes a dash with a footnote that gives the record's own reason.

use super::{leading_arm, rung_name};
use crate::record::{ArmRecord, HistogramRecord, OpeningPressure, ScaleRecord, ScaleRung};
use crate::report::format::{self, ABSENT};
use crate::report::rows::{
    CONTROL, Cell, CostTable, Group, OWNERS, Row, note, reason, signed_bytes,
};
use std::collections::BTreeSet;

/// The table of `scale`.
pub(in crate::report) fn table(scale: &ScaleRecord) -> CostTable {
    let mut builder = Builder {
        scale,
        notes: Vec::new(),
    };
    let groups = [
        (
            "CPU per event, both ends, net of the control",
            builder.cost(),
        ),
        ("CPU per connection-hour", builder.per_hour()),
        ("Round trip", builder.round_trip()),
        ("Memory per connection, both ends", builder.memory()),
        ("Opening", builder.opening()),
        ("Connections, worst arm and round", builder.connections()),
    ];
    let groups = groups.into_iter().filter(|(_, rows)| !rows.is_empty());
    CostTable {
        groups: groups
            .map(|(title, rows)| Group {
                title: title.to_owned(),
                rows,
            })
            .collect(),
        arms: scale
            .rungs
            .iter()
            .map(|rung| rung_name(scale.axis, rung))
            .collect(),
        notes: builder.notes,
    }
}

struct Builder<'a> {
    scale: &'a ScaleRecord,
    notes: Vec<String>,
}

impl Builder<'_> {
    /// A row with one cell per rung: the figure, or the reason of its absence.
    fn row(&mut self, label: String, figure: impl Fn(&ScaleRung) -> Result<String, String>) -> Row {
        let cells = self.scale.rungs.iter().map(|rung| match figure(rung) {
            Ok(text) => Cell { text, note: None },
            Err(why) => Cell {
                text: ABSENT.to_owned(),
                note: Some(note(&mut self.notes, why)),
            },
        });
        Row {
            label,
            cells: cells.collect(),
            winner: String::new(),
        }
    }

    /// A row of the arm called `name`; `key` is where the record gives the reason of an absence.
    fn arm_row(
        &mut self,
        label: String,
        name: &str,
        key: &str,
        figure: impl Fn(&ArmRecord) -> Option<String>,
    ) -> Row {
        self.row(label, |rung| {
            let arm = rung.arms.iter().find(|arm| arm.name == name);
            let arm = arm.ok_or_else(|| format!("{name} was not measured at this rung"))?;
            figure(arm).ok_or_else(|| reason(arm, &[key]))
        })
    }

    /// Names of all arms, in the order of the first rung, then those that came later.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for arm in self.scale.rungs.iter().flat_map(|rung| &rung.arms) {
            if !names.contains(&arm.name) {
                names.push(arm.name.clone());
            }
        }
        names
    }

    fn cost(&mut self) -> Vec<Row> {
        let names = self.names();
        let mut rows: Vec<Row> = names
            .iter()
            .filter(|name| *name != CONTROL)
            .map(|name| {
                self.arm_row(name.clone(), name, "cpu_ns_per_event", |arm| {
                    arm.cpu_ns_per_event.as_ref().map(format::estimate)
                })
            })
            .collect();
        // Against the floor whose population is most like a real one: the largest.
        let floor = self
            .scale
            .floor
            .iter()
            .max_by_key(|point| point.pairs)
            .copied();
        let leading = self
            .scale
            .rungs
            .first()
            .and_then(|rung| leading_arm(&rung.arms));
        if let (Some(floor), Some(name)) = (floor, leading.map(|arm| arm.name.clone())) {
            let label = format!("{name} ÷ floor of {} pairs", format::count(floor.pairs));
            rows.push(self.arm_row(label, &name, "cpu_ns_per_event", |arm| {
                let cost = arm.cpu_ns_per_event?;
                if !cost.resolved {
                    return Some("not resolved".to_owned());
                }
                let base = floor.cpu_ns_per_exchange.median.max(1);
                Some(format!(
                    "{:.2}×",
                    format::float(cost.median) / format::float(base)
                ))
            }));
        }
        rows
    }

    fn per_hour(&mut self) -> Vec<Row> {
        let names = self.names();
        let row = |name: &String| {
            let gross = if name == CONTROL { ", gross" } else { "" };
            self.arm_row(
                format!("{name}{gross}"),
                name,
                "cpu_ns_per_connection_hour",
                |arm| {
                    arm.cpu_ns_per_connection_hour
                        .as_ref()
                        .map(format::estimate)
                },
            )
        };
        names.iter().map(row).collect()
    }

    fn round_trip(&mut self) -> Vec<Row> {
        type Pick = fn(&HistogramRecord) -> u64;
        let picks: [(&str, Pick); 4] = [
            ("p50", |h| h.p50),
            ("p99", |h| h.p99),
            ("p99.9", |h| h.p999),
            ("max", |h| h.max),
        ];
        let mut rows = Vec::new();
        let answered = |arm: &&ArmRecord| arm.histograms.contains_key("rtt");
        let names: BTreeSet<&str> = self
            .scale
            .rungs
            .iter()
            .flat_map(|rung| &rung.arms)
            .filter(answered)
            .map(|arm| arm.name.as_str())
            .collect();
        for name in names {
            for (label, pick) in picks {
                rows.push(self.arm_row(format!("{name} {label}"), name, "rtt", |arm| {
                    let rtt = arm.histograms.get("rtt").filter(|rtt| rtt.count > 0)?;
                    Some(format::span(pick(rtt)))
                }));
            }
        }
        rows
    }

    fn memory(&mut self) -> Vec<Row> {
        let leading = self
            .scale
            .rungs
            .first()
            .and_then(|rung| leading_arm(&rung.arms));
        let Some(name) = leading.map(|arm| arm.name.clone()) else {
            return Vec::new();
        };
        let mut rows: Vec<Row> = OWNERS
            .iter()
            .map(|(label, key, figure)| {
                let key = format!("memory_bytes_per_connection.{key}");
                self.arm_row(format!("{label} ({name})"), &name, &key, |arm| {
                    figure(&arm.memory_bytes_per_connection).map(signed_bytes)
                })
            })
            .collect();
        let key = "memory_bytes_per_connection.total";
        rows.push(self.arm_row(format!("total ({name})"), &name, key, |arm| {
            arm.memory_bytes_per_connection.total.map(format::bytes)
        }));
        rows
    }

    fn opening(&mut self) -> Vec<Row> {
        type Pick = fn(&OpeningPressure) -> u64;
        let names = self.names();
        let mut rows = Vec::new();
        for name in &names {
            rows.push(self.arm_row(
                format!("connects per second, {name}"),
                name,
                "ramp",
                |arm| {
                    arm.connects_per_second
                        .map(|rate| format::count(format::whole(rate)))
                },
            ));
        }
        rows.push(self.row("longest ramp".to_owned(), |rung| {
            let longest = rounds(rung).filter_map(|round| round.opening.took_ns).max();
            longest
                .map(format::span)
                .ok_or_else(|| "no ramp was timed".to_owned())
        }));
        rows.push(self.row("connect p99, worst arm".to_owned(), |rung| {
            let connects = rung
                .arms
                .iter()
                .filter_map(|arm| arm.histograms.get("connect"));
            connects
                .map(|connect| connect.p99)
                .max()
                .map(format::span)
                .ok_or_else(|| "no connect was recorded".to_owned())
        }));
        let met: [(&str, Pick); 4] = [
            ("accept queue overflows", |p| p.listen_overflows),
            ("drops by the listeners", |p| p.listen_drops),
            ("SYNs dropped or answered with a cookie", |p| {
                p.syn_queue_drops + p.syn_cookies
            }),
            ("SYNs sent again", |p| p.syn_retransmits),
        ];
        for (label, pick) in met {
            let sum = |rung: &ScaleRung| -> u64 {
                rounds(rung)
                    .map(|round| pick(&round.opening.pressure))
                    .sum()
            };
            rows.push(self.row(label.to_owned(), |rung| Ok(format::count(sum(rung)))));
        }
        rows
    }

    fn connections(&mut self) -> Vec<Row> {
        type Pick = fn(&ArmRecord) -> u64;
        let figures: [(&str, Pick); 3] = [
            ("asked for", |arm| arm.connections_requested),
            ("established", |arm| arm.connections_established),
            ("held at the end", |arm| arm.connections_held_at_end),
        ];
        let mut rows: Vec<Row> = figures
            .into_iter()
            .map(|(label, pick)| {
                self.row(label.to_owned(), |rung| {
                    let worst = rung.arms.iter().map(pick).min();
                    worst
                        .map(format::count)
                        .ok_or_else(|| "no arm was measured whole".to_owned())
                })
            })
            .collect();
        let arms = || self.scale.rungs.iter().flat_map(|rung| &rung.arms);
        let losses: BTreeSet<(String, String)> = arms()
            .flat_map(|arm| {
                let causes = arm.connections_lost.keys();
                causes.map(|cause| (arm.name.clone(), cause.clone()))
            })
            .collect();
        if losses.is_empty() {
            rows.push(self.row("lost".to_owned(), |_| Ok("0".to_owned())));
        }
        for (name, cause) in losses {
            rows.push(
                self.arm_row(format!("lost: {cause}, {name}"), &name, "lost", |arm| {
                    let lost = arm.connections_lost.get(&cause).copied();
                    Some(format::count(lost.unwrap_or(0)))
                }),
            );
        }
        rows.push(self.row(
            "packets dropped by the backlog, all arms".to_owned(),
            |rung| {
                let dropped = rung.arms.iter().map(|arm| arm.drops.softnet_backlog).sum();
                Ok(format::count(dropped))
            },
        ));
        rows
    }
}

fn rounds(rung: &ScaleRung) -> impl Iterator<Item = &crate::record::RoundRecord> {
    rung.arms.iter().flat_map(|arm| &arm.rounds_detail)
}
