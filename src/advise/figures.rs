//! What advice rests on: costs and cells taken out of records, each with the record it is from.
//!
//! Does not look for records on a disk. [`Figures::published`] are those of the results this program was built with,
//! written from `results/` by a test (`RINGBEAT_WRITE_PUBLISHED=1 cargo test --lib published`), so that an installed
//! program has them too.

use super::pace;
use crate::record::{
    ArmRecord, CellRecord, Config, Environment, Estimate, Kind, MemoryPerConnection, Record,
    ThresholdPoint,
};
use serde::{Deserialize, Serialize};

/// Where figures are from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The record's folder.
    pub record: String,
    /// RFC 3339.
    pub started_at: String,
    /// The kind of machine: CPUs, memory, kernel.
    pub host: String,
}

/// What one arm cost at one number of connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostFigure {
    /// The record.
    #[serde(flatten)]
    pub source: Source,
    /// The arm.
    pub arm: String,
    /// Connections it was measured at.
    pub connections: u64,
    /// Both ends, the whole machine.
    pub cpu_ns_per_event: Estimate,
    /// Of it, the server's process.
    pub server_cpu_ns_per_event: Option<Estimate>,
    /// Of it, the load generator's process.
    #[serde(default)]
    pub load_cpu_ns_per_event: Option<Estimate>,
    /// Both directions.
    pub packets_per_event: f64,
    /// Both directions, at IP level.
    pub wire_bytes_per_event: f64,
    /// By owner, both ends.
    pub memory_bytes_per_connection: MemoryPerConnection,
}

/// What one record's machine is, and held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFigure {
    /// The record.
    #[serde(flatten)]
    pub source: Source,
    /// Online CPUs.
    pub cpus: u64,
    /// Physical memory.
    pub memory_bytes: u64,
    /// The most connections it held in a measured window, both ends of each.
    pub connections_held: u64,
}

/// How fast connections came at one of a machine's records, both ends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectsFigure {
    /// The record.
    #[serde(flatten)]
    pub source: Source,
    /// What it was: a storm, handshakes, a ramp.
    pub what: String,
    /// Connections that came.
    pub connections: u64,
    /// A second, the whole machine.
    pub connects_per_second: Estimate,
    /// Online CPUs.
    pub cpus: u64,
}

/// One cell of a fault lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticedCell {
    /// The fault, or the stress.
    pub fault: String,
    /// The arm.
    pub mechanism: String,
    /// Who was to notice.
    pub seat: String,
    /// The stress's size; empty for a fault.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parameter: String,
    /// Connections that met it.
    pub injected: u64,
    /// Of them, those whose fault was noticed; of a stress, living peers given up.
    pub noticed: u64,
    /// The rule behind a fault that is missed; empty for others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
}

/// What the mechanisms noticed in one fault lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noticed {
    /// The record.
    #[serde(flatten)]
    pub source: Source,
    /// The lab's detection budget.
    pub detect_within_ms: u64,
    /// Under faults.
    pub faults: Vec<NoticedCell>,
    /// With nothing broken, where anybody was given up.
    pub stresses: Vec<NoticedCell>,
    /// Living peers given up in outages, by the detection budget; of `heartbeat`.
    #[serde(default)]
    pub thresholds: Vec<ThresholdPoint>,
}

/// Everything advice rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Costs, in no order.
    pub costs: Vec<CostFigure>,
    /// The machines that costs were measured on, one entry per record.
    #[serde(default)]
    pub hosts: Vec<HostFigure>,
    /// How fast connections came, in no order.
    #[serde(default)]
    pub connects: Vec<ConnectsFigure>,
    /// What is noticed.
    pub noticed: Noticed,
}

/// What one piece of advice rests on.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// Of the machine's own records; `None` when there are none.
    pub local: Option<&'a Figures>,
    /// Of the results this program was built with.
    pub published: &'a Figures,
}

impl Basis<'_> {
    /// The fault lab's cells: the machine's own if it has run one.
    #[must_use]
    pub fn noticed(&self) -> &Noticed {
        let own = self.local.map(|figures| &figures.noticed);
        own.filter(|noticed| !noticed.faults.is_empty())
            .unwrap_or(&self.published.noticed)
    }
}

const PUBLISHED: &str = include_str!("published.json");

impl Figures {
    /// Those of the results this program was built with.
    #[must_use]
    pub fn published() -> Self {
        // The test that writes the file reads it back.
        serde_json::from_str(PUBLISHED).unwrap_or_default()
    }

    /// Those of one record.
    #[must_use]
    pub fn local(folder: &str, record: &Record) -> Self {
        Self {
            costs: Self::costs_of(folder, record),
            hosts: Self::host_of(folder, record).into_iter().collect(),
            connects: pace::connects_of(&source(folder, record), record),
            noticed: Self::noticed_of(folder, record).unwrap_or_default(),
        }
    }

