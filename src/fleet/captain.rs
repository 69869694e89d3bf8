//! The host that serves the rendezvous: it gathers all, releases them from stage to stage, and tells all when one fails.
//!
//! Does not start or drive connections. It is the server or shard 0 itself and takes part in the barriers by calling
//! them. Whatever ends a run early ends it for all: every call from then on returns the first reason.

use super::admission::{House, name, place};
use super::board::{Board, Waited};
use super::clock::SteadyClock;
use super::door::{self, Door};
use super::hall::{Hall, tell};
use super::message::FromCaptain;
use super::roster::{Roster, absentees};
use super::{FleetError, Interrupted, RELEASE_AHEAD, Release, Seat, Stage, Token};
use crate::clock::{Clock as _, MonotonicClock};
use crate::control::{Order, Word};
use crate::record::FleetClock;
use crate::units::Nanos;
use rand::RngExt as _;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Members that may knock at once; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;
/// The longest that a captain who leaves waits for members to have heard the last word.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a captain is to be.
#[derive(Clone, Debug)]
pub struct CaptainConfig {
    /// Where to listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The secret of all hosts.
    pub token: Token,
    /// What the captain itself is in the run.
    pub seat: Seat,
    /// Whether the server takes part, be it as captain or as member.
    pub server: bool,
    /// How many load generators there are, the captain included when it is one.
    pub shards: u32,
    /// What all hosts must agree upon, by the setting's name.
    pub terms: BTreeMap<String, String>,
    /// What runs here; see [`build`](super::build). A host with another is refused.
    pub build: String,
    /// This host's name.
    pub host: String,
    /// The run's name; `None` has one made up.
    pub run: Option<String>,
    /// How long [`Captain::gather`] waits.
    pub gather_within: Duration,
}

/// A rendezvous that is being served. It ends when dropped: members then find it gone, unless all have
/// [`Ended`](Stage::Ended).
#[derive(Debug)]
pub struct Captain {
    hall: Arc<Hall>,
    listener: Arc<TcpListener>,
    address: SocketAddr,
    gather_within: Duration,
    accepting: Option<JoinHandle<()>>,
}

impl Captain {
    /// Listens; hosts are admitted from now on.
    ///
    /// # Errors
    /// [`FleetError::Settings`] for what cannot be, [`FleetError::Listen`] and [`FleetError::System`] when the host
    /// does not let it.
    pub fn listen(config: CaptainConfig) -> Result<Self, FleetError> {
        place(config.seat, config.shards)?;
        name("host", &config.host)?;
        let run = config.run.unwrap_or_else(made_up);
        name("run", &run)?;
        let refused = |error: io::Error| FleetError::Listen {
            address: config.listen,
            reason: error.to_string(),
        };
        let listener = bind(config.listen).map(Arc::new).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let clock = SteadyClock::start();
        let gathered = MonotonicClock
            .now()
            .0
            .saturating_add(Nanos::from(config.gather_within).0);
        let hall = Arc::new(Hall {
            origin_epoch_ns: clock.at(Nanos(gathered)),
            house: House {
                build: config.build,
                host: config.host,
                seat: config.seat,
                shards: config.shards,
                terms: config.terms,
            },
            token: config.token,
            run,
            clock,
            board: Board::new(Roster::new(config.seat, config.server, config.shards)),
            door: Board::new(Door::default()),
        });
        let (inside, at) = (Arc::clone(&hall), Arc::clone(&listener));
        let accepting = std::thread::Builder::new()
            .name("rendezvous".to_owned())
            .spawn(move || door::serve(&inside, &at))
            .map_err(|error| FleetError::System {
                what: "starting the thread of the rendezvous",
                reason: error.to_string(),
            })?;
        Ok(Self {
            hall,
            listener,
            address,
            gather_within: config.gather_within,
            accepting: Some(accepting),
        })
    }

    /// Where it listens, with the port the kernel chose when 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The run's name.
    #[must_use]
    pub fn run_name(&self) -> &str {
        &self.hall.run
    }

    /// The instant that the phases of all hosts count from, by this host's monotonic clock: when the captain began to
    /// listen, and as long after that as hosts may come, so that one that boots meanwhile has it on its clock too.
    /// Exact: it is the captain's own.
    #[must_use]
    pub fn origin(&self) -> Nanos {
        self.hall.clock.own_at(self.hall.origin_epoch_ns)
    }

    /// Waits until all have been admitted, and admits no more: strangers cost nothing from then on.
    ///
    /// # Errors
    /// [`FleetError::Missing`] names who has not come, and who was refused; [`FleetError::Gone`] who came and went;
    /// [`FleetError::Interrupted`]. All who are there are told.
    pub fn gather(&self, interrupted: Interrupted<'_>) -> Result<(), FleetError> {
        let within = self.gather_within;
        let waited = self.hall.board.wait(within, interrupted, |roster| {
            if let Some(trouble) = &roster.trouble {
                return Some(Err(trouble.clone()));
            }
            roster.missing().is_empty().then_some(Ok(()))
        });
        self.settle(waited, |roster| FleetError::Missing {
            who: absentees(&roster.missing(), roster.shards),
            within,
            refused: roster.refusals(),
        })?;
        door::close(&self.hall.door, &self.listener);
        Ok(())
    }

