//! Both ends of `compare --fleet`: the load generators gather at the server's host, and obey it.
//!
//! Does not carry orders: [`crate::experiment`] does.

use super::bundle::BundleFlags;
use super::flags::{LoadCoresFlag, OutputFlags, cores_or_all};
use super::fleet::{ShardFlags, failure, listening, token};
use super::fleet_plan::FleetPlan;
use super::place::RunFlags;
use super::route::shortage;
use super::signals::Signals;
use super::{Failure, host, output};
use crate::experiment::{DrivenFleet, ExperimentError, obey_captain};
use crate::fleet::{Captain, CaptainConfig, Member, MemberConfig, Seat, build};
use crate::load::LoadConfig;
use crate::os::limits::raise_nofile;
use crate::units::HumanCount;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What keeps load generators that are held by hand apart from those that are driven.
fn terms() -> BTreeMap<String, String> {
    let driven = "driven by compare --fleet".to_owned();
    [("command".to_owned(), driven)].into()
}

/// Serves the rendezvous of `plan`, and waits until all load generators are there.
pub(super) fn gather(
    plan: FleetPlan,
    signals: &Signals,
    run: &RunFlags,
) -> Result<Arc<DrivenFleet>, Failure> {
    let captain = Captain::listen(CaptainConfig {
        listen: listening(&plan.rendezvous)?,
        token: token(plan.token_file.as_deref())?,
        seat: Seat::Server,
        server: true,
        shards: plan.shards,
        terms: terms(),
        build: build(),
        host: BundleFlags::default().host(),
        run: None,
        gather_within: plan.gather_within,
    })
    .map_err(|error| failure(&error))?;
    run.note(&format!(
        "rendezvous on {}: waiting for {} load generators (ringbeat load --driven)",
        captain.address(),
        plan.shards
    ));
    captain
        .gather(&mut || signals.caught())
        .map_err(|error| failure(&error))?;
    run.note(&format!("all there: {}", captain.hosts().join(", ")));
    Ok(Arc::new(DrivenFleet::new(captain, plan.driven)))
}

/// Joins the rendezvous and does what is ordered there until it is dismissed.
pub(super) fn obey(
    flags: &ShardFlags,
    name: &str,
    cores: &LoadCoresFlag,
    said: OutputFlags,
) -> Result<(), Failure> {
    let signals = Signals::register()?;
    let shard = flags.shard()?.shard;
    let (nofile, _) = raise_nofile().map_err(|error| Failure::Host(error.to_string()))?;
    let executable = std::env::current_exe().map_err(|error| {
        Failure::Host(format!(
            "this program's own file cannot be found ({error}): is /proc mounted?"
        ))
    })?;
    let meeting = &flags.meeting;
    let config = MemberConfig {
        address: meeting.rendezvous.clone().unwrap_or_default(),
        token: token(meeting.token_file.as_deref())?,
        seat: Seat::Shard(shard.index()),
        shards: shard.of(),
        terms: terms(),
        build: build(),
        host: name.to_owned(),
        gather_within: meeting.gather_within,
    };
    let member = Member::join(config, &mut || signals.caught()).map_err(|error| failure(&error))?;
    let note = |text: &str| {
        if !said.quiet {
            output::note(text);
        }
    };
    note(&format!(
        "shard {shard} of the run {}, driven by {}",
        member.run_name(),
        member.captain()
    ));
    let cores = cores_or_all(cores.load_cores.as_ref());
    let mut prepare = |config: &mut LoadConfig| {
        config.cores.clone_from(&cores);
        config.settings.phase_origin = member.origin();
        config.nofile = nofile;
        let count = config.connections;
        host::memory_for(count, false).map_err(|error| match error {
            Failure::Host(why) => why,
            other => format!("{other:?}"),
        })?;
        let (targets, sources) = (config.targets.len(), config.sources.len());
        if let Some(said) = shortage(count, targets, sources, host::ephemeral()) {
            output::warn(&said);
        }
        note(&format!("loading: {} connections", HumanCount(count)));
        Ok(())
    };
    let ended = obey_captain(&member, &executable, &mut prepare, &mut || signals.caught());
    ended.map_err(|error| match error {
        ExperimentError::Fleet(error) => failure(&error),
        ExperimentError::Host(why) => Failure::Host(why),
        other => Failure::Run(other.to_string()),
    })
}
