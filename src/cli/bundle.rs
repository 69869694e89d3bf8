//! `--out` of `serve` and `load`: the record that one host of connections held by hand leaves.
//!
//! Does not measure: [`crate::experiment::fleet`] does. The folder is reserved before the first connection, and what was
//! measured before an interruption is kept, marked partial.

use super::half::HalfFlags;
use super::place::command_line;
use super::{Failure, output};
use crate::arm::Budget;
use crate::clock::{Clock as _, MonotonicClock, wall_rfc3339};
use crate::environment;
use crate::experiment::fleet::{HostSpec, Said};
use crate::merge;
use crate::record::{Config, FleetRecord, LoadHost, ServerHost};
use crate::report::ResultFolder;
use crate::units::Nanos;
use crate::wheel::TimersKind;
use clap::Args;
use nix::sys::utsname::uname;
use std::ffi::OsString;
use std::path::PathBuf;

/// What becomes of the figures.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Record")]
pub(super) struct BundleFlags {
    /// Keep a record of this host's part in this folder; never overwritten, `.2` is next. Of several load generators each
    /// adds its number (DIR-0, DIR-1); `ringbeat merge` joins them
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Name of the run, the same on all its hosts [default: the rendezvous makes one up; with --start-at, the instant]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) run: Option<String>,
    /// What this host is called in the record [default: its host name]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) host_name: Option<String>,
    /// A name for the result, kept in the record
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

/// A name that fits into a line and a file.
fn name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "._-".contains(char));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 64 letters, digits, dots, dashes or underscores".to_owned())
    }
}

impl BundleFlags {
    /// What this host is called.
    pub(super) fn host(&self) -> String {
        let own = || {
            let found = uname().ok();
            let found = found.as_ref().and_then(|names| names.nodename().to_str());
            found.unwrap_or("unnamed").to_owned()
        };
        self.host_name.clone().unwrap_or_else(own)
    }

    /// Reserves the folder, before anything is opened. `shard` is this load generator's number among several.
    pub(super) fn reserve(&self, shard: Option<u32>) -> Result<Option<Bundle>, Failure> {
        let Some(out) = &self.out else {
            return Ok(None);
        };
        let mut path = OsString::from(out);
        if let Some(shard) = shard {
            path.push(format!("-{shard}"));
        }
        let failed = |message: String| Failure::Host(message);
        let folder = ResultFolder::reserve(&PathBuf::from(path))
            .map_err(|error| failed(error.to_string()))?;
        Ok(Some(Bundle {
            folder,
            host: self.host(),
            label: self.label.clone(),
            started_at: wall_rfc3339(),
            begun: MonotonicClock.now(),
        }))
    }
}

/// A record that is to be.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: ResultFolder,
    host: String,
    label: Option<String>,
    started_at: String,
    begun: Nanos,
}

/// One row of a record.
#[derive(Debug)]
pub(super) enum Row {
    Load(Box<LoadHost>),
    Server(Box<ServerHost>),
}

/// What a record says beside its row.
#[derive(Debug)]
pub(super) struct Circumstances {
    /// The run's name, how many load generators there are, and the arm.
    pub(super) fleet: FleetRecord,
    pub(super) config: Config,
    pub(super) stopped: Option<String>,
}

impl Bundle {
    /// This host, as its row has it.
    pub(super) fn spec(
        &self,
        half: &HalfFlags,
        (cores, plan): (&[usize], String),
        stopped: Option<String>,
    ) -> Result<HostSpec, Failure> {
        let environment =
            environment::capture().map_err(|error| Failure::Host(error.to_string()))?;
        Ok(HostSpec {
            name: self.host.clone(),
            environment,
            engine: half.engine.kernel.engine.name().to_owned(),
            driver: half.engine.kernel.driver.to_string(),
            cores: cores.to_vec(),
            ring_plan: plan,
            started_at: self.started_at.clone(),
            stopped,
        })
    }

    /// Writes it.
    pub(super) fn write(self, row: Row, about: Circumstances) -> Result<(), Failure> {
        let mut fleet = about.fleet;
        let environment = match &row {
            Row::Load(load) => load.host.environment.clone(),
            Row::Server(server) => server.host.environment.clone(),
        };
        match row {
            Row::Load(load) => fleet.loads.push(*load),
            Row::Server(server) => fleet.server = Some(*server),
        }
        fleet.together = merge::together(&fleet.loads, fleet.server.as_ref())
            .map_err(|error| Failure::Run(error.to_string()))?;
        let warnings = merge::audit(&fleet, &about.config);
        let said = Said {
            command: command_line(),
            label: self.label,
            config: about.config,
            environment,
            started_at: self.started_at,
            duration_ms: (MonotonicClock.now() - self.begun).0 / 1_000_000,
            warnings,
            stopped: about.stopped,
        };
        let kept = self
            .folder
            .write(&said.record(fleet))
            .map_err(|error| Failure::Run(error.to_string()))?;
        output::note(&format!("record in {}", kept.display()));
        Ok(())
    }
}

