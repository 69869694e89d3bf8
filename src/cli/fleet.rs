//! Several hosts: which of the load generators this is, and how all of them come together.
//!
//! Does not speak to anybody: [`crate::fleet`] does. Alone, every stage is passed at once.

use super::{Failure, output, parse};
use crate::clock::{Clock as _, MonotonicClock, wall_epoch_ns};
use crate::fleet::clock::own_instant;
use crate::fleet::{
    Blame, Captain, CaptainConfig, FleetError, Member, MemberConfig, Seat, Stage, Token, build,
    engine_env,
};
use crate::load::{MOST_SHARDS, Shard};
use crate::record::{Config, FleetClock};
use crate::units::{HumanNanos, Nanos};
use clap::{Args, ValueEnum};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What hosts that begin together must be told besides.
pub(super) const CLOSE_TOGETHER: &str =
    "hosts must close their windows together: give --for TIME, the same on all of them";
/// Where the token may stand instead of in a file.
const TOKEN: &str = "RINGBEAT_TOKEN";
/// The longest that the others' windows and drains are waited for, besides what connections take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Connections a second that the slowest host opens or ends: a tenth of what two cores were seen to do.
const SLOWEST_PER_SECOND: u64 = 2_000;

/// Where and when hosts meet.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Several hosts")]
pub(super) struct MeetingFlags {
    /// Meet the other hosts at this address before connections are opened, before the window and after it. `serve`
    /// listens there (port 0: a free one), `load` connects to it
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub(super) rendezvous: Option<String>,
    /// File with the secret of the rendezvous, 16 characters or more, the same on all hosts [default: the environment
    /// variable `RINGBEAT_TOKEN`]
    #[arg(long, value_name = "FILE", requires = "rendezvous")]
    pub(super) token_file: Option<PathBuf>,
    /// How long to wait until all are there
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse::duration,
          allow_hyphen_values = true, requires = "rendezvous")]
    pub(super) gather_within: Duration,
    /// How long to wait until all have opened their connections and settled [default: a minute, and a second more for every
    /// 2,000 connections]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, allow_hyphen_values = true,
          requires = "rendezvous")]
    open_within: Option<Duration>,
    /// Without a rendezvous: open the window at this instant of the host's clock, when the connections must be open; RFC
    /// 3339 (2026-01-31T12:00:00Z) or seconds since 1970
    #[arg(long, value_name = "INSTANT", value_parser = instant, conflicts_with = "rendezvous")]
    start_at: Option<Nanos>,
}

/// Which of the load generators this is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Several hosts")]
pub(super) struct ShardFlags {
    /// Which of several load generators this is, from 0: 2/4 is the third of four. --connections are then those of all
    /// together, --ramp-rate is each one's own [default: what Kubernetes, Slurm, MPI or pssh say in the environment, with `RINGBEAT_SHARDS` where they do
    /// not say how many]
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Who serves the rendezvous: the server, or shard 0, which then listens at the address of --rendezvous; the server
    /// takes no part then, and leaves no record
    #[arg(
        long,
        value_name = "WHO",
        value_enum,
        default_value = "server",
        requires = "rendezvous"
    )]
    rendezvous_on: Serves,
    #[command(flatten)]
    pub(super) meeting: MeetingFlags,
}

/// Who serves the rendezvous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Serves {
    /// `ringbeat serve --rendezvous`
    Server,
    /// The load generator with number 0
    #[value(name = "shard-0")]
    ShardZero,
}

/// `server-0.example:7100`, `10.0.0.1:7100`, `[::1]:7100`.
pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    let port = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| text.to_owned())
        .ok_or_else(|| format!("`{text}` is not a host with a port, such as 10.0.0.1:7100"))
}

/// An instant, as nanoseconds since 1970.
fn instant(text: &str) -> Result<Nanos, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Nanos::from_secs(seconds));
    }
    let read: Option<SystemTime> = humantime::parse_rfc3339_weak(text).ok();
    read.and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .map(Nanos::from)
        .ok_or_else(|| {
            format!("`{text}` is no instant: write 2026-01-31T12:00:00Z, or seconds since 1970")
        })
}

