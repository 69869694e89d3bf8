//! The plan: for each mechanism the hosts, what each host then does, the comeback after the loss of a site, tracked
//! connections, and the load generators that a test of that size takes.
//!
//! Divides and rounds; the arithmetic is [`super::model`]'s, the figures are those of [`super::inputs`].

use super::FleetQuestion;
use super::inputs::{FleetInput, Known, connects, known, most_held, told};
use super::model::{
    Bounds, End, Host, HostShare, Limit, Prediction, Profile, Run, held, hosts_needed, predict,
};
use super::text::formulas;
use crate::advise::alternatives::rate;
use crate::advise::choice::choose;
use crate::advise::cost::{FAR, FAR_OFF, nearest};
use crate::advise::doubts::{BURSTS, burst};
use crate::advise::figures::{Basis, CostFigure, Source};
use crate::advise::timing::Timing;
use crate::advise::words::float;
use crate::advise::{Advice, AdviceError, Question, Warning};
use crate::arm::Arm;
use crate::units::{HumanCount, Nanos};
use serde::Serialize;

/// Ports of one address towards one address and port: `net.ipv4.ip_local_port_range` as the kernel sets it, 32768 to
/// 60999 (Documentation/networking/ip-sysctl.rst).
const PORTS_PER_ADDRESS: u64 = 28_232;
/// `net.core.somaxconn` since Linux 5.4 (Documentation/networking/ip-sysctl.rst): the longest accept queue of a listener.
const ACCEPT_QUEUE: u64 = 4_096;
/// A tracked connection: the object (256 bytes by `/proc/slabinfo` of a Linux 6.18 for x86-64, 320 before), 128 more when
/// anything extends it, as NAT, accounting and events do (`NF_CT_EXT_PREALLOC`, `net/netfilter/nf_conntrack_extend.c`), and
/// for each of both directions a bucket of 8 bytes in a table that is as large as it should be.
const CONNTRACK_BYTES: Bounds = Bounds {
    low: 256.0 + 16.0,
    median: 256.0 + 128.0 + 16.0,
    high: 320.0 + 128.0 + 16.0,
};
/// The intervals beside the chosen one, as multiples of it: halves.
const HALVES: [u64; 3] = [1, 4, 8];

/// Hosts of a fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hosts {
    /// That hold all connections, by the figures' dear end: what is planned by.
    pub needed: u64,
    /// The same by the figures themselves.
    pub needed_median: u64,
    /// The same by their cheap end.
    pub needed_low: u64,
    /// Of each site.
    pub per_site: u64,
    /// Of all sites.
    pub total: u64,
    /// That are left when a site is lost; with one site, when a host is.
    pub left: u64,
}

/// What one mechanism at one interval needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MechanismPlan {
    /// The arm.
    pub mechanism: &'static str,
    /// Between two signs of life of one end.
    pub interval_ms: u64,
    /// Ends of a connection that give one.
    pub ends: u64,
    /// The record its figures are from.
    #[serde(flatten)]
    pub source: Source,
    /// Whether it is one this program was built with.
    pub published: bool,
    /// Connections it was measured at.
    pub measured_connections: u64,
    /// What is taken from it.
    pub figures: Profile,
    /// What bounds a host, tightest first.
    pub limits: Vec<Limit>,
    /// What a host holds by all of them.
    pub connections_per_host: Bounds,
    /// Hosts.
    pub hosts: Hosts,
    /// With all sites up.
    pub load: Prediction,
    /// A host when a site is lost; with one site, when a host is.
    pub host_after_loss: HostShare,
    /// Of that host's network card the busier way, of one.
    pub nic_share_after_loss: f64,
}

/// Coming back after the loss of a site.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reconnect {
    /// Connections that are lost with it; with one site, all.
    pub connections_lost: u64,
    /// Hosts that take them.
    pub hosts: u64,
    /// To each.
    pub arrivals_per_host: u64,
    /// A host's.
    pub connects_per_second_per_host: Bounds,
    /// From the first to the last reconnect when the hosts are never idle.
    pub seconds: Bounds,
    /// The first attempts are to be spread over so long, or queues overflow.
    pub spread_over_at_least_s: f64,
    /// A dead site is found within this by those that were connected to it.
    pub detect_within_ms: u64,
    /// The longest accept queue of one listener, as the kernel sets it.
    pub accept_queue: u64,
}

