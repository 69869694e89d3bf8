//! `ringbeat advise`: from a question about settings to an answer, with figures from the records at hand.
//!
//! Does not decide ([`crate::advise`] does) and measures nothing. Looks for records below the current folder only.

use super::{Failure, choices, output, parse};
use crate::advise::fleet::{FleetQuestion, check_text, compare_with, plan_fleet};
use crate::advise::{
    Advice, AdviceError, Basis, CostFigure, Figures, Link, Noticed, Question, Snippet, Values,
    advise, text,
};
use crate::arm::KeepaliveSide;
use crate::record::Record;
use crate::report::load;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How far below the current folder records are looked for: `results/<run>/<step>`.
const DEPTH: u32 = 3;
/// Folders looked into before the search ends: a home folder must not take minutes.
const MOST_FOLDERS: usize = 5_000;

/// Settings for a question: mechanism, numbers, their cost, what goes unnoticed.
///
/// Measures nothing. Costs are those of the newest record below the current folder (of `compare` or `scale`), or of the
/// results this program was built with; what is not noticed is what a fault lab (`detect`) saw. More connections than any
/// record's host held, or a flag of the fleet, add a plan of hosts. With --check a run on several hosts is held against
/// the model of that plan instead.
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct AdviseArgs {
    /// Connections held at once, on one host or many, 1 to 10^12
    #[arg(
        long, value_name = "N", value_parser = parse::planned_connections, allow_hyphen_values = true,
        required_unless_present = "check"
    )]
    connections: Option<u64>,
    /// Find a dead peer within this after its last sign of life
    #[arg(
        long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true,
        required_unless_present = "check"
    )]
    detect_within: Option<Duration>,
    /// Intervals of silence that make the verdict, 2 to 100 [default: 3, or 4 where the outage needs it]
    #[arg(long, value_name = "N", value_parser = parse::misses, allow_hyphen_values = true)]
    misses: Option<u32>,
    /// The longest outage in which no living peer may be given up [default: the link's]
    #[arg(long, value_name = "TIME", value_parser = parse::pause, allow_hyphen_values = true)]
    survive_outage: Option<Duration>,
    /// The idle time after which a NAT, firewall or load balancer on the way forgets a connection [default: not known]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true)]
    middlebox_idle: Option<Duration>,
    /// What the path between the ends is like
    #[arg(long, value_name = "LINK", default_value = "internet", value_parser = choices::link())]
    link: Link,
    /// Who must notice a dead peer
    #[arg(long, value_name = "END", default_value = "both", value_parser = choices::end())]
    noticed_by: KeepaliveSide,
    /// The ends whose settings you can change; heartbeats need both
    #[arg(long, value_name = "END", default_value = "both", value_parser = choices::end())]
    side: KeepaliveSide,
    /// The applications cannot be changed to speak heartbeats
    #[arg(long)]
    no_app_changes: bool,
    /// An application that hangs on a living host need not be noticed
    #[arg(long)]
    hung_may_pass: bool,
    /// Print the settings as code or configuration: names, or `all`
    #[arg(long = "for", value_name = "LIST", value_delimiter = ',', value_parser = snippet())]
    snippets: Vec<Wanted>,
    /// Take figures from the record in this folder [default: the newest below the current folder]
    #[arg(long, value_name = "DIR", conflicts_with = "published")]
    record: Option<PathBuf>,
    /// Take figures from the results this program was built with, whatever lies here
    #[arg(long)]
    published: bool,
    /// Hold the record of a run on several hosts, in this folder, against the model that plans fleets
    #[arg(long, value_name = "DIR", conflicts_with_all = ["connections", "detect_within", "snippets"])]
    check: Option<PathBuf>,
    /// The hosts of --check were namespaces of one machine, whose meters show both ends
    #[arg(long)]
    one_machine: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    fleet: FleetFlags,
}

