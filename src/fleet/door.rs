//! Who may come in, and how much of our time the others get: 5 s each, 64 at once, 4 KiB a frame.
//!
//! Does not decide who fits; see `admission` and `roster`. A thread accepts; each connection has a thread of its own,
//! first for its admission, then to listen to the member. All of them sleep in the kernel while nothing comes.

use super::board::{Board, LOOK, Waited};
use super::frame::{self, BEFORE_ADMISSION, FrameError};
use super::hall::Hall;
use super::link::Link;
use super::message::{FromCaptain, FromMember, for_people, version_of};
use super::token::{Bytes32, Exchange, Side};
use super::{Seat, admission};
use std::collections::VecDeque;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that an admission may take.
pub(super) const ADMISSION: Duration = Duration::from_secs(5);
/// Connections that wait for admission; the next one takes the eldest's place.
const MOST_WAITING: usize = 64;
/// Threads of those and of the ones that have just lost their place.
const MOST_THREADS: usize = 2 * MOST_WAITING;
/// The pause after an accept that failed: out of descriptors, or the connection is gone again.
const REST: Duration = Duration::from_millis(20);

/// Those outside.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// The eldest first.
    waiting: VecDeque<(u64, Arc<Link>)>,
    came: u64,
    threads: usize,
    closed: bool,
    /// The accept has been woken.
    woken: bool,
}

/// Why somebody stays outside.
enum Outside {
    /// He is told.
    Refused(String),
    /// He is not: too slow, gone, or no host of ours.
    Ignored,
}

impl From<FrameError> for Outside {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLong { .. } => Self::Refused(format!("{error}, before it was admitted")),
            _ => Self::Ignored,
        }
    }
}

/// Accepts until the door is closed.
pub(super) fn serve(hall: &Arc<Hall>, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if hall.door.look(|door| door.closed) {
            return;
        }
        match accepted {
            Ok((stream, _)) => let_in(hall, stream),
            Err(_) => std::thread::sleep(REST),
        }
    }
}

/// Gives a connection a place and a thread. One that cannot have them is closed, and tries again if it is a member.
fn let_in(hall: &Arc<Hall>, stream: TcpStream) {
    let Ok(link) = Link::new(stream).map(Arc::new) else {
        return;
    };
    let (number, eldest) = hall.door.change(|door| {
        let full = door.waiting.len() >= MOST_WAITING;
        let eldest = if full { door.waiting.pop_front() } else { None };
        door.came += 1;
        door.waiting.push_back((door.came, Arc::clone(&link)));
        door.threads += 1;
        (door.came, eldest)
    });
    if let Some((_, eldest)) = eldest {
        eldest.end();
    }
    let inside = Arc::clone(hall);
    let spawned = std::thread::Builder::new()
        .name("rendezvous".to_owned())
        .spawn(move || meet(&inside, number, &link));
    if spawned.is_err() {
        leave(&hall.door, number);
    }
    // The eldest ends as soon as its thread runs.
    while let Waited::TimedOut = hall.door.wait(LOOK, &mut || None, |door| {
        (door.threads < MOST_THREADS).then_some(())
    }) {}
}

fn leave(door: &Board<Door>, number: u64) {
    door.change(|door| {
        door.waiting.retain(|(other, _)| *other != number);
        door.threads -= 1;
    });
}

/// Takes somebody who fits out of those that a crowd may push out, and says whether none had. A host that has been seated
/// would else end the run when it loses its place.
fn rise(door: &Board<Door>, number: u64) -> bool {
    door.change(|door| {
        let before = door.waiting.len();
        door.waiting.retain(|(other, _)| *other != number);
        door.waiting.len() < before
    })
}

/// Closes on all who are still outside.
pub(super) fn shut(door: &Board<Door>) {
    let waiting = door.change(|door| std::mem::take(&mut door.waiting));
    for (_, link) in waiting {
        link.end();
    }
}