    /// The captain has arrived at `stage`: waits for all others and releases everybody, itself included, at one instant
    /// a second ahead.
    ///
    /// # Errors
    /// [`FleetError::Late`] names who has not arrived when `patience` ends, [`FleetError::Disorder`] who is at another
    /// stage; otherwise as [`gather`](Self::gather).
    pub fn barrier(
        &self,
        stage: Stage,
        patience: Duration,
        interrupted: Interrupted<'_>,
    ) -> Result<Release, FleetError> {
        let waited = self.hall.board.wait(patience, interrupted, |roster| {
            if let Some(trouble) = roster.hopeless(stage) {
                return Some(Err(trouble));
            }
            if !roster.late(stage).is_empty() {
                return None;
            }
            for party in roster.parties.values_mut() {
                party.arrived = None;
            }
            roster.finished |= stage == Stage::Ended;
            Some(Ok(roster.links()))
        });
        let links = self.settle(waited, |roster| FleetError::Late {
            who: roster.whom_all(&roster.late(stage)),
            stage,
            within: patience,
        })?;
        let at = MonotonicClock.now() + Nanos::from(RELEASE_AHEAD);
        let epoch_ns = self.hall.clock.at(at);
        tell(&links, &FromCaptain::Release { stage, epoch_ns });
        Ok(Release {
            at,
            error: Nanos::ZERO,
            late: MonotonicClock.now() - at,
        })
    }

    /// What the shards' hosts are called, by the shard's number; who has not come is left out.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        self.hall.board.look(|roster| {
            let shards = roster.parties.iter();
            let shards = shards.filter(|(seat, _)| **seat != Seat::Server);
            shards.map(|(_, party)| party.host.clone()).collect()
        })
    }

    /// Whether the run still goes on; for loops that do something else meanwhile.
    ///
    /// # Errors
    /// What ended it.
    pub fn check(&self) -> Result<(), FleetError> {
        let trouble = self.hall.board.look(|roster| roster.trouble.clone());
        trouble.map_or(Ok(()), Err)
    }

    /// Ends the run; all are told `why`, with this host's name.
    pub fn abort(&self, why: &str) {
        self.hall.end(FleetError::Ended(why.to_owned()));
    }

    /// How this host's wall clock stands to the clock of the rendezvous, which it set going: not at all, unless somebody
    /// has set it since.
    #[must_use]
    pub fn clock(&self) -> FleetClock {
        self.hall.clock.against_wall()
    }

    /// Gives shards their orders at the same time and waits for all answers. A [`Word::Failed`] is an answer.
    ///
    /// # Errors
    /// [`FleetError::Unanswered`] names who does not answer within `patience`; otherwise as [`gather`](Self::gather).
    pub fn order(
        &self,
        orders: &BTreeMap<u32, Order>,
        patience: Duration,
        interrupted: Interrupted<'_>,
    ) -> Result<BTreeMap<u32, Word>, FleetError> {
        for (shard, order) in orders {
            let link = self.hall.board.change(|roster| {
                let party = roster.parties.get_mut(&Seat::Shard(*shard))?;
                party.word = None;
                Some(Arc::clone(&party.link))
            });
            let Some(link) = link else {
                return Err(FleetError::Settings(format!("no shard {shard} has joined")));
            };
            tell(&[link], &FromCaptain::Order(Box::new(order.clone())));
        }
        let silent = |roster: &Roster| -> Vec<Seat> {
            let seats = orders.keys().copied().map(Seat::Shard);
            let answered = |seat: &Seat| {
                roster
                    .parties
                    .get(seat)
                    .is_some_and(|party| party.word.is_some())
            };
            seats.filter(|seat| !answered(seat)).collect()
        };
        let waited = self.hall.board.wait(patience, interrupted, |roster| {
            if let Some(trouble) = &roster.trouble {
                return Some(Err(trouble.clone()));
            }
            if !silent(roster).is_empty() {
                return None;
            }
            let words = orders.keys().filter_map(|shard| {
                let party = roster.parties.get_mut(&Seat::Shard(*shard))?;
                Some((*shard, party.word.take()?))
            });
            Some(Ok(words.collect()))
        });
        self.settle(waited, |roster| FleetError::Unanswered {
            who: roster.whom_all(&silent(roster)),
            within: patience,
        })
    }

    /// Ends a run of orders well: members are told, and are not missed from now on.
    pub fn dismiss(&self) {
        let links = self.hall.board.change(|roster| {
            roster.finished = true;
            roster.links()
        });
        tell(&links, &FromCaptain::Dismiss);
    }

    /// Turns the end of a wait into a result; a failure ends the run for all.
    fn settle<T>(
        &self,
        waited: Waited<Result<T, FleetError>>,
        overdue: impl FnOnce(&Roster) -> FleetError,
    ) -> Result<T, FleetError> {
        let error = match waited {
            Waited::Ready(Ok(given)) => return Ok(given),
            Waited::Ready(Err(error)) => error,
            Waited::TimedOut => self.hall.board.look(overdue),
            Waited::Interrupted(signal) => FleetError::Interrupted {
                who: format!("{} (host {})", self.hall.house.seat, self.hall.house.host),
                signal,
            },
        };
        Err(self.hall.end(error))
    }
}

impl Drop for Captain {
    fn drop(&mut self) {
        let links = self.hall.board.change(|roster| {
            roster.closing = true;
            roster.links()
        });
        let woken = door::close(&self.hall.door, &self.listener);
        door::shut(&self.hall.door);
        for link in &links {
            link.finish();
        }
        self.hall.board.wait(FAREWELL, &mut || None, |roster| {
            (roster.readers == 0).then_some(())
        });
        for link in &links {
            link.end();
        }
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            // It ends by itself; what it panicked with has been printed.
            let _ = accepting.join();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A rendezvous of a minute ago does not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A name that no other run has: the second and a few random letters.
fn made_up() -> String {
    let stamp = crate::clock::wall_rfc3339();
    let second: String = stamp
        .chars()
        .take(19)
        .filter(|letter| *letter != ':')
        .collect();
    let random: u16 = rand::rng().random();
    format!("{second}-{random:04x}")
}
