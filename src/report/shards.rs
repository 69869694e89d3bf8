//! The load generators of `compare --fleet` one by one, a small table for each arm: a bad host stays visible.
//!
//! Does not judge: the sums of all stand in the main table.

use super::format;
use super::rows::{Cell, CostTable, Group, Row};
use crate::record::{
    ArmRecord, HistogramError, HistogramRecord, Record, ShardRecord, new_histogram,
};
use std::collections::BTreeMap;

/// Whether the arm was driven from other hosts, so that its costs are the server's host alone.
pub(super) fn elsewhere(arm: &ArmRecord) -> bool {
    arm.rounds_detail
        .iter()
        .any(|round| !round.hosts.is_empty())
}

/// What a reader must know of the costs, where the load came from other hosts.
pub(super) fn sentence(record: &Record) -> Option<String> {
    let rounds = record.arms.iter().flat_map(|arm| &arm.rounds_detail);
    let hosts = rounds.map(|round| round.hosts.len()).max()?;
    (hosts > 0).then(|| {
        let others = if hosts == 1 {
            "generator ran on another host".to_owned()
        } else {
            format!("generators ran on {hosts} other hosts")
        };
        format!("Costs are the server's host alone; the load {others}.")
    })
}

/// A table for each arm that was driven from other hosts, with a column for each of them. What does not open is left out.
pub(super) fn tables(arms: &[ArmRecord]) -> Vec<CostTable> {
    arms.iter()
        .filter(|arm| elsewhere(arm))
        .map(table)
        .collect()
}

/// One host, all rounds together.
struct Host<'a> {
    first: &'a ShardRecord,
    established: u64,
    held: u64,
    lost: u64,
    opened_in_ns: Option<u64>,
    rtt: Option<HistogramRecord>,
}

fn table(arm: &ArmRecord) -> CostTable {
    let mut rounds: BTreeMap<u32, Vec<&ShardRecord>> = BTreeMap::new();
    for host in arm.rounds_detail.iter().flat_map(|round| &round.hosts) {
        rounds.entry(host.shard).or_default().push(host);
    }
    let hosts: Vec<Host<'_>> = rounds.values().filter_map(|rounds| host(rounds)).collect();
    let row = |label: &str, figure: &dyn Fn(&Host<'_>) -> Option<String>| Row {
        label: label.to_owned(),
        cells: hosts
            .iter()
            .map(|host| Cell {
                text: figure(host).unwrap_or_else(|| format::ABSENT.to_owned()),
                note: None,
            })
            .collect(),
        winner: String::new(),
    };
    let rtt = |pick: fn(&HistogramRecord) -> u64| {
        move |host: &Host<'_>| host.rtt.as_ref().map(|rtt| format::span(pick(rtt)))
    };
    let mut rows = vec![
        row("share", &|host| {
            Some(format::count(host.first.connections_requested))
        }),
        row("established", &|host| Some(format::count(host.established))),
        row("held", &|host| Some(format::count(host.held))),
        row("lost", &|host| Some(format::count(host.lost))),
        row("opened in", &|host| host.opened_in_ns.map(format::span)),
    ];
    if hosts.iter().any(|host| host.rtt.is_some()) {
        rows.push(row("RTT p50", &rtt(|rtt| rtt.p50)));
        rows.push(row("RTT p99", &rtt(|rtt| rtt.p99)));
        rows.push(row("RTT max", &rtt(|rtt| rtt.max)));
    }
    CostTable {
        arms: hosts
            .iter()
            .map(|host| format!("{} {}", host.first.shard, host.first.host))
            .collect(),
        groups: vec![Group {
            title: format!("{}, host by host", arm.name),
            rows,
        }],
        notes: Vec::new(),
    }
}

/// The worst round's counts, the slowest ramp, all losses and round trips.
fn host<'a>(rounds: &[&'a ShardRecord]) -> Option<Host<'a>> {
    let fewest = |figure: fn(&ShardRecord) -> u64| rounds.iter().map(|round| figure(round)).min();
    let lost = rounds
        .iter()
        .flat_map(|round| round.connections_lost.values());
    Some(Host {
        first: rounds.first()?,
        established: fewest(|round| round.connections_established)?,
        held: fewest(|round| round.connections_held_at_end)?,
        lost: lost.sum(),
        opened_in_ns: rounds.iter().filter_map(|round| round.opened_in_ns).max(),
        rtt: round_trips(rounds).ok().flatten(),
    })
}

fn round_trips(rounds: &[&ShardRecord]) -> Result<Option<HistogramRecord>, HistogramError> {
    let mut all = new_histogram();
    for rtt in rounds.iter().filter_map(|round| round.rtt.as_ref()) {
        let added = all.add(rtt.histogram()?);
        added.map_err(|_| HistogramError::Shape)?;
    }
    let any = (!all.is_empty()).then(|| HistogramRecord::of(&all));
    any.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::{html, markdown_table, table as text};

    /// The fixture as if two hosts had loaded it, of which the second lost connections and was slow.
    fn driven() -> Record {
        let mut record = fixture::calm_record();
        for round in record
            .arms
            .iter_mut()
            .flat_map(|arm| &mut arm.rounds_detail)
        {
            round.hosts = [("alpha", 1_000_000), ("beta", 70_000_000)]
                .into_iter()
                .zip(0..)
                .map(|((name, rtt_ns), shard)| {
                    let mut rtt = new_histogram();
                    rtt.record_n(rtt_ns, 500).unwrap();
                    ShardRecord {
                        shard,
                        host: name.to_owned(),
                        connections_requested: 5_000,
                        connections_established: 5_000,
                        connections_held_at_end: 5_000 - u64::from(shard) * 7,
                        connections_lost: (shard == 1)
                            .then(|| ("reset".to_owned(), 7))
                            .into_iter()
                            .collect(),
                        rtt: Some(HistogramRecord::of(&rtt).unwrap()),
                        ..ShardRecord::default()
                    }
                })
                .collect();
        }
        record
    }

    #[test]
    fn a_bad_host_is_seen_on_the_terminal_and_on_the_page() {
        let record = driven();
        let said = sentence(&record).unwrap();
        assert_eq!(
            said,
            "Costs are the server's host alone; the load generators ran on 2 other hosts."
        );
        let shown = text(&record, Some(100));
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let page = html(&record).unwrap();
        for must in [
            "1 beta",
            "4,993",
            "70.",
            "heartbeat, host by host",
            "total, this end",
        ] {
            assert!(words.contains(must), "{must}: {shown}");
            assert!(page.contains(must), "{must}");
        }
        assert!(words.contains(&said) && markdown_table(&record).contains(&said));
        assert!(page.contains("the server's host alone"));
        for wrong in ["both ends", "since both live on this machine"] {
            assert!(!page.contains(wrong) && !words.contains(wrong), "{wrong}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn where_both_halves_were_here_nothing_is_said_of_hosts() {
        let record = fixture::record();
        assert_eq!(sentence(&record), None);
        assert!(tables(&record.arms).is_empty());
        assert!(text(&record, None).contains("total, both ends"));
    }
}
