//! The servers that the stores are tested against, each on a free port of loopback, with its own data, gone with the value.
//!
//! - [`Server::azurite`]: Azure Blob and Queue Storage, Microsoft's own emulator, from the locked `azurite/package-lock.json`.
//! - [`Server::s3`]: S3, moto, from the locked `servers/requirements.txt`.
//! - [`Server::gs`]: Google Cloud Storage, gcp-storage-emulator, from the same.
//! - [`Http`]: any HTTP server, played by a closure.
//!
//! What they are made of is installed on first use (see [`oracle::environment`](crate::oracle::environment)). Azurite needs `node` ≥ 20
//! and `npm` on `PATH`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::oracle::{cache_dir, digest_of, environment, workspace};

const REQUIREMENTS: &str = include_str!("../servers/requirements.txt");
const PACKAGES: &str = include_str!("../azurite/package-lock.json");
/// Raised when the layout changes though the locked files do not.
const LAYOUT: u32 = 1;
const COMPLETE: &str = "complete";

/// How long a server may take to serve, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server of somebody else's making, in a process of its own.
#[derive(Debug)]
pub struct Server {
    child: Child,
    said: Value,
    certificate: String,
    _data: TempDir,
}

impl Server {
    /// Azure Blob Storage with the container `suite`, and Queue Storage. Says `url`, `sas`, `queue` and `connection`.
    pub fn azurite() -> Self {
        // The official client for blobs speaks a newer version of the protocol than Azurite knows.
        Self::azurite_with(&[OsStr::new("--skipApiVersionCheck")])
    }

    /// The same as somebody starts it who does not know about versions.
    pub fn plain_azurite() -> Self {
        Self::azurite_with(&[])
    }

    /// The same with TLS and tokens. Says what [`azurite`](Self::azurite) says; the certificate is in [`certificate`](Self::certificate).
    ///
    /// # Panics
    /// When no certificate can be made.
    pub fn azurite_with_tokens() -> Self {
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
        let folder = TempDir::new().expect("a temporary folder can be made");
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&cert, made.cert.pem()).expect("a new temporary folder is writable");
        fs::write(&key, made.signing_key.serialize_pem()).expect("a new temporary folder is writable");
        let option = OsStr::new;
        let mut server = Self::azurite_with(&[
            option("--oauth"),
            option("basic"),
            option("--cert"),
            cert.as_os_str(),
            option("--key"),
            key.as_os_str(),
        ]);
        server.certificate = made.cert.pem();
        server
    }

    fn azurite_with(options: &[&OsStr]) -> Self {
        let data = TempDir::new().expect("a temporary folder can be made");
        let mut command = Command::new("node");
        command
            .arg(workspace().join("tests/azurite/serve.js"))
            .arg(azurite_modules())
            .arg(data.path())
            .args(options);
        Self::start(command, data)
    }

    /// S3 with the bucket `suite`. Says `url`.
    pub fn s3() -> Self {
        Self::python("s3")
    }

    /// Google Cloud Storage with the bucket `suite`. Says `url`.
    pub fn gs() -> Self {
        Self::python("gs")
    }

    /// What the server said of itself.
    ///
    /// # Panics
    /// When it did not say it.
    pub fn said(&self, name: &str) -> &str {
        self.said[name].as_str().unwrap_or_else(|| panic!("the server did not say its {name}: {}", self.said))
    }

    /// The authority of its certificate, in PEM, if it has one.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    fn python(which: &str) -> Self {
        let python = environment("servers", REQUIREMENTS, LAYOUT, |_| {}).join("bin/python");
        let mut command = Command::new(python);
        command.arg(workspace().join("tests/servers/serve.py")).arg(which);
        Self::start(command, TempDir::new().expect("a temporary folder can be made"))
    }

    /// Starts it and waits for its line. It ends with its standard input, so also when this process is killed.
    fn start(mut command: Command, data: TempDir) -> Self {
        let log = data.path().join("stderr");
        let stderr = File::create(&log).expect("a new temporary folder is writable");
        let mut child = command
            .current_dir(data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // A server may log beside; its own line is the one of JSON.
            while !line.starts_with('{') {
                line.clear();
                if !matches!(stdout.read_line(&mut line), Ok(1..)) {
                    break;
                }
            }
            // Nobody listens once the patience is over. What follows is read away, so that the server never blocks.
            if tell.send(line).is_ok() {
                drop(std::io::copy(&mut stdout, &mut std::io::sink()));
            }
        });
        let line = told.recv_timeout(PATIENCE);
        let said = line.as_ref().ok().and_then(|line| serde_json::from_str(line).ok());
        let Some(said) = said else {
            drop(child.kill());
            drop(child.wait());
            let log = fs::read_to_string(&log).unwrap_or_default();
            panic!("{command:?} does not serve: {line:?}\n{log}");
        };
        Self { child, said, certificate: String::new(), _data: data }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The folder whose `node_modules` holds Azurite.
