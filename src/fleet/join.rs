//! From an address to an admitted connection: found, connected, proved both ways.
//!
//! Does not end before its time because a name does not resolve yet or nobody listens yet; it does at once when it is
//! refused. Attempts run in a thread of their own, as resolving a name may block for long and a signal shall not wait.

use super::board::LOOK;
use super::door::ADMISSION;
use super::frame::{self, BEFORE_ADMISSION, FrameError};
use super::link::{Link, obituary};
use super::member::MemberConfig;
use super::message::{FromCaptain, FromMember, Hello, for_people};
use super::token::{Bytes32, Exchange, Side};
use super::{FleetError, Interrupted, PROTOCOL};
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest that one address may take to connect.
const CONNECTING: Duration = Duration::from_secs(2);

/// An admitted connection.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) link: Link,
    pub(super) run: String,
    /// The captain's host.
    pub(super) host: String,
    /// What phases count from, by the captain's clock, nanoseconds since 1970.
    pub(super) origin_epoch_ns: u64,
}

/// How an attempt failed.
enum Attempt {
    /// The next one may do better.
    Again(String),
    Final(FleetError),
}

type Outcome = Result<Joined, Attempt>;

/// Tries until it is in, refused, out of time or interrupted.
pub(super) fn join(
    config: MemberConfig,
    who: &str,
    interrupted: Interrupted<'_>,
) -> Result<Joined, FleetError> {
    let (address, within) = (config.address.clone(), config.gather_within);
    let deadline = Instant::now().checked_add(within);
    let config = Arc::new(config);
    let mut last = "the first attempt had no answer".to_owned();
    loop {
        let outcome = start(&config)?;
        let again = Instant::now() + PAUSE;
        let mut done = false;
        // Waits for the outcome, then for the pause to be over.
        while !done || Instant::now() < again {
            if let Some(signal) = interrupted() {
                let who = who.to_owned();
                return Err(FleetError::Interrupted { who, signal });
            }
            if deadline.is_some_and(|end| Instant::now() >= end) {
                return Err(FleetError::NoAnswer {
                    address,
                    within,
                    last,
                });
            }
            if done {
                let left = again.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(LOOK));
                continue;
            }
            match outcome.recv_timeout(LOOK) {
                Ok(Ok(joined)) => return Ok(joined),
                Ok(Err(Attempt::Final(error))) => return Err(error),
                Ok(Err(Attempt::Again(why))) => {
                    last = why;
                    done = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => done = true,
            }
        }
    }
}

fn start(config: &Arc<MemberConfig>) -> Result<Receiver<Outcome>, FleetError> {
    let (sender, outcome) = channel();
    let config = Arc::clone(config);
    std::thread::Builder::new()
        .name("rendezvous".to_owned())
        // Nobody waits any more if it cannot be sent.
        .spawn(move || drop(sender.send(attempt(&config))))
        .map_err(|error| FleetError::System {
            what: "starting the thread that joins the rendezvous",
            reason: error.to_string(),
        })?;
    Ok(outcome)
}

fn attempt(config: &MemberConfig) -> Outcome {
    let address = &config.address;
    let resolved = address.to_socket_addrs().map_err(|error| {
        if error.kind() == ErrorKind::InvalidInput {
            Attempt::Final(FleetError::Settings(format!(
                "`{address}` is no address of a rendezvous: write HOST:PORT"
            )))
        } else {
            Attempt::Again(format!("its name does not resolve ({error})"))
        }
    })?;
    let mut why = "its name has no address".to_owned();
    for resolved in resolved {
        match TcpStream::connect_timeout(&resolved, CONNECTING) {
            Ok(stream) => return shake_hands(config, stream),
            Err(error) => why = format!("{resolved}: {error}"),
        }
    }
    Err(Attempt::Again(why))
}

fn shake_hands(config: &MemberConfig, stream: TcpStream) -> Outcome {
    let deadline = Instant::now() + ADMISSION;
    let link = Link::new(stream).map_err(|error| Attempt::Again(error.to_string()))?;
    let nonce = Bytes32::random();
    let hello = FromMember::Hello(Hello {
        protocol: PROTOCOL,
        build: config.build.clone(),
        host: config.host.clone(),
        seat: config.seat,
        shards: config.shards,
        terms: config.terms.clone(),
        nonce,
    });
    let hello = frame::encode(&hello, BEFORE_ADMISSION).map_err(|error| {
        Attempt::Final(FleetError::Settings(format!(
            "this host's settings are too many for the rendezvous ({error}): shorten names and lists"
        )))
    })?;
    link.send_bytes(&hello).map_err(broken)?;
    let FromCaptain::Challenge(theirs) = hear(config, &link, deadline)? else {
        return Err(stranger(config, "it sent no challenge"));
    };
    let exchange = Exchange {
        member: nonce,
        captain: theirs,
        hello: frame::body(&hello),
    };
    let proof = FromMember::Proof(config.token.prove(Side::Member, &exchange));
    link.send(&proof, BEFORE_ADMISSION).map_err(broken)?;
    let FromCaptain::Welcome {
        proof,
        run,
        host,
        origin_epoch_ns,
    } = hear(config, &link, deadline)?
    else {
        return Err(stranger(config, "it sent no welcome"));
    };
    if !config.token.verify(Side::Captain, &exchange, &proof) {
        let address = config.address.clone();
        return Err(Attempt::Final(FleetError::Unproven { address }));
    }
    link.admitted().map_err(|error| broken(error.into()))?;
    Ok(Joined {
        link,
        run: for_people(&run),
        host: for_people(&host),
        origin_epoch_ns,
    })
}

/// The captain's next message, unless it is a refusal.
fn hear(config: &MemberConfig, link: &Link, deadline: Instant) -> Result<FromCaptain, Attempt> {
    let body = match link.receive_until(deadline) {
        Ok(Some(body)) => body,
        Ok(None) => {
            return Err(Attempt::Again(
                "it ended the connection before it had admitted this host".to_owned(),
            ));
        }
        Err(error @ (FrameError::Broken(_) | FrameError::TooSlow | FrameError::CutShort)) => {
            return Err(broken(error));
        }
        Err(error) => return Err(stranger(config, &error.to_string())),
    };
    match frame::decode(&body) {
        Ok(FromCaptain::Refused(why)) => Err(Attempt::Final(FleetError::Refused {
            address: config.address.clone(),
            why: for_people(&why),
        })),
        Ok(message) => Ok(message),
        Err(error) => Err(stranger(config, &error.to_string())),
    }
}

fn broken(error: FrameError) -> Attempt {
    Attempt::Again(obituary::<()>(&Err(error)))
}

fn stranger(config: &MemberConfig, why: &str) -> Attempt {
    Attempt::Final(FleetError::Stranger {
        address: config.address.clone(),
        why: for_people(why),
    })
}
