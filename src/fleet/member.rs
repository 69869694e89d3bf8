//! A host that joins a rendezvous: it arrives at the stages and is released by the captain.
//!
//! Does not serve anybody. A thread listens to the captain, so that its end is noticed whatever this host does meanwhile;
//! [`Member::check`] says so.

use super::admission::{name, place};
use super::board::{Board, Waited};
use super::clock::{Comparison, RoundTrip, read_wall};
use super::frame::AFTER_ADMISSION;
use super::join::{self, Joined};
use super::link::{Link, obituary};
use super::message::{FromCaptain, FromMember, for_people};
use super::{FleetError, Interrupted, MEMBERS_MARGIN, Release, Seat, Stage, Token};
use crate::clock::{Clock as _, MonotonicClock};
use crate::control::{Order, Word};
use crate::record::FleetClock;
use crate::units::Nanos;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Round trips of one comparison of the clocks.
const ROUND_TRIPS: u64 = 8;
/// The longest that a member who leaves waits for the captain to have heard the last word.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a member is to be.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// The captain's, as `host:port`; a name may resolve later.
    pub address: String,
    /// The secret of all hosts.
    pub token: Token,
    /// What this host is in the run.
    pub seat: Seat,
    /// How many load generators there are.
    pub shards: u32,
    /// What all hosts must agree upon, by the setting's name.
    pub terms: BTreeMap<String, String>,
    /// What runs here; see [`build`](super::build).
    pub build: String,
    /// This host's name.
    pub host: String,
    /// How long the captain is looked for.
    pub gather_within: Duration,
}

/// What the captain has said, and what became of the connection.
#[derive(Debug, Default)]
struct Inbox {
    /// Number, the captain's clock, and when it came.
    pong: Option<(u64, u64, Nanos)>,
    release: Option<(Stage, u64)>,
    orders: VecDeque<Order>,
    /// All are done.
    finished: bool,
    trouble: Option<FleetError>,
    /// Nobody listens any more.
    deaf: bool,
}

/// A host that has been admitted. It leaves when dropped: the captain then finds it gone, unless all have
/// [`Ended`](Stage::Ended).
#[derive(Debug)]
pub struct Member {
    link: Arc<Link>,
    inbox: Arc<Board<Inbox>>,
    listening: Option<JoinHandle<()>>,
    who: String,
    run: String,
    captain: String,
    pings: u64,
    comparison: Comparison,
    origin: Nanos,
    /// What it waits longer than it is told.
    pub(super) margin: Duration,
}

impl Member {
    /// Finds the captain, proves the token both ways, is admitted, and compares the clocks.
    ///
    /// # Errors
    /// [`FleetError::NoAnswer`] when no captain was found in time, [`FleetError::Refused`] with the captain's reason,
    /// [`FleetError::Unproven`], [`FleetError::Stranger`], [`FleetError::Settings`], [`FleetError::Interrupted`], and
    /// what may happen to an admitted host.
    pub fn join(config: MemberConfig, interrupted: Interrupted<'_>) -> Result<Self, FleetError> {
        place(config.seat, config.shards)?;
        name("host", &config.host)?;
        let who = format!("{} (host {})", config.seat, config.host);
        let within = config.gather_within;
        let Joined {
            link,
            run,
            host,
            origin_epoch_ns,
        } = join::join(config, &who, interrupted)?;
        let link = Arc::new(link);
        let inbox = Arc::new(Board::new(Inbox::default()));
        let (ear, board, captain) = (Arc::clone(&link), Arc::clone(&inbox), host.clone());
        let listening = std::thread::Builder::new()
            .name("rendezvous".to_owned())
            .spawn(move || listen(&ear, &board, &captain))
            .map_err(|error| FleetError::System {
                what: "starting the thread of the rendezvous",
                reason: error.to_string(),
            })?;
        let mut member = Self {
            link,
            inbox,
            listening: Some(listening),
            who,
            run,
            captain: host,
            pings: 0,
            comparison: Comparison::none(),
            origin: Nanos::ZERO,
            margin: MEMBERS_MARGIN,
        };
        member.compare(within, interrupted)?;
        member.origin = member.comparison.own_at(origin_epoch_ns);
        Ok(member)
    }

