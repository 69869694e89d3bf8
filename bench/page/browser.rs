//! A headless Chromium of the tests' own, driven over W3C `WebDriver` by `chromedriver`; both end with the test.
//!
//! Does not judge a page. Its profile lies in a temporary folder, its port is one that was free.

use ringbeat::record::Record;
use ringbeat::report::{html, load};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One browser at a time: two would fight over two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
const START: Duration = Duration::from_secs(20);
/// No first-run page, no traffic of the browser's own, and no sandbox, which root and containers do not get.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

pub(crate) struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Browser {
    /// `None`, with a visible skip, where there is none.
    pub(crate) fn open() -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        for program in ["chromium", "chromedriver"] {
            let asked = Command::new(program).arg("--version").output();
            if !asked.is_ok_and(|answer| answer.status.success()) {
                let why = "not there; install the packages chromium and chromium-driver";
                let _ = writeln!(std::io::stderr(), "SKIPPED: {program} is {why}");
                return None;
            }
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(1)));
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            agent: config.http_status_as_error(false).build().into(),
            folder: tempfile::tempdir().unwrap(),
            _alone: alone,
        };
        browser.begin();
        Some(browser)
    }

    fn begin(&mut self) {
        let profile = self.folder.path().join("profile");
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"args": flags},
        }}});
        let since = Instant::now();
        let answer = loop {
            match self.agent.post(&self.session).send_json(&wanted) {
                Ok(mut answer) => break answer.body_mut().read_json::<Value>().unwrap(),
                Err(error) => assert!(since.elapsed() < START, "chromedriver: {error}"),
            }
            thread::sleep(Duration::from_millis(50));
        };
        let id = answer["value"]["sessionId"].as_str();
        let id = id.unwrap_or_else(|| panic!("no session: {answer}"));
        self.session = format!("{}/{id}", self.session);
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let address = format!("{}/{command}", self.session);
        let mut answer = self.agent.post(&address).send_json(body).unwrap();
        let status = answer.status();
        let mut answer: Value = answer.body_mut().read_json().unwrap();
        assert!(status.is_success(), "{command}: {answer}");
        answer["value"].take()
    }

    /// A command of the Chrome `DevTools` Protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// What `script` returns.
    pub(crate) fn asks(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// What `script` counts.
    pub(crate) fn number(&self, script: &str) -> u64 {
        let answer = self.asks(script);
        answer
            .as_u64()
            .unwrap_or_else(|| panic!("{script}: {answer}"))
    }

    /// What `script` says.
    pub(crate) fn text(&self, script: &str) -> String {
        let answer = self.asks(script);
        let text = answer.as_str();
        text.unwrap_or_else(|| panic!("{script}: {answer}"))
            .to_owned()
    }

    /// The pointer goes to `(x, y)` of the window, and with `drag` on from there with the button held.
    pub(crate) fn points(&self, (x, y): (f64, f64), drag: Option<f64>) {
        let go =
            |x: f64| json!({"type": "pointerMove", "duration": 30, "x": x.round(), "y": y.round()});
        let mut steps = vec![go(x - 3.0), go(x)];
        if let Some(to) = drag {
            let middle = f64::midpoint(x, to);
            steps.push(json!({"type": "pointerDown", "button": 0}));
            steps.extend([go(middle), go(to)]);
            steps.push(json!({"type": "pointerUp", "button": 0}));
        }
        let mouse = json!({"type": "pointer", "id": "mouse", "actions": steps});
        self.post("actions", &json!({"actions": [mouse]}));
    }

    /// Presses a key in what has the focus.
    pub(crate) fn presses(&self, key: &str) {
        let steps = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let keys = json!({"type": "key", "id": "keys", "actions": steps});
        self.post("actions", &json!({"actions": [keys]}));
    }

    /// Gives the window this size in CSS pixels.
    pub(crate) fn sized(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Renders the record kept in `results/` + `name` and opens the page, 1000 pixels wide.
    pub(crate) fn shows(&self, name: &str) -> Record {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("results")
            .join(name);
        let record = load(&kept).unwrap();
        self.shows_page(&html(&record).unwrap());
        record
    }

    /// Opens `page` as a file.
    pub(crate) fn shows_page(&self, page: &str) {
        let file = self.folder.path().join("report.html");
        fs::write(&file, page).unwrap();
        self.sized(1000, 800);
        self.post("url", &json!({"url": format!("file://{}", file.display())}));
    }

    /// What was asked for since the last look; the browser's own first page, which asks for itself, is left out.
    pub(crate) fn requests(&self) -> Vec<String> {
        let events = self.log("performance").into_iter();
        events
            .filter(|event| event.contains("\"Network.requestWillBeSent\""))
            .filter(|event| !event.contains("\"documentURL\":\"chrome:"))
            .collect()
    }

    /// What was logged since the last look: `browser` for the console, `performance` for the protocol's events.
    pub(crate) fn log(&self, kind: &str) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": kind}));
        let entries = entries.as_array().unwrap().iter();
        entries
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session's end closes the browser; the driver is ours.
        drop(self.agent.delete(&self.session).call());
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
