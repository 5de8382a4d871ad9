//! What rnbexec itself takes before anything runs: `--version`, and the time from its start to the first byte that a kernel hears.
//!
//! The kernel is this program (`--listen`): it opens its sockets as kernels do, notes when the first byte arrives, and ends. What it
//! takes itself until its sockets are open is not counted, save for the start of its process.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::case::{Scale, notebook};
use crate::contender::World;
use crate::result::median;

/// The name of this case.
pub(crate) const NAME: &str = "startup";

/// Where the kernel notes the time of the first byte.
const HEARD: &str = "RNBEXEC_BENCH_HEARD";

/// Median seconds.
#[derive(Serialize)]
pub(crate) struct Startup {
    /// From the start of `rnbexec --version` to its end.
    pub(crate) version: f64,
    /// From the start of `rnbexec run` to the first byte at its kernel.
    pub(crate) first_byte: f64,
}

/// Measures both.
///
/// # Panics
/// When rnbexec fails, or its kernel hears nothing.
pub(crate) fn measure(world: &World, scale: Scale) -> Startup {
    let rounds = scale.pick(1, 25, 51);
    let middle = |one: &dyn Fn() -> Duration| {
        median((0..rounds).map(|_| one().as_secs_f64())).expect("at least one round")
    };
    let kernels = world.path("home").join(".local/share/jupyter/kernels/listener");
    fs::create_dir_all(&kernels).expect("the folder is writable");
    let program = std::env::current_exe().expect("a program knows its path");
    let kernelspec = json!({"argv": [program, "--listen", "{connection_file}"], "display_name": "listener", "language": "text"});
    fs::write(kernels.join("kernel.json"), kernelspec.to_string()).expect("the folder is writable");
    let input = world.path("startup.ipynb");
    fs::write(&input, notebook(1, "1 + 1").to_string()).expect("the folder is writable");
    Startup { version: middle(&|| version(world)), first_byte: middle(&|| first_byte(world, &input)) }
}

fn version(world: &World) -> Duration {
    let begun = Instant::now();
    let status = quiet(world.rnbexec().arg("--version")).status();
    let took = begun.elapsed();
    assert!(status.is_ok_and(|status| status.success()), "rnbexec --version");
    took
}

fn first_byte(world: &World, input: &Path) -> Duration {
    let heard = world.path("heard");
    let begun = SystemTime::now();
    let mut command = world.rnbexec();
    command
        .args(["run", "--no-progress-bar", "--kernel", "listener"])
        .arg(input)
        .arg(world.path("out.ipynb"));
    // It fails: its kernel ends at once.
    quiet(command.env(HEARD, &heard)).status().expect("rnbexec runs");
    let noted = fs::read(&heard).unwrap_or_else(|e| panic!("the kernel heard nothing: {e}"));
    fs::remove_file(&heard).expect("the folder is ours");
    let Noted { begun: kernel_begun, open, heard } =
        serde_json::from_slice(&noted).expect("the kernel notes JSON");
    let before = kernel_begun.duration_since(begun).expect("the clock was not set back meanwhile");
    before + heard.duration_since(open).expect("it hears when it is open")
}

/// What the kernel notes.
#[derive(Deserialize, Serialize)]
struct Noted {
    begun: SystemTime,
    open: SystemTime,
    heard: SystemTime,
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

#[derive(Deserialize)]
struct Connection {
    transport: String,
    ip: String,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

/// The kernel: waits for the first byte on any of its sockets, and notes when it came.
///
/// # Panics
/// When the connection file is not one, and when its sockets cannot be opened.
pub(crate) fn listen(connection_file: &Path) {
    let begun = SystemTime::now();
    let text = fs::read_to_string(connection_file).expect("a kernel is given its connection file");
    let connection: Connection = serde_json::from_str(&text).expect("a connection file is JSON");
    if connection.transport != "ipc" {
        // The second try, after the first has noted its time and ended.
        return;
    }
    let (first, heard) = mpsc::channel();
    for (_, port) in connection.more.iter().filter(|(name, _)| name.ends_with("_port")) {
        let socket = PathBuf::from(format!("{}-{port}", connection.ip));
        let listener = UnixListener::bind(socket).expect("its folder is ours");
        let first = first.clone();
        thread::spawn(move || {
            let byte = listener.accept().and_then(|(mut peer, _)| peer.read_exact(&mut [0]));
            // Another was first, if nobody wants to know.
            if byte.is_ok() && first.send(SystemTime::now()).is_err() {}
        });
    }
    let open = SystemTime::now();
    let heard = heard.recv().expect("its sockets are open").max(open);
    let path = std::env::var_os(HEARD).expect("the benchmark names the file");
    let file = File::create_new(path).expect("the benchmark's folder is writable");
    serde_json::to_writer(file, &Noted { begun, open, heard }).expect("a file takes what is written");
}