fn azurite_modules() -> PathBuf {
    let digest = digest_of(&[PACKAGES, &LAYOUT.to_string()]);
    let dir = cache_dir().join(format!("azurite-{digest}"));
    if dir.join(COMPLETE).is_file() {
        return dir;
    }
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot make {}: {e}", dir.display()));
    let lock =
        File::create(cache_dir().join(format!("azurite-{digest}.lock"))).expect("the cache is writable");
    lock.lock().unwrap_or_else(|e| panic!("cannot lock: {e}"));
    if dir.join(COMPLETE).is_file() {
        return dir;
    }
    let source = workspace().join("tests/azurite");
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), dir.join(file)).unwrap_or_else(|e| panic!("cannot copy {file}: {e}"));
    }
    let out = Command::new("npm")
        .args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&dir)
        .output()
        .unwrap_or_else(|e| panic!("the Azure tests need node ≥ 20 and npm on PATH: {e}"));
    assert!(
        out.status.success(),
        "npm cannot install Azurite: {}\n{}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    complete(&dir, &digest);
    dir
}

fn complete(dir: &Path, digest: &str) {
    fs::write(dir.join(COMPLETE), digest)
        .unwrap_or_else(|e| panic!("cannot complete {}: {e}", dir.display()));
}

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET`, `PUT`…
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// The headers; names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// How a server treats the requests that come.
#[derive(Debug, Clone, Copy)]
struct Manners {
    /// The first connections are cut in the middle of their request's body.
    cut: usize,
    /// The answer's body goes out byte by byte.
    byte_by_byte: bool,
}

/// What it is answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Cut the connection after half of the body.
    pub cut: bool,
}

impl Answer {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An HTTP server played by a closure, which remembers what it was asked.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Http {
    /// Serves `answer`, one connection at a time.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn serve(answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self::with_manners(Manners { cut: 0, byte_by_byte: false }, answer)
    }

    /// The same, but the first `cut` connections break in the middle of what they bring.
    pub fn losing(cut: usize, answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self::with_manners(Manners { cut, byte_by_byte: false }, answer)
    }

    /// The same, but each byte of a body comes by itself.
    pub fn trickling(answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self::with_manners(Manners { cut: 0, byte_by_byte: true }, answer)
    }

    fn with_manners(mut manners: Manners, mut answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let serving = thread::spawn({
            let (asked, stop) = (Arc::clone(&asked), Arc::clone(&stop));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // A client that goes away in the middle is the client's affair.
                    let Ok(stream) = stream else { continue };
                    let cut = manners.cut > 0;
                    manners.cut = manners.cut.saturating_sub(1);
                    let Some(request) = read_request(&stream, cut) else { continue };
                    let answer = answer(&request);
                    asked.lock().expect("no test panics while it looks").push(request);
                    drop(write_answer(&stream, &answer, manners.byte_by_byte));
                }
            }
        });
        Self { address, asked, stop, serving: Some(serving) }
    }

    /// A server that keeps what is PUT.
    pub fn storing() -> Self {
        let mut documents: HashMap<String, Vec<u8>> = HashMap::new();
        Self::serve(move |asked| match asked.method.as_str() {
            "PUT" => {
                documents.insert(asked.target.clone(), asked.body.clone());
                Answer::status(201)
            }
            "GET" => documents
                .get(&asked.target)
                .map_or_else(|| Answer::status(404), |body| Answer::ok(body.clone())),
            _ => Answer::status(405),
        })
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    ///
    /// # Panics
    /// When the closure panicked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("the closure does not panic").clone()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread out of its wait for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(serving) = self.serving.take() {
            drop(serving.join());
        }
    }
}

/// `None` when the client went away, or when half of the body is read and we do.
fn read_request(stream: &TcpStream, cut: bool) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; if cut { length / 2 } else { length }];
    reader.read_exact(&mut body).ok()?;
    (!cut).then_some(Asked { method, target, headers, body })
}

fn write_answer(mut stream: &TcpStream, answer: &Answer, byte_by_byte: bool) -> std::io::Result<()> {
    stream.set_nodelay(byte_by_byte)?;
    let mut head = format!(
        "HTTP/1.1 {} status\r\ncontent-length: {}\r\nconnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.extend([*name, ": ", value.as_str(), "\r\n"]);
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    let body = if answer.cut { &answer.body[..answer.body.len() / 2] } else { &answer.body };
    if byte_by_byte {
        body.iter().try_for_each(|byte| stream.write_all(&[*byte]))
    } else {
        stream.write_all(body)
    }
}