impl MeetingFlags {
    /// Whether other hosts are to begin with this one.
    pub(super) const fn is_given(&self) -> bool {
        self.start_at.is_some() || self.rendezvous.is_some()
    }
}

impl ShardFlags {
    /// The shard that was asked for, or that the engine says.
    pub(super) fn shard(&self) -> Result<Numbered, Failure> {
        if let Some(shard) = self.shard {
            let by = "--shard".to_owned();
            return Ok(Numbered { shard, by });
        }
        let found =
            engine_env::shard(|name| std::env::var(name).ok()).map_err(|error| failure(&error))?;
        Ok(
            found.map_or_else(Numbered::default, |(shard, engine)| Numbered {
                shard,
                by: engine.to_string(),
            }),
        )
    }
}

/// Which load generator this is, and who says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbered {
    pub(super) shard: Shard,
    pub(super) by: String,
}

/// Who this host is among the others.
#[derive(Clone, Debug)]
pub(super) struct Guest<'a> {
    pub(super) seat: Seat,
    pub(super) shards: u32,
    pub(super) host: String,
    pub(super) run: Option<String>,
    /// What all must agree upon.
    pub(super) config: &'a Config,
}

/// The hosts that hold connections together with this one.
#[derive(Debug)]
pub(super) enum Party {
    /// None.
    Alone,
    /// Those that were given the same instant, nanoseconds since 1970.
    StartAt(Nanos),
    /// Those that meet here.
    Captain(Captain, Patience),
    /// Those that meet elsewhere.
    Member(Box<Member>, Patience),
}

/// How long others are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    gather: Duration,
    open: Duration,
    /// For the end of a window, and of a drain.
    end: Duration,
}

impl Patience {
    const fn at(self, stage: Stage) -> Duration {
        match stage {
            Stage::Gathered => self.gather,
            Stage::Opened => self.open,
            Stage::Closed | Stage::Ended => self.end,
        }
    }
}

impl MeetingFlags {
    /// How long others are waited for with `connections` in all.
    fn patience(&self, connections: u64) -> Patience {
        let end = PATIENCE + Duration::from_secs(connections / SLOWEST_PER_SECOND);
        Patience {
            gather: self.gather_within,
            open: self.open_within.unwrap_or(end),
            end,
        }
    }

    /// Refuses what this host's own opening would outlast.
    pub(super) fn allows(&self, opening: Duration, connections: u64) -> Result<(), Failure> {
        let most = self.patience(connections).open;
        if self.rendezvous.is_none() || opening < most {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "opening at --ramp-rate and --settle take {} here, and the others wait {}: give all hosts a longer \
             --open-within",
            humantime::format_duration(opening),
            humantime::format_duration(most)
        )))
    }
}

impl Party {
    /// Goes where the flags say, and waits there until this host is admitted.
    pub(super) fn join(
        flags: &MeetingFlags,
        serves: bool,
        guest: Guest<'_>,
        interrupted: &mut dyn FnMut() -> Option<i32>,
    ) -> Result<Self, Failure> {
        let Some(address) = &flags.rendezvous else {
            return Ok(flags.start_at.map_or(Self::Alone, Self::StartAt));
        };
        let patience = flags.patience(guest.config.connections);
        let mut terms = super::bundle::terms(guest.config, guest.shards);
        for (name, span) in [
            ("--gather-within", patience.gather),
            ("--open-within", patience.open),
        ] {
            let shown = humantime::format_duration(span).to_string();
            terms.insert(name.to_owned(), shown);
        }
        let token = token(flags.token_file.as_deref())?;
        if serves {
            let captain = Captain::listen(CaptainConfig {
                listen: listening(address)?,
                token,
                seat: guest.seat,
                server: guest.seat == Seat::Server,
                shards: guest.shards,
                terms,
                build: build(),
                host: guest.host,
                run: guest.run,
                gather_within: flags.gather_within,
            })
            .map_err(|error| failure(&error))?;
            return Ok(Self::Captain(captain, patience));
        }
        if address.ends_with(":0") {
            return Err(Failure::Usage(format!(
                "nobody can be found at {address}: give the port that `serve` names in `rendezvous on`"
            )));
        }
        let member = Member::join(
            MemberConfig {
                address: address.clone(),
                token,
                seat: guest.seat,
                shards: guest.shards,
                terms,
                build: build(),
                host: guest.host,
                gather_within: flags.gather_within,
            },
            interrupted,
        )
        .map_err(|error| failure(&error))?;
        if let (Some(asked), given) = (&guest.run, member.run_name())
            && asked != given
        {
            output::warn(&format!(
                "the rendezvous calls this run {given}: --run {asked} is for whoever serves it"
            ));
        }
        Ok(Self::Member(Box::new(member), patience))
    }

