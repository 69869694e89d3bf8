//! What a plan starts from: the hosts, the sites, the rate at which a host accepts; each with where it came from.
//!
//! Does not compute hosts ([`super::plan`] does). What was given goes before what was measured here, that before what
//! this program was built with, and where nobody measured anything stands the usual value, said to be that.

use super::FleetQuestion;
use super::model::{Bounds, Host};
use crate::advise::figures::{Basis, ConnectsFigure, Figures, HostFigure, Source};
use crate::advise::words::{about, float, spaced};
use crate::units::{HumanBytes, HumanCount};
use serde::Serialize;

/// What a network card carries, unless it is said.
const USUAL_NIC_BITS: u64 = 10_000_000_000;
/// Zones of one region, as the large clouds have them.
const USUAL_SITES: u64 = 3;
/// Percent of a host that is kept free, unless it is said.
const USUAL_HEADROOM: u64 = 30;

/// One thing that a plan starts from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FleetInput {
    /// What.
    pub name: &'static str,
    /// In `unit`.
    pub value: f64,
    /// Of the value.
    pub unit: &'static str,
    /// For people.
    pub said: String,
    /// Where it came from: a flag, a record, a rule.
    pub source: String,
}

/// The hosts and how they are spread.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) host: Host,
    pub(super) sites: u64,
    /// The most connections any record's host held.
    pub(super) held: u64,
    pub(super) rows: Vec<FleetInput>,
}

/// `published with this program: results/…, 2026-11-23, 2 × …`.
pub(super) fn told(source: &Source, published: bool) -> String {
    let kind = if published {
        "published with this program"
    } else {
        "measured here"
    };
    let date = source.started_at.split('T').next().unwrap_or_default();
    format!("{kind}: {}, {date}, {}", source.record, source.host)
}

fn newest(figures: &Figures) -> Option<&HostFigure> {
    let age = |host: &&HostFigure| host.source.started_at.clone();
    figures.hosts.iter().max_by_key(age)
}

/// The most connections that a host of any record held, both ends of them.
pub(super) fn most_held(basis: &Basis<'_>) -> u64 {
    let local = basis.local.into_iter().flat_map(|local| &local.hosts);
    let all = local.chain(&basis.published.hosts);
    all.map(|host| host.connections_held)
        .max()
        .unwrap_or_default()
}

/// All of it; `None` when no record tells of any host.
pub(super) fn known(question: &FleetQuestion, basis: &Basis<'_>) -> Option<Known> {
    let here = basis.local.and_then(newest);
    let machine = here.or_else(|| newest(basis.published))?;
    let recorded = told(&machine.source, here.is_none());
    let host = Host {
        cores: question.host_cores.unwrap_or(machine.cpus).max(1),
        memory_bytes: question.host_memory_bytes.unwrap_or(machine.memory_bytes),
        nic_bits_per_second: question.nic_bits_per_second.unwrap_or(USUAL_NIC_BITS),
        connections: question.host_connections,
        headroom_percent: question.headroom_percent.unwrap_or(USUAL_HEADROOM),
    };
    let sites = question.sites.unwrap_or(USUAL_SITES).max(1);
    let rows = rows(question, &host, sites, &recorded);
    Some(Known {
        host,
        sites,
        held: most_held(basis),
        rows,
    })
}

/// The hosts and sites as rows, `recorded` being where the machine's own figures are from.
fn rows(question: &FleetQuestion, host: &Host, sites: u64, recorded: &str) -> Vec<FleetInput> {
    const ASSUMED: &str = "assumed";
    let row = |(name, unit), value: u64, said, (given, flag, otherwise): (bool, &str, &str)| {
        let source = if given {
            format!("given: {flag}")
        } else if otherwise == ASSUMED {
            format!("{ASSUMED} ({flag} says otherwise)")
        } else {
            otherwise.to_owned()
        };
        FleetInput {
            name,
            value: float(value),
            unit,
            said,
            source,
        }
    };
    let mut rows = vec![
        row(
            ("memory of a host", "bytes"),
            host.memory_bytes,
            HumanBytes(host.memory_bytes).to_string(),
            (
                question.host_memory_bytes.is_some(),
                "--host-memory",
                recorded,
            ),
        ),
        row(
            ("cores of a host", "cores"),
            host.cores,
            HumanCount(host.cores).to_string(),
            (question.host_cores.is_some(), "--host-cores", recorded),
        ),
        row(
            ("network card", "bits/s"),
            host.nic_bits_per_second,
            format!("{}bit/s each way", spaced(float(host.nic_bits_per_second))),
            (question.nic_bits_per_second.is_some(), "--nic", ASSUMED),
        ),
        row(
            ("sites", "sites"),
            sites,
            HumanCount(sites).to_string(),
            (question.sites.is_some(), "--sites", ASSUMED),
        ),
        row(
            ("headroom", "percent"),
            host.headroom_percent,
            format!("{} % of memory, cores and network", host.headroom_percent),
            (question.headroom_percent.is_some(), "--headroom", ASSUMED),
        ),
    ];
    rows.extend(host.connections.map(|most| {
        row(
            ("connections of a host", "connections"),
            most,
            HumanCount(most).to_string(),
            (true, "--host-connections", ASSUMED),
        )
    }));
    rows
}

/// The rate nearest to `connections`, the newest of equally near ones.
fn nearest(figures: &Figures, connections: u64) -> Option<&ConnectsFigure> {
    let distance = |figure: &ConnectsFigure| {
        (float(figure.connections.max(1)) / float(connections.max(1)))
            .ln()
            .abs()
    };
    figures.connects.iter().min_by(|one, other| {
        distance(one)
            .total_cmp(&distance(other))
            .then_with(|| other.source.started_at.cmp(&one.source.started_at))
    })
}

/// Connections that a host of so many cores accepts per second, when `arrivals` come to it: given, or the measured rate
/// per core times its cores.
pub(super) fn connects(
    question: &FleetQuestion,
    basis: &Basis<'_>,
    cores: u64,
    arrivals: u64,
) -> Option<(Bounds, FleetInput)> {
    if let Some(rate) = question.reconnects_per_second {
        let row = FleetInput {
            name: "connects per second",
            value: float(rate),
            unit: "per second and host",
            said: format!("{} a host", HumanCount(rate)),
            source: "given: --reconnect-rate".to_owned(),
        };
        return Some((Bounds::exact(float(rate)), row));
    }
    let here = basis.local.and_then(|local| nearest(local, arrivals));
    let figure = here.or_else(|| nearest(basis.published, arrivals))?;
    let measured = Bounds::from(figure.connects_per_second);
    let rate = measured.times(float(cores) / float(figure.cpus.max(1)));
    let row = FleetInput {
        name: "connects per second",
        value: rate.median,
        unit: "per second and host",
        said: format!(
            "{} a host: {} measured on {} CPUs, times its cores ({}, {} connections; both ends on that machine, no TLS)",
            about(rate.median),
            about(measured.median),
            figure.cpus,
            figure.what,
            HumanCount(figure.connections)
        ),
        source: told(&figure.source, here.is_none()),
    };
    Some((rate, row))
}
