//! `ringbeat advise`: from a question about settings to an answer, with figures from the records at hand.
//!
//! Does not decide ([`crate::advise`] does) and measures nothing. Looks for records below the current folder only.

use super::{Failure, choices, output, parse};
use crate::advise::{
    Advice, Basis, CostFigure, Figures, Link, Noticed, Question, Snippet, Values, advise, text,
};
use crate::arm::KeepaliveSide;
use crate::record::Record;
use crate::report::load;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
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
/// results this program was built with; what is not noticed is what a fault lab (`detect`) saw.
#[derive(Debug, Args)]
#[command(after_help = super::VALUES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct AdviseArgs {
    /// Connections held at once, 1 to 10M
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: u64,
    /// Find a dead peer within this after its last sign of life
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true)]
    detect_within: Duration,
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
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
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
    let question = args.question();
    let mut advice =
        advise(&question, &basis).map_err(|error| Failure::Usage(error.to_string()))?;
    add_snippets(&mut advice, &question, &args.snippets)?;
    if args.json {
        let json = serde_json::to_string_pretty(&advice).map_err(|error| {
            Failure::Run(format!(
                "the advice did not serialise ({error}); this is a defect, please report it"
            ))
        })?;
        return output::result(&json);
    }
    output::result(&text(&advice))
}

impl AdviseArgs {
    const fn question(&self) -> Question {
        Question {
            connections: self.connections,
            detect_within: self.detect_within,
            misses: self.misses,
            survive_outage: self.survive_outage,
            middlebox_idle: self.middlebox_idle,
            link: self.link,
            noticed_by: self.noticed_by,
            side: self.side,
            app_changes: !self.no_app_changes,
            hung_matters: !self.hung_may_pass,
        }
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
            "{} holds no cost to go by: give a folder of `compare` or `scale` whose run was valid, or of `detect`",
            folder.display()
        )));
    }
    Ok(figures)
}

/// The newest costs and the newest fault lab below `top`; `None` when there is no record to be quoted.
fn found(top: &Path) -> Option<Figures> {
    let mut folders = vec![(top.to_owned(), 0)];
    let mut seen = 0;
    let mut costs: Vec<CostFigure> = Vec::new();
    let mut lab: Option<Noticed> = None;
    while let Some((folder, depth)) = folders.pop() {
        seen += 1;
        if seen > MOST_FOLDERS {
            break;
        }
        if folder.join("record.json").is_file()
            && let Ok(record) = load(&folder)
        {
            take(&folder, &record, (&mut costs, &mut lab));
        }
        if depth < DEPTH {
            folders.extend(below(&folder).map(|folder| (folder, depth + 1)));
        }
    }
    (!costs.is_empty() || lab.is_some()).then(|| Figures {
        costs,
        noticed: lab.unwrap_or_default(),
    })
}

/// Keeps what is newer than what was found before.
fn take(
    folder: &Path,
    record: &Record,
    (costs, lab): (&mut Vec<CostFigure>, &mut Option<Noticed>),
) {
    let name = folder.strip_prefix(".").unwrap_or(folder);
    let name = name.display().to_string();
    let fresh = Figures::local(if name.is_empty() { "." } else { &name }, record);
    for figure in fresh.costs {
        // Of each arm the newest record's, all rungs of it.
        let known = costs.iter().find(|known| known.arm == figure.arm);
        let age = known.map(|known| known.source.started_at.cmp(&figure.source.started_at));
        match age {
            Some(std::cmp::Ordering::Greater) => continue,
            Some(std::cmp::Ordering::Less) => costs.retain(|known| known.arm != figure.arm),
            _ => {}
        }
        costs.push(figure);
    }
    let newer = |known: &Noticed| known.source.started_at < fresh.noticed.source.started_at;
    if !fresh.noticed.faults.is_empty() && lab.as_ref().is_none_or(newer) {
        *lab = Some(fresh.noticed);
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