/// Connections that are tracked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Conntrack {
    /// On each host that tracks, when a site is lost.
    pub entries_per_host: u64,
    /// Where all connections pass.
    pub entries_in_all: u64,
    /// Of one.
    pub bytes_per_entry: Bounds,
    /// Of a host.
    pub bytes_per_host: Bounds,
}

/// Load generators for a test of that size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadFleet {
    /// Hosts like the server's.
    pub hosts: u64,
    /// What bounds one, tightest first.
    pub limits: Vec<Limit>,
    /// The fullest.
    pub host: HostShare,
    /// Ports of one source address towards one address and port.
    pub ports_per_address: u64,
    /// Source addresses of each, towards one address and port.
    pub addresses_per_host: u64,
}

/// How one figure came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Formula {
    /// Of what.
    pub name: &'static str,
    /// With its numbers.
    pub formula: String,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FleetPlan {
    /// Why there is one.
    pub because: String,
    /// All connections.
    pub connections: u64,
    /// Each host.
    pub host: Host,
    /// Sites.
    pub sites: u64,
    /// The mechanism advised.
    pub chosen: MechanismPlan,
    /// The others of which a record tells.
    pub others: Vec<MechanismPlan>,
    /// Those of which none does.
    pub untold: Vec<&'static str>,
    /// The mechanism advised, at other intervals.
    pub intervals: Vec<MechanismPlan>,
    /// After the loss of a site; `null` when no record tells how fast a host accepts.
    pub reconnect: Option<Reconnect>,
    /// Connection tracking.
    pub conntrack: Conntrack,
    /// For a test.
    pub test: LoadFleet,
    /// How it was computed.
    pub computed: Vec<Formula>,
    /// What it starts from.
    pub inputs: Vec<FleetInput>,
    /// What it cannot show.
    pub cannot_show: Vec<&'static str>,
    /// What to beware of, to stand among the advice's.
    #[serde(skip)]
    pub(in crate::advise) warnings: Vec<Warning>,
}

impl Advice {
    /// Adds hosts for all the connections, and says of one host what would else be said of all connections on one.
    pub fn add_fleet(&mut self, plan: FleetPlan) {
        self.warnings
            .retain(|warning| ![FAR_OFF, BURSTS].contains(&warning.code));
        self.warnings.extend(plan.warnings.iter().cloned());
        self.fleet = Some(plan);
    }
}

const CANNOT_SHOW: [&str; 5] = [
    "memory and CPU of TLS and of the application, and data waiting in buffers: idle sockets were measured",
    "network cards: packets were measured on one machine, so interrupts and the card's own limits come on top",
    "hosts unlike the measured one: cores are counted as equal to its, and twice the cores as twice the work",
    "load balancers, NAT ports and name services in front of the hosts",
    "sites of different size, and connections that are not spread evenly",
];

/// Plans, when a part of `fleet` is given or more connections are asked for than any record's host held.
///
/// # Errors
/// [`AdviceError`] when the question has no answer, or a host holds not a single connection.
pub fn plan_fleet(
    question: &Question,
    fleet: &FleetQuestion,
    basis: &Basis<'_>,
) -> Result<Option<FleetPlan>, AdviceError> {
    let most = most_held(basis);
    if !fleet.is_asked() && question.connections <= most {
        return Ok(None);
    }
    let Some(known) = known(fleet, basis) else {
        return Ok(None);
    };
    let arm = choose(question)?.arm;
    let planner = Planner {
        question,
        basis,
        known: &known,
    };
    let timing = Timing::of(question, arm)?;
    let (interval, ends) = rate(&timing, arm, question.noticed_by);
    let Some(chosen) = planner.mechanism(arm, interval, ends)? else {
        return Ok(None);
    };
    let (others, untold) = planner.others(arm)?;
    let intervals = HALVES.into_iter().map(|halves| {
        let interval = Nanos(interval.0.saturating_mul(halves) / 2);
        planner.mechanism(arm, interval, ends)
    });
    let intervals: Result<Vec<_>, _> = intervals.collect();
    let mut inputs = known.rows.clone();
    let detects_ms = timing.detects_within(arm).0 / 1_000_000;
    let reconnect = reconnect(&planner, fleet, &chosen, detects_ms);
    let reconnect = reconnect.map(|(reconnect, input)| {
        inputs.push(input);
        reconnect
    });
    inputs.push(FleetInput {
        name: "CPU, packets and memory",
        value: float(chosen.measured_connections),
        unit: "connections",
        said: format!(
            "`{}` at {} connections, both ends on one machine",
            chosen.mechanism,
            HumanCount(chosen.measured_connections)
        ),
        source: told(&chosen.source, chosen.published),
    });
    let mut plan = FleetPlan {
        because: because(question, fleet, most),
        connections: question.connections,
        host: known.host,
        sites: known.sites,
        others,
        untold,
        intervals: intervals?.into_iter().flatten().collect(),
        reconnect,
        conntrack: conntrack(question.connections, &chosen),
        test: planner.load_fleet(&chosen)?,
        chosen,
        computed: Vec::new(),
        inputs,
        cannot_show: CANNOT_SHOW.to_vec(),
        warnings: Vec::new(),
    };
    plan.warnings = warnings(question, arm, &timing, &plan.chosen);
    plan.computed = formulas(&plan);
    Ok(Some(plan))
}