    /// The costs a record holds: of arms whose packets were all delivered and whose cost stood out of the noise. An
    /// invalid or partial record holds none.
    #[must_use]
    pub fn costs_of(folder: &str, record: &Record) -> Vec<CostFigure> {
        let told = matches!(record.kind, Kind::Cost | Kind::Scale);
        if !told || !record.valid || record.partial {
            return Vec::new();
        }
        let source = source(folder, record);
        let figures = rungs(record).into_iter().flat_map(|(connections, arms)| {
            let source = &source;
            arms.iter()
                .filter_map(move |arm| figure(source, connections, arm))
        });
        figures.collect()
    }

    /// The machine of a record that costs may be quoted from, and the most it held.
    fn host_of(folder: &str, record: &Record) -> Option<HostFigure> {
        let told = matches!(record.kind, Kind::Cost | Kind::Scale);
        if !told || !record.valid || record.partial {
            return None;
        }
        let arms = rungs(record).into_iter().flat_map(|(_, arms)| arms);
        let long = record.scale.iter().flat_map(|scale| &scale.hold);
        let arms = arms.chain(long.map(|hold| &hold.arm));
        let most = arms.map(|arm| arm.connections_held_at_end).max()?;
        Some(HostFigure {
            source: source(folder, record),
            cpus: record.environment.cpu_count.into(),
            memory_bytes: record.environment.memory_bytes,
            connections_held: most,
        })
    }

    /// What was noticed, where the record is of a fault lab and to be quoted.
    #[must_use]
    pub fn noticed_of(folder: &str, record: &Record) -> Option<Noticed> {
        if record.kind != Kind::Detection || !record.valid || record.partial {
            return None;
        }
        let cells = |stress: bool| {
            record
                .cells
                .iter()
                .filter(move |cell| cell.stress == stress)
        };
        Some(Noticed {
            source: source(folder, record),
            detect_within_ms: record.config.detect_within_ms,
            faults: cells(false).map(noticed).collect(),
            stresses: cells(true)
                .map(noticed)
                .filter(|cell| cell.noticed > 0)
                .collect(),
            thresholds: record
                .detection
                .as_ref()
                .map_or_else(Vec::new, |lab| lab.thresholds.clone()),
        })
    }
}

/// The arms of each population of a record.
fn rungs(record: &Record) -> Vec<(u64, &Vec<ArmRecord>)> {
    let mut rungs = vec![(record.config.connections, &record.arms)];
    if let Some(rung) = &record.drop_free_rung {
        rungs.push((rung.connections, &rung.arms));
    }
    for rung in record.scale.iter().flat_map(|scale| &scale.rungs) {
        rungs.push((rung.connections, &rung.arms));
    }
    rungs
}

fn source(folder: &str, record: &Record) -> Source {
    Source {
        record: folder.to_owned(),
        started_at: record.started_at.clone(),
        host: host(&record.environment, &record.config),
    }
}

fn host(environment: &Environment, config: &Config) -> String {
    format!(
        "{} × {}, {:.1} GiB, Linux {}, {}",
        environment.cpu_count,
        environment.cpu_model,
        super::words::float(environment.memory_bytes) / f64::from(1_u32 << 30),
        // what comes after the version names a build, which tells nobody anything
        environment.kernel.split('-').next().unwrap_or_default(),
        config.path
    )
}

fn figure(source: &Source, connections: u64, arm: &ArmRecord) -> Option<CostFigure> {
    let (name, engine) = arm.name.split_once('@').unwrap_or((&arm.name, "uring"));
    let usable = engine == "uring"
        && arm.engine == "uring"
        && !name.contains('#')
        && !arm.is_control()
        && arm.drops.softnet_backlog == 0
        && arm.connections_held_at_end == arm.connections_requested;
    Some(CostFigure {
        source: source.clone(),
        arm: name.to_owned(),
        connections,
        cpu_ns_per_event: arm
            .cpu_ns_per_event
            .filter(|cost| usable && cost.resolved)?,
        server_cpu_ns_per_event: arm.server_cpu_ns_per_event.filter(|cost| cost.resolved),
        load_cpu_ns_per_event: arm.load_cpu_ns_per_event.filter(|cost| cost.resolved),
        packets_per_event: arm.packets_per_event?,
        wire_bytes_per_event: arm.wire_bytes_per_event?,
        memory_bytes_per_connection: arm.memory_bytes_per_connection,
    })
}

fn noticed(cell: &CellRecord) -> NoticedCell {
    let noticed = if cell.stress {
        cell.false_suspicions
    } else {
        cell.detected
    };
    let missed = !cell.stress && cell.detected < cell.injected;
    NoticedCell {
        fault: cell.fault.clone(),
        mechanism: cell.mechanism.clone(),
        seat: cell.seat.clone(),
        parameter: cell.parameter.clone(),
        injected: cell.injected,
        noticed,
        rule: if missed {
            cell.model.clone()
        } else {
            String::new()
        },
    }
}
