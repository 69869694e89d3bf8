//! The two halves of a trial, wherever the load generator runs, and what is read around them.
//!
//! Does not decide when anything happens: the [trial](super::trial) does.

use super::ExperimentError;
use super::load_side::LoadSide;
use super::network::NetworkPath;
use super::process::Half;
use crate::measure::wire::Place;
use crate::os::established::count_established;
use crate::record::ShardRecord;

/// The server, a process of this host, and the load generator.
pub(super) struct Halves {
    pub(super) server: Half,
    pub(super) load: LoadSide,
    pub(super) port: u16,
}

/// Where the packets of a trial are counted.
#[derive(Clone, Debug)]
pub(super) enum Ground {
    /// Between processes of this host.
    Local(Place<'static>),
    /// At the interface of this name.
    Interface(String),
}

impl Ground {
    pub(super) fn place(&self) -> Place<'_> {
        match self {
            Self::Local(place) => *place,
            Self::Interface(interface) => Place::Here { interface },
        }
    }
}

/// Who holds connections when a window has closed.
#[derive(Debug)]
pub(super) struct Held {
    /// Established sockets, the fewer of the two ends. Of a load generator on another host no more are counted than it
    /// says it holds.
    pub(super) kernel: u64,
    /// The load generators one by one; none where there is one, on this host.
    pub(super) hosts: Vec<ShardRecord>,
}

impl Halves {
    /// The server's process, and the load generator's if it is one of this host.
    pub(super) fn pids(&self) -> (u32, Option<u32>) {
        (self.server.pid(), self.load.pid())
    }

    /// Both processes, where what is measured needs both on this host.
    pub(super) fn both(&self) -> Result<(u32, u32), ExperimentError> {
        let load = self.load.pid().ok_or_else(|| {
            ExperimentError::Host("this is measured with both halves on one host".to_owned())
        })?;
        Ok((self.server.pid(), load))
    }

    /// Where packets are counted.
    pub(super) fn ground(&self, path: NetworkPath) -> Ground {
        match &self.load {
            LoadSide::Here(load) => Ground::Local(path.place((self.server.pid(), load.pid()))),
            LoadSide::Elsewhere(loads) => Ground::Interface(loads.fleet().interface().to_owned()),
        }
    }

    /// The processes whose namespaces hold the probing sockets; none is the host's own.
    pub(super) fn namespaces(&self, path: NetworkPath) -> Vec<u32> {
        match self.pids() {
            (server, Some(load)) => path.namespaces((server, load)),
            (_, None) => Vec::new(),
        }
    }

    /// Who holds connections, after the window.
    pub(super) fn audit(&mut self, path: NetworkPath) -> Result<Held, ExperimentError> {
        let port = self.port;
        match &mut self.load {
            LoadSide::Here(load) => {
                let found = path.audit((self.server.pid(), load.pid()), port)?;
                Ok(Held {
                    kernel: found.server_side.min(found.client_side),
                    hosts: Vec::new(),
                })
            }
            LoadSide::Elsewhere(loads) => {
                let hosts = loads.audit(port)?;
                let theirs = hosts.iter().map(|host| host.connections_held_at_end).sum();
                Ok(Held {
                    kernel: count_established(port)?.server_side.min(theirs),
                    hosts,
                })
            }
        }
    }
}