    /// The run's name, as the captain says.
    #[must_use]
    pub fn run_name(&self) -> &str {
        &self.run
    }

    /// The captain's host.
    #[must_use]
    pub fn captain(&self) -> &str {
        &self.captain
    }

    /// The instant that the phases of all hosts count from, by this host's monotonic clock and the comparison made on
    /// joining. What is counted from it is right to half of the shortest round trip, and to what the clocks drift apart
    /// from then on, [`CLOCK_DRIFT_PPM`](crate::record::CLOCK_DRIFT_PPM) at most.
    #[must_use]
    pub const fn origin(&self) -> Nanos {
        self.origin
    }

    /// This host has arrived at `stage`: waits until the captain releases all. `patience` is the captain's; a member
    /// waits [`MEMBERS_MARGIN`] longer.
    ///
    /// # Errors
    /// [`FleetError::Aborted`] with the captain's reason, [`FleetError::CaptainGone`], [`FleetError::CaptainSilent`],
    /// [`FleetError::Interrupted`], of which the captain is told.
    pub fn arrive(
        &mut self,
        stage: Stage,
        patience: Duration,
        interrupted: Interrupted<'_>,
    ) -> Result<Release, FleetError> {
        self.compare(patience, interrupted)?;
        self.say(&FromMember::Arrived(stage))?;
        let (released, epoch_ns) =
            self.wait(patience, interrupted, |inbox| inbox.release.take())?;
        if released != stage {
            let what = format!("released the stage `{released}`, and this host is at `{stage}`");
            return Err(self.end(FleetError::Disorder {
                who: format!("the rendezvous on {}", self.captain),
                what,
            }));
        }
        let at = self.comparison.own_at(epoch_ns);
        Ok(Release {
            at,
            error: self.comparison.error_at(at),
            late: MonotonicClock.now() - at,
        })
    }

    /// Whether the run still goes on; for loops that do something else meanwhile.
    ///
    /// # Errors
    /// What ended it.
    pub fn check(&self) -> Result<(), FleetError> {
        let trouble = self.inbox.look(|inbox| inbox.trouble.clone());
        trouble.map_or(Ok(()), Err)
    }

    /// Tells the captain that this host cannot go on; it tells all others.
    pub fn fail(&self, why: &str) {
        self.end(FleetError::Ended(why.to_owned()));
    }

    /// How this host's wall clock stands to the captain's now, by the comparison before the last stage; the error covers
    /// this instant and no later one.
    #[must_use]
    pub fn clock(&self) -> FleetClock {
        self.comparison.against(read_wall(), "rendezvous")
    }

    /// The captain's next order; `None` when it has dismissed all.
    ///
    /// # Errors
    /// As [`arrive`](Self::arrive).
    pub fn next_order(
        &self,
        patience: Duration,
        interrupted: Interrupted<'_>,
    ) -> Result<Option<Order>, FleetError> {
        self.wait(patience, interrupted, |inbox| {
            match inbox.orders.pop_front() {
                Some(order) => Some(Some(order)),
                None => inbox.finished.then_some(None),
            }
        })
    }

    /// The answer to an order.
    ///
    /// # Errors
    /// What ended the run.
    pub fn answer(&self, word: Word) -> Result<(), FleetError> {
        self.say(&FromMember::Word(Box::new(word)))
    }

    /// Measures how far the captain's clock is.
    fn compare(
        &mut self,
        patience: Duration,
        interrupted: Interrupted<'_>,
    ) -> Result<(), FleetError> {
        let mut trips = Vec::new();
        for _ in 0..ROUND_TRIPS {
            self.pings += 1;
            let number = self.pings;
            let sent = MonotonicClock.now();
            self.say(&FromMember::Ping(number))?;
            let (theirs, received) = self.wait(patience, interrupted, |inbox| {
                let (_, theirs, received) = inbox.pong.take_if(|(of, ..)| *of == number)?;
                Some((theirs, received))
            })?;
            trips.push(RoundTrip {
                sent,
                received,
                theirs,
            });
        }
        if let Some(comparison) = Comparison::of(&trips) {
            self.comparison = comparison;
        }
        Ok(())
    }