    /// What the run is called, where somebody has given it a name.
    pub(super) fn run_name(&self, asked: Option<&str>) -> Option<String> {
        let asked = asked.map(str::to_owned);
        match self {
            Self::Alone => asked,
            // Folders of runs that began at other instants must not pass for one.
            Self::StartAt(epoch) => {
                asked.or_else(|| Some(format!("start-at-{}", epoch.0 / 1_000_000_000)))
            }
            Self::Captain(captain, _) => Some(captain.run_name().to_owned()),
            Self::Member(member, _) => Some(member.run_name().to_owned()),
        }
    }

    /// The instant that the phases of all hosts count from, by this host's monotonic clock: what the rendezvous has fixed,
    /// or the instant of --start-at, as right as the hosts' clocks are. Alone it is the clock's own beginning.
    pub(super) fn origin(&self) -> Nanos {
        match self {
            Self::Alone => Nanos::ZERO,
            Self::StartAt(epoch) => own_instant(*epoch),
            Self::Captain(captain, _) => captain.origin(),
            Self::Member(member, _) => member.origin(),
        }
    }

    /// Where others find this host's rendezvous, if it serves one.
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Captain(captain, _) => Some(captain.address()),
            _ => None,
        }
    }

    /// Whether there are others to wait for.
    pub(super) const fn meets(&self) -> bool {
        matches!(self, Self::Captain(..) | Self::Member(..))
    }

    /// This host has come to `stage`. Returns when to go on, monotonic, at once if there is nobody to wait for.
    pub(super) fn arrive(
        &mut self,
        stage: Stage,
        interrupted: &mut dyn FnMut() -> Option<i32>,
    ) -> Result<Nanos, FleetError> {
        match self {
            Self::StartAt(epoch) if stage == Stage::Opened => start_at(*epoch),
            Self::Alone | Self::StartAt(_) => Ok(MonotonicClock.now()),
            Self::Captain(captain, patience) => {
                if stage == Stage::Gathered {
                    captain.gather(interrupted)?;
                }
                Ok(captain.barrier(stage, patience.at(stage), interrupted)?.at)
            }
            Self::Member(member, patience) => {
                Ok(member.arrive(stage, patience.at(stage), interrupted)?.at)
            }
        }
    }

    /// Whether the run still goes on elsewhere.
    pub(super) fn check(&self) -> Result<(), FleetError> {
        match self {
            Self::Alone | Self::StartAt(_) => Ok(()),
            Self::Captain(captain, _) => captain.check(),
            Self::Member(member, _) => member.check(),
        }
    }

    /// Tells the others that this host cannot go on.
    pub(super) fn fail(&self, why: &str) {
        match self {
            Self::Alone | Self::StartAt(_) => {}
            Self::Captain(captain, _) => captain.abort(why),
            Self::Member(member, _) => member.fail(why),
        }
    }

    /// How this host's clock stands to the others'.
    pub(super) fn clock(&self) -> FleetClock {
        match self {
            Self::Alone | Self::StartAt(_) => FleetClock {
                compared_with: "start-at".to_owned(),
                ..FleetClock::default()
            },
            Self::Captain(captain, _) => captain.clock(),
            Self::Member(member, _) => member.clock(),
        }
    }
}

impl ShardFlags {
    /// Whether `shard` serves the rendezvous.
    pub(super) fn serves(&self, shard: Shard) -> bool {
        self.rendezvous_on == Serves::ShardZero && shard.index() == 0
    }
}