/// Flags of a fleet; each asks for a plan of one.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "A fleet of hosts")]
struct FleetFlags {
    /// The most connections one host is to hold [default: what its memory, cores and network allow]
    #[arg(long, value_name = "N", value_parser = parse::planned_connections, conflicts_with = "check")]
    host_connections: Option<u64>,
    /// Memory of a host [default: the newest record's machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse::size, conflicts_with = "check")]
    host_memory: Option<u64>,
    /// Cores of a host [default: likewise]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536), conflicts_with = "check")]
    host_cores: Option<u64>,
    /// A host's network card, each way: 10G, 2.5G [default: 10G]
    #[arg(long, value_name = "BITS/s", value_parser = parse::bandwidth, conflicts_with = "check")]
    nic: Option<u64>,
    /// Sites the hosts are spread over, any of which may be lost [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000), conflicts_with = "check")]
    sites: Option<u64>,
    /// Connections one host accepts per second [default: as measured per core, nearest to what would come]
    #[arg(long, value_name = "N/s", value_parser = parse::rate, conflicts_with = "check")]
    reconnect_rate: Option<u64>,
    /// Percent of memory, cores and network kept free [default: 30]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=95), conflicts_with = "check")]
    headroom: Option<u64>,
}

impl FleetFlags {
    const fn question(&self) -> FleetQuestion {
        FleetQuestion {
            host_connections: self.host_connections,
            host_memory_bytes: self.host_memory,
            host_cores: self.host_cores,
            nic_bits_per_second: self.nic,
            sites: self.sites,
            reconnects_per_second: self.reconnect_rate,
            headroom_percent: self.headroom,
        }
    }
}

/// One item of `--for`.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    All,
    One(Snippet),
}

fn snippet() -> impl TypedValueParser<Value = Wanted> {
    let names = Snippet::ALL.map(Snippet::name);
    PossibleValuesParser::new(names.into_iter().chain(["all"])).try_map(|name| {
        match name.as_str() {
            "all" => Ok(Wanted::All),
            one => one.parse().map(Wanted::One),
        }
    })
}

pub(super) fn run(args: &AdviseArgs) -> Result<(), Failure> {
    let published = Figures::published();
    let local = match &args.record {
        Some(folder) => Some(named(folder)?),
        None if args.published => None,
        None => found(Path::new(".")),
    };
    let basis = Basis {
        local: local.as_ref(),
        published: &published,
    };
    if let Some(folder) = &args.check {
        return check(folder, &basis, args);
    }
    if args.one_machine {
        return Err(Failure::Usage(
            "--one-machine is about the record of a run: give --check DIR with it, or leave it out"
                .to_owned(),
        ));
    }
    let Some(question) = args.question() else {
        return Err(Failure::Usage(
            "give --connections and --detect-within, or --check DIR".to_owned(),
        ));
    };
    let unanswered = |error: AdviceError| Failure::Usage(error.to_string());
    let mut advice = advise(&question, &basis).map_err(unanswered)?;
    let plan = plan_fleet(&question, &args.fleet.question(), &basis).map_err(unanswered)?;
    if let Some(plan) = plan {
        advice.add_fleet(plan);
    }
    add_snippets(&mut advice, &question, &args.snippets)?;
    if args.json {
        return print_json(&advice);
    }
    output::result(&text(&advice))
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::Run(format!(
            "the answer did not serialise ({error}); this is a defect, please report it"
        ))
    })?;
    output::result(&json)
}

/// A run on several hosts against the model.
fn check(folder: &Path, basis: &Basis<'_>, args: &AdviseArgs) -> Result<(), Failure> {
    let record = load(folder).map_err(|error| Failure::Usage(error.to_string()))?;
    let Some(fleet) = &record.fleet else {
        return Err(Failure::Usage(format!(
            "{} is not of a run on several hosts: give a folder that `serve --out`, `load --out` or `merge` left",
            folder.display()
        )));
    };
    let check = compare_with(fleet, &record.config, basis, args.one_machine)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if args.json {
        return print_json(&check);
    }
    output::result(&check_text(&check))
}

impl AdviseArgs {
    /// `None` when there is none, since a run is to be checked.
    fn question(&self) -> Option<Question> {
        Some(Question {
            connections: self.connections?,
            detect_within: self.detect_within?,
            misses: self.misses,
            survive_outage: self.survive_outage,
            middlebox_idle: self.middlebox_idle,
            link: self.link,
            noticed_by: self.noticed_by,
            side: self.side,
            app_changes: !self.no_app_changes,
            hung_matters: !self.hung_may_pass,
        })
    }
}