/// The settings that all hosts of a run share, for `connections` in all; what each has for itself is empty here.
pub(super) fn config(
    half: &HalfFlags,
    budget: &Budget,
    (timers, congestion): (TimersKind, Option<&str>),
    path: &str,
) -> Config {
    let engine = &half.engine;
    let tick = engine.kernel.tick;
    let millis = |span: Nanos| span.0 / 1_000_000;
    let connections = half.connections.connections;
    let sweep = match timers {
        TimersKind::Wheel => None,
        TimersKind::Sweep { period } => Some(millis(Nanos(tick.0.saturating_mul(period.into())))),
    };
    Config {
        connections_asked: connections,
        connections,
        connections_limited_by: None,
        arms: vec![half.arm.to_string()],
        engines: Vec::new(),
        driver: String::new(),
        detect_within_ms: millis(budget.detect_within),
        misses: budget.misses,
        heartbeat_interval_ms: millis(budget.interval),
        idle_timeout_ms: millis(budget.idle_timeout),
        answer_timeout_ms: millis(budget.answer_timeout),
        keepalive_idle_s: budget.keepalive_idle_s,
        keepalive_interval_s: budget.keepalive_interval_s,
        keepalive_count: budget.keepalive_count,
        keepalive_side: engine.keepalive_side.name().to_owned(),
        keepalive_spread_s: engine.keepalive_spread.unwrap_or(0),
        path: path.to_owned(),
        steady_ms: half
            .duration
            .map_or(0, |window| millis(Nanos::from(window))),
        soak_ms: 0,
        settle_ms: 0,
        rounds: 1,
        ramp_rate_per_second: None,
        in_flight_per_core: None,
        memory_limit_bytes: None,
        tick_us: tick.0 / 1_000,
        phases: engine.phases.name().to_owned(),
        timers: if sweep.is_some() { "sweep" } else { "wheel" }.to_owned(),
        sweep_period_ms: sweep,
        server_cores: Vec::new(),
        load_cores: Vec::new(),
        ring_plan: String::new(),
        congestion_control: congestion.unwrap_or_default().to_owned(),
        seed: 0,
        order: Vec::new(),
    }
}

/// The run that this host's row belongs to.
pub(super) fn fleet(common: &Config, shards: u32, run: Option<String>) -> FleetRecord {
    FleetRecord {
        run: run.unwrap_or_else(|| "by-hand".to_owned()),
        shards,
        connections_asked: common.connections,
        arm: common.arms.join(","),
        ..FleetRecord::default()
    }
}

/// Those settings as names and values, for hosts to compare before they begin.
pub(super) fn terms(config: &Config, shards: u32) -> std::collections::BTreeMap<String, String> {
    let detection = format!(
        "{} ms with {} misses, every {} ms, silence {} ms, ack {} ms",
        config.detect_within_ms,
        config.misses,
        config.heartbeat_interval_ms,
        config.idle_timeout_ms,
        config.answer_timeout_ms
    );
    let keepalive = format!(
        "{}/{}/{} on {}, spread {} s",
        config.keepalive_idle_s,
        config.keepalive_interval_s,
        config.keepalive_count,
        config.keepalive_side,
        config.keepalive_spread_s
    );
    let pass = config
        .sweep_period_ms
        .map_or_else(String::new, |period| format!(", a pass in {period} ms"));
    [
        ("--arm", config.arms.join(",")),
        ("--connections", config.connections.to_string()),
        ("shards", shards.to_string()),
        ("detection", detection),
        ("keepalive", keepalive),
        ("--for", format!("{} ms", config.steady_ms)),
        ("--tick", format!("{} us", config.tick_us)),
        ("--phases", config.phases.clone()),
        ("--timers", format!("{}{pass}", config.timers)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_line_and_a_file() {
        assert_eq!(name("site-a.7_x"), Ok("site-a.7_x".to_owned()));
        for bad in ["", "a/b", "two words", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_has_a_name() {
        assert!(!BundleFlags::default().host().is_empty());
        let named = BundleFlags {
            host_name: Some("here".to_owned()),
            ..BundleFlags::default()
        };
        assert_eq!(named.host(), "here");
        assert!(
            named.reserve(None).unwrap().is_none(),
            "nothing was asked for"
        );
    }
}