/// How many load generators a server that serves the rendezvous waits for.
pub(super) fn shards(text: &str) -> Result<u32, String> {
    let count = text
        .parse()
        .ok()
        .filter(|count| (1..=MOST_SHARDS).contains(count));
    count.ok_or_else(|| format!("`{text}` is not a number of load generators: 1 to {MOST_SHARDS}"))
}

/// The instant of the monotonic clock at which the wall clock will show `epoch`.
fn start_at(epoch: Nanos) -> Result<Nanos, FleetError> {
    let wall = Nanos(wall_epoch_ns());
    if epoch < wall {
        return Err(FleetError::Ended(format!(
            "this host was ready {} after the instant of --start-at: choose a later one, or start earlier",
            HumanNanos((wall - epoch).0)
        )));
    }
    Ok(MonotonicClock.now() + (epoch - wall))
}

/// An address of this host for the rendezvous; a name's first.
pub(super) fn listening(address: &str) -> Result<SocketAddr, Failure> {
    let found = address.to_socket_addrs().map(|mut all| all.next());
    found.ok().flatten().ok_or_else(|| {
        Failure::Host(format!(
            "the rendezvous cannot listen on {address}, which no address was found for: name one of this host, see \
             `ip address`"
        ))
    })
}

/// The secret from `file`, or else from the environment.
pub(super) fn token(file: Option<&Path>) -> Result<Token, Failure> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Failure::Usage(format!(
                "the token cannot be read from {} ({error}): is the path right, and may this user read it?",
                path.display()
            ))
        })?,
        None => std::env::var(TOKEN).map_err(|_| {
            Failure::Usage(format!(
                "a rendezvous needs a secret, the same on all hosts: give --token-file FILE or set {TOKEN}, for \
                 instance to the output of `openssl rand -hex 16`"
            ))
        })?,
    };
    Token::new(text.trim()).map_err(|error| failure(&error))
}

/// How a command ends that the fleet has ended.
pub(super) fn failure(error: &FleetError) -> Failure {
    match (error.signal(), error.blame()) {
        (Some(signal), _) => Failure::Interrupted(signal),
        (None, Blame::Run) => Failure::Run(error.to_string()),
        (None, Blame::Usage) => Failure::Usage(error.to_string()),
        (None, Blame::Host) => Failure::Host(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_people_write_them() {
        let noon = instant("2026-01-31T12:00:00Z");
        assert_eq!(noon, instant("1769860800"));
        for bad in ["", "soon", "12:00", "-5"] {
            assert!(instant(bad).unwrap_err().contains("2026-01-31"), "{bad}");
        }
    }

    #[test]
    fn a_place_to_meet_has_a_port() {
        for good in ["server-0.example:7100", "10.0.0.1:1", "[::1]:7100"] {
            assert_eq!(host_and_port(good).as_deref(), Ok(good));
        }
        for bad in ["", "server", ":7100", "server:x", "server:70000"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instant_that_has_passed_is_said_and_a_later_one_waited_for() {
        let said = start_at(Nanos::from_secs(1)).unwrap_err().to_string();
        assert!(said.contains("--start-at"), "{said}");
        let hour = Nanos::from_secs(3_600);
        let at = start_at(Nanos(wall_epoch_ns()) + hour).unwrap();
        let ahead = at - MonotonicClock.now();
        assert!(
            ahead <= hour && ahead > Nanos::from_secs(3_500),
            "{ahead:?}"
        );
    }

    #[test]
    fn alone_nobody_is_waited_for() {
        let mut alone = Party::Alone;
        let before = MonotonicClock.now();
        let at = alone.arrive(Stage::Opened, &mut || None).unwrap();
        assert!(at >= before && at <= MonotonicClock.now());
        assert!(alone.check().is_ok() && !alone.meets());
        assert_eq!(alone.clock().offset_ns, None);
        assert_eq!(alone.origin(), Nanos::ZERO);
        let epoch = Nanos(wall_epoch_ns()) + Nanos::from_secs(3_600);
        let ahead = Party::StartAt(epoch).origin() - MonotonicClock.now();
        assert!(ahead <= Nanos::from_secs(3_601) && ahead > Nanos::from_secs(3_500));
    }
}