/// Why there is a plan.
fn because(question: &Question, fleet: &FleetQuestion, held: u64) -> String {
    if fleet.is_asked() {
        return "a flag of the fleet was given".to_owned();
    }
    format!(
        "{} connections are more than the {} that any record's host held",
        HumanCount(question.connections),
        HumanCount(held)
    )
}

/// What is true of a host, where the advice would say it of all connections on one.
fn warnings(
    question: &Question,
    arm: Arm,
    timing: &Timing,
    chosen: &MechanismPlan,
) -> Vec<Warning> {
    let of_host = Question {
        connections: chosen.host_after_loss.connections,
        ..*question
    };
    let ratio = float(of_host.connections) / float(chosen.measured_connections.max(1));
    let far = (!(1.0 / FAR..=FAR).contains(&ratio)).then(|| Warning {
        code: FAR_OFF,
        message: format!(
            "a host of the fleet holds {} connections, and the cost per event was measured at {}: it grows and shrinks with \
             the population, as idle sockets leave the caches and ticks find less to do",
            HumanCount(of_host.connections),
            HumanCount(chosen.measured_connections)
        ),
        advice: "measure nearer, on such a host: `ringbeat scale --up-to N`".to_owned(),
    });
    [burst(&of_host, arm, timing), far]
        .into_iter()
        .flatten()
        .collect()
}

/// What all mechanisms are planned with.
struct Planner<'a> {
    question: &'a Question,
    basis: &'a Basis<'a>,
    known: &'a Known,
}

