//! A temporary folder that is a whole world for one test: its own home, Jupyter folders and runtime folder, an environment
//! of known variables only, and a mark on every process started in it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::oracle;
use crate::program::rnbexec_path;
use crate::wait::wait_for;

const MARK: &str = "RNBEXEC_TESTS_MARK";

/// See the module.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    mark: String,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// A new, empty folder; removed when dropped.
    ///
    /// # Panics
    /// When none can be made.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // A short path: sockets in it must stay below 108 bytes.
        let dir = tempfile::Builder::new().prefix("rx").tempdir().expect("a temporary folder can be made");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{count}", std::process::id());
        for name in ["home", "run", "tmp", "work"] {
            fs::create_dir(dir.path().join(name)).expect("a new temporary folder is writable");
        }
        Self { dir, mark }
    }

    /// The folder that holds all others.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The working directory of the programs started here, and where relative names lie.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The path of a file here.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// The `TMPDIR` of the programs started here.
    pub fn tmp(&self) -> PathBuf {
        self.dir.path().join("tmp")
    }

    /// The `HOME` of the programs started here.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Writes a file and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        let parent = path.parent().expect("a file in the folder has a parent");
        fs::create_dir_all(parent).unwrap_or_else(|e| panic!("cannot make {}: {e}", parent.display()));
        fs::write(&path, content).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }

    /// Writes a JSON file and gives its path.
    #[track_caller]
    pub fn write_json(&self, name: impl AsRef<Path>, value: &Value) -> PathBuf {
        self.write(name, serde_json::to_vec_pretty(value).expect("a JSON value is writable"))
    }

    /// Reads a file of the folder.
    ///
    /// # Panics
    /// When it cannot be read.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.join(name);
        fs::read(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
    }

    /// Reads a JSON file of the folder, such as a notebook.
    ///
    /// # Panics
    /// When it cannot be read or is not JSON.
    #[track_caller]
    pub fn json(&self, name: impl AsRef<Path>) -> Value {
        let name = name.as_ref();
        serde_json::from_slice(&self.read(name))
            .unwrap_or_else(|e| panic!("{} is not JSON: {e}", name.display()))
    }

    /// The environment of the programs started here.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let mut path = oracle::bin().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let home = self.home();
        let pairs: [(&str, OsString); 13] = [
            ("PATH", path),
            ("HOME", home.clone().into()),
            ("TMPDIR", self.tmp().into()),
            ("LANG", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("JUPYTER_PATH", oracle::jupyter_path().into()),
            ("JUPYTER_DATA_DIR", home.join("jupyter-data").into()),
            ("JUPYTER_CONFIG_DIR", home.join("jupyter-config").into()),
            ("JUPYTER_RUNTIME_DIR", self.dir.path().join("run").into()),
            ("IPYTHONDIR", home.join("ipython").into()),
            ("PYTHONHASHSEED", "0".into()),
            ("PYDEVD_DISABLE_FILE_VALIDATION", "1".into()),
            (MARK, self.mark.clone().into()),
        ];
        pairs.into_iter().map(|(name, value)| (OsString::from(name), value)).collect()
    }

    /// A command that runs `program` in this world: its folder, its environment, no standard input.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env_clear().envs(self.env()).stdin(Stdio::null());
        command
    }

    /// The program under test with these arguments.
    pub fn rnbexec<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(rnbexec_path());
        command.args(args);
        command
    }

    /// The program under test with these arguments on a terminal: what the terminal gets, of both streams, is the standard output.
    pub fn rnbexec_on_a_terminal<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.command("python3");
        let spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        command.args(["-c", spawn]).arg(rnbexec_path()).args(args).env("TERM", "xterm-256color");
        command
    }

    /// papermill with these arguments.
    pub fn papermill<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(oracle::papermill());
        command.args(args);
        command
    }

    /// The processes of this world that are alive, as `pid command line`.
    ///
    /// # Panics
    /// When `/proc` is not there.
    pub fn alive(&self) -> Vec<String> {
        self.looker()()
            .into_iter()
            .map(|process| format!("{} {}", process.id, process.command_line))
            .collect()
    }

    /// Looks at the processes of this world, from any thread.
    pub(crate) fn looker(&self) -> impl Fn() -> Vec<Process> + Send + 'static {
        let mark = format!("{MARK}={}", self.mark);
        move || processes(&mark)
    }

    /// Checks that a run which has returned left nothing: no process, and nothing in the temporary and runtime folders.
    ///
    /// # Panics
    /// With what is left.
    #[track_caller]
    pub fn expect_nothing_left(&self) {
        self.expect_no_process();
        for dir in [self.tmp(), self.dir.path().join("run")] {
            let files = files_in(&dir);
            assert!(files.is_empty(), "left in {}: {files:#?}", dir.display());
        }
    }

    /// Checks that no process of a run is left that has returned.
    ///
    /// # Panics
    /// With those that are.
    #[track_caller]
    pub fn expect_no_process(&self) {
        // A killed process stays in /proc for the instant until it is reaped, and a guardian ends by itself soon after its
        // runner: so look until they are gone.
        let mut left = Vec::new();
        let patience = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("every process to be gone", Duration::from_secs(20), || {
                left = self.alive();
                left.is_empty().then_some(())
            });
        }));
        assert!(patience.is_ok(), "still alive: {left:#?}");
    }
}

/// A process of a world.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: String,
    pub(crate) command_line: String,
    pub(crate) environment: Vec<u8>,
    /// It is the program under test, or a child of it that has not become another program yet; not its guardian, which is a process
    /// of its own.
    pub(crate) is_under_test: bool,
}

/// The processes with this variable.
fn processes(mark: &str) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("the tests look for processes in /proc");
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        // A process may end while we look; then it is not alive.
        let Ok(exe) = fs::read_link(path.join("exe")) else { continue };
        // Before the environment: what has the guardian's command line then has the guardian's environment too.
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let Ok(environment) = fs::read(path.join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let command_line = String::from_utf8_lossy(&line).replace('\0', " ");
            let is_program = exe.file_name() == rnbexec_path().file_name();
            found.push(Process {
                id: entry.file_name().to_string_lossy().into_owned(),
                environment,
                is_under_test: is_program && !command_line.ends_with(" guardian "),
                command_line,
            });
        }
    }
    found
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

impl Drop for Scratch {
    /// No test leaves a process behind, whatever it found.
    fn drop(&mut self) {
        for process in self.alive() {
            if let Some(pid) = process.split(' ').next() {
                let killed = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
                drop(killed);
            }
        }
    }
}
