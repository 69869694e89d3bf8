//! One host's meters around a window that is held by hand.
//!
//! Does not divide. What cannot be read is absent with its reason and stops nobody: connections held by hand are there for
//! more than their figures.

use crate::clock::{Clock as _, MonotonicClock, wall_epoch_ns};
use crate::measure::cpu::CpuSnapshot;
use crate::measure::wire::{Place, WireDelta, WireSnapshot};
use crate::os::route::Way;
use crate::record::{CpuNanos, FleetClock, FleetWindow};
use crate::units::Nanos;

/// Whose counters stand in where no interface is known: TCP's, which are the namespace's, come with any.
const ANY_INTERFACE: &str = "lo";

/// A window that is open.
#[derive(Debug)]
pub struct OpenWindow {
    opened: Nanos,
    opened_epoch_ns: u64,
    cpu: Result<CpuSnapshot, String>,
    wire: Result<WireSnapshot, String>,
    way: Result<Way, String>,
}

/// What was measured in it.
#[derive(Clone, Debug)]
pub struct MeasuredWindow {
    opened_epoch_ns: u64,
    length: Nanos,
    /// With the own process as both, see [`rows`](super::rows).
    pub(super) cpu: Result<CpuNanos, String>,
    pub(super) wire: Result<WireDelta, String>,
    /// Why packets cannot be counted, where they cannot.
    pub(super) unseen: Option<String>,
}

impl OpenWindow {
    /// Opens it now; packets are counted where `way` goes.
    #[must_use]
    pub fn open(way: Result<Way, String>) -> Self {
        let cpu = own_cpu();
        let wire = wire(&way);
        Self {
            opened: MonotonicClock.now(),
            opened_epoch_ns: wall_epoch_ns(),
            cpu,
            wire,
            way,
        }
    }

    /// Closes it now.
    #[must_use]
    pub fn close(self) -> MeasuredWindow {
        let length = MonotonicClock.now() - self.opened;
        let wire = wire(&self.way);
        let cpu = self
            .cpu
            .and_then(|opened| Ok((opened, own_cpu()?)))
            .and_then(|(opened, closed)| opened.until(&closed).map_err(|error| error.to_string()));
        MeasuredWindow {
            opened_epoch_ns: self.opened_epoch_ns,
            length,
            cpu,
            wire: self.wire.and_then(|opened| Ok(opened.until(&wire?))),
            unseen: self.way.err(),
        }
    }
}

impl MeasuredWindow {
    /// When and for how long, as the record has it.
    #[must_use]
    pub fn record(&self, clock: FleetClock) -> FleetWindow {
        FleetWindow {
            opened_epoch_ns: self.opened_epoch_ns,
            length_ns: self.length.0,
            clock,
        }
    }
}

#[cfg(test)]
impl MeasuredWindow {
    /// Invented figures, the process's CPU in both places as the meter gives it.
    pub(super) fn invented() -> Self {
        Self {
            opened_epoch_ns: 1,
            length: Nanos::from_secs(1),
            cpu: Ok(CpuNanos {
                server_process: 7,
                load_process: Some(7),
                ..CpuNanos::default()
            }),
            wire: Ok(WireDelta {
                packets: 12,
                ..WireDelta::default()
            }),
            unseen: None,
        }
    }
}

fn own_cpu() -> Result<CpuSnapshot, String> {
    let own = std::process::id();
    CpuSnapshot::take(own, own).map_err(|error| error.to_string())
}

fn wire(way: &Result<Way, String>) -> Result<WireSnapshot, String> {
    let interface = way
        .as_ref()
        .map_or(ANY_INTERFACE, |way| way.interface.as_str());
    WireSnapshot::take(Place::Here { interface }).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::route::way_to;
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

    #[test]
    fn a_window_counts_this_host() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let target = SocketAddrV4::new(Ipv4Addr::LOCALHOST, address.port());
        let window = OpenWindow::open(way_to(target).map_err(|error| error.to_string()));
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        let measured = window.close();
        assert!(measured.wire.as_ref().unwrap().packets >= 4, "{measured:?}");
        assert!(measured.cpu.is_ok() && measured.unseen.is_none());
        let record = measured.record(FleetClock::default());
        assert!(record.length_ns > 0 && record.opened_epoch_ns > 1_700_000_000_000_000_000);
    }

    #[test]
    fn without_an_interface_the_rest_is_still_counted() {
        let measured = OpenWindow::open(Err("it listens everywhere".to_owned())).close();
        assert_eq!(measured.unseen.as_deref(), Some("it listens everywhere"));
        assert!(measured.wire.is_ok() && measured.cpu.is_ok());
    }
}