fn meet(hall: &Arc<Hall>, number: u64, link: &Arc<Link>) {
    let deadline = Instant::now() + ADMISSION;
    match admit(hall, number, link, deadline) {
        Ok(seat) => {
            leave(&hall.door, number);
            hall.listen_to(seat, link);
        }
        Err(outside) => {
            if let Outside::Refused(why) = outside {
                // Who does not listen is not told.
                let _ = link.send(&FromCaptain::Refused(why), BEFORE_ADMISSION);
            }
            link.part(deadline);
            leave(&hall.door, number);
        }
    }
}

/// From the hello to the welcome.
fn admit(hall: &Hall, number: u64, link: &Arc<Link>, deadline: Instant) -> Result<Seat, Outside> {
    let heard = link.receive_until(deadline)?.ok_or(Outside::Ignored)?;
    let spoken = version_of(&heard).ok_or(Outside::Ignored)?;
    let refused = |why: String| {
        hall.board
            .change(|roster| roster.refused(&for_people(&why)));
        Outside::Refused(for_people(&why))
    };
    admission::version(spoken, &hall.house).map_err(refused)?;
    let FromMember::Hello(hello) = frame::decode(&heard)? else {
        return Err(Outside::Ignored);
    };
    // The name comes into what is said of him, whoever he is.
    admission::name("host", &hello.host).map_err(|error| refused(error.to_string()))?;
    let nonce = Bytes32::random();
    link.send(&FromCaptain::Challenge(nonce), BEFORE_ADMISSION)?;
    let answer = link.receive_until(deadline)?.ok_or(Outside::Ignored)?;
    let FromMember::Proof(proof) = frame::decode(&answer)? else {
        return Err(Outside::Ignored);
    };
    let exchange = Exchange {
        member: hello.nonce,
        captain: nonce,
        hello: &heard,
    };
    if !hall.token.verify(Side::Member, &exchange, &proof) {
        return Err(refused(format!(
            "{} has not the token of {}: give all hosts the same",
            hello.host, hall.house.host
        )));
    }
    admission::examine(&hello, &hall.house).map_err(refused)?;
    if !rise(&hall.door, number) {
        return Err(Outside::Ignored);
    }
    let seated = hall
        .board
        .change(|roster| roster.seat(hello.seat, &hello.host, link));
    seated.map_err(refused)?;
    let welcome = FromCaptain::Welcome {
        proof: hall.token.prove(Side::Captain, &exchange),
        run: hall.run.clone(),
        host: hall.house.host.clone(),
        origin_epoch_ns: hall.origin_epoch_ns,
    };
    let told = link
        .send(&welcome, BEFORE_ADMISSION)
        .and_then(|()| link.admitted().map_err(FrameError::Broken));
    count_in(hall, hello.seat, told.is_ok())
}

/// Counts a host in that has its welcome, or frees its seat.
fn count_in(hall: &Hall, seat: Seat, told: bool) -> Result<Seat, Outside> {
    hall.board.change(|roster| {
        // A captain that has left in between did not know him.
        if !told || roster.closing {
            roster.parties.remove(&seat);
            return Err(Outside::Ignored);
        }
        if let Some(party) = roster.parties.get_mut(&seat) {
            party.welcomed = true;
        }
        roster.readers += 1;
        Ok(seat)
    })
}

/// Admits no more: whoever connects from now on is refused by the kernel, which costs no thread of ours. Those who wait for
/// admission have their answer. Whether the accept has been woken.
pub(super) fn close(door: &Board<Door>, listener: &TcpListener) -> bool {
    door.change(|door| {
        door.closed = true;
        let listening = socket2::SockRef::from(listener);
        door.woken |= listening.shutdown(std::net::Shutdown::Both).is_ok();
        door.woken
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_risen_cannot_be_pushed_out_and_who_was_pushed_out_does_not_rise() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let link = Arc::new(Link::new(stream).unwrap());
        let door = Board::new(Door::default());
        door.change(|door| {
            let places = (1..=3).map(|number| (number, Arc::clone(&link)));
            door.waiting.extend(places);
        });
        assert!(rise(&door, 1));
        let pushed_out = door.change(|door| door.waiting.pop_front()).unwrap().0;
        assert_eq!(pushed_out, 2, "the eldest that has not risen");
        assert!(!rise(&door, 2));
        assert!(rise(&door, 3));
        assert_eq!(door.look(|door| door.waiting.len()), 0);
    }
}