fn add_snippets(
    advice: &mut Advice,
    question: &Question,
    wanted: &[Wanted],
) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let settings = &advice.settings;
    let Some(keepalive) = settings.keepalive else {
        return Err(Failure::Usage(
            "--for has nothing to print: within this time keepalive, which counts whole seconds, gives no verdict; give \
             --detect-within 3s or more"
                .to_owned(),
        ));
    };
    let half = question.middlebox_idle.map(|idle| (idle / 2).as_secs());
    let values = Values {
        detect_within_ms: advice.asked.detect_within_ms,
        interval_ms: settings.heartbeat.map_or_else(
            || u64::from(keepalive.idle_s) * 1_000,
            |one| one.interval_ms,
        ),
        idle_s: keepalive.idle_s,
        interval_s: keepalive.interval_s,
        count: keepalive.count,
        user_timeout_ms: keepalive.user_timeout_ms,
        longest_idle_s: half.map_or(u32::MAX, |half| u32::try_from(half).unwrap_or(u32::MAX)),
    };
    for one in wanted {
        let named = match one {
            Wanted::All => Snippet::ALL.to_vec(),
            Wanted::One(one) => vec![*one],
        };
        let rendered = named
            .into_iter()
            .map(|one| (one.name(), one.render(&values)));
        advice.snippets.extend(rendered);
    }
    Ok(())
}

/// The figures of the record in `folder`.
fn named(folder: &Path) -> Result<Figures, Failure> {
    let record = load(folder).map_err(|error| Failure::Usage(error.to_string()))?;
    let figures = Figures::local(&folder.display().to_string(), &record);
    if figures == Figures::default() {
        return Err(Failure::Usage(format!(
            "{} holds no figure to go by: give a folder of `compare`, `scale`, `detect`, `storm` or `lifecycle` whose run was \
             valid",
            folder.display()
        )));
    }
    Ok(figures)
}

/// The newest costs and the newest fault lab below `top`, and all hosts and rates; `None` when there is no record to be
/// quoted.
fn found(top: &Path) -> Option<Figures> {
    let mut folders = vec![(top.to_owned(), 0)];
    let mut seen = 0;
    let mut figures = Figures::default();
    while let Some((folder, depth)) = folders.pop() {
        seen += 1;
        if seen > MOST_FOLDERS {
            break;
        }
        if folder.join("record.json").is_file()
            && let Ok(record) = load(&folder)
        {
            take(&folder, &record, &mut figures);
        }
        if depth < DEPTH {
            folders.extend(below(&folder).map(|folder| (folder, depth + 1)));
        }
    }
    (figures != Figures::default()).then_some(figures)
}

/// Keeps what is newer than what was found before; of hosts and rates everything, as a plan takes the newest or nearest.
fn take(folder: &Path, record: &Record, kept: &mut Figures) {
    let name = folder.strip_prefix(".").unwrap_or(folder);
    let name = name.display().to_string();
    let fresh = Figures::local(if name.is_empty() { "." } else { &name }, record);
    for figure in fresh.costs {
        // Of each arm the newest record's, all rungs of it.
        let costs: &mut Vec<CostFigure> = &mut kept.costs;
        let known = costs.iter().find(|known| known.arm == figure.arm);
        let age = known.map(|known| known.source.started_at.cmp(&figure.source.started_at));
        match age {
            Some(std::cmp::Ordering::Greater) => continue,
            Some(std::cmp::Ordering::Less) => costs.retain(|known| known.arm != figure.arm),
            _ => {}
        }
        costs.push(figure);
    }
    kept.hosts.extend(fresh.hosts);
    kept.connects.extend(fresh.connects);
    let lab: &Noticed = &kept.noticed;
    let newer = lab.source.started_at < fresh.noticed.source.started_at;
    if !fresh.noticed.faults.is_empty() && (lab.faults.is_empty() || newer) {
        kept.noticed = fresh.noticed;
    }
}

/// Folders in `folder`, but none that is hidden, a link, or a build's.
fn below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !name.starts_with('.') && !matches!(&*name, "target" | "node_modules")
        })
        .map(|entry| entry.path())
}