    fn say(&self, message: &FromMember) -> Result<(), FleetError> {
        self.check()?;
        let Err(error) = self.link.send(message, AFTER_ADMISSION) else {
            return Ok(());
        };
        // The thread that listens may know better why: an abort came before the connection ended.
        let how = obituary::<()>(&Err(error));
        let heard = self
            .inbox
            .wait(FAREWELL, &mut || None, |inbox| inbox.trouble.clone());
        Err(match heard {
            Waited::Ready(trouble) => trouble,
            _ => self.end(FleetError::CaptainGone {
                host: self.captain.clone(),
                how,
            }),
        })
    }

    fn wait<T>(
        &self,
        patience: Duration,
        interrupted: Interrupted<'_>,
        mut ready: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<T, FleetError> {
        let within = patience.saturating_add(self.margin);
        let waited = self.inbox.wait(within, interrupted, |inbox| {
            // What was said before the end counts.
            if let Some(given) = ready(inbox) {
                return Some(Ok(given));
            }
            let gone = || FleetError::CaptainGone {
                host: self.captain.clone(),
                how: "it has ended the run".to_owned(),
            };
            let trouble = inbox.trouble.clone();
            trouble.or_else(|| inbox.deaf.then(gone)).map(Err)
        });
        let error = match waited {
            Waited::Ready(result) => return result,
            Waited::TimedOut => FleetError::CaptainSilent {
                host: self.captain.clone(),
                within,
            },
            Waited::Interrupted(signal) => FleetError::Interrupted {
                who: self.who.clone(),
                signal,
            },
        };
        Err(self.end(error))
    }

    /// Ends the run on this host and tells the captain why, unless it has ended already; the first reason is returned.
    fn end(&self, error: FleetError) -> FleetError {
        let first = self.inbox.change(|inbox| {
            let first = inbox.trouble.clone();
            inbox.trouble.get_or_insert_with(|| error.clone());
            first
        });
        if let Some(first) = first {
            return first;
        }
        let why = match &error {
            FleetError::Interrupted { signal, .. } => format!("interrupted by signal {signal}"),
            other => other.to_string(),
        };
        // A captain that is gone need not be told.
        let _ = self.link.send(&FromMember::Failed(why), AFTER_ADMISSION);
        error
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.link.finish();
        self.inbox
            .wait(FAREWELL, &mut || None, |inbox| inbox.deaf.then_some(()));
        self.link.end();
        if let Some(listening) = self.listening.take() {
            // The connection has ended, so it ends; what it panicked with has been printed.
            let _ = listening.join();
        }
    }
}

/// Listens to the captain until it ends the run or the connection.
fn listen(link: &Link, inbox: &Board<Inbox>, captain: &str) {
    let end = loop {
        let message = match link.receive() {
            Ok(Some(message)) => message,
            end => {
                break FleetError::CaptainGone {
                    host: captain.to_owned(),
                    how: obituary(&end),
                };
            }
        };
        let now = MonotonicClock.now();
        if let Err(end) = inbox.change(|inbox| heard(inbox, message, captain, now)) {
            break end;
        }
    };
    link.end();
    inbox.change(|inbox| {
        inbox.deaf = true;
        if !inbox.finished {
            inbox.trouble.get_or_insert(end);
        }
    });
}

/// Keeps what was said.
///
/// # Errors
/// What ends the run.
fn heard(
    inbox: &mut Inbox,
    message: FromCaptain,
    captain: &str,
    now: Nanos,
) -> Result<(), FleetError> {
    match message {
        FromCaptain::Pong { number, epoch_ns } => inbox.pong = Some((number, epoch_ns, now)),
        FromCaptain::Release { stage, epoch_ns } => {
            inbox.release = Some((stage, epoch_ns));
            inbox.finished |= stage == Stage::Ended;
        }
        FromCaptain::Abort(why) => {
            return Err(FleetError::Aborted {
                host: captain.to_owned(),
                why: for_people(&why),
            });
        }
        FromCaptain::Order(order) => inbox.orders.push_back(*order),
        FromCaptain::Dismiss => inbox.finished = true,
        FromCaptain::Challenge(_) | FromCaptain::Welcome { .. } | FromCaptain::Refused(_) => {
            return Err(FleetError::Disorder {
                who: format!("the rendezvous on {captain}"),
                what: "welcomed this host twice".to_owned(),
            });
        }
    }
    Ok(())
}