impl Planner<'_> {
    /// The figures of `arm` at the population nearest to what one host is to hold: what was given, or else the most that
    /// any record's host held. Not by what the plan comes to, so that more connections never mean other figures.
    fn figure(&self, arm: Arm) -> Option<(&CostFigure, Profile, bool)> {
        let most = self.known.host.connections.unwrap_or(self.known.held);
        let connections = self.question.connections.min(most);
        let of = |figures, published| {
            let figure = nearest(figures, arm, connections)?;
            Some((figure, Profile::of(arm, figure)?, published))
        };
        let here = self.basis.local.and_then(|local| of(local, false));
        here.or_else(|| of(self.basis.published, true))
    }

    fn too_small(&self, limits: &[Limit]) -> AdviceError {
        AdviceError::HostTooSmall {
            what: limits.first().map_or("size", |limit| limit.what),
            headroom: self.known.host.headroom_percent,
        }
    }

    /// One mechanism at one interval; `None` when no record tells what it costs.
    fn mechanism(
        &self,
        arm: Arm,
        interval: Nanos,
        ends: u64,
    ) -> Result<Option<MechanismPlan>, AdviceError> {
        let Some((figure, profile, published)) = self.figure(arm) else {
            return Ok(None);
        };
        let connections = self.question.connections;
        let run = |hosts| Run {
            connections,
            hosts,
            interval,
            ends,
        };
        let host = &self.known.host;
        let limits = host.limits(&profile, run(1).rate_per_connection(), End::Server);
        let each = held(&limits);
        let needed = |each| hosts_needed(connections, each).ok_or_else(|| self.too_small(&limits));
        let hosts = spread(
            [needed(each.low)?, needed(each.median)?, needed(each.high)?],
            self.known.sites,
        );
        let after = predict(&profile, &run(hosts.left), End::Server).host;
        Ok(Some(MechanismPlan {
            mechanism: arm.name(),
            interval_ms: interval.0 / 1_000_000,
            ends,
            source: figure.source.clone(),
            published,
            measured_connections: figure.connections,
            figures: profile,
            limits,
            connections_per_host: each,
            hosts,
            load: predict(&profile, &run(hosts.total), End::Server),
            host_after_loss: after,
            nic_share_after_loss: after.ethernet_bits_per_second / float(host.nic_bits_per_second),
        }))
    }

    /// All others that can be timed, and the names of those that no record tells of.
    fn others(&self, chosen: Arm) -> Result<(Vec<MechanismPlan>, Vec<&'static str>), AdviceError> {
        let (mut others, mut untold) = (Vec::new(), Vec::new());
        let sending = |arm: &Arm| *arm != chosen && *arm != Arm::None;
        for arm in Arm::ALL.into_iter().filter(sending) {
            let Ok(timing) = Timing::of(self.question, arm) else {
                continue;
            };
            let (interval, ends) = rate(&timing, arm, self.question.noticed_by);
            match self.mechanism(arm, interval, ends)? {
                Some(plan) => others.push(plan),
                None => untold.push(arm.name()),
            }
        }
        Ok((others, untold))
    }

    /// Hosts like the server's that hold the other ends.
    fn load_fleet(&self, chosen: &MechanismPlan) -> Result<LoadFleet, AdviceError> {
        let connections = self.question.connections;
        let mut run = Run {
            connections,
            hosts: 1,
            interval: Nanos::from_millis(chosen.interval_ms.max(1)),
            ends: chosen.ends,
        };
        let host = Host {
            connections: None,
            ..self.known.host
        };
        let limits = host.limits(&chosen.figures, run.rate_per_connection(), End::Load);
        run.hosts =
            hosts_needed(connections, held(&limits).low).ok_or_else(|| self.too_small(&limits))?;
        let host = predict(&chosen.figures, &run, End::Load).host;
        Ok(LoadFleet {
            hosts: run.hosts,
            limits,
            ports_per_address: PORTS_PER_ADDRESS,
            addresses_per_host: host.connections.div_ceil(PORTS_PER_ADDRESS),
            host,
        })
    }
}

/// `needed` hosts by the dear, the usual and the cheap figures, so that they are left when one of the sites is lost; with
/// one site, when one host is.
fn spread([needed, median, low]: [u64; 3], sites: u64) -> Hosts {
    let (per_site, total, left) = if sites == 1 {
        (needed + 1, needed + 1, needed)
    } else {
        let per_site = needed.div_ceil(sites - 1);
        (per_site, per_site * sites, per_site * (sites - 1))
    };
    Hosts {
        needed,
        needed_median: median,
        needed_low: low,
        per_site,
        total,
        left,
    }
}

fn reconnect(
    planner: &Planner<'_>,
    fleet: &FleetQuestion,
    chosen: &MechanismPlan,
    detect_within_ms: u64,
) -> Option<(Reconnect, FleetInput)> {
    let connections_lost = planner.question.connections.div_ceil(planner.known.sites);
    let hosts = chosen.hosts.left;
    let arrivals = connections_lost.div_ceil(hosts);
    let (rate, input) = connects(fleet, planner.basis, planner.known.host.cores, arrivals)?;
    let seconds = rate.divide(float(arrivals));
    let reconnect = Reconnect {
        connections_lost,
        hosts,
        arrivals_per_host: arrivals,
        connects_per_second_per_host: rate,
        seconds,
        spread_over_at_least_s: seconds.high,
        detect_within_ms,
        accept_queue: ACCEPT_QUEUE,
    };
    Some((reconnect, input))
}

fn conntrack(connections: u64, chosen: &MechanismPlan) -> Conntrack {
    let entries = chosen.host_after_loss.connections;
    Conntrack {
        entries_per_host: entries,
        entries_in_all: connections,
        bytes_per_entry: CONNTRACK_BYTES,
        bytes_per_host: CONNTRACK_BYTES.times(float(entries)),
    }
}
