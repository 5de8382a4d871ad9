//! A real headless browser, and a canary on the network that tells whether a page reached for it.
//!
//! Chromium comes inside an npm package (locked in `browser/package-lock.json`), with the libraries it needs beside glibc, so that it starts
//! on a plain Debian; Playwright drives it. Both are installed on first use and kept under [`oracle::cache_dir`](crate::oracle::cache_dir).
//! Needs `node` ≥ 20, `npm` and `tar` on `PATH`.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::oracle::{cache_dir, digest_of, workspace};
use crate::program::Running;

const PACKAGES: &str = include_str!("../browser/package-lock.json");
/// Raised when the layout changes though the locked files do not.
const LAYOUT: u32 = 2;
const COMPLETE: &str = "complete";

/// How long the browser may take for all it is asked, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(5);

/// A visit to a page.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    url: String,
    press: bool,
    wait: bool,
    dark: bool,
    read: Vec<String>,
}

impl Visit {
    /// To a file.
    pub fn file(path: &Path) -> Self {
        Self { url: format!("file://{}", path.display()), ..Self::default() }
    }

    /// Presses the buttons in the page's frames, and waits until what they start has set `window.tried`.
    #[must_use]
    pub fn pressing(self) -> Self {
        Self { press: true, wait: true, ..self }
    }

    /// Waits until what runs in the page's frames has set `window.tried`.
    #[must_use]
    pub fn waiting(self) -> Self {
        Self { wait: true, ..self }
    }

    /// Comes with a preference for dark pages.
    #[must_use]
    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }

    /// Evaluates an expression of JavaScript in the page.
    #[must_use]
    pub fn reading(mut self, expression: &str) -> Self {
        self.read.push(expression.to_owned());
        self
    }
}

/// What came of a visit.
#[derive(Clone, Debug)]
pub struct Seen(pub Value);

impl Seen {
    /// The values of the expressions that were to be read.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn value(&self, index: usize) -> &Value {
        self.0["values"].get(index).unwrap_or_else(|| panic!("no value {index} in {:#}", self.0))
    }

    /// The texts of the page's frames.
    pub fn frames(&self) -> Vec<&str> {
        self.0["frames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Checks that the page stayed where it was and opened nothing.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn expect_quiet(&self) {
        let quiet = ["popups", "dialogs", "downloads"].iter().all(|what| self.0[*what] == 0);
        assert!(quiet && self.0["left"] == json!([]), "{:#}", self.0);
    }
}

/// Visits pages, one after the other, in one browser.
///
/// # Panics
/// When the browser cannot be installed or started, or a visit fails.
#[track_caller]
pub fn visit(visits: &[Visit]) -> Vec<Seen> {
    let modules = installed();
    let asked: Vec<Value> = visits
        .iter()
        .map(|Visit { url, press, wait, dark, read }| {
            json!({"url": url, "press": press, "wait": wait, "dark": dark, "read": read})
        })
        .collect();
    let answers = ask(&modules, &asked.into());
    assert_eq!(answers.len(), visits.len());
    answers.into_iter().map(Seen).collect()
}

/// Has the browser make visits and tell of them.
fn ask(modules: &Path, visits: &Value) -> Vec<Value> {
    let home = tempfile::TempDir::new().expect("a temporary folder can be made");
    let mut command = Command::new("node");
    command
        .arg(workspace().join("tests/browser/open.mjs"))
        .args([modules, &modules.join("browser")])
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .stdin(Stdio::piped());
    let mut running = Running::start(&mut command);
    running.feed(visits.to_string().into_bytes());
    let done = running.finish(PATIENCE);
    assert!(done.status.success(), "the browser failed: {}\n{}", done.status, done.stderr);
    serde_json::from_slice(&done.stdout).expect("the visits are told as JSON")
}

/// The folder whose `node_modules` holds the browser.
fn installed() -> PathBuf {
    let digest = digest_of(&[PACKAGES, &LAYOUT.to_string()]);
    let dir = cache_dir().join(format!("browser-{digest}"));
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot make {}: {e}", dir.display()));
    let lock =
        File::create(cache_dir().join(format!("browser-{digest}.lock"))).expect("the cache is writable");
    lock.lock().unwrap_or_else(|e| panic!("cannot lock: {e}"));
    if dir.join(COMPLETE).is_file() {
        return dir;
    }
    let source = workspace().join("tests/browser");
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), dir.join(file)).unwrap_or_else(|e| panic!("cannot copy {file}: {e}"));
    }
    let run = |command: &mut Command| {
        let out = command.current_dir(&dir).stdin(Stdio::null()).output();
        let out = out.unwrap_or_else(|e| panic!("the report's tests need node ≥ 20 and npm on PATH: {e}"));
        assert!(
            out.status.success(),
            "{command:?}: {}\n{}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    };
    run(Command::new("npm").args([
        "ci",
        "--omit=dev",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]));
    // Unpacks the browser, and shows that it starts.
    ask(&dir, &json!([]));
    fs::write(dir.join(COMPLETE), digest)
        .unwrap_or_else(|e| panic!("cannot complete {}: {e}", dir.display()));
    dir
}

/// A listener on loopback that remembers everybody who connects.
#[derive(Debug)]
pub struct Canary {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Canary {
    /// Begins to listen.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (heard, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let listening = thread::spawn({
            let (heard, stop) = (Arc::clone(&heard), Arc::clone(&stop));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let said = stream.map_or_else(|error| error.to_string(), first_line);
                    heard.lock().expect("nobody panics while holding it").push(said);
                }
            }
        });
        Self { address, heard, stop, listening: Some(listening) }
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Who connected so far, by the first line they said.
    ///
    /// # Panics
    /// When the listener panicked.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("the listener does not panic").clone()
    }
}

/// The first line that is said, if it comes soon: who connects and says nothing has connected all the same.
fn first_line(mut stream: TcpStream) -> String {
    let mut bytes = [0; 300];
    let timeout = stream.set_read_timeout(Some(Duration::from_millis(500)));
    let count = timeout.and_then(|()| stream.read(&mut bytes)).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or("(a connection)").to_owned()
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread out of its wait for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}
