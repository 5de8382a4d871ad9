//! The program under test: the command line as built for these tests, and one finished run of a program.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::oracle;
use crate::wait::POLL;

/// The path of the built `rnbexec`.
///
/// The command line is another package, so Cargo does not say where its binary is: it is built here (a no-op when it is
/// fresh) with the profile and into the target folder that this test binary came from. `RNBEXEC_BIN` names a ready one
/// instead.
///
/// # Panics
/// When it does not build.
pub fn rnbexec_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os("RNBEXEC_BIN") {
        Some(path) => PathBuf::from(path),
        None => build("rnbexec"),
    })
}

/// Builds a program of the workspace as [`rnbexec_path`] does, and gives its path.
///
/// # Panics
/// When it does not build.
pub fn build(bin: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test binary knows its path");
    // <target>/<profile>/deps/<test binary>
    let profile_dir = exe.ancestors().nth(2).expect("test binaries lie in <target>/<profile>/deps");
    let target_dir = profile_dir.parent().expect("a profile's folder lies in the target folder");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .current_dir(oracle::workspace())
        // Naming this package too gives the dependencies the features they have in the test run: no second build of them.
        .args(["build", "--quiet", "-p", "rnbexec-cli", "-p", "rnbexec-bench", "-p", env!("CARGO_PKG_NAME")])
        .args(["--bin", bin])
        .args(["--profile", profile, "--target-dir"])
        .arg(target_dir)
        .output()
        .expect("cargo runs, as it started these tests");
    assert!(out.status.success(), "{bin} does not build:\n{}", String::from_utf8_lossy(&out.stderr));
    profile_dir.join(format!("{bin}{}", std::env::consts::EXE_SUFFIX))
}

/// A program that has ended: how, and what it said.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error, as text.
    pub stderr: String,
    /// From the start to the end of the process.
    pub wall: Duration,
    /// The most memory that the process itself held at once, in bytes, as last seen before its end (`VmHWM`: it only rises).
    pub peak_memory: u64,
}

impl Done {
    /// The exit code, or 128 + the signal that ended the program, as shells have it.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Checks the exit code and shows what the program said if it is another one.
    ///
    /// # Panics
    /// When the code differs.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.code(),
            code,
            "exit code\n--- stdout\n{}\n--- stderr\n{}",
            head(&self.stdout_text()),
            head(&self.stderr)
        );
        self
    }

    /// Checks that standard error says `text`.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn expect_stderr(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "stderr does not say {text:?}:\n{}", head(&self.stderr));
        self
    }
}

fn head(text: &str) -> String {
    text.chars().take(8000).collect()
}

/// A started program whose output is being read, so that it never waits for us.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    stdout: thread::JoinHandle<Vec<u8>>,
    stderr: thread::JoinHandle<Vec<u8>>,
    what: String,
}

impl Running {
    /// Starts the command with its output captured. Standard input is what the command says, `/dev/null` if nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let started = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {what}: {e}"));
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        Self { child, started, stdout, stderr, what }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the program's standard input, which must be piped, and closes it.
    ///
    /// # Panics
    /// When standard input is not piped.
    pub fn feed(&mut self, content: Vec<u8>) {
        let mut pipe = self.child.stdin.take().expect("standard input is piped");
        // A program may end without reading all; what it says of that is the test's matter.
        thread::spawn(move || drop(pipe.write_all(&content)));
    }

    /// Sends the signal named as in `kill -<name>`.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When the program still runs at the deadline; it is killed first.
    #[track_caller]
    pub fn finish(mut self, deadline: Duration) -> Done {
        let mut peak_memory = 0;
        let status = loop {
            peak_memory = peak_memory.max(memory_peak_of(self.child.id()));
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if self.started.elapsed() > deadline => {
                    self.child.kill().unwrap_or_else(|e| panic!("cannot kill {}: {e}", self.what));
                    self.child.wait().unwrap_or_else(|e| panic!("cannot reap {}: {e}", self.what));
                    let said = String::from_utf8_lossy(&self.stderr.join().unwrap_or_default()).into_owned();
                    panic!("{} still ran after {deadline:?}; stderr:\n{}", self.what, head(&said));
                }
                Ok(None) => thread::sleep(POLL),
                Err(e) => panic!("cannot wait for {}: {e}", self.what),
            }
        };
        let wall = self.started.elapsed();
        let stdout = self.stdout.join().expect("the reader of stdout does not panic");
        let stderr = self.stderr.join().expect("the reader of stderr does not panic");
        Done { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned(), wall, peak_memory }
    }
}

/// Zero for a process that has ended. Not from `wait4`: that counts what the program's own children held, the kernel among
/// them, and what the process that started it held.
fn memory_peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    kibibytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("the pipe was asked for");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks ends what can be read of it; what came before is what the test looks at.
        if pipe.read_to_end(&mut bytes).is_err() {
            bytes.extend_from_slice(b"\n(reading this output failed)\n");
        }
        bytes
    })
}

/// Sends the signal named as in `kill -<name>` to a process.
///
/// # Panics
/// When it cannot be sent.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.is_ok_and(|s| s.success()), "cannot send {name} to {pid}");
}

/// As [`finish`], for what has papermill in it: until its kernel binds them, papermill leaves the kernel's ports free, and now and
/// then something else is faster. Then it is run again.
///
/// # Panics
/// As [`finish`].
#[track_caller]
pub fn finish_papermill(command: &mut Command) -> Done {
    let mut done = finish(command);
    for _ in 0..3 {
        if !done.stderr.contains("Kernel died before replying to kernel_info") {
            break;
        }
        done = finish(command);
    }
    done
}

/// Runs the command to its end: at most ten minutes, which only what hangs needs, also on a busy machine.
///
/// # Panics
/// As [`Running::start`] and [`Running::finish`].
#[track_caller]
pub fn finish(command: &mut Command) -> Done {
    Running::start(command).finish(Duration::from_mins(10))
}
