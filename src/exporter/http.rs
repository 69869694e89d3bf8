//! Who asks for the page, and how much of our time they get: one request of 8 KiB within two seconds, GET or HEAD, then
//! the connection is closed.
//!
//! Does not know what the page says. No TLS, no names, nothing but `/metrics`. A worker rests after every connection, so
//! that a crowd of scrapers costs no more than a little CPU. HTTP by RFC 9110 and RFC 9112, the request read by the crate
//! `httparse`.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest request, headers and all.
const LONGEST_REQUEST: usize = 8 << 10;
/// Headers of a request; browsers send some twenty.
const MOST_HEADERS: usize = 64;
/// The longest that one connection may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon a worker notices that it is to end.
const SLICE: Duration = Duration::from_millis(100);
/// A worker's pause after each connection.
const REST: Duration = Duration::from_millis(20);
/// What is read of a request that was refused, so that its sender sees the answer and no reset.
const LONGEST_REMAINDER: usize = 256 << 10;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves one connection after the other until told to stop.
pub(super) fn work(listener: &TcpListener, stopping: &AtomicBool, page: impl Fn() -> String) {
    while !stopping.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => {
                // A peer that is gone or too slow has nobody to be told.
                let _ = serve(&stream, stopping, &page);
                std::thread::sleep(REST);
            }
            // Out of descriptors, or the connection is gone again; the next try may do.
            Err(_) => std::thread::sleep(REST),
        }
    }
}

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is not whole yet.
    More,
    /// The page; for HEAD without its text.
    Page { head: bool },
    /// Something else: status line and, if it matters, a header.
    Refused(&'static str, &'static str),
}

fn judge(request: &[u8]) -> Verdict {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if request.len() < LONGEST_REQUEST => return Verdict::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Verdict::Refused("431 Request Header Fields Too Large", "");
        }
        Err(_) => return Verdict::Refused("400 Bad Request", ""),
    }
    let path = parsed.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match parsed.method {
        _ if path != "/metrics" => Verdict::Refused("404 Not Found", ""),
        Some("GET") => Verdict::Page { head: false },
        Some("HEAD") => Verdict::Page { head: true },
        _ => Verdict::Refused("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
    }
}

fn serve(
    mut stream: &TcpStream,
    stopping: &AtomicBool,
    page: &impl Fn() -> String,
) -> io::Result<()> {
    stream.set_read_timeout(Some(SLICE))?;
    stream.set_write_timeout(Some(SLICE))?;
    let clock = Deadline {
        end: Instant::now() + PATIENCE,
        stopping,
    };
    let mut request = vec![0; LONGEST_REQUEST];
    let mut filled = 0;
    let verdict = loop {
        match clock.again(|| stream.read(&mut request[filled..]))? {
            // It has changed its mind.
            0 => return Ok(()),
            more => filled += more,
        }
        match judge(&request[..filled]) {
            Verdict::More => {}
            verdict => break verdict,
        }
    };
    let answer = match &verdict {
        Verdict::Page { head } => {
            let text = page();
            let length = text.len();
            let body = if *head { "" } else { &text };
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
        }
        Verdict::Refused(status, header) => {
            let text = format!("{status}: there is GET /metrics here and nothing else\n");
            let length = text.len();
            format!(
                "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            )
        }
        Verdict::More => return Ok(()),
    };
    let mut left = answer.as_bytes();
    while !left.is_empty() {
        let written = clock.again(|| stream.write(left))?;
        left = &left[written..];
    }
    stream.shutdown(Shutdown::Write)?;
    // A close with something unread would be a reset, and might cost the peer the answer.
    let mut drained = 0;
    while drained < LONGEST_REMAINDER {
        match clock.again(|| stream.read(&mut request))? {
            0 => break,
            more => drained += more,
        }
    }
    Ok(())
}

/// Until when a connection is served.
struct Deadline<'a> {
    end: Instant,
    stopping: &'a AtomicBool,
}

impl Deadline<'_> {
    /// Tries again as long as there is time.
    fn again(&self, mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match attempt() {
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                other => {
                    // Whoever sends a byte at a time has no more time than others.
                    if Instant::now() < self.end {
                        return other;
                    }
                    return Err(ErrorKind::TimedOut.into());
                }
            }
            if Instant::now() >= self.end || self.stopping.load(Ordering::Acquire) {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(request: &str) -> &'static str {
        match judge(request.as_bytes()) {
            Verdict::Refused(status, _) => &status[..3],
            other => panic!("{request:?}: {other:?}"),
        }
    }

    #[test]
    fn the_page_is_given_to_get_and_head_alone() {
        let page = |head| Verdict::Page { head };
        let scrape = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        assert_eq!(judge(scrape), page(false));
        for cut in 1..scrape.len() {
            assert_eq!(judge(&scrape[..cut]), Verdict::More, "{cut}");
        }
        assert_eq!(judge(b"HEAD /metrics?x=1 HTTP/1.0\r\n\r\n"), page(true));
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(refused("GET /metrics/ HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(refused("POST /metrics HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(refused("GET  /metrics HTTP/1.1\r\n\r\n"), "400");
        assert_eq!(refused("\u{16}\u{3}\u{1}"), "400", "TLS");
        let long = format!(
            "GET /metrics HTTP/1.1\r\nX: {}",
            "x".repeat(LONGEST_REQUEST)
        );
        assert_eq!(refused(&long[..LONGEST_REQUEST]), "431");
        let many = "X: y\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(
            refused(&format!("GET /metrics HTTP/1.1\r\n{many}\r\n")),
            "431"
        );
    }

    proptest! {
        #[test]
        fn garbage_is_no_page_and_no_panic(request in prop::collection::vec(any::<u8>(), 0..LONGEST_REQUEST)) {
            let verdict = judge(&request);
            prop_assert!(!matches!(verdict, Verdict::Page { .. }), "{verdict:?}");
        }
    }
}
