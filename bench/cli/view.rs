//! The live view on a terminal, by a terminal in memory: it shows how things stand, and leaves nothing behind.

use super::child::{ringbeat, serve};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::Read as _;
use std::num::NonZero;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vt100::Parser;

const PATIENCE: Duration = Duration::from_mins(2);
/// So many that nothing scrolls away.
const ROWS: u16 = 100;
const COLUMNS: u16 = 66;

/// A `ringbeat` whose standard error is a terminal.
struct OnTerminal {
    child: Child,
    screen: Arc<Mutex<Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl OnTerminal {
    fn start(arguments: &str) -> Self {
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).unwrap();
        let child = ringbeat(arguments)
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(pair.slave))
            .spawn()
            .unwrap();
        let [rows, columns] = [ROWS, COLUMNS].map(|cells| NonZero::new(cells).unwrap());
        let screen = Arc::new(Mutex::new(Parser::new(rows, columns, 0)));
        let (shown, mut master) = (Arc::clone(&screen), File::from(pair.master));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // EIO when the last process that has the terminal open is gone.
            while let Ok(count) = master.read(&mut bytes)
                && count > 0
            {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self {
            child,
            screen,
            reader: Some(reader),
        }
    }

    fn contents(&self) -> String {
        text(&self.screen.lock().unwrap())
    }

    /// Waits until all `words` are on the screen at once.
    fn shows(&self, words: &[&str]) {
        let begun = Instant::now();
        loop {
            let contents = self.contents();
            if words.iter().all(|word| contents.contains(word)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no {words:?}:\n{contents}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for the end; returns the exit code and what is left on the screen.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let screen = self.screen.lock().unwrap();
        assert!(!screen.screen().hide_cursor(), "the cursor is gone");
        (status.code(), text(&screen))
    }
}

/// What is on the screen, without the spaces that lines are filled up with.
fn text(parser: &Parser) -> String {
    let rows: Vec<_> = parser.screen().rows(0, COLUMNS).collect();
    let rows: Vec<_> = rows.iter().map(|row| row.trim_end()).collect();
    rows.join("\n").trim_end().to_owned()
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that `screen` holds nothing of a view.
fn is_clean(screen: &str) {
    for left in [
        "█",
        "░",
        " gone",
        "rtt p99",
        "events/s",
        "heartbeats/s",
        "\n\n",
    ] {
        assert!(!screen.contains(left), "`{left}` is left over:\n{screen}");
    }
}

#[test]
fn a_half_shows_how_it_stands_and_clears_it_away() {
    let (_server, port) = serve("--interval 1s --timeout 20s --quiet");
    let load = OnTerminal::start(&format!(
        "load --target loopback:{port} --connections 300 --interval 1s --timeout 20s --for 4s"
    ));
    load.shows(&[
        "░ holding\n300 connections, ",
        " heartbeats/s, rtt p99 ",
        "\ncpu ",
        "% of the machine (this process ",
        " gone, about ",
    ]);
    let (code, screen) = load.end();
    assert_eq!(code, Some(0), "{screen}");
    is_clean(&screen);
    assert!(screen.contains("opened 300 of 300 connections"), "{screen}");
}

#[test]
fn an_interrupted_run_leaves_a_clean_screen() {
    if ringbeat::ring::self_test().is_err() {
        super::child::skipped("this host has no io_uring");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let compare = OnTerminal::start(&format!(
        "compare --alongside --connections 400 --arms heartbeat --rounds 1 --interval 1s --timeout 3s --steady 20s \
         --no-rung --out {}",
        out.display()
    ));
    compare.shows(&[
        "[1/2] ",
        "░ ",
        "400 of 400 connections, ",
        "(server ",
        " gone, about ",
    ]);
    compare.signal(Signal::SIGINT);
    let (code, screen) = compare.end();
    assert_eq!(code, Some(130), "{screen}");
    is_clean(&screen);
    assert!(screen.contains("ringbeat: ended by SIGINT"), "{screen}");
}
