//! An OpenMetrics endpoint: one page of figures of a half by hand, for Prometheus and its like.
//!
//! Does not look at connections or core threads. The main thread, which looks at a snapshot ten times a second anyway,
//! leaves it here; a scrape is answered from that. What a scrape costs is a millisecond of an unpinned thread when the
//! text is written anew, five times a second at most, and a tenth of that otherwise. A crowd that never pauses is served
//! two hundred times a second, for 2 % of a core; round trips of 10,000 connections did not show it.
//!
//! | file | subject |
//! |---|---|
//! | `page` | the figures in the text format |
//! | `http` | who asks, and how much of our time they get |

#![forbid(unsafe_code)]

mod http;
mod page;

use crate::bank::Snapshot;
use page::Page;
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Scrapes served at the same time; others wait in the accept queue.
const WORKERS: usize = 4;

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// Somebody has the port.
    #[error(
        "the metrics port of {address} is taken: see by whom with `ss -ltnp 'sport = :{}'`, or choose another with --metrics",
        address.port()
    )]
    Busy {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The address cannot be bound for another reason.
    #[error(
        "metrics cannot be served on {address} ({source}): choose an address of this host, and a port from 1024 up"
    )]
    Refused {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread to be had.
    #[error("the metrics thread could not be started ({0}): is the limit of processes reached?")]
    Thread(io::Error),
}

/// What is asked and answered, by all workers.
#[derive(Debug)]
struct Shared {
    page: Page,
    listener: TcpListener,
    stopping: AtomicBool,
}

/// A running endpoint; it ends when dropped.
#[derive(Debug)]
pub struct Exporter {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Listens on `address`. `build` are the labels of the page's first line, which says what runs.
    ///
    /// # Errors
    /// [`ExporterError`].
    pub fn start(
        address: SocketAddr,
        build: Vec<(&'static str, String)>,
    ) -> Result<Self, ExporterError> {
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ExporterError::Busy { address },
            _ => ExporterError::Refused { address, source },
        };
        let listener = TcpListener::bind(address).map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let mut exporter = Self {
            address: bound,
            shared: Arc::new(Shared {
                page: Page::new(build),
                listener,
                stopping: AtomicBool::new(false),
            }),
            workers: Vec::new(),
        };
        for _ in 0..WORKERS {
            let shared = Arc::clone(&exporter.shared);
            let worker = std::thread::Builder::new()
                .name("metrics".to_owned())
                .spawn(move || {
                    http::work(&shared.listener, &shared.stopping, || shared.page.text());
                });
            exporter
                .workers
                .push(worker.map_err(ExporterError::Thread)?);
        }
        Ok(exporter)
    }

    /// What the next scrapes are answered from.
    pub fn show(&self, snapshot: &Snapshot) {
        self.shared.page.show(snapshot);
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes those who wait for a connection (Linux; elsewhere it would not).
        let _ = SockRef::from(&self.shared.listener).shutdown(Shutdown::Both);
        for worker in self.workers.drain(..) {
            // A panicked thread has already printed its message.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Instant;

    #[test]
    fn a_taken_port_is_named_and_dropping_frees_it_at_once() {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let exporter = Exporter::start(anywhere, Vec::new()).unwrap();
        let address = exporter.address;
        let error = Exporter::start(address, Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains(&format!(":{}'", address.port())),
            "{error}"
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("# EOF\n"));
        // One that says nothing does not hold up the end.
        let _silent = TcpStream::connect(address).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let begun = Instant::now();
        drop(exporter);
        assert!(begun.elapsed().as_millis() < 1_000, "it lingers");
        drop(TcpListener::bind(address).unwrap());
    }

    #[test]
    fn an_address_of_another_host_is_refused_with_a_reason() {
        // TEST-NET-1, RFC 5737: nobody's.
        let foreign = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
        let error = Exporter::start(foreign, Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains("address of this host"),
            "{error}"
        );
    }
}
